//! `crowd`: many clients in one room, who come back when they are cut off.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use client::{Client, Config, Event, Events, Recovery};
use host::{Host, Instant, Task, sleep};
use lab::scenario::text::{self, option};
use lab::scenario::{Context, Ended, Journal};
use lab::units::Delay;
use serde::Deserialize;

use super::{client, unless_ended};

/// The settings of `crowd`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The server, as `ws://NODE`.
    url: String,
    /// The room.
    room: String,
    /// How many they are.
    clients: u32,
    /// The time over which they come at first.
    #[serde(default, deserialize_with = "text::deserialize")]
    over: Delay,
    /// How long the server may be silent past its ping interval before it is taken for dead.
    #[serde(default, deserialize_with = "option::deserialize")]
    slack: Option<Delay>,
}

/// How many are in the room.
struct Crowd {
    there: u32,
    all: u32,
}

/// Brings them all, and keeps them until the scenario ends.
pub(super) async fn run<H: Host>(context: Context<H>, settings: Settings) -> Ended {
    let crowd = Arc::new(Mutex::new(Crowd { there: 0, all: settings.clients }));
    let mut members = Vec::new();
    for number in 0..settings.clients {
        let mut config = client(&context, &settings.url, &format!("{} {number}", context.name))?;
        if let Some(slack) = settings.slack {
            config.ping_slack = slack.into();
        }
        let wait = Duration::from(settings.over) * number / settings.clients.max(1);
        let member = member(context.clone(), config, settings.room.clone(), wait, crowd.clone());
        members.push(context.host.spawn(member));
    }
    context.ending.requested().await;
    ended(members).await;
    Ok(())
}

async fn ended(members: Vec<Task>) {
    for member in members {
        member.await;
    }
}

/// One of them.
async fn member<H: Host>(
    context: Context<H>,
    config: Config,
    room: String,
    wait: Duration,
    crowd: Arc<Mutex<Crowd>>,
) {
    if unless_ended(&context, sleep(&context.host, wait)).await.is_none() {
        return;
    }
    let (client, events) = Client::start(context.host.clone(), config);
    let watching = context.host.spawn(watch(context.journal.clone(), events, crowd));
    if let Some(Err(error)) = unless_ended(&context, client.subscribe(&room)).await {
        context.journal.noticed(format!("not let in: {error}"));
    }
    context.ending.requested().await;
    client.close().await;
    watching.await;
}

/// Follows whether it is there.
async fn watch(journal: Journal, mut events: Events, crowd: Arc<Mutex<Crowd>>) {
    let mut is_there = false;
    let mut lost: Option<Instant> = None;
    let count = |change: &dyn Fn(&mut Crowd)| {
        let mut crowd = crowd.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut crowd);
        crowd.there == crowd.all
    };
    while let Some(event) = events.next().await {
        match event {
            Event::Subscribed { recovery, .. } if !is_there => {
                is_there = true;
                if count(&|crowd| crowd.there += 1) {
                    journal.noticed("all there");
                }
                journal.count("came", 1);
                if let Some(lost) = lost.take() {
                    journal.sample("absence", journal.now().since(lost));
                }
                if recovery == Recovery::TooOld {
                    journal.noticed("lost history");
                }
            }
            Event::Disconnected { .. } => {
                lost = lost.or_else(|| Some(journal.now()));
                if std::mem::take(&mut is_there) {
                    count(&|crowd| crowd.there -= 1);
                    journal.count("left", 1);
                }
            }
            Event::Publication { .. } => journal.count("heard", 1),
            _ => {}
        }
    }
}
