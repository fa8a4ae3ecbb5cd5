//! The door over real connections, with rooms that only remember what they were asked.

use std::future::pending;
use std::sync::Mutex;
use std::time::Duration;

use application::http::client::Client;
use application::http::server::serve_connection;
use host::{ListenOptions, Listener, Network, Runtime, timeout_at};
use hub::ClientInfo;
use hub::api::{self, Answer as Told, Position, Publication, Reply};
use hub::store::Epoch;

use super::*;

/// Rooms that give one reply to everything.
#[derive(Clone)]
struct Fake(Arc<Script>);

struct Script {
    reply: Option<Reply>,
    asked: Mutex<Vec<api::Request>>,
    ending: bool,
}

impl Rooms for Fake {
    async fn call(&self, request: api::Request) -> Option<Reply> {
        self.0.asked.lock().unwrap().push(request);
        self.0.reply.clone()
    }

    fn stream(&self, _: Shape, first: &[u8]) -> Body {
        Body::whole(Bytes::copy_from_slice(first))
    }

    fn post(&self, session: &str, _: Bytes) -> Result<(), Unposted> {
        if session == "known" { Ok(()) } else { Err(Unposted::Unknown) }
    }

    async fn document(&self, _: String, _: hub::document::api::Request) -> Option<hub::document::api::Reply> {
        Some(Ok(hub::document::api::Answer::Done))
    }

    fn file(&self, _: &Id) -> Option<Opened> {
        None
    }

    async fn thumbnail(&self, _: &Id) -> Option<(Arc<Entry>, Bytes)> {
        None
    }

    fn observe(&self) -> Snapshot {
        Snapshot { slow_sessions: 7, ..Snapshot::default() }
    }

    fn flights(&self, _: &Filter) -> Vec<Flight> {
        Vec::new()
    }

    fn is_ending(&self) -> bool {
        self.0.ending
    }
}

const OPEN: Circumstances = Circumstances { tokens: false, loopback: true };

/// A door, and what came of knocking at it.
struct Visit {
    config: Config,
    here: Circumstances,
    reply: Option<Reply>,
    ending: bool,
}

impl Default for Visit {
    fn default() -> Self {
        Self { config: Config::default(), here: OPEN, reply: Some(Ok(Told::Done)), ending: false }
    }
}

struct Seen {
    response: Response<Bytes>,
    asked: Vec<api::Request>,
    counts: Arc<Counts>,
}

impl Seen {
    fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    fn body(&self) -> &str {
        std::str::from_utf8(self.response.body()).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Visit {
    fn send(self, request: Request<Bytes>) -> Seen {
        let counts = Arc::new(Counts::default());
        let rooms =
            Fake(Arc::new(Script { reply: self.reply, asked: Mutex::default(), ending: self.ending }));
        let door = Arc::new(Door {
            rooms: rooms.clone(),
            config: self.config,
            here: self.here,
            deflate: Some(deflate::Options::default()),
            counts: counts.clone(),
        });
        let response = kernel::run(1, |host| {
            let (door, request) = (door.clone(), request.clone());
            async move {
                let address = "127.0.0.1:0".parse().unwrap();
                let mut listener = host.listen(address, ListenOptions::default()).await.unwrap();
                let connection = host.connect(listener.local_address()).await.unwrap();
                let accepted = listener.accept().await.unwrap();
                let runtime = host.clone();
                host.spawn_detached(async move {
                    let limits = Limits::default();
                    let handler = move |request| door.clone().answer(request);
                    let _ = serve_connection(accepted, &runtime, &limits, handler, pending()).await;
                });
                let mut client = Client::new(connection).await.unwrap();
                let deadline = host.now() + Duration::from_secs(5);
                timeout_at(&host, deadline, client.send(request, 1 << 22)).await.unwrap().unwrap()
            }
        });
        let asked = rooms.0.asked.lock().unwrap().clone();
        Seen { response: response.unwrap().remove(0), asked, counts }
    }
}

fn get(path: &str, fields: &[(&str, &str)]) -> Request<Bytes> {
    build(Request::get(path), fields, "")
}

fn post(path: &str, fields: &[(&str, &str)], body: &str) -> Request<Bytes> {
    build(Request::post(path), fields, body)
}

fn build(mut request: http::request::Builder, fields: &[(&str, &str)], body: &str) -> Request<Bytes> {
    if !fields.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "localhost:8000");
    }
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(body.to_owned().into()).unwrap()
}

const JSON: (&str, &str) = ("content-type", "application/json");

fn call(method: &str, body: &str) -> Request<Bytes> {
    post(&format!("/api/{method}"), &[JSON], body)
}

fn told(reply: Reply) -> Visit {
    Visit { reply: Some(reply), ..Visit::default() }
}

fn position(offset: u64) -> Position {
    Position { offset, epoch: Epoch::new("abcd") }
}

#[test]
fn the_page_comes_with_its_rules_and_is_not_sent_twice() {
    let seen = Visit::default().send(get("/", &[]));
    assert_eq!(seen.status(), 200);
    assert_eq!(seen.header("content-type"), "text/html; charset=utf-8");
    let policy = seen.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    assert!(policy.contains("connect-src 'self' ws://localhost:8000 wss://localhost:8000;"), "{policy}");
    assert_eq!(seen.header("x-content-type-options"), "nosniff");
    assert_eq!(seen.header("referrer-policy"), "no-referrer");
    let etag = seen.header("etag").to_owned();
    let length = seen.header("content-length").to_owned();

    let head = Visit::default().send(build(Request::head("/"), &[], ""));
    assert_eq!((head.status(), head.header("content-length"), head.body()), (200, length.as_str(), ""));

    for known in [etag.clone(), format!("\"other\", W/{etag}"), "*".into()] {
        let again = Visit::default().send(get("/", &[("if-none-match", &known)]));
        assert_eq!((again.status(), again.body(), again.header("etag")), (304, "", etag.as_str()), "{known}");
    }
    let other = Visit::default().send(get("/", &[("if-none-match", "\"other\"")]));
    assert_eq!(other.status(), 200);
    assert_eq!(Visit::default().send(get("/missing.js", &[])).status(), 404);
    let seen = Visit::default().send(post("/", &[], ""));
    assert_eq!((seen.status(), seen.header("allow")), (405, "GET, HEAD"));
}

#[test]
fn an_open_server_is_not_found_under_a_strangers_name() {
    let evil = [("host", "evil.example:8000")];
    let seen = Visit::default().send(get("/", &evil));
    assert_eq!(seen.status(), 403);
    assert!(
        seen.body().contains("evil.example:8000") && seen.body().contains("--allow-origin"),
        "{}",
        seen.body()
    );
    assert_eq!(seen.counts.denied.read(), [("host", 1)].into());
    let seen = Visit::default().send(get("/connection/websocket", &evil));
    assert_eq!(seen.status(), 403);
    let tokens = Visit { here: Circumstances { tokens: true, ..OPEN }, ..Visit::default() };
    assert_eq!(tokens.send(get("/", &evil)).status(), 200);
}

#[test]
fn health_and_metrics_are_told() {
    let seen = Visit::default().send(get("/health", &[("host", "any.example")]));
    assert_eq!((seen.status(), seen.body()), (200, "{\"status\":\"ok\"}\n"));
    let seen = Visit { ending: true, ..Visit::default() }.send(get("/health", &[]));
    assert_eq!((seen.status(), seen.body()), (503, "{\"status\":\"ending\"}\n"));
    assert_eq!(Visit::default().send(post("/health", &[], "")).status(), 405);

    let seen = Visit::default().send(get("/metrics", &[]));
    assert_eq!((seen.status(), seen.header("content-type")), (200, metrics::CONTENT_TYPE));
    assert!(seen.body().contains("\nfourwire_sessions_slow_total 7\n"), "{}", seen.body());
    assert_eq!(Visit::default().send(post("/metrics", &[], "")).status(), 405);
    let config = Config { api_key: Some("secret".into()), ..Config::default() };
    let locked = || Visit { config: config.clone(), ..Visit::default() };
    assert_eq!(locked().send(get("/metrics", &[])).status(), 401);
    assert_eq!(locked().send(get("/metrics", &[("x-api-key", "secret")])).status(), 200);
}

#[test]
fn a_call_reaches_the_hub_and_its_answer_the_caller() {
    let body = r#"{"channel": "lobby", "data": {"text" :"hi"}, "idempotency_key": "k", "tags": {"a": "b"}, "skip_history": false}"#;
    let seen = told(Ok(Told::Published(position(3)))).send(call("publish", body));
    assert_eq!((seen.status(), seen.body()), (200, "{\"result\":{\"offset\":3,\"epoch\":\"abcd\"}}\n"));
    assert_eq!(seen.header("content-type"), "application/json");
    assert_eq!(seen.header("cache-control"), "no-store");
    let publication = api::NewPublication {
        data: r#"{"text" :"hi"}"#.into(),
        tags: [("a".into(), "b".into())].into(),
        idempotency_key: "k".into(),
    };
    assert_eq!(seen.asked, [api::Request::Publish { channel: "lobby".into(), publication }]);
    assert_eq!(seen.counts.requests.read(), [(("api", 200), 1)].into());

    let error = api::Error { code: 106, message: "limit exceeded: wait".into() };
    let seen = told(Err(error)).send(call("publish", body));
    assert_eq!(seen.status(), 200);
    assert_eq!(seen.body(), "{\"error\":{\"code\":106,\"message\":\"limit exceeded: wait\"}}\n");
    let seen = Visit { reply: None, ..Visit::default() }.send(call("publish", body));
    assert_eq!(seen.status(), 503);
    assert!(seen.body().starts_with("{\"error\":{\"code\":100,"), "{}", seen.body());
}

#[test]
fn each_method_reads_its_question() {
    let target = |user: &str, client: &str| api::Target { user: user.into(), client: client.into() };
    let history =
        |limit, since, reverse| api::Request::History { channel: "a".into(), limit, since, reverse };
    let table = [
        ("history", r#"{"channel":"a"}"#, history(0, None, false)),
        ("history", r#"{"channel":"a","limit":5,"reverse":true}"#, history(5, None, true)),
        (
            "history",
            r#"{"channel":"a","limit":-1,"since":{"offset":7,"epoch":"e"}}"#,
            history(usize::MAX, Some((7, "e".into())), false),
        ),
        ("presence", r#"{"channel":"a"}"#, api::Request::Presence { channel: "a".into() }),
        ("presence_stats", r#"{"channel":"a"}"#, api::Request::PresenceStats { channel: "a".into() }),
        ("channels", "", api::Request::Channels { pattern: String::new() }),
        ("rooms", r#"{"pattern":"a*"}"#, api::Request::Channels { pattern: "a*".into() }),
        ("info", "{}", api::Request::Info),
        (
            "disconnect",
            r#"{"user":"u","disconnect":null}"#,
            api::Request::Disconnect { target: target("u", ""), reconnect: false },
        ),
        (
            "disconnect",
            r#"{"client":"c","reconnect":true}"#,
            api::Request::Disconnect { target: target("", "c"), reconnect: true },
        ),
        (
            "unsubscribe",
            r#"{"channel":"a","user":"u","client":"c"}"#,
            api::Request::Unsubscribe { channel: "a".into(), target: target("u", "c") },
        ),
        (
            "broadcast",
            r#"{"channels":["a","b"],"data":[1, null]}"#,
            api::Request::Broadcast {
                channels: vec!["a".into(), "b".into()],
                publication: api::NewPublication { data: "[1, null]".into(), ..Default::default() },
            },
        ),
    ];
    for (method, body, asked) in table {
        let seen = Visit::default().send(call(method, body));
        assert_eq!((seen.status(), seen.body()), (200, "{\"result\":{}}\n"), "{method} {body}");
        assert_eq!(seen.asked, [asked], "{method} {body}");
    }
}

#[test]
fn each_answer_has_its_shape() {
    let client = ClientInfo { client: "c".into(), user: "u".into(), conn_info: Some("{\"n\": 1}".into()) };
    let nobody = ClientInfo { client: "d".into(), ..ClientInfo::default() };
    let publication = Publication {
        offset: 2,
        time: 5,
        data: "{\"b\":1.50,\"a\":\"\\u00e9\"}".into(),
        info: Some(client.clone()),
        tags: [("t".into(), "v".into())].into(),
    };
    let deleted = Publication { offset: 1, data: "null".into(), ..Publication::default() };
    let error = api::Error { code: 107, message: "bad request".into() };
    let table = [
        (
            Told::Broadcast(vec![Ok(position(1)), Err(error)]),
            r#"{"responses":[{"result":{"offset":1,"epoch":"abcd"}},{"error":{"code":107,"message":"bad request"}}]}"#,
        ),
        (
            Told::History { publications: vec![deleted, publication], position: position(2) },
            r#"{"publications":[{"offset":1,"time":0,"data":null},{"offset":2,"time":5,"data":{"b":1.50,"a":"\u00e9"},"info":{"client":"c","user":"u","conn_info":{"n": 1}},"tags":{"t":"v"}}],"offset":2,"epoch":"abcd"}"#,
        ),
        (
            Told::Presence([("c".into(), client), ("d".into(), nobody)].into()),
            r#"{"presence":{"c":{"client":"c","user":"u","conn_info":{"n": 1}},"d":{"client":"d","user":""}}}"#,
        ),
        (Told::PresenceStats { clients: 3, users: 2 }, r#"{"num_clients":3,"num_users":2}"#),
        (Told::Channels([("a".into(), 3)].into()), r#"{"channels":{"a":{"num_clients":3}}}"#),
        (
            Told::Info(api::NodeInfo {
                name: "n".into(),
                version: "v".into(),
                clients: 1,
                ..Default::default()
            }),
            r#"{"nodes":[{"uid":"n","name":"n","version":"v","num_clients":1,"num_users":0,"num_channels":0,"num_subs":0,"uptime":0}]}"#,
        ),
    ];
    for (answer, expected) in table {
        let seen = told(Ok(answer)).send(call("info", "{}"));
        assert_eq!(seen.body(), format!("{{\"result\":{expected}}}\n"));
    }
}

#[test]
fn what_cannot_be_understood_is_said_and_asks_nobody() {
    let table = [
        (call("publish", "{"), 400, "not as expected"),
        (call("publish", "[]"), 400, "not as expected"),
        (call("publish", "{\"channel\":1,\"data\":{}}"), 400, "not as expected"),
        (call("publish", "{\"channel\":\"a\"}"), 400, "data is missing"),
        (call("publish", "{\"channel\":\"a\",\"data\":null}"), 400, "data is missing"),
        (call("publish", "{\"data\":1}"), 400, "channel is missing"),
        (call("publish", "{\"channel\":\"\",\"data\":1}"), 400, "channel is missing"),
        (call("publish", "{\"channel\":\"a\",\"data\":1,\"skip_history\":true}"), 400, "not supported"),
        (call("publish", "{\"channel\":\"a\",\"b64data\":\"AAAA\"}"), 400, "not supported"),
        (call("publish", &("[".repeat(100_000))), 400, "not as expected"),
        (call("broadcast", "{\"data\":1}"), 400, "channels is missing"),
        (call("history", "{\"channel\":\"a\",\"since\":{\"offset\":-1}}"), 400, "not as expected"),
        (call("disconnect", "{}"), 400, "user and client are missing"),
        (call("unsubscribe", "{\"user\":\"u\"}"), 400, "channel is missing"),
        (call("info", "7"), 400, "not as expected"),
        (call("nonsense", "{}"), 404, "there is no method nonsense"),
        (call("", "{}"), 404, "there is no method"),
        (call("publish", &format!("{{\"channel\":\"{}\"}}", "a".repeat(1 << 20))), 413, "longer than"),
        (post("/api/publish", &[JSON, ("origin", "http://evil.example")], "{}"), 403, "evil.example"),
        (post("/api/publish", &[JSON, ("origin", "null")], "{}"), 403, "null"),
        (post("/api/publish", &[JSON, ("sec-fetch-site", "cross-site")], "{}"), 403, "another site"),
        (post("/api/publish", &[JSON, ("host", "evil.example")], "{}"), 403, "evil.example"),
        (post("/api/publish", &[], "{}"), 415, "application/json"),
        (post("/api/publish", &[("content-type", "text/plain")], "{}"), 415, "application/json"),
    ];
    for (request, status, words) in table {
        let shown = format!("{} {:?}", request.uri(), &request.body()[..request.body().len().min(60)]);
        let seen = Visit::default().send(request);
        assert_eq!(seen.status(), status, "{shown}: {}", seen.body());
        assert!(
            seen.body().starts_with("{\"error\":{\"code\":") && seen.body().contains(words),
            "{}",
            seen.body()
        );
        assert_eq!(seen.asked, [], "{shown}");
    }
    let seen = Visit::default().send(get("/api/publish", &[JSON]));
    assert_eq!((seen.status(), seen.header("allow")), (405, "POST"));
}

#[test]
fn a_key_opens_the_api_and_its_lack_closes_it() {
    let config = Config { api_key: Some("secret".into()), ..Config::default() };
    let locked = || Visit {
        config: config.clone(),
        here: Circumstances { tokens: true, loopback: false },
        ..Visit::default()
    };
    let with = |fields| locked().send(post("/api/info", fields, "{}"));
    assert_eq!(with(&[("x-api-key", "secret"), ("host", "any.example")]).status(), 200);
    assert_eq!(with(&[("authorization", "apikey secret")]).status(), 200);
    for fields in [&[][..], &[("x-api-key", "wrong")], &[("authorization", "Bearer secret")]] {
        let seen = with(fields);
        assert_eq!(seen.status(), 401, "{}", seen.body());
        assert_eq!(seen.asked, []);
    }
    let closed = Visit { here: Circumstances { tokens: false, loopback: false }, ..Visit::default() };
    let seen = closed.send(call("info", "{}"));
    assert_eq!(seen.status(), 403);
    assert!(seen.body().contains("--api-key"), "{}", seen.body());
}

const HANDSHAKE: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[test]
fn the_websocket_door_opens_for_our_own_pages_and_for_programs() {
    let knock = |config: Config, more: &[(&str, &str)]| {
        let fields: Vec<_> = HANDSHAKE.iter().chain(more).copied().collect();
        Visit { config, ..Visit::default() }.send(get("/connection/websocket", &fields))
    };
    let seen = knock(Config::default(), &[]);
    assert_eq!((seen.status(), seen.header("sec-websocket-accept")), (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(seen.counts.handshakes.read(), [("accepted", 1)].into());
    assert_eq!(knock(Config::default(), &[("origin", "http://localhost:8000")]).status(), 101);
    let seen = knock(Config::default(), &[("origin", "http://evil.example")]);
    assert_eq!(seen.status(), 403);
    assert!(seen.body().contains("--allow-origin http://evil.example"), "{}", seen.body());
    assert_eq!(seen.counts.handshakes.read(), [("origin", 1)].into());
    let friends = Config { allowed_origins: vec!["http://friend.example".into()], ..Config::default() };
    assert_eq!(knock(friends, &[("origin", "http://friend.example")]).status(), 101);

    let seen = Visit::default().send(get("/connection/websocket", &[]));
    assert_eq!((seen.status(), seen.header("sec-websocket-version")), (426, "13"));
    assert_eq!(seen.counts.handshakes.read(), [("upgrade", 1)].into());
    let seen = Visit::default().send(post("/connection/websocket", &HANDSHAKE, ""));
    assert_eq!(seen.status(), 405);
}

/// What `docs/` says of this door.
mod documents {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::doors::http::api::METHODS;

    fn openapi() -> Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    #[test]
    fn the_openapi_document_has_every_route_and_no_other() {
        let document = openapi();
        let documented: BTreeSet<_> = document["paths"].as_object().unwrap().keys().cloned().collect();
        let methods = METHODS.iter().map(|method| format!("/api/{method}"));
        let streams = ["/connection/http_stream", "/connection/sse", "/emulation"].map(String::from);
        let routes = ["/", "/connection/websocket", "/health", "/metrics"].map(String::from);
        assert_eq!(documented, methods.chain(streams).chain(routes).collect());
    }

    #[test]
    fn every_route_answers_as_the_openapi_document_says() {
        let document = openapi();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let statuses: BTreeSet<_> =
                    operation["responses"].as_object().unwrap().keys().cloned().collect();
                let method = Method::try_from(method.to_ascii_uppercase().as_str()).unwrap();
                let knock = |fields: &[_], body| {
                    let request = Request::builder().method(method.clone()).uri(path);
                    Visit::default().send(build(request, fields, body)).status().to_string()
                };
                for status in
                    [knock(&[], ""), knock(&[JSON], "{}"), knock(&[JSON], "{"), knock(&HANDSHAKE, "")]
                {
                    assert!(
                        statuses.contains(&status),
                        "{method} {path} answered {status}, not of {statuses:?}"
                    );
                }
                let other = if method == Method::POST { Method::GET } else { Method::POST };
                // One takes several methods, the other explains itself.
                if path != "/connection/sse" && path != "/connection/websocket" {
                    let request = Request::builder().method(other).uri(path);
                    assert_eq!(Visit::default().send(build(request, &[JSON], "{}")).status(), 405, "{path}");
                }
            }
        }
    }

    #[test]
    fn every_reference_in_the_openapi_document_leads_somewhere() {
        fn walk(document: &Value, value: &Value) {
            match value {
                Value::Object(fields) => {
                    if let Some(Value::String(reference)) = fields.get("$ref") {
                        let pointer = reference.strip_prefix('#').unwrap();
                        assert!(document.pointer(pointer).is_some(), "{reference}");
                    }
                    fields.values().for_each(|value| walk(document, value));
                }
                Value::Array(values) => values.iter().for_each(|value| walk(document, value)),
                _ => {}
            }
        }
        let document = openapi();
        walk(&document, &document);
    }

    /// What `curl` would send.
    fn request(line: &str) -> (Request<Bytes>, bool) {
        let mut quoted = line.split('\'');
        let mut words: Vec<String> = Vec::new();
        while let Some(plain) = quoted.next() {
            words.extend(plain.split_whitespace().map(String::from));
            words.extend(quoted.next().map(String::from));
        }
        let mut words = words.into_iter();
        assert_eq!(words.next().as_deref(), Some("curl"));
        let url = words.next().unwrap();
        let path = url.strip_prefix("http://127.0.0.1:8000").expect("the default address").to_owned();
        let (mut fields, mut body) = (Vec::new(), None);
        while let Some(option) = words.next() {
            let value = words.next().unwrap();
            match option.as_str() {
                "-H" => {
                    let (name, value) = value.split_once(": ").unwrap();
                    fields.push((name.to_ascii_lowercase(), value.to_owned()));
                }
                "-d" => body = Some(value),
                other => panic!("{other} in {line}"),
            }
        }
        let locked = line.contains("KEY");
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        (
            match body {
                Some(body) => post(&path, &fields, &body),
                None => get(&path, &fields),
            },
            locked,
        )
    }

    #[test]
    fn every_curl_line_of_the_guide_works() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/http-api.md");
        let guide = std::fs::read_to_string(path).unwrap().replace("\\\n", "");
        let lines: Vec<_> = guide.lines().filter(|line| line.starts_with("curl ")).collect();
        assert!(lines.len() > 10);
        let mut called = BTreeSet::new();
        for line in lines {
            let (request, locked) = request(line);
            called.extend(request.uri().path().strip_prefix("/api/").map(String::from));
            let config = Config { api_key: locked.then(|| "KEY".into()), ..Config::default() };
            let seen = Visit { config, ..Visit::default() }.send(request);
            assert_eq!(seen.status(), 200, "{line}: {}", seen.body());
        }
        let missing: Vec<_> = METHODS.iter().filter(|method| !called.contains(**method)).collect();
        assert_eq!(missing, [&"channels"], "methods without a curl line");
    }
}

#[test]
fn a_streaming_door_takes_the_first_commands_and_lets_allowed_pages_read() {
    let connect = "{\"id\":1,\"connect\":{}}";
    let host = ("host", "localhost:8000");
    let seen = Visit::default().send(post("/connection/http_stream", &[host], connect));
    assert_eq!((seen.status(), seen.body(), seen.header("x-accel-buffering")), (200, connect, "no"));
    let seen = Visit::default().send(get("/connection/sse?cf_connect=%7B%7D", &[host]));
    assert_eq!((seen.status(), seen.body()), (200, "{}"));
    assert_eq!(seen.header("content-type"), "text/event-stream; charset=utf-8");
    assert_eq!(Visit::default().send(get("/connection/sse", &[host])).status(), 400);
    assert_eq!(Visit::default().send(get("/connection/http_stream", &[host])).status(), 405);
    for path in ["/connection/http_stream", "/connection/sse", "/emulation"] {
        let other = [host, ("origin", "https://other.example")];
        assert_eq!(Visit::default().send(post(path, &other, connect)).status(), 403, "{path}");
        let config = Config { allowed_origins: vec!["https://other.example".into()], ..Config::default() };
        let request = Request::options(path).header(host.0, host.1).header(other[1].0, other[1].1);
        let seen = Visit { config, ..Visit::default() }.send(request.body(Bytes::new()).unwrap());
        assert_eq!(seen.status(), 204);
        assert_eq!(seen.header("access-control-allow-origin"), "https://other.example");
        assert_eq!(seen.header("access-control-allow-headers"), "content-type");
    }
}

#[test]
fn what_a_streaming_client_says_finds_its_session() {
    let post = |body| Visit::default().send(post("/emulation", &[("host", "localhost")], body)).status();
    assert_eq!(post(r#"{"session": "known", "node": "n", "data": "{}"}"#), 204);
    assert_eq!(post(r#"{"session": "other", "node": "n", "data": "{}"}"#), 404);
    assert_eq!(post(r#"{"session": "known"}"#), 400);
    assert_eq!(post("nonsense"), 400);
}

#[test]
fn the_calls_of_a_batch_are_made_one_after_the_other() {
    let body = r#"{"commands": [{"publish": {"channel": "a", "data": 1}}, {"publish": {}}, {}, {"nothing": {}},
        {"subscribe": {"channel": "a", "user": "ada"}}, {"refresh": {"user": "ada", "expire_at": 7}}]}"#;
    let seen = told(Ok(Told::Published(position(3)))).send(call("batch", body));
    let replies: serde_json::Value = serde_json::from_str(seen.body()).unwrap();
    let replies = replies["replies"].as_array().unwrap();
    assert_eq!(replies.len(), 6);
    assert_eq!(replies[0]["publish"]["offset"], 3);
    for wrong in &replies[1..4] {
        assert_eq!(wrong["error"]["code"], 107, "{wrong}");
    }
    let target = api::Target { user: "ada".into(), client: String::new() };
    let until = api::Refresh::Until(host::WallTime::from_unix_millis(7000));
    assert_eq!(seen.asked[1], api::Request::Subscribe { channel: "a".into(), target: target.clone() });
    assert_eq!(seen.asked[2], api::Request::Refresh { target, refresh: until });
    let many = format!(r#"{{"commands": [{}]}}"#, vec![r#"{"info": {}}"#; 1001].join(","));
    assert_eq!(Visit::default().send(call("batch", &many)).status(), 400);
}
