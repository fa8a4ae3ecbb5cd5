//! Messages that are sent in pieces, before the whole of them is at hand.

use super::Outbox;
use super::framing::header;
use crate::protocol::frame::{Header, Opcode};
use crate::{Chunk, Kind, Refused};

/// A message that was begun and is not finished.
pub(super) enum Writing {
    /// Of unknown length: each piece is a frame of its own, of which the first has this opcode.
    Frames(Opcode),
    /// Of announced length: one frame.
    Frame { key: Option<[u8; 4]>, len: u64, left: u64 },
}

impl Writing {
    /// Whether nothing may be sent but the rest of a frame.
    pub(super) fn is_inside_frame(&self) -> bool {
        matches!(self, Self::Frame { .. })
    }
}

/// Messages in pieces, uncompressed. Between two pieces no other message can be sent.
impl Outbox {
    /// Begins a message of `kind` whose payload follows by [`piece`](Self::piece).
    ///
    /// With `len`, its length in bytes, the message is one frame, and nothing can come between its pieces: no ping, and
    /// no close frame either, so that closing too early cuts the connection. Without, each piece is a frame of its own,
    /// and pings, pongs and a close frame go between them. A message of no bytes is finished at once.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn begin(&mut self, kind: Kind, len: Option<u64>) -> Result<(), Refused> {
        self.check_room(0)?;
        if self.backlog.is_some() {
            return Err(Refused::Full { queued: self.queued_bytes(), limit: self.limits.queued_bytes });
        }
        let opcode = Opcode::of(kind);
        self.traffic.messages += 1;
        let Some(len) = len else {
            self.writing = Some(Box::new(Writing::Frames(opcode)));
            return Ok(());
        };
        let key = self.key();
        let header = Header { len, ..header(opcode, key, 0) };
        let queue = self.queue();
        queue.copy(|out, _| header.emit(out));
        queue.set_missing(len);
        self.writing = (len > 0).then(|| Box::new(Writing::Frame { key, len, left: len }));
        Ok(())
    }

    /// Queues the next piece of the message that was begun; with `is_last` the message is finished.
    ///
    /// # Errors
    ///
    /// [`Refused::Full`] when it does not fit now, [`Refused::NotBegun`] when no message is begun, [`Refused::Length`]
    /// when the piece is longer than what is left of the announced length, or the last and shorter,
    /// [`Refused::Closing`] when the close frame is queued or sent. In each case nothing has happened.
    pub fn piece<'a>(&mut self, payload: impl Into<Chunk<'a>>, is_last: bool) -> Result<(), Refused> {
        let payload = payload.into();
        self.check_piece(payload.len(), is_last)?;
        let Some(writing) = &mut self.writing else { return Ok(()) };
        self.traffic.bytes += payload.len() as u64;
        match &mut **writing {
            Writing::Frames(opcode) => {
                let opcode = std::mem::replace(opcode, Opcode::Continuation);
                self.fragment(opcode, payload, is_last);
                if is_last {
                    self.writing = None;
                }
            }
            Writing::Frame { key, len, left } => {
                let (key, at) = (*key, *len - *left);
                *left -= payload.len() as u64;
                let left = *left;
                let queue = self.queue();
                queue.payload(payload, key, at);
                queue.set_missing(left);
                if left == 0 {
                    self.writing = None;
                }
            }
        }
        self.note_length();
        Ok(())
    }

    /// Whether a message is begun and not finished.
    pub fn is_in_pieces(&self) -> bool {
        self.writing.is_some()
    }

    /// Whether [`piece`](Self::piece) would take a piece of `len` bytes now.
    pub(crate) fn check_piece(&self, len: usize, is_last: bool) -> Result<(), Refused> {
        self.check_queue(len)?;
        match self.writing.as_deref() {
            None => Err(Refused::NotBegun),
            Some(&Writing::Frame { left, .. }) if len as u64 > left || (is_last && (len as u64) < left) => {
                Err(Refused::Length { left })
            }
            Some(_) => Ok(()),
        }
    }

    /// Queues a message in frames of no more than [`Limits::sent_frame_bytes`](crate::Limits::sent_frame_bytes).
    pub(super) fn fragmented(&mut self, kind: Kind, mut payload: Chunk<'_>) {
        let most = self.limits.sent_frame_bytes.max(1);
        let mut opcode = Opcode::of(kind);
        while payload.len() > most {
            let front = payload.split_to(most);
            self.fragment(opcode, front, false);
            opcode = Opcode::Continuation;
        }
        self.fragment(opcode, payload, true);
    }

    fn fragment(&mut self, opcode: Opcode, payload: Chunk<'_>, is_last: bool) {
        let key = self.key();
        let header = Header { fin: is_last, ..header(opcode, key, payload.len()) };
        let queue = self.queue();
        queue.copy(|out, _| header.emit(out));
        queue.payload(payload, key, 0);
    }
}
