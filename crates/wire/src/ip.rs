//! What a packet of either version says, for those that look at it from outside: filters, devices without frames, and
//! whoever reads the packet that an ICMP error quotes.

use core::net::IpAddr;

use crate::bytes::{array, u16_at};
use crate::ipv6::Extension;
use crate::tcp::SeqNumber;
use crate::{Error, Protocol, ipv4, ipv6};

/// An IP packet, seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// From whom.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// Differentiated services and congestion notification.
    pub traffic_class: u8,
    /// Routers that may still forward it.
    pub ttl: u8,
    /// Where in its packet this fragment begins, in bytes.
    pub fragment_offset: u16,
    /// This is not the packet's last fragment.
    pub more_fragments: bool,
    /// What the payload is, extension headers not counted.
    pub protocol: Protocol,
    /// The payload behind all extension headers. For [`parse_quoted`](Self::parse_quoted): as much as there is.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// The packet that `bytes` begin with. The version is the one that it says itself.
    ///
    /// # Errors
    ///
    /// Those of [`ipv4::Header::parse`] or [`ipv6::Header::parse`]; [`Error::Malformed`] for any other version, and more
    /// extension headers than [`ipv6::Extensions`] goes through.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        match bytes.first().ok_or(Error::Truncated)? >> 4 {
            4 => ipv4::Header::parse(bytes).map(|(header, payload)| Self::of_v4(&header, payload)),
            _ => ipv6::Header::parse(bytes).and_then(|(header, payload)| Self::of_v6(&header, payload)),
        }
    }

    /// The packet whose beginning is `bytes`, as an ICMP error quotes it.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] when the headers are not whole, [`Error::Malformed`] when they cannot be headers.
    pub fn parse_quoted(bytes: &'a [u8]) -> Result<Self, Error> {
        match bytes.first().ok_or(Error::Truncated)? >> 4 {
            4 => ipv4::Header::parse_quoted(bytes).map(|(header, payload)| Self::of_v4(&header, payload)),
            _ => {
                ipv6::Header::parse_quoted(bytes).and_then(|(header, payload)| Self::of_v6(&header, payload))
            }
        }
    }

    fn of_v4(header: &ipv4::Header, payload: &'a [u8]) -> Self {
        Self {
            source: header.source.into(),
            destination: header.destination.into(),
            traffic_class: header.traffic_class,
            ttl: header.ttl,
            fragment_offset: header.fragment_offset,
            more_fragments: header.more_fragments,
            protocol: header.protocol,
            payload,
        }
    }

    fn of_v6(header: &ipv6::Header, payload: &'a [u8]) -> Result<Self, Error> {
        let (mut fragment_offset, mut more_fragments) = (0, false);
        let mut extensions = ipv6::Extensions::of(header, payload);
        for extension in extensions.by_ref() {
            if let Extension::Fragment(fragment) = extension? {
                (fragment_offset, more_fragments) = (fragment.offset, fragment.more_fragments);
            }
        }
        let ipv6::Header { traffic_class, hop_limit: ttl, source, destination, .. } = *header;
        Ok(Self {
            source: source.into(),
            destination: destination.into(),
            traffic_class,
            ttl,
            fragment_offset,
            more_fragments,
            protocol: extensions.protocol(),
            payload: &payload[extensions.offset()..],
        })
    }

    /// Source and destination port, of TCP or UDP. `None` for another protocol, for a fragment other than the first, and
    /// for too little of the payload.
    pub fn ports(&self) -> Option<(u16, u16)> {
        let has_ports = matches!(self.protocol, Protocol::TCP | Protocol::UDP) && self.fragment_offset == 0;
        let ports = self.payload.get(..4).filter(|_| has_ports)?;
        Some((u16_at(ports, 0), u16_at(ports, 2)))
    }

    /// The sequence number of a TCP segment, by which an ICMP error proves that its sender has seen the segment (RFC
    /// 5927 section 4.1).
    pub fn sequence(&self) -> Option<SeqNumber> {
        let is_tcp = self.protocol == Protocol::TCP && self.fragment_offset == 0;
        let head = self.payload.get(..8).filter(|_| is_tcp)?;
        Some(SeqNumber(u32::from_be_bytes(array(head, 4))))
    }
}

/// Makes a copy of the header of a long packet, extension headers included, that of one of those that it is cut into: a
/// packet of `len` bytes, the `piece`th of them, counted from zero.
///
/// # Errors
///
/// As [`Packet::parse_quoted`]; [`Error::Malformed`] when `len` is less than the header, or too much for the version.
pub fn cut_header(header: &mut [u8], len: usize, piece: u16) -> Result<(), Error> {
    let payload_of = |header: usize| {
        let longest = if header == ipv6::Header::LEN { header + 65_535 } else { 65_535 };
        len.checked_sub(header).filter(|_| len <= longest).ok_or(Error::Malformed)
    };
    match header.first().ok_or(Error::Truncated)? >> 4 {
        4 => {
            let (mut changed, _) = ipv4::Header::parse_quoted(header)?;
            changed.identification = changed.identification.wrapping_add(piece);
            let payload = payload_of(changed.len())?;
            changed.emit(header, payload);
        }
        _ => {
            let (unchanged, _) = ipv6::Header::parse_quoted(header)?;
            unchanged.emit(header, payload_of(ipv6::Header::LEN)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv4Addr, Ipv6Addr};
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    fn v4(payload: &[u8], protocol: Protocol, fragment_offset: u16) -> Vec<u8> {
        let header = ipv4::Header {
            traffic_class: 3,
            identification: 7,
            dont_fragment: false,
            more_fragments: false,
            fragment_offset,
            ttl: 9,
            protocol,
            source: Ipv4Addr::new(10, 0, 0, 1),
            destination: Ipv4Addr::new(10, 0, 0, 2),
            options: ipv4::Options::new(&[148, 4, 0, 0]).unwrap(),
        };
        let mut packet = vec![0; header.len()];
        header.emit(&mut packet, payload.len());
        packet.extend(payload);
        packet
    }

    fn v6(payload: &[u8]) -> Vec<u8> {
        let header = ipv6::Header {
            traffic_class: 3,
            flow_label: 0,
            next_header: Protocol::DESTINATION_OPTIONS,
            hop_limit: 9,
            source: Ipv6Addr::LOCALHOST,
            destination: Ipv6Addr::LOCALHOST,
        };
        let mut packet = vec![0; ipv6::Header::LEN];
        header.emit(&mut packet, 8 + payload.len());
        packet.extend([6, 0, 1, 4, 0, 0, 0, 0]);
        packet.extend(payload);
        packet
    }

    #[test]
    fn eight_bytes_of_a_segment_are_enough() {
        let segment = [0x01, 0xbb, 0x80, 0x00, 0, 0, 1, 0, 9, 9, 9, 9];
        for mut packet in [v4(&segment, Protocol::TCP, 0), v6(&segment)] {
            let whole = Packet::parse(&packet).unwrap();
            assert_eq!((whole.payload, whole.ttl, whole.traffic_class), (&segment[..], 9, 3));
            packet.truncate(packet.len() - 4);
            assert_eq!(Packet::parse(&packet), Err(Error::Truncated));
            let quoted = Packet::parse_quoted(&packet).unwrap();
            assert_eq!((quoted.protocol, quoted.payload), (Protocol::TCP, &segment[..8]));
            assert_eq!((quoted.ports(), quoted.sequence()), (Some((443, 32_768)), Some(SeqNumber(256))));
            packet.pop();
            assert_eq!(Packet::parse_quoted(&packet).unwrap().sequence(), None);
            packet.truncate(packet.len() - 8);
            assert_eq!(Packet::parse_quoted(&packet), Err(Error::Truncated));
        }
    }

    #[test]
    fn only_a_first_fragment_has_ports() {
        let bytes = [0, 1, 0, 2, 0, 3, 0, 4];
        assert_eq!(Packet::parse(&v4(&bytes, Protocol::UDP, 0)).unwrap().ports(), Some((1, 2)));
        assert_eq!(Packet::parse(&v4(&bytes, Protocol::UDP, 8)).unwrap().ports(), None);
        assert_eq!(Packet::parse(&v4(&bytes, Protocol::ICMP, 0)).unwrap().ports(), None);
    }

    #[test]
    fn a_header_of_a_piece_says_its_length() {
        for whole in [v4(&[7; 60], Protocol::TCP, 0), v6(&[7; 60])] {
            let headers = whole.len() - 60;
            let mut piece = whole[..headers + 20].to_vec();
            cut_header(&mut piece[..headers], headers + 20, 2).unwrap();
            let parsed = Packet::parse(&piece).unwrap();
            assert_eq!((parsed.payload, parsed.ttl, parsed.protocol), (&[7; 20][..], 9, Protocol::TCP));
            if let Ok((header, _)) = ipv4::Header::parse(&piece) {
                assert_eq!((header.identification, header.options.as_bytes()), (9, &[148, 4, 0, 0][..]));
            }
            assert_eq!(cut_header(&mut piece[..headers], 10, 0), Err(Error::Malformed));
            assert_eq!(cut_header(&mut piece[..headers], 65_536 + 40, 0), Err(Error::Malformed));
            assert!(cut_header(&mut piece[..12], 100, 0).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_packet_or_an_error(mut bytes in proptest::collection::vec(any::<u8>(), 0..100), first in 0x40u8..0x70) {
            if let Some(byte) = bytes.first_mut() {
                *byte = first;
            }
            let whole = Packet::parse(&bytes);
            let quoted = Packet::parse_quoted(&bytes);
            if let Ok(whole) = whole {
                // Padding apart, what is whole is quoted the same way.
                let quoted = quoted.unwrap();
                prop_assert!(quoted.payload.starts_with(whole.payload));
                prop_assert_eq!(Packet { payload: whole.payload, ..quoted }, whole);
            }
        }
    }
}
