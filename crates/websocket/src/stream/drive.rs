//! The parts of a poll.

use std::io::{ErrorKind, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use host::{Connection, Runtime, Timer};
use tokio::io::AsyncReadExt;

use super::WebSocket;
use super::buffer::Buffers;
use crate::End;
use crate::protocol::Handler;

/// Slices of one write.
const SLICES: usize = 32;

impl<C: Connection, R: Runtime> WebSocket<C, R> {
    /// Writes until nothing waits; then ends our direction if it is time for that.
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.poll_write_with(&[], context)
    }

    /// The same, while `input` is lent.
    fn poll_write_with(&mut self, input: &[u8], context: &mut Context<'_>) -> Poll<()> {
        while self.protocol.wants_transmit() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = self.protocol.transmit_with(input, &mut slices);
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
        // What the transport took it may still hold, as TLS does. A failure is found by the next write or read.
        let _ = ready!(Pin::new(&mut self.connection).poll_flush(context));
        if self.protocol.wants_shutdown() {
            // A failure here is the peer's reset, which reading finds as well.
            let _ = ready!(Pin::new(&mut self.connection).poll_shutdown(context));
            self.protocol.shutdown_done();
        }
        Poll::Ready(())
    }

    /// The same, and when nothing waits the queue goes to whoever needs one next.
    pub(super) fn poll_write_and_release(&mut self, context: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_write(context));
        if self.protocol.holds_queue() {
            let mut buffers = Buffers::take();
            buffers.scratch.fill(self.protocol.reclaim());
            buffers.put();
        }
        Poll::Ready(())
    }

    /// Makes sure that there is a queue to send to.
    pub(super) fn borrow_queue(&mut self) {
        if !self.protocol.holds_queue() {
            let mut buffers = Buffers::take();
            self.protocol.lend_queue(&mut buffers.scratch);
            buffers.put();
        }
    }

    /// Reads once, handles what came, and writes the answers. Pending when there is nothing to read.
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>, handler: &mut impl Handler) -> Poll<()> {
        if let Some(mut unhandled) = self.unhandled.take() {
            unhandled.at +=
                self.protocol.receive(self.runtime.now(), &mut unhandled.bytes[unhandled.at..], handler);
            if unhandled.at < unhandled.bytes.len() {
                self.unhandled = Some(unhandled);
            }
            let _ = self.poll_write(context);
            return Poll::Ready(());
        }
        if let Some(mut destination) = self.protocol.destination() {
            let read = pin!(self.connection.read_buf(&mut destination));
            match ready!(read.poll(context)) {
                Ok(0) => self.protocol.receive_end(),
                Ok(len) => {
                    let mut buffers = Buffers::take();
                    self.protocol.lend(std::mem::take(&mut buffers.scratch));
                    self.protocol.received(self.runtime.now(), len, handler);
                    let _ = self.poll_write(context);
                    buffers.scratch = self.protocol.reclaim();
                    buffers.put();
                }
                Err(error) => self.protocol.receive_failed(error.kind()),
            }
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
                    let input = &mut buffers.receive()[..len];
                    self.protocol.lend_input(input);
                    let taken = self.protocol.receive(self.runtime.now(), input, handler);
                    self.unhandled = Unhandled::new(&input[taken..]);
                    let _ = self.poll_write_with(input, context);
                    self.protocol.settle(input);
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
    pub(super) fn poll_timer(&mut self, context: &mut Context<'_>) -> Poll<()> {
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
    pub(super) fn finish(&mut self) -> Option<End> {
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

/// Bytes that wait to be handled.
pub(super) struct Unhandled {
    bytes: Vec<u8>,
    at: usize,
}

impl Unhandled {
    pub(super) fn new(bytes: &[u8]) -> Option<Box<Self>> {
        (!bytes.is_empty()).then(|| Box::new(Self { bytes: bytes.to_vec(), at: 0 }))
    }
}
