//! Who inside has which port outside, and with whom they talk.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

use host::{Instant, Random};
use wire::Protocol;
use wire::tcp::Flags;

use super::rewrite::Flow;
use super::{Config, Counters, Filtering, Mapping};

/// What has ports outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Tcp,
    Udp,
    /// Pings, whose identifiers are their ports.
    Echo,
}

impl Kind {
    fn protocol(self) -> Protocol {
        match self {
            Self::Tcp => Protocol::TCP,
            Self::Udp => Protocol::UDP,
            Self::Echo => Protocol::ICMP,
        }
    }
}

#[derive(Debug)]
pub(super) struct Table {
    random: Random,
    first_port: u16,
    last_port: u16,
    mappings: BTreeMap<(Kind, u16), Entry>,
    ports: BTreeMap<(Kind, SocketAddrV4), u16>,
    /// Mappings of each inside address.
    shares: BTreeMap<Ipv4Addr, usize>,
    sessions: usize,
    /// When to look whether a session is over: not later than it is.
    expiry: BTreeSet<(Instant, Kind, u16, SocketAddrV4)>,
    /// The ports before everything was forgotten, not to be given to the same endpoints again.
    before: BTreeMap<(Kind, SocketAddrV4), u16>,
}

#[derive(Debug)]
struct Entry {
    inside: SocketAddrV4,
    sessions: BTreeMap<SocketAddrV4, Session>,
}

/// A flow between an inside endpoint and one outside.
#[derive(Clone, Copy, Debug)]
struct Session {
    until: Instant,
    /// When it is looked at.
    queued: Instant,
    /// Whether segments were seen from inside, and from outside.
    heard: [bool; 2],
    /// Whether they have said their last word.
    ended: [bool; 2],
    reset: bool,
}

/// Where a packet from outside goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inbound {
    To(SocketAddrV4),
    /// Nobody has that port.
    Unmapped,
    /// Somebody has it, and does not talk with its sender.
    Filtered,
}

const INSIDE: usize = 0;
const OUTSIDE: usize = 1;

impl Table {
    pub(super) fn new(random: Random, config: &Config) -> Self {
        Self {
            random,
            first_port: *config.ports.start(),
            last_port: *config.ports.end(),
            mappings: BTreeMap::new(),
            ports: BTreeMap::new(),
            shares: BTreeMap::new(),
            sessions: 0,
            expiry: BTreeSet::new(),
            before: BTreeMap::new(),
        }
    }

    pub(super) fn mappings(&self) -> impl Iterator<Item = Mapping> {
        self.mappings.iter().map(|(&(kind, outside), entry)| Mapping {
            protocol: kind.protocol(),
            inside: entry.inside,
            outside,
            sessions: entry.sessions.len(),
        })
    }

    pub(super) fn rebind(&mut self) {
        self.before = std::mem::take(&mut self.ports);
        self.mappings.clear();
        self.shares.clear();
        self.expiry.clear();
        self.sessions = 0;
    }

    /// The port outside of an endpoint inside.
    pub(super) fn outside(&self, kind: Kind, inside: SocketAddrV4) -> Option<u16> {
        self.ports.get(&(kind, inside)).copied()
    }

    /// The endpoint inside of a port outside, if it talks with `peer`.
    pub(super) fn inside(&self, kind: Kind, port: u16, peer: SocketAddrV4) -> Option<SocketAddrV4> {
        let entry = self.mappings.get(&(kind, port))?;
        entry.sessions.contains_key(&key(kind, peer)).then_some(entry.inside)
    }

    /// A packet of `flow` goes out: the port that it comes from outside. `None` when there is no room for it.
    pub(super) fn outbound(
        &mut self,
        now: Instant,
        config: &Config,
        flow: &Flow,
        counters: &mut Counters,
    ) -> Option<u16> {
        let (kind, inside, peer) = (flow.kind, flow.source, key(flow.kind, flow.destination));
        let port = match self.outside(kind, inside) {
            Some(port) => port,
            None => {
                let Some(port) = self.map(config, kind, inside) else {
                    counters.full += 1;
                    return None;
                };
                counters.mapped += 1;
                port
            }
        };
        if !self.touch(now, config, (kind, port), peer, flow.flags, INSIDE) {
            counters.full += 1;
            self.unmap_if_idle((kind, port));
            return None;
        }
        Some(port)
    }

    /// A packet of `flow` came in.
    pub(super) fn inbound(&mut self, now: Instant, config: &Config, flow: &Flow) -> Inbound {
        let (kind, port, peer) = (flow.kind, flow.destination.port(), key(flow.kind, flow.source));
        let Some(entry) = self.mappings.get(&(kind, port)) else { return Inbound::Unmapped };
        let inside = entry.inside;
        let may_pass = match config.filtering {
            Filtering::EndpointIndependent => true,
            Filtering::AddressDependent => {
                let first = SocketAddrV4::new(*peer.ip(), 0);
                let mut of_address = entry.sessions.range(first..);
                of_address.next().is_some_and(|(known, _)| known.ip() == peer.ip())
            }
            Filtering::AddressAndPortDependent => entry.sessions.contains_key(&peer),
        };
        // A new flow from outside takes a place as any other.
        match may_pass && self.touch(now, config, (kind, port), peer, flow.flags, OUTSIDE) {
            true => Inbound::To(inside),
            false => Inbound::Filtered,
        }
    }

    /// Forgets what has not been used for too long; how many mappings that were.
    pub(super) fn expire(&mut self, now: Instant) -> u64 {
        let mut expired = 0;
        while let Some(&(at, kind, port, peer)) = self.expiry.first()
            && at <= now
        {
            self.expiry.pop_first();
            let Some(entry) = self.mappings.get_mut(&(kind, port)) else { continue };
            match entry.sessions.get_mut(&peer) {
                Some(session) if session.until > now => {
                    session.queued = session.until;
                    self.expiry.insert((session.until, kind, port, peer));
                }
                Some(_) => {
                    entry.sessions.remove(&peer);
                    self.sessions -= 1;
                    expired += u64::from(self.unmap_if_idle((kind, port)));
                }
                None => {}
            }
        }
        expired
    }

    /// A new mapping.
    fn map(&mut self, config: &Config, kind: Kind, inside: SocketAddrV4) -> Option<u16> {
        let share = self.shares.get(inside.ip()).copied().unwrap_or_default();
        if self.mappings.len() >= config.mappings || share >= config.mappings_per_host {
            return None;
        }
        let port = self.free_port(kind, inside)?;
        self.mappings.insert((kind, port), Entry { inside, sessions: BTreeMap::new() });
        self.ports.insert((kind, inside), port);
        self.before.remove(&(kind, inside));
        *self.shares.entry(*inside.ip()).or_default() += 1;
        Some(port)
    }

    /// A port that is free, at random; of UDP an even one for an even one (RFC 4787 REQ-4). Not the one that the same
    /// endpoint had before everything was forgotten, unless there is no other.
    fn free_port(&mut self, kind: Kind, inside: SocketAddrV4) -> Option<u16> {
        let count = u64::from(self.last_port) - u64::from(self.first_port) + 1;
        let start = self.first_port + self.random.below(count) as u16;
        let before = self.before.get(&(kind, inside)).copied();
        let mut ports = (start..=self.last_port).chain(self.first_port..start);
        let free = |port: &u16| !self.mappings.contains_key(&(kind, *port));
        let suits = |port: &u16| {
            let is_other_parity = kind == Kind::Udp && (port ^ inside.port()) & 1 == 1;
            !is_other_parity && Some(*port) != before
        };
        let mut all = ports.clone().filter(free);
        all.find(suits).or_else(|| ports.find(free))
    }

    /// A packet of a flow was seen, from inside or outside. `false` when there is no place for a new flow.
    fn touch(
        &mut self,
        now: Instant,
        config: &Config,
        (kind, port): (Kind, u16),
        peer: SocketAddrV4,
        flags: Flags,
        from: usize,
    ) -> bool {
        let Some(entry) = self.mappings.get_mut(&(kind, port)) else { return false };
        if let Some(session) = entry.sessions.get_mut(&peer) {
            session.see(now, config, kind, flags, from);
            // One that ends sooner than it would be looked at would stay too long.
            if session.until < session.queued {
                self.expiry.remove(&(session.queued, kind, port, peer));
                self.expiry.insert((session.until, kind, port, peer));
                session.queued = session.until;
            }
            return true;
        }
        if self.sessions >= config.sessions {
            return false;
        }
        let mut session =
            Session { until: now, queued: now, heard: [false; 2], ended: [false; 2], reset: false };
        session.see(now, config, kind, flags, from);
        // Its first packet gives a flow its time, whoever sent it.
        session.until = session.until.max(now + session.lifetime(config, kind));
        session.queued = session.until;
        self.expiry.insert((session.until, kind, port, peer));
        entry.sessions.insert(peer, session);
        self.sessions += 1;
        true
    }

    fn unmap_if_idle(&mut self, at: (Kind, u16)) -> bool {
        let Some(entry) = self.mappings.get(&at).filter(|entry| entry.sessions.is_empty()) else {
            return false;
        };
        let inside = entry.inside;
        self.mappings.remove(&at);
        self.ports.remove(&(at.0, inside));
        if let Some(share) = self.shares.get_mut(inside.ip()) {
            *share -= 1;
            if *share == 0 {
                self.shares.remove(inside.ip());
            }
        }
        true
    }
}

impl Session {
    fn see(&mut self, now: Instant, config: &Config, kind: Kind, flags: Flags, from: usize) {
        let has = |flag: Flags| flags.0 & flag.0 != 0;
        if has(Flags::SYN) && !has(Flags::ACK) && (self.reset || self.ended == [true; 2]) {
            // A new connection in the place of one that is over.
            *self = Self { heard: [false; 2], ended: [false; 2], reset: false, ..*self };
        }
        self.heard[from] = true;
        self.ended[from] |= has(Flags::FIN);
        self.reset |= has(Flags::RST);
        // Only what goes out keeps a datagram's way in open: whoever sends in could keep it for ever (RFC 4787 REQ-6).
        if kind == Kind::Tcp || from == INSIDE {
            self.until = now + self.lifetime(config, kind);
        }
    }

    fn lifetime(&self, config: &Config, kind: Kind) -> std::time::Duration {
        let is_open = self.heard == [true; 2] && self.ended != [true; 2] && !self.reset;
        match kind {
            Kind::Udp => config.udp,
            Kind::Echo => config.echo,
            Kind::Tcp if is_open => config.tcp_established,
            Kind::Tcp => config.tcp_transitory,
        }
    }
}

/// Who a flow is with: pings have no port there.
fn key(kind: Kind, peer: SocketAddrV4) -> SocketAddrV4 {
    match kind {
        Kind::Echo => SocketAddrV4::new(*peer.ip(), 0),
        Kind::Tcp | Kind::Udp => peer,
    }
}
