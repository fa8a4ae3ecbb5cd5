//! One direction of a link, as a value.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use host::{Instant, Random};

use super::counters::{Books, Counters};
use super::impairments::{Framing, Impairments, Lost};
use super::path::Path;
use super::queue::{Queue, Waiting};

/// One direction of a link: frames and the time go in, frames come out when they have arrived.
///
/// It has no clock and no timer of its own. Whoever holds it offers frames, asks [`poll_timeout`](Self::poll_timeout) when
/// something happens next, and takes at that time what has arrived and what was lost. A caller that comes late finds
/// everything as it would have been: all times inside follow from when frames were offered, not from when it was asked.
///
/// The same seed streams and the same calls give the same results.
pub struct Direction {
    impairments: Impairments,
    is_cut: bool,
    queue: Queue,
    /// Of the hash by which a queue tells flows apart.
    flow_key: [u8; 16],
    /// Until when the frames before keep the sender.
    busy: Instant,
    /// What they take on top of that, less than a nanosecond, as `Rate::time_after` counts it.
    carried: u64,
    /// The first frame in the queue was not there before.
    ready: Instant,
    path: Path,
    books: Books,
    sharing: Sharing,
}

/// What a direction has to know when it shares its medium with the other (half-duplex), where
/// [`Medium`](super::duplex::Medium) says whose turn it is.
struct Sharing {
    is_shared: bool,
    back_off: Random,
    /// Frames that were taken from the queue and are not through yet.
    held: usize,
}

impl Direction {
    /// A direction for Ethernet frames. `stream` gives the random stream of a purpose, each a name of its own.
    pub fn new(impairments: Impairments, stream: impl FnMut(&str) -> Random) -> Self {
        Self::carrying(Framing::Ethernet, impairments, stream)
    }

    /// A direction for frames of any kind.
    pub fn carrying(
        framing: Framing,
        impairments: Impairments,
        mut stream: impl FnMut(&str) -> Random,
    ) -> Self {
        let mut flow_key = [0; 16];
        stream("flows").fill(&mut flow_key);
        Self {
            is_cut: false,
            queue: Queue::new(impairments.queue, framing, flow_key),
            flow_key,
            busy: Instant::ORIGIN,
            carried: 0,
            ready: Instant::ORIGIN,
            path: Path::new(framing, &mut stream),
            books: Books::default(),
            sharing: Sharing { is_shared: false, back_off: stream("back-off"), held: 0 },
            impairments,
        }
    }

    /// What happens to frames.
    pub const fn impairments(&self) -> &Impairments {
        &self.impairments
    }

    /// Changes what happens to frames from now on. What is on the wire travels on as it would have; what waits in the queue
    /// keeps its place, as far as a new queue has room.
    pub fn set(&mut self, now: Instant, impairments: Impairments) {
        self.handle_timeout(now);
        if impairments.queue != self.impairments.queue {
            let new = Queue::new(impairments.queue, self.path.framing(), self.flow_key);
            for waiting in std::mem::replace(&mut self.queue, new).into_waiting() {
                self.queue.push(waiting, &mut self.books);
            }
        }
        if impairments.rate != self.impairments.rate {
            self.carried = 0;
        }
        self.impairments = impairments;
        self.handle_timeout(now);
    }

    /// Cuts the link, or heals it. What is on the wire still arrives; while it is cut, all else is lost.
    pub const fn cut(&mut self, cut: bool) {
        self.is_cut = cut;
    }

    /// The sender puts a frame onto the link.
    pub fn offer(&mut self, now: Instant, frame: Bytes) {
        self.handle_timeout(now);
        if let Some(cause) = self.refusal(now, &frame) {
            return self.refuse(frame, cause);
        }
        self.books.offered(&frame);
        if self.queue.frames() == 0 {
            self.ready = now;
            if !self.sharing.is_shared && self.next_start() == now {
                if let Some(frame) = self.queue.pass(now, frame, &mut self.books) {
                    self.send(now, frame);
                }
                return;
            }
        }
        self.queue.push(Waiting { since: now, frame }, &mut self.books);
    }

    /// A frame that has arrived by now, in the order of arrival.
    pub fn poll_arrival(&mut self, now: Instant) -> Option<Bytes> {
        self.handle_timeout(now);
        self.path.arrive(now, &mut self.books)
    }

    /// A frame that was lost, and why. The last 1,024 are kept for whoever asks; all are counted.
    pub fn poll_lost(&mut self) -> Option<(Bytes, Lost)> {
        self.books.poll_lost()
    }

    /// When the next frame arrives of those on the wire.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.path.next_arrival()
    }

    /// When something happens next: a frame arrives, or one leaves the queue. `None` while nothing is under way.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let sends = !self.sharing.is_shared && self.queue.frames() > 0;
        let start = sends.then(|| self.next_start());
        [start, self.path.next_arrival()].into_iter().flatten().min()
    }

    /// Lets everything leave the queue whose turn came by now.
    pub fn handle_timeout(&mut self, now: Instant) {
        while !self.sharing.is_shared && self.queue.frames() > 0 {
            let start = self.next_start();
            if start > now {
                break;
            }
            if let Some(frame) = self.queue.pop(start, &mut self.books) {
                self.send(start, frame);
            }
        }
    }

    /// Frames, and bytes, that wait in the queue.
    pub fn queue(&self) -> (usize, usize) {
        (self.queue.frames(), self.queue.bytes())
    }

    /// What became of the frames so far.
    pub fn counters(&self) -> Counters {
        let mut counters = self.books.counters;
        counters.travelling += self.sharing.held as u64;
        counters
    }

    /// Why a frame does not even come to the queue.
    fn refusal(&self, now: Instant, frame: &[u8]) -> Option<Lost> {
        let Impairments { mtu, schedule, .. } = &self.impairments;
        let longest = |mtu: u16| self.path.framing().header() + usize::from(mtu);
        if self.is_cut {
            Some(Lost::Cut)
        } else if mtu.is_some_and(|mtu| frame.len() > longest(mtu)) {
            Some(Lost::TooLong)
        } else if schedule.is_some_and(|schedule| !schedule.waits && !schedule.is_on(now)) {
            Some(Lost::Off)
        } else {
            None
        }
    }

    /// When the next frame of the queue can set out.
    fn next_start(&self) -> Instant {
        self.next_on(self.busy.max(self.ready))
    }

    /// A frame sets out at `start`.
    fn send(&mut self, start: Instant, frame: Bytes) {
        if start > self.busy {
            self.carried = 0;
        }
        let bits = frame.len() as u64 * 8;
        let takes = self.impairments.rate.map(|rate| rate.time_after(bits, &mut self.carried));
        self.busy = takes.map_or(start, |takes| start + takes);
        self.launch(self.busy, frame);
    }
}

impl fmt::Debug for Direction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Direction({}, {:?})", self.impairments, self.counters())
    }
}

/// What a medium needs that two directions share.
impl Direction {
    pub(super) const fn share(&mut self, is_shared: bool) {
        self.sharing.is_shared = is_shared;
    }

    /// Since when the first frame of the queue is there.
    pub(super) fn ready(&self) -> Option<Instant> {
        (self.queue.frames() > 0).then_some(self.ready)
    }

    /// The first moment from `instant` on when the link works.
    pub(super) fn next_on(&self, instant: Instant) -> Instant {
        self.impairments.schedule.map_or(instant, |schedule| schedule.next_on(instant))
    }

    /// The frame whose turn it is.
    pub(super) fn take(&mut self, now: Instant) -> Option<Bytes> {
        self.queue.pop(now, &mut self.books)
    }

    /// How long a frame of so many bytes takes to be sent.
    pub(super) fn time_for(&self, bytes: usize) -> Duration {
        self.impairments.rate.map_or(Duration::ZERO, |rate| rate.time_for(bytes as u64 * 8))
    }

    /// A frame is on the wire, whose last bit leaves at `sent`.
    pub(super) fn launch(&mut self, sent: Instant, frame: Bytes) {
        if self.is_cut {
            return self.books.lose(frame, Lost::Cut);
        }
        self.path.launch(sent, frame, &self.impairments, &mut self.books);
    }

    /// A frame comes that is not even looked at.
    pub(super) fn refuse(&mut self, frame: Bytes, cause: Lost) {
        self.books.offered(&frame);
        self.books.lose(frame, cause);
    }

    pub(super) fn lose(&mut self, frame: Bytes, cause: Lost) {
        self.books.lose(frame, cause);
    }

    /// So many frames are out of the queue and not through.
    pub(super) const fn hold(&mut self, frames: usize) {
        self.sharing.held = frames;
    }

    /// A frame has collided. How long to back off, in slots out of `range`.
    pub(super) fn collide(&mut self, range: u64) -> u64 {
        self.books.counters.collisions += 1;
        self.sharing.back_off.below(range)
    }
}
