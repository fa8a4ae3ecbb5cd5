//! Two connections back to back, in virtual time, over a link that does what it is told.

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::net::SocketAddr;
use std::time::Duration;

use host::Instant;
use trace::{Tracer, Why};
use wire::tcp::{Flags, Header, Options, SeqNumber};

use crate::transport::tcp::{Connection, Opening, Settings};

/// What a link does to segments, in thousandths.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) delay: Duration,
    pub(super) loss: u64,
    pub(super) duplication: u64,
    pub(super) reordering: u64,
    /// Nothing gets through between these.
    pub(super) cut: Option<(Instant, Instant)>,
    /// Longer segments are lost, in bytes with the TCP header.
    pub(super) longest: usize,
}

impl Link {
    pub(super) fn clean() -> Self {
        Self {
            delay: Duration::from_millis(10),
            loss: 0,
            duplication: 0,
            reordering: 0,
            cut: None,
            longest: usize::MAX,
        }
    }
}

pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}

/// A segment as the link carries it.
#[derive(Clone, Debug)]
pub(super) struct Carried {
    pub(super) to: usize,
    pub(super) header: Header,
    pub(super) payload: Vec<u8>,
    pub(super) why: Why,
    pub(super) markable: bool,
}

pub(super) struct Pair {
    pub(super) now: Instant,
    pub(super) ends: [Option<Connection>; 2],
    pub(super) settings: [Settings; 2],
    pub(super) link: Link,
    pub(super) max_payload: u32,
    pub(super) log: Vec<(Instant, Carried)>,
    pub(super) expiries: u64,
    /// The link marks what may be marked (RFC 3168).
    pub(super) marks: bool,
    on_the_way: BTreeMap<(Instant, u64), Carried>,
    count: u64,
    dice: Dice,
}

pub(super) fn opening(side: usize, settings: Settings) -> Opening {
    let addresses: [SocketAddr; 2] = ["192.0.2.1:40000".parse().unwrap(), "192.0.2.2:80".parse().unwrap()];
    Opening {
        local: addresses[side],
        remote: addresses[1 - side],
        settings,
        initial_sequence: SeqNumber([0xffff_f000, 77][side]),
        timestamp_offset: [1000, 0xffff_fff0][side],
        max_segment_size: 1460,
        path_mtu: 1500,
        first_window: 65_535,
        tracer: Tracer::OFF,
    }
}

impl Pair {
    /// Side 0 connects, side 1 accepts when its SYN comes.
    pub(super) fn new(seed: u64, link: Link, settings: Settings) -> Self {
        let now = Instant::ORIGIN + Duration::from_secs(5);
        Self {
            now,
            ends: [Some(Connection::connect(now, opening(0, settings))), None],
            settings: [settings; 2],
            link,
            max_payload: 1448,
            log: Vec::new(),
            expiries: 0,
            marks: false,
            on_the_way: BTreeMap::new(),
            count: 0,
            dice: Dice::new(seed),
        }
    }

    /// Both are established.
    pub(super) fn open(settings: Settings) -> Self {
        let mut pair = Self::new(1, Link::clean(), settings);
        pair.run(Duration::from_millis(100));
        assert!(pair.ends.iter().flatten().filter(|end| end.is_established()).count() == 2);
        pair.log.clear();
        pair
    }

    pub(super) fn end(&mut self, side: usize) -> &mut Connection {
        self.ends[side].as_mut().unwrap()
    }

    pub(super) fn write(&mut self, side: usize, bytes: &[u8]) -> usize {
        let now = self.now;
        let written = self.end(side).write(now, &[IoSlice::new(bytes)]).unwrap();
        self.flush();
        written
    }

    pub(super) fn read(&mut self, side: usize) -> Vec<u8> {
        let (now, mut all, mut piece) = (self.now, Vec::new(), [0; 4096]);
        while let Ok(len @ 1..) = self.end(side).read(now, &mut piece) {
            all.extend(&piece[..len]);
        }
        self.flush();
        all
    }

    /// Sends what both have to send.
    pub(super) fn flush(&mut self) {
        for side in 0..2 {
            let Some(end) = &mut self.ends[side] else { continue };
            let mut sent = VecDeque::new();
            while let Some(segment) = end.transmit(self.now, self.max_payload) {
                let payload = segment.payload.concat();
                let size = segment.segment_size.map_or(usize::MAX, usize::from);
                let header = segment.header;
                let pieces = payload.len().div_ceil(size).max(1);
                for piece in 0..pieces {
                    let (start, stop) = (
                        piece * size.min(payload.len()),
                        payload.len().min((piece + 1).saturating_mul(size)),
                    );
                    let mut header = header;
                    header.sequence += start as u32;
                    if piece + 1 < pieces {
                        header.flags = Flags(header.flags.0 & !(Flags::FIN | Flags::PSH).0);
                    }
                    let payload = payload[start..stop].to_vec();
                    let (why, markable) = (segment.why, segment.markable);
                    sent.push_back(Carried { to: 1 - side, header, payload, why, markable });
                }
                assert!(sent.len() < 5000, "a connection sends without end");
            }
            for carried in sent {
                self.carry(carried);
            }
        }
    }

    pub(super) fn carry(&mut self, carried: Carried) {
        assert!(carried.header.len() + carried.payload.len() <= 1480, "options count against the payload");
        self.log.push((self.now, carried.clone()));
        let cut = self.link.cut.is_some_and(|(from, to)| from <= self.now && self.now < to);
        let long = carried.header.len() + carried.payload.len() > self.link.longest;
        if cut || long || self.dice.below(1000) < self.link.loss {
            return;
        }
        let copies = 1 + u64::from(self.dice.below(1000) < self.link.duplication);
        for _ in 0..copies {
            let late = self.dice.below(1000) < self.link.reordering;
            let extra = if late { self.dice.below(30_000_000) } else { 0 };
            self.count += 1;
            let at = self.now + self.link.delay + Duration::from_nanos(extra);
            self.on_the_way.insert((at, self.count), carried.clone());
        }
    }

    /// What is due next.
    fn next(&self) -> Option<Instant> {
        let arrival = self.on_the_way.keys().next().map(|(at, _)| *at);
        self.ends.iter().flatten().filter_map(Connection::poll_timeout).chain(arrival).min()
    }

    /// Does the next thing. `false` when nothing is due up to `until`.
    pub(super) fn step(&mut self, until: Instant) -> bool {
        let Some(at) = self.next().filter(|at| *at <= until) else { return false };
        self.now = self.now.max(at);
        while let Some((&key, _)) = self.on_the_way.iter().next().filter(|((at, _), _)| *at <= self.now) {
            let carried = self.on_the_way.remove(&key).unwrap();
            self.deliver(&carried);
        }
        for end in self.ends.iter_mut().flatten() {
            if end.poll_timeout().is_some_and(|at| at <= self.now) {
                self.expiries += 1;
                end.handle_timeout(self.now);
                let again = end.poll_timeout();
                assert!(again.is_none_or(|at| at > self.now), "a timer stands still: {:?}", end.state());
            }
        }
        self.flush();
        true
    }

    pub(super) fn deliver(&mut self, carried: &Carried) {
        let Carried { to, header, payload, markable, .. } = carried;
        let ecn = match (markable, self.marks) {
            (false, _) => 0,
            (true, false) => 2,
            (true, true) => 3,
        };
        let listens = *to == 1 && self.ends[1].is_none();
        if listens && header.flags.contains(Flags::SYN) && !header.flags.contains(Flags::ACK) {
            self.ends[1] = Some(Connection::accept(self.now, opening(1, self.settings[1]), header));
        } else if let Some(end) = self.ends[*to].as_mut().filter(|end| !end.is_finished()) {
            end.receive(self.now, header, payload, ecn);
        } else if !header.flags.contains(Flags::RST) {
            let (flags, sequence) = (Flags::RST, header.acknowledgment);
            let header = Header { flags, sequence, options: Options::default(), ..*header };
            if carried.header.flags.contains(Flags::ACK) {
                let (payload, why) = (Vec::new(), Why::Reset);
                self.carry(Carried { to: 1 - to, header, payload, why, markable: false });
            }
        }
    }

    /// Hands a segment to `to` now, whatever the link does; made from what the other side would send.
    pub(super) fn inject(
        &mut self,
        to: usize,
        change: impl FnOnce(&mut Header),
        payload: &[u8],
    ) -> Vec<Carried> {
        let from = &self.ends[1 - to].as_ref().unwrap().phase;
        let flow = from.flow().unwrap();
        let clock = self.ends[1 - to].as_ref().unwrap().clock(self.now);
        let timestamps = flow.receiving.clock.map(|(echo, _)| wire::tcp::Timestamps { value: clock, echo });
        let mut header = Header {
            source_port: 0,
            destination_port: 0,
            sequence: flow.sending.nxt(),
            acknowledgment: flow.receiving.next,
            flags: Flags::ACK,
            window: 1000,
            urgent: 0,
            options: Options { timestamps, ..Options::default() },
        };
        change(&mut header);
        let before = self.log.len();
        let (payload, why) = (payload.to_vec(), Why::Received);
        self.deliver(&Carried { to, header, payload, why, markable: false });
        self.flush();
        self.log[before..].iter().map(|(_, carried)| carried.clone()).collect()
    }

    /// Lets `duration` pass.
    pub(super) fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        self.flush();
        while self.step(until) {}
        self.now = until;
    }
}
