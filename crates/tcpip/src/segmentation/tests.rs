//! Long segments against what a sender that does not know them would have sent, and what a router makes of them.

use std::net::IpAddr;
use std::time::Duration;

use host::{Instant, Random};
use proptest::prelude::*;
use trace::Tracer;
use wire::tcp::{Flags, Header, Options, SeqNumber, Timestamps};
use wire::virtio::{self, Checksum, Kind};

use super::*;
use crate::internet::{Cidr, Route};
use crate::link::{InterfaceConfig, Medium};
use crate::{InterfaceId, Stack, StackConfig, Transmit};

const A: [u8; 4] = [10, 1, 0, 9];
const B: [u8; 4] = [10, 2, 0, 9];

fn ends(v4: bool) -> [IpAddr; 2] {
    match v4 {
        true => [A.into(), B.into()],
        false => ["fd01::9".parse().unwrap(), "fd02::9".parse().unwrap()],
    }
}

fn header(sequence: u32, flags: Flags) -> Header {
    Header {
        source_port: 4000,
        destination_port: 80,
        sequence: SeqNumber(sequence),
        acknowledgment: SeqNumber(9),
        flags,
        window: 7,
        urgent: 0,
        options: Options { timestamps: Some(Timestamps { value: 3, echo: 4 }), ..Options::default() },
    }
}

/// A whole packet as it is on a link, or, `long`, as a device gives what is to be cut.
fn packet(v4: bool, header: &Header, payload: &[u8], identification: u16, long: bool) -> Vec<u8> {
    let [source, destination] = ends(v4);
    let mut segment = vec![0; header.len()];
    header.emit(&mut segment);
    segment.extend(payload);
    let pseudo_header = Sum::pseudo_header(source, destination, Protocol::TCP.0, segment.len());
    match long {
        true => tcp::prepare_checksum(&mut segment, pseudo_header),
        false => tcp::fill_checksum(&mut segment, pseudo_header),
    }
    let mut packet = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let header = wire::ipv4::Header {
                traffic_class: 2,
                identification,
                dont_fragment: true,
                more_fragments: false,
                fragment_offset: 0,
                ttl: 64,
                protocol: Protocol::TCP,
                source,
                destination,
                options: wire::ipv4::Options::default(),
            };
            let mut bytes = vec![0; header.len()];
            header.emit(&mut bytes, segment.len());
            bytes
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let header = wire::ipv6::Header {
                traffic_class: 2,
                flow_label: 5,
                next_header: Protocol::TCP,
                hop_limit: 64,
                source,
                destination,
            };
            let mut bytes = vec![0; wire::ipv6::Header::LEN];
            header.emit(&mut bytes, segment.len());
            bytes
        }
        _ => unreachable!("both ends are of one family"),
    };
    packet.extend(segment);
    packet
}

/// What a sender sends one by one, in place of one long segment.
fn one_by_one(v4: bool, sequence: u32, flags: Flags, payload: &[u8], size: usize) -> Vec<Vec<u8>> {
    let last = payload.chunks(size).count() - 1;
    let pieces = payload.chunks(size).enumerate().map(|(at, piece)| {
        let mut bits = flags.0;
        if at < last {
            bits &= !(Flags::FIN | Flags::PSH).0;
        }
        if at > 0 {
            bits &= !Flags::CWR.0;
        }
        let header = header(sequence.wrapping_add((at * size) as u32), Flags(bits));
        packet(v4, &header, piece, 7 + at as u16, false)
    });
    pieces.collect()
}

/// Keeps what leaves: the frame, and whether it is to be cut.
#[derive(Default)]
struct Out(Vec<(InterfaceId, Vec<u8>, Option<Segmentation>)>);

impl Transmit for Out {
    fn has_room(&mut self, _: InterfaceId) -> bool {
        true
    }

    fn transmit(&mut self, interface: InterfaceId, frame: &Descending<'_>) {
        let mut bytes = Vec::new();
        frame.copy_to(&mut bytes);
        self.0.push((interface, bytes, frame.segmentation()));
    }
}

/// A router between two tunnels, the second of which cuts packets of up to `segmented` bytes.
fn router(mtu: u16, segmented: u32) -> Stack {
    let mut config = StackConfig::default();
    config.internet.forwarding = true;
    let mut router = Stack::new(config, |_: &str| Random::from_seed([1; 32]), Tracer::OFF);
    let now = Instant::ORIGIN;
    for (name, mtu, segmented) in [("near", 1500, 65_535), ("far", mtu, segmented)] {
        let config = InterfaceConfig { name: name.into(), medium: Medium::Ip, mtu, segmented };
        router.add_interface(now, config).unwrap();
    }
    for (on, address, bits) in
        [(0, "10.1.0.1", 24), (1, "10.2.0.1", 24), (0, "fd01::1", 64), (1, "fd02::1", 64)]
    {
        let cidr = Cidr::new(address.parse().unwrap(), bits);
        router.add_address(now, InterfaceId(on), cidr).unwrap();
        let route =
            Route { network: cidr, gateway: None, interface: InterfaceId(on), metric: 0, until: None };
        router.internet().add_route(route).unwrap();
    }
    router
}

fn offload(v4: bool, size: u16) -> virtio::Header {
    let start = if v4 { 20 } else { 40 };
    let kind = if v4 { Kind::TcpV4 } else { Kind::TcpV6 };
    virtio::Header {
        checksum: Checksum::Missing { start, offset: 16 },
        segmentation: Some(virtio::Segmentation { kind, ecn: false, size, headers: start + 32 }),
    }
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 % 251) as u8).collect()
}

proptest! {
    #[test]
    fn pieces_are_what_would_have_been_sent_one_by_one(
        v4: bool, sequence: u32, flags in 0u16..0x200, len in 1usize..6000, size in 1u16..2000,
    ) {
        let (flags, payload) = (Flags(flags | Flags::ACK.0), bytes(len));
        let long = packet(v4, &header(sequence, flags), &payload, 7, true);
        let mut descending = Descending::of_long(&long, size).unwrap();
        prop_assert_eq!(descending.longest_piece(), long.len() - len + len.min(size.into()));
        let mut pieces = Vec::new();
        descending.cut(|piece| {
            let mut bytes = Vec::new();
            piece.copy_to(&mut bytes);
            pieces.push(bytes);
        });
        prop_assert_eq!(pieces, one_by_one(v4, sequence, flags, &payload, size.into()));
    }

    #[test]
    fn anything_may_be_said_to_be_long(
        mut packet in proptest::collection::vec(any::<u8>(), 0..200), size: u16, first in 0x45u8..0x66, start: u16, offset: u16,
    ) {
        if let Some(byte) = packet.first_mut() {
            *byte = first;
        }
        if let Some(mut long) = Descending::of_long(&packet, size) {
            long.cut(|_| {});
        }
        let kind = if first >> 4 == 4 { Kind::TcpV4 } else { Kind::TcpV6 };
        let segmentation = virtio::Segmentation { kind, ecn: false, size: size.max(1), headers: 0 };
        for segmentation in [None, Some(segmentation)] {
            let offload = virtio::Header { checksum: Checksum::Missing { start, offset }, segmentation };
            let mut out = Out::default();
            let mut frame = packet.clone();
            router(1500, 0).receive_offloaded(Instant::ORIGIN, InterfaceId(0), &mut frame, &offload, &mut out);
        }
    }
}

#[test]
fn a_router_cuts_for_a_device_that_does_not() {
    for v4 in [true, false] {
        let payload = bytes(5000);
        let flags = Flags::ACK | Flags::PSH;
        for (segmented, uncut) in [(0, false), (65_535, true)] {
            let (mut router, mut out) = (router(1500, segmented), Out::default());
            let mut long = packet(v4, &header(1, flags), &payload, 7, true);
            router.receive_offloaded(
                Instant::ORIGIN,
                InterfaceId(0),
                &mut long,
                &offload(v4, 1400),
                &mut out,
            );
            let mut left: Vec<_> = out.0.into_iter().map(|(on, bytes, cut)| (on.0, bytes, cut)).collect();
            if uncut {
                let (on, bytes, cut) = left.pop().unwrap();
                assert_eq!((on, bytes.len(), left.len()), (1, long.len(), 0));
                let mut again = Descending::of_long(&bytes, cut.unwrap().size).unwrap();
                again.cut(|piece| {
                    let mut bytes = Vec::new();
                    piece.copy_to(&mut bytes);
                    left.push((1, bytes, None));
                });
            }
            // A router changes TTL and hop limit, and with that IPv4's own checksum.
            let expected = one_by_one(v4, 1, flags, &payload, 1400);
            assert_eq!(left.len(), expected.len());
            for ((on, bytes, cut), sent) in left.iter().zip(&expected) {
                let (came, went) = (Packet::parse(sent).unwrap(), Packet::parse(bytes).unwrap());
                assert_eq!((*on, *cut), (1, None));
                assert_eq!(went, Packet { ttl: 63, ..came });
            }
        }
    }
}

#[test]
fn pieces_that_are_too_long_for_the_next_link_are_complained_about() {
    for v4 in [true, false] {
        let (mut router, mut out) = (router(1300, 0), Out::default());
        let mut long = packet(v4, &header(1, Flags::ACK), &bytes(5000), 7, true);
        router.receive_offloaded(Instant::ORIGIN, InterfaceId(0), &mut long, &offload(v4, 1400), &mut out);
        let [(on, bytes, None)] = &out.0[..] else { panic!("{:?}", out.0) };
        let protocol = Packet::parse(bytes).unwrap().protocol;
        assert_eq!((on.0, protocol), (0, if v4 { Protocol::ICMP } else { Protocol::ICMPV6 }));
    }
}

#[test]
fn a_missing_checksum_is_filled_in_before_a_packet_goes_on() {
    for v4 in [true, false] {
        let (mut router, mut out) = (router(1500, 65_535), Out::default());
        let mut short = packet(v4, &header(1, Flags::ACK), &bytes(500), 7, true);
        let offload = virtio::Header { segmentation: None, ..offload(v4, 1) };
        router.receive_offloaded(Instant::ORIGIN, InterfaceId(0), &mut short, &offload, &mut out);
        let seen = Packet::parse(&out.0[0].1).unwrap();
        let pseudo = Sum::pseudo_header(seen.source, seen.destination, Protocol::TCP.0, seen.payload.len());
        assert!(tcp::is_whole(seen.payload, pseudo));
    }
}

#[test]
fn a_long_segment_is_read_whole_and_only_where_its_checksum_is_vouched_for() {
    let mut host = Stack::new(StackConfig::default(), |_: &str| Random::from_seed([1; 32]), Tracer::OFF);
    let now = Instant::ORIGIN + Duration::from_secs(1);
    let config = InterfaceConfig { name: "wire".into(), medium: Medium::Ip, mtu: 1500, segmented: 65_535 };
    let on = host.add_interface(now, config).unwrap();
    host.add_address(now, on, Cidr::new(B.into(), 8)).unwrap();
    let listener = host.listen("10.2.0.9:80".parse().unwrap(), 4).unwrap();
    let mut out = Out::default();
    let mut come = |host: &mut Stack, header: Header, payload: &[u8], offload: &virtio::Header| {
        let mut frame = packet(true, &header, payload, 7, *offload != virtio::Header::default());
        host.receive_offloaded(now, on, &mut frame, offload, &mut out);
        host.transmit(now, &mut out);
        let last = out.0.last().unwrap();
        Header::parse(Packet::parse(&last.1).unwrap().payload).unwrap().0
    };
    let answer = come(&mut host, header(99, Flags::SYN), &[], &virtio::Header::default());
    let mut data = header(100, Flags::ACK);
    data.acknowledgment = answer.sequence + 1;
    come(&mut host, data, &[], &virtio::Header::default());
    let id = host.accept(listener).unwrap();
    let payload = bytes(40_000);
    let answer = come(&mut host, data, &payload, &offload(true, 1448));
    assert_eq!(answer.acknowledgment, SeqNumber(40_100));
    let mut read = vec![0; 50_000];
    assert_eq!(host.connection(id).unwrap().read(now, &mut read), Ok(40_000));
    assert_eq!(read[..40_000], payload);
    // The same without the word of a device: its checksum is wrong.
    data.sequence = SeqNumber(40_100);
    let mut frame = packet(true, &data, &payload, 7, true);
    host.receive(now, on, &mut frame, &mut Out::default());
    assert_eq!(host.transport().counters().malformed, 1);
}
