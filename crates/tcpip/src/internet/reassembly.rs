//! Packets out of their fragments (RFC 791, RFC 8200 section 4.5, RFC 5722).
//!
//! Fragments that overlap are of no honest sender: the whole packet is given up, and what still comes of it too. An exact
//! copy of a fragment is a copy, no more. The memory is bounded by bytes, by packets, by fragments of a packet and by
//! source, and no fragment costs more than a search in a tree (CVE-2018-5391).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use host::Instant;

/// Packets at a time.
const MAX_PACKETS: usize = 256;
/// Fragments of one packet: 65,535 bytes over links of 576.
const MAX_FRAGMENTS: usize = 128;
/// What a fragment costs besides its bytes.
const OVERHEAD: usize = 64;
/// How long fragments are kept (RFC 8200 section 4.5; RFC 1122 section 3.3.2 lets IPv4 keep them for as long).
const LIFETIME: Duration = Duration::from_secs(60);

/// Which packet a fragment is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) identification: u32,
    /// Of IPv4; zero for IPv6, where it does not tell packets apart.
    pub(super) protocol: u8,
}

/// A fragment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    pub(super) offset: usize,
    pub(super) more: bool,
    /// Congestion notification as it came.
    pub(super) ecn: u8,
    /// All headers in front of it: those of the first fragment are the packet's.
    pub(super) headers: &'a [u8],
    pub(super) body: &'a [u8],
}

/// What became of a fragment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Others are to come.
    Kept,
    /// All are there.
    Whole { headers: Vec<u8>, body: Vec<u8>, ecn: u8 },
    /// The packet is given up.
    Failed,
}

#[derive(Debug)]
struct Packet {
    until: Instant,
    /// Offset and bytes; they do not overlap.
    parts: BTreeMap<usize, Vec<u8>>,
    headers: Option<Vec<u8>>,
    len: Option<usize>,
    received: usize,
    cost: usize,
    ecn: Ecn,
    failed: bool,
}

/// Which codepoints came.
#[derive(Clone, Copy, Debug, Default)]
struct Ecn {
    none: bool,
    capable: Option<u8>,
    congested: bool,
}

#[derive(Debug)]
pub(super) struct Reassembly {
    packets: BTreeMap<Key, Packet>,
    timers: BTreeSet<(Instant, Key)>,
    sources: BTreeMap<IpAddr, usize>,
    bytes: usize,
    limit: usize,
    evicted: u64,
}

impl Reassembly {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            packets: BTreeMap::new(),
            timers: BTreeSet::new(),
            sources: BTreeMap::new(),
            bytes: 0,
            limit,
            evicted: 0,
        }
    }

    /// Packets that had to make room since the last call.
    pub(super) fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// One packet whose time is over: its key, and its first fragment if that came.
    pub(super) fn expired(&mut self, now: Instant) -> Option<(Key, Option<Vec<u8>>)> {
        let &(_, key) = self.timers.first().filter(|(at, _)| *at <= now)?;
        let packet = self.remove(key)?;
        let first = packet.headers.filter(|_| !packet.failed).and_then(|mut headers| {
            headers.extend(packet.parts.get(&0)?);
            Some(headers)
        });
        Some((key, first))
    }

    pub(super) fn receive(&mut self, now: Instant, key: Key, part: Part<'_>) -> Outcome {
        let end = part.offset + part.body.len();
        let cost = part.body.len() + part.headers.len() + OVERHEAD;
        let nonsense = part.body.is_empty()
            || part.more && !part.body.len().is_multiple_of(8)
            || end > usize::from(u16::MAX);
        if nonsense {
            return Outcome::Failed;
        }
        self.make_room(key, cost);
        if !self.packets.contains_key(&key) {
            let until = now + LIFETIME;
            self.timers.insert((until, key));
            let packet = Packet {
                until,
                parts: BTreeMap::new(),
                headers: None,
                len: None,
                received: 0,
                cost: 0,
                ecn: Ecn::default(),
                failed: false,
            };
            self.packets.insert(key, packet);
        }
        let Some(packet) = self.packets.get_mut(&key) else { return Outcome::Failed };
        if packet.failed {
            return Outcome::Failed;
        }
        if packet.parts.get(&part.offset).is_some_and(|held| held == part.body)
            && part.more == (packet.len != Some(end))
        {
            return Outcome::Kept;
        }
        if !packet.fits(&part, end) || packet.parts.len() >= MAX_FRAGMENTS {
            let freed = packet.fail();
            self.release(key.source, freed);
            return Outcome::Failed;
        }
        if part.offset == 0 {
            packet.headers = Some(part.headers.to_vec());
        }
        if !part.more {
            packet.len = Some(end);
        }
        packet.ecn.add(part.ecn);
        packet.received += part.body.len();
        packet.parts.insert(part.offset, part.body.to_vec());
        packet.cost += cost;
        let whole = packet.len == Some(packet.received) && packet.headers.is_some();
        self.bytes += cost;
        *self.sources.entry(key.source).or_default() += cost;
        if !whole {
            return Outcome::Kept;
        }
        self.remove(key).and_then(Packet::whole).unwrap_or(Outcome::Failed)
    }

    /// The oldest go: of this source while it has more than its share, then of all.
    fn make_room(&mut self, key: Key, cost: usize) {
        while self.sources.get(&key.source).is_some_and(|used| used + cost > self.limit / 4)
            && self.evict(Some(key.source))
        {}
        while self.bytes + cost > self.limit && self.evict(None) {}
        if self.packets.len() >= MAX_PACKETS && !self.packets.contains_key(&key) {
            let mine = self.packets.keys().filter(|other| other.source == key.source).count();
            self.evict((mine > MAX_PACKETS / 4).then_some(key.source));
        }
    }

    fn evict(&mut self, source: Option<IpAddr>) -> bool {
        let oldest = self.timers.iter().find(|(_, key)| source.is_none_or(|source| key.source == source));
        let Some(&(_, key)) = oldest else { return false };
        self.evicted += 1;
        self.remove(key).is_some()
    }

    fn remove(&mut self, key: Key) -> Option<Packet> {
        let packet = self.packets.remove(&key)?;
        self.timers.remove(&(packet.until, key));
        self.release(key.source, packet.cost);
        Some(packet)
    }

    fn release(&mut self, source: IpAddr, cost: usize) {
        self.bytes -= cost;
        if let Some(used) = self.sources.get_mut(&source) {
            *used -= cost;
            if *used == 0 {
                self.sources.remove(&source);
            }
        }
    }
}

impl Packet {
    /// Whether a part from its offset to `end` overlaps nothing and contradicts no end.
    fn fits(&self, part: &Part<'_>, end: usize) -> bool {
        let before = self.parts.range(..end).next_back().map(|(at, bytes)| at + bytes.len());
        let last = self.parts.last_key_value().map_or(0, |(at, bytes)| at + bytes.len());
        before.is_none_or(|before| before <= part.offset)
            && match self.len {
                Some(len) => part.more && end <= len,
                None => part.more || last <= end,
            }
    }

    /// Gives up all but the memory that it was given up; says what that freed.
    fn fail(&mut self) -> usize {
        self.failed = true;
        self.parts.clear();
        self.headers = None;
        std::mem::take(&mut self.cost)
    }

    fn whole(self) -> Option<Outcome> {
        let ecn = self.ecn.whole()?;
        let mut body = Vec::with_capacity(self.received);
        for (at, bytes) in &self.parts {
            if *at != body.len() {
                return None;
            }
            body.extend(bytes);
        }
        Some(Outcome::Whole { headers: self.headers?, body, ecn })
    }
}

impl Ecn {
    fn add(&mut self, codepoint: u8) {
        match codepoint & 3 {
            0 => self.none = true,
            3 => self.congested = true,
            capable => self.capable = Some(capable),
        }
    }

    /// The packet's codepoint; none where it must be dropped (RFC 3168 section 5.3).
    fn whole(self) -> Option<u8> {
        match self {
            Self { none: true, congested: true, .. } => None,
            Self { congested: true, .. } => Some(3),
            Self { none: true, .. } => Some(0),
            Self { capable, .. } => capable,
        }
    }
}

#[cfg(test)]
mod tests;
