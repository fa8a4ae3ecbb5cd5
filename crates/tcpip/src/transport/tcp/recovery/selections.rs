//! What was selected, as the fewest ranges: so that what is told again and again is looked at once.

use wire::tcp::SeqNumber;

use super::Range;

/// Ranges in order, apart from each other.
#[derive(Debug, Default)]
pub(super) struct Selections(Vec<Range>);

impl Selections {
    /// The first part of `within` that is not covered.
    pub(super) fn gap(&self, within: Range) -> Option<Range> {
        let mut start = within.start;
        let at = self.0.partition_point(|range| !range.end.is_after(start));
        let mut after = self.0[at..].iter();
        let mut next = after.next();
        if let Some(range) = next.filter(|range| !range.start.is_after(start)) {
            start = range.end;
            next = after.next();
        }
        let end = next.map_or(within.end, |range| range.start.earlier(within.end));
        start.is_before(end).then_some(Range { start, end })
    }

    /// Covers `range` as well, which is in a gap.
    pub(super) fn insert(&mut self, range: Range) {
        let from = self.0.partition_point(|other| other.end.is_before(range.start));
        let to = from + self.0[from..].partition_point(|other| !other.start.is_after(range.end));
        if from == to {
            self.0.insert(from, range);
            return;
        }
        let (first, last) = (self.0[from], self.0[to - 1]);
        self.0[from] = Range { start: first.start.earlier(range.start), end: last.end.later(range.end) };
        self.0.drain(from + 1..to);
    }

    /// What is before `number` is past.
    pub(super) fn forget(&mut self, number: SeqNumber) {
        let past = self.0.partition_point(|range| !range.end.is_after(number));
        self.0.drain(..past);
        if let Some(first) = self.0.first_mut() {
            first.start = first.start.later(number);
        }
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
    }

    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn they_cover_what_a_set_of_bytes_covers(
            blocks in proptest::collection::vec((0u32..300, 1u32..30), 1..60), offset: u32, past in 0u32..300,
        ) {
            let at = |place: u32| SeqNumber(offset) + place;
            let (mut selections, mut bytes) = (Selections::default(), [false; 400]);
            for (start, len) in blocks {
                let mut within = Range { start: at(start), end: at(start + len) };
                while let Some(gap) = selections.gap(within) {
                    let (from, to) = (gap.start.since(at(0)) as usize, gap.end.since(at(0)) as usize);
                    prop_assert!(bytes[from..to].iter().all(|covered| !covered));
                    selections.insert(gap);
                    bytes[from..to].fill(true);
                    within.start = gap.end;
                }
                prop_assert!(bytes[start as usize..(start + len) as usize].iter().all(|covered| *covered));
                let runs = bytes.windows(2).filter(|two| !two[0] && two[1]).count() + usize::from(bytes[0]);
                prop_assert_eq!(selections.0.len(), runs);
            }
            selections.forget(at(past));
            bytes[..past as usize].fill(false);
            let covered: u32 = selections.0.iter().map(|range| range.len()).sum();
            prop_assert_eq!(covered as usize, bytes.iter().filter(|covered| **covered).count());
        }
    }
}
