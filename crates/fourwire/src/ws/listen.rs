//! `fourwire ws --echo`, `--broadcast`, `--log`: small servers.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use host::{Connection, ListenOptions, Listener, Network, Runtime};
use kernel::{KernelConnection, KernelHost, ShutdownSignals};
use server::{Connections, Shutdown, Trigger};
use tls::Stream;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use websocket::handshake::server::{Options, Origins, accept};
use websocket::{CloseCode, End, Handler, Kind, Limits, Outbox, Prepared, WebSocket, WhenFull};

use super::{Echo, EchoPieces, Shape};
use crate::serve::certificate::Source;

/// Connections that may be open at a time, where the system's limit of open files allows it.
const MOST_CONNECTIONS: usize = 1 << 20;

/// Messages that may wait for a connection before it misses some.
const BACKLOG: usize = 1_024;

/// Time for a TLS handshake.
const TLS_TIME: Duration = Duration::from_secs(10);

/// Bytes of a message that the log shows.
const SHOWN: usize = 200;

// Flattened into the command's own Args, whose name its group would have otherwise.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Serve, and send every message back as it came
    #[arg(long)]
    echo: bool,

    /// Echo messages piece by piece as they come, instead of whole
    #[arg(long, requires = "echo")]
    pieces: bool,

    /// Serve, and send every message to all that are connected; who reads too slowly misses the oldest
    #[arg(long, conflicts_with = "echo")]
    broadcast: bool,

    /// Serve, and print what comes
    #[arg(long, conflicts_with_all = ["echo", "broadcast"])]
    log: bool,

    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9001))]
    listen: SocketAddr,

    /// Serve wss with the certificate in this PEM file, and those that vouch for it
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The key of that certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Serve wss with a certificate that is made now and that nobody vouches for
    #[arg(long, conflicts_with = "tls_cert")]
    tls_self_signed: bool,
}

impl Args {
    /// The certificate to show, where there is one.
    fn certificate(&self) -> Option<Source> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(chain), Some(key)) => Some(Source::Files { chain: chain.clone(), key: key.clone() }),
            _ => self.tls_self_signed.then_some(Source::SelfSigned(None)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Echo,
    EchoPieces,
    Broadcast,
    Log,
}

/// What every connection of a shard shares.
#[derive(Debug)]
struct Settings {
    mode: Mode,
    tls: Option<tls::Server>,
    options: Options,
    limits: Arc<Limits>,
    /// What all say to all.
    all: broadcast::Sender<Prepared>,
}

/// Serves until Ctrl-C or SIGTERM.
pub(super) fn run(args: &Args, shape: &Shape, threads: u16) -> Result<(), super::Error> {
    let mode = match args {
        Args { echo: true, pieces: true, .. } => Mode::EchoPieces,
        Args { echo: true, .. } => Mode::Echo,
        Args { broadcast: true, .. } => Mode::Broadcast,
        Args { log: true, .. } => Mode::Log,
        _ => return Err(super::Error::Nothing),
    };
    // Where it stays lower, accepting rests while no file is free.
    let _ = kernel::raise_file_limit();
    let (trigger, shutdown) = Shutdown::new();
    let trigger = &trigger;
    let connections = Connections::limited_to(MOST_CONNECTIONS);
    let settings = Arc::new(Settings {
        mode,
        tls: args.certificate().map(|source| source.server(&[args.listen])).transpose()?,
        options: Options { deflate: shape.compression(), origins: Origins::Any, ..Options::default() },
        limits: Arc::new(Limits {
            when_full: if mode == Mode::Broadcast { WhenFull::DropOldest } else { WhenFull::Refuse },
            ..shape.limits()
        }),
        all: broadcast::Sender::new(BACKLOG),
    });
    let served = kernel::run(usize::from(threads), |host| {
        let (settings, connections, shutdown) = (settings.clone(), connections.clone(), shutdown.clone());
        async move {
            let served = shard(&host, args, settings, &connections, &shutdown, trigger).await;
            // Without this shard the others are not what was asked for.
            trigger.pull();
            served
        }
    })?;
    served.into_iter().collect()
}

/// One shard's run. The first also greets, and listens to signals.
async fn shard(
    host: &KernelHost,
    args: &Args,
    settings: Arc<Settings>,
    connections: &Connections,
    shutdown: &Shutdown,
    trigger: &Trigger,
) -> Result<(), super::Error> {
    let shared = host.shard().count > 1;
    let listener = host
        .listen(args.listen, ListenOptions { shared, ..ListenOptions::default() })
        .await
        .map_err(|error| super::Error::Listen(args.listen, error))?;
    let mut signals = None;
    if host.shard().index == 0 {
        let does = match settings.mode {
            Mode::Echo | Mode::EchoPieces => "Echoing",
            Mode::Broadcast => "Broadcasting",
            Mode::Log => "Logging",
        };
        let scheme = if settings.tls.is_some() { "wss" } else { "ws" };
        println!("{does} at {scheme}://{}", listener.local_address());
        signals = Some(ShutdownSignals::watch()?);
    }
    let mut serving = pin!(async {
        server::accept(host, listener, connections, shutdown, |connection| {
            serve(host.clone(), connection, settings.clone(), shutdown.clone())
        })
        .await;
        connections.none_open().await;
    });
    loop {
        tokio::select! {
            biased;
            () = &mut serving => return Ok(()),
            _ = next(&mut signals) => {
                // Who asks twice does not want to wait for the goodbyes.
                if shutdown.is_requested() {
                    return Ok(());
                }
                trigger.pull();
            }
        }
    }
}

async fn next(signals: &mut Option<ShutdownSignals>) {
    match signals {
        Some(signals) => {
            signals.next().await;
        }
        None => std::future::pending().await,
    }
}

/// One connection, from its handshake to its end.
async fn serve(host: KernelHost, connection: KernelConnection, settings: Arc<Settings>, shutdown: Shutdown) {
    let peer = connection.peer_address();
    // Boxed, for the memory that handshakes take is to go with them: the task lives as long as the connection.
    let Some((path, mut socket)) = Box::pin(open(host, connection, &settings)).await else { return };
    let end = match settings.mode {
        Mode::Echo => until_the_end(&mut socket, &mut Echo, &shutdown).await,
        Mode::EchoPieces => until_the_end(&mut socket, &mut EchoPieces::default(), &shutdown).await,
        Mode::Broadcast => spread(&mut socket, &settings, &shutdown).await,
        Mode::Log => {
            tell(format_args!("{peer} connected to {path}"));
            let end = until_the_end(&mut socket, &mut Log(peer), &shutdown).await;
            let received = socket.counters().received;
            tell(format_args!(
                "{peer} after {} messages of {} bytes: {end}",
                received.messages, received.bytes
            ));
            end
        }
    };
    tracing::debug!(%peer, %end, counters = ?socket.counters(), "a connection ended");
}

type Socket = WebSocket<Stream<KernelConnection>, KernelHost>;

/// Shakes hands. `None` when that came to nothing.
async fn open(
    host: KernelHost,
    connection: KernelConnection,
    settings: &Settings,
) -> Option<(String, Box<Socket>)> {
    let peer = connection.peer_address();
    let connection = match &settings.tls {
        None => Stream::Plain(connection),
        Some(tls) => match tls.accept(&host, connection, host.now() + TLS_TIME).await {
            Ok(connection) => Stream::Tls(Box::new(connection)),
            Err(error) => {
                tracing::debug!(%peer, %error, "no TLS");
                return None;
            }
        },
    };
    match accept(connection, &host, &settings.options).await {
        Ok(opened) => {
            let path = opened.head.uri().path().to_owned();
            Some((path, Box::new(opened.websocket(host, settings.limits.clone()))))
        }
        Err(error) => {
            tracing::debug!(%peer, %error, "no handshake");
            None
        }
    }
}

/// Hands what comes to `handler`, and says goodbye when the server stops.
async fn until_the_end(socket: &mut Socket, handler: &mut impl Handler, shutdown: &Shutdown) -> End {
    let mut stop = pin!(shutdown.requested());
    let mut stopping = false;
    poll_fn(|context| {
        if !stopping && stop.as_mut().poll(context).is_ready() {
            stopping = true;
            socket.start_close(CloseCode::GOING_AWAY, "the server is going away");
        }
        poll_end(socket, handler, context)
    })
    .await
}

fn poll_end(socket: &mut Socket, handler: &mut impl Handler, context: &mut Context<'_>) -> Poll<End> {
    loop {
        if let Err(end) = ready!(socket.poll_receive(context, handler)) {
            return Poll::Ready(end);
        }
    }
}

/// Says what comes to all, and what all say to this one.
async fn spread(socket: &mut Socket, settings: &Settings, shutdown: &Shutdown) -> End {
    let mut news = settings.all.subscribe();
    let mut stop = pin!(shutdown.requested());
    let mut stopping = false;
    loop {
        let event = {
            let mut said = pin!(news.recv());
            poll_fn(|context| {
                if !stopping && stop.as_mut().poll(context).is_ready() {
                    stopping = true;
                    socket.start_close(CloseCode::GOING_AWAY, "the server is going away");
                }
                if let Poll::Ready(end) = poll_end(socket, &mut Spread(&settings.all), context) {
                    return Poll::Ready(Err(end));
                }
                said.as_mut().poll(context).map(Ok)
            })
            .await
        };
        match event {
            Ok(Ok(message)) => {
                // Who reads too slowly loses the oldest; refused only when closing has begun. All at hand leave together.
                let _ = socket.queue(message);
                while let Ok(message) = news.try_recv() {
                    let _ = socket.queue(message);
                }
            }
            Ok(Err(RecvError::Lagged(missed))) => tracing::debug!(missed, "a connection is too slow"),
            Ok(Err(RecvError::Closed)) => return End::Aborted,
            Err(end) => return end,
        }
    }
}

struct Spread<'a>(&'a broadcast::Sender<Prepared>);

impl Handler for Spread<'_> {
    const ANSWERS: bool = false;

    fn message(&mut self, kind: Kind, payload: &[u8], _: &mut Outbox) {
        // Nobody hears it only when nobody is there.
        let _ = self.0.send(Prepared::new(kind, payload));
    }
}

struct Log(SocketAddr);

impl Handler for Log {
    const ANSWERS: bool = false;

    fn message(&mut self, kind: Kind, payload: &[u8], _: &mut Outbox) {
        let shown = &payload[..payload.len().min(SHOWN)];
        let rest = if payload.len() > SHOWN { "…" } else { "" };
        match kind {
            Kind::Text => tell(format_args!("{} text {:?}{rest}", self.0, String::from_utf8_lossy(shown))),
            Kind::Binary => {
                tell(format_args!(
                    "{} binary, {} bytes \"{}\"{rest}",
                    self.0,
                    payload.len(),
                    shown.escape_ascii()
                ));
            }
        }
    }
}

/// Prints a line. Whoever closed the other end of the pipe does not want to know.
fn tell(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}
