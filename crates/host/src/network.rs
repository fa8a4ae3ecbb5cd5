//! Sockets, as every network under a Fourwire program offers them.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

/// One shard's view of a network.
pub trait Network: Clone + Send + Sync + 'static {
    /// A stream of bytes both ways: TCP, or what stands for it.
    type Connection: Connection;
    /// Accepts connections.
    type Listener: Listener<Connection = Self::Connection>;
    /// Sends and receives datagrams: UDP, or what stands for it.
    type Datagrams: Datagrams;

    /// Which shard this handle is.
    fn shard(&self) -> Shard;

    /// Listens at `address`. Port 0 lets the network choose. With [`ListenOptions::shared`], each shard of a machine
    /// may listen at the same address, and connections are spread over them.
    ///
    /// # Errors
    ///
    /// `AddrInUse` when somebody listens there already, `AddrNotAvailable` when the address is not ours,
    /// `PermissionDenied` when the port is reserved.
    fn listen(
        &self,
        address: SocketAddr,
        options: ListenOptions,
    ) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Connects to `remote`. Names, several addresses and proxies are the caller's; so is a deadline
    /// ([`timeout_at`](crate::timeout_at)).
    ///
    /// # Errors
    ///
    /// `ConnectionRefused`, `TimedOut`, `NetworkUnreachable` and `HostUnreachable`, as the network found out.
    fn connect(&self, remote: SocketAddr) -> impl Future<Output = io::Result<Self::Connection>> + Send;

    /// Binds a datagram socket at `local`. Port 0 lets the network choose.
    ///
    /// # Errors
    ///
    /// As [`listen`](Self::listen).
    fn bind(&self, local: SocketAddr) -> impl Future<Output = io::Result<Self::Datagrams>> + Send;
}

/// One of the shards that a machine's cores are divided into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Counted from zero.
    pub index: usize,
    /// How many there are; at least one.
    pub count: usize,
}

impl Shard {
    /// The only shard of a machine that has one.
    pub const ONLY: Self = Self { index: 0, count: 1 };
}

/// How to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// Connections that may wait to be accepted.
    pub backlog: u32,
    /// Whether the machine's other shards listen at the same address (SO_REUSEPORT on the kernel).
    pub shared: bool,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self { backlog: 1024, shared: false }
    }
}

/// A place where connections arrive.
pub trait Listener: Send + Unpin + 'static {
    /// What arrives.
    type Connection: Connection;

    /// The next connection.
    ///
    /// # Errors
    ///
    /// Those of one connection (`ConnectionAborted`) and those of the process (no file descriptors left); the listener
    /// goes on after either, and the caller waits a moment before it asks again.
    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Self::Connection>>;

    /// Where it listens.
    fn local_address(&self) -> SocketAddr;

    /// The next connection.
    ///
    /// # Errors
    ///
    /// As [`poll_accept`](Self::poll_accept).
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Connection>> + Send {
        poll_fn(|context| self.poll_accept(context))
    }
}

/// A stream of bytes both ways.
///
/// Beside tokio's traits it has the readiness pair `poll_readable` and `try_read` (and the same for writing), so that a
/// task can wait without holding a buffer: an idle connection owns none. `AsyncWrite::poll_shutdown` ends our direction
/// (FIN); dropping the connection closes both in the orderly way.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Ready when `try_read` has something to say: bytes, the end of the stream, or an error. May be ready in vain.
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Reads what is there. `Ok(0)` is the end of the stream (unless `buffer` is empty).
    ///
    /// # Errors
    ///
    /// `WouldBlock` when nothing is there: wait with `poll_readable`. Else the connection's fate.
    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Ready when `try_write_vectored` may take bytes. May be ready in vain.
    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Writes as much of `slices` as there is room for, in one operation.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is no room: wait with `poll_writable`. Else the connection's fate.
    fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Bytes that we wrote and the peer has not acknowledged yet, as far as the network knows.
    fn unsent(&self) -> usize;

    /// Throws the connection away at once: what was not sent is lost, and the peer sees a reset. Every later operation
    /// fails.
    fn abort(&mut self);

    /// What the transport knows about the path.
    fn info(&self) -> ConnectionInfo;

    /// The other end.
    fn peer_address(&self) -> SocketAddr;

    /// Our end.
    fn local_address(&self) -> SocketAddr;
}

/// What a transport knows about a connection's path. A field is `None` where the network under it cannot say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Smoothed round-trip time (RFC 6298, SRTT).
    pub round_trip: Option<Duration>,
    /// Segments sent again.
    pub retransmissions: Option<u64>,
    /// Congestion window, in bytes.
    pub congestion_window: Option<u64>,
}

/// A socket for datagrams.
pub trait Datagrams: Send + Unpin + 'static {
    /// Receives one datagram: its length and sender. What does not fit `buffer` is cut off.
    ///
    /// # Errors
    ///
    /// What the network heard of an earlier send (`ConnectionRefused`), or the socket's end.
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>>;

    /// Sends one datagram.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when it is too long, else what the network has against it.
    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        datagram: &[u8],
        to: SocketAddr,
    ) -> Poll<io::Result<()>>;

    /// Where it is bound.
    fn local_address(&self) -> SocketAddr;
}
