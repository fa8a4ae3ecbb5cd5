//! The plain way: messages that own their bytes, one after the other.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use host::{Connection, Runtime};

use super::{Receiver, Sender, WebSocket, split};
use crate::protocol::{Begun, Handler, Intake, Outbox, Piece};
use crate::{CloseCode, End, Fault, Kind, Message, Outgoing, Refused};

/// While a message waits to be sent, up to this many bytes are read ahead of whoever takes them, so that pings are
/// answered, and two peers that both send do not block each other at once.
const READ_AHEAD: usize = 256 << 10;

impl<C: Connection, R: Runtime> WebSocket<C, R> {
    /// The next message; `None` once the connection was closed by a close handshake, whoever began it ([`end`](Self::end)
    /// has the code). Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// Why the connection ended otherwise.
    pub async fn next(&mut self) -> Result<Option<Message>, End> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Sends a message: waits for room in the queue, queues it, waits until the transport took it. When the future is
    /// dropped, the message is either not queued at all or will be sent whole.
    ///
    /// Meanwhile pings are answered, and up to 256 KiB of messages are read ahead.
    ///
    /// # Errors
    ///
    /// Why the connection ended, or is about to.
    pub async fn send<'a>(&mut self, message: impl Into<Outgoing<'a>>) -> Result<(), End> {
        let message = message.into();
        poll_fn(|context| self.poll_room(context, message.payload().len())).await?;
        if self.queue(message).is_err() {
            return Err(self.expected_end());
        }
        self.flush().await
    }

    /// Waits until the transport took all that is queued, reading ahead as [`send`](Self::send) does.
    ///
    /// # Errors
    ///
    /// Why the connection ended.
    pub async fn flush(&mut self) -> Result<(), End> {
        poll_fn(|context| self.poll_flush_reading(context)).await
    }

    /// Closes: sends what waits and the close frame, and waits until the peer has answered and both directions ended.
    /// Messages that still come are dropped.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> End {
        self.start_close(code, reason);
        poll_fn(|context| self.poll_end(context)).await
    }

    /// Two halves, for two tasks.
    pub fn split(self) -> (Sender<C, R>, Receiver<C, R>) {
        split::split(self)
    }

    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Message>, End>> {
        loop {
            if let Some(message) = self.received.next_message() {
                return Poll::Ready(Ok(Some(message)));
            }
            // A message that was to be read in pieces, and now is not.
            if self.received.bytes > self.protocol.limits().message_bytes {
                self.received = Received::default();
                self.protocol.refuse(self.runtime.now(), Fault::MessageTooBig);
            }
            if let Some(end) = ready!(self.poll_collect(context, None))
                && !self.received.has_message()
            {
                return Poll::Ready(if end.is_clean() { Ok(None) } else { Err(end) });
            }
        }
    }

    /// Reads one batch; ready with the end once there is one. Messages that begin now are to come in pieces, of up to so
    /// many bytes, or else whole.
    pub(super) fn poll_collect(
        &mut self,
        context: &mut Context<'_>,
        in_pieces: Option<u64>,
    ) -> Poll<Option<End>> {
        let mut collect = Collect { received: std::mem::take(&mut self.received), in_pieces };
        let polled = self.poll_receive(context, &mut collect);
        self.received = collect.received;
        if polled.is_pending() {
            self.received.shrink();
        }
        polled.map(Result::err)
    }

    /// Ready when a message of `len` bytes has room.
    pub(super) fn poll_room(&mut self, context: &mut Context<'_>, len: usize) -> Poll<Result<(), End>> {
        self.poll_until(context, |socket| socket.outbox().check_room(len))
    }

    /// Ready when `check` finds room.
    pub(super) fn poll_until(
        &mut self,
        context: &mut Context<'_>,
        check: impl Fn(&mut Self) -> Result<(), Refused>,
    ) -> Poll<Result<(), End>> {
        loop {
            match check(self) {
                // There is room again at the latest when nothing waits any more.
                Err(Refused::Full { .. }) => ready!(self.poll_flush_reading(context))?,
                Err(Refused::Closing) => return Poll::Ready(Err(self.expected_end())),
                // What else there may be, sending says.
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }

    /// [`poll_flush`](Self::poll_flush), with an ear for the peer.
    pub(super) fn poll_flush_reading(&mut self, context: &mut Context<'_>) -> Poll<Result<(), End>> {
        loop {
            let flushed = self.poll_flush(context)?;
            if flushed.is_ready() || self.received.bytes >= READ_AHEAD {
                return flushed.map(Ok);
            }
            if let Some(end) = ready!(self.poll_collect(context, None)) {
                return Poll::Ready(Err(end));
            }
        }
    }

    pub(super) fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<End> {
        loop {
            if let Err(end) = ready!(self.poll_receive(context, &mut Ignore)) {
                return Poll::Ready(end);
            }
        }
    }

    pub(super) fn expected_end(&self) -> End {
        self.protocol.expected_end().unwrap_or(End::Aborted)
    }
}

/// Messages, and pieces of messages, that nobody has taken yet.
#[derive(Default)]
pub(super) struct Received {
    parts: VecDeque<Part>,
    /// The sum of their lengths.
    bytes: usize,
    /// The rest of the message that is coming in pieces is of no interest to anybody.
    pub(super) skipping: bool,
}

/// A message, or a piece of one.
pub(super) struct Part {
    pub(super) kind: Kind,
    pub(super) bytes: Bytes,
    pub(super) is_last: bool,
}

impl Received {
    /// The next part.
    pub(super) fn next_part(&mut self) -> Option<Part> {
        self.skip();
        let part = self.parts.pop_front()?;
        self.bytes -= part.bytes.len();
        Some(part)
    }

    /// The next message, if all of it is there.
    fn next_message(&mut self) -> Option<Message> {
        self.skip();
        if !self.has_message() {
            return None;
        }
        let first = self.next_part()?;
        if first.is_last {
            return Some(Message::new(first.kind, first.bytes));
        }
        let mut whole = BytesMut::from(&first.bytes[..]);
        while let Some(part) = self.next_part() {
            whole.extend_from_slice(&part.bytes);
            if part.is_last {
                break;
            }
        }
        Some(Message::new(first.kind, whole.freeze()))
    }

    /// How many parts there are.
    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    fn has_message(&self) -> bool {
        self.parts.iter().any(|part| part.is_last)
    }

    fn push(&mut self, kind: Kind, bytes: Bytes, is_last: bool) {
        self.bytes += bytes.len();
        self.parts.push_back(Part { kind, bytes, is_last });
        self.skip();
    }

    fn skip(&mut self) {
        while self.skipping
            && let Some(part) = self.parts.pop_front()
        {
            self.bytes -= part.bytes.len();
            self.skipping = !part.is_last;
        }
    }

    /// Who waits holds no buffer.
    fn shrink(&mut self) {
        if self.parts.is_empty() {
            self.parts = VecDeque::new();
        }
    }
}

/// Collects what comes.
struct Collect {
    received: Received,
    in_pieces: Option<u64>,
}

impl Handler for Collect {
    const ANSWERS: bool = false;

    fn begin(&mut self, _: &Begun) -> Intake {
        self.in_pieces.map_or(Intake::Whole, |most_bytes| Intake::Pieces { most_bytes })
    }

    fn piece(&mut self, piece: Piece<'_>, _: &mut Outbox) {
        self.received.push(piece.kind, Bytes::copy_from_slice(piece.bytes), piece.is_last);
    }

    fn message(&mut self, kind: Kind, payload: &[u8], _: &mut Outbox) {
        self.received.push(kind, Bytes::copy_from_slice(payload), true);
    }

    fn assembled(&mut self, kind: Kind, payload: &mut Vec<u8>, out: &mut Outbox) {
        if payload.capacity() > 2 * payload.len() {
            return self.message(kind, payload, out);
        }
        self.received.push(kind, Bytes::from(std::mem::take(payload)), true);
    }
}

/// Takes no notice.
struct Ignore;

impl Handler for Ignore {
    const ANSWERS: bool = false;

    fn message(&mut self, _: Kind, _: &[u8], _: &mut Outbox) {}
}
