//! First come, first served; what comes when the queue is full is lost.

use super::Waiting;
use super::fifo::Fifo;
use crate::link::counters::Books;
use crate::link::impairments::Lost;
use crate::units::Limit;

/// A drop-tail queue.
pub(in crate::link) struct DropTail {
    limit: Limit,
    pub(super) fifo: Fifo,
}

impl DropTail {
    pub(super) fn new(limit: Limit) -> Self {
        Self { limit, fifo: Fifo::default() }
    }

    pub(super) fn push(&mut self, waiting: Waiting, books: &mut Books) {
        if self.limit.has_room_for(waiting.frame.len(), self.fifo.frames(), self.fifo.bytes()) {
            self.fifo.push(waiting);
        } else {
            books.lose(waiting.frame, Lost::Full);
        }
    }
}
