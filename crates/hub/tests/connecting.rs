//! Connecting, staying connected, and being who one is.

mod support;

use std::time::Duration;

use host::WallTime;
use hub::{AuthError, Authenticator, Config, Identity};
use serde_json::{Value, json};
use support::Machine;

#[test]
fn a_connect_reply_says_what_a_client_needs() {
    let mut machine = Machine::new(1);
    let client = machine.open(0);
    let reply = machine.call(client, "connect", json!({"name": "js", "new": {"field": 1}}));
    let connect = &reply["connect"];
    let id = connect["client"].as_str().unwrap();
    assert_eq!((id.len(), &id[14..15]), (36, "4"), "a version 4 UUID: {id}");
    assert_eq!((&connect["ping"], &connect["pong"]), (&json!(25), &json!(true)));
    assert_eq!(connect["node"], json!("fourwire"));
    assert!(connect["version"].as_str().unwrap().starts_with("Fourwire "));
    assert!(connect["session"].as_str().unwrap().len() == 32);
    assert_eq!(connect.get("subs"), None);
}

#[test]
fn the_first_command_has_to_be_connect() {
    let first = [
        json!({"id": 1, "subscribe": {"channel": "a"}}),
        json!({"id": 1, "rpc": {"method": "rooms"}}),
        json!({"id": 1, "ping": {}}),
        json!({"send": {"data": 1}}),
        json!({}),
    ];
    for command in first {
        let mut machine = Machine::new(1);
        let client = machine.open(0);
        machine.command(client, &command);
        assert_eq!(machine.closed[&client], 3501, "{command}");
        assert_eq!(machine.lines(client), Vec::<Value>::new());
    }
}

#[test]
fn a_client_connects_once() {
    let mut machine = Machine::new(1);
    let client = machine.join(0, "ada");
    machine.command(client, &json!({"id": 2, "connect": {}}));
    assert_eq!(machine.closed[&client], 3501);
}

#[test]
fn who_does_not_connect_is_stale() {
    let mut machine = Machine::new(1);
    let client = machine.open(0);
    machine.pass(Duration::from_millis(9_999));
    assert!(machine.closed.is_empty());
    machine.pass(Duration::from_millis(1));
    assert_eq!(machine.closed[&client], 3502);
    assert_eq!(machine.counters(0).sessions, 0);
}

#[test]
fn who_does_not_answer_a_ping_is_closed() {
    let mut machine = Machine::new(1);
    let (answers, talks, silent) = (machine.join(0, "ada"), machine.join(0, "ben"), machine.join(0, "cleo"));
    let mut pings = 0;
    for second in 0..120 {
        machine.pass(Duration::from_secs(1));
        if machine.lines(answers).contains(&json!({})) {
            pings += 1;
            machine.send(answers, "{}");
        }
        if second % 5 == 0 {
            machine.command(talks, &json!({"id": 9, "ping": {}}));
        }
    }
    assert_eq!(machine.closed.get(&silent), Some(&3012));
    assert_eq!(machine.closed.len(), 1, "{:?}", machine.closed);
    assert!((4..=5).contains(&pings), "{pings} pings in 120 s");
}

#[test]
fn a_key_gives_a_user_id_that_stays_and_a_name_is_shown() {
    let mut machine = Machine::new(1);
    let mut user = |data: Value| {
        let client = machine.open(0);
        machine.call(client, "connect", json!({ "data": data }));
        machine.call(client, "subscribe", json!({"channel": "a"}));
        let presence = machine.call(client, "presence", json!({"channel": "a"}));
        machine.disconnect(client);
        let members = presence["presence"]["presence"].as_object().unwrap().values().cloned();
        members.collect::<Vec<_>>().remove(0)
    };
    let ada = user(json!({"name": "A\"da", "key": "secret"}));
    assert_eq!(ada["conn_info"], json!({"name": "A\"da"}));
    assert_eq!(ada["user"], user(json!({"key": "secret"}))["user"]);
    assert_ne!(ada["user"], user(json!({"key": "other"}))["user"]);
    assert_eq!(ada["user"].as_str().unwrap().len(), 20);
    assert_eq!(user(json!({"key": ""}))["user"], json!(""));
    // An application's own data is not ours to judge.
    for data in [json!(null), json!([1]), json!({"name": 7}), json!("x")] {
        assert_eq!(user(data.clone())["user"], json!(""), "{data}");
    }
}

#[test]
fn rooms_can_be_entered_while_connecting() {
    for shards in [1, 3] {
        let mut machine = Machine::new(shards);
        let ada = machine.join(0, "ada");
        for room in ["a", "b", "c"] {
            machine.call(ada, "publish", json!({"channel": room, "data": room}));
        }
        let position = machine.call(ada, "history", json!({"channel": "b", "limit": 1}));
        let epoch = position["history"]["epoch"].clone();
        let ben = machine.open(shards - 1);
        let subs = json!({"a": {}, "b": {"recover": true, "offset": 0, "epoch": epoch}, "new": {}});
        machine.command(ben, &json!({"id": 1, "connect": {"subs": subs}}));
        // While rooms are being entered, what is published must neither overtake the reply nor get lost.
        let mut steps = 0;
        while steps < 11 || machine.step(steps) {
            steps += 1;
            if steps <= 11 {
                let number = 100 + steps;
                machine.command(ada, &json!({"id": number, "publish": {"channel": "b", "data": number}}));
                machine.step(steps);
            }
        }
        let lines = machine.lines(ben);
        let connect = &lines[0]["connect"];
        let entered: Vec<_> = connect["subs"].as_object().unwrap().keys().collect();
        assert_eq!(entered, ["a", "b", "new"]);
        let b = &connect["subs"]["b"];
        assert_eq!((&b["recovered"], &b["publications"][0]["data"]), (&json!(true), &json!("b")));
        let mut offset = b["offset"].as_u64().unwrap();
        for line in &lines[1..] {
            offset += 1;
            assert_eq!(line["push"]["pub"]["offset"], json!(offset), "{line}");
        }
        assert_eq!(offset, 12);
    }
}

/// Takes tokens of the form `user:expiry in milliseconds:room`.
struct Words;

impl Authenticator for Words {
    fn connect(&mut self, wall: WallTime, token: &str) -> Result<Identity, AuthError> {
        let mut words = token.split(':');
        let (Some(user), Some(expiry), Some(room)) = (words.next(), words.next(), words.next()) else {
            return Err(AuthError::Invalid);
        };
        let expires = expiry.parse().ok().map(WallTime::from_unix_millis);
        if expires.is_some_and(|expires| expires < wall) {
            return Err(AuthError::Expired);
        }
        let info = Some("{\"of\": \"token\"}".into());
        Ok(Identity { user: user.into(), info, expires, channels: vec![room.into()], ..Identity::default() })
    }
}

fn guarded() -> Machine {
    Machine::with(1, &Config::default(), || Some(Box::new(Words)))
}

#[test]
fn a_token_says_who_one_is_and_where() {
    let mut machine = guarded();
    let client = machine.open(0);
    let reply = machine.call(client, "connect", json!({"token": "ada:never:home", "data": {"key": "ben"}}));
    assert!(reply["connect"]["subs"]["home"]["epoch"].is_string(), "{reply}");
    assert_eq!(reply["connect"].get("expires"), None);
    let presence = machine.call(client, "presence", json!({"channel": "home"}));
    let member = presence["presence"]["presence"].as_object().unwrap().values().next().unwrap();
    assert_eq!((&member["user"], &member["conn_info"]), (&json!("ada"), &json!({"of": "token"})));
}

#[test]
fn an_invalid_token_closes_and_an_expired_one_is_an_error() {
    let mut machine = guarded();
    for token in ["", "nonsense"] {
        let client = machine.open(0);
        machine.command(client, &json!({"id": 1, "connect": {"token": token}}));
        assert_eq!(machine.closed[&client], 3500);
    }
    let client = machine.open(0);
    let reply = machine.call(client, "connect", json!({"token": "ada:5:home"}));
    assert_eq!(reply["error"]["code"], json!(109), "{reply}");
    machine.command(client, &json!({"id": 2, "subscribe": {"channel": "home"}}));
    assert_eq!(machine.closed[&client], 3501);
}

#[test]
fn an_identity_ends_unless_it_is_refreshed() {
    let mut machine = guarded();
    let start = machine.wall.unix_millis();
    let token = |seconds: u64| format!("ada:{}:home", start + 1000 * seconds);
    let (stays, goes) = (machine.open(0), machine.open(0));
    for client in [stays, goes] {
        let reply = machine.call(client, "connect", json!({"token": token(60)}));
        assert_eq!((&reply["connect"]["expires"], &reply["connect"]["ttl"]), (&json!(true), &json!(60)));
    }
    machine.pass(Duration::from_secs(20));
    for client in [stays, goes] {
        machine.send(client, "{}");
    }
    let reply = machine.call(stays, "refresh", json!({"token": token(600)}));
    assert_eq!(reply["refresh"]["ttl"], json!(580), "{reply}");
    let reply = machine.call(goes, "refresh", json!({"token": "ada:5:home"}));
    assert_eq!(reply["error"]["code"], json!(109), "{reply}");
    for _ in 0..14 {
        machine.pass(Duration::from_secs(5));
        for client in [stays, goes] {
            machine.send(client, "{}");
        }
    }
    assert_eq!(machine.closed.get(&goes), Some(&3005));
    assert_eq!(machine.closed.get(&stays), None);
    machine.command(stays, &json!({"id": 5, "refresh": {"token": "ben:never:home"}}));
    assert_eq!(machine.closed.get(&stays), Some(&3500), "another user's token");
}

#[test]
fn without_tokens_nothing_is_refreshed() {
    let mut machine = Machine::new(1);
    let client = machine.join(0, "ada");
    let reply = machine.call(client, "refresh", json!({"token": "x"}));
    assert_eq!(reply["error"]["code"], json!(108));
    let reply = machine.call(client, "sub_refresh", json!({"channel": "a", "token": "x"}));
    assert_eq!(reply["error"]["code"], json!(108));
}

#[test]
fn a_message_without_reply_is_not_taken() {
    let mut machine = Machine::new(1);
    let client = machine.join(0, "ada");
    machine.command(client, &json!({"send": {"data": 1}}));
    assert_eq!(machine.closed[&client], 3508);
}

#[test]
fn replies_to_one_frame_share_a_frame() {
    let mut machine = Machine::new(1);
    let client = machine.join(0, "ada");
    machine.lines(client);
    let before = machine.frames[&client];
    machine.send(
        client,
        "{\"id\":1,\"ping\":{}}\n\n{\"id\":2,\"ping\":{}}\n{\"id\":3,\"unsubscribe\":{\"channel\":\"a\"}}\n",
    );
    let ids: Vec<_> = machine.lines(client).iter().map(|line| line["id"].clone()).collect();
    assert_eq!(ids, [1, 2, 3]);
    assert_eq!(machine.frames[&client], before + 1);
}
