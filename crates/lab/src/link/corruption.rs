//! Bits that flip on the wire, where a checksum must catch it.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use host::Random;
use wire::{Protocol, ip};

use super::impairments::Framing;

/// Flips one bit of the IP packet in `frame`, among those that a checksum covers. The error gives a frame back that has no
/// such checksum: not an IP packet, or one with nothing behind its headers that could tell.
pub(super) fn corrupt(framing: Framing, frame: Bytes, random: &mut Random) -> Result<Bytes, Bytes> {
    let Some(covered) = covered(framing, &frame) else { return Err(frame) };
    let bit = random.below(covered.len() as u64 * 8) as usize;
    let mut bytes = frame.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    bytes[covered.start + bit / 8] ^= 1 << (bit % 8);
    Ok(bytes.freeze())
}

/// The bytes of `frame` that a checksum of the Internet protocols covers.
fn covered(framing: Framing, frame: &[u8]) -> Option<Range<usize>> {
    let start = framing.packet_offset(frame)?;
    let packet = ip::Packet::parse(&frame[start..]).ok()?;
    let payload = packet.payload.as_ptr() as usize - frame.as_ptr() as usize;
    let payload = payload..payload + packet.payload.len();
    let has_checksum = match packet.protocol {
        Protocol::TCP | Protocol::ICMP | Protocol::IGMP | Protocol::ICMPV6 => true,
        // Zero is none (RFC 768), which only IPv4 allows.
        Protocol::UDP => {
            packet.fragment_offset > 0 || packet.payload.get(6..8).is_some_and(|sum| sum != [0, 0])
        }
        _ => false,
    } && !payload.is_empty();
    match (packet.source.is_ipv4(), has_checksum) {
        // IPv4's own checksum covers its header; but a packet whose first byte flips may be of another version, which has
        // none.
        (true, true) => Some(start + 1..payload.end),
        (true, false) => Some(start + 1..payload.start),
        (false, true) => Some(payload),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::IpAddr;
    use wire::checksum::Sum;
    use wire::{ipv4, ipv6, tcp, udp};

    /// An Ethernet frame with an IP packet of version 4 or 6 that carries UDP or TCP.
    fn frame(is_v4: bool, is_udp: bool, content: &[u8]) -> Bytes {
        let protocol = if is_udp { Protocol::UDP } else { Protocol::TCP };
        let [source, destination]: [IpAddr; 2] = match is_v4 {
            true => ["10.0.0.1", "10.0.0.2"],
            false => ["fd00::1", "fd00::2"],
        }
        .map(|address| address.parse().unwrap());
        let mut segment = vec![0; if is_udp { 8 } else { 20 }];
        segment.extend_from_slice(content);
        let sum = Sum::pseudo_header(source, destination, protocol.0, segment.len());
        if is_udp {
            udp::Header { source_port: 7, destination_port: 9 }.emit(&mut segment, sum);
        } else {
            segment[12] = 5 << 4;
            tcp::fill_checksum(&mut segment, sum);
        }
        let mut bytes = vec![0; 12];
        bytes.extend_from_slice(if is_v4 { &[0x08, 0x00] } else { &[0x86, 0xdd] });
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                bytes.resize(14 + ipv4::Header::MIN_LEN, 0);
                let header = ipv4::Header {
                    traffic_class: 0,
                    identification: 1,
                    dont_fragment: true,
                    more_fragments: false,
                    fragment_offset: 0,
                    ttl: 64,
                    protocol,
                    source,
                    destination,
                    options: ipv4::Options::default(),
                };
                header.emit(&mut bytes[14..], segment.len());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                bytes.resize(14 + ipv6::Header::LEN, 0);
                let next_header = protocol;
                let header = ipv6::Header {
                    traffic_class: 0,
                    flow_label: 0,
                    next_header,
                    hop_limit: 64,
                    source,
                    destination,
                };
                header.emit(&mut bytes[14..], segment.len());
            }
            _ => unreachable!("both are of one version"),
        }
        bytes.extend_from_slice(&segment);
        bytes.into()
    }

    /// Whether a receiver would take the packet for whole.
    fn is_whole(frame: &[u8]) -> bool {
        ip::Packet::parse(&frame[14..]).is_ok_and(|packet| {
            let ip::Packet { source, destination, protocol, payload, .. } = packet;
            Sum::pseudo_header(source, destination, protocol.0, payload.len()).and(payload).is_whole()
        })
    }

    proptest! {
        #[test]
        fn a_checksum_catches_every_flipped_bit(
            is_v4: bool,
            is_udp: bool,
            content in prop::collection::vec(any::<u8>(), 0..100),
            seed: [u8; 32],
        ) {
            let before = frame(is_v4, is_udp, &content);
            prop_assert!(is_whole(&before));
            let after = corrupt(Framing::Ethernet, before.clone(), &mut Random::from_seed(seed)).unwrap();
            let flipped: u32 = before.iter().zip(&after).map(|(a, b)| (a ^ b).count_ones()).sum();
            prop_assert_eq!(flipped, 1);
            prop_assert_eq!(&before[..14], &after[..14], "the Ethernet header has no checksum here");
            prop_assert!(!is_whole(&after));
            // The same without a frame around it.
            let packet = corrupt(Framing::Ip, before.slice(14..), &mut Random::from_seed(seed)).unwrap();
            prop_assert_eq!(&after[14..], &packet[..]);
        }
    }

    #[test]
    fn what_has_no_checksum_is_given_back() {
        let mut random = Random::from_seed([1; 32]);
        let mut arp = vec![0; 42];
        arp[12..14].copy_from_slice(&[0x08, 0x06]);
        assert!(corrupt(Framing::Ethernet, arp.into(), &mut random).is_err());
        assert!(corrupt(Framing::Ethernet, Bytes::new(), &mut random).is_err());
        // A datagram without checksum: only its IPv4 header is covered.
        let mut bytes = frame(true, true, &[5; 400]).to_vec();
        bytes[40..42].fill(0);
        let bytes = Bytes::from(bytes);
        for _ in 0..200 {
            let after = corrupt(Framing::Ethernet, bytes.clone(), &mut random).unwrap();
            assert_eq!(bytes[34..], after[34..]);
        }
    }
}
