//! First come, first served; what comes when the queue is full is lost.

use std::collections::VecDeque;

use super::Waiting;
use crate::link::counters::Books;
use crate::link::impairments::Lost;
use crate::units::Limit;

/// A drop-tail queue.
pub(in crate::link) struct DropTail {
    limit: Limit,
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

impl DropTail {
    pub(super) fn new(limit: Limit) -> Self {
        Self { limit, waiting: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn push(&mut self, waiting: Waiting, books: &mut Books) {
        let length = waiting.frame.len();
        let has_room = match self.limit {
            Limit::Bytes(size) => (self.bytes + length) as u64 <= size.as_bytes(),
            Limit::Packets(packets) => self.waiting.len() < packets as usize,
        };
        if !has_room {
            return books.lose(waiting.frame, Lost::Full);
        }
        self.bytes += length;
        self.waiting.push_back(waiting);
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.waiting.pop_front()?;
        self.bytes -= waiting.frame.len();
        Some(waiting)
    }

    pub(super) fn into_waiting(self) -> Vec<Waiting> {
        self.waiting.into()
    }

    pub(super) fn frames(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
