//! What goes into the transport layer and comes out of it.

use std::net::SocketAddr;

use super::{ConnectionId, ListenerId, UdpId};
use crate::counters::counters;
use crate::internet::{ConfigError, SendError};

/// Limits of a host's transport layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Connections there may be.
    pub connections: usize,
    /// Connections in TIME-WAIT that nobody uses any more; the one that waited longest makes way for another.
    pub time_waits: usize,
    /// Connections that may wait at one listener, half open or to be accepted.
    pub backlog: u32,
    /// Resets sent in a second to segments for nobody.
    pub resets_per_second: u32,
    /// SYNs answered with cookies in a second: each answer may go to somebody who did not ask.
    pub cookies_per_second: u32,
    /// Listeners, and datagram sockets, there may be of each.
    pub sockets: usize,
    /// Bytes that may wait in one datagram socket.
    pub datagram_bytes: usize,
    /// Bytes that the buffers of all sockets may hold together. When half of it is taken, windows grow no more, and
    /// connections begin with small ones; when it is used up, what comes is dropped, out of order first, and writers
    /// wait. So many connections as have 4 KiB each in a quarter of it always get on.
    pub memory: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections: 200_000,
            time_waits: 65_536,
            backlog: 4096,
            resets_per_second: 1000,
            cookies_per_second: 20_000,
            sockets: 4096,
            datagram_bytes: 256 * 1024,
            memory: 256 << 20,
        }
    }
}

/// Both ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Ours.
    pub local: SocketAddr,
    /// The other.
    pub remote: SocketAddr,
}

/// Something that a program may wait for. Each is told once until it is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The handshake of a connection that we opened is done.
    Connected(ConnectionId),
    /// There are bytes, the end of the stream, or an error to read.
    Readable(ConnectionId),
    /// There is room to write, or an error to see.
    Writable(ConnectionId),
    /// A connection ended.
    Closed(ConnectionId),
    /// A connection waits to be accepted.
    Incoming(ListenerId),
    /// A datagram, or an error, waits to be received.
    UdpReadable(UdpId),
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Somebody here took it, or answered it.
    Taken,
    /// Nobody is at the port: ICMP should say so.
    NoPort,
    /// It is gone, for this reason.
    Dropped(trace::Drop),
}

/// Why there is no socket, or why it did not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// Somebody has the address and port.
    #[error("the address is in use: choose another port, or end who has it")]
    AddressInUse,
    /// The address is none of this host's.
    #[error("the address is none of this host's: use one that it has, or the unspecified one")]
    AddressNotAvailable,
    /// All ports that are given out are taken.
    #[error("no port is free for this")]
    NoPort,
    /// The host has as many sockets as it may have.
    #[error("there are as many sockets as this host may have; close some")]
    TooMany,
    /// The payload does not fit a datagram.
    #[error("a datagram carries at most 65,507 bytes over IPv4 and 65,527 over IPv6")]
    TooLong,
    /// The socket is gone.
    #[error("the socket is closed")]
    Closed,
    /// There is no such group, or no interface to join it on.
    #[error(transparent)]
    Group(#[from] ConfigError),
    /// There is no way to the other end.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// What the buffers of all sockets hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// In bytes.
    pub held: usize,
    /// What connections in TIME-WAIT take beside, in bytes, about.
    pub time_waits: usize,
    /// At most, in bytes: [`Config::memory`].
    pub limit: usize,
    /// More than half of it is taken.
    pub scarce: bool,
    /// Connections that wait for more.
    pub starved: usize,
}

counters! {
/// Numbers since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that we opened.
    pub opened: u64,
    /// Connections that others opened and that were made.
    pub accepted: u64,
    /// Connections that there was no room for.
    pub refused: u64,
    /// SYNs, and acknowledgments of cookies, that were dropped because a listener's backlog was full, or because too many
    /// were answered with cookies.
    pub backlog_full: u64,
    /// SYNs that were answered with a cookie.
    pub cookies_out: u64,
    /// Cookies that came back and were ours.
    pub cookies_in: u64,
    /// Segments received.
    pub segments_in: u64,
    /// Segments sent.
    pub segments_out: u64,
    /// Resets sent to segments for nobody.
    pub resets_out: u64,
    /// Segments and datagrams that were damaged or made no sense.
    pub malformed: u64,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Datagrams sent.
    pub datagrams_out: u64,
    /// Datagrams that there was no room for.
    pub datagrams_dropped: u64,
    /// Segments out of order that there was no memory for.
    pub disorder_dropped: u64,
    /// Segments in order that there was no memory for, in whole or in part.
    pub segments_dropped: u64,
    /// Connections that left TIME-WAIT early, since there were too many.
    pub time_waits_evicted: u64,
    /// How often a connection began to wait for memory.
    pub starved: u64,
}
}
