//! What became of the frames of a direction.

use std::collections::VecDeque;

use bytes::Bytes;

use super::impairments::Lost;

/// What became of the frames of one direction, for people and for assertions.
///
/// All frames are accounted for: `offered` and `duplicated` together are `delivered`, those lost, those in the queue, and
/// those that travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that the sender put onto the link.
    pub offered: u64,
    /// Their bytes.
    pub offered_bytes: u64,
    /// Frames that arrived, doubles too.
    pub delivered: u64,
    /// Their bytes.
    pub delivered_bytes: u64,
    /// Doubles that were made.
    pub duplicated: u64,
    /// Frames that were taken out of order on purpose.
    pub reordered: u64,
    /// Frames of which a bit was flipped, and that travelled on.
    pub corrupted: u64,
    /// Frames that were marked with Congestion Experienced (RFC 3168).
    pub marked: u64,
    /// Collisions (half-duplex).
    pub collisions: u64,
    /// Frames that wait in the queue now.
    pub queued: u64,
    /// Their bytes.
    pub queued_bytes: u64,
    /// The most frames that ever waited.
    pub queued_most: u64,
    /// The most bytes that ever waited.
    pub queued_most_bytes: u64,
    /// Frames on the wire now.
    pub travelling: u64,
    lost: [u64; Lost::ALL.len()],
}

impl Counters {
    /// Frames lost by this cause.
    pub const fn lost(&self, cause: Lost) -> u64 {
        self.lost[cause as usize]
    }

    /// These and those together; of what waits, the most of either.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        let Self {
            offered,
            offered_bytes,
            delivered,
            delivered_bytes,
            duplicated,
            reordered,
            corrupted,
            marked,
            collisions,
            queued,
            queued_bytes,
            queued_most,
            queued_most_bytes,
            travelling,
            lost,
        } = other;
        self.offered += offered;
        self.offered_bytes += offered_bytes;
        self.delivered += delivered;
        self.delivered_bytes += delivered_bytes;
        self.duplicated += duplicated;
        self.reordered += reordered;
        self.corrupted += corrupted;
        self.marked += marked;
        self.collisions += collisions;
        self.queued += queued;
        self.queued_bytes += queued_bytes;
        self.queued_most = self.queued_most.max(queued_most);
        self.queued_most_bytes = self.queued_most_bytes.max(queued_most_bytes);
        self.travelling += travelling;
        self.lost.iter_mut().zip(lost).for_each(|(sum, lost)| *sum += lost);
        self
    }

    /// Frames lost by any cause.
    pub fn lost_in_all(&self) -> u64 {
        self.lost.iter().sum()
    }
}

/// Keeps the books of one direction, and what was lost until somebody asks.
#[derive(Default)]
pub(super) struct Books {
    pub(super) counters: Counters,
    lost: VecDeque<(Bytes, Lost)>,
}

/// Lost frames that are kept until they are asked for; the oldest go first. They stay counted.
const KEPT: usize = 1_024;

impl Books {
    pub(super) const fn offered(&mut self, frame: &Bytes) {
        self.counters.offered += 1;
        self.counters.offered_bytes += frame.len() as u64;
    }

    pub(super) fn lose(&mut self, frame: Bytes, cause: Lost) {
        self.counters.lost[cause as usize] += 1;
        if self.lost.len() == KEPT {
            self.lost.pop_front();
        }
        self.lost.push_back((frame, cause));
    }

    pub(super) fn poll_lost(&mut self) -> Option<(Bytes, Lost)> {
        self.lost.pop_front()
    }

    /// So much waits in the queue now.
    pub(super) fn set_queued(&mut self, frames: usize, bytes: usize) {
        let Counters { queued, queued_bytes, queued_most, queued_most_bytes, .. } = &mut self.counters;
        (*queued, *queued_bytes) = (frames as u64, bytes as u64);
        *queued_most = (*queued_most).max(*queued);
        *queued_most_bytes = (*queued_most_bytes).max(*queued_bytes);
    }
}
