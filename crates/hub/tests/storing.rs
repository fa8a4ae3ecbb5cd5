//! What rooms do when the store is slow, refuses, or is not what it was.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hub::store::{Limit, Memory, Record, Start, Store, StoreError, StoredRoom, Write};
use serde_json::{Value, json};
use support::{Client, Machine};

/// A store whose behaviour the test holds in its hand.
#[derive(Clone, Default)]
struct Moody(Arc<Mutex<Mood>>);

#[derive(Default)]
struct Mood {
    memory: Memory,
    writes: Option<StoreError>,
    loads: Option<StoreError>,
    reads: Option<StoreError>,
    /// Writes that fail are done all the same.
    done: bool,
}

impl Store for Moody {
    fn load(&mut self, channel: &str, limit: Limit) -> Result<Option<StoredRoom>, StoreError> {
        let mut mood = self.0.lock().unwrap();
        mood.loads.clone().map_or_else(|| mood.memory.load(channel, limit), Err)
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        let mut mood = self.0.lock().unwrap();
        let Some(error) = mood.writes.clone() else { return mood.memory.commit(writes) };
        if mood.done {
            mood.memory.commit(writes)?;
        }
        Err(error)
    }

    fn read(&mut self, channel: &str, start: Start, limit: Limit) -> Result<Vec<Record>, StoreError> {
        let mut mood = self.0.lock().unwrap();
        mood.reads.clone().map_or_else(|| mood.memory.read(channel, start, limit), Err)
    }

    fn rooms(&mut self, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        self.0.lock().unwrap().memory.rooms(after, limit)
    }
}

fn machine(in_memory: usize) -> (Machine, Moody, Client) {
    let mut machine = Machine::configured(1, |config| config.history.in_memory = in_memory);
    let moody = Moody::default();
    machine.store = Box::new(moody.clone());
    let ada = machine.join(0, "ada");
    machine.call(ada, "subscribe", json!({"channel": "a"}));
    (machine, moody, ada)
}

fn full() -> StoreError {
    StoreError::Full("no space left on device".into())
}

fn publish(machine: &mut Machine, client: Client, id: &str) -> Value {
    machine.rpc(client, "publish", json!({"id": id, "channel": "a", "data": id}))
}

#[test]
fn nothing_is_seen_or_acknowledged_before_it_is_stored() {
    let (mut machine, _, ada) = machine(100);
    machine.lines(ada);
    machine.command(ada, &json!({"id": 1, "publish": {"channel": "a", "data": 1}}));
    assert_eq!(machine.store_queue[0].len(), 1);
    assert!(machine.lines(ada).is_empty());
    machine.step(0);
    assert!(machine.lines(ada).is_empty(), "stored, but the hub has not heard of it");
    machine.step(0);
    let lines = machine.lines(ada);
    assert!(lines[0]["push"]["pub"].is_object() && lines[1]["publish"].is_object(), "{lines:?}");
}

#[test]
fn a_full_store_refuses_and_goes_on_when_there_is_room() {
    let (mut machine, moody, ada) = machine(100);
    assert_eq!(publish(&mut machine, ada, "one")["rpc"]["data"]["offset"], json!(1));
    moody.0.lock().unwrap().writes = Some(full());
    for id in ["two", "three"] {
        let reply = publish(&mut machine, ada, id);
        assert_eq!((&reply["error"]["code"], &reply["error"]["temporary"]), (&json!(100), &json!(true)));
        assert!(reply["error"]["message"].as_str().unwrap().contains("storage is full"), "{reply}");
    }
    moody.0.lock().unwrap().writes = None;
    assert_eq!(publish(&mut machine, ada, "two")["rpc"]["data"]["offset"], json!(2));
    let seen: Vec<_> =
        machine.publications(ada).iter().map(|publication| publication["data"].clone()).collect();
    assert_eq!(seen, ["one", "two"]);
    assert!(machine.counters(0).store_failures_total >= 2);
}

#[test]
fn a_write_that_failed_and_was_done_is_acknowledged() {
    let (mut machine, moody, ada) = machine(100);
    moody.0.lock().unwrap().writes = Some(full());
    moody.0.lock().unwrap().done = true;
    assert_eq!(publish(&mut machine, ada, "one")["rpc"]["data"]["offset"], json!(1));
    moody.0.lock().unwrap().writes = None;
    assert_eq!(publish(&mut machine, ada, "two")["rpc"]["data"]["offset"], json!(2));
    assert_eq!(machine.publications(ada).len(), 2);
}

#[test]
fn what_nobody_could_tell_is_passed_on_once_it_is_known() {
    let (mut machine, moody, ada) = machine(100);
    publish(&mut machine, ada, "zero");
    moody.0.lock().unwrap().writes = Some(full());
    moody.0.lock().unwrap().done = true;
    moody.0.lock().unwrap().loads = Some(full());
    assert_eq!(publish(&mut machine, ada, "one")["error"]["code"], json!(100));
    moody.0.lock().unwrap().writes = None;
    moody.0.lock().unwrap().loads = None;
    assert_eq!(publish(&mut machine, ada, "two")["error"]["code"], json!(100), "not asked again yet");
    machine.pass(Duration::from_secs(1));
    assert_eq!(publish(&mut machine, ada, "two")["rpc"]["data"]["offset"], json!(3));
    assert_eq!(publish(&mut machine, ada, "one")["rpc"]["data"]["offset"], json!(2), "it was published");
    let seen: Vec<_> =
        machine.publications(ada).iter().map(|publication| publication["data"].clone()).collect();
    assert_eq!(seen, ["zero", "one", "two"]);
}

#[test]
fn a_large_group_that_nobody_could_tell_of_is_passed_on_whole() {
    let (mut machine, moody, ada) = machine(100);
    let ben = machine.join(0, "ben");
    machine.call(ben, "subscribe", json!({"channel": "a"}));
    machine.lines(ben);
    publish(&mut machine, ada, "first");
    machine.command(ada, &json!({"id": 1000, "publish": {"channel": "a", "data": "on its way"}}));
    for id in 1001..=1060 {
        let data = format!("{id} {}", "x".repeat(60_000));
        machine.command(ada, &json!({"id": id, "publish": {"channel": "a", "data": data}}));
    }
    machine.step(0);
    moody.0.lock().unwrap().writes = Some(full());
    moody.0.lock().unwrap().done = true;
    moody.0.lock().unwrap().loads = Some(full());
    machine.settle();
    assert_eq!(machine.publications(ben).len(), 2, "the others may be stored or not");
    moody.0.lock().unwrap().writes = None;
    moody.0.lock().unwrap().loads = None;
    machine.pass(Duration::from_secs(1));
    let reply = publish(&mut machine, ada, "last");
    assert_eq!(reply["rpc"]["data"]["offset"], json!(63), "{reply}");
    assert_eq!(machine.publications(ben).len(), 61);
}

#[test]
fn what_nobody_could_tell_is_not_published_again() {
    let (mut machine, moody, ada) = machine(100);
    moody.0.lock().unwrap().writes = Some(full());
    moody.0.lock().unwrap().done = true;
    moody.0.lock().unwrap().loads = Some(full());
    let reply = publish(&mut machine, ada, "one");
    assert!(reply["error"]["message"].as_str().unwrap().contains("may or may not be stored"), "{reply}");
    let memory = std::mem::take(&mut moody.0.lock().unwrap().memory);
    *moody.0.lock().unwrap() = Mood { memory, ..Mood::default() };
    machine.pass(Duration::from_secs(1));
    assert_eq!(publish(&mut machine, ada, "one")["rpc"]["data"]["offset"], json!(1));
    assert_eq!(machine.publications(ada).len(), 1);
    assert_eq!(support::stored(&mut *machine.store, "a").len(), 1);
}

#[test]
fn a_room_that_cannot_be_loaded_is_an_error_and_is_asked_again() {
    let (mut machine, moody, ada) = machine(100);
    moody.0.lock().unwrap().loads = Some(full());
    for kind in ["subscribe", "history", "presence"] {
        assert_eq!(machine.call(ada, kind, json!({"channel": "b"}))["error"]["code"], json!(100));
    }
    moody.0.lock().unwrap().loads = None;
    assert!(machine.call(ada, "subscribe", json!({"channel": "b"}))["subscribe"].is_object());
}

#[test]
fn a_read_that_fails_is_an_error() {
    let (mut machine, moody, ada) = machine(1);
    for id in ["one", "two", "three"] {
        publish(&mut machine, ada, id);
    }
    moody.0.lock().unwrap().reads = Some(full());
    let ben = machine.join(0, "ben");
    for (kind, request) in [
        ("subscribe", json!({"channel": "a", "recover": true, "offset": 1})),
        ("history", json!({"channel": "a", "limit": 10})),
        ("rpc", json!({"method": "edit", "data": {"id": "x", "channel": "a", "target": 1, "data": 1}})),
    ] {
        assert_eq!(machine.call(ben, kind, request)["error"]["code"], json!(100), "{kind}");
    }
    moody.0.lock().unwrap().reads = None;
    let reply = machine.call(ben, "subscribe", json!({"channel": "a", "recover": true, "offset": 1}));
    assert_eq!(reply["subscribe"]["publications"].as_array().unwrap().len(), 2);
    assert_eq!(machine.counters(0).members, 2);
}

#[test]
fn a_store_that_lost_the_room_puts_everybody_out_to_load_anew() {
    let (mut machine, moody, ada) = machine(100);
    let ben = machine.join(0, "ben");
    let before = machine.call(ben, "subscribe", json!({"channel": "a"}))["subscribe"]["epoch"].clone();
    publish(&mut machine, ada, "one");
    machine.lines(ben);
    moody.0.lock().unwrap().memory = Memory::default();
    assert_eq!(publish(&mut machine, ada, "two")["error"]["code"], json!(100));
    let lines = machine.lines(ben);
    assert_eq!(lines.last().unwrap()["push"]["unsubscribe"]["code"], json!(2500), "{lines:?}");
    let reply = machine.call(
        ben,
        "subscribe",
        json!({"channel": "a", "recover": true, "offset": 1, "epoch": before}),
    );
    let reply = &reply["subscribe"];
    assert_eq!((reply.get("recovered"), &reply["was_recovering"]), (None, &json!(true)));
    assert_ne!(reply["epoch"], before);
    assert_eq!(publish(&mut machine, ada, "two")["rpc"]["data"]["offset"], json!(1));
    assert_eq!(machine.publications(ben).len(), 1);
}

#[test]
fn a_record_that_cannot_be_read_ends_what_can_be_recovered() {
    let (mut machine, moody, ada) = machine(100);
    for id in ["one", "two", "three"] {
        publish(&mut machine, ada, id);
    }
    let record = Record { offset: 2, body: "nonsense".into() };
    moody.0.lock().unwrap().memory.commit(&[Write::Replace { channel: "a".into(), record }]).unwrap();
    machine.restart(&hub::Config::default(), 77);
    let ben = machine.join(0, "ben");
    for (offset, recovered) in [(2, json!(true)), (1, Value::Null), (0, Value::Null)] {
        let reply =
            machine.call(ben, "subscribe", json!({"channel": "a", "recover": true, "offset": offset}));
        assert_eq!(reply["subscribe"]["recovered"], recovered, "{reply}");
        machine.call(ben, "unsubscribe", json!({"channel": "a"}));
    }
    assert_eq!(publish(&mut machine, ben, "four")["rpc"]["data"]["offset"], json!(4));
}

#[test]
fn a_restart_keeps_position_history_and_ids() {
    let (mut machine, _, ada) = machine(100);
    let first = publish(&mut machine, ada, "one");
    publish(&mut machine, ada, "two");
    machine.restart(&hub::Config::default(), 50);
    let ada = machine.join(0, "ada");
    let epoch = &first["rpc"]["data"]["epoch"];
    let reply =
        machine.call(ada, "subscribe", json!({"channel": "a", "recover": true, "offset": 1, "epoch": epoch}));
    assert_eq!(reply["subscribe"]["publications"][0]["data"], json!("two"), "{reply}");
    assert_eq!(publish(&mut machine, ada, "one")["rpc"], first["rpc"]);
    assert_eq!(publish(&mut machine, ada, "three")["rpc"]["data"]["offset"], json!(3));
}

#[test]
fn who_was_in_a_room_before_its_first_publication_misses_nothing_by_a_restart() {
    let mut machine = Machine::new(1);
    let ada = machine.join(0, "ada");
    let reply = machine.call(ada, "subscribe", json!({"channel": "a"}));
    let (offset, epoch) = (&reply["subscribe"]["offset"], &reply["subscribe"]["epoch"]);
    assert!(offset.is_null() || offset == &json!(0), "{reply}");
    let request = json!({"channel": "a", "recover": true, "offset": 0, "epoch": epoch});
    for published in 0..3 {
        machine.restart(&hub::Config::default(), 50 + published);
        let ada = machine.join(0, "ada");
        let ben = machine.join(0, "ben");
        let reply = machine.call(ada, "subscribe", request.clone());
        let reply = &reply["subscribe"];
        assert_eq!(reply["recovered"], json!(true), "{reply}");
        assert_ne!(&reply["epoch"], epoch, "the store did not know the room");
        let missed = reply["publications"].as_array().map_or(0, Vec::len);
        assert_eq!(missed, usize::from(published), "all that there is");
        publish(&mut machine, ben, &published.to_string());
    }
    // Where the first are gone, it cannot be said what was missed.
    machine.store.commit(&[Write::Trim { channel: "a".into(), through: 1 }]).unwrap();
    machine.restart(&hub::Config::default(), 60);
    let ada = machine.join(0, "ada");
    let reply = machine.call(ada, "subscribe", request);
    assert_eq!(reply["subscribe"].get("recovered"), None, "{reply}");
}

#[test]
fn a_restart_reads_back_as_far_as_ids_live() {
    for (published, seconds, expected) in [(700, 0, 1), (1400, 0, 1401), (300, 400, 301)] {
        let mut config = hub::Config::default();
        config.limits.command_burst = 10_000;
        let mut machine = Machine::with(1, &config, || None);
        let ada = machine.join(0, "ada");
        for number in 1..=published {
            publish(&mut machine, ada, &number.to_string());
        }
        machine.pass(Duration::from_secs(seconds));
        machine.restart(&config, 9);
        let ada = machine.join(0, "ada");
        let offset = publish(&mut machine, ada, "1")["rpc"]["data"]["offset"].clone();
        assert_eq!(offset, json!(expected), "{published} publications, {seconds} s");
        let offset = publish(&mut machine, ada, &published.to_string())["rpc"]["data"]["offset"].clone();
        assert_eq!(offset == json!(published), seconds < 300);
    }
}

#[test]
fn a_room_whose_ids_cannot_be_read_takes_nothing() {
    let (mut machine, moody, ada) = machine(100);
    for number in 1..=300 {
        publish(&mut machine, ada, &number.to_string());
    }
    machine.restart(&hub::Config::default(), 9);
    moody.0.lock().unwrap().reads = Some(full());
    let ada = machine.join(0, "ada");
    assert_eq!(publish(&mut machine, ada, "1")["error"]["code"], json!(100));
    moody.0.lock().unwrap().reads = None;
    assert_eq!(publish(&mut machine, ada, "1")["rpc"]["data"]["offset"], json!(1));
}

#[test]
fn an_id_is_remembered_for_its_lifetime() {
    let (mut machine, _, ada) = machine(100);
    let pass = |machine: &mut Machine, seconds: u64| {
        for _ in 0..seconds / 10 {
            machine.pass(Duration::from_secs(10));
            machine.send(ada, "{}");
        }
    };
    assert_eq!(publish(&mut machine, ada, "one")["rpc"]["data"]["offset"], json!(1));
    pass(&mut machine, 300);
    assert_eq!(publish(&mut machine, ada, "one")["rpc"]["data"]["offset"], json!(1));
    pass(&mut machine, 10);
    assert_eq!(publish(&mut machine, ada, "one")["rpc"]["data"]["offset"], json!(2));
}

#[test]
fn ids_of_different_authors_and_rooms_are_different() {
    let (mut machine, _, ada) = machine(100);
    let ben = machine.join(0, "ben");
    assert_eq!(publish(&mut machine, ada, "one")["rpc"]["data"]["offset"], json!(1));
    assert_eq!(publish(&mut machine, ben, "one")["rpc"]["data"]["offset"], json!(2));
    let reply = machine.rpc(ada, "publish", json!({"id": "one", "channel": "b", "data": 1}));
    assert_eq!(reply["rpc"]["data"]["offset"], json!(1));
    let mut publication = support::publication("1");
    publication.idempotency_key = "one".into();
    let request = hub::api::Request::Publish { channel: "a".into(), publication };
    for _ in 0..2 {
        let Ok(hub::api::Answer::Published(position)) = machine.api(0, request.clone()) else { panic!() };
        assert_eq!(position.offset, 3);
    }
}

#[test]
fn a_repeat_while_the_first_is_on_its_way_gets_the_same_answer() {
    let (mut machine, _, ada) = machine(100);
    let data = json!({"id": "one", "channel": "a", "data": 1});
    machine.lines(ada);
    for id in 1..=4 {
        machine.command(ada, &json!({"id": id, "rpc": {"method": "publish", "data": data}}));
    }
    machine.settle();
    let lines = machine.lines(ada);
    assert_eq!(lines.iter().filter(|line| line["push"].is_object()).count(), 1);
    let replies: Vec<_> = lines.iter().filter(|line| line["rpc"].is_object()).collect();
    assert_eq!(replies.len(), 4);
    assert!(replies.iter().all(|reply| reply["rpc"]["data"]["offset"] == json!(1)));
    assert_eq!(machine.counters(0).duplicates_total, 3);
}

#[test]
fn history_goes_both_ways_from_memory_and_from_the_store() {
    for in_memory in [100, 3, 1] {
        let (mut machine, _, ada) = machine(in_memory);
        for number in 1..=10 {
            publish(&mut machine, ada, &number.to_string());
        }
        let mut offsets = |request: Value| -> Vec<u64> {
            let reply = machine.call(ada, "history", request);
            assert_eq!(reply["history"]["offset"], json!(10), "{reply}");
            let publications = reply["history"]["publications"].as_array().unwrap();
            publications.iter().map(|publication| publication["offset"].as_u64().unwrap()).collect()
        };
        let request = |limit: i32, since: Option<u64>, reverse: bool| match since {
            Some(offset) => {
                json!({"channel": "a", "limit": limit, "reverse": reverse, "since": {"offset": offset}})
            }
            None => json!({"channel": "a", "limit": limit, "reverse": reverse}),
        };
        assert_eq!(offsets(request(0, None, false)), [0; 0]);
        assert_eq!(offsets(request(3, None, false)), [1, 2, 3]);
        assert_eq!(offsets(request(-1, None, false)), (1..=10).collect::<Vec<_>>());
        assert_eq!(offsets(request(3, None, true)), [10, 9, 8]);
        assert_eq!(offsets(request(2, Some(4), false)), [5, 6]);
        assert_eq!(offsets(request(5, Some(8), false)), [9, 10]);
        assert_eq!(offsets(request(5, Some(10), false)), [0; 0]);
        assert_eq!(offsets(request(3, Some(6), true)), [5, 4, 3]);
        assert_eq!(offsets(request(3, Some(2), true)), [1]);
        assert_eq!(offsets(request(3, Some(1), true)), [0; 0]);
        assert_eq!(offsets(request(i32::MAX, None, true)), (1..=10).rev().collect::<Vec<_>>());
        for since in [json!({"offset": 11}), json!({"offset": 1, "epoch": "other"})] {
            let reply = machine.call(ada, "history", json!({"channel": "a", "limit": 1, "since": since}));
            assert_eq!(reply["error"]["code"], json!(112), "{reply}");
        }
    }
}
