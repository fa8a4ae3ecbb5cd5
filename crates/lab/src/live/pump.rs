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

/// Carries bytes between `first` and `second` until both directions have ended, or one has carried as many bytes as `limit`
/// (forth, and back) allows. The end of one direction passes through and leaves the other open; a failure of one connection
/// resets the other. `forth` and `back` count.
pub(super) async fn pump<A: Connection, B: Connection>(
    first: &mut A,
    second: &mut B,
    [forth, back]: [&Meter; 2],
    limits: impl Fn() -> [Option<u64>; 2],
) {
    let (mut there, mut here) = (Half::default(), Half::default());
    let failure = poll_fn(|context| {
        let [most_forth, most_back] = limits();
        let there = there.poll(context, first, second, forth, most_forth);
        if let Poll::Ready(Err(stop)) = there {
            return Poll::Ready(Some(stop));
        }
        match here.poll(context, second, first, back, most_back) {
            Poll::Ready(Err(stop)) => Poll::Ready(Some(stop.seen_from_the_other_side())),
            Poll::Ready(Ok(())) if there.is_ready() => Poll::Ready(None),
            _ => Poll::Pending,
        }
    })
    .await;
    match failure {
        None | Some(Stop::Limit) => {}
        Some(Stop::Source) => second.abort(),
        Some(Stop::Sink) => first.abort(),
    }
}

/// Why a direction stops before its end.
#[derive(Clone, Copy)]
enum Stop {
    /// The connection failed that it comes from.
    Source,
    /// The connection failed that it goes to.
    Sink,
    /// It has carried all that it may.
    Limit,
}

impl Stop {
    fn seen_from_the_other_side(self) -> Self {
        match self {
            Self::Source => Self::Sink,
            Self::Sink => Self::Source,
            Self::Limit => Self::Limit,
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
    given: u64,
}

impl Half {
    fn poll<A: Connection, B: Connection>(
        &mut self,
        context: &mut Context<'_>,
        source: &mut A,
        sink: &mut B,
        meter: &Meter,
        limit: Option<u64>,
    ) -> Poll<Result<(), Stop>> {
        while !self.told {
            let room = limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.given));
            if room == 0 {
                return Poll::Ready(Err(Stop::Limit));
            }
            if self.start < self.end {
                ready!(self.poll_give(context, sink, meter, room)).map_err(|_| Stop::Sink)?;
            } else if self.ended {
                ready!(Pin::new(&mut *sink).poll_shutdown(context)).map_err(|_| Stop::Sink)?;
                self.told = true;
            } else {
                ready!(self.poll_take(context, source, meter)).map_err(|_| Stop::Source)?;
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
        room: u64,
    ) -> Poll<io::Result<()>> {
        ready!(sink.poll_writable(context))?;
        let Some(buffer) = &self.buffer else { return Poll::Ready(Ok(())) };
        let most = usize::try_from(room).unwrap_or(usize::MAX).min(self.end - self.start);
        match sink.try_write_vectored(&[IoSlice::new(&buffer[self.start..self.start + most])]) {
            Ok(written) => {
                self.start += written;
                self.given += written as u64;
                meter.given.fetch_add(written as u64, Relaxed);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Ready(Ok(()))
    }
}
