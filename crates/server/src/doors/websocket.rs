//! The WebSocket door: carries messages between one connection and its session.

use std::future::poll_fn;
use std::task::{Context, Poll};

use host::{Connection, Host};
use hub::Protocol;
use hub::document::Opening;
use tls::Stream;
use websocket::{End, Handler, Kind, Outbox, WebSocket};

use crate::session::{Ending, Next};
use crate::shard::{Seat, Shard};

/// What may lie in the connection's own queue before more is taken from the session's outbox. What waits in the outbox
/// counts against the session's bound, and can be dropped whole when the client turns out to be slow.
const QUEUED: usize = 64 * 1024;

/// The close code for a message of the wrong kind (RFC 6455, section 7.4.1).
const NO_TEXT: Ending = Ending { code: 1003, reason: "Protobuf was agreed on: it goes in binary messages" };
const NO_BINARY: Ending =
    Ending { code: 1003, reason: "JSON goes in text messages; for Protobuf ask for centrifuge-protobuf" };
const NO_TEXT_IN_DOCUMENTS: Ending =
    Ending { code: 1003, reason: "documents are spoken of in binary messages" };

/// Serves one client until its connection is over.
pub(crate) async fn serve<H: Host>(
    shard: Shard<H>,
    mut socket: WebSocket<Stream<H::Connection>, H>,
    purpose: Purpose,
) -> End {
    let remote = socket.connection().peer_address();
    let (seat, language) = match purpose {
        Purpose::Rooms(protocol) => {
            (shard.enter("websocket", remote, protocol, None), Language::Rooms(protocol))
        }
        Purpose::Documents(opening) => (shard.enter_documents(remote, opening), Language::Documents),
    };
    let mut door = Door { seat, language };
    let end = poll_fn(|context| door.poll(&mut socket, context)).await;
    door.seat.end(&end, socket.connection().info().round_trip);
    end
}

/// What a connection is for.
pub(crate) enum Purpose {
    Rooms(Protocol),
    Documents(Opening),
}

#[derive(Clone, Copy)]
enum Language {
    Rooms(Protocol),
    Documents,
}

struct Door<H: Host> {
    seat: Seat<H>,
    language: Language,
}

impl<H: Host> Door<H> {
    fn poll(
        &mut self,
        socket: &mut WebSocket<Stream<H::Connection>, H>,
        context: &mut Context<'_>,
    ) -> Poll<End> {
        self.seat.outbox.register(context);
        // The closing moment needs no special care: from then on the queue takes nothing, and receiving goes on until the
        // peer has answered.
        self.carry(socket.outbox());
        loop {
            match socket.poll_receive(context, self) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(end)) => return Poll::Ready(end),
                Poll::Pending => {
                    // What was queued has been written by now, so that there may be room for more; or the connection
                    // takes no more, and will wake us.
                    if !self.carry(socket.outbox()) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Takes what waits for the session to the connection's queue, as far as that has room. False when nothing was
    /// taken.
    fn carry(&self, out: &mut Outbox) -> bool {
        let mut carried = false;
        while out.queued_bytes() < QUEUED && !out.is_closing() {
            match self.seat.outbox.next() {
                // An empty queue takes any message, and one with this much room any that is not far too long.
                Some(Next::Send(frame)) => {
                    if let Err(error) = out.send(frame) {
                        tracing::warn!(%error, "a message for a client was not taken");
                        out.close(1013.into(), "try again later");
                    }
                }
                Some(Next::Close(Ending { code, reason })) => out.close(code.into(), reason),
                None => break,
            }
            carried = true;
        }
        carried
    }
}

impl<H: Host> Handler for Door<H> {
    fn message(&mut self, kind: Kind, payload: &[u8], out: &mut Outbox) {
        match (self.language, kind) {
            (Language::Rooms(Protocol::Json), Kind::Text)
            | (Language::Rooms(Protocol::Protobuf), Kind::Binary) => self.seat.received(payload),
            (Language::Documents, Kind::Binary) => self.seat.received_of_documents(payload),
            (Language::Rooms(Protocol::Json), Kind::Binary) => self.seat.outbox.close(NO_BINARY),
            (Language::Rooms(Protocol::Protobuf), Kind::Text) => self.seat.outbox.close(NO_TEXT),
            (Language::Documents, Kind::Text) => self.seat.outbox.close(NO_TEXT_IN_DOCUMENTS),
        }
        // What the hub answers leaves in one write with the batch that asked.
        self.carry(out);
    }
}
