//! A connection in two halves.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use host::{Connection, Runtime};

use super::WebSocket;
use crate::{CloseCode, End, Message, Outgoing, Refused};

/// The half that sends.
pub struct Sender<C, R: Runtime>(Arc<Shared<C, R>>);

/// The half that receives. It must be kept polled: it also answers pings and notices timeouts.
pub struct Receiver<C, R: Runtime>(Arc<Shared<C, R>>);

struct Shared<C, R: Runtime> {
    socket: Mutex<WebSocket<C, R>>,
    wakers: Arc<Wakers>,
}

/// A connection has one waker for each direction, but either half may wait for both: each is woken for all.
#[derive(Default)]
struct Wakers(Mutex<[Option<Waker>; 2]>);

#[derive(Clone, Copy)]
enum Half {
    Sender = 0,
    Receiver = 1,
}

pub(super) fn split<C: Connection, R: Runtime>(socket: WebSocket<C, R>) -> (Sender<C, R>, Receiver<C, R>) {
    let shared = Arc::new(Shared { socket: Mutex::new(socket), wakers: Arc::default() });
    (Sender(shared.clone()), Receiver(shared))
}

impl<C: Connection, R: Runtime> Sender<C, R> {
    /// Sends a message: [`WebSocket::send`].
    ///
    /// # Errors
    ///
    /// Why the connection ended, or is about to.
    pub async fn send<'a>(&mut self, message: impl Into<Outgoing<'a>>) -> Result<(), End> {
        let message = message.into();
        let len = message.payload().len();
        let mut message = Some(message);
        poll_fn(|context| {
            self.0.poll(Half::Sender, context, |socket, context| {
                if message.is_some() {
                    std::task::ready!(socket.poll_room(context, len))?;
                }
                if let Some(message) = message.take()
                    && socket.queue(message).is_err()
                {
                    return Poll::Ready(Err(socket.expected_end()));
                }
                socket.poll_flush_reading(context)
            })
        })
        .await
    }

    /// Queues a message for the next write: [`WebSocket::queue`]. Follow it by [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// As [`Outbox::send`](crate::Outbox::send).
    pub fn queue<'a>(&mut self, message: impl Into<Outgoing<'a>>) -> Result<(), Refused> {
        lock(&self.0.socket).queue(message)
    }

    /// Waits until the transport took all that is queued.
    ///
    /// # Errors
    ///
    /// Why the connection ended.
    pub async fn flush(&mut self) -> Result<(), End> {
        poll_fn(|context| self.0.poll(Half::Sender, context, WebSocket::poll_flush_reading)).await
    }

    /// Closes: [`WebSocket::close`]. The other half sees the end as well.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> End {
        lock(&self.0.socket).start_close(code, reason);
        let end = poll_fn(|context| self.0.poll(Half::Sender, context, WebSocket::poll_end)).await;
        self.0.wakers.wake_by_ref();
        end
    }

    /// Bytes that wait to be handed to the transport.
    pub fn queued_bytes(&self) -> usize {
        lock(&self.0.socket).queued_bytes()
    }
}

impl<C: Connection, R: Runtime> Receiver<C, R> {
    /// The next message: [`WebSocket::next`].
    ///
    /// # Errors
    ///
    /// Why the connection ended, if not by a close handshake.
    pub async fn next(&mut self) -> Result<Option<Message>, End> {
        let next = poll_fn(|context| self.0.poll(Half::Receiver, context, WebSocket::poll_next)).await;
        if !matches!(next, Ok(Some(_))) {
            self.0.wakers.wake_by_ref();
        }
        next
    }

    /// Why the connection is over, once it is.
    pub fn end(&self) -> Option<End> {
        lock(&self.0.socket).end().cloned()
    }
}

impl<C: Connection, R: Runtime> Shared<C, R> {
    fn poll<T>(
        &self,
        half: Half,
        context: &mut Context<'_>,
        poll: impl FnOnce(&mut WebSocket<C, R>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        lock(&self.wakers.0)[half as usize] = Some(context.waker().clone());
        let both = Waker::from(self.wakers.clone());
        let mut socket = lock(&self.socket);
        let had = socket.received.len();
        let polled = poll(&mut socket, &mut Context::from_waker(&both));
        // What the sender came to read while it waited is the receiver's.
        if let Half::Sender = half
            && socket.received.len() > had
            && let Some(receiver) = lock(&self.wakers.0)[Half::Receiver as usize].take()
        {
            receiver.wake();
        }
        polled
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let wakers = std::mem::take(&mut *lock(&self.0));
        for waker in wakers.into_iter().flatten() {
            waker.wake();
        }
    }
}

/// Both mutexes guard state that is whole whenever they are free; a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
