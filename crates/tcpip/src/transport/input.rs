//! What comes up from the internet layer.

use std::net::SocketAddr;

use host::Instant;
use trace::Drop;
use wire::checksum::Sum;
use wire::tcp::{self as format, Flags, SeqNumber};
use wire::{Protocol, udp as datagram};

use super::cookies;
use super::output::send;
use super::tcp::{Answer, Connection};
use super::udp::Received;
use super::{Event, Flow, ListenerId, Transport, Verdict};
use crate::Descending;
use crate::internet::{Delivery, IcmpError, Internet, Problem};

impl Transport {
    /// A packet for this layer came.
    pub fn receive(&mut self, now: Instant, delivery: &Delivery<'_>, below: &mut dyn Internet) -> Verdict {
        match delivery.protocol {
            Protocol::TCP => self.receive_segment(now, delivery, below),
            Protocol::UDP => self.receive_datagram(delivery),
            _ => Verdict::Dropped(Drop::Unwanted),
        }
    }

    /// Somebody says that a packet of ours went wrong. It counts only when it quotes what we really have on its way
    /// (RFC 5927).
    pub fn icmp_error(&mut self, now: Instant, error: &IcmpError<'_>, below: &mut dyn Internet) {
        let Some(ports) = error.transport.first_chunk::<8>() else { return };
        let source = u16::from_be_bytes([ports[0], ports[1]]);
        let destination = u16::from_be_bytes([ports[2], ports[3]]);
        let flow = Flow {
            local: SocketAddr::new(error.source, source),
            remote: SocketAddr::new(error.destination, destination),
        };
        match error.protocol {
            Protocol::TCP => {
                let sequence = SeqNumber(u32::from_be_bytes([ports[4], ports[5], ports[6], ports[7]]));
                let Some(id) = self.connections.find(&flow) else { return };
                let Some(mut connection) = self.connection(id) else { return };
                if connection.icmp(now, error.problem, sequence)
                    && let Problem::TooBig(mtu) = error.problem
                {
                    connection.set_path_mtu(now, below.packet_too_big(now, error.destination, mtu));
                }
            }
            Protocol::UDP => {
                if !self.sockets.sent_over(&flow) {
                    return;
                }
                if let Some(id) = self.sockets.icmp_error(flow, error.problem) {
                    self.events.push_back(Event::UdpReadable(id));
                }
                if let Problem::TooBig(mtu) = error.problem {
                    below.packet_too_big(now, error.destination, mtu);
                }
            }
            _ => {}
        }
    }

    fn receive_segment(
        &mut self,
        now: Instant,
        delivery: &Delivery<'_>,
        below: &mut dyn Internet,
    ) -> Verdict {
        let bytes = &delivery.payload[..];
        let protocol = Protocol::TCP.0;
        let pseudo_header = Sum::pseudo_header(delivery.source, delivery.destination, protocol, bytes.len());
        if !delivery.checked && !format::is_whole(bytes, pseudo_header) {
            self.counters.malformed += 1;
            return Verdict::Dropped(Drop::Checksum);
        }
        let Ok((header, payload)) = format::Header::parse(bytes) else {
            self.counters.malformed += 1;
            return Verdict::Dropped(Drop::Malformed);
        };
        let flow = Flow {
            local: SocketAddr::new(delivery.destination, header.destination_port),
            remote: SocketAddr::new(delivery.source, header.source_port),
        };
        // A segment to a group, from itself (LAND), or from nobody, is no segment.
        let strange = delivery.to_many
            || flow.local == flow.remote
            || delivery.source.is_unspecified()
            || header.source_port == 0
            || header.destination_port == 0;
        if strange {
            return Verdict::Dropped(Drop::Forbidden);
        }
        self.counters.segments_in += 1;
        if let Some(id) = self.connections.find(&flow)
            && let Some(mut connection) = self.connection(id)
        {
            let before = connection.unsent();
            connection.receive(now, &header, payload, delivery.traffic_class & 3);
            if connection.unsent() < before {
                below.confirm(now, delivery.source);
            }
            return Verdict::Taken;
        }
        let after = match self.wait(now, &flow, &header, payload.len(), below) {
            Ok(after) => after,
            Err(verdict) => return verdict,
        };
        if let Some(verdict) = self.redeem(now, flow, &header, payload, below) {
            return verdict;
        }
        self.receive_at_listener(now, flow, after, &header, payload, below)
    }

    /// Answers a segment for a connection in TIME-WAIT. One that ends it for a new connection (RFC 6191) goes on, and so
    /// does one for nobody: with the number that the new connection's must be after.
    fn wait(
        &mut self,
        now: Instant,
        flow: &Flow,
        header: &format::Header,
        len: usize,
        below: &mut dyn Internet,
    ) -> Result<Option<SeqNumber>, Verdict> {
        match self.time_waits.receive(now, flow, header, len as u32) {
            None => Ok(None),
            Some(Answer::Nothing) => Err(Verdict::Taken),
            Some(Answer::Reopen(after)) => {
                if self.listeners.find(flow.local).is_none() {
                    return Err(Verdict::Dropped(Drop::Unwanted));
                }
                self.time_waits.remove(flow);
                Ok(Some(after))
            }
            Some(Answer::Send(header)) => {
                self.counters.segments_out += 1;
                let _ = send(now, *flow, &header, &mut Descending::new([&[], &[]]), below);
                Err(Verdict::Taken)
            }
        }
    }

    fn receive_at_listener(
        &mut self,
        now: Instant,
        flow: Flow,
        after: Option<SeqNumber>,
        header: &format::Header,
        payload: &[u8],
        below: &mut dyn Internet,
    ) -> Verdict {
        let flags = header.flags;
        if flags.contains(Flags::RST) {
            return Verdict::Dropped(Drop::Unwanted);
        }
        let syn = flags.contains(Flags::SYN) && !flags.intersects(Flags::ACK | Flags::FIN);
        let found = self.listeners.find(flow.local);
        let Some(id) = found.filter(|_| syn) else {
            self.reset(now, flow, header, payload.len(), below);
            return Verdict::Taken;
        };
        let Some(listener) = self.listeners.get_mut(id) else { return Verdict::Dropped(Drop::Unwanted) };
        if !listener.has_room() || self.budget.is_scarce() {
            return self.answer_with_cookie(now, flow, id, header, below);
        }
        let settings = listener.settings;
        let Ok(path) = below.path(now, flow.remote.ip(), Some(flow.local.ip())) else {
            return Verdict::Dropped(Drop::NoRoute);
        };
        let mut opening = self.opening(now, flow, path.mtu, settings);
        // The clock in it makes it so by itself, unless the connection before was faster than that.
        if let Some(after) = after.filter(|&after| !opening.initial_sequence.is_after(after)) {
            opening.initial_sequence = after + 0x1_0000;
        }
        if let Some(listener) = self.listeners.get_mut(id) {
            listener.begins();
        }
        if self.add(flow, Connection::accept(now, opening, header), Some(id)).is_none() {
            if let Some(listener) = self.listeners.get_mut(id) {
                listener.gives_up();
            }
            return Verdict::Dropped(Drop::Limit);
        }
        Verdict::Taken
    }

    /// Answers a SYN that there is no place for in such a way that nothing need be kept of it.
    fn answer_with_cookie(
        &mut self,
        now: Instant,
        flow: Flow,
        id: ListenerId,
        syn: &format::Header,
        below: &mut dyn Internet,
    ) -> Verdict {
        let full = self.connections.len() >= self.config.connections;
        let listener = self.listeners.get_mut(id).filter(|listener| !full && listener.takes_cookies());
        let settings = listener.map(|listener| listener.settings).filter(|_| self.cookie_answers.take(now));
        let cookie = settings.and_then(|_| self.cookies.generate(now, &flow, syn.sequence, &syn.options));
        let (Some(settings), Some(cookie)) = (settings, cookie) else {
            self.counters.backlog_full += 1;
            return Verdict::Dropped(Drop::Limit);
        };
        let Ok(path) = below.path(now, flow.remote.ip(), Some(flow.local.ip())) else {
            return Verdict::Dropped(Drop::NoRoute);
        };
        let mut opening = self.opening(now, flow, path.mtu, settings);
        opening.initial_sequence = cookie;
        let (flags, options) = (Flags::SYN, cookies::remembered(&syn.options));
        let syn = format::Header { flags, options, ..*syn };
        // What the handshake would have sent, with what it has to bring back; then it is forgotten.
        let mut connection = Connection::accept(now, opening, &syn);
        if let Some(answer) = connection.transmit(now, 0) {
            let mut header = answer.header;
            if let Some(clock) = &mut header.options.timestamps {
                clock.value = cookies::stamp(clock.value, &syn.options);
            }
            self.counters.cookies_out += 1;
            self.counters.segments_out += 1;
            let _ = send(now, flow, &header, &mut Descending::new([&[], &[]]), below);
        }
        Verdict::Taken
    }

    /// Makes the connection that a cookie stands for, when a segment brings one back. `None` when it does not.
    fn redeem(
        &mut self,
        now: Instant,
        flow: Flow,
        header: &format::Header,
        payload: &[u8],
        below: &mut dyn Internet,
    ) -> Option<Verdict> {
        if !header.flags.contains(Flags::ACK) || header.flags.intersects(Flags::SYN | Flags::RST) {
            return None;
        }
        let id = self.listeners.find(flow.local)?;
        let (peer, cookie) = (header.sequence - 1, header.acknowledgment - 1);
        let agreed = self.cookies.validate(now, &flow, peer, cookie, &header.options)?;
        let listener = self.listeners.get_mut(id)?;
        if !listener.takes_cookies() {
            self.counters.backlog_full += 1;
            return Some(Verdict::Dropped(Drop::Limit));
        }
        let settings = listener.settings;
        let Ok(path) = below.path(now, flow.remote.ip(), Some(flow.local.ip())) else {
            return Some(Verdict::Dropped(Drop::NoRoute));
        };
        let mut opening = self.opening(now, flow, path.mtu, settings);
        opening.initial_sequence = cookie;
        if let Some(listener) = self.listeners.get_mut(id) {
            listener.begins();
        }
        let Some(made) = self.add(flow, Connection::from_cookie(now, opening, agreed, header), Some(id))
        else {
            if let Some(listener) = self.listeners.get_mut(id) {
                listener.gives_up();
            }
            return Some(Verdict::Dropped(Drop::Limit));
        };
        self.counters.cookies_in += 1;
        if let Some(mut connection) = self.connection(made) {
            connection.receive(now, header, payload, 0);
        }
        Some(Verdict::Taken)
    }

    fn receive_datagram(&mut self, delivery: &Delivery<'_>) -> Verdict {
        let bytes = &delivery.payload[..];
        let pseudo_header =
            Sum::pseudo_header(delivery.source, delivery.destination, Protocol::UDP.0, bytes.len());
        let Ok((header, payload)) = datagram::Header::parse(bytes, pseudo_header, delivery.source.is_ipv4())
        else {
            self.counters.malformed += 1;
            return Verdict::Dropped(Drop::Malformed);
        };
        let to = SocketAddr::new(delivery.destination, header.destination_port);
        let from = SocketAddr::new(delivery.source, header.source_port);
        match self.sockets.receive(delivery.interface, to, from, payload, &mut self.budget) {
            Received::Nobody if delivery.to_many => Verdict::Dropped(Drop::Unwanted),
            Received::Nobody => Verdict::NoPort,
            Received::Full => {
                self.counters.datagrams_dropped += 1;
                Verdict::Dropped(Drop::Limit)
            }
            Received::Taken { id, tell } => {
                self.counters.datagrams_in += 1;
                if tell {
                    self.events.push_back(Event::UdpReadable(id));
                }
                Verdict::Taken
            }
        }
    }
}
