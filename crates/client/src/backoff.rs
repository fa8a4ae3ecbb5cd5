//! How long to wait before the next attempt.

use std::time::Duration;

use host::Random;

/// Exponential back-off with full jitter: each wait is drawn from nothing up to a bound that doubles, so that clients
/// which lost the same server do not come back at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The bound of the first wait.
    pub first: Duration,
    /// No bound is longer.
    pub most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), most: Duration::from_secs(20) }
    }
}

impl Backoff {
    /// The bound of the wait after `failures` attempts in a row have failed; the first is 0.
    pub(crate) fn bound(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.most)
    }

    /// A wait below [`bound`](Self::bound).
    pub(crate) fn draw(&self, failures: u32, random: &mut Random) -> Duration {
        let nanos = u64::try_from(self.bound(failures).as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(random.below(nanos.saturating_add(1).max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_the_most() {
        let backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(1) };
        let bounds: Vec<_> = [0, 1, 2, 3, 4, 31, 32, u32::MAX].map(|n| backoff.bound(n).as_millis()).into();
        assert_eq!(bounds, [100, 200, 400, 800, 1000, 1000, 1000, 1000]);
    }

    #[test]
    fn waits_are_spread_over_the_whole_of_it() {
        let backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(1) };
        let mut random = Random::from_seed([3; 32]);
        let draws: Vec<_> = (0..1_000).map(|_| backoff.draw(1, &mut random)).collect();
        assert!(draws.iter().all(|draw| *draw <= Duration::from_millis(200)));
        let early = draws.iter().filter(|draw| **draw < Duration::from_millis(100)).count();
        assert!((400..600).contains(&early), "{early} of 1000 in the first half");
    }
}
