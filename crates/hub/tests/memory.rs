//! The limits of memory that all rooms of a shard share: what waits for the store, and what comes from it.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hub::Config;
use hub::store::{Limit, Memory, Operation, Record, Start, Store, StoreError, StoredRoom, Write};
use serde_json::{Value, json};
use support::{Client, Machine};

fn machine(configure: impl FnOnce(&mut Config)) -> (Machine, Client) {
    let mut machine = Machine::configured(1, configure);
    let client = machine.join(0, "ada");
    machine.lines(client);
    (machine, client)
}

fn code(reply: &Value) -> u64 {
    reply["error"]["code"].as_u64().unwrap_or(0)
}

#[test]
fn total_waiting_bytes() {
    const LIMIT: u64 = 20_000;
    let (mut machine, client) = machine(|config| config.limits.total_waiting_bytes = LIMIT as usize);
    let other = machine.join(0, "ben");
    let data = "x".repeat(1500);
    // Of these rooms some are in memory, and others wait for the store to say what is in them.
    for room in ["room-0", "room-1", "room-2"] {
        machine.call(client, "history", json!({ "channel": room }));
    }
    for stays in [true, false] {
        let refused_before = machine.counters(0).refused_total;
        let mut codes = Vec::new();
        for id in 1..=40_u64 {
            let room = format!("room-{}", id % 8);
            machine.command(client, &json!({"id": id, "publish": {"channel": room, "data": data}}));
            codes.extend(machine.lines(client).iter().map(code));
            let bytes = machine.counters(0).waiting_bytes;
            assert!(bytes <= LIMIT);
            assert!(bytes > 1500 * (id - codes.len() as u64), "each is counted");
        }
        // Nothing is stored: what fits waits, and what does not is refused as what may come again.
        assert!((27..=30).contains(&codes.len()), "{} refused", codes.len());
        assert!(codes.iter().all(|&code| code == 111), "{codes:?}");
        machine.command(other, &json!({"id": 99, "publish": {"channel": "room-9", "data": data}}));
        let refused = machine.lines(other).pop().unwrap();
        assert_eq!((code(&refused), &refused["error"]["temporary"]), (111, &json!(true)));
        assert!(refused["error"]["message"].as_str().unwrap().contains("try again"), "{refused}");
        assert_eq!(machine.counters(0).refused_total - refused_before, codes.len() as u64 + 1);
        if !stays {
            // Who published is gone: that is stored all the same, and counted until then.
            machine.disconnect(client);
            assert!(machine.counters(0).waiting_bytes > 1500 * (40 - codes.len() as u64));
        }
        machine.settle();
        assert_eq!(machine.counters(0).waiting_bytes, 0);
        let acknowledged = machine.lines(client).len();
        assert_eq!(acknowledged, if stays { 40 - codes.len() } else { 0 });
        let reply = machine.call(other, "publish", json!({"channel": "room-9", "data": data}));
        assert!(reply["publish"].is_object(), "{reply}");
        machine.pass(Duration::from_secs(5));
    }
}

#[test]
fn total_waiting_bytes_counts_what_a_change_keeps() {
    let (mut machine, client) = machine(|config| {
        config.limits.total_waiting_bytes = 8_000;
        config.history.in_memory = 1;
    });
    let mut offsets = Vec::new();
    for id in ["a", "b", "c", "d", "e"] {
        let request = json!({"id": id, "channel": "room", "data": "x".repeat(2500)});
        offsets.push(machine.rpc(client, "publish", request)["rpc"]["data"]["offset"].clone());
    }
    let waiting = |machine: &mut Machine, method: &str| {
        for (id, target) in (1..).zip(&offsets) {
            let data =
                json!({"id": format!("{method} {id}"), "channel": "room", "target": target, "data": 1});
            machine.command(client, &json!({"id": id, "rpc": {"method": method, "data": data}}));
        }
        // Reads are answered; writes are not.
        for _ in 0..20 {
            let is_read = |request: &hub::store::Request| matches!(request.operation, Operation::Read { .. });
            let reads: Vec<_> =
                machine.store_queue[0].iter().filter(|request| is_read(request)).cloned().collect();
            machine.store_queue[0].retain(|request| !is_read(request));
            for reply in hub::store::run(&mut *machine.store, reads) {
                machine.input(0, hub::Input::Stored { reply });
            }
        }
        let lines = machine.lines(client);
        let bytes = machine.counters(0).waiting_bytes;
        machine.settle();
        assert_eq!(machine.counters(0).waiting_bytes, 0);
        assert_eq!(machine.lines(client).len() + lines.len(), 5);
        (lines.iter().map(code).collect::<Vec<_>>(), bytes)
    };
    // An edit keeps what it edits, to store it again; a deletion keeps nothing of what was said.
    let (refused, bytes) = waiting(&mut machine, "edit");
    assert_eq!(refused, [111, 111, 111]);
    assert!((5_000..=8_000).contains(&bytes), "{bytes}");
    let (refused, bytes) = waiting(&mut machine, "delete");
    assert!(refused.is_empty(), "{refused:?}");
    assert!((2_000..=8_000).contains(&bytes), "{bytes}");
}

/// A store that notes the most bytes that one answer brought into memory.
struct Watched(Memory, Arc<AtomicUsize>);

impl Watched {
    fn note(&self, records: &[Record]) {
        self.1.fetch_max(records.iter().map(|record| record.body.len()).sum(), Ordering::Relaxed);
    }
}

impl Store for Watched {
    fn load(&mut self, channel: &str, limit: Limit) -> Result<Option<StoredRoom>, StoreError> {
        let found = self.0.load(channel, limit)?;
        self.note(found.as_ref().map_or(&[], |room| &room.records));
        Ok(found)
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        self.0.commit(writes)
    }

    fn read(&mut self, channel: &str, start: Start, limit: Limit) -> Result<Vec<Record>, StoreError> {
        let found = self.0.read(channel, start, limit)?;
        self.note(&found);
        Ok(found)
    }

    fn rooms(&mut self, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        self.0.rooms(after, limit)
    }
}

#[test]
fn bytes_read_from_the_store() {
    const LIMIT: usize = 10_000;
    let mut config = Config::default();
    config.limits.bytes_per_reply = LIMIT;
    config.limits.command_burst = 1_000;
    config.history.in_memory = 2;
    config.history.bytes_in_memory = LIMIT;
    let mut machine = Machine::with(1, &config, || None);
    let most = Arc::new(AtomicUsize::new(0));
    machine.store = Box::new(Watched(Memory::new(), most.clone()));
    let client = machine.join(0, "ada");
    for number in 0..60 {
        let data = json!({"id": number.to_string(), "channel": "a", "data": "x".repeat(number * 50)});
        machine.rpc(client, "publish", data);
    }
    machine.restart(&config, 9);
    let client = machine.join(0, "ada");
    // An id far back is found, though it takes many readings to come to it.
    let data = json!({"id": "1", "channel": "a", "data": 1});
    assert_eq!(machine.rpc(client, "publish", data)["rpc"]["data"]["offset"], json!(2));
    let mut page = |since: Option<u64>, reverse: bool| -> Vec<u64> {
        let mut request = json!({"channel": "a", "limit": 60, "reverse": reverse});
        if let Some(offset) = since {
            request["since"] = json!({ "offset": offset });
        }
        let reply = machine.call(client, "history", request);
        let publications = reply["history"]["publications"].as_array().unwrap().clone();
        publications.iter().map(|publication| publication["offset"].as_u64().unwrap()).collect()
    };
    let (mut forwards, mut backwards) = (page(None, false), page(None, true));
    assert!(forwards.len() < 60 && backwards.len() < 10, "one page does not hold them");
    while *forwards.last().unwrap() < 60 {
        forwards.extend(page(forwards.last().copied(), false));
    }
    while *backwards.last().unwrap() > 1 {
        backwards.extend(page(backwards.last().copied(), true));
    }
    assert_eq!(forwards, (1..=60).collect::<Vec<_>>());
    assert_eq!(backwards, (1..=60).rev().collect::<Vec<_>>());
    // What fits a reply is recovered, and what does not is not.
    let mut recovered = |offset: u64| {
        machine.call(client, "unsubscribe", json!({"channel": "a"}));
        let request = json!({"channel": "a", "recover": true, "offset": offset});
        let reply = machine.call(client, "subscribe", request);
        (reply["subscribe"]["recovered"] == json!(true)).then_some(60 - offset)
    };
    assert_eq!([recovered(57), recovered(56), recovered(0)], [Some(3), None, None]);
    let most = most.load(Ordering::Relaxed);
    assert!((LIMIT / 2..=LIMIT).contains(&most), "{most} bytes at once");
}

#[test]
fn total_waiting_bytes_counts_what_a_change_has_found_while_it_looks_further() {
    let (mut machine, client) = machine(|config| config.history.in_memory = 1);
    machine.rpc(client, "publish", json!({"id": "a", "channel": "room", "data": 1}));
    for id in ["b", "c", "d"] {
        machine.rpc(client, "edit", json!({"id": id, "channel": "room", "target": 1, "data": id}));
    }
    machine.rpc(client, "publish", json!({"id": "e", "channel": "room", "data": 1}));
    let data = json!({"id": "f", "channel": "room", "target": 1});
    machine.command(client, &json!({"id": 1000, "rpc": {"method": "delete", "data": data}}));
    let mut bytes = vec![0];
    while machine.store_queue[0].iter().any(|request| matches!(request.operation, Operation::Read { .. })) {
        bytes.push(machine.counters(0).waiting_bytes);
        machine.step(0);
        machine.step(0);
    }
    assert_eq!(bytes.len(), 5, "the target and three edits are looked up");
    assert!(bytes.is_sorted_by(|less, more| less < more), "{bytes:?}");
    machine.settle();
    assert!(machine.reply(client, 1000)["rpc"].is_object());
    assert_eq!(machine.counters(0).waiting_bytes, 0);
}
