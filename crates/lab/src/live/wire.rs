//! A wire in real time: two directions of a link, and a device at each end.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use ::wire::MacAddress;
use ::wire::ethernet::{EtherType, Header};
use bytes::Bytes;
use host::{Instant, Random, Runtime, Timer};
use stack::Device;
use tcpip::Descending;

use crate::link::{Cable, Counters, Direction, Duplex, Impairments, Lost, Way};

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

/// Who watches the frames at both ends: when, in which direction, what happened, and the frame. Called under the wire's
/// lock: it must be quick, and must not call back.
pub type Tap = Box<dyn FnMut(Instant, Way, Passing, &[u8]) + Send>;

/// Whether a frame may go onto the wire. Called as a [`Tap`] is.
type Filter = Box<dyn FnMut(Way, &[u8]) -> bool + Send>;

/// The handle to a wire: what may be done to it while it is used. A clone is another one. [`Way::Out`] leads from the near
/// end to the far one, [`Way::In`] leads back.
pub struct Wire<R: Runtime>(Arc<Shared<R>>);

/// An end of a [`Wire`]: a point-to-point device that carries IP packets in Ethernet frames. Both ends know each other's
/// hardware address, so that none has to be asked for.
pub struct WireEnd<R: Runtime> {
    shared: Arc<Shared<R>>,
    end: usize,
    mtu: u16,
}

struct Shared<R: Runtime> {
    runtime: R,
    state: Mutex<State<R>>,
}

struct State<R: Runtime> {
    cable: Cable,
    receivers: [Receiver<R>; 2],
    filter: Option<Filter>,
    filtered: u64,
    tap: Option<Tap>,
}

/// Who waits at an end for what arrives there.
struct Receiver<R: Runtime> {
    timer: R::Timer,
    armed: Option<Instant>,
    driver: Option<Waker>,
}

/// The ends' hardware addresses: locally administered, of one station (IEEE 802, clause 8).
const ADDRESSES: [MacAddress; 2] = [MacAddress([2, 0, 0, 0, 0, 1]), MacAddress([2, 0, 0, 0, 0, 2])];

impl<R: Runtime> Wire<R> {
    /// A wire for IP packets of up to `mtu` bytes, and its near and far end. `impairments` are those ways the far end
    /// and back; `stream` gives the random stream of a purpose.
    pub fn new(
        runtime: R,
        mtu: u16,
        duplex: Duplex,
        impairments: [Impairments; 2],
        mut stream: impl FnMut(&str) -> Random,
    ) -> (Self, [WireEnd<R>; 2]) {
        let [out, back] = impairments;
        let out = Direction::new(out, |purpose| stream(&format!("out {purpose}")));
        let back = Direction::new(back, |purpose| stream(&format!("in {purpose}")));
        let cable = Cable::new(duplex, out, back);
        let receivers = [0, 1].map(|_| Receiver { timer: runtime.timer(), armed: None, driver: None });
        let state = State { cable, receivers, filter: None, filtered: 0, tap: None };
        let shared = Arc::new(Shared { runtime, state: Mutex::new(state) });
        let ends = [0, 1].map(|end| WireEnd { shared: shared.clone(), end, mtu });
        (Self(shared), ends)
    }

    /// The impairments in a direction.
    pub fn impairments(&self, way: Way) -> Impairments {
        self.0.lock().cable.impairments(way).clone()
    }

    /// Changes the impairments in a direction. What travels already keeps travelling.
    pub fn set(&self, way: Way, impairments: Impairments) {
        let now = self.0.runtime.now();
        self.0.change(|cable| cable.set(way, now, impairments));
    }

    /// Cuts a direction, or mends it: what is put onto a cut one is lost.
    pub fn cut(&self, way: Way, cut: bool) {
        self.0.change(|cable| cable.cut(way, cut));
    }

    /// Lets only those frames onto the wire that `filter` approves of; the others are lost without a word. It is called
    /// under the wire's lock: it must be quick, and must not call back.
    pub fn filter(&self, filter: impl FnMut(Way, &[u8]) -> bool + Send + 'static) {
        let old = self.0.lock().filter.replace(Box::new(filter));
        drop(old);
    }

    /// Shows every frame to `tap`.
    pub fn tap(&self, tap: Tap) {
        let old = self.0.lock().tap.replace(tap);
        drop(old);
    }

    /// What a direction has done so far.
    pub fn counters(&self, way: Way) -> Counters {
        self.0.lock().cable.counters(way)
    }

    /// Frames and bytes that wait for their turn in a direction.
    pub fn queue(&self, way: Way) -> (usize, usize) {
        self.0.lock().cable.queue(way)
    }

    /// Frames that the filter kept off the wire.
    pub fn filtered(&self) -> u64 {
        self.0.lock().filtered
    }
}

impl<R: Runtime> Shared<R> {
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the cable, and wakes the receivers whose next arrival that brought forward.
    fn change(&self, change: impl FnOnce(&mut Cable)) {
        let due = {
            let mut state = self.lock();
            change(&mut state.cable);
            [Way::Out, Way::In].map(|way| state.receiver_to_wake(way))
        };
        due.into_iter().flatten().for_each(Waker::wake);
    }
}

impl<R: Runtime> State<R> {
    /// When the receiver of one way has to look again.
    fn next(&self, way: Way) -> Option<Instant> {
        if self.cable.duplex() == Duplex::Full {
            return self.cable.direction(way).poll_timeout();
        }
        // What one sender does moves the other's time.
        self.cable.poll_timeout()
    }

    fn receiver_to_wake(&mut self, way: Way) -> Option<Waker> {
        let next = self.next(way)?;
        let receiver = &self.receivers[receiver(way)];
        if receiver.armed.is_some_and(|armed| armed <= next) {
            return None;
        }
        receiver.driver.clone()
    }

    /// Shows what was lost one way to whoever watches.
    fn show_lost(&mut self, now: Instant, way: Way) {
        while let Some((frame, cause)) = self.cable.poll_lost(way) {
            if let Some(tap) = &mut self.tap {
                tap(now, way, Passing::Lost(cause), &frame);
            }
        }
    }
}

/// The end at which a way ends: 0 for the near one, 1 for the far one.
fn receiver(way: Way) -> usize {
    match way {
        Way::Out => 1,
        Way::In => 0,
    }
}

impl<R: Runtime> WireEnd<R> {
    fn outgoing(&self) -> Way {
        [Way::Out, Way::In][self.end]
    }

    fn incoming(&self) -> Way {
        [Way::In, Way::Out][self.end]
    }

    /// The IP packet in a frame; `None` when the frame was damaged on its way so that it is not for us.
    fn unwrap<'a>(&self, frame: &'a [u8]) -> Option<&'a [u8]> {
        let (header, packet) = Header::parse(frame).ok()?;
        let fitting = header.destination == ADDRESSES[self.end] && ether_type(packet) == header.ether_type;
        fitting.then_some(packet)
    }
}

impl<R: Runtime> Device for WireEnd<R> {
    fn poll_receive(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut stale = None;
        let mut guard = self.shared.lock();
        loop {
            let now = self.shared.runtime.now();
            let state = &mut *guard;
            let way = self.incoming();
            let arrived = state.cable.poll_arrival(way, now);
            state.show_lost(now, way);
            if let Some(frame) = arrived {
                if let Some(tap) = &mut state.tap {
                    tap(now, way, Passing::Arrived, &frame);
                }
                if let Some(packet) = self.unwrap(&frame)
                    && let Some(place) = buffer.get_mut(..packet.len())
                {
                    place.copy_from_slice(packet);
                    return Poll::Ready(Ok(packet.len()));
                }
                continue;
            }
            let next = state.next(way);
            let receiver = &mut state.receivers[self.end];
            if !receiver.driver.as_ref().is_some_and(|driver| driver.will_wake(context.waker())) {
                stale = receiver.driver.replace(context.waker().clone());
            }
            if next != receiver.armed {
                receiver.armed = next;
                receiver.timer.set(next);
            }
            if next.is_none() || receiver.timer.poll_expired(context).is_pending() {
                drop(guard);
                // A waker may run foreign code when it is dropped: not under the lock.
                drop(stale);
                return Poll::Pending;
            }
        }
    }

    fn transmit(&mut self, frame: &Descending<'_>) -> io::Result<()> {
        if frame.len() > usize::from(self.mtu) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "the packet is longer than the wire's MTU"));
        }
        let mut bytes = vec![0; Header::LEN];
        frame.copy_to(&mut bytes);
        let header = Header {
            destination: ADDRESSES[1 - self.end],
            source: ADDRESSES[self.end],
            ether_type: ether_type(&bytes[Header::LEN..]),
        };
        header.emit(&mut bytes);
        let way = self.outgoing();
        let now = self.shared.runtime.now();
        let waker = {
            let mut guard = self.shared.lock();
            let state = &mut *guard;
            if let Some(tap) = &mut state.tap {
                tap(now, way, Passing::Sent, &bytes);
            }
            if state.filter.as_mut().is_some_and(|filter| !filter(way, &bytes)) {
                state.filtered += 1;
                return Ok(());
            }
            state.cable.offer(way, now, Bytes::from(bytes));
            state.show_lost(now, way);
            state.receiver_to_wake(way)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    fn has_room(&mut self) -> bool {
        true
    }

    fn poll_room(&mut self, _context: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    /// None: the frames are ours, the packets in them the host's.
    fn mac(&self) -> Option<MacAddress> {
        None
    }

    fn mtu(&self) -> u16 {
        self.mtu
    }
}

fn ether_type(packet: &[u8]) -> EtherType {
    match packet.first() {
        Some(first) if first >> 4 == 6 => EtherType::IPV6,
        _ => EtherType::IPV4,
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

impl<R: Runtime> fmt::Debug for WireEnd<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "WireEnd({})", self.end)
    }
}
