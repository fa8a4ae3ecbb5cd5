//! `fourwire ping`: asks a host whether it is there.

mod echo;
mod tally;

use std::cell::RefCell;
use std::io::{self, Write};
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use application::dns;
use host::{Host, Runtime, timeout_at};
use kernel::KernelHost;

use crate::names;
use crate::network::{self, Learned, Opened};
use echo::{Answer, Echo};
use tally::Tally;

/// Ask a host whether it is there, and how long the way there and back takes.
///
/// Exit status 0 when it answered, 1 when it did not (or not as often as asked, within --deadline), 2 when it could not
/// be asked. Ctrl-C ends it with the summary.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Whom to ask: a name or an address
    host: String,

    /// End after so many requests
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Seconds between two requests
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    interval: Duration,

    /// Bytes to send with each
    #[arg(short, long, value_name = "BYTES", default_value_t = 56, value_parser = clap::value_parser!(u16).range(0..=65_507))]
    size: u16,

    /// Seconds to wait for answers after the last request
    #[arg(short = 'W', long, value_name = "SECONDS", default_value = "4", value_parser = seconds)]
    timeout: Duration,

    /// End after so many seconds, whatever came
    #[arg(short = 'w', long, value_name = "SECONDS", value_parser = seconds)]
    deadline: Option<Duration>,

    /// Routers that may forward a request
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    ttl: Option<u8>,

    /// Print the summary only
    #[arg(short, long)]
    quiet: bool,

    /// Use IPv4 only
    #[arg(short = '4', conflicts_with = "v6")]
    v4: bool,

    /// Use IPv6 only
    #[arg(short = '6')]
    v6: bool,

    #[command(flatten)]
    names: names::Args,

    #[command(flatten)]
    network: network::Args,
}

/// Why nobody was asked.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Name(#[from] dns::Error),
    #[error("{0} has no address of the family that was asked for")]
    Family(String),
    #[error("nothing was sent to {0}: {1}")]
    Send(IpAddr, io::Error),
    #[error(transparent)]
    Network(#[from] network::Error),
    #[error("no ping is possible here: {0}")]
    Socket(io::Error),
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}

/// Asks until it is done, or until Ctrl-C or SIGTERM.
pub(crate) fn run(args: Args) -> ExitCode {
    let asked = kernel::run(1, |host| {
        let args = args.clone();
        async move { ask(host, &args).await }
    });
    match asked.map(|asked| asked.into_iter().next()) {
        Ok(Some(Ok(true))) => ExitCode::SUCCESS,
        Ok(Some(Ok(false)) | None) => ExitCode::from(1),
        Ok(Some(Err(error))) => fail(&error),
        Err(error) => fail(&error.into()),
    }
}

fn fail(error: &Error) -> ExitCode {
    eprintln!("fourwire: {error}");
    ExitCode::from(2)
}

/// Whether it answered.
async fn ask(host: KernelHost, args: &Args) -> Result<bool, Error> {
    let runtime = host.clone();
    let session = Session::new(runtime.clone(), args);
    let asking = async |opened, learned: &Learned| match opened {
        Opened::Kernel(host) => {
            let to = find(&host, learned, args).await?;
            session.attend(to, kernel_echo(to).map_err(Error::Socket)?).await
        }
        Opened::Own(host) => {
            let to = find(&host, learned, args).await?;
            session.attend(to, host.echo().map_err(Error::Socket)?).await
        }
    };
    args.network.with(host, asking).await?;
    let tally = session.tally.into_inner();
    if tally.sent > 0 {
        let summary = tally.summary(runtime.now());
        say(&format!("\n--- {} ping statistics ---\n{summary}", args.host));
    }
    let enough = args.count.filter(|_| args.deadline.is_some()).unwrap_or(1);
    Ok(tally.received >= enough)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn kernel_echo(to: IpAddr) -> io::Result<kernel::KernelEcho> {
    kernel::KernelEcho::open(to)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn kernel_echo(_: IpAddr) -> io::Result<stack::StackEcho<KernelHost, Box<dyn stack::Device>>> {
    let why = "pings by the operating system need Linux; use its own ping";
    Err(io::Error::new(io::ErrorKind::Unsupported, why))
}

/// The address to ask.
async fn find<H: Host>(host: &H, learned: &Learned, args: &Args) -> Result<IpAddr, Error> {
    let addresses = names::addresses(&args.names.resolver(host.clone(), learned)?, &args.host, 0).await?;
    let suits = |address: &IpAddr| if args.v4 { address.is_ipv4() } else { !args.v6 || address.is_ipv6() };
    let mut addresses = addresses.into_iter().map(|address| address.ip());
    addresses.find(suits).ok_or_else(|| Error::Family(args.host.clone()))
}

/// What was asked and heard so far.
struct Session<'a> {
    runtime: KernelHost,
    args: &'a Args,
    data: Vec<u8>,
    tally: RefCell<Tally>,
}

impl<'a> Session<'a> {
    fn new(runtime: KernelHost, args: &'a Args) -> Self {
        let data = (0..args.size).map(|at| at as u8).collect();
        Self { runtime, args, data, tally: RefCell::default() }
    }

    /// Asks again and again, and says what comes of it.
    async fn attend<E: Echo>(&self, to: IpAddr, mut echo: E) -> Result<(), Error> {
        let (args, runtime) = (self.args, &self.runtime);
        let whole = u32::from(args.size) + if to.is_ipv4() { 28 } else { 48 };
        say(&format!("PING {} ({to}) {}({whole}) bytes of data.", args.host, args.size));
        let mut next = runtime.now();
        let end = args.deadline.map(|deadline| next + deadline);
        loop {
            let (sent, complete) = (self.tally.borrow().sent, self.tally.borrow().is_complete());
            let done = args.count.is_some_and(|count| sent >= count);
            if done && complete {
                return Ok(());
            }
            match timeout_at(runtime, end.map_or(next, |end| end.min(next)), echo.receive()).await {
                Ok(answer) => self.hear(&answer?),
                // The last answers had their time.
                Err(_) if done || end.is_some_and(|end| runtime.now() >= end) => return Ok(()),
                Err(_) => {
                    self.send(to, &mut echo)?;
                    let last = args.count.is_some_and(|count| sent + 1 >= count);
                    next = next.max(runtime.now()) + if last { args.timeout } else { args.interval };
                }
            }
        }
    }

    fn send<E: Echo>(&self, to: IpAddr, echo: &mut E) -> Result<(), Error> {
        let number = self.tally.borrow_mut().send(self.runtime.now());
        match echo.send(to, number as u16, self.args.ttl, &self.data) {
            // There was no room for it: lost, as others are.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if number == 1 => return Err(Error::Send(to, error)),
            Err(error) => {
                self.tally.borrow_mut().fail(number as u16);
                self.tell(|| format!("icmp_seq={number} not sent: {error}"));
            }
            Ok(()) => {}
        }
        Ok(())
    }

    fn hear(&self, answer: &Answer) {
        let mut tally = self.tally.borrow_mut();
        match answer {
            Answer::Reply { source, sequence, ttl, data } => {
                let Some(heard) = tally.receive(self.runtime.now(), *sequence) else { return };
                let damaged = *data != self.data;
                tally.damaged += u64::from(damaged);
                self.tell(|| {
                    let ttl = ttl.map_or(String::new(), |ttl| format!(" ttl={ttl}"));
                    let (len, number) = (data.len() + 8, heard.number);
                    let time = heard.after.as_nanos() as f64 / 1e6;
                    let duplicate = if heard.duplicate { " (duplicate)" } else { "" };
                    let damaged = if damaged { " (damaged)" } else { "" };
                    format!("{len} bytes from {source}: icmp_seq={number}{ttl} time={time:.3} ms{duplicate}{damaged}")
                });
            }
            Answer::Failed { reporter, sequence, why } => {
                if let Some(number) = tally.fail(*sequence) {
                    self.tell(|| format!("From {reporter}: icmp_seq={number} {why}"));
                }
            }
        }
    }

    fn tell(&self, line: impl FnOnce() -> String) {
        if !self.args.quiet {
            say(&line());
        }
    }
}

/// Prints a line; whoever read has seen enough when that fails.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no number of seconds from 0.001 to 86400");
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    if (0.001..=86_400.0).contains(&seconds) { Ok(Duration::from_secs_f64(seconds)) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_seconds() {
        assert_eq!(seconds("0.2"), Ok(Duration::from_millis(200)));
        for wrong in ["0", "-1", "x", "NaN", "1e9"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
