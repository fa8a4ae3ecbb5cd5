//! One file for each door into the rooms.

pub(crate) mod documents;
pub mod http;
mod lock;
pub(crate) mod stream;
pub(crate) mod websocket;
