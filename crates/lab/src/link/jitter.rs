//! How the delay of frames varies.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::time::Duration;

use host::Random;

use super::distribution::{ONE, draw};
use crate::units::{Delay, UnitError};

pub use super::distribution::Distribution;

/// How the delay of frames varies. Written `5ms`, `5ms normal`, `5ms pareto reordering`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Jitter {
    /// How much: half the width of the uniform distribution, the standard deviation of the others.
    pub spread: Duration,
    /// How often which length occurs.
    pub distribution: Distribution,
    /// Whether a frame that happens to be faster overtakes those before it, as with netem. On most real paths delay
    /// varies because queues do, which keep the order; so the default is no: the faster frame arrives together with the
    /// one before it. That lengthens the mean delay where frames follow each other more closely than the spread.
    pub reorders: bool,
}

impl Jitter {
    /// Every delay from `spread` less to `spread` more is equally likely, and the order is kept.
    pub fn uniform(spread: Duration) -> Self {
        Self { spread, ..Self::default() }
    }

    /// A delay around `mean`; what would be less than nothing is zero.
    pub(super) fn vary(&self, mean: Duration, random: &mut Random) -> Duration {
        if self.spread.is_zero() {
            return mean;
        }
        let nanos = |duration| i128::from(Delay::from(duration).as_nanos());
        let deviation = nanos(self.spread) * i128::from(draw(self.distribution, random)) / i128::from(ONE);
        let varied = (nanos(mean) + deviation).clamp(0, i128::from(u64::MAX));
        Duration::from_nanos(varied as u64)
    }
}

impl FromStr for Jitter {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let form = || UnitError::form(text, "TIME [uniform|normal|pareto|paretonormal] [reordering]");
        let mut words = text.split_whitespace();
        let spread = words.next().ok_or_else(form)?.parse::<Delay>()?.into();
        let mut jitter = Self::uniform(spread);
        for word in words {
            match (word, Distribution::ALL.into_iter().find(|distribution| distribution.name() == word)) {
                (_, Some(distribution)) => jitter.distribution = distribution,
                ("reordering", None) => jitter.reorders = true,
                _ => return Err(form()),
            }
        }
        Ok(jitter)
    }
}

impl Display for Jitter {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        Delay::from(self.spread).fmt(formatter)?;
        if self.distribution != Distribution::Uniform {
            write!(formatter, " {}", self.distribution.name())?;
        }
        formatter.write_str(if self.reorders { " reordering" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_lie_around_their_mean() {
        let mut random = Random::from_seed([5; 32]);
        let mean = Duration::from_millis(100);
        for distribution in Distribution::ALL {
            let jitter = Jitter { distribution, ..Jitter::uniform(Duration::from_millis(10)) };
            let total: u128 = (0..50_000).map(|_| jitter.vary(mean, &mut random).as_nanos()).sum();
            let found = total / 50_000;
            assert!(found.abs_diff(100_000_000) < 300_000, "{distribution:?}: {found}");
        }
        let wild = Jitter::uniform(Duration::from_secs(1));
        assert!((0..100).any(|_| wild.vary(mean, &mut random).is_zero()), "no time is less than nothing");
        assert_eq!(Jitter::default().vary(mean, &mut random), mean);
    }

    #[test]
    fn the_text_form_is_read_back() {
        for text in ["5ms", "5ms normal", "0ns pareto reordering", "20us paretonormal", "7ms reordering"] {
            assert_eq!(text.parse::<Jitter>().unwrap().to_string(), text);
        }
        assert_eq!("5ms uniform".parse(), Ok(Jitter::uniform(Duration::from_millis(5))));
        for text in ["", "5", "5ms gauss", "normal 5ms"] {
            assert!(text.parse::<Jitter>().is_err(), "{text}");
        }
    }
}
