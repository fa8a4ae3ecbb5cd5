//! `fourwire ws URL`: a conversation, at a terminal or through pipes.

mod input;
mod output;

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use client::{Dialed, Socket};
use host::{Instant, Runtime, Timer};
use kernel::KernelHost;
use tokio::sync::mpsc;
use websocket::{Begun, CloseCode, End, Handler, Intake, Kind, Message, Outbox, Piece};

use super::{Shape, dial};
use input::Input;
use output::Output;

/// While more waits to be sent, nothing is read from the person or the pipe.
const ENOUGH: usize = 256 << 10;

#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Send binary messages: of each line its bytes, and of a pipe what comes, as it comes
    #[arg(long, requires = "url")]
    binary: bool,

    /// Write and read binary messages in hexadecimal, a line each
    #[arg(long, requires = "url")]
    hex: bool,

    /// Ping so often, and show how long the answers take
    #[arg(long, value_name = "SECONDS", requires = "url")]
    ping: Option<f64>,

    /// End well as soon as a message contains this text, and badly if none does
    #[arg(long, value_name = "TEXT", requires = "url")]
    expect: Option<String>,

    /// End well after so many messages have come, and badly if they do not
    #[arg(long, value_name = "N", requires = "url")]
    count: Option<u64>,

    /// Send no more than so many messages a second
    #[arg(long, value_name = "N", requires = "url")]
    rate: Option<f64>,

    /// End, badly, after this time
    #[arg(long, value_name = "SECONDS", requires = "url")]
    timeout: Option<f64>,

    /// When the input has ended, wait for answers until there was none for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    linger: f64,
}

/// Why the conversation did not go as it was meant to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Ended(End),
    #[error("the connection ended before what was expected came: {0}")]
    TooEarly(End),
    #[error("what was expected did not come in time")]
    TooLate,
    #[error("{0:?} is not hexadecimal")]
    Hex(String),
    #[error("the terminal: {0}")]
    Terminal(#[from] rustyline::error::ReadlineError),
    #[error("cannot write what came: {0}")]
    Output(io::Error),
}

/// Talks until one side has had enough.
pub(super) fn run(dial: &dial::Args, args: &Args, shape: &Shape) -> Result<(), super::Error> {
    let talked = kernel::run(1, |host| async move {
        let Some(reach) = dial.reach(&host, shape.compression())? else { return Ok(()) };
        let dialed = reach.open(shape.limits()).await?;
        Ok::<_, super::Error>(Talk::begin(host, args, dialed)?.run().await?)
    })?;
    talked.into_iter().collect()
}

struct Talk<'a> {
    host: KernelHost,
    args: &'a Args,
    socket: Socket<KernelHost>,
    /// What is to be said; `None` once the last was.
    inputs: Option<mpsc::Receiver<Result<Input, Error>>>,
    heard: Heard,
    timer: <KernelHost as Runtime>::Timer,
    ends: Option<Instant>,
    next_ping: Option<Instant>,
    /// When the next message may be sent.
    next_input: Instant,
}

/// What came.
struct Heard {
    host: KernelHost,
    output: Output,
    expect: Option<String>,
    was_expected: bool,
    messages: u64,
    last: Instant,
    pinged: Option<Instant>,
    failure: Option<io::Error>,
}

/// What happened next.
enum Event {
    Batch,
    Ended(End),
    Input(Option<Result<Input, Error>>),
    Time,
}

impl<'a> Talk<'a> {
    fn begin(host: KernelHost, args: &'a Args, dialed: Dialed<KernelHost>) -> Result<Self, Error> {
        let (inputs, output) = input::open(args)?;
        let now = host.now();
        if output.is_for_a_person() {
            let subprotocol = dialed.subprotocol.map(|name| format!(", speaking {name}"));
            let compressed = if dialed.deflate.is_some() { ", compressed" } else { "" };
            eprintln!("Connected to {}{}{compressed}", dialed.url, subprotocol.unwrap_or_default());
        }
        Ok(Self {
            heard: Heard {
                host: host.clone(),
                output,
                expect: args.expect.clone(),
                was_expected: false,
                messages: 0,
                last: now,
                pinged: None,
                failure: None,
            },
            timer: host.timer(),
            ends: args.timeout.map(|after| now + seconds(after)),
            next_ping: args.ping.map(|_| now),
            next_input: now,
            host,
            args,
            socket: dialed.socket,
            inputs: Some(inputs),
        })
    }

    async fn run(mut self) -> Result<(), Error> {
        loop {
            match self.event().await {
                Event::Batch => {}
                Event::Ended(end) => return self.ended(end),
                Event::Input(Some(input)) => self.say(input?),
                Event::Input(None) => {
                    self.inputs = None;
                    self.heard.last = self.host.now();
                }
                Event::Time => self.time(),
            }
            if let Some(failure) = self.heard.failure.take() {
                // Whoever read the pipe has seen enough.
                return if failure.kind() == io::ErrorKind::BrokenPipe {
                    Ok(())
                } else {
                    Err(Error::Output(failure))
                };
            }
            if self.is_satisfied() || self.has_lingered() {
                return self.goodbye().await;
            }
            if self.ends.is_some_and(|ends| ends <= self.host.now()) {
                self.goodbye().await?;
                return Err(Error::TooLate);
            }
        }
    }

    /// Waits for whatever comes first.
    async fn event(&mut self) -> Event {
        let due = self.due();
        self.timer.set(due);
        poll_fn(|context| {
            match self.socket.poll_receive(context, &mut self.heard) {
                Poll::Ready(Ok(())) => return Poll::Ready(Event::Batch),
                Poll::Ready(Err(end)) => return Poll::Ready(Event::Ended(end)),
                Poll::Pending => {}
            }
            if let Some(inputs) = &mut self.inputs
                && self.socket.queued_bytes() < ENOUGH
                && self.next_input <= self.host.now()
                && let Poll::Ready(input) = inputs.poll_recv(context)
            {
                return Poll::Ready(Event::Input(input));
            }
            self.timer.poll_expired(context).map(|()| Event::Time)
        })
        .await
    }

    /// When something is to be done without anything having come.
    fn due(&self) -> Option<Instant> {
        let now = self.host.now();
        let paced = Some(self.next_input).filter(|&next| self.inputs.is_some() && next > now);
        [self.ends, self.next_ping, self.lingers_until(), paced].into_iter().flatten().min()
    }

    fn time(&mut self) {
        let now = self.host.now();
        if let (Some(every), Some(due)) = (self.args.ping, self.next_ping)
            && due <= now
        {
            self.heard.pinged = Some(now);
            self.socket.ping(b"fourwire");
            self.next_ping = Some(now + seconds(every));
        }
    }

    fn say(&mut self, input: Input) {
        let message = match input {
            Input::Text(text) => Message::text(text),
            Input::Binary(bytes) => Message::Binary(bytes.into()),
        };
        // Refused only when closing has begun, which is told in a moment.
        let _ = self.socket.queue(message);
        if let Some(rate) = self.args.rate {
            self.next_input = self.next_input.max(self.host.now()) + seconds(1.0 / rate.max(1e-3));
        }
    }

    fn is_satisfied(&self) -> bool {
        let counted = self.args.count.is_some_and(|count| self.heard.messages >= count);
        self.heard.was_expected || (counted && self.args.expect.is_none())
    }

    fn has_goal(&self) -> bool {
        self.args.count.is_some() || self.args.expect.is_some()
    }

    fn lingers_until(&self) -> Option<Instant> {
        let waits = self.inputs.is_none() && !self.has_goal() && self.args.ping.is_none();
        waits.then(|| self.heard.last + seconds(self.args.linger))
    }

    fn has_lingered(&self) -> bool {
        self.socket.queued_bytes() == 0 && self.lingers_until().is_some_and(|until| until <= self.host.now())
    }

    async fn goodbye(&mut self) -> Result<(), Error> {
        match self.socket.close(CloseCode::NORMAL, "").await {
            end if end.is_clean() => Ok(()),
            end => Err(Error::Ended(end)),
        }
    }

    fn ended(&mut self, end: End) -> Result<(), Error> {
        if self.is_satisfied() {
            return Ok(());
        }
        if self.has_goal() {
            return Err(Error::TooEarly(end));
        }
        if !end.is_clean() {
            return Err(Error::Ended(end));
        }
        eprintln!("fourwire: {end}");
        Ok(())
    }
}

impl Heard {
    fn note(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.failure.get_or_insert(error);
        }
    }

    fn count(&mut self) {
        self.messages += 1;
        self.last = self.host.now();
    }
}

impl Handler for Heard {
    const ANSWERS: bool = false;

    fn begin(&mut self, _: &Begun) -> Intake {
        // A pipe gets what has come at once; a person, and a search, the whole.
        if self.output.takes_pieces() && self.expect.is_none() {
            Intake::Pieces { most_bytes: u64::MAX }
        } else {
            Intake::Whole
        }
    }

    fn piece(&mut self, piece: Piece<'_>, _: &mut Outbox) {
        let written = self.output.piece(piece.kind, piece.bytes, piece.is_last);
        self.note(written);
        if piece.is_last {
            self.count();
        }
    }

    fn message(&mut self, kind: Kind, payload: &[u8], _: &mut Outbox) {
        self.count();
        let written = self.output.message(kind, payload);
        self.note(written);
        if let Some(expected) = &self.expect {
            self.was_expected |= String::from_utf8_lossy(payload).contains(expected);
        }
    }

    fn pong(&mut self, payload: &[u8]) {
        if let Some(pinged) = self.pinged.take_if(|_| payload == b"fourwire") {
            let took = self.host.now().since(pinged);
            self.output.remark(&format!("pong after {:.3} ms", took.as_secs_f64() * 1e3));
        }
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}
