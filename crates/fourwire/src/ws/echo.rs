//! `fourwire ws --echo`: sends every message back.

use std::future::{Future, poll_fn};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use host::{ListenOptions, Listener, Network};
use kernel::{KernelConnection, KernelHost, ShutdownSignals};
use server::{Connections, Shutdown, Trigger};
use websocket::handshake::server::{Options, Origins, accept};
use websocket::{CloseCode, Limits};

use super::{Echo, compression, limits};

/// Connections that may be open at a time, where the system's limit of open files allows it.
const MOST_CONNECTIONS: usize = 1 << 20;

// Flattened into the command's own Args, whose name its group would have otherwise.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Send every message back as it came
    #[arg(long)]
    echo: bool,

    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9001))]
    listen: SocketAddr,

    /// Threads that serve connections
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
}

/// What every connection of a shard shares.
#[derive(Debug)]
struct Settings {
    options: Options,
    limits: Arc<Limits>,
}

/// Echoes until Ctrl-C or SIGTERM.
pub(super) fn run(args: Args) -> Result<(), super::Error> {
    if !args.echo {
        return Err(super::Error::Nothing);
    }
    // Where it stays lower, accepting rests while no file is free.
    let _ = kernel::raise_file_limit();
    let (trigger, shutdown) = Shutdown::new();
    let trigger = &trigger;
    let connections = Connections::limited_to(MOST_CONNECTIONS);
    let echoed = kernel::run(usize::from(args.threads), |host| {
        let (args, connections, shutdown) = (args.clone(), connections.clone(), shutdown.clone());
        async move {
            let echoed = shard(&host, &args, &connections, &shutdown, trigger).await;
            // Without this shard the others are not what was asked for.
            trigger.pull();
            echoed
        }
    })?;
    echoed.into_iter().collect()
}

/// One shard's run. The first also greets, and listens to signals.
async fn shard(
    host: &KernelHost,
    args: &Args,
    connections: &Connections,
    shutdown: &Shutdown,
    trigger: &Trigger,
) -> Result<(), super::Error> {
    let shared = args.threads > 1;
    let listener = host
        .listen(args.listen, ListenOptions { shared, ..ListenOptions::default() })
        .await
        .map_err(|error| super::Error::Listen(args.listen, error))?;
    let settings = Arc::new(Settings {
        options: Options { deflate: Some(compression()), origins: Origins::Any, ..Options::default() },
        limits: Arc::new(limits()),
    });
    let mut signals = None;
    if host.shard().index == 0 {
        println!("Echoing at ws://{}", listener.local_address());
        signals = Some(ShutdownSignals::watch()?);
    }
    let mut echoing = pin!(async {
        server::accept(host, listener, connections, shutdown, |connection| {
            echo(host.clone(), connection, settings.clone(), shutdown.clone())
        })
        .await;
        connections.none_open().await;
    });
    loop {
        tokio::select! {
            biased;
            () = &mut echoing => return Ok(()),
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
async fn echo(host: KernelHost, connection: KernelConnection, settings: Arc<Settings>, shutdown: Shutdown) {
    let opened = match accept(connection, &host, &settings.options).await {
        Ok(opened) => opened,
        Err(error) => return tracing::debug!(%error, "no handshake"),
    };
    let mut socket = opened.websocket(host, settings.limits.clone());
    let mut stop = pin!(shutdown.requested());
    let mut stopping = false;
    let end = poll_fn(|context| {
        loop {
            if !stopping && stop.as_mut().poll(context).is_ready() {
                stopping = true;
                socket.start_close(CloseCode::GOING_AWAY, "the server is going away");
            }
            match socket.poll_receive(context, &mut Echo) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(end)) => return Poll::Ready(end),
                Poll::Pending => return Poll::Pending,
            }
        }
    });
    let end = end.await;
    tracing::debug!(%end, "a connection ended");
}
