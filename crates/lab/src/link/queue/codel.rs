//! CoDel (RFC 8289): a queue may be long for a moment but not for long. Once every frame of an interval has waited longer
//! than the target, frames are given up at the head, at a pace that grows until the wait is short again.

use std::time::Duration;

use host::Instant;

use super::Waiting;
use super::fifo::Fifo;
use crate::link::counters::Books;
use crate::link::ecn;
use crate::link::impairments::{Framing, Lost};
use crate::units::Limit;

/// The settings of CoDel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codel {
    /// How long frames may wait without end. 5 ms (RFC 8289 section 4.3).
    pub target: Duration,
    /// How long they may wait longer than that: a round trip of the slowest flows that matter. 100 ms (RFC 8289 section
    /// 4.2).
    pub interval: Duration,
    /// How much may wait at all; what comes on top is lost. 1,000 packets.
    pub limit: Limit,
    /// Frames that take part in congestion notification are marked instead of given up. Off.
    pub ecn: bool,
}

impl Default for Codel {
    fn default() -> Self {
        Self {
            target: Duration::from_millis(5),
            interval: Duration::from_millis(100),
            limit: Limit::Packets(1_000),
            ecn: false,
        }
    }
}

/// A queue with CoDel at its head.
pub(in crate::link) struct CodelQueue {
    settings: Codel,
    framing: Framing,
    pub(super) fifo: Fifo,
    control: Control,
}

impl CodelQueue {
    pub(super) fn new(settings: Codel, framing: Framing) -> Self {
        Self { settings, framing, fifo: Fifo::default(), control: Control::default() }
    }

    pub(super) fn push(&mut self, waiting: Waiting, books: &mut Books) {
        if self.settings.limit.has_room_for(waiting.frame.len(), self.fifo.frames(), self.fifo.bytes()) {
            self.control.arrive(&waiting);
            self.fifo.push(waiting);
        } else {
            books.lose(waiting.frame, Lost::Full);
        }
    }

    pub(super) fn pop(&mut self, now: Instant, books: &mut Books) -> Option<Waiting> {
        self.control.dequeue(now, &mut self.fifo, &self.settings, self.framing, books)
    }
}

/// The state of CoDel at the head of one queue, by the names of RFC 8289 section 5.
#[derive(Default)]
pub(super) struct Control {
    /// When frames will have waited too long for an interval; `None` while they do not.
    first_above_time: Option<Instant>,
    /// When the next frame is given up.
    drop_next: Instant,
    /// Frames given up since the pace was last slow.
    count: u32,
    /// What that was when the queue was last found bad.
    last_count: u32,
    dropping: bool,
    /// The longest frame so far: a queue with no more than that in it is no bad one.
    max_packet: usize,
}

impl Control {
    pub(super) fn arrive(&mut self, waiting: &Waiting) {
        self.max_packet = self.max_packet.max(waiting.frame.len());
    }

    /// The next frame at `now`, after those that are given up.
    pub(super) fn dequeue(
        &mut self,
        now: Instant,
        fifo: &mut Fifo,
        settings: &Codel,
        framing: Framing,
        books: &mut Books,
    ) -> Option<Waiting> {
        let (mut next, mut ok_to_drop) = self.do_dequeue(now, fifo, settings);
        if !self.dropping {
            if !ok_to_drop {
                return next;
            }
            let (kept, marked) = give_up(next?, settings, framing, books);
            next = if marked { kept } else { self.do_dequeue(now, fifo, settings).0 };
            self.dropping = true;
            // Not long after the last time the pace that was needed then is a good beginning.
            let delta = self.count.saturating_sub(self.last_count);
            let is_recent = now.since(self.drop_next) < settings.interval * 16;
            self.count = if delta > 1 && is_recent { delta } else { 1 };
            self.last_count = self.count;
            self.drop_next = control_law(now, settings.interval, self.count);
            return next;
        }
        while ok_to_drop && now >= self.drop_next {
            let (kept, marked) = give_up(next?, settings, framing, books);
            self.count = self.count.saturating_add(1);
            if marked {
                self.drop_next = control_law(self.drop_next, settings.interval, self.count);
                return kept;
            }
            (next, ok_to_drop) = self.do_dequeue(now, fifo, settings);
            if ok_to_drop {
                self.drop_next = control_law(self.drop_next, settings.interval, self.count);
            }
        }
        self.dropping = ok_to_drop;
        next
    }

    /// The frame at the head, and whether frames have waited too long for an interval.
    fn do_dequeue(&mut self, now: Instant, fifo: &mut Fifo, settings: &Codel) -> (Option<Waiting>, bool) {
        let Some(waiting) = fifo.pop() else {
            self.first_above_time = None;
            return (None, false);
        };
        if now.since(waiting.since) < settings.target || fifo.bytes() <= self.max_packet {
            self.first_above_time = None;
            return (Some(waiting), false);
        }
        let due = *self.first_above_time.get_or_insert(now + settings.interval);
        (Some(waiting), now >= due)
    }
}

/// Marks a frame, or loses it. The frame, and whether it was marked.
fn give_up(
    mut waiting: Waiting,
    settings: &Codel,
    framing: Framing,
    books: &mut Books,
) -> (Option<Waiting>, bool) {
    let marked = if settings.ecn { ecn::mark(framing, waiting.frame) } else { Err(waiting.frame) };
    match marked {
        Ok(frame) => {
            books.counters.marked += 1;
            waiting.frame = frame;
            (Some(waiting), true)
        }
        Err(frame) => {
            books.lose(frame, Lost::Stale);
            (None, false)
        }
    }
}

/// An interval shorter for each frame that was given up: by the square root of their number, so that TCP's rate falls in
/// proportion to them (RFC 8289 section 5.5).
fn control_law(from: Instant, interval: Duration, count: u32) -> Instant {
    // i / sqrt(n) is sqrt(i² / n), which integers can do.
    let square = interval.as_nanos().saturating_mul(interval.as_nanos()) / u128::from(count.max(1));
    from + Duration::from_nanos(u64::try_from(square.isqrt()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const LENGTH: usize = 1_500;

    /// A queue in which all frames have waited for `wait`, asked for one each millisecond: when frames were given up, in
    /// milliseconds.
    fn overload(settings: Codel, wait: Duration, millis: u64, frame: &Bytes) -> (Vec<u64>, Books) {
        let mut queue = CodelQueue::new(settings, Framing::Ip);
        let mut books = Books::default();
        let mut given_up = Vec::new();
        let start = Instant::ORIGIN + Duration::from_secs(1);
        for now in 0..millis {
            let now = start + Duration::from_millis(now);
            fill(&mut queue, now - wait, frame, &mut books);
            queue.pop(now, &mut books);
            let counters = books.counters;
            let so_far = counters.lost(Lost::Stale) + counters.marked;
            given_up.resize(so_far as usize, now.since(start).as_millis() as u64);
        }
        (given_up, books)
    }

    fn fill(queue: &mut CodelQueue, since: Instant, frame: &Bytes, books: &mut Books) {
        queue.fifo.drain().for_each(drop);
        (0..9).for_each(|_| queue.push(Waiting { since, frame: frame.clone() }, books));
    }

    #[test]
    fn frames_are_given_up_at_a_pace_that_grows_with_the_square_root() {
        let frame = Bytes::from(vec![0; LENGTH]);
        let (given_up, _) = overload(Codel::default(), Duration::from_millis(6), 700, &frame);
        // The first after a whole interval above the target; then 100 ms / sqrt(n) after the one before.
        let mut expected = vec![100];
        let mut next = 100.0;
        for count in 1.. {
            next += 100.0 / f64::from(count).sqrt();
            if next > 699.0 {
                break;
            }
            expected.push(f64::ceil(next) as u64);
        }
        assert_eq!(given_up, expected);
    }

    #[test]
    fn short_waits_and_a_lone_frame_are_left_alone() {
        let frame = Bytes::from(vec![0; LENGTH]);
        let (given_up, _) = overload(Codel::default(), Duration::from_micros(4_999), 2_000, &frame);
        assert_eq!(given_up, []);
        let mut queue = CodelQueue::new(Codel::default(), Framing::Ip);
        let mut books = Books::default();
        for second in 1..20 {
            let now = Instant::ORIGIN + Duration::from_secs(second);
            queue.push(Waiting { since: now - Duration::from_secs(1), frame: frame.clone() }, &mut books);
            assert!(queue.pop(now, &mut books).is_some(), "no more than one packet is no bad queue");
        }
    }

    #[test]
    fn a_queue_that_turns_bad_again_soon_is_met_at_the_pace_that_it_needed() {
        let mut queue = CodelQueue::new(Codel::default(), Framing::Ip);
        let mut books = Books::default();
        let mut now = Instant::ORIGIN + Duration::from_secs(1);
        let frame = Bytes::from(vec![0; LENGTH]);
        let mut run = |wait: u64, millis: u64, books: &mut Books| {
            let before = books.counters.lost(Lost::Stale);
            for _ in 0..millis {
                now += Duration::from_millis(1);
                fill(&mut queue, now - Duration::from_millis(wait), &frame, books);
                queue.pop(now, books);
            }
            books.counters.lost(Lost::Stale) - before
        };
        let first = run(20, 1_000, &mut books);
        run(1, 200, &mut books);
        let again = run(20, 1_000, &mut books);
        assert!(again > first, "{first} before, {again} after a short rest");
        run(1, 5_000, &mut books); // more than sixteen intervals
        let rested = run(20, 1_000, &mut books);
        assert!(rested.abs_diff(first) <= 1, "{first} at first, {rested} after a long rest");
    }

    #[test]
    fn what_takes_part_is_marked_and_arrives() {
        let mut packet = vec![0; 60];
        wire::ipv6::Header {
            traffic_class: 0b10,
            flow_label: 0,
            next_header: wire::Protocol::UDP,
            hop_limit: 64,
            source: "fd00::1".parse().unwrap(),
            destination: "fd00::2".parse().unwrap(),
        }
        .emit(&mut packet, 20);
        let settings = Codel { ecn: true, ..Codel::default() };
        let (marked, books) = overload(settings, Duration::from_millis(6), 700, &packet.into());
        assert_eq!((books.counters.marked, books.counters.lost(Lost::Stale)), (marked.len() as u64, 0));
        assert_eq!(marked[..3], [100, 200, 271]);
    }
}
