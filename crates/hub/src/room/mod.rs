//! One room, as its owner has it.
//!
//! Every change goes through the store first: what is published waits in the room, goes to the store as one group, and
//! only when the store has answered is it passed on and acknowledged. One group at a time is under way, so positions
//! are given out in order and never twice.

mod changes;
mod history;
mod log;
mod members;
mod writing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use host::Instant;

use crate::api::Position;
use crate::centrifuge::codes;
use crate::config::History;
use crate::context::{Context, Purpose};
use crate::error::Error;
use crate::hub::SessionId;
use crate::message::{Answer, Asker, Message, Question, Recover, Subscribed};
use crate::namespace::Durable;
use crate::publication::Publication;
use crate::store::{Epoch, Limit, Operation, Record, Start, StoreError, StoredRoom};

use changes::Parked;
use history::{Lookup, Wanted};
use log::{Key, Log};
use members::{Member, Members};
use writing::{Entry, Group};

/// A room in memory.
#[derive(Debug)]
pub(crate) struct Room {
    channel: Arc<str>,
    durable: Durable,
    history: History,
    phase: Phase,
    epoch: Epoch,
    /// Whether the store knows the room.
    stored: bool,
    log: Log,
    /// Publications up to here are gone from the store, as far as we know.
    trimmed: u64,
    members: Members,
    /// Publications that wait for the group under way to be stored.
    waiting: VecDeque<Entry>,
    waiting_bytes: usize,
    in_flight: Option<Group>,
    /// Ids of what waits and what is under way.
    pending_ids: BTreeSet<Key>,
    /// Questions that wait for the store to look something up.
    lookups: BTreeMap<u64, Lookup>,
    last_lookup: u64,
    /// Publications that are being changed, each with the changes that come after.
    changing: BTreeMap<u64, VecDeque<Parked>>,
    /// When the room was last of use to anybody, as the owner noted it.
    pub(crate) idle_since: Option<Instant>,
}

#[derive(Debug)]
enum Phase {
    /// The store was asked what is there; these questions came meanwhile.
    Loading(VecDeque<(Asker, Question)>),
    /// Older publications are looked up for their ids.
    Remembering {
        parked: VecDeque<(Asker, Question)>,
    },
    Ready,
    /// A write failed, for this reason, and the store was asked what is there.
    Checking(Error),
    /// The store does not answer as it should. Nothing is published until it is asked again.
    Broken {
        error: Error,
        retry_at: Instant,
    },
}

impl Room {
    /// A room that the store is now asked about, if it knows such rooms.
    pub(crate) fn load(channel: Arc<str>, context: &mut Context<'_>) -> Self {
        let namespace = context.config.namespaces.of(&channel);
        let durable = namespace.durable;
        let room = Self {
            channel,
            durable,
            history: namespace.history(&context.config.history),
            phase: match durable {
                Durable::Sync => Phase::Loading(VecDeque::new()),
                Durable::Memory => Phase::Ready,
            },
            epoch: Epoch::random(context.random),
            stored: false,
            log: Log::default(),
            trimmed: 0,
            members: Members::new(context.shard.count),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            in_flight: None,
            pending_ids: BTreeSet::new(),
            lookups: BTreeMap::new(),
            last_lookup: 0,
            changing: BTreeMap::new(),
            idle_since: None,
        };
        if durable == Durable::Sync {
            room.ask_what_is_there(context);
        }
        room
    }

    /// Whether nothing is lost when the room goes from memory.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Ready | Phase::Broken { .. })
            && self.members.is_empty()
            && self.waiting.is_empty()
            && self.in_flight.is_none()
            && self.lookups.is_empty()
            && self.changing.is_empty()
    }

    /// How many connections are in the room.
    pub(crate) fn members(&self) -> usize {
        self.members.len()
    }

    /// Bytes that its publications take in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.log.bytes()
    }

    /// Keeps less in memory.
    pub(crate) fn halve(&mut self) {
        self.log.halve();
    }

    /// How many publications wait for the store.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len() + self.in_flight.as_ref().map_or(0, Group::len)
    }

    /// Takes in a question, and answers it now or later.
    pub(crate) fn ask(&mut self, asker: Asker, mut question: Question, context: &mut Context<'_>) {
        if let Phase::Loading(parked) | Phase::Remembering { parked } = &mut self.phase {
            let admitted = if parked.len() >= context.config.limits.waiting_publications {
                Err(context.overloaded(TOO_MUCH_WAITING))
            } else {
                question.draft().map_or(Ok(()), |draft| context.hold(draft, 0))
            };
            match admitted {
                Ok(()) => parked.push_back((asker, question)),
                Err(error) => context.answer(asker, Err(error)),
            }
            return;
        }
        match question {
            Question::Subscribe { session, info, join_leave, recover } => {
                self.subscribe(asker, session, Member { info, join_leave }, recover, context);
            }
            Question::Publish(draft) => self.publish(asker, draft, context),
            Question::Change { draft, target, change } => self.change(asker, draft, target, change, context),
            Question::History { limit, since, reverse } => {
                self.history(asker, limit, since, reverse, context);
            }
            Question::Presence => {
                let infos = self.members.infos(context.config.limits.presence_entries);
                context.answer(asker, Ok(Answer::Presence(infos)));
            }
            Question::PresenceStats => {
                let (clients, users) = (self.members.len() as u64, self.members.users() as u64);
                context.answer(asker, Ok(Answer::PresenceStats { clients, users }));
            }
        }
    }

    /// The session is out, or does not want to come in any more.
    pub(crate) fn leave(&mut self, shard: usize, session: SessionId, context: &mut Context<'_>) {
        if let Phase::Loading(parked) | Phase::Remembering { parked } = &mut self.phase {
            parked.retain(|(asker, question)| {
                asker.shard != shard
                    || !matches!(question, Question::Subscribe { session: theirs, .. } if *theirs == session)
            });
        }
        self.lookups.retain(|_, lookup| !lookup.is_subscribe_of(shard, session));
        if let Some(member) = self.members.remove(shard, session)
            && self.members.len() <= context.config.limits.join_leave_members
        {
            for shard in self.members.listening_shards() {
                let left = Message::Left { channel: self.channel.clone(), info: member.info.clone() };
                context.tell(shard, left);
            }
        }
    }

    /// All sessions of a shard are out: messages of that shard were lost, so nobody knows who of them is still in.
    pub(crate) fn forget_shard(&mut self, shard: usize, context: &mut Context<'_>) {
        if let Phase::Loading(parked) | Phase::Remembering { parked } = &mut self.phase {
            parked.retain(|(asker, question)| {
                asker.shard != shard || !matches!(question, Question::Subscribe { .. })
            });
        }
        self.lookups.retain(|_, lookup| !lookup.is_subscribe_of_shard(shard));
        for session in self.members.on_shard(shard) {
            self.leave(shard, session, context);
        }
    }

    /// Passes on what is not kept.
    pub(crate) fn signal(&self, publication: &Arc<Publication>, context: &mut Context<'_>) {
        context.counters.signals_total += 1;
        self.tell_members(vec![publication.clone()], context);
    }

    /// The store says what is there. False when it could not, and the room is of no use.
    pub(crate) fn loaded(
        &mut self,
        outcome: Result<Option<StoredRoom>, StoreError>,
        context: &mut Context<'_>,
    ) -> bool {
        match std::mem::replace(&mut self.phase, Phase::Ready) {
            Phase::Loading(parked) => match outcome {
                Ok(found) => {
                    let oldest = found.map_or(1, |found| self.adopt(found));
                    self.remember(parked, oldest, context);
                    true
                }
                Err(error) => {
                    give_up(parked, &error, context);
                    false
                }
            },
            Phase::Checking(error) => {
                self.checked(outcome, error, context);
                true
            }
            phase @ (Phase::Ready | Phase::Remembering { .. } | Phase::Broken { .. }) => {
                self.phase = phase;
                true
            }
        }
    }

    /// Takes over what the store has. Returns the offset of the oldest publication that was found.
    fn adopt(&mut self, found: StoredRoom) -> u64 {
        let publications = readable_tail(&found);
        let oldest = publications.first().map_or(found.offset + 1, |oldest| oldest.offset);
        self.epoch = found.epoch;
        self.stored = true;
        self.log = Log::new(found.offset, publications, &self.history);
        oldest
    }

    fn subscribe(
        &mut self,
        asker: Asker,
        session: SessionId,
        member: Member,
        recover: Option<Recover>,
        context: &mut Context<'_>,
    ) {
        if self.members.len() >= context.config.limits.sessions_per_room {
            let full = Error::new(codes::LIMIT_EXCEEDED, "the room is full");
            context.answer(asker, Err(full));
            return;
        }
        match recover {
            None => self.let_in(asker, session, member, None, context),
            Some(recover) => self.recover(asker, session, member, recover, context),
        }
    }

    /// Lets the session in. What it missed is what was `recovered`, if it wanted to recover (`Some`) and could
    /// (`Some(Some)`).
    fn let_in(
        &mut self,
        asker: Asker,
        session: SessionId,
        member: Member,
        recovered: Option<Option<Vec<Arc<Publication>>>>,
        context: &mut Context<'_>,
    ) {
        let was_recovering = recovered.is_some();
        let recovered = recovered.flatten();
        if was_recovering {
            let count = match recovered {
                Some(_) => &mut context.counters.recovered_total,
                None => &mut context.counters.unrecovered_total,
            };
            *count += 1;
        }
        let subscribed = Subscribed {
            position: self.position(),
            was_recovering,
            recovered: recovered.is_some(),
            publications: recovered.unwrap_or_default(),
        };
        let info = member.info.clone();
        self.members.insert(asker.shard, session, member);
        context.answer(asker, Ok(Answer::Subscribed(subscribed)));
        if self.members.len() <= context.config.limits.join_leave_members {
            for shard in self.members.listening_shards() {
                context.tell(shard, Message::Joined { channel: self.channel.clone(), info: info.clone() });
            }
        }
    }

    fn position(&self) -> Position {
        Position { offset: self.log.offset(), epoch: self.epoch.clone() }
    }

    /// Looks up publications before `oldest` for their ids, as long as one might still be remembered; then takes in the
    /// questions that came meanwhile.
    fn remember(&mut self, parked: VecDeque<(Asker, Question)>, oldest: u64, context: &mut Context<'_>) {
        let history = &self.history;
        let read = self.log.offset() + 1 - oldest;
        if oldest > 1 && read < history.ids as u64 && self.log.may_remember_more(context.wall, history) {
            self.phase = Phase::Remembering { parked };
            self.look_up(Start::Before(oldest), LOADED_AT_ONCE, Wanted::Ids, context);
            return;
        }
        self.phase = Phase::Ready;
        for (asker, question) in parked {
            self.ask(asker, question, context);
        }
    }

    /// The store has looked up publications for their ids. False when it could not, and the room is of no use: an id
    /// that is not remembered would be published twice.
    fn remembered(&mut self, outcome: Result<Vec<Record>, StoreError>, context: &mut Context<'_>) -> bool {
        let parked = match std::mem::replace(&mut self.phase, Phase::Ready) {
            Phase::Remembering { parked } => parked,
            phase => {
                self.phase = phase;
                return true;
            }
        };
        match outcome {
            Ok(records) => {
                let publications: Vec<_> = records.iter().filter_map(Publication::from_record).collect();
                self.log.remember(&publications, &self.history);
                let oldest = records.first().map_or(1, |record| record.offset);
                self.remember(parked, oldest, context);
                true
            }
            Err(error) => {
                give_up(parked, &error, context);
                false
            }
        }
    }

    fn ask_what_is_there(&self, context: &mut Context<'_>) {
        let config = context.config;
        let limit = match self.phase {
            // More would not stay in memory.
            Phase::Loading(_) => Limit { records: LOADED_AT_ONCE, bytes: config.history.bytes_in_memory },
            // What was under way when something went wrong has to be among what is loaded; it had waited before.
            _ => Limit { records: config.limits.write_group.max(1), bytes: config.limits.waiting_bytes },
        };
        let operation = Operation::Load { channel: self.channel.clone(), limit };
        context.ask_store(operation, Purpose::Load(self.channel.clone()));
    }

    fn tell_members(&self, publications: Vec<Arc<Publication>>, context: &mut Context<'_>) {
        for shard in self.members.shards() {
            let (channel, publications) = (self.channel.clone(), publications.clone());
            context.tell(shard, Message::Published { channel, publications });
        }
    }
}

/// Publications that are loaded into memory with one question.
const LOADED_AT_ONCE: usize = 128;

fn give_up(parked: VecDeque<(Asker, Question)>, error: &StoreError, context: &mut Context<'_>) {
    context.counters.store_failures_total += 1;
    for (asker, _) in parked {
        context.answer(asker, Err(Error::store(error)));
    }
}

const TOO_MUCH_WAITING: &str = "too much waits in this room already: try again later";

/// The newest publications of a stored room, back to the first that cannot be read, if there is such a one.
fn readable_tail(found: &StoredRoom) -> Vec<Arc<Publication>> {
    let mut next = found.offset;
    let mut tail: Vec<_> = found
        .records
        .iter()
        .rev()
        .map_while(|record| {
            let publication = (record.offset == next).then(|| Publication::from_record(record)).flatten()?;
            next = next.saturating_sub(1);
            Some(Arc::new(publication))
        })
        .collect();
    tail.reverse();
    tail
}
