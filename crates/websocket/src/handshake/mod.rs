//! The opening handshake (RFC 6455, section 4).
//!
//! [`server::respond`] and [`client::Handshake`] are the rules, over the plain types of the `http` crate: a program that
//! has an HTTP server calls the former for a request that wants to upgrade. [`server::accept`] and [`client::connect`]
//! do the whole of it on a connection that nobody has read from yet, within a number of bytes and a time.

pub mod client;
pub mod extensions;
pub(crate) mod head;
pub mod server;

use std::sync::Arc;
use std::{fmt, io};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use host::{Connection, Runtime};
use http::header::{AsHeaderName, HeaderMap};
use sha1::{Digest, Sha1};

use crate::deflate;
use crate::{Limits, Role, WebSocket};

/// The only version of the protocol there is (RFC 6455).
pub const VERSION: &str = "13";

/// What a server adds to the client's key (section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A connection after its handshake. `Head` is what the peer said: an `http::Request<()>` at a server, an
/// `http::Response<()>` at a client.
pub struct Opened<C, Head> {
    /// From here on it carries frames.
    pub connection: C,
    /// The peer's request or response.
    pub head: Head,
    /// The subprotocol that both sides agreed on.
    pub subprotocol: Option<String>,
    /// The compression that both sides agreed on.
    pub deflate: Option<deflate::Agreed>,
    /// Bytes that came with the end of the handshake: the first frames.
    pub already_read: Bytes,
}

impl<C: Connection> Opened<C, http::Request<()>> {
    /// The server's end of the WebSocket.
    pub fn websocket<R: Runtime>(self, runtime: R, limits: impl Into<Arc<Limits>>) -> WebSocket<C, R> {
        WebSocket::new(self.connection, runtime, Role::Server, limits, self.deflate, self.already_read)
    }
}

impl<C: Connection> Opened<C, http::Response<()>> {
    /// The client's end of the WebSocket.
    pub fn websocket<R: Runtime>(self, runtime: R, limits: impl Into<Arc<Limits>>) -> WebSocket<C, R> {
        WebSocket::new(self.connection, runtime, Role::Client, limits, self.deflate, self.already_read)
    }
}

impl<C, Head: fmt::Debug> fmt::Debug for Opened<C, Head> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Opened")
            .field("head", &self.head)
            .field("subprotocol", &self.subprotocol)
            .field("deflate", &self.deflate)
            .field("already_read", &self.already_read.len())
            .finish_non_exhaustive()
    }
}

/// Why there was no handshake.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// We refused the client's request, and answered with the status that goes with the reason.
    #[error("the request was refused: {0}")]
    Rejected(#[from] server::Rejected),
    /// The peer does not speak HTTP/1.1.
    #[error("the peer's handshake is not HTTP/1.1: {0}")]
    NotHttp(httparse::Error),
    /// The peer's head is longer than we read.
    #[error("the peer's handshake is longer than {limit} bytes; raise the limit to take it")]
    HeadTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The handshake was not complete in time.
    #[error("the handshake was not complete in time")]
    TimedOut,
    /// The peer closed the connection before it was complete.
    #[error("the peer closed the connection in the middle of the handshake")]
    Closed,
    /// The connection failed.
    #[error("the connection failed in the handshake: {0}")]
    Io(#[from] io::Error),
    /// Our own request cannot be sent as it is.
    #[error("the request is not valid: {0}")]
    Request(String),
    /// The server answered with another status than 101: its response, without the body.
    #[error("the server answered {} instead of upgrading", .0.status())]
    Status(Box<http::Response<()>>),
    /// The server answered 101, but not as section 4.1 has it.
    #[error("the server's answer is not a valid upgrade: {0}")]
    Answer(String),
}

/// The Sec-WebSocket-Accept that belongs to a Sec-WebSocket-Key (section 4.2.2).
pub fn accept_value(key: &[u8]) -> String {
    let mut digest = Sha1::new();
    digest.update(key);
    digest.update(GUID);
    STANDARD.encode(digest.finalize())
}

/// The only line of a header that must not be repeated; `None` when it is missing or there are several.
fn single(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&[u8]> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => Some(line.as_bytes().trim_ascii()),
        _ => None,
    }
}

/// The elements of a header that is a list, over all its lines, without the empty ones.
fn elements(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&octet| octet == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// Whether the list has `token`, in whatever case.
fn lists(headers: &HeaderMap, name: impl AsHeaderName, token: &str) -> bool {
    elements(headers, name).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests;
