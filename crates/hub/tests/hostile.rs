//! Clients that send anything: nothing panics, everything is answered or closed, and it costs what the limits allow.

mod support;

use hub::Config;
use proptest::prelude::*;
use serde_json::json;
use support::{Client, Machine};

fn machine() -> (Machine, Client) {
    let mut machine = Machine::new(2);
    let client = machine.join(0, "mallory");
    machine.call(client, "subscribe", json!({"channel": "a"}));
    machine.lines(client);
    (machine, client)
}

fn send(machine: &mut Machine, client: Client, bytes: &[u8]) {
    machine.input(client.shard, hub::Input::Received { session: client.session, bytes });
    machine.settle();
}

/// Commands of every kind, as texts to be spoilt.
const COMMANDS: [&str; 16] = [
    r#"{"id":1,"connect":{"token":"t","data":{"name":"n","key":"k"},"subs":{"b":{"recover":true,"offset":1}}}}"#,
    r#"{"id":2,"subscribe":{"channel":"b","recover":true,"offset":18446744073709551615,"epoch":"x","flag":2}}"#,
    r#"{"id":3,"subscribe":{"channel":"b","join_leave":true,"type":1,"tf":{}}}"#,
    r#"{"id":4,"unsubscribe":{"channel":"a"}}"#,
    r#"{"id":5,"publish":{"channel":"a","data":{"x":[1,2,3]}}}"#,
    r#"{"id":6,"presence":{"channel":"a"}}"#,
    r#"{"id":7,"presence_stats":{"channel":"a"}}"#,
    r#"{"id":8,"history":{"channel":"a","limit":-1,"since":{"offset":3,"epoch":"e"},"reverse":true}}"#,
    r#"{"id":9,"history":{"channel":"a","limit":2147483647,"since":{"offset":18446744073709551615}}}"#,
    r#"{"id":10,"rpc":{"method":"publish","data":{"id":"i","channel":"a","data":null}}}"#,
    r#"{"id":11,"rpc":{"method":"edit","data":{"id":"j","channel":"a","target":1,"data":2}}}"#,
    r#"{"id":12,"rpc":{"method":"delete","data":{"id":"k","channel":"a","target":18446744073709551615}}}"#,
    r#"{"id":13,"rpc":{"method":"signal","data":{"channel":"a","data":"\ud800"}}}"#,
    r#"{"id":14,"rpc":{"method":"rooms","data":{}}}"#,
    r#"{"id":15,"refresh":{"token":"t"}}"#,
    "{}",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_close_or_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (mut machine, client) = machine();
        send(&mut machine, client, &bytes);
        let is_blank = std::str::from_utf8(&bytes).is_ok_and(|text| text.trim().is_empty());
        prop_assert_eq!(machine.closed.get(&client), if is_blank { None } else { Some(&3501) });
    }

    #[test]
    fn spoilt_commands_close_or_are_answered(
        commands in prop::collection::vec(prop::sample::select(&COMMANDS), 1..6),
        spoils in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8, any::<u8>()), 0..4),
    ) {
        let (mut machine, client) = machine();
        let mut bytes = commands.join("\n").into_bytes();
        for (place, how, byte) in spoils {
            if bytes.is_empty() {
                break;
            }
            let place = place.index(bytes.len());
            match how {
                0 => bytes[place] = byte,
                1 => drop(bytes.remove(place)),
                2 => bytes.insert(place, b"{}[]\",:0\n\\"[usize::from(byte) % 10]),
                _ => bytes.truncate(place),
            }
        }
        send(&mut machine, client, &bytes);
        // It goes on for the others, and for this one if it was not closed.
        let other = machine.join(1, "ada");
        let reply = machine.call(other, "publish", json!({"channel": "a", "data": 1}));
        prop_assert!(reply["publish"].is_object());
        if !machine.closed.contains_key(&client) {
            machine.lines(client);
            let reply = machine.call(client, "presence_stats", json!({"channel": "a"}));
            prop_assert!(reply["presence_stats"].is_object(), "{}", reply);
        }
    }

    #[test]
    fn commands_in_any_order_leave_nothing_behind(
        commands in prop::collection::vec((prop::sample::select(&COMMANDS), 0..3_usize, any::<u8>()), 1..60),
    ) {
        let config = Config::default();
        let mut machine = Machine::with(2, &config, || None);
        let clients = [machine.join(0, "a"), machine.join(1, "b"), machine.join(1, "")];
        for (command, client, steps) in commands {
            machine.send(clients[client], command);
            for _ in 0..steps % 4 {
                machine.step(steps.into());
            }
        }
        for client in clients {
            machine.disconnect(client);
        }
        machine.settle();
        for shard in 0..2 {
            let counters = machine.counters(shard);
            prop_assert_eq!((counters.sessions, counters.subscriptions, counters.members), (0, 0, 0));
            prop_assert_eq!((counters.pending, counters.waiting, counters.waiting_bytes), (0, 0, 0));
        }
        machine.pass(config.limits.room_idle);
        prop_assert_eq!(machine.counters(0).rooms + machine.counters(1).rooms, 0);
        prop_assert_eq!(machine.hubs[0].poll_timeout(), None);
    }
}

#[test]
fn what_comes_for_nobody_does_nothing() {
    let mut machine = Machine::new(1);
    let client = machine.join(0, "ada");
    machine.disconnect(client);
    machine.disconnect(client);
    machine.send(client, "{\"id\":1,\"ping\":{}}");
    machine.input(
        0,
        hub::Input::Stored {
            reply: hub::store::Reply { ticket: 99, outcome: Ok(hub::store::Outcome::Written) },
        },
    );
    assert!(machine.lines(client).iter().all(|line| line["ping"].is_null()));
}

#[test]
fn a_place_that_is_used_again_is_another_session() {
    let mut machine = Machine::new(1);
    let old = machine.join(0, "ada");
    machine.call(old, "subscribe", json!({"channel": "a"}));
    let new = Client { session: hub::SessionId { generation: 2, ..old.session }, ..old };
    let remote = "[::1]:1".parse().unwrap();
    let protocol = hub::Protocol::Json;
    machine.input(0, hub::Input::Connected { session: new.session, remote, protocol, name: None });
    machine.settle();
    let counters = machine.counters(0);
    assert_eq!((counters.sessions, counters.connected, counters.members), (1, 0, 0));
    machine.send(old, "{\"id\":1,\"ping\":{}}");
    machine.disconnect(old);
    assert_eq!(machine.counters(0).sessions, 1);
    assert!(machine.call(new, "connect", json!({}))["connect"].is_object());
}
