//! A client on a wire, with a model of a server at the other end.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use host::{Instant, Random};
use proptest::prelude::*;
use trace::Tracer;
use wire::checksum::Sum;
use wire::dhcpv4::{Addresses, DhcpOption, Header, MessageType, Operation, Writer};
use wire::{EtherType, MacAddress, Protocol, arp, ethernet, ipv4, udp};

use super::*;
use crate::internet::{self, Cidr, Event, Layer};
use crate::link::{InterfaceConfig, Medium};
use crate::{Descending, InterfaceId, Transmit};

const OURS: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const THEIRS: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);
const ID: InterfaceId = InterfaceId(0);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);
const LENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 7);

#[derive(Default)]
struct Wire(Vec<Vec<u8>>);

impl Transmit for Wire {
    fn has_room(&mut self, _: InterfaceId) -> bool {
        true
    }

    fn transmit(&mut self, _: InterfaceId, frame: &Descending<'_>) {
        let mut bytes = Vec::new();
        frame.copy_to(&mut bytes);
        self.0.push(bytes);
    }
}

/// A message of the client as a server sees it.
#[derive(Clone, Debug, PartialEq)]
struct Asked {
    kind: MessageType,
    header: Header,
    requested: Option<Ipv4Addr>,
    server: Option<Ipv4Addr>,
    to: Ipv4Addr,
}

/// What a server answers with.
#[derive(Clone, Copy, Debug)]
struct Answer {
    kind: MessageType,
    your: Ipv4Addr,
    server: Ipv4Addr,
    seconds: Option<u32>,
    transaction: Option<u32>,
}

const OFFER: Answer =
    Answer { kind: MessageType::Offer, your: LENT, server: SERVER, seconds: Some(3_600), transaction: None };
const ACK: Answer = Answer { kind: MessageType::Ack, ..OFFER };
const NAK: Answer = Answer { kind: MessageType::Nak, ..OFFER };

struct Net {
    now: Instant,
    layer: Layer,
    wire: Wire,
}

impl Net {
    fn new(config: Config) -> Self {
        let mut layer = Layer::new(internet::Config::default(), Random::from_seed([5; 32]), Tracer::OFF);
        let medium = Medium::Ethernet(OURS);
        let interface = InterfaceConfig { name: "eth0".into(), medium, mtu: 1500, segmented: 1500 };
        let now = Instant::from_nanos(1_000_000_000);
        layer.add_interface(now, interface).unwrap();
        layer.enable_dhcp(now, ID, config).unwrap();
        Self { now, layer, wire: Wire::default() }
    }

    /// Goes on to what is due next, and gives what the client sent then.
    fn next(&mut self) -> Vec<Asked> {
        self.now = self.layer.poll_timeout().expect("something is due").max(self.now);
        self.layer.handle_timeout(self.now, &mut self.wire);
        self.asked()
    }

    /// Until the client sends something.
    fn wait(&mut self) -> Asked {
        for _ in 0..100 {
            if let Some(asked) = self.next().pop() {
                return asked;
            }
        }
        panic!("it is silent")
    }

    fn asked(&mut self) -> Vec<Asked> {
        let frames = std::mem::take(&mut self.wire.0);
        frames.iter().filter_map(|frame| asked(frame)).collect()
    }

    fn answer(&mut self, to: &Asked, answer: Answer) -> Vec<Asked> {
        let mut frame = frame(to, answer);
        self.layer.receive(self.now, ID, &mut frame, &mut self.wire);
        self.asked()
    }

    /// Somebody else says to have the address that is probed for.
    fn contest(&mut self, address: Ipv4Addr) {
        let (operation, target_mac) = (arp::Operation::Reply, OURS);
        let packet =
            arp::Packet { operation, sender_mac: THEIRS, sender: address, target_mac, target: address };
        let mut frame = vec![0; ethernet::Header::LEN + arp::Packet::LEN];
        let header = ethernet::Header { destination: OURS, source: THEIRS, ether_type: EtherType::ARP };
        header.emit(&mut frame);
        packet.emit(&mut frame[ethernet::Header::LEN..]);
        self.layer.receive(self.now, ID, &mut frame, &mut self.wire);
    }

    fn addresses(&self) -> Vec<IpAddr> {
        self.layer.interfaces()[0].addresses().iter().map(|own| own.cidr.address).collect()
    }

    /// All the way to a lease.
    fn bind(&mut self) {
        let discover = self.wait();
        assert_eq!(discover.kind, MessageType::Discover);
        let request = self.answer(&discover, OFFER).pop().expect("a request");
        self.answer(&request, ACK);
        while self.layer.lease(ID).is_none() {
            self.next();
        }
        self.asked();
    }
}

fn asked(frame: &[u8]) -> Option<Asked> {
    let (ethernet, packet) = ethernet::Header::parse(frame).ok()?;
    let (ip, datagram) = ipv4::Header::parse(packet).ok()?;
    let pseudo = Sum::pseudo_header(ip.source.into(), ip.destination.into(), Protocol::UDP.0, datagram.len());
    let (ports, message) = udp::Header::parse(datagram, pseudo, false).ok()?;
    assert_eq!((ports.source_port, ports.destination_port), (68, 67));
    assert_eq!(ethernet.source, OURS);
    let (header, options) = Header::parse(message).unwrap();
    assert_eq!(header.hardware, OURS);
    assert_eq!(header.client, ip.source, "who has an address speaks from it");
    assert_eq!(header.broadcast, ip.source.is_unspecified());
    let mut asked =
        Asked { kind: options.message_type()?, header, requested: None, server: None, to: ip.destination };
    let mut identified = false;
    for option in options.iter() {
        match option {
            DhcpOption::RequestedAddress(address) => asked.requested = Some(address),
            DhcpOption::ServerIdentifier(server) => asked.server = Some(server),
            DhcpOption::ClientIdentifier(identifier) => {
                identified = identifier[0] == 255 && identifier.ends_with(&OURS.0);
            }
            _ => {}
        }
    }
    assert!(identified);
    Some(asked)
}

fn frame(to: &Asked, answer: Answer) -> Vec<u8> {
    let header = Header {
        operation: Operation::Reply,
        your: answer.your,
        transaction: answer.transaction.unwrap_or(to.header.transaction),
        ..to.header
    };
    let mut message = vec![0; 400];
    let mut writer = Writer::new(&mut message, &header).unwrap();
    let servers = [1, 1, 1, 1, 127, 0, 0, 1, 9, 9, 9, 9];
    let options = [
        Some(DhcpOption::MessageType(answer.kind)),
        Some(DhcpOption::ServerIdentifier(answer.server)),
        answer.seconds.map(DhcpOption::LeaseTime),
        Some(DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 0))),
        Addresses::new(&[192, 0, 2, 1, 10, 0, 0, 1]).map(DhcpOption::Routers),
        Addresses::new(&servers).map(DhcpOption::DnsServers),
        Some(DhcpOption::DomainName(b"lab.example")),
        Some(DhcpOption::InterfaceMtu(1400)),
    ];
    options.iter().flatten().for_each(|option| assert!(writer.push(option).is_some()));
    let len = writer.finish();
    datagram(&message[..len])
}

fn datagram(message: &[u8]) -> Vec<u8> {
    let to = Ipv4Addr::BROADCAST;
    let mut datagram = vec![0; udp::Header::LEN];
    datagram.extend(message);
    let pseudo = Sum::pseudo_header(SERVER.into(), to.into(), Protocol::UDP.0, datagram.len());
    udp::Header { source_port: 67, destination_port: 68 }.emit(&mut datagram, pseudo);
    let ip = ipv4::Header {
        traffic_class: 0,
        identification: 1,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol: Protocol::UDP,
        source: SERVER,
        destination: to,
        options: ipv4::Options::default(),
    };
    let mut frame = vec![0; ethernet::Header::LEN + ipv4::Header::MIN_LEN];
    let (destination, source, ether_type) = (MacAddress::BROADCAST, THEIRS, EtherType::IPV4);
    ethernet::Header { destination, source, ether_type }.emit(&mut frame);
    ip.emit(&mut frame[ethernet::Header::LEN..], datagram.len());
    frame.extend(datagram);
    frame
}

#[test]
fn an_address_is_lent_probed_for_used_renewed_and_given_back() {
    let mut net = Net::new(Config { host_name: Some("door".into()), ..Config::default() });
    net.bind();
    let lease = net.layer.lease(ID).unwrap().clone();
    assert_eq!(lease.address, Cidr::new(LENT.into(), 24));
    assert_eq!(lease.router, Some([10, 0, 0, 1].into()), "the one on the link");
    assert_eq!(lease.name_servers, [Ipv4Addr::new(1, 1, 1, 1), Ipv4Addr::new(9, 9, 9, 9)]);
    assert_eq!((lease.domain.as_deref(), lease.mtu), (Some("lab.example"), Some(1400)));
    assert_eq!(net.layer.interfaces()[0].mtu(true), 1400);
    assert_eq!(net.layer.interfaces()[0].mtu(false), 1500);
    assert_eq!(net.layer.hop([8, 8, 8, 8].into(), None).unwrap().next, IpAddr::from([10, 0, 0, 1]));
    assert_eq!(net.layer.poll_event(), Some(Event::AddressReady(ID, LENT.into())));

    // T1: the server is asked where it is, by its neighbour's address.
    let bound = net.now;
    net.next();
    assert!(
        net.now.since(bound) < Duration::from_secs(1_800)
            && net.now.since(bound) > Duration::from_secs(1_790)
    );
    net.contest(SERVER);
    let renewal = net.asked().pop().expect("a request");
    assert_eq!((renewal.kind, renewal.header.client, renewal.to), (MessageType::Request, LENT, SERVER));
    assert_eq!((renewal.requested, renewal.server), (None, None));
    net.answer(&renewal, Answer { seconds: Some(7_200), ..ACK });
    let renewed = net.layer.lease(ID).unwrap().expires.unwrap();
    assert_eq!(renewed.since(net.now), Duration::from_secs(7_200));
    assert_eq!(net.layer.interfaces()[0].addresses()[0].valid_until, Some(renewed));

    net.layer.release_leases(net.now, &mut net.wire);
    net.contest(SERVER);
    let release = net.asked().pop().expect("a release");
    assert_eq!(
        (release.kind, release.header.client, release.server),
        (MessageType::Release, LENT, Some(SERVER))
    );
    assert_eq!(net.layer.lease(ID), None);
}

#[test]
fn a_lease_that_nobody_extends_ends_after_everybody_was_asked() {
    let mut net = Net::new(Config::default());
    net.bind();
    let end = net.layer.lease(ID).unwrap().expires.unwrap();
    let (mut to_server, mut to_all) = (0, 0);
    while !net.addresses().is_empty() {
        for asked in net.next() {
            match asked.to {
                Ipv4Addr::BROADCAST => to_all += 1,
                _ => to_server += 1,
            }
        }
        // The server's neighbour entry fails again and again: only what would have left counts.
        assert!(net.now <= end);
    }
    assert_eq!(net.now, end);
    assert!((1..10).contains(&to_all) && to_server == 0, "{to_all} {to_server}");
    assert_eq!(net.layer.routes().len(), 0);
    assert!(net.layer.awaits_lease(ID));
    assert_eq!(net.wait().kind, MessageType::Discover);
}

#[test]
fn an_address_that_somebody_has_is_declined() {
    let mut net = Net::new(Config::default());
    let discover = net.wait();
    let request = net.answer(&discover, OFFER).pop().expect("a request");
    assert_eq!((request.requested, request.server), (Some(LENT), Some(SERVER)));
    assert_eq!(request.header.transaction, discover.header.transaction);
    net.answer(&request, ACK);
    net.next();
    net.contest(LENT);
    let decline = net.asked().pop().expect("a decline");
    assert_eq!(
        (decline.kind, decline.requested, decline.server),
        (MessageType::Decline, Some(LENT), Some(SERVER))
    );
    assert_eq!(net.addresses(), [] as [IpAddr; 0]);
    let declined = net.now;
    assert_eq!(net.wait().kind, MessageType::Discover);
    assert!(net.now.since(declined) >= Duration::from_secs(10));
}

#[test]
fn what_it_had_before_it_asks_for_at_once() {
    let mut net = Net::new(Config { previous: Some(LENT), ..Config::default() });
    let request = net.wait();
    assert_eq!((request.kind, request.requested, request.server), (MessageType::Request, Some(LENT), None));
    net.answer(&request, NAK);
    assert_eq!(net.wait().kind, MessageType::Discover);
    let mut net = Net::new(Config { previous: Some(LENT), ..Config::default() });
    let request = net.wait();
    net.answer(&request, ACK);
    net.next();
    assert_eq!(net.addresses(), [IpAddr::V4(LENT)]);
}

#[test]
fn it_asks_less_and_less_often_when_nobody_answers() {
    let mut net = Net::new(Config::default());
    let mut last = {
        net.wait();
        net.now
    };
    let mut gaps = Vec::new();
    for _ in 0..7 {
        assert_eq!(net.wait().kind, MessageType::Discover);
        gaps.push(net.now.since(last).as_secs_f64());
        last = net.now;
    }
    for (gap, expected) in gaps.iter().zip([4.0, 8.0, 16.0, 32.0, 64.0, 64.0, 64.0]) {
        assert!((gap - expected).abs() <= 1.0, "{gaps:?}");
    }
}

#[test]
fn who_refuses_everything_is_asked_less_and_less_often() {
    let mut net = Net::new(Config::default());
    let began = net.now;
    for _ in 0..20 {
        let discover = net.wait();
        let request = net.answer(&discover, OFFER).pop().expect("a request");
        net.answer(&request, NAK);
    }
    assert!(net.now.since(began) > Duration::from_secs(600), "a storm: {:?}", net.now.since(began));
}

#[test]
fn answers_that_are_not_ours_or_not_sane_change_nothing() {
    let others = Ipv4Addr::new(10, 0, 0, 253);
    let insane = [
        Answer { transaction: Some(1), ..OFFER },
        Answer { your: Ipv4Addr::UNSPECIFIED, ..OFFER },
        Answer { your: Ipv4Addr::BROADCAST, ..OFFER },
        Answer { your: Ipv4Addr::LOCALHOST, ..OFFER },
        Answer { your: Ipv4Addr::new(224, 0, 0, 1), ..OFFER },
        Answer { your: Ipv4Addr::new(10, 0, 0, 255), ..OFFER },
        Answer { your: Ipv4Addr::new(10, 0, 0, 0), ..OFFER },
        Answer { server: Ipv4Addr::UNSPECIFIED, ..OFFER },
        Answer { seconds: None, ..OFFER },
        Answer { seconds: Some(1), ..OFFER },
        ACK,
        NAK,
    ];
    let mut net = Net::new(Config::default());
    let discover = net.wait();
    for answer in insane {
        assert_eq!(net.answer(&discover, answer), [], "{answer:?}");
    }
    let request = net.answer(&discover, OFFER).pop().expect("a request");
    for answer in [
        Answer { server: others, ..ACK },
        Answer { server: others, ..NAK },
        Answer { your: Ipv4Addr::new(10, 0, 0, 8), ..ACK },
        Answer { transaction: Some(1), ..NAK },
    ] {
        assert_eq!(net.answer(&request, answer), []);
        assert_eq!(net.addresses(), [] as [IpAddr; 0]);
    }
    net.answer(&request, ACK);
    while net.layer.lease(ID).is_none() {
        net.next();
    }
    // A stranger takes nothing from us, whatever it knows.
    for answer in [NAK, Answer { server: others, ..ACK }, Answer { seconds: Some(10), ..ACK }] {
        let before = net.layer.lease(ID).cloned();
        net.answer(&request, answer);
        assert_eq!(net.layer.lease(ID).cloned(), before);
    }
    assert_eq!(net.addresses(), [IpAddr::V4(LENT)]);
}

#[test]
fn a_tunnel_has_no_dhcp() {
    let mut layer = Layer::new(internet::Config::default(), Random::from_seed([5; 32]), Tracer::OFF);
    let interface = InterfaceConfig { name: "tun".into(), medium: Medium::Ip, mtu: 1500, segmented: 1500 };
    let id = layer.add_interface(Instant::ORIGIN, interface).unwrap();
    let outcome = layer.enable_dhcp(Instant::ORIGIN, id, Config::default());
    assert_eq!(outcome, Err(internet::ConfigError::NotEthernet));
}

proptest! {
    /// Whatever servers say, in whatever order: no panic, at most one address, no storm.
    #[test]
    fn hostile_servers_get_nowhere(
        answers in proptest::collection::vec(
            (0u8..9, any::<u32>(), prop_oneof![Just(None), (0u32..40).prop_map(Some), any::<u32>().prop_map(Some)],
             any::<bool>(), proptest::collection::vec(any::<u8>(), 0..60)), 0..40),
    ) {
        let mut net = Net::new(Config::default());
        let (mut last, mut sent) = (net.wait(), 0);
        let began = net.now;
        for (kind, your, seconds, right, tail) in answers {
            let kind = [MessageType::Offer, MessageType::Ack, MessageType::Nak, MessageType::Discover][usize::from(kind) % 4];
            let your = if right { LENT } else { your.into() };
            let answered = net.answer(&last, Answer { kind, your, seconds, ..OFFER });
            sent += answered.len();
            if let Some(asked) = answered.into_iter().next_back() {
                last = asked;
            }
            let mut bytes = frame(&last, OFFER)[ethernet::Header::LEN + 28..][..240].to_vec();
            bytes.extend(tail);
            net.layer.receive(net.now, ID, &mut datagram(&bytes), &mut net.wire);
            for asked in net.next() {
                sent += 1;
                last = asked;
            }
            prop_assert!(net.addresses().len() <= 1);
        }
        let seconds = net.now.since(began).as_secs();
        prop_assert!(sent as u64 <= 10 + seconds, "{sent} messages in {seconds} s");
    }
}
