//! What is sent: messages made into frames, and what may wait.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::Bytes;
use host::Random;

use super::frame::{Header, MAX_CONTROL_LEN, MAX_HEADER_LEN, Opcode};
use super::mask;
use super::queue::Queue;
use crate::deflate::{Agreed, Compressor};
use crate::{CloseCode, Kind, Limits, Outgoing, Prepared, Refused, Role};

/// From this many bytes on an owned payload is sent from where it lies; below, a copy is cheaper than one more slice.
const SHARE_FROM: usize = 4 << 10;

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
    limits: Arc<Limits>,
    /// A client's masking keys.
    keys: Option<Box<Random>>,
    deflate: Option<Box<Deflate>>,
    queue: Queue,
    closing: Option<Box<Closing>>,
    /// Nothing can be sent any more.
    dead: bool,
}

struct Deflate {
    agreed: Agreed,
    compressor: Compressor,
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
        Self {
            role,
            limits,
            keys: keys.map(Box::new),
            deflate: deflate.map(|&agreed| Box::new(Deflate::new(role, agreed))),
            queue: Queue::default(),
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
                self.borrowed(kind, payload);
            }
            Outgoing::Owned(kind, payload) => {
                self.check_room(payload.len())?;
                self.owned(kind, payload);
            }
            Outgoing::Prepared(prepared) => {
                self.check_room(prepared.payload().len())?;
                self.prepared(&prepared);
            }
        }
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
    pub fn queued_bytes(&self) -> usize {
        self.queue.len()
    }

    /// Whether the close frame is queued or sent.
    pub fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Whether a message of `len` bytes would be taken now.
    pub(crate) fn check_room(&self, len: usize) -> Result<(), Refused> {
        if self.closing.is_some() || self.dead {
            return Err(Refused::Closing);
        }
        let (queued, limit) = (self.queue.len(), self.limits.queued_bytes);
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
        self.copied(Opcode::Close, &payload);
        self.closing = Some(Box::new(Closing { code, reason: reason.into() }));
        self.deflate = None;
    }

    /// Forgets all that waits, and takes nothing more.
    pub(super) fn give_up(&mut self) {
        self.dead = true;
        self.queue = Queue::default();
        self.deflate = None;
    }

    /// Whether so much waits that nothing more is to be read. Once closing has begun, what is read makes nothing wait.
    #[inline]
    pub(super) fn is_choked(&self) -> bool {
        self.queue.len() > self.limits.high_water_bytes && !self.is_closing()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn transmit<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.queue.transmit(slices)
    }

    pub(super) fn advance(&mut self, written: usize) {
        self.queue.advance(written);
    }

    pub(super) fn lend(&mut self, buffer: Vec<u8>) {
        self.queue.lend(buffer);
    }

    pub(super) fn reclaim(&mut self) -> Vec<u8> {
        self.queue.reclaim()
    }
}

/// Framing.
impl Outbox {
    fn borrowed(&mut self, kind: Kind, payload: &[u8]) {
        if self.deflate.is_none() || !self.compressed(kind, payload) {
            self.copied(Opcode::of(kind), payload);
        }
    }

    fn owned(&mut self, kind: Kind, payload: Bytes) {
        if payload.len() < SHARE_FROM || self.role == Role::Client {
            return self.borrowed(kind, &payload);
        }
        if self.deflate.is_none() || !self.compressed(kind, &payload) {
            let header = header(Opcode::of(kind), None, payload.len());
            self.queue.copy(|out, _| header.emit(out));
            self.queue.share(payload);
        }
    }

    fn prepared(&mut self, prepared: &Prepared) {
        let (kind, payload) = (prepared.kind(), prepared.payload());
        if self.role == Role::Client {
            return self.borrowed(kind, payload);
        }
        let mut frame = prepared.frame();
        if let Some(deflate) = self.deflate.as_mut().filter(|deflate| deflate.is_worth_it(payload)) {
            match prepared.deflated_frame(&deflate.agreed) {
                None => return self.borrowed(kind, payload),
                Some(deflated) => frame = deflated,
            }
            // The peer's window has a message more than our context: what comes next must not refer back.
            if deflate.compressor.has_context_takeover() {
                **deflate = Deflate::new(self.role, deflate.agreed);
            }
        }
        if frame.len() < SHARE_FROM {
            self.queue.copy(|out, _| out.extend_from_slice(frame));
        } else {
            self.queue.share(frame.clone());
        }
    }

    #[inline]
    fn copied(&mut self, opcode: Opcode, payload: &[u8]) {
        let key = self.key();
        let header = header(opcode, key, payload.len());
        self.queue.copy(|out, _| {
            header.emit(out);
            append(out, payload, key);
        });
    }

    /// Queues the message compressed, if it is long enough for that.
    fn compressed(&mut self, kind: Kind, payload: &[u8]) -> bool {
        let key = self.key();
        let Some(deflate) = self.deflate.as_mut().filter(|deflate| deflate.is_worth_it(payload)) else {
            return false;
        };
        self.queue.copy(|out, start| {
            // The header, whose length only shows at the end, is turned to the front.
            deflate.compressor.compress(payload, out);
            let end = out.len();
            if let Some(key) = key {
                mask::apply(key, 0, &mut out[start..]);
            }
            Header { rsv1: true, ..header(Opcode::of(kind), key, end - start) }.emit(out);
            let header_len = out.len() - end;
            out[start..].rotate_right(header_len);
        });
        true
    }

    fn control(&mut self, opcode: Opcode, payload: &[u8], most: usize) {
        if self.closing.is_some() || self.dead {
            return;
        }
        let payload = &payload[..payload.len().min(MAX_CONTROL_LEN)];
        let key = self.key();
        let mut frame = Vec::with_capacity(MAX_HEADER_LEN + payload.len());
        header(opcode, key, payload.len()).emit(&mut frame);
        append(&mut frame, payload, key);
        self.queue.overtake(opcode, frame, most);
    }

    /// A new masking key, at a client.
    #[inline]
    fn key(&mut self) -> Option<[u8; 4]> {
        self.keys.as_mut().map(|keys| keys.next_u32().to_ne_bytes())
    }
}

impl Deflate {
    /// Its context is made when it is first needed.
    fn new(role: Role, agreed: Agreed) -> Self {
        let compressor = match role {
            Role::Server => Compressor::server(&agreed),
            Role::Client => Compressor::client(&agreed),
        };
        Self { agreed, compressor }
    }

    fn is_worth_it(&self, payload: &[u8]) -> bool {
        payload.len() >= self.agreed.threshold
    }
}

/// The header of a frame that is a whole message.
fn header(opcode: Opcode, mask: Option<[u8; 4]>, len: usize) -> Header {
    Header { fin: true, rsv1: false, opcode, mask, len: len as u64 }
}

fn append(out: &mut Vec<u8>, payload: &[u8], key: Option<[u8; 4]>) {
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = key {
        mask::apply(key, 0, &mut out[start..]);
    }
}

/// The longest beginning of `text` of at most `most` bytes that ends between characters.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
