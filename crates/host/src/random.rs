//! Named streams of random numbers.

use std::fmt;

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

/// A stream of unpredictable numbers (ChaCha12), drawn by name from [`Runtime::random`](crate::Runtime::random).
///
/// On the kernel its seed comes from the operating system; in the lab from (seed, machine, shard, name), so that what
/// one part of a program draws never moves what another part draws.
pub struct Random(ChaCha12Rng);

impl Random {
    /// The stream that grows from `seed`.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// A number in `0..bound`, each equally likely up to a bias of `bound` / 2^64.
    ///
    /// # Panics
    ///
    /// When `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "nothing lies below zero");
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The state would tell all that is still to come.
        formatter.write_str("Random(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_is_one_stream() {
        let draw = || {
            let mut random = Random::from_seed([7; 32]);
            (random.next_u64(), random.next_u32(), random.below(10))
        };
        assert_eq!(draw(), draw());
    }

    #[test]
    fn below_stays_below_and_reaches_both_ends() {
        let mut random = Random::from_seed([1; 32]);
        let mut seen = [false; 5];
        for _ in 0..1_000 {
            seen[random.below(5) as usize] = true;
        }
        assert_eq!(seen, [true; 5]);
    }
}
