//! Two hosts, and a network between them that does what it is told, in virtual time.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use fourwire_tcpip::internet::Cidr;
use fourwire_tcpip::link::{InterfaceConfig, Medium};
use fourwire_tcpip::transport::ConnectionId;
use fourwire_tcpip::{Descending, Event, InterfaceId, Stack, StackConfig, Transmit};
use host::{Instant, Random};
use trace::Tracer;

pub(crate) const ON: InterfaceId = InterfaceId(0);

/// Frames that left.
#[derive(Default)]
pub(crate) struct Out(pub(crate) Vec<Vec<u8>>);

impl Transmit for Out {
    fn has_room(&mut self, _: InterfaceId) -> bool {
        true
    }

    fn transmit(&mut self, _: InterfaceId, frame: &Descending<'_>) {
        let mut bytes = Vec::new();
        frame.copy_to(&mut bytes);
        self.0.push(bytes);
    }
}

/// The addresses of host `side`, 0 or 1.
pub(crate) fn addresses(side: usize) -> [IpAddr; 2] {
    [IpAddr::from([10, 9, 0, 1 + side as u8]), format!("fd09::{}", 1 + side).parse().unwrap()]
}

/// A host at one end of a tunnel.
pub(crate) fn host(side: usize, config: StackConfig, mtu: u16) -> Stack {
    let random = |name: &str| {
        let mut seed = [side as u8; 32];
        seed[..name.len().min(31)].copy_from_slice(&name.as_bytes()[..name.len().min(31)]);
        Random::from_seed(seed)
    };
    let mut stack = Stack::new(config, random, Tracer::OFF);
    let interface = InterfaceConfig { name: "tunnel".into(), medium: Medium::Ip, mtu, segmented: 0 };
    stack.add_interface(Instant::ORIGIN, interface).unwrap();
    let [v4, v6] = addresses(side);
    // IPv6 asks for 1280 bytes.
    let all = [(v4, 24), (v6, 64)];
    for &(address, bits) in if mtu < 1280 { &all[..1] } else { &all } {
        stack.add_address(Instant::ORIGIN, ON, Cidr::new(address, bits)).unwrap();
    }
    for group in ["0.0.0.0", "::"] {
        let network = Cidr::new(group.parse().unwrap(), 0);
        stack
            .add_route(fourwire_tcpip::internet::Route {
                network,
                interface: ON,
                gateway: None,
                metric: 0,
                until: None,
            })
            .unwrap();
    }
    stack
}

/// What a network does to packets; of a thousand.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) delay: Duration,
    pub(crate) loss: u64,
    pub(crate) duplication: u64,
    pub(crate) reordering: u64,
    pub(crate) corruption: u64,
    /// Nothing gets through between these.
    pub(crate) cuts: Vec<(Instant, Instant)>,
}

impl Link {
    pub(crate) fn clean() -> Self {
        Self {
            delay: Duration::from_millis(10),
            loss: 0,
            duplication: 0,
            reordering: 0,
            corruption: 0,
            cuts: Vec::new(),
        }
    }
}

/// Both hosts and what is between them.
pub(crate) struct Net {
    pub(crate) now: Instant,
    pub(crate) hosts: [Stack; 2],
    pub(crate) link: Link,
    pub(crate) events: [Vec<Event>; 2],
    /// Times at which a host's timers ran out.
    pub(crate) timeouts: u64,
    /// Packets that left the hosts.
    pub(crate) packets: u64,
    pub(crate) random: Random,
    on_the_way: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
}

impl Net {
    pub(crate) fn new(hosts: [Stack; 2], link: Link, seed: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        Self {
            now: Instant::ORIGIN + Duration::from_secs(10),
            hosts,
            link,
            events: Default::default(),
            timeouts: 0,
            packets: 0,
            random: Random::from_seed(key),
            on_the_way: BTreeMap::new(),
        }
    }

    /// Does something on a host, and sends what comes of it.
    pub(crate) fn on<T>(&mut self, side: usize, act: impl FnOnce(&mut Stack, Instant, &mut Out) -> T) -> T {
        let mut out = Out::default();
        let done = act(&mut self.hosts[side], self.now, &mut out);
        self.hosts[side].transmit(self.now, &mut out);
        self.events[side].extend(std::iter::from_fn(|| self.hosts[side].poll_event()));
        for packet in out.0 {
            self.carry(1 - side, packet);
        }
        done
    }

    fn one_of(&mut self, thousandths: u64) -> bool {
        self.random.below(1000) < thousandths
    }

    /// Puts a packet on its way to host `to`.
    pub(crate) fn carry(&mut self, to: usize, packet: Vec<u8>) {
        self.packets += 1;
        let now = self.now;
        if self.link.cuts.iter().any(|&(from, to)| from <= now && now < to) || self.one_of(self.link.loss) {
            return;
        }
        let copies = 1 + u64::from(self.one_of(self.link.duplication));
        for _ in 0..copies {
            let mut packet = packet.clone();
            if self.one_of(self.link.corruption) {
                let at = self.random.below(packet.len() as u64) as usize;
                packet[at] ^= 1 << self.random.below(8);
            }
            let late = if self.one_of(self.link.reordering) { self.random.below(30_000_000) } else { 0 };
            let at = now + self.link.delay + Duration::from_nanos(late);
            self.on_the_way.insert((at, self.packets * 2 + copies), (to, packet));
        }
    }

    /// The next thing that happens. False when there is none up to `end`.
    pub(crate) fn step(&mut self, end: Instant) -> bool {
        let arrival = self.on_the_way.keys().next().map(|&(at, _)| at);
        let timeouts = [0, 1].map(|side| self.hosts[side].poll_timeout());
        let next = timeouts.into_iter().chain([arrival]).flatten().min();
        let Some(next) = next.filter(|&next| next <= end) else { return false };
        self.now = self.now.max(next);
        if arrival == Some(next) {
            let (_, (to, mut packet)) = self.on_the_way.pop_first().unwrap();
            self.on(to, |stack, now, out| stack.receive(now, ON, &mut packet, out));
            return true;
        }
        for side in 0..2 {
            if self.hosts[side].poll_timeout().is_some_and(|at| at <= next) {
                self.timeouts += 1;
                self.on(side, |stack, now, out| stack.handle_timeout(now, out));
            }
        }
        true
    }

    /// Lets `time` pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Connects host 0 to port 80 of host 1, which listens: both ends.
    pub(crate) fn connect(&mut self, listener: fourwire_tcpip::transport::ListenerId) -> [ConnectionId; 2] {
        let remote = SocketAddr::new(addresses(1)[0], 80);
        let here = self.on(0, |stack, now, out| stack.connect(now, None, remote, out).unwrap());
        self.run(Duration::from_millis(100));
        [here, self.on(1, |stack, _, _| stack.accept(listener)).expect("a connection")]
    }

    /// Sends `len` bytes from the end at `from` to the other, which reads them; answers how long that took.
    pub(crate) fn transfer(&mut self, ends: [ConnectionId; 2], from: usize, len: usize) -> Duration {
        let (start, bytes) = (self.now, pattern(from as u64, 0, len));
        let (mut written, mut read) = (0, 0);
        while read < len {
            written += self.on(from, |stack, now, _| {
                let mut connection = stack.connection(ends[from]).unwrap();
                connection.write(now, &[IoSlice::new(&bytes[written..])]).unwrap_or(0)
            });
            self.run(Duration::from_millis(10));
            read += self.on(1 - from, |stack, now, _| {
                let mut buffer = vec![0; 65_536];
                let got = stack.connection(ends[1 - from]).unwrap().read(now, &mut buffer).unwrap_or(0);
                assert_eq!(buffer[..got], bytes[read..read + got]);
                got
            });
            let took = self.now.since(start);
            assert!(took < Duration::from_secs(3600), "{read} of {len} bytes came");
        }
        self.now.since(start)
    }
}

/// Bytes of a stream from `at` on.
pub(crate) fn pattern(stream: u64, at: usize, len: usize) -> Vec<u8> {
    (at..at + len).map(|at| (at * 31 + at / 255 + stream as usize) as u8).collect()
}
