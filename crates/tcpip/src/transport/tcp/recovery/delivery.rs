//! How fast bytes are delivered.

use std::time::Duration;

use host::Instant;

/// Bytes delivered in the running round trip, and the rate of the last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivery {
    since: Instant,
    bytes: u64,
    rate: u64,
}

impl Delivery {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, ..Self::default() }
    }

    /// `bytes` more have arrived; a round trip takes `trip`, if that is known.
    pub(super) fn measure(&mut self, now: Instant, bytes: u32, trip: Option<Duration>) {
        self.bytes += u64::from(bytes);
        let past = now.since(self.since);
        if past >= trip.unwrap_or(Duration::from_millis(100)) && !past.is_zero() {
            let rate = u128::from(self.bytes) * 1_000_000_000 / past.as_nanos();
            *self = Self { since: now, bytes: 0, rate: u64::try_from(rate).unwrap_or(u64::MAX) };
        }
    }

    /// In bytes a second; zero while unknown.
    pub(super) fn rate(&self) -> u64 {
        self.rate
    }
}
