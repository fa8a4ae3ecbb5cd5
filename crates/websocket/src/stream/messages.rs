//! Messages as the `futures` crates have them: a `Stream` and a `Sink`.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;
use host::{Connection, Runtime};

use super::WebSocket;
use crate::{CloseCode, End, Message, Refused};

/// A WebSocket as a [`Stream`] and a [`Sink`] of [`Message`]s, for what is written against those.
///
/// ```
/// use futures_util::{SinkExt, StreamExt};
/// use websocket::{End, WebSocket};
///
/// async fn echo<C: host::Connection, R: host::Runtime>(socket: WebSocket<C, R>) -> Result<(), End> {
///     let (mut sink, mut stream) = socket.into_messages().split();
///     while let Some(message) = stream.next().await {
///         sink.send(message?).await?;
///     }
///     Ok(())
/// }
/// ```
///
/// The stream ends when the connection was closed by a close handshake; another end is its last item. The sink is ready
/// while no more than [`Limits::high_water_bytes`](crate::Limits::high_water_bytes) wait; `feed` gathers messages for one
/// write, `flush` waits until the transport took them, and `close` closes with 1000. While the sink waits, pings are
/// answered, and up to 256 KiB are read ahead.
pub struct Messages<C, R: Runtime> {
    socket: WebSocket<C, R>,
    /// One that was taken when the queue had no room for it.
    waiting: Option<Message>,
    is_over: bool,
}

impl<C: Connection, R: Runtime> WebSocket<C, R> {
    /// The same as a [`Stream`] and a [`Sink`].
    pub fn into_messages(self) -> Messages<C, R> {
        Messages { socket: self, waiting: None, is_over: false }
    }
}

impl<C: Connection, R: Runtime> Messages<C, R> {
    /// What lies below.
    pub fn get_ref(&self) -> &WebSocket<C, R> {
        &self.socket
    }

    /// What lies below: what is queued there comes behind what the sink took already.
    pub fn get_mut(&mut self) -> &mut WebSocket<C, R> {
        &mut self.socket
    }

    /// Ready when the message that waits, if there is one, is in the queue.
    fn poll_waiting(&mut self, context: &mut Context<'_>) -> Poll<Result<(), End>> {
        if let Some(message) = &self.waiting {
            let len = message.payload().len();
            ready!(self.socket.poll_room(context, len))?;
            if let Some(message) = self.waiting.take() {
                self.queue(message)?;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn queue(&mut self, message: Message) -> Result<(), End> {
        match self.socket.queue(message.clone()) {
            Ok(()) => Ok(()),
            Err(Refused::Closing) => Err(self.socket.expected_end()),
            Err(_) => {
                self.waiting = Some(message);
                Ok(())
            }
        }
    }
}

/// Nothing in it is ever pinned.
impl<C, R: Runtime> Unpin for Messages<C, R> {}

impl<C: Connection, R: Runtime> Stream for Messages<C, R> {
    type Item = Result<Message, End>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let next = ready!(self.socket.poll_next(context)).transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        Poll::Ready(next)
    }
}

impl<C: Connection, R: Runtime> Sink<Message> for Messages<C, R> {
    type Error = End;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), End>> {
        ready!(self.poll_waiting(context))?;
        if self.socket.protocol.is_choked() {
            ready!(self.socket.poll_flush_reading(context))?;
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), End> {
        self.queue(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), End>> {
        ready!(self.poll_waiting(context))?;
        self.socket.poll_flush_reading(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), End>> {
        if !self.socket.outbox().is_closing() {
            ready!(self.poll_waiting(context))?;
            self.socket.start_close(CloseCode::NORMAL, "");
        }
        let end = ready!(self.socket.poll_end(context));
        Poll::Ready(if end.is_clean() { Ok(()) } else { Err(end) })
    }
}
