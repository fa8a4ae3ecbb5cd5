//! Who waits for which socket.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::task::{Poll, Waker};

use tcpip::Notice;
use tcpip::transport::Event;
use tcpip::transport::{ConnectionId, ListenerId, UdpId};

use super::echo::EchoAnswer;

/// Answers that wait for one who asked.
const ANSWERS: usize = 1024;

#[derive(Default)]
struct Asking {
    answers: VecDeque<EchoAnswer>,
    waker: Option<Waker>,
}

/// The wakers of all sockets. The maps are only looked into, never walked through: their order is nobody's business.
#[derive(Default)]
pub(super) struct Waiting {
    readers: HashMap<ConnectionId, Waker>,
    writers: HashMap<ConnectionId, Waker>,
    listeners: HashMap<ListenerId, Waker>,
    receivers: HashMap<UdpId, Waker>,
    /// Who asks whether other hosts are there, by identifier.
    echoes: HashMap<u16, Asking>,
    /// Who waits for something to happen to the addresses of this host.
    watchers: Vec<Waker>,
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

    /// Gives `identifier` to who asks; `false` when somebody has it.
    pub(super) fn open_echo(&mut self, identifier: u16) -> bool {
        let free = !self.echoes.contains_key(&identifier);
        if free {
            self.echoes.insert(identifier, Asking::default());
        }
        free
    }

    /// The next answer to who asks as `identifier`.
    pub(super) fn poll_echo(&mut self, identifier: u16, waker: &Waker) -> Poll<EchoAnswer> {
        let Some(asking) = self.echoes.get_mut(&identifier) else { return Poll::Pending };
        if let Some(answer) = asking.answers.pop_front() {
            return Poll::Ready(answer);
        }
        self.stale.extend(asking.waker.replace(waker.clone()));
        Poll::Pending
    }

    pub(super) fn close_echo(&mut self, identifier: u16) {
        self.stale.extend(self.echoes.remove(&identifier).and_then(|asking| asking.waker));
    }

    /// Wakes `waker` when something happens to the addresses of this host.
    pub(super) fn for_addresses(&mut self, waker: &Waker) {
        if !self.watchers.iter().any(|watcher| watcher.will_wake(waker)) {
            self.watchers.push(waker.clone());
        }
    }

    /// Hands a notice to whom it concerns.
    pub(super) fn note(&mut self, notice: Notice) {
        let (identifier, answer) = match notice {
            Notice::EchoReply { source, identifier, sequence, ttl, data } => {
                (identifier, EchoAnswer::Reply { source, sequence, ttl, data })
            }
            Notice::EchoFailed { reporter, problem, identifier, sequence } => {
                (identifier, EchoAnswer::Failed { reporter, problem, sequence })
            }
            _ => return self.due.append(&mut self.watchers),
        };
        let Some(asking) = self.echoes.get_mut(&identifier) else { return };
        if asking.answers.len() == ANSWERS {
            asking.answers.pop_front();
        }
        asking.answers.push_back(answer);
        self.due.extend(asking.waker.take());
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
