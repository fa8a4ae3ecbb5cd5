//! How much disorder is taken for granted.

use std::time::Duration;

use wire::tcp::SeqNumber;

use super::RoundTrip;

/// How far apart segments may arrive out of order before one counts as lost (RFC 8985 section 6.2 step 4).
#[derive(Clone, Copy, Debug)]
pub(super) struct ReorderingWindow {
    /// In quarters of the shortest round trip.
    quarters: u32,
    /// Recoveries until it is one quarter again.
    persist: u32,
    /// It has grown for this round trip.
    grown: Option<SeqNumber>,
}

impl ReorderingWindow {
    pub(super) fn new() -> Self {
        Self { quarters: 1, persist: 0, grown: None }
    }

    /// So many quarters of the shortest round trip, and no more than one of now.
    pub(super) fn duration(&self, trip: &RoundTrip) -> Duration {
        let quarter = trip.smallest().unwrap_or_default() / 4;
        quarter.saturating_mul(self.quarters).min(trip.smoothed().unwrap_or_default())
    }

    /// It grows by a quarter of a round trip for each in which something arrived twice.
    pub(super) fn adapt(&mut self, twice: bool, unacknowledged: SeqNumber, next: SeqNumber) {
        if self.grown.is_some_and(|grown| !unacknowledged.is_before(grown)) {
            self.grown = None;
        }
        if twice && self.grown.is_none() {
            self.grown = Some(next);
            self.quarters = self.quarters.saturating_add(1);
            self.persist = 16;
        }
    }

    /// A recovery has ended.
    pub(super) fn recovered(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.quarters = 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_once_a_round_trip_and_shrinks_after_sixteen_recoveries() {
        let mut trip = RoundTrip::new(Duration::from_millis(200), Duration::from_secs(120));
        trip.measured(Duration::from_millis(40));
        let mut window = ReorderingWindow::new();
        let millis = |window: &ReorderingWindow| window.duration(&trip).as_millis();
        assert_eq!(millis(&window), 10);
        window.adapt(true, SeqNumber(0), SeqNumber(1000));
        window.adapt(true, SeqNumber(500), SeqNumber(2000));
        assert_eq!(millis(&window), 20, "once a round trip");
        window.adapt(true, SeqNumber(1000), SeqNumber(3000));
        assert_eq!(millis(&window), 30);
        for _ in 0..15 {
            window.recovered();
        }
        assert_eq!(millis(&window), 30);
        window.recovered();
        assert_eq!(millis(&window), 10);
        for round in 3..100 {
            window.adapt(true, SeqNumber(round * 1000), SeqNumber(round * 1000 + 1000));
        }
        assert_eq!(millis(&window), 40, "no more than a round trip");
    }
}
