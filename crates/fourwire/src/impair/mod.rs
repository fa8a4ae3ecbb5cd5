//! `fourwire impair`: a bad network in the way of other programs' connections, or between two interfaces.

mod api;
#[cfg(target_os = "linux")]
mod between;
mod capture;
mod carry;
mod change;
mod fault;
mod keys;
mod proxies;
mod set;
mod settings;
mod status;
mod terminal;
mod toxics;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use kernel::KernelHost;
use settings::{Job, Settings};

/// Where the API listens, unless it is told: Toxiproxy's port.
const API: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8474);

/// What the proxy of the command line is called in the API.
const NAME: &str = "impair";

/// Put a bad network between a client and a server, without root.
///
/// Each connection to --listen is carried to --to by Fourwire's own TCP, over a link that loses, delays, reorders and limits
/// real packets: what is lost is sent again, and the program feels what a real network would do to it.
///
/// Connecting waits for the target as far as a relay can: the operating system accepts for us at once, but nothing is read
/// from a client or written to it before the target has answered across the link; where the target refuses, the client's
/// connection is reset. Half-closes and resets pass through, both ways. A connection holds at most --buffer bytes in each
/// direction, beside the operating system's own socket buffers: a stalled link stalls the sender.
///
/// What a path in three pieces cannot show: the program's own retransmission timer (it talks to a healthy loopback, ours
/// waits on the bad link), its own TCP keepalive (answered by us, though the link be dead), and the loss of its own SYN
/// (--between shows all three).
#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Keys, in a terminal: c cuts the link or heals it, u and d cut one way, o leaves open connections half \
    open, r resets them, + and - change the loss, q ends it.\n\n\
    Example: fourwire impair --listen 127.0.0.1:9000 --to 127.0.0.1:8080 --preset 3g"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: settings::Args,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    Set(Box<set::Args>),
}

/// Why it came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Settings(#[from] settings::Error),
    #[error(transparent)]
    Proxy(#[from] proxies::Error),
    #[error(transparent)]
    Set(#[from] set::Error),
    #[error("the API cannot listen on {0}: {1}")]
    Api(SocketAddr, std::io::Error),
    #[error("the capture {0} cannot be written: {1}")]
    Capture(PathBuf, std::io::Error),
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Interface(#[from] stack::device::PacketError),
    #[error("the interface {0} is gone: {1}")]
    Gone(String, std::io::Error),
    #[cfg(not(target_os = "linux"))]
    #[error("--between needs Linux")]
    System,
    #[error("the system refused: {0}")]
    Refused(#[from] std::io::Error),
}

/// Does it until Ctrl-C or SIGTERM.
pub(crate) fn run(args: Args) -> Result<(), Error> {
    if let Some(Command::Set(args)) = args.command {
        let set = kernel::run(1, |host| set::run(host, (*args).clone()))?;
        return set.into_iter().collect::<Result<(), _>>().map_err(Error::Set);
    }
    let settings = args.settings.settle()?;
    // Where it stays lower, accepting rests while no file is free.
    let _ = kernel::raise_file_limit();
    kernel::run(1, |host| work(host, settings.clone()))?.into_iter().collect()
}

async fn work(host: KernelHost, settings: Settings) -> Result<(), Error> {
    match &settings.job {
        #[cfg(target_os = "linux")]
        Job::Between(interfaces) => between::run(host, interfaces.clone(), settings).await,
        #[cfg(not(target_os = "linux"))]
        Job::Between(_) => Err(Error::System),
        Job::Carry { .. } | Job::Wait => carry::run(host, settings).await,
    }
}
