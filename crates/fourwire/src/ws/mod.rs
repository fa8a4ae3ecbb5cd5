//! `fourwire ws`: the WebSocket protocol by itself, to talk, to serve, to put load on a server, and for judges.

mod autobahn;
mod dial;
mod listen;
mod load;
mod talk;

use std::io;
use std::net::SocketAddr;

use websocket::{Begun, Handler, Intake, Kind, Limits, Message, Outbox, Piece, deflate};

use crate::serve::certificate;

/// The largest message that either side takes, in bytes.
const MESSAGE_BYTES: usize = 64 << 20;

/// The shortest message, in bytes, that is handed on instead of copied.
const LARGE: usize = 16 << 10;

/// Talk to a WebSocket server, be one, or put load on one.
///
/// With a URL: what is typed, or comes through a pipe, is sent line by line, and what comes is shown. With --load, so many
/// connections send and wait for the echo, and latencies are reported. With --echo, --broadcast or --log: a server.
#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    dial: dial::Args,
    #[command(flatten)]
    talk: talk::Args,
    #[command(flatten)]
    load: load::Args,
    #[command(flatten)]
    listen: listen::Args,

    #[command(flatten)]
    shape: Shape,

    /// Threads that serve connections, or put load on a server
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
}

/// How messages travel, whichever side we are.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
struct Shape {
    /// Offer no compression, nor grant any
    #[arg(long)]
    no_compression: bool,

    /// Send messages in frames of at most so many bytes; compressed ones stay in one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    frame_bytes: Option<u32>,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// Walk through the cases of a running Autobahn test suite (`wstest -m fuzzingserver`), echoing.
    Autobahn(autobahn::Args),
}

/// Why it came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("say what to do: a URL to talk to, --echo, --broadcast or --log to serve, or autobahn ADDRESS")]
    Nothing,
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    #[error(transparent)]
    Certificate(#[from] certificate::Error),
    #[error(transparent)]
    Autobahn(#[from] autobahn::Error),
    #[error(transparent)]
    Dial(#[from] dial::Error),
    #[error(transparent)]
    Talk(#[from] talk::Error),
    #[error(transparent)]
    Load(#[from] load::Error),
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}

/// Does one or the other.
pub(crate) fn run(args: Args) -> Result<(), Error> {
    let Args { command, dial, talk, load, listen, shape, threads } = args;
    match command {
        Some(Command::Autobahn(args)) => autobahn::run(args),
        None if !dial.has_url() => listen::run(&listen, &shape, threads),
        None if load.is_wanted() => load::run(&dial, &load, &shape, threads),
        None => talk::run(&dial, &talk, &shape),
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

impl Shape {
    /// What is offered, or granted.
    fn compression(&self) -> Option<deflate::Options> {
        (!self.no_compression).then(compression)
    }

    fn limits(&self) -> Limits {
        let limits = limits();
        let sent_frame_bytes = self.frame_bytes.map_or(limits.sent_frame_bytes, |bytes| bytes as usize);
        Limits { sent_frame_bytes, ..limits }
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

/// The same in pieces, as they come: nothing is assembled.
#[derive(Default)]
struct EchoPieces {
    /// Bytes of the message that begins, when it says so.
    len: Option<u64>,
}

impl Handler for EchoPieces {
    fn begin(&mut self, begun: &Begun) -> Intake {
        self.len = begun.len;
        Intake::Pieces { most_bytes: u64::MAX }
    }

    fn piece(&mut self, piece: Piece<'_>, out: &mut Outbox) {
        if !out.is_in_pieces() && out.begin(piece.kind, self.len).is_err() {
            return;
        }
        // Refused when closing has begun, and when a message of no bytes was finished by its beginning.
        let _ = out.piece(piece.bytes, piece.is_last);
    }

    /// Never called: every message is taken in pieces.
    fn message(&mut self, _: Kind, _: &[u8], _: &mut Outbox) {}
}
