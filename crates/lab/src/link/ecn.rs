//! Congestion Experienced, written into packets on their way (RFC 3168 section 5).

use bytes::{Bytes, BytesMut};
use wire::checksum;

use super::impairments::Framing;

/// The two bits of congestion notification (RFC 3168 section 5), as they stand in the traffic class.
const CE: u8 = 0b11;

/// Where the header checksum of an IPv4 packet is.
const CHECKSUM: usize = 10;

/// The frame with Congestion Experienced set. The error gives the frame back when its packet does not take part (Not-ECT),
/// or it carries none.
pub(super) fn mark(framing: Framing, frame: Bytes) -> Result<Bytes, Bytes> {
    let Some(start) = framing.packet_offset(&frame) else { return Err(frame) };
    // The bits lie in the second byte: of IPv4's type of service the last two, of IPv6's traffic class the last two too,
    // but that begins in the middle of the byte before.
    let (shift, least) = match frame.get(start).map(|first| first >> 4) {
        Some(4) => (0, wire::ipv4::Header::MIN_LEN),
        Some(6) => (4, wire::ipv6::Header::LEN),
        _ => return Err(frame),
    };
    if frame.len() < start + least || frame[start + 1] >> shift & CE == 0 {
        return Err(frame);
    }
    let mut bytes = frame.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    let packet = &mut bytes[start..];
    let word = |packet: &[u8], at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    let before = word(packet, 0);
    packet[1] |= CE << shift;
    if shift == 0 {
        let sum = checksum::update(word(packet, CHECKSUM), before, word(packet, 0));
        packet[CHECKSUM..CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
    }
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Protocol, ip, ipv4, ipv6};

    fn v4(traffic_class: u8) -> Bytes {
        let header = ipv4::Header {
            traffic_class,
            identification: 7,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 64,
            protocol: Protocol::UDP,
            source: [10, 0, 0, 1].into(),
            destination: [10, 0, 0, 2].into(),
            options: ipv4::Options::default(),
        };
        let mut packet = vec![0; 28];
        header.emit(&mut packet, 8);
        packet.into()
    }

    fn v6(traffic_class: u8) -> Bytes {
        let header = ipv6::Header {
            traffic_class,
            flow_label: 0xa_bcde,
            next_header: Protocol::UDP,
            hop_limit: 64,
            source: "fd00::1".parse().unwrap(),
            destination: "fd00::2".parse().unwrap(),
        };
        let mut packet = vec![0; 48];
        header.emit(&mut packet, 8);
        packet.into()
    }

    #[test]
    fn only_what_takes_part_is_marked_and_the_header_stays_whole() {
        for packet in [v4, v6] {
            for (before, after) in [(0b01, Some(0b11)), (0b10, Some(0b11)), (0b11, Some(0b11)), (0b00, None)]
            {
                let class = 0b1010_1100;
                let marked = mark(Framing::Ip, packet(class | before));
                // The parser checks the header's checksum.
                let found = marked.as_ref().ok().map(|bytes| ip::Packet::parse(bytes).unwrap().traffic_class);
                assert_eq!(found, after.map(|bits| class | bits));
                if let Err(unchanged) = marked {
                    assert_eq!(unchanged, packet(class | before));
                }
            }
        }
    }

    #[test]
    fn nothing_else_is_touched() {
        for bytes in [&[][..], &[0x45], &[0x45; 19], &[0x65; 39], &[0xf5; 60]] {
            assert!(mark(Framing::Ip, Bytes::copy_from_slice(bytes)).is_err());
        }
        let mut arp = vec![0x45; 60];
        arp[12..14].copy_from_slice(&[8, 6]);
        assert!(mark(Framing::Ethernet, arp.into()).is_err());
    }
}
