//! What a client tells the program that uses it.

use std::time::Duration;

use crate::Json;
use crate::protocol::{Info, Position, Publication};

/// Something that happened, in the order in which it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server has greeted us. Rooms follow, each with its own [`Subscribed`](Self::Subscribed).
    Connected {
        /// The id that the server gave this connection.
        client: String,
        /// The server's version.
        version: String,
    },
    /// The connection is gone, or an attempt to connect failed.
    Disconnected {
        /// The code of the close frame or of the server's notice; `None` when the end came without one.
        code: Option<u16>,
        /// Why, for people to read.
        reason: String,
        /// When the next attempt begins; `None` when there is none, and this is the last event.
        retry_in: Option<Duration>,
    },
    /// We are in a room, for the first time or again.
    Subscribed {
        /// The room.
        room: String,
        /// Whether anything was missed.
        recovery: Recovery,
        /// Where the room's stream stands; `None` in a room without recovery.
        position: Option<Position>,
    },
    /// The server took us out of a room for good.
    Unsubscribed {
        /// The room.
        room: String,
        /// The protocol's code: an unsubscribe code (2000–2499) or the error (100–…) that a new attempt met.
        code: u32,
        /// Why, for people to read.
        reason: String,
    },
    /// Somebody published. In a room with recovery each comes once, in the order of the room.
    Publication {
        /// The room.
        room: String,
        /// What.
        publication: Publication,
    },
    /// Somebody entered a room.
    Join {
        /// The room.
        room: String,
        /// Who.
        info: Info,
    },
    /// Somebody left a room.
    Leave {
        /// The room.
        room: String,
        /// Who.
        info: Info,
    },
    /// The server told this connection something that belongs to no room.
    Message {
        /// What.
        data: Json,
    },
}

/// Whether a subscription lost anything since we last heard of the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// There was nothing to recover: what is published from now on comes.
    Fresh,
    /// What was missed follows, nothing is lacking.
    Complete,
    /// The server no longer has all of what was missed: load the room's state anew.
    TooOld,
}
