//! Carrying the bytes between two connections, both ways, with all that ends a connection.

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use host::Connection;

/// Bytes that may lie between the two connections in each direction.
pub(super) const BUFFER: usize = 16 * 1024;

/// Bytes that were taken from one connection and given to the other.
#[derive(Debug, Default)]
pub(super) struct Meter {
    pub(super) taken: AtomicU64,
    pub(super) given: AtomicU64,
}

/// Carries bytes between `first` and `second` until both directions have ended. The end of one direction passes through
/// and leaves the other open; a failure of one connection resets the other. `forth` and `back` count.
pub(super) async fn pump<A: Connection, B: Connection>(
    mut first: A,
    mut second: B,
    forth: &Meter,
    back: &Meter,
) {
    let (mut there, mut here) = (Half::default(), Half::default());
    let failure = poll_fn(|context| {
        let there = there.poll(context, &mut first, &mut second, forth);
        if let Poll::Ready(Err(side)) = there {
            return Poll::Ready(Some(side));
        }
        match here.poll(context, &mut second, &mut first, back) {
            Poll::Ready(Err(side)) => Poll::Ready(Some(side.other())),
            Poll::Ready(Ok(())) if there.is_ready() => Poll::Ready(None),
            _ => Poll::Pending,
        }
    })
    .await;
    match failure {
        None => {}
        Some(Side::Source) => second.abort(),
        Some(Side::Sink) => first.abort(),
    }
}

/// Which connection of a direction failed.
#[derive(Clone, Copy)]
enum Side {
    Source,
    Sink,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Source => Self::Sink,
            Self::Sink => Self::Source,
        }
    }
}

/// One direction.
#[derive(Default)]
struct Half {
    /// Only while there is something in it.
    buffer: Option<Box<[u8]>>,
    start: usize,
    end: usize,
    /// The source has ended.
    ended: bool,
    /// The sink knows.
    told: bool,
}

impl Half {
    fn poll<A: Connection, B: Connection>(
        &mut self,
        context: &mut Context<'_>,
        source: &mut A,
        sink: &mut B,
        meter: &Meter,
    ) -> Poll<Result<(), Side>> {
        while !self.told {
            if self.start < self.end {
                ready!(self.poll_give(context, sink, meter)).map_err(|_| Side::Sink)?;
            } else if self.ended {
                ready!(Pin::new(&mut *sink).poll_shutdown(context)).map_err(|_| Side::Sink)?;
                self.told = true;
            } else {
                ready!(self.poll_take(context, source, meter)).map_err(|_| Side::Source)?;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_take<A: Connection>(
        &mut self,
        context: &mut Context<'_>,
        source: &mut A,
        meter: &Meter,
    ) -> Poll<io::Result<()>> {
        if source.poll_readable(context)?.is_pending() {
            // A connection that idles holds no buffer.
            self.buffer = None;
            return Poll::Pending;
        }
        let buffer = self.buffer.get_or_insert_with(|| vec![0; BUFFER].into_boxed_slice());
        match source.try_read(buffer) {
            Ok(0) => {
                self.ended = true;
                self.buffer = None;
            }
            Ok(read) => {
                (self.start, self.end) = (0, read);
                meter.taken.fetch_add(read as u64, Relaxed);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Ready(Ok(()))
    }

    fn poll_give<B: Connection>(
        &mut self,
        context: &mut Context<'_>,
        sink: &mut B,
        meter: &Meter,
    ) -> Poll<io::Result<()>> {
        ready!(sink.poll_writable(context))?;
        let Some(buffer) = &self.buffer else { return Poll::Ready(Ok(())) };
        match sink.try_write_vectored(&[IoSlice::new(&buffer[self.start..self.end])]) {
            Ok(written) => {
                self.start += written;
                meter.given.fetch_add(written as u64, Relaxed);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Ready(Ok(()))
    }
}
