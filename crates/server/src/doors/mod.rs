//! One file for each door into the rooms.

pub mod http;
pub(crate) mod websocket;
