//! WebSockets on the operating system's blocking sockets, for programs without an async runtime.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use host::{Instant, Random};

use crate::deflate::Agreed;
use crate::handshake::{self, client, head, server};
use crate::protocol::{Handler, Outbox, Protocol};
use crate::{CloseCode, Counters, End, Kind, Limits, Message, Outgoing, Refused};

/// What one read takes at most, in bytes.
const RECEIVE_LEN: usize = 16 << 10;

/// Slices of one write.
const SLICES: usize = 16;

/// A blocking stream of bytes whose waiting can be bounded.
pub trait BlockingStream: Read + Write {
    /// Bounds how long each of the next reads and writes may wait; they give `WouldBlock` or `TimedOut` then.
    ///
    /// # Errors
    ///
    /// What the system has against it.
    fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Ends our direction.
    ///
    /// # Errors
    ///
    /// What the system has against it.
    fn end(&self) -> io::Result<()>;
}

impl BlockingStream for TcpStream {
    fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(timeout)?;
        self.set_write_timeout(timeout)
    }

    fn end(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

#[cfg(unix)]
impl BlockingStream for std::os::unix::net::UnixStream {
    fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(timeout)?;
        self.set_write_timeout(timeout)
    }

    fn end(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// A WebSocket that blocks.
///
/// ```no_run
/// use std::net::TcpStream;
///
/// use websocket::blocking::BlockingWebSocket;
/// use websocket::handshake::client::Request;
/// use websocket::{CloseCode, Limits};
///
/// fn ask() -> Result<(), Box<dyn std::error::Error>> {
///     let stream = TcpStream::connect("127.0.0.1:9001")?;
///     let request = Request::new("127.0.0.1:9001", "/");
///     let mut socket = BlockingWebSocket::connect(stream, &request, Limits::default())?;
///     socket.send("what time is it?")?;
///     if let Some(answer) = socket.next()? {
///         println!("{answer:?}");
///     }
///     socket.close(CloseCode::NORMAL, "thank you");
///     Ok(())
/// }
/// ```
///
/// All deadlines of [`Limits`] hold while a call waits; between calls nobody answers pings.
pub struct BlockingWebSocket<S> {
    stream: S,
    protocol: Protocol,
    received: Collected,
    buffer: Box<[u8]>,
}

impl<S: BlockingStream> BlockingWebSocket<S> {
    /// Upgrades a new connection to a server.
    ///
    /// # Errors
    ///
    /// As [`handshake::Error`] has it.
    pub fn connect(
        mut stream: S,
        request: &client::Request,
        limits: impl Into<Arc<Limits>>,
    ) -> Result<Self, handshake::Error> {
        let mut keys = random()?;
        let mut nonce = [0; 16];
        keys.fill(&mut nonce);
        let handshake = client::Handshake::new(request, nonce)?;
        let deadline = now() + request.time;
        stream.set_timeout(Some(request.time.max(Duration::from_millis(1))))?;
        stream.write_all(handshake.bytes())?;
        let (bytes, already_read) = read_head(&mut stream, request.head_bytes, deadline)?;
        let response = head::parse_response(&bytes).map_err(handshake::Error::NotHttp)?;
        let confirmed = handshake.confirm(&response)?;
        let protocol = Protocol::client(now(), limits, confirmed.deflate.as_ref(), keys);
        Ok(Self::over(stream, protocol, &already_read))
    }

    /// Reads a client's request from a new connection and answers it.
    ///
    /// # Errors
    ///
    /// As [`handshake::Error`] has it.
    pub fn accept(
        mut stream: S,
        options: &server::Options,
        limits: impl Into<Arc<Limits>>,
    ) -> Result<Self, handshake::Error> {
        let deadline = now() + options.time;
        let (bytes, already_read) = read_head(&mut stream, options.head_bytes, deadline)?;
        let request = head::parse_request(&bytes).map_err(handshake::Error::NotHttp)?;
        match server::respond(&request, options) {
            Ok(accepted) => {
                stream.write_all(&head::response(&accepted.response))?;
                let deflate: Option<Agreed> = accepted.deflate;
                let protocol = Protocol::server(now(), limits, deflate.as_ref());
                Ok(Self::over(stream, protocol, &already_read))
            }
            Err(rejected) => {
                let response = rejected.response();
                stream.write_all(&head::response(&response))?;
                stream.write_all(response.body().as_bytes())?;
                let _ = stream.end();
                Err(rejected.into())
            }
        }
    }

    fn over(stream: S, protocol: Protocol, already_read: &[u8]) -> Self {
        let buffer = vec![0; RECEIVE_LEN].into_boxed_slice();
        let mut socket = Self { stream, protocol, received: Collected::default(), buffer };
        socket.protocol.receive(now(), &mut already_read.to_vec(), &mut socket.received);
        socket
    }

    /// The next message; `None` once the connection was closed by a close handshake.
    ///
    /// # Errors
    ///
    /// Why the connection ended otherwise.
    #[expect(clippy::should_implement_trait, reason = "it can fail, and go on being asked")]
    pub fn next(&mut self) -> Result<Option<Message>, End> {
        loop {
            if let Some(message) = self.received.0.pop_front() {
                return Ok(Some(message));
            }
            if let Some(end) = self.turn() {
                return match self.received.0.pop_front() {
                    Some(message) => Ok(Some(message)),
                    None if end.is_clean() => Ok(None),
                    None => Err(end),
                };
            }
        }
    }

    /// Sends a message, and waits until the system took it. It does not read meanwhile.
    ///
    /// # Errors
    ///
    /// Why the connection ended, or is about to.
    pub fn send<'a>(&mut self, message: impl Into<Outgoing<'a>>) -> Result<(), End> {
        let message = message.into();
        // What is queued is always written before anything else happens, so that there is room.
        if let Err(Refused::Closing) = self.protocol.send(message) {
            return Err(self.protocol.expected_end().unwrap_or(End::Aborted));
        }
        self.write();
        self.protocol.end().cloned().map_or(Ok(()), Err)
    }

    /// Queues a ping of at most 125 bytes, which leaves with the next call.
    pub fn ping(&mut self, payload: &[u8]) {
        self.protocol.ping(now(), payload);
    }

    /// Closes, and waits until the peer has answered and both directions ended. Messages that still come are dropped.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> End {
        self.protocol.close(now(), code, reason);
        loop {
            self.received.0.clear();
            if let Some(end) = self.turn() {
                return end;
            }
        }
    }

    /// Why the connection is over, once it is.
    pub fn end(&self) -> Option<&End> {
        self.protocol.end()
    }

    /// What passed so far.
    pub fn counters(&self) -> Counters {
        self.protocol.counters()
    }

    /// Writes what waits, then reads once, or until a deadline. The end, once there is one.
    fn turn(&mut self) -> Option<End> {
        self.write();
        if self.protocol.end().is_none() && self.bound_waiting() {
            match self.stream.read(&mut self.buffer) {
                Ok(0) => self.protocol.receive_end(),
                Ok(len) => _ = self.protocol.receive(now(), &mut self.buffer[..len], &mut self.received),
                Err(error) if is_pause(&error) => self.protocol.handle_timeout(now()),
                Err(error) => self.protocol.receive_failed(error.kind()),
            }
            self.write();
        }
        self.protocol.end().cloned()
    }

    fn write(&mut self) {
        while self.protocol.wants_transmit() && self.protocol.end().is_none() {
            if !self.bound_waiting() {
                return;
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = self.protocol.transmit(&mut slices);
            match self.stream.write_vectored(&slices[..filled]) {
                Ok(0) => self.protocol.write_failed(now(), ErrorKind::WriteZero),
                Ok(written) => self.protocol.advance(written),
                Err(error) if is_pause(&error) => {
                    self.protocol.blocked(now());
                    self.protocol.handle_timeout(now());
                }
                Err(error) => self.protocol.write_failed(now(), error.kind()),
            }
        }
        if self.protocol.wants_shutdown() {
            // A failure here is the peer's reset, which reading finds as well.
            let _ = self.stream.end();
            self.protocol.shutdown_done();
        }
    }

    /// Lets the next operation wait no longer than the next deadline. False when the connection is over.
    fn bound_waiting(&mut self) -> bool {
        // A write that blocks is noticed within a second, so that its deadline is kept.
        let most = self.protocol.wants_transmit().then_some(Duration::from_secs(1));
        let next = self.protocol.poll_timeout().map(|due| due.since(now()));
        let timeout = [most, next].into_iter().flatten().min();
        let timeout = timeout.map(|timeout| timeout.max(Duration::from_millis(1)));
        if let Err(error) = self.stream.set_timeout(timeout) {
            self.protocol.receive_failed(error.kind());
        }
        self.protocol.end().is_none()
    }
}

impl<S> fmt::Debug for BlockingWebSocket<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BlockingWebSocket").field("end", &self.protocol.end()).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Collected(VecDeque<Message>);

impl Handler for Collected {
    const ANSWERS: bool = false;

    fn message(&mut self, kind: Kind, payload: &[u8], _: &mut Outbox) {
        self.0.push_back(Message::new(kind, Bytes::copy_from_slice(payload)));
    }

    fn assembled(&mut self, kind: Kind, payload: &mut Vec<u8>, _: &mut Outbox) {
        self.0.push_back(Message::new(kind, std::mem::take(payload).into()));
    }
}

fn read_head<S: BlockingStream>(
    stream: &mut S,
    limit: usize,
    deadline: Instant,
) -> Result<(Vec<u8>, Bytes), handshake::Error> {
    let mut collected = head::Head::default();
    let mut chunk = [0; 2048];
    loop {
        let left = deadline.since(now());
        if left.is_zero() {
            return Err(handshake::Error::TimedOut);
        }
        stream.set_timeout(Some(left))?;
        match stream.read(&mut chunk) {
            Ok(0) => return Err(handshake::Error::Closed),
            Ok(len) => {
                if let Some(whole) = collected.push(&chunk[..len], limit)? {
                    return Ok(whole);
                }
            }
            Err(error) if is_pause(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Time since this process first asked.
#[expect(clippy::disallowed_methods, reason = "a program without a host has only the system's clock")]
fn now() -> Instant {
    static ORIGIN: OnceLock<std::time::Instant> = OnceLock::new();
    let origin = *ORIGIN.get_or_init(std::time::Instant::now);
    let nanos = std::time::Instant::now().saturating_duration_since(origin).as_nanos();
    Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn random() -> io::Result<Random> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(Random::from_seed(seed))
}
