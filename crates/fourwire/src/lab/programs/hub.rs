//! `hub`: the server of `fourwire serve`.

use host::Host;
use hub::store::Memory;
use lab::scenario::text::option;
use lab::scenario::{Context, Ended};
use lab::units::{Delay, Size};
use serde::Deserialize;
use server::Shutdown;

use super::{any, failed};

/// The settings of `hub`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// Where it listens.
    port: u16,
    /// How often it pings its clients.
    #[serde(deserialize_with = "option::deserialize")]
    ping: Option<Delay>,
    /// How long after a ping a client must have answered.
    #[serde(deserialize_with = "option::deserialize")]
    pong: Option<Delay>,
    /// Bytes that may wait for a client before it is cut off as slow.
    #[serde(deserialize_with = "option::deserialize")]
    waiting: Option<Size>,
    /// Bytes that one recovery may have; who missed more is told that it is lost.
    #[serde(deserialize_with = "option::deserialize")]
    recovery: Option<Size>,
    /// Publications that a room keeps. 0 breaks recovery.
    history: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { port: 80, ping: None, pong: None, waiting: None, recovery: None, history: None }
    }
}

/// Serves until the scenario ends.
pub(super) async fn run<H: Host>(context: Context<H>, settings: Settings) -> Ended {
    let mut config = server::Config { listen: vec![any(settings.port)], ..server::Config::default() };
    // The machines of a lab are nobody else's.
    config.http.insecure = true;
    if let Some(ping) = settings.ping {
        config.hub.ping_interval = ping.into();
    }
    if let Some(pong) = settings.pong {
        config.hub.pong_timeout = pong.into();
    }
    if let Some(waiting) = settings.waiting {
        config.session_bytes = bytes(waiting);
    }
    if let Some(recovery) = settings.recovery {
        config.hub.limits.bytes_per_reply = bytes(recovery);
    }
    if let Some(history) = settings.history {
        config.hub.history.kept = history;
        config.hub.history.in_memory = usize::try_from(history).unwrap_or(usize::MAX);
    }
    let (trigger, shutdown) = Shutdown::new();
    let mut stations = server::stations(config, Box::new(Memory::new()), 1);
    let station = stations.pop().ok_or("a server has a shard at least")?;
    let ending = context.ending.clone();
    context.host.spawn_detached(async move {
        ending.requested().await;
        trigger.pull();
    });
    station.serve(context.host, shutdown).await.map_err(failed)
}

fn bytes(size: Size) -> usize {
    usize::try_from(size.as_bytes()).unwrap_or(usize::MAX)
}
