//! Fourwire's TCP, with offload and without, and smoltcp's, each behind a TAP on one thread, and Linux's sockets at the other
//! end: bulk to them, bulk from them, and small messages to and fro.
//!
//!     unshare --net bench-tcpip [ROUNDS [SECONDS]]
//!
//! The contestants take turns in each round, each with a fresh process and a fresh TAP. Needs root: it makes a TAP, and adds addresses,
//! in the network namespace in which it is started, which is to be one of its own.

mod driver;
mod ours;
mod peer;
mod statistics;

use std::env;
use std::io;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use driver::Task;
use stack::device::Offload;
use statistics::{interval, median};

/// The TAP, Linux's address on it, and the contestant's.
pub(crate) const TAP: &str = "fwbench0";
const LINUX: [u8; 4] = [10, 9, 0, 1];
pub(crate) const CONTESTANT: [u8; 4] = [10, 9, 0, 2];

/// Where a contestant discards, sends without end, and echoes.
pub(crate) const SINK: u16 = 9;
pub(crate) const SOURCE: u16 = 19;
pub(crate) const ECHO: u16 = 7;

/// Bytes that each contestant's connection buffers, each way.
pub(crate) const BUFFER: usize = 1 << 20;

/// Ours as it is, ours with frames as on a link, and the peer.
const CONTESTANTS: [&str; 3] = ["fourwire", "fourwire-plain", "smoltcp"];

fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let first = arguments.next();
    match first.as_deref() {
        Some("fourwire") => return ours::serve(Offload::Segments),
        Some("fourwire-plain") => return ours::serve(Offload::None),
        Some("smoltcp") => return peer::serve(),
        _ => {}
    }
    let number = |text: Option<String>, default| {
        text.map_or(Ok(default), |text| text.parse().map_err(io::Error::other))
    };
    let rounds: usize = number(first, 11)?;
    let seconds = Duration::from_secs(number(arguments.next(), 2)? as u64);
    ip(&["link", "set", "lo", "up"])?;

    // By task, by contestant, by round.
    let mut results = vec![vec![Vec::new(); CONTESTANTS.len()]; Task::ALL.len()];
    for round in 0..rounds {
        for (task, results) in Task::ALL.into_iter().zip(&mut results) {
            // Who begins changes, so that nobody always follows the same one.
            for turn in 0..CONTESTANTS.len() {
                let index = (round + turn) % CONTESTANTS.len();
                let contestant = Contestant::start(CONTESTANTS[index], task)?;
                let result = driver::run(task, seconds)?;
                drop(contestant);
                println!(
                    "round {:>2}  {:<10} {:<24} {result:>10.2} {}",
                    round + 1,
                    CONTESTANTS[index],
                    task.name(),
                    task.unit()
                );
                results[index].push(result);
            }
        }
    }

    println!("\n{rounds} rounds of {} s; medians, and the ratio with its 95 % interval", seconds.as_secs());
    println!(
        "| | fourwire | without offload | smoltcp 0.14 | to smoltcp | without offload to smoltcp | offload to none |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (task, results) in Task::ALL.into_iter().zip(&results) {
        let ratio = |one: usize, other: usize| {
            interval(results[one].iter().zip(&results[other]).map(|(one, other)| one / other).collect())
        };
        println!(
            "| {} ({}) | {:.2} | {:.2} | {:.2} | {} | {} | {} |",
            task.name(),
            task.unit(),
            median(results[0].clone()),
            median(results[1].clone()),
            median(results[2].clone()),
            ratio(0, 2),
            ratio(1, 2),
            ratio(0, 1),
        );
    }
    Ok(())
}

/// A contestant's process, with a TAP of its own. Both end with the value.
struct Contestant(Child);

impl Contestant {
    fn start(name: &str, task: Task) -> io::Result<Self> {
        interface()?;
        let child = Command::new(env::current_exe()?)
            .arg(name)
            .env("CORE", task.contestants_core().to_string())
            .stdin(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Contestant {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = ip(&["link", "del", TAP]);
    }
}

/// Stays on the core that the environment names.
pub(crate) fn stay() -> io::Result<()> {
    let core = env::var("CORE").ok().and_then(|core| core.parse().ok()).unwrap_or(0);
    pin(core)
}

pub(crate) fn pin(core: usize) -> io::Result<()> {
    let mut cores = rustix::thread::CpuSet::new();
    cores.set(core);
    rustix::thread::sched_setaffinity(None, &cores).map_err(Into::into)
}

fn interface() -> io::Result<()> {
    let [a, b, c, d] = LINUX;
    ip(&["tuntap", "add", "dev", TAP, "mode", "tap"])?;
    ip(&["addr", "add", &format!("{a}.{b}.{c}.{d}/24"), "dev", TAP])?;
    ip(&["link", "set", TAP, "up"])
}

fn ip(words: &[&str]) -> io::Result<()> {
    if Command::new("ip").args(words).status()?.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("`ip {}` failed: run as root, under `unshare --net`", words.join(" "))))
}
