//! ICMP for IPv4 (RFC 792, RFC 1122 section 3.2.2, RFC 1812 section 4.3).

mod code;

pub use code::{Redirect, TimeExceeded, Unreachable};

use core::net::Ipv4Addr;

use crate::Error;
use crate::bytes::{array, put, u16_at};
use crate::checksum::Sum;
pub use crate::icmp::Echo;
use crate::icmp::quoted;

/// An ICMP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Is anybody there?
    EchoRequest(Echo<'a>),
    /// Yes.
    EchoReply(Echo<'a>),
    /// A packet cannot be delivered.
    Unreachable {
        /// Why.
        code: Unreachable,
        /// The beginning of the packet, at least its header and eight bytes.
        quoted: &'a [u8],
    },
    /// A packet was on its way, or in pieces, for too long.
    TimeExceeded {
        /// Which of the two.
        code: TimeExceeded,
        /// The beginning of the packet.
        quoted: &'a [u8],
    },
    /// A packet makes no sense.
    ParameterProblem {
        /// Zero when the pointer says where; one for a missing option.
        code: u8,
        /// The byte that is wrong.
        pointer: u8,
        /// The beginning of the packet.
        quoted: &'a [u8],
    },
    /// There is a shorter way.
    Redirect {
        /// For which packets.
        code: Redirect,
        /// The router to send them to.
        gateway: Ipv4Addr,
        /// The beginning of the packet that went the longer one.
        quoted: &'a [u8],
    },
    /// Deprecated, and to be ignored (RFC 6633).
    SourceQuench {
        /// The beginning of the packet.
        quoted: &'a [u8],
    },
    /// Anything else.
    Other {
        /// Its type.
        kind: u8,
        /// Its code.
        code: u8,
        /// What follows the checksum.
        body: &'a [u8],
    },
}

const ECHO_REPLY: u8 = 0;
const UNREACHABLE: u8 = 3;
const SOURCE_QUENCH: u8 = 4;
const REDIRECT: u8 = 5;
const ECHO_REQUEST: u8 = 8;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;

impl<'a> Message<'a> {
    /// Length in bytes of a message that quotes or brings back nothing.
    pub const MIN_LEN: usize = 8;

    /// The message that `bytes`, the whole payload of a packet, are.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] for fewer than eight bytes, [`Error::Checksum`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let (header, rest) = bytes.split_at_checked(Self::MIN_LEN).ok_or(Error::Truncated)?;
        if !Sum::of(bytes).is_whole() {
            return Err(Error::Checksum);
        }
        let code = header[1];
        let echo = Echo { identifier: u16_at(header, 4), sequence: u16_at(header, 6), data: rest };
        let packet = quoted(rest, usize::from(header[5]) * 4);
        Ok(match (header[0], code) {
            (ECHO_REQUEST, 0) => Self::EchoRequest(echo),
            (ECHO_REPLY, 0) => Self::EchoReply(echo),
            (UNREACHABLE, _) => {
                Self::Unreachable { code: Unreachable::of(code, u16_at(header, 6)), quoted: packet }
            }
            (TIME_EXCEEDED, _) => Self::TimeExceeded { code: TimeExceeded::of(code), quoted: packet },
            (PARAMETER_PROBLEM, _) => Self::ParameterProblem { code, pointer: header[4], quoted: packet },
            (REDIRECT, _) => Self::Redirect {
                code: Redirect::of(code),
                gateway: Ipv4Addr::from(array(header, 4)),
                quoted: rest,
            },
            (SOURCE_QUENCH, 0) => Self::SourceQuench { quoted: rest },
            (kind, _) => Self::Other { kind, code, body: &bytes[4..] },
        })
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::EchoRequest(echo) | Self::EchoReply(echo) => Self::MIN_LEN + echo.data.len(),
            Self::Unreachable { quoted, .. }
            | Self::TimeExceeded { quoted, .. }
            | Self::ParameterProblem { quoted, .. }
            | Self::Redirect { quoted, .. }
            | Self::SourceQuench { quoted } => Self::MIN_LEN + quoted.len(),
            Self::Other { body, .. } => 4 + body.len(),
        }
    }

    /// Never: a message has at least four bytes.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Whether the message tells of an error. Never answer one with another (RFC 1122 section 3.2.2).
    pub fn is_error(&self) -> bool {
        !matches!(self, Self::EchoRequest(_) | Self::EchoReply(_) | Self::Other { .. })
    }

    /// Writes the message, with its checksum, to the first [`len`](Self::len) bytes of `bytes`.
    ///
    /// # Panics
    ///
    /// When `bytes` is shorter.
    pub fn emit(&self, bytes: &mut [u8]) {
        let bytes = &mut bytes[..self.len()];
        let (kind, code, field, rest) = match self {
            Self::EchoRequest(echo) => (ECHO_REQUEST, 0, echo_field(echo), echo.data),
            Self::EchoReply(echo) => (ECHO_REPLY, 0, echo_field(echo), echo.data),
            Self::Unreachable { code, quoted } => {
                let [high, low] = code.next_hop_mtu().to_be_bytes();
                (UNREACHABLE, code.code(), [0, 0, high, low], *quoted)
            }
            Self::TimeExceeded { code, quoted } => (TIME_EXCEEDED, code.code(), [0; 4], *quoted),
            Self::ParameterProblem { code, pointer, quoted } => {
                (PARAMETER_PROBLEM, *code, [*pointer, 0, 0, 0], *quoted)
            }
            Self::Redirect { code, gateway, quoted } => (REDIRECT, code.code(), gateway.octets(), *quoted),
            Self::SourceQuench { quoted } => (SOURCE_QUENCH, 0, [0; 4], *quoted),
            Self::Other { kind, code, body } => {
                put(bytes, 4, body);
                return finish(bytes, *kind, *code);
            }
        };
        put(bytes, 4, &field);
        put(bytes, 8, rest);
        finish(bytes, kind, code);
    }
}

fn echo_field(echo: &Echo<'_>) -> [u8; 4] {
    (u32::from(echo.identifier) << 16 | u32::from(echo.sequence)).to_be_bytes()
}

fn finish(bytes: &mut [u8], kind: u8, code: u8) {
    put(bytes, 0, &[kind, code, 0, 0]);
    let checksum = Sum::of(bytes).checksum();
    put(bytes, 2, &checksum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn a_router_says_the_mtu() {
        let mut bytes = vec![3, 4, 0, 0, 0, 0, 0x05, 0x14];
        bytes.extend([7; 28]);
        let checksum = Sum::of(&bytes).checksum().to_be_bytes();
        bytes[2..4].copy_from_slice(&checksum);
        let code = Unreachable::FragmentationNeeded { next_hop_mtu: 1300 };
        assert_eq!(Message::parse(&bytes), Ok(Message::Unreachable { code, quoted: &[7; 28] }));
        bytes[9] ^= 1;
        assert_eq!(Message::parse(&bytes), Err(Error::Checksum));
        assert_eq!(Message::parse(&bytes[..7]), Err(Error::Truncated));
    }

    #[test]
    fn an_echo_has_no_code() {
        for kind in [ECHO_REQUEST, ECHO_REPLY, SOURCE_QUENCH] {
            let mut bytes = [kind, 9, 0, 0, 0, 0, 0, 0];
            let checksum = Sum::of(&bytes).checksum().to_be_bytes();
            bytes[2..4].copy_from_slice(&checksum);
            let other = Message::Other { kind, code: 9, body: &[0; 4] };
            assert_eq!(Message::parse(&bytes), Ok(other));
        }
    }

    #[test]
    fn extensions_are_not_of_the_quoted_packet() {
        let mut bytes = vec![11, 0, 0, 0, 0, 32, 0, 0];
        bytes.extend([7; 128 + 12]);
        let checksum = Sum::of(&bytes).checksum().to_be_bytes();
        bytes[2..4].copy_from_slice(&checksum);
        let quoted = &[7; 128][..];
        assert_eq!(
            Message::parse(&bytes),
            Ok(Message::TimeExceeded { code: TimeExceeded::InTransit, quoted })
        );
    }

    fn message(kind: u8, code: u8, field: [u8; 4], data: &[u8]) -> Message<'_> {
        let echo = Echo { identifier: u16_at(&field, 0), sequence: u16_at(&field, 2), data };
        match kind {
            0 => Message::EchoRequest(echo),
            1 => Message::EchoReply(echo),
            2 => Message::Unreachable { code: Unreachable::of(code, u16_at(&field, 2)), quoted: data },
            3 => Message::TimeExceeded { code: TimeExceeded::of(code), quoted: data },
            4 => Message::ParameterProblem { code, pointer: field[0], quoted: data },
            5 => Message::Redirect { code: Redirect::of(code), gateway: field.into(), quoted: data },
            _ => Message::SourceQuench { quoted: data },
        }
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed_again(kind in 0u8..7, code in 0u8..20, field: [u8; 4], data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let message = message(kind, code, field, &data);
            let mut bytes = vec![0xaa; message.len() + 3];
            message.emit(&mut bytes);
            prop_assert_eq!(Message::parse(&bytes[..message.len()]), Ok(message));
        }

        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0u8..20) {
            let mut bytes: Vec<u8> = bytes;
            if bytes.len() >= 4 {
                bytes[0] = kind;
                bytes[2..4].fill(0);
                let checksum = Sum::of(&bytes).checksum().to_be_bytes();
                bytes[2..4].copy_from_slice(&checksum);
            }
            match Message::parse(&bytes) {
                Ok(message) => {
                    let mut again = vec![0; message.len()];
                    message.emit(&mut again);
                    prop_assert_eq!(Message::parse(&again), Ok(message));
                }
                Err(error) => prop_assert!(error == Error::Truncated && bytes.len() < 8),
            }
        }
    }
}
