//! The HTTP door: the pages, the HTTP API, health and metrics, and the way to the WebSocket door.

mod access;
mod api;
mod connection;
mod files;
pub(super) mod respond;
mod shapes;
mod streams;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;

use application::http::server::{Answer, Limits};
use application::http::{Body, RequestBody};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use hub::Protocol;
use hub::document::Opening;
use websocket::deflate;
use websocket::handshake::server as handshake;

use crate::doors::documents;
use crate::doors::stream::Shape;
use crate::doors::websocket::Purpose;
use crate::emulation::Unposted;
use crate::files::{Entry, Id, Opened};
use crate::flight::{Filter, Flight};
use crate::metrics::{self, Counts, Snapshot};
use crate::pages;
use access::{Circumstances, Denied};
use api::Call;
use streams::Endpoint;

pub(crate) use connection::serve;

/// How the HTTP door is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// What one connection may cost before it is a WebSocket.
    pub limits: Limits,
    /// The longest body of a request, in bytes. Longer ones are answered with 413.
    pub body_bytes: usize,
    /// The key that programs must show to use the HTTP API and to read the metrics. Without one the API serves programs
    /// that reach a loopback address (or any, with `insecure`), and no page of another site; and where clients need
    /// tokens it serves nobody.
    pub api_key: Option<String>,
    /// Origins (`https://example.org`, or `*` for any) whose pages may open a WebSocket, beside our own. Their hosts are
    /// names under which an open server may be reached, beside addresses, `localhost`, and names without a dot.
    pub allowed_origins: Vec<String>,
    /// Whether the API serves whoever reaches us, on other than loopback addresses too.
    pub insecure: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            body_bytes: 1024 * 1024,
            api_key: None,
            allowed_origins: Vec::new(),
            insecure: false,
        }
    }
}

/// What this door needs of the rest of the server.
pub(crate) trait Rooms: Send + Sync + 'static {
    /// Has the hub answer `request`. `None` when it did not in time.
    fn call(&self, request: hub::api::Request) -> impl Future<Output = Option<hub::api::Reply>> + Send;

    /// The body of a response that is a session, whose client said `first`.
    fn stream(&self, shape: Shape, first: &[u8]) -> Body;

    /// Takes a frame to the session of that name.
    fn post(&self, session: &str, frame: Bytes) -> Result<(), Unposted>;

    /// Has the hub answer what is asked of `document`. `None` when it did not in time.
    fn document(
        &self,
        document: String,
        request: hub::document::api::Request,
    ) -> impl Future<Output = Option<hub::document::api::Reply>> + Send;

    /// The file of that id.
    fn file(&self, id: &Id) -> Option<Opened>;

    /// The thumbnail of the picture of that id.
    fn thumbnail(&self, id: &Id) -> impl Future<Output = Option<(Arc<Entry>, Bytes)>> + Send;

    /// What there is to tell at this moment.
    fn observe(&self) -> Snapshot;

    /// The connections asked for that are over, the newest first.
    fn flights(&self, filter: &Filter) -> Vec<Flight>;

    /// Whether the server is about to end.
    fn is_ending(&self) -> bool;
}

/// The door as one connection sees it.
struct Door<R> {
    rooms: R,
    config: Config,
    here: Circumstances,
    /// What clients of the WebSocket door may agree on.
    deflate: Option<deflate::Options>,
    counts: Arc<Counts>,
}

/// What the WebSocket door gets beside the connection.
struct Agreed {
    deflate: Option<deflate::Agreed>,
    purpose: Purpose,
}

impl<R: Rooms> Door<R> {
    async fn answer(self: Arc<Self>, request: Request<RequestBody>) -> Answer<Agreed> {
        let path = request.uri().path();
        let (part, answer) = match path {
            "/connection/websocket" => ("websocket", self.websocket(&request, None)),
            "/connection/http_stream" => ("stream", self.streams(Endpoint::Bare, request).await.into()),
            "/connection/sse" => ("stream", self.streams(Endpoint::Events, request).await.into()),
            "/emulation" => ("emulation", self.streams(Endpoint::Emulation, request).await.into()),
            "/health" => ("health", self.health(&request).into()),
            "/metrics" => ("metrics", self.metrics(&request).into()),
            path if path.starts_with(documents::PATH) => ("documents", self.documents(request).await.into()),
            _ if let Some(opening) = documents::opening(request.uri()) => {
                ("documents", self.websocket(&request, Some(opening)))
            }
            _ => {
                let below = |directory| path.strip_prefix(directory).map(str::to_owned);
                match (below("/api/"), below("/files/"), below("/thumbnails/")) {
                    (Some(method), ..) => ("api", self.api(&method, request).await.into()),
                    (_, Some(name), _) => ("file", self.file(&name, &request).into()),
                    (.., Some(name)) => ("file", self.thumbnail(&name, &request).await.into()),
                    _ => ("page", self.page(&request).into()),
                }
            }
        };
        let status = match &answer {
            Answer::Response(response) => response.status(),
            Answer::Upgrade { response, .. } => response.status(),
        };
        self.counts.requests.count((part, status.as_u16()));
        answer
    }

    /// Opens a connection to rooms, or to documents.
    fn websocket(&self, request: &Request<RequestBody>, opening: Option<Opening>) -> Answer<Agreed> {
        let allowed = access::name(&self.config, self.here, request)
            .and_then(|()| access::origin(&self.config, request));
        if let Err(denied) = allowed {
            self.counts.handshakes.count(denied.label());
            return self.deny(&denied).into();
        }
        let options = handshake::Options {
            deflate: self.deflate,
            subprotocols: if opening.is_none() { vec![Protocol::PROTOBUF.to_owned()] } else { Vec::new() },
            // Checked already, with a better explanation.
            origins: handshake::Origins::Any,
            ..handshake::Options::default()
        };
        match handshake::respond(request, &options) {
            Ok(accepted) => {
                self.counts.handshakes.count("accepted");
                let purpose = match opening {
                    Some(opening) => Purpose::Documents(opening),
                    None if accepted.subprotocol.is_some() => Purpose::Rooms(Protocol::Protobuf),
                    None => Purpose::Rooms(Protocol::Json),
                };
                let then = Agreed { deflate: accepted.deflate, purpose };
                Answer::Upgrade { response: accepted.response, then }
            }
            Err(rejected) => {
                self.counts.handshakes.count(label(rejected));
                let mut response = rejected.response().map(Body::whole);
                respond::guard(response.headers_mut());
                response.into()
            }
        }
    }

    async fn api(&self, method: &str, request: Request<RequestBody>) -> Response<Body> {
        if let Err(denied) = access::api(&self.config, self.here, &request) {
            self.counts.denied.count(denied.label());
            let code = if denied.status() == StatusCode::UNAUTHORIZED { 101 } else { 103 };
            return api::failure(denied.status(), code, denied.to_string());
        }
        match api::read(method, request, self.config.body_bytes).await {
            Ok(Call::Hub(request)) => api::answer(self.rooms.call(request).await),
            Ok(Call::Batch(calls)) => {
                let mut parts = Vec::with_capacity(calls.len());
                for call in calls {
                    parts.push(match call {
                        Ok((method, request)) => api::part(method, self.rooms.call(request).await),
                        Err(message) => {
                            let error = hub::api::Error { code: 107, message: message.into() };
                            shapes::Part::failed(error)
                        }
                    });
                }
                api::batched(parts)
            }
            Ok(Call::Flights(filter)) => api::flights(&self.rooms.flights(&filter)),
            Err(response) => response,
        }
    }

    async fn documents(&self, request: Request<RequestBody>) -> Response<Body> {
        match access::documents(&self.config, self.here, &request) {
            Ok(()) => documents::answer(&self.rooms, request, self.config.body_bytes).await,
            Err(denied) => self.deny(&denied),
        }
    }

    fn health(&self, request: &Request<RequestBody>) -> Response<Body> {
        if !is_read(request.method()) {
            return respond::method_not_allowed("GET, HEAD");
        }
        let (status, word) = if self.rooms.is_ending() {
            (StatusCode::SERVICE_UNAVAILABLE, "ending")
        } else {
            (StatusCode::OK, "ok")
        };
        respond::json(status, &serde_json::json!({ "status": word }))
    }

    fn metrics(&self, request: &Request<RequestBody>) -> Response<Body> {
        if !is_read(request.method()) {
            return respond::method_not_allowed("GET, HEAD");
        }
        if let Err(denied) = access::metrics(&self.config, request) {
            return self.deny(&denied);
        }
        match metrics::exposition(self.rooms.observe()) {
            Ok(text) => respond::plain(StatusCode::OK, metrics::CONTENT_TYPE, text),
            Err(error) => respond::text(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }

    fn page(&self, request: &Request<RequestBody>) -> Response<Body> {
        if let Err(denied) = access::name(&self.config, self.here, request) {
            return self.deny(&denied);
        }
        match pages::find(request.uri().path()) {
            None => respond::text(StatusCode::NOT_FOUND, "there is nothing here"),
            Some(_) if !is_read(request.method()) => respond::method_not_allowed("GET, HEAD"),
            Some(page) => respond::page(page, request.headers(), &access::host(request)),
        }
    }

    fn file(&self, name: &str, request: &Request<RequestBody>) -> Response<Body> {
        if let Err(denied) = access::name(&self.config, self.here, request) {
            return self.deny(&denied);
        }
        match files::id(name).and_then(|id| self.rooms.file(&id)) {
            None => respond::text(StatusCode::NOT_FOUND, "there is no such file, or its message is gone"),
            Some(_) if !is_read(request.method()) => respond::method_not_allowed("GET, HEAD"),
            Some(opened) => files::file(opened, request.headers()),
        }
    }

    async fn thumbnail(&self, name: &str, request: &Request<RequestBody>) -> Response<Body> {
        if let Err(denied) = access::name(&self.config, self.here, request) {
            return self.deny(&denied);
        }
        if !is_read(request.method()) {
            return respond::method_not_allowed("GET, HEAD");
        }
        let found = match files::id(name) {
            Some(id) => self.rooms.thumbnail(&id).await,
            None => None,
        };
        match found {
            None => respond::text(StatusCode::NOT_FOUND, "there is no such thumbnail"),
            Some((entry, bytes)) => files::thumbnail(&entry, bytes),
        }
    }

    fn deny(&self, denied: &Denied) -> Response<Body> {
        self.counts.denied.count(denied.label());
        respond::text(denied.status(), denied)
    }
}

/// A word for a metric's label.
fn label(rejected: handshake::Rejected) -> &'static str {
    use handshake::Rejected;
    match rejected {
        Rejected::Method => "method",
        Rejected::HttpVersion => "http_version",
        Rejected::Host => "host",
        Rejected::Upgrade => "upgrade",
        Rejected::Connection => "connection",
        Rejected::WebSocketVersion => "websocket_version",
        Rejected::Key => "key",
        Rejected::Body => "body",
        Rejected::Origin => "origin",
        Rejected::Subprotocols => "subprotocols",
        Rejected::Extensions => "extensions",
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
