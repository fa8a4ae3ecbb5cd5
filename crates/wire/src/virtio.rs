//! The header that virtio network devices, and TAP, TUN and packet sockets of Linux with a "virtio-net header", put before
//! each frame (virtio 1.2 section 5.1.6): what of it is left to whoever takes the frame.
//!
//! The first ten bytes, little-endian, as devices have them that neither merge receive buffers nor report hashes.

use core::ops::Range;

use crate::Error;

/// What is left to be done, or need not be done, with the frame that follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Of the transport layer's checksum.
    pub checksum: Checksum,
    /// How the frame is to be cut; `None` for a frame as a link takes it.
    pub segmentation: Option<Segmentation>,
}

/// How a frame's transport checksum stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// It is in the frame, and nobody has looked whether it is right.
    #[default]
    Unchecked,
    /// It was found to be right.
    Valid,
    /// It is to be filled in: the frame was not on a link where it could be damaged.
    Missing {
        /// Where the sum begins, in bytes from the start of the frame: at the transport header.
        start: u16,
        /// Where the checksum field is, in bytes from there. It holds the sum of the pseudo-header.
        offset: u16,
    },
}

/// A TCP segment that is longer than a link takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segmentation {
    /// What the segments are.
    pub kind: Kind,
    /// CWR is set: of the segments, only the first shall have it (RFC 3168 section 6.1.2).
    pub ecn: bool,
    /// Bytes of payload in each segment but the last; not zero.
    pub size: u16,
    /// Bytes of all headers, from the start of the frame to the payload. A hint: the headers themselves decide.
    pub headers: u16,
}

/// What is to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// TCP over IPv4.
    TcpV4,
    /// TCP over IPv6.
    TcpV6,
}

const NEEDS_CHECKSUM: u8 = 1;
const DATA_VALID: u8 = 2;

const NOT_CUT: u8 = 0;
const TCP_V4: u8 = 1;
const TCP_V6: u8 = 4;
const ECN: u8 = 0x80;

impl Header {
    /// Length in bytes.
    pub const LEN: usize = 10;

    /// The header at the beginning of `bytes`.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] for fewer than ten bytes, [`Error::Malformed`] for segments of no bytes or without a checksum
    /// to be filled in, [`Error::Unsupported`] for what is cut in other ways (UDP).
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let bytes: &[u8; Self::LEN] = bytes.first_chunk().ok_or(Error::Truncated)?;
        let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let [flags, how, ..] = *bytes;
        let checksum = if flags & NEEDS_CHECKSUM != 0 {
            Checksum::Missing { start: word(6), offset: word(8) }
        } else if flags & DATA_VALID != 0 {
            Checksum::Valid
        } else {
            Checksum::Unchecked
        };
        let kind = match how & !ECN {
            NOT_CUT => return Ok(Self { checksum, segmentation: None }),
            TCP_V4 => Kind::TcpV4,
            TCP_V6 => Kind::TcpV6,
            _ => return Err(Error::Unsupported),
        };
        let size = word(4);
        if size == 0 || !matches!(checksum, Checksum::Missing { .. }) {
            return Err(Error::Malformed);
        }
        let segmentation = Segmentation { kind, ecn: how & ECN != 0, size, headers: word(2) };
        Ok(Self { checksum, segmentation: Some(segmentation) })
    }

    /// The header as bytes.
    pub fn emit(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let mut word = |at: usize, word: u16| bytes[at..at + 2].copy_from_slice(&word.to_le_bytes());
        let flags = match self.checksum {
            Checksum::Unchecked => 0,
            Checksum::Valid => DATA_VALID,
            Checksum::Missing { start, offset } => {
                word(6, start);
                word(8, offset);
                NEEDS_CHECKSUM
            }
        };
        let mut how = NOT_CUT;
        if let Some(Segmentation { kind, ecn, size, headers }) = self.segmentation {
            word(2, headers);
            word(4, size);
            how = match kind {
                Kind::TcpV4 => TCP_V4,
                Kind::TcpV6 => TCP_V6,
            };
            how |= if ecn { ECN } else { 0 };
        }
        bytes[0] = flags;
        bytes[1] = how;
        bytes
    }
}

/// Fills in the checksum that is [missing](Checksum::Missing) in `frame`.
///
/// # Errors
///
/// [`Error::Malformed`] when the field, or where the sum begins, is beyond the end of `frame`.
pub fn fill_checksum(frame: &mut [u8], start: u16, offset: u16) -> Result<(), Error> {
    let covered = frame.get_mut(usize::from(start)..).ok_or(Error::Malformed)?;
    let sum = crate::checksum::Sum::of(covered).checksum();
    let Range { start, end } = usize::from(offset)..usize::from(offset) + 2;
    covered.get_mut(start..end).ok_or(Error::Malformed)?.copy_from_slice(&sum.to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Sum;
    use core::net::{IpAddr, Ipv4Addr};
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn a_segment_of_linux() {
        // 14 + 20 + 32 bytes of headers, segments of 1448, CWR.
        let bytes = [1, 0x81, 66, 0, 0xa8, 0x05, 34, 0, 16, 0, 0xff];
        let header = Header::parse(&bytes).unwrap();
        let segmentation = Segmentation { kind: Kind::TcpV4, ecn: true, size: 1448, headers: 66 };
        assert_eq!(header.checksum, Checksum::Missing { start: 34, offset: 16 });
        assert_eq!(header.segmentation, Some(segmentation));
        assert_eq!(header.emit(), bytes[..10]);
    }

    #[test]
    fn what_cannot_be_cut_is_no_header() {
        assert_eq!(Header::parse(&[0; 9]), Err(Error::Truncated));
        // Segments of no bytes; no checksum to be filled in; UDP.
        assert_eq!(Header::parse(&[1, 1, 0, 0, 0, 0, 34, 0, 16, 0]), Err(Error::Malformed));
        assert_eq!(Header::parse(&[0, 1, 0, 0, 9, 0, 34, 0, 16, 0]), Err(Error::Malformed));
        assert_eq!(Header::parse(&[1, 5, 0, 0, 9, 0, 34, 0, 16, 0]), Err(Error::Unsupported));
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed_again(
            how in 0..4, start: u16, offset: u16, ecn: bool, size in 1u16.., headers: u16, six: bool,
        ) {
            let kind = if six { Kind::TcpV6 } else { Kind::TcpV4 };
            let missing = Checksum::Missing { start, offset };
            let (checksum, cut) = match how {
                0 => (Checksum::Unchecked, false),
                1 => (Checksum::Valid, false),
                2 => (missing, false),
                _ => (missing, true),
            };
            let segmentation = cut.then_some(Segmentation { kind, ecn, size, headers });
            let header = Header { checksum, segmentation };
            prop_assert_eq!(Header::parse(&header.emit()), Ok(header));
        }

        #[test]
        fn any_bytes_are_a_header_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let _ = Header::parse(&bytes);
        }

        #[test]
        fn a_filled_in_checksum_is_right(payload in proptest::collection::vec(any::<u8>(), 8..99), start in 0usize..20) {
            let mut frame = [&[9; 20][..start], &payload].concat();
            let address = IpAddr::from(Ipv4Addr::new(10, 9, 0, 2));
            let pseudo = Sum::pseudo_header(address, address, 17, payload.len());
            let partial = !pseudo.checksum();
            frame[start + 6..start + 8].copy_from_slice(&partial.to_be_bytes());
            fill_checksum(&mut frame, start as u16, 6).unwrap();
            prop_assert!(pseudo.and(&frame[start..]).is_whole());
        }

        #[test]
        fn a_field_beyond_the_end_is_an_error(len in 0usize..40, start in 0u16..60, offset in 0u16..60) {
            let mut frame = std::vec![0; len];
            let fits = usize::from(start) <= len && usize::from(start) + usize::from(offset) + 2 <= len;
            prop_assert_eq!(fill_checksum(&mut frame, start, offset).is_ok(), fits);
        }
    }

    #[test]
    fn an_empty_frame_has_no_checksum() {
        assert_eq!(fill_checksum(&mut Vec::new(), 0, 0), Err(Error::Malformed));
    }
}
