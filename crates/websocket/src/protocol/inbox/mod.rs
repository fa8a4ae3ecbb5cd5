//! What comes in: frames, and the messages that they make up.

mod control;
mod message;

use std::sync::Arc;

use bytes::BufMut;
use bytes::buf::Limit;
use host::Instant;

use super::frame::{Header, MAX_HEADER_LEN, Opcode};
use super::utf8::Utf8;
use super::{Begun, Handler, Intake, Outbox, mask};
use crate::counters::Traffic;
use crate::deflate::{self, Agreed, Decompressor};
use crate::{CloseCode, Fault, Kind, Limits, Role};

/// From this many missing bytes on a payload is read straight to where it belongs.
const DIRECT_FROM: usize = 16 << 10;

/// How much memory a claim gets for each byte that has come.
const TRUST: usize = 16;

/// A push parser: takes bytes however they are cut, unmasks them where they lie, and hands messages on, whole or in
/// pieces.
///
/// A message that lies whole in the bytes at hand is lent from there; only one that does not is assembled.
pub(super) struct Inbox {
    role: Role,
    /// Only while something is under way, or lent.
    busy: Option<Box<Busy>>,
    decompressor: Option<Box<Decompressor>>,
    /// When the control frames so far would have come at the highest rate that is allowed.
    control_earned: Instant,
    pub(super) traffic: Traffic,
}

/// What is under way between two calls.
#[derive(Default)]
pub(super) struct Busy {
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
    /// The lent buffer, while a message that needs one of its own is under way.
    spare: Vec<u8>,
    /// The payload so far of a control frame that comes in pieces.
    control: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Frame {
    fin: bool,
    opcode: Opcode,
    mask: Option<[u8; 4]>,
    len: u64,
    left: u64,
}

#[derive(Clone, Copy)]
struct Incoming {
    kind: Kind,
    compressed: bool,
    /// Whether it is handed on as it comes.
    in_pieces: bool,
    fragments: u32,
    /// The most bytes that it may have, inflated.
    limit: u64,
    /// Bytes of payload that its headers have announced.
    announced: u64,
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
            let decompressor = match role {
                Role::Server => Decompressor::server(agreed, limits.inflate_ratio),
                Role::Client => Decompressor::client(agreed, limits.inflate_ratio),
            };
            Box::new(decompressor.with_budget(limits.deflate_budget.clone()))
        });
        Self { role, busy: None, decompressor, control_earned: Instant::ORIGIN, traffic: Traffic::default() }
    }

    /// Takes `bytes`, up to a close frame or to the message whose answer chokes the outbox.
    pub(super) fn receive<H: Handler>(
        &mut self,
        bytes: &mut [u8],
        around: &mut Surroundings<'_, H>,
    ) -> Result<Progress, Fault> {
        self.traffic.wire_bytes += bytes.len() as u64;
        let mut busy = self.busy.take().unwrap_or_default();
        let progress = self.frames(&mut busy, bytes, around);
        self.busy = Some(busy);
        if let Ok(Progress::Choked(left)) = progress {
            self.traffic.wire_bytes -= left as u64;
        }
        progress
    }

    fn frames<H: Handler>(
        &mut self,
        busy: &mut Busy,
        mut bytes: &mut [u8],
        around: &mut Surroundings<'_, H>,
    ) -> Result<Progress, Fault> {
        loop {
            let mut frame = match busy.frame.take() {
                Some(frame) => frame,
                None => {
                    if H::ANSWERS && !bytes.is_empty() && around.outbox.is_choked() {
                        return Ok(Progress::Choked(bytes.len()));
                    }
                    let allowed = self.decompressor.is_some();
                    let Some((header, used)) = busy.header(bytes, self.role, allowed)? else {
                        return Ok(Progress::Taken);
                    };
                    bytes = &mut bytes[used..];
                    self.begin(busy, &header, around)?
                }
            };
            let take = usize::try_from(frame.left).unwrap_or(usize::MAX).min(bytes.len());
            if take == 0 && frame.left > 0 {
                busy.frame = Some(frame);
                return Ok(Progress::Taken);
            }
            let (chunk, rest) = bytes.split_at_mut(take);
            bytes = rest;
            let at = frame.len - frame.left;
            frame.left -= take as u64;
            if frame.opcode.is_control() {
                frame.unmask(at, chunk);
                if let Some(closed) = busy.control(frame, chunk, around)? {
                    return Ok(Progress::Closed(closed));
                }
            } else {
                self.data(busy, frame, at, chunk, around)?;
            }
            if frame.left > 0 {
                busy.frame = Some(frame);
            }
        }
    }

    /// Where the rest of a large frame's payload is best read to: [`received`](Self::received) takes it from there.
    pub(super) fn destination(&mut self) -> Option<Limit<&mut Vec<u8>>> {
        let busy = self.busy.as_deref_mut()?;
        let (frame, message) = (busy.frame?, busy.message?);
        let left = usize::try_from(frame.left).unwrap_or(usize::MAX);
        let has_begun = busy.assembled.len() >= DIRECT_FROM / TRUST;
        if left < DIRECT_FROM || !has_begun || frame.opcode.is_control() || !message.is_assembled_as_it_is() {
            return None;
        }
        if busy.assembled.capacity() - busy.assembled.len() < DIRECT_FROM {
            busy.assembled.reserve_exact(left.min(TRUST * busy.assembled.len()));
        }
        let room = busy.assembled.capacity() - busy.assembled.len();
        Some((&mut busy.assembled).limit(room.min(left)))
    }

    /// Takes `len` bytes that were read to the [`destination`](Self::destination).
    pub(super) fn received<H: Handler>(
        &mut self,
        len: usize,
        around: &mut Surroundings<'_, H>,
    ) -> Result<(), Fault> {
        self.traffic.wire_bytes += len as u64;
        let mut busy = self.busy.take().unwrap_or_default();
        let progress = self.in_place(&mut busy, len, around);
        self.busy = Some(busy);
        progress
    }

    /// Lends what a call needs, when there is nothing.
    pub(super) fn lend(&mut self, busy: Option<Box<Busy>>) {
        if self.busy.is_none() {
            self.busy = busy;
        }
    }

    /// Gives back what was lent, or something like it. What waits in it moves to memory of its own size.
    pub(super) fn reclaim(&mut self) -> Option<Box<Busy>> {
        let busy = self.busy.as_deref_mut()?;
        if busy.is_idle() {
            if busy.assembled.capacity() < busy.spare.capacity() {
                busy.assembled = std::mem::take(&mut busy.spare);
            }
            return self.busy.take();
        }
        let mut lent = std::mem::take(&mut busy.spare);
        if busy.has_too_much_room() {
            let kept = busy.assembled.as_slice().to_vec();
            lent = std::mem::replace(&mut busy.assembled, kept);
            lent.clear();
        }
        (lent.capacity() > 0).then(|| Box::new(Busy { assembled: lent, ..Busy::default() }))
    }

    /// Lets go of all that was held for messages.
    pub(super) fn forget(&mut self) {
        self.busy = None;
        self.decompressor = None;
    }

    /// Checks what can be checked before any payload comes.
    #[inline]
    fn begin<H: Handler>(
        &mut self,
        busy: &mut Busy,
        header: &Header,
        around: &mut Surroundings<'_, H>,
    ) -> Result<Frame, Fault> {
        let &Header { fin, rsv1, opcode, mask, len } = header;
        let limits = around.limits;
        let frame = Frame { fin, opcode, mask, len, left: len };
        if opcode.is_control() {
            self.count_control(around.now, limits.control_frames_per_second)?;
            return Ok(frame);
        }
        // After our close frame what comes is skipped, however long it is.
        let skipped = around.outbox.is_closing();
        let message = match (opcode, &mut busy.message) {
            (Opcode::Continuation, None) => return Err(Fault::NothingToContinue),
            (Opcode::Continuation, Some(message)) => message,
            (_, Some(_)) => return Err(Fault::Interleaved),
            (_, none) => {
                let kind = if opcode == Opcode::Text { Kind::Text } else { Kind::Binary };
                let begun = Begun { kind, compressed: rsv1, len: (fin && !rsv1).then_some(len) };
                let intake = if skipped { Intake::Whole } else { around.handler.begin(&begun) };
                let (in_pieces, limit) = match intake {
                    Intake::Whole => (false, limits.message_bytes as u64),
                    Intake::Pieces { most_bytes } => (true, most_bytes),
                };
                if let (true, true, Some(decompressor)) = (in_pieces, rsv1, &mut self.decompressor) {
                    decompressor.keep_history();
                }
                none.insert(Incoming { kind, compressed: rsv1, in_pieces, fragments: 0, limit, announced: 0 })
            }
        };
        message.fragments = message.fragments.saturating_add(1);
        if message.fragments > limits.fragments {
            return Err(Fault::TooManyFragments);
        }
        if !skipped {
            message.announce(len, limits)?;
        }
        Ok(frame)
    }
}

impl Incoming {
    /// Checks the length that a frame's header announces.
    #[inline]
    fn announce(&mut self, len: u64, limits: &Limits) -> Result<(), Fault> {
        if !self.in_pieces && len > limits.frame_bytes {
            return Err(Fault::FrameTooBig);
        }
        // What is compressed is judged as it inflates; but nothing inflates to less than a small part of its length,
        // unless it is made to keep us busy.
        let limit =
            if self.compressed { self.limit.saturating_mul(8).max(limits.frame_bytes) } else { self.limit };
        if len > limit.saturating_sub(self.announced) {
            return Err(Fault::MessageTooBig);
        }
        self.announced += len;
        Ok(())
    }

    fn is_assembled_as_it_is(&self) -> bool {
        !self.compressed && !self.in_pieces
    }
}

impl Frame {
    /// Unmasks what begins `at` bytes into the payload.
    #[inline]
    fn unmask(&self, at: u64, chunk: &mut [u8]) {
        if let Some(mask) = self.mask {
            mask::apply(mask, at, chunk);
        }
    }

    /// Whether it ends its message, and has come in full.
    fn ends_message(&self) -> bool {
        self.fin && self.left == 0
    }
}

impl Busy {
    /// Forgets buffers of more than `most` bytes.
    pub(super) fn trim(&mut self, most: usize) {
        if self.assembled.capacity() > most {
            self.assembled = Vec::new();
        }
    }

    fn is_idle(&self) -> bool {
        self.begun_len == 0 && self.frame.is_none() && self.message.is_none()
    }

    /// Whether most of the buffer is for nothing: it was not made for the message that is under way.
    fn has_too_much_room(&self) -> bool {
        let coming = self.frame.map_or(0, |frame| usize::try_from(frame.left).unwrap_or(usize::MAX));
        let needed = self.assembled.len().saturating_add(coming);
        self.assembled.capacity() > 2 * needed.min((1 + TRUST) * self.assembled.len())
    }

    /// The next header, and how many of `bytes` it took; `None` when all of them were taken and it is not whole yet.
    #[inline(always)]
    fn header(
        &mut self,
        bytes: &[u8],
        role: Role,
        rsv1_allowed: bool,
    ) -> Result<Option<(Header, usize)>, Fault> {
        if self.begun_len == 0
            && let Some(whole) = Header::parse(bytes, role, rsv1_allowed)?
        {
            return Ok(Some(whole));
        }
        self.header_in_pieces(bytes, role, rsv1_allowed)
    }

    #[cold]
    fn header_in_pieces(
        &mut self,
        bytes: &[u8],
        role: Role,
        rsv1_allowed: bool,
    ) -> Result<Option<(Header, usize)>, Fault> {
        let had = usize::from(self.begun_len);
        let more = bytes.len().min(MAX_HEADER_LEN - had);
        self.begun[had..had + more].copy_from_slice(&bytes[..more]);
        match Header::parse(&self.begun[..had + more], role, rsv1_allowed)? {
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
}

impl From<deflate::Error> for Fault {
    fn from(error: deflate::Error) -> Self {
        match error {
            deflate::Error::Corrupt => Self::Inflate,
            deflate::Error::TooLarge { .. } => Self::MessageTooBig,
            deflate::Error::Ratio { .. } => Self::InflateRatio,
            deflate::Error::Budget => Self::InflateBudget,
        }
    }
}
