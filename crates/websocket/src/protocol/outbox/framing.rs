//! Messages made into frames.

use bytes::Bytes;

use super::Outbox;
use crate::deflate::{Agreed, Budget, Compressor};
use crate::protocol::frame::{Header, MAX_CONTROL_LEN, MAX_HEADER_LEN, Opcode};
use crate::protocol::mask;
use crate::protocol::queue::Queue;
use crate::{Chunk, Kind, Outgoing, Prepared, Role};

/// From this many bytes on a payload is sent from where it lies; below, a copy is cheaper than one more slice.
pub(super) const SHARE_FROM: usize = 4 << 10;

pub(super) struct Deflate {
    agreed: Agreed,
    compressor: Compressor,
}

impl Outbox {
    /// Queues a message as a frame, or as frames.
    #[inline]
    pub(super) fn frame(&mut self, message: Outgoing<'_>) {
        self.traffic.count(message.payload().len());
        match message {
            Outgoing::Borrowed(kind, payload) => self.borrowed(kind, payload),
            Outgoing::Owned(kind, payload) => self.owned(kind, payload),
            Outgoing::Prepared(prepared) => self.prepared(&prepared),
        }
        self.note_length();
    }

    /// To be called when something was queued.
    #[inline]
    pub(super) fn note_length(&mut self) {
        self.choked |= self.queued_bytes() > self.limits.high_water_bytes;
    }

    fn borrowed(&mut self, kind: Kind, payload: &[u8]) {
        if self.deflate.is_none() || !self.compressed(kind, payload) {
            if payload.len() > self.limits.sent_frame_bytes {
                return self.fragmented(kind, Chunk::Borrowed(payload));
            }
            self.whole(Opcode::of(kind), Chunk::Borrowed(payload));
        }
    }

    fn owned(&mut self, kind: Kind, payload: Bytes) {
        if payload.len() < SHARE_FROM || self.role == Role::Client {
            return self.borrowed(kind, &payload);
        }
        if self.deflate.is_none() || !self.compressed(kind, &payload) {
            if payload.len() > self.limits.sent_frame_bytes {
                return self.fragmented(kind, Chunk::Owned(payload));
            }
            self.whole(Opcode::of(kind), Chunk::Owned(payload));
        }
    }

    fn prepared(&mut self, prepared: &Prepared) {
        let (kind, payload) = (prepared.kind(), prepared.payload());
        if self.role == Role::Client {
            return self.borrowed(kind, payload);
        }
        let mut frame = prepared.frame();
        if let Some(deflate) = self.deflate.as_mut().filter(|deflate| deflate.is_worth_it(payload)) {
            frame = prepared.deflated_frame(&deflate.agreed);
            // The peer's window has a message more than our context: what comes next must not refer back.
            deflate.compressor.forget();
        }
        if frame.len() < SHARE_FROM {
            self.queue().copy(|out, _| out.extend_from_slice(frame));
        } else {
            self.queue().share(frame.clone());
        }
    }

    /// Queues a frame that is a whole message.
    #[inline]
    pub(super) fn whole(&mut self, opcode: Opcode, payload: Chunk<'_>) {
        let key = self.key();
        let header = header(opcode, key, payload.len());
        let queue = self.queue();
        if payload.len() < SHARE_FROM {
            queue.copy(|out, _| {
                header.emit(out);
                append(out, payload.bytes(), key, 0);
            });
        } else {
            queue.copy(|out, _| header.emit(out));
            queue.payload(payload, key, 0);
        }
    }

    /// Queues the message compressed, if it is long enough for that, there is memory for it, and it becomes shorter.
    fn compressed(&mut self, kind: Kind, payload: &[u8]) -> bool {
        let key = self.key();
        let Some(deflate) = self.deflate.as_mut().filter(|deflate| deflate.is_worth_it(payload)) else {
            return false;
        };
        let mut compressed = false;
        self.queue.get_or_insert_default().copy(|out, start| {
            compressed = deflate.compressor.compress(payload, out);
            let end = out.len();
            // With context takeover what was compressed must be sent.
            if end - start >= payload.len() && !deflate.compressor.has_context_takeover() {
                out.truncate(start);
                compressed = false;
            }
            if !compressed {
                return;
            }
            // The header, whose length only shows at the end, is turned to the front.
            if let Some(key) = key {
                mask::apply(key, 0, &mut out[start..]);
            }
            Header { rsv1: true, ..header(Opcode::of(kind), key, end - start) }.emit(out);
            let header_len = out.len() - end;
            out[start..].rotate_right(header_len);
        });
        compressed
    }

    pub(super) fn control(&mut self, opcode: Opcode, payload: &[u8], most: usize) {
        if self.closing.is_some() || self.dead {
            return;
        }
        let payload = &payload[..payload.len().min(MAX_CONTROL_LEN)];
        let key = self.key();
        let mut frame = Vec::with_capacity(MAX_HEADER_LEN + payload.len());
        header(opcode, key, payload.len()).emit(&mut frame);
        append(&mut frame, payload, key, 0);
        self.queue().overtake(opcode, frame, most);
    }

    /// A new masking key, at a client.
    #[inline]
    pub(super) fn key(&mut self) -> Option<[u8; 4]> {
        self.keys.as_mut().map(|keys| keys.next_u32().to_ne_bytes())
    }
}

impl Deflate {
    /// Its context is made when it is first needed.
    pub(super) fn new(role: Role, agreed: Agreed, budget: &Budget) -> Self {
        let compressor = match role {
            Role::Server => Compressor::server(&agreed),
            Role::Client => Compressor::client(&agreed),
        };
        Self { agreed, compressor: compressor.with_budget(budget.clone()) }
    }

    fn is_worth_it(&self, payload: &[u8]) -> bool {
        payload.len() >= self.agreed.threshold
    }
}

/// The header of a frame that is a whole message.
pub(super) fn header(opcode: Opcode, mask: Option<[u8; 4]>, len: usize) -> Header {
    Header { fin: true, rsv1: false, opcode, mask, len: len as u64 }
}

impl Queue {
    /// Queues what begins `at` bytes into a frame's payload, and is to be masked with `key` at a client: where it lies,
    /// if it is long enough for that and stays there, else as a copy.
    #[inline]
    pub(super) fn payload(&mut self, payload: Chunk<'_>, key: Option<[u8; 4]>, at: u64) {
        match payload {
            Chunk::Owned(bytes) if bytes.len() >= SHARE_FROM && key.is_none() => self.share(bytes),
            Chunk::Borrowed(bytes) if bytes.len() >= SHARE_FROM && key.is_none() && self.place(bytes) => {}
            payload => self.copy(|out, _| append(out, payload.bytes(), key, at)),
        }
    }
}

/// Appends what begins `at` bytes into a frame's payload.
#[inline]
fn append(out: &mut Vec<u8>, payload: &[u8], key: Option<[u8; 4]>, at: u64) {
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = key {
        mask::apply(key, at, &mut out[start..]);
    }
}
