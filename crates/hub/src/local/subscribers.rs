//! Which sessions of this shard listen to which room.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::centrifuge::Protocol;
use crate::hub::SessionId;
use crate::publication::Publication;

/// The subscribers of each room that has some on this shard.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    rooms: BTreeMap<Arc<str>, Room>,
    count: usize,
}

#[derive(Debug, Default)]
struct Room {
    subscribers: Vec<Subscriber>,
    /// What was passed on last, while somebody takes deltas.
    last: Option<Arc<Publication>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Subscriber {
    pub(super) session: SessionId,
    pub(super) audience: Audience,
    /// Whether it wants to hear of others coming and going.
    pub(super) join_leave: bool,
    /// Whether its messages are held, because it is not connected yet.
    pub(super) held: bool,
}

/// Those for whom a publication is written in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Audience {
    pub(super) protocol: Protocol,
    pub(super) takes: Takes,
}

/// What a subscriber takes for a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Takes {
    /// The publication.
    Plain,
    /// First the whole publication, then deltas.
    Whole,
    /// The difference from the publication before.
    Delta,
}

impl Audience {
    const ALL: [Self; 6] = {
        use {Protocol::*, Takes::*};
        [
            Self { protocol: Json, takes: Plain },
            Self { protocol: Json, takes: Whole },
            Self { protocol: Json, takes: Delta },
            Self { protocol: Protobuf, takes: Plain },
            Self { protocol: Protobuf, takes: Whole },
            Self { protocol: Protobuf, takes: Delta },
        ]
    };
}

impl Subscribers {
    /// Over all rooms.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn of(&self, channel: &str) -> &[Subscriber] {
        self.rooms.get(channel).map_or(&[], |room| &room.subscribers)
    }

    /// The audiences that a room has.
    pub(super) fn audiences(&self, channel: &str) -> impl Iterator<Item = Audience> + use<> {
        let mut found = [false; Audience::ALL.len()];
        for subscriber in self.of(channel) {
            found[subscriber.audience.protocol as usize * 3 + subscriber.audience.takes as usize] = true;
        }
        Audience::ALL.into_iter().zip(found).filter_map(|(audience, found)| found.then_some(audience))
    }

    /// What was passed on last in a room, for those who take deltas.
    pub(super) fn last(&self, channel: &str) -> Option<&Arc<Publication>> {
        self.rooms.get(channel)?.last.as_ref()
    }

    /// Notes what was passed on last in a room: whoever takes deltas takes the difference from that next.
    pub(super) fn passed_on(&mut self, channel: &str, last: &Arc<Publication>) {
        let Some(room) = self.rooms.get_mut(channel) else { return };
        room.last = None;
        for subscriber in &mut room.subscribers {
            if subscriber.audience.takes != Takes::Plain {
                subscriber.audience.takes = Takes::Delta;
                room.last.get_or_insert_with(|| last.clone());
            }
        }
    }

    /// The sessions in the rooms that `is_meant`, some maybe more than once.
    pub(super) fn in_rooms(&self, is_meant: impl Fn(&str) -> bool) -> Vec<SessionId> {
        let meant = self.rooms.iter().filter(|(channel, _)| is_meant(channel));
        meant.flat_map(|(_, room)| &room.subscribers).map(|subscriber| subscriber.session).collect()
    }

    /// Appends a subscriber, and says where.
    pub(super) fn push(&mut self, channel: &Arc<str>, subscriber: Subscriber) -> u32 {
        if !self.rooms.contains_key(channel) {
            self.rooms.insert(channel.clone(), Room::default());
        }
        let Some(room) = self.rooms.get_mut(channel) else { return 0 };
        room.subscribers.push(subscriber);
        self.count += 1;
        room.subscribers.len() as u32 - 1
    }

    /// Removes the subscriber at `place`. Who was last is there now, and is returned if that is another.
    pub(super) fn remove(&mut self, channel: &Arc<str>, place: u32) -> Option<SessionId> {
        let subscribers = &mut self.rooms.get_mut(channel)?.subscribers;
        if place as usize >= subscribers.len() {
            return None;
        }
        subscribers.swap_remove(place as usize);
        self.count -= 1;
        let moved = subscribers.get(place as usize).map(|subscriber| subscriber.session);
        if subscribers.is_empty() {
            self.rooms.remove(channel);
        }
        moved
    }

    /// The messages of the subscriber at `place` are no longer held.
    pub(super) fn release(&mut self, channel: &str, place: u32) {
        let room = self.rooms.get_mut(channel);
        if let Some(subscriber) = room.and_then(|room| room.subscribers.get_mut(place as usize)) {
            subscriber.held = false;
        }
    }
}
