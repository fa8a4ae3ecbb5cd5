//! Local ports (RFC 6056).

use std::net::SocketAddr;

use host::Random;

/// The ports that are given out (RFC 6335 section 6).
const FIRST: u16 = 49_152;
const COUNT: u32 = 65_536 - FIRST as u32;

/// Counters; a counter that many destinations share tells little of any.
const COUNTERS: usize = 256;

/// A port is as far as this from the one before it, at most.
const STRIDE: u64 = 8;

/// Gives out ports.
///
/// For connections by "double-hash port selection" (RFC 6056 section 3.3.4), so that a remote end sees a sequence that
/// tells nothing of those of others and meets a port of its own again late; with steps of random width as in section
/// 3.3.5, so that it cannot tell the next one either (CVE-2022-1012). For all others at random (section 3.3.1): a port
/// is what protects an answer to a datagram (RFC 5452).
#[derive(Debug)]
pub(super) struct Ports {
    counters: [u32; COUNTERS],
    random: Random,
}

impl Ports {
    pub(super) fn new(random: &mut Random) -> Self {
        let mut seed = [0; 32];
        random.fill(&mut seed);
        let mut random = Random::from_seed(seed);
        Self { counters: std::array::from_fn(|_| random.next_u32()), random }
    }

    /// A port that `is_free`, for a flow of this hash but for the local port. `None` when all are taken.
    pub(super) fn choose(&mut self, hash: u64, is_free: impl FnMut(u16) -> bool) -> Option<u16> {
        let counter = &mut self.counters[(hash >> 32) as usize % COUNTERS];
        *counter = counter.wrapping_add(1 + self.random.below(STRIDE) as u32);
        search((hash as u32).wrapping_add(*counter), is_free)
    }

    /// A port that `is_free`. `None` when all are taken.
    pub(super) fn draw(&mut self, is_free: impl FnMut(u16) -> bool) -> Option<u16> {
        search(self.random.next_u32(), is_free)
    }
}

/// The first free port from `start` on.
fn search(start: u32, mut is_free: impl FnMut(u16) -> bool) -> Option<u16> {
    let port = |step| FIRST + ((u64::from(start) + u64::from(step)) % u64::from(COUNT)) as u16;
    (0..COUNT).map(port).find(|&port| is_free(port))
}

/// `address` with `port`.
pub(super) fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_port_is_given_out_once_and_then_none() {
        let (mut ports, mut taken) = (Ports::new(&mut Random::from_seed([1; 32])), BTreeSet::new());
        while let Some(port) = ports.choose(77, |port| !taken.contains(&port)) {
            assert!(port >= FIRST && taken.insert(port));
        }
        assert_eq!((taken.len(), ports.draw(|port| !taken.contains(&port))), (COUNT as usize, None));
        taken.remove(&50_000);
        assert_eq!(ports.draw(|port| !taken.contains(&port)), Some(50_000));
    }

    #[test]
    fn the_next_port_is_not_told_by_the_last() {
        let mut ports = Ports::new(&mut Random::from_seed([1; 32]));
        let given: Vec<_> = (0..100).filter_map(|_| ports.choose(77, |_| true)).collect();
        let steps: BTreeSet<_> = given.windows(2).map(|two| two[1].wrapping_sub(two[0])).collect();
        assert!(steps.len() >= 8, "{steps:?}");
        let drawn: BTreeSet<_> = (0..100).filter_map(|_| ports.draw(|_| true)).collect();
        assert!(drawn.len() > 95 && drawn.last().unwrap() - drawn.first().unwrap() > 10_000);
    }
}
