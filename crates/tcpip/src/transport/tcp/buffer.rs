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

    /// How many bytes it can hold when it may take `room` bytes of memory more.
    pub(super) fn holds(&self, room: usize) -> usize {
        self.memory().saturating_add(room)
    }

    /// Adds what fits until the ring holds `limit` bytes, taking at most `room` bytes of memory more. Returns how many
    /// that were.
    pub(super) fn gather(&mut self, pieces: &[IoSlice<'_>], limit: usize, room: usize) -> usize {
        let wanted: usize = pieces.iter().map(|piece| piece.len()).sum();
        let end = self.len().saturating_add(wanted).min(limit).min(self.holds(room));
        let space = end.saturating_sub(self.len());
        self.reserve(end, room);
        let mut taken = 0;
        for piece in pieces {
            let len = piece.len().min(space - taken);
            self.bytes.extend(&piece[..len]);
            taken += len;
        }
        taken
    }

    /// Puts `bytes` at `at`, beyond the end if need be; what lies between is filled in later. At most `room` bytes of
    /// memory more are taken, as long as [`holds`](Self::holds) was asked.
    pub(super) fn put(&mut self, at: usize, bytes: &[u8], room: usize) {
        self.reserve(at + bytes.len(), room);
        if at == self.len() || bytes.is_empty() {
            self.bytes.extend(bytes);
            return;
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

    /// Takes memory for `len` bytes, and for as many again that may come later where `room` allows.
    fn reserve(&mut self, len: usize, room: usize) {
        let held = self.memory();
        if len > held {
            let wanted = (held * 2).min(held.saturating_add(room)).max(len);
            self.bytes.reserve_exact(wanted - self.len());
        }
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
                        let taken = ring.gather(&[IoSlice::new(&bytes), IoSlice::new(&bytes)], 100, usize::MAX);
                        model.extend([&bytes[..], &bytes].concat().into_iter().take(taken));
                        prop_assert!(model.len() <= 150 && (taken == 2 * b || ring.len() >= 100));
                    }
                    1 => {
                        if !bytes.is_empty() {
                            model.resize(model.len().max(a + b), 0);
                            model[a..a + b].copy_from_slice(&bytes);
                        }
                        ring.put(a, &bytes, usize::MAX);
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

        #[test]
        fn no_more_memory_is_taken_than_there_is_room_for(writes in proptest::collection::vec((0usize..300, 0usize..200), 1..40)) {
            let mut ring = Ring::default();
            for (len, room) in writes {
                let before = ring.memory();
                let space = ring.holds(room) - ring.len();
                let taken = ring.gather(&[IoSlice::new(&vec![1; len])], 1000, room);
                prop_assert!(ring.memory() <= before + room && ring.len() <= 1000);
                prop_assert!(taken == len || taken == space || ring.len() == 1000);
            }
        }
    }
}
