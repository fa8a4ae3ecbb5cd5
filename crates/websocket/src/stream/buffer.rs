//! Memory that a thread's connections take turns with.

use std::cell::Cell;

use crate::protocol::Scratch;

/// What one read takes at most, in bytes.
const RECEIVE_LEN: usize = 64 << 10;

/// The most that a thread keeps in each of its scratch buffers, in bytes.
const SCRATCH_LEN: usize = 2 << 20;

/// A receive buffer, and what [`Protocol::lend`](crate::protocol::Protocol::lend) takes: out of the thread while a
/// batch of input is handled.
#[derive(Default)]
pub(super) struct Buffers {
    receive: Vec<u8>,
    pub(super) scratch: Scratch,
}

thread_local! {
    static BUFFERS: Cell<Option<Buffers>> = const { Cell::new(None) };
}

impl Buffers {
    /// Takes the thread's buffers; new ones when somebody further up the stack has them.
    pub(super) fn take() -> Self {
        BUFFERS.take().unwrap_or_default()
    }

    /// Gives them back.
    pub(super) fn put(mut self) {
        self.scratch.trim(SCRATCH_LEN);
        BUFFERS.set(Some(self));
    }

    /// Where to read into.
    pub(super) fn receive(&mut self) -> &mut [u8] {
        self.receive.resize(RECEIVE_LEN, 0);
        &mut self.receive
    }
}
