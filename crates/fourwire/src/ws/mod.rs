//! `fourwire ws`: the WebSocket protocol by itself, for judges and measurements.

mod autobahn;
mod echo;

use std::io;
use std::net::SocketAddr;

use websocket::{Handler, Kind, Limits, Message, Outbox, deflate};

/// The largest message that either side takes, in bytes.
const MESSAGE_BYTES: usize = 64 << 20;

/// The shortest message, in bytes, that is handed on instead of copied.
const LARGE: usize = 16 << 10;

/// The WebSocket protocol by itself: an echo server, and a client for the Autobahn test suite.
#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    echo: echo::Args,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// Walk through the cases of a running Autobahn test suite (`wstest -m fuzzingserver`), echoing.
    Autobahn(autobahn::Args),
}

/// Why it came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("say what to do: --echo, or autobahn ADDRESS")]
    Nothing,
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    #[error(transparent)]
    Autobahn(#[from] autobahn::Error),
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}

/// Does one or the other.
pub(crate) fn run(args: Args) -> Result<(), Error> {
    match args.command {
        Some(Command::Autobahn(args)) => autobahn::run(args),
        None => echo::run(args.echo),
    }
}

/// Limits far enough for every test: messages of [`MESSAGE_BYTES`], in fragments as small as 64 bytes.
fn limits() -> Limits {
    let limits = Limits::default();
    Limits {
        fragments: 1 << 20,
        // Whatever waits when reading stops, and one message more.
        queued_bytes: limits.high_water_bytes + MESSAGE_BYTES + (1 << 20),
        ..limits.with_message_bytes(MESSAGE_BYTES)
    }
}

/// Everything that compression can do.
fn compression() -> deflate::Options {
    deflate::Options {
        server_context_takeover: true,
        client_context_takeover: true,
        ..deflate::Options::default()
    }
}

/// Sends every message back as it came.
struct Echo;

impl Handler for Echo {
    fn message(&mut self, kind: Kind, payload: &[u8], out: &mut Outbox) {
        // Refused only when closing has begun: reading stops long before the queue is full.
        let _ = out.send((kind, payload));
    }

    fn assembled(&mut self, kind: Kind, payload: &mut Vec<u8>, out: &mut Outbox) {
        // A buffer much larger than the message is better kept for the next one.
        if payload.len() < LARGE || payload.capacity() > 2 * payload.len() {
            return self.message(kind, payload, out);
        }
        let _ = out.send(Message::new(kind, std::mem::take(payload).into()));
    }
}
