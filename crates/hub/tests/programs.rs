//! What programs can do by the HTTP API.

mod support;

use std::time::Duration;

use host::WallTime;
use hub::api::{self, Answer, Request, Target};
use serde_json::json;
use support::{Machine, publication};

#[test]
fn a_program_publishes_to_those_who_listen() {
    for shards in [1, 2] {
        let mut machine = Machine::new(shards);
        let ada = machine.join(0, "ada");
        for room in ["a", "b", "c"] {
            machine.call(ada, "subscribe", json!({ "channel": room }));
        }
        let mut spoken = publication("{\n  \"a b\": 1\n}");
        spoken.tags.insert("kind".into(), "note".into());
        let reply = machine.api(shards - 1, Request::Publish { channel: "a".into(), publication: spoken });
        assert!(matches!(reply, Ok(Answer::Published(position)) if position.offset == 1));
        let publications = machine.publications(ada);
        assert_eq!(publications[0]["data"], json!({"a b": 1}));
        assert_eq!(publications[0]["tags"], json!({"kind": "note"}));
        assert_eq!(publications[0].get("info"), None);
        let channels = vec!["b".to_owned(), String::new(), "c".to_owned()];
        let reply = machine.api(0, Request::Broadcast { channels, publication: publication("2") });
        let Ok(Answer::Broadcast(results)) = reply else { panic!("{reply:?}") };
        assert!(results[0].is_ok() && results[2].is_ok());
        assert_eq!(results[1].as_ref().unwrap_err().code, 107);
        assert_eq!(machine.publications(ada).len(), 2);
        for wrong in ["", "{", "1 2", "nul"] {
            let request = Request::Publish { channel: "a".into(), publication: publication(wrong) };
            assert_eq!(machine.api(0, request).unwrap_err().code, 107, "{wrong}");
        }
    }
}

#[test]
fn a_program_reads_history_and_presence() {
    let mut machine = Machine::new(2);
    let ada = machine.join(1, "ada");
    machine.call(ada, "subscribe", json!({"channel": "a"}));
    for id in ["x", "y", "z"] {
        machine.rpc(ada, "publish", json!({"id": id, "channel": "a", "data": id}));
    }
    let history = |since, reverse| Request::History { channel: "a".into(), limit: 2, since, reverse };
    let Ok(Answer::History { publications, position }) = machine.api(0, history(None, true)) else {
        panic!()
    };
    assert_eq!(position.offset, 3);
    assert_eq!(publications.iter().map(|publication| publication.offset).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(publications[0].tags["id"], "z");
    assert_eq!(publications[0].info.as_ref().unwrap().conn_info.as_deref(), Some(&b"{\"name\":\"ada\"}"[..]));
    assert_eq!(machine.api(0, history(Some((1, "other".into())), false)).unwrap_err().code, 112);
    let Ok(Answer::Presence(members)) = machine.api(0, Request::Presence { channel: "a".into() }) else {
        panic!()
    };
    assert_eq!(members.len(), 1);
    assert_eq!(members.iter().next().map(|(client, info)| *client == info.client), Some(true));
    let stats = machine.api(1, Request::PresenceStats { channel: "a".into() });
    assert_eq!(stats, Ok(Answer::PresenceStats { clients: 1, users: 1 }));
}

#[test]
fn a_program_lists_rooms_and_learns_about_the_node() {
    for shards in [1, 3] {
        let mut machine = Machine::new(shards);
        let (ada, ben) = (machine.join(0, "ada"), machine.join(shards - 1, "ben"));
        for room in ["chat:1", "chat:2", "news"] {
            machine.call(ada, "subscribe", json!({ "channel": room }));
        }
        machine.call(ben, "subscribe", json!({"channel": "news"}));
        machine.call(ben, "publish", json!({"channel": "chat:old", "data": 1}));
        let Ok(Answer::Channels(rooms)) = machine.api(0, Request::Channels { pattern: String::new() }) else {
            panic!()
        };
        let rooms: Vec<_> = rooms.iter().map(|(name, members)| (name.as_str(), *members)).collect();
        assert_eq!(rooms, [("chat:1", 1), ("chat:2", 1), ("chat:old", 0), ("news", 2)]);
        let Ok(Answer::Channels(rooms)) = machine.api(0, Request::Channels { pattern: "chat:*".into() })
        else {
            panic!()
        };
        assert_eq!(rooms.len(), 3);
        machine.pass(std::time::Duration::from_secs(5));
        let Ok(Answer::Info(info)) = machine.api(0, Request::Info) else { panic!() };
        assert_eq!((info.clients, info.users, info.subscriptions, info.uptime), (2, 2, 4, 5));
        assert_eq!((info.channels, info.name.as_str()), (4, "fourwire"));
    }
}

#[test]
fn a_program_closes_connections_and_takes_them_out_of_rooms() {
    let mut machine = Machine::new(2);
    let clients = [(0, "ada"), (1, "ada"), (1, "ben")].map(|(shard, name)| machine.join(shard, name));
    let mut ids = Vec::new();
    for client in clients {
        machine.call(client, "subscribe", json!({"channel": "a"}));
        machine.lines(client);
        let Ok(Answer::Presence(members)) = machine.api(0, Request::Presence { channel: "a".into() }) else {
            panic!()
        };
        ids = members.values().cloned().collect();
    }
    let named = |name: &str| {
        let expected = format!("{{\"name\":\"{name}\"}}");
        ids.iter().find(|info| info.conn_info.as_deref() == Some(expected.as_bytes())).unwrap()
    };
    let (ada, ben) = (named("ada"), named("ben"));
    let everybody = Target { user: ada.user.clone(), client: String::new() };
    let request = Request::Unsubscribe { channel: "a".into(), target: everybody.clone() };
    assert_eq!(machine.api(0, request), Ok(Answer::Done));
    for client in &clients[..2] {
        let lines = machine.lines(*client);
        assert_eq!(lines[0]["push"]["unsubscribe"]["code"], json!(2000), "{lines:?}");
    }
    assert_eq!(machine.counters(0).members + machine.counters(1).members, 1);
    machine.api(0, Request::Disconnect { target: everybody, reconnect: false }).unwrap();
    assert_eq!(clients.map(|client| machine.closed.get(&client).copied()), [Some(3503), Some(3503), None]);
    let one = Target { user: String::new(), client: ben.client.clone() };
    machine.api(0, Request::Disconnect { target: one, reconnect: true }).unwrap();
    assert_eq!(machine.closed.get(&clients[2]), Some(&3011));
    let nobody = Target { user: String::new(), client: String::new() };
    let refused = machine.api(0, Request::Disconnect { target: nobody, reconnect: true });
    assert_eq!(refused.unwrap_err().code, 107);
}

#[test]
fn a_program_takes_connections_into_a_room() {
    let mut machine = Machine::new(2);
    let (ada, bob) = (machine.join(0, "ada"), machine.join(1, "bob"));
    let user = machine.call(ada, "presence", json!({"channel": "nowhere"}));
    assert_eq!(user["presence"]["presence"], json!({}));
    machine.call(bob, "subscribe", json!({"channel": "hall"}));
    let stats = machine.call(bob, "presence", json!({"channel": "hall"}));
    let clients = stats["presence"]["presence"].as_object().expect("who is there");
    let bob_info = clients.values().next().expect("bob");
    let target = |user: &str, client: &str| api::Target { user: user.into(), client: client.into() };
    let request = api::Request::Subscribe {
        channel: "kitchen".into(),
        target: target(bob_info["user"].as_str().expect("a user"), ""),
    };
    assert_eq!(machine.api(0, request.clone()), Ok(api::Answer::Done));
    let pushed = machine.lines(bob);
    let push = pushed.iter().find(|line| line["push"]["channel"] == json!("kitchen")).expect("a push");
    assert_eq!(
        (&push["push"]["subscribe"]["positioned"], &push["push"]["subscribe"]["offset"]),
        (&json!(true), &json!(0))
    );
    assert!(machine.lines(ada).is_empty());
    machine.call(ada, "publish", json!({"channel": "kitchen", "data": 1}));
    assert_eq!(machine.publications(bob).len(), 1);
    assert_eq!(machine.api(1, request), Ok(api::Answer::Done), "again");
    machine.call(ada, "publish", json!({"channel": "kitchen", "data": 2}));
    assert_eq!(machine.publications(bob).len(), 1, "once");
}

#[test]
fn a_program_says_until_when_a_connection_is_who_it_is() {
    let mut machine = Machine::configured(1, |config| config.expiry_grace = Duration::from_secs(5));
    let (ada, bob) = (machine.join(0, "ada"), machine.join(0, "bob"));
    let refresh = |machine: &mut Machine, client, refresh| {
        machine.call(client, "subscribe", json!({"channel": "hall"}));
        let presence = machine.call(client, "presence", json!({"channel": "hall"}));
        machine.call(client, "unsubscribe", json!({"channel": "hall"}));
        let clients = presence["presence"]["presence"].as_object().expect("who is there").clone();
        let target = api::Target { user: String::new(), client: clients.keys().next().expect("one").clone() };
        machine.api(0, api::Request::Refresh { target, refresh })
    };
    let end = WallTime::from_unix_millis(machine.wall.unix_millis() + 20_000);
    assert_eq!(refresh(&mut machine, ada, api::Refresh::Until(end)), Ok(api::Answer::Done));
    let expected = json!({"push": {"refresh": {"expires": true, "ttl": 20}}});
    assert!(machine.lines(ada).contains(&expected));
    assert_eq!(refresh(&mut machine, bob, api::Refresh::Expired), Ok(api::Answer::Done));
    assert_eq!(machine.closed.get(&bob), Some(&3005));
    machine.pass(Duration::from_secs(24));
    assert_eq!(machine.closed.get(&ada), None);
    machine.pass(Duration::from_secs(2));
    assert_eq!(machine.closed.get(&ada), Some(&3005));
}
