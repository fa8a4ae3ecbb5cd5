//! One file, or directory, for each door into the rooms.

mod access;
pub mod dns;
pub(crate) mod documents;
pub mod ftp;
pub mod http;
mod lock;
mod others;
mod posting;
pub mod smtp;
pub(crate) mod stream;
pub(crate) mod websocket;

pub use access::{Access, User};
pub(crate) use others::Others;
