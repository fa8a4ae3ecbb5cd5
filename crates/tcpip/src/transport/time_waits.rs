//! Connections in TIME-WAIT that nobody uses any more, each in a few bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use host::{Instant, Random};
use wire::tcp::Header;

use super::Flow;
use super::secrets::Key;
use super::tcp::{Answer, TimeWait};

/// A table of its own: when it is full, the one that has waited longest goes.
#[derive(Debug)]
pub(super) struct TimeWaits {
    limit: usize,
    places: Vec<Option<Entry>>,
    free: Vec<u32>,
    /// By the keyed hash of the flow. Two flows with one hash are not both taken.
    hashes: BTreeMap<u64, u32>,
    ends: BTreeSet<(Instant, u32)>,
    key: Key,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    addresses: [[u8; 16]; 2],
    ports: [u16; 2],
    wait: TimeWait,
}

impl TimeWaits {
    pub(super) fn new(limit: usize, random: &mut Random) -> Self {
        Self {
            limit,
            places: Vec::new(),
            free: Vec::new(),
            hashes: BTreeMap::new(),
            ends: BTreeSet::new(),
            key: Key::new(random),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Bytes of memory held, about.
    pub(super) fn memory(&self) -> usize {
        let entry = size_of::<Option<Entry>>();
        // A B-tree's nodes are two thirds full, more or less.
        let trees = self.len() * (size_of::<(u64, u32)>() + size_of::<(Instant, u32)>()) * 3 / 2;
        self.places.capacity() * entry + self.free.capacity() * size_of::<u32>() + trees
    }

    /// Takes a connection in. False when it has to be kept elsewhere; `evicted` counts who made way.
    pub(super) fn insert(&mut self, flow: &Flow, wait: TimeWait, evicted: &mut u64) -> bool {
        let hash = self.key.hash_one(flow);
        if self.limit == 0 || self.hashes.contains_key(&hash) {
            return false;
        }
        if self.len() >= self.limit
            && let Some(&(_, place)) = self.ends.first()
        {
            *evicted += 1;
            self.take(place);
        }
        let entry = Entry::new(flow, wait);
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            (self.places.len() - 1) as u32
        });
        self.places[place as usize] = Some(entry);
        self.hashes.insert(hash, place);
        self.ends.insert((wait.until, place));
        true
    }

    fn find(&self, flow: &Flow) -> Option<u32> {
        let place = *self.hashes.get(&self.key.hash_one(flow))?;
        self.places[place as usize].filter(|entry| entry.flow() == *flow).map(|_| place)
    }

    pub(super) fn contains(&self, flow: &Flow) -> bool {
        self.find(flow).is_some()
    }

    /// A segment with `len` bytes of payload came for a connection here, if there is one.
    pub(super) fn receive(&mut self, now: Instant, flow: &Flow, header: &Header, len: u32) -> Option<Answer> {
        let place = self.find(flow)?;
        let entry = self.places[place as usize].as_mut()?;
        let before = entry.wait.until;
        let answer = entry.wait.receive(now, header, len);
        let after = entry.wait.until;
        if after != before {
            self.ends.remove(&(before, place));
            self.ends.insert((after, place));
        }
        Some(answer)
    }

    pub(super) fn remove(&mut self, flow: &Flow) {
        if let Some(place) = self.find(flow) {
            self.take(place);
        }
    }

    fn take(&mut self, place: u32) {
        if let Some(entry) = self.places[place as usize].take() {
            self.hashes.remove(&self.key.hash_one(entry.flow()));
            self.ends.remove(&(entry.wait.until, place));
            self.free.push(place);
        }
        if self.hashes.is_empty() {
            (self.places, self.free) = (Vec::new(), Vec::new());
        }
    }

    /// When the first ends.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.ends.first().map(|&(at, _)| at)
    }

    /// Forgets whose time has come.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(_, place)) = self.ends.first().filter(|(at, _)| *at <= now) {
            self.take(place);
        }
    }

    /// All of them, in the order of their places, and until when they wait.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Flow, Instant)> {
        self.places.iter().flatten().map(|entry| (entry.flow(), entry.wait.until))
    }
}

impl Entry {
    fn new(flow: &Flow, wait: TimeWait) -> Self {
        let octets = |address: SocketAddr| match address.ip() {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        };
        let ends = [flow.local, flow.remote];
        Self { addresses: ends.map(octets), ports: ends.map(|end| end.port()), wait }
    }

    fn flow(&self) -> Flow {
        let [local, remote] = [0, 1]
            .map(|end| SocketAddr::new(Ipv6Addr::from(self.addresses[end]).to_canonical(), self.ports[end]));
        Flow { local, remote }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use wire::tcp::SeqNumber;

    fn flow(port: u16) -> Flow {
        Flow { local: SocketAddr::from(([10, 9, 0, 2], 80)), remote: SocketAddr::from(([10, 9, 0, 1], port)) }
    }

    fn ends(seconds: u64) -> TimeWait {
        let until = Instant::ORIGIN + Duration::from_secs(seconds);
        TimeWait::new(until, Duration::from_secs(60), SeqNumber(1), SeqNumber(2), 100, None)
    }

    #[test]
    fn the_one_that_waited_longest_makes_way_and_all_end() {
        let mut waits = TimeWaits::new(3, &mut Random::from_seed([1; 32]));
        let mut evicted = 0;
        for (port, end) in [(1, 9), (2, 7), (3, 8), (4, 10)] {
            assert!(waits.insert(&flow(port), ends(end), &mut evicted));
        }
        assert!(!waits.insert(&flow(4), ends(11), &mut evicted), "it is there");
        assert_eq!((waits.len(), evicted, waits.contains(&flow(2))), (3, 1, false));
        waits.handle_timeout(Instant::ORIGIN + Duration::from_secs(8));
        assert_eq!(waits.iter().map(|(flow, _)| flow).collect::<Vec<_>>(), [flow(1), flow(4)]);
        waits.remove(&flow(1));
        waits.handle_timeout(Instant::ORIGIN + Duration::from_secs(10));
        assert_eq!((waits.len(), waits.memory(), waits.poll_timeout()), (0, 0, None));
    }

    #[test]
    fn one_is_a_hundred_bytes_or_so() {
        let mut waits = TimeWaits::new(65_536, &mut Random::from_seed([1; 32]));
        for port in 0..=65_535 {
            waits.insert(&flow(port), ends(9), &mut 0);
        }
        assert!(size_of::<Entry>() <= 88 && waits.memory() / waits.len() <= 144, "{}", waits.memory());
    }
}
