//! `fourwire doctor`: what is between a client and its server, and what of it would hurt.
//!
//! It goes the way that a client goes, one step after the other, and says at each what it found: [`reach`] has the way to
//! an open connection, [`web`] what HTTP says, [`live`] what the WebSocket does.

mod finding;
mod live;
mod reach;
mod web;

use std::io;
use std::time::Duration;

use client::{Dialer, Url};
use host::Runtime;
use kernel::{KernelHost, ShutdownSignals};

use crate::{remote, trust};
use finding::Report;

/// Look for what would hurt between a client and its server.
///
/// Names, addresses, certificate, clock, proxies that do not pass WebSocket on, and proxies that cut what is silent: each
/// step is told with what was found, and with what to do about it. Exit status 1 when a client could not work.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The server, such as ws://127.0.0.1:8000 or wss://chat.example; reached through the proxy that http_proxy,
    /// https_proxy or all_proxy name, unless no_proxy lists it
    url: Url,

    /// Token of the connection, where the server asks for one
    #[arg(long, env = "FOURWIRE_TOKEN", value_name = "JWT", hide_env_values = true)]
    token: Option<String>,

    /// The page that the clients come from, such as `https://chat.example`: a server may refuse others
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,

    /// How long to keep a connection silent at the most, to see whether something on the way cuts it; it is let go when
    /// the server has broken the silence twice. 0 for not at all
    #[arg(long, value_name = "SECONDS", default_value_t = 65, value_parser = clap::value_parser!(u16).range(0..=3600))]
    hold: u16,

    #[command(flatten)]
    trust: trust::Args,
}

/// Why nothing could be examined, or what came out of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Remote(#[from] remote::Error),
    #[error(transparent)]
    Client(#[from] client::Error),
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
    #[error("a client could not work here")]
    Ill,
    #[error("interrupted")]
    Interrupted,
}

/// Time for each step.
const PATIENCE: Duration = Duration::from_secs(10);

/// What every step needs.
struct Patient<'a> {
    host: &'a KernelHost,
    args: &'a Args,
    url: Url,
    dialer: Dialer,
}

pub(crate) fn run(args: Args) -> Result<(), Error> {
    let examined = kernel::run(1, |host| {
        let args = args.clone();
        async move {
            let mut signals = ShutdownSignals::watch()?;
            tokio::select! {
                biased;
                _ = signals.next() => Err(Error::Interrupted),
                examined = examine(&host, &args) => examined,
            }
        }
    })?;
    examined.into_iter().collect()
}

async fn examine(host: &KernelHost, args: &Args) -> Result<(), Error> {
    let url = args.url.clone().or_path(client::DEFAULT_PATH);
    let mut dialer = remote::dialer(host, &url, &args.trust)?;
    dialer.timeout = PATIENCE;
    if let Some(origin) = &args.origin {
        dialer.add_header("Origin", origin)?;
    }
    let mut report = Report::begin(&url);
    let patient = Patient { host, args, url, dialer };
    // Each step stands on the one before it.
    if reach::examine(&patient, &mut report).await && web::examine(&patient, &mut report).await {
        live::examine(&patient, &mut report).await;
    }
    if report.end() { Ok(()) } else { Err(Error::Ill) }
}

impl Patient<'_> {
    fn deadline(&self) -> host::Instant {
        self.host.now() + PATIENCE
    }
}
