//! What happens between shards when messages are late or lost.

mod support;

use std::time::Duration;

use hub::Input;
use serde_json::json;
use support::{Client, Machine};

/// A room that the other shard of two owns, seen from this one.
fn room_of(machine: &mut Machine, owner: usize) -> String {
    let room = (0..100).map(|number| format!("room-{number}")).find(|room| {
        let before: u64 = machine.counters(owner).rooms;
        let request = hub::api::Request::Presence { channel: room.clone() };
        machine.api(1 - owner, request).unwrap();
        machine.counters(owner).rooms > before
    });
    room.unwrap()
}

fn two() -> (Machine, String, Client, Client) {
    let mut machine = Machine::new(2);
    let room = room_of(&mut machine, 1);
    let (near, far) = (machine.join(1, "near"), machine.join(0, "far"));
    for client in [near, far] {
        let request = json!({"channel": room, "join_leave": true});
        assert!(machine.call(client, "subscribe", request)["subscribe"].is_object());
        machine.lines(client);
    }
    (machine, room, near, far)
}

#[test]
fn who_may_have_missed_something_is_closed_to_recover() {
    let (mut machine, room, near, far) = two();
    let epoch = machine.call(near, "history", json!({"channel": room}))["history"]["epoch"].clone();
    machine.command(near, &json!({"id": 1, "publish": {"channel": room, "data": "lost"}}));
    while machine.mailboxes.get(&(1, 0)).is_none_or(|queue| queue.is_empty()) {
        assert!(machine.step(0));
    }
    machine.mailboxes.clear();
    machine.input(0, Input::ShardLagged { from: 1 });
    machine.settle();
    assert_eq!(machine.closed.get(&far), Some(&3010));
    assert_eq!(machine.closed.get(&near), None);
    let again = machine.join(0, "far");
    let request = json!({"channel": room, "recover": true, "offset": 0, "epoch": epoch});
    let reply = machine.call(again, "subscribe", request);
    assert_eq!(reply["subscribe"]["publications"][0]["data"], json!("lost"));
    let stats = machine.call(near, "presence_stats", json!({ "channel": room }));
    assert_eq!(stats["presence_stats"]["num_clients"], json!(2));
}

#[test]
fn a_leave_that_was_lost_leaves_no_ghost() {
    let (mut machine, room, near, far) = two();
    let other = machine.join(0, "other");
    machine.call(other, "subscribe", json!({ "channel": room }));
    machine.disconnect(far);
    assert!(!machine.mailboxes.remove(&(0, 1)).unwrap().is_empty());
    machine.input(1, Input::ShardLagged { from: 0 });
    machine.settle();
    let stats = machine.call(near, "presence_stats", json!({ "channel": room }));
    assert_eq!(stats["presence_stats"]["num_clients"], json!(1));
    assert_eq!(machine.closed.get(&other), Some(&3010), "nobody knows what it has missed");
    assert_eq!(machine.counters(1).lagged_total, 1);
}

#[test]
fn what_waits_for_a_shard_that_lost_messages_is_answered() {
    let (mut machine, room, _, _) = two();
    let asks = machine.join(0, "asks");
    machine.lines(asks);
    machine.command(asks, &json!({"id": 1, "publish": {"channel": room, "data": 1}}));
    machine.command(asks, &json!({"id": 2, "rpc": {"method": "rooms"}}));
    machine.input(0, Input::Api { ticket: 900, request: hub::api::Request::Presence { channel: room } });
    machine.mailboxes.clear();
    machine.input(0, Input::ShardLagged { from: 1 });
    machine.settle();
    let reply = machine.reply(asks, 1);
    assert_eq!((&reply["error"]["code"], &reply["error"]["temporary"]), (&json!(100), &json!(true)));
    assert!(machine.reply(asks, 2)["rpc"]["data"]["rooms"].is_array(), "what the others know");
    assert_eq!(machine.api_replies[&900].as_ref().unwrap_err().code, 100);
    assert_eq!(machine.counters(0).pending, 0);
    assert_eq!(machine.closed.get(&asks), None);
}

#[test]
fn a_question_that_is_not_answered_ends_with_an_error() {
    let mut machine = Machine::new(2);
    let room = room_of(&mut machine, 1);
    let client = machine.join(0, "ada");
    machine.lines(client);
    machine.command(client, &json!({"id": 1, "subscribe": {"channel": room}}));
    machine.command(client, &json!({"id": 2, "history": {"channel": room}}));
    machine.command(client, &json!({"id": 3, "rpc": {"method": "rooms"}}));
    let late = machine.mailboxes.remove(&(0, 1)).unwrap();
    machine.pass(Duration::from_millis(9_999));
    assert!(machine.lines(client).is_empty());
    machine.pass(Duration::from_millis(1));
    for id in [1, 2] {
        assert_eq!(machine.reply(client, id)["error"]["code"], json!(100));
    }
    // It was only late: the session must not be in the room after all.
    let mut mailbox = late;
    mailbox.extend(machine.mailboxes.remove(&(0, 1)).unwrap());
    machine.mailboxes.insert((0, 1), mailbox);
    machine.settle();
    assert!(machine.reply(client, 3)["rpc"].is_object());
    assert_eq!(machine.counters(1).members, 0);
    assert_eq!(machine.counters(0).subscriptions, 0);
    assert_eq!(machine.counters(0).pending, 0);
    assert!(machine.call(client, "subscribe", json!({ "channel": room }))["subscribe"].is_object());
}

#[test]
fn a_publication_crosses_to_another_shard_once() {
    let mut machine = Machine::new(2);
    let room = room_of(&mut machine, 1);
    let clients: Vec<Client> = (0..20).map(|number| machine.join(0, &format!("client-{number}"))).collect();
    for &client in &clients {
        machine.call(client, "subscribe", json!({ "channel": room }));
        machine.lines(client);
    }
    let near = machine.join(1, "near");
    machine.command(near, &json!({"id": 1, "publish": {"channel": room, "data": 1}}));
    let mut crossed = 0;
    while machine.step(0) {
        crossed = crossed.max(machine.mailboxes.values().map(|queue| queue.len()).sum());
    }
    assert_eq!(crossed, 1);
    for client in clients {
        assert_eq!(machine.publications(client).len(), 1);
    }
}
