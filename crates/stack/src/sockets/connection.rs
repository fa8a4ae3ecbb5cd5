//! TCP connections of the host.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use host::{AsyncRead, AsyncWrite, Connection, ConnectionInfo, Instant, ReadBuf, Runtime};
use tcpip::transport::{ConnectionId, tcp};

use super::driver::{Inner, Shared};
use super::error;
use crate::Device;

/// A TCP connection of the host. Dropping it closes it in the orderly way: what was written still goes out.
pub struct StackConnection<R: Runtime, D: Device> {
    shared: Arc<Shared<R, D>>,
    id: ConnectionId,
    local: SocketAddr,
    peer: SocketAddr,
    aborted: bool,
}

/// A call that was not answered yet. Dropping it hangs up.
pub(super) struct Dialing<R: Runtime, D: Device> {
    shared: Arc<Shared<R, D>>,
    id: Option<ConnectionId>,
}

impl<R: Runtime, D: Device> Dialing<R, D> {
    pub(super) async fn dial(
        shared: Arc<Shared<R, D>>,
        remote: SocketAddr,
    ) -> io::Result<StackConnection<R, D>> {
        let id = shared.with(|inner, now| {
            inner.stack.connect(now, None, remote, &mut inner.devices).map_err(error::socket)
        })?;
        let mut dialing = Self { shared: shared.clone(), id: Some(id) };
        poll_fn(|context| {
            shared.peek(|inner, _| {
                let Some(connection) = inner.stack.connection(id) else {
                    return Poll::Ready(Err(ErrorKind::ConnectionAborted.into()));
                };
                if let Some(end) = connection.end() {
                    return Poll::Ready(Err(error::end(end)));
                }
                if connection.is_established() {
                    return Poll::Ready(Ok(()));
                }
                drop(connection);
                inner.waiting.for_writing(id, context.waker());
                Poll::Pending
            })
        })
        .await?;
        dialing.id = None;
        Ok(StackConnection::new(shared, id))
    }
}

impl<R: Runtime, D: Device> Drop for Dialing<R, D> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.shared.with(|inner, now| {
                inner.waiting.forget(id);
                if let Some(mut connection) = inner.stack.connection(id) {
                    connection.abort(now);
                }
                inner.stack.release(now, id);
            });
        }
    }
}

impl<R: Runtime, D: Device> StackConnection<R, D> {
    pub(super) fn new(shared: Arc<Shared<R, D>>, id: ConnectionId) -> Self {
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let (local, peer) = shared.peek(|inner, _| {
            let connection = inner.stack.connection(id);
            connection.map_or((unknown, unknown), |connection| {
                let ends = connection.endpoints();
                (ends.local, ends.remote)
            })
        });
        Self { shared, id, local, peer, aborted: false }
    }

    fn alive(&self) -> io::Result<()> {
        if self.aborted {
            return Err(io::Error::new(
                ErrorKind::ConnectionAborted,
                "the connection was aborted on this side",
            ));
        }
        Ok(())
    }

    /// Does something to the connection, and sends what follows from it.
    fn with<T>(
        &self,
        operation: impl FnOnce(&mut tcp::Connection, Instant) -> io::Result<T>,
    ) -> io::Result<T> {
        self.alive()?;
        self.shared.with(|inner, now| operation(&mut *alive(inner, self.id)?, now))
    }

    /// Ready when `look` says so; else `wait` remembers who asked.
    fn poll(
        &self,
        look: impl FnOnce(&tcp::Connection) -> bool,
        wait: impl FnOnce(&mut Inner<R, D>),
    ) -> Poll<io::Result<()>> {
        self.alive()?;
        self.shared.peek(|inner, _| {
            let connection = alive(inner, self.id)?;
            if connection.end().is_some() || look(&connection) {
                return Poll::Ready(Ok(()));
            }
            drop(connection);
            wait(inner);
            Poll::Pending
        })
    }
}

fn alive<R: Runtime, D: Device>(
    inner: &mut Inner<R, D>,
    id: ConnectionId,
) -> io::Result<tcpip::transport::ConnectionMut<'_>> {
    inner.stack.connection(id).ok_or_else(|| ErrorKind::NotConnected.into())
}

impl<R: Runtime, D: Device> Connection for StackConnection<R, D> {
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(tcp::Connection::is_readable, |inner| inner.waiting.for_reading(self.id, context.waker()))
    }

    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.with(|connection, now| {
            connection.read(now, buffer).map_err(|why| error::read(why, connection.end()))
        })
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(tcp::Connection::is_writable, |inner| inner.waiting.for_writing(self.id, context.waker()))
    }

    fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.with(|connection, now| {
            connection.write(now, slices).map_err(|why| error::write(why, connection.end()))
        })
    }

    fn unsent(&self) -> usize {
        if self.aborted {
            return 0;
        }
        self.shared
            .peek(|inner, _| inner.stack.connection(self.id).map_or(0, |connection| connection.unsent()))
    }

    fn abort(&mut self) {
        if std::mem::replace(&mut self.aborted, true) {
            return;
        }
        self.shared.with(|inner, now| {
            if let Some(mut connection) = inner.stack.connection(self.id) {
                connection.abort(now);
            }
            inner.waiting.wake(self.id);
        });
    }

    fn info(&self) -> ConnectionInfo {
        let info =
            self.shared.peek(|inner, _| inner.stack.connection(self.id).map(|connection| connection.info()));
        info.map_or_else(ConnectionInfo::default, |info| ConnectionInfo {
            round_trip: info.recovery.round_trip,
            retransmissions: Some(info.recovery.retransmissions),
            congestion_window: Some(u64::from(info.recovery.congestion_window)),
        })
    }

    fn peer_address(&self) -> SocketAddr {
        self.peer
    }

    fn local_address(&self) -> SocketAddr {
        self.local
    }
}

impl<R: Runtime, D: Device> Drop for StackConnection<R, D> {
    fn drop(&mut self) {
        self.shared.with(|inner, now| {
            inner.waiting.forget(self.id);
            inner.stack.release(now, self.id);
        });
    }
}

impl<R: Runtime, D: Device> AsyncRead for StackConnection<R, D> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_readable(context))?;
        match self.try_read(buffer.initialize_unfilled()) {
            Ok(read) => buffer.advance(read),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Ready(Ok(()))
    }
}

impl<R: Runtime, D: Device> AsyncWrite for StackConnection<R, D> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_writable(context))?;
        match self.try_write_vectored(slices) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            outcome => Poll::Ready(outcome),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.alive())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.with(|connection, now| {
            connection.shutdown(now);
            Ok(())
        }))
    }
}

impl<R: Runtime, D: Device> fmt::Debug for StackConnection<R, D> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StackConnection({} > {})", self.local, self.peer)
    }
}
