//! When a link works at all.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::time::Duration;

use host::Instant;

use crate::units::{Delay, UnitError};

/// A link that works, then does not, again and again. Written `on 18s off 2s`, then `from 5s` and `waiting` where wanted.
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

impl FromStr for Schedule {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let form = || UnitError::form(text, "on TIME off TIME [from TIME] [waiting]");
        let mut words = text.split_whitespace();
        let (mut on, mut off, mut from, mut waits) = (None, None, Duration::ZERO, false);
        while let Some(word) = words.next() {
            let mut time = || words.next().ok_or_else(form)?.parse::<Delay>().map(Duration::from);
            match word {
                "on" => on = Some(time()?),
                "off" => off = Some(time()?),
                "from" => from = time()?,
                "waiting" => waits = true,
                _ => return Err(form()),
            }
        }
        on.zip(off).map(|(on, off)| Self { on, off, from, waits }).ok_or_else(form)
    }
}

impl Display for Schedule {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self { on, off, from, waits } = *self;
        write!(formatter, "on {} off {}", Delay::from(on), Delay::from(off))?;
        if !from.is_zero() {
            write!(formatter, " from {}", Delay::from(from))?;
        }
        formatter.write_str(if waits { " waiting" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_read_back() {
        for text in ["on 18s off 2s", "on 18800ms off 2s from 5s waiting"] {
            assert_eq!(text.parse::<Schedule>().unwrap().to_string(), text);
        }
        for text in ["", "on 5s", "on 5 off 2s", "on 5s off", "off 2s on 5s maybe"] {
            assert!(text.parse::<Schedule>().is_err(), "{text}");
        }
    }

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
