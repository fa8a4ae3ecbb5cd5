//! Streams of any buffer sizes, under any cuts: every byte arrives once, in order, and nothing gets stuck.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use host::{ListenOptions, Listener, Network, Random, Runtime, sleep};
use lab::{Config, Lab, LabConnection, LabHost};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const BYTES: usize = 400;

/// What one side says: bytes that tell their position and their side.
fn words(side: u8) -> Vec<u8> {
    (0..BYTES).map(|index| (index as u8).wrapping_mul(2) + side).collect()
}

/// Writes and reads pieces of random sizes at random times, both directions at once, until both have ended.
async fn converse(host: LabHost, connection: LabConnection, side: u8) -> Vec<u8> {
    let (mut reading, mut writing) = tokio::io::split(connection);
    let mut random = host.random("pieces");
    let ours = words(side);
    let clock = host.clone();
    let writer = async move {
        let mut left = &ours[..];
        while !left.is_empty() {
            pause(&clock, &mut random).await;
            let piece = (random.below(40) as usize + 1).min(left.len());
            let written = writing.write(&left[..piece]).await.unwrap();
            left = &left[written..];
        }
        writing.shutdown().await.unwrap();
        writing
    };
    let mut random = host.random("pieces");
    let reader = async move {
        let mut theirs = Vec::new();
        loop {
            pause(&host, &mut random).await;
            let mut buffer = vec![0; random.below(40) as usize + 1];
            match reading.read(&mut buffer).await.unwrap() {
                0 => return theirs,
                length => theirs.extend_from_slice(&buffer[..length]),
            }
        }
    };
    let (theirs, _writing) = join(reader, writer).await;
    theirs
}

async fn pause(host: &LabHost, random: &mut Random) {
    if random.below(3) == 0 {
        sleep(host, Duration::from_micros(random.below(5000))).await;
    }
}

async fn join<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
    let (mut a_done, mut b_done) = (None, None);
    std::future::poll_fn(|context| {
        if a_done.is_none()
            && let std::task::Poll::Ready(output) = a.as_mut().poll(context)
        {
            a_done = Some(output);
        }
        if b_done.is_none()
            && let std::task::Poll::Ready(output) = b.as_mut().poll(context)
        {
            b_done = Some(output);
        }
        match (a_done.take(), b_done.take()) {
            (Some(a), Some(b)) => std::task::Poll::Ready((a, b)),
            (a, b) => {
                (a_done, b_done) = (a, b);
                std::task::Poll::Pending
            }
        }
    })
    .await
}

fn run(seed: u64) {
    let mut random = Lab::new(seed).random("sizes");
    let mut size = |bound| random.below(bound) as usize + 1;
    let lab = Lab::with(Config {
        seed,
        send_buffer: size(50),
        receive_buffer: size(50),
        segment: size(20),
        ..Config::default()
    });
    let a = lab.machine("a", IpAddr::from([10, 0, 0, 1]), 1);
    let b = lab.machine("b", IpAddr::from([10, 0, 0, 2]), 1);
    let (host, lab_too, one, other) = (a.host(), lab.clone(), a.clone(), b.clone());
    let mut random = lab.random("troubles");
    let troubles = a.host().spawn(async move {
        for _ in 0..20 {
            sleep(&host, Duration::from_micros(random.below(20_000))).await;
            match random.below(3) {
                0 => lab_too.cut(&one, &other),
                1 => lab_too.heal(&one, &other),
                _ => {
                    let latency = Duration::from_micros(random.below(3000));
                    lab_too.set_latency(&one, &other, latency);
                }
            }
        }
        lab_too.heal(&one, &other);
    });
    let address = SocketAddr::new(b.address(), 7);
    let (heard_by_a, heard_by_b) = lab.block_on(async {
        let mut listener = b.host().listen(address, ListenOptions::default()).await.unwrap();
        let client = async { converse(a.host(), a.host().connect(address).await.unwrap(), 0).await };
        let server = async { converse(b.host(), listener.accept().await.unwrap(), 1).await };
        join(client, server).await
    });
    assert!(heard_by_a == words(1), "seed {seed}");
    assert!(heard_by_b == words(0), "seed {seed}");
    lab.block_on(troubles);
}

#[test]
fn every_byte_arrives_once_and_in_order() {
    for seed in 0..60 {
        run(seed);
    }
}
