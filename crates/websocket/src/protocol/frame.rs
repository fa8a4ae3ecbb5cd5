//! The base framing of RFC 6455, section 5.2.

use crate::{Fault, Kind, Role};

/// Two bytes, a 64-bit length and a masking key.
pub(crate) const MAX_HEADER_LEN: usize = 14;

/// Longest payload of a control frame (section 5.5).
pub(crate) const MAX_CONTROL_LEN: usize = 125;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    pub(crate) fn of(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text,
            Kind::Binary => Self::Binary,
        }
    }

    pub(crate) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    fn parse(nibble: u8) -> Result<Self, Fault> {
        Ok(match nibble {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            reserved => return Err(Fault::ReservedOpcode(reserved)),
        })
    }

    fn nibble(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }
}

/// A frame without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) fin: bool,
    pub(crate) rsv1: bool,
    pub(crate) opcode: Opcode,
    pub(crate) mask: Option<[u8; 4]>,
    /// Bytes of payload.
    pub(crate) len: u64,
}

impl Header {
    /// The header at the start of `bytes` and its length in bytes; `None` when `bytes` ends inside it. Every rule that
    /// can be checked on the bytes that are there is checked, so that a faulty peer hears of it as early as can be.
    ///
    /// `receiver` is our role; `rsv1_allowed` whether an extension gives RSV1 a meaning.
    #[inline(always)]
    pub(crate) fn parse(
        bytes: &[u8],
        receiver: Role,
        rsv1_allowed: bool,
    ) -> Result<Option<(Self, usize)>, Fault> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let fin = first & 0x80 != 0;
        let rsv1 = first & 0x40 != 0;
        if first & 0x30 != 0 || (rsv1 && !rsv1_allowed) {
            return Err(Fault::ReservedBit);
        }
        let opcode = Opcode::parse(first & 0x0F)?;
        if opcode.is_control() {
            if !fin {
                return Err(Fault::ControlFragmented);
            }
            if rsv1 {
                return Err(Fault::ReservedBit);
            }
        }
        // RFC 7692, section 6.1: only a message's first frame carries the bit.
        if opcode == Opcode::Continuation && rsv1 {
            return Err(Fault::ReservedBit);
        }

        let Some(&second) = bytes.get(1) else { return Ok(None) };
        let masked = second & 0x80 != 0;
        match receiver {
            Role::Server if !masked => return Err(Fault::Unmasked),
            Role::Client if masked => return Err(Fault::Masked),
            _ => {}
        }
        let short = second & 0x7F;
        if opcode.is_control() && usize::from(short) > MAX_CONTROL_LEN {
            return Err(Fault::ControlTooLong);
        }
        let (len, mut at) = match short {
            126 => {
                let Some(field) = bytes.get(2..4) else { return Ok(None) };
                let len = u64::from(u16::from_be_bytes([field[0], field[1]]));
                if len < 126 {
                    return Err(Fault::LengthNotMinimal);
                }
                (len, 4)
            }
            127 => {
                if bytes.get(2).is_some_and(|top| top & 0x80 != 0) {
                    return Err(Fault::LengthTooLarge);
                }
                let Some(field) = bytes.get(2..10) else { return Ok(None) };
                let len = field.iter().fold(0, |len, &byte| len << 8 | u64::from(byte));
                if len <= u64::from(u16::MAX) {
                    return Err(Fault::LengthNotMinimal);
                }
                (len, 10)
            }
            short => (u64::from(short), 2),
        };
        let mask = if masked {
            let Some(&mask) = bytes[at..].first_chunk() else { return Ok(None) };
            at += 4;
            Some(mask)
        } else {
            None
        };
        Ok(Some((Self { fin, rsv1, opcode, mask, len }, at)))
    }

    /// Appends the header to `out`.
    #[inline]
    pub(crate) fn emit(&self, out: &mut Vec<u8>) {
        let first = u8::from(self.fin) << 7 | u8::from(self.rsv1) << 6 | self.opcode.nibble();
        let mask_bit = u8::from(self.mask.is_some()) << 7;
        match self.len {
            len @ 0..126 => out.extend_from_slice(&[first, mask_bit | len as u8]),
            len @ 126..65_536 => {
                let [high, low] = (len as u16).to_be_bytes();
                out.extend_from_slice(&[first, mask_bit | 126, high, low]);
            }
            len => {
                out.extend_from_slice(&[first, mask_bit | 127]);
                out.extend_from_slice(&len.to_be_bytes());
            }
        }
        if let Some(mask) = self.mask {
            out.extend_from_slice(&mask);
        }
    }
}

/// The whole length, header and payload, of a frame that we made ourselves and that begins `bytes`.
pub(crate) fn own_frame_len(bytes: &[u8]) -> u64 {
    let masked = if bytes[1] & 0x80 != 0 { 4 } else { 0 };
    masked
        + match bytes[1] & 0x7F {
            126 => 4 + u64::from(u16::from_be_bytes([bytes[2], bytes[3]])),
            127 => 10 + bytes[2..10].iter().fold(0, |len, &byte| len << 8 | u64::from(byte)),
            short => 2 + u64::from(short),
        }
}
