//! What goes down to the internet layer.

use std::net::SocketAddr;

use host::Instant;
use trace::{Direction, Endpoints, Event as Traced, Segment, Why};
use wire::checksum::Sum;
use wire::tcp::{Flags, Header, Options, SeqNumber, fill_checksum_over, prepare_checksum};
use wire::{Protocol, udp as datagram};

use super::{Flow, SocketError, Transport, UdpId};
use crate::internet::{Internet, SendError, Sending};
use crate::{Descending, Segmentation};

/// So many segments of one connection, then the next one's turn comes.
const SEGMENTS_PER_TURN: usize = 16;

impl Transport {
    /// Sends what connections have to send, in turns, until nothing is left or the devices have no room.
    pub fn transmit(&mut self, now: Instant, below: &mut dyn Internet) {
        for (on, group) in self.leaving.drain(..) {
            below.leave(now, on, group);
        }
        let mut blocked = Vec::new();
        loop {
            self.feed();
            let Some(id) = self.dirty.pop_front() else { break };
            let Some(slot) = self.connections.get_mut(id) else { continue };
            let remote = slot.flow.remote.ip();
            if !below.has_room(remote) {
                blocked.push(id);
                continue;
            }
            slot.dirty = false;
            slot.lend(&self.budget);
            let headers = if remote.is_ipv4() { 20 } else { 40 } + Header::MAX_LEN as u32;
            let longest = below.segmented(remote).saturating_sub(headers);
            let mut more = false;
            for sent in 0..=SEGMENTS_PER_TURN {
                if sent == SEGMENTS_PER_TURN || !below.has_room(remote) {
                    more = true;
                    break;
                }
                let Some(segment) = slot.connection.transmit(now, longest) else { break };
                self.counters.segments_out += 1;
                let flow = slot.flow;
                let mut packet = match segment.segment_size {
                    None => Descending::new(segment.payload),
                    Some(size) => {
                        let header = segment.header.len() as u16;
                        Descending::segmented(segment.payload, Segmentation { size, header })
                    }
                };
                // What else goes wrong here is a loss, and is sent again as what is lost elsewhere.
                let sent = send_as(now, flow, &segment.header, &mut packet, segment.markable, below);
                if let Err(SendError::TooBig(mtu)) = sent {
                    slot.connection.set_path_mtu(now, mtu);
                }
            }
            if more {
                slot.dirty = true;
                self.dirty.push_back(id);
            }
            self.timers.arm(id, &mut slot.armed, slot.connection.poll_timeout());
            self.account(id);
            if !more {
                self.retire(id);
                self.forget_if_over(id);
            }
        }
        self.dirty.extend(blocked);
    }

    /// Answers a segment for nobody (RFC 9293 section 3.10.7.1).
    pub(super) fn reset(
        &mut self,
        now: Instant,
        flow: Flow,
        header: &Header,
        len: usize,
        below: &mut dyn Internet,
    ) {
        if !self.resets.take(now) {
            return;
        }
        let (sequence, acknowledgment, flags) = if header.flags.contains(Flags::ACK) {
            (header.acknowledgment, SeqNumber(0), Flags::RST)
        } else {
            let syn = u32::from(header.flags.contains(Flags::SYN));
            let fin = u32::from(header.flags.contains(Flags::FIN));
            (SeqNumber(0), header.sequence + (len as u32 + syn + fin), Flags::RST | Flags::ACK)
        };
        let answer = Header {
            source_port: flow.local.port(),
            destination_port: flow.remote.port(),
            sequence,
            acknowledgment,
            flags,
            window: 0,
            urgent: 0,
            options: Options::default(),
        };
        self.counters.resets_out += 1;
        self.tracer.emit(now.as_nanos(), || {
            Traced::Segment(Segment {
                endpoints: Endpoints { local: flow.local, remote: flow.remote },
                direction: Direction::Down,
                sequence: sequence.0,
                acknowledgment: acknowledgment.0,
                len: 0,
                flags: flags.0,
                why: Why::Reset,
                congestion_window: 0,
                in_flight: 0,
            })
        });
        let _ = send(now, flow, &answer, &mut Descending::new([&[], &[]]), below);
    }

    /// Sends a datagram.
    ///
    /// # Errors
    ///
    /// [`SocketError::TooLong`], [`SocketError::Send`], [`SocketError::Closed`].
    pub fn udp_send(
        &mut self,
        now: Instant,
        id: UdpId,
        payload: &[u8],
        to: SocketAddr,
        below: &mut dyn Internet,
    ) -> Result<(), SocketError> {
        let local = self.sockets.local(id).ok_or(SocketError::Closed)?;
        let longest = if to.is_ipv4() { 65_507 } else { 65_527 };
        if payload.len() > longest {
            return Err(SocketError::TooLong);
        }
        let source = Some(local.ip()).filter(|address| !address.is_unspecified());
        let source = below.path(now, to.ip(), source)?.source;
        let mut packet = Descending::new([payload, &[]]);
        let len = datagram::Header::LEN + payload.len();
        let header = datagram::Header { source_port: local.port(), destination_port: to.port() };
        let pseudo_header = Sum::pseudo_header(source, to.ip(), Protocol::UDP.0, len);
        header.emit_over(packet.push(datagram::Header::LEN), pseudo_header, Sum::of(payload), payload.len());
        let sending = Sending {
            source,
            destination: to.ip(),
            protocol: Protocol::UDP,
            ttl: None,
            traffic_class: 0,
            dont_fragment: false,
            interface: None,
        };
        self.sockets.note_sent(id, to);
        below.send(now, &sending, &mut packet)?;
        self.counters.datagrams_out += 1;
        Ok(())
    }
}

/// As [`send_as`], never to be marked.
pub(super) fn send(
    now: Instant,
    flow: Flow,
    header: &Header,
    packet: &mut Descending<'_>,
    below: &mut dyn Internet,
) -> Result<(), SendError> {
    send_as(now, flow, header, packet, false, below)
}

/// ECT(0) (RFC 3168 section 5).
const MARKABLE: u8 = 2;

/// Puts the header in front and hands the segment down; a router may mark its packet when it is `markable`.
fn send_as(
    now: Instant,
    flow: Flow,
    header: &Header,
    packet: &mut Descending<'_>,
    markable: bool,
    below: &mut dyn Internet,
) -> Result<(), SendError> {
    let (source, destination) = (flow.local.ip(), flow.remote.ip());
    let header = Header { source_port: flow.local.port(), destination_port: flow.remote.port(), ..*header };
    header.emit(packet.push(header.len()));
    let pseudo_header = Sum::pseudo_header(source, destination, Protocol::TCP.0, packet.len());
    if packet.segmentation().is_some() {
        prepare_checksum(packet.headers_mut(), pseudo_header);
    } else {
        let [first, second] = packet.payload();
        fill_checksum_over(packet.headers_mut(), pseudo_header, Sum::of(first).and(second));
    }
    let sending = Sending {
        source,
        destination,
        protocol: Protocol::TCP,
        ttl: None,
        traffic_class: if markable { MARKABLE } else { 0 },
        dont_fragment: true,
        interface: None,
    };
    below.send(now, &sending, packet)
}

/// So many in a second.
#[derive(Debug)]
pub(super) struct Allowance {
    each_second: u32,
    left: u32,
    second: u64,
}

impl Allowance {
    pub(super) fn new(each_second: u32) -> Self {
        Self { each_second, left: each_second, second: 0 }
    }

    /// Whether there is one left.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let second = now.as_nanos() / 1_000_000_000;
        if second != self.second {
            (self.second, self.left) = (second, self.each_second);
        }
        let taken = self.left > 0;
        self.left = self.left.saturating_sub(1);
        taken
    }
}
