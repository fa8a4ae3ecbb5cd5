//! When a link works at all.

use std::time::Duration;

use host::Instant;

/// A link that works, then does not, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// How long it works.
    pub on: Duration,
    /// How long it then does not.
    pub off: Duration,
    /// When the first such period begins, on the clock of the host. Before that, it works.
    pub from: Duration,
    /// Whether frames wait in the queue until it works again (a modem that has lost its cell) or are lost (a cable with a
    /// bad plug).
    pub waits: bool,
}

impl Schedule {
    /// Whether it works at `instant`.
    pub fn is_on(&self, instant: Instant) -> bool {
        self.next_on(instant) == instant
    }

    /// The first moment from `instant` on when it works. A schedule that never works ends in the far future.
    pub fn next_on(&self, instant: Instant) -> Instant {
        let begun = Instant::ORIGIN + self.from;
        let period = self.on.saturating_add(self.off).as_nanos();
        if instant < begun || self.off.is_zero() {
            return instant;
        }
        if self.on.is_zero() {
            return Instant::from_nanos(u64::MAX);
        }
        let into = instant.since(begun).as_nanos() % period;
        match period - into {
            left if into >= self.on.as_nanos() => {
                instant + Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX))
            }
            _ => instant,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_works_by_turns() {
        let seconds = |seconds: u64| Instant::from_nanos(seconds * 1_000_000_000);
        let [on, off, from] = [3, 2, 10].map(Duration::from_secs);
        let schedule = Schedule { on, off, from, waits: true };
        for (at, next) in [(0, 0), (10, 10), (12, 12), (13, 15), (14, 15), (15, 15), (18, 20)] {
            assert_eq!(schedule.next_on(seconds(at)), seconds(next), "at {at} s");
            assert_eq!(schedule.is_on(seconds(at)), at == next, "at {at} s");
        }
        let never = Schedule { on: Duration::ZERO, ..schedule };
        assert_eq!(never.next_on(seconds(11)).as_nanos(), u64::MAX);
        let always = Schedule { off: Duration::ZERO, ..schedule };
        assert!(always.is_on(seconds(13)));
    }
}
