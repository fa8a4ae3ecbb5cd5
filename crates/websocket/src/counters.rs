//! What passed, in numbers.

use std::time::Duration;

/// What passed in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages.
    pub messages: u64,
    /// Bytes of their payloads, as the program sees them: before compressing, after inflating.
    pub bytes: u64,
    /// Bytes on the connection: headers, control frames, and payloads as they travel.
    pub wire_bytes: u64,
}

impl Traffic {
    /// Counts a whole message.
    #[inline]
    pub(crate) fn count(&mut self, len: usize) {
        self.messages += 1;
        self.bytes += len as u64;
    }
}

/// What a connection did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// What came from the peer.
    pub received: Traffic,
    /// What went to the peer. Messages and bytes count when they are queued, bytes on the connection when the transport
    /// took them.
    pub sent: Traffic,
    /// Messages that were to be sent and were dropped, or gave way to newer ones: [`WhenFull`](crate::WhenFull).
    pub dropped: u64,
    /// How often the transport took nothing of what waited.
    pub stalls: u64,
    /// From our newest ping that was answered to its answer.
    pub round_trip: Option<Duration>,
}
