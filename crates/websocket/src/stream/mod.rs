//! The protocol's async face, over any [`Connection`] and any [`Runtime`].

mod buffer;
mod split;

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use host::{Connection, Instant, Runtime, Timer};

use crate::deflate::Agreed;
use crate::protocol::{Handler, Outbox, Protocol};
use crate::{CloseCode, End, Kind, Limits, Message, Outgoing, Refused, Role};
use buffer::Buffers;
pub use split::{Receiver, Sender};

/// Slices of one write.
const SLICES: usize = 32;

/// So many batches of input in a row, then the task lets others go first.
const BATCHES_PER_TURN: u8 = 32;

/// A WebSocket connection after its handshake.
///
/// [`poll_receive`](Self::poll_receive) is the way in for servers: it lends messages and sends the answers of a batch
/// in one write. [`next`](Self::next), [`send`](Self::send) and [`close`](Self::close) are the plain way. An idle
/// connection holds no buffer.
///
/// Whoever queues must also poll: what [`queue`](Self::queue), [`ping`](Self::ping) and
/// [`start_close`](Self::start_close) leave behind is written by the next call of `poll_receive` or
/// [`poll_flush`](Self::poll_flush), and so are answers to pings. Dropping it ends the connection without a close frame.
pub struct WebSocket<C, R: Runtime> {
    connection: C,
    runtime: R,
    protocol: Protocol,
    timer: Option<R::Timer>,
    /// What the timer is set to: never later than the protocol's timeout, but it may be earlier, for most timeouts move
    /// on before they come.
    armed: Option<Instant>,
    /// Bytes that were read and not handled yet: those that came with the handshake, and those that were held back
    /// because too much waits to be sent.
    unhandled: Option<Box<Unhandled>>,
    /// Messages for [`next`](Self::next).
    received: VecDeque<Message>,
    /// Batches since the task last waited.
    batches: u8,
    /// The end was told to the transport.
    finished: bool,
}

impl<C: Connection, R: Runtime> WebSocket<C, R> {
    /// A WebSocket over `connection`, whose handshake is done. `already_read` is what was read behind the handshake.
    pub fn new(
        connection: C,
        runtime: R,
        role: Role,
        limits: impl Into<Arc<Limits>>,
        deflate: Option<Agreed>,
        already_read: Bytes,
    ) -> Self {
        let now = runtime.now();
        let protocol = match role {
            Role::Server => Protocol::server(now, limits, deflate.as_ref()),
            Role::Client => {
                Protocol::client(now, limits, deflate.as_ref(), runtime.random("websocket masking keys"))
            }
        };
        Self {
            connection,
            runtime,
            protocol,
            timer: None,
            armed: None,
            unhandled: Unhandled::new(&already_read),
            received: VecDeque::new(),
            batches: 0,
            finished: false,
        }
    }

    /// Waits for input, reads once, hands what came to `handler`, and writes what was queued meanwhile.
    ///
    /// Ready with `Ok` after each batch, also when it completed no message. Ready with the end, again and again, once
    /// the connection is over; a last batch was handed to `handler` by then. While more than
    /// [`Limits::high_water_bytes`] wait to be sent, nothing is read.
    ///
    /// # Errors
    ///
    /// Why the connection ended, however cleanly.
    pub fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        handler: &mut impl Handler,
    ) -> Poll<Result<(), End>> {
        if self.batches >= BATCHES_PER_TURN {
            self.batches = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            let _ = self.poll_write(context);
            if let Some(end) = self.finish() {
                return Poll::Ready(Err(end));
            }
            if !self.protocol.is_choked() && self.poll_read(context, handler).is_ready() {
                self.batches += 1;
                return Poll::Ready(self.finish().map_or(Ok(()), Err));
            }
            if self.poll_timer(context).is_pending() {
                self.batches = 0;
                return Poll::Pending;
            }
        }
    }

    /// Queues a message behind what waits already. See there what [`Outgoing`] may be made of.
    ///
    /// # Errors
    ///
    /// As [`Outbox::send`].
    pub fn queue<'a>(&mut self, message: impl Into<Outgoing<'a>>) -> Result<(), Refused> {
        self.protocol.send(message)
    }

    /// Writes what is queued; ready when all of it was handed to the transport.
    ///
    /// # Errors
    ///
    /// Why the connection ended.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), End>> {
        loop {
            let written = self.poll_write(context);
            if let Some(end) = self.finish() {
                return Poll::Ready(Err(end));
            }
            if written.is_ready() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_timer(context));
        }
    }

    /// Bytes that wait to be handed to the transport.
    pub fn queued_bytes(&self) -> usize {
        self.protocol.queued_bytes()
    }

    /// What waits to be handed to the transport.
    pub fn outbox(&mut self) -> &mut Outbox {
        self.protocol.outbox()
    }

    /// Queues the close frame: see [`Outbox::close`]. What waits is still sent; no message is handed on any more.
    pub fn start_close(&mut self, code: CloseCode, reason: &str) {
        self.protocol.close(self.runtime.now(), code, reason);
    }

    /// Queues a ping of at most 125 bytes.
    pub fn ping(&mut self, payload: &[u8]) {
        self.protocol.ping(payload);
    }

    /// Throws the connection away: the peer sees a reset.
    pub fn abort(&mut self) {
        self.protocol.abort();
        self.finish();
    }

    /// What lies below.
    pub fn connection(&self) -> &C {
        &self.connection
    }

    /// Why the connection is over, once it is.
    pub fn end(&self) -> Option<&End> {
        self.protocol.end()
    }
}

/// The plain way.
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
    /// It does not read meanwhile: two peers that both only send block each other until a write times out.
    ///
    /// # Errors
    ///
    /// Why the connection ended, or is about to.
    pub async fn send<'a>(&mut self, message: impl Into<Outgoing<'a>>) -> Result<(), End> {
        let message = message.into();
        poll_fn(|context| self.poll_room(context, message.payload().len())).await?;
        if self.protocol.send(message).is_err() {
            return Err(self.expected_end());
        }
        poll_fn(|context| self.poll_flush(context)).await
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

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Message>, End>> {
        loop {
            if let Some(message) = self.received.pop_front() {
                return Poll::Ready(Ok(Some(message)));
            }
            let mut collect = Collect(std::mem::take(&mut self.received));
            let polled = self.poll_receive(context, &mut collect);
            self.received = collect.0;
            match polled {
                Poll::Pending => {
                    self.received = VecDeque::new();
                    return Poll::Pending;
                }
                Poll::Ready(Err(end)) if self.received.is_empty() => {
                    return Poll::Ready(if end.is_clean() { Ok(None) } else { Err(end) });
                }
                Poll::Ready(_) => {}
            }
        }
    }

    /// Ready when a message of `len` bytes has room.
    fn poll_room(&mut self, context: &mut Context<'_>, len: usize) -> Poll<Result<(), End>> {
        loop {
            match self.protocol.outbox().check_room(len) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(Refused::Closing) => return Poll::Ready(Err(self.expected_end())),
                // There is room again at the latest when nothing waits any more.
                Err(Refused::Full { .. }) => ready!(self.poll_flush(context))?,
            }
        }
    }

    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<End> {
        loop {
            if let Err(end) = ready!(self.poll_receive(context, &mut |_: Kind, _: &[u8], _: &mut Outbox| {}))
            {
                return Poll::Ready(end);
            }
        }
    }

    fn expected_end(&self) -> End {
        self.protocol.expected_end().unwrap_or(End::Aborted)
    }
}

/// The parts of a poll.
impl<C: Connection, R: Runtime> WebSocket<C, R> {
    /// Writes until nothing waits; then ends our direction if it is time for that.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.protocol.wants_transmit() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = self.protocol.transmit(&mut slices);
            match self.connection.try_write_vectored(&slices[..filled]) {
                Ok(0) => self.protocol.write_failed(self.runtime.now(), ErrorKind::WriteZero),
                Ok(written) => self.protocol.advance(written),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.protocol.blocked(self.runtime.now());
                    if let Err(error) = ready!(self.connection.poll_writable(context)) {
                        self.protocol.write_failed(self.runtime.now(), error.kind());
                    }
                }
                Err(error) => self.protocol.write_failed(self.runtime.now(), error.kind()),
            }
        }
        if self.protocol.wants_shutdown() {
            // A failure here is the peer's reset, which reading finds as well.
            let _ = ready!(Pin::new(&mut self.connection).poll_shutdown(context));
            self.protocol.shutdown_done();
        }
        Poll::Ready(())
    }

    /// Reads once, handles what came, and writes the answers. Pending when there is nothing to read.
    fn poll_read(&mut self, context: &mut Context<'_>, handler: &mut impl Handler) -> Poll<()> {
        if let Some(mut unhandled) = self.unhandled.take() {
            unhandled.at +=
                self.protocol.receive(self.runtime.now(), &mut unhandled.bytes[unhandled.at..], handler);
            if unhandled.at < unhandled.bytes.len() {
                self.unhandled = Some(unhandled);
            }
            let _ = self.poll_write(context);
            return Poll::Ready(());
        }
        loop {
            if let Err(error) = ready!(self.connection.poll_readable(context)) {
                self.protocol.receive_failed(error.kind());
                return Poll::Ready(());
            }
            let mut buffers = Buffers::take();
            let read = self.connection.try_read(buffers.receive());
            match read {
                Ok(0) => self.protocol.receive_end(),
                Ok(len) => {
                    self.protocol.lend(std::mem::take(&mut buffers.scratch));
                    let bytes = &mut buffers.receive()[..len];
                    let taken = self.protocol.receive(self.runtime.now(), bytes, handler);
                    self.unhandled = Unhandled::new(&bytes[taken..]);
                    let _ = self.poll_write(context);
                    buffers.scratch = self.protocol.reclaim();
                }
                Err(ref error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    buffers.put();
                    continue;
                }
                Err(ref error) => self.protocol.receive_failed(error.kind()),
            }
            buffers.put();
            return Poll::Ready(());
        }
    }

    /// Waits for the protocol's timeout, and handles it when it has come.
    fn poll_timer(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(timeout) = self.protocol.poll_timeout() else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| self.runtime.timer());
        if self.armed.is_none_or(|armed| timeout < armed) {
            timer.set(Some(timeout));
            self.armed = Some(timeout);
        }
        ready!(timer.poll_expired(context));
        self.armed = None;
        self.protocol.handle_timeout(self.runtime.now());
        Poll::Ready(())
    }

    /// The end, once there is one; the transport is thrown away then, if it did not end well.
    fn finish(&mut self) -> Option<End> {
        let end = self.protocol.end()?.clone();
        if !self.finished {
            self.finished = true;
            self.timer = None;
            if matches!(end, End::Timeout(_) | End::Aborted) || self.protocol.queued_bytes() > 0 {
                self.connection.abort();
            }
        }
        Some(end)
    }
}

impl<C: fmt::Debug, R: Runtime> fmt::Debug for WebSocket<C, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WebSocket")
            .field("connection", &self.connection)
            .field("queued_bytes", &self.protocol.queued_bytes())
            .field("end", &self.protocol.end())
            .finish_non_exhaustive()
    }
}

struct Unhandled {
    bytes: Vec<u8>,
    at: usize,
}

impl Unhandled {
    fn new(bytes: &[u8]) -> Option<Box<Self>> {
        (!bytes.is_empty()).then(|| Box::new(Self { bytes: bytes.to_vec(), at: 0 }))
    }
}

/// Collects messages for [`WebSocket::next`].
struct Collect(VecDeque<Message>);

impl Handler for Collect {
    fn message(&mut self, kind: Kind, payload: &[u8], _: &mut Outbox) {
        self.0.push_back(Message::new(kind, Bytes::copy_from_slice(payload)));
    }

    fn assembled(&mut self, kind: Kind, payload: &mut Vec<u8>, out: &mut Outbox) {
        if payload.capacity() > 2 * payload.len() {
            return self.message(kind, payload, out);
        }
        self.0.push_back(Message::new(kind, Bytes::from(std::mem::take(payload))));
    }
}
