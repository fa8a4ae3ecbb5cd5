//! Messages that wait for those before them, and may still be dropped: they are made into frames, and compressed, only
//! when it is their turn.

use std::collections::{BTreeMap, VecDeque};

use super::Outbox;
use crate::{CloseCode, Outgoing, Refused, WhenFull};

/// Frames of up to so many bytes wait to be written before messages begin to wait as such.
const FRAMED: usize = 32 << 10;

/// What a message that waits costs beside its bytes.
const OVERHEAD: usize = 64;

/// Messages in order, each with the key that it is the latest of.
#[derive(Default)]
pub(super) struct Backlog {
    waiting: VecDeque<(Option<u64>, Outgoing<'static>)>,
    /// The place of each key's message, counted from the first message that ever waited here.
    places: BTreeMap<u64, u64>,
    /// Messages that were taken away from the front.
    gone: u64,
    bytes: usize,
}

impl Outbox {
    /// What is done with a message that does not fit, instead of [`Limits::when_full`](crate::Limits::when_full).
    pub fn set_when_full(&mut self, when_full: WhenFull) {
        self.when_full = when_full;
    }

    /// Queues a message that, while it waits, takes the place of the one before it with the same `key`, when
    /// [`WhenFull::LatestPerKey`] is set; else as [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_latest<'a>(&mut self, key: u64, message: impl Into<Outgoing<'a>>) -> Result<(), Refused> {
        let key = Some(key).filter(|_| self.when_full == WhenFull::LatestPerKey);
        self.send_or_drop(key, message.into())
    }

    pub(super) fn send_or_drop(&mut self, key: Option<u64>, message: Outgoing<'_>) -> Result<(), Refused> {
        let len = message.payload().len();
        if self.when_full == WhenFull::Refuse
            || (self.backlog.is_none() && self.writing.is_none() && self.queued_bytes() < FRAMED)
        {
            self.check_room(len)?;
            self.frame(message);
            return Ok(());
        }
        if self.closing.is_some() || self.dead {
            return Err(Refused::Closing);
        }
        let backlog = self.backlog.get_or_insert_default();
        if let Some(key) = key
            && backlog.replace(key, &message)
        {
            self.dropped += 1;
            return Ok(());
        }
        let framed = self.queue.as_deref().map_or(0, |queue| queue.len());
        let limit = self.limits.queued_bytes.saturating_sub(framed);
        match self.when_full {
            WhenFull::DropNewest if !backlog.has_room(len, limit) => {
                self.dropped += 1;
                return Ok(());
            }
            WhenFull::Close if !backlog.has_room(len, limit) => {
                self.dropped += backlog.waiting.len() as u64 + 1;
                self.backlog = None;
                self.close(CloseCode::TRY_AGAIN_LATER, "what was sent was not read in time");
                return Err(Refused::Closing);
            }
            _ => {
                while !backlog.has_room(len, limit) && backlog.pop().is_some() {
                    self.dropped += 1;
                }
            }
        }
        backlog.push(key, message.into_owned());
        Ok(())
    }

    /// Makes frames of what waits, as far as they have room.
    pub(super) fn refill(&mut self) {
        while self.writing.is_none()
            && self.queue.as_deref().is_none_or(|queue| queue.len() < FRAMED)
            && self.frame_next()
        {}
    }

    /// Makes frames of all that waits.
    pub(super) fn refill_all(&mut self) {
        while self.writing.is_none() && self.frame_next() {}
    }

    fn frame_next(&mut self) -> bool {
        let Some(backlog) = &mut self.backlog else { return false };
        match backlog.pop() {
            Some(message) => {
                self.frame(message);
                true
            }
            None => {
                self.backlog = None;
                false
            }
        }
    }
}

impl Backlog {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a message of `len` bytes keeps within `limit`; an empty backlog takes any.
    fn has_room(&self, len: usize, limit: usize) -> bool {
        self.waiting.is_empty() || self.bytes.saturating_add(len).saturating_add(OVERHEAD) <= limit
    }

    fn push(&mut self, key: Option<u64>, message: Outgoing<'static>) {
        self.bytes += message.payload().len() + OVERHEAD;
        if let Some(key) = key {
            self.places.insert(key, self.gone + self.waiting.len() as u64);
        }
        self.waiting.push_back((key, message));
    }

    fn pop(&mut self) -> Option<Outgoing<'static>> {
        let (key, message) = self.waiting.pop_front()?;
        self.bytes -= message.payload().len() + OVERHEAD;
        self.gone += 1;
        if let Some(key) = key {
            self.places.remove(&key);
        }
        Some(message)
    }

    /// Puts `message` where the one with the same key waits. False when there is none.
    fn replace(&mut self, key: u64, message: &Outgoing<'_>) -> bool {
        let place = self.places.get(&key).and_then(|place| usize::try_from(place - self.gone).ok());
        let Some((_, waiting)) = place.and_then(|place| self.waiting.get_mut(place)) else { return false };
        self.bytes = self.bytes - waiting.payload().len() + message.payload().len();
        *waiting = message.clone().into_owned();
        true
    }
}
