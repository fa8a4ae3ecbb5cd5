//! How many ICMP errors leave (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 (f)).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use host::{Instant, Random};

/// Destinations that are counted.
const MAX_DESTINATIONS: usize = 256;
/// Per destination: one in this time, and some at once.
const INTERVAL: Duration = Duration::from_millis(100);
const BURST: u32 = 6;
/// For all together.
const ALL_INTERVAL: Duration = Duration::from_millis(1);
const ALL_BURST: u32 = 50;

/// Two buckets, one per destination and one for all. A shared bucket of known size tells an observer whether somebody
/// else was answered (CVE-2020-25705): so each error takes a random part of it.
#[derive(Debug)]
pub(super) struct ErrorLimit {
    destinations: BTreeMap<IpAddr, Instant>,
    /// When the bucket for all would be full.
    all: Instant,
    random: Random,
}

impl ErrorLimit {
    pub(super) fn new(random: &mut Random) -> Self {
        let mut seed = [0; 32];
        random.fill(&mut seed);
        Self { destinations: BTreeMap::new(), all: Instant::ORIGIN, random: Random::from_seed(seed) }
    }

    /// Whether an error may go to `destination` now.
    pub(super) fn allow(&mut self, now: Instant, destination: IpAddr) -> bool {
        let full = self.destinations.get(&destination).copied().unwrap_or_default();
        if full.since(now) > INTERVAL * (BURST - 1) || self.all.since(now) >= ALL_INTERVAL * ALL_BURST {
            return false;
        }
        if self.destinations.len() >= MAX_DESTINATIONS && !self.destinations.contains_key(&destination) {
            let idle = self.destinations.iter().min_by_key(|(_, full)| **full).map(|(address, _)| *address);
            idle.map(|address| self.destinations.remove(&address));
        }
        let part = 1 + self.random.below(3) as u32;
        self.destinations.insert(destination, full.max(now) + INTERVAL);
        self.all = self.all.max(now) + ALL_INTERVAL * part;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cve_2020_25705_the_shared_limit_is_not_a_known_number() {
        let counts: Vec<_> = (0..8)
            .map(|seed| {
                let mut limit = ErrorLimit::new(&mut Random::from_seed([seed; 32]));
                (0..100u8)
                    .filter(|host| limit.allow(Instant::from_nanos(1), [10, 0, 0, *host].into()))
                    .count()
            })
            .collect();
        assert!(counts.iter().all(|count| (16..=50).contains(count)), "{counts:?}");
        assert!(counts.iter().any(|count| *count != counts[0]), "{counts:?}");
    }

    #[test]
    fn one_destination_is_told_a_few_times() {
        let mut limit = ErrorLimit::new(&mut Random::from_seed([1; 32]));
        let (now, to) = (Instant::from_nanos(1), IpAddr::from([10, 0, 0, 1]));
        assert_eq!((0..100).filter(|_| limit.allow(now, to)).count(), 6);
        assert!(!limit.allow(now + Duration::from_millis(90), to));
        assert!(limit.allow(now + Duration::from_millis(101), to));
        for host in 0..2000u32 {
            limit.allow(now + Duration::from_secs(u64::from(host)), IpAddr::from(host.to_be_bytes()));
        }
        assert!(limit.destinations.len() <= MAX_DESTINATIONS);
    }
}
