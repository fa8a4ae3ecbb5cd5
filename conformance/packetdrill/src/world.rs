//! One host on virtual time, and who waits for it.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use host::{Instant, Random};
use tcpip::internet::{Cidr, Route};
use tcpip::link::{InterfaceConfig, Medium};
use tcpip::transport::tcp::Settings;
use tcpip::transport::{ConnectionId, ListenerId};
use tcpip::{Descending, InterfaceId, Stack, StackConfig, Transmit};
use trace::Tracer;
use wire::{tcp, virtio};

use crate::sysctl;

const INTERFACE: InterfaceId = InterfaceId(0);

/// The addresses that packetdrill gives to what it tests.
const ADDRESSES: [&str; 2] = ["192.168.0.1", "fd3d:0a0b:17d6::1"];

/// Virtual time after which nothing more is expected to be sent by itself.
const LONGEST_SILENCE: Duration = Duration::from_secs(300);

/// Each look at the clock takes that long: who waits for it by looking would wait for ever else.
const LOOK: Duration = Duration::from_micros(1);

/// How long the clock stands still, in real time, for a thread that was woken to look at it.
const GRACE: Duration = Duration::from_millis(3);

/// An error of `errno(3)`.
pub(crate) type Errno = libc::c_int;

/// What packetdrill tests.
pub(crate) struct World {
    state: Mutex<State>,
    changed: Condvar,
    /// The thread of the script, whose calls must not wait for another to move time.
    main: ThreadId,
}

pub(crate) struct State {
    pub(crate) now: Instant,
    pub(crate) stack: Stack,
    pub(crate) wire: Wire,
    pub(crate) sockets: BTreeMap<libc::c_int, Socket>,
    pub(crate) settings: Option<Settings>,
    /// Threads in blocking calls, and whether one has come back since time last moved.
    blocked: usize,
    resumed: bool,
    /// Something happened that one of them may have waited for.
    stirred: bool,
}

/// What has left, and when.
#[derive(Default)]
pub(crate) struct Wire {
    sent: VecDeque<(Instant, Vec<u8>)>,
    now: Instant,
}

/// A socket as a program has it.
#[derive(Clone, Debug)]
pub(crate) struct Socket {
    /// Made as one of IPv6, which takes IPv4 as well.
    pub(crate) v6: bool,
    pub(crate) nonblocking: bool,
    pub(crate) settings: Settings,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) kind: Kind,
    pub(crate) corked: bool,
    /// SHUT_RD was asked for.
    pub(crate) deaf: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Fresh,
    Listening(Vec<ListenerId>),
    Connected(ConnectionId),
}

impl Transmit for Wire {
    fn has_room(&mut self, _: InterfaceId) -> bool {
        true
    }

    fn transmit(&mut self, _: InterfaceId, frame: &Descending<'_>) {
        let mut bytes = Vec::new();
        frame.copy_to(&mut bytes);
        // A long segment is shown as it is, with the checksum that it would have.
        if let Some(cut) = frame.segmentation() {
            let start = frame.headers().len() as u16 - cut.header;
            virtio::fill_checksum(&mut bytes, start, tcp::CHECKSUM as u16).expect("a segment has a checksum");
        }
        self.sent.push_back((self.now, bytes));
    }
}

impl World {
    /// A host with the addresses that packetdrill expects, on a wire of `mtu` bytes that takes long segments uncut.
    pub(crate) fn new(mtu: u16) -> Self {
        let now = Instant::ORIGIN + Duration::from_secs(1000);
        let random = |name: &str| Random::from_seed([name.len() as u8; 32]);
        let mut stack = Stack::new(StackConfig::default(), random, Tracer::OFF);
        let config = InterfaceConfig { name: "wire".into(), medium: Medium::Ip, mtu, segmented: 65_535 };
        stack.add_interface(now, config).expect("a first interface");
        for address in ADDRESSES {
            let address: IpAddr = address.parse().expect("an address");
            let (bits, all) = match address {
                IpAddr::V4(_) => (16, IpAddr::from([0; 4])),
                IpAddr::V6(_) => (48, IpAddr::from([0; 16])),
            };
            stack.add_address(now, INTERFACE, Cidr::new(address, bits)).expect("a first address");
            let network = Cidr::new(all, 0);
            let route = Route { network, gateway: None, interface: INTERFACE, metric: 0, until: None };
            stack.internet().add_route(route).expect("a first route");
        }
        let state = State {
            now,
            stack,
            wire: Wire { now, ..Wire::default() },
            sockets: BTreeMap::new(),
            settings: None,
            blocked: 0,
            resumed: false,
            stirred: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), main: thread::current().id() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something, and what follows from it.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let output = act(&mut state);
        state.settle();
        self.changed.notify_all();
        output
    }

    /// Does something as soon as `attempt` can, on the thread of a system call. `None` of it means "not yet". The thread
    /// that moves time moves it meanwhile, up to `patience`.
    pub(crate) fn wait<T>(
        &self,
        patience: Duration,
        mut attempt: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let mut state = self.lock();
        let deadline = state.now + patience;
        if thread::current().id() == self.main {
            loop {
                let done = attempt(&mut state);
                state.settle();
                if done.is_some() || !state.step(deadline) {
                    return done;
                }
            }
        }
        state.blocked += 1;
        loop {
            let done = attempt(&mut state);
            state.settle();
            if done.is_some() || state.now >= deadline {
                state.blocked -= 1;
                state.resumed = true;
                return done;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The clock, in microseconds.
    pub(crate) fn clock(&self) -> u64 {
        self.advance(LOOK);
        self.lock().now.as_nanos() / 1_000
    }

    /// Time passes.
    pub(crate) fn advance(&self, by: Duration) {
        let until = self.lock().now + by;
        if by > LOOK {
            self.give_way();
        }
        loop {
            self.wait_for_others();
            let mut state = self.lock();
            let more = state.step(until);
            drop(state);
            self.changed.notify_all();
            if !more {
                return;
            }
        }
    }

    /// The next packet that leaves, and when, in microseconds; `None` when none does for a long time.
    pub(crate) fn next_packet(&self) -> Option<(u64, Vec<u8>)> {
        let until = self.lock().now + LONGEST_SILENCE;
        if self.lock().wire.sent.is_empty() {
            self.give_way();
        }
        loop {
            self.wait_for_others();
            let mut state = self.lock();
            if let Some((at, packet)) = state.wire.sent.pop_front() {
                return Some((at.as_nanos() / 1_000, packet));
            }
            let more = state.step(until);
            drop(state);
            self.changed.notify_all();
            if !more {
                return None;
            }
        }
    }

    /// A packet comes.
    pub(crate) fn receive(&self, packet: &mut [u8]) {
        self.with(|state| state.stack.receive(state.now, INTERFACE, packet, &mut state.wire));
    }

    /// Lets a thread whose call has just begun make it before time moves on.
    #[allow(clippy::disallowed_methods, reason = "only real time lets the other thread run")]
    fn give_way(&self) {
        thread::sleep(GRACE);
    }

    /// Lets a thread whose call has just ended look at the clock before it moves on.
    #[allow(clippy::disallowed_methods, reason = "only real time lets the other thread run")]
    fn wait_for_others(&self) {
        let stirred = {
            let mut state = self.lock();
            std::mem::take(&mut state.stirred) && state.blocked > 0
        };
        if stirred {
            thread::sleep(GRACE);
        }
        let resumed = std::mem::take(&mut self.lock().resumed);
        if resumed {
            thread::sleep(GRACE);
        }
    }
}

impl State {
    /// What connections begin with, as it is set when the first socket is made.
    pub(crate) fn settings(&mut self) -> Settings {
        *self.settings.get_or_insert_with(sysctl::settings)
    }

    /// Sends what has become due.
    fn settle(&mut self) {
        self.wire.now = self.now;
        self.stirred |= self.blocked > 0;
        self.stack.transmit(self.now, &mut self.wire);
        while self.stack.poll_event().is_some() {}
        while self.stack.poll_notice().is_some() {}
    }

    /// Moves time on to the next deadline, or to `until` when that is earlier: then there is no more.
    fn step(&mut self, until: Instant) -> bool {
        let next = self.stack.poll_timeout().filter(|&next| next <= until);
        self.now = next.unwrap_or(until).max(self.now);
        self.wire.now = self.now;
        if next.is_some() {
            self.stack.handle_timeout(self.now, &mut self.wire);
            self.settle();
        }
        next.is_some()
    }
}
