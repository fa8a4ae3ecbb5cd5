//! The clocks of a machine, right or wrong.

use std::time::Duration;

use host::{Instant, WallTime};

/// How a machine's clocks tell the lab's time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Since then it has run as it does, on the lab's clock.
    since: Instant,
    /// What it showed then.
    shown: Instant,
    /// How much it runs fast, in parts of a million.
    rate: i32,
    /// How far the wall clock is off besides, in nanoseconds.
    offset: i64,
}

/// By how much a wall clock jumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jump {
    /// Into the future, or by nothing.
    Forward(Duration),
    /// Into the past.
    Back(Duration),
}

impl Default for Jump {
    fn default() -> Self {
        Self::Forward(Duration::ZERO)
    }
}

const MILLION: i128 = 1_000_000;

impl Clock {
    /// A clock that is right.
    pub(crate) const RIGHT: Self =
        Self { since: Instant::ORIGIN, shown: Instant::ORIGIN, rate: 0, offset: 0 };

    /// What it shows at `now`.
    pub(crate) fn show(&self, now: Instant) -> Instant {
        let elapsed = nanos(now) - nanos(self.since);
        instant(nanos(self.shown) + elapsed * (MILLION + i128::from(self.rate)) / MILLION)
    }

    /// When it will show `shown`: the first such moment.
    pub(crate) fn when(&self, shown: Instant) -> Instant {
        let speed = MILLION + i128::from(self.rate);
        let to_go = (nanos(shown) - nanos(self.shown)).max(0);
        instant(nanos(self.since) + (to_go * MILLION + speed - 1) / speed)
    }

    /// What the wall clock shows at `now`, when it showed `epoch` at the lab's beginning.
    pub(crate) fn wall(&self, now: Instant, epoch: WallTime) -> WallTime {
        let shown = i128::from(epoch.unix_nanos()) + nanos(self.show(now)) + i128::from(self.offset);
        WallTime::from_unix_nanos(instant(shown).as_nanos())
    }

    /// From `now` on it runs fast by `rate` parts of a million, slow when that is negative, and its wall clock jumps.
    pub(crate) fn skew(&mut self, now: Instant, rate: i32, jump: Jump) {
        self.shown = self.show(now);
        self.since = now;
        // A clock that stands still rings no timer ever.
        self.rate = rate.max(1 - MILLION as i32);
        let by = |by: Duration| i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
        self.offset = match jump {
            Jump::Forward(time) => self.offset.saturating_add(by(time)),
            Jump::Back(time) => self.offset.saturating_sub(by(time)),
        };
    }
}

fn nanos(instant: Instant) -> i128 {
    i128::from(instant.as_nanos())
}

fn instant(nanos: i128) -> Instant {
    Instant::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_rings_when_it_shows_the_time_and_not_before() {
        let mut clock = Clock::RIGHT;
        let mut now = Instant::ORIGIN;
        for rate in [0, 100, -100, 500_000, -990_000, 1, 2_000_000] {
            clock.skew(now, rate, Jump::default());
            for ahead in [0, 1, 2, 999_999, 1_000_003, 86_400_000_000_000] {
                let shown = clock.show(now) + Duration::from_nanos(ahead);
                let rings = clock.when(shown);
                assert!(clock.show(rings) >= shown, "{clock:?} rings early for {shown:?}");
                let before = rings - Duration::from_nanos(1);
                assert!(ahead == 0 || clock.show(before) < shown, "{clock:?} rings late for {shown:?}");
            }
            now += Duration::from_secs(10);
        }
    }

    #[test]
    fn the_wall_clock_jumps_and_the_other_does_not() {
        let epoch = WallTime::from_unix_millis(1_000_000);
        let mut clock = Clock::RIGHT;
        let now = Instant::ORIGIN + Duration::from_secs(10);
        clock.skew(now, 0, Jump::Back(Duration::from_secs(60)));
        assert_eq!(clock.show(now), now);
        assert_eq!(clock.wall(now, epoch), WallTime::from_unix_millis(1_000_000 - 50_000));
        clock.skew(now, 0, Jump::Forward(Duration::from_secs(61)));
        assert_eq!(clock.wall(now, epoch), WallTime::from_unix_millis(1_000_000 + 11_000));
    }
}
