//! Random streams that follow from the seed and their name, and from nothing else.

use std::collections::BTreeMap;

use host::Random;
use sha2::{Digest, Sha256};

/// Hands out the streams of a lab, and counts each name's incarnations.
pub(crate) struct Streams {
    seed: u64,
    drawn: BTreeMap<Owner, BTreeMap<String, u64>>,
}

/// Whose stream: a machine's name and shard, or the lab's own (an empty name).
type Owner = (String, usize);

impl Streams {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, drawn: BTreeMap::new() }
    }

    /// The next incarnation of the stream `name` of one shard: SHA-256 over (seed, machine, shard, name, incarnation),
    /// texts with their length before them, numbers as eight bytes, little-endian.
    pub(crate) fn next(&mut self, machine: &str, shard: usize, name: &str) -> Random {
        let names = self.drawn.entry((machine.to_owned(), shard)).or_default();
        let incarnation = names.entry(name.to_owned()).or_default();
        let mut hash = Sha256::new();
        let mut number = |number: u64| hash.update(number.to_le_bytes());
        number(self.seed);
        number(shard as u64);
        number(*incarnation);
        *incarnation += 1;
        for text in [machine, name] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        Random::from_seed(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_name_draws_moves_no_other() {
        let mut quiet = Streams::new(1);
        let mut busy = Streams::new(1);
        busy.next("a", 0, "other").next_u64();
        busy.next("b", 0, "mask").next_u64();
        assert_eq!(quiet.next("a", 0, "mask").next_u64(), busy.next("a", 0, "mask").next_u64());
    }

    #[test]
    fn each_part_of_the_name_counts() {
        let mut streams = Streams::new(1);
        let draws = [
            streams.next("a", 0, "mask").next_u64(),
            streams.next("a", 0, "mask").next_u64(),
            streams.next("a", 1, "mask").next_u64(),
            streams.next("am", 0, "ask").next_u64(),
            streams.next("a", 0, "id").next_u64(),
            Streams::new(2).next("a", 0, "mask").next_u64(),
        ];
        assert!((1..draws.len()).all(|index| !draws[..index].contains(&draws[index])), "{draws:?}");
    }

    #[test]
    fn the_streams_of_a_seed_are_the_same_for_ever() {
        assert_eq!(Streams::new(42).next("server", 0, "mask").next_u64(), 14_068_524_691_056_331_207);
    }
}
