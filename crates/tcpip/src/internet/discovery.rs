//! Finding neighbours and keeping addresses: ARP (RFC 826, RFC 5227), NDP (RFC 4861, RFC 4862).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use host::Instant;
use wire::arp::{Operation, Packet as Arp};
use wire::checksum::Sum;
use wire::ndp::{Message as Ndp, NdpOption, Options};
use wire::{EtherType, MacAddress, Protocol, icmpv6, ipv6};

use super::deliver::Arrived;
use super::errors::{Complaint, failure};
use super::routing::Hop;
use super::{Event, Failure, Layer, Problem};
use crate::link::{Action, AddressState, Heard, Waiting};
use crate::{Descending, InterfaceId, Transmit};

/// Events that wait to be taken.
const MAX_EVENTS: usize = 256;

/// How often a new address is asked for (RFC 5227 section 1.1 PROBE_NUM, RFC 4862 section 5.1 DupAddrDetectTransmits).
pub(super) fn probes(address: IpAddr) -> u8 {
    if address.is_ipv4() { 3 } else { 1 }
}

impl Layer {
    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let links = self.interfaces.iter().filter_map(|interface| {
            let probes = interface.addresses.iter().filter_map(|own| own.probe.map(|(_, at)| at));
            let ends = interface.addresses.iter().filter_map(|own| {
                let preferred = own.preferred_until.filter(|_| own.state == AddressState::Preferred);
                preferred.into_iter().chain(own.valid_until).min()
            });
            let solicit = interface.solicitations.filter(|(left, _)| *left > 0).map(|(_, at)| at);
            let dhcp = interface.dhcp.as_ref().and_then(|dhcp| dhcp.poll_timeout());
            probes
                .chain(ends)
                .chain(solicit)
                .chain(dhcp)
                .chain(interface.reports.poll_timeout())
                .chain(interface.neighbors.poll_timeout())
                .min()
        });
        let routes = self.routes.iter().filter_map(|route| route.until);
        links.chain(routes).chain(self.fragments.poll_timeout()).min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut dyn Transmit) {
        self.routes.retain(|route| route.until.is_none_or(|until| until > now));
        for at in 0..self.interfaces.len() {
            let id = InterfaceId(at as u16);
            while let Some(action) = self.interfaces[at].neighbors.handle_timeout(now) {
                match action {
                    Action::Ask { address, at } => self.ask(now, id, address, at, out),
                    Action::Failed { address, waiting } => {
                        self.neighbor_failed(now, id, address, waiting, out);
                    }
                }
            }
            self.age_addresses(now, id);
            self.report_due(now, id, out);
            self.probe_addresses(now, id, out);
            self.dhcp_timeout(now, id, out);
            self.solicit_routers(now, id, out);
        }
        while let Some((key, first)) = self.fragments.expired(now) {
            self.counters.reassembly_timeout += 1;
            let on = self.owner(key.destination);
            if let (Some(first), Some(on)) = (first, on) {
                self.complain(now, on, &first, &Complaint::Reassembly, out);
            }
        }
    }

    fn neighbor_failed(
        &mut self,
        now: Instant,
        on: InterfaceId,
        address: IpAddr,
        waiting: impl IntoIterator<Item = Waiting>,
        out: &mut dyn Transmit,
    ) {
        for packet in waiting {
            self.counters.no_neighbor += 1;
            if packet.forwarded {
                self.complain(now, on, &packet.bytes, &Complaint::Host, out);
            } else if let Some(failure) = failure(address, Problem::HostUnreachable, &packet.bytes) {
                // Nobody said so: we found out.
                self.event(Event::Failure(Failure { reporter: failure.source, ..failure }));
            }
        }
    }

    fn age_addresses(&mut self, now: Instant, id: InterfaceId) {
        let mut lost = Vec::new();
        self.interfaces[usize::from(id.0)].addresses.retain_mut(|own| {
            if own.valid_until.is_some_and(|until| until <= now) {
                lost.push(own.cidr.address);
                return false;
            }
            if own.state == AddressState::Preferred && own.preferred_until.is_some_and(|until| until <= now) {
                own.state = AddressState::Deprecated;
            }
            true
        });
        for address in lost {
            self.solicited_node(now, id, address, false);
            self.event(Event::AddressLost(id, address));
        }
    }

    fn probe_addresses(&mut self, now: Instant, id: InterfaceId, out: &mut dyn Transmit) {
        let mut due = Vec::new();
        let interval = self.config.probe_interval;
        for own in &mut self.interfaces[usize::from(id.0)].addresses {
            let Some((left, at)) = own.probe.filter(|(_, at)| *at <= now) else { continue };
            if left == 0 {
                own.probe = None;
                own.state = AddressState::Preferred;
            } else {
                own.probe = Some((left - 1, at.max(now) + interval));
            }
            due.push((own.cidr.address, left > 0));
        }
        for (address, probing) in due {
            if probing {
                self.solicit(now, id, None, address, None, out);
            } else {
                self.announce(now, id, address, out);
                self.lease_ready(now, id, address);
                self.event(Event::AddressReady(id, address));
            }
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
        }
    }

    /// Asks where `address` is: everybody, or the station that had it.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        on: InterfaceId,
        address: IpAddr,
        at: Option<MacAddress>,
        out: &mut dyn Transmit,
    ) {
        let hop = Hop { interface: on, next: address, looped: false };
        if let Some(source) = self.source_for(&hop, address) {
            self.solicit(now, on, Some(source), address, at, out);
        }
    }

    /// An ARP request or a neighbour solicitation; without `source` it is a probe.
    fn solicit(
        &mut self,
        now: Instant,
        on: InterfaceId,
        source: Option<IpAddr>,
        target: IpAddr,
        at: Option<MacAddress>,
        out: &mut dyn Transmit,
    ) {
        let Some(own) = self.mac(on) else { return };
        match target {
            IpAddr::V4(target) => {
                let sender = match source {
                    Some(IpAddr::V4(v4)) => v4,
                    _ => Ipv4Addr::UNSPECIFIED,
                };
                let (operation, target_mac) = (Operation::Request, MacAddress::default());
                let packet = Arp { operation, sender_mac: own, sender, target_mac, target };
                self.send_arp(now, on, at.unwrap_or(MacAddress::BROADCAST), &packet, out);
            }
            IpAddr::V6(target) => {
                let mut option = [0; 8];
                NdpOption::SourceLinkAddress(own).emit(&mut option);
                let source = match source {
                    Some(IpAddr::V6(v6)) => v6,
                    _ => Ipv6Addr::UNSPECIFIED,
                };
                let bytes: &[u8] = if source.is_unspecified() { &[] } else { &option };
                let options = Options::parse(bytes).unwrap_or_default();
                let message = Ndp::NeighborSolicitation { target, options };
                let to = if at.is_some() { target } else { ipv6::solicited_node(target) };
                self.send_ndp(now, on, source, to, at, &message, out);
            }
        }
    }

    /// Tells everybody that an address is ours.
    fn announce(&mut self, now: Instant, on: InterfaceId, address: IpAddr, out: &mut dyn Transmit) {
        let Some(own) = self.mac(on) else { return };
        match address {
            IpAddr::V4(v4) => {
                let (operation, target_mac) = (Operation::Request, MacAddress::default());
                let packet = Arp { operation, sender_mac: own, sender: v4, target_mac, target: v4 };
                self.send_arp(now, on, MacAddress::BROADCAST, &packet, out);
            }
            IpAddr::V6(v6) => self.advertise(now, on, v6, ALL_NODES, None, false, out),
        }
    }

    fn send_arp(
        &mut self,
        now: Instant,
        on: InterfaceId,
        to: MacAddress,
        packet: &Arp,
        out: &mut dyn Transmit,
    ) {
        let mut frame = Descending::new([&[], &[]]);
        packet.emit(frame.push(Arp::LEN));
        self.frame(now, on, packet.sender_mac, to, EtherType::ARP, &mut frame, out);
    }

    /// A neighbour advertisement of one of our addresses.
    #[allow(clippy::too_many_arguments)]
    fn advertise(
        &mut self,
        now: Instant,
        on: InterfaceId,
        target: Ipv6Addr,
        to: Ipv6Addr,
        at: Option<MacAddress>,
        solicited: bool,
        out: &mut dyn Transmit,
    ) {
        let Some(own) = self.mac(on) else { return };
        let mut option = [0; 8];
        NdpOption::TargetLinkAddress(own).emit(&mut option);
        let router = self.config.forwarding;
        let options = Options::parse(&option).unwrap_or_default();
        let message = Ndp::NeighborAdvertisement { router, solicited, replace: true, target, options };
        self.send_ndp(now, on, target, to, at, &message, out);
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn send_ndp(
        &mut self,
        now: Instant,
        on: InterfaceId,
        source: Ipv6Addr,
        to: Ipv6Addr,
        at: Option<MacAddress>,
        message: &Ndp<'_>,
        out: &mut dyn Transmit,
    ) {
        self.send_icmpv6(now, on, source, to, at, &icmpv6::Message::Neighbor(*message), out);
    }

    /// An ICMPv6 message for the link only; to a group, or to a station whose address is given.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn send_icmpv6(
        &mut self,
        now: Instant,
        on: InterfaceId,
        source: Ipv6Addr,
        to: Ipv6Addr,
        at: Option<MacAddress>,
        message: &icmpv6::Message<'_>,
        out: &mut dyn Transmit,
    ) {
        let Some(own) = self.mac(on) else { return };
        let Some(mac) = at.or_else(|| MacAddress::of_group(to.into())) else { return };
        let mut bytes = vec![0; message.len()];
        let pseudo = Sum::pseudo_header(source.into(), to.into(), Protocol::ICMPV6.0, bytes.len());
        message.emit(&mut bytes, pseudo);
        let mut packet = Descending::new([&bytes, &[]]);
        let listening = matches!(message, icmpv6::Message::Multicast(_));
        if listening {
            ipv6::emit_router_alert(packet.push(8), Protocol::ICMPV6, 0);
        }
        let (next_header, hop_limit) =
            if listening { (Protocol::HOP_BY_HOP, 1) } else { (Protocol::ICMPV6, 255) };
        let header =
            ipv6::Header { traffic_class: 0, flow_label: 0, next_header, hop_limit, source, destination: to };
        let len = packet.len();
        header.emit(packet.push(ipv6::Header::LEN), len);
        self.counters.packets_sent += 1;
        self.frame(now, on, own, mac, EtherType::IPV6, &mut packet, out);
    }

    pub(super) fn arp(&mut self, now: Instant, on: InterfaceId, bytes: &[u8], out: &mut dyn Transmit) {
        let (Ok(packet), Some(own)) = (Arp::parse(bytes), self.mac(on)) else {
            self.counters.discovery_rejected += 1;
            return;
        };
        let Some(interface) = self.interfaces.get_mut(usize::from(on.0)) else { return };
        let Arp { operation, sender_mac, sender, target, .. } = packet;
        let from = IpAddr::V4(sender);
        let forged = !sender_mac.is_unicast()
            || sender_mac == own
            || sender.is_multicast()
            || sender.is_loopback()
            || interface.is_broadcast(from);
        if forged {
            self.counters.discovery_rejected += 1;
            return;
        }
        self.counters.discovery_received += 1;
        // Somebody has, or probes for, what is or shall be ours (RFC 5227 sections 2.1.1 and 2.4).
        let claimed = if sender.is_unspecified() { IpAddr::V4(target) } else { from };
        if self.claimed(now, on, claimed, sender.is_unspecified(), out) {
            return;
        }
        let Some(interface) = self.interfaces.get_mut(usize::from(on.0)) else { return };
        let for_us = interface.owns(target.into());
        let on_link = interface.usable().any(|one| one.cidr.contains(from));
        if !sender.is_unspecified() && on_link {
            // Nobody is noted who does not speak to us, and an unasked reply changes nothing by itself.
            let how = match operation {
                Operation::Reply if interface.neighbors.is_asked(from) => Heard::Answered { replace: true },
                Operation::Request if for_us => Heard::Asking,
                _ => Heard::Announced { replace: target == sender },
            };
            let waiting = interface.neighbors.heard(now, from, sender_mac, how);
            self.flush(now, on, from, waiting, out);
        }
        if operation == Operation::Request && for_us {
            let (operation, target_mac) = (Operation::Reply, sender_mac);
            let reply = Arp { operation, sender_mac: own, sender: target, target_mac, target: sender };
            self.send_arp(now, on, sender_mac, &reply, out);
        }
    }

    /// Somebody else says that `address` is theirs, or would like it to be. Whether that ends the packet's way.
    fn claimed(
        &mut self,
        now: Instant,
        on: InterfaceId,
        address: IpAddr,
        probing: bool,
        out: &mut dyn Transmit,
    ) -> bool {
        let Some(interface) = self.interfaces.get_mut(usize::from(on.0)) else { return false };
        let Some(own) = interface.addresses.iter_mut().find(|own| own.cidr.address == address) else {
            return false;
        };
        match own.state {
            AddressState::Tentative => {
                own.state = AddressState::Duplicate;
                own.probe = None;
                self.counters.duplicates += 1;
                self.event(Event::AddressDuplicate(on, address));
                self.lease_conflict(now, on, address, out);
                true
            }
            AddressState::Duplicate => true,
            // A probe is answered as any question is.
            _ if probing => false,
            // Defended, at a bounded rate.
            _ => {
                self.counters.duplicates += 1;
                if self.limit.allow(now, address) {
                    self.announce(now, on, address, out);
                }
                true
            }
        }
    }

    fn flush(
        &mut self,
        now: Instant,
        on: InterfaceId,
        neighbor: IpAddr,
        waiting: impl IntoIterator<Item = Waiting>,
        out: &mut dyn Transmit,
    ) {
        let hop = Hop { interface: on, next: neighbor, looped: false };
        for packet in waiting {
            self.output(now, &hop, &mut packet.descending(), packet.forwarded, out);
        }
    }

    pub(super) fn ndp(
        &mut self,
        now: Instant,
        arrived: &Arrived<'_>,
        message: &Ndp<'_>,
        out: &mut dyn Transmit,
    ) {
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (arrived.source, arrived.destination) else {
            return;
        };
        if !message.is_valid_in(source, destination, arrived.ttl) {
            self.counters.discovery_rejected += 1;
            return;
        }
        self.counters.discovery_received += 1;
        let on = arrived.on;
        match *message {
            Ndp::NeighborSolicitation { target, options } => {
                let probing = source.is_unspecified();
                if probing && self.claimed(now, on, target.into(), true, out) {
                    return;
                }
                let Some(interface) = self.interfaces.get_mut(usize::from(on.0)) else { return };
                if !interface.owns(target.into()) {
                    return;
                }
                let mac = options.source_link_address().filter(|mac| mac.is_unicast());
                if let Some(mac) = mac {
                    let waiting = interface.neighbors.heard(now, source.into(), mac, Heard::Asking);
                    self.flush(now, on, source.into(), waiting, out);
                }
                match (probing, mac) {
                    (true, _) => self.advertise(now, on, target, ALL_NODES, None, false, out),
                    (false, Some(mac)) => self.advertise(now, on, target, source, Some(mac), true, out),
                    (false, None) => {
                        let interface = &mut self.interfaces[usize::from(on.0)];
                        let mac = interface.neighbors.resolve(now, source.into());
                        self.advertise(now, on, target, source, mac, true, out);
                    }
                }
            }
            Ndp::NeighborAdvertisement { solicited, replace, target, options, .. } => {
                if self.claimed(now, on, target.into(), false, out) {
                    return;
                }
                let Some(mac) = options.target_link_address() else { return };
                let interface = &mut self.interfaces[usize::from(on.0)];
                let asked = solicited && interface.neighbors.is_asked(target.into());
                let how = if asked { Heard::Answered { replace } } else { Heard::Announced { replace } };
                let waiting = interface.neighbors.heard(now, target.into(), mac, how);
                self.flush(now, on, target.into(), waiting, out);
            }
            Ndp::RouterAdvertisement { router, options } => self.advertised(now, on, source, router, options),
            Ndp::Redirect { target, destination, options } => {
                let mac = options.target_link_address();
                self.redirected(now, on, source, target, destination, mac);
            }
            // We advertise no routes.
            Ndp::RouterSolicitation { .. } => {}
        }
    }
}

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
