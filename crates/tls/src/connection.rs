//! A connection inside TLS.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use host::{AsyncRead, AsyncWrite, ConnectionInfo, ReadBuf};

use crate::peer::Peer;
use crate::room::{Half, Room};

/// Plaintext that rustls encrypts ahead of what the transport takes, in bytes.
const AHEAD: usize = 64 * 1024;

/// Reads of the transport in a row that bring no plaintext, then others have their turn: records may be empty.
const FRUITLESS: usize = 16;

/// A connection whose bytes are encrypted, and whose peer is who the certificate says, after its handshake.
///
/// What [`try_write_vectored`](host::Connection::try_write_vectored) took may still wait to be handed to the transport,
/// up to 64 KiB of it: `poll_flush` is ready when nothing does, and `poll_readable` and every write move it on too.
/// Ending the stream sends `close_notify`. A peer that ends it without one gives `UnexpectedEof` (RFC 8446, section 6.1):
/// what came before may have been cut off.
pub struct Connection<C> {
    pub(crate) transport: C,
    pub(crate) session: rustls::Connection,
    /// Bytes that were decrypted and not read yet.
    decrypted: usize,
    /// Bytes of the application that may not have been handed to the transport yet.
    waiting: usize,
    room: Arc<Room>,
    said_goodbye: bool,
}

impl<C: host::Connection> Connection<C> {
    pub(crate) fn new(transport: C, mut session: rustls::Connection) -> Self {
        session.set_buffer_limit(Some(AHEAD));
        Self { transport, session, decrypted: 0, waiting: 0, room: Arc::default(), said_goodbye: false }
    }

    /// The protocol that both sides chose (RFC 7301), such as `http/1.1`.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.session.alpn_protocol()
    }

    /// What the peer has shown of itself.
    pub fn peer(&self) -> Peer {
        Peer::of(&self.session)
    }

    /// The connection below.
    pub fn transport(&self) -> &C {
        &self.transport
    }

    /// The connection below, without TLS: what was decrypted and not read, and what waits to be sent, is lost.
    pub fn into_transport(self) -> C {
        self.transport
    }

    /// Hands the transport what is encrypted, until nothing waits.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when it takes no more now; else its fate.
    pub(crate) fn hand_down(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Below(&mut self.transport)) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                moved => _ = moved?,
            }
        }
        self.waiting = 0;
        Ok(())
    }

    /// Reads from the transport once, and decrypts. `Ok(0)` is the end of what the transport has.
    pub(crate) fn take_up(&mut self) -> io::Result<usize> {
        let read = self.session.read_tls(&mut Below(&mut self.transport))?;
        match self.session.process_new_packets() {
            Ok(state) => self.decrypted = state.plaintext_bytes_to_read(),
            Err(error) => {
                // The alert that says what is wrong; whether it gets through changes nothing.
                let _ = self.hand_down();
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
        }
        Ok(read)
    }

    /// Ready when nothing that was written waits here any more.
    pub(crate) fn poll_hand_down(&mut self, context: &mut Context<'_>, half: Half) -> Poll<io::Result<()>> {
        loop {
            match self.hand_down() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let both = self.room.wait(half, context);
                    ready!(self.transport.poll_writable(&mut Context::from_waker(&both)))?;
                }
                outcome => return Poll::Ready(outcome),
            }
        }
    }
}

impl<C: host::Connection> host::Connection for Connection<C> {
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Whoever only waits for input moves on what waits for room. If that fails, so does reading.
        let _ = self.poll_hand_down(context, Half::Reading);
        if self.decrypted > 0 {
            return Poll::Ready(Ok(()));
        }
        self.transport.poll_readable(context)
    }

    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for _ in 0..FRUITLESS {
            match self.session.reader().read(buffer) {
                Ok(read) => {
                    self.decrypted = self.decrypted.saturating_sub(read);
                    return Ok(read);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => _ = self.take_up()?,
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::WouldBlock.into())
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_hand_down(context, Half::Writing)
    }

    fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.hand_down()?;
        let taken = self.session.writer().write_vectored(slices)?;
        match self.hand_down() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.waiting = taken,
            outcome => outcome?,
        }
        Ok(taken)
    }

    /// What waits here, and what the transport has of it, encrypted.
    fn unsent(&self) -> usize {
        self.waiting + self.transport.unsent()
    }

    fn abort(&mut self) {
        self.transport.abort();
    }

    fn info(&self) -> ConnectionInfo {
        self.transport.info()
    }

    fn peer_address(&self) -> SocketAddr {
        self.transport.peer_address()
    }

    fn local_address(&self) -> SocketAddr {
        self.transport.local_address()
    }
}

impl<C: host::Connection> AsyncRead for Connection<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match host::Connection::try_read(&mut *self, buffer.initialize_unfilled()) {
                Ok(read) => {
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(host::Connection::poll_readable(&mut *self, context))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl<C: host::Connection> AsyncWrite for Connection<C> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_hand_down(context, Half::Writing))?;
        Poll::Ready(host::Connection::try_write_vectored(&mut *self, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_hand_down(context, Half::Writing)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.said_goodbye, true) {
            self.session.send_close_notify();
        }
        ready!(self.poll_hand_down(context, Half::Writing))?;
        Pin::new(&mut self.transport).poll_shutdown(context)
    }
}

impl<C: fmt::Debug> fmt::Debug for Connection<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("tls::Connection")
            .field("transport", &self.transport)
            .field("version", &self.session.protocol_version())
            .finish_non_exhaustive()
    }
}

/// The transport, as rustls wants to see it.
struct Below<'a, C>(&'a mut C);

impl<C: host::Connection> Read for Below<'_, C> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl<C: host::Connection> Write for Below<'_, C> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
