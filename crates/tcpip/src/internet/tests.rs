//! Hosts on a wire.

use super::*;
use crate::Descending;
use crate::link::Medium;
use wire::{MacAddress, Protocol};

mod routers;

const MAC: [MacAddress; 2] = [MacAddress([2, 0, 0, 0, 0, 1]), MacAddress([2, 0, 0, 0, 0, 2])];
const ID: InterfaceId = InterfaceId(0);

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

fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000 + 1)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn layer(which: usize, config: Config) -> Layer {
    let mut layer = Layer::new(config, Random::from_seed([which as u8; 32]), Tracer::OFF);
    let medium = Medium::Ethernet(MAC[which]);
    let interface = InterfaceConfig { name: "eth0".into(), medium, mtu: 1500, segmented: 1500 };
    layer.add_interface(at(0), interface).unwrap();
    layer
}

fn host(which: usize) -> Layer {
    let mut layer = layer(which, Config::default());
    let last = which + 1;
    layer.add_address(at(0), ID, Cidr::new(ip(&format!("10.0.0.{last}")), 24)).unwrap();
    layer.add_address(at(0), ID, Cidr::new(ip(&format!("fe80::{last}")), 64)).unwrap();
    layer.add_address(at(0), ID, Cidr::new(ip(&format!("2001:db8::{last}")), 64)).unwrap();
    layer
}

/// What came up, owned.
#[derive(Debug, PartialEq)]
enum Up {
    Deliver(IpAddr, Vec<u8>, bool),
    Failure(Failure),
    Echo(IpAddr, u16, Vec<u8>),
}

fn up(received: Received<'_>) -> Option<Up> {
    match received {
        Received::Handled => None,
        Received::Deliver(delivery) => {
            Some(Up::Deliver(delivery.source, delivery.payload.into_owned(), delivery.to_many))
        }
        Received::Failure(failure) => Some(Up::Failure(failure)),
        Received::EchoReply { source, sequence, data, .. } => Some(Up::Echo(source, sequence, data)),
    }
}

/// Frames go to and fro until the wire is silent; what came up at the first and at the second host.
fn run(now: Instant, hosts: &mut [Layer; 2], wires: &mut [Wire; 2]) -> [Vec<Up>; 2] {
    let mut ups = [Vec::new(), Vec::new()];
    for _ in 0..1000 {
        for from in 0..2 {
            let to = 1 - from;
            while let Some((_, mut frame)) = wires[from].0.pop_front() {
                let (received, reject) = {
                    let received = hosts[to].receive(now, ID, &mut frame, &mut wires[to]);
                    let reject = match &received {
                        Received::Deliver(delivery) => Some(Delivery {
                            payload: delivery.payload.to_vec().into(),
                            quote: delivery.quote.to_vec().into(),
                            ..*delivery
                        }),
                        _ => None,
                    };
                    (up(received), reject)
                };
                if let Some(delivery) = reject {
                    hosts[to].reject(now, &delivery, &mut wires[to]);
                }
                ups[to].extend(received);
            }
        }
    }
    ups
}

fn request<'a>(destination: IpAddr, data: &'a [u8]) -> EchoRequest<'a> {
    EchoRequest { destination, source: None, identifier: 7, sequence: 1, ttl: None, data }
}

fn datagram(source: IpAddr, destination: IpAddr) -> Sending {
    let protocol = Protocol::UDP;
    Sending {
        source,
        destination,
        protocol,
        ttl: None,
        traffic_class: 0,
        dont_fragment: false,
        interface: None,
    }
}

#[test]
fn a_ping_finds_its_neighbour_and_comes_back_in_both_families_and_in_pieces() {
    for (to, len) in [("10.0.0.2", 5), ("10.0.0.2", 40_000), ("2001:db8::2", 5), ("fe80::2", 9_000)] {
        let (mut hosts, mut wires) = ([host(0), host(1)], [Wire::default(), Wire::default()]);
        let data: Vec<u8> = (0..len).map(|at| at as u8).collect();
        hosts[0].echo(at(1), &request(ip(to), &data), &mut wires[0]).unwrap();
        let ups = run(at(1), &mut hosts, &mut wires);
        // A packet that is cut waits in pieces: no more than fit.
        if len < 20_000 {
            assert_eq!(ups[0], [Up::Echo(ip(to), 1, data.clone())], "{to} {len}");
        }
        hosts[0].echo(at(1), &request(ip(to), &data), &mut wires[0]).unwrap();
        assert_eq!(run(at(1), &mut hosts, &mut wires)[0], [Up::Echo(ip(to), 1, data)], "{to} {len}");
    }
}

#[test]
fn a_port_where_nobody_is_says_so_a_few_times() {
    for (from, to) in [("10.0.0.1", "10.0.0.2"), ("2001:db8::1", "2001:db8::2")] {
        let (mut hosts, mut wires) = ([host(0), host(1)], [Wire::default(), Wire::default()]);
        let mut failures = 0;
        for _ in 0..20 {
            let mut packet = Descending::new([b"01234567", b"89"]);
            let sending = datagram(ip(from), ip(to));
            hosts[0].with(&mut wires[0]).send(at(1), &sending, &mut packet).unwrap();
            let ups = run(at(1), &mut hosts, &mut wires);
            assert_eq!(ups[1], [Up::Deliver(ip(from), b"0123456789".to_vec(), false)]);
            for up in &ups[0] {
                let Up::Failure(failure) = up else { panic!("{up:?}") };
                assert_eq!((failure.problem, failure.destination), (Problem::PortUnreachable, ip(to)));
                assert_eq!(failure.transport, b"0123456789");
                failures += 1;
            }
        }
        assert!((1..=6).contains(&failures), "{failures}");
    }
}

#[test]
fn a_neighbour_that_is_not_there_fails_its_flow_and_holds_a_bounded_queue() {
    let (mut layer, mut wire) = (host(0), Wire::default());
    for _ in 0..100 {
        let mut packet = Descending::new([b"01234567", b"89"]);
        layer.with(&mut wire).send(at(1), &datagram(ip("10.0.0.1"), ip("10.0.0.9")), &mut packet).unwrap();
    }
    assert_eq!(wire.0.len(), 1, "asked once");
    let mut failed = 0;
    while let Some(due) = layer.poll_timeout() {
        assert!(due < at(10));
        layer.handle_timeout(due, &mut wire);
        while let Some(event) = layer.poll_event() {
            let Event::Failure(failure) = event else { panic!("{event:?}") };
            assert_eq!((failure.problem, failure.source), (Problem::HostUnreachable, ip("10.0.0.1")));
            failed += 1;
        }
    }
    let asked = wire.0.iter().filter(|(_, frame)| frame[12..14] == [0x08, 0x06]).count();
    assert_eq!((asked, failed, layer.neighbors(ID).count()), (3, 16, 0));
}

#[test]
fn a_scan_or_a_flood_leaves_the_cache_bounded_and_friends_known() {
    let (mut hosts, mut wires) = ([host(0), host(1)], [Wire::default(), Wire::default()]);
    hosts[0].echo(at(1), &request(ip("10.0.0.2"), b"x"), &mut wires[0]).unwrap();
    run(at(1), &mut hosts, &mut wires);
    for host in 0..5000u128 {
        let to = IpAddr::from(
            (u128::from_be_bytes("2001:db8::".parse::<std::net::Ipv6Addr>().unwrap().octets()) + 100 + host)
                .to_be_bytes(),
        );
        let _ = hosts[0].echo(at(2), &request(to, b"x"), &mut wires[0]);
    }
    assert!(hosts[0].neighbors(ID).count() <= 512);
    wires[0].0.clear();
    hosts[0].echo(at(2), &request(ip("10.0.0.2"), b"x"), &mut wires[0]).unwrap();
    assert_eq!(run(at(2), &mut hosts, &mut wires)[0].len(), 1);
}

#[test]
fn what_goes_to_ourselves_stays_here() {
    let (mut layer, mut wire) = (host(0), Wire::default());
    for to in ["10.0.0.1", "127.0.0.1", "2001:db8::1", "::1"] {
        layer.echo(at(1), &request(ip(to), b"me"), &mut wire).unwrap();
        let mut got = None;
        while let Some(mut looped) = layer.poll_loopback() {
            got = up(layer.receive_looped(at(1), &mut looped, &mut wire)).or(got);
        }
        assert_eq!(got, Some(Up::Echo(ip(to), 1, b"me".to_vec())), "{to}");
    }
    assert!(wire.0.is_empty());
}

#[test]
fn a_group_is_heard_while_it_is_joined_by_ourselves_too() {
    for (group, own, other) in
        [("224.0.0.99", "10.0.0.1", "10.0.0.2"), ("ff02::99", "2001:db8::1", "2001:db8::2")]
    {
        let (mut hosts, mut wires) = ([host(0), host(1)], [Wire::default(), Wire::default()]);
        let mut send = |hosts: &mut [Layer; 2], from: usize| {
            let sending = datagram(ip([own, other][from]), ip(group));
            let mut packet = Descending::new([b"01234567", b"89"]);
            hosts[from].with(&mut wires[from]).send(at(1), &sending, &mut packet).unwrap();
            let heard = run(at(1), hosts, &mut wires);
            let mut looped = 0;
            while let Some(mut packet) = hosts[0].poll_loopback() {
                let received = up(hosts[0].receive_looped(at(1), &mut packet, &mut wires[0]));
                assert_eq!(received, Some(Up::Deliver(ip(own), b"0123456789".to_vec(), true)));
                looped += 1;
            }
            (heard[0].len(), looped)
        };
        let mut aside = Wire::default();
        assert_eq!(send(&mut hosts, 1), (0, 0));
        for _ in 0..2 {
            assert_eq!(hosts[0].with(&mut aside).join(at(1), None, ip(group)), Ok(ID));
        }
        assert_eq!(aside.0.len(), 1, "reported once");
        assert_eq!((send(&mut hosts, 1), send(&mut hosts, 0)), ((1, 0), (0, 1)));
        hosts[0].with(&mut aside).leave(at(1), ID, ip(group));
        assert_eq!(send(&mut hosts, 1), (1, 0), "joined twice");
        hosts[0].with(&mut aside).leave(at(1), ID, ip(group));
        assert_eq!((send(&mut hosts, 1), aside.0.len()), ((0, 0), 2));
    }
    let wrong = host(0).with(&mut Wire::default()).join(at(1), None, ip("10.0.0.2"));
    assert_eq!(wrong, Err(ConfigError::WrongKind));
}

/// The reports of groups among frames: type and group, by the version of the protocol.
fn reports(wire: &mut Wire) -> Vec<(u8, IpAddr)> {
    let frames = std::mem::take(&mut wire.0);
    let report = |(_, frame): (InterfaceId, Vec<u8>)| {
        let packet = wire::ip::Packet::parse(&frame[14..]).ok()?;
        let body = packet.payload;
        let v4 = |at: usize| <[u8; 4]>::try_from(&body[at..at + 4]).ok().map(IpAddr::from);
        let v6 = |at: usize| <[u8; 16]>::try_from(&body[at..at + 16]).ok().map(IpAddr::from);
        let group = match (packet.protocol, body[0]) {
            (Protocol::IGMP, 0x22) => v4(12),
            (Protocol::IGMP, _) => v4(4),
            (Protocol::ICMPV6, 143) => v6(12),
            (Protocol::ICMPV6, 131 | 132) => v6(8),
            _ => None,
        };
        Some((body[0], group?))
    };
    frames.into_iter().filter_map(report).collect()
}

fn settle(layer: &mut Layer, wire: &mut Wire, until: Instant) {
    while let Some(due) = layer.poll_timeout().filter(|due| *due <= until) {
        layer.handle_timeout(due, wire);
    }
}

#[test]
fn routers_are_told_of_groups_as_they_understand_it_and_not_without_end() {
    let solicited = ip("ff02::1:ff00:1");
    let (mut layer, mut wire) = (host(0), Wire::default());
    settle(&mut layer, &mut wire, at(5));
    assert_eq!(reports(&mut wire), [(143, solicited); 2], "one group of both addresses, told twice");
    for group in ["239.1.2.3", "ff15::9", "ff01::9"] {
        layer.join(at(5), ID, ip(group), &mut wire).unwrap();
    }
    settle(&mut layer, &mut wire, at(7));
    let mut told = reports(&mut wire);
    told.sort_unstable();
    assert_eq!(
        told,
        [(34, ip("239.1.2.3")), (34, ip("239.1.2.3")), (143, ip("ff15::9")), (143, ip("ff15::9"))]
    );

    // A router of MLDv1 asks, as often as it can: each group answers once in the time that it gives.
    let query = |layer: &mut Layer, wire: &mut Wire, source: &str, extension: &[u8]| {
        let source: std::net::Ipv6Addr = source.parse().unwrap();
        let all = "ff02::1".parse().unwrap();
        let mut body = vec![130, 0, 0, 0, 0x03, 0xe8, 0, 0];
        body.extend([0; 16]);
        body.extend(extension);
        let pseudo = wire::checksum::Sum::pseudo_header(source.into(), IpAddr::V6(all), 58, body.len());
        let checksum = pseudo.and(&body).checksum();
        body[2..4].copy_from_slice(&checksum.to_be_bytes());
        let mut frame = vec![0; 14 + 40 + 8];
        let destination = MacAddress::of_group(all.into()).unwrap();
        let ether_type = wire::EtherType::IPV6;
        wire::ethernet::Header { destination, source: MAC[1], ether_type }.emit(&mut frame);
        let header = wire::ipv6::Header {
            traffic_class: 0,
            flow_label: 0,
            next_header: Protocol::HOP_BY_HOP,
            hop_limit: 1,
            source,
            destination: all,
        };
        header.emit(&mut frame[14..], 8 + body.len());
        wire::ipv6::emit_router_alert(&mut frame[54..], Protocol::ICMPV6, 0);
        frame.extend(body);
        layer.receive(at(8), ID, &mut frame, wire);
    };
    query(&mut layer, &mut wire, "2001:db8::2", &[]);
    settle(&mut layer, &mut wire, at(10));
    assert_eq!(reports(&mut wire), [], "a router speaks from its link");
    for _ in 0..100 {
        query(&mut layer, &mut wire, "fe80::2", &[]);
    }
    settle(&mut layer, &mut wire, at(10));
    let mut told = reports(&mut wire);
    told.sort_unstable();
    assert_eq!(told, [(131, solicited), (131, ip("ff15::9"))]);
    layer.leave(at(10), ID, ip("ff15::9"), &mut wire);
    settle(&mut layer, &mut wire, at(12));
    assert_eq!(reports(&mut wire), [(132, ip("ff15::9")); 2]);
    // Later the router of old is forgotten.
    layer.join(at(300), ID, ip("ff15::8"), &mut wire).unwrap();
    assert_eq!(reports(&mut wire), [(143, ip("ff15::8"))]);
}

#[test]
fn duplicate_addresses_are_found() {
    for address in ["10.0.0.2", "fe80::2"] {
        let mut asking = layer(0, Config { detect_duplicates: true, ..Config::default() });
        asking.add_address(at(0), ID, Cidr::new(ip(address), 24)).unwrap();
        let (mut hosts, mut wires) = ([asking, host(1)], [Wire::default(), Wire::default()]);
        let mut events = Vec::new();
        while let Some(due) = hosts[0].poll_timeout() {
            hosts[0].handle_timeout(due, &mut wires[0]);
            run(due, &mut hosts, &mut wires);
            events.extend(hosts[0].poll_event());
        }
        assert_eq!(events, [Event::AddressDuplicate(ID, ip(address))]);
    }
    for address in ["10.0.0.1", "fe80::1"] {
        let mut alone = layer(0, Config { detect_duplicates: true, ..Config::default() });
        alone.add_address(at(0), ID, Cidr::new(ip(address), 24)).unwrap();
        let mut wire = Wire::default();
        while let Some(due) = alone.poll_timeout() {
            alone.handle_timeout(due, &mut wire);
        }
        assert_eq!(alone.poll_event(), Some(Event::AddressReady(ID, ip(address))));
    }
}

/// An IPv4 packet in a frame from the second host to the first.
fn frame_v4(change: impl FnOnce(&mut wire::ipv4::Header), body: &[u8]) -> Vec<u8> {
    let mut header = wire::ipv4::Header {
        traffic_class: 0,
        identification: 1,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol: Protocol::UDP,
        source: "10.0.0.2".parse().unwrap(),
        destination: "10.0.0.1".parse().unwrap(),
        options: wire::ipv4::Options::default(),
    };
    change(&mut header);
    let mut frame = vec![0; 14 + header.len()];
    let ether_type = wire::EtherType::IPV4;
    wire::ethernet::Header { destination: MAC[0], source: MAC[1], ether_type }.emit(&mut frame);
    header.emit(&mut frame[14..], body.len());
    frame.extend(body);
    frame
}

#[test]
fn martians_and_source_routes_are_dropped() {
    let (mut layer, mut wire) = (host(0), Wire::default());
    let mut send = |change: &dyn Fn(&mut wire::ipv4::Header)| {
        let mut frame = frame_v4(change, b"01234567");
        up(layer.receive(at(1), ID, &mut frame, &mut wire))
    };
    assert!(send(&|_| {}).is_some());
    for source in ["127.0.0.1", "224.0.0.1", "255.255.255.255", "10.0.0.255", "10.0.0.1", "240.0.0.1"] {
        assert_eq!(send(&|header| header.source = source.parse().unwrap()), None, "{source}");
    }
    for option in [131, 137] {
        let options = wire::ipv4::Options::new(&[option, 3, 4, 0]).unwrap();
        assert_eq!(send(&|header| header.options = options), None);
    }
    assert_eq!(send(&|header| header.destination = "10.0.0.77".parse().unwrap()), None);
    assert_eq!(layer.counters().martian, 8);
    assert!(wire.0.is_empty());
}

#[test]
fn amnesia_33_an_option_of_length_zero_ends_the_list() {
    let (mut layer, mut wire) = (host(0), Wire::default());
    let options = wire::ipv4::Options::new(&[7, 0, 0, 0]).unwrap();
    let mut frame = frame_v4(|header| header.options = options, b"01234567");
    assert!(up(layer.receive(at(1), ID, &mut frame, &mut wire)).is_some());
}

#[test]
fn ripple20_a_tunnel_is_not_unpacked() {
    let (mut layer, mut wire) = (host(0), Wire::default());
    let inner = frame_v4(|_| {}, b"01234567")[14..].to_vec();
    let mut frame = frame_v4(|header| header.protocol = Protocol::IPV4, &inner);
    assert!(up(layer.receive(at(1), ID, &mut frame, &mut wire)).is_none());
    assert_eq!(layer.counters().delivered, 0);
}

#[test]
fn a_router_forwards_cuts_and_complains() {
    let mut router = host(0);
    router.set_forwarding(true);
    let small = InterfaceConfig { name: "tun".into(), medium: Medium::Ip, mtu: 600, segmented: 600 };
    let far = router.add_interface(at(0), small).unwrap();
    router.add_address(at(0), far, Cidr::new(ip("192.0.2.1"), 24)).unwrap();
    let mut wire = Wire::default();
    let destination = "192.0.2.7".parse().unwrap();
    // Somebody on the near side whose address is known, for the complaints.
    let mut frame = frame_v4(|header| header.protocol = Protocol::ICMP, &[8, 0, 0xf7, 0xff, 0, 0, 0, 0]);
    router.receive(at(1), ID, &mut frame, &mut wire);
    wire.0.clear();
    let mut go = |change: &dyn Fn(&mut wire::ipv4::Header), len: usize| {
        let mut frame = frame_v4(
            |header| {
                header.destination = destination;
                change(header);
            },
            &vec![7; len],
        );
        router.receive(at(1), ID, &mut frame, &mut wire);
        std::mem::take(&mut wire.0)
    };
    let sent = go(&|_| {}, 100);
    let (header, payload) = wire::ipv4::Header::parse(&sent[0].1).unwrap();
    assert_eq!((sent[0].0, header.ttl, payload.len()), (far, 63, 100));
    let sent = go(&|_| {}, 1400);
    let parts: Vec<_> = sent.iter().map(|(_, packet)| wire::ipv4::Header::parse(packet).unwrap()).collect();
    assert_eq!(parts.iter().map(|(_, payload)| payload.len()).sum::<usize>(), 1400);
    assert!(parts.len() == 3 && sent.iter().all(|(_, packet)| packet.len() <= 600));
    go(&|header| header.dont_fragment = true, 1400);
    go(&|header| header.ttl = 1, 10);
    let counters = *router.counters();
    assert_eq!((counters.forwarded, counters.too_big, counters.expired, counters.errors_sent), (2, 1, 1, 2));
}

#[test]
fn nothing_that_comes_makes_it_panic() {
    let (mut layer, mut wire) = (host(0), Wire::default());
    layer.set_forwarding(true);
    let mut random = Random::from_seed([3; 32]);
    let whole = frame_v4(|_| {}, b"0123456789");
    for round in 0..20_000u64 {
        let mut frame = whole.clone();
        frame.resize(14 + random.below(100) as usize, 0);
        let kind = [[0x08, 0x00], [0x86, 0xdd], [0x08, 0x06]][round as usize % 3];
        random.fill(&mut frame[14..]);
        frame[12..14].copy_from_slice(&kind);
        if let Some(first) = frame.get_mut(14) {
            *first = if kind[1] == 0xdd { 0x60 } else { 0x45 };
        }
        layer.receive(at(round), ID, &mut frame, &mut wire);
        wire.0.clear();
        if let Some(due) = layer.poll_timeout().filter(|due| *due <= at(round)) {
            layer.handle_timeout(due, &mut wire);
        }
    }
}
