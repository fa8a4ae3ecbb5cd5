//! Who is in a room, and who comes and goes.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Client, Machine};

/// Joins and leaves that were pushed to a client: kind and name.
fn changes(machine: &mut Machine, client: Client) -> Vec<(String, String)> {
    let change = |line: Value| {
        ["join", "leave"].into_iter().find_map(|kind| {
            let name = line["push"].get(kind)?["info"]["conn_info"]["name"].as_str()?;
            Some((kind.to_owned(), name.to_owned()))
        })
    };
    machine.lines(client).into_iter().filter_map(change).collect()
}

fn names(machine: &mut Machine, client: Client) -> Vec<String> {
    let reply = machine.call(client, "presence", json!({"channel": "a"}));
    let members = reply["presence"]["presence"].as_object().unwrap();
    let mut names: Vec<String> =
        members.values().map(|info| info["conn_info"]["name"].as_str().unwrap().to_owned()).collect();
    names.sort_unstable();
    names
}

fn pair(kind: &str, name: &str) -> (String, String) {
    (kind.into(), name.into())
}

#[test]
fn joins_and_leaves_are_told_to_those_who_want_to_hear() {
    for shards in [1, 2, 3] {
        let mut machine = Machine::new(shards);
        let (ada, ben) = (machine.join(0, "ada"), machine.join(shards - 1, "ben"));
        machine.call(ada, "subscribe", json!({"channel": "a", "join_leave": true}));
        assert_eq!(changes(&mut machine, ada), [pair("join", "ada")]);
        machine.call(ben, "subscribe", json!({"channel": "a"}));
        let cleo = machine.join(0, "cleo");
        machine.call(cleo, "subscribe", json!({"channel": "a"}));
        machine.call(cleo, "unsubscribe", json!({"channel": "a"}));
        machine.disconnect(ben);
        machine.settle();
        let expected =
            [pair("join", "ben"), pair("join", "cleo"), pair("leave", "cleo"), pair("leave", "ben")];
        assert_eq!(changes(&mut machine, ada), expected);
        assert_eq!(changes(&mut machine, cleo), []);
        assert_eq!(names(&mut machine, ada), ["ada"]);
    }
}

#[test]
fn presence_names_everybody_once_per_connection() {
    let mut machine = Machine::new(2);
    let clients = [(0, "ada"), (1, "ben"), (1, "ada")].map(|(shard, name)| machine.join(shard, name));
    for client in clients {
        machine.call(client, "subscribe", json!({"channel": "a"}));
    }
    assert_eq!(names(&mut machine, clients[0]), ["ada", "ada", "ben"]);
    let stats = machine.call(clients[1], "presence_stats", json!({"channel": "a"}));
    assert_eq!(stats["presence_stats"], json!({"num_clients": 3, "num_users": 2}));
}

#[test]
fn whoever_is_closed_is_gone() {
    let mut machine = Machine::new(2);
    let (ada, ghost) = (machine.join(0, "ada"), machine.join(1, "ghost"));
    machine.call(ghost, "subscribe", json!({"channel": "a"}));
    machine.command(ghost, &json!({"id": 1, "connect": {}}));
    assert_eq!(machine.closed[&ghost], 3501);
    machine.settle();
    assert_eq!(names(&mut machine, ada), Vec::<String>::new());
    let silent = machine.join(1, "silent");
    machine.call(silent, "subscribe", json!({"channel": "a"}));
    for _ in 0..40 {
        machine.pass(Duration::from_secs(1));
        machine.send(ada, "{}");
    }
    machine.settle();
    assert_eq!(names(&mut machine, ada), Vec::<String>::new(), "no ghost outlives its pings");
}

#[test]
fn who_leaves_before_it_was_let_in_is_not_in() {
    let mut machine = Machine::new(2);
    let ada = machine.join(0, "ada");
    for shard in 0..2 {
        // With every number of steps between the two.
        for steps in 0..6 {
            let ben = machine.join(shard, "ben");
            machine.command(ben, &json!({"id": 1, "subscribe": {"channel": "a"}}));
            for _ in 0..steps {
                machine.step(0);
            }
            machine.command(ben, &json!({"id": 2, "unsubscribe": {"channel": "a"}}));
            machine.settle();
            assert!(machine.reply(ben, 2)["unsubscribe"].is_object());
            let first = machine.reply(ben, 1);
            assert!(first["subscribe"].is_object() || first["error"]["code"] == json!(107), "{first}");
            assert_eq!(names(&mut machine, ada), Vec::<String>::new());
            assert_eq!(machine.counters(shard).subscriptions, 0);
            machine.disconnect(ben);
        }
    }
}
