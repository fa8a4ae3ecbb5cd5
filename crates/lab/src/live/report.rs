//! What a path has done, and how it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use super::counting::{Counter, Resent};
use super::datagrams::Tally;
use super::pump::Meter;
use super::wire::Lateness;
use crate::link::Counters;

/// What a path has done, and how it is. Of two numbers, the first is of what goes to the far side, and the second of what
/// comes back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Connections that are being carried.
    pub open: usize,
    /// Connections that were taken up, of which some may have failed.
    pub accepted: u64,
    /// Connections that were reset at once, because there were too many.
    pub over_limit: u64,
    /// Connections that the target refused or that could not reach it.
    pub unreached: u64,
    /// Bytes of connections that have come out.
    pub carried: [u64; 2],
    /// Bytes that went in and have not come out, those of connections that failed among them.
    pub held: [u64; 2],
    /// Datagrams that were sent on, at the near side and at the far one.
    pub datagrams: [u64; 2],
    /// Datagrams that were lost outside of the wire, for want of room.
    pub datagrams_lost: [u64; 2],
    /// Segments that were sent again.
    pub resent: [Resent; 2],
    /// Smoothed round-trip time (RFC 6298) as the sending host knows it: the median over the connections that are open.
    pub round_trip: [Option<Duration>; 2],
    /// What became of the frames on the wire.
    pub wire: [Counters; 2],
    /// Frames lost to a silent drop.
    pub silenced: [u64; 2],
    /// Frames lost because too many were on the wire.
    pub overflowed: [u64; 2],
    /// How much later than they should have frames came off the wire.
    pub late: [Lateness; 2],
}

/// What a path counts.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) open: Arc<AtomicUsize>,
    pub(super) accepted: AtomicU64,
    pub(super) over_limit: AtomicU64,
    pub(super) unreached: AtomicU64,
    /// At the near side: taken from clients, given to them.
    pub(super) near: [Meter; 2],
    /// At the far side: given to the target, taken from it.
    pub(super) far: [Meter; 2],
    pub(super) datagrams: [Arc<Tally>; 2],
    pub(super) resent: [Arc<Counter>; 2],
}

impl Books {
    pub(super) fn new(resent: [Arc<Counter>; 2]) -> Self {
        Self {
            open: Arc::default(),
            accepted: AtomicU64::new(0),
            over_limit: AtomicU64::new(0),
            unreached: AtomicU64::new(0),
            near: Default::default(),
            far: Default::default(),
            datagrams: Default::default(),
            resent,
        }
    }

    /// The part of a report that is in the books.
    pub(super) fn report(&self) -> Report {
        let held = |taken: &Meter, given: &Meter| {
            taken.taken.load(Relaxed).saturating_sub(given.given.load(Relaxed))
        };
        let ([near_up, near_down], [far_up, far_down]) = (&self.near, &self.far);
        let [one, other] = &self.datagrams;
        Report {
            open: self.open.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            over_limit: self.over_limit.load(Relaxed),
            unreached: self.unreached.load(Relaxed),
            carried: [far_up.given.load(Relaxed), near_down.given.load(Relaxed)],
            held: [held(near_up, far_up), held(far_down, near_down)],
            datagrams: [one.carried.load(Relaxed), other.carried.load(Relaxed)],
            datagrams_lost: [one.lost.load(Relaxed), other.lost.load(Relaxed)],
            resent: [self.resent[0].resent(), self.resent[1].resent()],
            ..Report::default()
        }
    }
}

/// A connection that is counted as open until this is dropped.
pub(super) struct Opened(Arc<AtomicUsize>);

impl Opened {
    pub(super) fn count(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Relaxed);
        Self(open.clone())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
