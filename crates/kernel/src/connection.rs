//! TCP connections of the operating system.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use host::{AsyncRead, AsyncWrite, Connection, ConnectionInfo, ReadBuf};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// The system refuses a write of more slices than this (IOV_MAX, which is at least 1024 wherever we run).
const MOST_SLICES: usize = 1024;

/// A TCP connection of the operating system. Segments leave at once (TCP_NODELAY): whoever writes has gathered what
/// belongs together.
#[derive(Debug)]
pub struct KernelConnection {
    stream: TcpStream,
    peer: SocketAddr,
    aborted: bool,
}

impl KernelConnection {
    pub(crate) fn new(stream: TcpStream, peer: SocketAddr) -> Self {
        // It fails only on a connection that is dead already, and then the first read says so.
        let _ = stream.set_nodelay(true);
        Self { stream, peer: canonical(peer), aborted: false }
    }

    fn alive(&self) -> io::Result<()> {
        if self.aborted { Err(aborted()) } else { Ok(()) }
    }

    /// Runs one transfer on the socket. A transfer of less than was asked for tells that the socket is empty or full, so
    /// its readiness is taken back right away: the next one waits for the kernel's word instead of asking in vain. That
    /// holds for edge-triggered epoll; elsewhere the socket is asked again.
    fn transfer(
        &self,
        interest: Interest,
        wanted: usize,
        operation: impl FnOnce(&socket2::Socket) -> io::Result<usize>,
    ) -> io::Result<usize> {
        const SHORT_MEANS_DRAINED: bool = cfg!(any(target_os = "linux", target_os = "android"));
        self.alive()?;
        let mut short = None;
        let outcome = self.stream.try_io(interest, || {
            let moved = operation(&SockRef::from(&self.stream))?;
            if SHORT_MEANS_DRAINED && moved > 0 && moved < wanted {
                short = Some(moved);
                return Err(ErrorKind::WouldBlock.into());
            }
            Ok(moved)
        });
        match short {
            Some(moved) => Ok(moved),
            None => outcome,
        }
    }
}

impl Connection for KernelConnection {
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.alive()?;
        self.stream.poll_read_ready(context)
    }

    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.transfer(Interest::READABLE, buffer.len(), |mut socket| socket.read(buffer))
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.alive()?;
        self.stream.poll_write_ready(context)
    }

    fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let slices = &slices[..slices.len().min(MOST_SLICES)];
        let wanted = slices.iter().map(|slice| slice.len()).sum();
        self.transfer(Interest::WRITABLE, wanted, |mut socket| match slices {
            [slice] => socket.write(slice),
            _ => socket.write_vectored(slices),
        })
    }

    /// As [`Connection::unsent`] says, on Linux; zero elsewhere.
    fn unsent(&self) -> usize {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if !self.aborted {
            return crate::sys::unacknowledged(&self.stream).unwrap_or(0);
        }
        0
    }

    fn abort(&mut self) {
        if std::mem::replace(&mut self.aborted, true) {
            return;
        }
        // Elsewhere the reset leaves when the connection is dropped. It is not dropped here, for then tokio would forget
        // a task that waits on the other half instead of waking it.
        let _ = self.stream.set_zero_linger();
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = crate::sys::disconnect(&self.stream);
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let _ = SockRef::from(&self.stream).shutdown(std::net::Shutdown::Read);
    }

    /// As [`Connection::info`] says, on Linux; empty elsewhere.
    fn info(&self) -> ConnectionInfo {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if !self.aborted {
            return crate::sys::tcp_info(&self.stream).unwrap_or_default();
        }
        ConnectionInfo::default()
    }

    fn peer_address(&self) -> SocketAddr {
        self.peer
    }

    fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().map_or(SocketAddr::from(([0, 0, 0, 0], 0)), canonical)
    }
}

impl AsyncRead for KernelConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.alive()?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for KernelConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.alive()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.alive()?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.alive())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.alive()?;
        let outcome = ready!(Pin::new(&mut self.stream).poll_shutdown(context));
        Poll::Ready(match outcome {
            // The peer was faster: there is nothing left to end.
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
            outcome => outcome,
        })
    }
}

fn aborted() -> io::Error {
    io::Error::new(ErrorKind::ConnectionAborted, "the connection was aborted on this side")
}

/// An IPv4 peer of an IPv6 socket is an IPv4 peer.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
