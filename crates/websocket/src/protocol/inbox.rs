//! What comes in: frames, and the messages that they make up.

use std::sync::Arc;
use std::time::Duration;

use host::Instant;

use super::frame::{Header, MAX_HEADER_LEN, Opcode};
use super::utf8::Utf8;
use super::{Handler, Outbox, mask};
use crate::deflate::{self, Agreed, Decompressor};
use crate::{CloseCode, Fault, Kind, Limits, Role};

/// A push parser: takes bytes however they are cut, unmasks them where they lie, and hands whole messages on.
///
/// A message that lies whole in the bytes at hand is lent from there; only one that does not is assembled.
pub(super) struct Inbox {
    role: Role,
    /// The start of a header whose rest has not come yet.
    begun: [u8; MAX_HEADER_LEN],
    begun_len: u8,
    /// The frame whose payload is coming in.
    frame: Option<Frame>,
    /// The message whose frames are coming in.
    message: Option<Incoming>,
    utf8: Utf8,
    /// The payload so far of the message that comes in pieces, or is compressed.
    assembled: Vec<u8>,
    /// Whether `assembled` was lent.
    lent: bool,
    /// The payload so far of a control frame that comes in pieces.
    control: Vec<u8>,
    decompressor: Option<Box<Decompressor>>,
    /// When the control frames so far would have come at the highest rate that is allowed.
    control_earned: Instant,
}

#[derive(Clone, Copy)]
struct Frame {
    fin: bool,
    opcode: Opcode,
    mask: Option<[u8; 4]>,
    len: u64,
    left: u64,
}

impl Frame {
    /// Unmasks what begins `at` bytes into the payload.
    #[inline]
    fn unmask(&self, at: u64, chunk: &mut [u8]) {
        if let Some(mask) = self.mask {
            mask::apply(mask, at, chunk);
        }
    }
}

#[derive(Clone, Copy)]
struct Incoming {
    kind: Kind,
    compressed: bool,
    fragments: u32,
}

/// How far a call came.
pub(super) enum Progress {
    /// All bytes were taken.
    Taken,
    /// So many bytes were not taken, because too much waits to be sent.
    Choked(usize),
    /// The close frame came; what lies behind it is of no interest to anybody.
    Closed(Closed),
}

/// What the peer's close frame said.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) code: Option<CloseCode>,
    pub(super) reason: Box<str>,
}

/// What a call works with besides the inbox.
pub(super) struct Surroundings<'a, H> {
    pub(super) now: Instant,
    pub(super) limits: &'a Arc<Limits>,
    pub(super) outbox: &'a mut Outbox,
    pub(super) handler: &'a mut H,
}

impl Inbox {
    pub(super) fn new(role: Role, limits: &Limits, deflate: Option<&Agreed>) -> Self {
        let decompressor = deflate.map(|agreed| {
            Box::new(match role {
                Role::Server => Decompressor::server(agreed, limits.inflate_ratio),
                Role::Client => Decompressor::client(agreed, limits.inflate_ratio),
            })
        });
        Self {
            role,
            begun: [0; MAX_HEADER_LEN],
            begun_len: 0,
            frame: None,
            message: None,
            utf8: Utf8::default(),
            assembled: Vec::new(),
            lent: false,
            control: Vec::new(),
            decompressor,
            control_earned: Instant::ORIGIN,
        }
    }

    /// Takes `bytes`, up to a close frame or to the message whose answer chokes the outbox.
    pub(super) fn receive<H: Handler>(
        &mut self,
        mut bytes: &mut [u8],
        around: &mut Surroundings<'_, H>,
    ) -> Result<Progress, Fault> {
        loop {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None => {
                    if !bytes.is_empty() && around.outbox.is_choked() {
                        return Ok(Progress::Choked(bytes.len()));
                    }
                    let Some((header, used)) = self.header(bytes)? else { return Ok(Progress::Taken) };
                    bytes = &mut bytes[used..];
                    self.begin(&header, around)?
                }
            };
            let take = usize::try_from(frame.left).unwrap_or(usize::MAX).min(bytes.len());
            if take == 0 && frame.left > 0 {
                self.frame = Some(frame);
                return Ok(Progress::Taken);
            }
            let (chunk, rest) = bytes.split_at_mut(take);
            bytes = rest;
            let at = frame.len - frame.left;
            frame.left -= take as u64;
            if frame.opcode.is_control() {
                frame.unmask(at, chunk);
                if let Some(closed) = self.control(frame, chunk, around)? {
                    return Ok(Progress::Closed(closed));
                }
            } else {
                self.data(frame, at, chunk, around)?;
            }
            if frame.left > 0 {
                self.frame = Some(frame);
            }
        }
    }

    /// Lends an empty buffer to assemble messages in, when there is none.
    pub(super) fn lend(&mut self, buffer: Vec<u8>) {
        if self.assembled.capacity() == 0 {
            self.assembled = buffer;
            self.lent = true;
        }
    }

    /// Gives back the lent buffer, or one like it. What waits in it moves to memory of its own size.
    pub(super) fn reclaim(&mut self) -> Vec<u8> {
        let lent = std::mem::take(&mut self.lent);
        if self.assembled.is_empty() {
            return std::mem::take(&mut self.assembled);
        }
        if lent && self.assembled.capacity() > 2 * self.assembled.len() {
            let kept = self.assembled.as_slice().to_vec();
            let mut lent = std::mem::replace(&mut self.assembled, kept);
            lent.clear();
            return lent;
        }
        Vec::new()
    }

    /// Lets go of all that was held for messages.
    pub(super) fn forget(&mut self) {
        self.assembled = Vec::new();
        self.control = Vec::new();
        self.decompressor = None;
    }

    /// The next header, and how many of `bytes` it took; `None` when all of them were taken and it is not whole yet.
    #[inline(always)]
    fn header(&mut self, bytes: &[u8]) -> Result<Option<(Header, usize)>, Fault> {
        if self.begun_len == 0
            && let Some(whole) = Header::parse(bytes, self.role, self.decompressor.is_some())?
        {
            return Ok(Some(whole));
        }
        self.header_in_pieces(bytes)
    }

    #[cold]
    fn header_in_pieces(&mut self, bytes: &[u8]) -> Result<Option<(Header, usize)>, Fault> {
        let had = usize::from(self.begun_len);
        let more = bytes.len().min(MAX_HEADER_LEN - had);
        self.begun[had..had + more].copy_from_slice(&bytes[..more]);
        match Header::parse(&self.begun[..had + more], self.role, self.decompressor.is_some())? {
            Some((header, len)) => {
                self.begun_len = 0;
                Ok(Some((header, len - had)))
            }
            None => {
                self.begun_len = (had + more) as u8;
                Ok(None)
            }
        }
    }

    /// Checks what can be checked before any payload comes.
    #[inline]
    fn begin<H>(&mut self, header: &Header, around: &Surroundings<'_, H>) -> Result<Frame, Fault> {
        let &Header { fin, rsv1, opcode, mask, len } = header;
        let limits = around.limits;
        if opcode.is_control() {
            self.count_control(around.now, limits.control_frames_per_second)?;
        } else {
            let message = match (opcode, &mut self.message) {
                (Opcode::Continuation, None) => return Err(Fault::NothingToContinue),
                (Opcode::Continuation, Some(message)) => message,
                (_, Some(_)) => return Err(Fault::Interleaved),
                (_, none) => {
                    let kind = if opcode == Opcode::Text { Kind::Text } else { Kind::Binary };
                    none.insert(Incoming { kind, compressed: rsv1, fragments: 0 })
                }
            };
            message.fragments = message.fragments.saturating_add(1);
            if message.fragments > limits.fragments {
                return Err(Fault::TooManyFragments);
            }
            // After our close frame what comes is skipped, however long it is.
            if !around.outbox.is_closing() {
                if len > limits.frame_bytes {
                    return Err(Fault::FrameTooBig);
                }
                let room = limits.message_bytes.saturating_sub(self.assembled.len()) as u64;
                if !message.compressed && len > room {
                    return Err(Fault::MessageTooBig);
                }
            }
        }
        Ok(Frame { fin, opcode, mask, len, left: len })
    }

    /// Counts one control frame against the rate (the generic cell rate algorithm: a burst may use up one second).
    fn count_control(&mut self, now: Instant, per_second: u32) -> Result<(), Fault> {
        const SECOND: Duration = Duration::from_secs(1);
        self.control_earned = self.control_earned.max(now) + SECOND / per_second.max(1);
        if self.control_earned > now + SECOND { Err(Fault::ControlFlood) } else { Ok(()) }
    }

    fn data<H: Handler>(
        &mut self,
        frame: Frame,
        at: u64,
        chunk: &mut [u8],
        around: &mut Surroundings<'_, H>,
    ) -> Result<(), Fault> {
        let Some(message) = self.message else { return Err(Fault::NothingToContinue) };
        let is_last = frame.fin && frame.left == 0;
        if is_last {
            self.message = None;
        }
        if around.outbox.is_closing() {
            // We have closed: what still comes is for nobody.
            self.assembled.clear();
            return Ok(());
        }
        if message.compressed {
            frame.unmask(at, chunk);
            return self.compressed(message.kind, chunk, is_last, around);
        }
        let in_one_piece = is_last && self.assembled.is_empty();
        match (message.kind, frame.mask) {
            (Kind::Text, Some(mask)) => {
                self.utf8.unmask(mask, at, chunk).map_err(|_| Fault::InvalidUtf8)?;
                self.check_end(is_last)?;
            }
            (Kind::Text, None) => self.check_text(chunk, is_last)?,
            (Kind::Binary, _) => frame.unmask(at, chunk),
        }
        if in_one_piece {
            around.handler.message(message.kind, chunk, around.outbox);
            return Ok(());
        }
        self.make_room(chunk.len(), frame.left);
        self.assembled.extend_from_slice(chunk);
        if is_last {
            self.deliver(message.kind, around);
        }
        Ok(())
    }

    fn compressed<H: Handler>(
        &mut self,
        kind: Kind,
        chunk: &[u8],
        is_last: bool,
        around: &mut Surroundings<'_, H>,
    ) -> Result<(), Fault> {
        let Some(decompressor) = &mut self.decompressor else { return Err(Fault::ReservedBit) };
        let limit = around.limits.message_bytes;
        let before = self.assembled.len();
        decompressor.decompress(chunk, &mut self.assembled, limit)?;
        if is_last {
            decompressor.finish(&mut self.assembled, limit)?;
        }
        if kind == Kind::Text {
            let inflated = std::mem::take(&mut self.assembled);
            let checked = self.check_text(&inflated[before..], is_last);
            self.assembled = inflated;
            checked?;
        }
        if is_last {
            self.deliver(kind, around);
        }
        Ok(())
    }

    fn deliver<H: Handler>(&mut self, kind: Kind, around: &mut Surroundings<'_, H>) {
        around.handler.assembled(kind, &mut self.assembled, around.outbox);
        self.assembled.clear();
    }

    fn check_text(&mut self, piece: &[u8], is_last: bool) -> Result<(), Fault> {
        self.utf8.push(piece).map_err(|_| Fault::InvalidUtf8)?;
        self.check_end(is_last)
    }

    fn check_end(&self, is_last: bool) -> Result<(), Fault> {
        if is_last && !self.utf8.is_complete() {
            return Err(Fault::InvalidUtf8);
        }
        Ok(())
    }

    /// Makes room for `more` bytes, and for all that are `left` of this frame once a sixteenth has come: a claim alone
    /// gets its sender no memory.
    fn make_room(&mut self, more: usize, left: u64) {
        let (len, capacity) = (self.assembled.len(), self.assembled.capacity());
        if len + more <= capacity {
            return;
        }
        let whole = usize::try_from(left).unwrap_or(usize::MAX).saturating_add(more);
        if whole <= 16 * (len + more) {
            self.assembled.reserve_exact(whole);
        } else {
            self.assembled.reserve(more);
        }
    }

    fn control<H: Handler>(
        &mut self,
        frame: Frame,
        chunk: &[u8],
        around: &mut Surroundings<'_, H>,
    ) -> Result<Option<Closed>, Fault> {
        if frame.left == 0 && self.control.is_empty() {
            return complete(frame.opcode, chunk, around);
        }
        self.control.extend_from_slice(chunk);
        if frame.opcode == Opcode::Close {
            check_close(&self.control, frame.len)?;
        }
        if frame.left > 0 {
            return Ok(None);
        }
        let payload = std::mem::take(&mut self.control);
        complete(frame.opcode, &payload, around)
    }
}

fn complete<H: Handler>(
    opcode: Opcode,
    payload: &[u8],
    around: &mut Surroundings<'_, H>,
) -> Result<Option<Closed>, Fault> {
    match opcode {
        Opcode::Ping => {
            around.outbox.pong(payload);
            around.handler.ping(payload);
        }
        Opcode::Pong => around.handler.pong(payload),
        _ => {
            check_close(payload, payload.len() as u64)?;
            let (code, reason) = match payload.split_first_chunk() {
                None => (None, &[][..]),
                Some((&code, reason)) => (Some(CloseCode(u16::from_be_bytes(code))), reason),
            };
            let reason = std::str::from_utf8(reason).map_err(|_| Fault::InvalidUtf8)?;
            return Ok(Some(Closed { code, reason: reason.into() }));
        }
    }
    Ok(None)
}

/// Checks what has come of a close frame's payload of `len` bytes.
fn check_close(payload: &[u8], len: u64) -> Result<(), Fault> {
    if len == 1 {
        return Err(Fault::CloseTooShort);
    }
    let Some((&code, reason)) = payload.split_first_chunk() else { return Ok(()) };
    let code = u16::from_be_bytes(code);
    if !CloseCode(code).is_allowed_on_wire() {
        return Err(Fault::CloseCode(code));
    }
    match std::str::from_utf8(reason) {
        Err(error) if error.error_len().is_some() => Err(Fault::InvalidUtf8),
        _ => Ok(()),
    }
}

impl From<deflate::Error> for Fault {
    fn from(error: deflate::Error) -> Self {
        match error {
            deflate::Error::Corrupt => Self::Inflate,
            deflate::Error::TooLarge { .. } => Self::MessageTooBig,
            deflate::Error::Ratio { .. } => Self::InflateRatio,
        }
    }
}
