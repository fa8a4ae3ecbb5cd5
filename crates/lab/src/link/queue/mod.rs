//! Where frames wait for their turn.

mod drop_tail;

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use bytes::Bytes;
use host::Instant;

use self::drop_tail::DropTail;
use super::counters::Books;
use crate::units::{Limit, Size, UnitError};

/// Which frames wait, which of them goes first, and which are given up. Written as its limit, `256KiB` or `25p`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discipline {
    /// First come, first served; what comes when the queue is full is lost.
    DropTail(Limit),
}

impl Default for Discipline {
    /// Drop-tail of 256 KiB.
    fn default() -> Self {
        Self::DropTail(Limit::Bytes(Size::kib(256)))
    }
}

impl FromStr for Discipline {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        text.parse().map(Self::DropTail)
    }
}

impl Display for Discipline {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::DropTail(limit) => limit.fmt(formatter),
        }
    }
}

/// A frame that waits, and since when.
pub(super) struct Waiting {
    #[expect(dead_code, reason = "CoDel will look at it")]
    pub(super) since: Instant,
    pub(super) frame: Bytes,
}

/// The queue of one direction.
pub(super) enum Queue {
    DropTail(DropTail),
}

impl Queue {
    pub(super) fn new(discipline: Discipline) -> Self {
        match discipline {
            Discipline::DropTail(limit) => Self::DropTail(DropTail::new(limit)),
        }
    }

    /// A frame comes at `now`.
    pub(super) fn enter(&mut self, now: Instant, frame: Bytes, books: &mut Books) {
        self.push(Waiting { since: now, frame }, books);
    }

    /// A frame comes that has waited elsewhere.
    pub(super) fn push(&mut self, waiting: Waiting, books: &mut Books) {
        match self {
            Self::DropTail(queue) => queue.push(waiting, books),
        }
        self.count(books);
    }

    /// A frame comes at `now` to an empty queue before a free wire.
    pub(super) fn pass(&mut self, _now: Instant, frame: Bytes, _books: &mut Books) -> Option<Bytes> {
        match self {
            Self::DropTail(_) => Some(frame),
        }
    }

    /// All frames that wait, in the order in which they would go.
    pub(super) fn into_waiting(self) -> Vec<Waiting> {
        match self {
            Self::DropTail(queue) => queue.into_waiting(),
        }
    }

    /// The frame whose turn it is at `now`. There may be none although some waited, for all may be given up.
    pub(super) fn pop(&mut self, now: Instant, books: &mut Books) -> Option<Bytes> {
        let _ = now;
        let frame = match self {
            Self::DropTail(queue) => queue.pop(),
        };
        self.count(books);
        frame.map(|waiting| waiting.frame)
    }

    /// Frames that wait.
    pub(super) fn frames(&self) -> usize {
        match self {
            Self::DropTail(queue) => queue.frames(),
        }
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::DropTail(queue) => queue.bytes(),
        }
    }

    fn count(&self, books: &mut Books) {
        books.set_queued(self.frames(), self.bytes());
    }
}
