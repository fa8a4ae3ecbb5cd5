//! The transport layer: TCP and UDP, and the sockets that programs hold.
//!
//! A [`Transport`] owns every connection, listener and datagram socket of a host. What an application does goes through
//! it, so that it knows what has to be sent and when to look again. Nothing is scanned: a segment finds its connection by
//! a hash, a deadline by a sorted set, what is to be sent by a queue.

mod budget;
mod connections;
mod cookies;
mod face;
mod input;
mod listeners;
mod output;
mod ports;
mod secrets;
pub mod tcp;
#[cfg(test)]
mod tests;
mod time_waits;
mod timers;
mod udp;

pub use budget::Share;
pub use connections::ConnectionId;
pub use face::{Config, Counters, Event, Flow, Memory, SocketError, Verdict};
pub use listeners::ListenerId;
pub use udp::UdpId;

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::ops::{Deref, DerefMut};

use host::{Instant, Random};
use trace::Tracer;

use crate::InterfaceId;
use crate::internet::Internet;
use budget::{Budget, FLOOR, HALF_OPEN, MEAL};
use connections::Connections;
use cookies::Cookies;
use listeners::Listeners;
use ports::{Ports, with_port};
use secrets::Secrets;
use tcp::{Connection, Opening, Settings};
use time_waits::TimeWaits;
use timers::Timers;
use udp::Sockets;

/// All sockets of a host.
#[derive(Debug)]
pub struct Transport {
    config: Config,
    connections: Connections,
    time_waits: TimeWaits,
    listeners: Listeners,
    sockets: Sockets,
    /// Groups of sockets that were closed.
    leaving: Vec<(InterfaceId, IpAddr)>,
    ports: Ports,
    secrets: Secrets,
    cookies: Cookies,
    timers: Timers<ConnectionId>,
    /// Connections that may have something to send.
    dirty: VecDeque<ConnectionId>,
    budget: Budget,
    /// Connections that wait for memory, who holds least first.
    starved: BTreeSet<(usize, ConnectionId)>,
    events: VecDeque<Event>,
    resets: output::Allowance,
    cookie_answers: output::Allowance,
    counters: Counters,
    tracer: Tracer,
}

impl Transport {
    /// No sockets yet. What must not be guessed is drawn from `random`.
    pub fn new(config: Config, mut random: Random, tracer: Tracer) -> Self {
        Self {
            connections: Connections::new(&mut random),
            time_waits: TimeWaits::new(config.time_waits, &mut random),
            listeners: Listeners::default(),
            sockets: Sockets::default(),
            leaving: Vec::new(),
            ports: Ports::new(&mut random),
            secrets: Secrets::new(&mut random),
            timers: Timers::new(),
            dirty: VecDeque::new(),
            budget: Budget::new(config.memory),
            starved: BTreeSet::new(),
            events: VecDeque::new(),
            resets: output::Allowance::new(config.resets_per_second),
            cookie_answers: output::Allowance::new(config.cookies_per_second),
            counters: Counters::default(),
            config,
            tracer,
            cookies: Cookies::new(random),
        }
    }

    /// Listens at `local`, whose address may be unspecified and whose port may be zero for any. Connections begin with
    /// `settings`; up to `backlog` of them may be half open or wait to be accepted. When too many are half open, further
    /// ones are answered with a SYN cookie (RFC 4987) and nothing is kept of them until they acknowledge it.
    ///
    /// # Errors
    ///
    /// [`SocketError::AddressInUse`], [`SocketError::NoPort`], [`SocketError::TooMany`].
    pub fn listen(
        &mut self,
        local: SocketAddr,
        backlog: u32,
        settings: Settings,
    ) -> Result<ListenerId, SocketError> {
        if self.listeners.len() >= self.config.sockets {
            return Err(SocketError::TooMany);
        }
        let local = if local.port() == 0 {
            let free = |port| self.listeners.is_free(with_port(local, port));
            with_port(local, self.ports.draw(free).ok_or(SocketError::NoPort)?)
        } else {
            local
        };
        self.listeners.add(local, backlog.min(self.config.backlog), settings).ok_or(SocketError::AddressInUse)
    }

    /// Where a listener listens.
    pub fn listener_address(&self, id: ListenerId) -> Option<SocketAddr> {
        self.listeners.local(id)
    }

    /// The next connection that was made at a listener.
    pub fn accept(&mut self, id: ListenerId) -> Option<ConnectionId> {
        self.listeners.get_mut(id)?.accept()
    }

    /// Listens no more. Connections that nobody accepted are reset.
    pub fn unlisten(&mut self, now: Instant, id: ListenerId) {
        let mut orphans: Vec<_> = self.listeners.remove(id).into();
        orphans.extend(self.connections.of_listener(id));
        for orphan in orphans {
            if let Some(mut connection) = self.connection(orphan) {
                connection.abort(now);
            }
            self.release(now, orphan);
        }
    }

    /// Connects to `remote`, from `local` when that is given; its port may be zero for any.
    ///
    /// # Errors
    ///
    /// [`SocketError::Send`], [`SocketError::AddressInUse`], [`SocketError::NoPort`], [`SocketError::TooMany`].
    pub fn connect(
        &mut self,
        now: Instant,
        local: Option<SocketAddr>,
        remote: SocketAddr,
        settings: Settings,
        below: &mut dyn Internet,
    ) -> Result<ConnectionId, SocketError> {
        let source = local.map(|local| local.ip()).filter(|address| !address.is_unspecified());
        let path = below.path(now, remote.ip(), source)?;
        let local = SocketAddr::new(path.source, local.map_or(0, |local| local.port()));
        let local = if local.port() == 0 {
            let hash = self.secrets.port_hash(local, remote);
            let (connections, time_waits) = (&self.connections, &self.time_waits);
            let free = |port| {
                let flow = Flow { local: with_port(local, port), remote };
                connections.find(&flow).is_none() && !time_waits.contains(&flow)
            };
            with_port(local, self.ports.choose(hash, free).ok_or(SocketError::NoPort)?)
        } else {
            local
        };
        let flow = Flow { local, remote };
        if self.connections.find(&flow).is_some() || self.time_waits.contains(&flow) {
            return Err(SocketError::AddressInUse);
        }
        let opening = self.opening(now, flow, path.mtu, settings);
        let id = self.add(flow, Connection::connect(now, opening), None).ok_or(SocketError::TooMany)?;
        self.counters.opened += 1;
        Ok(id)
    }

    /// A connection, for the application to act on. What comes of that is looked at when the guard is dropped.
    pub fn connection(&mut self, id: ConnectionId) -> Option<ConnectionMut<'_>> {
        self.connections.get_mut(id)?.lend(&self.budget);
        Some(ConnectionMut { transport: self, id })
    }

    /// The application lets a connection go. What it wrote is still sent; then the connection is forgotten.
    pub fn release(&mut self, now: Instant, id: ConnectionId) {
        if let Some(slot) = self.connections.get_mut(id) {
            slot.released = true;
            slot.connection.release(now);
            self.settle(id);
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.timers.earliest(), self.time_waits.poll_timeout()].into_iter().flatten().min()
    }

    /// Looks at every connection whose time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.time_waits.handle_timeout(now);
        while let Some(id) = self.timers.due(now) {
            let Some(slot) = self.connections.get_mut(id) else { continue };
            slot.armed = None;
            slot.lend(&self.budget);
            if slot.connection.poll_timeout().is_some_and(|at| at <= now) {
                slot.connection.handle_timeout(now);
            }
            self.settle(id);
        }
    }

    /// What happened that a program may wait for.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        let mut fetched = |id, forget: fn(&mut tcp::Changes)| {
            if let Some(slot) = self.connections.get_mut(id) {
                forget(&mut slot.told);
            }
        };
        match event {
            Event::Connected(id) => fetched(id, |told| told.connected = false),
            Event::Readable(id) => fetched(id, |told| told.readable = false),
            Event::Writable(id) => fetched(id, |told| told.writable = false),
            Event::Closed(id) => fetched(id, |told| told.closed = false),
            Event::Incoming(id) => {
                if let Some(listener) = self.listeners.get_mut(id) {
                    listener.told = false;
                }
            }
            Event::UdpReadable(id) => self.sockets.told(id),
        }
        Some(event)
    }

    /// What the buffers of all sockets hold.
    pub fn memory(&self) -> Memory {
        Memory {
            held: self.budget.held(),
            time_waits: self.time_waits.memory(),
            limit: self.config.memory,
            scarce: self.budget.is_scarce(),
            starved: self.starved.len(),
        }
    }

    /// Numbers since the beginning.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// All connections, in the order of their places.
    pub fn connections(&self) -> impl Iterator<Item = (ConnectionId, Flow, &Connection)> + use<'_> {
        self.connections.iter()
    }

    /// Connections in TIME-WAIT that nobody uses any more, and until when they wait. Those that are still read from are
    /// among the [`connections`](Self::connections).
    pub fn time_waits(&self) -> impl Iterator<Item = (Flow, Instant)> + use<'_> {
        self.time_waits.iter()
    }

    /// Where connections arrive.
    pub fn listening(&self) -> impl Iterator<Item = SocketAddr> + use<'_> {
        self.listeners.iter()
    }

    /// Where datagrams arrive.
    pub fn bound(&self) -> impl Iterator<Item = SocketAddr> + use<'_> {
        self.sockets.iter()
    }

    /// What a connection over `flow` begins with.
    fn opening(&self, now: Instant, flow: Flow, mtu: u16, settings: Settings) -> Opening {
        let headers = if flow.remote.is_ipv4() { 40 } else { 60 };
        Opening {
            local: flow.local,
            remote: flow.remote,
            settings,
            initial_sequence: self.secrets.initial_sequence(now, &flow),
            timestamp_offset: self.secrets.timestamp_offset(&flow),
            max_segment_size: settings.max_segment_size.unwrap_or(u16::MAX).min(mtu.saturating_sub(headers)),
            path_mtu: mtu,
            first_window: if self.budget.is_scarce() { SMALL_WINDOW } else { u16::MAX },
            tracer: self.tracer.clone(),
        }
    }

    /// Takes a connection in, if there is room for it.
    fn add(
        &mut self,
        flow: Flow,
        connection: Connection,
        parent: Option<ListenerId>,
    ) -> Option<ConnectionId> {
        let memory = self.budget.room(0) >= HALF_OPEN;
        if self.connections.len() >= self.config.connections || !memory {
            self.counters.refused += 1;
            return None;
        }
        let id = self.connections.add(flow, connection, parent);
        self.settle(id);
        Some(id)
    }

    /// Looks at a connection after something was done to it: what it has to send, when to look again, whom to tell.
    fn settle(&mut self, id: ConnectionId) {
        self.account(id);
        let Some(slot) = self.connections.get_mut(id) else { return };
        let changes = slot.connection.take_changes();
        let parent = slot.parent;
        if let Some(listener) = parent.filter(|_| changes.connected || changes.closed) {
            slot.parent = None;
            // Before the handshake is done, the connection is nobody's: the listener answers for it.
            slot.released |= !changes.connected;
            self.hand_over(listener, id, changes.connected);
        }
        let Some(slot) = self.connections.get_mut(id) else { return };
        self.timers.arm(id, &mut slot.armed, slot.connection.poll_timeout());
        if !std::mem::replace(&mut slot.dirty, true) {
            self.dirty.push_back(id);
        }
        if slot.parent.is_none() && !slot.released {
            let told = &mut slot.told;
            let mut tell = |changed: bool, told: &mut bool, event| {
                if changed && !std::mem::replace(told, true) {
                    self.events.push_back(event);
                }
            };
            tell(changes.connected, &mut told.connected, Event::Connected(id));
            tell(changes.readable, &mut told.readable, Event::Readable(id));
            tell(changes.writable, &mut told.writable, Event::Writable(id));
            tell(changes.closed, &mut told.closed, Event::Closed(id));
        }
    }

    /// Counts what a connection holds after something was done to it. One that memory keeps from going on waits until
    /// there is some; one that waited is told.
    fn account(&mut self, id: ConnectionId) {
        let Some(slot) = self.connections.get_mut(id) else { return };
        slot.account(&mut self.budget);
        let shortage = slot.connection.take_shortage();
        self.counters.segments_dropped += u64::from(shortage.in_order);
        self.counters.disorder_dropped += u64::from(shortage.out_of_order);
        let starved = slot.connection.starved();
        let waited = std::mem::replace(&mut slot.starved, starved);
        if waited == starved {
            return;
        }
        if let Some(held) = waited {
            self.starved.remove(&(held, id));
        }
        match starved {
            Some(held) => {
                self.starved.insert((held, id));
                self.counters.starved += u64::from(waited.is_none());
            }
            None => slot.connection.feed(),
        }
    }

    /// Tells those who wait for memory, who holds least first, as long as there is some.
    fn feed(&mut self) {
        while let Some(&(held, id)) = self.starved.first()
            && self.budget.room(held) >= MEAL
        {
            self.starved.remove(&(held, id));
            if let Some(slot) = self.connections.get_mut(id) {
                slot.starved = None;
                slot.lend(&self.budget);
                slot.connection.feed();
                self.settle(id);
            }
        }
    }

    /// Takes a connection out.
    fn remove(&mut self, id: ConnectionId) {
        if let Some(slot) = self.connections.get_mut(id) {
            self.timers.disarm(id, &mut slot.armed);
            slot.held.change(Default::default(), &mut self.budget);
            if let Some(held) = slot.starved {
                self.starved.remove(&(held, id));
            }
            self.connections.remove(id);
        }
    }

    /// Keeps only what TIME-WAIT needs of a connection whose program has nothing more to do with it.
    fn retire(&mut self, id: ConnectionId) {
        if let Some(slot) = self.connections.get_mut(id)
            && let Some(wait) = slot.connection.time_wait()
            && self.time_waits.insert(&slot.flow, wait, &mut self.counters.time_waits_evicted)
        {
            slot.connection.retire();
            self.connections.detach(id);
            self.settle(id);
        }
    }

    /// Forgets a connection that is over and that nobody holds. Where its program still has it, its flow is free all the
    /// same: what comes there is for nobody.
    fn forget_if_over(&mut self, id: ConnectionId) {
        if let Some(slot) = self.connections.get(id)
            && slot.connection.is_finished()
        {
            if slot.released {
                self.remove(id);
            } else {
                self.connections.detach(id);
            }
        }
    }

    /// A connection of a listener is made, or failed.
    fn hand_over(&mut self, listener: ListenerId, id: ConnectionId, made: bool) {
        self.counters.accepted += u64::from(made);
        let told = match self.listeners.get_mut(listener) {
            Some(listener) => listener.settled(id, made),
            None => false,
        };
        if told {
            self.events.push_back(Event::Incoming(listener));
        }
    }
}

/// The window that a connection begins with when memory is scarce, in bytes.
const SMALL_WINDOW: u16 = 2 * FLOOR as u16;

/// A connection that the application acts on.
#[derive(Debug)]
pub struct ConnectionMut<'a> {
    transport: &'a mut Transport,
    id: ConnectionId,
}

impl Deref for ConnectionMut<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        let slot = self.transport.connections.get(self.id);
        &slot.expect("it was there when the guard was made, which nobody else removes it under").connection
    }
}

impl DerefMut for ConnectionMut<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        let slot = self.transport.connections.get_mut(self.id);
        &mut slot
            .expect("it was there when the guard was made, which nobody else removes it under")
            .connection
    }
}

impl Drop for ConnectionMut<'_> {
    fn drop(&mut self) {
        self.transport.settle(self.id);
    }
}
