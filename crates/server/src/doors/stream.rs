//! The streaming doors: what the server says goes out as one long HTTP response, as lines, as messages with their
//! lengths, or as server-sent events; what the client says comes by requests of its own ([`crate::emulation`]).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use application::http::Body;
use bytes::Bytes;
use host::Host;
use hub::Protocol;
use hyper::body::{Body as HttpBody, Frame};

use crate::emulation::{Emulated, Inbox};
use crate::session::{Ending, Next};
use crate::shard::{Seat, Shard};

/// Bytes that are gathered into one piece of the response.
const PIECE: usize = 64 * 1024;

/// How a response carries frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One after the other, in the protocol's own way; JSON lines with their ends.
    Bare(Protocol),
    /// As server-sent events, in JSON.
    Events,
}

impl Shape {
    /// What the client speaks.
    pub(crate) fn protocol(self) -> Protocol {
        match self {
            Self::Bare(protocol) => protocol,
            Self::Events => Protocol::Json,
        }
    }

    fn transport(self) -> &'static str {
        match self {
            Self::Bare(_) => "http_stream",
            Self::Events => "sse",
        }
    }

    /// Appends a frame.
    fn write(self, out: &mut Vec<u8>, frame: &[u8]) {
        match self {
            Self::Bare(Protocol::Protobuf) => out.extend_from_slice(frame),
            Self::Bare(Protocol::Json) => {
                out.extend_from_slice(frame);
                out.push(b'\n');
            }
            Self::Events => {
                for line in frame.split(|&byte| byte == b'\n') {
                    out.extend_from_slice(b"data: ");
                    out.extend_from_slice(line);
                    out.push(b'\n');
                }
                out.push(b'\n');
            }
        }
    }
}

/// A session for a client that said `first`, as the body of the response to that.
pub(crate) fn open<H: Host>(
    shard: &Shard<H>,
    emulated: &Arc<Emulated>,
    remote: SocketAddr,
    shape: Shape,
    first: &[u8],
) -> Body {
    let inbox = emulated.open(shard.host());
    let seat = shard.enter(shape.transport(), remote, shape.protocol(), Some(inbox.name.clone()));
    seat.received(first);
    Body::live(Stream { seat, inbox, shape, over: false })
}

struct Stream<H: Host> {
    seat: Seat<H>,
    inbox: Inbox,
    shape: Shape,
    /// Whether the client was told that this is the end.
    over: bool,
}

impl<H: Host> HttpBody for Stream<H> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Self { seat, inbox, shape, over } = &mut *self;
        if *over {
            return Poll::Ready(None);
        }
        seat.outbox.register(context);
        while let Poll::Ready(Some(frame)) = inbox.frames.poll_recv(context) {
            seat.received(&frame);
        }
        let mut piece = Vec::new();
        while piece.len() < PIECE && !*over {
            match seat.outbox.next() {
                Some(Next::Send(frame)) => shape.write(&mut piece, frame.payload()),
                Some(Next::Close(Ending { code, reason })) => {
                    shape.write(&mut piece, &shape.protocol().farewell(code, reason));
                    *over = true;
                }
                None => break,
            }
        }
        if piece.is_empty() { Poll::Pending } else { Poll::Ready(Some(Ok(Frame::data(piece.into())))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shape_carries_frames_in_its_way() {
        let write = |shape: Shape, frames: &[&[u8]]| {
            let mut out = Vec::new();
            frames.iter().for_each(|frame| shape.write(&mut out, frame));
            String::from_utf8(out).unwrap()
        };
        let frames: &[&[u8]] = &[b"{\"a\":1}\n{\"b\":2}", b"{}"];
        assert_eq!(write(Shape::Bare(Protocol::Json), frames), "{\"a\":1}\n{\"b\":2}\n{}\n");
        assert_eq!(write(Shape::Events, frames), "data: {\"a\":1}\ndata: {\"b\":2}\n\ndata: {}\n\n");
        assert_eq!(write(Shape::Bare(Protocol::Protobuf), &[b"\x01a", b"\x00"]), "\u{1}a\0");
    }
}
