//! `fourwire ws URL --load N`: so many connections that send and wait for the echo.

mod histogram;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use client::Socket;
use host::{Instant, Runtime, Timer};
use kernel::KernelHost;
use tokio::sync::mpsc;
use websocket::{CloseCode, End, Handler, Kind, Outbox};

use super::{Shape, dial};
use histogram::Histogram;

/// Messages of one connection whose echo has not come, at a fixed rate: more are held back, and count as late.
const MOST_IN_FLIGHT: usize = 1_024;

#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Put load on the server: so many connections that send and wait for the echo
    #[arg(long, value_name = "CONNECTIONS", requires = "url")]
    load: Option<u32>,

    /// Bytes of each message
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    size: usize,

    /// Messages of each connection that are on their way at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    in_flight: u32,

    /// Messages a second, of all connections together, sent whether or not echoes come; latencies count from when a message
    /// should have left
    #[arg(long, value_name = "N", conflicts_with = "in_flight")]
    per_second: Option<f64>,

    /// How long
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    seconds: f64,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{failed} of {all} connections failed; the first: {first}")]
    Failed { failed: usize, all: usize, first: End },
    #[error("no echo came: is it an echo server?")]
    Silent,
}

impl Args {
    pub(super) fn is_wanted(&self) -> bool {
        self.load.is_some()
    }
}

/// What one connection, or all, did.
struct Done {
    latencies: Histogram,
    /// Messages a second.
    rate: f64,
    ends: Vec<End>,
}

pub(super) fn run(dial: &dial::Args, args: &Args, shape: &Shape, threads: u16) -> Result<(), super::Error> {
    let connections = args.load.unwrap_or(1).max(1) as usize;
    let _ = kernel::raise_file_limit();
    let done = kernel::run(usize::from(threads), |host| async move {
        let shard = host::Network::shard(&host);
        let share = connections / shard.count + usize::from(shard.index < connections % shard.count);
        drive(&host, dial, args, shape, share, connections).await
    })?;
    let mut all = Done { latencies: Histogram::new(), rate: 0.0, ends: Vec::new() };
    for done in done {
        let done = done?;
        all.latencies.add(&done.latencies);
        all.rate += done.rate;
        all.ends.extend(done.ends);
    }
    report(args, connections, &all)?;
    Ok(())
}

fn report(args: &Args, connections: usize, all: &Done) -> Result<(), Error> {
    if all.latencies.count() > 0 {
        let millis = |duration: Duration| format!("{:.3} ms", duration.as_secs_f64() * 1e3);
        let sent = match args.per_second {
            Some(rate) => format!("{rate} messages a second wanted"),
            None => format!("{} in flight on each", args.in_flight),
        };
        println!("{connections} connections, {sent}, {} bytes, {} s", args.size, args.seconds);
        println!("echoes      {} ({:.0} a second, {:.1} MB/s each way)", all.latencies.count(), all.rate, {
            all.rate * args.size as f64 / 1e6
        });
        for (name, share) in [("50 %", 0.5), ("90 %", 0.9), ("99 %", 0.99), ("99.9 %", 0.999)] {
            println!("{name:<11} {}", millis(all.latencies.quantile(share)));
        }
        println!("{:<11} {}", "longest", millis(all.latencies.max()));
    }
    if let Some(first) = all.ends.first() {
        return Err(Error::Failed { failed: all.ends.len(), all: connections, first: first.clone() });
    }
    if all.latencies.count() == 0 { Err(Error::Silent) } else { Ok(()) }
}

/// One thread's connections.
async fn drive(
    host: &KernelHost,
    dial: &dial::Args,
    args: &Args,
    shape: &Shape,
    share: usize,
    connections: usize,
) -> Result<Done, super::Error> {
    let mut all = Done { latencies: Histogram::new(), rate: 0.0, ends: Vec::new() };
    let Some(reach) = dial.reach(host, shape.compression())? else { return Ok(all) };
    let mut sockets = Vec::with_capacity(share);
    for _ in 0..share {
        sockets.push(reach.open(shape.limits()).await?.socket);
    }
    let (report, mut reports) = mpsc::channel(share.max(1));
    let interval = args.per_second.map(|rate| Duration::from_secs_f64(connections as f64 / rate.max(1e-3)));
    let start = host.now();
    for (number, socket) in sockets.into_iter().enumerate() {
        let mut line = Line {
            // At a fixed rate the connections take turns.
            next: interval.map(|interval| start + interval.mul_f64(number as f64 / share as f64)),
            interval,
            timer: host.timer(),
            ends: start + Duration::from_secs_f64(args.seconds.clamp(0.001, 1e6)),
            socket,
            echoes: Echoes {
                host: host.clone(),
                payload: Bytes::from(vec![b'x'; args.size]),
                sent: VecDeque::new(),
                latencies: Histogram::new(),
                answers: interval.is_none(),
            },
        };
        let (report, in_flight) = (report.clone(), args.in_flight);
        host.spawn_detached(async move {
            let end = line.run(in_flight).await;
            let _ = report.send((line.echoes.latencies, end)).await;
        });
    }
    drop(report);
    while let Some((latencies, end)) = reports.recv().await {
        all.latencies.add(&latencies);
        all.ends.extend(end);
    }
    all.rate = all.latencies.count() as f64 / args.seconds;
    Ok(all)
}

/// One connection.
struct Line {
    socket: Socket<KernelHost>,
    echoes: Echoes,
    timer: <KernelHost as Runtime>::Timer,
    interval: Option<Duration>,
    /// When the next message is due, at a fixed rate.
    next: Option<Instant>,
    ends: Instant,
}

/// Counts what comes back, and sends the next where there is no fixed rate.
struct Echoes {
    host: KernelHost,
    payload: Bytes,
    /// When those whose echo has not come were sent, or were due.
    sent: VecDeque<Instant>,
    latencies: Histogram,
    answers: bool,
}

impl Line {
    /// The end, if it came before its time.
    async fn run(&mut self, in_flight: u32) -> Option<End> {
        if self.echoes.answers {
            for _ in 0..in_flight {
                let now = self.echoes.host.now();
                self.echoes.send(now, self.socket.outbox());
            }
        }
        let ended = poll_fn(|context| {
            loop {
                let now = self.echoes.host.now();
                if self.ends <= now {
                    return Poll::Ready(None);
                }
                while let (Some(next), Some(interval)) = (self.next, self.interval)
                    && next <= now
                    && self.echoes.sent.len() < MOST_IN_FLIGHT
                {
                    self.echoes.send(next, self.socket.outbox());
                    self.next = Some(next + interval);
                }
                let due = self.next.filter(|_| self.echoes.sent.len() < MOST_IN_FLIGHT);
                self.timer.set(Some(due.map_or(self.ends, |next| next.min(self.ends))));
                match self.socket.poll_receive(context, &mut self.echoes) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(end)) => return Poll::Ready(Some(end)),
                    Poll::Pending if self.timer.poll_expired(context).is_pending() => return Poll::Pending,
                    Poll::Pending => {}
                }
            }
        })
        .await;
        if ended.is_none() {
            let end = self.socket.close(CloseCode::NORMAL, "").await;
            return Some(end).filter(|end| !end.is_clean());
        }
        ended
    }
}

impl Echoes {
    fn send(&mut self, due: Instant, out: &mut Outbox) {
        // Refused only when closing has begun.
        if out.send((Kind::Binary, &self.payload[..])).is_ok() {
            self.sent.push_back(due);
        }
    }
}

impl Handler for Echoes {
    fn message(&mut self, _: Kind, _: &[u8], out: &mut Outbox) {
        let now = self.host.now();
        if let Some(sent) = self.sent.pop_front() {
            self.latencies.record(now.since(sent));
        }
        if self.answers {
            self.send(now, out);
        }
    }
}
