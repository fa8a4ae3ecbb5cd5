//! The programs that scenarios may run. Each is written for any host: `hub` is the server that `fourwire serve` runs on the
//! operating system's sockets, and the clients are the ones that programs use.

mod bulk;
mod chat;
mod crowd;
mod echo;
mod hub;
mod poll;
mod positions;

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ::host::{Host, ListenOptions, Listener};
use client::{Config, Json};
use lab::scenario::{Context, Ended, Programs};

/// All of them.
pub(crate) fn all() -> Programs {
    Programs::new()
        .with(
            "ask",
            "asks an `echo` again and again, over TCP or UDP, and measures the `latency` of its answers",
            echo::ask,
        )
        .with("bulk", "sends as much as it can to a `sink`", bulk::bulk)
        .with(
            "chat",
            "a client that says numbered messages in a room and hears those of others, with their `latency`",
            chat::run,
        )
        .with("crowd", "many clients in one room, who come back when they are cut off", crowd::run)
        .with("echo", "sends back what it receives, over TCP and UDP", echo::echo)
        .with("hub", "the server of `fourwire serve`", hub::run)
        .with(
            "picture",
            "shows the newest of the `positions` that arrive, 60 times a second, and measures its `age`",
            positions::picture,
        )
        .with("poll", "asks a hub for a room's new messages again and again, over HTTP", poll::run)
        .with("positions", "sends its position 60 times a second, over UDP or TCP", positions::positions)
        .with("sink", "receives what `bulk` sends, and counts its `bytes`", bulk::sink)
}

/// What a program that failed says of it.
fn failed(error: impl ToString) -> String {
    error.to_string()
}

/// A machine and a port, as `server:80`.
fn find<H: Host>(context: &Context<H>, place: &str) -> Result<SocketAddr, String> {
    let wrong = || format!("{place:?} is no place; write a machine and a port: \"server:7\"");
    let (name, port) = place.rsplit_once(':').ok_or_else(wrong)?;
    context.resolve(name, port.parse().map_err(|_| wrong())?).map_err(failed)
}

/// Every address of the machine.
fn any(port: u16) -> SocketAddr {
    (Ipv4Addr::UNSPECIFIED, port).into()
}

/// What `future` comes to, unless the scenario ends before.
async fn unless_ended<H: Host, T>(context: &Context<H>, future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = context.ending.requested() => None,
        done = future => Some(done),
    }
}

/// Serves each connection that comes to `port` by a task of its own, until the scenario ends. Then the tasks are over too.
async fn serve<H: Host, F>(context: &Context<H>, port: u16, each: impl Fn(H::Connection) -> F) -> Ended
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let mut listener = context.host.listen(any(port), ListenOptions::default()).await.map_err(failed)?;
    while let Some(accepted) = unless_ended(context, listener.accept()).await {
        let Ok(connection) = accepted else { continue };
        let (serving, ending) = (each(connection), context.ending.clone());
        context.host.spawn_detached(async move {
            tokio::select! {
                biased;
                () = ending.requested() => {}
                _ = serving => {}
            }
        });
    }
    Ok(())
}

/// A client of the hub at `url`, called `name` there, that finds machines by their names.
fn client<H: Host>(context: &Context<H>, url: &str, name: &str) -> Result<Config, String> {
    let mut config = Config::new(url).map_err(failed)?;
    config.name = "fourwire-lab".to_owned();
    // A broken network is what this is about: only the scenario's end ends a request.
    config.request_timeout = std::time::Duration::from_secs(24 * 3_600);
    config.data =
        Some(Json::from_value(&std::collections::BTreeMap::from([("name", name)])).map_err(failed)?);
    let names = context.names.clone();
    config.dialer.resolver = Some(Arc::new(move |name, port| {
        let found = names.resolve(name).map(|address| vec![(address, port).into()]);
        Box::pin(async move { found })
    }));
    Ok(config)
}
