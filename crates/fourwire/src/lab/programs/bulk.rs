//! `bulk` and `sink`: as much as the network carries, one way.

use std::time::Duration;

use host::{Host, Network, sleep};
use lab::scenario::text::option;
use lab::scenario::{Context, Ended};
use lab::units::Size;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{failed, find, serve, unless_ended};

/// Bytes that are written, or read, at once.
const PIECE: usize = 64 * 1024;

/// The settings of `bulk`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bulk {
    /// The sink, as `NODE:PORT`.
    to: String,
    /// So much, and then no more; without it until the scenario ends.
    #[serde(default, deserialize_with = "option::deserialize")]
    bytes: Option<Size>,
}

/// The settings of `sink`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sink {
    /// Where it listens.
    port: u16,
}

/// Sends all there is to send, and waits until the other has it.
pub(super) async fn bulk<H: Host>(context: Context<H>, settings: Bulk) -> Ended {
    let to = find(&context, &settings.to)?;
    let sending = async {
        let began = context.journal.now();
        let mut connection = connect(&context, to).await;
        let piece = [0x5a; PIECE];
        let mut left = settings.bytes.map_or(u64::MAX, Size::as_bytes);
        while left > 0 {
            let len = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let written = connection.write(&piece[..len]).await.map_err(failed)?;
            left -= written as u64;
            context.journal.count("bytes", written as u64);
        }
        connection.shutdown().await.map_err(failed)?;
        // The sink closes when it has everything.
        connection.read(&mut [0]).await.map_err(failed)?;
        context.journal.sample("time", context.journal.now().since(began));
        context.journal.noticed("all sent");
        Ok(())
    };
    unless_ended(&context, sending).await.unwrap_or(Ok(()))
}

/// Receives from whoever connects.
pub(super) async fn sink<H: Host>(context: Context<H>, settings: Sink) -> Ended {
    context.journal.count("bytes", 0);
    serve(&context, settings.port, |mut connection| {
        let journal = context.journal.clone();
        async move {
            let mut piece = vec![0; PIECE];
            loop {
                match connection.read(&mut piece).await? {
                    0 => return connection.shutdown().await,
                    read => journal.count("bytes", read as u64),
                }
            }
        }
    })
    .await
}

/// Connects, however long it takes until somebody is there.
pub(super) async fn connect<H: Host>(
    context: &Context<H>,
    to: std::net::SocketAddr,
) -> <H as Network>::Connection {
    const PAUSE: Duration = Duration::from_millis(200);
    loop {
        match context.host.connect(to).await {
            Ok(connection) => return connection,
            Err(error) => {
                context.journal.remark(format!("no connection to {to}: {error}"));
                sleep(&context.host, PAUSE).await;
            }
        }
    }
}
