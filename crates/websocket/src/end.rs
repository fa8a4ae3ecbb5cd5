//! How connections end, and why a message is refused.

use std::fmt;
use std::io;

use crate::CloseCode;

/// Why a connection is over, in words that an operator can read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// The peer sent the first close frame and we answered it.
    #[error("the peer closed with {}", Status(*code, reason))]
    ClosedByPeer {
        /// What its close frame said, if anything.
        code: Option<CloseCode>,
        /// Its words, at most 123 bytes.
        reason: Box<str>,
    },
    /// We sent the first close frame and the peer answered it.
    #[error("we closed with {}", Status(*code, reason))]
    ClosedByUs {
        /// What our close frame said, if anything.
        code: Option<CloseCode>,
        /// Our words.
        reason: Box<str>,
    },
    /// The peer broke the protocol or a limit, and was told so in a close frame.
    #[error("we closed with {code}: {0}", code = .0.code())]
    Fault(Fault),
    /// The stream ended without a close frame.
    #[error("the peer ended the stream without a close frame")]
    EndOfStream,
    /// The transport failed.
    #[error("the transport failed: {0}")]
    Transport(io::ErrorKind),
    /// Something did not happen in time.
    #[error("{0}")]
    Timeout(Timeout),
    /// We threw the connection away.
    #[error("aborted by us")]
    Aborted,
}

impl End {
    /// Whether both sides said that they are done: a close handshake was made, and no fault was found.
    pub fn is_clean(&self) -> bool {
        matches!(self, Self::ClosedByPeer { .. } | Self::ClosedByUs { .. })
    }

    /// A short word for a metric's label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::ClosedByPeer { .. } => "closed_by_peer",
            Self::ClosedByUs { .. } => "closed_by_us",
            Self::Fault(fault) => fault.label(),
            Self::EndOfStream => "end_of_stream",
            Self::Transport(_) => "transport",
            Self::Timeout(Timeout::Close) => "close_timeout",
            Self::Timeout(Timeout::Keepalive) => "keepalive_timeout",
            Self::Timeout(Timeout::Write) => "write_timeout",
            Self::Aborted => "aborted",
        }
    }
}

/// What a peer did that we cannot go on from (RFC 6455, section 7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Fault {
    /// A reserved bit without an extension that gives it meaning (section 5.2).
    #[error("a reserved bit is set that no agreed extension uses")]
    ReservedBit,
    /// An opcode of the reserved ranges (section 5.2).
    #[error("opcode {0:#x} is reserved")]
    ReservedOpcode(u8),
    /// A client frame without a mask (section 5.1).
    #[error("a client must mask its frames")]
    Unmasked,
    /// A server frame with a mask (section 5.1).
    #[error("a server must not mask its frames")]
    Masked,
    /// A length in more bytes than it needs (section 5.2).
    #[error("the payload length is not written in the shortest way")]
    LengthNotMinimal,
    /// A 64-bit length with its top bit set (section 5.2).
    #[error("the payload length does not fit 63 bits")]
    LengthTooLarge,
    /// A control frame of more than 125 bytes (section 5.5).
    #[error("a control frame must not be longer than 125 bytes")]
    ControlTooLong,
    /// A control frame without FIN (section 5.5).
    #[error("a control frame must not be fragmented")]
    ControlFragmented,
    /// A continuation frame where no message was begun (section 5.4).
    #[error("a continuation frame without a message to continue")]
    NothingToContinue,
    /// A new message inside a fragmented one (section 5.4).
    #[error("a new message began before the last one was finished")]
    Interleaved,
    /// A close frame with a payload of one byte (section 5.5.1).
    #[error("a close frame's payload cannot be one byte")]
    CloseTooShort,
    /// A close code that must not be on the wire (section 7.4).
    #[error("close code {0} must not be sent")]
    CloseCode(u16),
    /// Text, or a close reason, that is not UTF-8 (section 8.1).
    #[error("text is not valid UTF-8")]
    InvalidUtf8,
    /// Compressed data that does not inflate (RFC 7692, section 7.2.2).
    #[error("compressed data does not inflate")]
    Inflate,
    /// Compressed data that inflates beyond [`Limits::inflate_ratio`](crate::Limits::inflate_ratio).
    #[error("compressed data inflates to suspiciously much")]
    InflateRatio,
    /// Compressed data whose context does not fit [`Limits::deflate_budget`](crate::Limits::deflate_budget).
    #[error("no memory is left to inflate compressed messages that come in parts")]
    InflateBudget,
    /// A frame longer than [`Limits::frame_bytes`](crate::Limits::frame_bytes).
    #[error("the frame is too long")]
    FrameTooBig,
    /// A message longer than [`Limits::message_bytes`](crate::Limits::message_bytes).
    #[error("the message is too long")]
    MessageTooBig,
    /// A message in more frames than [`Limits::fragments`](crate::Limits::fragments).
    #[error("the message has too many fragments")]
    TooManyFragments,
    /// More than [`Limits::control_frames_per_second`](crate::Limits::control_frames_per_second).
    #[error("too many control frames per second")]
    ControlFlood,
}

impl Fault {
    /// The code that tells the peer of it.
    pub fn code(self) -> CloseCode {
        match self {
            Self::InvalidUtf8 | Self::Inflate => CloseCode::INVALID_PAYLOAD,
            Self::FrameTooBig | Self::MessageTooBig | Self::InflateRatio => CloseCode::MESSAGE_TOO_BIG,
            Self::TooManyFragments | Self::ControlFlood => CloseCode::POLICY_VIOLATION,
            Self::InflateBudget => CloseCode::TRY_AGAIN_LATER,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// A short word for a metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::InvalidUtf8 => "invalid_utf8",
            Self::Inflate => "inflate",
            Self::InflateRatio => "inflate_ratio",
            Self::InflateBudget => "inflate_budget",
            Self::FrameTooBig => "frame_too_big",
            Self::MessageTooBig => "message_too_big",
            Self::TooManyFragments => "too_many_fragments",
            Self::ControlFlood => "control_flood",
            _ => "protocol_error",
        }
    }
}

/// What did not happen in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Timeout {
    /// The peer did not finish closing within [`Limits::close_timeout`](crate::Limits::close_timeout).
    #[error("the peer did not finish the close handshake in time")]
    Close,
    /// Nothing was heard, not even an answer to our ping: [`Limits::keepalive`](crate::Limits::keepalive).
    #[error("the peer did not answer our ping in time")]
    Keepalive,
    /// The transport took nothing for [`Limits::write_timeout`](crate::Limits::write_timeout).
    #[error("the peer did not take what we sent in time")]
    Write,
}

/// Why a message was not taken for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It would go beyond [`Limits::queued_bytes`](crate::Limits::queued_bytes): wait until the peer has read, drop the
    /// message, or close.
    #[error("the queue is full: {queued} bytes wait to be sent, at most {limit} may")]
    Full {
        /// Bytes that wait.
        queued: usize,
        /// Bytes that may.
        limit: usize,
    },
    /// Closing has begun: nothing may follow the close frame.
    #[error("the connection is closing")]
    Closing,
    /// Another message is being sent in pieces.
    #[error("a message is being sent in pieces: finish it first")]
    InPieces,
    /// A piece of no message.
    #[error("no message is begun that the piece could belong to")]
    NotBegun,
    /// A piece that does not fit the length with which its message was begun.
    #[error("the piece does not fit its message's announced length, of which {left} bytes are left")]
    Length {
        /// Bytes that are still to come.
        left: u64,
    },
}

struct Status<'a>(Option<CloseCode>, &'a str);

impl fmt::Display for Status<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => formatter.write_str("no code"),
            Some(code) if self.1.is_empty() => code.fmt(formatter),
            Some(code) => write!(formatter, "{code}: {}", self.1.escape_debug()),
        }
    }
}
