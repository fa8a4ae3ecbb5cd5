//! `fourwire impair`: a bad network in the way of other programs' connections.

mod change;

use std::net::SocketAddr;
use std::time::Duration;

use host::{ListenOptions, Listener, Network, sleep};
use kernel::{KernelHost, ShutdownSignals};
use lab::live::{Path, PathConfig, PathError, Report};

use change::{Change, Flags};

/// Put a bad network between a client and a server, without root.
///
/// Connections to --listen are carried to --to by Fourwire's own TCP, over a link that loses, delays and limits packets:
/// what is lost is sent again, as on a real network.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Address to listen on
    #[arg(long, env = "FOURWIRE_IMPAIR_LISTEN", value_name = "ADDRESS")]
    listen: SocketAddr,

    /// Address to carry connections to
    #[arg(long, env = "FOURWIRE_IMPAIR_TO", value_name = "ADDRESS")]
    to: SocketAddr,

    #[command(flatten)]
    flags: Flags,
}

/// Why it came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    #[error(transparent)]
    Path(#[from] PathError),
    #[error("the system refused: {0}")]
    System(#[from] std::io::Error),
}

/// Carries connections until Ctrl-C or SIGTERM.
pub(crate) fn run(args: Args) -> Result<(), Error> {
    let _ = kernel::raise_file_limit();
    kernel::run(1, |host| carry(host, args.clone()))?.into_iter().collect()
}

async fn carry(host: KernelHost, args: Args) -> Result<(), Error> {
    let mut signals = ShutdownSignals::watch()?;
    let listener = host
        .listen(args.listen, ListenOptions::default())
        .await
        .map_err(|error| Error::Listen(args.listen, error))?;
    let mut config = PathConfig::default();
    let changes: [Change; 2] = args.flags.into();
    for (impairments, change) in config.impairments.iter_mut().zip(&changes) {
        change.apply(impairments);
    }
    let address = listener.local_address();
    let path = Path::open(host.clone(), args.to, config).await?;
    println!("{address} -> {}", args.to);
    tokio::select! {
        biased;
        _ = signals.next() => {}
        () = path.serve(listener) => {}
        () = tell(&host, &path) => {}
    }
    println!("{}", line(&path.report()));
    Ok(())
}

/// A line whenever something has changed, once a second at most.
async fn tell(host: &KernelHost, path: &Path<KernelHost>) {
    let mut last = path.report();
    loop {
        sleep(host, Duration::from_secs(1)).await;
        let report = path.report();
        if report.carried != last.carried || report.accepted != last.accepted {
            println!("{}", line(&report));
            last = report;
        }
    }
}

fn line(report: &Report) -> String {
    let Report { open, carried, resent, round_trip, .. } = report;
    format!(
        "{open} open, {} B up, {} B down, sent again {} up and {} down, round trip {:?}",
        carried[0],
        carried[1],
        resent[0].total(),
        resent[1].total(),
        round_trip[0]
    )
}
