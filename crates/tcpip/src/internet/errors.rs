//! ICMP errors, both ways (RFC 792, RFC 1122 section 3.2.2, RFC 1812 section 4.3, RFC 4443).

use std::net::IpAddr;

use host::Instant;
use wire::checksum::Sum;
use wire::{Protocol, icmpv4, icmpv6, ip, ipv6};

use super::send::quote;
use super::{Delivery, Failure, Layer, Problem, Received, Sending};
use crate::{Descending, InterfaceId, Transmit};

/// Bytes of a quoted packet's payload that are handed up.
const QUOTED: usize = 64;

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    Port,
    /// The field that names the protocol.
    Protocol(u32),
    NoRoute,
    Host,
    TooBig(u16),
    TimeExceeded,
    Reassembly,
    Parameter {
        code: ipv6::ParameterProblem,
        pointer: u32,
    },
}

impl Layer {
    /// Answers a packet that nobody here wants with "port unreachable", unless it was for many, or too many were answered
    /// of late.
    pub fn reject(&mut self, now: Instant, delivery: &Delivery<'_>, out: &mut dyn Transmit) {
        if !delivery.to_many {
            self.complain(now, delivery.interface, &delivery.quote, &Complaint::Port, out);
        }
    }

    /// Tells the sender of `packet`, which may be cut off behind its first bytes, what is wrong with it.
    pub(super) fn complain(
        &mut self,
        now: Instant,
        on: InterfaceId,
        packet: &[u8],
        complaint: &Complaint,
        out: &mut dyn Transmit,
    ) {
        let Ok(about) = ip::Packet::parse_quoted(packet) else { return };
        let (to, at) = (about.source, about.destination);
        // Packet Too Big and a parameter problem may be about a group (RFC 4443 section 2.4 (e.3)).
        let may_be_group = at.is_ipv6()
            && matches!(
                complaint,
                Complaint::TooBig(_)
                    | Complaint::Parameter { code: ipv6::ParameterProblem::UnrecognizedOption, .. }
            );
        let to_many = at.is_multicast() && !may_be_group
            || self.interfaces.iter().any(|one| one.is_broadcast(at) || one.is_broadcast(to));
        let nobody = to.is_unspecified() || to.is_multicast() || to.is_loopback() && self.owner(at).is_none();
        if to_many || nobody || about.fragment_offset != 0 || is_error(&about) {
            return;
        }
        if !self.limit.allow(now, to) {
            self.counters.errors_limited += 1;
            return;
        }
        let own = self.owner(at).map(|_| at);
        let Ok(path) = self.path(now, to, own, None).or_else(|_| self.path(now, to, None, Some(on))) else {
            return;
        };
        let (protocol, bytes) = match to.is_ipv4() {
            true => (Protocol::ICMP, message_v4(complaint, quote(packet))),
            false => (Protocol::ICMPV6, message_v6(complaint, quote(packet), path.source, to)),
        };
        let sending = Sending {
            source: path.source,
            destination: to,
            protocol,
            ttl: None,
            traffic_class: 0,
            dont_fragment: false,
            interface: to.is_ipv6().then_some(on).filter(|_| super::routing::is_link_local(to)),
        };
        let sent = self.send(now, &sending, &mut Descending::new([&bytes, &[]]), out);
        self.counters.errors_sent += u64::from(sent.is_ok());
    }

    pub(super) fn heard_v4(&mut self, reporter: IpAddr, message: &icmpv4::Message<'_>) -> Received<'static> {
        use icmpv4::{Message, Unreachable};
        let (problem, quoted) = match *message {
            Message::Unreachable { code, quoted } => {
                let problem = match code {
                    Unreachable::Host | Unreachable::HostUnknown => Problem::HostUnreachable,
                    Unreachable::Protocol => Problem::ProtocolUnreachable,
                    Unreachable::Port => Problem::PortUnreachable,
                    Unreachable::FragmentationNeeded { next_hop_mtu } => Problem::TooBig(next_hop_mtu),
                    Unreachable::NetworkProhibited
                    | Unreachable::HostProhibited
                    | Unreachable::Prohibited => Problem::Prohibited,
                    _ => Problem::NetworkUnreachable,
                };
                (problem, quoted)
            }
            Message::TimeExceeded { quoted, .. } => (Problem::TimeExceeded, quoted),
            Message::ParameterProblem { quoted, .. } => (Problem::Parameter, quoted),
            // Anybody can forge a redirect of IPv4 from anywhere: they are ignored. So are source quenches (RFC 6633).
            _ => return Received::Handled,
        };
        self.heard(reporter, problem, quoted)
    }

    pub(super) fn heard_v6(&mut self, reporter: IpAddr, message: &icmpv6::Message<'_>) -> Received<'static> {
        use icmpv6::{Message, Unreachable};
        let (problem, quoted) = match *message {
            Message::Unreachable { code, quoted } => {
                let problem = match code {
                    Unreachable::Address => Problem::HostUnreachable,
                    Unreachable::Port => Problem::PortUnreachable,
                    Unreachable::Prohibited | Unreachable::SourcePolicy | Unreachable::RejectRoute => {
                        Problem::Prohibited
                    }
                    _ => Problem::NetworkUnreachable,
                };
                (problem, quoted)
            }
            Message::PacketTooBig { mtu, quoted } => {
                (Problem::TooBig(u16::try_from(mtu).unwrap_or(u16::MAX)), quoted)
            }
            Message::TimeExceeded { quoted, .. } => (Problem::TimeExceeded, quoted),
            Message::ParameterProblem {
                code: ipv6::ParameterProblem::UnrecognizedNextHeader,
                quoted,
                ..
            } => (Problem::ProtocolUnreachable, quoted),
            Message::ParameterProblem { quoted, .. } => (Problem::Parameter, quoted),
            _ => return Received::Handled,
        };
        self.heard(reporter, problem, quoted)
    }

    fn heard(&mut self, reporter: IpAddr, problem: Problem, quoted: &[u8]) -> Received<'static> {
        self.counters.errors_received += 1;
        match failure(reporter, problem, quoted) {
            Some(failure) if self.owner(failure.source).is_some() => Received::Failure(failure),
            _ => Received::Handled,
        }
    }
}

/// What a quoted packet's flow is told.
pub(super) fn failure(reporter: IpAddr, problem: Problem, quoted: &[u8]) -> Option<Failure> {
    let about = ip::Packet::parse_quoted(quoted).ok()?;
    (about.fragment_offset == 0 && about.payload.len() >= 8).then(|| Failure {
        problem,
        reporter,
        source: about.source,
        destination: about.destination,
        protocol: about.protocol,
        transport: about.payload[..about.payload.len().min(QUOTED)].to_vec(),
    })
}

/// Whether a packet is an ICMP error itself, or a redirect, or too short to tell.
fn is_error(about: &ip::Packet<'_>) -> bool {
    let kind = about.payload.first();
    match about.protocol {
        Protocol::ICMP => kind.is_none_or(|kind| !matches!(kind, 0 | 8 | 13..=18)),
        Protocol::ICMPV6 => kind.is_none_or(|kind| *kind < 128 || *kind == 137),
        _ => false,
    }
}

fn message_v4(complaint: &Complaint, quoted: &[u8]) -> Vec<u8> {
    use icmpv4::{Message, TimeExceeded, Unreachable};
    let unreachable = |code| Message::Unreachable { code, quoted };
    let message = match *complaint {
        Complaint::Port => unreachable(Unreachable::Port),
        Complaint::Protocol(_) => unreachable(Unreachable::Protocol),
        Complaint::NoRoute => unreachable(Unreachable::Network),
        Complaint::Host => unreachable(Unreachable::Host),
        Complaint::TooBig(mtu) => unreachable(Unreachable::FragmentationNeeded { next_hop_mtu: mtu }),
        Complaint::TimeExceeded => Message::TimeExceeded { code: TimeExceeded::InTransit, quoted },
        Complaint::Reassembly => Message::TimeExceeded { code: TimeExceeded::Reassembly, quoted },
        Complaint::Parameter { pointer, .. } => {
            Message::ParameterProblem { code: 0, pointer: pointer as u8, quoted }
        }
    };
    let mut bytes = vec![0; message.len()];
    message.emit(&mut bytes);
    bytes
}

fn message_v6(complaint: &Complaint, quoted: &[u8], source: IpAddr, to: IpAddr) -> Vec<u8> {
    use icmpv6::{Message, TimeExceeded, Unreachable};
    let unreachable = |code| Message::Unreachable { code, quoted };
    let message = match *complaint {
        Complaint::Port => unreachable(Unreachable::Port),
        Complaint::Protocol(pointer) => Message::ParameterProblem {
            code: ipv6::ParameterProblem::UnrecognizedNextHeader,
            pointer,
            quoted,
        },
        Complaint::NoRoute => unreachable(Unreachable::NoRoute),
        Complaint::Host => unreachable(Unreachable::Address),
        Complaint::TooBig(mtu) => Message::PacketTooBig { mtu: u32::from(mtu), quoted },
        Complaint::TimeExceeded => Message::TimeExceeded { code: TimeExceeded::InTransit, quoted },
        Complaint::Reassembly => Message::TimeExceeded { code: TimeExceeded::Reassembly, quoted },
        Complaint::Parameter { code, pointer } => Message::ParameterProblem { code, pointer, quoted },
    };
    let mut bytes = vec![0; message.len()];
    let pseudo = Sum::pseudo_header(source, to, Protocol::ICMPV6.0, bytes.len());
    message.emit(&mut bytes, pseudo);
    bytes
}
