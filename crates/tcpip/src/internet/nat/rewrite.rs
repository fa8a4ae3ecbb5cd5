//! Endpoints in packets: found, and changed in place with the checksums that cover them (RFC 1624).

use std::net::{IpAddr, SocketAddrV4};

use wire::checksum::{self, Sum};
use wire::tcp::Flags;
use wire::{Protocol, ipv4};

use super::table::Kind;

/// Between whom a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) kind: Kind,
    /// For a ping its identifier is both ports.
    pub(super) source: SocketAddrV4,
    pub(super) destination: SocketAddrV4,
    /// The control bits of TCP.
    pub(super) flags: Flags,
    pub(super) is_echo_reply: bool,
}

/// Which end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Source,
    Destination,
}

const ECHO_REPLY: u8 = 0;
const UNREACHABLE: u8 = 3;
const ECHO_REQUEST: u8 = 8;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;

/// What an ICMP error has before the packet that it quotes.
const ERROR_HEADER: usize = 8;

impl Flow {
    /// The flow of a packet with this header; `None` when it has none that can be translated.
    pub(super) fn of(header: &ipv4::Header, payload: &[u8]) -> Option<Self> {
        let whole = match header.protocol {
            Protocol::TCP => 20,
            Protocol::UDP | Protocol::ICMP => 8,
            _ => return None,
        };
        let flow = Self::of_quoted(header, payload)?;
        (payload.len() >= whole).then_some(flow)
    }

    /// As much of it as the first eight bytes say.
    fn of_quoted(header: &ipv4::Header, payload: &[u8]) -> Option<Self> {
        let head = payload.get(..8).filter(|_| header.fragment_offset == 0)?;
        let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        let (kind, source, destination) = match header.protocol {
            Protocol::TCP => (Kind::Tcp, word(0), word(2)),
            Protocol::UDP => (Kind::Udp, word(0), word(2)),
            Protocol::ICMP if matches!(head[0], ECHO_REPLY | ECHO_REQUEST) => (Kind::Echo, word(4), word(4)),
            _ => return None,
        };
        let flags = payload.get(12..14).map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]) & 0x1ff);
        Some(Self {
            kind,
            source: SocketAddrV4::new(header.source, source),
            destination: SocketAddrV4::new(header.destination, destination),
            flags: Flags(if kind == Kind::Tcp { flags } else { 0 }),
            is_echo_reply: kind == Kind::Echo && head[0] == ECHO_REPLY,
        })
    }
}

/// The flow of the packet that an ICMP error quotes; `None` when it is no such error, or damaged.
pub(super) fn quoted(protocol: Protocol, payload: &[u8]) -> Option<Flow> {
    let kind = *payload.first()?;
    let is_error = matches!(kind, UNREACHABLE | TIME_EXCEEDED | PARAMETER_PROBLEM);
    if protocol != Protocol::ICMP || !is_error || !Sum::of(payload).is_whole() {
        return None;
    }
    let (header, payload) = ipv4::Header::parse_quoted(payload.get(ERROR_HEADER..)?).ok()?;
    Flow::of_quoted(&header, payload)
}

/// Changes one end of a flow in its TCP segment, UDP datagram or ping, which may be cut off behind its first eight bytes.
pub(super) fn endpoint(kind: Kind, payload: &mut [u8], end: End, old: SocketAddrV4, new: SocketAddrV4) {
    let (port, checksum) = match (kind, end) {
        (Kind::Tcp, End::Source) => (0, 16),
        (Kind::Tcp, End::Destination) => (2, 16),
        (Kind::Udp, End::Source) => (0, 6),
        (Kind::Udp, End::Destination) => (2, 6),
        (Kind::Echo, _) => (4, 2),
    };
    put(payload, port, new.port());
    let Some(before) = get(payload, checksum) else { return };
    // A datagram without a checksum stays without (RFC 768).
    if kind == Kind::Udp && before == 0 {
        return;
    }
    let mut sum = checksum::update(before, old.port(), new.port());
    if kind != Kind::Echo {
        sum = checksum::update_address(sum, IpAddr::V4(*old.ip()), IpAddr::V4(*new.ip()));
    }
    if kind == Kind::Udp && sum == 0 {
        sum = 0xffff;
    }
    put(payload, checksum, sum);
}

/// Changes one end of the flow that an ICMP error quotes, and the error's own checksum.
pub(super) fn quote(payload: &mut [u8], end: End, old: SocketAddrV4, new: SocketAddrV4) {
    let packet = &mut payload[ERROR_HEADER..];
    let Ok((header, _)) = ipv4::Header::parse_quoted(packet) else { return };
    let at = if end == End::Source { 12 } else { 16 };
    packet[at..at + 4].copy_from_slice(&new.ip().octets());
    let sum = get(packet, 10)
        .map(|sum| checksum::update_address(sum, IpAddr::V4(*old.ip()), IpAddr::V4(*new.ip())));
    put(packet, 10, sum.unwrap_or_default());
    let kind = match header.protocol {
        Protocol::TCP => Kind::Tcp,
        Protocol::UDP => Kind::Udp,
        _ => Kind::Echo,
    };
    endpoint(kind, &mut packet[header.len()..], end, old, new);
    put(payload, 2, 0);
    let sum = Sum::of(payload).checksum();
    put(payload, 2, sum);
}

fn get(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).map(|word| u16::from_be_bytes([word[0], word[1]]))
}

fn put(bytes: &mut [u8], at: usize, word: u16) {
    if let Some(place) = bytes.get_mut(at..at + 2) {
        place.copy_from_slice(&word.to_be_bytes());
    }
}
