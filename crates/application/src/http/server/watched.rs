//! What hyper reads from and writes to, and what it sends: both tell the driver how far they are.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use host::{Connection, Runtime, Timer};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};

use super::super::Body;
use super::super::io::Io;
use super::progress::{Phase, Progress};

/// A transport that notices the first byte of a head, the last byte of a response, a peer that does not read, and
/// hyper's answers to what it could not parse.
pub(super) struct Watched<C, R: Runtime> {
    io: Io<C>,
    runtime: R,
    stall_time: Duration,
    /// Set while the peer leaves us waiting.
    stall: Option<R::Timer>,
    progress: Arc<Progress>,
    swallowed: bool,
    /// What came while a live response was under way, for the request after it.
    ahead: Vec<u8>,
}

/// Bytes that are read while nobody asks for any.
const AHEAD: usize = 1024;

/// Nothing in it is pinned.
impl<C, R: Runtime> Unpin for Watched<C, R> {}

impl<C: Connection, R: Runtime> Watched<C, R> {
    pub(super) fn new(connection: C, runtime: R, stall_time: Duration, progress: Arc<Progress>) -> Self {
        Self {
            io: Io(connection),
            runtime,
            stall_time,
            stall: None,
            progress,
            swallowed: false,
            ahead: Vec::new(),
        }
    }

    pub(super) fn into_inner(self) -> C {
        self.io.0
    }

    /// Whether hyper meant to answer by itself, and we kept it from that.
    pub(super) fn swallowed(&self) -> bool {
        self.swallowed
    }

    /// hyper writes before any handler was asked only to refuse a head. (Where a former response is not flushed yet,
    /// the phase is `Ending`: then the two cannot be told apart, and hyper's own answer goes out.)
    fn swallow(&mut self) -> bool {
        let unasked = matches!(self.progress.look().0, Phase::Head | Phase::Idle);
        self.swallowed |= unasked;
        unasked
    }

    /// Fails when the peer of a live response has gone. hyper itself, which is to answer peers that have ended their
    /// direction, does not look. At most one piece is read ahead.
    fn find_gone(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let mut piece = [0; AHEAD];
        while self.ahead.is_empty() && self.progress.is_live() {
            match self.io.0.try_read(&mut piece) {
                Ok(0) => return Err(io::ErrorKind::ConnectionAborted.into()),
                Ok(count) => self.ahead.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match self.io.0.poll_readable(context) {
                        Poll::Ready(ready) => ready?,
                        Poll::Pending => break,
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Passes on what a write came to, keeping the time of a peer that takes nothing.
    fn patience(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if outcome.is_ready() {
            self.stall = None;
            return outcome;
        }
        let deadline = self.runtime.now() + self.stall_time;
        let stall = self.stall.get_or_insert_with(|| {
            let mut timer = self.runtime.timer();
            timer.set(Some(deadline));
            timer
        });
        stall.poll_expired(context).map(|()| {
            self.progress.set_stalled();
            Err(io::ErrorKind::TimedOut.into())
        })
    }
}

impl<C: Connection, R: Runtime> Read for Watched<C, R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let count = cursor.remaining().min(self.ahead.len());
            cursor.put_slice(&self.ahead[..count]);
            self.ahead.drain(..count);
            self.progress.advance(Phase::Idle, Phase::Head);
            return Poll::Ready(Ok(()));
        }
        let outcome = Pin::new(&mut self.io).poll_read(context, cursor);
        if matches!(outcome, Poll::Ready(Ok(()))) {
            self.progress.advance(Phase::Idle, Phase::Head);
        }
        outcome
    }
}

impl<C: Connection, R: Runtime> Write for Watched<C, R> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.swallow() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let outcome = Pin::new(&mut self.io).poll_write(context, bytes);
        self.patience(context, outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.find_gone(context)?;
        // hyper flushes only what it has written out.
        let outcome = Pin::new(&mut self.io).poll_flush(context);
        if matches!(outcome, Poll::Ready(Ok(()))) {
            self.progress.advance(Phase::Ending, Phase::Idle);
        }
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.swallow() {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        let outcome = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.patience(context, outcome)
    }
}

/// A response's body that says when hyper is done with it.
pub(super) struct Outgoing {
    body: Body,
    progress: Arc<Progress>,
}

impl Outgoing {
    pub(super) fn new(body: Body, progress: Arc<Progress>) -> Self {
        progress.set_live(body.is_live());
        Self { body, progress }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.progress.set_live(false);
        self.progress.advance(Phase::Busy, Phase::Ending);
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
