//! The Centrifuge client protocol, version 2: a codec that knows nothing of rooms.
//!
//! There is one model of what is said (`command`, `reply`), and two ways to write it ([`Protocol`]). A frame (a
//! WebSocket message, a piece of a streamed HTTP response, the body of a request) holds one or more commands (from the
//! client) or replies (from the server).

pub mod codes;
mod command;
pub(crate) mod fossil;
mod json;
mod protobuf;
mod reply;

use bytes::Bytes;

pub use codes::Disconnect;
pub(crate) use command::{Command, Connect, Data, Frame, History, Method, SubRefresh, Subscribe};
pub(crate) use reply::{Admission, Connected, Done, Form, Item, Message, Push, Reply};

use crate::config::Limits;

/// How commands and replies are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// JSON, one a line: WebSocket text messages.
    #[default]
    Json,
    /// Protobuf, each with its length before it: WebSocket binary messages.
    Protobuf,
}

impl Protocol {
    /// The WebSocket subprotocol of Protobuf. JSON needs none.
    pub const PROTOBUF: &str = "centrifuge-protobuf";

    pub(crate) const ALL: [Self; 2] = [Self::Json, Self::Protobuf];

    /// The commands of a frame. `None` stands for what is not a command, and is the last.
    pub(crate) fn commands<'a>(
        self,
        bytes: &'a [u8],
        limits: &Limits,
    ) -> impl Iterator<Item = Option<Frame<'a>>> + use<'a> {
        let (size, depth) = (limits.command_bytes, limits.json_depth);
        let (json, protobuf) = match self {
            Self::Json => (Some(json::commands(bytes, size, depth)), None),
            Self::Protobuf => (None, Some(protobuf::commands(bytes, size))),
        };
        json.into_iter().flatten().chain(protobuf.into_iter().flatten())
    }

    /// One reply or push, to be joined with others by [`join`](Self::join).
    pub(crate) fn encode(self, message: &Message<'_>) -> Vec<u8> {
        match self {
            Self::Json => json::encode(message),
            Self::Protobuf => protobuf::encode(message),
        }
    }

    /// Appends what was encoded to a frame.
    pub(crate) fn join(self, frame: &mut Vec<u8>, message: &[u8]) {
        if self == Self::Json && !frame.is_empty() {
            frame.push(b'\n');
        }
        frame.extend_from_slice(message);
    }

    /// The frame that tells a client of a connection without close codes that it is closed.
    pub fn farewell(self, code: u16, reason: &str) -> Bytes {
        self.encode(&Message::Push("", Push::Disconnect { code, reason })).into()
    }

    /// The session and the frame in a request of a client whose connection only carries what the server says. `None`
    /// when it is not such a request.
    pub fn emulated(self, request: &[u8]) -> Option<(String, Bytes)> {
        match self {
            Self::Json => json::emulation(request),
            Self::Protobuf => protobuf::emulation(request),
        }
    }
}
