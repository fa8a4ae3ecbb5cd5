//! One direction of a link, as a value.

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
    /// The first frame in the queue was not there before.
    ready: Instant,
    path: Path,
    books: Books,
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
            ready: Instant::ORIGIN,
            path: Path::new(framing, &mut stream),
            books: Books::default(),
            impairments,
        }
    }

    /// What happens to frames.
    pub fn impairments(&self) -> &Impairments {
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
        self.impairments = impairments;
        self.handle_timeout(now);
    }

    /// Cuts the link, or heals it. What is on the wire still arrives; while it is cut, all else is lost.
    pub fn cut(&mut self, cut: bool) {
        self.is_cut = cut;
    }

    /// The sender puts a frame onto the link.
    pub fn offer(&mut self, now: Instant, frame: Bytes) {
        self.handle_timeout(now);
        let counters = &mut self.books.counters;
        counters.offered += 1;
        counters.offered_bytes += frame.len() as u64;
        if let Some(cause) = self.refusal(now, &frame) {
            return self.books.lose(frame, cause);
        }
        if self.queue.frames() == 0 {
            self.ready = now;
            if self.next_start() == now {
                // The wire is free: even a queue without any room lets it through.
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

    /// When something happens next: a frame arrives, or one leaves the queue. `None` while nothing is under way.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let start = (self.queue.frames() > 0).then(|| self.next_start());
        [start, self.path.next_arrival()].into_iter().flatten().min()
    }

    /// Lets everything leave the queue whose turn came by now.
    pub fn handle_timeout(&mut self, now: Instant) {
        while self.queue.frames() > 0 {
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
        self.books.counters
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
        let free = self.busy.max(self.ready);
        self.impairments.schedule.map_or(free, |schedule| schedule.next_on(free))
    }

    /// A frame sets out at `start`.
    fn send(&mut self, start: Instant, frame: Bytes) {
        let takes = self.impairments.rate.map(|rate| rate.time_for(frame.len() as u64 * 8));
        self.busy = takes.map_or(start, |takes| start + takes);
        if self.is_cut {
            return self.books.lose(frame, Lost::Cut);
        }
        self.path.launch(self.busy, frame, &self.impairments, &mut self.books);
    }
}
