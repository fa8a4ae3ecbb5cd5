//! The bytes that wait, to be acknowledged or to be read.

use std::collections::VecDeque;
use std::io::IoSlice;

/// A ring that grows with need and holds no memory when empty.
#[derive(Debug, Default)]
pub(super) struct Ring {
    bytes: VecDeque<u8>,
}

impl Ring {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Adds bytes to the end.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// Adds what fits until the ring holds `limit` bytes. Returns how many that were.
    pub(super) fn gather(&mut self, pieces: &[IoSlice<'_>], limit: usize) -> usize {
        let room = limit.saturating_sub(self.len());
        let mut taken = 0;
        for piece in pieces {
            let len = piece.len().min(room - taken);
            self.extend(&piece[..len]);
            taken += len;
        }
        taken
    }

    /// Puts `bytes` at `at`, beyond the end if need be; what lies between is filled in later.
    pub(super) fn put(&mut self, at: usize, bytes: &[u8]) {
        if at == self.len() || bytes.is_empty() {
            return self.extend(bytes);
        }
        let end = at + bytes.len();
        if self.len() < end {
            self.bytes.resize(end, 0);
        }
        let (first, second) = self.bytes.as_mut_slices();
        let middle = first.len();
        let (here, there) = bytes.split_at(middle.saturating_sub(at).min(bytes.len()));
        if !here.is_empty() {
            first[at..at + here.len()].copy_from_slice(here);
        }
        let at = at.max(middle) - middle;
        second[at..at + there.len()].copy_from_slice(there);
    }

    /// The `len` bytes from `start` on, in two pieces.
    pub(super) fn slices(&self, start: usize, len: usize) -> [&[u8]; 2] {
        let (first, second) = self.bytes.as_slices();
        let (middle, end) = (first.len(), start + len);
        [
            &first[start.min(middle)..end.min(middle)],
            &second[start.max(middle) - middle..end.max(middle) - middle],
        ]
    }

    /// Lets the first `len` bytes go.
    pub(super) fn consume(&mut self, len: usize) {
        self.bytes.drain(..len);
        if self.bytes.is_empty() {
            self.bytes = VecDeque::new();
        } else if self.bytes.capacity() / 8 > self.bytes.len().max(16 << 10) {
            self.bytes.shrink_to(self.bytes.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_ring_is_a_vector(steps in proptest::collection::vec((0usize..3, 0usize..50, 0usize..50), 1..60)) {
            let (mut ring, mut model) = (Ring::default(), Vec::new());
            for (number, (kind, a, b)) in steps.into_iter().enumerate() {
                let bytes = vec![number as u8; b];
                match kind {
                    0 => {
                        let taken = ring.gather(&[IoSlice::new(&bytes), IoSlice::new(&bytes)], 100);
                        model.extend([&bytes[..], &bytes].concat().into_iter().take(taken));
                        prop_assert!(model.len() <= 150 && (taken == 2 * b || ring.len() >= 100));
                    }
                    1 => {
                        if !bytes.is_empty() {
                            model.resize(model.len().max(a + b), 0);
                            model[a..a + b].copy_from_slice(&bytes);
                        }
                        ring.put(a, &bytes);
                    }
                    _ => {
                        let len = a.min(model.len());
                        model.drain(..len);
                        ring.consume(len);
                    }
                }
                prop_assert_eq!(ring.slices(0, ring.len()).concat(), model.clone());
                let (start, len) = (a.min(model.len()), b.min(model.len() - a.min(model.len())));
                prop_assert_eq!(ring.slices(start, len).concat(), &model[start..start + len]);
            }
            ring.consume(ring.len());
            prop_assert_eq!(ring.memory(), 0);
        }
    }
}
