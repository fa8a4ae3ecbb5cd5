//! Datagram sockets (RFC 768, RFC 1122 section 4.1).

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use host::Instant;

use super::Flow;
use super::budget::Budget;
use super::{SocketError, Transport, with_port};
use crate::InterfaceId;
use crate::internet::{Internet, Problem};

/// A datagram socket. Never another's, even when it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UdpId(u64);

#[derive(Debug, Default)]
pub(super) struct Sockets {
    sockets: BTreeMap<UdpId, Socket>,
    addresses: BTreeMap<SocketAddr, UdpId>,
    last: u64,
}

#[derive(Debug)]
struct Datagram {
    from: SocketAddr,
    payload: Box<[u8]>,
}

#[derive(Debug)]
struct Socket {
    local: SocketAddr,
    received: VecDeque<Datagram>,
    bytes: usize,
    limit: usize,
    error: Option<Problem>,
    told: bool,
    /// To whom it sent last.
    recent: VecDeque<SocketAddr>,
    groups: Vec<(InterfaceId, IpAddr)>,
}

/// Ends that a socket remembers, so that an error about a datagram to them is believed.
const RECENT: usize = 16;

/// Groups that a socket may be in.
const GROUPS: usize = 32;

/// What a datagram costs beside its payload.
const OVERHEAD: usize = 64;

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    Nobody,
    Full,
    Taken { id: UdpId, tell: bool },
}

impl Transport {
    /// Binds a datagram socket at `local`, whose address may be unspecified and whose port may be zero for any.
    ///
    /// # Errors
    ///
    /// [`SocketError::AddressInUse`], [`SocketError::NoPort`], [`SocketError::TooMany`].
    pub fn bind_udp(&mut self, local: SocketAddr) -> Result<UdpId, SocketError> {
        if self.sockets.sockets.len() >= self.config.sockets {
            return Err(SocketError::TooMany);
        }
        let local = if local.port() == 0 {
            let free = |port| !self.sockets.addresses.contains_key(&with_port(local, port));
            with_port(local, self.ports.draw(free).ok_or(SocketError::NoPort)?)
        } else {
            local
        };
        self.sockets.add(local, self.config.datagram_bytes).ok_or(SocketError::AddressInUse)
    }

    /// Where a datagram socket is bound.
    pub fn udp_address(&self, id: UdpId) -> Option<SocketAddr> {
        self.sockets.local(id)
    }

    /// What the network heard of an earlier datagram, once.
    pub fn udp_error(&mut self, id: UdpId) -> Option<Problem> {
        self.sockets.sockets.get_mut(&id)?.error.take()
    }

    /// The next datagram: its length, and from whom. What does not fit `buffer` is cut off.
    pub fn udp_receive(&mut self, id: UdpId, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        let socket = self.sockets.sockets.get_mut(&id)?;
        let Datagram { from, payload } = socket.received.pop_front()?;
        self.budget.change(socket.bytes, socket.bytes - payload.len() - OVERHEAD);
        socket.bytes -= payload.len() + OVERHEAD;
        let len = payload.len().min(buffer.len());
        buffer[..len].copy_from_slice(&payload[..len]);
        Some((len, from))
    }

    /// Receives what is sent to `group`, on the interface `on` or else on that which leads there: which one it is.
    ///
    /// # Errors
    ///
    /// [`SocketError::Closed`], [`SocketError::TooMany`], [`SocketError::Group`].
    pub fn udp_join(
        &mut self,
        now: Instant,
        id: UdpId,
        group: IpAddr,
        on: Option<InterfaceId>,
        below: &mut dyn Internet,
    ) -> Result<InterfaceId, SocketError> {
        let socket = self.sockets.sockets.get_mut(&id).ok_or(SocketError::Closed)?;
        if socket.groups.len() >= GROUPS {
            return Err(SocketError::TooMany);
        }
        let on = below.join(now, on, group)?;
        if socket.groups.contains(&(on, group)) {
            below.leave(now, on, group);
        } else {
            socket.groups.push((on, group));
        }
        Ok(on)
    }

    /// Receives what is sent to `group` no more.
    pub fn udp_leave(
        &mut self,
        now: Instant,
        id: UdpId,
        group: IpAddr,
        on: InterfaceId,
        below: &mut dyn Internet,
    ) {
        let Some(socket) = self.sockets.sockets.get_mut(&id) else { return };
        let before = socket.groups.len();
        socket.groups.retain(|&member| member != (on, group));
        if socket.groups.len() < before {
            below.leave(now, on, group);
        }
    }

    /// Closes a datagram socket. What waited there is gone; its groups are left with the next
    /// [`transmit`](Self::transmit).
    pub fn close_udp(&mut self, id: UdpId) {
        if let Some(socket) = self.sockets.remove(id) {
            self.budget.change(socket.bytes, 0);
            self.leaving.extend(socket.groups);
        }
    }
}

impl Sockets {
    fn add(&mut self, local: SocketAddr, limit: usize) -> Option<UdpId> {
        if self.addresses.contains_key(&local) {
            return None;
        }
        self.last += 1;
        let id = UdpId(self.last);
        let socket = Socket {
            local,
            received: VecDeque::new(),
            bytes: 0,
            limit,
            error: None,
            told: false,
            recent: VecDeque::new(),
            groups: Vec::new(),
        };
        self.sockets.insert(id, socket);
        self.addresses.insert(local, id);
        Some(id)
    }

    fn remove(&mut self, id: UdpId) -> Option<Socket> {
        let socket = self.sockets.remove(&id)?;
        self.addresses.remove(&socket.local);
        Some(socket)
    }

    /// A datagram leaves for `to`.
    pub(super) fn note_sent(&mut self, id: UdpId, to: SocketAddr) {
        if let Some(socket) = self.sockets.get_mut(&id)
            && !socket.recent.contains(&to)
        {
            if socket.recent.len() == RECENT {
                socket.recent.pop_front();
            }
            socket.recent.push_back(to);
        }
    }

    /// Whether a datagram went over `flow` not long ago.
    pub(super) fn sent_over(&self, flow: &Flow) -> bool {
        let socket = self.find(flow.local).and_then(|id| self.sockets.get(&id));
        socket.is_some_and(|socket| socket.recent.contains(&flow.remote))
    }

    /// Where they are bound.
    pub(super) fn iter(&self) -> impl Iterator<Item = SocketAddr> + use<'_> {
        self.sockets.values().map(|socket| socket.local)
    }

    pub(super) fn local(&self, id: UdpId) -> Option<SocketAddr> {
        self.sockets.get(&id).map(|socket| socket.local)
    }

    /// Who is bound at `local`: at exactly that address, else at any of its family.
    pub(super) fn find(&self, local: SocketAddr) -> Option<UdpId> {
        let any: IpAddr = match local {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let any = SocketAddr::new(any, local.port());
        self.addresses.get(&local).or_else(|| self.addresses.get(&any)).copied()
    }

    /// A datagram came by the interface `on`. One for a group is for its members only.
    pub(super) fn receive(
        &mut self,
        on: InterfaceId,
        to: SocketAddr,
        from: SocketAddr,
        payload: &[u8],
        budget: &mut Budget,
    ) -> Received {
        let Some(id) = self.find(to) else { return Received::Nobody };
        let Some(socket) = self.sockets.get_mut(&id) else { return Received::Nobody };
        let group = to.ip();
        if group.is_multicast() && socket.local.ip() != group && !socket.groups.contains(&(on, group)) {
            return Received::Nobody;
        }
        let cost = payload.len() + OVERHEAD;
        // An empty queue takes any datagram.
        let full = !socket.received.is_empty() && socket.bytes + cost > socket.limit;
        if full || cost > budget.room(socket.bytes) {
            return Received::Full;
        }
        budget.change(socket.bytes, socket.bytes + cost);
        socket.bytes += cost;
        socket.received.push_back(Datagram { from, payload: payload.into() });
        Received::Taken { id, tell: !std::mem::replace(&mut socket.told, true) }
    }

    /// Whom to tell that something sent over `flow` went wrong.
    pub(super) fn icmp_error(&mut self, flow: Flow, problem: Problem) -> Option<UdpId> {
        let id = self.find(flow.local)?;
        let socket = self.sockets.get_mut(&id)?;
        // What may pass by itself is no error (RFC 1122 section 4.1.3.3); the others tell the program once.
        if !matches!(problem, Problem::PortUnreachable | Problem::ProtocolUnreachable) {
            return None;
        }
        socket.error = Some(problem);
        (!std::mem::replace(&mut socket.told, true)).then_some(id)
    }

    pub(super) fn told(&mut self, id: UdpId) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.told = false;
        }
    }
}
