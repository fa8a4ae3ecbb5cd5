//! What is sent: messages made into frames, and what may wait.

mod backlog;
mod framing;
mod pieces;

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use host::{Instant, Random};

use super::frame::{MAX_CONTROL_LEN, MAX_HEADER_LEN, Opcode};
use super::queue::Queue;
use crate::counters::Traffic;
use crate::deflate::Agreed;
use crate::{Chunk, CloseCode, Limits, Outgoing, Refused, Role, WhenFull};
use backlog::Backlog;
use framing::Deflate;
use pieces::Writing;

/// Pongs that may wait to be sent.
const WAITING_PONGS: usize = 16;

/// Longest reason of a close frame: a control frame's payload less the code.
const MAX_REASON_LEN: usize = MAX_CONTROL_LEN - 2;

/// The frames that wait to be sent, in order, bounded by [`Limits::queued_bytes`].
///
/// Small messages are copied behind one another, so that everything sent while a batch of input is handled leaves in
/// one write. Pings and pongs overtake data at the next frame's beginning. Of pings only the newest waits, of pongs a
/// few more: a pong may answer for the pings before (RFC 6455, section 5.5.3), but peers that count them are easily
/// pleased.
pub struct Outbox {
    role: Role,
    /// Nothing can be sent any more.
    dead: bool,
    /// A frame was ended before its announced length: the connection cannot end well.
    cut: bool,
    /// More than [`Limits::high_water_bytes`] waited, and more than [`Limits::low_water_bytes`] still do.
    choked: bool,
    when_full: WhenFull,
    limits: Arc<Limits>,
    /// A client's masking keys.
    keys: Option<Box<Random>>,
    deflate: Option<Box<Deflate>>,
    /// Only while something waits, or lent.
    queue: Option<Box<Queue>>,
    /// Messages that wait for those before them.
    backlog: Option<Box<Backlog>>,
    closing: Option<Box<Closing>>,
    /// The message that is being sent in pieces.
    writing: Option<Box<Writing>>,
    probe: Option<Box<Probe>>,
    round_trip: Option<Duration>,
    traffic: Traffic,
    dropped: u64,
}

/// What our close frame said.
#[derive(Clone, Debug, Default)]
pub(super) struct Closing {
    pub(super) code: Option<CloseCode>,
    pub(super) reason: Box<str>,
}

/// Our newest ping.
struct Probe {
    sent: Instant,
    payload: Vec<u8>,
}

impl Outbox {
    pub(super) fn new(
        role: Role,
        limits: Arc<Limits>,
        keys: Option<Random>,
        deflate: Option<&Agreed>,
    ) -> Self {
        Self {
            role,
            dead: false,
            cut: false,
            choked: false,
            when_full: limits.when_full,
            keys: keys.map(Box::new),
            deflate: deflate.map(|&agreed| Box::new(Deflate::new(role, agreed, &limits.deflate_budget))),
            limits,
            queue: None,
            backlog: None,
            closing: None,
            writing: None,
            probe: None,
            round_trip: None,
            traffic: Traffic::default(),
            dropped: 0,
        }
    }

    /// Queues a message behind what waits already. When it does not fit, [`Limits::when_full`] says what happens.
    ///
    /// # Errors
    ///
    /// [`Refused::Full`] when it does not fit, [`Refused::InPieces`] when a message that was begun is not finished,
    /// [`Refused::Closing`] when the close frame is queued or sent.
    #[inline]
    pub fn send<'a>(&mut self, message: impl Into<Outgoing<'a>>) -> Result<(), Refused> {
        let message = message.into();
        if self.when_full != WhenFull::Refuse {
            return self.send_or_drop(None, message);
        }
        self.check_room(message.payload().len())?;
        self.frame(message);
        Ok(())
    }

    /// Queues a ping, ahead of data. Its payload is cut at 125 bytes. Nothing happens when closing has begun.
    pub fn ping(&mut self, payload: &[u8]) {
        self.control(Opcode::Ping, payload, 1);
    }

    /// Starts the close handshake: queues a close frame behind what waits already, after which nothing can be sent.
    /// Nothing happens when closing has begun.
    ///
    /// A `code` that must not be on the wire ([`CloseCode::is_allowed_on_wire`]) is left out, with the reason. `reason`
    /// is cut at 123 bytes, between characters.
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        self.close_frame(Some(code).filter(|code| code.is_allowed_on_wire()), reason);
    }

    /// Bytes that wait to be sent, frame headers included.
    #[inline]
    pub fn queued_bytes(&self) -> usize {
        self.queue.as_deref().map_or(0, Queue::len) + self.backlog.as_deref().map_or(0, Backlog::bytes)
    }

    /// Whether the close frame is queued or sent.
    pub fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Whether a message of `len` bytes would be taken now.
    #[inline]
    pub(crate) fn check_room(&self, len: usize) -> Result<(), Refused> {
        if self.writing.is_some() {
            return Err(Refused::InPieces);
        }
        self.check_queue(len)
    }

    /// Whether the queue has room for `len` bytes more.
    #[inline]
    pub(crate) fn check_queue(&self, len: usize) -> Result<(), Refused> {
        if self.closing.is_some() || self.dead {
            return Err(Refused::Closing);
        }
        let (queued, limit) = (self.queued_bytes(), self.limits.queued_bytes);
        if queued > 0 && queued.saturating_add(len).saturating_add(MAX_HEADER_LEN) > limit {
            return Err(Refused::Full { queued, limit });
        }
        Ok(())
    }
}

/// For the protocol.
impl Outbox {
    pub(super) fn closing(&self) -> Option<&Closing> {
        self.closing.as_deref()
    }

    pub(super) fn pong(&mut self, payload: &[u8]) {
        self.control(Opcode::Pong, payload, WAITING_PONGS);
    }

    /// Queues a ping whose answer is to be timed.
    pub(super) fn probe(&mut self, now: Instant, payload: &[u8]) {
        let payload = &payload[..payload.len().min(MAX_CONTROL_LEN)];
        self.ping(payload);
        self.probe = Some(Box::new(Probe { sent: now, payload: payload.to_vec() }));
    }

    pub(super) fn heard_pong(&mut self, now: Instant, payload: &[u8]) {
        if let Some(probe) = self.probe.take_if(|probe| probe.payload == payload) {
            self.round_trip = Some(now.since(probe.sent));
        }
    }

    pub(super) fn close_frame(&mut self, code: Option<CloseCode>, reason: &str) {
        if self.closing.is_some() || self.dead {
            return;
        }
        let reason = if code.is_some() { cut(reason, MAX_REASON_LEN) } else { "" };
        let mut payload = Vec::with_capacity(MAX_CONTROL_LEN);
        if let Some(code) = code {
            payload.extend_from_slice(&code.0.to_be_bytes());
            payload.extend_from_slice(reason.as_bytes());
        }
        if self.writing.take().is_some_and(|writing| writing.is_inside_frame()) {
            // Whatever came now would be payload.
            self.cut = true;
            self.give_up();
        } else {
            self.refill_all();
            self.whole(Opcode::Close, Chunk::Borrowed(&payload));
        }
        self.closing = Some(Box::new(Closing { code, reason: reason.into() }));
        self.deflate = None;
    }

    /// Forgets all that waits, and takes nothing more.
    pub(super) fn give_up(&mut self) {
        self.dead = true;
        self.queue = None;
        self.backlog = None;
        self.deflate = None;
        self.writing = None;
        self.choked = false;
    }

    /// Whether a frame was begun that can never be ended.
    pub(super) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Whether so much waits that nothing more is to be read. Once closing has begun, what is read makes nothing wait.
    #[inline]
    pub(super) fn is_choked(&self) -> bool {
        self.choked && !self.is_closing()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.as_deref().is_none_or(Queue::is_empty) && self.backlog.is_none()
    }

    /// Whether anything can be written now.
    pub(super) fn is_ready(&self) -> bool {
        self.queue.as_deref().is_some_and(Queue::is_ready)
    }

    pub(super) fn transmit<'a>(&'a self, input: &'a [u8], slices: &mut [IoSlice<'a>]) -> usize {
        self.queue.as_deref().map_or(0, |queue| queue.transmit(input, slices))
    }

    pub(super) fn lend_input(&mut self, input: &[u8]) {
        if !self.dead {
            self.queue().lend_input(input);
        }
    }

    pub(super) fn settle(&mut self, input: &[u8]) {
        if let Some(queue) = &mut self.queue {
            queue.settle(input);
        }
    }

    pub(super) fn advance(&mut self, written: usize) {
        if let Some(queue) = &mut self.queue {
            self.traffic.wire_bytes += written as u64;
            queue.advance(written);
            if self.backlog.is_some() {
                self.refill();
            }
            self.choked = self.choked && self.queued_bytes() > self.limits.low_water_bytes;
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.traffic
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Lends a queue, when there is none.
    pub(super) fn lend(&mut self, queue: Option<Box<Queue>>) {
        if self.queue.is_none() && !self.dead {
            self.queue = queue;
        }
    }

    /// Gives back the queue that was lent, or its buffer, or nothing.
    pub(super) fn reclaim(&mut self) -> Option<Box<Queue>> {
        if self.is_empty() { self.queue.take() } else { self.queue.as_mut()?.shrink() }
    }

    pub(super) fn holds_queue(&self) -> bool {
        self.queue.is_some()
    }

    fn queue(&mut self) -> &mut Queue {
        self.queue.get_or_insert_default()
    }
}

/// The longest beginning of `text` of at most `most` bytes that ends between characters.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
