//! Frames per second through the lab, with real stacks at both ends: `cargo bench -p fourwire-lab --bench frames`.
//!
//! A frame counts once, when a machine has it; on its way it has crossed two cables and a switch. Time is what the thread
//! was running (Linux tells that apart from waiting for a processor), so that a busy machine does not look like a slow lab.

#![allow(clippy::disallowed_methods, reason = "what is measured is the machine")]

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use host::{ListenOptions, Listener, Network, Runtime};
use lab::units::Rate;
use lab::{Chance, Direction, Impairments, Jitter, Lab, LabHost, Link, LinkEnd, Lost, Reordering, Way};
use stack::StackHost;
use tcpip::StackConfig;
use tcpip::internet::Cidr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trace::Tracer;

type Host = StackHost<LabHost, LinkEnd>;

const ROUNDS: usize = 3;

fn main() {
    let calm = Impairments { delay: Duration::from_millis(2), ..Impairments::default() };
    let rated = Impairments { rate: Some(Rate::mbit(1_000)), ..calm };
    let bad = Impairments {
        loss: Chance::per_million(100).into(),
        jitter: Jitter::uniform(Duration::from_micros(100)),
        reordering: Reordering::held(Chance::per_million(100), Duration::from_micros(300)),
        ..rated
    };
    println!("load {}", fs::read_to_string("/proc/loadavg").unwrap_or_default().trim());
    measure("bulk, no rate", || bulk(&calm, 64 << 20));
    measure("bulk, 1 Gbit/s", || bulk(&rated, 64 << 20));
    measure("bulk, 1 Gbit/s, a little of everything", || bulk(&bad, 64 << 20));
    measure("100 echoes of 100 bytes", || echoes(&calm, 100, 1_000));
    measure("engine alone", || engine(&bad, 1_000_000));
}

/// The best of a few rounds: what else runs can only take time away.
fn measure(what: &str, run: impl Fn() -> (u64, Duration)) {
    let rounds = (0..ROUNDS).map(|_| {
        let (started, running) = (Instant::now(), running());
        let (frames, virtually) = run();
        let running = running_since(running).unwrap_or_else(|| started.elapsed());
        (running, frames, virtually)
    });
    let (running, frames, virtually) = rounds.min().expect("there is a round");
    let seconds = running.as_secs_f64();
    println!(
        "{what:40} {frames:8} frames in {seconds:.3} s: {:8.0} frames/s, {:5.2} virtual seconds in a real one",
        frames as f64 / seconds,
        virtually.as_secs_f64() / seconds
    );
}

/// How long this thread has been running.
fn running() -> Option<Duration> {
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

fn running_since(before: Option<Duration>) -> Option<Duration> {
    Some(running()? - before?)
}

struct Rig {
    lab: Lab,
    hosts: [Host; 2],
    link: Link,
    machines: [lab::Machine; 2],
}

const SERVER: &str = "10.0.0.1:7";

fn rig(impairments: &Impairments) -> Rig {
    let lab = Lab::new(1);
    let link = lab.link("lan", 1_500);
    let machines = [1, 2].map(|last| lab.machine(&format!("m{last}"), IpAddr::from([10, 0, 0, last]), 1));
    let hosts = [0, 1].map(|index: usize| {
        let machine = &machines[index];
        let host = StackHost::new(machine.host(), StackConfig::default(), Tracer::OFF);
        let interface = host.attach("eth0", link.attach(machine)).expect("an interface");
        link.impair(machine, Way::Out, impairments.clone());
        let address = Cidr::new(machine.address(), 24);
        host.with_stack(|stack, now, _| stack.add_address(now, interface, address)).expect("an address");
        host
    });
    lab.run_for(Duration::from_secs(10));
    Rig { lab, hosts, link, machines }
}

impl Rig {
    /// Frames that arrived at a machine since `before`.
    fn frames(&self) -> u64 {
        self.machines.iter().map(|machine| self.link.counters(machine, Way::In).delivered).sum()
    }

    fn run<F: Future>(&self, future: F) -> (u64, Duration) {
        let (frames, began) = (self.frames(), self.lab.now());
        self.lab.block_on(future);
        (self.frames() - frames, self.lab.now().since(began))
    }
}

/// One connection, as many bytes as it can.
fn bulk(impairments: &Impairments, bytes: usize) -> (u64, Duration) {
    let rig = rig(impairments);
    let [server, client] = rig.hosts.clone();
    let address: SocketAddr = SERVER.parse().expect("an address");
    let reading = server.clone().spawn(async move {
        let mut listener = server.listen(address, ListenOptions::default()).await.expect("free");
        let mut connection = listener.accept().await.expect("a connection");
        let mut buffer = vec![0; 64 << 10];
        while connection.read(&mut buffer).await.expect("bytes") > 0 {}
    });
    rig.run(async {
        let mut connection = client.connect(address).await.expect("connected");
        let chunk = vec![7; 64 << 10];
        for _ in 0..bytes / chunk.len() {
            connection.write_all(&chunk).await.expect("written");
        }
        connection.shutdown().await.expect("closed");
        reading.await;
    })
}

/// Connections that send a little and wait for it to come back, again and again.
fn echoes(impairments: &Impairments, connections: usize, times: usize) -> (u64, Duration) {
    let rig = rig(impairments);
    let [server, client] = rig.hosts.clone();
    let address: SocketAddr = SERVER.parse().expect("an address");
    server.clone().spawn_detached(async move {
        let mut listener = server.listen(address, ListenOptions::default()).await.expect("free");
        while let Ok(mut connection) = listener.accept().await {
            server.spawn_detached(async move {
                let mut buffer = [0; 1_024];
                while let Ok(length @ 1..) = connection.read(&mut buffer).await {
                    connection.write_all(&buffer[..length]).await.expect("written");
                }
            });
        }
    });
    rig.run(async {
        let calls: Vec<_> = (0..connections)
            .map(|_| {
                let client = client.clone();
                client.clone().spawn(async move {
                    let mut connection = client.connect(address).await.expect("connected");
                    let mut buffer = [0; 100];
                    for _ in 0..times {
                        connection.write_all(&[7; 100]).await.expect("written");
                        connection.read_exact(&mut buffer).await.expect("an answer");
                    }
                })
            })
            .collect();
        for call in calls {
            call.await;
        }
    })
}

/// One direction by itself, a frame each 15 microseconds.
fn engine(impairments: &Impairments, frames: u64) -> (u64, Duration) {
    let mut number = 0;
    let mut direction = Direction::new(impairments.clone(), |_| {
        number += 1;
        host::Random::from_seed([number; 32])
    });
    let frame = Bytes::from(vec![0; 1_500]);
    let mut now = host::Instant::ORIGIN;
    for _ in 0..frames {
        now += Duration::from_micros(15);
        direction.offer(now, frame.clone());
        while direction.poll_arrival(now).is_some() {}
        while direction.poll_lost().is_some() {}
    }
    let counters = direction.counters();
    assert_eq!(counters.lost(Lost::Full), 0);
    (counters.delivered, now.since(host::Instant::ORIGIN))
}
