//! A peer that keeps to a script, on a clock that jumps to whatever comes next.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use host::{
    AsyncRead, AsyncWrite, Connection, ConnectionInfo, Instant, Random, ReadBuf, Runtime, Timer, WallTime,
};

/// Both the machine and the peer.
#[derive(Clone, Default)]
pub(super) struct Script(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    now: Instant,
    /// What the peer sends, and when; an empty piece is the end of its stream.
    arrivals: VecDeque<(Instant, Vec<u8>)>,
    /// What we sent.
    written: Vec<u8>,
    /// When the alarm of the newest timer is due.
    alarm: Option<Instant>,
    reads: usize,
    shut_down: bool,
    dropped: bool,
}

impl Script {
    /// The peer sends `piece` after `delay` more seconds.
    pub(super) fn sends(&self, delay: u64, piece: impl AsRef<[u8]>) -> &Self {
        self.with(|state| {
            let last = state.arrivals.back().map_or(state.now, |(at, _)| *at);
            state.arrivals.push_back((last + Duration::from_secs(delay), piece.as_ref().to_vec()));
        });
        self
    }

    /// The peer ends its stream.
    pub(super) fn ends(&self) -> &Self {
        self.sends(0, b"")
    }

    pub(super) fn connection(&self) -> Wire {
        Wire(self.clone())
    }

    /// Runs `future`, and lets time pass whenever it waits.
    pub(super) fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            self.with(|state| {
                let arrival = state.arrivals.front().map(|(at, _)| *at);
                let next = [arrival, state.alarm].into_iter().flatten().filter(|at| *at > state.now).min();
                state.now = next.expect("the future waits for nothing that could happen");
            });
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.with(|state| state.now.since(Instant::ORIGIN))
    }

    pub(super) fn written(&self) -> String {
        self.with(|state| String::from_utf8(state.written.clone()).expect("a head is ASCII"))
    }

    pub(super) fn reads(&self) -> usize {
        self.with(|state| state.reads)
    }

    /// Whether our side of the connection is gone.
    pub(super) fn closed(&self) -> bool {
        self.with(|state| state.dropped)
    }

    pub(super) fn shut_down(&self) -> bool {
        self.with(|state| state.shut_down)
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }
}

impl Runtime for Script {
    type Timer = Alarm;

    fn now(&self) -> Instant {
        self.with(|state| state.now)
    }

    fn wall_clock(&self) -> WallTime {
        WallTime::default()
    }

    fn timer(&self) -> Alarm {
        Alarm { script: self.clone(), deadline: None }
    }

    fn random(&self, _name: &str) -> Random {
        Random::from_seed([7; 32])
    }

    fn spawn_detached(&self, _future: impl Future<Output = ()> + Send + 'static) {
        panic!("a handshake needs no task");
    }

    #[allow(clippy::manual_async_fn)]
    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        async { work() }
    }
}

pub(super) struct Alarm {
    script: Script,
    deadline: Option<Instant>,
}

impl Timer for Alarm {
    fn set(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
        self.script.with(|state| state.alarm = deadline);
    }

    fn poll_expired(&mut self, _context: &mut Context<'_>) -> Poll<()> {
        match self.deadline {
            Some(deadline) if deadline <= self.script.now() => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

/// Our end of the connection.
pub(super) struct Wire(Script);

impl Connection for Wire {
    fn poll_readable(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.with(|state| match state.arrivals.front() {
            Some((at, _)) if *at <= state.now => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        })
    }

    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.with(|state| {
            state.reads += 1;
            let now = state.now;
            let Some((_, piece)) = state.arrivals.front_mut().filter(|(at, _)| *at <= now) else {
                return Err(io::ErrorKind::WouldBlock.into());
            };
            let length = piece.len().min(buffer.len());
            buffer[..length].copy_from_slice(&piece[..length]);
            piece.drain(..length);
            if piece.is_empty() && length > 0 {
                state.arrivals.pop_front();
            }
            Ok(length)
        })
    }

    fn poll_writable(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Takes up to 100 bytes at a time.
    fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let taken = &slices[0][..slices[0].len().min(100)];
        self.0.with(|state| state.written.extend_from_slice(taken));
        Ok(taken.len())
    }

    fn unsent(&self) -> usize {
        0
    }

    fn abort(&mut self) {}

    fn info(&self) -> ConnectionInfo {
        ConnectionInfo::default()
    }

    fn peer_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 1).into()
    }

    fn local_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 2).into()
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        panic!("the handshake reads by readiness");
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        panic!("the handshake writes by readiness");
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.with(|state| state.shut_down = true);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.0.with(|state| state.dropped = true);
    }
}
