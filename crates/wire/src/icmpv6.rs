//! ICMP for IPv6 (RFC 4443), and within it neighbour discovery ([`ndp`]) and multicast listener discovery
//! ([`mld`]).

use crate::bytes::{put, u16_at, u32_at};
use crate::checksum::Sum;
pub use crate::icmp::Echo;
use crate::icmp::quoted;
pub use crate::ipv6::ParameterProblem;
use crate::{Error, mld, ndp};

/// An ICMPv6 message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A packet cannot be delivered.
    Unreachable {
        /// Why.
        code: Unreachable,
        /// As much of the packet as fits.
        quoted: &'a [u8],
    },
    /// A packet is too long for a link.
    PacketTooBig {
        /// What that link takes, in bytes.
        mtu: u32,
        /// As much of the packet as fits.
        quoted: &'a [u8],
    },
    /// A packet was on its way, or in pieces, for too long.
    TimeExceeded {
        /// Which of the two.
        code: TimeExceeded,
        /// As much of the packet as fits.
        quoted: &'a [u8],
    },
    /// A packet makes no sense.
    ParameterProblem {
        /// Why.
        code: ParameterProblem,
        /// The byte that is wrong, which may be beyond what is quoted.
        pointer: u32,
        /// As much of the packet as fits.
        quoted: &'a [u8],
    },
    /// Is anybody there?
    EchoRequest(Echo<'a>),
    /// Yes.
    EchoReply(Echo<'a>),
    /// Neighbour discovery.
    Neighbor(ndp::Message<'a>),
    /// Multicast listener discovery.
    Multicast(mld::Message<'a>),
    /// Anything else.
    Other {
        /// Its type; below 128 it tells of an error.
        kind: u8,
        /// Its code.
        code: u8,
        /// What follows the checksum.
        body: &'a [u8],
    },
}

/// Why a packet cannot be delivered (RFC 4443 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// No way to the destination.
    NoRoute,
    /// An administrator forbids it.
    Prohibited,
    /// The destination is beyond the scope of the source address.
    BeyondScope,
    /// The destination does not answer on its link, or another reason.
    Address,
    /// Nobody listens at the port.
    Port,
    /// The source address is not let in or out.
    SourcePolicy,
    /// The way to the destination is closed.
    RejectRoute,
    /// A code that is none of these.
    Other(u8),
}

/// Where time ran out (RFC 4443 section 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeExceeded {
    /// No router may forward the packet any more.
    InTransit,
    /// Not all fragments came.
    Reassembly,
    /// A code that is none of these.
    Other(u8),
}

const UNREACHABLE: u8 = 1;
const PACKET_TOO_BIG: u8 = 2;
const TIME_EXCEEDED: u8 = 3;
const PARAMETER_PROBLEM: u8 = 4;
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;

impl<'a> Message<'a> {
    /// Length in bytes of a message that quotes or brings back nothing.
    pub const MIN_LEN: usize = 8;

    /// The message that `bytes`, the whole payload of a packet, are.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] for fewer bytes than its type needs, [`Error::Checksum`], [`Error::Malformed`] where
    /// neighbour or multicast listener discovery says that a message is not valid.
    pub fn parse(bytes: &'a [u8], pseudo_header: Sum) -> Result<Self, Error> {
        let (header, rest) = bytes.split_at_checked(Self::MIN_LEN).ok_or(Error::Truncated)?;
        if !pseudo_header.and(bytes).is_whole() {
            return Err(Error::Checksum);
        }
        let (kind, code, body) = (header[0], header[1], &bytes[4..]);
        let echo = Echo { identifier: u16_at(header, 4), sequence: u16_at(header, 6), data: rest };
        let packet = quoted(rest, usize::from(header[4]) * 8);
        Ok(match (kind, code) {
            (UNREACHABLE, _) => Self::Unreachable { code: Unreachable::of(code), quoted: packet },
            // Its code is ignored (RFC 4443 section 3.2).
            (PACKET_TOO_BIG, _) => Self::PacketTooBig { mtu: u32_at(header, 4), quoted: rest },
            (TIME_EXCEEDED, _) => Self::TimeExceeded { code: TimeExceeded::of(code), quoted: packet },
            (PARAMETER_PROBLEM, _) => Self::ParameterProblem {
                code: ParameterProblem::of(code),
                pointer: u32_at(header, 4),
                quoted: rest,
            },
            (ECHO_REQUEST, 0) => Self::EchoRequest(echo),
            (ECHO_REPLY, 0) => Self::EchoReply(echo),
            _ if ndp::Message::has_type(kind) => Self::Neighbor(ndp::Message::parse(kind, code, body)?),
            _ if mld::Message::has_type(kind) => Self::Multicast(mld::Message::parse(kind, body)?),
            _ => Self::Other { kind, code, body },
        })
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Unreachable { quoted, .. }
            | Self::PacketTooBig { quoted, .. }
            | Self::TimeExceeded { quoted, .. }
            | Self::ParameterProblem { quoted, .. } => Self::MIN_LEN + quoted.len(),
            Self::EchoRequest(echo) | Self::EchoReply(echo) => Self::MIN_LEN + echo.data.len(),
            Self::Neighbor(message) => 4 + message.body_len(),
            Self::Multicast(message) => 4 + message.body_len(),
            Self::Other { body, .. } => 4 + body.len(),
        }
    }

    /// Never: a message has at least four bytes.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Whether the message tells of an error. Never answer one with another (RFC 4443 section 2.4 (e.1)).
    pub fn is_error(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::PacketTooBig { .. }
            | Self::TimeExceeded { .. }
            | Self::ParameterProblem { .. } => true,
            Self::Other { kind, .. } => *kind < 128,
            _ => false,
        }
    }

    /// Writes the message, with its checksum, to the first [`len`](Self::len) bytes of `bytes`. The pseudo-header's
    /// length is that.
    ///
    /// # Panics
    ///
    /// When `bytes` is shorter.
    pub fn emit(&self, bytes: &mut [u8], pseudo_header: Sum) {
        let bytes = &mut bytes[..self.len()];
        let body = &mut bytes[4..];
        let (kind, code) = match self {
            Self::Unreachable { code, quoted } => {
                write(body, [0; 4], quoted);
                (UNREACHABLE, code.code())
            }
            Self::PacketTooBig { mtu, quoted } => {
                write(body, mtu.to_be_bytes(), quoted);
                (PACKET_TOO_BIG, 0)
            }
            Self::TimeExceeded { code, quoted } => {
                write(body, [0; 4], quoted);
                (TIME_EXCEEDED, code.code())
            }
            Self::ParameterProblem { code, pointer, quoted } => {
                write(body, pointer.to_be_bytes(), quoted);
                (PARAMETER_PROBLEM, code.code())
            }
            Self::EchoRequest(echo) => {
                write(body, echo_field(echo), echo.data);
                (ECHO_REQUEST, 0)
            }
            Self::EchoReply(echo) => {
                write(body, echo_field(echo), echo.data);
                (ECHO_REPLY, 0)
            }
            Self::Neighbor(message) => (message.emit(body), 0),
            Self::Multicast(message) => (message.emit(body), 0),
            Self::Other { kind, code, body: rest } => {
                put(body, 0, rest);
                (*kind, *code)
            }
        };
        put(bytes, 0, &[kind, code, 0, 0]);
        let checksum = pseudo_header.and(bytes).checksum();
        put(bytes, 2, &checksum.to_be_bytes());
    }
}

impl Unreachable {
    fn of(code: u8) -> Self {
        match code {
            0 => Self::NoRoute,
            1 => Self::Prohibited,
            2 => Self::BeyondScope,
            3 => Self::Address,
            4 => Self::Port,
            5 => Self::SourcePolicy,
            6 => Self::RejectRoute,
            other => Self::Other(other),
        }
    }

    /// Its number.
    pub fn code(self) -> u8 {
        match self {
            Self::NoRoute => 0,
            Self::Prohibited => 1,
            Self::BeyondScope => 2,
            Self::Address => 3,
            Self::Port => 4,
            Self::SourcePolicy => 5,
            Self::RejectRoute => 6,
            Self::Other(other) => other,
        }
    }
}

impl TimeExceeded {
    fn of(code: u8) -> Self {
        match code {
            0 => Self::InTransit,
            1 => Self::Reassembly,
            other => Self::Other(other),
        }
    }

    /// Its number.
    pub fn code(self) -> u8 {
        match self {
            Self::InTransit => 0,
            Self::Reassembly => 1,
            Self::Other(other) => other,
        }
    }
}

fn echo_field(echo: &Echo<'_>) -> [u8; 4] {
    (u32::from(echo.identifier) << 16 | u32::from(echo.sequence)).to_be_bytes()
}

fn write(body: &mut [u8], field: [u8; 4], rest: &[u8]) {
    put(body, 0, &field);
    put(body, 4, rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{IpAddr, Ipv6Addr};
    use proptest::prelude::*;
    use std::vec;

    fn pseudo_header(len: usize) -> Sum {
        let address = |last| IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last));
        Sum::pseudo_header(address(1), address(2), 58, len)
    }

    #[test]
    fn extensions_are_not_of_the_quoted_packet() {
        let mut bytes = vec![3, 0, 0, 0, 17, 0, 0, 0];
        bytes.extend([7; 136 + 12]);
        let sum = pseudo_header(bytes.len());
        let checksum = sum.and(&bytes).checksum().to_be_bytes();
        bytes[2..4].copy_from_slice(&checksum);
        let quoted = &[7; 136][..];
        let code = TimeExceeded::InTransit;
        assert_eq!(Message::parse(&bytes, sum), Ok(Message::TimeExceeded { code, quoted }));
    }

    fn message(kind: u8, code: u8, field: [u8; 4], data: &[u8]) -> Message<'_> {
        let echo = Echo { identifier: u16_at(&field, 0), sequence: u16_at(&field, 2), data };
        match kind {
            0 => Message::EchoRequest(echo),
            1 => Message::EchoReply(echo),
            2 => Message::Unreachable { code: Unreachable::of(code), quoted: data },
            3 => Message::TimeExceeded { code: TimeExceeded::of(code), quoted: data },
            4 => {
                let (code, pointer) = (ParameterProblem::of(code), u32_at(&field, 0));
                Message::ParameterProblem { code, pointer, quoted: data }
            }
            _ => Message::PacketTooBig { mtu: u32_at(&field, 0), quoted: data },
        }
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed_again(kind in 0u8..6, code in 0u8..9, field: [u8; 4], data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let message = message(kind, code, field, &data);
            let mut bytes = vec![0xaa; message.len() + 3];
            message.emit(&mut bytes, pseudo_header(message.len()));
            let bytes = &mut bytes[..message.len()];
            prop_assert_eq!(Message::parse(bytes, pseudo_header(bytes.len())), Ok(message));
            bytes[1] ^= 1;
            prop_assert_eq!(Message::parse(bytes, pseudo_header(bytes.len())), Err(Error::Checksum));
        }

        #[test]
        fn any_bytes_are_a_message_or_an_error(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
            kind in prop_oneof![0u8..6, 126u8..146], plain: bool,
        ) {
            if bytes.len() >= 4 {
                bytes[0] = kind;
                // Few random bytes are a list of options; none are easily.
                if plain {
                    bytes[1] = 0;
                    bytes.truncate(24);
                }
                bytes[2..4].fill(0);
                let checksum = pseudo_header(bytes.len()).and(&bytes).checksum().to_be_bytes();
                bytes[2..4].copy_from_slice(&checksum);
            }
            match Message::parse(&bytes, pseudo_header(bytes.len())) {
                Ok(message) => {
                    let mut again = vec![0; message.len()];
                    let sum = pseudo_header(message.len());
                    message.emit(&mut again, sum);
                    prop_assert_eq!(Message::parse(&again, sum), Ok(message));
                }
                Err(error) => prop_assert!(error != Error::Checksum || bytes.len() < 4),
            }
        }
    }
}
