//! The rooms that this shard owns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use host::Instant;

use crate::centrifuge::codes;
use crate::context::{Context, Purpose};
use crate::error::Error;
use crate::hub::SessionId;
use crate::message::{Asker, Message, Question};
use crate::publication::Publication;
use crate::room::Room;
use crate::store::{Outcome, StoreError};

/// The rooms of this shard that are in memory.
#[derive(Debug, Default)]
pub(crate) struct Owner {
    rooms: BTreeMap<Arc<str>, Room>,
    /// Those that nobody uses, by when the last user went.
    idle: BTreeSet<(Instant, Arc<str>)>,
    /// What the publications of all of them take in memory, about.
    bytes: usize,
}

impl Owner {
    /// A question about a room. The room is brought into memory when it is not there.
    pub(crate) fn ask(
        &mut self,
        asker: Asker,
        channel: Arc<str>,
        question: Question,
        context: &mut Context<'_>,
    ) {
        if !self.rooms.contains_key(&channel) {
            if self.rooms.len() >= context.config.limits.rooms && !self.unload_oldest() {
                let full = Error::new(codes::LIMIT_EXCEEDED, "too many rooms are in use: try again later");
                context.answer(asker, Err(full));
                return;
            }
            self.rooms.insert(channel.clone(), Room::load(channel.clone(), context));
        }
        self.with(&channel, context, |room, context| room.ask(asker, question, context));
    }

    pub(crate) fn leave(
        &mut self,
        shard: usize,
        channel: &Arc<str>,
        session: SessionId,
        context: &mut Context<'_>,
    ) {
        self.with(channel, context, |room, context| room.leave(shard, session, context));
    }

    pub(crate) fn signal(
        &mut self,
        channel: &Arc<str>,
        publication: &Arc<Publication>,
        context: &mut Context<'_>,
    ) {
        self.with(channel, context, |room, context| room.signal(publication, context));
    }

    /// Messages from that shard were lost.
    pub(crate) fn forget_shard(&mut self, shard: usize, context: &mut Context<'_>) {
        let channels: Vec<_> = self.rooms.keys().cloned().collect();
        for channel in channels {
            self.with(&channel, context, |room, context| room.forget_shard(shard, context));
        }
        context.tell(shard, Message::Forgotten);
    }

    /// The store has answered a question of a room.
    pub(crate) fn stored(
        &mut self,
        purpose: &Purpose,
        outcome: Result<Outcome, StoreError>,
        context: &mut Context<'_>,
    ) {
        match purpose {
            Purpose::Load(channel) => self.loaded(channel, outcome, context),
            Purpose::Write(channel) => self.written(channel, outcome, context),
            Purpose::Read { channel, lookup } => self.looked_up(channel, *lookup, outcome, context),
            Purpose::Names { .. } | Purpose::Document { .. } => {}
        }
    }

    fn loaded(
        &mut self,
        channel: &Arc<str>,
        outcome: Result<Outcome, StoreError>,
        context: &mut Context<'_>,
    ) {
        let outcome = outcome.and_then(|outcome| match outcome {
            Outcome::Loaded(found) => Ok(found),
            other => Err(unexpected(&other)),
        });
        let mut is_of_use = true;
        self.with(channel, context, |room, context| is_of_use = room.loaded(outcome, context));
        if !is_of_use {
            self.remove(channel);
        }
    }

    fn written(
        &mut self,
        channel: &Arc<str>,
        outcome: Result<Outcome, StoreError>,
        context: &mut Context<'_>,
    ) {
        let outcome = outcome.and_then(|outcome| match outcome {
            Outcome::Written => Ok(()),
            other => Err(unexpected(&other)),
        });
        self.with(channel, context, |room, context| room.written(outcome, context));
    }

    fn looked_up(
        &mut self,
        channel: &Arc<str>,
        lookup: u64,
        outcome: Result<Outcome, StoreError>,
        context: &mut Context<'_>,
    ) {
        let outcome = outcome.and_then(|outcome| match outcome {
            Outcome::Records(records) => Ok(records),
            other => Err(unexpected(&other)),
        });
        let mut is_of_use = true;
        self.with(channel, context, |room, context| is_of_use = room.looked_up(lookup, outcome, context));
        if !is_of_use {
            self.remove(channel);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(crate) fn poll_timeout(&self, room_idle: std::time::Duration) -> Option<Instant> {
        self.idle.first().map(|(since, _)| *since + room_idle)
    }

    /// Lets go of rooms that nobody has used for long.
    pub(crate) fn handle_timeout(&mut self, context: &Context<'_>) {
        let room_idle = context.config.limits.room_idle;
        while self.poll_timeout(room_idle).is_some_and(|due| due <= context.now) {
            self.unload_oldest();
        }
    }

    /// How many rooms are in memory.
    pub(crate) fn len(&self) -> usize {
        self.rooms.len()
    }

    /// The rooms in memory with how many are in each, by name.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&Arc<str>, u64)> {
        self.rooms.iter().map(|(channel, room)| (channel, room.members() as u64))
    }

    /// Bytes that their publications take in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many publications wait for the store.
    pub(crate) fn waiting(&self) -> usize {
        self.rooms.values().map(Room::waiting).sum()
    }

    /// Does something with a room, if it is in memory, and notes whether anybody uses it after that.
    fn with(
        &mut self,
        channel: &Arc<str>,
        context: &mut Context<'_>,
        action: impl FnOnce(&mut Room, &mut Context<'_>),
    ) {
        let Some(room) = self.rooms.get_mut(channel) else { return };
        if let Some(since) = room.idle_since.take() {
            self.idle.remove(&(since, channel.clone()));
        }
        self.bytes -= room.bytes();
        action(room, context);
        self.bytes += room.bytes();
        if room.is_idle() {
            room.idle_since = Some(context.now);
            self.idle.insert((context.now, channel.clone()));
        }
        let limit = context.config.history.total_bytes_in_memory;
        while self.bytes > limit && self.unload_oldest() {}
        if self.bytes > limit
            && let Some(room) = self.rooms.get_mut(channel)
        {
            // Whatever it no longer has in memory, it has in the store.
            self.bytes -= room.bytes();
            room.halve();
            self.bytes += room.bytes();
        }
    }

    /// Takes the room out of memory that was unused for longest. False when all are in use.
    fn unload_oldest(&mut self) -> bool {
        match self.idle.first().map(|(_, channel)| channel.clone()) {
            Some(channel) => {
                self.remove(&channel);
                true
            }
            None => false,
        }
    }

    fn remove(&mut self, channel: &Arc<str>) {
        let Some(room) = self.rooms.remove(channel) else { return };
        self.bytes -= room.bytes();
        if let Some(since) = room.idle_since {
            self.idle.remove(&(since, channel.clone()));
        }
    }
}

fn unexpected(outcome: &Outcome) -> StoreError {
    StoreError::Corrupt(format!("the store answered another question: {outcome:?}").into())
}
