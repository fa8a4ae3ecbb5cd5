//! Publishing: what waits, what is on its way to the store, and what comes of it.

use std::sync::Arc;

use super::log::{Key, Log};
use super::{Phase, Room, TOO_MUCH_WAITING, readable_tail};
use crate::api::Position;
use crate::centrifuge::codes;
use crate::context::{Context, Purpose};
use crate::error::Error;
use crate::message::{Answer, Asker, Draft, Message};
use crate::namespace::Durable;
use crate::publication::Publication;
use crate::store::{Operation, StoreError, StoredRoom, Write};

/// Something to be published.
#[derive(Debug)]
pub(super) struct Entry {
    draft: Draft,
    /// All who published this under one id; one, when there is no id.
    askers: Vec<Asker>,
    replaces: Replaces,
}

/// What becomes of earlier publications with this one.
#[derive(Debug)]
pub(super) enum Replaces {
    Nothing,
    /// This one is marked as edited.
    Edit(Arc<Publication>),
    /// The first of these is deleted, and the others, which are its edits, with it.
    Delete(Vec<Arc<Publication>>),
}

/// What is on its way to the store.
#[derive(Debug)]
pub(super) struct Group {
    publications: Vec<(Arc<Publication>, Entry)>,
    replaced: Vec<Arc<Publication>>,
    trims: Option<u64>,
}

impl Group {
    pub(super) fn len(&self) -> usize {
        self.publications.len()
    }
}

impl Entry {
    fn key(&self) -> Option<Key> {
        key(&self.draft)
    }

    /// Bytes that it takes in memory, about.
    fn size(&self) -> usize {
        self.draft.size() + self.size_beside_the_draft()
    }

    fn size_beside_the_draft(&self) -> usize {
        let replaced = match &self.replaces {
            Replaces::Nothing => 0,
            Replaces::Edit(target) => target.size(),
            Replaces::Delete(targets) => targets.iter().map(|target| target.size()).sum(),
        };
        size_of::<Self>() - size_of::<Draft>() + replaced
    }

    /// The publication that this one changes.
    fn target(&self) -> Option<u64> {
        match &self.replaces {
            Replaces::Nothing => None,
            Replaces::Edit(target) => Some(target.offset),
            Replaces::Delete(targets) => targets.first().map(|target| target.offset),
        }
    }
}

const NOBODY_KNOWS: Error =
    Error::new(codes::INTERNAL, "the store failed: it may or may not be stored, try again with the same id");

fn key(draft: &Draft) -> Option<Key> {
    (!draft.id.is_empty()).then(|| (draft.author.clone(), draft.id.clone()))
}

impl Room {
    pub(super) fn publish(&mut self, asker: Asker, draft: Draft, context: &mut Context<'_>) {
        if !self.is_duplicate(asker, &draft, context) {
            self.enqueue(asker, draft, Replaces::Nothing, context);
        }
    }

    /// Whether this was published before, or is about to be. Then its asker is answered here.
    pub(super) fn is_duplicate(&mut self, asker: Asker, draft: &Draft, context: &mut Context<'_>) -> bool {
        let Some(key) = key(draft) else { return false };
        if let Some(offset) = self.log.offset_of(&key, context.wall, &self.history) {
            context.counters.duplicates_total += 1;
            let position = Position { offset, epoch: self.epoch.clone() };
            context.answer(asker, Ok(Answer::Published(position)));
            return true;
        }
        if !self.pending_ids.contains(&key) {
            return false;
        }
        let in_flight = self.in_flight.iter_mut().flat_map(|group| &mut group.publications);
        let mut pending = in_flight.map(|(_, entry)| entry).chain(&mut self.waiting);
        let same = pending.find(|entry| entry.key().as_ref() == Some(&key));
        if let Some(entry) = same {
            context.counters.duplicates_total += 1;
            entry.askers.push(asker);
            return true;
        }
        false
    }

    /// Puts what is to be published at the end of what waits. The asker of what is refused is answered here.
    pub(super) fn enqueue(
        &mut self,
        asker: Asker,
        draft: Draft,
        replaces: Replaces,
        context: &mut Context<'_>,
    ) {
        let mut entry = Entry { draft, askers: vec![asker], replaces };
        let limits = &context.config.limits;
        let admitted = if self.waiting.len() >= limits.waiting_publications
            || self.waiting_bytes + entry.size() > limits.waiting_bytes
        {
            Err(context.overloaded(TOO_MUCH_WAITING))
        } else {
            let beside = entry.size_beside_the_draft();
            context.hold(&mut entry.draft, beside)
        };
        if let Err(error) = admitted {
            self.refuse(entry, &error, context);
            return;
        }
        if let Phase::Broken { error, retry_at } = &self.phase {
            if context.now < *retry_at {
                let error = error.clone();
                self.refuse(entry, &error, context);
                return;
            }
            self.phase = Phase::Checking(error.clone());
            self.ask_what_is_there(context);
        }
        self.pending_ids.extend(entry.key());
        self.waiting_bytes += entry.size();
        self.waiting.push_back(entry);
        self.write(context);
    }

    /// Sends the next group to the store, if none is under way.
    fn write(&mut self, context: &mut Context<'_>) {
        if self.in_flight.is_some() || self.waiting.is_empty() || !matches!(self.phase, Phase::Ready) {
            return;
        }
        let channel = &self.channel;
        let mut writes = Vec::new();
        if !self.stored {
            writes.push(Write::Create { channel: channel.clone(), epoch: self.epoch.clone() });
        }
        let mut group = Group { publications: Vec::new(), replaced: Vec::new(), trims: None };
        let mut offset = self.log.offset();
        let count = self.waiting.len().min(context.config.limits.write_group.max(1));
        for entry in self.waiting.drain(..count) {
            self.waiting_bytes -= entry.size();
            offset += 1;
            let publication = Arc::new(Publication {
                offset,
                time: context.wall.unix_millis(),
                data: entry.draft.data.clone(),
                info: entry.draft.info.clone(),
                id: entry.draft.id.clone(),
                tags: entry.draft.tags.clone(),
                edits: Vec::new(),
            });
            writes.push(Write::Append { channel: channel.clone(), record: publication.to_record() });
            let replaced = match &entry.replaces {
                Replaces::Nothing => Vec::new(),
                Replaces::Edit(target) => vec![target.edited(offset)],
                Replaces::Delete(targets) => targets.iter().map(|target| target.redacted(offset)).collect(),
            };
            for replaced in replaced {
                writes.push(Write::Replace { channel: channel.clone(), record: replaced.to_record() });
                group.replaced.push(Arc::new(replaced));
            }
            group.publications.push((publication, entry));
        }
        let kept = self.history.kept;
        let old = self.history.age.map_or(0, |age| self.log.older_than(context.wall, age));
        let surplus = offset.saturating_sub(kept);
        if surplus > self.trimmed && surplus - self.trimmed > kept / 8 || old > self.trimmed {
            let surplus = surplus.max(old);
            writes.push(Write::Trim { channel: channel.clone(), through: surplus });
            group.trims = Some(surplus);
        }
        if self.durable == Durable::Memory {
            self.acknowledge(group, context);
            self.write(context);
            return;
        }
        self.in_flight = Some(group);
        context.ask_store(Operation::Write(writes), Purpose::Write(self.channel.clone()));
    }

    /// The store has answered a write.
    pub(crate) fn written(&mut self, outcome: Result<(), StoreError>, context: &mut Context<'_>) {
        match outcome {
            Ok(()) => {
                if let Some(group) = self.in_flight.take() {
                    self.acknowledge(group, context);
                }
                self.write(context);
            }
            Err(error) => {
                // Whether the write is there all the same, only the store can say: a group is failed once it is known
                // not to be there.
                context.counters.store_failures_total += 1;
                self.phase = Phase::Checking(Error::store(&error));
                self.ask_what_is_there(context);
            }
        }
    }

    /// The store says what is there after a failure.
    pub(super) fn checked(
        &mut self,
        outcome: Result<Option<StoredRoom>, StoreError>,
        error: Error,
        context: &mut Context<'_>,
    ) {
        // Nothing is written before all that follows from what was found is done.
        self.phase = Phase::Checking(error.clone());
        let group = self.in_flight.take();
        match outcome {
            Err(reason) => {
                context.counters.store_failures_total += 1;
                let retry_at = context.now + context.config.store_retry;
                self.phase = Phase::Broken { error: Error::store(&reason), retry_at };
                self.fail(group, &NOBODY_KNOWS, context);
                self.refuse_waiting(&error, context);
                return;
            }
            Ok(None) if !self.stored => self.fail(group, &error, context),
            Ok(Some(found)) if found.epoch == self.epoch && found.offset >= self.log.offset() => {
                self.stored = true;
                let is_there = |group: &Group| {
                    group.publications.last().is_some_and(|(last, _)| last.offset <= found.offset)
                };
                match group {
                    Some(group) if is_there(&group) => self.acknowledge(group, context),
                    group => self.fail(group, &error, context),
                }
                self.catch_up(found, context);
            }
            Ok(found) => {
                self.fail(group, &error, context);
                self.evict(found, context);
            }
        }
        self.phase = Phase::Ready;
        self.write(context);
    }

    /// Passes on what is in the store and was not passed on, because it was not known to be there.
    fn catch_up(&mut self, found: StoredRoom, context: &mut Context<'_>) {
        if found.offset == self.log.offset() {
            return;
        }
        let missing: Vec<_> = readable_tail(&found)
            .into_iter()
            .filter(|publication| publication.offset > self.log.offset())
            .collect();
        if missing.first().is_none_or(|first| first.offset != self.log.offset() + 1) {
            self.evict(Some(found), context);
            return;
        }
        for publication in &missing {
            self.log.push(publication.clone(), &self.history);
        }
        self.tell_members(missing, context);
        // Some of it may have been published again meanwhile.
        for entry in std::mem::take(&mut self.waiting) {
            let key = entry.key();
            let history = &self.history;
            let offset = key.as_ref().and_then(|key| self.log.offset_of(key, context.wall, history));
            match offset {
                Some(offset) => {
                    self.waiting_bytes -= entry.size();
                    self.conclude(entry, offset, context);
                }
                None => self.waiting.push_back(entry),
            }
        }
    }

    /// The room is not what its members think: they are put out, and come again to what the store has.
    fn evict(&mut self, found: Option<StoredRoom>, context: &mut Context<'_>) {
        for shard in self.members.shards() {
            context.tell(shard, Message::Evicted { channel: self.channel.clone() });
        }
        self.members.clear();
        self.trimmed = 0;
        let error = Error::new(codes::INTERNAL, "the room has lost what it had: load it anew");
        self.refuse_waiting(&error, context);
        match found {
            Some(found) => {
                self.adopt(found);
            }
            None => {
                self.stored = false;
                self.epoch = crate::store::Epoch::random(context.random);
                self.log = Log::default();
            }
        }
    }

    /// The group is stored: it is passed on, and who published is told.
    fn acknowledge(&mut self, group: Group, context: &mut Context<'_>) {
        let Group { publications, replaced, trims } = group;
        self.stored = true;
        self.trimmed = trims.unwrap_or(self.trimmed);
        context.counters.publications_total += publications.len() as u64;
        let mut passed_on = Vec::with_capacity(publications.len());
        for (publication, _) in &publications {
            self.log.push(publication.clone(), &self.history);
            passed_on.push(publication.clone());
        }
        for replaced in &replaced {
            self.log.replace(replaced);
        }
        self.tell_members(passed_on, context);
        for (publication, entry) in publications {
            self.conclude(entry, publication.offset, context);
        }
    }

    /// Tells who published this that it is stored at `offset`.
    fn conclude(&mut self, entry: Entry, offset: u64, context: &mut Context<'_>) {
        if let Some(key) = entry.key() {
            self.pending_ids.remove(&key);
        }
        for &asker in &entry.askers {
            let position = Position { offset, epoch: self.epoch.clone() };
            context.answer(asker, Ok(Answer::Published(position)));
        }
        self.changed(entry.target(), context);
    }

    fn fail(&mut self, group: Option<Group>, error: &Error, context: &mut Context<'_>) {
        for (_, entry) in group.into_iter().flat_map(|group| group.publications) {
            self.refuse(entry, error, context);
        }
    }

    fn refuse_waiting(&mut self, error: &Error, context: &mut Context<'_>) {
        self.waiting_bytes = 0;
        for entry in std::mem::take(&mut self.waiting) {
            self.refuse(entry, error, context);
        }
    }

    fn refuse(&mut self, entry: Entry, error: &Error, context: &mut Context<'_>) {
        if let Some(key) = entry.key() {
            self.pending_ids.remove(&key);
        }
        for &asker in &entry.askers {
            context.answer(asker, Err(error.clone()));
        }
        self.changed(entry.target(), context);
    }
}
