//! A connection made of any stream of bytes that tokio's traits describe.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use host::{AsyncRead, AsyncWrite, Connection, ConnectionInfo, ReadBuf};

/// What is read while nobody has said where to, in bytes.
const PEEKED: usize = 4 << 10;

/// What is taken when the stream takes nothing, in bytes, so that there is something to wait with.
const STAGED: usize = 16 << 10;

/// A stream of bytes as a [`Connection`]: an upgraded HTTP connection, a pipe, a stream inside another protocol.
///
/// Such a stream cannot say whether it is ready without moving bytes. So up to 4 KiB are read ahead when somebody waits
/// for input, and up to 16 KiB of output wait here until the stream takes them; waiting for either moves both on.
pub struct Io<T> {
    stream: Option<T>,
    peeked: Bytes,
    /// The stream has ended, after what was peeked.
    ended: bool,
    staged: Bytes,
    /// Written, but perhaps not flushed.
    unflushed: bool,
    local: SocketAddr,
    peer: SocketAddr,
}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io<T> {
    /// `stream`, at addresses that nobody knows.
    pub fn new(stream: T) -> Self {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        Self::at(stream, nowhere, nowhere)
    }

    /// `stream`, between two addresses.
    pub fn at(stream: T, local: SocketAddr, peer: SocketAddr) -> Self {
        Self {
            stream: Some(stream),
            peeked: Bytes::new(),
            ended: false,
            staged: Bytes::new(),
            unflushed: false,
            local,
            peer,
        }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut T>> {
        match &mut self.stream {
            Some(stream) => Ok(Pin::new(stream)),
            None => {
                Err(io::Error::new(ErrorKind::ConnectionAborted, "the connection was aborted on this side"))
            }
        }
    }

    /// Ready when nothing waits here.
    fn poll_staged(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.staged.is_empty() {
            let staged = self.staged.clone();
            match ready!(self.stream()?.poll_write(context, &staged))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                written => self.staged.advance(written),
            }
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(self.stream()?.poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Connection for Io<T> {
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Whoever only waits for input moves on what waits for room. If that fails, so does reading.
        let _ = self.poll_staged(context);
        if self.ended || !self.peeked.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut peeked = [0; PEEKED];
        let mut buffer = ReadBuf::new(&mut peeked);
        ready!(self.stream()?.poll_read(context, &mut buffer))?;
        self.peeked = Bytes::copy_from_slice(buffer.filled());
        self.ended = self.peeked.is_empty();
        Poll::Ready(Ok(()))
    }

    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let peeked = self.peeked.len().min(buffer.len());
        self.peeked.copy_to_slice(&mut buffer[..peeked]);
        if self.ended || peeked == buffer.len() {
            return Ok(peeked);
        }
        // Nobody waits: who gets WouldBlock comes back with poll_readable.
        let mut rest = ReadBuf::new(&mut buffer[peeked..]);
        match self.stream()?.poll_read(&mut Context::from_waker(Waker::noop()), &mut rest) {
            Poll::Ready(Ok(())) => {
                let read = rest.filled().len();
                self.ended = read == 0;
                Ok(peeked + read)
            }
            Poll::Ready(Err(error)) if peeked == 0 => Err(error),
            Poll::Pending if peeked == 0 => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(peeked),
        }
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_staged(context)
    }

    fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut context = Context::from_waker(Waker::noop());
        if self.poll_staged(&mut context)?.is_pending() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let written = match self.stream()?.poll_write_vectored(&mut context, slices) {
            Poll::Ready(written) => written?,
            Poll::Pending => {
                let mut staged = Vec::new();
                for slice in slices {
                    let room = STAGED - staged.len();
                    staged.extend_from_slice(&slice[..slice.len().min(room)]);
                }
                self.staged = staged.into();
                return Ok(self.staged.len());
            }
        };
        self.unflushed = true;
        let _ = self.poll_staged(&mut context);
        Ok(written)
    }

    fn unsent(&self) -> usize {
        self.staged.len()
    }

    fn abort(&mut self) {
        self.stream = None;
    }

    fn info(&self) -> ConnectionInfo {
        ConnectionInfo::default()
    }

    fn peer_address(&self) -> SocketAddr {
        self.peer
    }

    fn local_address(&self) -> SocketAddr {
        self.local
    }
}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> AsyncRead for Io<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let _ = self.poll_staged(context);
        if !self.peeked.is_empty() {
            let len = self.peeked.len().min(buffer.remaining());
            buffer.put_slice(&self.peeked.split_to(len));
            return Poll::Ready(Ok(()));
        }
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        self.stream()?.poll_read(context, buffer)
    }
}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> AsyncWrite for Io<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_staged(context))?;
        self.stream()?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unflushed = true;
        self.poll_staged(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_staged(context))?;
        self.stream()?.poll_shutdown(context)
    }
}

impl<T> fmt::Debug for Io<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Io")
            .field("peeked", &self.peeked.len())
            .field("staged", &self.staged.len())
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}
