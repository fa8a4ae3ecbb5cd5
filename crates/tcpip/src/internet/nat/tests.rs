//! A translator between a network inside and the world.

use std::collections::VecDeque;

use proptest::prelude::*;
use wire::checksum::Sum;
use wire::icmpv4::{Echo, Message, Unreachable};
use wire::tcp::Flags;
use wire::udp;

use super::*;
use crate::Descending;
use crate::internet::{Cidr, Config as LayerConfig, Received};
use crate::link::{InterfaceConfig, Medium};
use trace::Tracer;

const INSIDE: InterfaceId = InterfaceId(0);
const OUTSIDE: InterfaceId = InterfaceId(1);
const OUR_ADDRESS: [u8; 4] = [203, 0, 113, 1];

#[derive(Default)]
struct Wire(VecDeque<(InterfaceId, Vec<u8>)>);

impl Transmit for Wire {
    fn has_room(&mut self, _: InterfaceId) -> bool {
        true
    }

    fn transmit(&mut self, interface: InterfaceId, frame: &Descending<'_>) {
        let mut bytes = Vec::new();
        frame.copy_to(&mut bytes);
        self.0.push_back((interface, bytes));
    }
}

struct Router {
    layer: Layer,
    now: Instant,
}

impl Router {
    fn new(change: impl Fn(&mut Config)) -> Self {
        let config = LayerConfig { forwarding: true, ..LayerConfig::default() };
        let mut layer = Layer::new(config, Random::from_seed([7; 32]), Tracer::OFF);
        let now = Instant::from_nanos(1);
        for (address, mtu) in [([192, 168, 1, 1], 1_400), (OUR_ADDRESS, 1_500)] {
            let medium = Medium::Ip;
            let id =
                layer.add_interface(now, InterfaceConfig { name: "if".into(), medium, mtu, segmented: 0 });
            layer.add_address(now, id.unwrap(), Cidr::new(address.into(), 24)).unwrap();
        }
        let mut config = Config::new(OUTSIDE);
        change(&mut config);
        layer.set_nat(Some(config)).unwrap();
        Self { layer, now }
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// What goes out for a packet that came, and by which interface; each is whole to the last checksum.
    fn take(&mut self, on: InterfaceId, mut packet: Vec<u8>) -> Vec<(InterfaceId, Vec<u8>)> {
        let mut wire = Wire::default();
        if let Received::Deliver(delivery) = self.layer.receive(self.now, on, &mut packet, &mut wire) {
            let what = (InterfaceId(99), delivery.payload.to_vec());
            wire.0.push_back(what);
        }
        wire.0.into()
    }

    /// The one packet that goes out for one that came.
    fn one(&mut self, on: InterfaceId, packet: Vec<u8>) -> Option<(InterfaceId, Seen)> {
        let mut out = self.take(on, packet);
        assert!(out.len() <= 1, "{out:?}");
        out.pop().map(|(interface, packet)| (interface, seen(&packet)))
    }

    fn counters(&mut self) -> Counters {
        self.layer.nat().unwrap().counters()
    }
}

/// What a packet says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    from: SocketAddrV4,
    to: SocketAddrV4,
    ttl: u8,
    protocol: Protocol,
    payload: Vec<u8>,
}

fn seen(packet: &[u8]) -> Seen {
    let (header, payload) = ipv4::Header::parse(packet).expect("a whole packet");
    if header.protocol == Protocol::ICMP {
        assert!(Sum::of(payload).is_whole(), "the ICMP checksum is right");
    } else {
        let (source, destination) = (header.source.into(), header.destination.into());
        let sum = Sum::pseudo_header(source, destination, header.protocol.0, payload.len()).and(payload);
        assert!(sum.is_whole(), "the checksum of protocol {:?} is right", header.protocol);
    }
    let flow = Flow::of(&header, payload);
    let from = flow.map_or(SocketAddrV4::new(header.source, 0), |flow| flow.source);
    let to = flow.map_or(SocketAddrV4::new(header.destination, 0), |flow| flow.destination);
    Seen { from, to, ttl: header.ttl, protocol: header.protocol, payload: payload.to_vec() }
}

fn end(text: &str) -> SocketAddrV4 {
    text.parse().unwrap()
}

fn packet(from: SocketAddrV4, to: SocketAddrV4, protocol: Protocol, payload: &[u8]) -> Vec<u8> {
    let header = ipv4::Header {
        traffic_class: 0,
        identification: 77,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol,
        source: *from.ip(),
        destination: *to.ip(),
        options: ipv4::Options::default(),
    };
    let mut bytes = vec![0; header.len()];
    header.emit(&mut bytes, payload.len());
    bytes.extend(payload);
    bytes
}

fn pseudo(from: SocketAddrV4, to: SocketAddrV4, protocol: Protocol, len: usize) -> Sum {
    Sum::pseudo_header((*from.ip()).into(), (*to.ip()).into(), protocol.0, len)
}

fn udp(from: SocketAddrV4, to: SocketAddrV4, data: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0; 8];
    datagram.extend(data);
    let sum = pseudo(from, to, Protocol::UDP, datagram.len());
    udp::Header { source_port: from.port(), destination_port: to.port() }.emit(&mut datagram, sum);
    packet(from, to, Protocol::UDP, &datagram)
}

fn tcp(from: SocketAddrV4, to: SocketAddrV4, flags: Flags) -> Vec<u8> {
    let mut segment = vec![0; 20];
    segment[..2].copy_from_slice(&from.port().to_be_bytes());
    segment[2..4].copy_from_slice(&to.port().to_be_bytes());
    segment[12] = 5 << 4;
    segment[13] = flags.0 as u8;
    let sum = pseudo(from, to, Protocol::TCP, segment.len()).and(&segment).checksum();
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    packet(from, to, Protocol::TCP, &segment)
}

fn icmp(from: SocketAddrV4, to: SocketAddrV4, message: &Message<'_>) -> Vec<u8> {
    let mut bytes = vec![0; message.len()];
    message.emit(&mut bytes);
    packet(from, to, Protocol::ICMP, &bytes)
}

const HOST: &str = "192.168.1.2:5000";
const PEER: &str = "198.51.100.9:53";

#[test]
fn an_endpoint_has_one_port_outside_and_answers_come_back() {
    let mut router = Router::new(|_| {});
    router.layer.add_route(default_route()).unwrap();
    let (_, out) = router.one(INSIDE, udp(end(HOST), end(PEER), b"ask")).unwrap();
    assert_eq!((out.from.ip().octets(), out.to, out.ttl), (OUR_ADDRESS, end(PEER), 63));
    assert_eq!(out.from.port() % 2, 0, "an even port for an even one");
    let other = end("198.51.100.10:99");
    let (interface, again) = router.one(INSIDE, udp(end(HOST), other, b"ask")).unwrap();
    assert_eq!((interface, again.from), (OUTSIDE, out.from), "whomever it talks to");
    let (interface, back) = router.one(OUTSIDE, udp(end(PEER), out.from, b"answer")).unwrap();
    assert_eq!((interface, back.from, back.to), (INSIDE, end(PEER), end(HOST)));
    assert_eq!(&back.payload[8..], b"answer");
    let (_, elsewhere) = router.one(INSIDE, udp(end("192.168.1.3:5000"), end(PEER), b"ask")).unwrap();
    assert_ne!(elsewhere.from, out.from, "no port is two endpoints'");
    let counters = router.counters();
    assert_eq!((counters.outbound, counters.inbound, counters.mapped), (3, 1, 2));
}

fn default_route() -> crate::internet::Route {
    crate::internet::Route {
        network: "0.0.0.0/0".parse().unwrap(),
        gateway: Some([203, 0, 113, 254].into()),
        interface: OUTSIDE,
        metric: 0,
        until: None,
    }
}

fn router(change: impl Fn(&mut Config)) -> Router {
    let mut router = Router::new(change);
    router.layer.add_route(default_route()).unwrap();
    router
}

#[test]
fn the_filter_lets_in_whom_it_says() {
    for (filtering, same_address, stranger) in [
        (Filtering::AddressAndPortDependent, false, false),
        (Filtering::AddressDependent, true, false),
        (Filtering::EndpointIndependent, true, true),
    ] {
        let mut router = router(|config| config.filtering = filtering);
        let (_, out) = router.one(INSIDE, udp(end(HOST), end(PEER), b"ask")).unwrap();
        let from_port = router.one(OUTSIDE, udp(end("198.51.100.9:54"), out.from, b"hm"));
        assert_eq!(from_port.is_some(), same_address, "{filtering:?}");
        let from_stranger = router.one(OUTSIDE, udp(end("198.51.100.77:53"), out.from, b"hm"));
        assert_eq!(from_stranger.is_some(), stranger, "{filtering:?}");
        let port = SocketAddrV4::new(*out.from.ip(), out.from.port() ^ 1);
        assert_eq!(router.one(OUTSIDE, udp(end(PEER), port, b"hm")), None, "nobody has it");
        let counters = router.counters();
        assert_eq!(counters.filtered, u64::from(!same_address) + u64::from(!stranger));
        assert_eq!(counters.unmapped, 1);
    }
}

#[test]
fn a_datagrams_way_in_is_kept_open_by_what_goes_out_only() {
    let mut router = router(|_| {});
    let (_, out) = router.one(INSIDE, udp(end(HOST), end(PEER), b"ask")).unwrap();
    router.wait(200);
    router.one(INSIDE, udp(end(HOST), end(PEER), b"ask")).unwrap();
    router.wait(200);
    assert!(router.one(OUTSIDE, udp(end(PEER), out.from, b"in")).is_some());
    router.wait(99);
    assert!(router.one(OUTSIDE, udp(end(PEER), out.from, b"in")).is_some());
    router.wait(2);
    assert_eq!(router.one(OUTSIDE, udp(end(PEER), out.from, b"in")), None);
    assert_eq!(router.counters().expired, 1);
    assert_eq!(router.layer.nat().unwrap().mappings().count(), 0);
}

#[test]
fn a_connection_lives_as_long_as_its_state_allows() {
    let syn_ack = Flags(Flags::SYN.0 | Flags::ACK.0);
    let fin = Flags(Flags::FIN.0 | Flags::ACK.0);
    let rst = Flags::RST;
    // What is said after the handshake by whom, and how many seconds it is remembered then.
    for (said, lives) in [
        (&[][..], 7_440),
        (&[(INSIDE, fin)], 7_440),
        (&[(INSIDE, fin), (OUTSIDE, fin)], 240),
        (&[(OUTSIDE, rst)], 240),
        (&[(OUTSIDE, rst), (INSIDE, Flags::SYN), (OUTSIDE, syn_ack)], 7_440),
    ] {
        let mut router = router(|_| {});
        let (_, out) = router.one(INSIDE, tcp(end(HOST), end(PEER), Flags::SYN)).unwrap();
        router.one(OUTSIDE, tcp(end(PEER), out.from, syn_ack)).unwrap();
        for &(from, flags) in said {
            let segment = match from {
                INSIDE => tcp(end(HOST), end(PEER), flags),
                _ => tcp(end(PEER), out.from, flags),
            };
            assert!(router.one(from, segment).is_some());
        }
        router.wait(lives + 1);
        assert_eq!(router.one(OUTSIDE, tcp(end(PEER), out.from, Flags::ACK)), None, "{said:?} after {lives}");
        let mut router = self::router(|_| {});
        let (_, out) = router.one(INSIDE, tcp(end(HOST), end(PEER), Flags::SYN)).unwrap();
        router.one(OUTSIDE, tcp(end(PEER), out.from, syn_ack)).unwrap();
        for &(from, flags) in said {
            let segment = match from {
                INSIDE => tcp(end(HOST), end(PEER), flags),
                _ => tcp(end(PEER), out.from, flags),
            };
            router.one(from, segment).unwrap();
        }
        router.wait(lives - 1);
        assert!(
            router.one(OUTSIDE, tcp(end(PEER), out.from, Flags::ACK)).is_some(),
            "{said:?} before {lives}"
        );
    }
    let mut router = router(|_| {});
    let (_, out) = router.one(INSIDE, tcp(end(HOST), end(PEER), Flags::SYN)).unwrap();
    router.wait(241);
    assert_eq!(router.one(OUTSIDE, tcp(end(PEER), out.from, syn_ack)), None, "it never opened");
}

#[test]
fn both_may_call_at_once() {
    let mut router = router(|_| {});
    let (_, out) = router.one(INSIDE, tcp(end(HOST), end(PEER), Flags::SYN)).unwrap();
    let (_, in_) = router.one(OUTSIDE, tcp(end(PEER), out.from, Flags::SYN)).unwrap();
    assert_eq!(in_.to, end(HOST));
    let stranger = end("198.51.100.10:1");
    assert_eq!(
        router.one(OUTSIDE, tcp(stranger, out.from, Flags::SYN)),
        None,
        "and nobody else, without a word"
    );
}

#[test]
fn those_inside_reach_each_other_at_their_outside_endpoints() {
    let mut router = router(|config| config.filtering = Filtering::EndpointIndependent);
    let (_, a) = router.one(INSIDE, udp(end(HOST), end(PEER), b"ask")).unwrap();
    let other = end("192.168.1.3:6000");
    let (interface, seen) = router.one(INSIDE, udp(other, a.from, b"hello")).unwrap();
    assert_eq!((interface, seen.to), (INSIDE, end(HOST)));
    assert_eq!(seen.from.ip().octets(), OUR_ADDRESS, "from its own outside endpoint");
    let (_, back) = router.one(INSIDE, udp(end(HOST), seen.from, b"hello")).unwrap();
    assert_eq!((back.from, back.to), (a.from, other));
    // An error about it goes the same way.
    let told = udp(seen.from, end(HOST), b"hello");
    let error = Message::Unreachable { code: Unreachable::Port, quoted: &told };
    let (_, error) = router.one(INSIDE, icmp(end(HOST), seen.from, &error)).unwrap();
    let quoted = rewrite::quoted(Protocol::ICMP, &error.payload).unwrap();
    assert_eq!((error.from.ip().octets(), *error.to.ip()), (OUR_ADDRESS, *other.ip()));
    assert_eq!((quoted.source, quoted.destination), (other, a.from));
    assert_eq!(router.counters().hairpinned, 2);
}

#[test]
fn a_ping_has_an_identifier_outside() {
    let mut router = router(|_| {});
    let echo = |identifier| Echo { identifier, sequence: 3, data: b"ping" };
    let host = end("192.168.1.2:0");
    let peer = end("198.51.100.9:0");
    let (_, out) = router.one(INSIDE, icmp(host, peer, &Message::EchoRequest(echo(9)))).unwrap();
    let reply = icmp(peer, SocketAddrV4::new(*out.from.ip(), 0), &Message::EchoReply(echo(out.from.port())));
    let (interface, back) = router.one(OUTSIDE, reply.clone()).unwrap();
    assert_eq!((interface, back.to), (INSIDE, end("192.168.1.2:9")));
    router.wait(61);
    assert_eq!(router.one(OUTSIDE, reply), None);
    // A ping to the router itself is the router's.
    let own = icmp(peer, SocketAddrV4::new(OUR_ADDRESS.into(), 0), &Message::EchoRequest(echo(1)));
    let (interface, answer) = router.one(OUTSIDE, own).unwrap();
    assert_eq!((interface, *answer.to.ip()), (OUTSIDE, *peer.ip()));
}

#[test]
fn errors_are_translated_with_what_they_quote() {
    let mut router = router(|_| {});
    let (_, out) = router.one(INSIDE, udp(end(HOST), end(PEER), b"ask")).unwrap();
    let hop = end("198.51.100.1:0");
    // A router outside quotes the header and eight bytes.
    let sent = udp(out.from, end(PEER), b"ask");
    let error = Message::Unreachable { code: Unreachable::Host, quoted: &sent[..28] };
    let outside = SocketAddrV4::new(OUR_ADDRESS.into(), 0);
    let (interface, told) = router.one(OUTSIDE, icmp(hop, outside, &error)).unwrap();
    let quoted = rewrite::quoted(Protocol::ICMP, &told.payload).unwrap();
    assert_eq!((interface, told.from.ip(), told.to.ip()), (INSIDE, hop.ip(), end(HOST).ip()));
    assert_eq!((quoted.source, quoted.destination), (end(HOST), end(PEER)));
    assert!(Sum::of(&told.payload[8..28]).is_whole(), "the quoted header is whole");
    // The host inside complains about an answer.
    let got = udp(end(PEER), end(HOST), b"answer");
    let error = Message::Unreachable { code: Unreachable::Port, quoted: &got };
    let (interface, told) = router.one(INSIDE, icmp(end(HOST), end(PEER), &error)).unwrap();
    let quoted = rewrite::quoted(Protocol::ICMP, &told.payload).unwrap();
    assert_eq!((interface, told.from.ip().octets()), (OUTSIDE, OUR_ADDRESS));
    assert_eq!((quoted.source, quoted.destination), (end(PEER), out.from));
    // About what nobody inside has sent: the router's own, and nobody's.
    let forged = udp(out.from, end("198.51.100.66:1"), b"ask");
    let error = Message::Unreachable { code: Unreachable::Host, quoted: &forged };
    assert_eq!(router.one(OUTSIDE, icmp(hop, outside, &error)), None);
    assert_eq!(router.counters().errors, 2);
    // Errors keep nothing alive.
    router.wait(301);
    let error = Message::Unreachable { code: Unreachable::Host, quoted: &sent };
    assert_eq!(router.one(OUTSIDE, icmp(hop, outside, &error)), None);
}

#[test]
fn the_routers_own_complaints_are_about_the_packet_as_it_was_sent() {
    let mut router = router(|_| {});
    let (_, out) = router.one(INSIDE, udp(end(HOST), end(PEER), b"ask")).unwrap();
    let dying = |mut packet: Vec<u8>| {
        packet[8] = 1;
        packet[10..12].fill(0);
        let sum = Sum::of(&packet[..20]).checksum();
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet
    };
    let (interface, error) = router.one(INSIDE, dying(udp(end(HOST), end(PEER), b"ask"))).unwrap();
    let quoted = rewrite::quoted(Protocol::ICMP, &error.payload).unwrap();
    assert_eq!((interface, error.to.ip(), quoted.source), (INSIDE, end(HOST).ip(), end(HOST)));
    let (interface, error) = router.one(OUTSIDE, dying(udp(end(PEER), out.from, b"answer"))).unwrap();
    let quoted = rewrite::quoted(Protocol::ICMP, &error.payload).unwrap();
    assert_eq!((interface, error.to.ip(), quoted.destination), (OUTSIDE, end(PEER).ip(), out.from));
    // Too long for the network inside, and not to be cut.
    let mut long = udp(end(PEER), out.from, &[0; 1_450]);
    long[6] |= 0x40;
    long[10..12].fill(0);
    let sum = Sum::of(&long[..20]).checksum();
    long[10..12].copy_from_slice(&sum.to_be_bytes());
    let (interface, error) = router.one(OUTSIDE, long).unwrap();
    assert_eq!((interface, error.payload[..2].to_vec()), (OUTSIDE, vec![3, 4]));
    assert_eq!(rewrite::quoted(Protocol::ICMP, &error.payload).unwrap().destination, out.from);
}

#[test]
fn fragments_are_put_together_first() {
    let mut router = router(|_| {});
    let whole = udp(end(HOST), end(PEER), &[7; 1_300]);
    let (head, body) = whole.split_at(20);
    let fragments = [(0, &body[..800]), (800, &body[800..])].map(|(offset, piece)| {
        let (header, _) = ipv4::Header::parse_quoted(head).unwrap();
        let header = ipv4::Header { fragment_offset: offset, more_fragments: offset == 0, ..header };
        let mut bytes = vec![0; 20];
        header.emit(&mut bytes, piece.len());
        bytes.extend(piece);
        bytes
    });
    // The last one first (RFC 4787 REQ-14).
    let [first, last] = fragments;
    assert_eq!(router.one(INSIDE, last), None);
    let (_, out) = router.one(INSIDE, first).unwrap();
    assert_eq!((out.from.ip().octets(), out.payload.len()), (OUR_ADDRESS, 1_308));
    // Coming back it is cut again where that is needed.
    let pieces = router.take(OUTSIDE, udp(end(PEER), out.from, &[8; 1_440]));
    assert_eq!(pieces.len(), 2);
    assert!(pieces.iter().all(|(interface, _)| *interface == INSIDE));
}

#[test]
fn the_table_is_bounded_for_each_host_and_for_all() {
    let mut router = router(|config| {
        config.mappings = 3;
        config.mappings_per_host = 2;
        config.sessions = 4;
    });
    let mut send = |host: u8, port: u16, to: u16| {
        let from = SocketAddrV4::new([192, 168, 1, host].into(), port);
        router.one(INSIDE, udp(from, SocketAddrV4::new([198, 51, 100, 9].into(), to), b"x")).is_some()
    };
    assert!(send(2, 1, 1) && send(2, 2, 1));
    assert!(!send(2, 3, 1), "that is more than its share");
    assert!(send(3, 1, 1));
    assert!(!send(4, 1, 1), "there are no more mappings");
    assert!(send(3, 1, 2));
    assert!(!send(3, 1, 3), "there are no more sessions");
    assert!(send(3, 1, 2), "but those that are there go on");
    assert_eq!(router.counters().full, 3);
    router.wait(301);
    assert!(router.one(INSIDE, udp(end("192.168.1.4:1"), end(PEER), b"x")).is_some(), "room again");
}

#[test]
fn the_pool_of_ports_runs_out_and_is_refilled() {
    let mut router = router(|config| config.ports = 2_000..=2_009);
    for port in 1..=10 {
        assert!(
            router
                .one(INSIDE, udp(SocketAddrV4::new([192, 168, 1, 2].into(), port), end(PEER), b"x"))
                .is_some()
        );
    }
    assert_eq!(router.one(INSIDE, udp(end("192.168.1.2:11"), end(PEER), b"x")), None);
    let mut ports: Vec<_> = router.layer.nat().unwrap().mappings().map(|mapping| mapping.outside).collect();
    ports.sort_unstable();
    assert_eq!(ports, (2_000..=2_009).collect::<Vec<_>>());
}

#[test]
fn a_translator_that_forgot_gives_another_port() {
    let mut router = router(|config| config.ports = 2_000..=2_003);
    for _ in 0..20 {
        let (_, before) = router.one(INSIDE, tcp(end(HOST), end(PEER), Flags::SYN)).unwrap();
        router.layer.nat().unwrap().rebind();
        assert_eq!(router.one(OUTSIDE, tcp(end(PEER), before.from, Flags::ACK)), None);
        // The connection goes on as if nothing had happened, from another port.
        let (_, after) = router.one(INSIDE, tcp(end(HOST), end(PEER), Flags::ACK)).unwrap();
        assert_ne!(before.from, after.from);
    }
}

#[test]
fn what_has_no_ports_does_not_get_out() {
    let mut router = router(|_| {});
    assert_eq!(router.one(INSIDE, packet(end(HOST), end(PEER), Protocol(47), &[0; 30])), None);
    assert_eq!(router.one(INSIDE, packet(end(HOST), end(PEER), Protocol::UDP, &[0; 7])), None);
    assert_eq!(router.counters().unsupported, 2);
}

proptest! {
    /// Any datagrams and segments, with right checksums, go out and come back as they were, and are whole on the way.
    #[test]
    fn what_goes_out_comes_back(
        data in proptest::collection::vec(any::<u8>(), 0..100), host in 2u8..250, ports: (u16, u16), is_tcp: bool, omit: bool,
    ) {
        let mut router = router(|_| {});
        let from = SocketAddrV4::new([192, 168, 1, host].into(), ports.0);
        let to = SocketAddrV4::new([198, 51, 100, 9].into(), ports.1);
        let make = |from, to| {
            let mut packet = if is_tcp { tcp(from, to, Flags::ACK) } else { udp(from, to, &data) };
            if omit && !is_tcp {
                packet[26..28].fill(0);
            }
            packet
        };
        let mut out = router.take(INSIDE, make(from, to));
        let (_, out) = out.pop().unwrap();
        let (header, payload) = ipv4::Header::parse(&out).unwrap();
        let outside = Flow::of(&header, payload).unwrap().source;
        let mut back = router.take(OUTSIDE, make(to, outside));
        let (_, back) = back.pop().unwrap();
        let mut expected = make(to, from);
        expected[8] = 63;
        expected[10..12].fill(0);
        let sum = Sum::of(&expected[..20]).checksum();
        expected[10..12].copy_from_slice(&sum.to_be_bytes());
        prop_assert_eq!(&back, &expected);
        if !omit {
            seen(&out);
            seen(&back);
        }
    }

    /// Whatever comes, from either side, nothing breaks and the table stays within its bounds.
    #[test]
    fn any_packet_is_borne(packets in proptest::collection::vec(
        (any::<bool>(), prop_oneof![Just(1u8), Just(6), Just(17), any::<u8>()], any::<u8>(), proptest::collection::vec(any::<u8>(), 0..80)), 0..60,
    )) {
        let mut router = router(|config| config.sessions = 5);
        for (inside, protocol, last, payload) in packets {
            let (on, from, to) = match inside {
                true => (INSIDE, [192, 168, 1, last], [198, 51, 100, 9]),
                false => (OUTSIDE, [198, 51, 100, last], OUR_ADDRESS),
            };
            let from = SocketAddrV4::new(from.into(), 0);
            let bytes = packet(from, SocketAddrV4::new(to.into(), 0), Protocol(protocol), &payload);
            router.take(on, bytes);
            router.wait(1);
        }
        let sessions: usize = router.layer.nat().unwrap().mappings().map(|mapping| mapping.sessions).sum();
        prop_assert!(sessions <= 5);
    }
}
