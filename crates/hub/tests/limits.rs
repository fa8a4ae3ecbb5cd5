//! Every limit, each by the code that a client sees.

mod support;

use std::time::Duration;

use hub::Config;
use serde_json::{Value, json};
use support::{Client, Machine, publication};

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
fn command_bytes() {
    let (mut machine, client) = machine(|config| config.limits.command_bytes = 100);
    let command = |length: usize| {
        let start = r#"{"id":1,"ping":{},"x":""#;
        format!("{start}{}\"}}", "x".repeat(length - start.len() - 2))
    };
    machine.send(client, &command(100));
    assert_eq!(machine.lines(client).len(), 1);
    machine.send(client, &command(101));
    assert_eq!(machine.closed[&client], 3501);
}

#[test]
fn json_depth() {
    let (mut machine, client) = machine(|config| config.limits.json_depth = 5);
    let reply = machine.call(client, "publish", json!({"channel": "a", "data": [[[]]]}));
    assert!(reply["publish"].is_object());
    machine.call(client, "publish", json!({"channel": "a", "data": [[[[]]]]}));
    assert_eq!(machine.closed[&client], 3501);
    let deep = hub::api::Request::Publish { channel: "a".into(), publication: publication("[[[[[[]]]]]]") };
    assert_eq!(machine.api(0, deep).unwrap_err().code, 107);
}

#[test]
fn commands_per_frame() {
    let (mut machine, client) = machine(|config| config.limits.commands_per_frame = 3);
    machine.send(client, &["{\"id\":1,\"ping\":{}}"; 3].join("\n"));
    assert_eq!(machine.lines(client).len(), 3);
    machine.send(client, &["{\"id\":1,\"ping\":{}}"; 4].join("\n"));
    assert_eq!(machine.closed[&client], 3501);
}

#[test]
fn message_bytes() {
    let (mut machine, client) = machine(|config| config.limits.message_bytes = 10);
    let (fits, long) = (json!("12345678"), json!("123456789"));
    assert!(machine.call(client, "publish", json!({"channel": "a", "data": fits}))["publish"].is_object());
    assert_eq!(code(&machine.call(client, "publish", json!({"channel": "a", "data": long}))), 106);
    let request = json!({"id": "i", "channel": "a", "data": long});
    assert_eq!(code(&machine.rpc(client, "publish", request)), 106);
    machine.call(client, "subscribe", json!({"channel": "a"}));
    assert_eq!(code(&machine.rpc(client, "signal", json!({"channel": "a", "data": long}))), 106);
    let long = hub::api::Request::Publish { channel: "a".into(), publication: publication("\"123456789\"") };
    assert_eq!(machine.api(0, long).unwrap_err().code, 106);
}

#[test]
fn channel_bytes_and_characters() {
    let (mut machine, client) = machine(|config| config.limits.channel_bytes = 4);
    for (channel, expected) in
        [("abcd", 0), ("abcde", 107), ("", 107), ("a\u{0}", 107), ("éé", 0), ("ééé", 107)]
    {
        for (kind, request) in [
            ("subscribe", json!({ "channel": channel })),
            ("publish", json!({"channel": channel, "data": 1})),
            ("history", json!({ "channel": channel })),
            ("presence", json!({ "channel": channel })),
            ("presence_stats", json!({ "channel": channel })),
            ("rpc", json!({"method": "publish", "data": {"id": "i", "channel": channel, "data": 1}})),
            ("unsubscribe", json!({ "channel": channel })),
        ] {
            assert_eq!(code(&machine.call(client, kind, request)), expected, "{kind} {channel:?}");
        }
    }
}

#[test]
fn name_bytes() {
    let mut machine = Machine::configured(1, |config| config.limits.info_bytes = 30);
    let client = machine.open(0);
    let reply = machine.call(client, "connect", json!({"data": {"name": "x".repeat(30)}}));
    assert_eq!(code(&reply), 106);
}

#[test]
fn tag_bytes_and_reserved_tags() {
    let (mut machine, _) = machine(|config| config.limits.tag_bytes = 40);
    let mut tagged = |name: &str, value: &str, key: &str| {
        let mut publication = publication("1");
        publication.tags.insert(name.into(), value.into());
        publication.idempotency_key = key.into();
        let reply = machine.api(0, hub::api::Request::Publish { channel: "a".into(), publication });
        reply.map_or_else(|error| error.code, |_| 0)
    };
    assert_eq!(tagged("kind", "note", "key"), 0);
    assert_eq!(tagged("kind", &"x".repeat(40), ""), 106);
    assert_eq!(tagged("kind", "", &"x".repeat(41)), 106);
    for reserved in ["id", "edits", "deletes", "edited", "deleted", "signal"] {
        assert_eq!(tagged(reserved, "1", ""), 107, "{reserved}");
    }
}

#[test]
fn id_bytes() {
    let (mut machine, client) = machine(|_| {});
    for (length, expected) in [(0, 107), (1, 0), (64, 0), (65, 107)] {
        let request = json!({"id": "x".repeat(length), "channel": "a", "data": 1});
        assert_eq!(code(&machine.rpc(client, "publish", request)), expected, "{length}");
    }
}

#[test]
fn commands_per_second() {
    let (mut machine, client) = machine(|config| {
        config.limits.commands_per_second = 2;
        config.limits.command_burst = 10;
    });
    // The connect command was the first of ten.
    let codes: Vec<u64> = (0..12).map(|_| code(&machine.call(client, "ping", json!({})))).collect();
    assert_eq!(codes[..9], [0; 9]);
    assert_eq!(codes[9..], [111; 3]);
    machine.pass(Duration::from_secs(2));
    assert_eq!(code(&machine.call(client, "ping", json!({}))), 0);
    for _ in 0..15 {
        machine.command(client, &json!({"id": 7, "ping": {}}));
    }
    assert_eq!(machine.closed[&client], 3013);
}

#[test]
fn signals_per_second() {
    let (mut machine, client) = machine(|config| config.limits.signals_per_second = 3);
    machine.call(client, "subscribe", json!({"channel": "a"}));
    let mut signal = |channel: &str| {
        let reply = machine.rpc(client, "signal", json!({"channel": channel, "data": "types"}));
        code(&reply)
    };
    assert_eq!([signal("a"), signal("a"), signal("a"), signal("a")], [0, 0, 0, 111]);
    assert_eq!(signal("b"), 103, "not in that room");
}

#[test]
fn pending_per_session() {
    let (mut machine, client) = machine(|config| config.limits.pending_per_session = 3);
    for id in 1..=5 {
        machine.command(client, &json!({"id": id, "publish": {"channel": "a", "data": id}}));
    }
    let early = machine.lines(client);
    assert_eq!(early.iter().map(code).collect::<Vec<_>>(), [111, 111]);
    machine.settle();
    assert_eq!(machine.lines(client).len(), 3);
    assert!(machine.call(client, "publish", json!({"channel": "a", "data": 1}))["publish"].is_object());
}

#[test]
fn rooms_per_session() {
    let (mut machine, client) = machine(|config| config.limits.rooms_per_session = 2);
    for (room, expected) in [("a", 0), ("b", 0), ("c", 106), ("a", 105)] {
        assert_eq!(code(&machine.call(client, "subscribe", json!({ "channel": room }))), expected, "{room}");
    }
    machine.call(client, "unsubscribe", json!({"channel": "a"}));
    assert_eq!(code(&machine.call(client, "subscribe", json!({"channel": "c"}))), 0);
    let other = machine.open(0);
    let subs = json!({"a": {}, "b": {}, "c": {}});
    assert_eq!(code(&machine.call(other, "connect", json!({ "subs": subs }))), 106);
    assert_eq!(machine.counters(0).subscriptions, 2, "nothing is left of the refused");
}

#[test]
fn sessions_per_room() {
    let (mut machine, client) = machine(|config| config.limits.sessions_per_room = 1);
    assert_eq!(code(&machine.call(client, "subscribe", json!({"channel": "a"}))), 0);
    let other = machine.join(0, "ben");
    assert_eq!(code(&machine.call(other, "subscribe", json!({"channel": "a"}))), 106);
    machine.disconnect(client);
    assert_eq!(code(&machine.call(other, "subscribe", json!({"channel": "a"}))), 0);
}

#[test]
fn rooms_in_memory() {
    let (mut machine, client) = machine(|config| config.limits.rooms = 2);
    for room in ["a", "b"] {
        assert_eq!(code(&machine.call(client, "subscribe", json!({ "channel": room }))), 0);
    }
    assert_eq!(code(&machine.call(client, "publish", json!({"channel": "c", "data": 1}))), 106);
    machine.call(client, "unsubscribe", json!({"channel": "a"}));
    assert_eq!(code(&machine.call(client, "publish", json!({"channel": "c", "data": 1}))), 0);
    assert_eq!(machine.counters(0).rooms, 2);
}

#[test]
fn rooms_that_nobody_uses_leave_memory_and_come_back() {
    let (mut machine, client) = machine(|_| {});
    let first = machine.rpc(client, "publish", json!({"id": "i", "channel": "a", "data": 1}));
    machine.pass(Duration::from_secs(11));
    machine.send(client, "{\"id\":1,\"ping\":{}}");
    assert_eq!(machine.counters(0).rooms, 1);
    for _ in 0..5 {
        machine.pass(Duration::from_secs(11));
        machine.send(client, "{\"id\":1,\"ping\":{}}");
    }
    assert_eq!(machine.counters(0).rooms, 0);
    let again = machine.rpc(client, "publish", json!({"id": "i", "channel": "a", "data": 1}));
    assert_eq!(again["rpc"], first["rpc"], "ids are known again");
}

#[test]
fn waiting_publications() {
    for by_bytes in [false, true] {
        let (mut machine, client) = machine(|config| {
            if by_bytes {
                config.limits.waiting_bytes = 4000;
            } else {
                config.limits.waiting_publications = 2;
            }
        });
        machine.call(client, "history", json!({"channel": "a"}));
        let data = "x".repeat(1500);
        for id in 1..=5 {
            machine.command(client, &json!({"id": id, "publish": {"channel": "a", "data": data}}));
        }
        // One is on its way, two wait.
        let codes: Vec<u64> = machine.lines(client).iter().map(code).collect();
        assert_eq!(codes, [111, 111], "by bytes: {by_bytes}");
        machine.settle();
        assert_eq!(machine.lines(client).len(), 3);
    }
}

#[test]
fn write_group() {
    let (mut machine, client) = machine(|config| config.limits.write_group = 2);
    machine.call(client, "history", json!({"channel": "a"}));
    for id in 1..=6 {
        machine.command(client, &json!({"id": id, "publish": {"channel": "a", "data": id}}));
    }
    let mut groups = Vec::new();
    loop {
        if let Some(request) = machine.store_queue[0].front() {
            let hub::store::Operation::Write(writes) = &request.operation else { panic!("{request:?}") };
            let appended = |write: &&hub::store::Write| matches!(write, hub::store::Write::Append { .. });
            groups.push(writes.iter().filter(appended).count());
        }
        if !machine.step(0) {
            break;
        }
        while !machine.store_replies[0].is_empty() {
            machine.step(0);
        }
    }
    assert_eq!(groups, [1, 2, 2, 1]);
}

#[test]
fn publications_and_bytes_per_reply() {
    let (mut machine, client) = machine(|config| {
        config.limits.publications_per_reply = 4;
        config.limits.bytes_per_reply = 3000;
    });
    for number in 1..=6 {
        machine.call(client, "publish", json!({"channel": "a", "data": number}));
    }
    let reply = machine.call(client, "history", json!({"channel": "a", "limit": -1}));
    let epoch = reply["history"]["epoch"].clone();
    assert_eq!(reply["history"]["publications"].as_array().unwrap().len(), 4);
    let mut recover = |offset: u64| {
        machine.call(client, "unsubscribe", json!({"channel": "a"}));
        let request = json!({"channel": "a", "recover": true, "offset": offset, "epoch": epoch});
        machine.call(client, "subscribe", request)["subscribe"]["recovered"] == json!(true)
    };
    assert_eq!([recover(1), recover(2)], [false, true]);
    machine.call(client, "publish", json!({"channel": "a", "data": "x".repeat(2500)}));
    machine.call(client, "publish", json!({"channel": "a", "data": "x".repeat(2500)}));
    let reply = machine.call(client, "history", json!({"channel": "a", "limit": 2, "since": {"offset": 6}}));
    assert_eq!(reply["history"]["publications"].as_array().unwrap().len(), 1, "as much as fits");
    machine.call(client, "unsubscribe", json!({"channel": "a"}));
    let request = json!({"channel": "a", "recover": true, "offset": 6});
    assert_eq!(machine.call(client, "subscribe", request)["subscribe"].get("recovered"), None);
}

#[test]
fn presence_entries_and_join_leave_members() {
    let (mut machine, client) = machine(|config| {
        config.limits.presence_entries = 2;
        config.limits.join_leave_members = 3;
    });
    machine.call(client, "subscribe", json!({"channel": "a", "join_leave": true}));
    machine.lines(client);
    for name in ["b", "c", "d", "e"] {
        let other = machine.join(0, name);
        machine.call(other, "subscribe", json!({"channel": "a"}));
    }
    let joins = machine.lines(client);
    assert_eq!(joins.len(), 2, "those up to the third: {joins:?}");
    let presence = machine.call(client, "presence", json!({"channel": "a"}));
    assert_eq!(presence["presence"]["presence"].as_object().unwrap().len(), 2);
    let stats = machine.call(client, "presence_stats", json!({"channel": "a"}));
    assert_eq!(stats["presence_stats"]["num_clients"], json!(5));
}

#[test]
fn rooms_listed() {
    let (mut machine, client) = machine(|config| config.limits.rooms_listed = 2);
    for room in ["a", "b", "c"] {
        machine.call(client, "publish", json!({"channel": room, "data": 1}));
    }
    machine.call(client, "subscribe", json!({"channel": "c"}));
    let reply = machine.rpc(client, "rooms", json!({}));
    let expected = json!([{"channel": "a", "members": 0}, {"channel": "c", "members": 1}]);
    assert_eq!(reply["rpc"]["data"]["rooms"], expected);
}

#[test]
fn broadcast_channels() {
    let (mut machine, _) = machine(|config| config.limits.broadcast_channels = 2);
    let mut broadcast = |rooms: &[&str]| {
        let channels = rooms.iter().map(|&room| room.into()).collect();
        let reply = machine.api(0, hub::api::Request::Broadcast { channels, publication: publication("1") });
        reply.map_or_else(|error| error.code, |_| 0)
    };
    assert_eq!([broadcast(&[]), broadcast(&["a", "b"]), broadcast(&["a", "b", "c"])], [107, 0, 107]);
}

#[test]
fn pending_api() {
    let (mut machine, _) = machine(|config| config.limits.pending_api = 2);
    for ticket in 1..=3 {
        let request = hub::api::Request::Presence { channel: "a".into() };
        machine.input(0, hub::Input::Api { ticket, request });
    }
    assert_eq!(machine.api_replies.remove(&3).unwrap().unwrap_err().code, 111);
    machine.settle();
    assert_eq!(machine.api_replies.len(), 2);
    assert!(machine.api_replies.values().all(Result::is_ok));
}

#[test]
fn edits() {
    let (mut machine, client) = machine(|config| config.limits.edits = 2);
    machine.rpc(client, "publish", json!({"id": "i", "channel": "a", "data": 1}));
    let mut edit = |id: &str| {
        let request = json!({"id": id, "channel": "a", "target": 1, "data": id});
        code(&machine.rpc(client, "edit", request))
    };
    assert_eq!([edit("j"), edit("k"), edit("l")], [0, 0, 106]);
}

#[test]
fn lines_held_while_connecting() {
    let (mut machine, ada) = machine(|config| config.limits.bytes_per_reply = 3000);
    machine.call(ada, "history", json!({"channel": "a"}));
    let ben = machine.open(0);
    // The second room has not answered when there is more to hold than may be.
    machine.command(ben, &json!({"id": 1, "connect": {"subs": {"a": {}, "b": {}}}}));
    for id in 1..=8 {
        machine.command(ada, &json!({"id": id, "publish": {"channel": "a", "data": "x".repeat(500)}}));
        let request = machine.store_queue[0].pop_back().unwrap();
        let replies = hub::store::run(&mut *machine.store, vec![request]);
        for reply in replies {
            machine.input(0, hub::Input::Stored { reply });
        }
    }
    assert_eq!(machine.closed.get(&ben), Some(&3008));
}

#[test]
fn total_bytes_in_memory() {
    let (mut machine, client) = machine(|config| {
        config.history.total_bytes_in_memory = 20_000;
        config.limits.command_burst = 10_000;
    });
    for number in 0..200 {
        let room = format!("room-{}", number % 20);
        if number % 20 < 3 {
            machine.call(client, "subscribe", json!({ "channel": room }));
        }
        let data = format!("{number} {}", "x".repeat(400));
        assert!(
            machine.call(client, "publish", json!({"channel": room, "data": data}))["publish"].is_object()
        );
        let counters = machine.counters(0);
        assert!(counters.history_bytes <= 20_000, "{} bytes after {number}", counters.history_bytes);
    }
    assert!(machine.counters(0).rooms < 20, "rooms that nobody is in made way");
    let reply = machine.call(client, "history", json!({"channel": "room-1", "limit": 100}));
    let publications = reply["history"]["publications"].as_array().unwrap();
    assert_eq!(publications.len(), 10, "the store has them all");
}

#[test]
fn reads_at_once() {
    let (mut machine, client) = machine(|config| config.limits.reads_at_once = 2);
    for id in 1..=5 {
        machine.command(client, &json!({"id": id, "history": {"channel": format!("room-{id}")}}));
        machine.command(client, &json!({"id": 10 + id, "rpc": {"method": "rooms", "data": {}}}));
    }
    let mut answered = 0;
    while answered < 10 {
        let asked = machine.store_queue[0].len() + machine.store_replies[0].len();
        assert!((1..=2).contains(&asked), "{asked} at once");
        machine.step(0);
        answered += machine.lines(client).len();
    }
    assert!(machine.store_queue[0].is_empty());
}

#[test]
fn history_kept() {
    let (mut machine, client) = machine(|config| {
        config.history.kept = 16;
        config.history.in_memory = 4;
        config.limits.commands_per_second = 1_000_000;
    });
    for number in 1..=100 {
        machine.call(client, "publish", json!({"channel": "a", "data": number}));
        let kept = support::stored(&mut *machine.store, "a").len();
        assert!(kept <= 18, "{kept} kept");
    }
    let reply = machine.call(client, "history", json!({"channel": "a", "limit": 100}));
    let publications = reply["history"]["publications"].as_array().unwrap();
    assert!((16..=18).contains(&publications.len()));
    assert_eq!(publications.last().unwrap()["data"], json!(100));
    let request = json!({"channel": "a", "limit": 50, "reverse": true, "since": {"offset": publications[0]["offset"].as_u64().unwrap() + 2}});
    let reply = machine.call(client, "history", request);
    assert_eq!(reply["history"]["publications"].as_array().unwrap().len(), 2, "nothing past since");
    let request = json!({"channel": "a", "recover": true, "offset": 50});
    assert_eq!(machine.call(client, "subscribe", request)["subscribe"].get("recovered"), None, "too old");
    let reply = machine.call(client, "history", json!({"channel": "a", "limit": 1, "since": {"offset": 50}}));
    assert_eq!(code(&reply), 112);
}
