//! IPv4 (RFC 791) with options, and the protocol numbers that both IP versions share.

use core::fmt;
use core::net::Ipv4Addr;

use crate::Error;
use crate::bytes::{array, put, u16_at};
use crate::checksum::Sum;

/// An IPv4 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Differentiated services (RFC 2474) in the upper six bits, congestion notification (RFC 3168) in the lower two.
    pub traffic_class: u8,
    /// Tells the fragments of one packet from those of another.
    pub identification: u16,
    /// No router may cut this packet.
    pub dont_fragment: bool,
    /// This is not the packet's last fragment.
    pub more_fragments: bool,
    /// Where in its packet this fragment begins: in bytes, a multiple of eight, below 65,536.
    pub fragment_offset: u16,
    /// Routers that may still forward it.
    pub ttl: u8,
    /// What the payload is.
    pub protocol: Protocol,
    /// From whom.
    pub source: Ipv4Addr,
    /// To whom.
    pub destination: Ipv4Addr,
    /// Rarely any.
    pub options: Options,
}

impl Header {
    /// Length in bytes without options.
    pub const MIN_LEN: usize = 20;

    /// The header of `packet` and its payload. What follows the packet's own length is padding.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] when `packet` is shorter than it says, [`Error::Malformed`] for another version, lengths that
    /// contradict each other, the reserved flag, or a fragment that would end beyond 65,535 bytes, [`Error::Checksum`].
    pub fn parse(packet: &[u8]) -> Result<(Self, &[u8]), Error> {
        let (header, payload) = Self::parse_quoted(packet)?;
        let total_len = usize::from(u16_at(packet, 2));
        let payload_len = total_len.checked_sub(header.len()).ok_or(Error::Malformed)?;
        let payload = payload.get(..payload_len).ok_or(Error::Truncated)?;
        if !Sum::of(&packet[..header.len()]).is_whole() {
            return Err(Error::Checksum);
        }
        let reserved = packet[6] & 0x80 != 0;
        if reserved || usize::from(header.fragment_offset) + total_len > usize::from(u16::MAX) {
            return Err(Error::Malformed);
        }
        Ok((header, payload))
    }

    /// The header of a packet whose beginning is `packet`, as an ICMP error quotes it, and as much as there is of its
    /// payload. Routers that have cut and changed it (RFC 1812 section 4.3.2.3 asks for little) are forgiven: neither the
    /// packet's length nor the checksum is looked at.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] when the header is not whole, [`Error::Malformed`] for another version or a header length of
    /// less than 20 bytes.
    pub fn parse_quoted(packet: &[u8]) -> Result<(Self, &[u8]), Error> {
        let fixed = packet.get(..Self::MIN_LEN).ok_or(Error::Truncated)?;
        let header_len = usize::from(fixed[0] & 0x0f) * 4;
        if fixed[0] >> 4 != 4 || header_len < Self::MIN_LEN {
            return Err(Error::Malformed);
        }
        let (header, payload) = packet.split_at_checked(header_len).ok_or(Error::Truncated)?;
        let fragment = u16_at(header, 6);
        let parsed = Self {
            traffic_class: header[1],
            identification: u16_at(header, 4),
            dont_fragment: fragment & 0x4000 != 0,
            more_fragments: fragment & 0x2000 != 0,
            fragment_offset: (fragment & 0x1fff) << 3,
            ttl: header[8],
            protocol: Protocol(header[9]),
            source: Ipv4Addr::from(array(header, 12)),
            destination: Ipv4Addr::from(array(header, 16)),
            options: Options::new(&header[Self::MIN_LEN..]).unwrap_or_default(),
        };
        Ok((parsed, payload))
    }

    /// Length in bytes with options.
    pub fn len(&self) -> usize {
        Self::MIN_LEN + self.options.as_bytes().len()
    }

    /// Never: a header has at least 20 bytes.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Whether the packet is a part of a larger one.
    pub fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }

    /// Writes the header, with its checksum, to the first [`len`](Self::len) bytes of `packet`. The payload of
    /// `payload_len` bytes follows it.
    ///
    /// # Panics
    ///
    /// When `packet` is shorter than the header, or both together are longer than 65,535 bytes.
    pub fn emit(&self, packet: &mut [u8], payload_len: usize) {
        let Self {
            traffic_class,
            identification,
            dont_fragment,
            more_fragments,
            fragment_offset,
            ttl,
            protocol,
            source,
            destination,
            options,
        } = self;
        let header = &mut packet[..self.len()];
        let total_len =
            u16::try_from(header.len() + payload_len).expect("an IPv4 packet has 65,535 bytes at most");
        let fragment =
            u16::from(*dont_fragment) << 14 | u16::from(*more_fragments) << 13 | fragment_offset >> 3;
        header[0] = 0x40 | (header.len() / 4) as u8;
        header[1] = *traffic_class;
        put(header, 2, &total_len.to_be_bytes());
        put(header, 4, &identification.to_be_bytes());
        put(header, 6, &fragment.to_be_bytes());
        header[8] = *ttl;
        header[9] = protocol.0;
        put(header, 10, &[0, 0]);
        put(header, 12, &source.octets());
        put(header, 16, &destination.octets());
        put(header, Self::MIN_LEN, options.as_bytes());
        let checksum = Sum::of(header).checksum();
        put(header, 10, &checksum.to_be_bytes());
    }
}

/// The options of a header as they are on the wire: at most 40 bytes, padded to a multiple of four.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Options {
    bytes: [u8; 40],
    len: u8,
}

impl Options {
    /// Holds `bytes`, padded with "end of options"; `None` when there are more than 40.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut held = [0; 40];
        held.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { bytes: held, len: bytes.len().next_multiple_of(4) as u8 })
    }

    /// The bytes with their padding.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The options one by one. Ends early where one is malformed.
    pub fn iter(&self) -> impl Iterator<Item = RawOption<'_>> {
        let mut rest = self.as_bytes();
        core::iter::from_fn(move || {
            loop {
                let (&kind, tail) = rest.split_first()?;
                match kind {
                    0 => return None,
                    1 => rest = tail,
                    _ => {
                        let len = usize::from(*tail.first()?);
                        let data = rest.get(2..len)?;
                        rest = &rest[len..];
                        return Some(RawOption { kind, data });
                    }
                }
            }
        })
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { bytes: [0; 40], len: 0 }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawOption<'a> {
    /// Its type: copied flag, class and number.
    pub kind: u8,
    /// What follows its length.
    pub data: &'a [u8],
}

impl RawOption<'_> {
    /// Loose source and record route: a known danger (RFC 7126 section 4.3).
    pub const LOOSE_SOURCE_ROUTE: u8 = 131;
    /// Strict source and record route (RFC 7126 section 4.4).
    pub const STRICT_SOURCE_ROUTE: u8 = 137;
    /// Routers shall look at the packet (RFC 2113).
    pub const ROUTER_ALERT: u8 = 148;

    /// Whether every fragment carries it.
    pub fn is_copied(&self) -> bool {
        self.kind & 0x80 != 0
    }
}

/// What an IP packet carries (IANA, "Protocol Numbers").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(pub u8);

impl Protocol {
    /// Hop-by-hop options (IPv6).
    pub const HOP_BY_HOP: Self = Self(0);
    /// ICMP for IPv4.
    pub const ICMP: Self = Self(1);
    /// IGMP.
    pub const IGMP: Self = Self(2);
    /// IPv4 within IP.
    pub const IPV4: Self = Self(4);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// IPv6 within IP.
    pub const IPV6: Self = Self(41);
    /// Routing header (IPv6).
    pub const ROUTING: Self = Self(43);
    /// Fragment header (IPv6).
    pub const FRAGMENT: Self = Self(44);
    /// Encapsulating security payload (RFC 4303).
    pub const ENCAPSULATING_SECURITY: Self = Self(50);
    /// Authentication header (RFC 4302).
    pub const AUTHENTICATION: Self = Self(51);
    /// ICMP for IPv6.
    pub const ICMPV6: Self = Self(58);
    /// Nothing follows (IPv6).
    pub const NO_NEXT: Self = Self(59);
    /// Destination options (IPv6).
    pub const DESTINATION_OPTIONS: Self = Self(60);
    /// OSPF.
    pub const OSPF: Self = Self(89);
}

impl fmt::Debug for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ICMP => formatter.write_str("ICMP"),
            Self::IGMP => formatter.write_str("IGMP"),
            Self::TCP => formatter.write_str("TCP"),
            Self::UDP => formatter.write_str("UDP"),
            Self::ICMPV6 => formatter.write_str("ICMPv6"),
            Self::OSPF => formatter.write_str("OSPF"),
            Self(other) => write!(formatter, "protocol {other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    /// The first packet of RFC 1071's neighbour in every textbook: a UDP packet of 115 bytes.
    const PACKET: [u8; 20] = [
        0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0,
        0xa8, 0x00, 0xc7,
    ];

    #[test]
    fn a_known_packet_is_read() {
        let mut packet = PACKET.to_vec();
        packet.resize(120, 7);
        let (header, payload) = Header::parse(&packet).unwrap();
        assert_eq!(payload.len(), 95, "what follows is padding");
        assert_eq!(header.source, Ipv4Addr::new(192, 168, 0, 1));
        assert_eq!(header.destination, Ipv4Addr::new(192, 168, 0, 199));
        assert!(header.dont_fragment && !header.is_fragment());
        assert_eq!((header.ttl, header.protocol), (64, Protocol::UDP));
        assert_eq!(Header::parse(&packet[..114]), Err(Error::Truncated));
        packet[11] ^= 1;
        assert_eq!(Header::parse(&packet), Err(Error::Checksum));
    }

    #[test]
    fn a_fragment_that_ends_beyond_the_largest_packet_is_malformed() {
        // The ping of death.
        let (mut header, _) = Header::parse(&[&PACKET[..], &[0; 95]].concat()).unwrap();
        header.fragment_offset = 65_528;
        let mut packet = vec![0; 20 + 8];
        header.emit(&mut packet, 8);
        assert_eq!(Header::parse(&packet), Err(Error::Malformed));
    }

    #[test]
    fn the_reserved_flag_is_malformed() {
        let mut packet = vec![0; 20];
        Header::parse(&[&PACKET[..], &[0; 95]].concat()).unwrap().0.emit(&mut packet, 0);
        packet[6] |= 0x80;
        packet[10..12].fill(0);
        let checksum = Sum::of(&packet).checksum().to_be_bytes();
        packet[10..12].copy_from_slice(&checksum);
        assert_eq!(Header::parse(&packet), Err(Error::Malformed));
    }

    #[test]
    fn options_end_where_they_are_malformed() {
        let options = Options::new(&[1, 148, 4, 0, 0, 131, 200]).unwrap();
        let read: Vec<_> = options.iter().collect();
        assert_eq!(read, [RawOption { kind: RawOption::ROUTER_ALERT, data: &[0, 0] }]);
        assert_eq!(Options::new(&[148, 1, 0, 0]).unwrap().iter().count(), 0);
        assert!(Options::new(&[0; 41]).is_none());
    }

    prop_compose! {
        fn header()(
            traffic_class: u8, identification: u16, dont_fragment: bool, more_fragments: bool, offset in 0u16..1000,
            ttl: u8, protocol: u8, source: u32, destination: u32, options in proptest::collection::vec(any::<u8>(), 0..=40),
        ) -> Header {
            Header {
                traffic_class, identification, dont_fragment, more_fragments,
                fragment_offset: offset * 8,
                ttl,
                protocol: Protocol(protocol),
                source: source.into(),
                destination: destination.into(),
                options: Options::new(&options).unwrap(),
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed_again(header in header(), payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut packet = vec![0xaa; header.len()];
            header.emit(&mut packet, payload.len());
            packet.extend(&payload);
            prop_assert_eq!(Header::parse(&packet), Ok((header, &payload[..])));
        }

        #[test]
        fn any_bytes_are_a_packet_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok((header, payload)) = Header::parse(&bytes) {
                prop_assert!(header.len() + payload.len() <= bytes.len());
                header.options.iter().for_each(drop);
            }
        }
    }
}
