//! The peer's direction of a connection: what came, and how much more may come.

use std::time::Duration;

use host::Instant;
use trace::Why;
use wire::tcp::{Header, SackBlock, SackBlocks, SeqNumber, Timestamps};

use super::assembler::{Assembler, Inserted};
use super::buffer::Ring;
use super::face::{Negotiated, Opening, Settings, Shortage};

/// An acknowledgment may wait this long (RFC 9293 section 3.8.6.3 allows 500 ms).
const DELAYED_ACK: Duration = Duration::from_millis(40);

/// Segments that are acknowledged at once, so that the peer's slow start is not held up.
const QUICK: u8 = 16;

/// A full segment has at least this many bytes (RFC 9293 section 3.7.1).
const SMALLEST_FULL: u32 = 536;

/// A peer's clock that stood still this long says nothing (RFC 7323 section 5.5).
const OUTDATED: Duration = Duration::from_secs(24 * 86_400);

#[derive(Debug)]
pub(super) struct Receiving {
    ring: Ring,
    /// Bytes at the front of `ring` that are in order.
    ready: usize,
    waiting: Assembler,
    /// Of the peer's SYN.
    pub(super) initial: SeqNumber,
    /// RCV.NXT.
    pub(super) next: SeqNumber,
    /// The end of the window as it was offered, at its furthest.
    edge: SeqNumber,
    /// By how many bits our windows are shifted.
    scale: u8,
    /// Whether both sides scale their windows.
    pub(super) scales: bool,
    limit: u32,
    max_limit: u32,
    /// Where the stream ends, once that is known.
    end: Option<SeqNumber>,
    pub(super) ack: Ack,
    quick: u8,
    /// Bytes since the last acknowledgment.
    unacknowledged: u32,
    /// The largest payload that we take, and the largest that came: what the peer's full segments have.
    segment: u32,
    full: u32,
    pub(super) sack: bool,
    duplicate: Option<SackBlock>,
    /// The peer's clock (TS.Recent), and when it was seen.
    pub(super) clock: Option<(u32, Instant)>,
    last_ack: SeqNumber,
    tuning: Tuning,
    /// What there was no memory for.
    pub(super) shortage: Shortage,
}

/// Whether an acknowledgment is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ack {
    None,
    Delayed(Instant),
    Now(Why),
}

/// Whether the window is what holds the peer back.
#[derive(Clone, Copy, Debug)]
struct Tuning {
    since: Instant,
    read: u32,
}

/// What became of a payload.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Received {
    /// There is more to read.
    pub(super) readable: bool,
    /// All up to the FIN has come, just now.
    pub(super) finished: bool,
}

impl Receiving {
    pub(super) fn new(now: Instant, initial: SeqNumber, agreed: &Negotiated, opening: &Opening) -> Self {
        let settings = &opening.settings;
        let segment = u32::from(opening.max_segment_size);
        let max_limit = max_window(settings);
        let scale = if agreed.window_scale.is_some() { scale(settings) } else { 0 };
        let max_limit = if agreed.window_scale.is_some() { max_limit } else { max_limit.min(65_535) };
        let limit = first_window(opening);
        let next = initial + 1;
        Self {
            ring: Ring::default(),
            ready: 0,
            waiting: Assembler::default(),
            initial,
            next,
            edge: next + limit,
            scale,
            scales: agreed.window_scale.is_some(),
            limit,
            max_limit,
            end: None,
            ack: Ack::None,
            quick: QUICK,
            unacknowledged: 0,
            segment,
            full: segment.min(SMALLEST_FULL),
            sack: agreed.sack,
            duplicate: None,
            clock: agreed.timestamps.map(|value| (value, now)),
            last_ack: next,
            tuning: Tuning { since: now, read: 0 },
            shortage: Shortage::default(),
        }
    }

    /// RCV.WND as the peer knows it.
    pub(super) fn window(&self) -> u32 {
        self.edge.since(self.next)
    }

    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    pub(super) fn memory(&self) -> usize {
        self.ring.memory()
    }

    pub(super) fn out_of_order(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes that can be read.
    pub(super) fn ready(&self) -> usize {
        self.ready
    }

    /// Whether all of the stream came.
    pub(super) fn is_complete(&self) -> bool {
        self.end.is_some_and(|end| self.next.is_after(end))
    }

    /// Whether a segment of `len` numbers from `sequence` on is acceptable (RFC 9293 section 3.10.7.4, table 6).
    pub(super) fn accepts(&self, sequence: SeqNumber, len: u32) -> bool {
        let window = self.window();
        match (len, window) {
            (0, 0) => sequence == self.next,
            (0, _) => sequence.is_within(self.next, window),
            (_, 0) => false,
            _ => {
                sequence.is_within(self.next, window)
                    || (sequence + (len - 1)).is_within(self.next, window)
                    || sequence.is_before(self.next) && (sequence + (len - 1)).is_after(self.edge)
            }
        }
    }

    /// Whether the peer's clock went back (PAWS; RFC 7323 section 5).
    pub(super) fn is_old(&self, now: Instant, timestamps: Timestamps) -> bool {
        self.clock.is_some_and(|(recent, seen)| {
            SeqNumber(timestamps.value).is_before(SeqNumber(recent)) && now.since(seen) < OUTDATED
        })
    }

    /// Takes the peer's clock from an acceptable segment (RFC 7323 section 4.3).
    pub(super) fn note_clock(&mut self, now: Instant, header: &Header) {
        if let (Some((recent, _)), Some(timestamps)) = (self.clock, header.options.timestamps)
            && !header.sequence.is_after(self.last_ack)
        {
            let newer = !SeqNumber(timestamps.value).is_before(SeqNumber(recent));
            if newer || self.is_outdated(now) {
                self.clock = Some((timestamps.value, now));
            }
        }
    }

    fn is_outdated(&self, now: Instant) -> bool {
        self.clock.is_some_and(|(_, seen)| now.since(seen) >= OUTDATED)
    }

    /// Bytes came again: the peer is told which (RFC 2883).
    pub(super) fn note_duplicate(&mut self, sequence: SeqNumber, len: u32) {
        if len > 0 && !(sequence + len).is_after(self.next) {
            self.duplicate = Some(SackBlock { start: sequence, end: sequence + len });
        }
    }

    /// Takes the payload, and the FIN, of an acceptable segment, and at most `room` bytes of memory more. What was not
    /// acknowledged need not be kept: first what is out of order goes when there is no memory, then all.
    pub(super) fn take(
        &mut self,
        now: Instant,
        sequence: SeqNumber,
        payload: &[u8],
        fin: bool,
        room: usize,
    ) -> Received {
        let mut received = Received::default();
        let stop = sequence + payload.len() as u32;
        if self.is_complete() {
            self.acknowledge_now(Why::Acknowledgment);
            return received;
        }
        if fin && self.end.is_none() && !self.waiting.reaches_beyond(stop) && !stop.is_after(self.edge) {
            self.end = Some(stop);
        }
        let limit = self.end.map_or(self.edge, |end| end.earlier(self.edge));
        let (from, to) = (sequence.later(self.next), stop.earlier(limit));
        if !payload.is_empty() && sequence.is_before(self.next) {
            let end = stop.earlier(self.next);
            self.duplicate = Some(SackBlock { start: sequence, end });
        }
        if from.is_before(to) {
            let bytes = &payload[from.since(sequence) as usize..to.since(sequence) as usize];
            self.place(now, from, bytes, room, &mut received);
        } else if !payload.is_empty() {
            self.acknowledge_now(Why::Acknowledgment);
        }
        if self.end == Some(self.next) {
            self.next += 1;
            self.edge = self.edge.later(self.next);
            received.finished = true;
            self.acknowledge_now(Why::Acknowledgment);
        } else if fin {
            self.acknowledge_now(Why::Acknowledgment);
        }
        received
    }

    fn place(&mut self, now: Instant, from: SeqNumber, bytes: &[u8], room: usize, received: &mut Received) {
        let at = self.ready + from.since(self.next) as usize;
        let fits = bytes.len().min(self.ring.holds(room).saturating_sub(at));
        if from == self.next {
            self.shortage.in_order += u32::from(fits < bytes.len());
            if fits == 0 {
                return self.acknowledge_now(Why::Acknowledgment);
            }
            let (bytes, to) = (&bytes[..fits], from + fits as u32);
            self.ring.put(at, bytes, room);
            let gaps = !self.waiting.is_empty();
            let next = self.waiting.advance(to);
            self.ready += next.since(self.next) as usize;
            self.next = next;
            received.readable = true;
            self.acknowledge_in_order(now, bytes.len() as u32, gaps);
            return;
        }
        let to = from + bytes.len() as u32;
        if fits < bytes.len() {
            self.shortage.out_of_order += 1;
        } else {
            match self.waiting.insert(from, to) {
                Inserted::New => self.ring.put(at, bytes, room),
                Inserted::Known => self.duplicate = Some(SackBlock { start: from, end: to }),
                Inserted::Refused => {}
            }
        }
        self.quick = QUICK;
        self.acknowledge_now(Why::Acknowledgment);
    }

    /// Every second full segment is acknowledged at once (RFC 5681 section 4.2), and all while gaps are filled.
    fn acknowledge_in_order(&mut self, now: Instant, len: u32, gaps: bool) {
        self.unacknowledged = self.unacknowledged.saturating_add(len);
        self.full = self.full.max(len.min(self.segment));
        if gaps || self.unacknowledged >= 2 * self.full || self.quick > 0 {
            self.quick = self.quick.saturating_sub(1);
            self.acknowledge_now(Why::Acknowledgment);
        } else if self.ack == Ack::None {
            self.ack = Ack::Delayed(now + DELAYED_ACK);
        }
    }

    pub(super) fn acknowledge_now(&mut self, why: Why) {
        if !matches!(self.ack, Ack::Now(_)) {
            self.ack = Ack::Now(why);
        }
    }

    /// Bytes go to the application. `trip` is the time to the peer and back; the window does not grow while memory is
    /// `scarce`. [`note_read`](Self::note_read) follows.
    pub(super) fn read(&mut self, now: Instant, out: &mut [u8], trip: Duration, scarce: bool) -> usize {
        let len = out.len().min(self.ready);
        let [first, second] = self.ring.slices(0, len);
        out[..first.len()].copy_from_slice(first);
        out[first.len()..len].copy_from_slice(second);
        self.ring.consume(len);
        self.ready -= len;
        self.tune(now, len as u32, trip, scarce);
        len
    }

    /// The peer is told when the window has moved on by much since it was told last.
    pub(super) fn note_read(&mut self, room: usize) {
        let held_back = self.limit.min(self.holds(room)) / 2;
        if self.opening(room) >= held_back.clamp(1, 2 * self.segment) && self.window() < self.limit / 2 {
            self.acknowledge_now(Why::Acknowledgment);
        }
    }

    /// Whether only memory keeps the window from having room for a segment.
    pub(super) fn is_starved(&self, room: usize) -> bool {
        let step = self.step(usize::MAX);
        self.window() < step && self.opening(room) < self.step(room) && self.opening(usize::MAX) >= step
    }

    /// There is memory again: the peer is told of the window that it makes.
    pub(super) fn feed(&mut self, room: usize) {
        if self.window() < self.segment && self.opening(room) >= self.step(room) {
            self.acknowledge_now(Why::Acknowledgment);
        }
    }

    /// The window doubles when the application read more than half of it in a round trip (dynamic right-sizing).
    fn tune(&mut self, now: Instant, len: u32, trip: Duration, scarce: bool) {
        self.tuning.read = self.tuning.read.saturating_add(len);
        if self.tuning.read >= self.limit / 2 {
            if now.since(self.tuning.since) <= trip * 2 && self.limit < self.max_limit && !scarce {
                self.limit = self.limit.saturating_mul(2).min(self.max_limit);
            }
            self.tuning = Tuning { since: now, read: 0 };
        } else if now.since(self.tuning.since) > trip * 2 {
            self.tuning = Tuning { since: now, read: 0 };
        }
    }

    /// By how much the window could move on, when `room` bytes of memory more may be taken.
    fn opening(&self, room: usize) -> u32 {
        let target = self.next + self.target(room);
        if self.edge.is_before(target) { target.since(self.edge) } else { 0 }
    }

    /// By how much the window moves on at least (RFC 9293 section 3.8.6.2.2), of the buffer that there is memory for.
    fn step(&self, room: usize) -> u32 {
        (self.limit.min(self.holds(room)) / 2).clamp(1, self.segment)
    }

    /// The window that there would be if none had been offered before.
    fn target(&self, room: usize) -> u32 {
        self.limit.min(self.holds(room)).saturating_sub(self.ready as u32)
    }

    /// Bytes that there is memory for, when `room` more may be taken.
    fn holds(&self, room: usize) -> u32 {
        u32::try_from(self.ring.holds(room)).unwrap_or(u32::MAX)
    }

    /// The window field of a segment that leaves now: the window only moves on by steps worth a segment, and never
    /// back by more than its scaling rounds (RFC 9293 section 3.8.6.2.2; RFC 7323 section 2.4).
    pub(super) fn offer(&mut self, room: usize) -> u16 {
        let unit = (1u32 << self.scale) - 1;
        let opening = self.opening(room);
        let window = if opening >= self.step(room) {
            self.window() + opening
        } else {
            let rounded = self.window() + unit;
            let slack = self.target(room) + unit;
            if rounded <= slack { rounded } else { self.window() }
        };
        let field = (window >> self.scale).min(65_535);
        self.edge = self.edge.later(self.next + (field << self.scale));
        field as u16
    }

    /// An acknowledgment leaves with this segment.
    pub(super) fn on_acknowledged(&mut self) {
        self.ack = Ack::None;
        self.unacknowledged = 0;
        self.last_ack = self.next;
    }

    /// How many blocks SACK tells of at a time.
    fn sack_room(&self) -> usize {
        match (self.sack, self.clock) {
            (false, _) => 0,
            (true, Some(_)) => 3,
            (true, None) => 4,
        }
    }

    /// Bytes that SACK takes of the next segment.
    pub(super) fn sack_len(&self) -> u32 {
        let blocks = usize::from(self.duplicate.is_some()) + self.waiting.len();
        match blocks.min(self.sack_room()) as u32 {
            0 => 0,
            blocks => 4 + 8 * blocks,
        }
    }

    /// What SACK tells; a duplicate comes first (RFC 2883).
    pub(super) fn sack_blocks(&mut self) -> SackBlocks {
        let mut blocks = SackBlocks::default();
        let mut room = self.sack_room();
        if room == 0 {
            return blocks;
        }
        if let Some(duplicate) = self.duplicate.take() {
            blocks.push(duplicate);
            room -= 1;
        }
        self.waiting.blocks(&mut blocks, room);
        blocks
    }
}

/// By how many bits windows are shifted so that `receive_buffer` can be told.
pub(super) fn scale(settings: &Settings) -> u8 {
    (0..14).find(|shift| max_window(settings) >> shift <= 65_535).unwrap_or(14)
}

/// The window of a SYN, which is never scaled.
pub(super) fn first_window(opening: &Opening) -> u32 {
    max_window(&opening.settings).min(u32::from(opening.first_window))
}

fn max_window(settings: &Settings) -> u32 {
    settings.receive_buffer.clamp(2048, 1 << 29) as u32
}
