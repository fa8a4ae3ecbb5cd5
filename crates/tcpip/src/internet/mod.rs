//! The internet layer: addresses, routes, forwarding, fragments and ICMP, for IPv4 and IPv6.
//!
//! [`Layer`] is the whole of it, with the interfaces of the link layer inside. Frames go in by [`Layer::receive`]; what
//! is for the transport layer comes back, what is to be answered is answered at once through the [`Transmit`] that is
//! lent. [`Layer::with`] is the layer as the transport layer sees it.

mod cidr;
mod counters;
mod deliver;
pub mod dhcp;
mod discovery;
mod echo;
mod errors;
mod events;
mod forward;
pub(crate) mod groups;
mod leases;
mod limit;
pub mod nat;
mod path_mtu;
mod reassembly;
mod receive;
mod routers;
mod routing;
mod send;
mod service;
mod slaac;

pub(crate) use cidr::common_bits;
pub use cidr::{Cidr, CidrError, Route};
pub use counters::Counters;
pub use echo::EchoRequest;
pub use events::{Event, Failure, Looped, Received};
pub use send::Below;
pub use service::{Delivery, IcmpError, Internet, Path, Problem, SendError, Sending};

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use host::{Instant, Random};
use trace::Tracer;

use crate::link::{Address, AddressState, Interface, InterfaceConfig, NeighborInfo};
use crate::{InterfaceId, Transmit};

/// Bounds on what is added by hand or learned.
const MAX_INTERFACES: usize = 256;
const MAX_ADDRESSES: usize = 64;
const MAX_ROUTES: usize = 4096;
const MAX_GROUPS: usize = 256;

/// How a host's internet layer behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether packets for others are forwarded.
    pub forwarding: bool,
    /// Whether an address that is added waits until nobody else shows to have it (RFC 4862 section 5.4, RFC 5227).
    /// Until then packets neither come to it nor leave from it.
    pub detect_duplicates: bool,
    /// The time between two probes for an address, and from the last one until it is ours: PROBE_MIN of RFC 5227 and
    /// RetransTimer of RFC 4861 section 10, which have a second for every network there may be. On one where neighbours
    /// answer at once less will do.
    pub probe_interval: Duration,
    /// What identifiers of addresses are made of (RFC 7217): who keeps it has the same addresses again. `None` draws one.
    pub secret: Option<[u8; 16]>,
    /// TTL and hop limit of what is sent.
    pub ttl: u8,
    /// Bytes that fragments of all packets together may take.
    pub reassembly_bytes: usize,
    /// Destinations whose path MTU is remembered.
    pub path_mtus: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            forwarding: false,
            detect_duplicates: false,
            probe_interval: Duration::from_secs(1),
            secret: None,
            ttl: 64,
            reassembly_bytes: 4 * 1024 * 1024,
            path_mtus: 1024,
        }
    }
}

/// The internet layer of a host.
#[derive(Debug)]
pub struct Layer {
    config: Config,
    random: Random,
    /// What stable addresses are made of.
    secret: [u8; 16],
    tracer: Tracer,
    interfaces: Vec<Interface>,
    routes: Vec<Route>,
    path_mtus: path_mtu::PathMtus,
    fragments: reassembly::Reassembly,
    limit: limit::ErrorLimit,
    asked: echo::Asked,
    looped: VecDeque<Looped>,
    looped_bytes: usize,
    events: VecDeque<Event>,
    counters: Counters,
    nat: Option<Box<nat::Nat>>,
}

/// An interface or address could not be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// There are as many as there may be.
    #[error("there are as many of these as a host may have; remove one first")]
    TooMany,
    /// There is no such interface.
    #[error("this host has no such interface; add it first")]
    NoInterface,
    /// The address cannot be a host's own, or is no group where one is needed.
    #[error("the address is of the wrong kind: a host's own is unicast, a group's is multicast")]
    WrongKind,
    /// DHCP tells hosts apart by their addresses on an Ethernet.
    #[error("DHCP needs an Ethernet: use a TAP instead of a TUN, or give an address")]
    NotEthernet,
    /// The interface's MTU is less than the protocol needs.
    #[error("the interface's MTU is too small: IPv4 needs 68 bytes, IPv6 needs 1280")]
    SmallMtu,
}

impl Layer {
    /// A layer without interfaces. `random` decides what must not be guessed.
    pub fn new(config: Config, mut random: Random, tracer: Tracer) -> Self {
        let mut secret = [0; 16];
        random.fill(&mut secret);
        Self {
            secret: config.secret.unwrap_or(secret),
            path_mtus: path_mtu::PathMtus::new(config.path_mtus),
            fragments: reassembly::Reassembly::new(config.reassembly_bytes),
            limit: limit::ErrorLimit::new(&mut random),
            asked: echo::Asked::default(),
            config,
            random,
            tracer,
            interfaces: Vec::new(),
            routes: Vec::new(),
            looped: VecDeque::new(),
            looped_bytes: 0,
            events: VecDeque::new(),
            counters: Counters::default(),
            nat: None,
        }
    }

    /// Adds an interface.
    ///
    /// # Errors
    ///
    /// [`ConfigError::TooMany`], [`ConfigError::SmallMtu`].
    pub fn add_interface(
        &mut self,
        _now: Instant,
        config: InterfaceConfig,
    ) -> Result<InterfaceId, ConfigError> {
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(ConfigError::TooMany);
        }
        if config.mtu < 68 {
            return Err(ConfigError::SmallMtu);
        }
        self.interfaces.push(Interface::new(config));
        Ok(InterfaceId((self.interfaces.len() - 1) as u16))
    }

    /// Gives an interface an address. With [`Config::detect_duplicates`] it is asked for first, and
    /// [`Event::AddressReady`] says when it can be used.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] says which.
    pub fn add_address(&mut self, now: Instant, id: InterfaceId, cidr: Cidr) -> Result<(), ConfigError> {
        self.add_lasting(now, id, cidr, None, None)
    }

    /// As [`add_address`](Self::add_address), for an address of which somebody says that it is ours until then.
    fn add_checked(
        &mut self,
        now: Instant,
        id: InterfaceId,
        cidr: Cidr,
        until: Option<Instant>,
    ) -> Result<(), ConfigError> {
        let detect = std::mem::replace(&mut self.config.detect_duplicates, true);
        let added = self.add_lasting(now, id, cidr, None, until);
        self.config.detect_duplicates = detect;
        added
    }

    /// As [`add_address`](Self::add_address), for a time.
    fn add_lasting(
        &mut self,
        now: Instant,
        id: InterfaceId,
        cidr: Cidr,
        preferred_until: Option<Instant>,
        valid_until: Option<Instant>,
    ) -> Result<(), ConfigError> {
        let detect = self.config.detect_duplicates;
        // Probes begin after a random delay, so that hosts that start together do not ask together.
        let delay =
            Duration::from_nanos(self.random.below(self.config.probe_interval.as_nanos().max(1) as u64));
        let interface = self.interfaces.get_mut(usize::from(id.0)).ok_or(ConfigError::NoInterface)?;
        let address = cidr.address;
        if address.is_multicast() || address.is_unspecified() || address == IpAddr::from([255; 4]) {
            return Err(ConfigError::WrongKind);
        }
        if address.is_ipv6() && interface.config.mtu < 1280 {
            return Err(ConfigError::SmallMtu);
        }
        if interface.addresses.iter().any(|own| own.cidr.address == address) {
            return Ok(());
        }
        if interface.addresses.len() >= MAX_ADDRESSES {
            return Err(ConfigError::TooMany);
        }
        let detect = detect && interface.mac().is_some();
        let (state, probe) = match detect {
            true => (AddressState::Tentative, Some((discovery::probes(address), now + delay))),
            false => (AddressState::Preferred, None),
        };
        interface.addresses.push(Address { cidr, state, preferred_until, valid_until, probe, router: None });
        self.solicited_node(now, id, address, true);
        Ok(())
    }

    /// Takes an address away.
    pub fn remove_address(&mut self, now: Instant, id: InterfaceId, address: IpAddr) {
        let Some(interface) = self.interfaces.get_mut(usize::from(id.0)) else { return };
        let before = interface.addresses.len();
        interface.addresses.retain(|own| own.cidr.address != address);
        if interface.addresses.len() < before {
            self.solicited_node(now, id, address, false);
        }
    }

    /// Adds a route, in place of one to the same network by the same way.
    ///
    /// # Errors
    ///
    /// [`ConfigError::TooMany`], [`ConfigError::NoInterface`].
    pub fn add_route(&mut self, route: Route) -> Result<(), ConfigError> {
        if usize::from(route.interface.0) >= self.interfaces.len() {
            return Err(ConfigError::NoInterface);
        }
        self.routes.retain(|other| {
            (other.network, other.gateway, other.interface) != (route.network, route.gateway, route.interface)
        });
        if self.routes.len() >= MAX_ROUTES {
            return Err(ConfigError::TooMany);
        }
        let key = |route: &Route| (std::cmp::Reverse(route.network.prefix), route.metric);
        let at = self.routes.partition_point(|other| key(other) <= key(&route));
        self.routes.insert(at, route);
        Ok(())
    }

    /// Takes away the routes to `network`.
    pub fn remove_route(&mut self, network: Cidr) {
        self.routes.retain(|route| route.network != network);
    }

    /// Whether packets for others are forwarded from now on.
    pub fn set_forwarding(&mut self, forwarding: bool) {
        self.config.forwarding = forwarding;
    }

    /// Listens to `group` on an interface, and tells the routers there. Each join needs a [`leave`](Self::leave).
    ///
    /// # Errors
    ///
    /// [`ConfigError::WrongKind`] when it is no group, [`ConfigError::NoInterface`], [`ConfigError::TooMany`].
    pub fn join(
        &mut self,
        now: Instant,
        id: InterfaceId,
        group: IpAddr,
        out: &mut dyn Transmit,
    ) -> Result<(), ConfigError> {
        let interface = self.interfaces.get_mut(usize::from(id.0)).ok_or(ConfigError::NoInterface)?;
        if !group.is_multicast() {
            return Err(ConfigError::WrongKind);
        }
        if let Some((_, count)) = interface.groups.iter_mut().find(|(joined, _)| *joined == group) {
            *count = count.saturating_add(1);
            return Ok(());
        }
        if interface.groups.len() >= MAX_GROUPS {
            return Err(ConfigError::TooMany);
        }
        interface.groups.push((group, 1));
        self.report(now, id, group, true, out);
        Ok(())
    }

    /// Listens to `group` no longer, once it has been left as often as joined.
    pub fn leave(&mut self, now: Instant, id: InterfaceId, group: IpAddr, out: &mut dyn Transmit) {
        let Some(interface) = self.interfaces.get_mut(usize::from(id.0)) else { return };
        let Some(at) = interface.groups.iter().position(|(joined, _)| *joined == group) else { return };
        interface.groups[at].1 -= 1;
        if interface.groups[at].1 == 0 {
            interface.groups.remove(at);
            self.report(now, id, group, false, out);
        }
    }

    /// The interfaces, in order of their ids.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// The routes, the most exact first. Networks on the link are not among them: the addresses say them.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The neighbours on an interface.
    pub fn neighbors(&self, id: InterfaceId) -> impl Iterator<Item = NeighborInfo> {
        self.interfaces.get(usize::from(id.0)).into_iter().flat_map(|interface| interface.neighbors.iter())
    }

    /// What happened so far, in numbers.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next packet that went from this host to itself; hand it to [`receive_looped`](Self::receive_looped).
    pub fn poll_loopback(&mut self) -> Option<Looped> {
        let looped = self.looped.pop_front()?;
        self.looped_bytes -= looped.packet.len();
        Some(looped)
    }

    /// The layer as the transport layer sees it.
    pub fn with<'a>(&'a mut self, out: &'a mut dyn Transmit) -> Below<'a> {
        Below { layer: self, out }
    }

    fn interface(&self, id: InterfaceId) -> Option<&Interface> {
        self.interfaces.get(usize::from(id.0))
    }
}

#[cfg(test)]
mod tests;
