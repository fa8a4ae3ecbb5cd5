//! Packets on their way down.

use std::borrow::Cow;
use std::net::IpAddr;

use host::Instant;
use trace::{Direction, Event as Traced, Fate};
use wire::{EtherType, MacAddress, Protocol, ethernet, ipv4, ipv6};

use super::routing::Hop;
use super::{ConfigError, Internet, Layer, Looped, Path, SendError, Sending};
use crate::link::{Interface, Medium, Waiting};
use crate::{Descending, InterfaceId, Transmit};

/// Packets from this host to itself that may wait, and bytes of them.
const MAX_LOOPED: usize = 256;
const MAX_LOOPED_BYTES: usize = 4 * 1024 * 1024;
/// The largest packet from this host to itself.
const LOOPED_MTU: u16 = 65_535;

/// A [`Layer`] and a way out: what the transport layer stands on.
pub struct Below<'a> {
    pub(super) layer: &'a mut Layer,
    pub(super) out: &'a mut dyn Transmit,
}

impl std::fmt::Debug for Below<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Below").field("layer", &self.layer).finish_non_exhaustive()
    }
}

impl Internet for Below<'_> {
    fn path(&mut self, now: Instant, destination: IpAddr, source: Option<IpAddr>) -> Result<Path, SendError> {
        self.layer.path(now, destination, source, None)
    }

    fn send(
        &mut self,
        now: Instant,
        sending: &Sending,
        packet: &mut Descending<'_>,
    ) -> Result<(), SendError> {
        self.layer.send(now, sending, packet, self.out)
    }

    fn has_room(&mut self, destination: IpAddr) -> bool {
        match self.layer.hop(destination, None) {
            Ok(hop) if hop.looped => self.layer.looped.len() < MAX_LOOPED,
            Ok(hop) => self.out.has_room(hop.interface),
            // Sending will say what is wrong.
            Err(_) => true,
        }
    }

    fn segmented(&mut self, destination: IpAddr) -> u32 {
        self.layer.hop(destination, None).map_or(0, |hop| self.layer.segmented(&hop))
    }

    fn confirm(&mut self, now: Instant, destination: IpAddr) {
        if let Ok(hop) = self.layer.hop(destination, None)
            && !hop.looped
            && let Some(interface) = self.layer.interfaces.get_mut(usize::from(hop.interface.0))
        {
            interface.neighbors.confirm(now, hop.next);
        }
    }

    fn packet_too_big(&mut self, now: Instant, destination: IpAddr, mtu: u16) -> u16 {
        self.layer.packet_too_big(now, destination, mtu)
    }

    fn join(
        &mut self,
        now: Instant,
        on: Option<InterfaceId>,
        group: IpAddr,
    ) -> Result<InterfaceId, ConfigError> {
        let on = match on {
            Some(on) => on,
            None => self.layer.hop(group, None).map_err(|_| ConfigError::NoInterface)?.interface,
        };
        self.layer.join(now, on, group, self.out).map(|()| on)
    }

    fn leave(&mut self, now: Instant, on: InterfaceId, group: IpAddr) {
        self.layer.leave(now, on, group, self.out);
    }
}

impl Layer {
    pub(super) fn path(
        &mut self,
        now: Instant,
        destination: IpAddr,
        source: Option<IpAddr>,
        only: Option<InterfaceId>,
    ) -> Result<Path, SendError> {
        let hop = self.hop(destination, only)?;
        let source = match source {
            Some(source) if source.is_ipv4() == destination.is_ipv4() => source,
            Some(_) => return Err(SendError::NoAddress),
            None => self.source_for(&hop, destination).ok_or(SendError::NoAddress)?,
        };
        let mtu = self.mtu(now, &hop, destination);
        let segmented = self.segmented(&hop).max(u32::from(mtu));
        Ok(Path { interface: hop.interface, source, mtu, segmented })
    }

    /// The largest packet that may be longer than the path takes, in bytes; zero where the device does not cut any.
    fn segmented(&self, hop: &Hop) -> u32 {
        match self.interface(hop.interface) {
            Some(interface) if !hop.looped && interface.cuts() => interface.config.segmented.min(65_535),
            _ => 0,
        }
    }

    /// Lowers the path MTU, on a word that is believed, and says what it is now.
    pub(super) fn packet_too_big(&mut self, now: Instant, destination: IpAddr, mtu: u16) -> u16 {
        let Ok(hop) = self.hop(destination, None) else { return mtu };
        let before = self.mtu(now, &hop, destination);
        let mtu = self.path_mtus.lower(now, destination, mtu, before);
        self.tracer.emit(now.as_nanos(), || Traced::Decision(trace::Decision::PathMtu { destination, mtu }));
        mtu
    }

    fn mtu(&self, now: Instant, hop: &Hop, destination: IpAddr) -> u16 {
        if hop.looped {
            return LOOPED_MTU;
        }
        let own = self.interface(hop.interface).map_or(0, |interface| interface.mtu(destination.is_ipv4()));
        self.path_mtus.get(now, destination).map_or(own, |path| path.min(own))
    }

    pub(super) fn send(
        &mut self,
        now: Instant,
        sending: &Sending,
        packet: &mut Descending<'_>,
        out: &mut dyn Transmit,
    ) -> Result<(), SendError> {
        let hop = self.hop(sending.destination, sending.interface)?;
        let header_len =
            if sending.destination.is_ipv4() { ipv4::Header::MIN_LEN } else { ipv6::Header::LEN };
        let mtu = self.mtu(now, &hop, sending.destination);
        let len = header_len + packet.len();
        if packet.len() > 65_535 - header_len {
            return Err(SendError::TooBig(mtu));
        }
        if hop.looped {
            self.put_header(sending, packet, hop.interface)?;
            return self.put_looped(hop.interface, packet);
        }
        if !out.has_room(hop.interface) {
            self.counters.no_room += 1;
            return Err(SendError::NoRoom);
        }
        if header_len + packet.longest_piece() > usize::from(mtu) {
            if sending.dont_fragment || packet.segmentation().is_some() {
                return Err(SendError::TooBig(mtu));
            }
            return self.send_fragments(now, sending, &hop, mtu, packet, out);
        }
        let heard_here = self.interface(hop.interface).is_some_and(|one| one.has_joined(sending.destination));
        self.put_header(sending, packet, hop.interface)?;
        if heard_here {
            // A group that was joined here hears what is sent to it from here (RFC 1112 section 6.1).
            let _ = self.put_looped(hop.interface, packet);
        }
        self.told(now, hop.interface, sending, len, Fate::Accepted);
        self.counters.packets_sent += 1;
        self.output(now, &hop, packet, false, out);
        Ok(())
    }

    fn put_header(
        &mut self,
        sending: &Sending,
        packet: &mut Descending<'_>,
        on: InterfaceId,
    ) -> Result<(), SendError> {
        let len = packet.len();
        let ttl = sending.ttl.unwrap_or_else(|| self.ttl(sending.destination, on));
        match (sending.source, sending.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                // What cannot be cut needs no identification of its own (RFC 6864 section 4.1).
                let identification = match sending.dont_fragment {
                    true => 0,
                    false => self.random.next_u32() as u16,
                };
                let header = ipv4::Header {
                    traffic_class: sending.traffic_class,
                    identification,
                    dont_fragment: sending.dont_fragment,
                    more_fragments: false,
                    fragment_offset: 0,
                    ttl,
                    protocol: sending.protocol,
                    source,
                    destination,
                    options: ipv4::Options::default(),
                };
                header.emit(packet.push(ipv4::Header::MIN_LEN), len);
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let header = ipv6::Header {
                    traffic_class: sending.traffic_class,
                    flow_label: 0,
                    next_header: sending.protocol,
                    hop_limit: ttl,
                    source,
                    destination,
                };
                header.emit(packet.push(ipv6::Header::LEN), len);
            }
            _ => return Err(SendError::NoAddress),
        }
        Ok(())
    }

    /// What a packet begins with when nobody asked for another: what routers on its way say, else the host's own.
    pub(super) fn ttl(&self, destination: IpAddr, on: InterfaceId) -> u8 {
        let said = self.interface(on).and_then(|interface| interface.hop_limit);
        said.filter(|_| destination.is_ipv6()).unwrap_or(self.config.ttl)
    }

    fn put_looped(&mut self, interface: InterfaceId, packet: &Descending<'_>) -> Result<(), SendError> {
        if self.looped.len() >= MAX_LOOPED || self.looped_bytes + packet.len() > MAX_LOOPED_BYTES {
            self.counters.no_room += 1;
            return Err(SendError::NoRoom);
        }
        let mut bytes = Vec::new();
        packet.copy_to(&mut bytes);
        self.counters.looped += 1;
        self.looped_bytes += bytes.len();
        self.looped.push_back(Looped { interface, packet: bytes });
        Ok(())
    }

    fn send_fragments(
        &mut self,
        now: Instant,
        sending: &Sending,
        hop: &Hop,
        mtu: u16,
        packet: &Descending<'_>,
        out: &mut dyn Transmit,
    ) -> Result<(), SendError> {
        let mut body = Vec::new();
        packet.copy_to(&mut body);
        let ttl = sending.ttl.unwrap_or_else(|| self.ttl(sending.destination, hop.interface));
        match (sending.source, sending.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = ipv4::Header {
                    traffic_class: sending.traffic_class,
                    identification: self.random.next_u32() as u16,
                    dont_fragment: false,
                    more_fragments: false,
                    fragment_offset: 0,
                    ttl,
                    protocol: sending.protocol,
                    source,
                    destination,
                    options: ipv4::Options::default(),
                };
                self.cut_v4(now, hop, &header, &body, mtu, false, out);
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let identification = self.random.next_u32();
                let room = (usize::from(mtu) - ipv6::Header::LEN - ipv6::Fragment::LEN) & !7;
                self.counters.fragmented += 1;
                for (at, piece) in body.chunks(room).enumerate() {
                    let offset = at * room;
                    let mut packet = Descending::new([piece, &[]]);
                    let fragment = ipv6::Fragment {
                        next_header: sending.protocol,
                        offset: offset as u16,
                        more_fragments: offset + piece.len() < body.len(),
                        identification,
                    };
                    fragment.emit(packet.push(ipv6::Fragment::LEN));
                    let header = ipv6::Header {
                        traffic_class: sending.traffic_class,
                        flow_label: 0,
                        next_header: Protocol::FRAGMENT,
                        hop_limit: ttl,
                        source,
                        destination,
                    };
                    let len = packet.len();
                    header.emit(packet.push(ipv6::Header::LEN), len);
                    self.counters.packets_sent += 1;
                    self.output(now, hop, &mut packet, false, out);
                }
            }
            _ => return Err(SendError::NoAddress),
        }
        self.told(
            now,
            hop.interface,
            sending,
            body.len(),
            Fate::Fragmented((body.len() / usize::from(mtu) + 1) as u16),
        );
        Ok(())
    }

    /// Cuts an IPv4 packet, which may be a fragment itself, into fragments of `mtu` bytes.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn cut_v4(
        &mut self,
        now: Instant,
        hop: &Hop,
        header: &ipv4::Header,
        body: &[u8],
        mtu: u16,
        forwarded: bool,
        out: &mut dyn Transmit,
    ) {
        self.counters.fragmented += 1;
        // Options that need not be in each fragment are in the first only (RFC 791 section 3.1).
        let mut copied = Vec::new();
        for option in header.options.iter().filter(|option| option.is_copied()) {
            copied.extend([option.kind, (option.data.len() + 2) as u8]);
            copied.extend(option.data);
        }
        let later = ipv4::Options::new(&copied).unwrap_or_default();
        let mut at = 0;
        while at < body.len() {
            let options = if at == 0 { header.options } else { later };
            let mut part = ipv4::Header { options, ..*header };
            // An MTU is 68 bytes at least, a header 60 at most (RFC 791 section 3.2).
            let room = usize::from(mtu).saturating_sub(part.len()).max(8) & !7;
            let end = body.len().min(at + room);
            part.fragment_offset = header.fragment_offset + at as u16;
            part.more_fragments = header.more_fragments || end < body.len();
            let mut packet = Descending::new([&body[at..end], &[]]);
            part.emit(packet.push(part.len()), end - at);
            self.counters.packets_sent += u64::from(!forwarded);
            self.output(now, hop, &mut packet, forwarded, out);
            at = end;
        }
    }

    /// Hands a whole packet to the link: frames it, or keeps it until the neighbour is known.
    pub(super) fn output(
        &mut self,
        now: Instant,
        hop: &Hop,
        packet: &mut Descending<'_>,
        forwarded: bool,
        out: &mut dyn Transmit,
    ) {
        let Some(interface) = self.interfaces.get_mut(usize::from(hop.interface.0)) else { return };
        let Medium::Ethernet(own) = interface.config.medium else {
            return self.depart(now, hop.interface, None, packet, out);
        };
        let mac = match MacAddress::of_group(hop.next) {
            Some(group) => Some(group),
            None if interface.is_broadcast(hop.next) => Some(MacAddress::BROADCAST),
            None => interface.neighbors.resolve(now, hop.next),
        };
        if let Some(mac) = mac {
            let ether_type = if hop.next.is_ipv4() { EtherType::IPV4 } else { EtherType::IPV6 };
            return self.frame(now, hop.interface, own, mac, ether_type, packet, out);
        }
        let (dropped, ask) = interface.neighbors.wait(now, hop.next, Waiting::new(packet, forwarded));
        self.counters.no_neighbor += dropped as u64;
        if ask {
            self.ask(now, hop.interface, hop.next, None, out);
        }
    }

    /// Puts the Ethernet header in front and sends the frame.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn frame(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        source: MacAddress,
        destination: MacAddress,
        ether_type: EtherType,
        packet: &mut Descending<'_>,
        out: &mut dyn Transmit,
    ) {
        let link = ethernet::Header { destination, source, ether_type };
        self.depart(now, interface, Some(link), packet, out);
    }

    /// Hands a packet to the device, in pieces where it is too long and the device does not cut it.
    fn depart(
        &mut self,
        now: Instant,
        on: InterfaceId,
        link: Option<ethernet::Header>,
        packet: &mut Descending<'_>,
        out: &mut dyn Transmit,
    ) {
        let mut hand_over = |frame: &mut Descending<'_>| {
            if let Some(link) = link {
                link.emit(frame.push(ethernet::Header::LEN));
                let len = frame.len() as u32;
                self.tracer.emit(now.as_nanos(), || {
                    let (interface, direction, fate) = (on.0, Direction::Down, Fate::Accepted);
                    Traced::Frame(trace::Frame { interface, direction, len, fate })
                });
            }
            self.counters.frames_sent += 1;
            out.transmit(on, frame);
        };
        let whole = packet.segmentation().is_none()
            || self.interfaces.get(usize::from(on.0)).is_some_and(Interface::cuts);
        if whole { hand_over(packet) } else { packet.cut(hand_over) }
    }

    fn told(&self, now: Instant, interface: InterfaceId, sending: &Sending, len: usize, fate: Fate) {
        self.tracer.emit(now.as_nanos(), || {
            Traced::Packet(trace::Packet {
                interface: interface.0,
                direction: Direction::Down,
                source: sending.source,
                destination: sending.destination,
                protocol: sending.protocol.0,
                len: len as u32,
                fate,
            })
        });
    }
}

/// The first bytes of a packet, as an ICMP error quotes them: as many as fit what every host takes (RFC 1812 section
/// 4.3.2.3, RFC 4443 section 2.4 (c)).
pub(super) fn quote(packet: &[u8]) -> &[u8] {
    let most = if packet.first().is_some_and(|first| first >> 4 == 4) { 576 - 28 } else { 1280 - 48 };
    &packet[..packet.len().min(most)]
}

/// Payload and quote of a packet, borrowed where it is.
pub(super) fn parts(packet: Cow<'_, [u8]>, start: usize, end: usize) -> (Cow<'_, [u8]>, Cow<'_, [u8]>) {
    match packet {
        Cow::Borrowed(bytes) => (Cow::Borrowed(&bytes[start..end]), Cow::Borrowed(quote(bytes))),
        Cow::Owned(mut bytes) => {
            let quote = quote(&bytes).to_vec();
            bytes.truncate(end);
            bytes.drain(..start);
            (Cow::Owned(bytes), Cow::Owned(quote))
        }
    }
}
