//! Packets for others (RFC 1812 section 5.2, RFC 8200 section 3).

use std::net::IpAddr;

use host::Instant;
use trace::Fate;
use wire::{ipv4, ipv6};

use super::errors::Complaint;
use super::receive::Came;
use super::{Layer, Received};
use crate::{Descending, Transmit};

impl Layer {
    pub(super) fn forward_v4(
        &mut self,
        now: Instant,
        came: Came,
        header: ipv4::Header,
        packet: &mut [u8],
        out: &mut dyn Transmit,
    ) -> Received<'static> {
        let (source, destination) = (IpAddr::V4(header.source), IpAddr::V4(header.destination));
        if !self.may_forward(&came, source, destination) {
            return self.not_ours(now, came.on, source, destination);
        }
        if header.ttl <= 1 {
            self.counters.expired += 1;
            self.complain(now, came.on, packet, &Complaint::TimeExceeded, out);
            return Received::Handled;
        }
        let Ok(hop) = self.hop(destination, None) else {
            self.counters.no_route += 1;
            self.complain(now, came.on, packet, &Complaint::NoRoute, out);
            return Received::Handled;
        };
        let mtu = self.interface(hop.interface).map_or(0, |interface| interface.config.mtu);
        let too_big = packet.len() > usize::from(mtu);
        if too_big && header.dont_fragment {
            self.counters.too_big += 1;
            self.complain(now, came.on, packet, &Complaint::TooBig(mtu), out);
            return Received::Handled;
        }
        if !out.has_room(hop.interface) {
            self.counters.no_room += 1;
            return Received::Handled;
        }
        self.counters.forwarded += 1;
        self.tell(now, came.on, source, destination, header.protocol, packet.len() as u32, Fate::Forwarded);
        let header = ipv4::Header { ttl: header.ttl - 1, ..header };
        let payload_len = packet.len() - header.len();
        if too_big {
            self.cut_v4(now, &hop, &header, &packet[header.len()..], mtu, true, out);
        } else {
            header.emit(packet, payload_len);
            self.output(now, &hop, &mut Descending::new([packet, &[]]), true, out);
        }
        Received::Handled
    }

    pub(super) fn forward_v6(
        &mut self,
        now: Instant,
        came: Came,
        header: ipv6::Header,
        packet: &mut [u8],
        out: &mut dyn Transmit,
    ) -> Received<'static> {
        let (source, destination) = (IpAddr::V6(header.source), IpAddr::V6(header.destination));
        if !self.may_forward(&came, source, destination) {
            return self.not_ours(now, came.on, source, destination);
        }
        if header.hop_limit <= 1 {
            self.counters.expired += 1;
            self.complain(now, came.on, packet, &Complaint::TimeExceeded, out);
            return Received::Handled;
        }
        let Ok(hop) = self.hop(destination, None) else {
            self.counters.no_route += 1;
            self.complain(now, came.on, packet, &Complaint::NoRoute, out);
            return Received::Handled;
        };
        let mtu = self.interface(hop.interface).map_or(0, |interface| interface.config.mtu);
        if packet.len() > usize::from(mtu) {
            self.counters.too_big += 1;
            self.complain(now, came.on, packet, &Complaint::TooBig(mtu), out);
            return Received::Handled;
        }
        if !out.has_room(hop.interface) {
            self.counters.no_room += 1;
            return Received::Handled;
        }
        self.counters.forwarded += 1;
        self.tell(
            now,
            came.on,
            source,
            destination,
            header.next_header,
            packet.len() as u32,
            Fate::Forwarded,
        );
        // The one byte that a router changes.
        packet[7] = header.hop_limit - 1;
        self.output(now, &hop, &mut Descending::new([packet, &[]]), true, out);
        Received::Handled
    }

    fn may_forward(&self, came: &Came, source: IpAddr, destination: IpAddr) -> bool {
        let local = |address| super::routing::is_link_local(address);
        self.config.forwarding
            && !came.many
            && !came.looped
            && !destination.is_multicast()
            && !source.is_unspecified()
            && !local(source)
            && !local(destination)
            && !self.interfaces.iter().any(|interface| interface.is_broadcast(destination))
    }
}
