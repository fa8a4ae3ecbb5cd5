//! `fourwire net`: what there is on a network.

mod own;
mod report;
#[cfg(target_os = "linux")]
mod shared;
#[cfg(target_os = "linux")]
mod system;
mod text;

use std::io::{self, Write};
use std::time::Duration;

use host::sleep;
use kernel::{KernelHost, ShutdownSignals};

use crate::network::{self, Net, Opened};
use report::Report;

#[cfg(target_os = "linux")]
pub(crate) use shared::share;

/// Show interfaces, routes, neighbours, connections and counters of a network.
///
/// With --net tap:NAME this is the network of the `fourwire serve` that runs there. Where none does, give --address too:
/// then the network is opened for a moment, and what was learned of it is shown.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    network: network::Args,

    /// Print JSON, for programs
    #[arg(long)]
    json: bool,

    /// Seconds to look at a network on which no server runs
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    wait: u32,
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "no `fourwire serve` of this network namespace runs on {0}: start one, or give --address to open the network"
    )]
    Nobody(Net),
    #[error(transparent)]
    Network(#[from] network::Error),
    #[error("the state of the network cannot be told: {0}")]
    System(#[from] io::Error),
    #[error("interrupted")]
    Interrupted,
}

/// Shows the network that was asked for.
pub(crate) fn run(args: Args) -> Result<(), Error> {
    let looked = kernel::run(1, |host| {
        let args = args.clone();
        async move {
            let mut signals = ShutdownSignals::watch()?;
            tokio::select! {
                biased;
                _ = signals.next() => Err(Error::Interrupted),
                report = look(host, &args) => report,
            }
        }
    })?;
    let report = looked.into_iter().next().unwrap_or(Err(Error::Interrupted))?;
    let shown = match args.json {
        true => serde_json::to_string_pretty(&report).map_err(io::Error::from)? + "\n",
        false => text::render(&report),
    };
    match io::stdout().write_all(shown.as_bytes()) {
        // Whoever read has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

async fn look(host: KernelHost, args: &Args) -> Result<Report, Error> {
    let net = args.network.net.clone().unwrap_or_default();
    if args.network.is_own() {
        if let Some(report) = running(&net).await? {
            return Ok(report);
        }
        if args.network.addresses.is_empty() {
            return Err(Error::Nobody(net));
        }
    }
    match args.network.open(host).await? {
        Opened::Kernel(_) => system_report(),
        Opened::Own(host) => {
            sleep(&host, Duration::from_secs(args.wait.into())).await;
            Ok(own::report(&host, &net))
        }
    }
}

#[cfg(target_os = "linux")]
async fn running(net: &Net) -> io::Result<Option<Report>> {
    shared::ask(net).await
}

#[cfg(not(target_os = "linux"))]
async fn running(_: &Net) -> io::Result<Option<Report>> {
    Ok(None)
}

#[cfg(target_os = "linux")]
fn system_report() -> Result<Report, Error> {
    Ok(system::report()?)
}

#[cfg(not(target_os = "linux"))]
fn system_report() -> Result<Report, Error> {
    let why = "that of the operating system needs Linux; look with its own tools";
    Err(io::Error::new(io::ErrorKind::Unsupported, why).into())
}
