//! How many datagrams one network is answered: a forged sender must not be flooded by us.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use host::Instant;

/// Networks that are remembered.
const NETWORKS: usize = 4096;

const SECOND: u64 = 1_000_000_000;

/// Counts answers by the network that they go to.
#[derive(Debug)]
pub(super) struct Limiter {
    /// Nanoseconds that one answer costs; zero for no limit.
    cost: u64,
    /// For each network, when it will have paid for its answers.
    paid: BTreeMap<Ipv6Addr, u64>,
    over: u64,
}

/// What may go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowance {
    /// The answer.
    Answer,
    /// A word that it is cut: who is really there asks again by TCP.
    Cut,
    /// Nothing.
    Nothing,
}

impl Limiter {
    pub(super) fn new(per_second: u32) -> Self {
        let cost = if per_second == 0 { 0 } else { SECOND / u64::from(per_second) };
        Self { cost, paid: BTreeMap::new(), over: 0 }
    }

    /// What may go to `to` now.
    pub(super) fn allow(&mut self, now: Instant, to: IpAddr) -> Allowance {
        if self.cost == 0 {
            return Allowance::Answer;
        }
        let now = now.as_nanos();
        let network = network(to);
        if !self.paid.contains_key(&network) && self.paid.len() >= NETWORKS {
            self.paid.retain(|_, paid| *paid > now);
        }
        // Where even so many networks owe us something, those that come now share one account.
        let network = if self.paid.len() >= NETWORKS && !self.paid.contains_key(&network) {
            Ipv6Addr::UNSPECIFIED
        } else {
            network
        };
        let paid = self.paid.entry(network).or_insert(now);
        let next = (*paid).max(now) + self.cost;
        if next - now <= 2 * SECOND {
            *paid = next;
            return Allowance::Answer;
        }
        self.over += 1;
        if self.over.is_multiple_of(2) { Allowance::Cut } else { Allowance::Nothing }
    }
}

fn network(address: IpAddr) -> Ipv6Addr {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            std::net::Ipv4Addr::new(a, b, c, 0).to_ipv6_mapped()
        }
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !0 << 72),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_gets_so_much_and_another_its_own() {
        let mut limiter = Limiter::new(10);
        let start = Instant::from_nanos(SECOND);
        let allow = |limiter: &mut Limiter, at, to: &str| limiter.allow(at, to.parse().unwrap());
        for host in 0..20 {
            assert_eq!(allow(&mut limiter, start, &format!("192.0.2.{host}")), Allowance::Answer);
        }
        assert_eq!(allow(&mut limiter, start, "192.0.2.99"), Allowance::Nothing);
        assert_eq!(allow(&mut limiter, start, "192.0.2.99"), Allowance::Cut);
        assert_eq!(allow(&mut limiter, start, "192.0.3.1"), Allowance::Answer);
        assert_eq!(allow(&mut limiter, start, "2001:db8::1"), Allowance::Answer);
        let later = start + std::time::Duration::from_millis(100);
        assert_eq!(allow(&mut limiter, later, "192.0.2.1"), Allowance::Answer);
        assert_ne!(allow(&mut limiter, later, "192.0.2.1"), Allowance::Answer);
    }

    #[test]
    fn it_remembers_so_many_networks() {
        let mut limiter = Limiter::new(1);
        for number in 0..10_000_u32 {
            limiter.allow(Instant::ORIGIN, IpAddr::V4((number << 8).into()));
        }
        assert!(limiter.paid.len() <= NETWORKS + 1);
    }
}
