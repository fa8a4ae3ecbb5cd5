//! What the node that a packet is for makes of its extension headers (RFC 8200 section 4).

use super::{Extension, Extensions, Fragment, Header};
use crate::Protocol;

/// What follows the extension headers of a packet, and what they said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// What the packet carries, or the fragment would begin with.
    pub protocol: Protocol,
    /// Where in what follows the fixed header it begins.
    pub offset: usize,
    /// Where in the packet the field stands that names it: of use for [`ParameterProblem::UnrecognizedNextHeader`].
    pub pointer: u32,
    /// The packet is a part of a larger one, which is to be put together before there is more to know. An atomic
    /// fragment (RFC 6946) is whole, and there are no others that it could be put together with.
    pub fragment: Option<FragmentHeader>,
    /// The value of a router alert (RFC 2711).
    pub router_alert: Option<u16>,
}

/// A fragment header and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentHeader {
    /// The header.
    pub header: Fragment,
    /// Where in what follows the fixed header it begins: the length of the extension headers that are in each fragment.
    pub offset: usize,
    /// Where in the packet the field stands that names it, which names what it names once the packet is put together.
    pub pointer: u32,
}

/// Why a packet goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is discarded in silence.
    Discard,
    /// Its sender shall hear of it (RFC 4443 section 3.4).
    Answer {
        /// What is wrong.
        code: ParameterProblem,
        /// Where in the packet, in bytes from its first.
        pointer: u32,
    },
}

/// The codes of an ICMPv6 parameter problem (RFC 4443 section 3.4, RFC 7112).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterProblem {
    /// A field that makes no sense.
    ErroneousHeaderField,
    /// A next header that is unknown.
    UnrecognizedNextHeader,
    /// An option that is unknown.
    UnrecognizedOption,
    /// A first fragment without all headers.
    IncompleteHeaderChain,
    /// A code that is none of these.
    Other(u8),
}

impl ParameterProblem {
    /// That of a code.
    pub fn of(code: u8) -> Self {
        match code {
            0 => Self::ErroneousHeaderField,
            1 => Self::UnrecognizedNextHeader,
            2 => Self::UnrecognizedOption,
            3 => Self::IncompleteHeaderChain,
            other => Self::Other(other),
        }
    }

    /// Its code.
    pub fn code(self) -> u8 {
        match self {
            Self::ErroneousHeaderField => 0,
            Self::UnrecognizedNextHeader => 1,
            Self::UnrecognizedOption => 2,
            Self::IncompleteHeaderChain => 3,
            Self::Other(other) => other,
        }
    }
}

impl Chain {
    /// Goes through the extension headers of a packet for this node, which has `payload` after its fixed `header`.
    ///
    /// Padding and router alert are understood, other options do what their type says. A routing header is passed over
    /// when nothing is left of its way. IP authentication and encryption are not offered: they end the chain as
    /// protocols that nobody here knows, which [`pointer`](Self::pointer) is for. A fragment ends the chain, except for
    /// an atomic one.
    ///
    /// # Errors
    ///
    /// The problem that ends the packet's way. Where the sender shall hear of it, that the packet was for a group has
    /// been considered (RFC 4443 section 2.4 (e.3)).
    pub fn of(header: &Header, payload: &[u8]) -> Result<Self, Problem> {
        let to_group = header.destination.is_multicast();
        let erroneous = |pointer| answer(ParameterProblem::ErroneousHeaderField, pointer, to_group);
        let (mut fragment, mut router_alert) = (None, None);
        let mut extensions = Extensions::of(header, payload);
        while extensions.protocol() != Protocol::AUTHENTICATION {
            let (offset, pointer) = (extensions.offset(), extensions.pointer());
            let at = (Header::LEN + offset) as u32;
            match extensions.next() {
                None => break,
                Some(Err(_)) => return Err(Problem::Discard),
                Some(Ok(Extension::HopByHop(options))) => router_alert = options.check(to_group)?,
                Some(Ok(Extension::Destination(options))) => {
                    options.check(to_group)?;
                }
                Some(Ok(Extension::Routing(routing))) if routing.segments_left > 0 => {
                    return Err(erroneous(at + 2));
                }
                Some(Ok(Extension::Routing(_) | Extension::Authentication(_))) => {}
                Some(Ok(Extension::Fragment(part))) if part.is_atomic() => {}
                Some(Ok(Extension::Fragment(part))) => {
                    let len = payload.len() - extensions.offset();
                    if part.more_fragments && !len.is_multiple_of(8) {
                        return Err(erroneous(4));
                    }
                    if usize::from(part.offset) + len > usize::from(u16::MAX) {
                        return Err(erroneous(at + 2));
                    }
                    fragment = Some(FragmentHeader { header: part, offset, pointer });
                    break;
                }
            }
        }
        let (protocol, offset) = (extensions.protocol(), extensions.offset());
        let pointer = extensions.pointer();
        if fragment.is_none() && protocol == Protocol::HOP_BY_HOP {
            return Err(answer(ParameterProblem::UnrecognizedNextHeader, pointer, to_group));
        }
        Ok(Self { protocol, offset, pointer, fragment, router_alert })
    }
}

fn answer(code: ParameterProblem, pointer: u32, to_group: bool) -> Problem {
    if to_group { Problem::Discard } else { Problem::Answer { code, pointer } }
}

/// Whether the first fragment of a packet, with `body` after its fragment header, has all headers up to and with the
/// first of the layer above. If not, filters that look at ports are blind, and hosts discard it (RFC 7112 section 5)
/// with [`ParameterProblem::IncompleteHeaderChain`] at zero. Of fragments other than the first nothing is asked.
#[must_use]
pub fn is_whole_chain(fragment: &Fragment, body: &[u8]) -> bool {
    if fragment.offset != 0 {
        return true;
    }
    let mut extensions = Extensions::of_fragment(fragment, body);
    if extensions.by_ref().any(|extension| extension.is_err()) {
        return false;
    }
    let upper = &body[extensions.offset()..];
    let len = match extensions.protocol() {
        Protocol::TCP => upper.get(12).map_or(20, |offset| usize::from(offset >> 4) * 4).max(20),
        Protocol::UDP | Protocol::ENCAPSULATING_SECURITY => 8,
        Protocol::ICMPV6 => 4,
        Protocol::IPV6 => Header::LEN,
        Protocol::IPV4 => 20,
        _ => 0,
    };
    upper.len() >= len
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv6Addr;
    use proptest::prelude::*;
    use std::vec::Vec;

    const ADDRESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    const EMPTY: [u8; 6] = [1, 4, 0, 0, 0, 0];

    fn header(next: u8, destination: Ipv6Addr) -> Header {
        let next_header = Protocol(next);
        Header { traffic_class: 0, flow_label: 0, next_header, hop_limit: 64, source: ADDRESS, destination }
    }

    fn chain(next: u8, payload: &[u8]) -> Result<Chain, Problem> {
        Chain::of(&header(next, ADDRESS), payload)
    }

    /// A header of eight bytes: next header, length zero, and padding.
    fn options(next: u8) -> Vec<u8> {
        [&[next, 0][..], &EMPTY].concat()
    }

    #[test]
    fn every_header_is_passed() {
        let routing = [51, 0, 0, 0, 0, 0, 0, 0];
        let payload = [&options(60)[..], &options(43), &routing].concat();
        let here = chain(0, &payload).unwrap();
        assert_eq!((here.protocol, here.offset), (Protocol::AUTHENTICATION, 24), "not offered");
        // 12 bytes are a length of one in words of four, less two.
        let packet = header(51, ADDRESS);
        let authentication = [6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 99];
        let mut extensions = Extensions::of(&packet, &authentication);
        assert_eq!(extensions.next(), Some(Ok(Extension::Authentication(&authentication[2..12]))));
        assert_eq!((extensions.protocol(), extensions.offset()), (Protocol::TCP, 12));
    }

    #[test]
    fn the_payload_may_follow_at_once() {
        let here = chain(17, &[1, 2]).unwrap();
        assert_eq!((here.protocol, here.offset, here.pointer), (Protocol::UDP, 0, 6));
    }

    #[test]
    fn hop_by_hop_comes_first_or_is_unknown() {
        let payload = [options(0), options(6)].concat();
        let unknown =
            |pointer| Err(Problem::Answer { code: ParameterProblem::UnrecognizedNextHeader, pointer });
        assert_eq!(chain(60, &payload), unknown(40));
        assert_eq!(chain(0, &payload), unknown(40));
        assert_eq!(Chain::of(&header(60, GROUP), &payload), Err(Problem::Discard));
    }

    #[test]
    fn a_way_that_is_not_at_its_end_is_refused() {
        let code = ParameterProblem::ErroneousHeaderField;
        let payload = [options(43), [6, 2, 0, 1].to_vec(), [0; 20].to_vec()].concat();
        assert_eq!(chain(60, &payload), Err(Problem::Answer { code, pointer: 50 }));
    }

    #[test]
    fn a_jumbogram_is_refused() {
        // Its length stands in an option, and the header says zero.
        let mut packet = std::vec![0; Header::LEN];
        header(0, ADDRESS).emit(&mut packet, 0);
        packet.extend([6, 0, 0xc2, 4, 0, 1, 0, 0]);
        packet.resize(Header::LEN + 0x1_0000, 0);
        let (header, payload) = Header::parse(&packet).unwrap();
        assert_eq!(Chain::of(&header, payload), Err(Problem::Discard));
        // One that says two lengths is told that nobody here knows the option.
        let code = ParameterProblem::UnrecognizedOption;
        assert_eq!(Chain::of(&header, &packet[40..80]), Err(Problem::Answer { code, pointer: 42 }));
    }

    #[test]
    fn the_number_of_headers_is_limited() {
        let mut payload = options(60).repeat(8);
        payload[56] = 6;
        assert_eq!(chain(60, &payload).unwrap().offset, 64);
        payload[56] = 60;
        payload.extend(options(6));
        assert_eq!(chain(60, &payload), Err(Problem::Discard));
    }

    #[test]
    fn a_fragment_ends_the_chain_unless_it_is_atomic() {
        let mut payload = [&options(44)[..], &[6, 0, 0, 0, 1, 2, 3, 4], &[9; 24]].concat();
        let atomic = chain(0, &payload).unwrap();
        assert_eq!((atomic.fragment, atomic.protocol, atomic.offset), (None, Protocol::TCP, 16));
        payload[11] = 1;
        let first = chain(0, &payload).unwrap();
        let part = first.fragment.unwrap();
        assert_eq!((first.offset, part.offset, part.pointer), (16, 8, 40));
        assert_eq!((part.header.offset, part.header.identification), (0, 0x0102_0304));
        // Not a multiple of eight, though there are more.
        let code = ParameterProblem::ErroneousHeaderField;
        assert_eq!(chain(0, &payload[..39]), Err(Problem::Answer { code, pointer: 4 }));
        // The last may have any length, but must end below 65,536.
        payload[11] = 0;
        payload[10] = 1;
        assert_eq!(chain(0, &payload[..39]).unwrap().fragment.unwrap().header.offset, 256);
        payload[10..12].copy_from_slice(&[0xff, 0xf0]);
        assert_eq!(chain(0, &payload), Err(Problem::Answer { code, pointer: 50 }));
    }

    #[test]
    fn what_a_later_fragment_begins_with_is_no_header() {
        let payload = [&[60, 0, 0, 8, 0, 0, 0, 1][..], &options(6)].concat();
        let packet = header(44, ADDRESS);
        let mut extensions = Extensions::of(&packet, &payload);
        assert!(matches!(extensions.next(), Some(Ok(Extension::Fragment(_)))));
        assert_eq!(extensions.next(), None);
        assert_eq!((extensions.protocol(), extensions.offset()), (Protocol::DESTINATION_OPTIONS, 8));
    }

    #[test]
    fn a_first_fragment_has_all_headers() {
        let fragment = |next: u8, offset| Fragment {
            next_header: Protocol(next),
            offset,
            more_fragments: true,
            identification: 1,
        };
        let mut body = [options(6), [0; 20].to_vec()].concat();
        body[8 + 12] = 0x50;
        assert!(is_whole_chain(&fragment(60, 0), &body));
        body[8 + 12] = 0x60;
        assert!(!is_whole_chain(&fragment(60, 0), &body), "TCP options are part of the header");
        assert!(!is_whole_chain(&fragment(60, 0), &body[..16]));
        assert!(!is_whole_chain(&fragment(60, 0), &body[..7]));
        assert!(!is_whole_chain(&fragment(6, 0), &[0; 19]), "whatever length a segment says");
        assert!(!is_whole_chain(&fragment(17, 0), &[0; 7]));
        assert!(is_whole_chain(&fragment(17, 8), &[]), "others begin anywhere");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_chain_or_a_problem(
            next in prop_oneof![any::<u8>(), proptest::sample::select(&[0u8, 43, 44, 51, 60][..])],
            heads in proptest::collection::vec((proptest::sample::select(&[0u8, 6, 17, 43, 44, 51, 59, 60][..]), 0u8..3, any::<[u8; 6]>()), 0..12),
            tail in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut payload = Vec::new();
            for (next, len, data) in heads {
                payload.extend([next, len]);
                payload.extend(data);
            }
            payload.extend(tail);
            match chain(next, &payload) {
                Ok(chain) => {
                    prop_assert!(chain.offset <= payload.len());
                    let packet = [&[0; 6][..], &[next], &[0; 33], &payload].concat();
                    prop_assert_eq!(packet[chain.pointer as usize], chain.protocol.0);
                }
                Err(Problem::Answer { pointer, .. }) => prop_assert!((pointer as usize) < 40 + payload.len()),
                Err(Problem::Discard) => {}
            }
            let (fragment, body) = match Fragment::parse(&payload) {
                Ok(found) => found,
                Err(_) => return Ok(()),
            };
            let _ = is_whole_chain(&fragment, body);
        }
    }
}
