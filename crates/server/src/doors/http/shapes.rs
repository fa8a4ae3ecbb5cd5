//! The JSON of the HTTP API.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use hub::api;
use hub::{ClientInfo, Protocol};
use serde::ser::{Error as _, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::flight::{Cause, Flight};

// What is asked. Everything may be absent or null, as in Centrifugo's own schema; what must be there, and what need not,
// is for `api` to say.

/// Of `publish` (with `channel`) and `broadcast` (with `channels`).
#[derive(Deserialize)]
pub(super) struct Publish<'a> {
    pub(super) channel: Option<String>,
    pub(super) channels: Option<Vec<String>>,
    #[serde(borrow)]
    pub(super) data: Option<&'a RawValue>,
    pub(super) tags: Option<BTreeMap<String, String>>,
    pub(super) idempotency_key: Option<String>,
    // Centrifugo's, and not ours.
    pub(super) skip_history: Option<bool>,
    pub(super) delta: Option<bool>,
    pub(super) b64data: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct History {
    pub(super) channel: Option<String>,
    pub(super) limit: Option<i64>,
    pub(super) since: Option<Since>,
    pub(super) reverse: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct Since {
    pub(super) offset: u64,
    pub(super) epoch: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Channel {
    pub(super) channel: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Channels {
    pub(super) pattern: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Disconnect {
    pub(super) user: Option<String>,
    pub(super) client: Option<String>,
    pub(super) reconnect: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct Unsubscribe {
    pub(super) channel: Option<String>,
    pub(super) user: Option<String>,
    pub(super) client: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Refresh {
    pub(super) user: Option<String>,
    pub(super) client: Option<String>,
    pub(super) expired: Option<bool>,
    pub(super) expire_at: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct Batch<'a> {
    /// Each an object with one field, which is a method's name.
    #[serde(borrow, default)]
    pub(super) commands: Vec<BTreeMap<String, &'a RawValue>>,
}

/// Of `disconnects`.
#[derive(Deserialize)]
pub(super) struct Disconnected {
    pub(super) user: Option<String>,
    pub(super) client: Option<String>,
    pub(super) cause: Option<String>,
    pub(super) limit: Option<usize>,
}

// What is answered.

/// Of `disconnects`.
#[derive(Serialize)]
pub(super) struct Disconnects {
    result: Ended,
}

#[derive(Serialize)]
struct Ended {
    disconnects: Vec<Over>,
}

#[derive(Serialize)]
pub(super) struct Success {
    result: Answer,
}

#[derive(Serialize)]
pub(super) struct Failure {
    error: Error,
}

#[derive(Serialize)]
pub(super) struct Batched {
    replies: Vec<Part>,
}

/// What one call of a batch came to.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct Part(Outcome);

#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    /// By the method's name.
    Done(BTreeMap<String, Answer>),
    /// It was refused.
    Failed(Failure),
}

#[derive(Serialize)]
struct Error {
    code: u16,
    message: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Published(Position),
    Broadcast { responses: Vec<Response> },
    History { publications: Vec<Publication>, offset: u64, epoch: String },
    Presence { presence: BTreeMap<String, Client> },
    PresenceStats { num_clients: u64, num_users: u64 },
    Channels { channels: BTreeMap<String, ChannelInfo> },
    Info { nodes: [Node; 1] },
    Done {},
}

#[derive(Serialize)]
struct Position {
    offset: u64,
    epoch: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Response {
    Done { result: Position },
    Failed(Failure),
}

#[derive(Serialize)]
struct Publication {
    offset: u64,
    time: u64,
    #[serde(serialize_with = "json")]
    data: Bytes,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<Client>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Client {
    client: String,
    user: String,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "perhaps_json")]
    conn_info: Option<Bytes>,
}

#[derive(Serialize)]
struct ChannelInfo {
    num_clients: u64,
}

#[derive(Serialize)]
struct Node {
    uid: String,
    name: String,
    version: String,
    num_clients: u64,
    num_users: u64,
    num_channels: u64,
    num_subs: u64,
    uptime: u64,
}

impl Part {
    pub(super) fn done(method: String, answer: api::Answer) -> Self {
        Self(Outcome::Done([(method, Success::from(answer).result)].into()))
    }

    pub(super) fn failed(error: api::Error) -> Self {
        Self(Outcome::Failed(error.into()))
    }
}

impl From<Vec<Part>> for Batched {
    fn from(replies: Vec<Part>) -> Self {
        Self { replies }
    }
}

impl From<api::Answer> for Success {
    fn from(answer: api::Answer) -> Self {
        Self {
            result: match answer {
                api::Answer::Published(position) => Answer::Published(position.into()),
                api::Answer::Broadcast(outcomes) => {
                    Answer::Broadcast { responses: outcomes.into_iter().map(Response::from).collect() }
                }
                api::Answer::History { publications, position } => Answer::History {
                    publications: publications.into_iter().map(Publication::from).collect(),
                    offset: position.offset,
                    epoch: position.epoch.as_str().into(),
                },
                api::Answer::Presence(clients) => Answer::Presence {
                    presence: clients.into_iter().map(|(id, client)| (id, client.into())).collect(),
                },
                api::Answer::PresenceStats { clients, users } => {
                    Answer::PresenceStats { num_clients: clients, num_users: users }
                }
                api::Answer::Channels(channels) => Answer::Channels {
                    channels: channels
                        .into_iter()
                        .map(|(name, num_clients)| (name, ChannelInfo { num_clients }))
                        .collect(),
                },
                api::Answer::Info(node) => Answer::Info { nodes: [node.into()] },
                api::Answer::Done => Answer::Done {},
            },
        }
    }
}

impl From<api::Error> for Failure {
    fn from(error: api::Error) -> Self {
        let api::Error { code, message } = error;
        Self { error: Error { code, message: message.into() } }
    }
}

impl From<api::Position> for Position {
    fn from(position: api::Position) -> Self {
        Self { offset: position.offset, epoch: position.epoch.as_str().into() }
    }
}

impl From<Result<api::Position, api::Error>> for Response {
    fn from(outcome: Result<api::Position, api::Error>) -> Self {
        match outcome {
            Ok(position) => Self::Done { result: position.into() },
            Err(error) => Self::Failed(error.into()),
        }
    }
}

impl From<api::Publication> for Publication {
    fn from(publication: api::Publication) -> Self {
        let api::Publication { offset, time, data, info, tags } = publication;
        Self { offset, time, data, info: info.map(Client::from), tags }
    }
}

impl From<ClientInfo> for Client {
    fn from(info: ClientInfo) -> Self {
        let ClientInfo { client, user, conn_info } = info;
        Self { client, user, conn_info }
    }
}

impl From<api::NodeInfo> for Node {
    fn from(node: api::NodeInfo) -> Self {
        let api::NodeInfo { name, version, clients, users, channels, subscriptions, uptime } = node;
        Self {
            uid: name.clone(),
            name,
            version,
            num_clients: clients,
            num_users: users,
            num_channels: channels,
            num_subs: subscriptions,
            uptime,
        }
    }
}

#[derive(Serialize)]
struct Over {
    client: String,
    user: String,
    address: String,
    transport: &'static str,
    protocol: &'static str,
    connected_at: u64,
    ended_at: u64,
    cause: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    round_trip_ms: Option<f64>,
    queue_bytes: usize,
    queue_age_ms: u64,
    silence_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_limit_s: Option<u64>,
    frames: Vec<Frame>,
}

#[derive(Serialize)]
struct Frame {
    ago_ms: u64,
    from: &'static str,
    bytes: usize,
    text: String,
}

impl From<&[Flight]> for Disconnects {
    fn from(flights: &[Flight]) -> Self {
        Self { result: Ended { disconnects: flights.iter().map(Over::from).collect() } }
    }
}

impl From<&Flight> for Over {
    fn from(flight: &Flight) -> Self {
        let info = flight.info.as_deref();
        let frames = flight.frames.iter().map(|seen| Frame {
            ago_ms: millis(flight.ended_at.since(seen.at)),
            from: if seen.incoming { "client" } else { "server" },
            bytes: seen.bytes,
            text: seen.text(),
        });
        Self {
            client: info.map(|info| info.client.clone()).unwrap_or_default(),
            user: info.map(|info| info.user.clone()).unwrap_or_default(),
            address: flight.remote.to_string(),
            transport: flight.transport,
            protocol: match flight.protocol {
                Protocol::Json => "json",
                Protocol::Protobuf => "protobuf",
            },
            connected_at: flight.started.unix_millis(),
            ended_at: flight.ended.unix_millis(),
            cause: flight.cause.label(),
            detail: flight.detail.clone(),
            code: flight.ending.map(|ending| ending.code),
            round_trip_ms: flight.round_trip.map(|time| time.as_secs_f64() * 1000.0),
            queue_bytes: flight.queue.bytes,
            queue_age_ms: millis(flight.queue.age),
            silence_ms: millis(flight.silence),
            idle_limit_s: match flight.cause {
                Cause::ProxyIdle { limit } => Some(limit.as_secs()),
                _ => None,
            },
            frames: frames.collect(),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// JSON that is kept as bytes goes out as it is.
fn json<S: Serializer>(json: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serde_json::from_slice::<&RawValue>(json).map_err(S::Error::custom)?.serialize(serializer)
}

fn perhaps_json<S: Serializer>(value: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => json(value, serializer),
        None => serializer.serialize_none(),
    }
}
