//! The sessions of one shard, and what waits to be sent to each.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use host::Instant;
use hub::{ClientInfo, SessionId};
use websocket::Prepared;

use crate::flight::{Landing, Over, Queue, Trail};

/// Centrifuge's code for a client that does not read as fast as its rooms talk.
const SLOW: Ending = Ending { code: 3008, reason: "slow" };

/// Every session of a shard, by dense index.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    places: Vec<Place>,
    /// Indices of empty places.
    empty: Vec<u32>,
}

#[derive(Debug)]
struct Place {
    /// Counts who sat here, so that an id of somebody who left reaches nobody.
    generation: u32,
    outbox: Option<Arc<Outbox>>,
}

impl Sessions {
    /// A place for one more session, whose outbox holds `limit` bytes.
    pub(crate) fn enter(&mut self, limit: usize) -> (SessionId, Arc<Outbox>) {
        let index = self.empty.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, outbox: None });
            (self.places.len() - 1) as u32
        });
        let place = &mut self.places[index as usize];
        place.generation = place.generation.wrapping_add(1);
        let outbox = Arc::new(Outbox { limit, waiting: Mutex::default() });
        place.outbox = Some(outbox.clone());
        (SessionId { index, generation: place.generation }, outbox)
    }

    pub(crate) fn leave(&mut self, session: SessionId) {
        if let Some(place) = self.places.get_mut(session.index as usize)
            && place.generation == session.generation
            && place.outbox.take().is_some()
        {
            self.empty.push(session.index);
        }
    }

    pub(crate) fn get(&self, session: SessionId) -> Option<&Arc<Outbox>> {
        let place = self.places.get(session.index as usize)?;
        if place.generation == session.generation { place.outbox.as_ref() } else { None }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Outbox>> {
        self.places.iter().filter_map(|place| place.outbox.as_ref())
    }
}

/// What waits for one session's connection: bounded in bytes, up to one frame beyond the limit, and once it is full the
/// session ends.
#[derive(Debug)]
pub(crate) struct Outbox {
    limit: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Prepared>,
    bytes: usize,
    ending: Option<Ending>,
    waker: Option<Waker>,
    /// Since when something waits.
    since: Option<Instant>,
    /// What waited when that was too much.
    overflow: Option<Queue>,
    trail: Trail,
    info: Option<Arc<ClientInfo>>,
}

/// With what code and reason a session is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
}

/// The next thing for a connection to do.
#[derive(Debug)]
pub(crate) enum Next {
    Send(Prepared),
    Close(Ending),
}

impl Outbox {
    /// Queues `frame`. False when more waited already than may: all of it is dropped then and the session is closed as
    /// slow; it recovers from its rooms' history when it comes back. That recovery comes as one frame, which may well be
    /// larger than the limit: who had to go for being slow has missed that much. So it is what waits before a frame that
    /// counts.
    pub(crate) fn push(&self, frame: Prepared, now: Instant) -> bool {
        let mut waiting = self.lock();
        if waiting.ending.is_some() {
            return true;
        }
        let fits = waiting.bytes <= self.limit;
        let since = *waiting.since.get_or_insert(now);
        waiting.bytes += frame.frame().len();
        waiting.trail.note(now, false, frame.payload());
        if fits {
            waiting.frames.push_back(frame);
        } else {
            waiting.frames = VecDeque::new();
            waiting.ending = Some(SLOW);
            waiting.overflow = Some(Queue { bytes: waiting.bytes, age: now.since(since) });
        }
        wake(waiting);
        fits
    }

    /// Notes that a frame came.
    pub(crate) fn note(&self, now: Instant, frame: &[u8]) {
        self.lock().trail.note(now, true, frame);
    }

    /// Notes whose session it is.
    pub(crate) fn identify(&self, info: Arc<ClientInfo>) {
        self.lock().info = Some(info);
    }

    /// What is known of the session when it is `over`.
    pub(crate) fn land(&self, now: Instant, over: Over, round_trip: Option<Duration>) -> Landing {
        let mut waiting = self.lock();
        let age = waiting.since.map_or(Duration::ZERO, |since| now.since(since));
        let queue = waiting.overflow.unwrap_or(Queue { bytes: waiting.bytes, age });
        let (info, trail) = (waiting.info.take(), std::mem::take(&mut waiting.trail));
        Landing { info, ending: waiting.ending, over, round_trip, queue, trail }
    }

    /// Closes the session after what waits already.
    pub(crate) fn close(&self, ending: Ending) {
        let mut waiting = self.lock();
        waiting.ending.get_or_insert(ending);
        wake(waiting);
    }

    /// What comes next, if anything. The ending comes again at each call.
    pub(crate) fn next(&self) -> Option<Next> {
        let mut waiting = self.lock();
        if let Some(frame) = waiting.frames.pop_front() {
            waiting.bytes -= frame.frame().len();
            if waiting.frames.is_empty() {
                // A burst must not leave its buffer with an idle connection.
                waiting.frames = VecDeque::new();
                waiting.since = None;
            }
            return Some(Next::Send(frame));
        }
        waiting.ending.map(Next::Close)
    }

    /// Wakes the task of `context` when something comes.
    pub(crate) fn register(&self, context: &Context<'_>) {
        let mut waiting = self.lock();
        match &mut waiting.waker {
            Some(waker) => waker.clone_from(context.waker()),
            waker => *waker = Some(context.waker().clone()),
        }
    }

    /// The queue is whole at every step: a panic elsewhere does not spoil it.
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(mut waiting: std::sync::MutexGuard<'_, Waiting>) {
    let waker = waiting.waker.take();
    drop(waiting);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn an_id_of_somebody_who_left_reaches_nobody() {
        let mut sessions = Sessions::default();
        let (first, _) = sessions.enter(100);
        sessions.leave(first);
        let (second, _) = sessions.enter(100);
        assert_eq!(first.index, second.index);
        assert!(sessions.get(first).is_none());
        assert!(sessions.get(second).is_some());
        sessions.leave(first);
        assert!(sessions.get(second).is_some(), "leaving twice turns nobody else out");
    }

    #[test]
    fn a_full_outbox_is_emptied_and_ends_the_session_as_slow() {
        let mut sessions = Sessions::default();
        let (_, outbox) = sessions.enter(100);
        let frame = Prepared::text(Bytes::from(vec![b'a'; 40]));
        assert!(outbox.push(frame.clone(), Instant::ORIGIN));
        assert!(outbox.push(frame.clone(), Instant::ORIGIN));
        assert!(outbox.push(frame.clone(), Instant::ORIGIN), "one may go beyond");
        assert!(!outbox.push(frame.clone(), Instant::ORIGIN));
        assert!(outbox.push(frame, Instant::ORIGIN), "told once");
        assert!(matches!(outbox.next(), Some(Next::Close(SLOW))));
    }

    #[test]
    fn a_recovery_that_is_larger_than_the_limit_gets_through() {
        let mut sessions = Sessions::default();
        let (_, outbox) = sessions.enter(100);
        let reply = Prepared::text(Bytes::from_static(b"connected"));
        let recovery = Prepared::text(Bytes::from(vec![b'a'; 1_000]));
        assert!(outbox.push(reply, Instant::ORIGIN) && outbox.push(recovery, Instant::ORIGIN));
        assert!(matches!(outbox.next(), Some(Next::Send(_))));
        assert!(matches!(outbox.next(), Some(Next::Send(frame)) if frame.frame().len() > 1_000));
    }

    #[test]
    fn closing_comes_after_what_waits() {
        let mut sessions = Sessions::default();
        let (_, outbox) = sessions.enter(100);
        outbox.push(Prepared::text(Bytes::from_static(b"last words")), Instant::ORIGIN);
        outbox.close(Ending { code: 3501, reason: "bad request" });
        outbox.close(SLOW);
        assert!(matches!(outbox.next(), Some(Next::Send(_))));
        assert!(matches!(outbox.next(), Some(Next::Close(Ending { code: 3501, .. }))));
    }
}
