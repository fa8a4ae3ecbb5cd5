//! Packets for this host: ICMP is answered here, the rest goes up.

use std::borrow::Cow;
use std::net::IpAddr;

use host::Instant;
use trace::Fate;
use wire::checksum::Sum;
use wire::{Error, Protocol, icmpv4, icmpv6};

use super::errors::Complaint;
use super::send::parts;
use super::{Delivery, Layer, Received};
use crate::{InterfaceId, Transmit};

/// A whole packet for one of our addresses or groups.
pub(super) struct Arrived<'a> {
    pub(super) on: InterfaceId,
    /// Its transport layer's checksum need not be looked at.
    pub(super) checked: bool,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) to_many: bool,
    pub(super) protocol: Protocol,
    pub(super) ttl: u8,
    pub(super) traffic_class: u8,
    /// Where the payload begins.
    pub(super) start: usize,
    /// Where the field stands that names the protocol.
    pub(super) pointer: u32,
    pub(super) packet: Cow<'a, [u8]>,
}

impl Layer {
    pub(super) fn deliver<'a>(
        &mut self,
        now: Instant,
        arrived: Arrived<'a>,
        out: &mut dyn Transmit,
    ) -> Received<'a> {
        let Arrived { on, source, destination, protocol, .. } = arrived;
        let len = arrived.packet.len() as u32;
        self.tell(now, on, source, destination, protocol, len, Fate::Accepted);
        match (protocol, source.is_ipv4()) {
            (Protocol::ICMP, true) => self.icmp_v4(now, &arrived, out),
            (Protocol::ICMPV6, false) => self.icmp_v6(now, &arrived, out),
            (Protocol::IGMP, true) => {
                self.igmp(now, &arrived);
                Received::Handled
            }
            (Protocol::NO_NEXT, false) => Received::Handled,
            (Protocol::UDP, true) if self.dhcp(now, &arrived, out) => Received::Handled,
            (Protocol::TCP | Protocol::UDP, _) => {
                self.counters.delivered += 1;
                let Arrived { checked, to_many, ttl, traffic_class, start, packet, .. } = arrived;
                let end = packet.len();
                let (payload, quote) = parts(packet, start, end);
                Received::Deliver(Delivery {
                    interface: on,
                    source,
                    destination,
                    to_many,
                    protocol,
                    ttl,
                    traffic_class,
                    checked,
                    payload,
                    quote,
                })
            }
            _ => {
                let complaint = Complaint::Protocol(arrived.pointer);
                self.complain(now, on, &arrived.packet, &complaint, out);
                Received::Handled
            }
        }
    }

    fn icmp_v4(&mut self, now: Instant, arrived: &Arrived<'_>, out: &mut dyn Transmit) -> Received<'static> {
        let message = match icmpv4::Message::parse(&arrived.packet[arrived.start..]) {
            Ok(message) => message,
            Err(error) => return self.bad_icmp(error),
        };
        match message {
            // To many: RFC 1122 section 3.2.2.6 allows silence, and the smurf attack asks for it.
            icmpv4::Message::EchoRequest(_) if arrived.to_many || arrived.source.is_unspecified() => {}
            icmpv4::Message::EchoRequest(echo) => self.answer_echo(now, arrived, &echo, out),
            icmpv4::Message::EchoReply(echo) => return reply(arrived, &echo),
            _ if message.is_error() => return self.heard_v4(arrived.source, &message),
            _ => {}
        }
        Received::Handled
    }

    fn icmp_v6(&mut self, now: Instant, arrived: &Arrived<'_>, out: &mut dyn Transmit) -> Received<'static> {
        let bytes = &arrived.packet[arrived.start..];
        let pseudo = Sum::pseudo_header(arrived.source, arrived.destination, Protocol::ICMPV6.0, bytes.len());
        let message = match icmpv6::Message::parse(bytes, pseudo) {
            Ok(message) => message,
            Err(error) => return self.bad_icmp(error),
        };
        match message {
            icmpv6::Message::EchoRequest(_) if arrived.source.is_unspecified() => {}
            icmpv6::Message::EchoRequest(echo)
                if !arrived.to_many || self.limit.allow(now, arrived.source) =>
            {
                self.answer_echo(now, arrived, &echo, out);
            }
            icmpv6::Message::EchoReply(echo) => return reply(arrived, &echo),
            icmpv6::Message::Neighbor(message) => self.ndp(now, arrived, &message, out),
            icmpv6::Message::Multicast(message) => self.mld(now, arrived, &message),
            _ if message.is_error() => return self.heard_v6(arrived.source, &message),
            _ => {}
        }
        Received::Handled
    }

    fn answer_echo(
        &mut self,
        now: Instant,
        arrived: &Arrived<'_>,
        echo: &icmpv4::Echo<'_>,
        out: &mut dyn Transmit,
    ) {
        let source = match arrived.to_many {
            false => Some(arrived.destination),
            true => None,
        };
        let Ok(path) = self.path(now, arrived.source, source, None) else { return };
        let sent = self.send_echo(now, path.source, arrived.source, echo, false, None, out);
        self.counters.echoes_answered += u64::from(sent.is_ok());
    }

    fn bad_icmp(&mut self, error: Error) -> Received<'static> {
        match error {
            Error::Checksum => self.counters.bad_checksum += 1,
            _ => self.counters.malformed += 1,
        }
        Received::Handled
    }
}

fn reply(arrived: &Arrived<'_>, echo: &icmpv4::Echo<'_>) -> Received<'static> {
    Received::EchoReply {
        source: arrived.source,
        identifier: echo.identifier,
        sequence: echo.sequence,
        ttl: arrived.ttl,
        data: echo.data.to_vec(),
    }
}
