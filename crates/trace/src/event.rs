//! The events, from the top layer to the bottom one.

use std::net::{IpAddr, SocketAddr};

/// Something that happened in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The application layer handed bytes to a connection, or took them from it.
    Message(Message),
    /// TCP sent or received a segment.
    Segment(Segment),
    /// The internet layer sent, received or forwarded a packet.
    Packet(Packet),
    /// The network access layer sent or received a frame.
    Frame(Frame),
    /// A layer decided something that the bytes do not show.
    Decision(Decision),
}

/// Down towards the medium, or up towards the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It leaves.
    Down,
    /// It arrives.
    Up,
}

/// Between whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Our end.
    pub local: SocketAddr,
    /// The other.
    pub remote: SocketAddr,
}

/// Bytes of the stream between the application and its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Whose.
    pub endpoints: Endpoints,
    /// Written by the application, or read by it.
    pub direction: Direction,
    /// Where the bytes begin, counted from the first byte of the stream.
    pub offset: u64,
    /// How many there are, in bytes.
    pub len: u32,
}

/// A TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Whose.
    pub endpoints: Endpoints,
    /// Sent or received.
    pub direction: Direction,
    /// Sequence number as on the wire.
    pub sequence: u32,
    /// Acknowledgment number as on the wire.
    pub acknowledgment: u32,
    /// Payload in bytes.
    pub len: u32,
    /// Control bits as on the wire (RFC 9293 section 3.1).
    pub flags: u16,
    /// Why it was sent; [`Why::Received`] for one that came.
    pub why: Why,
    /// The sender's congestion window as it left, in bytes; zero for one that came, or belongs to no connection.
    pub congestion_window: u32,
    /// Bytes that were on their way as it left, as far as the sender knew; zero as above.
    pub in_flight: u32,
}

/// Why a segment was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It came from the other side.
    Received,
    /// It opens or accepts a connection.
    Handshake,
    /// It carries bytes for the first time.
    New,
    /// Loss was inferred from acknowledgments (RFC 6675, RFC 8985).
    Lost,
    /// The retransmission timer ran out (RFC 6298).
    Timeout,
    /// It asks for an acknowledgment of the tail (RFC 8985 section 7).
    TailProbe,
    /// It asks whether a closed window has opened (RFC 9293 section 3.8.6.1).
    WindowProbe,
    /// It asks whether the other side is there (RFC 9293 section 3.8.4).
    Keepalive,
    /// It acknowledges.
    Acknowledgment,
    /// It answers a segment that may be forged (RFC 5961).
    Challenge,
    /// It ends the connection.
    Reset,
}

/// An IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// On which interface.
    pub interface: u16,
    /// Sent or received.
    pub direction: Direction,
    /// From whom.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// What it carries (IANA protocol number).
    pub protocol: u8,
    /// Its length with headers, in bytes.
    pub len: u32,
    /// What became of it.
    pub fate: Fate,
}

/// A frame on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// On which interface.
    pub interface: u16,
    /// Sent or received.
    pub direction: Direction,
    /// Its length, in bytes.
    pub len: u32,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a packet or frame in the layer that tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Handed to the next layer in its direction.
    Accepted,
    /// Sent on towards its destination.
    Forwarded,
    /// Cut into this many fragments.
    Fragmented(u16),
    /// Kept until the rest of it comes.
    Collected,
    /// Kept until the neighbour's address is known.
    Waiting,
    /// Gone.
    Dropped(Drop),
}

/// Why something was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// The bytes are not what the format says.
    Malformed,
    /// The checksum is wrong.
    Checksum,
    /// It is for somebody else.
    NotOurs,
    /// Nobody here wants it.
    Unwanted,
    /// There is no way to its destination.
    NoRoute,
    /// The neighbour does not answer.
    NoNeighbor,
    /// Its lifetime ran out.
    Expired,
    /// It is too long for the link and must not be cut.
    TooBig,
    /// A bound on memory or rate was reached.
    Limit,
    /// A rule against forgery or abuse forbids it.
    Forbidden,
}

/// What a layer decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Loss recovery began: `lost` bytes are to be sent again, and the congestion window is `window` bytes.
    RecoveryBegan {
        /// Whose.
        endpoints: Endpoints,
        /// In bytes.
        lost: u32,
        /// In bytes.
        window: u32,
    },
    /// All that was in flight when recovery began has been acknowledged.
    RecoveryEnded {
        /// Whose.
        endpoints: Endpoints,
        /// In bytes.
        window: u32,
    },
    /// The loss was none, and what it changed was taken back.
    RecoveryUndone {
        /// Whose.
        endpoints: Endpoints,
        /// In bytes.
        window: u32,
    },
    /// The largest packet that gets to `destination` is `mtu` bytes.
    PathMtu {
        /// To whom.
        destination: IpAddr,
        /// In bytes.
        mtu: u16,
    },
}
