//! The protocol's async face, over any [`Connection`] and any [`Runtime`].

mod buffer;
mod drive;
mod io;
mod messages;
mod pieces;
mod plain;
mod split;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use host::{Connection, Instant, Runtime};

use crate::deflate::Agreed;
use crate::protocol::{Handler, Outbox, Protocol};
use crate::{CloseCode, Counters, End, Limits, Outgoing, Refused, Role};
use drive::Unhandled;
pub use io::Io;
pub use messages::Messages;
pub use pieces::{PieceError, Reading, Writing};
use plain::Received;
pub use split::{Receiver, Sender};

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
    /// What waits for [`next`](Self::next) and [`read`](Self::read).
    received: Received,
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
            received: Received::default(),
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
    pub fn poll_receive<H: Handler>(
        &mut self,
        context: &mut Context<'_>,
        handler: &mut H,
    ) -> Poll<Result<(), End>> {
        if self.batches >= BATCHES_PER_TURN {
            self.batches = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            let _ = self.poll_write_and_release(context);
            if let Some(end) = self.finish() {
                return Poll::Ready(Err(end));
            }
            // Behind the end of the stream there is nothing to read, however often one asks.
            let deaf = self.protocol.peer_has_ended() || (H::ANSWERS && self.protocol.is_choked());
            if !deaf && self.poll_read(context, handler).is_ready() {
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
        self.outbox().send(message)
    }

    /// Writes what is queued; ready when all of it was handed to the transport.
    ///
    /// # Errors
    ///
    /// Why the connection ended.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), End>> {
        loop {
            let written = self.poll_write_and_release(context);
            if let Some(end) = self.finish() {
                return Poll::Ready(Err(end));
            }
            // What the transport took, it may still hold: TLS does.
            match written.is_ready().then(|| Pin::new(&mut self.connection).poll_flush(context)) {
                Some(Poll::Ready(Ok(()))) => return Poll::Ready(Ok(())),
                Some(Poll::Ready(Err(error))) => {
                    self.protocol.write_failed(self.runtime.now(), error.kind());
                    return Poll::Ready(Err(self.expected_end()));
                }
                Some(Poll::Pending) | None => {}
            }
            ready!(self.poll_timer(context));
        }
    }

    /// Bytes that wait to be handed to the transport.
    pub fn queued_bytes(&self) -> usize {
        self.protocol.queued_bytes()
    }

    /// Bytes on their way to the peer: those that wait here, and those that the transport has and the peer has not
    /// acknowledged, as far as the network knows. It asks the system.
    pub fn buffered_bytes(&self) -> usize {
        self.protocol.queued_bytes() + self.connection.unsent()
    }

    /// Writes what is queued; ready when no more of it waits than [`Limits::low_water_bytes`].
    ///
    /// # Errors
    ///
    /// Why the connection ended.
    pub fn poll_drained(&mut self, context: &mut Context<'_>) -> Poll<Result<(), End>> {
        let flushed = self.poll_flush(context)?;
        let drained = self.protocol.queued_bytes() <= self.protocol.limits().low_water_bytes;
        if flushed.is_ready() || drained { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// What waits to be handed to the transport.
    pub fn outbox(&mut self) -> &mut Outbox {
        self.borrow_queue();
        self.protocol.outbox()
    }

    /// What passed so far.
    pub fn counters(&self) -> Counters {
        self.protocol.counters()
    }

    /// Queues the close frame: see [`Outbox::close`]. What waits is still sent; no message is handed on any more.
    pub fn start_close(&mut self, code: CloseCode, reason: &str) {
        self.protocol.close(self.runtime.now(), code, reason);
    }

    /// Queues a ping of at most 125 bytes.
    pub fn ping(&mut self, payload: &[u8]) {
        self.protocol.ping(self.runtime.now(), payload);
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
