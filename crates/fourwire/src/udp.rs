//! `fourwire udp`: datagrams by hand.

use std::future::poll_fn;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use application::dns;
use host::{Datagrams, Host, timeout_at};

use crate::network::{self, Learned, Opened};
use crate::{input, names};

/// Send, receive or return datagrams.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    network: network::Args,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    Send(Send),
    Listen(Listen),
    Echo(Echo),
}

/// Send a datagram, and print what is answered.
#[derive(Clone, Debug, clap::Args)]
struct Send {
    /// To whom: a name or address with a port, such as 127.0.0.1:7
    to: String,

    /// What to send; without it each line of standard input is a datagram
    text: Option<String>,

    /// Wait so many seconds for an answer to each
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=3600))]
    wait: u32,

    #[command(flatten)]
    names: names::Args,
}

/// Print the datagrams that come, until Ctrl-C.
#[derive(Clone, Debug, clap::Args)]
struct Listen {
    /// Where to listen, such as 127.0.0.1:7000
    at: SocketAddr,

    /// End after so many
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

/// Send each datagram back to where it came from (RFC 862), until Ctrl-C.
#[derive(Clone, Debug, clap::Args)]
struct Echo {
    /// Where to listen, such as 127.0.0.1:7
    at: SocketAddr,
}

/// Why it ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0:?} is no name or address with a port; write it as 127.0.0.1:7 or host.example:7")]
    Address(String),
    #[error(transparent)]
    Name(#[from] dns::Error),
    #[error("cannot bind {0}: {1}")]
    Bind(SocketAddr, io::Error),
    #[error("nothing was sent to {0}: {1}")]
    Send(SocketAddr, io::Error),
    #[error("nobody is at {0}: the port is closed")]
    Refused(SocketAddr),
    #[error("no answer from {0} within {1} s")]
    Silent(SocketAddr, u32),
    #[error(transparent)]
    Network(#[from] network::Error),
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}

/// The longest datagram that IP carries, in bytes.
const LONGEST: usize = 65_535;

/// Runs the command until it is done, or until Ctrl-C or SIGTERM.
pub(crate) fn run(args: Args) -> Result<(), Error> {
    let ran = kernel::run(1, |host| {
        let (command, network) = (args.command.clone(), args.network.clone());
        async move {
            let running = async |opened, learned: &Learned| match opened {
                Opened::Kernel(host) => execute(host, learned, &command).await,
                Opened::Own(host) => execute(host, learned, &command).await,
            };
            network.with(host, running).await.map(Option::unwrap_or_default)
        }
    })?;
    ran.into_iter().collect()
}

async fn execute<H: Host>(host: H, learned: &Learned, command: &Command) -> Result<(), Error> {
    match command {
        Command::Send(args) => send(host, learned, args).await,
        Command::Listen(args) => listen(host, args).await,
        Command::Echo(args) => echo(host, args).await,
    }
}

async fn send<H: Host>(host: H, learned: &Learned, args: &Send) -> Result<(), Error> {
    let wrong = || Error::Address(args.to.clone());
    let (name, port) = args.to.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    let resolver = args.names.resolver(host.clone(), learned)?;
    let to = *names::addresses(&resolver, name, port).await?.first().ok_or_else(wrong)?;
    let mut socket = bind(&host, any(to)).await?;
    match &args.text {
        Some(text) => ask(&host, &mut socket, to, text.as_bytes(), args.wait).await?,
        None => {
            while let Some(line) = input::line(&host).await? {
                ask(&host, &mut socket, to, line.as_bytes(), args.wait).await?;
            }
        }
    }
    Ok(())
}

/// Sends one datagram and prints its answer.
async fn ask<H: Host>(
    host: &H,
    socket: &mut H::Datagrams,
    to: SocketAddr,
    datagram: &[u8],
    wait: u32,
) -> Result<(), Error> {
    poll_fn(|context| socket.poll_send(context, datagram, to))
        .await
        .map_err(|error| Error::Send(to, error))?;
    if wait == 0 {
        return Ok(());
    }
    let mut buffer = vec![0; LONGEST];
    let deadline = host.now() + Duration::from_secs(wait.into());
    let answer = timeout_at(host, deadline, async {
        loop {
            let (len, from) = receive(socket, &mut buffer).await?;
            if from == to {
                return Ok::<_, io::Error>(len);
            }
        }
    });
    match answer.await {
        Ok(Ok(len)) => Ok(print(&buffer[..len])?),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Err(Error::Refused(to)),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Error::Silent(to, wait)),
    }
}

async fn listen<H: Host>(host: H, args: &Listen) -> Result<(), Error> {
    let mut socket = bind(&host, args.at).await?;
    eprintln!("fourwire: listening at {}, Ctrl-C ends it", socket.local_address());
    let mut buffer = vec![0; LONGEST];
    for _ in 0..args.count.unwrap_or(u64::MAX) {
        let (len, from) = receive(&mut socket, &mut buffer).await?;
        eprintln!("{from} {len} bytes");
        print(&buffer[..len])?;
    }
    Ok(())
}

async fn echo<H: Host>(host: H, args: &Echo) -> Result<(), Error> {
    let mut socket = bind(&host, args.at).await?;
    eprintln!("fourwire: echoing at {}, Ctrl-C ends it", socket.local_address());
    let mut buffer = vec![0; LONGEST];
    loop {
        // What the network has against one sender is no reason to stop for the others.
        let Ok((len, from)) = receive(&mut socket, &mut buffer).await else { continue };
        let _ = poll_fn(|context| socket.poll_send(context, &buffer[..len], from)).await;
    }
}

async fn bind<H: Host>(host: &H, at: SocketAddr) -> Result<H::Datagrams, Error> {
    host.bind(at).await.map_err(|error| Error::Bind(at, error))
}

async fn receive<D: Datagrams>(socket: &mut D, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    poll_fn(|context| socket.poll_receive(context, buffer)).await
}

/// Any port of any address of the same family.
fn any(of: SocketAddr) -> SocketAddr {
    let address = match of.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(address, 0)
}

/// Prints a datagram on a line of its own.
fn print(datagram: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(datagram)?;
    if !datagram.ends_with(b"\n") {
        out.write_all(b"\n")?;
    }
    out.flush()
}
