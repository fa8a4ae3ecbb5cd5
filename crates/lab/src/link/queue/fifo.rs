//! Frames in a row.

use std::collections::VecDeque;

use super::Waiting;

/// Frames in a row, and how many bytes they are.
#[derive(Default)]
pub(super) struct Fifo {
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

impl Fifo {
    pub(super) fn push(&mut self, waiting: Waiting) {
        self.bytes += waiting.frame.len();
        self.waiting.push_back(waiting);
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.waiting.pop_front()?;
        self.bytes -= waiting.frame.len();
        Some(waiting)
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = Waiting> {
        self.bytes = 0;
        self.waiting.drain(..)
    }

    pub(super) fn frames(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
