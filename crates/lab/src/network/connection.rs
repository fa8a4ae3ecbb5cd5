//! The program's handle to one end of a stream.

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use host::{AsyncRead, AsyncWrite, Connection, ConnectionInfo, ReadBuf};

use crate::machine::LabHost;
use crate::state::{Shared, State};

/// One end of a stream between two simulated machines.
pub struct LabConnection {
    shared: Arc<Shared>,
    stream: u64,
    end: usize,
    local: SocketAddr,
    peer: SocketAddr,
    aborted: bool,
}

impl std::fmt::Debug for LabConnection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "LabConnection({} > {})", self.local, self.peer)
    }
}

/// A call that was not answered yet. Dropping it hangs up.
pub(crate) struct Dialing {
    shared: Arc<Shared>,
    stream: Option<u64>,
}

impl Dialing {
    pub(crate) async fn dial(host: &LabHost, remote: SocketAddr) -> io::Result<LabConnection> {
        let shared = host.shared.clone();
        let stream = shared.with(|state| state.dial(host.machine, remote))?;
        let mut dialing = Self { shared, stream: Some(stream) };
        poll_fn(|context| dialing.shared.with(|state| state.poll_dialed(stream, context))).await?;
        dialing.stream = None;
        LabConnection::new(dialing.shared.clone(), stream, 0)
    }
}

impl Drop for Dialing {
    fn drop(&mut self) {
        if let Some(stream) = self.stream {
            self.shared.with(|state| state.let_go(stream, 0));
        }
    }
}

impl LabConnection {
    pub(super) fn new(shared: Arc<Shared>, stream: u64, end: usize) -> io::Result<Self> {
        let addresses = shared.with(|state| state.net.streams.get(&stream).map(|stream| stream.addresses));
        match addresses {
            Some(addresses) => Ok(Self {
                shared,
                stream,
                end,
                local: addresses[end],
                peer: addresses[1 - end],
                aborted: false,
            }),
            None => Err(ErrorKind::ConnectionAborted.into()),
        }
    }

    fn with<T>(&self, operation: impl FnOnce(&mut State, u64, usize) -> io::Result<T>) -> io::Result<T> {
        if self.aborted {
            return Err(io::Error::new(
                ErrorKind::ConnectionAborted,
                "the connection was aborted on this side",
            ));
        }
        self.shared.with(|state| operation(state, self.stream, self.end))
    }
}

impl Connection for LabConnection {
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut old = None;
        let ready = self.with(|state, stream, end| {
            let endpoint = state.end(stream, end)?;
            if !endpoint.is_readable() {
                old = endpoint.reader.replace(context.waker().clone());
                return Ok(false);
            }
            Ok(true)
        });
        drop(old);
        if ready? { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.with(|state, stream, end| state.read(stream, end, buffer))
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut old = None;
        let ready = self.with(|state, stream, end| {
            let capacity = state.config.send_buffer;
            let endpoint = state.end(stream, end)?;
            if !endpoint.is_writable(capacity) {
                old = endpoint.writer.replace(context.waker().clone());
                return Ok(false);
            }
            Ok(true)
        });
        drop(old);
        if ready? { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.with(|state, stream, end| state.write(stream, end, slices))
    }

    fn unsent(&self) -> usize {
        self.with(|state, stream, end| Ok(state.end(stream, end)?.unacknowledged())).unwrap_or(0)
    }

    fn abort(&mut self) {
        if !std::mem::replace(&mut self.aborted, true) {
            self.shared.with(|state| state.abort(self.stream, self.end));
        }
    }

    fn info(&self) -> ConnectionInfo {
        let latency = self.with(|state, stream, _| Ok(state.stream_latency(stream)));
        ConnectionInfo {
            round_trip: latency.ok().flatten().map(|latency| latency * 2),
            retransmissions: Some(0),
            congestion_window: None,
        }
    }

    fn peer_address(&self) -> SocketAddr {
        self.peer
    }

    fn local_address(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for LabConnection {
    fn drop(&mut self) {
        self.shared.with(|state| state.let_go(self.stream, self.end));
    }
}

impl AsyncRead for LabConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_readable(context))?;
        let read = self.try_read(buffer.initialize_unfilled())?;
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LabConnection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_writable(context))?;
        Poll::Ready(self.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.with(|_, _, _| Ok(())))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.with(|state, stream, end| state.finish(stream, end)))
    }
}
