//! CUBIC's window (RFC 9438), in integers: bytes, microseconds, and fractions of a byte as 1/65536.

use std::time::Duration;

use host::Instant;

use super::{Controller, LARGEST_WINDOW, initial_window};

/// Growth by time since the last loss, not by round trips: steep far from the window of that loss, flat near it.
#[derive(Clone, Debug)]
pub struct Cubic {
    segment: u32,
    window: Fine,
    threshold: u32,
    curve: Curve,
    before: Option<Before>,
}

/// What RFC 9438 section 4.1.2 keeps beside window and threshold.
#[derive(Clone, Copy, Debug)]
struct Curve {
    /// Where the curve is flat, in bytes (`W_max`). Zero: where the stage begins.
    plateau: u32,
    /// From the begin of the stage to the plateau, in microseconds (`K`).
    rise: u64,
    /// Begin of this stage of congestion avoidance, later by as long as the window stood still (`t_epoch`).
    epoch: Option<Instant>,
    /// When the window was last told to grow.
    latest: Instant,
    /// Reno's window if it had reduced by the same factor (`W_est`).
    reno: Fine,
}

#[derive(Clone, Copy, Debug)]
struct Before {
    window: Fine,
    threshold: u32,
    curve: Curve,
}

/// Bytes in 1/65536.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Fine(u64);

impl Fine {
    fn whole(bytes: u32) -> Self {
        Self(u64::from(bytes) << 16)
    }

    fn bytes(self) -> u32 {
        u32::try_from(self.0 >> 16).unwrap_or(u32::MAX)
    }

    /// More by `bytes * numerator / denominator`, up to the largest window.
    fn grow(self, bytes: u64, numerator: u64, denominator: u64) -> Self {
        let growth = u128::from(bytes) * u128::from(numerator) * 65_536 / u128::from(denominator.max(1));
        let sum = u128::from(self.0).saturating_add(growth);
        Self(u64::try_from(sum).unwrap_or(u64::MAX)).min(Self::whole(LARGEST_WINDOW))
    }
}

impl Cubic {
    /// In slow start, with the initial window of RFC 6928.
    pub fn new(segment: u32) -> Self {
        let segment = segment.max(1);
        let window = initial_window(segment);
        let curve =
            Curve { plateau: 0, rise: 0, epoch: None, latest: Instant::ORIGIN, reno: Fine::default() };
        Self { segment, window: Fine::whole(window), threshold: LARGEST_WINDOW, curve, before: None }
    }

    /// The threshold after a loss: 0.7 of what was in flight, in whole segments, at least two (RFC 9438 section 4.6). Part
    /// of a segment would be a head start on those who count segments.
    fn reduced(&self, in_flight: u32) -> u32 {
        let part = u64::from(in_flight) * 7 / 10;
        let part = u32::try_from(part).unwrap_or(u32::MAX);
        (part - part % self.segment).max(self.segment.saturating_mul(2)).min(LARGEST_WINDOW)
    }

    fn remember(&mut self) {
        self.before = Some(Before { window: self.window, threshold: self.threshold, curve: self.curve });
    }

    /// The begin of this stage, so that the time in which the window was not in use does not count (RFC 9438 sections
    /// 4.2 and 5.8).
    fn epoch(&mut self, now: Instant, round_trip: Duration) -> Instant {
        let window = self.window.bytes();
        let epoch = match self.curve.epoch {
            None => {
                let curve = &mut self.curve;
                curve.plateau = curve.plateau.max(window);
                curve.rise = rise(curve.plateau - window, self.segment);
                curve.reno = self.window;
                now
            }
            Some(epoch) => {
                let still = now.since(self.curve.latest).saturating_sub(round_trip);
                (epoch + still).min(now)
            }
        };
        self.curve.epoch = Some(epoch);
        self.curve.latest = now;
        epoch
    }

    /// Congestion avoidance (RFC 9438 sections 4.2 to 4.5).
    fn avoid(&mut self, now: Instant, bytes: u32, round_trip: Duration) {
        let epoch = self.epoch(now, round_trip);
        let window = self.window.bytes().max(1);
        let bytes = u64::from(bytes.min(window));

        // Three times (1 - 0.7) / (1 + 0.7). Section 4.3 would have this be one from where the window is what it was before
        // the loss. Linux does not, and with it we would take from Linux on short paths what is its share.
        self.curve.reno = self.curve.reno.grow(bytes, u64::from(self.segment) * 9, u64::from(window) * 17);

        let time = now.since(epoch);
        if self.at(time) < self.curve.reno.bytes() {
            self.window = self.window.max(self.curve.reno);
            return;
        }
        let target = self.at(time + round_trip).clamp(window, window.saturating_add(window / 2));
        self.window = self.window.grow(bytes, u64::from(target - window), u64::from(window));
    }

    /// `W_cubic(time)`, in bytes.
    fn at(&self, time: Duration) -> u32 {
        value(time, self.curve.rise, self.curve.plateau, self.segment)
    }
}

/// `K` in microseconds: the cube root of the distance to the plateau in segments by 0.4.
fn rise(distance: u32, segment: u32) -> u64 {
    let cube = u128::from(distance) * 10_000_000_000_000_000_000 / (u128::from(segment.max(1)) * 4);
    cube_root(cube)
}

/// 0.4 segments for each second cubed that `time` is from the plateau, and the plateau.
fn value(time: Duration, rise: u64, plateau: u32, segment: u32) -> u32 {
    // An hour from the plateau the window has long been as large as it gets.
    const HOUR: i128 = 3_600_000_000;
    let micros = i128::try_from(time.as_micros()).unwrap_or(i128::MAX).min(HOUR + i128::from(rise));
    let distance = (micros - i128::from(rise)).clamp(-HOUR, HOUR);
    let growth = distance * distance * distance * i128::from(segment) * 4 / 10_000_000_000_000_000_000;
    let bytes = (i128::from(plateau) + growth).clamp(0, i128::from(LARGEST_WINDOW));
    u32::try_from(bytes).unwrap_or(LARGEST_WINDOW)
}

/// The largest integer whose cube is no more than `cube`, by Newton's method from above.
fn cube_root(cube: u128) -> u64 {
    if cube == 0 {
        return 0;
    }
    let mut root = 1u128 << ((128 - cube.leading_zeros()) / 3 + 1);
    loop {
        let next = (2 * root + cube / (root * root)) / 3;
        if next >= root {
            return u64::try_from(root).unwrap_or(u64::MAX);
        }
        root = next;
    }
}

impl Controller for Cubic {
    fn window(&self) -> u32 {
        self.window.bytes()
    }

    fn threshold(&self) -> u32 {
        self.threshold
    }

    fn set_segment(&mut self, bytes: u32) {
        self.segment = bytes.max(1);
        self.window = self.window.max(Fine::whole(self.segment));
        // The curve is in segments: it begins anew from here.
        self.curve.epoch = None;
    }

    fn on_acknowledged(&mut self, now: Instant, bytes: u32, round_trip: Duration) {
        if self.window() < self.threshold {
            let growth = bytes.min(self.segment.saturating_mul(2));
            self.window = self.window.grow(u64::from(growth), 1, 1);
        } else {
            self.avoid(now, bytes, round_trip);
        }
    }

    fn on_loss(&mut self, _: Instant, in_flight: u32) {
        self.remember();
        let window = self.window();
        // Fast convergence (RFC 9438 section 4.7): a flow that had to give way before gives way to a newcomer faster.
        let gave_way = window < self.curve.plateau;
        let plateau = if gave_way { u64::from(window) * 17 / 20 } else { u64::from(window) };
        self.curve.plateau = u32::try_from(plateau).unwrap_or(window);
        self.curve.epoch = None;
        self.threshold = self.reduced(in_flight);
        self.window = Fine::whole(self.threshold.min(window).max(self.segment));
    }

    fn on_timeout(&mut self, _: Instant, in_flight: u32, first: bool) {
        if first {
            self.remember();
            self.threshold = self.reduced(in_flight);
        }
        self.window = Fine::whole(self.segment);
        self.curve.plateau = 0;
        self.curve.epoch = None;
    }

    fn undo(&mut self) {
        if let Some(before) = self.before.take()
            && self.window < before.window
        {
            self.window = before.window;
            self.threshold = self.threshold.max(before.threshold);
            self.curve = before.curve;
        }
    }

    fn on_idle(&mut self) {
        self.window = self.window.min(Fine::whole(initial_window(self.segment)));
        self.curve.epoch = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEGMENT: u32 = 1000;

    fn at(millis: u64) -> Instant {
        Instant::ORIGIN + Duration::from_millis(millis)
    }

    proptest! {
        #[test]
        fn the_cube_root_is_the_largest(root in 1u64..6_000_000_000, below in 1u128..1000) {
            let cube = u128::from(root).pow(3);
            prop_assert_eq!(cube_root(cube), root);
            prop_assert_eq!(cube_root(cube - 1), root - 1);
            prop_assert!(cube_root(cube.saturating_sub(below)) < root);
        }

        #[test]
        fn the_curve_is_that_of_the_formula(
            plateau in 2_000u32..500_000_000, part in 0u32..=100, segment in 100u32..9_000, millis in 0u64..60_000,
        ) {
            let start = (u64::from(plateau) * u64::from(part) / 100) as u32;
            let rise = rise(plateau - start, segment);
            let segments = f64::from(plateau - start) / f64::from(segment);
            let k = (segments / 0.4).cbrt();
            prop_assert!((rise as f64 / 1e6 - k).abs() < 1e-5, "{rise} {k}");
            let t = millis as f64 / 1e3;
            let expected = (0.4 * (t - k).powi(3) * f64::from(segment) + f64::from(plateau))
                .clamp(0.0, f64::from(LARGEST_WINDOW));
            let got = f64::from(value(Duration::from_millis(millis), rise, plateau, segment));
            prop_assert!((got - expected).abs() <= 2.0 + expected * 1e-5, "{got} {expected}");
        }
    }

    /// One acknowledgment for each segment of the window, each round trip of `trip` milliseconds.
    fn run(cubic: &mut Cubic, from: u64, to: u64, trip: u64) {
        let mut now = from;
        while now < to {
            for _ in 0..cubic.window() / SEGMENT {
                cubic.on_acknowledged(at(now), SEGMENT, Duration::from_millis(trip));
            }
            now += trip;
        }
    }

    #[test]
    fn after_a_loss_the_window_comes_back_in_the_time_of_the_formula() {
        let mut cubic = Cubic::new(SEGMENT);
        cubic.window = Fine::whole(1_000 * SEGMENT);
        cubic.on_loss(at(0), 1_000 * SEGMENT);
        assert_eq!(cubic.window(), 700 * SEGMENT);
        // K is the cube root of 300 / 0.4: 9.086 s.
        run(&mut cubic, 0, 4_500, 100);
        let half = cubic.window() / SEGMENT;
        assert!((950..970).contains(&half), "concave: most of the way in half the time, {half}");
        run(&mut cubic, 4_500, 9_100, 100);
        let back = cubic.window() / SEGMENT;
        assert!((990..=1_001).contains(&back), "{back}");
        run(&mut cubic, 9_100, 18_100, 100);
        let beyond = cubic.window() / SEGMENT;
        assert!((1_250..1_320).contains(&beyond), "convex: as far above as it began below, {beyond}");
    }

    #[test]
    fn on_a_short_path_it_is_no_slower_than_reno_with_the_same_factor() {
        let mut cubic = Cubic::new(SEGMENT);
        cubic.window = Fine::whole(20 * SEGMENT);
        cubic.on_loss(at(0), 20 * SEGMENT);
        assert_eq!(cubic.window(), 14 * SEGMENT);
        // 9/17 segments each round trip: 53 of them in a hundred.
        run(&mut cubic, 0, 100, 1);
        let window = cubic.window() / SEGMENT;
        assert!((63..=68).contains(&window), "{window}");
    }

    #[test]
    fn a_second_loss_below_the_plateau_lowers_it_further() {
        let mut cubic = Cubic::new(SEGMENT);
        cubic.window = Fine::whole(100 * SEGMENT);
        cubic.on_loss(at(0), 100 * SEGMENT);
        assert_eq!(cubic.curve.plateau, 100 * SEGMENT);
        cubic.on_loss(at(10), 70 * SEGMENT);
        assert_eq!(cubic.curve.plateau, 59_500);
    }

    #[test]
    fn time_without_use_of_the_window_does_not_count() {
        let mut cubic = Cubic::new(SEGMENT);
        cubic.window = Fine::whole(1_000 * SEGMENT);
        cubic.on_loss(at(0), 1_000 * SEGMENT);
        run(&mut cubic, 0, 1_000, 100);
        let mut paused = cubic.clone();
        run(&mut cubic, 1_000, 2_000, 100);
        run(&mut paused, 61_000, 62_000, 100);
        let difference = cubic.window().abs_diff(paused.window());
        assert!(difference < 2 * SEGMENT, "{difference}");
    }

    #[test]
    fn a_loss_leaves_whole_segments() {
        let mut cubic = Cubic::new(SEGMENT);
        cubic.on_loss(at(0), 5_500);
        assert_eq!((cubic.window(), cubic.threshold()), (3_000, 3_000));
        cubic.on_loss(at(10), 2_900);
        assert_eq!((cubic.window(), cubic.threshold()), (2_000, 2_000));
    }

    #[test]
    fn what_was_no_loss_is_taken_back() {
        let mut cubic = Cubic::new(SEGMENT);
        cubic.on_loss(at(0), 10_000);
        assert_eq!(cubic.window(), 7_000);
        cubic.undo();
        assert_eq!((cubic.window(), cubic.threshold()), (10_000, LARGEST_WINDOW));
    }
}
