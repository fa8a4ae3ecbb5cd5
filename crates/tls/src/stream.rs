//! With TLS or without.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use host::{AsyncRead, AsyncWrite, ConnectionInfo, ReadBuf};

use crate::Connection;

/// A connection, plain or inside TLS.
#[derive(Debug)]
pub enum Stream<C> {
    /// As it is.
    Plain(C),
    /// Inside TLS.
    Tls(Box<Connection<C>>),
}

/// Does the same to whichever it is.
macro_rules! either {
    ($stream:expr, $connection:ident => $do:expr) => {
        match $stream {
            Stream::Plain($connection) => $do,
            Stream::Tls($connection) => $do,
        }
    };
}

impl<C: host::Connection> host::Connection for Stream<C> {
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, connection => connection.poll_readable(context))
    }

    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        either!(self, connection => connection.try_read(buffer))
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, connection => connection.poll_writable(context))
    }

    fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        either!(self, connection => connection.try_write_vectored(slices))
    }

    fn unsent(&self) -> usize {
        either!(self, connection => connection.unsent())
    }

    fn abort(&mut self) {
        either!(self, connection => connection.abort());
    }

    fn info(&self) -> ConnectionInfo {
        either!(self, connection => connection.info())
    }

    fn peer_address(&self) -> SocketAddr {
        either!(self, connection => connection.peer_address())
    }

    fn local_address(&self) -> SocketAddr {
        either!(self, connection => connection.local_address())
    }
}

impl<C: host::Connection> AsyncRead for Stream<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self.get_mut(), connection => Pin::new(connection).poll_read(context, buffer))
    }
}

impl<C: host::Connection> AsyncWrite for Stream<C> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), connection => Pin::new(connection).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), connection => Pin::new(connection).poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        either!(self, connection => connection.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), connection => Pin::new(connection).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), connection => Pin::new(connection).poll_shutdown(context))
    }
}
