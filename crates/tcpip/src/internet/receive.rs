//! Frames and packets on their way up: checks and reassembly.

use std::borrow::Cow;
use std::net::IpAddr;

use host::Instant;
use trace::{Direction, Drop, Event as Traced, Fate};
use wire::ipv4::RawOption;
use wire::virtio::{self, Checksum};
use wire::{Error, EtherType, MacAddress, Protocol, ethernet, ipv4, ipv6};

use super::deliver::Arrived;
use super::errors::Complaint;
use super::reassembly::{Key, Outcome, Part};
use super::{Layer, Looped, Received};
use crate::link::Medium;
use crate::{InterfaceId, Transmit};

/// How a packet came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came {
    pub(super) on: InterfaceId,
    /// In a frame to many.
    pub(super) many: bool,
    /// From this host itself.
    pub(super) looped: bool,
    /// The transport layer's checksum need not be looked at. One that is missing is filled in before the packet goes on.
    pub(super) checked: bool,
    /// It is a TCP segment that is to be cut, into pieces with so many bytes of payload, before it goes on.
    pub(super) segment_size: Option<u16>,
}

impl Layer {
    /// Takes a frame that came on an interface. It may be changed in place where it is forwarded.
    pub fn receive<'a>(
        &mut self,
        now: Instant,
        on: InterfaceId,
        frame: &'a mut [u8],
        out: &mut dyn Transmit,
    ) -> Received<'a> {
        self.receive_offloaded(now, on, frame, &virtio::Header::default(), out)
    }

    /// As [`receive`](Self::receive), from a device that leaves `offload` to us.
    pub fn receive_offloaded<'a>(
        &mut self,
        now: Instant,
        on: InterfaceId,
        frame: &'a mut [u8],
        offload: &virtio::Header,
        out: &mut dyn Transmit,
    ) -> Received<'a> {
        let Some(interface) = self.interface(on) else { return Received::Handled };
        let medium = interface.config.medium;
        self.counters.frames_received += 1;
        let segment_size = offload.segmentation.map(|segmentation| segmentation.size);
        let mut came = Came {
            on,
            many: false,
            looped: false,
            checked: offload.checksum != Checksum::Unchecked,
            segment_size,
        };
        if let Checksum::Missing { start, offset } = offload.checksum
            && !self.may_miss_checksum(&came, medium, frame)
            && virtio::fill_checksum(frame, start, offset).is_err()
        {
            return self.reject_bytes(Error::Malformed);
        }
        let Medium::Ethernet(own) = medium else {
            return self.packet(now, came, frame, out);
        };
        let len = frame.len() as u32;
        let tell = |layer: &Self, fate| {
            layer.tracer.emit(now.as_nanos(), || {
                Traced::Frame(trace::Frame { interface: on.0, direction: Direction::Up, len, fate })
            });
        };
        let Ok((header, _)) = ethernet::Header::parse(frame) else {
            self.counters.malformed += 1;
            tell(self, Fate::Dropped(Drop::Malformed));
            return Received::Handled;
        };
        let many = header.destination.is_multicast();
        if header.destination != own && !many || header.source == own || header.source.is_multicast() {
            self.counters.not_ours += 1;
            tell(self, Fate::Dropped(Drop::NotOurs));
            return Received::Handled;
        }
        tell(self, Fate::Accepted);
        came.many = many;
        let body = &mut frame[ethernet::Header::LEN..];
        let version = body.first().map_or(0, |first| first >> 4);
        match (header.ether_type, version) {
            (EtherType::ARP, _) => self.arp(now, on, body, out),
            (EtherType::IPV4, 4) | (EtherType::IPV6, 6) => return self.packet(now, came, body, out),
            _ => self.counters.malformed += 1,
        }
        Received::Handled
    }

    /// Whether the checksum that is missing in a frame may stay so: TCP trusts it, and what is to be cut gets others. What
    /// may be sent on in one piece, or is not TCP, needs it.
    fn may_miss_checksum(&self, came: &Came, medium: Medium, frame: &[u8]) -> bool {
        let link = if medium == Medium::Ip { 0 } else { ethernet::Header::LEN };
        let protocol =
            frame.get(link).and_then(|first| frame.get(link + if first >> 4 == 4 { 9 } else { 6 }));
        protocol == Some(&Protocol::TCP.0) && (came.segment_size.is_some() || !self.config.forwarding)
    }

    /// Takes a packet that [`poll_loopback`](Self::poll_loopback) gave.
    pub fn receive_looped<'a>(
        &mut self,
        now: Instant,
        looped: &'a mut Looped,
        out: &mut dyn Transmit,
    ) -> Received<'a> {
        let came =
            Came { on: looped.interface, many: false, looped: true, checked: false, segment_size: None };
        self.packet(now, came, &mut looped.packet, out)
    }

    fn packet<'a>(
        &mut self,
        now: Instant,
        came: Came,
        packet: &'a mut [u8],
        out: &mut dyn Transmit,
    ) -> Received<'a> {
        self.counters.packets_received += 1;
        match packet.first().map(|first| first >> 4) {
            Some(4) => self.packet_v4(now, came, packet, out),
            Some(6) => self.packet_v6(now, came, packet, out),
            _ => self.reject_bytes(Error::Malformed),
        }
    }

    fn packet_v4<'a>(
        &mut self,
        now: Instant,
        came: Came,
        packet: &'a mut [u8],
        out: &mut dyn Transmit,
    ) -> Received<'a> {
        let (header, payload_len) = match ipv4::Header::parse(packet) {
            Ok((header, payload)) => (header, payload.len()),
            Err(error) => return self.reject_bytes(error),
        };
        let (source, destination) = (IpAddr::V4(header.source), IpAddr::V4(header.destination));
        let source_routed = header.options.iter().any(|option| {
            matches!(option.kind, RawOption::LOOSE_SOURCE_ROUTE | RawOption::STRICT_SOURCE_ROUTE)
        });
        if source_routed || self.is_martian(&came, source, destination) {
            return self.martian(now, came.on, source, destination);
        }
        let packet = &mut packet[..header.len() + payload_len];
        let for_us = self.is_for_us(&came, destination);
        if header.is_fragment() && (for_us.is_some() || self.is_translated(&came, &header)) {
            let key = Key {
                source,
                destination,
                identification: u32::from(header.identification),
                protocol: header.protocol.0,
            };
            let (headers, body) = packet.split_at(header.len());
            let part = Part {
                offset: usize::from(header.fragment_offset),
                more: header.more_fragments,
                ecn: header.traffic_class,
                headers,
                body,
            };
            let Some((mut bytes, ecn)) = self.collect(now, came.on, key, part) else {
                return Received::Handled;
            };
            // The packet as it would have come whole.
            let Ok((first, _)) = ipv4::Header::parse_quoted(&bytes) else { return Received::Handled };
            let payload_len = bytes.len() - first.len();
            if bytes.len() > usize::from(u16::MAX) {
                return self.reject_bytes(Error::Malformed);
            }
            let traffic_class = first.traffic_class & !3 | ecn;
            let whole = ipv4::Header { traffic_class, more_fragments: false, fragment_offset: 0, ..first };
            whole.emit(&mut bytes, payload_len);
            let put_together = Came { checked: false, segment_size: None, ..came };
            let Some(to_many) = self.pass_on_v4(now, put_together, whole, &mut bytes, out) else {
                return Received::Handled;
            };
            return self.deliver_v4(now, &put_together, to_many, &whole, Cow::Owned(bytes), out);
        }
        let Some(to_many) = self.pass_on_v4(now, came, header, packet, out) else { return Received::Handled };
        self.deliver_v4(now, &came, to_many, &header, Cow::Borrowed(packet), out)
    }

    fn deliver_v4<'a>(
        &mut self,
        now: Instant,
        came: &Came,
        to_many: bool,
        header: &ipv4::Header,
        packet: Cow<'a, [u8]>,
        out: &mut dyn Transmit,
    ) -> Received<'a> {
        let arrived = Arrived {
            on: came.on,
            checked: came.checked,
            source: header.source.into(),
            destination: header.destination.into(),
            to_many,
            protocol: header.protocol,
            ttl: header.ttl,
            traffic_class: header.traffic_class,
            start: header.len(),
            pointer: 9,
            packet,
        };
        self.deliver(now, arrived, out)
    }

    fn packet_v6<'a>(
        &mut self,
        now: Instant,
        came: Came,
        packet: &'a mut [u8],
        out: &mut dyn Transmit,
    ) -> Received<'a> {
        let (header, payload_len) = match ipv6::Header::parse(packet) {
            Ok((header, payload)) => (header, payload.len()),
            Err(error) => return self.reject_bytes(error),
        };
        let (source, destination) = (IpAddr::V6(header.source), IpAddr::V6(header.destination));
        if self.is_martian(&came, source, destination) {
            return self.martian(now, came.on, source, destination);
        }
        let packet = &mut packet[..ipv6::Header::LEN + payload_len];
        let Some(to_many) = self.is_for_us(&came, destination) else {
            return self.forward_v6(now, came, header, packet, out);
        };
        let chain = match ipv6::Chain::of(&header, &packet[ipv6::Header::LEN..]) {
            Ok(chain) => chain,
            Err(problem) => return self.reject_chain(now, came.on, problem, packet, out),
        };
        let Some(fragment) = chain.fragment else {
            return self.deliver_v6(now, &came, to_many, &header, &chain, Cow::Borrowed(packet), out);
        };
        let at = ipv6::Header::LEN + fragment.offset;
        let (headers, rest) = packet.split_at(at);
        let body = &rest[ipv6::Fragment::LEN..];
        if !ipv6::is_whole_chain(&fragment.header, body) {
            let code = ipv6::ParameterProblem::IncompleteHeaderChain;
            let problem = ipv6::Problem::Answer { code, pointer: 0 };
            return self.reject_chain(now, came.on, problem, packet, out);
        }
        // The field that named the fragment header names what it named (RFC 8200 section 4.5).
        let mut headers = headers.to_vec();
        if let Some(field) = headers.get_mut(fragment.pointer as usize) {
            *field = fragment.header.next_header.0;
        }
        let key = Key { source, destination, identification: fragment.header.identification, protocol: 0 };
        let part = Part {
            offset: usize::from(fragment.header.offset),
            more: fragment.header.more_fragments,
            ecn: header.traffic_class,
            headers: &headers,
            body,
        };
        let Some((mut bytes, ecn)) = self.collect(now, came.on, key, part) else { return Received::Handled };
        let payload_len = bytes.len() - ipv6::Header::LEN;
        let Ok((first, _)) = ipv6::Header::parse_quoted(&bytes) else { return Received::Handled };
        if payload_len > usize::from(u16::MAX) {
            return self.reject_bytes(Error::Malformed);
        }
        let whole = ipv6::Header { traffic_class: first.traffic_class & !3 | ecn, ..first };
        whole.emit(&mut bytes, payload_len);
        match ipv6::Chain::of(&whole, &bytes[ipv6::Header::LEN..]) {
            // Fragments within fragments are of no honest sender.
            Ok(chain) if chain.fragment.is_none() => {
                let put_together = Came { checked: false, segment_size: None, ..came };
                self.deliver_v6(now, &put_together, to_many, &whole, &chain, Cow::Owned(bytes), out)
            }
            Ok(_) => self.reject_bytes(Error::Malformed),
            Err(problem) => self.reject_chain(now, came.on, problem, &bytes, out),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn deliver_v6<'a>(
        &mut self,
        now: Instant,
        came: &Came,
        to_many: bool,
        header: &ipv6::Header,
        chain: &ipv6::Chain,
        packet: Cow<'a, [u8]>,
        out: &mut dyn Transmit,
    ) -> Received<'a> {
        let arrived = Arrived {
            on: came.on,
            checked: came.checked,
            source: header.source.into(),
            destination: header.destination.into(),
            to_many,
            protocol: chain.protocol,
            ttl: header.hop_limit,
            traffic_class: header.traffic_class,
            start: ipv6::Header::LEN + chain.offset,
            pointer: chain.pointer,
            packet,
        };
        self.deliver(now, arrived, out)
    }

    fn reject_chain(
        &mut self,
        now: Instant,
        on: InterfaceId,
        problem: ipv6::Problem,
        packet: &[u8],
        out: &mut dyn Transmit,
    ) -> Received<'static> {
        self.counters.malformed += 1;
        if let ipv6::Problem::Answer { code, pointer } = problem {
            self.complain(now, on, packet, &Complaint::Parameter { code, pointer }, out);
        }
        Received::Handled
    }

    /// Keeps a fragment; gives headers and body of the packet that it made whole, and its ECN.
    fn collect(&mut self, now: Instant, on: InterfaceId, key: Key, part: Part<'_>) -> Option<(Vec<u8>, u8)> {
        self.counters.fragments_received += 1;
        let len = part.body.len() as u32;
        let outcome = self.fragments.receive(now, key, part);
        self.counters.reassembly_limit += self.fragments.take_evicted();
        let fate = match outcome {
            Outcome::Kept => Fate::Collected,
            Outcome::Failed => Fate::Dropped(Drop::Forbidden),
            Outcome::Whole { .. } => Fate::Accepted,
        };
        self.tell(now, on, key.source, key.destination, Protocol(key.protocol), len, fate);
        match outcome {
            Outcome::Kept => None,
            Outcome::Failed => {
                self.counters.reassembly_failed += 1;
                None
            }
            Outcome::Whole { mut headers, body, ecn } => {
                self.counters.reassembled += 1;
                headers.extend(body);
                Some((headers, ecn))
            }
        }
    }

    /// Whether it is for us, and if so, whether for many.
    pub(super) fn is_for_us(&self, came: &Came, destination: IpAddr) -> Option<bool> {
        let interface = self.interface(came.on)?;
        if destination.is_multicast() {
            return interface.is_member(destination).then_some(true);
        }
        if interface.is_broadcast(destination) {
            return Some(true);
        }
        // A unicast packet in a frame to many is for nobody (RFC 1122 section 3.3.6).
        if came.many {
            return None;
        }
        let ours = came.looped || interface.owns(destination);
        // A router has its addresses on all links.
        (ours || self.config.forwarding && self.owner(destination).is_some()).then_some(false)
    }

    /// Addresses that cannot be in a packet from outside (RFC 1122 section 3.2.1.3, RFC 1812 section 5.3.7, RFC 4291).
    fn is_martian(&self, came: &Came, source: IpAddr, destination: IpAddr) -> bool {
        let impossible = source.is_multicast()
            || destination.is_unspecified()
            || self.interfaces.iter().any(|interface| interface.is_broadcast(source));
        let reserved = match source {
            IpAddr::V4(v4) => v4.octets()[0] >= 240 || v4.octets()[0] == 0 && !v4.is_unspecified(),
            // An IPv4 address within goes nowhere by itself (RFC 4942 section 2.1.9).
            IpAddr::V6(v6) => v6.to_ipv4_mapped().is_some(),
        };
        let forged = !came.looped
            && (source.is_loopback() || destination.is_loopback() || self.owner(source).is_some());
        impossible || reserved || forged
    }

    fn martian(
        &mut self,
        now: Instant,
        on: InterfaceId,
        source: IpAddr,
        destination: IpAddr,
    ) -> Received<'static> {
        self.counters.martian += 1;
        self.tell(now, on, source, destination, Protocol(0), 0, Fate::Dropped(Drop::Forbidden));
        Received::Handled
    }

    pub(super) fn not_ours(
        &mut self,
        now: Instant,
        on: InterfaceId,
        source: IpAddr,
        destination: IpAddr,
    ) -> Received<'static> {
        self.counters.not_ours += 1;
        self.tell(now, on, source, destination, Protocol(0), 0, Fate::Dropped(Drop::NotOurs));
        Received::Handled
    }

    fn reject_bytes(&mut self, error: Error) -> Received<'static> {
        match error {
            Error::Checksum => self.counters.bad_checksum += 1,
            _ => self.counters.malformed += 1,
        }
        Received::Handled
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn tell(
        &self,
        now: Instant,
        on: InterfaceId,
        source: IpAddr,
        destination: IpAddr,
        protocol: Protocol,
        len: u32,
        fate: Fate,
    ) {
        self.tracer.emit(now.as_nanos(), || {
            let (interface, direction, protocol) = (on.0, Direction::Up, protocol.0);
            Traced::Packet(trace::Packet { interface, direction, source, destination, protocol, len, fate })
        });
    }

    /// The interface's own address on the link.
    pub(super) fn mac(&self, on: InterfaceId) -> Option<MacAddress> {
        self.interface(on)?.mac()
    }
}
