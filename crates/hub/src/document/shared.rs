//! One document, as its owner has it.
//!
//! An update is taken into the document when it comes, goes to the store as it came, together with those that came
//! meanwhile, and only when the store has answered is it passed on and acknowledged. Whatever is said of the document in
//! the meantime, say to somebody who comes, is held back just as long, so nobody ever sees what a crash could take away.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use host::Instant;

use super::api::{Answer, Reply, Request};
use super::awareness::{self, Awareness};
use super::closing;
use super::message::{Access, Close, DocumentMessage, FromDocument, Greeting, Said, ToDocument, Who};
use super::protocol::Outgoing;
use super::record::Kind;
use super::replica::{Applied, Replica, Trouble};
use super::scan::scan;
use super::writing::{Entry, Group, Log};
use crate::budget::Share;
use crate::centrifuge::codes;
use crate::context::{Context, DocumentPurpose, Purpose};
use crate::error::Error;
use crate::message::{Asker, Message};
use crate::store::{Limit, Operation, Record, Start, StoreError, StoredRoom};

/// A document in memory.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) name: Arc<str>,
    pub(super) room: Arc<str>,
    pub(super) phase: Phase,
    pub(super) replica: Replica,
    pub(super) log: Log,
    clients: BTreeMap<Who, Client>,
    awareness: Awareness,
    pub(super) waiting: VecDeque<Entry>,
    pub(super) waiting_bytes: usize,
    pub(super) in_flight: Option<Group>,
    /// When the document was last of use to anybody, as the owner noted it.
    pub(super) idle_since: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Client {
    access: Access,
    greeting: Greeting,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// The store was asked what is there; this was said meanwhile. Records come newest first.
    Loading {
        parked: VecDeque<(usize, ToDocument, Share)>,
        found: Found,
    },
    Ready,
}

/// What was found in the store so far.
#[derive(Debug, Default)]
pub(super) struct Found {
    room: Option<StoredRoom>,
    /// Oldest first.
    records: VecDeque<Record>,
}

impl Document {
    /// A document that the store is now asked about.
    pub(super) fn load(name: Arc<str>, context: &mut Context<'_>) -> Self {
        let document = Self {
            room: super::record::room(&name),
            name,
            phase: Phase::Loading { parked: VecDeque::new(), found: Found::default() },
            replica: Replica::new(context.random),
            log: Log::default(),
            clients: BTreeMap::new(),
            awareness: Awareness::default(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            in_flight: None,
            idle_since: None,
        };
        document.ask_what_is_there(context);
        document
    }

    /// Whether nothing is lost when the document goes from memory.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Ready)
            && self.clients.is_empty()
            && self.waiting.is_empty()
            && self.in_flight.is_none()
    }

    pub(super) fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Bytes of it in the store.
    pub(super) fn bytes(&self) -> usize {
        self.log.bytes()
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.awareness.poll_timeout()
    }

    pub(super) fn handle_timeout(&mut self, context: &mut Context<'_>) {
        self.awareness.expire(context.now);
        self.tell_awareness(context);
    }

    /// Takes in what is said from a shard.
    pub(super) fn hear(&mut self, from: usize, what: ToDocument, context: &mut Context<'_>) {
        if let Phase::Loading { parked, .. } = &mut self.phase {
            let mut share = Share::default();
            match what {
                ToDocument::Leave { seat } => self.leave((from, seat), context),
                what if context.hold_bytes(&mut share, what.bytes() + size_of::<ToDocument>()).is_ok() => {
                    parked.push_back((from, what, share));
                }
                ToDocument::Enter { seat, .. } | ToDocument::Say { seat, .. } => {
                    self.put_out((from, seat), closing::OVERLOADED, context);
                }
                ToDocument::Ask { ticket, .. } => {
                    self.answer(Asker { shard: from, ticket }, Err(overloaded()), context);
                }
            }
            return;
        }
        match what {
            ToDocument::Enter { seat, access, greeting } => {
                self.enter((from, seat), Client { access, greeting }, context);
            }
            ToDocument::Leave { seat } => self.leave((from, seat), context),
            ToDocument::Say { seat, said } => self.say((from, seat), said, context),
            ToDocument::Ask { ticket, request } => self.ask(Asker { shard: from, ticket }, request, context),
        }
        self.write(context);
    }

    fn enter(&mut self, who: Who, client: Client, context: &mut Context<'_>) {
        if self.clients.len() >= context.config.documents.clients {
            self.put_out(who, closing::CROWDED, context);
            return;
        }
        self.clients.insert(who, client);
        if client.greeting == Greeting::AtOnce {
            self.ask_for_the_rest(who, context);
        }
        if let Some(states) = self.awareness.all() {
            self.tell(who, Outgoing::Awareness(states), context);
        }
    }

    /// The client is gone, or put out.
    pub(super) fn leave(&mut self, who: Who, context: &mut Context<'_>) {
        if let Phase::Loading { parked, .. } = &mut self.phase {
            parked.retain(|(from, what, _)| {
                !matches!(what, ToDocument::Enter { seat, .. } | ToDocument::Say { seat, .. } if (*from, *seat) == who)
            });
        }
        self.clients.remove(&who);
        self.awareness.leave(who, context.now);
        self.tell_awareness(context);
    }

    /// Messages from that shard were lost: nobody knows who of its clients is still here.
    pub(super) fn forget_shard(&mut self, shard: usize, context: &mut Context<'_>) {
        if let Phase::Loading { parked, .. } = &mut self.phase {
            parked.retain(|(from, what, _)| *from != shard || matches!(what, ToDocument::Ask { .. }));
        }
        let there: Vec<_> = self.clients.keys().filter(|(from, _)| *from == shard).copied().collect();
        for who in there {
            self.leave(who, context);
        }
    }

    fn say(&mut self, who: Who, said: Said, context: &mut Context<'_>) {
        // Put out meanwhile, or never let in.
        let Some(&client) = self.clients.get(&who) else { return };
        match said {
            Said::Step1(vector) => match self.replica.diff(&vector) {
                Ok(update) => {
                    self.tell_in_turn(who, Outgoing::Step2(update), context);
                    if client.greeting == Greeting::WhenAsked {
                        self.ask_for_the_rest(who, context);
                    }
                }
                Err(trouble) => self.offended(who, trouble, context),
            },
            Said::Update(update) if client.access == Access::Write => self.update(who, update, context),
            Said::Update(update) => match self.replica.contains(&update) {
                Ok(true) => self.tell_in_turn(who, Outgoing::SyncStatus(true), context),
                Ok(false) => {
                    context.counters.documents.refused_total += 1;
                    let words = match client.greeting {
                        Greeting::AtOnce => Outgoing::Denied(closing::READ_ONLY),
                        Greeting::WhenAsked => Outgoing::SyncStatus(false),
                    };
                    self.tell(who, words, context);
                }
                Err(trouble) => self.offended(who, trouble, context),
            },
            Said::Awareness(message) => match awareness::read(&message) {
                Ok(states) => {
                    let limit = context.config.documents.awareness_states;
                    let refused = self.awareness.update(who, &states, limit, context.now);
                    context.counters.documents.awareness_refused_total += refused as u64;
                    self.tell_awareness(context);
                }
                Err(_) => self.offended(who, Trouble::Malformed, context),
            },
            Said::QueryAwareness => {
                if let Some(states) = self.awareness.all() {
                    self.tell(who, Outgoing::Awareness(states), context);
                }
            }
        }
    }

    fn update(&mut self, who: Who, update: Bytes, context: &mut Context<'_>) {
        match self.admit(&update, context) {
            Ok(entry) => self.enqueue(Entry { saved: Some(who), ..entry }),
            Err(Refused::Close(close)) => {
                context.counters.documents.refused_total += 1;
                self.put_out(who, close, context);
            }
            Err(Refused::Trouble(trouble)) => self.offended(who, trouble, context),
        }
    }

    /// Takes an update into the document, to be written.
    pub(super) fn admit(&mut self, update: &Bytes, context: &mut Context<'_>) -> Result<Entry, Refused> {
        let limits = &context.config.documents;
        let taken = self.log.bytes() + self.waiting_bytes + update.len();
        let (is_full, is_busy) =
            (taken > limits.document_bytes, self.waiting_bytes + update.len() > limits.waiting_bytes);
        let sizes = scan(update, &mut |_| {}).map_err(|error| Refused::Trouble(error.into()))?;
        if sizes.structs == 0 && sizes.deletions == 0 {
            return Ok(Entry::default());
        }
        if is_full {
            // Who has nothing new, and says so, as clients do when they come, may stay.
            return match self.replica.contains(update) {
                Ok(true) => Ok(Entry::default()),
                Ok(false) => Err(Refused::Close(closing::FULL)),
                Err(trouble) => Err(Refused::Trouble(trouble)),
            };
        }
        let mut share = Share::default();
        if is_busy || context.hold_bytes(&mut share, update.len() + size_of::<Entry>()).is_err() {
            return Err(Refused::Close(closing::OVERLOADED));
        }
        match self.replica.apply(update) {
            Ok(Applied::Something) => Ok(Entry { update: Some(update.clone()), share, ..Entry::default() }),
            Ok(Applied::Nothing) => Ok(Entry::default()),
            Err(trouble) => Err(Refused::Trouble(trouble)),
        }
    }

    /// What the client brought cannot be taken in.
    fn offended(&mut self, who: Who, trouble: Trouble, context: &mut Context<'_>) {
        context.counters.documents.malformed_total += 1;
        self.put_out(who, closing::MALFORMED, context);
        self.mend(trouble, context);
    }

    /// Makes the document anew from the store when the library failed over it. What waits is in no store yet: it is
    /// taken in again after that.
    fn mend(&mut self, trouble: Trouble, context: &mut Context<'_>) {
        if trouble == Trouble::Broken {
            context.counters.documents.panics_total += 1;
            self.load_again(context);
        }
    }

    pub(super) fn load_again(&mut self, context: &mut Context<'_>) {
        if matches!(self.phase, Phase::Ready) {
            self.phase = Phase::Loading { parked: VecDeque::new(), found: Found::default() };
            self.ask_what_is_there(context);
        }
    }

    fn ask(&mut self, asker: Asker, request: Request, context: &mut Context<'_>) {
        match request {
            Request::State => match self.replica.state() {
                Ok(state) => self.answer_in_turn(asker, Ok(Answer::State(state)), context),
                Err(trouble) => self.excuse(asker, trouble, context),
            },
            Request::Text(name) => match self.replica.text(&name) {
                Ok(text) => self.answer_in_turn(asker, Ok(Answer::Text(text)), context),
                Err(trouble) => self.excuse(asker, trouble, context),
            },
            Request::Revert(state) => {
                let edit = scan(&state, &mut |_| {})
                    .map_err(Trouble::from)
                    .and_then(|_| self.replica.reverting(&state, context.random));
                match edit {
                    Ok(edit) => self.edit(asker, &edit, context),
                    // It worked on copies: the document is as it was.
                    Err(_) => self.excuse(asker, Trouble::Malformed, context),
                }
            }
            Request::Apply(update) => self.edit(asker, &update, context),
        }
    }

    /// Takes in a program's edit.
    fn edit(&mut self, asker: Asker, update: &Bytes, context: &mut Context<'_>) {
        match self.admit(update, context) {
            Ok(entry) => self.enqueue(Entry { answer: Some((asker, Ok(Answer::Done))), ..entry }),
            Err(Refused::Close(close)) => {
                let error = Error::new(codes::LIMIT_EXCEEDED, close.disconnect.reason);
                self.answer(asker, Err(error), context);
            }
            Err(Refused::Trouble(trouble)) => self.excuse(asker, trouble, context),
        }
    }

    fn excuse(&mut self, asker: Asker, trouble: Trouble, context: &mut Context<'_>) {
        let error = Error::new(codes::BAD_REQUEST, closing::MALFORMED.disconnect.reason);
        self.answer(asker, Err(error), context);
        self.mend(trouble, context);
    }

    fn ask_for_the_rest(&mut self, who: Who, context: &mut Context<'_>) {
        match self.replica.state_vector() {
            Ok(vector) => self.tell_in_turn(who, Outgoing::Step1(vector), context),
            Err(trouble) => self.offended(who, trouble, context),
        }
    }

    /// Tells what follows from the document as it is now, once that is stored.
    fn tell_in_turn(&mut self, who: Who, words: Outgoing, context: &mut Context<'_>) {
        if self.waiting.is_empty() && self.in_flight.is_none() {
            self.tell(who, words, context);
        } else {
            self.enqueue(Entry { words: Some((who, words)), ..Entry::default() });
        }
    }

    fn answer_in_turn(&mut self, asker: Asker, reply: Reply, context: &mut Context<'_>) {
        if self.waiting.is_empty() && self.in_flight.is_none() {
            self.answer(asker, reply, context);
        } else {
            self.enqueue(Entry { answer: Some((asker, reply)), ..Entry::default() });
        }
    }

    fn enqueue(&mut self, entry: Entry) {
        self.waiting_bytes += entry.bytes();
        self.waiting.push_back(entry);
    }

    pub(super) fn tell(&self, (shard, seat): Who, words: Outgoing, context: &mut Context<'_>) {
        self.send(shard, FromDocument::Tell { seat, words }, context);
    }

    pub(super) fn answer(&self, asker: Asker, reply: Reply, context: &mut Context<'_>) {
        self.send(asker.shard, FromDocument::Answer { ticket: asker.ticket, reply }, context);
    }

    /// Tells a client why it is out. Nothing more comes of it from here on.
    pub(super) fn put_out(&mut self, who: Who, close: Close, context: &mut Context<'_>) {
        let (shard, seat) = who;
        self.leave(who, context);
        self.send(shard, FromDocument::Close { seat, close }, context);
    }

    pub(super) fn put_out_all(&mut self, close: Close, context: &mut Context<'_>) {
        for who in self.clients.keys().copied().collect::<Vec<_>>() {
            self.put_out(who, close, context);
        }
    }

    /// Tells all shards where clients are.
    pub(super) fn tell_all(&self, what: &FromDocument, context: &mut Context<'_>) {
        let shards: BTreeSet<usize> = self.clients.keys().map(|(shard, _)| *shard).collect();
        for shard in shards {
            self.send(shard, what.clone(), context);
        }
    }

    fn tell_awareness(&mut self, context: &mut Context<'_>) {
        if let Some(states) = self.awareness.tell(context.now) {
            self.tell_all(&FromDocument::Awareness(states), context);
        }
    }

    pub(super) fn send(&self, shard: usize, what: FromDocument, context: &mut Context<'_>) {
        let document = self.name.clone();
        context.tell(shard, Message::Document(DocumentMessage::From { document, what }));
    }

    fn ask_what_is_there(&self, context: &mut Context<'_>) {
        let operation = Operation::Load { channel: self.room.clone(), limit: AT_ONCE };
        self.ask_store(operation, DocumentPurpose::Load, context);
    }

    pub(super) fn ask_store(
        &self,
        operation: Operation,
        purpose: DocumentPurpose,
        context: &mut Context<'_>,
    ) {
        context.ask_store(operation, Purpose::Document { document: self.name.clone(), purpose });
    }

    /// The store says what is there, first of all. False when it could not, and the document is of no use.
    pub(super) fn loaded(
        &mut self,
        outcome: Result<Option<StoredRoom>, StoreError>,
        context: &mut Context<'_>,
    ) -> bool {
        let Phase::Loading { found, .. } = &mut self.phase else { return true };
        match outcome {
            Ok(room) => {
                found.room = room;
                let records = found.room.as_mut().map(|room| std::mem::take(&mut room.records));
                self.read_on(records.unwrap_or_default(), context)
            }
            Err(error) => self.give_up(&Error::store(&error), context),
        }
    }

    /// The store has more of it.
    pub(super) fn read(
        &mut self,
        outcome: Result<Vec<Record>, StoreError>,
        context: &mut Context<'_>,
    ) -> bool {
        match outcome {
            Ok(records) => self.read_on(records, context),
            Err(error) => self.give_up(&Error::store(&error), context),
        }
    }

    /// Takes what was read before what was read already, and reads on until all is there.
    fn read_on(&mut self, records: Vec<Record>, context: &mut Context<'_>) -> bool {
        let Phase::Loading { found, .. } = &mut self.phase else { return true };
        let is_end = records.is_empty();
        for record in records.into_iter().rev() {
            found.records.push_front(record);
        }
        let is_whole = |record: &Record| {
            record.offset == 1 || matches!(Kind::read(&record.body), Some((Kind::Snapshot, _)))
        };
        match found.records.front() {
            Some(first) if !is_end && !is_whole(first) => {
                let start = Start::Before(first.offset);
                let operation = Operation::Read { channel: self.room.clone(), start, limit: AT_ONCE };
                self.ask_store(operation, DocumentPurpose::Read, context);
                true
            }
            _ => self.build(context),
        }
    }

    /// Makes the document of what was found, and takes in what was said meanwhile.
    fn build(&mut self, context: &mut Context<'_>) -> bool {
        let Phase::Loading { parked, found } = std::mem::replace(&mut self.phase, Phase::Ready) else {
            return true;
        };
        let mut log = Log::of(found.room.as_ref());
        if self.log.is_stored() && !self.log.is_at_the_end_of(&log) {
            // What clients were told of is not what is there.
            self.put_out_all(closing::STORE_FAILED, context);
        }
        self.replica = Replica::new(context.random);
        let mut is_readable = true;
        for record in &found.records {
            let read = Kind::read(&record.body);
            let taken = read.as_ref().map(|(_, update)| self.replica.apply(update));
            if let (Some((kind, update)), Some(Ok(_))) = (&read, taken) {
                log.note(*kind, update.len());
            } else {
                is_readable = false;
                break;
            }
        }
        if !is_readable {
            context.counters.documents.unreadable_total += 1;
            self.phase = Phase::Loading { parked, found: Found::default() };
            return self.give_up(&Error::new(codes::INTERNAL, UNREADABLE), context);
        }
        self.log = log;
        self.take_in_again(context);
        for (from, what, _) in parked {
            self.hear(from, what, context);
        }
        self.write(context);
        true
    }

    /// What waits was taken into the document that is gone.
    fn take_in_again(&mut self, context: &mut Context<'_>) {
        for entry in std::mem::take(&mut self.waiting) {
            let taken =
                entry.update.as_ref().map_or(Ok(Applied::Nothing), |update| self.replica.apply(update));
            match taken {
                Ok(_) => self.waiting.push_back(entry),
                Err(_) => {
                    self.waiting_bytes -= entry.bytes();
                    self.fail(entry, closing::STORE_FAILED, context);
                }
            }
        }
    }

    /// Nobody can have the document now.
    fn give_up(&mut self, error: &Error, context: &mut Context<'_>) -> bool {
        context.counters.store_failures_total += 1;
        if let Phase::Loading { parked, .. } = std::mem::replace(&mut self.phase, Phase::Ready) {
            for (from, what, _) in parked {
                match what {
                    ToDocument::Enter { seat, .. } => {
                        self.put_out((from, seat), closing::STORE_FAILED, context);
                    }
                    ToDocument::Ask { ticket, .. } => {
                        self.answer(Asker { shard: from, ticket }, Err(error.clone()), context);
                    }
                    ToDocument::Say { .. } | ToDocument::Leave { .. } => {}
                }
            }
        }
        for entry in std::mem::take(&mut self.waiting) {
            self.fail(entry, closing::STORE_FAILED, context);
        }
        self.waiting_bytes = 0;
        self.put_out_all(closing::STORE_FAILED, context);
        false
    }
}

/// Why an update was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is no room for it.
    Close(Close),
    Trouble(Trouble),
}

/// What is read of a document with one question to the store. One is enough for a document that is compacted in time.
const AT_ONCE: Limit = Limit { records: 1024, bytes: 16 << 20 };

const UNREADABLE: &str = "the document cannot be read any more: restore it from a backup";

fn overloaded() -> Error {
    Error::new(codes::TOO_MANY_REQUESTS, closing::OVERLOADED.disconnect.reason)
}
