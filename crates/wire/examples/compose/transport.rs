//! UDP, TCP and echoes over both versions, whole and in fragments, with and without frames.

use std::net::IpAddr;

use fourwire_wire::checksum::Sum;
use fourwire_wire::icmpv4::Echo;
use fourwire_wire::tcp::{self, Flags, Options, SackBlock, SeqNumber, Timestamps};
use fourwire_wire::{Protocol, icmpv4, icmpv6, ipv4, ipv6};

use crate::capture::{
    Capture, V4_A, V4_B, V6_A, V6_B, icmpv6_bytes, udp_packet, v4_header, v4_packet, v6_header, v6_packet,
};

pub(crate) fn write(capture: &mut Capture) {
    datagrams(capture);
    connection(capture);
    echoes(capture);
    fragments(capture);
}

const ENDS: [(IpAddr, IpAddr); 2] =
    [(IpAddr::V4(V4_A), IpAddr::V4(V4_B)), (IpAddr::V6(V6_A), IpAddr::V6(V6_B))];

fn datagrams(capture: &mut Capture) {
    for (source, destination) in ENDS {
        for len in [0, 1, 2, 33, 1400] {
            let packet = udp_packet(source, destination, (50_001, 50_002), &vec![0xa5; len]);
            capture.packet(&packet, "a datagram");
            capture.raw(&packet, "without a frame");
        }
    }
}

fn connection(capture: &mut Capture) {
    let clock = |value, echo| Some(Timestamps { value, echo });
    let opening = Options {
        max_segment_size: Some(1460),
        window_scale: Some(8),
        sack_permitted: true,
        timestamps: clock(1000, 0),
        ..Options::default()
    };
    let mut holes = Options { timestamps: clock(1003, 2002), ..Options::default() };
    for start in [3000, 5000, 7000] {
        holes.sack.push(SackBlock { start: SeqNumber(start), end: SeqNumber(start + 1000) });
    }
    let later = Options { timestamps: clock(1002, 2001), ..Options::default() };
    let segments = [
        (Flags::SYN, opening, &b""[..], "SYN"),
        (Flags::ACK, later, b"", "ACK"),
        (Flags::ACK | Flags::PSH, later, b"some data", "data"),
        (Flags::ACK, holes, b"", "SACK"),
        (Flags::ACK | Flags::ECE | Flags::CWR | Flags::AE, Options::default(), b"", "congestion"),
        (Flags::ACK | Flags::URG, Options::default(), b"urgent", "urgent"),
        (Flags::FIN | Flags::ACK, later, b"", "FIN"),
    ];
    for (source, destination) in ENDS {
        let mut sequence = SeqNumber(u32::MAX);
        for (flags, options, data, comment) in segments {
            let header = tcp::Header {
                source_port: 50_000,
                destination_port: 50_003,
                sequence,
                acknowledgment: SeqNumber(if flags.contains(Flags::ACK) { 2001 } else { 0 }),
                flags,
                window: 64_000,
                urgent: if flags.contains(Flags::URG) { 6 } else { 0 },
                options,
            };
            let mut segment = vec![0; header.len()];
            header.emit(&mut segment);
            segment.extend(data);
            let sum = Sum::pseudo_header(source, destination, Protocol::TCP.0, segment.len());
            tcp::fill_checksum(&mut segment, sum);
            sequence += data.len() as u32 + u32::from(flags.intersects(Flags::SYN | Flags::FIN));
            let packet = match source {
                IpAddr::V4(_) => v4_packet(&v4_header(Protocol::TCP), &segment),
                IpAddr::V6(_) => v6_packet(&v6_header(Protocol::TCP), &segment),
            };
            capture.packet(&packet, comment);
        }
    }
}

fn echoes(capture: &mut Capture) {
    let echo = Echo { identifier: 7, sequence: 1, data: b"is anybody there?" };
    for message in [icmpv4::Message::EchoRequest(echo), icmpv4::Message::EchoReply(echo)] {
        let mut bytes = vec![0; message.len()];
        message.emit(&mut bytes);
        capture.packet(&v4_packet(&answering(&message), &bytes), "echo");
    }
    for message in [icmpv6::Message::EchoRequest(echo), icmpv6::Message::EchoReply(echo)] {
        let mut header = v6_header(Protocol::ICMPV6);
        if matches!(message, icmpv6::Message::EchoReply(_)) {
            (header.source, header.destination) = (header.destination, header.source);
        }
        let bytes = icmpv6_bytes(&header, &message);
        capture.packet(&v6_packet(&header, &bytes), "echo");
    }
}

fn answering(message: &icmpv4::Message<'_>) -> ipv4::Header {
    let mut header = v4_header(Protocol::ICMP);
    if matches!(message, icmpv4::Message::EchoReply(_)) {
        (header.source, header.destination) = (header.destination, header.source);
    }
    header
}

fn fragments(capture: &mut Capture) {
    let whole = udp_packet(ENDS[0].0, ENDS[0].1, (50_001, 50_002), &[0x5a; 3000]);
    let datagram = &whole[ipv4::Header::MIN_LEN..];
    for (number, part) in datagram.chunks(1480).enumerate() {
        let header = ipv4::Header {
            dont_fragment: false,
            more_fragments: (number + 1) * 1480 < datagram.len(),
            fragment_offset: (number * 1480) as u16,
            ..v4_header(Protocol::UDP)
        };
        capture.packet(&v4_packet(&header, part), "a fragment");
    }
    let whole = udp_packet(ENDS[1].0, ENDS[1].1, (50_001, 50_002), &[0x5a; 3000]);
    let datagram = &whole[ipv6::Header::LEN..];
    for (number, part) in datagram.chunks(1448).enumerate() {
        let fragment = ipv6::Fragment {
            next_header: Protocol::UDP,
            offset: (number * 1448) as u16,
            more_fragments: (number + 1) * 1448 < datagram.len(),
            identification: 0xfeed_f00d,
        };
        let mut bytes = vec![0; ipv6::Fragment::LEN];
        fragment.emit(&mut bytes);
        bytes.extend(part);
        capture.packet(&v6_packet(&v6_header(Protocol::FRAGMENT), &bytes), "a fragment");
    }
}
