//! `echo` and `ask`: how long a question and its answer take.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use host::{Datagrams, Host, sleep_until, timeout_at};
use lab::scenario::text;
use lab::scenario::{Context, Ended};
use lab::units::Delay;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::bulk::connect;
use super::{any, failed, find, serve, unless_ended};

/// The settings of `echo`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Echo {
    /// Where it listens, on TCP and UDP.
    port: u16,
}

/// The settings of `ask`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    /// The echo, as `NODE:PORT`.
    to: String,
    /// How often it asks.
    #[serde(deserialize_with = "text::deserialize")]
    every: Delay,
    /// How it asks.
    over: Over,
    /// Bytes of a question.
    #[serde(default = "size")]
    size: usize,
}

/// What carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Over {
    /// A stream in which everything arrives, in order.
    Tcp,
    /// Datagrams that arrive or do not.
    Udp,
}

/// Bytes of a question, unless another number is asked for.
fn size() -> usize {
    64
}

/// The longest question.
const LONGEST: usize = 1_400;

/// How long an answer to a datagram may take until it is given up.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sends back what comes.
pub(super) async fn echo<H: Host>(context: Context<H>, settings: Echo) -> Ended {
    let socket = context.host.bind(any(settings.port)).await.map_err(failed)?;
    let (host, ending) = (context.host.clone(), context.ending.clone());
    host.spawn_detached(async move {
        tokio::select! {
            biased;
            () = ending.requested() => {}
            () = datagrams(socket) => {}
        }
    });
    serve(&context, settings.port, |mut connection| async move {
        let mut buffer = [0; LONGEST];
        loop {
            match connection.read(&mut buffer).await? {
                0 => return connection.shutdown().await,
                read => connection.write_all(&buffer[..read]).await?,
            }
        }
    })
    .await
}

async fn datagrams(mut socket: impl Datagrams) {
    let mut buffer = [0; LONGEST];
    loop {
        // What one sender is told of its errors is nothing to the others.
        let Ok((len, from)) = poll_fn(|context| socket.poll_receive(context, &mut buffer)).await else {
            continue;
        };
        let _ = poll_fn(|context| socket.poll_send(context, &buffer[..len], from)).await;
    }
}

/// Asks until the scenario ends.
pub(super) async fn ask<H: Host>(context: Context<H>, settings: Ask) -> Ended {
    if !(8..=LONGEST).contains(&settings.size) {
        return Err(format!("a question has between 8 and {LONGEST} bytes"));
    }
    let to = find(&context, &settings.to)?;
    let asking = async {
        match settings.over {
            Over::Tcp => stream(&context, &settings, to).await,
            Over::Udp => packets(&context, &settings, to).await,
        }
    };
    unless_ended(&context, asking).await.unwrap_or(Ok(())).map_err(failed)
}

async fn stream<H: Host>(context: &Context<H>, settings: &Ask, to: SocketAddr) -> io::Result<()> {
    let mut connection = connect(context, to).await;
    let (question, mut answer) = (vec![0x3f; settings.size], vec![0; settings.size]);
    let mut due = context.host.now();
    loop {
        let began = context.journal.now();
        connection.write_all(&question).await?;
        connection.read_exact(&mut answer).await?;
        context.journal.sample("latency", context.journal.now().since(began));
        due = (due + settings.every.into()).max(context.host.now());
        sleep_until(&context.host, due).await;
    }
}

async fn packets<H: Host>(context: &Context<H>, settings: &Ask, to: SocketAddr) -> io::Result<()> {
    let mut socket = context.host.bind(any(0)).await?;
    let (mut question, mut answer) = (vec![0x3f; settings.size], vec![0; settings.size]);
    let mut due = context.host.now();
    context.journal.count("lost", 0);
    for number in 0_u64.. {
        let began = context.journal.now();
        question[..8].copy_from_slice(&number.to_le_bytes());
        poll_fn(|context| socket.poll_send(context, &question, to)).await?;
        let deadline = context.host.now() + PATIENCE;
        let answered = timeout_at(&context.host, deadline, async {
            loop {
                let (len, _) = poll_fn(|context| socket.poll_receive(context, &mut answer)).await?;
                if answer[..len] == question {
                    return io::Result::Ok(());
                }
            }
        });
        match answered.await {
            Ok(Ok(())) => context.journal.sample("latency", context.journal.now().since(began)),
            _ => context.journal.count("lost", 1),
        }
        due = (due + settings.every.into()).max(context.host.now());
        sleep_until(&context.host, due).await;
    }
    Ok(())
}
