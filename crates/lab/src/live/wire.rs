//! A link in real time: the engine, and who waits for what comes out of it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use host::{Instant, Random, Runtime, Timer};

use crate::link::{Cable, Counters, Direction, Duplex, Impairments, Lost, Way};
use crate::random::Streams;
use crate::silence::{Flows, Silence};

/// A link in real time. Frames are put onto it and come off it by hand; [`WireEnd`](super::WireEnd) does so for a host, and
/// [`bridge`](super::bridge) for two devices.
///
/// A clone is another handle. [`Way::Out`] leads from the near end to the far one, [`Way::In`] leads back. Each way has one
/// receiver, who is woken when a frame arrives, as exactly as the runtime's timers are.
pub struct Wire<R: Runtime>(Arc<Shared<R>>);

/// What a [`Tap`] sees happen to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing {
    /// It is put onto the wire.
    Sent,
    /// It comes off the wire.
    Arrived,
    /// It is lost.
    Lost(Lost),
}

/// Who watches the frames: when, on which way, what happened, and the frame. Called under the wire's lock: it must be quick,
/// and must not call back.
pub type Tap = Box<dyn FnMut(Instant, Way, Passing, &[u8]) + Send>;

/// How much later than they should have frames were taken off the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lateness {
    frames: u64,
    sum: Duration,
    /// The worst.
    pub most: Duration,
}

impl Lateness {
    /// Of all frames.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.sum.as_nanos()).unwrap_or(u64::MAX) / self.frames.max(1))
    }

    fn count(&mut self, late: Duration) {
        self.frames += 1;
        self.sum += late;
        self.most = self.most.max(late);
    }
}

/// Frames that may be on one way at a time, beside those in its queue.
const MOST_TRAVELLING: u64 = 32_768;

struct Shared<R: Runtime> {
    runtime: R,
    state: Mutex<State<R>>,
}

struct State<R: Runtime> {
    cable: Cable,
    /// By which of two each way is held: cut, and blocked.
    held: [[bool; 2]; 2],
    receivers: [Receiver<R>; 2],
    silence: Option<Silence>,
    silenced: [u64; 2],
    overflowed: [u64; 2],
    late: [Lateness; 2],
    tap: Option<Tap>,
}

/// Who waits for what arrives by one way.
struct Receiver<R: Runtime> {
    timer: R::Timer,
    armed: Option<Instant>,
    driver: Option<Waker>,
}

impl<R: Runtime> Wire<R> {
    /// A wire. `impairments` are those out and in; `stream` gives the random stream of a purpose.
    pub fn new(
        runtime: R,
        duplex: Duplex,
        impairments: [Impairments; 2],
        mut stream: impl FnMut(&str) -> Random,
    ) -> Self {
        let [out, back] = impairments;
        let out = Direction::new(out, |purpose| stream(&format!("out {purpose}")));
        let back = Direction::new(back, |purpose| stream(&format!("in {purpose}")));
        let receivers = [0, 1].map(|_| Receiver { timer: runtime.exact_timer(), armed: None, driver: None });
        let state = State {
            cable: Cable::new(duplex, out, back),
            held: [[false; 2]; 2],
            receivers,
            silence: None,
            silenced: [0; 2],
            overflowed: [0; 2],
            late: Default::default(),
            tap: None,
        };
        Self(Arc::new(Shared { runtime, state: Mutex::new(state) }))
    }

    /// A wire whose random streams grow from `seed`; `None` for one of the runtime's.
    pub fn seeded(runtime: R, duplex: Duplex, impairments: [Impairments; 2], seed: Option<u64>) -> Self {
        let mut streams = Streams::new(seed.unwrap_or_else(|| runtime.random("impairments").next_u64()));
        Self::new(runtime, duplex, impairments, |purpose| streams.next("wire", 0, purpose))
    }

    /// The impairments of one way.
    pub fn impairments(&self, way: Way) -> Impairments {
        self.lock().cable.impairments(way).clone()
    }

    /// Changes the impairments of one way. What travels already keeps travelling.
    pub fn set(&self, way: Way, impairments: Impairments) {
        self.change(|state, now| state.cable.set(way, now, impairments));
    }

    /// Changes who may speak when.
    pub fn set_duplex(&self, duplex: Duplex) {
        self.change(|state, now| state.cable.set_duplex(now, duplex));
    }

    /// Cuts one way, or mends it: see [`Direction::cut`].
    pub fn cut(&self, way: Way, cut: bool) {
        self.change(|state, _| state.hold(way, |[of_cut, _]| *of_cut = cut));
    }

    /// As [`cut`](Self::cut), for somebody else: nothing passes while either holds.
    pub fn block(&self, way: Way, block: bool) {
        self.change(|state, _| state.hold(way, |[_, of_block]| *of_block = block));
    }

    /// Whether one way is cut or blocked.
    pub fn is_cut(&self, way: Way) -> bool {
        self.lock().held[index(way)] != [false; 2]
    }

    /// Loses the frames of these flows without a word, both ways, until it is told otherwise.
    pub fn silence(&self, flows: Option<Flows>) {
        self.lock().silence = flows.map(Silence::new);
    }

    /// Shows every frame to `tap`.
    pub fn tap(&self, tap: Tap) {
        let old = self.lock().tap.replace(tap);
        // What it holds may do anything when it is dropped: not under the lock.
        drop(old);
    }

    /// What one way has done so far.
    pub fn counters(&self, way: Way) -> Counters {
        self.lock().cable.counters(way)
    }

    /// Frames lost to a silent drop on one way.
    pub fn silenced(&self, way: Way) -> u64 {
        self.lock().silenced[index(way)]
    }

    /// Frames lost on one way because too many were on it: a long delay is no endless memory.
    pub fn overflowed(&self, way: Way) -> u64 {
        self.lock().overflowed[index(way)]
    }

    /// By how much the runtime's timers, and whoever waited, have missed the times of one way.
    pub fn lateness(&self, way: Way) -> Lateness {
        self.lock().late[index(way)]
    }

    /// Puts a frame onto the wire. Up to 32,768 travel at a time; one more is lost.
    pub fn offer(&self, way: Way, frame: Bytes) {
        let now = self.0.runtime.now();
        let waker = {
            let mut guard = self.lock();
            let state = &mut *guard;
            state.show(now, way, Passing::Sent, &frame);
            if state.silence.as_mut().is_some_and(|silence| silence.swallows(&frame)) {
                state.silenced[index(way)] += 1;
                state.show(now, way, Passing::Lost(Lost::Silenced), &frame);
                return;
            }
            if state.cable.counters(way).travelling >= MOST_TRAVELLING {
                state.overflowed[index(way)] += 1;
                state.show(now, way, Passing::Lost(Lost::Full), &frame);
                return;
            }
            state.cable.offer(way, now, frame);
            state.show_lost(now, way);
            state.to_wake(way)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The next frame that has arrived. One task at a time may wait for it.
    pub fn poll_arrival(&self, way: Way, context: &mut Context<'_>) -> Poll<Bytes> {
        let mut stale = None;
        let mut guard = self.lock();
        let outcome = loop {
            let now = self.0.runtime.now();
            let state = &mut *guard;
            state.cable.handle_timeout(now);
            let due = state.cable.direction(way).next_arrival();
            let arrived = state.cable.poll_arrival(way, now);
            state.show_lost(now, way);
            if let Some(frame) = arrived {
                state.late[index(way)].count(due.map_or(Duration::ZERO, |due| now.since(due)));
                state.show(now, way, Passing::Arrived, &frame);
                break Poll::Ready(frame);
            }
            let next = state.next(way);
            let receiver = &mut state.receivers[index(way)];
            if !receiver.driver.as_ref().is_some_and(|driver| driver.will_wake(context.waker())) {
                stale = receiver.driver.replace(context.waker().clone());
            }
            if next != receiver.armed {
                receiver.armed = next;
                receiver.timer.set(next);
            }
            if next.is_none() || receiver.timer.poll_expired(context).is_pending() {
                break Poll::Pending;
            }
        };
        drop(guard);
        // A waker may run foreign code when it is dropped: not under the lock.
        drop(stale);
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the cable, and wakes the receivers whose next arrival that brought forward.
    fn change(&self, change: impl FnOnce(&mut State<R>, Instant)) {
        let now = self.0.runtime.now();
        let due = {
            let mut state = self.lock();
            change(&mut state, now);
            [Way::Out, Way::In].map(|way| state.to_wake(way))
        };
        due.into_iter().flatten().for_each(Waker::wake);
    }
}

impl<R: Runtime> State<R> {
    fn hold(&mut self, way: Way, change: impl FnOnce(&mut [bool; 2])) {
        let held = &mut self.held[index(way)];
        change(held);
        self.cable.cut(way, *held != [false; 2]);
    }

    /// When the receiver of one way has to look again.
    fn next(&self, way: Way) -> Option<Instant> {
        if self.cable.duplex() == Duplex::Full {
            return self.cable.direction(way).poll_timeout();
        }
        // What one sender does moves the other's time.
        self.cable.poll_timeout()
    }

    /// The receiver of one way, when it looks too late.
    fn to_wake(&self, way: Way) -> Option<Waker> {
        let next = self.next(way)?;
        let receiver = &self.receivers[index(way)];
        receiver.driver.as_ref().filter(|_| receiver.armed.is_none_or(|armed| next < armed)).cloned()
    }

    fn show(&mut self, now: Instant, way: Way, passing: Passing, frame: &[u8]) {
        if let Some(tap) = &mut self.tap {
            tap(now, way, passing, frame);
        }
    }

    fn show_lost(&mut self, now: Instant, way: Way) {
        while let Some((frame, cause)) = self.cable.poll_lost(way) {
            self.show(now, way, Passing::Lost(cause), &frame);
        }
    }
}

fn index(way: Way) -> usize {
    match way {
        Way::Out => 0,
        Way::In => 1,
    }
}

impl<R: Runtime> Clone for Wire<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R: Runtime> fmt::Debug for Wire<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Wire(..)")
    }
}
