//! IPv6 addresses without a server (RFC 4862), with identifiers that are stable and say nothing (RFC 7217).

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use host::{Instant, Random};
use wire::ndp::{Message, NdpOption, Options, Prefix, Router};

use super::{Cidr, ConfigError, Layer, Route};
use crate::{InterfaceId, Transmit};

/// Routers and addresses that are learned on one interface, whatever is advertised (CVE-2010-4669: the RA flood).
const MAX_ROUTERS: usize = 8;
const MAX_LEARNED: usize = 16;
/// RFC 4861 section 10: solicitations, and the time between them.
const SOLICITATIONS: u8 = 3;
const SOLICITATION_INTERVAL: Duration = Duration::from_secs(4);
const TWO_HOURS: Duration = Duration::from_secs(7_200);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

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

    /// Asks for routers, where that is due.
    pub(super) fn solicit_routers(&mut self, now: Instant, id: InterfaceId, out: &mut dyn Transmit) {
        let interface = &mut self.interfaces[usize::from(id.0)];
        let Some((left, _)) = interface.solicitations.filter(|(left, at)| *left > 0 && *at <= now) else {
            return;
        };
        interface.solicitations = Some((left - 1, now + SOLICITATION_INTERVAL));
        let message = Message::RouterSolicitation { options: Options::default() };
        self.send_ndp(now, id, Ipv6Addr::UNSPECIFIED, ALL_ROUTERS, None, &message, out);
    }

    pub(super) fn advertised(
        &mut self,
        now: Instant,
        id: InterfaceId,
        source: Ipv6Addr,
        router: Router,
        options: Options<'_>,
    ) {
        let Some(interface) = self.interfaces.get_mut(usize::from(id.0)) else { return };
        // A router does not take its addresses from others.
        if interface.solicitations.is_none() || self.config.forwarding {
            return;
        }
        interface.solicitations = Some((0, now));
        self.learn_router(now, id, source, router.lifetime);
        for option in options.iter() {
            if let NdpOption::Prefix(prefix) = option
                && prefix.autonomous
                && prefix.len == 64
            {
                self.learn_prefix(now, id, &prefix);
            }
        }
    }

    fn learn_router(&mut self, now: Instant, id: InterfaceId, source: Ipv6Addr, lifetime: u16) {
        let network = Cidr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
        let gateway = Some(IpAddr::V6(source));
        let learned = |route: &&Route| route.interface == id && route.until.is_some();
        let known = self.routes.iter().filter(learned).any(|route| route.gateway == gateway);
        if lifetime == 0 {
            self.routes.retain(|route| {
                !(route.interface == id && route.until.is_some() && route.gateway == gateway)
            });
        } else if known || self.routes.iter().filter(learned).count() < MAX_ROUTERS {
            let until = Some(now + Duration::from_secs(u64::from(lifetime)));
            // The table may be full: then there is no room for what is learned.
            let _ = self.add_route(Route { network, gateway, interface: id, metric: 1024, until });
        }
    }

    fn learn_prefix(&mut self, now: Instant, id: InterfaceId, prefix: &Prefix) {
        let network = prefix.prefix;
        if network.is_unicast_link_local()
            || network.is_multicast()
            || network.is_unspecified()
            || prefix.preferred_lifetime > prefix.valid_lifetime
        {
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
            let _ = self.add_lasting(now, id, Cidr::new(address, 64), preferred, valid);
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
