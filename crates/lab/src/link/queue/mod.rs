//! Where frames wait for their turn.

mod codel;
mod drop_tail;
mod fifo;
mod fq_codel;
mod text;

use bytes::Bytes;
use host::Instant;

use self::codel::CodelQueue;
use self::drop_tail::DropTail;
use self::fq_codel::FqCodelQueue;
use super::counters::Books;
use super::impairments::Framing;
use crate::units::{Limit, Size};

pub use self::codel::Codel;
pub use self::fq_codel::FqCodel;

/// Which frames wait, which of them goes first, and which are given up.
///
/// Written `256KiB` or `25p` for drop-tail, else `codel` or `fq_codel`, then any of `limit 1000p`, `target 5ms`, `interval
/// 100ms`, `ecn`, `noecn`, and for the latter `flows 1024` and `quantum 1514B`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discipline {
    /// First come, first served; what comes when the queue is full is lost.
    DropTail(Limit),
    /// First come, first served; frames are given up or marked when all wait too long.
    Codel(Codel),
    /// The same for each flow by itself, and flows take turns.
    FqCodel(FqCodel),
}

impl Default for Discipline {
    /// Drop-tail of 256 KiB.
    fn default() -> Self {
        Self::DropTail(Limit::Bytes(Size::kib(256)))
    }
}

/// A frame that waits, and since when.
pub(super) struct Waiting {
    pub(super) since: Instant,
    pub(super) frame: Bytes,
}

/// The queue of one direction.
pub(super) enum Queue {
    DropTail(DropTail),
    Codel(CodelQueue),
    FqCodel(FqCodelQueue),
}

impl Queue {
    /// `key` is that of the hash by which flows are told apart.
    pub(super) fn new(discipline: Discipline, framing: Framing, key: [u8; 16]) -> Self {
        match discipline {
            Discipline::DropTail(limit) => Self::DropTail(DropTail::new(limit)),
            Discipline::Codel(settings) => Self::Codel(CodelQueue::new(settings, framing)),
            Discipline::FqCodel(settings) => Self::FqCodel(FqCodelQueue::new(settings, framing, key)),
        }
    }

    /// A frame comes.
    pub(super) fn push(&mut self, waiting: Waiting, books: &mut Books) {
        match self {
            Self::DropTail(queue) => queue.push(waiting, books),
            Self::Codel(queue) => queue.push(waiting, books),
            Self::FqCodel(queue) => queue.push(waiting, books),
        }
        self.count(books);
    }

    /// The frame whose turn it is at `now`. There may be none although some waited, for all may be given up.
    pub(super) fn pop(&mut self, now: Instant, books: &mut Books) -> Option<Bytes> {
        let waiting = match self {
            Self::DropTail(queue) => queue.fifo.pop(),
            Self::Codel(queue) => queue.pop(now, books),
            Self::FqCodel(queue) => queue.pop(now, books),
        };
        self.count(books);
        waiting.map(|waiting| waiting.frame)
    }

    /// A frame comes at `now` to an empty queue before a free wire, and goes: even a queue without any room lets it through.
    pub(super) fn pass(&mut self, now: Instant, frame: Bytes, books: &mut Books) -> Option<Bytes> {
        match self {
            Self::DropTail(_) => Some(frame),
            Self::Codel(_) | Self::FqCodel(_) => {
                self.push(Waiting { since: now, frame }, books);
                self.pop(now, books)
            }
        }
    }

    /// Frames that wait.
    pub(super) fn frames(&self) -> usize {
        match self {
            Self::DropTail(queue) => queue.fifo.frames(),
            Self::Codel(queue) => queue.fifo.frames(),
            Self::FqCodel(queue) => queue.frames(),
        }
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::DropTail(queue) => queue.fifo.bytes(),
            Self::Codel(queue) => queue.fifo.bytes(),
            Self::FqCodel(queue) => queue.bytes(),
        }
    }

    /// All frames that wait, the one that came first in front.
    pub(super) fn into_waiting(mut self) -> Vec<Waiting> {
        let mut all: Vec<Waiting> = match &mut self {
            Self::DropTail(queue) => queue.fifo.drain().collect(),
            Self::Codel(queue) => queue.fifo.drain().collect(),
            Self::FqCodel(queue) => queue.drain(),
        };
        all.sort_by_key(|waiting| waiting.since);
        all
    }

    fn count(&self, books: &mut Books) {
        books.set_queued(self.frames(), self.bytes());
    }
}
