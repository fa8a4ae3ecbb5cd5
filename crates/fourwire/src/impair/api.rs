//! The HTTP API: Toxiproxy's calls, and a few of our own for what it has no word for.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use application::http::server::{Answer, Limits, serve_connection};
use application::http::{Body, RequestBody};
use host::{ListenOptions, Listener, Network, Runtime, sleep};
use http::header::{CONTENT_TYPE, ORIGIN, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use kernel::KernelHost;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Semaphore;

use lab::Preset;

use super::change::Change;
use super::fault::Fault;
use super::proxies::{Error, Proxies, Told};
use super::toxics::{Said, Toxic};

/// Bytes of a request's body, at most.
const MOST_BODY: usize = 256 * 1024;

/// Connections to the API at a time.
const MOST_CONNECTIONS: usize = 64;

/// What `GET /version` answers: whose API this is, for clients that look.
const VERSION: &str = "2.12.0";

/// What a change of impairments says (PATCH /proxies/{name}/impairments).
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Impair {
    /// Begins with these impairments.
    pub(super) preset: Option<String>,
    pub(super) both: Change,
    pub(super) up: Change,
    pub(super) down: Change,
    /// Strikes at last.
    pub(super) fault: Option<String>,
}

/// What a client says of a proxy.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    name: Option<String>,
    listen: Option<String>,
    upstream: Option<String>,
    enabled: Option<bool>,
}

/// Answers at `listener` for ever.
pub(super) async fn serve(
    host: KernelHost,
    mut listener: <KernelHost as Network>::Listener,
    proxies: Proxies,
) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok(connection) = listener.accept().await else {
            sleep(&host, std::time::Duration::from_millis(100)).await;
            continue;
        };
        let (runtime, proxies) = (host.clone(), proxies.clone());
        host.spawn_detached(async move {
            let handler = move |request| answer(proxies.clone(), request);
            // How a client's connection ends is the client's business.
            let _ = serve_connection::<_, _, _, _, Infallible>(
                connection,
                &runtime,
                &Limits::default(),
                handler,
                std::future::pending(),
            )
            .await;
            drop(place);
        });
    }
}

/// Where the API listens.
pub(super) async fn listen(
    host: &KernelHost,
    address: SocketAddr,
) -> io::Result<<KernelHost as Network>::Listener> {
    host.listen(address, ListenOptions::default()).await
}

async fn answer(proxies: Proxies, request: Request<RequestBody>) -> Answer {
    let (head, body) = request.into_parts();
    let answered = if is_from_a_page(&head.headers) {
        // Any page in a browser could otherwise reach an API on this machine.
        Err(Refusal(StatusCode::FORBIDDEN, "pages in a browser are not answered".into()))
    } else {
        match body.collect(MOST_BODY).await {
            Ok(body) => route(&proxies, &head.method, head.uri.path(), &body).await,
            Err(error) => Err(Refusal(StatusCode::BAD_REQUEST, error.to_string())),
        }
    };
    let (status, body) = answered.unwrap_or_else(|Refusal(status, error)| {
        (status, json!({ "error": error, "status": status.as_u16() }).to_string())
    });
    let mut response = Response::new(Body::whole(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.into()
}

fn is_from_a_page(headers: &http::HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).map_or(&b""[..], HeaderValue::as_bytes);
    headers.contains_key(ORIGIN) || agent.starts_with(b"Mozilla/")
}

struct Refusal(StatusCode, String);

type Answered = Result<(StatusCode, String), Refusal>;

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = match error {
            Error::NoProxy(_) | Error::NoToxic(_) => StatusCode::NOT_FOUND,
            Error::ProxyExists(_) | Error::ToxicExists(_) => StatusCode::CONFLICT,
            Error::Invalid(_) | Error::Address(..) => StatusCode::BAD_REQUEST,
            Error::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Error::Listen(..) | Error::Path(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

async fn route(proxies: &Proxies, method: &Method, path: &str, body: &[u8]) -> Answered {
    let steps: Vec<_> = path.trim_matches('/').split('/').collect();
    let changes = matches!(*method, Method::POST | Method::PATCH);
    match steps[..] {
        ["version"] if method == Method::GET => said(
            StatusCode::OK,
            &json!({ "version": VERSION, "server": concat!("fourwire ", env!("CARGO_PKG_VERSION")) }),
        ),
        ["proxies"] if method == Method::GET => {
            let all: std::collections::BTreeMap<_, _> =
                proxies.all().into_iter().map(|told| (told.name.clone(), told)).collect();
            said(StatusCode::OK, &all)
        }
        ["proxies"] if method == Method::POST => {
            said(StatusCode::CREATED, &create(proxies, parse(body)?).await?)
        }
        ["populate"] if method == Method::POST => populate(proxies, parse(body)?).await,
        ["reset"] if method == Method::POST => {
            proxies.reset().await?;
            nothing()
        }
        ["proxies", name] if method == Method::GET => said(StatusCode::OK, &proxies.told(name)?),
        ["proxies", name] if changes => {
            let Wanted { listen, upstream, enabled, .. } = parse(body)?;
            said(StatusCode::OK, &proxies.update(name, listen, upstream, enabled).await?)
        }
        ["proxies", name] if method == Method::DELETE => {
            proxies.remove(name)?;
            nothing()
        }
        ["proxies", name, "toxics"] if method == Method::GET => {
            said(StatusCode::OK, &proxies.told(name)?.toxics)
        }
        ["proxies", name, "toxics"] if method == Method::POST => add_toxic(proxies, name, parse(body)?),
        ["proxies", name, "toxics", toxic] => one_toxic(proxies, name, toxic, method, body),
        ["proxies", name, "impairments"] if changes => {
            impair(proxies, name, parse(body)?)?;
            nothing()
        }
        ["proxies", name, "report"] if method == Method::GET => report(proxies, name),
        _ => Err(Refusal(StatusCode::NOT_FOUND, format!("{method} {path} is no call of this API"))),
    }
}

async fn create(proxies: &Proxies, wanted: Wanted) -> Result<Told, Error> {
    let Wanted { name, listen, upstream, enabled } = wanted;
    let [name, listen, upstream] = [name, listen, upstream].map(Option::unwrap_or_default);
    let enabled = enabled.unwrap_or(true);
    proxies.add(&name, &listen, &upstream, false, Default::default(), enabled).await
}

/// Makes the proxies as they are in the list: those that are there with other addresses are moved.
async fn populate(proxies: &Proxies, list: Vec<Wanted>) -> Answered {
    let mut made = Vec::new();
    for wanted in list {
        let name = wanted.name.clone().unwrap_or_default();
        made.push(match proxies.told(&name) {
            Ok(_) => {
                let enabled = wanted.enabled.unwrap_or(true);
                proxies.update(&name, wanted.listen, wanted.upstream, Some(enabled)).await?
            }
            Err(_) => create(proxies, wanted).await?,
        });
    }
    said(StatusCode::CREATED, &json!({ "proxies": made }))
}

fn add_toxic(proxies: &Proxies, name: &str, said_of_it: Said) -> Answered {
    proxies.told(name)?;
    let toxic = Toxic::new(said_of_it).map_err(Error::Invalid)?;
    let added = toxic.clone();
    proxies.toxics(name, |toxics| {
        if toxics.iter().any(|other| other.name == toxic.name) {
            return Err(Error::ToxicExists(toxic.name));
        }
        toxics.push(toxic);
        Ok(())
    })?;
    said(StatusCode::OK, &added)
}

fn one_toxic(proxies: &Proxies, name: &str, toxic: &str, method: &Method, body: &[u8]) -> Answered {
    let missing = || Error::NoToxic(toxic.into());
    match *method {
        Method::GET => {
            let told = proxies.told(name)?;
            said(StatusCode::OK, told.toxics.iter().find(|other| other.name == toxic).ok_or_else(missing)?)
        }
        Method::POST | Method::PATCH => {
            let wanted: Said = parse(body)?;
            let changed = proxies.toxics(name, |toxics| {
                let place = toxics.iter_mut().find(|other| other.name == toxic).ok_or_else(missing)?;
                *place = place.changed(wanted).map_err(Error::Invalid)?;
                Ok(place.clone())
            })?;
            said(StatusCode::OK, &changed)
        }
        Method::DELETE => {
            proxies.toxics(name, |toxics| {
                let place = toxics.iter().position(|other| other.name == toxic).ok_or_else(missing)?;
                toxics.remove(place);
                Ok(())
            })?;
            nothing()
        }
        _ => Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "say GET, POST, PATCH or DELETE".into())),
    }
}

fn impair(proxies: &Proxies, name: &str, impair: Impair) -> Result<(), Refusal> {
    let Impair { preset, both, up, down, fault } = impair;
    let preset = preset.map(|name| name.parse::<Preset>()).transpose().map_err(invalid)?;
    let fault = fault.map(|fault| fault.parse::<Fault>()).transpose().map_err(invalid)?;
    proxies.impair(name, |impairments| {
        if let Some(preset) = preset {
            *impairments = [preset.up(), preset.down()];
        }
        for (impairments, change) in impairments.iter_mut().zip([up, down]) {
            change.or(&both).apply(impairments);
        }
    })?;
    if let (Some(fault), Some(path)) = (fault, proxies.path(name)?) {
        fault.strike(&path);
    }
    Ok(())
}

fn report(proxies: &Proxies, name: &str) -> Answered {
    let Some(path) = proxies.path(name)? else {
        return Err(Refusal(StatusCode::CONFLICT, format!("the proxy {name:?} is disabled")));
    };
    let report = path.report();
    let direction = |at: usize| {
        let (resent, wire) = (report.resent[at], report.wire[at]);
        json!({
            "bytes": report.carried[at],
            "held_bytes": report.held[at],
            "round_trip_ns": report.round_trip[at].map(|time| time.as_nanos() as u64),
            "sent_again": { "lost": resent.lost, "timeout": resent.timeout, "probe": resent.probe },
            "frames": {
                "offered": wire.offered, "delivered": wire.delivered, "lost": wire.lost_in_all(),
                "silenced": report.silenced[at], "queued": wire.queued,
                "queued_bytes": wire.queued_bytes,
            },
        })
    };
    said(
        StatusCode::OK,
        &json!({
            "open": report.open,
            "accepted": report.accepted,
            "over_limit": report.over_limit,
            "unreached": report.unreached,
            "up": direction(0),
            "down": direction(1),
        }),
    )
}

fn invalid(error: impl std::fmt::Display) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, error.to_string())
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal(StatusCode::BAD_REQUEST, format!("the body is not understood: {error}")))
}

fn said(status: StatusCode, value: &impl Serialize) -> Answered {
    let text = serde_json::to_string(value);
    text.map(|text| (status, text))
        .map_err(|error| Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

fn nothing() -> Answered {
    Ok((StatusCode::NO_CONTENT, String::new()))
}
