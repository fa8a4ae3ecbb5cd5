//! The WebSocket protocol, sans-I/O, and its async face over any Fourwire connection.
//!
//! Both roles, complete to RFC 6455, with permessage-deflate (RFC 7692). Three layers, each of use by itself:
//!
//! - [`handshake`]: the HTTP upgrade, both sides, as values and as futures;
//! - [`protocol`]: the framing after it, as a value: bytes and the time go in, messages and bytes come out;
//! - [`stream`]: [`WebSocket`], that value over a [`host::Connection`], with the timers of a [`host::Runtime`].
//!
//! # A server
//!
//! Messages are *lent*: a handler sees each where it lies, in a buffer that all connections of a thread share. What it
//! sends while a batch of input is handled leaves in one write. An idle connection holds no buffer.
//!
//! ```
//! use std::future::poll_fn;
//! use std::task::{Poll, ready};
//!
//! use websocket::{End, Kind, Outbox, WebSocket};
//!
//! /// Says every text back, in capitals.
//! async fn serve<C: host::Connection, R: host::Runtime>(mut socket: WebSocket<C, R>) -> End {
//!     let mut answer = |kind: Kind, payload: &[u8], out: &mut Outbox| {
//!         if kind == Kind::Text {
//!             let capitals = String::from_utf8_lossy(payload).to_uppercase();
//!             // Refused when the client lets too much pile up, or when closing has begun.
//!             let _ = out.send(capitals);
//!         }
//!     };
//!     poll_fn(|context| {
//!         loop {
//!             if let Err(end) = ready!(socket.poll_receive(context, &mut answer)) {
//!                 return Poll::Ready(end);
//!             }
//!         }
//!     })
//!     .await
//! }
//! ```
//!
//! # The plain way
//!
//! ```
//! use websocket::{CloseCode, End, Message, WebSocket};
//!
//! async fn ask<C: host::Connection, R: host::Runtime>(mut socket: WebSocket<C, R>) -> Result<(), End> {
//!     socket.send("what time is it?").await?;
//!     while let Some(message) = socket.next().await? {
//!         if let Message::Text(_) = message {
//!             break;
//!         }
//!     }
//!     let end = socket.close(CloseCode::NORMAL, "thank you").await;
//!     if end.is_clean() { Ok(()) } else { Err(end) }
//! }
//! ```
//!
//! [`WebSocket::next`] may be dropped at any time, as a branch of `select!` is, and loses nothing.
//! [`WebSocket::split`] gives two halves for two tasks.
//!
//! # Without a connection
//!
//! ```
//! use std::io::IoSlice;
//!
//! use host::{Instant, Random};
//! use websocket::protocol::Protocol;
//! use websocket::{Kind, Limits, Outbox};
//!
//! let now = Instant::ORIGIN;
//! let mut client = Protocol::client(now, Limits::default(), None, Random::from_seed([7; 32]));
//! let mut server = Protocol::server(now, Limits::default(), None);
//!
//! client.send("hello").unwrap();
//! let mut slices = [IoSlice::new(&[]); 8];
//! let filled = client.transmit(&mut slices);
//! let mut bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
//! client.advance(bytes.len());
//!
//! let mut heard = Vec::new();
//! server.receive(now, &mut bytes, &mut |kind: Kind, payload: &[u8], _: &mut Outbox| {
//!     heard.push((kind, payload.to_vec()));
//! });
//! assert_eq!(heard, [(Kind::Text, b"hello".to_vec())]);
//! ```
//!
//! # What is bounded, and by what
//!
//! [`Limits`] bounds what a peer can make us hold (frame, message, inflated ratio, fragments, queue), do (control frames
//! per second) and wait for (writing, closing, silence). Beyond a limit the peer is told so in a close frame, and
//! [`End`] says the same to the operator. Of pings and pongs only the newest waits; they overtake data at the next
//! frame's beginning. While more than [`Limits::high_water_bytes`] wait to be sent, nothing is read.
//!
//! What becomes of a message for a peer that reads too slowly is [`WhenFull`]'s to say: the program waits, the oldest or
//! the newest are dropped, the latest of each key is kept, or the connection is closed. The contexts of compression count
//! against a [`deflate::Budget`] that all connections of a process share.
//!
//! # Large messages
//!
//! A handler may take a message in [`Intake::Pieces`], and [`WebSocket::read`] and [`WebSocket::write`] do the same the
//! plain way: nothing is assembled, inside one frame neither.
//!
//! # Other faces
//!
//! [`WebSocket::into_messages`] gives a `Stream` and a `Sink`; [`stream::Io`] makes a connection of any stream of bytes.
//! Behind features: `blocking` for programs without an async runtime, `hyper` for the upgrade of a request that an HTTP
//! server has read, and `axum` for an extractor.
//!
//! # One message for many
//!
//! [`Prepared`] is framed once, and compressed at most once, for all who get it.

#[cfg(feature = "blocking")]
pub mod blocking;
mod close;
mod counters;
pub mod deflate;
mod end;
pub mod handshake;
mod limits;
mod message;
pub mod protocol;
pub mod stream;
#[cfg(feature = "hyper")]
pub mod upgrade;

pub use close::CloseCode;
pub use counters::{Counters, Traffic};
pub use end::{End, Fault, Refused, Timeout};
pub use limits::{Keepalive, Limits, WhenFull};
pub use message::{Chunk, Kind, Message, Outgoing, Prepared};
pub use protocol::{Begun, Handler, Intake, Outbox, Piece};
pub use stream::WebSocket;

/// Which end of a connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The end that accepted: its frames are never masked.
    Server,
    /// The end that connected: its frames are always masked.
    Client,
}
