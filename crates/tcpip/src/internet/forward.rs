//! Packets for others (RFC 1812 section 5.2, RFC 8200 section 3).

use std::net::IpAddr;

use host::Instant;
use trace::Fate;
use wire::{Protocol, ipv4, ipv6};

use super::errors::Complaint;
use super::nat::Arriving;
use super::receive::Came;
use super::routing::Hop;
use super::{Layer, Received};
use crate::{Descending, Transmit};

/// A packet for somebody else, of either version.
struct Passing {
    source: IpAddr,
    destination: IpAddr,
    protocol: Protocol,
    /// TTL or hop limit as it arrived.
    ttl: u8,
    /// The longest packet that leaves when it is cut as it asks to be, in bytes.
    len: usize,
    /// Routers may cut it further.
    may_be_cut: bool,
}

/// Bytes of the longest packet that `packet` is to be cut into before it goes on.
fn longest(came: &Came, packet: &[u8]) -> usize {
    came.segment_size
        .and_then(|size| Descending::of_long(packet, size))
        .map_or(packet.len(), |long| long.longest_piece())
}

impl Layer {
    /// Forwards a packet, unless it is for us: then whether it is for many is said.
    pub(super) fn pass_on_v4(
        &mut self,
        now: Instant,
        came: Came,
        header: ipv4::Header,
        packet: &mut [u8],
        out: &mut dyn Transmit,
    ) -> Option<bool> {
        match self.translate_in(now, &came, &header, packet, out) {
            Arriving::Untouched => {
                let for_us = self.is_for_us(&came, header.destination.into());
                if for_us.is_none() {
                    self.forward_v4(now, came, header, packet, out);
                }
                for_us
            }
            Arriving::Inward(header) => {
                self.forward_v4(now, came, header, packet, out);
                None
            }
            Arriving::Dropped => None,
        }
    }

    fn forward_v4(
        &mut self,
        now: Instant,
        came: Came,
        header: ipv4::Header,
        packet: &mut [u8],
        out: &mut dyn Transmit,
    ) {
        let passing = Passing {
            source: header.source.into(),
            destination: header.destination.into(),
            protocol: header.protocol,
            ttl: header.ttl,
            len: longest(&came, packet),
            may_be_cut: !header.dont_fragment && came.segment_size.is_none(),
        };
        if let Some((hop, mtu)) = self.onward(now, came, packet, &passing, out) {
            let mut header = ipv4::Header { ttl: header.ttl - 1, ..header };
            if !self.translate_out(now, &came, &hop, &mut header, packet) {
                return;
            }
            if passing.len > usize::from(mtu) {
                self.cut_v4(now, &hop, &header, &packet[header.len()..], mtu, true, out);
            } else {
                header.emit(packet, packet.len() - header.len());
                self.send_on(now, &came, &hop, packet, out);
            }
        }
    }

    pub(super) fn forward_v6(
        &mut self,
        now: Instant,
        came: Came,
        header: ipv6::Header,
        packet: &mut [u8],
        out: &mut dyn Transmit,
    ) -> Received<'static> {
        let passing = Passing {
            source: header.source.into(),
            destination: header.destination.into(),
            protocol: header.next_header,
            ttl: header.hop_limit,
            len: longest(&came, packet),
            may_be_cut: false,
        };
        if let Some((hop, _)) = self.onward(now, came, packet, &passing, out) {
            // The one byte that a router changes.
            packet[7] = header.hop_limit - 1;
            self.send_on(now, &came, &hop, packet, out);
        }
        Received::Handled
    }

    /// Sends on a packet that was found fit for it.
    fn send_on(&mut self, now: Instant, came: &Came, hop: &Hop, packet: &[u8], out: &mut dyn Transmit) {
        let mut descending = match came.segment_size {
            None => Descending::new([packet, &[]]),
            Some(size) => match Descending::of_long(packet, size) {
                Some(long) => long,
                None => {
                    self.counters.malformed += 1;
                    return;
                }
            },
        };
        self.output(now, hop, &mut descending, true, out);
    }

    /// The next hop of a packet, and the longest packet that the link there takes, in bytes. `None` when it goes no
    /// further; its sender was told then, where that is due.
    fn onward(
        &mut self,
        now: Instant,
        came: Came,
        packet: &[u8],
        passing: &Passing,
        out: &mut dyn Transmit,
    ) -> Option<(Hop, u16)> {
        let &Passing { source, destination, protocol, ttl, len, may_be_cut } = passing;
        if !self.may_forward(&came, source, destination) {
            self.not_ours(now, came.on, source, destination);
            return None;
        }
        if ttl <= 1 {
            self.counters.expired += 1;
            self.complain(now, came.on, packet, &Complaint::TimeExceeded, out);
            return None;
        }
        let Ok(hop) = self.hop(destination, None) else {
            self.counters.no_route += 1;
            self.complain(now, came.on, packet, &Complaint::NoRoute, out);
            return None;
        };
        let mtu = self.interface(hop.interface).map_or(0, |interface| interface.mtu(destination.is_ipv4()));
        if len > usize::from(mtu) && !may_be_cut {
            self.counters.too_big += 1;
            self.complain(now, came.on, packet, &Complaint::TooBig(mtu), out);
            return None;
        }
        if !out.has_room(hop.interface) {
            self.counters.no_room += 1;
            return None;
        }
        self.counters.forwarded += 1;
        self.tell(now, came.on, source, destination, protocol, packet.len() as u32, Fate::Forwarded);
        Some((hop, mtu))
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
