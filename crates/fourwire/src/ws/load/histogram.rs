//! Counts of durations, fine enough for percentiles.

use std::time::Duration;

/// Steps that each power of two is divided into: a value is known to 1 in 128.
const STEPS: usize = 128;

/// Powers of two of a nanosecond.
const POWERS: usize = 64 - STEPS.trailing_zeros() as usize;

/// Durations, counted in buckets that grow with them.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    count: u64,
    max: u64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { counts: vec![0; (POWERS + 1) * STEPS], count: 0, max: 0 }
    }

    pub(super) fn record(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
        self.count += 1;
        self.max = self.max.max(nanos);
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The duration that `share` of all, of one, do not exceed.
    pub(super) fn quantile(&self, share: f64) -> Duration {
        let rank = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(highest(bucket).min(self.max));
            }
        }
        self.max()
    }
}

fn bucket(nanos: u64) -> usize {
    let shift = (nanos | STEPS as u64).ilog2() - STEPS.ilog2();
    shift as usize * STEPS + (nanos >> shift) as usize
}

/// The largest value of a bucket.
fn highest(bucket: usize) -> u64 {
    if bucket < 2 * STEPS {
        return bucket as u64;
    }
    let shift = bucket / STEPS - 1;
    let base = (bucket % STEPS + STEPS) as u64;
    ((base << shift) | ((1 << shift) - 1)).max(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_lies_in_its_bucket_and_buckets_are_narrow() {
        let mut before = 0;
        for power in 0..64 {
            for value in [1_u64 << power, (1 << power) + (1 << power) / 3, ((1 << power) - 1) | 1 << power] {
                let bucket = bucket(value);
                assert!(bucket >= before && bucket < (POWERS + 1) * STEPS, "{value}");
                before = bucket;
                let highest = highest(bucket);
                assert!(
                    value <= highest && highest - value <= value / 128,
                    "{value} in {bucket} to {highest}"
                );
            }
        }
    }

    #[test]
    fn quantiles_of_a_ramp() {
        let mut histogram = Histogram::new();
        for micros in 1..=1_000 {
            histogram.record(Duration::from_micros(micros));
        }
        for (share, micros) in [(0.5, 500), (0.99, 990), (1.0, 1_000)] {
            let (found, wanted) = (histogram.quantile(share), Duration::from_micros(micros));
            assert!(found >= wanted && found - wanted <= wanted / 100, "{share}: {found:?}");
        }
        assert_eq!(histogram.max(), Duration::from_millis(1));
    }
}
