//! Reno's window (RFC 5681), counted in bytes (RFC 3465).

use std::time::Duration;

use host::Instant;

use super::{Controller, LARGEST_WINDOW, initial_window};

/// Slow start and congestion avoidance as RFC 5681 has them.
#[derive(Clone, Debug)]
pub struct NewReno {
    segment: u32,
    window: u32,
    threshold: u32,
    /// Bytes acknowledged towards the next segment of congestion avoidance.
    acknowledged: u32,
    /// Window and threshold before the last reduction.
    before: Option<(u32, u32)>,
}

impl NewReno {
    /// In slow start, with the initial window of RFC 6928.
    pub fn new(segment: u32) -> Self {
        let segment = segment.max(1);
        Self {
            segment,
            window: initial_window(segment),
            threshold: LARGEST_WINDOW,
            acknowledged: 0,
            before: None,
        }
    }

    /// Half of what was in flight, at least two segments (RFC 5681 equation 4).
    fn reduced(&self, in_flight: u32) -> u32 {
        (in_flight / 2).max(self.segment.saturating_mul(2))
    }
}

impl Controller for NewReno {
    fn window(&self) -> u32 {
        self.window
    }

    fn threshold(&self) -> u32 {
        self.threshold
    }

    fn set_segment(&mut self, bytes: u32) {
        self.segment = bytes.max(1);
        self.window = self.window.max(self.segment);
    }

    fn on_acknowledged(&mut self, _: Instant, bytes: u32, _: Duration) {
        if self.window < self.threshold {
            // At most two segments for one acknowledgment: acknowledgments that were lost are made up for, and a
            // receiver that acknowledges in small pieces gains nothing (RFC 3465 section 2.2).
            let growth = bytes.min(self.segment.saturating_mul(2));
            self.window = self.window.saturating_add(growth).min(LARGEST_WINDOW);
            return;
        }
        self.acknowledged = self.acknowledged.saturating_add(bytes);
        if self.acknowledged >= self.window {
            self.acknowledged -= self.window;
            self.acknowledged = self.acknowledged.min(self.window);
            self.window = self.window.saturating_add(self.segment).min(LARGEST_WINDOW);
        }
    }

    fn on_loss(&mut self, _: Instant, in_flight: u32) {
        self.before = Some((self.window, self.threshold));
        self.threshold = self.reduced(in_flight);
        self.window = self.threshold;
        self.acknowledged = 0;
    }

    fn on_timeout(&mut self, _: Instant, in_flight: u32, first: bool) {
        if first {
            self.before = Some((self.window, self.threshold));
            self.threshold = self.reduced(in_flight);
        }
        self.window = self.segment;
        self.acknowledged = 0;
    }

    fn undo(&mut self) {
        if let Some((window, threshold)) = self.before.take() {
            self.window = self.window.max(window);
            self.threshold = self.threshold.max(threshold);
        }
    }

    fn on_idle(&mut self) {
        self.window = self.window.min(initial_window(self.segment));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: u32 = 1000;
    const NOW: Instant = Instant::ORIGIN;
    const TRIP: Duration = Duration::from_millis(10);

    #[test]
    fn the_window_doubles_until_the_threshold_and_then_grows_by_a_segment_for_each_window() {
        let mut reno = NewReno::new(SEGMENT);
        assert_eq!(reno.window(), 10_000);
        reno.on_loss(NOW, 40_000);
        assert_eq!((reno.window(), reno.threshold()), (20_000, 20_000));
        reno.on_timeout(NOW, 20_000, true);
        assert_eq!((reno.window(), reno.threshold()), (1_000, 10_000));
        for _ in 0..9 {
            reno.on_acknowledged(NOW, 1_000, TRIP);
        }
        assert_eq!(reno.window(), 10_000);
        for _ in 0..10 {
            reno.on_acknowledged(NOW, 1_000, TRIP);
        }
        assert_eq!(reno.window(), 11_000);
    }

    #[test]
    fn one_acknowledgment_of_much_grows_the_window_by_two_segments() {
        let mut reno = NewReno::new(SEGMENT);
        reno.on_acknowledged(NOW, 60_000, TRIP);
        assert_eq!(reno.window(), 12_000);
    }

    #[test]
    fn what_was_no_loss_is_taken_back() {
        let mut reno = NewReno::new(SEGMENT);
        reno.on_loss(NOW, 10_000);
        assert_eq!(reno.window(), 5_000);
        reno.undo();
        assert_eq!((reno.window(), reno.threshold()), (10_000, LARGEST_WINDOW));
        reno.undo();
        assert_eq!(reno.window(), 10_000, "only once");
    }
}
