//! Local ports (RFC 6056).

use std::net::SocketAddr;

/// The ports that are given out (RFC 6335 section 6).
const FIRST: u16 = 49_152;
const COUNT: u32 = 65_536 - FIRST as u32;

/// Gives out ports: "simple hash-based selection" (RFC 6056 section 3.3.3), so that a remote end sees a sequence that
/// tells nothing of those of others, and meets a port of its own again as late as can be.
#[derive(Clone, Debug, Default)]
pub(super) struct Ports {
    next: u32,
}

impl Ports {
    /// A port that `is_free`, looked for from `offset` on. `None` when all are taken.
    pub(super) fn choose(&mut self, offset: u64, mut is_free: impl FnMut(u16) -> bool) -> Option<u16> {
        for _ in 0..COUNT {
            let place = (offset.wrapping_add(u64::from(self.next)) % u64::from(COUNT)) as u16;
            self.next = self.next.wrapping_add(1);
            let port = FIRST + place;
            if is_free(port) {
                return Some(port);
            }
        }
        None
    }
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
        let (mut ports, mut taken) = (Ports::default(), BTreeSet::new());
        while let Some(port) = ports.choose(77, |port| !taken.contains(&port)) {
            assert!(port >= FIRST && taken.insert(port));
        }
        assert_eq!(taken.len(), COUNT as usize);
    }
}
