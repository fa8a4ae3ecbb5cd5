//! The WebSocket protocol, sans-I/O, and its async face over any Fourwire connection.

pub mod deflate;
pub mod handshake;
