//! `poll`: asks a hub for a room's new messages again and again, over HTTP: what was done before WebSocket.

use std::time::Duration;

use application::http::client::{Client, Error as HttpError};
use bytes::Bytes;
use host::{Host, Network, sleep_until, timeout_at};
use http::Request;
use http::header::CONTENT_TYPE;
use lab::scenario::text;
use lab::scenario::{Context, Ended};
use lab::units::Delay;
use serde::{Deserialize, Serialize};

use super::bulk::connect;
use super::chat::Said;
use super::{failed, find, unless_ended};

/// The settings of `poll`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The hub, as `NODE:PORT`.
    to: String,
    /// The room.
    room: String,
    /// How often it asks.
    #[serde(deserialize_with = "text::deserialize")]
    every: Delay,
}

/// How long an answer may take until the connection is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of the longest answer.
const LONGEST: usize = 1 << 20;

/// Where in the room's history it has read to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Position {
    offset: u64,
    epoch: String,
}

#[derive(Serialize)]
struct Question<'a> {
    channel: &'a str,
    limit: i64,
    since: &'a Position,
}

#[derive(Deserialize)]
struct Answer {
    result: History,
}

#[derive(Deserialize)]
struct History {
    publications: Vec<Publication>,
    epoch: String,
}

#[derive(Deserialize)]
struct Publication {
    offset: u64,
    data: Said,
}

/// Asks until the scenario ends, by one connection as long as that lasts.
pub(super) async fn run<H: Host>(context: Context<H>, settings: Settings) -> Ended {
    let to = find(&context, &settings.to)?;
    let polling = async {
        let mut position = Position::default();
        let mut client: Option<Client<<H as Network>::Connection>> = None;
        let mut due = context.host.now();
        context.journal.count("polls", 0);
        loop {
            let mut open = match client.take() {
                Some(client) => client,
                None => Client::new(connect(&context, to).await).await.map_err(failed)?,
            };
            context.journal.count("polls", 1);
            let deadline = context.host.now() + PATIENCE;
            let asked = timeout_at(&context.host, deadline, ask(&mut open, &settings, &position)).await;
            match asked {
                Ok(Ok(history)) => {
                    client = Some(open);
                    hear(&context, history, &mut position);
                }
                Ok(Err(error)) => context.journal.remark(format!("no answer: {error}")),
                Err(_) => context.journal.remark("no answer in time"),
            }
            due = (due + settings.every.into()).max(context.host.now());
            sleep_until(&context.host, due).await;
        }
    };
    unless_ended(&context, polling).await.unwrap_or(Ok(()))
}

async fn ask<C: host::Connection>(
    client: &mut Client<C>,
    settings: &Settings,
    position: &Position,
) -> Result<History, String> {
    let question = Question { channel: &settings.room, limit: 500, since: position };
    let body = client::Json::from_value(&question).map_err(failed)?.to_string();
    let request = Request::post(format!("http://{}/api/history", settings.to))
        .header(CONTENT_TYPE, "application/json")
        .body(Bytes::from(body))
        .map_err(failed)?;
    let response = client.send(request, LONGEST).await.map_err(|error: HttpError| error.to_string())?;
    let text = String::from_utf8_lossy(response.body()).into_owned();
    let answer: Answer = serde_json::from_str(&text).map_err(|error| format!("{error} in {text}"))?;
    Ok(answer.result)
}

fn hear<H: Host>(context: &Context<H>, history: History, position: &mut Position) {
    position.epoch = history.epoch;
    for publication in history.publications {
        position.offset = publication.offset;
        publication.data.heard(&context.journal);
    }
}
