//! The protocol as a value: bytes and the time go in, messages and bytes come out.
//!
//! Nothing here reads a clock or touches a socket. A driver, such as [`WebSocket`](crate::WebSocket), does this:
//!
//! - what the peer sent goes into [`Protocol::receive`], the stream's end into [`Protocol::receive_end`];
//! - what [`Protocol::transmit`] shows is written, and [`Protocol::advance`] told how much of it was;
//! - once [`Protocol::wants_shutdown`], our direction of the stream is ended;
//! - at [`Protocol::poll_timeout`], [`Protocol::handle_timeout`] is called;
//! - once [`Protocol::end`] says so, it is over.

pub(crate) mod frame;
mod inbox;
mod mask;
mod outbox;
mod queue;
mod simd;
mod utf8;

use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::buf::Limit;
use host::{Instant, Random};

use crate::deflate::Agreed;
use crate::{CloseCode, Counters, End, Fault, Keepalive, Kind, Limits, Outgoing, Refused, Role, Timeout};
use inbox::{Busy, Inbox, Progress, Surroundings};
pub use outbox::Outbox;
use queue::Queue;

/// What a transport that was blocked must take, in bytes, to count as one that is not.
const PROGRESS: usize = 4 << 10;

/// What is done with what comes in.
///
/// A closure that takes what [`message`](Self::message) takes is a handler, too.
pub trait Handler {
    /// Whether it sends anything in answer. One that never does is handed what comes also while more than
    /// [`Limits::high_water_bytes`] wait to be sent.
    const ANSWERS: bool = true;

    /// A message begins: what is returned decides how it is handed on.
    #[inline]
    fn begin(&mut self, begun: &Begun) -> Intake {
        let _ = begun;
        Intake::Whole
    }

    /// The next piece of a message that is taken in [`Intake::Pieces`]: what has come, as it comes, also inside a frame.
    /// Text is valid so far; a piece may end in the middle of a character.
    fn piece(&mut self, piece: Piece<'_>, out: &mut Outbox) {
        let _ = (piece, out);
    }

    /// A whole message. `payload` is lent for the call; when `kind` is text, it is valid UTF-8. What is sent to `out`
    /// leaves together, once all input at hand is handled.
    fn message(&mut self, kind: Kind, payload: &[u8], out: &mut Outbox);

    /// A whole message that had to be assembled, because it came in pieces or compressed: the payload may be taken.
    fn assembled(&mut self, kind: Kind, payload: &mut Vec<u8>, out: &mut Outbox) {
        self.message(kind, payload, out);
    }

    /// A ping, which was answered already.
    fn ping(&mut self, payload: &[u8]) {
        let _ = payload;
    }

    /// A pong, asked for or not.
    fn pong(&mut self, payload: &[u8]) {
        let _ = payload;
    }
}

impl<F: FnMut(Kind, &[u8], &mut Outbox)> Handler for F {
    fn message(&mut self, kind: Kind, payload: &[u8], out: &mut Outbox) {
        self(kind, payload, out);
    }
}

/// What the first frame of a message tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// What its bytes are.
    pub kind: Kind,
    /// Whether it is compressed.
    pub compressed: bool,
    /// Bytes of its payload, when it is announced: in one frame, and not compressed.
    pub len: Option<u64>,
}

/// How a message is handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// Whole, within [`Limits::message_bytes`].
    Whole,
    /// As it comes, by [`Handler::piece`]; nothing is assembled.
    Pieces {
        /// The most bytes that it may have, inflated. Checked when a frame's header is read, and while it inflates; beyond
        /// it the connection is closed with 1009. It takes the place of [`Limits::message_bytes`] and
        /// [`Limits::frame_bytes`].
        most_bytes: u64,
    },
}

/// A part of a message, lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// What the message's bytes are.
    pub kind: Kind,
    /// The bytes; there are none only in a last piece.
    pub bytes: &'a [u8],
    /// Whether the message ends with it. When closing begins in the middle of a message, its last piece never comes.
    pub is_last: bool,
}

/// One end of a WebSocket connection, after the handshake (RFC 6455, with RFC 7692 where it was agreed).
pub struct Protocol {
    role: Role,
    limits: Arc<Limits>,
    inbox: Inbox,
    outbox: Outbox,
    /// How the connection ends, once that is decided.
    conclusion: Option<End>,
    /// Why nothing can be written any more.
    write_failure: Option<io::ErrorKind>,
    our_end_sent: bool,
    peer_end_received: bool,
    /// Nothing more is to be waited for.
    over: bool,
    /// By when closing must be done.
    closing_until: Option<Instant>,
    /// Since when the transport has taken too little, and how much.
    blocked_since: Option<Instant>,
    taken_since: usize,
    heard: Instant,
    keepalive_due: Option<Instant>,
    /// When the ping went out whose answer is waited for.
    pinged: Option<Instant>,
    stalls: u64,
}

/// Buffers that a driver lends while a batch of input is handled, so that small messages cost no allocation and an idle
/// connection holds no memory.
#[derive(Default)]
pub struct Scratch {
    inbox: Option<Box<Busy>>,
    queue: Option<Box<Queue>>,
}

impl Protocol {
    /// The accepting end, from `now` on.
    pub fn server(now: Instant, limits: impl Into<Arc<Limits>>, deflate: Option<&Agreed>) -> Self {
        Self::new(Role::Server, now, limits.into(), deflate, None)
    }

    /// The connecting end, from `now` on. Masking keys are drawn from `keys`, which must be unpredictable (section
    /// 10.3).
    pub fn client(
        now: Instant,
        limits: impl Into<Arc<Limits>>,
        deflate: Option<&Agreed>,
        keys: Random,
    ) -> Self {
        Self::new(Role::Client, now, limits.into(), deflate, Some(keys))
    }

    fn new(
        role: Role,
        now: Instant,
        limits: Arc<Limits>,
        deflate: Option<&Agreed>,
        keys: Option<Random>,
    ) -> Self {
        Self {
            role,
            inbox: Inbox::new(role, &limits, deflate),
            outbox: Outbox::new(role, limits.clone(), keys, deflate),
            conclusion: None,
            write_failure: None,
            our_end_sent: false,
            peer_end_received: false,
            over: false,
            closing_until: None,
            blocked_since: None,
            taken_since: 0,
            heard: now,
            keepalive_due: limits.keepalive.map(|keepalive| now + keepalive.interval),
            pinged: None,
            stalls: 0,
            limits,
        }
    }

    /// Takes bytes that the peer sent, cut anywhere, and hands what they complete to `handler`. They are unmasked where
    /// they lie.
    ///
    /// The result says how many bytes were taken: all of them, unless [`is_choked`](Self::is_choked) became true on the
    /// way. Then the rest must come again, before anything else, once it is false.
    pub fn receive(&mut self, now: Instant, bytes: &mut [u8], handler: &mut impl Handler) -> usize {
        self.heard = now;
        self.handle_timeout(now);
        let len = bytes.len();
        if self.conclusion.is_some() {
            return len;
        }
        let mut taken = len;
        let mut around = Surroundings { now, limits: &self.limits, outbox: &mut self.outbox, handler };
        match self.inbox.receive(bytes, &mut around) {
            Ok(Progress::Taken) => {}
            Ok(Progress::Choked(left)) => taken -= left,
            Ok(Progress::Closed(closed)) => {
                self.conclusion = Some(match self.outbox.closing() {
                    Some(ours) => End::ClosedByUs { code: ours.code, reason: ours.reason.clone() },
                    None => End::ClosedByPeer { code: closed.code, reason: closed.reason },
                });
                self.outbox.close_frame(closed.code, "");
                self.inbox.forget();
            }
            Err(fault) => self.fault(fault),
        }
        self.note_closing(now);
        taken
    }

    /// Where the rest of a large message is best read to, when one is coming in: bytes that are appended there, and
    /// announced by [`received`](Self::received) before anything else happens, need not be copied.
    pub fn destination(&mut self) -> Option<Limit<&mut Vec<u8>>> {
        if self.conclusion.is_some() || self.outbox.is_closing() {
            return None;
        }
        self.inbox.destination()
    }

    /// Takes `len` bytes, at least one, that were read to the [`destination`](Self::destination).
    pub fn received(&mut self, now: Instant, len: usize, handler: &mut impl Handler) {
        self.heard = now;
        let mut around = Surroundings { now, limits: &self.limits, outbox: &mut self.outbox, handler };
        if let Err(fault) = self.inbox.received(len, &mut around) {
            self.fault(fault);
        }
        self.handle_timeout(now);
    }

    /// The peer ended its direction of the stream.
    pub fn receive_end(&mut self) {
        self.peer_end_received = true;
        if self.conclusion.is_none() {
            let end = self.write_failure.map_or(End::EndOfStream, End::Transport);
            self.conclude(end);
        }
    }

    /// Whether the peer ended its direction of the stream.
    pub fn peer_has_ended(&self) -> bool {
        self.peer_end_received
    }

    /// Reading failed: the connection is over.
    pub fn receive_failed(&mut self, kind: io::ErrorKind) {
        self.conclude(End::Transport(kind));
    }

    /// Queues a message behind what waits already.
    ///
    /// # Errors
    ///
    /// As [`Outbox::send`].
    pub fn send<'a>(&mut self, message: impl Into<Outgoing<'a>>) -> Result<(), Refused> {
        self.outbox.send(message)
    }

    /// Queues a ping: [`Outbox::ping`]. From `now` on its answer is timed: [`Counters::round_trip`].
    pub fn ping(&mut self, now: Instant, payload: &[u8]) {
        self.outbox.probe(now, payload);
    }

    /// Starts the close handshake: [`Outbox::close`]. From `now` it may take [`Limits::close_timeout`].
    pub fn close(&mut self, now: Instant, code: CloseCode, reason: &str) {
        self.outbox.close(code, reason);
        self.note_closing(now);
    }

    /// What waits to be sent.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Bytes that wait to be sent, frame headers included.
    pub fn queued_bytes(&self) -> usize {
        self.outbox.queued_bytes()
    }

    /// Whether anything can be written now.
    pub fn wants_transmit(&self) -> bool {
        self.outbox.is_ready()
    }

    /// What passed so far.
    pub fn counters(&self) -> Counters {
        Counters {
            received: self.inbox.traffic,
            sent: self.outbox.traffic(),
            dropped: self.outbox.dropped(),
            stalls: self.stalls,
            round_trip: self.outbox.round_trip(),
        }
    }

    /// Fills `slices` with what is to be written next, in order, and says how many of them it filled.
    pub fn transmit<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.transmit_with(&[], slices)
    }

    /// The first `written` bytes of what [`transmit`](Self::transmit) showed were written.
    pub fn advance(&mut self, written: usize) {
        self.outbox.advance(written);
        if self.blocked_since.is_some() {
            self.taken_since += written;
            if self.taken_since >= PROGRESS || !self.outbox.is_ready() {
                self.blocked_since = None;
                self.taken_since = 0;
            }
        }
    }

    /// The transport took nothing of what waits: from the first such `now` on it has [`Limits::write_timeout`].
    pub fn blocked(&mut self, now: Instant) {
        if self.blocked_since.is_none() {
            self.blocked_since = Some(now);
            self.stalls += 1;
        }
    }

    /// Writing failed: nothing more is sent, but the peer's last words are still waited for.
    pub fn write_failed(&mut self, now: Instant, kind: io::ErrorKind) {
        self.outbox.give_up();
        self.write_failure = Some(kind);
        self.blocked_since = None;
        self.note_closing(now);
    }

    /// Whether our direction of the stream is to be ended now. The server ends its direction first, so that it is the
    /// one that waits for stray segments, not the client (section 7.1.1); whoever found a fault does not wait either.
    pub fn wants_shutdown(&self) -> bool {
        let ends_first = self.role == Role::Server || !self.conclusion.as_ref().is_some_and(End::is_clean);
        self.conclusion.is_some()
            && self.outbox.is_empty()
            && (ends_first || self.peer_end_received)
            && !self.our_end_sent
            && self.write_failure.is_none()
            && !self.over
    }

    /// Our direction of the stream was ended.
    pub fn shutdown_done(&mut self) {
        self.our_end_sent = true;
    }

    /// Whether the peer is to be left unread until it has read: more than [`Limits::high_water_bytes`] wait for it.
    pub fn is_choked(&self) -> bool {
        self.outbox.is_choked()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.over {
            return None;
        }
        // Closing may have begun without anybody saying when.
        let unnoted = (self.closing_until.is_none() && self.closing_has_begun()).then_some(Instant::ORIGIN);
        let write = self.blocked_since.map(|since| since + self.limits.write_timeout);
        [unnoted, self.closing_until, write, self.keepalive_due].into_iter().flatten().min()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.over {
            return;
        }
        self.note_closing(now);
        if self.closing_until.is_some_and(|until| until <= now) {
            self.conclude(End::Timeout(Timeout::Close));
        } else if self.blocked_since.is_some_and(|since| since + self.limits.write_timeout <= now) {
            self.conclude(End::Timeout(Timeout::Write));
        } else if self.keepalive_due.is_some_and(|due| due <= now) {
            self.keep_alive(now);
        }
    }

    /// How the connection ended, once it is over. Drop the transport then; abort it if something is still queued.
    pub fn end(&self) -> Option<&End> {
        let nothing_to_send = self.our_end_sent || self.write_failure.is_some();
        let finished = self.peer_end_received && nothing_to_send;
        self.conclusion.as_ref().filter(|_| self.over || finished)
    }

    /// How the connection will end, once closing has begun.
    pub fn expected_end(&self) -> Option<End> {
        self.conclusion.clone().or_else(|| self.write_failure.map(End::Transport)).or_else(|| {
            let ours = self.outbox.closing()?;
            Some(End::ClosedByUs { code: ours.code, reason: ours.reason.clone() })
        })
    }

    /// Ends the connection here and now.
    pub fn abort(&mut self) {
        self.conclude(End::Aborted);
    }

    /// Says that `input`, which is received next, stays where it is until [`settle`](Self::settle): large payloads that are
    /// sent back, wholly or in part, are then written from there.
    pub(crate) fn lend_input(&mut self, input: &[u8]) {
        self.outbox.lend_input(input);
    }

    /// [`transmit`](Self::transmit), while `input` is lent.
    pub(crate) fn transmit_with<'a>(&'a self, input: &'a [u8], slices: &mut [IoSlice<'a>]) -> usize {
        self.outbox.transmit(input, slices)
    }

    /// Copies what still waits of `input`, which was lent.
    pub(crate) fn settle(&mut self, input: &[u8]) {
        self.outbox.settle(input);
    }

    /// Lends `scratch` for the calls to come, until [`reclaim`](Self::reclaim).
    pub fn lend(&mut self, scratch: Scratch) {
        self.inbox.lend(scratch.inbox);
        self.outbox.lend(scratch.queue);
    }

    /// Gives back what was lent, or buffers like it, empty.
    pub fn reclaim(&mut self) -> Scratch {
        Scratch { inbox: self.inbox.reclaim(), queue: self.outbox.reclaim() }
    }

    /// Takes the queue out of `scratch`, when there is none.
    pub(crate) fn lend_queue(&mut self, scratch: &mut Scratch) {
        self.outbox.lend(scratch.queue.take());
    }

    pub(crate) fn holds_queue(&self) -> bool {
        self.outbox.holds_queue()
    }

    /// Ends the connection because of what the peer did.
    pub(crate) fn refuse(&mut self, now: Instant, fault: Fault) {
        if self.conclusion.is_none() {
            self.fault(fault);
            self.note_closing(now);
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    fn fault(&mut self, fault: Fault) {
        self.outbox.close_frame(Some(fault.code()), &fault.to_string());
        self.conclusion = Some(End::Fault(fault));
        self.inbox.forget();
    }

    fn closing_has_begun(&self) -> bool {
        self.outbox.is_closing() || self.conclusion.is_some() || self.write_failure.is_some()
    }

    fn note_closing(&mut self, now: Instant) {
        if self.closing_until.is_none() && self.closing_has_begun() {
            self.closing_until = Some(now + self.limits.close_timeout);
            self.keepalive_due = None;
            if self.outbox.is_cut() {
                self.conclude(End::Aborted);
            }
        }
    }

    /// The connection is over, because of `end` unless something else came first.
    fn conclude(&mut self, end: End) {
        self.conclusion.get_or_insert(end);
        self.over = true;
        self.inbox.forget();
    }

    fn keep_alive(&mut self, now: Instant) {
        let Some(Keepalive { interval, timeout }) = self.limits.keepalive else { return };
        let due = match self.pinged {
            // We are the ones who did not read.
            _ if self.is_choked() => {
                self.pinged = None;
                now + interval
            }
            Some(pinged) if self.heard < pinged => return self.conclude(End::Timeout(Timeout::Keepalive)),
            _ if self.heard + interval > now => {
                self.pinged = None;
                self.heard + interval
            }
            _ => {
                self.outbox.probe(now, &[]);
                self.pinged = Some(now);
                now + timeout
            }
        };
        self.keepalive_due = Some(due);
    }
}

impl Scratch {
    /// Forgets buffers of more than `most` bytes.
    pub fn trim(&mut self, most: usize) {
        if let Some(inbox) = &mut self.inbox {
            inbox.trim(most);
        }
        if let Some(queue) = &mut self.queue {
            queue.trim(most);
        }
    }

    /// Takes what `other` has of what is missing here.
    pub(crate) fn fill(&mut self, other: Self) {
        self.inbox = self.inbox.take().or(other.inbox);
        self.queue = self.queue.take().or(other.queue);
    }
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Scratch").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half_and_rest() -> (Vec<u8>, Vec<u8>) {
        (vec![0x82, 0x80 | 4, 0, 0, 0, 0, 1, 2], vec![3, 4])
    }

    #[test]
    fn what_was_lent_does_not_stay_with_a_message_that_is_not_whole() {
        let mut protocol = Protocol::server(Instant::ORIGIN, Limits::default(), None);
        let mut whole = Vec::new();
        let mut handler = |_: Kind, payload: &[u8], _: &mut Outbox| whole.push(payload.to_vec());
        protocol.lend(Scratch::default());
        let (mut half, mut rest) = half_and_rest();
        protocol.receive(Instant::ORIGIN, &mut half, &mut handler);
        assert!(protocol.reclaim().inbox.is_none());
        protocol.receive(Instant::ORIGIN, &mut rest, &mut handler);
        let scratch = protocol.reclaim();
        assert!(scratch.inbox.is_some());

        // The other way round: a buffer that is there already is not held by a message that has its own.
        let mut large = vec![0x82, 0xFE, 0x27, 0x10, 0, 0, 0, 0];
        large.resize(large.len() + 9_999, 7);
        protocol.lend(scratch);
        protocol.receive(Instant::ORIGIN, &mut large.clone(), &mut handler);
        protocol.receive(Instant::ORIGIN, &mut [7], &mut handler);
        protocol.lend(protocol_scratch(100_000));
        protocol.receive(Instant::ORIGIN, &mut large, &mut handler);
        let scratch = protocol.reclaim();
        protocol.receive(Instant::ORIGIN, &mut [7], &mut handler);
        assert_eq!(whole, [vec![1, 2, 3, 4], vec![7; 10_000], vec![7; 10_000]]);
        drop(scratch);
    }

    fn protocol_scratch(queue: usize) -> Scratch {
        let mut scratch = Scratch { inbox: Some(Box::default()), queue: Some(Box::default()) };
        scratch.trim(queue);
        scratch
    }

    #[test]
    fn an_idle_end_is_small_and_holds_nothing() {
        let mut protocol = Protocol::server(Instant::ORIGIN, Limits::default(), None);
        let mut handler = |kind: Kind, payload: &[u8], out: &mut Outbox| out.send((kind, payload)).unwrap();
        let (half, rest) = half_and_rest();
        protocol.receive(Instant::ORIGIN, &mut [half, rest].concat(), &mut handler);
        protocol.advance(protocol.queued_bytes());
        let lent = protocol.reclaim();
        assert!(lent.inbox.is_some() && lent.queue.is_some());
        let again = protocol.reclaim();
        assert!(again.inbox.is_none() && again.queue.is_none());
        // Of that, 64 are counters, and 72 deadlines.
        assert!(size_of::<Protocol>() <= 328, "{}", size_of::<Protocol>());
    }
}
