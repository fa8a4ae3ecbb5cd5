//! Which bytes came out of order.

use wire::tcp::{SackBlock, SackBlocks, SeqNumber};

/// Ranges that wait for what is missing before them: sorted, apart from each other, and few, so that a peer who sends
/// every second byte costs neither memory nor time (CVE-2018-5390).
#[derive(Debug, Default)]
pub(super) struct Assembler {
    ranges: Vec<Waiting>,
    touches: u32,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    start: SeqNumber,
    end: SeqNumber,
    touched: u32,
}

/// What a range was to those that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inserted {
    /// It brought bytes.
    New,
    /// All of it was there already.
    Known,
    /// There are as many ranges as are kept.
    Refused,
}

impl Assembler {
    /// Ranges kept at most. SACK tells of no more than four at a time, so more help little.
    pub(super) const MAX_RANGES: usize = 64;

    /// Adds the bytes from `start` up to `end`.
    pub(super) fn insert(&mut self, start: SeqNumber, end: SeqNumber) -> Inserted {
        let from = self.ranges.partition_point(|range| range.end.is_before(start));
        let to = from + self.ranges[from..].partition_point(|range| !range.start.is_after(end));
        self.touches = self.touches.wrapping_add(1);
        let touched = self.touches;
        if from == to {
            if self.ranges.len() == Self::MAX_RANGES {
                return Inserted::Refused;
            }
            self.ranges.insert(from, Waiting { start, end, touched });
            return Inserted::New;
        }
        let (first, last) = (self.ranges[from], self.ranges[to - 1]);
        let known = from + 1 == to && !start.is_before(first.start) && !end.is_after(first.end);
        self.ranges[from] = Waiting { start: start.earlier(first.start), end: end.later(last.end), touched };
        self.ranges.drain(from + 1..to);
        if known { Inserted::Known } else { Inserted::New }
    }

    /// Everything before `next` arrived: where the bytes without a gap end now.
    pub(super) fn advance(&mut self, next: SeqNumber) -> SeqNumber {
        let joined = self.ranges.partition_point(|range| !range.start.is_after(next));
        let next = self.ranges.drain(..joined).fold(next, |next, range| next.later(range.end));
        if self.ranges.is_empty() {
            self.ranges = Vec::new();
        }
        next
    }

    /// What SACK tells: the range that changed last comes first (RFC 2018 section 4).
    pub(super) fn blocks(&self, blocks: &mut SackBlocks, room: usize) {
        let mut limit = None;
        for _ in 0..room {
            let next = self
                .ranges
                .iter()
                .filter(|range| limit.is_none_or(|age| self.age(range) > age))
                .min_by_key(|range| self.age(range));
            let Some(range) = next else { return };
            limit = Some(self.age(range));
            blocks.push(SackBlock { start: range.start, end: range.end });
        }
    }

    /// Whether a range ends after `place`.
    pub(super) fn reaches_beyond(&self, place: SeqNumber) -> bool {
        self.ranges.last().is_some_and(|range| range.end.is_after(place))
    }

    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    fn age(&self, range: &Waiting) -> u32 {
        self.touches.wrapping_sub(range.touched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_hold_what_a_set_of_bytes_holds(
            pieces in proptest::collection::vec((1u32..300, 1u32..20), 1..80), offset: u32,
        ) {
            let (mut assembler, mut bytes) = (Assembler::default(), [false; 400]);
            for (start, len) in pieces {
                let covered = bytes[start as usize..(start + len) as usize].iter().all(|held| *held);
                match assembler.insert(SeqNumber(offset) + start, SeqNumber(offset) + start + len) {
                    Inserted::Known => prop_assert!(covered),
                    Inserted::New => prop_assert!(!covered),
                    Inserted::Refused => continue,
                }
                bytes[start as usize..(start + len) as usize].fill(true);
                prop_assert!(assembler.len() <= Assembler::MAX_RANGES);
                let mut blocks = SackBlocks::default();
                assembler.blocks(&mut blocks, 4);
                let first = blocks.as_slice()[0];
                prop_assert!((SeqNumber(offset) + start).is_within(first.start, first.end.since(first.start)));
            }
            let end = assembler.advance(SeqNumber(offset) + 1);
            let expected = 1 + bytes[1..].iter().take_while(|held| **held).count() as u32;
            prop_assert_eq!(end.since(SeqNumber(offset)), expected);
        }
    }

    #[test]
    fn every_second_byte_is_refused_after_a_while() {
        let mut assembler = Assembler::default();
        let refused = (0..1000u32)
            .filter(|at| assembler.insert(SeqNumber(at * 2), SeqNumber(at * 2 + 1)) == Inserted::Refused)
            .count();
        assert_eq!((assembler.len(), refused), (Assembler::MAX_RANGES, 1000 - Assembler::MAX_RANGES));
    }
}
