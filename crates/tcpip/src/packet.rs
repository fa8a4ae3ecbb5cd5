//! Packets on their way down, and the way out.

use std::io::IoSlice;

use wire::checksum::Sum;

/// Room for the longest headers that can come together: Ethernet, IPv4 or IPv6 with options or a fragment header, TCP
/// with options.
pub(crate) const HEADROOM: usize = 160;

/// A packet on its way down: headers, and a payload that lies elsewhere, in two pieces when its buffer is a ring.
///
/// Each layer puts its header in front of what came from above ([`push`](Self::push)).
#[derive(Clone, Debug)]
pub struct Descending<'a> {
    head: [u8; HEADROOM],
    start: usize,
    payload: [&'a [u8]; 2],
    segmentation: Option<Segmentation>,
}

/// How a TCP segment that is longer than the path takes is to be cut: each piece has a copy of the headers, and its own
/// checksum. Until then its checksum field holds the sum of the pseudo-header alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segmentation {
    /// Bytes of payload in each piece but the last.
    pub size: u16,
    /// Bytes of the TCP header, which the packet's headers end with.
    pub header: u16,
}

impl<'a> Descending<'a> {
    /// A packet with no header yet. Both pieces may be empty.
    pub fn new(payload: [&'a [u8]; 2]) -> Self {
        Self { head: [0; HEADROOM], start: HEADROOM, payload, segmentation: None }
    }

    /// A packet with no header yet, which the device, or the last step before it, cuts.
    pub fn segmented(payload: [&'a [u8]; 2], segmentation: Segmentation) -> Self {
        Self { segmentation: Some(segmentation), ..Self::new(payload) }
    }

    /// Puts `len` bytes in front, to be filled in by the caller. They may hold anything.
    ///
    /// # Panics
    ///
    /// When headers come together that no packet has.
    pub fn push(&mut self, len: usize) -> &mut [u8] {
        self.start = self.start.checked_sub(len).expect("the headroom holds every chain of headers");
        &mut self.head[self.start..self.start + len]
    }

    /// The headers so far.
    pub fn headers(&self) -> &[u8] {
        &self.head[self.start..]
    }

    /// The headers so far, to be changed.
    pub fn headers_mut(&mut self) -> &mut [u8] {
        &mut self.head[self.start..]
    }

    /// The payload.
    pub fn payload(&self) -> [&'a [u8]; 2] {
        self.payload
    }

    /// Bytes of payload.
    pub fn payload_len(&self) -> usize {
        self.payload[0].len() + self.payload[1].len()
    }

    /// How the packet is to be cut, if it is.
    pub fn segmentation(&self) -> Option<Segmentation> {
        self.segmentation
    }

    /// Headers and payload, in bytes.
    pub fn len(&self) -> usize {
        HEADROOM - self.start + self.payload_len()
    }

    /// Whether there is neither header nor payload.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The payload from byte `start` up to, and not with, `end`, in two pieces again.
    ///
    /// # Panics
    ///
    /// When the range is not within the payload.
    pub fn slice(&self, start: usize, end: usize) -> [&'a [u8]; 2] {
        let [first, second] = self.payload;
        let middle = first.len();
        [
            &first[start.min(middle)..end.min(middle)],
            &second[start.max(middle) - middle..end.max(middle) - middle],
        ]
    }

    /// The checksum of headers and payload together, added to `sum`.
    pub fn sum(&self, sum: Sum) -> Sum {
        sum.and(self.headers()).and(self.payload[0]).and(self.payload[1])
    }

    /// The bytes in order, for a vectored write.
    pub fn slices(&self) -> [IoSlice<'_>; 3] {
        [IoSlice::new(self.headers()), IoSlice::new(self.payload[0]), IoSlice::new(self.payload[1])]
    }

    /// The bytes in order, copied to the end of `bytes`.
    pub fn copy_to(&self, bytes: &mut Vec<u8>) {
        bytes.reserve(self.len());
        bytes.extend_from_slice(self.headers());
        bytes.extend_from_slice(self.payload[0]);
        bytes.extend_from_slice(self.payload[1]);
    }
}

/// One of a host's interfaces, counted from zero in the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceId(pub u16);

/// The way out: the devices under a host's interfaces.
pub trait Transmit {
    /// Whether the device under `interface` takes a frame now. Where it does not, the transport layer keeps what it has;
    /// answers and forwarded packets are dropped.
    fn has_room(&mut self, interface: InterfaceId) -> bool;

    /// Sends `frame`, a whole frame of the interface's medium. A device that cannot drops it and counts.
    fn transmit(&mut self, interface: InterfaceId, frame: &Descending<'_>);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_are_one_packet(
            header in proptest::collection::vec(any::<u8>(), 0..40),
            first in proptest::collection::vec(any::<u8>(), 0..40),
            second in proptest::collection::vec(any::<u8>(), 0..40),
            cut in (0usize..80, 0usize..80),
        ) {
            let mut packet = Descending::new([&first, &second]);
            packet.push(header.len()).copy_from_slice(&header);
            let whole = [&header[..], &first, &second].concat();
            let mut copy = Vec::new();
            packet.copy_to(&mut copy);
            prop_assert_eq!(&copy, &whole);
            prop_assert_eq!(packet.len(), whole.len());
            prop_assert_eq!(packet.sum(Sum::default()).checksum(), Sum::of(&whole).checksum());
            let payload = [&first[..], &second].concat();
            let (start, end) = (cut.0.min(cut.1).min(payload.len()), cut.0.max(cut.1).min(payload.len()));
            prop_assert_eq!(packet.slice(start, end).concat(), &payload[start..end]);
        }
    }
}
