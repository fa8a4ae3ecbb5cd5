//! `chat`: a client that says numbered messages in a room, and hears those of others.

use std::time::Duration;

use client::{Client, Event, Events, Recovery, SubscribeOptions};
use host::{Host, Instant, sleep, sleep_until};
use lab::scenario::text::{self, option};
use lab::scenario::{Context, Ended, Journal};
use lab::units::Delay;
use serde::{Deserialize, Serialize};

use super::client;

/// The settings of `chat`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The server, as `ws://NODE`.
    url: String,
    /// The room.
    room: String,
    /// How many messages it says.
    #[serde(default)]
    send: u64,
    /// How often it says one.
    #[serde(default = "second", deserialize_with = "text::deserialize")]
    every: Delay,
    /// When it begins to speak, after it has started.
    #[serde(default, deserialize_with = "text::deserialize")]
    after: Delay,
    /// Bytes that fill each message up.
    #[serde(default)]
    fill: usize,
    /// Whether it notices who comes and goes.
    #[serde(default)]
    people: bool,
    /// How long the server may be silent past its ping interval before it is taken for dead.
    #[serde(default, deserialize_with = "option::deserialize")]
    slack: Option<Delay>,
    /// When it stops to read what the server sends, and for how long.
    #[serde(default)]
    deaf: Option<Deaf>,
}

/// A while in which nothing is read.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deaf {
    /// When it begins, after the program has started.
    #[serde(deserialize_with = "text::deserialize")]
    after: Delay,
    /// How long it lasts.
    #[serde(rename = "for", deserialize_with = "text::deserialize")]
    lasts: Delay,
}

/// Events that may wait: few, so that who does not listen stops to read.
const EVENTS: usize = 16;

fn second() -> Delay {
    Delay::from(Duration::from_secs(1))
}

/// One message.
#[derive(Serialize, Deserialize)]
pub(super) struct Said {
    from: String,
    number: u64,
    /// When it was said, in nanoseconds on the journal's clock.
    at: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    fill: String,
}

impl Said {
    /// Writes down that it was heard, and how long that took.
    pub(super) fn heard(&self, journal: &Journal) {
        journal.received(&self.from, self.number);
        journal.sample("latency", journal.now().since(Instant::from_nanos(self.at)));
    }
}

/// Talks and listens until the scenario ends.
pub(super) async fn run<H: Host>(context: Context<H>, settings: Settings) -> Ended {
    let mut config = client(&context, &settings.url, &context.name)?;
    config.events = EVENTS;
    if let Some(slack) = settings.slack {
        config.ping_slack = slack.into();
    }
    let (client, events) = Client::start(context.host.clone(), config);
    let watching = context.host.spawn(watch(context.clone(), events, settings.deaf));
    let speaking = context.host.spawn(speak(context.clone(), client.clone(), settings));
    context.ending.requested().await;
    speaking.abort();
    client.close().await;
    watching.await;
    Ok(())
}

/// Writes down what there is to hear.
async fn watch<H: Host>(context: Context<H>, mut events: Events, mut deaf: Option<Deaf>) {
    let journal = &context.journal;
    let started = context.host.now();
    while let Some(event) = events.next().await {
        if let Some(Deaf { lasts, .. }) =
            deaf.take_if(|deaf| context.host.now() >= started + deaf.after.into())
        {
            journal.noticed("deaf");
            sleep(&context.host, lasts.into()).await;
            journal.noticed("listening again");
        }
        match event {
            Event::Publication { publication, .. } => {
                let Ok(said) = publication.data.parse::<Said>() else {
                    journal.noticed("something that is no message");
                    continue;
                };
                said.heard(journal);
            }
            Event::Connected { .. } => journal.noticed("connected"),
            Event::Disconnected { reason, .. } => {
                journal.remark(format!("not connected: {reason}"));
                journal.noticed("disconnected");
            }
            Event::Subscribed { recovery: Recovery::TooOld, .. } => journal.noticed("lost history"),
            Event::Subscribed { recovery: Recovery::Complete, .. } => journal.noticed("recovered"),
            Event::Join { info, .. } => journal.noticed(format!("{} came", who(&info))),
            Event::Leave { info, .. } => journal.noticed(format!("{} left", who(&info))),
            _ => {}
        }
    }
}

/// The name that somebody goes by.
fn who(info: &client::Info) -> String {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let named = info.conn_info.as_ref().and_then(|info| info.parse::<Named>().ok());
    named.map_or_else(|| "somebody".to_owned(), |named| named.name)
}

/// Enters the room, and says what there is to say.
async fn speak<H: Host>(context: Context<H>, client: Client<H>, settings: Settings) {
    let Settings { room, send, every, after, fill, people, .. } = settings;
    let journal = &context.journal;
    let options = SubscribeOptions { join_leave: people, ..SubscribeOptions::default() };
    if let Err(error) = client.subscribe_with(&room, options).await {
        return journal.noticed(format!("not let in: {error}"));
    }
    sleep(&context.host, after.into()).await;
    let fill = "x".repeat(fill);
    let begin = context.host.now();
    for number in 1..=send {
        // Whoever has waited for an answer catches up.
        let due = begin + Duration::from(every) * u32::try_from(number - 1).unwrap_or(u32::MAX);
        sleep_until(&context.host, due).await;
        let at = (journal.now() - context.host.now().since(due)).as_nanos();
        journal.sent(number);
        let said = Said { from: context.name.to_string(), number, at, fill: fill.clone() };
        if let Err(error) = client.publish(&room, &said).await {
            journal.noticed(format!("not said: {error}"));
        }
    }
}
