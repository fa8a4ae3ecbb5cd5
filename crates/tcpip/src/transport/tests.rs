//! Two hosts' transport layers, back to back.

use std::collections::BTreeSet;
use std::io::IoSlice;
use std::net::IpAddr;
use std::time::Duration;

use super::*;
use crate::internet::{Delivery, IcmpError, Path, Problem, SendError, Sending};
use crate::{Descending, InterfaceId};
use wire::Protocol;
use wire::tcp::{self as format, Flags, SeqNumber};

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [10, 0, 0, 2];

/// Takes everything, and keeps it.
#[derive(Default)]
struct Below {
    sent: Vec<(Sending, Vec<u8>)>,
    path_mtu: Option<u16>,
}

impl Internet for Below {
    fn path(&mut self, _: Instant, destination: IpAddr, source: Option<IpAddr>) -> Result<Path, SendError> {
        let other = if destination == IpAddr::from(A) { B } else { A };
        let source = source.unwrap_or(other.into());
        Ok(Path { interface: InterfaceId(0), source, mtu: 1500, segmented: 1500 })
    }

    fn send(&mut self, _: Instant, sending: &Sending, packet: &mut Descending<'_>) -> Result<(), SendError> {
        let mut bytes = Vec::new();
        packet.copy_to(&mut bytes);
        assert!(bytes.len() <= 1480, "more than the path takes");
        self.sent.push((*sending, bytes));
        Ok(())
    }

    fn has_room(&mut self, _: IpAddr) -> bool {
        true
    }

    fn segmented(&mut self, _: IpAddr) -> u32 {
        0
    }

    fn confirm(&mut self, _: Instant, _: IpAddr) {}

    fn packet_too_big(&mut self, _: Instant, _: IpAddr, mtu: u16) -> u16 {
        self.path_mtu = Some(mtu);
        mtu
    }

    fn join(
        &mut self,
        _: Instant,
        on: Option<InterfaceId>,
        _: IpAddr,
    ) -> Result<InterfaceId, crate::internet::ConfigError> {
        Ok(on.unwrap_or(InterfaceId(0)))
    }

    fn leave(&mut self, _: Instant, _: InterfaceId, _: IpAddr) {}
}

/// Both hosts and the way between them.
struct Pair {
    now: Instant,
    hosts: [Transport; 2],
    /// By time of arrival.
    on_the_way: BTreeSet<(Instant, u64, usize, Vec<u8>, u8)>,
    sequence: u64,
    random: Random,
    /// In 1/1000.
    loss: u64,
    events: [Vec<Event>; 2],
}

impl Pair {
    fn new(config: Config, loss: u64) -> Self {
        let host = |seed| Transport::new(config, Random::from_seed([seed; 32]), Tracer::OFF);
        Self {
            now: Instant::ORIGIN,
            hosts: [host(1), host(2)],
            on_the_way: BTreeSet::new(),
            sequence: 0,
            random: Random::from_seed([3; 32]),
            loss,
            events: [Vec::new(), Vec::new()],
        }
    }

    fn take(&mut self, from: usize, below: Below) {
        for (sending, bytes) in below.sent {
            if self.random.below(1000) >= self.loss {
                self.sequence += 1;
                let at = self.now + Duration::from_millis(5);
                self.on_the_way.insert((at, self.sequence, 1 - from, bytes, sending.protocol.0));
            }
        }
    }

    fn on<T>(&mut self, host: usize, act: impl FnOnce(&mut Transport, Instant, &mut Below) -> T) -> T {
        let mut below = Below::default();
        let done = act(&mut self.hosts[host], self.now, &mut below);
        self.hosts[host].transmit(self.now, &mut below);
        while let Some(event) = self.hosts[host].poll_event() {
            self.events[host].push(event);
        }
        self.take(host, below);
        done
    }

    /// The next thing that happens. False when there is none until `end`.
    fn step(&mut self, end: Instant) -> bool {
        let timeouts = [0, 1].map(|host| self.hosts[host].poll_timeout());
        let arrival = self.on_the_way.first().map(|packet| packet.0);
        let next = timeouts.into_iter().chain([arrival]).flatten().min();
        let Some(next) = next.filter(|&next| next <= end) else { return false };
        self.now = self.now.max(next);
        if arrival == Some(next) {
            let (_, _, to, bytes, protocol) = self.on_the_way.pop_first().unwrap();
            self.deliver(to, &bytes, Protocol(protocol));
        } else {
            for host in 0..2 {
                self.on(host, |transport, now, _| transport.handle_timeout(now));
            }
        }
        true
    }

    fn deliver(&mut self, to: usize, bytes: &[u8], protocol: Protocol) -> Verdict {
        let source = if to == 1 { A } else { B };
        self.deliver_from(source, to, bytes, protocol)
    }

    fn deliver_from(&mut self, source: [u8; 4], to: usize, bytes: &[u8], protocol: Protocol) -> Verdict {
        let destination = if to == 1 { B } else { A };
        let delivery = Delivery {
            interface: InterfaceId(0),
            source: source.into(),
            destination: destination.into(),
            to_many: false,
            protocol,
            ttl: 64,
            traffic_class: 0,
            payload: bytes.into(),
            checked: false,
            quote: [].as_slice().into(),
        };
        self.on(to, |transport, now, below| transport.receive(now, &delivery, below))
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    fn listen(&mut self, backlog: u32) -> ListenerId {
        self.on(1, |transport, _, _| {
            transport.listen("10.0.0.2:80".parse().unwrap(), backlog, Settings::default()).unwrap()
        })
    }

    fn connect(&mut self) -> ConnectionId {
        self.on(0, |transport, now, below| {
            let remote = "10.0.0.2:80".parse().unwrap();
            transport.connect(now, None, remote, Settings::default(), below).unwrap()
        })
    }
}

#[test]
fn bytes_go_both_ways_and_nothing_stays_behind() {
    for loss in [0, 50] {
        let mut pair = Pair::new(Config::default(), loss);
        let listener = pair.listen(16);
        let here = pair.connect();
        pair.run(Duration::from_secs(10));
        assert!(pair.events[0].contains(&Event::Connected(here)), "{:?}", pair.events[0]);
        assert!(pair.events[1].contains(&Event::Incoming(listener)));
        let there = pair.hosts[1].accept(listener).unwrap();
        let said: Vec<u8> = (0..100_000u32).map(|at| (at % 251) as u8).collect();
        let (mut written, mut heard) = (0, Vec::new());
        while heard.len() < said.len() {
            written += pair.on(0, |transport, now, _| {
                let mut connection = transport.connection(here).unwrap();
                connection.write(now, &[IoSlice::new(&said[written..])]).unwrap_or(0)
            });
            pair.run(Duration::from_millis(100));
            pair.on(1, |transport, now, _| {
                let mut buffer = [0; 65_536];
                let mut connection = transport.connection(there).unwrap();
                while let Ok(read @ 1..) = connection.read(now, &mut buffer) {
                    heard.extend_from_slice(&buffer[..read]);
                }
            });
            assert!(pair.now < Instant::ORIGIN + Duration::from_secs(600));
        }
        assert_eq!(heard, said);
        pair.on(0, |transport, now, _| transport.release(now, here));
        pair.run(Duration::from_secs(5));
        pair.on(1, |transport, now, _| transport.release(now, there));
        pair.run(Duration::from_secs(400));
        for host in 0..2 {
            assert_eq!(pair.hosts[host].connections().count(), 0, "host {host}, loss {loss}");
            assert_eq!(pair.hosts[host].poll_timeout(), None);
        }
        assert!(pair.hosts[0].connection(here).is_none(), "an id is never another's");
    }
}

#[test]
fn a_new_call_from_the_same_port_ends_time_wait() {
    let mut pair = Pair::new(Config::default(), 0);
    let listener = pair.listen(4);
    let call = |pair: &mut Pair| {
        let here = pair.on(0, |transport, now, below| {
            let (local, remote) = ("10.0.0.1:4000".parse().unwrap(), "10.0.0.2:80".parse().unwrap());
            transport.connect(now, Some(local), remote, Settings::default(), below).unwrap()
        });
        pair.run(Duration::from_millis(100));
        (here, pair.hosts[1].accept(listener))
    };
    let (here, there) = call(&mut pair);
    // Who hangs up first waits.
    pair.on(1, |transport, now, _| transport.release(now, there.unwrap()));
    pair.run(Duration::from_millis(100));
    pair.on(0, |transport, now, _| transport.release(now, here));
    pair.run(Duration::from_secs(1));
    let states = |pair: &Pair, host: usize| -> Vec<_> {
        pair.hosts[host].connections().map(|(_, _, connection)| connection.state()).collect()
    };
    assert_eq!((states(&pair, 0), states(&pair, 1)), (vec![], vec![]));
    assert_eq!([0, 1].map(|host| pair.hosts[host].time_waits().count()), [0, 1]);
    let (_, there) = call(&mut pair);
    assert!(there.is_some());
    assert_eq!(states(&pair, 1), [tcp::State::Established]);
    assert_eq!(pair.hosts[1].time_waits().count(), 0);
}

#[test]
fn a_thousand_connections_find_their_own() {
    let mut pair = Pair::new(Config::default(), 0);
    let listener = pair.listen(2000);
    let here: Vec<_> = (0..1000).map(|_| pair.connect()).collect();
    pair.run(Duration::from_secs(1));
    let mut there = Vec::new();
    while let Some(id) = pair.hosts[1].accept(listener) {
        there.push(id);
    }
    assert_eq!(there.len(), 1000);
    for (number, &id) in here.iter().enumerate() {
        pair.on(0, |transport, now, _| {
            let text = format!("I am {number}");
            transport.connection(id).unwrap().write(now, &[IoSlice::new(text.as_bytes())]).unwrap();
        });
    }
    pair.run(Duration::from_secs(1));
    let ports: Vec<_> = here
        .iter()
        .map(|&id| pair.hosts[0].connections().find(|(other, ..)| *other == id).unwrap().1.local.port())
        .collect();
    for id in there {
        let flow = pair.hosts[1].connections().find(|(other, ..)| *other == id).unwrap().1;
        let number = ports.iter().position(|&port| port == flow.remote.port()).unwrap();
        let mut buffer = [0; 32];
        let read = pair.hosts[1].connection(id).unwrap().read(pair.now, &mut buffer).unwrap();
        assert_eq!(buffer[..read], *format!("I am {number}").as_bytes());
    }
    assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 1000, "no port is two connections'");
    assert!(ports.iter().all(|&port| port >= 49_152));
}

#[test]
fn who_calls_where_nobody_listens_is_refused() {
    let mut pair = Pair::new(Config::default(), 0);
    let here = pair.connect();
    pair.run(Duration::from_secs(1));
    let end = pair.hosts[0].connection(here).unwrap().end();
    assert_eq!(end, Some(tcp::End::Refused));
    assert_eq!(pair.hosts[1].counters().resets_out, 1);
}

#[test]
fn no_more_handshakes_than_the_backlog_holds() {
    let mut pair = Pair::new(Config::default(), 0);
    let listener = pair.listen(3);
    for _ in 0..10 {
        pair.connect();
    }
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.hosts[1].counters().backlog_full, 7);
    assert_eq!(std::iter::from_fn(|| pair.hosts[1].accept(listener)).count(), 3);
    pair.on(1, |transport, now, _| transport.unlisten(now, listener));
}

#[test]
fn a_host_that_was_full_accepts_again() {
    let mut pair = Pair::new(Config { connections: 1, ..Config::default() }, 0);
    let listener = pair.listen(2);
    pair.connect();
    pair.run(Duration::from_millis(100));
    let there = pair.hosts[1].accept(listener).unwrap();
    for sequence in 0..10 {
        pair.deliver(1, &segment(Flags::SYN, sequence, A), Protocol::TCP);
    }
    assert_eq!((pair.hosts[1].counters().accepted, pair.hosts[1].counters().refused), (1, 10));
    pair.on(1, |transport, now, _| {
        transport.connection(there).unwrap().abort(now);
        transport.release(now, there);
    });
    pair.deliver(1, &segment(Flags::SYN, 0, A), Protocol::TCP);
    assert_eq!(pair.hosts[1].connections().count(), 1, "what found no room holds no place in the backlog");
    assert_eq!(pair.hosts[1].counters().backlog_full, 0);
}

#[test]
fn what_comes_for_a_connection_that_is_over_is_reset_even_while_its_program_has_it() {
    let mut pair = Pair::new(Config::default(), 0);
    let listener = pair.listen(3);
    let here = pair.connect();
    pair.run(Duration::from_millis(100));
    let there = pair.hosts[1].accept(listener).unwrap();
    pair.loss = 1000;
    pair.on(1, |transport, now, _| transport.connection(there).unwrap().abort(now));
    pair.loss = 0;
    pair.on(0, |transport, now, _| {
        transport.connection(here).unwrap().write(now, &[IoSlice::new(b"still there?")]).unwrap();
    });
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.hosts[0].connection(here).unwrap().end(), Some(tcp::End::Reset));
    assert_eq!(pair.hosts[1].connection(there).unwrap().end(), Some(tcp::End::Aborted));
}

#[test]
fn what_a_listener_leaves_behind_is_reset() {
    let mut pair = Pair::new(Config::default(), 0);
    let listener = pair.listen(3);
    let here = pair.connect();
    pair.run(Duration::from_millis(100));
    pair.on(1, |transport, now, _| transport.unlisten(now, listener));
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.hosts[1].connections().count(), 0);
    assert_eq!(pair.hosts[0].connection(here).unwrap().end(), Some(tcp::End::Reset));
}

/// A segment from A's port 5000 to B's port 80.
fn segment(flags: Flags, sequence: u32, source: [u8; 4]) -> Vec<u8> {
    let header = format::Header {
        source_port: 5000,
        destination_port: 80,
        sequence: SeqNumber(sequence),
        acknowledgment: SeqNumber(0),
        flags,
        window: 1000,
        urgent: 0,
        options: format::Options::default(),
    };
    let mut bytes = vec![0; header.len()];
    header.emit(&mut bytes);
    let len = bytes.len();
    let sum = wire::checksum::Sum::pseudo_header(source.into(), IpAddr::from(B), Protocol::TCP.0, len);
    format::fill_checksum(&mut bytes, sum);
    bytes
}

#[test]
fn a_syn_flood_leaves_old_and_new_connections_working() {
    let mut pair = Pair::new(Config::default(), 0);
    let listener = pair.listen(8);
    let old = pair.connect();
    pair.run(Duration::from_millis(100));
    let old = (old, pair.hosts[1].accept(listener).unwrap());
    let flood = |pair: &mut Pair, seed: u8| {
        for at in 0..=255 {
            let source = [192, 0, seed, at];
            pair.deliver_from(source, 1, &segment(Flags::SYN, 1, source), Protocol::TCP);
        }
        // What is answered goes to where nobody asked for it.
        pair.on_the_way.clear();
    };
    flood(&mut pair, 1);
    assert_eq!(pair.hosts[1].connections().count(), 9, "a flood is answered, and nothing is kept of it");
    let new = pair.connect();
    pair.run(Duration::from_millis(100));
    let new = (new, pair.hosts[1].accept(listener).expect("the cookie came back"));
    assert!(pair.events[0].contains(&Event::Connected(new.0)));
    assert_eq!(pair.hosts[1].counters().cookies_in, 1);
    let said: Vec<u8> = (0..200_000u32).map(|at| (at % 251) as u8).collect();
    for (here, there) in [old, new] {
        for (from, speaker, listener) in [(0, here, there), (1, there, here)] {
            let (mut written, mut heard) = (0, Vec::new());
            let limit = pair.now + Duration::from_secs(10);
            while heard.len() < said.len() && pair.now < limit {
                written += pair.on(from, |transport, now, _| {
                    let mut connection = transport.connection(speaker).unwrap();
                    connection.write(now, &[IoSlice::new(&said[written..])]).unwrap_or(0)
                });
                pair.run(Duration::from_millis(50));
                pair.on(1 - from, |transport, now, _| {
                    let mut buffer = [0; 65_536];
                    let mut connection = transport.connection(listener).unwrap();
                    while let Ok(read @ 1..) = connection.read(now, &mut buffer) {
                        heard.extend_from_slice(&buffer[..read]);
                    }
                });
            }
            assert_eq!(heard, said);
        }
        flood(&mut pair, 2);
    }
    let window = |id| {
        let (_, _, connection) = pair.hosts[1].connections().find(|(other, ..)| *other == id).unwrap();
        (connection.info().send_window, connection.info().max_segment_size)
    };
    assert_eq!(window(new.1).1, window(old.1).1, "options came back with the cookie");
    assert!(window(new.1).0 >= 60_000, "the scale of the window came back: {}", window(new.1).0);
}

#[test]
fn cookies_are_given_only_so_often() {
    let mut pair = Pair::new(Config { cookies_per_second: 5, ..Config::default() }, 0);
    pair.listen(1);
    for _ in 0..2 {
        for at in 0..=99 {
            let source = [192, 0, 2, at];
            pair.deliver_from(source, 1, &segment(Flags::SYN, 1, source), Protocol::TCP);
        }
        pair.now += Duration::from_secs(1);
    }
    assert_eq!((pair.hosts[1].counters().cookies_out, pair.hosts[1].counters().backlog_full), (10, 188));
}

#[test]
fn without_a_flood_an_acknowledgment_of_nothing_is_reset() {
    let mut pair = Pair::new(Config::default(), 0);
    pair.listen(1);
    pair.deliver(1, &segment(Flags::ACK, 1, A), Protocol::TCP);
    for source in [[192, 0, 2, 1], [192, 0, 2, 2]] {
        pair.deliver_from(source, 1, &segment(Flags::SYN, 1, source), Protocol::TCP);
    }
    assert_eq!(pair.hosts[1].counters().cookies_out, 1);
    pair.deliver(1, &segment(Flags::ACK, 2, A), Protocol::TCP);
    let counters = pair.hosts[1].counters();
    assert_eq!(
        (counters.resets_out, counters.cookies_in),
        (2, 0),
        "nor is what we did not generate a cookie"
    );
}

#[test]
fn a_flood_of_segments_for_nobody_is_answered_only_so_often() {
    let config = Config { resets_per_second: 10, ..Config::default() };
    let mut pair = Pair::new(config, 0);
    for sequence in 0..1000 {
        pair.deliver(1, &segment(Flags::ACK, sequence, A), Protocol::TCP);
    }
    assert_eq!(pair.hosts[1].counters().resets_out, 10);
    pair.now += Duration::from_secs(1);
    pair.deliver(1, &segment(Flags::ACK, 0, A), Protocol::TCP);
    assert_eq!(pair.hosts[1].counters().resets_out, 11);
}

#[test]
fn a_reset_is_never_answered_and_a_damaged_segment_is_nobodys() {
    let mut pair = Pair::new(Config::default(), 0);
    pair.deliver(1, &segment(Flags::RST, 0, A), Protocol::TCP);
    let mut damaged = segment(Flags::ACK, 0, A);
    damaged[4] ^= 1;
    assert_eq!(pair.deliver(1, &damaged, Protocol::TCP), Verdict::Dropped(trace::Drop::Checksum));
    assert_eq!((pair.hosts[1].counters().resets_out, pair.hosts[1].counters().malformed), (0, 1));
}

#[test]
fn datagrams_are_bounded_by_bytes() {
    let mut pair = Pair::new(Config { datagram_bytes: 10_000, ..Config::default() }, 0);
    let to = "10.0.0.2:53".parse().unwrap();
    let there = pair.hosts[1].bind_udp(to).unwrap();
    let here = pair.hosts[0].bind_udp("0.0.0.0:0".parse().unwrap()).unwrap();
    for _ in 0..20 {
        pair.on(0, |transport, now, below| transport.udp_send(now, here, &[7; 1000], to, below).unwrap());
    }
    pair.run(Duration::from_millis(100));
    let counters = *pair.hosts[1].counters();
    assert_eq!((counters.datagrams_in, counters.datagrams_dropped), (9, 11));
    assert!(pair.events[1].iter().all(|event| *event == Event::UdpReadable(there)));
    let mut buffer = [0; 500];
    let (len, from) = pair.hosts[1].udp_receive(there, &mut buffer).unwrap();
    assert_eq!((len, from.ip()), (500, IpAddr::from(A)));
    assert_eq!(pair.hosts[1].bind_udp(to), Err(SocketError::AddressInUse));
    pair.hosts[1].close_udp(there);
    assert!(pair.hosts[1].udp_receive(there, &mut buffer).is_none());
    assert!(pair.hosts[1].bind_udp(to).is_ok());
}

#[test]
fn an_error_about_a_datagram_reaches_who_sent_it() {
    let mut pair = Pair::new(Config::default(), 0);
    let here = pair.hosts[0].bind_udp("10.0.0.1:99".parse().unwrap()).unwrap();
    let error = |port: u16, problem| IcmpError {
        problem,
        reporter: B.into(),
        source: A.into(),
        destination: B.into(),
        protocol: Protocol::UDP,
        transport: if port == 99 { &[0, 99, 0, 53, 0, 8, 0, 0] } else { &[0, 98, 0, 53, 0, 8, 0, 0] },
    };
    let now = pair.now;
    let mut below = Below::default();
    pair.hosts[0].icmp_error(now, &error(99, Problem::PortUnreachable), &mut below);
    assert_eq!(pair.hosts[0].udp_error(here), None, "it sent nothing there yet");
    let to = "10.0.0.2:53".parse().unwrap();
    pair.hosts[0].udp_send(now, here, b"?", to, &mut below).unwrap();
    pair.hosts[0].icmp_error(now, &error(98, Problem::PortUnreachable), &mut below);
    assert_eq!(pair.hosts[0].udp_error(here), None);
    pair.hosts[0].icmp_error(now, &error(98, Problem::TooBig(600)), &mut below);
    assert_eq!(below.path_mtu, None, "nobody here sent that");
    pair.hosts[0].icmp_error(now, &error(99, Problem::TooBig(600)), &mut below);
    assert_eq!(below.path_mtu, Some(600));
    pair.hosts[0].icmp_error(now, &error(99, Problem::PortUnreachable), &mut below);
    assert_eq!(pair.hosts[0].poll_event(), Some(Event::UdpReadable(here)));
    assert_eq!(pair.hosts[0].udp_error(here), Some(Problem::PortUnreachable));
    assert_eq!(pair.hosts[0].udp_error(here), None);
}
