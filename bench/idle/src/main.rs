//! Idle connections, then one message to all: memory for each connection, and the time until the last has the message.
//!
//!     FOURWIRE=PATH bench-idle [CONNECTIONS [ROUNDS]]
//!
//! The contestants take turns in each round, each with a fresh process. The clients are the same for all, on one thread of
//! another process.

mod contestant;
mod crowd;
mod peer;

use std::env;
use std::io;
use std::time::Duration;

use contestant::Contestant;
use crowd::Crowd;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Messages in a round; the first warms up, the rest count.
const MESSAGES: u64 = 6;
const PATIENCE: Duration = Duration::from_secs(20);

/// What one contestant did in one round.
#[derive(Clone, Copy)]
struct Result {
    /// Bytes for each connection, before the first message and after the last.
    idle: f64,
    after: f64,
    /// Milliseconds to the last delivery, the median of the round's messages.
    last: f64,
    /// Nanoseconds of the server's CPU for each delivery.
    cpu: f64,
}

fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1).peekable();
    if arguments.next_if(|argument| argument == "peer").is_some() {
        return peer::serve();
    }
    let mut number =
        |default| arguments.next().map_or(Ok(default), |text| text.parse().map_err(io::Error::other));
    let connections = number(5_000)?.clamp(1, 20_000);
    let rounds = number(11)?.clamp(1, 101);
    raise_file_limit(connections as u64 + 1_000)?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut results = vec![Vec::new(); Contestant::ALL.len()];
    for round in 0..rounds {
        // Who begins changes, so that nobody always follows the same one.
        for turn in 0..Contestant::ALL.len() {
            let index = (round + turn) % Contestant::ALL.len();
            let result = runtime.block_on(run(Contestant::ALL[index], connections))?;
            let name = Contestant::ALL[index].name();
            let Result { idle, after, last, cpu } = result;
            println!(
                "round {:>2}  {name:<20} {idle:>8.0} B idle {after:>8.0} B after  last in {last:>7.2} ms, \
                 {cpu:>6.0} ns of CPU each",
                round + 1
            );
            results[index].push(result);
        }
    }

    println!("\n{connections} connections, {rounds} rounds; medians");
    println!(
        "| server | memory per idle connection | after {MESSAGES} messages | time to the last delivery | \
         CPU for each delivery |"
    );
    println!("| --- | --- | --- | --- | --- |");
    for (contestant, results) in Contestant::ALL.iter().zip(&results) {
        let median_of = |part: fn(&Result) -> f64| median(results.iter().map(part).collect());
        let (idle, after) =
            (median_of(|result| result.idle) / 1024.0, median_of(|result| result.after) / 1024.0);
        let last = median_of(|result| result.last);
        let cpu = median_of(|result| result.cpu);
        let name = contestant.name();
        println!("| {name} | {idle:.2} KiB | {after:.2} KiB | {last:.1} ms | {cpu:.0} ns |");
    }
    println!(
        "\n| ratio to tokio-tungstenite | memory per idle connection | time to the last delivery | \
         CPU for each delivery |"
    );
    println!("| --- | --- | --- | --- |");
    let peers = results.last().cloned().unwrap_or_default();
    for (contestant, results) in Contestant::ALL.iter().zip(&results).take(2) {
        let ratio = |part: fn(&Result) -> f64| {
            interval(results.iter().zip(&peers).map(|(ours, theirs)| part(ours) / part(theirs)).collect())
        };
        println!(
            "| {} | {} | {} | {} |",
            contestant.name(),
            ratio(|result| result.idle),
            ratio(|result| result.last),
            ratio(|result| result.cpu)
        );
    }
    Ok(())
}

async fn run(contestant: Contestant, connections: usize) -> io::Result<Result> {
    let server = contestant.start()?;
    let empty = server.resident()?;
    let mut crowd = Crowd::gather(server.address, connections, contestant.greetings()).await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let per_connection = |resident: u64| resident.saturating_sub(empty) as f64 / (connections + 1) as f64;
    let idle = per_connection(server.resident()?);
    let (mut times, mut cpu) = (Vec::new(), 0);
    for number in 0..MESSAGES {
        let used = server.cpu_nanos()?;
        let (took, reached) = crowd.publish(&contestant.publication(number), PATIENCE).await?;
        if reached != connections {
            return Err(io::Error::other(format!(
                "{}: only {reached} of {connections} got it",
                contestant.name()
            )));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        if number > 0 {
            times.push(took.as_secs_f64() * 1_000.0);
            cpu += server.cpu_nanos()? - used;
        }
    }
    let after = per_connection(server.resident()?);
    crowd.disperse().await;
    let deliveries = (MESSAGES - 1) as f64 * connections as f64;
    Ok(Result { idle, after, last: median(times), cpu: cpu as f64 / deliveries })
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    if numbers.len() % 2 == 1 { numbers[middle] } else { (numbers[middle - 1] + numbers[middle]) / 2.0 }
}

/// The median, and the interval that holds the true one in at least 95 of 100 cases, by order statistics.
fn interval(mut numbers: Vec<f64>) -> String {
    numbers.sort_by(f64::total_cmp);
    let (count, median) = (numbers.len(), median(numbers.clone()));
    // The chance that at most `rank` of `count` fair coins show heads, twice, is what the interval misses.
    let (mut rank, mut chance, mut term) = (0, 0.0, 0.5_f64.powi(count as i32));
    while rank < count / 2 && 2.0 * (chance + term) <= 0.05 {
        chance += term;
        term *= (count - rank) as f64 / (rank + 1) as f64;
        rank += 1;
    }
    if rank == 0 {
        return format!("{median:.2} (too few rounds for an interval)");
    }
    format!("{median:.2} ({:.2} to {:.2})", numbers[rank - 1], numbers[count - rank])
}

fn raise_file_limit(wanted: u64) -> io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(wanted.min(limit.maximum.unwrap_or(wanted)));
        setrlimit(Resource::Nofile, limit)?;
    }
    Ok(())
}
