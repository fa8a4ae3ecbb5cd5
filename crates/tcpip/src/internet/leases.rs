//! DHCP on the interfaces of a host: what a client asks is sent, and what it gets is put to use.

use std::net::{IpAddr, Ipv4Addr};

use host::{Instant, Random};
use wire::checksum::Sum;
use wire::{Protocol, dhcpv4, udp};

use super::deliver::Arrived;
use super::dhcp::{self, Action, Client, Lease};
use super::{Cidr, ConfigError, Event, Layer, Route, Sending};
use crate::link::AddressState;
use crate::{Descending, InterfaceId, Transmit};

impl Layer {
    /// Asks the servers on an interface's link for an IPv4 address, a way out and name servers, from now on. An address
    /// that is lent is ours once nobody else shows to have it, whatever [`Config`](super::Config) says of others.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoInterface`]; [`ConfigError::NotEthernet`] where there are no stations to tell apart.
    pub fn enable_dhcp(
        &mut self,
        now: Instant,
        id: InterfaceId,
        config: dhcp::Config,
    ) -> Result<(), ConfigError> {
        let mac =
            self.interface(id).ok_or(ConfigError::NoInterface)?.mac().ok_or(ConfigError::NotEthernet)?;
        let mut seed = [0; 32];
        self.random.fill(&mut seed);
        let client = Client::new(now, config, mac, Random::from_seed(seed));
        self.interfaces[usize::from(id.0)].dhcp = Some(Box::new(client));
        Ok(())
    }

    /// What is lent to us on an interface.
    pub fn lease(&self, id: InterfaceId) -> Option<&Lease> {
        self.interface(id)?.dhcp.as_ref()?.lease()
    }

    /// Whether an interface still waits for a server to lend an address.
    pub fn awaits_lease(&self, id: InterfaceId) -> bool {
        self.interface(id)
            .and_then(|interface| interface.dhcp.as_ref())
            .is_some_and(|dhcp| dhcp.lease().is_none())
    }

    /// Who answers questions about names, as the servers and routers of all interfaces say, the best first.
    pub fn name_servers(&self, now: Instant) -> Vec<IpAddr> {
        let leases = self.ids().filter_map(|(id, _)| self.lease(id));
        let lent = leases.flat_map(|lease| &lease.name_servers).map(|server| IpAddr::V4(*server));
        let advertised = self.interfaces.iter().flat_map(|interface| &interface.name_servers);
        let advertised = advertised.filter(|(_, until)| *until > now).map(|(server, _)| IpAddr::V6(*server));
        lent.chain(advertised).collect()
    }

    /// The domains in which short names are looked for, as the servers of all interfaces say.
    pub fn domains(&self) -> Vec<String> {
        self.ids().filter_map(|(id, _)| self.lease(id)?.domain.clone()).collect()
    }

    /// Gives back what was lent, and asks for nothing more. The addresses stay until somebody removes them.
    pub fn release_leases(&mut self, now: Instant, out: &mut dyn Transmit) {
        for at in 0..self.interfaces.len() {
            let action = self.interfaces[at].dhcp.as_mut().and_then(|dhcp| dhcp.release(now));
            self.act(now, InterfaceId(at as u16), action, out);
        }
    }

    pub(super) fn dhcp_timeout(&mut self, now: Instant, id: InterfaceId, out: &mut dyn Transmit) {
        while let Some(dhcp) = &mut self.interfaces[usize::from(id.0)].dhcp
            && let Some(action) = dhcp.handle_timeout(now)
        {
            self.act(now, id, Some(action), out);
        }
    }

    /// Whether the packet is a server's word to the client there.
    pub(super) fn dhcp(&mut self, now: Instant, arrived: &Arrived<'_>, out: &mut dyn Transmit) -> bool {
        let Some(dhcp) = &mut self.interfaces[usize::from(arrived.on.0)].dhcp else { return false };
        let bytes = &arrived.packet[arrived.start..];
        let pseudo = Sum::pseudo_header(arrived.source, arrived.destination, Protocol::UDP.0, bytes.len());
        let Ok((header, payload)) = udp::Header::parse(bytes, pseudo, true) else { return false };
        if (header.source_port, header.destination_port) != (dhcpv4::SERVER_PORT, dhcpv4::CLIENT_PORT) {
            return false;
        }
        let action = dhcp.receive(now, payload);
        self.act(now, arrived.on, action, out);
        true
    }

    /// Nobody else has `address`.
    pub(super) fn lease_ready(&mut self, now: Instant, id: InterfaceId, address: IpAddr) {
        let Some(dhcp) = &mut self.interfaces[usize::from(id.0)].dhcp else { return };
        if dhcp.address().map(IpAddr::V4) != Some(address) {
            return;
        }
        dhcp.ready(now);
        if let Some(lease) = dhcp.lease().cloned() {
            self.use_lease(id, &lease);
        }
    }

    /// Somebody else has `address`.
    pub(super) fn lease_conflict(
        &mut self,
        now: Instant,
        id: InterfaceId,
        address: IpAddr,
        out: &mut dyn Transmit,
    ) {
        let Some(dhcp) = &mut self.interfaces[usize::from(id.0)].dhcp else { return };
        if dhcp.address().map(IpAddr::V4) == Some(address) {
            let action = dhcp.conflict(now);
            self.remove_address(now, id, address);
            self.act(now, id, action, out);
        }
    }

    fn act(&mut self, now: Instant, id: InterfaceId, action: Option<Action>, out: &mut dyn Transmit) {
        match action {
            None => {}
            Some(Action::Send { from, to, message }) => self.send_dhcp(now, id, from, to, &message, out),
            Some(Action::Probe(lease)) => {
                let address = lease.address;
                // Bounds are checked when it is added; without room for it the client has nothing, and no more asks.
                let _ = self.add_checked(now, id, address, lease.expires);
                let ready = |own: &crate::link::Address| {
                    own.cidr.address == address.address && own.state == AddressState::Preferred
                };
                if self.interfaces[usize::from(id.0)].addresses.iter().any(ready) {
                    self.lease_ready(now, id, address.address);
                }
            }
            Some(Action::Renewed(lease)) => self.use_lease(id, &lease),
            Some(Action::Lost(address)) => self.lose_lease(now, id, address),
        }
    }

    fn use_lease(&mut self, id: InterfaceId, lease: &Lease) {
        let interface = &mut self.interfaces[usize::from(id.0)];
        if let Some(own) = interface.addresses.iter_mut().find(|own| own.cidr == lease.address) {
            own.valid_until = lease.expires;
        }
        interface.mtu_v4 = lease.mtu;
        self.remove_default(id);
        if let Some(router) = lease.router {
            let network = Cidr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
            let gateway = Some(IpAddr::V4(router));
            // The table may be full: then there is no way out by it.
            let _ = self.add_route(Route {
                network,
                gateway,
                interface: id,
                metric: METRIC,
                until: lease.expires,
            });
        }
    }

    fn lose_lease(&mut self, now: Instant, id: InterfaceId, address: Ipv4Addr) {
        self.interfaces[usize::from(id.0)].mtu_v4 = None;
        self.remove_default(id);
        if self.interfaces[usize::from(id.0)].owns(address.into()) {
            self.remove_address(now, id, address.into());
            self.event(Event::AddressLost(id, address.into()));
        }
    }

    fn remove_default(&mut self, id: InterfaceId) {
        let learned = |route: &Route| {
            route.interface == id
                && route.metric == METRIC
                && route.network == Cidr::new(Ipv4Addr::UNSPECIFIED.into(), 0)
        };
        self.routes.retain(|route| !learned(route));
    }

    fn send_dhcp(
        &mut self,
        now: Instant,
        id: InterfaceId,
        from: Ipv4Addr,
        to: Ipv4Addr,
        message: &[u8],
        out: &mut dyn Transmit,
    ) {
        let header = udp::Header { source_port: dhcpv4::CLIENT_PORT, destination_port: dhcpv4::SERVER_PORT };
        let len = udp::Header::LEN + message.len();
        let pseudo = Sum::pseudo_header(from.into(), to.into(), Protocol::UDP.0, len);
        let mut packet = Descending::new([message, &[]]);
        header.emit_over(packet.push(udp::Header::LEN), pseudo, Sum::of(message), message.len());
        let sending = Sending {
            source: from.into(),
            destination: to.into(),
            protocol: Protocol::UDP,
            ttl: None,
            traffic_class: 0,
            dont_fragment: false,
            interface: Some(id),
        };
        // What does not leave is sent again in its time.
        let _ = self.send(now, &sending, &mut packet, out);
    }
}

/// Of the way out that a server told: those that a person adds come first.
const METRIC: u32 = 1024;
