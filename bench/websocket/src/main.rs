//! Echo servers side by side: the server's CPU time for each message, and the memory of idle connections.
//!
//!     FOURWIRE=PATH bench-websocket [ROUNDS [SECONDS [WORKLOAD]]]
//!     FOURWIRE=PATH bench-websocket idle [ROUNDS]
//!
//! In each round each server is started anew on core 0, with one thread, and who begins changes. The generator, one thread
//! on core 1, sends frames that it made before and counts bytes. `bench-websocket serve NAME tcp|tls|deflate` is one of the
//! peers.

mod contestant;
mod echoes;
mod epoll;
mod load;
mod peers;
mod statistics;
mod tls;
mod workload;

use std::env;
use std::io;
use std::time::Duration;

use contestant::Contestant;
use rustix::process::{Resource, getrlimit, setrlimit};
use statistics::{interval, median};
use workload::{Over, Workload};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number = |index: usize, default: f64| {
        arguments.get(index).map_or(Ok(default), |text| text.parse().map_err(io::Error::other))
    };
    match arguments.first().map(String::as_str) {
        Some("serve") => {
            let name = arguments.get(1).map_or("", String::as_str);
            let over = arguments.get(2).and_then(|name| Over::named(name)).unwrap_or(Over::Tcp);
            if name == "epoll" { epoll::serve() } else { peers::serve(name, over) }
        }
        Some("idle") => memory(number(1, 11.0)? as usize),
        _ => {
            let (rounds, seconds) = (number(0, 11.0)? as usize, Duration::from_secs_f64(number(1, 1.0)?));
            let only = arguments.get(2);
            let wanted = |workload: &&Workload| only.is_none_or(|name| workload.name == name);
            load::pin()?;
            Workload::ALL.iter().filter(wanted).try_for_each(|workload| cost(workload, rounds, seconds))
        }
    }
}

/// CPU for each message.
fn cost(workload: &Workload, rounds: usize, seconds: Duration) -> io::Result<()> {
    let mut size = vec![0.0; Contestant::for_workload(workload).len()];
    let results = take_turns(workload, rounds, |round, index, contestant, running| {
        let measured = load::run(workload, running, contestant.is_raw(), seconds)?;
        size[index] = measured.size;
        eprintln!(
            "{} round {:>2}  {:<28} {:>9.0} ns of CPU, {:>9.0} messages a second",
            workload.name,
            round + 1,
            contestant.name(),
            measured.cpu_nanos,
            measured.rate
        );
        Ok(measured.cpu_nanos)
    })?;
    println!("\n{}: {}, {rounds} rounds\n", workload.name, workload.describe());
    let compressed = workload.over == Over::Deflate;
    println!("| server | CPU for each message | times ours |{}", if compressed { " size |" } else { "" });
    println!("| --- | --- | --- |{}", if compressed { " --- |" } else { "" });
    for (index, (name, theirs, ratio)) in against_ours(workload, &results).into_iter().enumerate() {
        let size = if compressed { format!(" {:.3} |", size[index]) } else { String::new() };
        println!("| {name} | {theirs:.0} ns | {ratio} |{size}");
    }
    Ok(())
}

/// Memory for each idle connection.
fn memory(rounds: usize) -> io::Result<()> {
    let workload = &Workload::IDLE;
    raise_file_limit(workload.connections as u64 + 1_000)?;
    let results = take_turns(workload, rounds, |round, _, contestant, running| {
        let bytes = load::idle(workload, running, contestant.is_raw())?;
        eprintln!("idle round {:>2}  {:<28} {bytes:>9.0} bytes", round + 1, contestant.name());
        Ok(bytes)
    })?;
    println!("\nidle: {}, then nothing, {rounds} rounds\n", workload.describe());
    println!("| server | memory for each connection | times ours |");
    println!("| --- | --- | --- |");
    for (name, theirs, ratio) in against_ours(workload, &results) {
        println!("| {name} | {theirs:.0} bytes | {ratio} |");
    }
    Ok(())
}

/// Measures each server in each round.
fn take_turns(
    workload: &Workload,
    rounds: usize,
    mut measure: impl FnMut(usize, usize, Contestant, &contestant::Running) -> io::Result<f64>,
) -> io::Result<Vec<Vec<f64>>> {
    let contestants = Contestant::for_workload(workload);
    let mut results = vec![Vec::new(); contestants.len()];
    for round in 0..rounds {
        // Who begins changes, so that nobody always follows the same one.
        for turn in 0..contestants.len() {
            let index = (round + turn) % contestants.len();
            let running = contestants[index].start(workload)?;
            results[index].push(measure(round, index, contestants[index], &running)?);
        }
    }
    Ok(results)
}

/// Each server's name, its median, and how many times ours it is: the ratio of each round, and its interval.
fn against_ours(workload: &Workload, results: &[Vec<f64>]) -> Vec<(&'static str, f64, String)> {
    let contestants = Contestant::for_workload(workload);
    let compare = |(contestant, theirs): (&Contestant, &Vec<f64>)| {
        let ratios = theirs.iter().zip(&results[0]).map(|(theirs, ours)| theirs / ours).collect();
        (contestant.name(), median(theirs.clone()), interval(ratios))
    };
    contestants.iter().zip(results).map(compare).collect()
}

/// The servers that are started have it as well.
fn raise_file_limit(wanted: u64) -> io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(wanted.min(limit.maximum.unwrap_or(wanted)));
        setrlimit(Resource::Nofile, limit)?;
    }
    Ok(())
}
