//! IPv6 (RFC 8200): the fixed header, and in [`Extensions`] and [`Chain`] what may stand between it and the payload.

mod chain;
mod extensions;
mod fragment;
mod options;

pub use chain::{Chain, FragmentHeader, ParameterProblem, Problem, is_whole_chain};
pub use extensions::{Extension, Extensions, Routing};
pub use fragment::Fragment;
pub use options::{Action, Options, RawOption, emit_router_alert};

use core::net::Ipv6Addr;

use crate::bytes::{array, put, u16_at, u32_at};
use crate::{Error, Protocol};

/// An IPv6 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Differentiated services (RFC 2474) in the upper six bits, congestion notification (RFC 3168) in the lower two.
    pub traffic_class: u8,
    /// Which flow the packet belongs to, as its sender sees it (RFC 6437); 20 bits, zero for none.
    pub flow_label: u32,
    /// What follows: an extension header, or the payload at once.
    pub next_header: Protocol,
    /// Routers that may still forward it.
    pub hop_limit: u8,
    /// From whom.
    pub source: Ipv6Addr,
    /// To whom.
    pub destination: Ipv6Addr,
}

impl Header {
    /// Length in bytes.
    pub const LEN: usize = 40;

    /// The header of `packet` and what follows it: extension headers and payload. What follows the packet's own length
    /// is padding.
    ///
    /// A jumbogram (RFC 2675) says that its length is zero, and so it is one that ends before its extension headers do.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] when `packet` is shorter than it says, [`Error::Malformed`] for another version.
    pub fn parse(packet: &[u8]) -> Result<(Self, &[u8]), Error> {
        let (header, payload) = Self::parse_quoted(packet)?;
        let payload = payload.get(..usize::from(u16_at(packet, 4))).ok_or(Error::Truncated)?;
        Ok((header, payload))
    }

    /// The header of a packet whose beginning is `packet`, and as much as there is of what follows.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] for fewer than 40 bytes, [`Error::Malformed`] for another version.
    pub fn parse_quoted(packet: &[u8]) -> Result<(Self, &[u8]), Error> {
        let (header, payload) = packet.split_at_checked(Self::LEN).ok_or(Error::Truncated)?;
        let first = u32_at(header, 0);
        if first >> 28 != 6 {
            return Err(Error::Malformed);
        }
        let parsed = Self {
            traffic_class: (first >> 20) as u8,
            flow_label: first & 0xf_ffff,
            next_header: Protocol(header[6]),
            hop_limit: header[7],
            source: Ipv6Addr::from(array::<16>(header, 8)),
            destination: Ipv6Addr::from(array::<16>(header, 24)),
        };
        Ok((parsed, payload))
    }

    /// Writes the header to the first [`LEN`](Self::LEN) bytes of `packet`. What follows it, extension headers and
    /// payload together, has `payload_len` bytes. Of the flow label the lower 20 bits count.
    ///
    /// # Panics
    ///
    /// When `packet` is shorter than the header, or `payload_len` is more than 65,535.
    pub fn emit(&self, packet: &mut [u8], payload_len: usize) {
        let Self { traffic_class, flow_label, next_header, hop_limit, source, destination } = self;
        let len = u16::try_from(payload_len).expect("an IPv6 packet carries 65,535 bytes at most");
        let first = 6 << 28 | u32::from(*traffic_class) << 20 | flow_label & 0xf_ffff;
        put(packet, 0, &first.to_be_bytes());
        put(packet, 4, &len.to_be_bytes());
        put(packet, 6, &[next_header.0, *hop_limit]);
        put(packet, 8, &source.octets());
        put(packet, 24, &destination.octets());
    }
}

/// The group that `address` asks by when it looks for its owner: solicited-node multicast (RFC 4291 section 2.7.1).
#[must_use]
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    #[test]
    fn fields_are_where_rfc_8200_puts_them() {
        let mut packet = vec![0x6a, 0xb1, 0x23, 0x45, 0, 3, 58, 255];
        packet.extend([0xfe; 16]);
        packet.extend([0x20; 16]);
        packet.extend([1, 2, 3, 9, 9]);
        let (header, payload) = Header::parse(&packet).unwrap();
        assert_eq!((header.traffic_class, header.flow_label), (0xab, 0x1_2345));
        assert_eq!((header.next_header, header.hop_limit), (Protocol::ICMPV6, 255));
        assert_eq!(payload, [1, 2, 3], "what follows is padding");
        assert_eq!(Header::parse(&packet[..42]), Err(Error::Truncated));
        packet[0] = 0x45;
        assert_eq!(Header::parse(&packet), Err(Error::Malformed));
    }

    #[test]
    fn a_solicited_node_group_has_the_last_three_bytes() {
        let address: Ipv6Addr = "4037::1:800:200e:8c6c".parse().unwrap();
        assert_eq!(solicited_node(address), "ff02::1:ff0e:8c6c".parse::<Ipv6Addr>().unwrap());
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_emitted_again(mut packet in proptest::collection::vec(any::<u8>(), 0..120), six: bool) {
            if let Some(first) = packet.first_mut().filter(|_| six) {
                *first = 0x60 | *first & 0x0f;
            }
            if packet.len() > 6 {
                packet[4] = 0;
            }
            if let Ok((header, payload)) = Header::parse(&packet) {
                let mut again = packet.clone();
                again[..Header::LEN].fill(0xaa);
                header.emit(&mut again, payload.len());
                prop_assert_eq!(again, packet);
            }
        }
    }
}
