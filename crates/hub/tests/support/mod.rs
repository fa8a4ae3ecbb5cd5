//! A machine of shards in a test: hubs, a store, and clients that are scripts. Nothing here waits for real time.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use host::{Instant, Random, Shard, WallTime};
use hub::store::{Limit, Memory, Record, Reply, Request, Start, Store, run};
use hub::{Authenticator, Config, Counters, Hub, Input, Output, Protocol, SessionId, ShardMessage, api};
use serde_json::{Value, json};

/// Where a client is: its shard and its session there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client {
    pub shard: usize,
    pub session: SessionId,
}

pub struct Machine {
    pub hubs: Vec<Hub>,
    pub store: Box<dyn Store>,
    pub now: Instant,
    pub wall: WallTime,
    /// Lines that came for each client and were not taken yet.
    lines: BTreeMap<Client, VecDeque<Value>>,
    /// Frames that came for each client.
    pub frames: BTreeMap<Client, usize>,
    pub closed: BTreeMap<Client, u16>,
    pub mailboxes: BTreeMap<(usize, usize), VecDeque<ShardMessage>>,
    /// Requests of each shard that the store has not run yet.
    pub store_queue: Vec<VecDeque<Request>>,
    /// Answers of the store that have not come back yet.
    pub store_replies: Vec<VecDeque<Reply>>,
    pub api_replies: BTreeMap<u64, api::Reply>,
    next_index: u32,
    next_ticket: u64,
}

impl Machine {
    pub fn new(shards: usize) -> Self {
        Self::with(shards, &Config::default(), || None)
    }

    pub fn configured(shards: usize, configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        configure(&mut config);
        Self::with(shards, &config, || None)
    }

    pub fn with(
        shards: usize,
        config: &Config,
        authenticator: impl Fn() -> Option<Box<dyn Authenticator>>,
    ) -> Self {
        let hubs = (0..shards).map(|index| {
            let shard = Shard { index, count: shards };
            Hub::new(config.clone(), shard, Random::from_seed([index as u8 + 1; 32]), authenticator())
        });
        Self {
            hubs: hubs.collect(),
            store: Box::new(Memory::default()),
            now: Instant::from_nanos(1_000_000_000),
            wall: WallTime::from_unix_millis(1_700_000_000_000),
            lines: BTreeMap::new(),
            frames: BTreeMap::new(),
            closed: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            store_queue: vec![VecDeque::new(); shards],
            store_replies: vec![VecDeque::new(); shards],
            api_replies: BTreeMap::new(),
            next_index: 0,
            next_ticket: 0,
        }
    }

    /// Ends all hubs and starts new ones over the same store, as a restart of the process does.
    pub fn restart(&mut self, config: &Config, seed: u8) {
        let shards = self.hubs.len();
        for (index, hub) in self.hubs.iter_mut().enumerate() {
            let shard = Shard { index, count: shards };
            *hub = Hub::new(config.clone(), shard, Random::from_seed([seed + index as u8; 32]), None);
        }
        self.mailboxes.clear();
        self.store_queue = vec![VecDeque::new(); shards];
        self.store_replies = vec![VecDeque::new(); shards];
    }

    pub fn input(&mut self, shard: usize, input: Input<'_>) {
        let mut outputs = Vec::new();
        self.hubs[shard].handle(self.now, self.wall, input, &mut outputs);
        self.take(shard, outputs);
    }

    fn take(&mut self, shard: usize, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Send { session, frame, protocol: _ } => {
                    self.deliver(Client { shard, session }, &frame);
                }
                Output::Fanout { sessions, frame, protocol: _ } => {
                    for session in sessions {
                        self.deliver(Client { shard, session }, &frame);
                    }
                }
                // Of documents, which nobody opens here.
                Output::Identified { .. } | Output::Binary { .. } | Output::DocumentReply { .. } => {}
                Output::Close { session, code, reason } => {
                    assert!(!reason.is_empty() && reason.len() < 120);
                    assert_eq!(self.closed.insert(Client { shard, session }, code), None, "closed twice");
                }
                Output::Shard { to, message } => {
                    assert_ne!(to, shard);
                    self.mailboxes.entry((shard, to)).or_default().push_back(message);
                }
                Output::Store { request } => self.store_queue[shard].push_back(request),
                Output::Api { ticket, reply } => {
                    assert_eq!(self.api_replies.insert(ticket, reply), None, "answered twice");
                }
            }
        }
    }

    fn deliver(&mut self, client: Client, frame: &[u8]) {
        assert!(!self.closed.contains_key(&client), "a frame after the close");
        *self.frames.entry(client).or_default() += 1;
        let text = std::str::from_utf8(frame).expect("a frame is UTF-8");
        for line in text.split('\n') {
            let line = serde_json::from_str(line).expect("a line is JSON");
            self.lines.entry(client).or_default().push_back(line);
        }
    }

    /// Hands over one message between shards, or runs one request of the store, or hands back one reply of it.
    pub fn step(&mut self, choice: usize) -> bool {
        let mut steps: Vec<(usize, usize, usize)> = Vec::new();
        steps.extend(
            self.mailboxes.iter().filter(|(_, queue)| !queue.is_empty()).map(|(&(f, t), _)| (0, f, t)),
        );
        steps.extend((0..self.hubs.len()).filter(|&s| !self.store_queue[s].is_empty()).map(|s| (1, s, 0)));
        steps.extend((0..self.hubs.len()).filter(|&s| !self.store_replies[s].is_empty()).map(|s| (2, s, 0)));
        if steps.is_empty() {
            return false;
        }
        match steps[choice % steps.len()] {
            (0, from, to) => {
                let message = self.mailboxes.get_mut(&(from, to)).and_then(VecDeque::pop_front).unwrap();
                self.input(to, Input::Shard { from, message });
            }
            (1, shard, _) => {
                let request = self.store_queue[shard].pop_front().unwrap();
                let replies = run(&mut *self.store, vec![request]);
                self.store_replies[shard].extend(replies);
            }
            (_, shard, _) => {
                let reply = self.store_replies[shard].pop_front().unwrap();
                self.input(shard, Input::Stored { reply });
            }
        }
        true
    }

    /// Lets everything that is under way come to its end.
    pub fn settle(&mut self) {
        while self.step(0) {}
    }

    /// Lets time pass, with all timeouts that are due meanwhile.
    pub fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(due) = self.hubs.iter().filter_map(Hub::poll_timeout).min().filter(|&due| due <= end) {
            self.advance_to(self.now.max(due));
            for shard in 0..self.hubs.len() {
                let mut outputs = Vec::new();
                self.hubs[shard].handle_timeout(self.now, self.wall, &mut outputs);
                self.take(shard, outputs);
            }
            let next = self.hubs.iter().filter_map(Hub::poll_timeout).min();
            assert!(next.is_none_or(|next| next > self.now), "a timeout that changes nothing");
        }
        self.advance_to(end);
    }

    fn advance_to(&mut self, now: Instant) {
        let passed = now.since(self.now).as_nanos() as u64;
        self.now = now;
        self.wall = WallTime::from_unix_nanos(self.wall.unix_nanos() + passed);
    }

    /// Opens a connection on a shard.
    pub fn open(&mut self, shard: usize) -> Client {
        let session = SessionId { index: self.next_index, generation: 1 };
        self.next_index += 1;
        let remote = "127.0.0.1:4000".parse().unwrap();
        self.input(shard, Input::Connected { session, remote, protocol: Protocol::Json, name: None });
        Client { shard, session }
    }

    pub fn disconnect(&mut self, client: Client) {
        self.input(client.shard, Input::Disconnected { session: client.session });
    }

    pub fn send(&mut self, client: Client, lines: &str) {
        self.input(client.shard, Input::Received { session: client.session, bytes: lines.as_bytes() });
    }

    pub fn command(&mut self, client: Client, command: &Value) {
        self.send(client, &command.to_string());
    }

    /// Opens a connection, and connects as a user with this name and key.
    pub fn join(&mut self, shard: usize, name: &str) -> Client {
        let client = self.open(shard);
        let reply = self.call(client, "connect", json!({"data": {"name": name, "key": name}}));
        assert!(reply["connect"]["client"].is_string(), "{reply}");
        client
    }

    /// Sends a command, and returns its reply once everything has come to its end.
    pub fn call(&mut self, client: Client, kind: &str, request: Value) -> Value {
        self.next_ticket += 1;
        let id = self.next_ticket;
        self.command(client, &json!({"id": id, kind: request}));
        self.settle();
        self.reply(client, id)
    }

    pub fn rpc(&mut self, client: Client, method: &str, data: Value) -> Value {
        self.call(client, "rpc", json!({"method": method, "data": data}))
    }

    /// Takes the reply with this id out of what came for the client.
    pub fn reply(&mut self, client: Client, id: u64) -> Value {
        let lines = self.lines.entry(client).or_default();
        let found = lines.iter().position(|line| line["id"] == json!(id));
        found.and_then(|place| lines.remove(place)).unwrap_or(Value::Null)
    }

    /// Takes all lines that came for the client.
    pub fn lines(&mut self, client: Client) -> Vec<Value> {
        self.lines.remove(&client).unwrap_or_default().into()
    }

    /// Takes all publications that were pushed to the client.
    pub fn publications(&mut self, client: Client) -> Vec<Value> {
        let lines = self.lines(client).into_iter();
        lines.filter_map(|mut line| line["push"].get_mut("pub").map(Value::take)).collect()
    }

    pub fn api(&mut self, shard: usize, request: api::Request) -> api::Reply {
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        self.input(shard, Input::Api { ticket, request });
        self.settle();
        self.api_replies.remove(&ticket).expect("the request was answered")
    }

    pub fn counters(&self, shard: usize) -> Counters {
        self.hubs[shard].counters()
    }
}

/// All that is stored of a room.
pub fn stored(store: &mut dyn Store, channel: &str) -> Vec<Record> {
    let all = Limit { records: usize::MAX, bytes: usize::MAX };
    store.read(channel, Start::After(0), all).unwrap()
}

pub fn publication(data: &str) -> api::NewPublication {
    api::NewPublication { data: data.to_owned().into(), ..api::NewPublication::default() }
}
