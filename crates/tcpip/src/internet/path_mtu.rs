//! The largest packets that get to a destination (RFC 1191, RFC 8201).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use host::Instant;

/// After this time a larger packet is tried again (RFC 1191 section 6.3).
const LIFETIME: Duration = Duration::from_secs(600);
/// What every path takes (RFC 8200 section 5), and what no sane IPv4 path falls below: a forged report must not make
/// packets of a few bytes (the kernel's choice, too).
const MIN_V6: u16 = 1280;
const MIN_V4: u16 = 552;

/// The path MTUs that are less than the interface's, as many as fit.
#[derive(Debug)]
pub(super) struct PathMtus {
    known: BTreeMap<IpAddr, (u16, Instant)>,
    limit: usize,
}

impl PathMtus {
    pub(super) fn new(limit: usize) -> Self {
        Self { known: BTreeMap::new(), limit: limit.max(1) }
    }

    /// What gets to `destination`, where that is known.
    pub(super) fn get(&self, now: Instant, destination: IpAddr) -> Option<u16> {
        self.known.get(&destination).filter(|(_, until)| *until > now).map(|(mtu, _)| *mtu)
    }

    /// A router says that `mtu` bytes get there, of which the caller has reason to believe. `now_mtu` is what was sent so
    /// far. Says what counts from now on.
    pub(super) fn lower(&mut self, now: Instant, destination: IpAddr, mtu: u16, now_mtu: u16) -> u16 {
        let least = if destination.is_ipv4() { MIN_V4 } else { MIN_V6 };
        // Routers of old do not say: the next plateau (RFC 1191 section 7.1).
        let mtu = if mtu == 0 { plateau(now_mtu) } else { mtu };
        let mtu = mtu.max(least.min(now_mtu));
        if mtu >= now_mtu {
            return now_mtu;
        }
        if self.known.len() >= self.limit && !self.known.contains_key(&destination) {
            let oldest = self.known.iter().min_by_key(|(_, (_, until))| *until).map(|(address, _)| *address);
            oldest.map(|address| self.known.remove(&address));
        }
        self.known.insert(destination, (mtu, now + LIFETIME));
        mtu
    }
}

fn plateau(mtu: u16) -> u16 {
    [32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_280, 1_006, 576]
        .into_iter()
        .find(|one| *one < mtu)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Instant = Instant::from_nanos(5);

    #[test]
    fn it_falls_ages_and_never_rises_or_falls_too_far() {
        let mut mtus = PathMtus::new(2);
        let (v4, v6): (IpAddr, IpAddr) = ("1.2.3.4".parse().unwrap(), "2001:db8::1".parse().unwrap());
        assert_eq!(mtus.lower(AT, v4, 1400, 1500), 1400);
        assert_eq!(mtus.lower(AT, v4, 1450, 1400), 1400);
        assert_eq!(mtus.lower(AT, v4, 68, 1400), 552);
        assert_eq!(mtus.lower(AT, v6, 600, 1500), 1280);
        assert_eq!(mtus.get(AT, v4), Some(552));
        assert_eq!(mtus.get(AT + LIFETIME, v4), None);
        assert_eq!(mtus.lower(AT, "9.9.9.9".parse().unwrap(), 0, 1500), 1492);
        assert_eq!(mtus.known.len(), 2, "bounded");
    }
}
