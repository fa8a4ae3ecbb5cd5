//! Round-trip times and the retransmission timeout (RFC 6298).

use std::time::Duration;

/// What is known of the time from a segment to its acknowledgment.
#[derive(Clone, Debug)]
pub struct RoundTrip {
    smoothed: Option<Duration>,
    variation: Duration,
    smallest: Duration,
    latest: Duration,
    /// The timeout while there is no sample.
    unknown: Duration,
    bounds: (Duration, Duration),
}

/// The timeout while nothing is known (RFC 6298 section 2.1).
const INITIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// And while nothing is known because the handshake was lost (RFC 6298 section 5.7).
const AFTER_LOST_HANDSHAKE: Duration = Duration::from_secs(3);

impl RoundTrip {
    /// Nothing is known yet. Timeouts lie between `smallest` and `largest`.
    pub fn new(smallest: Duration, largest: Duration) -> Self {
        Self {
            smoothed: None,
            variation: Duration::ZERO,
            smallest: Duration::MAX,
            latest: Duration::ZERO,
            unknown: INITIAL_TIMEOUT,
            bounds: (smallest, largest),
        }
    }

    /// A segment that was sent once was acknowledged after `sample` (RFC 6298 sections 2.2 and 2.3).
    pub fn measured(&mut self, sample: Duration) {
        self.latest = sample;
        self.smallest = self.smallest.min(sample);
        match self.smoothed {
            None => {
                self.smoothed = Some(sample);
                self.variation = sample / 2;
            }
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(sample)) / 4;
                self.smoothed = Some((smoothed * 7 + sample) / 8);
            }
        }
    }

    /// The handshake was sent more than once: what follows gets more time (RFC 6298 section 5.7).
    pub fn lost_handshake(&mut self) {
        self.unknown = AFTER_LOST_HANDSHAKE;
    }

    /// SRTT, once there was a sample.
    pub fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// RTTVAR.
    pub fn variation(&self) -> Duration {
        self.variation
    }

    /// The smallest sample; `None` when there was none.
    pub fn smallest(&self) -> Option<Duration> {
        self.smoothed.map(|_| self.smallest)
    }

    /// The latest sample, or zero.
    pub fn latest(&self) -> Duration {
        self.latest
    }

    /// The timeout after `backoffs` of them in a row (RFC 6298 section 5.5).
    pub fn timeout(&self, backoffs: u32) -> Duration {
        let (smallest, largest) = self.bounds;
        let timeout = match self.smoothed {
            None => self.unknown,
            // The variation counts for the smallest timeout at least: on a steady path it becomes nothing, and the
            // receiver's delayed acknowledgment would look like a loss.
            Some(smoothed) => smoothed + (self.variation * 4).max(smallest),
        };
        timeout.saturating_mul(1 << backoffs.min(16)).clamp(smallest, largest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_follows_rfc_6298() {
        let milliseconds = Duration::from_millis;
        let mut trip = RoundTrip::new(milliseconds(200), Duration::from_secs(120));
        assert_eq!(trip.timeout(0), Duration::from_secs(1));
        trip.measured(milliseconds(400));
        assert_eq!((trip.smoothed(), trip.variation()), (Some(milliseconds(400)), milliseconds(200)));
        assert_eq!(trip.timeout(0), milliseconds(1200));
        trip.measured(milliseconds(800));
        assert_eq!((trip.smoothed(), trip.variation()), (Some(milliseconds(450)), milliseconds(250)));
        assert_eq!(trip.timeout(1), milliseconds(2900));
        assert_eq!(trip.timeout(40), Duration::from_secs(120));
    }
}
