//! `fourwire watch`: shows what is said in a room, and stays there over every reconnect.

use std::collections::BTreeMap;
use std::io::{self, Write};

use client::{Client, Event, HistoryOptions, Info, Json, Position, Publication, Recovery, SubscribeOptions};
use kernel::{KernelHost, ShutdownSignals};
use serde::Deserialize;

use crate::remote;

/// Show what is said in a room, each message once and in order, until Ctrl-C.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    server: remote::Args,

    /// The room
    room: String,

    /// Begin with so many of the messages that are there already
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=500))]
    last: u32,

    /// Show who comes and goes
    #[arg(long)]
    people: bool,

    /// Print each message as a line of JSON
    #[arg(long)]
    json: bool,

    /// End after so many messages
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

/// Why there is nothing to see.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot watch the room: {0}")]
    Client(#[from] client::Error),
    #[error(transparent)]
    Remote(#[from] remote::Error),
    #[error("the connection is over")]
    Over,
    #[error("the server took us out of the room: {0}")]
    Unsubscribed(String),
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}

/// Watches until Ctrl-C or SIGTERM.
pub(crate) fn run(args: Args) -> Result<(), Error> {
    let watched = kernel::run(1, |host| {
        let args = args.clone();
        async move {
            let mut signals = ShutdownSignals::watch()?;
            tokio::select! {
                biased;
                _ = signals.next() => Ok(()),
                watched = watch(host, args) => watched,
            }
        }
    })?;
    watched.into_iter().collect()
}

async fn watch(host: KernelHost, args: Args) -> Result<(), Error> {
    let (client, mut events) = args.server.connect(&host)?;
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut entering = std::pin::pin!(enter(&client, &args));
    let mut entered = false;
    let mut before = false;
    while left > 0 {
        let event = tokio::select! {
            biased;
            history = &mut entering, if !entered => {
                entered = true;
                history?;
                continue;
            }
            event = events.next() => event.ok_or(Error::Over)?,
        };
        if !remote::tell(&event, &mut before) {
            // The reason was told already; a waiting subscribe has it too, in better words.
            return if entered { Err(Error::Over) } else { entering.await.and(Err(Error::Over)) };
        }
        match event {
            Event::Publication { publication, .. } => {
                show(&args, &publication)?;
                left -= 1;
            }
            Event::Subscribed { recovery: Recovery::TooOld, .. } => {
                eprintln!("fourwire: too much was said meanwhile: some messages are not shown");
            }
            Event::Unsubscribed { reason, .. } => return Err(Error::Unsubscribed(reason)),
            Event::Join { info, .. } if args.people => eprintln!("fourwire: {} came", name(&info)),
            Event::Leave { info, .. } if args.people => eprintln!("fourwire: {} left", name(&info)),
            _ => {}
        }
    }
    client.close().await;
    Ok(())
}

/// Enters the room where the wanted part of its history begins.
async fn enter(client: &Client<KernelHost>, args: &Args) -> Result<(), Error> {
    let mut options = SubscribeOptions { join_leave: args.people, ..SubscribeOptions::default() };
    if args.last > 0 {
        let page = client.history(&args.room, HistoryOptions::default()).await?;
        let offset = page.offset.saturating_sub(args.last.into());
        options.since = Some(Position { epoch: page.epoch, offset });
    }
    client.subscribe_with(&args.room, options).await?;
    Ok(())
}

fn show(args: &Args, publication: &Publication) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Publication { offset, data, info, tags, time: _ } = publication;
    if args.json {
        let line = Line { offset: *offset, data, user: info.as_ref().map(|info| info.user.as_str()), tags };
        writeln!(out, "{}", Json::from_value(&line).map_err(io::Error::other)?)?;
    } else {
        let text = data.parse::<Text>().map_or_else(|_| data.to_string(), |data| data.text);
        let who = info.as_ref().map_or_else(|| "-".to_owned(), name);
        writeln!(out, "{offset:>6}  {who}: {}", plain(&text))?;
    }
    out.flush()
}

#[derive(serde::Serialize)]
struct Line<'a> {
    offset: u64,
    data: &'a Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: &'a BTreeMap<String, String>,
}

/// What the page and `fourwire publish` publish.
#[derive(Deserialize)]
struct Text {
    text: String,
}

/// The name that somebody goes by.
fn name(info: &Info) -> String {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let named = info.conn_info.as_ref().and_then(|info| info.parse::<Named>().ok()).map(|named| named.name);
    let name =
        named.unwrap_or_else(|| if info.user.is_empty() { "somebody".to_owned() } else { info.user.clone() });
    plain(&name)
}

/// Text that cannot make the terminal do things.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}
