//! The programs that scenarios may run: the same ones that run on the operating system's sockets.

mod chat;
mod hub;

use lab::scenario::Programs;

/// All of them.
pub(crate) fn all() -> Programs {
    Programs::new()
        .with("chat", "a client that says numbered messages in a room, and hears those of others", chat::run)
        .with("hub", "the server of `fourwire serve`", hub::run)
}
