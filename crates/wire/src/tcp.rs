//! TCP segments (RFC 9293) and their options.

mod options;
mod sequence;

pub use options::{Options, SackBlock, SackBlocks, Timestamps};
pub use sequence::SeqNumber;

use core::fmt;
use core::ops::{BitOr, BitOrAssign};

use crate::Error;
use crate::bytes::{put, u16_at, u32_at};
use crate::checksum::Sum;

/// A TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// From which port.
    pub source_port: u16,
    /// To which port.
    pub destination_port: u16,
    /// Of the first byte of the payload, or of SYN.
    pub sequence: SeqNumber,
    /// The next byte that the sender of this segment wants; of meaning with ACK.
    pub acknowledgment: SeqNumber,
    /// What the segment is for.
    pub flags: Flags,
    /// Bytes that the sender of this segment takes, not scaled.
    pub window: u16,
    /// Where urgent data ends; of meaning with URG.
    pub urgent: u16,
    /// What the peers say beside it.
    pub options: Options,
}

impl Header {
    /// Length in bytes without options.
    pub const MIN_LEN: usize = 20;
    /// Length in bytes with as many options as fit.
    pub const MAX_LEN: usize = 60;

    /// The header of `segment` and its payload. The checksum is not looked at: [`is_whole`].
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] when `segment` ends before its header, [`Error::Malformed`] for a header length of less than
    /// 20 bytes. Options that are malformed end the list of options (RFC 9293 section 3.1, MUST-7).
    pub fn parse(segment: &[u8]) -> Result<(Self, &[u8]), Error> {
        let fixed = segment.get(..Self::MIN_LEN).ok_or(Error::Truncated)?;
        let header_len = usize::from(fixed[12] >> 4) * 4;
        if header_len < Self::MIN_LEN {
            return Err(Error::Malformed);
        }
        let (header, payload) = segment.split_at_checked(header_len).ok_or(Error::Truncated)?;
        let parsed = Self {
            source_port: u16_at(header, 0),
            destination_port: u16_at(header, 2),
            sequence: SeqNumber(u32_at(header, 4)),
            acknowledgment: SeqNumber(u32_at(header, 8)),
            flags: Flags(u16_at(header, 12) & 0x01ff),
            window: u16_at(header, 14),
            urgent: u16_at(header, 18),
            options: Options::parse(&header[Self::MIN_LEN..]),
        };
        Ok((parsed, payload))
    }

    /// Length in bytes with options.
    pub fn len(&self) -> usize {
        Self::MIN_LEN + self.options.len()
    }

    /// Never: a header has at least 20 bytes.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Writes the header to the first [`len`](Self::len) bytes of `segment`, with a checksum of zero.
    ///
    /// # Panics
    ///
    /// When `segment` is shorter.
    pub fn emit(&self, segment: &mut [u8]) {
        let Self { source_port, destination_port, sequence, acknowledgment, flags, window, urgent, options } =
            self;
        let header = &mut segment[..self.len()];
        put(header, 0, &source_port.to_be_bytes());
        put(header, 2, &destination_port.to_be_bytes());
        put(header, 4, &sequence.0.to_be_bytes());
        put(header, 8, &acknowledgment.0.to_be_bytes());
        let offset_flags = ((header.len() / 4) as u16) << 12 | flags.0;
        put(header, 12, &offset_flags.to_be_bytes());
        put(header, 14, &window.to_be_bytes());
        put(header, 16, &[0, 0]);
        put(header, 18, &urgent.to_be_bytes());
        options.emit(&mut header[Self::MIN_LEN..]);
    }
}

/// Whether the checksum of `segment` fits its bytes.
pub fn is_whole(segment: &[u8], pseudo_header: Sum) -> bool {
    pseudo_header.and(segment).is_whole()
}

/// Fills in the checksum of a whole `segment` whose checksum field is zero.
///
/// # Panics
///
/// When `segment` is shorter than a header.
pub fn fill_checksum(segment: &mut [u8], pseudo_header: Sum) {
    fill_checksum_over(segment, pseudo_header, Sum::default());
}

/// Fills in the checksum of a segment whose `header` is here, with a checksum field of zero, and whose payload, of that
/// sum, lies elsewhere.
///
/// # Panics
///
/// When `header` is shorter than one.
pub fn fill_checksum_over(header: &mut [u8], pseudo_header: Sum, payload: Sum) {
    let checksum = pseudo_header.and(header).and_sum(payload).checksum();
    put(header, CHECKSUM, &checksum.to_be_bytes());
}

/// Puts the sum of the pseudo-header alone where the checksum of a segment goes, for whoever fills it in later
/// ([`virtio::Checksum::Missing`](crate::virtio::Checksum::Missing)).
///
/// # Panics
///
/// When `header` is shorter than one.
pub fn prepare_checksum(header: &mut [u8], pseudo_header: Sum) {
    put(header, CHECKSUM, &(!pseudo_header.checksum()).to_be_bytes());
}

/// Where the checksum field is in a header, in bytes from its start.
pub const CHECKSUM: usize = 16;

/// Makes a copy of the header of a long segment that of one of the pieces that it is cut into, which begins `offset` bytes
/// after it: FIN and PSH end the `last` one, CWR is for the `first` alone (RFC 3168 section 6.1.2). The checksum field
/// becomes zero, options stay as they are.
///
/// # Panics
///
/// When `header` is shorter than one.
pub fn cut_header(header: &mut [u8], offset: u32, first: bool, last: bool) {
    let sequence = SeqNumber(u32_at(header, 4)) + offset;
    put(header, 4, &sequence.0.to_be_bytes());
    let mut flags = u16_at(header, 12);
    if !last {
        flags &= !(Flags::FIN | Flags::PSH).0;
    }
    if !first {
        flags &= !Flags::CWR.0;
    }
    put(header, 12, &flags.to_be_bytes());
    put(header, CHECKSUM, &[0, 0]);
}

/// The control bits of a segment: the eight of RFC 9293 section 3.1, and AE (RFC 9768).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub u16);

impl Flags {
    /// The sender has nothing more to say.
    pub const FIN: Self = Self(0x001);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(0x002);
    /// Reset the connection.
    pub const RST: Self = Self(0x004);
    /// Push.
    pub const PSH: Self = Self(0x008);
    /// The acknowledgment counts.
    pub const ACK: Self = Self(0x010);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x020);
    /// Congestion was seen (RFC 3168).
    pub const ECE: Self = Self(0x040);
    /// The window was reduced (RFC 3168).
    pub const CWR: Self = Self(0x080);
    /// Accurate congestion notification (RFC 9768).
    pub const AE: Self = Self(0x100);

    const NAMES: [(Self, &'static str); 9] = [
        (Self::SYN, "SYN"),
        (Self::FIN, "FIN"),
        (Self::RST, "RST"),
        (Self::PSH, "PSH"),
        (Self::ACK, "ACK"),
        (Self::URG, "URG"),
        (Self::ECE, "ECE"),
        (Self::CWR, "CWR"),
        (Self::AE, "AE"),
    ];

    /// Whether all of `flags` are set.
    #[inline]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether any of `flags` is set.
    #[inline]
    pub const fn intersects(self, flags: Self) -> bool {
        self.0 & flags.0 != 0
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (flag, name) in Self::NAMES {
            if self.contains(flag) {
                write!(formatter, "{separator}{name}")?;
                separator = "|";
            }
        }
        if separator.is_empty() { formatter.write_str("none") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;
    use std::vec;

    #[test]
    fn flags_print_by_name() {
        assert_eq!(format!("{:?}", Flags::SYN | Flags::ACK), "SYN|ACK");
        assert_eq!(format!("{:?}", Flags::default()), "none");
    }

    #[test]
    fn a_header_longer_than_its_segment_is_truncated() {
        let mut segment = [0; 40];
        segment[12] = 0xf0;
        assert_eq!(Header::parse(&segment), Err(Error::Truncated));
        segment[12] = 0x40;
        assert_eq!(Header::parse(&segment), Err(Error::Malformed));
    }

    #[test]
    fn what_is_said_once_is_said_by_one_piece() {
        let all = Flags(Flags::ACK.0 | Flags::PSH.0 | Flags::FIN.0 | Flags::CWR.0 | Flags::ECE.0);
        let header = Header {
            source_port: 1,
            destination_port: 2,
            sequence: SeqNumber(u32::MAX - 9),
            acknowledgment: SeqNumber(7),
            flags: all,
            window: 9,
            urgent: 0,
            options: Options { sack_permitted: true, ..Options::default() },
        };
        let cut = |offset, first, last| {
            let mut bytes = [0xff; 24];
            header.emit(&mut bytes);
            cut_header(&mut bytes, offset, first, last);
            Header::parse(&bytes).unwrap().0
        };
        let without = |flags: Flags| Flags(all.0 & !flags.0);
        let ends = Flags(Flags::FIN.0 | Flags::PSH.0);
        assert_eq!(cut(0, true, true), header);
        assert_eq!(cut(0, true, false), Header { flags: without(ends), ..header });
        let middle = without(Flags(ends.0 | Flags::CWR.0));
        assert_eq!(cut(10, false, false), Header { sequence: SeqNumber(0), flags: middle, ..header });
        let last = Header { sequence: SeqNumber(10), flags: without(Flags::CWR), ..header };
        assert_eq!(cut(20, false, true), last);
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed_again(
            ports: (u16, u16), numbers: (u32, u32), flags in 0u16..0x200, window: u16, urgent: u16,
            options in options::tests::options(), payload in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let header = Header {
                source_port: ports.0,
                destination_port: ports.1,
                sequence: SeqNumber(numbers.0),
                acknowledgment: SeqNumber(numbers.1),
                flags: Flags(flags),
                window,
                urgent,
                options,
            };
            let mut segment = vec![0xaa; header.len()];
            header.emit(&mut segment);
            segment.extend(&payload);
            prop_assert_eq!(Header::parse(&segment), Ok((header, &payload[..])));
            fill_checksum(&mut segment, Sum::default());
            prop_assert!(is_whole(&segment, Sum::default()));
            let (head, tail) = segment.split_at_mut(header.len());
            header.emit(head);
            fill_checksum_over(head, Sum::default(), Sum::of(tail));
            prop_assert!(is_whole(&segment, Sum::default()));
        }

        #[test]
        fn a_prepared_checksum_is_finished_by_whoever_sums_up(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            let pseudo_header = Sum::default().and_word(0x1234).and_word(payload.len() as u16);
            let mut segment = vec![0x50; Header::MIN_LEN];
            prepare_checksum(&mut segment, pseudo_header);
            segment.extend(&payload);
            crate::virtio::fill_checksum(&mut segment, 0, CHECKSUM as u16).unwrap();
            prop_assert!(is_whole(&segment, pseudo_header));
        }

        #[test]
        fn any_bytes_are_a_segment_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok((header, _)) = Header::parse(&bytes) {
                // What was understood can be said again, up to SACK blocks that were packed closer.
                let mut again = vec![0; header.len()];
                header.emit(&mut again);
                let mut read = Header::parse(&again).unwrap().0;
                let blocks = header.options.sack.as_slice();
                prop_assert!(blocks.starts_with(read.options.sack.as_slice()));
                read.options.sack = header.options.sack;
                prop_assert_eq!(read, header);
            }
        }
    }
}
