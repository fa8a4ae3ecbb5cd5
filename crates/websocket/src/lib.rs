//! The WebSocket protocol, sans-I/O, and its async face over any Fourwire connection.

mod close;
pub mod deflate;
mod end;
pub mod handshake;
mod limits;
mod message;
pub mod protocol;
pub mod stream;

pub use close::CloseCode;
pub use end::{End, Fault, Refused, Timeout};
pub use limits::{Keepalive, Limits};
pub use message::{Kind, Message, Outgoing, Prepared};
pub use protocol::{Handler, Outbox};
pub use stream::WebSocket;

/// Which end of a connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The end that accepted: its frames are never masked.
    Server,
    /// The end that connected: its frames are always masked.
    Client,
}
