//! What goes into a connection and comes out of it.

use std::net::SocketAddr;
use std::time::Duration;

use trace::{Tracer, Why};
use wire::tcp::{Header, SeqNumber};

use super::congestion::Algorithm;
use super::ecn::Ecn;
use crate::internet::Problem;

/// What the application chooses for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes that wait to be acknowledged, at most.
    pub send_buffer: usize,
    /// Bytes that wait to be read, at most. The window begins with 64 KiB and grows up to this when the application
    /// keeps up.
    pub receive_buffer: usize,
    /// Small segments do not wait for the acknowledgment of earlier ones (Nagle's algorithm off).
    pub nodelay: bool,
    /// Whether to ask a silent peer if it is there.
    pub keepalive: Option<Keepalive>,
    /// How long bytes may go unacknowledged before the connection is given up (RFC 5482). `None` for what
    /// RFC 9293 section 3.8.3 asks: fifteen retransmissions, never while a closed window is answered for.
    pub user_timeout: Option<Duration>,
    /// Explicit congestion notification (RFC 3168).
    pub ecn: Ecn,
    /// Congestion control.
    pub algorithm: Algorithm,
    /// Timestamps are offered and agreed to (RFC 7323).
    pub timestamps: bool,
    /// After a pause the window begins anew, as RFC 5681 section 4.1 recommends: what was found before may be true no
    /// longer.
    pub restart_after_idle: bool,
    /// The largest payload that is taken and sent, in bytes, where that is to be less than the path allows.
    pub max_segment_size: Option<u16>,
    /// How long TIME-WAIT lasts (2 MSL).
    pub time_wait: Duration,
    /// How long a connection that was let go waits in FIN-WAIT-2 for the other side's FIN.
    pub fin_wait_2: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            send_buffer: 2 << 20,
            receive_buffer: 4 << 20,
            nodelay: false,
            keepalive: None,
            user_timeout: None,
            ecn: Ecn::default(),
            algorithm: Algorithm::default(),
            timestamps: true,
            restart_after_idle: true,
            max_segment_size: None,
            time_wait: Duration::from_secs(60),
            fin_wait_2: Duration::from_secs(60),
        }
    }
}

/// RFC 9293 section 3.8.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first question.
    pub idle: Duration,
    /// Between questions.
    pub interval: Duration,
    /// Unanswered questions after which the peer is taken for dead.
    pub probes: u32,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { idle: Duration::from_secs(7200), interval: Duration::from_secs(75), probes: 9 }
    }
}

/// What a connection begins with.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// What the application chose.
    pub settings: Settings,
    /// The number of our SYN (ISS; RFC 6528).
    pub initial_sequence: SeqNumber,
    /// Added to our clock in timestamps, so that it tells nothing (RFC 7323 section 5.4).
    pub timestamp_offset: u32,
    /// The largest payload that we take, in bytes, from the interface's MTU (RFC 6691).
    pub max_segment_size: u16,
    /// The largest packet known to get to the other end, in bytes with the IP header.
    pub path_mtu: u16,
    /// The window that it begins with, at most: 65,535, and less where memory is scarce.
    pub first_window: u16,
    /// Who listens.
    pub tracer: Tracer,
}

/// What was agreed on by SYN and SYN-ACK, as a SYN cookie brings it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The largest payload that the peer takes, in bytes.
    pub max_segment_size: u16,
    /// By how many bits the peer's windows are shifted; `None` when windows are not scaled in either direction.
    pub window_scale: Option<u8>,
    /// Both sides take selective acknowledgments.
    pub sack: bool,
    /// Both sides send timestamps; the latest of the peer's clock.
    pub timestamps: Option<u32>,
}

/// A segment to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Complete but for the checksum.
    pub header: Header,
    /// In two pieces, since the send buffer is a ring.
    pub payload: [&'a [u8]; 2],
    /// When the payload is longer than one segment takes: into how many bytes each the device is to cut it.
    pub segment_size: Option<u16>,
    /// A router may mark its packet in place of dropping it: ECT(0) goes with it (RFC 3168 section 5).
    pub markable: bool,
    /// Why it is sent.
    pub why: Why,
}

/// The states of RFC 9293 section 3.3.2. LISTEN has no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the RFC's names")]
pub enum State {
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
    Closed,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// The peer answered our SYN with a reset.
    #[error("the connection was refused: nobody listens there")]
    Refused,
    /// The peer reset it.
    #[error("the peer reset the connection")]
    Reset,
    /// The peer did not answer for too long.
    #[error("the peer did not answer in time")]
    TimedOut,
    /// The network said that the peer cannot be reached.
    #[error("the peer cannot be reached: {0:?}")]
    Unreachable(Problem),
    /// The application gave it up.
    #[error("the connection was aborted by this side")]
    Aborted,
    /// Both sides said all they had to say.
    #[error("the connection is closed")]
    Closed,
}

/// Why nothing could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nothing is there yet.
    #[error("nothing to read yet: wait until the connection is readable")]
    WouldBlock,
    /// The connection ended before the stream did.
    #[error("{0}")]
    Ended(End),
}

/// Why nothing could be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The send buffer is full, or the connection is not open yet.
    #[error("no room to write: wait until the connection is writable")]
    WouldBlock,
    /// The application said before that it has no more to say.
    #[error("this side of the connection was shut down: open a new connection to write more")]
    ShutDown,
    /// The connection ended.
    #[error("{0}")]
    Ended(End),
}

/// What became true since the last [`take_changes`](super::Connection::take_changes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Changes {
    /// The handshake is done.
    pub connected: bool,
    /// There are bytes, the end of the stream, or an error to read.
    pub readable: bool,
    /// There is room to write, or an error to see.
    pub writable: bool,
    /// The connection ended: [`end`](super::Connection::end) says how.
    pub closed: bool,
}

/// Segments that came and that there was no memory for, in whole or in part. Nothing of them was acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::transport) struct Shortage {
    pub(in crate::transport) in_order: u32,
    pub(in crate::transport) out_of_order: u32,
}

/// Numbers about a connection.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// Where it stands.
    pub state: State,
    /// Payload of a full segment, in bytes.
    pub max_segment_size: u32,
    /// Window of the peer, in bytes.
    pub send_window: u32,
    /// Window that we would offer with an empty buffer, in bytes.
    pub receive_window: u32,
    /// Bytes that wait to be acknowledged.
    pub unacknowledged: usize,
    /// Bytes that wait to be read.
    pub unread: usize,
    /// Ranges that came out of order and wait for what is missing before them.
    pub out_of_order: usize,
    /// Bytes of memory that both buffers hold, and what is noted of segments on their way beyond the first few.
    pub memory: usize,
    /// Challenge acknowledgments sent (RFC 5961).
    pub challenges: u64,
    /// What recovery and congestion control know.
    pub recovery: super::recovery::Info,
}
