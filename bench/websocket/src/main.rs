//! Echo servers side by side: the server's CPU time for each message.
//!
//!     FOURWIRE=PATH bench-websocket [ROUNDS [SECONDS [WORKLOAD]]]
//!
//! In each round each server is started anew on core 0, with one thread, and who begins changes. The generator, one thread
//! on core 1, sends frames that it made before and counts bytes. `bench-websocket serve NAME` is one of the peers.

mod contestant;
mod epoll;
mod load;
mod peers;
mod statistics;

use std::env;
use std::io;
use std::time::Duration;

use contestant::Contestant;
use load::Workload;
use statistics::{interval, median};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [serve, name] = arguments.as_slice()
        && serve == "serve"
    {
        return if name == "epoll" { epoll::serve() } else { peers::serve(name) };
    }
    let number = |index: usize, default: f64| {
        arguments.get(index).map_or(Ok(default), |text| text.parse().map_err(io::Error::other))
    };
    let rounds = number(0, 11.0)? as usize;
    let seconds = Duration::from_secs_f64(number(1, 1.0)?);
    let only = arguments.get(2);

    load::pin()?;
    for workload in Workload::ALL.iter().filter(|workload| only.is_none_or(|name| workload.name == name)) {
        let mut results = vec![Vec::new(); Contestant::ALL.len()];
        for round in 0..rounds {
            // Who begins changes, so that nobody always follows the same one.
            for turn in 0..Contestant::ALL.len() {
                let index = (round + turn) % Contestant::ALL.len();
                let contestant = Contestant::ALL[index];
                let running = contestant.start()?;
                let measured = load::run(workload, &running, contestant.is_raw(), seconds)?;
                eprintln!(
                    "{} round {:>2}  {:<28} {:>9.0} ns of CPU, {:>9.0} messages a second",
                    workload.name,
                    round + 1,
                    contestant.name(),
                    measured.cpu_nanos,
                    measured.rate
                );
                results[index].push(measured.cpu_nanos);
            }
        }
        report(workload, rounds, &results);
    }
    Ok(())
}

/// The medians, and how many times our cost each server needs: the ratio of each round, and its interval.
fn report(workload: &Workload, rounds: usize, results: &[Vec<f64>]) {
    println!("\n{}: {}, {rounds} rounds\n", workload.name, workload.describe());
    println!("| server | CPU for each message | times ours |");
    println!("| --- | --- | --- |");
    let ours = &results[0];
    for (contestant, theirs) in Contestant::ALL.iter().zip(results) {
        let ratios: Vec<f64> = theirs.iter().zip(ours).map(|(theirs, ours)| theirs / ours).collect();
        println!("| {} | {:.0} ns | {} |", contestant.name(), median(theirs.clone()), interval(ratios));
    }
}
