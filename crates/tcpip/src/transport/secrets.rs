//! What must not be guessed: initial sequence numbers, timestamp offsets, ports and hash keys.

use std::hash::{BuildHasher, Hash};
use std::net::SocketAddr;

use host::{Instant, Random};
use siphasher::sip::SipHasher13;

use super::Flow;
use wire::tcp::SeqNumber;

/// Secrets of one host, drawn when it starts.
#[derive(Clone, Debug)]
pub(super) struct Secrets {
    sequence: Key,
    timestamp: Key,
    port: Key,
}

/// A key of SipHash-1-3: nobody who does not know it can find two flows with one hash, or the next number.
#[derive(Clone, Copy)]
pub(super) struct Key(u64, u64);

impl Secrets {
    pub(super) fn new(random: &mut Random) -> Self {
        Self { sequence: Key::new(random), timestamp: Key::new(random), port: Key::new(random) }
    }

    /// The initial sequence number of RFC 6528: a clock of 4 µs, shifted by a hash of the flow. A flow that is opened
    /// again begins beyond where it was, and one says nothing of another.
    pub(super) fn initial_sequence(&self, now: Instant, flow: &Flow) -> SeqNumber {
        let clock = (now.as_nanos() / 4_000) as u32;
        SeqNumber((self.sequence.hash(flow) as u32).wrapping_add(clock))
    }

    /// Where the timestamps of a flow begin (RFC 7323 section 5.4): a host's uptime is nobody's business.
    pub(super) fn timestamp_offset(&self, flow: &Flow) -> u32 {
        self.timestamp.hash(flow) as u32
    }

    /// From which the local port of a flow is chosen: both hashes of RFC 6056 section 3.3.4.
    pub(super) fn port_hash(&self, local: SocketAddr, remote: SocketAddr) -> u64 {
        self.port.hash(&(local.ip(), remote))
    }
}

impl Key {
    pub(super) fn new(random: &mut Random) -> Self {
        Self(random.next_u64(), random.next_u64())
    }

    fn hash(self, value: &impl Hash) -> u64 {
        self.hash_one(value)
    }
}

impl BuildHasher for Key {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Key(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(port: u16) -> Flow {
        Flow { local: SocketAddr::from(([10, 9, 0, 2], 80)), remote: SocketAddr::from(([10, 9, 0, 1], port)) }
    }

    #[test]
    fn sequence_numbers_advance_with_time_and_differ_by_flow() {
        let secrets = Secrets::new(&mut Random::from_seed([1; 32]));
        let at = |nanos, port| secrets.initial_sequence(Instant::from_nanos(nanos), &flow(port));
        assert_eq!(at(4_000_000, 5).since(at(0, 5)), 1000);
        assert_ne!(at(0, 5), at(0, 6));
        let other = Secrets::new(&mut Random::from_seed([2; 32]));
        assert_ne!(other.initial_sequence(Instant::ORIGIN, &flow(5)), at(0, 5));
        assert_ne!(secrets.timestamp_offset(&flow(5)), secrets.timestamp_offset(&flow(6)));
    }
}
