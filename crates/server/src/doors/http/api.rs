//! The HTTP API: Centrifugo's names and shapes, so that programs written for it need no change.

use std::collections::BTreeMap;

use application::http::{Body, RequestBody};
use bytes::Bytes;
use host::WallTime;
use http::{Method, Request, Response, StatusCode};
use hub::api;
use serde::de::{Deserialize, DeserializeOwned};
use serde_json::value::RawValue;

use super::respond;
use super::shapes::{self, Failure};
use crate::flight::{Filter, Flight};

/// Every path of the API, for the documents' test.
pub(crate) const METHODS: &[&str] = &[
    "publish",
    "broadcast",
    "history",
    "presence",
    "presence_stats",
    "channels",
    "rooms",
    "info",
    "disconnect",
    "subscribe",
    "unsubscribe",
    "refresh",
    "disconnects",
    "batch",
];

/// Calls in one batch, at most.
const BATCH: usize = 1000;

/// A call with its method's name, or what is wrong with it.
type Named = Result<(String, api::Request), String>;

/// What is asked for.
#[derive(Debug)]
pub(super) enum Call {
    /// Something that the hub knows.
    Hub(api::Request),
    /// Connections that are over.
    Flights(Filter),
    /// Several, one after the other.
    Batch(Vec<Named>),
}

/// Reads what `method` is asked to do.
pub(super) async fn read(
    method: &str,
    request: Request<RequestBody>,
    limit: usize,
) -> Result<Call, Response<Body>> {
    if !METHODS.contains(&method) {
        let message = format!("there is no method {method}: there are {}", METHODS.join(", "));
        return Err(failure(StatusCode::NOT_FOUND, 104, message));
    }
    if request.method() != Method::POST {
        return Err(respond::method_not_allowed("POST"));
    }
    let body = request.into_body().collect(limit).await;
    let body = body.map_err(|error| failure(error.status(), 107, error.to_string()))?;
    let body = if body.is_empty() { b"{}" } else { &*body };
    let call = match method {
        "disconnects" => filter(body).map(Call::Flights),
        "batch" => batch(body).map(Call::Batch),
        _ => parse(method, body).map(Call::Hub),
    };
    call.map_err(|message| failure(StatusCode::BAD_REQUEST, 107, message))
}

/// Says what came of it. Whatever the hub decided is told with status 200, as Centrifugo does.
pub(super) fn answer(reply: Option<api::Reply>) -> Response<Body> {
    match reply {
        Some(Ok(answer)) => respond::json(StatusCode::OK, &shapes::Success::from(answer)),
        Some(Err(error)) => respond::json(StatusCode::OK, &Failure::from(error)),
        None => failure(
            StatusCode::SERVICE_UNAVAILABLE,
            100,
            "the server did not find an answer in time: try again later, with the same idempotency_key"
                .into(),
        ),
    }
}

/// Says how connections ended.
pub(super) fn flights(flights: &[Flight]) -> Response<Body> {
    respond::json(StatusCode::OK, &shapes::Disconnects::from(flights))
}

/// An error that is not the hub's.
pub(super) fn failure(status: StatusCode, code: u16, message: String) -> Response<Body> {
    respond::json(status, &Failure::from(api::Error { code, message: message.into() }))
}

fn parse(method: &str, body: &[u8]) -> Result<api::Request, String> {
    Ok(match method {
        "publish" => {
            let asked: shapes::Publish<'_> = from_json(body)?;
            api::Request::Publish {
                channel: required(asked.channel.clone(), "channel")?,
                publication: publication(asked)?,
            }
        }
        "broadcast" => {
            let asked: shapes::Publish<'_> = from_json(body)?;
            api::Request::Broadcast {
                channels: asked.channels.clone().ok_or("channels is missing: name at least one")?,
                publication: publication(asked)?,
            }
        }
        "history" => {
            let asked: shapes::History = owned(body)?;
            api::Request::History {
                channel: required(asked.channel, "channel")?,
                // Centrifugo's way to ask for all; the hub has its own limit.
                limit: usize::try_from(asked.limit.unwrap_or(0)).unwrap_or(usize::MAX),
                since: asked.since.map(|since| (since.offset, since.epoch.unwrap_or_default())),
                reverse: asked.reverse.unwrap_or(false),
            }
        }
        "presence" => api::Request::Presence { channel: channel(body)? },
        "presence_stats" => api::Request::PresenceStats { channel: channel(body)? },
        "channels" | "rooms" => {
            let asked: shapes::Channels = owned(body)?;
            api::Request::Channels { pattern: asked.pattern.unwrap_or_default() }
        }
        "info" => {
            owned::<BTreeMap<String, serde::de::IgnoredAny>>(body)?;
            api::Request::Info
        }
        "disconnect" => {
            let asked: shapes::Disconnect = owned(body)?;
            api::Request::Disconnect {
                target: target(asked.user, asked.client)?,
                reconnect: asked.reconnect.unwrap_or(false),
            }
        }
        "subscribe" => {
            let asked: shapes::Unsubscribe = owned(body)?;
            api::Request::Subscribe {
                channel: required(asked.channel, "channel")?,
                target: target(asked.user, asked.client)?,
            }
        }
        "refresh" => {
            let asked: shapes::Refresh = owned(body)?;
            let refresh = match (asked.expired, asked.expire_at) {
                (Some(true), _) => api::Refresh::Expired,
                (_, Some(end)) if end > 0 => {
                    api::Refresh::Until(WallTime::from_unix_millis(end.saturating_mul(1000)))
                }
                _ => api::Refresh::Forever,
            };
            api::Request::Refresh { target: target(asked.user, asked.client)?, refresh }
        }
        "unsubscribe" => {
            let asked: shapes::Unsubscribe = owned(body)?;
            api::Request::Unsubscribe {
                channel: required(asked.channel, "channel")?,
                target: target(asked.user, asked.client)?,
            }
        }
        other => return Err(format!("there is no method {other}")),
    })
}

/// The calls of a batch.
fn batch(body: &[u8]) -> Result<Vec<Named>, String> {
    let shapes::Batch { commands } = from_json(body)?;
    if commands.len() > BATCH {
        return Err(format!("a batch has at most {BATCH} commands"));
    }
    let read = |command: BTreeMap<String, &RawValue>| match command.into_iter().next() {
        Some((method, body)) => {
            let request = parse(&method, body.get().as_bytes())?;
            Ok((method, request))
        }
        None => Err("a command of a batch is {\"method\": {…}}".into()),
    };
    Ok(commands.into_iter().map(read).collect())
}

/// What a call of a batch came to.
pub(super) fn part(method: String, reply: Option<api::Reply>) -> shapes::Part {
    let late = || api::Error::new(100, "the server did not find an answer in time: try again later");
    match reply.unwrap_or_else(|| Err(late())) {
        Ok(answer) => shapes::Part::done(method, answer),
        Err(error) => shapes::Part::failed(error),
    }
}

/// Says what the calls of a batch came to.
pub(super) fn batched(parts: Vec<shapes::Part>) -> Response<Body> {
    respond::json(StatusCode::OK, &shapes::Batched::from(parts))
}

/// The connections that are asked for: by default the last hundred.
fn filter(body: &[u8]) -> Result<Filter, String> {
    let shapes::Disconnected { user, client, cause, limit } = owned(body)?;
    Ok(Filter {
        user: user.unwrap_or_default(),
        client: client.unwrap_or_default(),
        cause: cause.unwrap_or_default(),
        limit: limit.unwrap_or(100).min(1000),
    })
}

fn publication(asked: shapes::Publish<'_>) -> Result<api::NewPublication, String> {
    let shapes::Publish { data, tags, idempotency_key, skip_history, delta, b64data, .. } = asked;
    if skip_history == Some(true) || delta == Some(true) || b64data.is_some_and(|data| !data.is_empty()) {
        return Err("skip_history, delta and b64data are not supported: leave them out".into());
    }
    Ok(api::NewPublication {
        data: data.map(raw).ok_or("data is missing, or null: say what to publish")?,
        tags: tags.unwrap_or_default(),
        idempotency_key: idempotency_key.unwrap_or_default(),
    })
}

fn from_json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("the body is not as expected: {error}"))
}

fn owned<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    from_json(body)
}

fn raw(value: &RawValue) -> Bytes {
    Bytes::copy_from_slice(value.get().as_bytes())
}

fn required(value: Option<String>, name: &str) -> Result<String, String> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| format!("{name} is missing"))
}

fn channel(body: &[u8]) -> Result<String, String> {
    required(owned::<shapes::Channel>(body)?.channel, "channel")
}

fn target(user: Option<String>, client: Option<String>) -> Result<api::Target, String> {
    let target = api::Target { user: user.unwrap_or_default(), client: client.unwrap_or_default() };
    if target.user.is_empty() && target.client.is_empty() {
        return Err("user and client are missing: name at least one of them".into());
    }
    Ok(target)
}
