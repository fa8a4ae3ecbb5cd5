//! One file for each door into the rooms.

pub mod http;
mod lock;
pub(crate) mod stream;
pub(crate) mod websocket;
