//! WebSocket frames, found in a stream of bytes (RFC 6455 section 5.2).

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The last frame of its message.
    pub(super) is_last: bool,
    /// The message is compressed (RFC 7692): said of its first frame.
    pub(super) is_compressed: bool,
    pub(super) opcode: u8,
    pub(super) mask: Option<[u8; 4]>,
    /// Bytes of payload.
    pub(super) payload: u64,
    /// Bytes of this header.
    pub(super) len: usize,
}

/// The longest header.
pub(super) const LONGEST: usize = 14;

impl Header {
    /// The header at the beginning of `bytes`, once all of it is there. What is no WebSocket is not told from what is: the
    /// ends have agreed on it.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let [first, second] = *bytes.first_chunk()?;
        let (payload, at) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)), 4),
            127 => (u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?), 10),
            short => (u64::from(short), 2),
        };
        let is_masked = second & 0x80 != 0;
        let mask = match is_masked {
            true => Some(*bytes.get(at..)?.first_chunk()?),
            false => None,
        };
        Some(Self {
            is_last: first & 0x80 != 0,
            is_compressed: first & 0x40 != 0,
            opcode: first & 0x0f,
            mask,
            payload,
            len: at + if is_masked { 4 } else { 0 },
        })
    }

    /// It says something about the connection, and no message.
    pub(super) fn is_control(&self) -> bool {
        self.opcode & 0x8 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        // RFC 6455 section 5.7.
        let hello = Header::parse(&[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f]).unwrap();
        let expected = Header {
            is_last: true,
            is_compressed: false,
            opcode: 1,
            mask: Some([0x37, 0xfa, 0x21, 0x3d]),
            payload: 5,
            len: 6,
        };
        assert_eq!(hello, expected);
        let kilobytes = Header::parse(&[0x82, 0x7e, 0x01, 0x00]).unwrap();
        assert_eq!((kilobytes.payload, kilobytes.len), (256, 4));
        let long = Header::parse(&[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]).unwrap();
        assert_eq!((long.payload, long.len), (65_536, 10));
        for cut in 0..7 {
            assert_eq!(Header::parse(&[0x81, 0xfe, 0, 1, 2, 3, 4, 5][..cut]), None);
        }
        assert!(Header::parse(&[0x89, 0]).unwrap().is_control());
    }
}
