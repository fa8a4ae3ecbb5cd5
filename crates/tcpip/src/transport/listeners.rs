//! Places where connections arrive.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::ConnectionId;
use super::tcp::Settings;

/// A listener. Never another's, even when it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(u64);

#[derive(Debug, Default)]
pub(super) struct Listeners {
    listeners: BTreeMap<ListenerId, Listener>,
    addresses: BTreeMap<SocketAddr, ListenerId>,
    last: u64,
}

/// One listener.
#[derive(Debug)]
pub(super) struct Listener {
    local: SocketAddr,
    backlog: usize,
    pub(super) settings: Settings,
    /// Handshakes that are under way.
    half_open: usize,
    /// Connections that wait to be accepted.
    made: VecDeque<ConnectionId>,
    /// An event for it waits to be fetched.
    pub(super) told: bool,
}

impl Listener {
    /// Whether one more handshake may begin.
    pub(super) fn has_room(&self) -> bool {
        self.half_open + self.made.len() < self.backlog
    }

    /// Whether one more connection may wait to be accepted, however many are half open.
    pub(super) fn takes_cookies(&self) -> bool {
        self.made.len() < self.backlog
    }

    /// A handshake begins.
    pub(super) fn begins(&mut self) {
        self.half_open += 1;
    }

    /// A handshake that began came to nothing before there was a connection.
    pub(super) fn gives_up(&mut self) {
        self.half_open = self.half_open.saturating_sub(1);
    }

    /// A handshake was completed, or failed. True when an event has to be queued for it.
    pub(super) fn settled(&mut self, id: ConnectionId, made: bool) -> bool {
        self.half_open = self.half_open.saturating_sub(1);
        if made {
            self.made.push_back(id);
        }
        made && !std::mem::replace(&mut self.told, true)
    }

    pub(super) fn accept(&mut self) -> Option<ConnectionId> {
        self.made.pop_front()
    }
}

impl Listeners {
    /// Whether nobody listens at `local`.
    pub(super) fn is_free(&self, local: SocketAddr) -> bool {
        !self.addresses.contains_key(&local)
    }

    pub(super) fn add(&mut self, local: SocketAddr, backlog: u32, settings: Settings) -> Option<ListenerId> {
        if !self.is_free(local) {
            return None;
        }
        self.last += 1;
        let id = ListenerId(self.last);
        let listener = Listener {
            local,
            backlog: backlog.max(1) as usize,
            settings,
            half_open: 0,
            made: VecDeque::new(),
            told: false,
        };
        self.listeners.insert(id, listener);
        self.addresses.insert(local, id);
        Some(id)
    }

    /// Who listens at `local`: at exactly that address, else at any of its family.
    pub(super) fn find(&self, local: SocketAddr) -> Option<ListenerId> {
        let any: IpAddr = match local {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let any = SocketAddr::new(any, local.port());
        self.addresses.get(&local).or_else(|| self.addresses.get(&any)).copied()
    }

    pub(super) fn get_mut(&mut self, id: ListenerId) -> Option<&mut Listener> {
        self.listeners.get_mut(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.listeners.len()
    }

    pub(super) fn local(&self, id: ListenerId) -> Option<SocketAddr> {
        self.listeners.get(&id).map(|listener| listener.local)
    }

    /// Where they listen.
    pub(super) fn iter(&self) -> impl Iterator<Item = SocketAddr> + use<'_> {
        self.addresses.keys().copied()
    }

    /// The connections that waited there.
    pub(super) fn remove(&mut self, id: ListenerId) -> VecDeque<ConnectionId> {
        let Some(listener) = self.listeners.remove(&id) else { return VecDeque::new() };
        self.addresses.remove(&listener.local);
        listener.made
    }
}
