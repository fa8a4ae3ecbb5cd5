//! Flows that a link loses without a word, while it stays up.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use wire::ethernet::{EtherType, Header};
use wire::tcp::Flags;
use wire::{Protocol, ip};

/// Which flows a silent drop concerns. ARP, neighbour discovery and group membership are never among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flows {
    /// All of them.
    All,
    /// TCP connections that were open before, whose packets are lost, while new ones can be made: what a middlebox does
    /// that has restarted.
    Established,
    /// Those between two addresses, whoever called.
    Between {
        /// One end.
        one: IpAddr,
        /// The other.
        other: IpAddr,
        /// Only those with this port at one of their ends.
        port: Option<u16>,
    },
}

impl fmt::Display for Flows {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => formatter.write_str("all flows"),
            Self::Established => formatter.write_str("established connections"),
            Self::Between { one, other, port: None } => write!(formatter, "flows between {one} and {other}"),
            Self::Between { one, other, port: Some(port) } => {
                write!(formatter, "flows of port {port} between {one} and {other}")
            }
        }
    }
}

/// A silent drop that is in force.
#[derive(Debug)]
pub(crate) struct Silence {
    flows: Flows,
    /// Connections whose beginning was seen since.
    opened: BTreeSet<[(IpAddr, u16); 2]>,
}

/// New connections that are told from old ones; beyond, the flows of a link are all let through.
const MOST_OPENED: usize = 1 << 16;

impl Silence {
    pub(crate) fn new(flows: Flows) -> Self {
        Self { flows, opened: BTreeSet::new() }
    }

    /// Whether `frame` is to be lost.
    pub(crate) fn swallows(&mut self, frame: &[u8]) -> bool {
        let Ok((Header { ether_type: EtherType::IPV4 | EtherType::IPV6, .. }, packet)) = Header::parse(frame)
        else {
            return false;
        };
        let Ok(packet) = ip::Packet::parse(packet) else { return false };
        if packet.destination.is_multicast() || is_discovery(&packet) {
            return false;
        }
        match self.flows {
            Flows::All => true,
            Flows::Established => self.is_old(&packet),
            Flows::Between { one, other, port } => {
                let ends = (packet.source, packet.destination);
                let of_port = |port| packet.ports().is_some_and(|(from, to)| from == port || to == port);
                (ends == (one, other) || ends == (other, one)) && port.is_none_or(of_port)
            }
        }
    }

    fn is_old(&mut self, packet: &ip::Packet<'_>) -> bool {
        let Some(ports) = packet.ports().filter(|_| packet.protocol == Protocol::TCP) else { return false };
        let mut flow = [(packet.source, ports.0), (packet.destination, ports.1)];
        flow.sort_unstable();
        const SYN: u8 = Flags::SYN.0 as u8;
        const ACK: u8 = Flags::ACK.0 as u8;
        let flags = packet.payload.get(13).copied().unwrap_or_default();
        let opens = flags & (SYN | ACK) == SYN;
        if opens && self.opened.len() < MOST_OPENED {
            self.opened.insert(flow);
        }
        self.opened.len() < MOST_OPENED && !self.opened.contains(&flow)
    }
}

/// Whether it keeps the link itself going: neighbour discovery, group membership.
fn is_discovery(packet: &ip::Packet<'_>) -> bool {
    let kind = packet.payload.first().copied();
    packet.protocol == Protocol::ICMPV6 && kind.is_some_and(|kind| matches!(kind, 130..=137 | 143))
}
