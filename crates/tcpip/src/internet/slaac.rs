//! IPv6 addresses without a server (RFC 4862), with identifiers that are stable and say nothing (RFC 7217).

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use host::{Instant, Random};
use wire::ndp::Prefix;

use super::routers::SOLICITATIONS;
use super::{Cidr, ConfigError, Layer};
use crate::InterfaceId;

/// Addresses that are learned on one interface, whatever is advertised (CVE-2010-4669: the RA flood).
const MAX_LEARNED: usize = 16;
const TWO_HOURS: Duration = Duration::from_secs(7_200);

impl Layer {
    /// Gives an interface a link-local address, and those that routers there advertise from now on.
    ///
    /// # Errors
    ///
    /// As [`add_address`](Self::add_address).
    pub fn enable_slaac(&mut self, now: Instant, id: InterfaceId) -> Result<(), ConfigError> {
        let address = self.stable_address(id, Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0));
        self.add_address(now, id, Cidr::new(address.into(), 64))?;
        let interface = self.interfaces.get_mut(usize::from(id.0)).ok_or(ConfigError::NoInterface)?;
        interface.solicitations = Some((SOLICITATIONS, now));
        Ok(())
    }

    /// What a router says of a prefix: whether it is of the link, and whether hosts make themselves addresses of it.
    pub(super) fn learn_prefix(&mut self, now: Instant, id: InterfaceId, router: Ipv6Addr, prefix: &Prefix) {
        let network = prefix.prefix;
        if network.is_unicast_link_local()
            || network.is_multicast()
            || network.is_unspecified()
            || prefix.preferred_lifetime > prefix.valid_lifetime
        {
            return;
        }
        // Where we have an address of it, that says it.
        if prefix.on_link && !prefix.autonomous && prefix.len > 0 {
            let on_link = Cidr::new(network.into(), prefix.len).network();
            self.learn_route(now, id, on_link, None, prefix.valid_lifetime, 1_024);
        }
        if !prefix.autonomous || prefix.len != 64 {
            return;
        }
        let end =
            |lifetime: u32| (lifetime != u32::MAX).then(|| now + Duration::from_secs(u64::from(lifetime)));
        let (preferred, valid) = (end(prefix.preferred_lifetime), end(prefix.valid_lifetime));
        let address = IpAddr::V6(self.stable_address(id, network));
        let addresses = &mut self.interfaces[usize::from(id.0)].addresses;
        if let Some(own) = addresses.iter_mut().find(|own| own.cidr.address == address) {
            // Nobody ends an address at once with a forged advertisement (RFC 4862 section 5.5.3 (e)).
            let left = own.valid_until.map_or(Duration::MAX, |until| until.since(now));
            let asked = valid.map_or(Duration::MAX, |until| until.since(now));
            if asked > TWO_HOURS || asked > left {
                own.valid_until = valid;
            } else if left > TWO_HOURS {
                own.valid_until = Some(now + TWO_HOURS);
            }
            own.preferred_until = preferred;
            return;
        }
        let learned = addresses.iter().filter(|own| own.cidr.address.is_ipv6()).count();
        if prefix.valid_lifetime > 0 && learned < MAX_LEARNED {
            // Bounds and kind are checked above, but for the interface's MTU: without 1280 bytes there is no IPv6.
            let len = if prefix.on_link { 64 } else { 128 };
            let _ = self.add_lasting(now, id, Cidr::new(address, len), preferred, valid);
            let addresses = &mut self.interfaces[usize::from(id.0)].addresses;
            if let Some(own) = addresses.iter_mut().find(|own| own.cidr.address == address) {
                own.router = Some(router);
            }
        }
    }

    /// The same address on the same network as long as the host keeps its secret.
    fn stable_address(&self, id: InterfaceId, network: Ipv6Addr) -> Ipv6Addr {
        let mut seed = [0; 32];
        seed[..16].copy_from_slice(&self.secret);
        seed[16..24].copy_from_slice(&network.octets()[..8]);
        seed[24..26].copy_from_slice(&id.0.to_be_bytes());
        if let Some(mac) = self.mac(id) {
            seed[26..].copy_from_slice(&mac.0);
        }
        let identifier = Random::from_seed(seed).next_u64();
        let bits = u128::from(network) >> 64 << 64 | u128::from(identifier);
        Ipv6Addr::from(bits)
    }
}
