//! TLS (RFC 8446; 1.2 for those who know no better) over any [`host::Connection`], by rustls.
//!
//! A [`Client`] or a [`Server`] makes a [`Connection`] of a connection, and that is a [`host::Connection`] again: what
//! speaks over it need not know. [`Stream`] is for who serves both: the plain connection, or the one inside TLS.
//!
//! A client's time is its runtime's, so that certificates expire in virtual time too. Keys are drawn by the library itself: what
//! runs over TLS is outside of the promise that one seed gives one transcript.

mod client;
mod connection;
mod handshake;
mod peer;
mod pem;
mod room;
mod server;
mod stream;
mod time;

pub use client::{Client, Roots};
pub use connection::Connection;
pub use handshake::Error;
pub use peer::Peer;
pub use pem::PemError;
pub use server::Server;
pub use stream::Stream;
