//! Who waits for which socket.

use std::collections::HashMap;
use std::hash::Hash;
use std::task::Waker;

use tcpip::transport::Event;
use tcpip::transport::{ConnectionId, ListenerId, UdpId};

/// The wakers of all sockets. The maps are only looked into, never walked through: their order is nobody's business.
#[derive(Default)]
pub(super) struct Waiting {
    readers: HashMap<ConnectionId, Waker>,
    writers: HashMap<ConnectionId, Waker>,
    listeners: HashMap<ListenerId, Waker>,
    receivers: HashMap<UdpId, Waker>,
    /// To be woken once the lock is released, first in, first out.
    pub(super) due: Vec<Waker>,
    /// To be dropped once the lock is released: the last handle to a task drops what the task held, sockets among it.
    pub(super) stale: Vec<Waker>,
}

impl Waiting {
    pub(super) fn for_reading(&mut self, id: ConnectionId, waker: &Waker) {
        put(&mut self.readers, &mut self.stale, id, waker);
    }

    pub(super) fn for_writing(&mut self, id: ConnectionId, waker: &Waker) {
        put(&mut self.writers, &mut self.stale, id, waker);
    }

    pub(super) fn for_accepting(&mut self, id: ListenerId, waker: &Waker) {
        put(&mut self.listeners, &mut self.stale, id, waker);
    }

    pub(super) fn for_receiving(&mut self, id: UdpId, waker: &Waker) {
        put(&mut self.receivers, &mut self.stale, id, waker);
    }

    /// The socket is gone, and nobody waits for it.
    pub(super) fn forget(&mut self, id: ConnectionId) {
        self.stale.extend(self.readers.remove(&id));
        self.stale.extend(self.writers.remove(&id));
    }

    /// As [`forget`](Self::forget).
    pub(super) fn forget_listener(&mut self, id: ListenerId) {
        self.stale.extend(self.listeners.remove(&id));
    }

    /// As [`forget`](Self::forget).
    pub(super) fn forget_datagrams(&mut self, id: UdpId) {
        self.stale.extend(self.receivers.remove(&id));
    }

    /// Both who read and who write are to look again.
    pub(super) fn wake(&mut self, id: ConnectionId) {
        self.due.extend(self.readers.remove(&id));
        self.due.extend(self.writers.remove(&id));
    }

    /// Whom an event concerns is to look again.
    pub(super) fn tell(&mut self, event: &Event) {
        match event {
            Event::Readable(id) => self.due.extend(self.readers.remove(id)),
            Event::Connected(id) | Event::Writable(id) => self.due.extend(self.writers.remove(id)),
            Event::Closed(id) => self.wake(*id),
            Event::Incoming(id) => self.due.extend(self.listeners.remove(id)),
            Event::UdpReadable(id) => self.due.extend(self.receivers.remove(id)),
        }
    }
}

fn put<K: Eq + Hash>(map: &mut HashMap<K, Waker>, stale: &mut Vec<Waker>, key: K, waker: &Waker) {
    if let Some(held) = map.get(&key)
        && held.will_wake(waker)
    {
        return;
    }
    stale.extend(map.insert(key, waker.clone()));
}
