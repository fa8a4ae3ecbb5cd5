//! Which sessions of this shard listen to which room.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::hub::SessionId;

/// The subscribers of each room that has some on this shard.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    rooms: BTreeMap<Arc<str>, Vec<Subscriber>>,
    count: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Subscriber {
    pub(super) session: SessionId,
    /// Whether it wants to hear of others coming and going.
    pub(super) join_leave: bool,
    /// Whether its lines are held, because it is not connected yet.
    pub(super) held: bool,
}

impl Subscribers {
    /// Over all rooms.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn of(&self, channel: &str) -> &[Subscriber] {
        self.rooms.get(channel).map_or(&[], Vec::as_slice)
    }

    /// The sessions in the rooms that `is_meant`, some maybe more than once.
    pub(super) fn in_rooms(&self, is_meant: impl Fn(&str) -> bool) -> Vec<SessionId> {
        let meant = self.rooms.iter().filter(|(channel, _)| is_meant(channel));
        meant.flat_map(|(_, subscribers)| subscribers).map(|subscriber| subscriber.session).collect()
    }

    /// Appends a subscriber, and says where.
    pub(super) fn push(&mut self, channel: &Arc<str>, subscriber: Subscriber) -> u32 {
        if !self.rooms.contains_key(channel) {
            self.rooms.insert(channel.clone(), Vec::new());
        }
        let Some(subscribers) = self.rooms.get_mut(channel) else { return 0 };
        subscribers.push(subscriber);
        self.count += 1;
        subscribers.len() as u32 - 1
    }

    /// Removes the subscriber at `place`. Who was last is there now, and is returned if that is another.
    pub(super) fn remove(&mut self, channel: &Arc<str>, place: u32) -> Option<SessionId> {
        let subscribers = self.rooms.get_mut(channel)?;
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

    /// The lines of the subscriber at `place` are no longer held.
    pub(super) fn release(&mut self, channel: &str, place: u32) {
        if let Some(subscriber) =
            self.rooms.get_mut(channel).and_then(|subscribers| subscribers.get_mut(place as usize))
        {
            subscriber.held = false;
        }
    }
}
