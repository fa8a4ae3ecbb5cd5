//! What routers tell the hosts of a link: default routes and parameters (RFC 4861 section 6.3), routes (RFC 4191), name
//! servers (RFC 8106), and better first hops (RFC 4861 section 8).
//!
//! Whoever is on the link can say all this: everything is bounded, and within what a host can live with.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use host::Instant;
use wire::MacAddress;
use wire::ndp::{Message, NdpOption, Options, Router};

use super::{Cidr, Layer, Route};
use crate::link::Heard;
use crate::{InterfaceId, Transmit};

/// Default routes that are learned on one interface, whatever is advertised (CVE-2010-4669: the RA flood); other routes,
/// and name servers, as many.
const MAX_LEARNED: usize = 8;
/// Destinations with a better first hop. A host knows so many at once; the first to end makes way.
const MAX_REDIRECTS: usize = 32;
/// How long such a word counts: the kernel's choice, too.
const REDIRECT_TIME: Duration = Duration::from_secs(600);
/// RFC 4861 section 10: solicitations, and the time between them.
pub(super) const SOLICITATIONS: u8 = 3;
const SOLICITATION_INTERVAL: Duration = Duration::from_secs(4);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// The least IPv6 MTU (RFC 8200 section 5).
const LEAST_MTU: u32 = 1280;
/// The option of RFC 4191 section 2.3.
const ROUTE_INFORMATION: u8 = 24;
/// Metrics of what is learned: those that a person adds come first, redirects before all.
const REDIRECTED: u32 = 0;
const PREFERRED: u32 = 1_000;
const USUAL: u32 = 1_024;
const UNWANTED: u32 = 1_100;

impl Layer {
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
        // A router does not take its addresses and routes from others in this way.
        if interface.solicitations.is_none() || self.config.forwarding {
            return;
        }
        interface.solicitations = Some((0, now));
        if let Some(mac) = options.source_link_address() {
            interface.neighbors.heard(now, source.into(), mac, Heard::Asking);
        }
        interface.neighbors.set_times(router.reachable_time, router.retransmit_timer);
        // What lowers it would cut us off from what is far (CVE-2015-2922).
        if router.hop_limit > self.config.ttl {
            interface.hop_limit = Some(router.hop_limit);
        }
        let all = Cidr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
        self.learn_route(now, id, all, Some(source), router.lifetime.into(), USUAL);
        for option in options.iter() {
            match option {
                NdpOption::Prefix(prefix) => self.learn_prefix(now, id, source, &prefix),
                NdpOption::Mtu(mtu) if mtu >= LEAST_MTU => {
                    // What is too much for the device is not asked of it.
                    self.interfaces[usize::from(id.0)].mtu_v6 = u16::try_from(mtu).ok();
                }
                NdpOption::DnsServers { lifetime, servers } => {
                    servers.iter().for_each(|server| self.learn_server(now, id, server, lifetime));
                }
                NdpOption::Other { kind: ROUTE_INFORMATION, data } => {
                    self.learn_information(now, id, source, data);
                }
                _ => {}
            }
        }
    }

    /// A route by a router there, or to the link itself, for `lifetime` seconds.
    pub(super) fn learn_route(
        &mut self,
        now: Instant,
        id: InterfaceId,
        network: Cidr,
        router: Option<Ipv6Addr>,
        lifetime: u32,
        metric: u32,
    ) {
        let gateway = router.map(IpAddr::V6);
        let learned =
            |route: &&Route| route.interface == id && route.until.is_some() && route.metric >= PREFERRED;
        let same = |route: &Route| (route.network, route.gateway) == (network, gateway);
        let is_alike = |route: &&Route| (route.network.prefix == 0) == (network.prefix == 0);
        let known = self.routes.iter().filter(learned).any(same);
        if lifetime == 0 {
            self.routes.retain(|route| !(learned(&route) && same(route)));
        } else if known || self.routes.iter().filter(learned).filter(is_alike).count() < MAX_LEARNED {
            // Even for ever has an end, after 136 years, by which it is known that the route was learned.
            let until = Some(now + Duration::from_secs(lifetime.into()));
            // The table may be full: then there is no room for what is learned.
            let _ = self.add_route(Route { network, gateway, interface: id, metric, until });
        }
    }

    /// RFC 4191: a network, how much this way there is wanted, and for how long.
    fn learn_information(&mut self, now: Instant, id: InterfaceId, router: Ipv6Addr, data: &[u8]) {
        let Some((&[len, flags, a, b, c, d], prefix)) = data.split_first_chunk() else { return };
        let metric = match flags >> 3 & 3 {
            0 => USUAL,
            1 => PREFERRED,
            3 => UNWANTED,
            _ => return,
        };
        let mut octets = [0; 16];
        if len > 128 || prefix.len() > 16 || prefix.len() * 8 < usize::from(len) {
            return;
        }
        octets[..prefix.len()].copy_from_slice(prefix);
        let network = Cidr::new(Ipv6Addr::from(octets).into(), len).network();
        let local = super::routing::is_link_local(network.address) || network.address.is_multicast();
        // The default route is the header's.
        if len > 0 && !local {
            self.learn_route(now, id, network, Some(router), u32::from_be_bytes([a, b, c, d]), metric);
        }
    }

    fn learn_server(&mut self, now: Instant, id: InterfaceId, server: Ipv6Addr, lifetime: u32) {
        let servers = &mut self.interfaces[usize::from(id.0)].name_servers;
        servers.retain(|(known, until)| *known != server && *until > now);
        let usable = !server.is_unspecified() && !server.is_loopback() && !server.is_multicast();
        if lifetime > 0 && usable && servers.len() < MAX_LEARNED {
            servers.push((server, now + Duration::from_secs(lifetime.into())));
        }
    }

    /// A router says that there is a better first hop to `destination` (RFC 4861 section 8.3), which is believed of the one
    /// that is the first hop now.
    pub(super) fn redirected(
        &mut self,
        now: Instant,
        id: InterfaceId,
        source: Ipv6Addr,
        target: Ipv6Addr,
        destination: Ipv6Addr,
        mac: Option<MacAddress>,
    ) {
        let on_link = target == destination;
        let first_hop =
            self.hop(destination.into(), Some(id)).is_ok_and(|hop| hop.next == IpAddr::V6(source));
        let valid = !destination.is_multicast()
            && !destination.is_unicast_link_local()
            && (target.is_unicast_link_local() || on_link)
            && target != source
            && self.owner(target.into()).is_none();
        if self.config.forwarding || !first_hop || !valid {
            self.counters.discovery_rejected += 1;
            return;
        }
        let network = Cidr::new(destination.into(), 128);
        let redirect = |route: &Route| route.until.is_some() && route.metric == REDIRECTED;
        self.routes.retain(|route| !(redirect(route) && route.network == network));
        if self.routes.iter().filter(|route| redirect(route)).count() >= MAX_REDIRECTS {
            let first = self.routes.iter().filter(|route| redirect(route)).min_by_key(|route| route.until);
            let first = first.map(|route| route.network);
            self.routes.retain(|route| !(redirect(route) && Some(route.network) == first));
        }
        let gateway = (!on_link).then_some(IpAddr::V6(target));
        let until = Some(now + REDIRECT_TIME);
        let _ = self.add_route(Route { network, gateway, interface: id, metric: REDIRECTED, until });
        if let Some(mac) = mac {
            let heard = Heard::Announced { replace: true };
            self.interfaces[usize::from(id.0)].neighbors.heard(now, target.into(), mac, heard);
        }
    }
}
