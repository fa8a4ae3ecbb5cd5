//! What waits for the store, what is on its way there, and what comes of it.

use bytes::Bytes;

use super::api::Reply;
use super::closing;
use super::message::{Close, FromDocument, Who};
use super::protocol::Outgoing;
use super::record::Kind;
use super::replica::{Replica, merge};
use super::shared::{Document, Phase};
use crate::budget::Share;
use crate::centrifuge::codes;
use crate::context::{Context, DocumentPurpose};
use crate::error::Error;
use crate::message::Asker;
use crate::store::{Epoch, Operation, Record, StoreError, StoredRoom, Write};

/// Something to be stored, and what is said once it and all before it are.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) update: Option<Bytes>,
    /// Who made the update, and hears that it is stored.
    pub(super) saved: Option<Who>,
    pub(super) words: Option<(Who, Outgoing)>,
    pub(super) answer: Option<(Asker, Reply)>,
    /// The memory that the update is counted for, as long as this lives.
    #[expect(dead_code, reason = "it counts by being there")]
    pub(super) share: Share,
}

impl Entry {
    pub(super) fn bytes(&self) -> usize {
        self.update.as_ref().map_or(0, Bytes::len)
    }
}

/// What is on its way to the store.
#[derive(Debug)]
pub(super) struct Group {
    entries: Vec<Entry>,
    /// How far the log reaches once this is stored.
    log: Log,
}

/// How a document lies in the store.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// `None` as long as the store does not know the document.
    epoch: Option<Epoch>,
    offset: u64,
    /// Since the last snapshot: updates, and their bytes.
    updates: usize,
    update_bytes: usize,
    snapshot_bytes: usize,
}

impl Log {
    /// The log of what was found, with nothing noted yet.
    pub(super) fn of(found: Option<&StoredRoom>) -> Self {
        found.map_or_else(Self::default, |found| Self {
            epoch: Some(found.epoch.clone()),
            offset: found.offset,
            ..Self::default()
        })
    }

    /// A record is there.
    pub(super) fn note(&mut self, kind: Kind, bytes: usize) {
        match kind {
            Kind::Update => {
                self.updates += 1;
                self.update_bytes += bytes;
            }
            Kind::Snapshot => {
                (self.updates, self.update_bytes, self.snapshot_bytes) = (0, 0, bytes);
            }
        }
    }

    pub(super) fn is_stored(&self) -> bool {
        self.epoch.is_some()
    }

    /// Whether both end with the same record.
    pub(super) fn is_at_the_end_of(&self, other: &Self) -> bool {
        self.epoch == other.epoch && self.offset == other.offset
    }

    pub(super) fn bytes(&self) -> usize {
        self.snapshot_bytes + self.update_bytes
    }

    /// Whether a snapshot is due: the log is long, and writing a snapshot costs no more than the log has cost.
    fn is_long(&self, context: &Context<'_>) -> bool {
        let limits = &context.config.documents;
        self.updates >= limits.log_records
            || self.update_bytes >= limits.log_bytes && self.update_bytes >= self.snapshot_bytes
    }
}

impl Document {
    /// Sends the next group to the store, if none is under way.
    pub(super) fn write(&mut self, context: &mut Context<'_>) {
        if self.in_flight.is_some() || !matches!(self.phase, Phase::Ready) {
            return;
        }
        let limit = context.config.documents.write_group.max(1);
        let count = self.waiting.len().min(limit);
        let entries: Vec<Entry> = self.waiting.drain(..count).collect();
        self.waiting_bytes -= entries.iter().map(Entry::bytes).sum::<usize>();
        if entries.iter().all(|entry| entry.update.is_none()) {
            for entry in entries {
                self.conclude(entry, context);
            }
            if !self.waiting.is_empty() {
                self.write(context);
            }
            return;
        }
        let mut log = self.log.clone();
        let mut writes = self.creation(&mut log, context);
        let updates = entries.iter().filter_map(|entry| entry.update.as_ref());
        let mut after = log.clone();
        updates.clone().for_each(|update| after.note(Kind::Update, update.len()));
        let snapshot = if after.is_long(context) { self.snapshot(context) } else { None };
        match snapshot {
            // It has the updates of this group in it, and perhaps those that wait: they are written again then, which
            // changes nothing.
            Some(snapshot) => self.compact(&mut writes, &mut log, &snapshot),
            None => {
                for update in updates {
                    log.offset += 1;
                    log.note(Kind::Update, update.len());
                    let record = Record { offset: log.offset, body: Kind::Update.record(update) };
                    writes.push(Write::Append { channel: self.room.clone(), record });
                }
            }
        }
        self.in_flight = Some(Group { entries, log });
        self.ask_store(Operation::Write(writes), DocumentPurpose::Write, context);
    }

    /// Writes a snapshot if there is much before it, for who loads the document next. False when there is no need.
    pub(super) fn tidy(&mut self, context: &mut Context<'_>) -> bool {
        let is_tidy = self.log.updates <= TIDY || self.log.update_bytes < self.log.snapshot_bytes / 4;
        if is_tidy || !self.is_idle() {
            return false;
        }
        let Some(snapshot) = self.snapshot(context) else { return false };
        let (mut writes, mut log) = (Vec::new(), self.log.clone());
        self.compact(&mut writes, &mut log, &snapshot);
        self.in_flight = Some(Group { entries: Vec::new(), log });
        self.ask_store(Operation::Write(writes), DocumentPurpose::Write, context);
        true
    }

    fn creation(&self, log: &mut Log, context: &mut Context<'_>) -> Vec<Write> {
        if log.is_stored() {
            return Vec::new();
        }
        let epoch = Epoch::random(context.random);
        log.epoch = Some(epoch.clone());
        vec![Write::Create { channel: self.room.clone(), epoch }]
    }

    fn compact(&self, writes: &mut Vec<Write>, log: &mut Log, snapshot: &Bytes) {
        let channel = self.room.clone();
        let through = log.offset;
        log.offset += 1;
        log.note(Kind::Snapshot, snapshot.len());
        let record = Record { offset: log.offset, body: Kind::Snapshot.record(snapshot) };
        writes.push(Write::Append { channel: channel.clone(), record });
        writes.push(Write::Trim { channel, through });
    }

    /// All of the document as one update, if a document can be made of that again.
    fn snapshot(&self, context: &mut Context<'_>) -> Option<Bytes> {
        let snapshot = self.replica.state().ok()?;
        let copy = Replica::with_state(&snapshot, context.random).ok()?;
        let is_whole = copy.is_as_far_as(&self.replica).ok()?;
        if is_whole {
            context.counters.documents.snapshots_total += 1;
        }
        is_whole.then_some(snapshot)
    }

    /// The store has answered a write.
    pub(super) fn written(&mut self, outcome: Result<(), StoreError>, context: &mut Context<'_>) {
        let Some(Group { entries, log }) = self.in_flight.take() else { return };
        match outcome {
            Ok(()) => {
                self.log = log;
                self.pass_on(&entries, context);
                for entry in entries {
                    self.conclude(entry, context);
                }
                self.write(context);
            }
            Err(_) => {
                // The document has in it what is not stored. Who wrote it comes again, and brings it again; the others
                // stay, and see nothing of it.
                context.counters.store_failures_total += 1;
                for entry in entries.into_iter().chain(std::mem::take(&mut self.waiting)) {
                    self.fail(entry, closing::STORE_FAILED, context);
                }
                self.waiting_bytes = 0;
                self.load_again(context);
            }
        }
    }

    /// Passes on the updates of a group, as one where there are many.
    fn pass_on(&self, entries: &[Entry], context: &mut Context<'_>) {
        let stored: Vec<_> =
            entries.iter().filter_map(|entry| Some((entry.update.as_ref()?, entry.saved))).collect();
        let Some(&(first, by)) = stored.first() else { return };
        context.counters.documents.updates_total += stored.len() as u64;
        let by = by.filter(|_| stored.iter().all(|(_, other)| *other == by));
        if stored.len() == 1 {
            self.tell_all(&FromDocument::Update { update: first.clone(), by }, context);
            return;
        }
        match merge(stored.iter().map(|(update, _)| &update[..])) {
            Ok(update) => self.tell_all(&FromDocument::Update { update, by }, context),
            // The library takes them one by one, for it did; so they go one by one.
            Err(_) => {
                for (update, _) in stored {
                    self.tell_all(&FromDocument::Update { update: update.clone(), by }, context);
                }
            }
        }
    }

    /// Says what is to be said once an entry is stored.
    fn conclude(&mut self, entry: Entry, context: &mut Context<'_>) {
        if let Some((shard, seat)) = entry.saved {
            self.send(shard, FromDocument::Stored { seat, updates: 1 }, context);
        }
        if let Some((who, words)) = entry.words {
            self.tell(who, words, context);
        }
        if let Some((asker, reply)) = entry.answer {
            self.answer(asker, reply, context);
        }
    }

    /// An entry is not going to be stored, or what it says not to be true.
    pub(super) fn fail(&mut self, entry: Entry, close: Close, context: &mut Context<'_>) {
        for who in entry.saved.into_iter().chain(entry.words.map(|(who, _)| who)) {
            self.put_out(who, close, context);
        }
        if let Some((asker, _)) = entry.answer {
            let error = Error::new(codes::INTERNAL, close.disconnect.reason);
            self.answer(asker, Err(error), context);
        }
    }
}

/// Updates that an idle document may keep beside its snapshot.
const TIDY: usize = 16;
