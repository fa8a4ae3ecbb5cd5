//! What was sent again, and why, over all connections of a host that ever were.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use trace::{Direction, Event, Sink, Tracer, Why};

/// Segments that were sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resent {
    /// Because acknowledgments told of a loss (RFC 6675, RFC 8985).
    pub lost: u64,
    /// Because the retransmission timer ran out (RFC 6298).
    pub timeout: u64,
    /// To ask for an acknowledgment of the tail (RFC 8985 section 7).
    pub probe: u64,
}

impl Resent {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.lost + self.timeout + self.probe
    }
}

/// Counts while it listens.
#[derive(Debug, Default)]
pub(super) struct Counter {
    lost: AtomicU64,
    timeout: AtomicU64,
    probe: AtomicU64,
}

impl Counter {
    /// A counter, and the line that a host tells it by.
    pub(super) fn new(host: u32) -> (Arc<Self>, Tracer) {
        let counter = Arc::new(Self::default());
        (counter.clone(), Tracer::new(host, counter))
    }

    pub(super) fn resent(&self) -> Resent {
        Resent {
            lost: self.lost.load(Relaxed),
            timeout: self.timeout.load(Relaxed),
            probe: self.probe.load(Relaxed),
        }
    }
}

impl Sink for Counter {
    fn record(&self, _host: u32, _at: u64, event: Event) {
        let Event::Segment(segment) = event else { return };
        if segment.direction != Direction::Down {
            return;
        }
        let counter = match segment.why {
            Why::Lost => &self.lost,
            Why::Timeout => &self.timeout,
            Why::TailProbe => &self.probe,
            _ => return,
        };
        counter.fetch_add(1, Relaxed);
    }
}
