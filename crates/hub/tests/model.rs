//! Random histories of a room, held against what any reader of the guarantees would expect.
//!
//! Clients publish, repeat themselves, are cut off, come back and recover; messages between shards are late or lost, and
//! answers of the store are late; writes fail, with and without having been done; the process dies and starts again. Whatever happens,
//! each client sees every publication after its first position exactly once and in order.

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hub::store::{Limit, Memory, Record, Start, Store, StoreError, StoredRoom, Write};
use hub::{Config, Input};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{Client, Machine};

const USERS: usize = 4;
const ROOM: &str = "room";

#[derive(Clone, Debug)]
enum Step {
    /// This user publishes something new.
    Publish(usize),
    /// This user publishes again what it published before.
    Repeat(usize, prop::sample::Index),
    CutOff(usize),
    /// This user connects to this shard, unless it is connected.
    ComeBack(usize, usize),
    Unsubscribe(usize),
    /// One thing under way goes on.
    Deliver(usize),
    /// The next write fails in this way.
    FailWrite(Failure),
    /// The next look at what is there fails.
    FailLoad,
    /// What is under way from one shard to the other is lost, and the other learns that.
    Lose(usize),
    /// Time passes.
    Pass(u16),
    /// The process dies, and another starts.
    Restart,
}

#[derive(Clone, Copy, Debug)]
enum Failure {
    Undone,
    Done,
}

fn steps() -> impl Strategy<Value = Step> {
    let user = 0..USERS;
    prop_oneof![
        8 => user.clone().prop_map(Step::Publish),
        2 => (user.clone(), any::<prop::sample::Index>()).prop_map(|(user, which)| Step::Repeat(user, which)),
        2 => user.clone().prop_map(Step::CutOff),
        4 => (user.clone(), 0..2_usize).prop_map(|(user, shard)| Step::ComeBack(user, shard)),
        1 => user.prop_map(Step::Unsubscribe),
        20 => any::<u8>().prop_map(|choice| Step::Deliver(choice.into())),
        1 => prop_oneof![Just(Failure::Undone), Just(Failure::Done)].prop_map(Step::FailWrite),
        1 => Just(Step::FailLoad),
        1 => (0..2_usize).prop_map(Step::Lose),
        1 => (0..3000_u16).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

/// A store in memory that fails when told to, and outlives the process.
#[derive(Clone, Default)]
struct Shaky(Arc<Mutex<Shaken>>);

#[derive(Default)]
struct Shaken {
    memory: Memory,
    write: Option<Failure>,
    load: bool,
}

fn broken() -> StoreError {
    StoreError::Io(std::io::ErrorKind::Other, "the test says so".into())
}

impl Store for Shaky {
    fn load(&mut self, channel: &str, limit: Limit) -> Result<Option<StoredRoom>, StoreError> {
        let mut shaken = self.0.lock().unwrap();
        if std::mem::take(&mut shaken.load) {
            return Err(broken());
        }
        shaken.memory.load(channel, limit)
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        let mut shaken = self.0.lock().unwrap();
        match shaken.write.take() {
            None => shaken.memory.commit(writes),
            Some(Failure::Undone) => Err(broken()),
            Some(Failure::Done) => {
                shaken.memory.commit(writes)?;
                Err(broken())
            }
        }
    }

    fn read(&mut self, channel: &str, start: Start, limit: Limit) -> Result<Vec<Record>, StoreError> {
        self.0.lock().unwrap().memory.read(channel, start, limit)
    }

    fn rooms(&mut self, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        self.0.lock().unwrap().memory.rooms(after, limit)
    }
}

#[derive(Default)]
struct User {
    client: Option<Client>,
    /// Offset and epoch, once it was in the room.
    position: Option<(u64, String)>,
    /// Whether it is in the room now.
    is_in: bool,
    /// All that it saw, in the order it saw it: offset and id.
    seen: Vec<(u64, String)>,
    /// The ids of what it published.
    published: Vec<String>,
}

struct Model {
    machine: Machine,
    config: Config,
    store: Shaky,
    users: Vec<User>,
    /// Ids and the offsets with which they were acknowledged.
    acknowledged: BTreeMap<String, u64>,
    /// Commands by their ids: what was published.
    commands: BTreeMap<u64, String>,
    next: u64,
    restarts: u8,
}

impl Model {
    fn new(shards: usize, mut config: Config) -> Self {
        config.history.id_lifetime = Duration::from_secs(100_000);
        let store = Shaky::default();
        let mut machine = Machine::with(shards, &config, || None);
        machine.store = Box::new(store.clone());
        let users = (0..USERS).map(|_| User::default()).collect();
        let (acknowledged, commands) = (BTreeMap::new(), BTreeMap::new());
        Self { machine, config, store, users, acknowledged, commands, next: 1000, restarts: 0 }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Publish(user) => {
                self.next += 1;
                let id = format!("message-{}", self.next);
                self.users[user].published.push(id.clone());
                self.publish(user, id);
            }
            Step::Repeat(user, which) => {
                if !self.users[user].published.is_empty() {
                    let id = which.get(&self.users[user].published).clone();
                    self.publish(user, id);
                }
            }
            Step::CutOff(user) => {
                if let Some(client) = self.users[user].client.take() {
                    self.look(user, client);
                    self.machine.disconnect(client);
                    self.users[user].is_in = false;
                }
            }
            Step::ComeBack(user, shard) => {
                if self.users[user].client.is_none() {
                    let client = self.machine.open(shard % self.machine.hubs.len());
                    let connect = json!({"id": 1, "connect": {"data": {"key": user.to_string()}}});
                    self.machine.command(client, &connect);
                    self.users[user].client = Some(client);
                }
                self.subscribe(user);
            }
            Step::Unsubscribe(user) => {
                if let Some(client) = self.users[user].client.filter(|_| self.users[user].is_in) {
                    self.look(user, client);
                    self.machine.command(client, &json!({"id": 3, "unsubscribe": {"channel": ROOM}}));
                    self.look(user, client);
                    self.users[user].is_in = false;
                }
            }
            Step::Deliver(choice) => {
                self.machine.step(choice);
            }
            Step::FailWrite(failure) => self.store.0.lock().unwrap().write = Some(failure),
            Step::FailLoad => self.store.0.lock().unwrap().load = true,
            Step::Lose(from) => {
                let lost = self.machine.mailboxes.remove(&(from, 1 - from)).unwrap_or_default();
                if !lost.is_empty() {
                    self.machine.input(1 - from, Input::ShardLagged { from });
                }
            }
            Step::Pass(milliseconds) => self.machine.pass(Duration::from_millis(milliseconds.into())),
            Step::Restart => {
                self.look_all();
                for user in &mut self.users {
                    user.client = None;
                    user.is_in = false;
                }
                self.restarts += 1;
                self.machine.restart(&self.config, 10 * self.restarts);
            }
        }
        self.look_all();
        let limit = self.config.limits.total_waiting_bytes as u64;
        for shard in 0..self.machine.hubs.len() {
            assert!(self.machine.counters(shard).waiting_bytes <= limit);
        }
    }

    fn publish(&mut self, user: usize, id: String) {
        if let Some(client) = self.users[user].client {
            self.next += 1;
            let data = json!({"id": id, "channel": ROOM, "data": id});
            let command = json!({"id": self.next, "rpc": {"method": "publish", "data": data}});
            self.commands.insert(self.next, id);
            self.machine.command(client, &command);
        }
    }

    fn subscribe(&mut self, user: usize) {
        let User { client: Some(client), is_in: false, position, .. } = &self.users[user] else { return };
        let mut request = json!({"channel": ROOM});
        if let Some((offset, epoch)) = position {
            request = json!({"channel": ROOM, "recover": true, "offset": offset, "epoch": epoch});
        }
        let command = json!({"id": 2, "subscribe": request});
        self.machine.command(*client, &command);
    }

    fn look_all(&mut self) {
        for user in 0..USERS {
            if let Some(client) = self.users[user].client {
                self.look(user, client);
                if let Some(code) = self.machine.closed.get(&client) {
                    assert_eq!(*code, 3010, "nothing else is to close anybody here");
                    self.users[user].client = None;
                    self.users[user].is_in = false;
                }
            }
        }
    }

    /// Takes in what came for a user, and holds it against what it saw before.
    fn look(&mut self, user: usize, client: Client) {
        for line in self.machine.lines(client) {
            if line == json!({}) {
                self.machine.send(client, "{}");
            } else if line["push"].is_object() {
                if let Some(publication) = line["push"].get("pub") {
                    assert!(self.users[user].is_in, "a publication outside of a subscription: {line}");
                    self.see(user, publication);
                } else {
                    assert_eq!(line["push"]["unsubscribe"]["code"], json!(2500), "{line}");
                    panic!("nobody is to be put out here: {line}");
                }
            } else if line["id"] == json!(2) {
                self.subscribed(user, &line);
            } else if let Some(id) = line["id"].as_u64().and_then(|id| self.commands.get(&id)) {
                if let Some(offset) = line["rpc"]["data"]["offset"].as_u64() {
                    let before = self.acknowledged.insert(id.clone(), offset);
                    assert!(before.is_none_or(|before| before == offset), "two offsets for {id}");
                } else {
                    assert!(line["error"]["code"].is_u64(), "{line}");
                }
            }
        }
    }

    fn subscribed(&mut self, user: usize, line: &Value) {
        if line["error"].is_object() {
            // Already in, or the store refused, or too late: it may come again.
            return;
        }
        let reply = &line["subscribe"];
        self.users[user].is_in = true;
        let offset = reply["offset"].as_u64().unwrap();
        let epoch = reply["epoch"].as_str().unwrap().to_owned();
        match self.users[user].position.clone() {
            Some((before, _)) => {
                if before == 0 {
                    // It was in the room before there was anything in it: the store may not know of that.
                    self.users[user].position = Some((0, epoch.clone()));
                }
                assert_eq!(reply["recovered"], json!(true), "not recovered: {line}");
                for publication in reply["publications"].as_array().into_iter().flatten() {
                    self.see(user, publication);
                }
                assert_eq!(self.users[user].position, Some((offset, epoch)), "{line}");
            }
            None => self.users[user].position = Some((offset, epoch)),
        }
    }

    fn see(&mut self, user: usize, publication: &Value) {
        let offset = publication["offset"].as_u64().unwrap();
        let id = publication["data"].as_str().unwrap().to_owned();
        assert_eq!(publication["tags"]["id"], json!(id));
        let user = &mut self.users[user];
        let (position, _) = user.position.as_mut().expect("it was in the room");
        assert_eq!(offset, *position + 1, "lost, twice, or out of order");
        *position = offset;
        user.seen.push((offset, id));
    }

    /// Nothing waits for the store, so nothing is counted for it, whatever came before.
    fn assert_nothing_is_held(&self) {
        for shard in 0..self.machine.hubs.len() {
            let counters = self.machine.counters(shard);
            assert_eq!((counters.waiting, counters.waiting_bytes), (0, 0));
        }
    }

    /// Lets everything come to its end, and looks at the whole.
    fn conclude(&mut self) {
        {
            let mut shaken = self.store.0.lock().unwrap();
            (shaken.write, shaken.load) = (None, false);
        }
        for round in 0..3 {
            self.machine.settle();
            self.look_all();
            self.assert_nothing_is_held();
            self.machine.pass(Duration::from_secs(2));
            for user in 0..USERS {
                self.run(&Step::ComeBack(user, round));
                self.machine.settle();
            }
        }
        // What is not acknowledged yet is published until it is.
        for user in 0..USERS {
            for id in self.users[user].published.clone() {
                self.publish(user, id);
                self.machine.settle();
                self.look_all();
            }
        }
        self.assert_nothing_is_held();
        let records = support::stored(&mut self.store, ROOM);
        let all: Vec<String> = self.users.iter().flat_map(|user| user.published.clone()).collect();
        assert_eq!(records.len(), all.len(), "each id is stored once");
        assert_eq!(self.acknowledged.len(), all.len(), "each id is acknowledged");
        let mut offsets: Vec<u64> = self.acknowledged.values().copied().collect();
        offsets.sort_unstable();
        assert_eq!(offsets, (1..=all.len() as u64).collect::<Vec<_>>(), "offsets without a gap");
        for user in &self.users {
            let last = user.position.as_ref().map_or(0, |(offset, _)| *offset);
            assert_eq!(last, all.len() as u64, "everybody is at the end");
            for (offset, id) in &user.seen {
                assert_eq!(self.acknowledged.get(id), Some(offset), "all see the same");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn everybody_sees_every_publication_once_and_in_order(
        shards in 1..=2_usize,
        steps in prop::collection::vec(steps(), 1..160),
    ) {
        let mut model = Model::new(shards, Config::default());
        for step in &steps {
            model.run(step);
        }
        model.conclude();
    }

    #[test]
    fn the_same_holds_when_little_is_kept_in_memory(
        steps in prop::collection::vec(steps(), 1..160),
    ) {
        let mut config = Config::default();
        config.history.in_memory = 3;
        config.limits.room_idle = Duration::from_millis(500);
        config.limits.write_group = 2;
        let mut model = Model::new(2, config);
        for step in &steps {
            model.run(step);
        }
        model.conclude();
    }

    #[test]
    fn the_same_holds_when_little_may_wait_for_the_store(
        shards in 1..=2_usize,
        steps in prop::collection::vec(steps(), 1..160),
    ) {
        let mut config = Config::default();
        config.limits.total_waiting_bytes = 1_200;
        config.limits.room_idle = Duration::from_millis(500);
        let mut model = Model::new(shards, config);
        for step in &steps {
            model.run(step);
        }
        model.conclude();
    }
}
