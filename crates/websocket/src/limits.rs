//! What a peer may make us hold, do and wait for.

use std::time::Duration;

use crate::deflate::{Budget, RatioLimit};

/// Bounds on one connection. Nothing is unbounded by default.
///
/// One value serves many connections: constructors take `impl Into<Arc<Limits>>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest payload of one frame, in bytes as they travel (compressed, where compression was agreed). Checked when
    /// the header is read. Beyond it the connection is closed with 1009.
    pub frame_bytes: u64,
    /// Longest message, in bytes after inflating. Beyond it the connection is closed with 1009.
    pub message_bytes: usize,
    /// How far a compressed message may inflate. Beyond it the connection is closed with 1009.
    pub inflate_ratio: RatioLimit,
    /// What compression contexts that are kept count against, together with those of all other connections that share it.
    pub deflate_budget: Budget,
    /// Most frames that one message may come in. Beyond it the connection is closed with 1008.
    pub fragments: u32,
    /// Most pings, pongs and close frames per second, on average over a second; at least 1. Beyond it the connection is
    /// closed with 1008.
    pub control_frames_per_second: u32,
    /// Most bytes that wait to be sent, frame headers included. What becomes of a message that would go beyond is
    /// [`when_full`](Self::when_full)'s to say; one message always fits an empty queue.
    pub queued_bytes: usize,
    /// Longest payload of a frame that we send, in bytes, at least 1: a longer message goes in several, so that pings,
    /// pongs and a close frame need not wait for the whole of it. Prepared and compressed messages stay in one.
    pub sent_frame_bytes: usize,
    /// What becomes of a message that does not fit `queued_bytes`.
    pub when_full: WhenFull,
    /// Above this many bytes that wait to be sent nothing is read, so that a peer that does not listen is not listened
    /// to either. When `queued_bytes` leaves room for one message beyond it, an answer to each message is never refused.
    pub high_water_bytes: usize,
    /// Then reading begins again once no more than this many bytes wait.
    pub low_water_bytes: usize,
    /// How long the transport may take less than 4 KiB of what is queued, and less than all.
    pub write_timeout: Duration,
    /// How long closing may take from its start (our close frame, the peer's, or a fault) until both directions ended.
    pub close_timeout: Duration,
    /// How the connection is found dead when nothing is heard.
    pub keepalive: Option<Keepalive>,
}

/// What becomes of a message for a peer that reads too slowly.
///
/// All but the first keep messages as they are until there is room to make frames of them, so that any message may be
/// dropped, whatever was agreed on compression. What was dropped is counted: [`Counters::dropped`](crate::Counters).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WhenFull {
    /// It is refused ([`Refused::Full`](crate::Refused)): the program waits, as the plain way does, or decides for itself.
    #[default]
    Refuse,
    /// The oldest ones that wait give way.
    DropOldest,
    /// It is dropped.
    DropNewest,
    /// Of the messages of one key only the latest waits, at its first one's place
    /// ([`Outbox::send_latest`](crate::Outbox::send_latest)); when that is not enough, the oldest ones give way.
    LatestPerKey,
    /// The connection is closed with 1013.
    Close,
}

/// How a silent connection is found dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// A ping goes out when nothing was received for this long.
    pub interval: Duration,
    /// The connection is over when nothing was received for this long after that ping.
    pub timeout: Duration,
}

impl Limits {
    /// These limits with messages, and frames, of up to `bytes`, and room in the queue for one of them beyond
    /// [`high_water_bytes`](Self::high_water_bytes).
    #[must_use]
    pub fn with_message_bytes(self, bytes: usize) -> Self {
        Self {
            frame_bytes: bytes as u64,
            message_bytes: bytes,
            queued_bytes: self
                .queued_bytes
                .max(bytes.saturating_add(self.high_water_bytes).saturating_add(1 << 10)),
            ..self
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: 1 << 20,
            message_bytes: 1 << 20,
            inflate_ratio: RatioLimit::default(),
            deflate_budget: Budget::process(),
            fragments: 1 << 16,
            control_frames_per_second: 128,
            queued_bytes: (1 << 20) + (512 << 10),
            sent_frame_bytes: 16 << 20,
            when_full: WhenFull::Refuse,
            high_water_bytes: 256 << 10,
            low_water_bytes: 64 << 10,
            write_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
            keepalive: Some(Keepalive {
                interval: Duration::from_secs(30),
                timeout: Duration::from_secs(20),
            }),
        }
    }
}
