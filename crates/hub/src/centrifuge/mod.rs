//! The Centrifuge client protocol, version 2, in JSON: a codec that knows nothing of rooms.
//!
//! A WebSocket message holds one or more lines, each a command (from the client) or a reply (from the server). `{}` is a
//! ping from the server and a pong from the client.

pub mod codes;
mod command;
mod reply;

pub use codes::Disconnect;
pub(crate) use command::{Command, Connect, Frame, History, Method, Subscribe, decode};
pub(crate) use reply::{Connected, encode};
