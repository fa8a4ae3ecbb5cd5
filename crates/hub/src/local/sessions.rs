//! The table of sessions, and when each has something to do.

use std::collections::BTreeSet;

use host::Instant;

use super::session::{Place, Session, Stage};
use crate::hub::SessionId;

/// All sessions of a shard, in the places that the driver gave them.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    places: Vec<Option<Box<Session>>>,
    deadlines: BTreeSet<(Instant, u32)>,
    count: usize,
}

impl Sessions {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.places.iter().flatten().map(|session| &**session)
    }

    /// Puts a session at its place. Whoever was there is returned: the driver forgot to say that it is gone.
    pub(super) fn insert(&mut self, session: Session) -> Option<Session> {
        let index = session.id.index as usize;
        if self.places.len() <= index {
            self.places.resize_with(index + 1, || None);
        }
        let old = self.places[index].as_ref().map(|old| old.id).and_then(|old| self.remove(old));
        self.deadlines.insert((session.deadline, session.id.index));
        self.places[index] = Some(Box::new(session));
        self.count += 1;
        old
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Session> {
        self.get_mut(id)?;
        let session = self.places[id.index as usize].take()?;
        self.deadlines.remove(&(session.deadline, id.index));
        self.count -= 1;
        Some(*session)
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&Session> {
        self.places.get(id.index as usize)?.as_deref().filter(|session| session.id == id)
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.places.get_mut(id.index as usize)?.as_deref_mut().filter(|session| session.id == id)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// A session that has something to do at `now`.
    pub(super) fn due(&mut self, now: Instant) -> Option<&mut Session> {
        let &(deadline, index) = self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        self.places.get_mut(index as usize)?.as_deref_mut()
    }

    /// Sets the session's deadline from what it waits for.
    pub(super) fn reschedule(&mut self, id: SessionId) {
        let Some(session) = self.get_mut(id) else { return };
        let old = session.deadline;
        if session.stage == Stage::Connected {
            let rooms = session.subscriptions.iter().filter_map(|subscription| subscription.expires_at);
            session.deadline =
                session.expires_at.into_iter().chain(rooms).fold(session.ping_at, Instant::min);
        }
        let new = session.deadline;
        self.deadlines.remove(&(old, id.index));
        self.deadlines.insert((new, id.index));
    }

    /// Notes that the session's entry in the room's list of subscribers has moved.
    pub(super) fn move_to(&mut self, id: SessionId, channel: &str, place: u32) {
        if let Some(session) = self.get_mut(id)
            && let Ok(index) = session.find(channel)
        {
            session.subscriptions[index].place = Place::Listed(place);
        }
    }
}
