//! The payload of data frames: lent, assembled, inflated, or handed on in pieces.

use super::{Busy, Frame, Inbox, Surroundings, TRUST};
use crate::protocol::{Handler, Piece};
use crate::{Fault, Kind};

/// Compressed bytes that are inflated at a time when they are handed on in pieces: no more than a thousand times as much
/// can come of them (DEFLATE reaches 1032 : 1).
const INFLATE_STEP: usize = 256;

impl Inbox {
    /// Takes a chunk that begins `at` bytes into the frame's payload.
    #[inline]
    pub(super) fn data<H: Handler>(
        &mut self,
        busy: &mut Busy,
        frame: Frame,
        at: u64,
        chunk: &mut [u8],
        around: &mut Surroundings<'_, H>,
    ) -> Result<(), Fault> {
        let Some(message) = busy.message else { return Err(Fault::NothingToContinue) };
        let is_last = frame.ends_message();
        if is_last {
            busy.message = None;
        }
        if around.outbox.is_closing() {
            // We have closed: what still comes is for nobody.
            busy.assembled = Vec::new();
            return Ok(());
        }
        if message.compressed {
            frame.unmask(at, chunk);
            if message.in_pieces {
                return self.inflated_pieces(busy, message.kind, message.limit, chunk, is_last, around);
            }
            return self.inflated(busy, message.kind, message.limit, chunk, is_last, around);
        }
        busy.unmask(message.kind, &frame, at, chunk)?;
        if message.in_pieces {
            self.piece(Piece { kind: message.kind, bytes: chunk, is_last }, around);
            return Ok(());
        }
        if is_last && busy.assembled.is_empty() {
            self.traffic.count(chunk.len());
            around.handler.message(message.kind, chunk, around.outbox);
            return Ok(());
        }
        busy.make_room(chunk.len(), frame.left);
        busy.assembled.extend_from_slice(chunk);
        if is_last {
            self.deliver(busy, message.kind, around);
        }
        Ok(())
    }

    /// Takes `len` bytes that were read to the end of what is assembled.
    pub(super) fn in_place<H: Handler>(
        &mut self,
        busy: &mut Busy,
        len: usize,
        around: &mut Surroundings<'_, H>,
    ) -> Result<(), Fault> {
        let (Some(mut frame), Some(message)) = (busy.frame.take(), busy.message) else { return Ok(()) };
        let at = frame.len - frame.left;
        frame.left -= len as u64;
        if frame.left > 0 {
            busy.frame = Some(frame);
        }
        let is_last = frame.ends_message();
        if is_last {
            busy.message = None;
        }
        if around.outbox.is_closing() {
            busy.assembled = Vec::new();
            return Ok(());
        }
        let mut assembled = std::mem::take(&mut busy.assembled);
        let start = assembled.len() - len;
        let unmasked = busy.unmask(message.kind, &frame, at, &mut assembled[start..]);
        busy.assembled = assembled;
        unmasked?;
        if is_last {
            self.deliver(busy, message.kind, around);
        }
        Ok(())
    }

    fn inflated<H: Handler>(
        &mut self,
        busy: &mut Busy,
        kind: Kind,
        limit: u64,
        chunk: &[u8],
        is_last: bool,
        around: &mut Surroundings<'_, H>,
    ) -> Result<(), Fault> {
        let Some(decompressor) = &mut self.decompressor else { return Err(Fault::ReservedBit) };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let before = busy.assembled.len();
        if is_last {
            decompressor.decompress_last(chunk, &mut busy.assembled, limit)?;
        } else {
            decompressor.decompress(chunk, &mut busy.assembled, limit)?;
        }
        if kind == Kind::Text {
            busy.utf8.push(&busy.assembled[before..]).map_err(|_| Fault::InvalidUtf8)?;
        }
        if is_last {
            busy.check_end(kind)?;
            self.deliver(busy, kind, around);
        }
        Ok(())
    }

    fn inflated_pieces<H: Handler>(
        &mut self,
        busy: &mut Busy,
        kind: Kind,
        limit: u64,
        chunk: &[u8],
        is_last: bool,
        around: &mut Surroundings<'_, H>,
    ) -> Result<(), Fault> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut inflated = std::mem::take(&mut busy.assembled);
        let mut steps = chunk.chunks(INFLATE_STEP).peekable();
        loop {
            let Some(decompressor) = &mut self.decompressor else { return Err(Fault::ReservedBit) };
            inflated.clear();
            let step = steps.next().unwrap_or_default();
            let ends = is_last && steps.peek().is_none();
            if ends {
                decompressor.decompress_last(step, &mut inflated, limit)?;
            } else {
                decompressor.decompress(step, &mut inflated, limit)?;
            }
            if kind == Kind::Text {
                busy.utf8.push(&inflated).map_err(|_| Fault::InvalidUtf8)?;
            }
            if ends {
                busy.check_end(kind)?;
            }
            self.piece(Piece { kind, bytes: &inflated, is_last: ends }, around);
            if steps.peek().is_none() || around.outbox.is_closing() {
                break;
            }
        }
        inflated.clear();
        busy.assembled = inflated;
        Ok(())
    }

    fn piece<H: Handler>(&mut self, piece: Piece<'_>, around: &mut Surroundings<'_, H>) {
        if piece.bytes.is_empty() && !piece.is_last {
            return;
        }
        self.traffic.bytes += piece.bytes.len() as u64;
        self.traffic.messages += u64::from(piece.is_last);
        around.handler.piece(piece, around.outbox);
    }

    fn deliver<H: Handler>(&mut self, busy: &mut Busy, kind: Kind, around: &mut Surroundings<'_, H>) {
        self.traffic.count(busy.assembled.len());
        around.handler.assembled(kind, &mut busy.assembled, around.outbox);
        busy.assembled.clear();
        if busy.spare.capacity() > busy.assembled.capacity() {
            busy.assembled = std::mem::take(&mut busy.spare);
        }
    }
}

impl Busy {
    /// Unmasks a chunk, and checks it when it is text.
    #[inline]
    fn unmask(&mut self, kind: Kind, frame: &Frame, at: u64, chunk: &mut [u8]) -> Result<(), Fault> {
        if kind == Kind::Binary {
            frame.unmask(at, chunk);
            return Ok(());
        }
        match frame.mask {
            Some(mask) => self.utf8.unmask(mask, at, chunk),
            None => self.utf8.push(chunk),
        }
        .map_err(|_| Fault::InvalidUtf8)?;
        if frame.ends_message() { self.check_end(kind) } else { Ok(()) }
    }

    fn check_end(&self, kind: Kind) -> Result<(), Fault> {
        if kind == Kind::Text && !self.utf8.is_complete() { Err(Fault::InvalidUtf8) } else { Ok(()) }
    }

    /// Makes room for `more` bytes, and for all that are `left` of this frame once a small part has come: a claim alone
    /// gets its sender no memory.
    fn make_room(&mut self, more: usize, left: u64) {
        if left > 0 && self.assembled.is_empty() && self.spare.capacity() == 0 {
            // Its rest is not at hand, so that it needs a buffer of its own.
            self.spare = std::mem::take(&mut self.assembled);
        }
        let (len, capacity) = (self.assembled.len(), self.assembled.capacity());
        if len + more <= capacity {
            return;
        }
        let whole = usize::try_from(left).unwrap_or(usize::MAX).saturating_add(more);
        if whole <= TRUST * (len + more) {
            self.assembled.reserve_exact(whole);
        } else {
            self.assembled.reserve(more);
        }
    }
}
