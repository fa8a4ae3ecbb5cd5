//! Network address translation of IPv4 (RFC 4787, RFC 5382, RFC 5508, RFC 7857): hosts inside share one address outside.
//!
//! Mappings are endpoint-independent: what an inside endpoint sends comes from one outside port, to whomever. What may come
//! back is filtered ([`Filtering`]). Inside hosts reach each other at their outside endpoints, too (hairpinning). ICMP errors
//! are translated with what they quote, and never end anything. Fragments are put together first.
//!
//! The translator takes part in forwarding at two points: what arrives at the outside address changes its destination
//! before it is routed; what leaves by the outside interface changes its source after all else was decided, so that the
//! router's own complaints go to whom they concern. The ports of its [pool](Config::ports) on the outside address are the
//! translator's; at all others, and at its inside addresses, the router answers for itself.

mod rewrite;
mod table;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::ops::RangeInclusive;
use std::time::Duration;

use host::{Instant, Random};
use wire::{Protocol, ipv4};

use super::errors::Complaint;
use super::receive::Came;
use super::routing::Hop;
use super::{ConfigError, Layer};
use crate::{InterfaceId, Transmit};
use rewrite::{End, Flow};
use table::{Inbound, Table};

/// How a router translates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The interface to the outside, whose first IPv4 address is the one that is shared.
    pub outside: InterfaceId,
    /// Outside ports to choose from, of TCP and UDP, and echo identifiers. Up to 49,151: above, the router itself calls.
    pub ports: RangeInclusive<u16>,
    /// What may come in.
    pub filtering: Filtering,
    /// How long a UDP flow is remembered after the last datagram from inside (RFC 4787 REQ-5: at least two minutes).
    pub udp: Duration,
    /// How long a TCP connection that is open both ways is remembered (RFC 5382 REQ-5: at least two hours and four minutes).
    pub tcp_established: Duration,
    /// How long one that is opening or closing is remembered (RFC 5382 REQ-5: at least four minutes).
    pub tcp_transitory: Duration,
    /// How long a ping is remembered (RFC 5508 REQ-2: at least a minute).
    pub echo: Duration,
    /// Endpoints inside that have a port outside, at most.
    pub mappings: usize,
    /// Of these, of one inside address.
    pub mappings_per_host: usize,
    /// Flows of all of them together.
    pub sessions: usize,
}

impl Config {
    /// The usual translator with its outside at `outside`.
    pub fn new(outside: InterfaceId) -> Self {
        Self {
            outside,
            ports: 1_024..=49_151,
            filtering: Filtering::default(),
            udp: Duration::from_secs(300),
            tcp_established: Duration::from_secs(2 * 3_600 + 4 * 60),
            tcp_transitory: Duration::from_secs(4 * 60),
            echo: Duration::from_secs(60),
            mappings: 16_384,
            mappings_per_host: 4_096,
            sessions: 65_536,
        }
    }
}

/// From whom a packet may come in to an inside endpoint (RFC 4787 section 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filtering {
    /// From anybody, once the endpoint has sent anything.
    EndpointIndependent,
    /// From addresses that it has sent to.
    AddressDependent,
    /// From addresses and ports that it has sent to.
    #[default]
    AddressAndPortDependent,
}

/// What a translator did, each from zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that left with another source.
    pub outbound: u64,
    /// Packets that came in and got another destination.
    pub inbound: u64,
    /// Of both, packets from inside to an outside endpoint of somebody inside.
    pub hairpinned: u64,
    /// ICMP errors that were translated, either way.
    pub errors: u64,
    /// Dropped: nobody inside has that port outside.
    pub unmapped: u64,
    /// Dropped: the filter forbids it.
    pub filtered: u64,
    /// Dropped: the table, the host's share of it, or the pool of ports is full.
    pub full: u64,
    /// Dropped: what it carries has no ports, or is not whole.
    pub unsupported: u64,
    /// Mappings that were made.
    pub mapped: u64,
    /// Mappings that ended because nothing was sent for too long.
    pub expired: u64,
}

/// A translator.
#[derive(Debug)]
pub struct Nat {
    config: Config,
    table: Table,
    counters: Counters,
}

/// An inside endpoint, its port outside, and with how many others it talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Which protocol.
    pub protocol: Protocol,
    /// The endpoint inside; for a ping its identifier is the port.
    pub inside: SocketAddrV4,
    /// The port, or identifier, outside.
    pub outside: u16,
    /// Flows.
    pub sessions: usize,
}

impl Nat {
    /// What it does.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What it did.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What it remembers, in order of protocols and outside ports.
    pub fn mappings(&self) -> impl Iterator<Item = Mapping> {
        self.table.mappings()
    }

    /// Forgets everything, as a router that starts anew. Whoever goes on sending gets another port than before.
    pub fn rebind(&mut self) {
        self.table.rebind();
    }
}

/// What the translator has to do with a packet that arrived.
pub(super) enum Arriving {
    /// Nothing: it takes its usual way.
    Untouched,
    /// It has another destination now, and is to be forwarded.
    Inward(ipv4::Header),
    /// It is gone.
    Dropped,
}

impl Layer {
    /// Translates from now on, or with `None` no longer.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoInterface`].
    pub fn set_nat(&mut self, config: Option<Config>) -> Result<(), ConfigError> {
        let Some(config) = config else {
            self.nat = None;
            return Ok(());
        };
        self.interface(config.outside).ok_or(ConfigError::NoInterface)?;
        let mut seed = [0; 32];
        self.random.fill(&mut seed);
        let table = Table::new(Random::from_seed(seed), &config);
        self.nat = Some(Box::new(Nat { config, table, counters: Counters::default() }));
        Ok(())
    }

    /// The translator.
    pub fn nat(&mut self) -> Option<&mut Nat> {
        self.nat.as_deref_mut()
    }

    fn outside_address(&self) -> Option<(InterfaceId, Ipv4Addr)> {
        let outside = self.nat.as_ref()?.config.outside;
        let mut addresses = self.interface(outside)?.usable().map(|own| own.cidr.address);
        addresses.find_map(|address| match address {
            IpAddr::V4(v4) => Some((outside, v4)),
            IpAddr::V6(_) => None,
        })
    }

    /// Whether fragments of this packet are to be put together for the translator.
    pub(super) fn is_translated(&self, came: &Came, header: &ipv4::Header) -> bool {
        let Some((outside, address)) = self.outside_address() else { return false };
        let leaves = || self.hop(header.destination.into(), None).is_ok_and(|hop| hop.interface == outside);
        header.destination == address || came.on != outside && self.config.forwarding && leaves()
    }

    /// A whole packet arrived: it may be for somebody inside.
    pub(super) fn translate_in(
        &mut self,
        now: Instant,
        came: &Came,
        header: &ipv4::Header,
        packet: &mut [u8],
        out: &mut dyn Transmit,
    ) -> Arriving {
        let Some((outside, address)) = self.outside_address() else { return Arriving::Untouched };
        if header.destination != address || came.looped || came.many {
            return Arriving::Untouched;
        }
        let Some(nat) = &mut self.nat else { return Arriving::Untouched };
        let hairpin = came.on != outside;
        let inward = match nat.find_inside(now, address, header, &packet[header.len()..], hairpin) {
            Ok(Some(inward)) => inward,
            Ok(None) => return Arriving::Untouched,
            Err(Refused) => return Arriving::Dropped,
        };
        // Complaints are about the packet as its sender knows it.
        if let Some(complaint) = self.objection(header, packet.len(), *inward.inside.ip()) {
            self.complain(now, came.on, packet, &complaint, out);
            return Arriving::Dropped;
        }
        let Some(nat) = &mut self.nat else { return Arriving::Untouched };
        let header = nat.turn_inside(header, &mut packet[header.len()..], address, &inward);
        header.emit(packet, packet.len() - header.len());
        Arriving::Inward(header)
    }

    /// What a router has against forwarding a packet to an inside host.
    fn objection(&mut self, header: &ipv4::Header, len: usize, inside: Ipv4Addr) -> Option<Complaint> {
        if header.ttl <= 1 {
            self.counters.expired += 1;
            return Some(Complaint::TimeExceeded);
        }
        let hop = self.hop(inside.into(), None).ok()?;
        let mtu = self.interface(hop.interface)?.config.mtu;
        if header.dont_fragment && len > usize::from(mtu) {
            self.counters.too_big += 1;
            return Some(Complaint::TooBig(mtu));
        }
        None
    }

    /// A packet is about to leave by `hop`. `false` when it must not.
    pub(super) fn translate_out(
        &mut self,
        now: Instant,
        came: &Came,
        hop: &Hop,
        header: &mut ipv4::Header,
        packet: &mut [u8],
    ) -> bool {
        let Some((outside, address)) = self.outside_address() else { return true };
        let Some(nat) = &mut self.nat else { return true };
        if hop.interface != outside || came.on == outside {
            return true;
        }
        nat.turn_outside(now, address, header, &mut packet[header.len()..])
    }
}

/// The translator does not let a packet through.
struct Refused;

/// What is to become of a packet for somebody inside.
struct Inward {
    inside: SocketAddrV4,
    /// The source that it gets, when it comes from inside itself.
    hairpin: Option<SocketAddrV4>,
}

impl Nat {
    /// For whom inside a packet is, that arrived at the outside `address`. `None`: for the router itself.
    fn find_inside(
        &mut self,
        now: Instant,
        address: Ipv4Addr,
        header: &ipv4::Header,
        payload: &[u8],
        hairpin: bool,
    ) -> Result<Option<Inward>, Refused> {
        self.counters.expired += self.table.expire(now);
        if let Some(quoted) = rewrite::quoted(header.protocol, payload) {
            // An error about what somebody inside is said to have sent, and by which nothing ends or is prolonged (RFC
            // 5508 REQ-4 to REQ-6, RFC 5382 REQ-10).
            let peer = match self.table.outside(quoted.kind, quoted.destination) {
                Some(port) if hairpin => SocketAddrV4::new(address, port),
                _ => quoted.destination,
            };
            let Some(inside) = (quoted.source.ip() == &address)
                .then(|| self.table.inside(quoted.kind, quoted.source.port(), peer))
                .flatten()
            else {
                return Ok(None);
            };
            return Ok(Some(Inward { inside, hairpin: hairpin.then_some(SocketAddrV4::new(address, 0)) }));
        }
        let Some(flow) = Flow::of(header, payload) else { return Ok(None) };
        let is_ours = match flow.kind {
            table::Kind::Echo => flow.is_echo_reply,
            _ => self.config.ports.contains(&flow.destination.port()),
        };
        if !is_ours {
            return Ok(None);
        }
        let source = match hairpin {
            false => flow.source,
            true => {
                let port =
                    self.table.outbound(now, &self.config, &flow, &mut self.counters).ok_or(Refused)?;
                SocketAddrV4::new(address, port)
            }
        };
        match self.table.inbound(now, &self.config, &Flow { source, ..flow }) {
            Inbound::To(inside) => Ok(Some(Inward { inside, hairpin: hairpin.then_some(source) })),
            // The router may have pinged by itself.
            Inbound::Unmapped if flow.kind == table::Kind::Echo => Ok(None),
            Inbound::Unmapped => {
                self.counters.unmapped += 1;
                Err(Refused)
            }
            Inbound::Filtered => {
                self.counters.filtered += 1;
                Err(Refused)
            }
        }
    }

    fn turn_inside(
        &mut self,
        header: &ipv4::Header,
        payload: &mut [u8],
        address: Ipv4Addr,
        inward: &Inward,
    ) -> ipv4::Header {
        let mut header = *header;
        let Inward { inside, hairpin } = *inward;
        if let Some(quoted) = rewrite::quoted(header.protocol, payload) {
            self.counters.errors += 1;
            rewrite::quote(payload, End::Source, quoted.source, inside);
            if hairpin.is_some()
                && let Some(port) = self.table.outside(quoted.kind, quoted.destination)
            {
                rewrite::quote(
                    payload,
                    End::Destination,
                    quoted.destination,
                    SocketAddrV4::new(address, port),
                );
                header.source = address;
            }
        } else if let Some(flow) = Flow::of(&header, payload) {
            self.counters.inbound += 1;
            rewrite::endpoint(flow.kind, payload, End::Destination, flow.destination, inside);
            if let Some(source) = hairpin {
                self.counters.hairpinned += 1;
                rewrite::endpoint(flow.kind, payload, End::Source, flow.source, source);
                header.source = *source.ip();
            }
        }
        header.destination = *inside.ip();
        header
    }

    fn turn_outside(
        &mut self,
        now: Instant,
        address: Ipv4Addr,
        header: &mut ipv4::Header,
        payload: &mut [u8],
    ) -> bool {
        self.counters.expired += self.table.expire(now);
        if let Some(quoted) = rewrite::quoted(header.protocol, payload) {
            let Some(port) = self.table.outside(quoted.kind, quoted.destination) else {
                self.counters.unmapped += 1;
                return false;
            };
            self.counters.errors += 1;
            rewrite::quote(payload, End::Destination, quoted.destination, SocketAddrV4::new(address, port));
        } else {
            let Some(flow) = Flow::of(header, payload).filter(|flow| !flow.is_echo_reply) else {
                self.counters.unsupported += 1;
                return false;
            };
            let Some(port) = self.table.outbound(now, &self.config, &flow, &mut self.counters) else {
                return false;
            };
            self.counters.outbound += 1;
            rewrite::endpoint(flow.kind, payload, End::Source, flow.source, SocketAddrV4::new(address, port));
        }
        header.source = address;
        true
    }
}
