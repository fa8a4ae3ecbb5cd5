//! What waits to be sent.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use host::Random;

use super::frame::{self, Header, MAX_CONTROL_LEN, MAX_HEADER_LEN, Opcode};
use super::mask;
use crate::deflate::{Agreed, Compressor};
use crate::{CloseCode, Kind, Limits, Outgoing, Prepared, Refused, Role};

/// From this many bytes on an owned payload is sent from where it lies; below, a copy is cheaper than one more slice.
const SHARE_FROM: usize = 4 << 10;

/// The consumed start of the copied bytes is cut off when it is longer than this, and longer than what is left.
const COMPACT_FROM: usize = 64 << 10;

/// Pongs that may wait to be sent.
const WAITING_PONGS: usize = 16;

/// Longest reason of a close frame: a control frame's payload less the code.
const MAX_REASON_LEN: usize = MAX_CONTROL_LEN - 2;

/// The frames that wait to be sent, in order, bounded by [`Limits::queued_bytes`].
///
/// Small messages are copied behind one another, so that everything sent while a batch of input is handled leaves in
/// one write. Pings and pongs overtake data at the next frame's beginning. Of pings
/// only the newest waits, of pongs a few more: a pong may answer for the pings before (RFC 6455, section 5.5.3), but
/// peers that count them are easily pleased.
pub struct Outbox {
    role: Role,
    limits: Arc<Limits>,
    /// A client's masking keys.
    keys: Option<Box<Random>>,
    deflate: Option<Box<Deflate>>,
    /// Headers and copied payloads, in order. What was sent is cut off lazily.
    copied: Vec<u8>,
    /// How much of `copied` was sent.
    copied_sent: usize,
    /// Payloads that are shared, each with the number of unsent copied bytes between it and the one before it.
    shared: VecDeque<(usize, Bytes)>,
    /// Copied bytes behind the last shared payload.
    copied_last: usize,
    /// Bytes in `copied` and `shared` that are not sent.
    unsent: usize,
    /// Bytes left of the data frame that was sent in part: nothing may come between.
    frame_left: u64,
    /// Pings and pongs; the first may have been sent in part.
    control: Vec<Control>,
    /// How much of the first control frame was sent.
    control_sent: usize,
    closing: Option<Box<Closing>>,
    /// Nothing can be sent any more.
    dead: bool,
}

struct Deflate {
    agreed: Agreed,
    compressor: Compressor,
}

struct Control {
    opcode: Opcode,
    frame: Vec<u8>,
}

/// What our close frame said.
#[derive(Clone, Debug, Default)]
pub(super) struct Closing {
    pub(super) code: Option<CloseCode>,
    pub(super) reason: Box<str>,
}

impl Outbox {
    pub(super) fn new(
        role: Role,
        limits: Arc<Limits>,
        keys: Option<Random>,
        deflate: Option<&Agreed>,
    ) -> Self {
        let deflate =
            deflate.map(|&agreed| Box::new(Deflate { agreed, compressor: compressor(role, &agreed) }));
        Self {
            role,
            limits,
            keys: keys.map(Box::new),
            deflate,
            copied: Vec::new(),
            copied_sent: 0,
            shared: VecDeque::new(),
            copied_last: 0,
            unsent: 0,
            frame_left: 0,
            control: Vec::new(),
            control_sent: 0,
            closing: None,
            dead: false,
        }
    }

    /// Queues a message behind what waits already.
    ///
    /// # Errors
    ///
    /// [`Refused::Full`] when it does not fit, [`Refused::Closing`] when the close frame is queued or sent.
    pub fn send<'a>(&mut self, message: impl Into<Outgoing<'a>>) -> Result<(), Refused> {
        match message.into() {
            Outgoing::Borrowed(kind, payload) => {
                self.check_room(payload.len())?;
                if !self.compress(kind, payload) {
                    self.copy_frame(Opcode::of(kind), payload);
                }
            }
            Outgoing::Owned(kind, payload) => {
                self.check_room(payload.len())?;
                if !self.compress(kind, &payload) {
                    self.owned_frame(kind, payload);
                }
            }
            Outgoing::Prepared(prepared) => {
                self.check_room(prepared.payload().len())?;
                self.prepared_frame(&prepared);
            }
        }
        Ok(())
    }

    /// Queues a ping, ahead of data. Its payload is cut at 125 bytes. Nothing happens when closing has begun.
    pub fn ping(&mut self, payload: &[u8]) {
        self.control(Opcode::Ping, payload);
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
    pub fn queued_bytes(&self) -> usize {
        if self.control.is_empty() {
            return self.unsent;
        }
        let control: usize = self.control.iter().map(|control| control.frame.len()).sum();
        self.unsent + control - self.control_sent
    }

    /// Whether the close frame is queued or sent.
    pub fn is_closing(&self) -> bool {
        self.closing.is_some()
    }
}

/// For the protocol.
impl Outbox {
    pub(super) fn closing(&self) -> Option<&Closing> {
        self.closing.as_deref()
    }

    pub(super) fn pong(&mut self, payload: &[u8]) {
        self.control(Opcode::Pong, payload);
    }

    pub(super) fn close_frame(&mut self, code: Option<CloseCode>, reason: &str) {
        if self.closing.is_some() || self.dead {
            return;
        }
        let reason = if code.is_some() { cut(reason, MAX_REASON_LEN) } else { "" };
        let mut payload = [0; MAX_CONTROL_LEN];
        let mut len = 0;
        if let Some(code) = code {
            payload[..2].copy_from_slice(&code.0.to_be_bytes());
            payload[2..2 + reason.len()].copy_from_slice(reason.as_bytes());
            len = 2 + reason.len();
        }
        self.copy_frame(Opcode::Close, &payload[..len]);
        self.closing = Some(Box::new(Closing { code, reason: reason.into() }));
        self.deflate = None;
    }

    /// Forgets all that waits, and takes nothing more.
    pub(super) fn give_up(&mut self) {
        self.dead = true;
        self.forget_data();
        self.copied = Vec::new();
        self.control = Vec::new();
        self.control_sent = 0;
        self.deflate = None;
    }

    /// Whether so much waits that nothing more is to be read. Once closing has begun, what is read makes nothing wait.
    pub(super) fn is_choked(&self) -> bool {
        !self.is_closing() && self.queued_bytes() > self.limits.high_water_bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unsent == 0 && self.control.is_empty()
    }

    /// Fills `slices` with what is to be written next and says how many it filled.
    pub(super) fn transmit<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        if self.control.is_empty() && self.shared.is_empty() && self.unsent > 0 {
            let Some(first) = slices.first_mut() else { return 0 };
            *first = IoSlice::new(&self.copied[self.copied_sent..]);
            return 1;
        }
        let mut filled = 0;
        let mut push = |bytes: &'a [u8]| {
            if filled < slices.len() && !bytes.is_empty() {
                slices[filled] = IoSlice::new(bytes);
                filled += 1;
            }
        };
        let mut control = self
            .control
            .iter()
            .enumerate()
            .map(|(index, control)| &control.frame[if index == 0 { self.control_sent } else { 0 }..])
            .peekable();
        let mut before_control = usize::try_from(self.frame_left).unwrap_or(usize::MAX);
        for run in self.runs() {
            let mut run = run;
            if control.peek().is_some() {
                let (ahead, behind) = run.split_at(before_control.min(run.len()));
                push(ahead);
                before_control -= ahead.len();
                if behind.is_empty() {
                    continue;
                }
                control.by_ref().for_each(&mut push);
                run = behind;
            }
            push(run);
        }
        control.for_each(&mut push);
        filled
    }

    /// Takes note that the first `written` bytes of what [`transmit`](Self::transmit) gave were written.
    pub(super) fn advance(&mut self, written: usize) {
        let mut left = written;
        if self.control.is_empty() && left >= self.unsent {
            self.forget_data();
            return;
        }
        while left > 0 {
            if self.frame_left == 0 && !self.control.is_empty() {
                left -= self.advance_control(left);
                continue;
            }
            let Some(front) = self.runs().next() else { return };
            let frame_left = if self.frame_left == 0 { frame::own_frame_len(front) } else { self.frame_left };
            let taken = left.min(front.len()).min(usize::try_from(frame_left).unwrap_or(usize::MAX));
            self.advance_data(taken);
            self.frame_left = frame_left - taken as u64;
            left -= taken;
        }
        if self.unsent == 0 {
            self.forget_data();
        } else if self.copied_sent > COMPACT_FROM && self.copied_sent > self.copied.len() / 2 {
            self.copied.drain(..self.copied_sent);
            self.copied_sent = 0;
        }
    }

    /// Lends an empty buffer to copy small messages into, when there is none.
    pub(super) fn lend(&mut self, buffer: Vec<u8>) {
        if self.copied.capacity() == 0 {
            self.copied = buffer;
        }
    }

    /// Gives back the lent buffer, or one like it. What little waits in it moves to memory of its own size.
    pub(super) fn reclaim(&mut self) -> Vec<u8> {
        if self.unsent == 0 {
            return std::mem::take(&mut self.copied);
        }
        let unsent = &self.copied[self.copied_sent..];
        if self.copied.capacity() > 4 * unsent.len() {
            let kept = unsent.to_vec();
            self.copied_sent = 0;
            let mut lent = std::mem::replace(&mut self.copied, kept);
            lent.clear();
            return lent;
        }
        Vec::new()
    }
}

/// Queueing.
impl Outbox {
    pub(crate) fn check_room(&self, payload_len: usize) -> Result<(), Refused> {
        if self.closing.is_some() || self.dead {
            return Err(Refused::Closing);
        }
        let (queued, limit) = (self.queued_bytes(), self.limits.queued_bytes);
        if queued > 0 && queued.saturating_add(payload_len + MAX_HEADER_LEN) > limit {
            return Err(Refused::Full { queued, limit });
        }
        Ok(())
    }

    /// Queues the message compressed, where that was agreed and is worth it.
    #[inline]
    fn compress(&mut self, kind: Kind, payload: &[u8]) -> bool {
        self.deflate.is_some() && self.compress_if_worth_it(kind, payload)
    }

    fn compress_if_worth_it(&mut self, kind: Kind, payload: &[u8]) -> bool {
        let Some(deflate) = self.deflate.as_mut().filter(|deflate| payload.len() >= deflate.agreed.threshold)
        else {
            return false;
        };
        // It is compressed to where it is sent from, and its header, whose length only shows then, is turned to the front.
        let start = self.copied.len();
        deflate.compressor.compress(payload, &mut self.copied);
        let len = (self.copied.len() - start) as u64;
        let mask = self.key();
        if let Some(key) = mask {
            mask::apply(key, 0, &mut self.copied[start..]);
        }
        let payload_end = self.copied.len();
        Header { fin: true, rsv1: true, opcode: Opcode::of(kind), mask, len }.emit(&mut self.copied);
        let header_len = self.copied.len() - payload_end;
        self.copied[start..].rotate_right(header_len);
        self.note_copied(start);
        true
    }

    fn owned_frame(&mut self, kind: Kind, payload: Bytes) {
        if payload.len() < SHARE_FROM || self.role == Role::Client {
            self.copy_frame(Opcode::of(kind), &payload);
        } else {
            self.header(Opcode::of(kind), payload.len());
            self.share(payload);
        }
    }

    fn prepared_frame(&mut self, prepared: &Prepared) {
        let (kind, payload) = (prepared.kind(), prepared.payload());
        if self.role == Role::Client {
            if !self.compress(kind, payload) {
                self.copy_frame(Opcode::of(kind), payload);
            }
            return;
        }
        let deflate = self.deflate.as_mut().filter(|deflate| payload.len() >= deflate.agreed.threshold);
        let frame = match deflate {
            None => prepared.frame(),
            Some(deflate) => match prepared.deflated_frame(&deflate.agreed) {
                Some(frame) => {
                    // The peer's window has a message more than our context: what comes next must not refer back.
                    if deflate.compressor.has_context_takeover() {
                        deflate.compressor = compressor(self.role, &deflate.agreed);
                    }
                    frame
                }
                None => {
                    self.compress(kind, payload);
                    return;
                }
            },
        };
        if frame.len() < SHARE_FROM {
            let start = self.copied.len();
            self.copied.extend_from_slice(frame);
            self.note_copied(start);
        } else {
            self.share(frame.clone());
        }
    }

    fn copy_frame(&mut self, opcode: Opcode, payload: &[u8]) {
        let key = self.header(opcode, payload.len());
        let start = self.copied.len();
        self.copied.extend_from_slice(payload);
        if let Some(key) = key {
            mask::apply(key, 0, &mut self.copied[start..]);
        }
        self.note_copied(start);
    }

    fn header(&mut self, opcode: Opcode, len: usize) -> Option<[u8; 4]> {
        let mask = self.key();
        let start = self.copied.len();
        Header { fin: true, rsv1: false, opcode, mask, len: len as u64 }.emit(&mut self.copied);
        self.note_copied(start);
        mask
    }

    /// Counts what was copied from `start` on.
    fn note_copied(&mut self, start: usize) {
        let more = self.copied.len() - start;
        self.copied_last += more;
        self.unsent += more;
    }

    fn share(&mut self, bytes: Bytes) {
        self.unsent += bytes.len();
        self.shared.push_back((std::mem::take(&mut self.copied_last), bytes));
    }

    fn control(&mut self, opcode: Opcode, payload: &[u8]) {
        if self.closing.is_some() || self.dead {
            return;
        }
        let payload = &payload[..payload.len().min(MAX_CONTROL_LEN)];
        let mut frame = Vec::with_capacity(MAX_HEADER_LEN + payload.len());
        let mask = self.key();
        Header { fin: true, rsv1: false, opcode, mask, len: payload.len() as u64 }.emit(&mut frame);
        let start = frame.len();
        frame.extend_from_slice(payload);
        if let Some(key) = mask {
            mask::apply(key, 0, &mut frame[start..]);
        }
        let most = if opcode == Opcode::Pong { WAITING_PONGS } else { 1 };
        let begun = usize::from(self.control_sent > 0);
        let mut waiting = self.control.iter_mut().skip(begun).filter(|control| control.opcode == opcode);
        match waiting.nth(most - 1) {
            Some(newest) => newest.frame = frame,
            None => self.control.push(Control { opcode, frame }),
        }
    }

    fn key(&mut self) -> Option<[u8; 4]> {
        self.keys.as_mut().map(|keys| keys.next_u32().to_ne_bytes())
    }
}

/// Sending.
impl Outbox {
    /// The unsent data, in order, in as few pieces as it lies in.
    fn runs(&self) -> impl Iterator<Item = &[u8]> {
        let mut at = self.copied_sent;
        let last = &self.copied[self.copied.len() - self.copied_last..];
        self.shared
            .iter()
            .flat_map(move |(copied, shared)| {
                let before = &self.copied[at..at + copied];
                at += copied;
                [before, &shared[..]]
            })
            .chain([last])
            .filter(|run| !run.is_empty())
    }

    fn advance_data(&mut self, taken: usize) {
        self.unsent -= taken;
        match self.shared.front_mut() {
            Some((0, bytes)) => {
                bytes.advance(taken);
                if bytes.is_empty() {
                    self.shared.pop_front();
                }
            }
            Some((copied, _)) => {
                *copied -= taken;
                self.copied_sent += taken;
            }
            None => {
                self.copied_last -= taken;
                self.copied_sent += taken;
            }
        }
    }

    fn advance_control(&mut self, most: usize) -> usize {
        let left = self.control[0].frame.len() - self.control_sent;
        let taken = most.min(left);
        if taken < left {
            self.control_sent += taken;
        } else {
            self.control_sent = 0;
            self.control.remove(0);
            if self.control.is_empty() {
                self.control = Vec::new();
            }
        }
        taken
    }

    fn forget_data(&mut self) {
        self.copied.clear();
        self.copied_sent = 0;
        self.copied_last = 0;
        self.unsent = 0;
        self.frame_left = 0;
        if self.shared.capacity() > 0 {
            self.shared = VecDeque::new();
        }
    }
}

/// What we compress with; its context is made when it is first needed.
fn compressor(role: Role, agreed: &Agreed) -> Compressor {
    match role {
        Role::Server => Compressor::server(agreed),
        Role::Client => Compressor::client(agreed),
    }
}

/// The longest beginning of `text` of at most `most` bytes that ends between characters.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
