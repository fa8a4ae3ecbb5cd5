//! `positions` and `picture`: where somebody is, 60 times a second.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use host::{Datagrams, Host, Instant, sleep_until};
use lab::scenario::{Context, Ended, Journal};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::bulk::connect;
use super::echo::Over;
use super::{any, failed, find, serve, unless_ended};

/// The settings of `positions`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Positions {
    /// The picture, as `NODE:PORT`.
    to: String,
    /// What carries them.
    over: Over,
}

/// The settings of `picture`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Picture {
    /// Where it listens.
    port: u16,
    /// What carries the positions.
    over: Over,
}

/// One position each sixtieth of a second.
const EVERY: Duration = Duration::from_nanos(1_000_000_000 / 60);

/// Bytes of a position: when it was taken, and what a game would say beside.
const SIZE: usize = 48;

/// Sends its position until the scenario ends.
pub(super) async fn positions<H: Host>(context: Context<H>, settings: Positions) -> Ended {
    let to = find(&context, &settings.to)?;
    let sending = async {
        match settings.over {
            Over::Tcp => stream(&context, to).await,
            Over::Udp => packets(&context, to).await,
        }
    };
    unless_ended(&context, sending).await.unwrap_or(Ok(())).map_err(failed)
}

/// A position taken now.
fn position(journal: &Journal) -> [u8; SIZE] {
    let mut position = [0; SIZE];
    position[..8].copy_from_slice(&journal.now().as_nanos().to_le_bytes());
    position
}

async fn stream<H: Host>(context: &Context<H>, to: SocketAddr) -> io::Result<()> {
    let mut connection = connect(context, to).await;
    let mut due = context.host.now();
    loop {
        connection.write_all(&position(&context.journal)).await?;
        due += EVERY;
        sleep_until(&context.host, due).await;
    }
}

async fn packets<H: Host>(context: &Context<H>, to: SocketAddr) -> io::Result<()> {
    let mut socket = context.host.bind(any(0)).await?;
    let mut due = context.host.now();
    loop {
        let position = position(&context.journal);
        // A game does not stop because a datagram did not leave.
        let _ = poll_fn(|context| socket.poll_send(context, &position, to)).await;
        due += EVERY;
        sleep_until(&context.host, due).await;
    }
}

/// The newest position, by when it was taken; zero while there is none.
#[derive(Clone, Default)]
struct Newest(Arc<AtomicU64>);

impl Newest {
    fn see(&self, position: &[u8]) {
        if let Some(taken) = position.first_chunk() {
            self.0.fetch_max(u64::from_le_bytes(*taken), Ordering::Relaxed);
        }
    }
}

/// Draws what has arrived.
pub(super) async fn picture<H: Host>(context: Context<H>, settings: Picture) -> Ended {
    let newest = Newest::default();
    let (drawn, drawing) = (newest.clone(), context.clone());
    context.host.spawn_detached(async move {
        let _ = unless_ended(&drawing, draw(&drawing, drawn)).await;
    });
    match settings.over {
        Over::Tcp => {
            serve(&context, settings.port, |mut connection| {
                let (newest, journal) = (newest.clone(), context.journal.clone());
                async move {
                    let mut position = [0; SIZE];
                    loop {
                        connection.read_exact(&mut position).await?;
                        newest.see(&position);
                        journal.count("positions", 1);
                    }
                }
            })
            .await
        }
        Over::Udp => {
            let mut socket = context.host.bind(any(settings.port)).await.map_err(failed)?;
            let receiving = async {
                let mut position = [0; SIZE];
                loop {
                    let received = poll_fn(|context| socket.poll_receive(context, &mut position)).await;
                    if let Ok((SIZE, _)) = received {
                        newest.see(&position);
                        context.journal.count("positions", 1);
                    }
                }
            };
            let _: Option<()> = unless_ended(&context, receiving).await;
            Ok(())
        }
    }
}

/// Draws the newest position again and again, from the first that arrives on, and measures how old it is.
async fn draw<H: Host>(context: &Context<H>, newest: Newest) {
    let mut due = context.host.now();
    loop {
        due += EVERY;
        sleep_until(&context.host, due).await;
        let taken = newest.0.load(Ordering::Relaxed);
        if taken > 0 {
            context.journal.sample("age", context.journal.now().since(Instant::from_nanos(taken)));
        }
    }
}
