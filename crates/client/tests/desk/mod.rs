//! A server of one process and few words, enough of the protocol to be a client's other half.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use host::{Host, Instant, ListenOptions, Listener, Network, Runtime, sleep};
use lab::LabHost;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use websocket::handshake::server::{self, Options};
use websocket::{End, Limits, Role, WebSocket};

/// What the server knows, and what tests may look at.
pub(crate) struct Desk(Mutex<State>);

struct State {
    /// Ids and texts, in order: the offset of the first is 1.
    publications: Vec<(String, Value)>,
    live: broadcast::Sender<Value>,
    /// Publish commands that came with an id which was known already.
    pub(crate) repeated: usize,
    pub(crate) connections: usize,
    pub(crate) ends: Vec<End>,
    /// Seconds between pings.
    pub(crate) ping: u64,
    /// Older publications cannot be recovered.
    pub(crate) kept_from: u64,
}

impl Desk {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            publications: Vec::new(),
            live: broadcast::channel(100_000).0,
            repeated: 0,
            connections: 0,
            ends: Vec::new(),
            ping: 25,
            kept_from: 1,
        })))
    }

    pub(crate) fn forget_until(&self, offset: u64) {
        self.lock().kept_from = offset;
    }

    pub(crate) fn repeated(&self) -> usize {
        self.lock().repeated
    }

    pub(crate) fn connections(&self) -> usize {
        self.lock().connections
    }

    pub(crate) fn ends(&self) -> Vec<End> {
        self.lock().ends.clone()
    }

    /// Publishes from behind.
    pub(crate) fn publish(&self, data: Value) -> u64 {
        self.lock().publish(String::new(), data)
    }

    /// Serves at `address`, as long as the lab lets it.
    pub(crate) async fn serve(self: Arc<Self>, host: LabHost, address: SocketAddr) {
        let mut listener = host.listen(address, ListenOptions::default()).await.expect("the address is free");
        loop {
            let Ok(connection) = listener.accept().await else { continue };
            let (desk, runtime) = (self.clone(), host.clone());
            host.spawn_detached(async move {
                let Ok(opened) = server::accept(connection, &runtime, &Options::default()).await else {
                    return;
                };
                let socket = WebSocket::new(
                    opened.connection,
                    runtime.clone(),
                    Role::Server,
                    Limits { keepalive: None, ..Limits::default() },
                    None,
                    opened.already_read,
                );
                desk.lock().connections += 1;
                let end = desk.converse(&runtime, socket).await;
                desk.lock().ends.push(end);
            });
        }
    }

    async fn converse<H: Host>(&self, host: &H, mut socket: WebSocket<H::Connection, H>) -> End {
        let mut live: Option<broadcast::Receiver<Value>> = None;
        let ping = Duration::from_secs(self.lock().ping);
        let mut due: Instant = host.now() + ping;
        loop {
            let wait = due.since(host.now());
            let texts = tokio::select! {
                biased;
                message = socket.next() => match message {
                    Ok(Some(message)) => {
                        let text = message.as_text().expect("the protocol is text").to_owned();
                        text.lines().map(|line| self.answer(line, &mut live)).collect()
                    }
                    Ok(None) => return socket.end().cloned().expect("it is over"),
                    Err(end) => return end,
                },
                Ok(push) = async { live.as_mut().expect("checked").recv().await }, if live.is_some() => vec![push],
                () = sleep(host, wait) => {
                    due = host.now() + ping;
                    vec![json!({})]
                }
            };
            for text in texts.into_iter().filter(|text| !text.is_null()) {
                if let Err(end) = socket.send(text.to_string()).await {
                    return end;
                }
            }
        }
    }

    fn answer(&self, line: &str, live: &mut Option<broadcast::Receiver<Value>>) -> Value {
        let command: Value = serde_json::from_str(line).expect("commands are JSON");
        let id = &command["id"];
        let mut state = self.lock();
        if command["connect"].is_object() {
            json!({"id": id, "connect": {"client": "c", "version": "desk", "ping": state.ping, "pong": true}})
        } else if command["subscribe"].is_object() {
            let asked = &command["subscribe"];
            let since = asked["offset"].as_u64().unwrap_or(0);
            let recover = asked["recover"] == true;
            let recovered = recover && since + 1 >= state.kept_from;
            let missed: Vec<Value> = if recovered { state.after(since) } else { Vec::new() };
            *live = Some(state.live.subscribe());
            json!({"id": id, "subscribe": {
                "recoverable": true, "positioned": true, "epoch": "e", "offset": state.publications.len(),
                "recovered": recovered, "was_recovering": recover, "publications": missed,
            }})
        } else if command["rpc"].is_object() {
            let asked = &command["rpc"]["data"];
            let key = asked["id"].as_str().expect("an id").to_owned();
            let offset = match state.publications.iter().position(|(known, _)| *known == key) {
                Some(index) => {
                    state.repeated += 1;
                    index as u64 + 1
                }
                None => state.publish(key, asked["data"].clone()),
            };
            json!({"id": id, "rpc": {"data": {"offset": offset, "epoch": "e"}}})
        } else if command["history"].is_object() {
            json!({"id": id, "history": {
                "publications": state.after(0), "epoch": "e", "offset": state.publications.len(),
            }})
        } else {
            Value::Null
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics with it")
    }
}

impl State {
    fn publish(&mut self, id: String, data: Value) -> u64 {
        self.publications.push((id, data.clone()));
        let offset = self.publications.len() as u64;
        let push = json!({"push": {"channel": "room", "pub": {"data": data, "offset": offset}}});
        // Nobody listens yet, perhaps.
        let _ = self.live.send(push);
        offset
    }

    fn after(&self, since: u64) -> Vec<Value> {
        let all = self.publications.iter().zip(1_u64..);
        all.filter(|(_, offset)| *offset > since)
            .map(|((_, data), offset)| json!({"data": data, "offset": offset}))
            .collect()
    }
}
