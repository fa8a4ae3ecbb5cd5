//! Who may do what, where identities are checked.

mod support;

use std::time::Duration;

use host::WallTime;
use hub::{AuthError, Authenticator, Config, Identity, Namespace, Permit, Right};
use serde_json::{Value, json};
use support::{Client, Machine};

/// Takes a token for what it says: `user` for a connection, `user room seconds` for a room.
struct Trusting;

impl Authenticator for Trusting {
    fn connect(&mut self, _: WallTime, token: &str) -> Result<Identity, AuthError> {
        match token {
            "" => Err(AuthError::Invalid),
            "unknown" => Err(AuthError::Unknown),
            user => {
                let channels = if user == "guest" { vec!["$lounge".into()] } else { Vec::new() };
                Ok(Identity { user: user.trim_matches('-').into(), channels, ..Identity::default() })
            }
        }
    }

    fn subscribe(&mut self, wall: WallTime, token: &str) -> Result<Permit, AuthError> {
        let mut words = token.split(' ');
        let (user, channel) = (words.next().unwrap_or_default(), words.next().ok_or(AuthError::Invalid)?);
        let seconds: Option<u64> = words.next().and_then(|word| word.parse().ok());
        let expires = seconds.map(|seconds| WallTime::from_unix_millis(wall.unix_millis() + seconds * 1000));
        Ok(Permit { user: user.into(), channel: channel.into(), expires })
    }
}

fn machine(configure: impl FnOnce(&mut Config)) -> Machine {
    let mut config = Config::default();
    configure(&mut config);
    Machine::with(2, &config, || Some(Box::new(Trusting)))
}

fn join(machine: &mut Machine, token: &str) -> Client {
    let client = machine.open(0);
    let reply = machine.call(client, "connect", json!({"token": token}));
    assert!(reply["connect"]["client"].is_string(), "{reply}");
    client
}

fn code(reply: &Value) -> u64 {
    reply["error"]["code"].as_u64().unwrap_or(0)
}

#[test]
fn a_private_room_is_entered_with_a_token_for_it() {
    let mut machine = machine(|_| {});
    let ada = join(&mut machine, "ada");
    for (token, expected) in
        [("", 103), ("ada $b", 103), ("eve $a", 103), ("nonsense", 103), ("ada $a 0", 109)]
    {
        let reply = machine.call(ada, "subscribe", json!({"channel": "$a", "token": token}));
        assert_eq!(code(&reply), expected, "{token}");
        let reply = machine.call(ada, "publish", json!({"channel": "$a", "data": 1}));
        assert_eq!(code(&reply), 103, "not from outside");
        assert_eq!(code(&machine.call(ada, "presence", json!({"channel": "$a"}))), 103);
        assert_eq!(code(&machine.call(ada, "history", json!({"channel": "$a"}))), 103);
    }
    let reply = machine.call(ada, "subscribe", json!({"channel": "$a", "token": "ada $a"}));
    assert_eq!(code(&reply), 0, "{reply}");
    assert_eq!(reply["subscribe"].get("expires"), None);
    let reply = machine.call(ada, "publish", json!({"channel": "$a", "data": 1}));
    assert_eq!(code(&reply), 0, "{reply}");
}

#[test]
fn a_room_that_lists_its_users_is_for_them() {
    let mut machine = machine(|_| {});
    let (ada, eve) = (join(&mut machine, "ada"), join(&mut machine, "eve"));
    let subscribe = json!({"channel": "dialog#ada,bob"});
    assert_eq!(code(&machine.call(ada, "subscribe", subscribe.clone())), 0);
    assert_eq!(code(&machine.call(eve, "subscribe", subscribe)), 103);
    assert_eq!(code(&machine.call(eve, "publish", json!({"channel": "dialog#ada,bob", "data": 1}))), 103);
    let by_rpc = json!({"id": "1", "channel": "dialog#ada,bob", "data": 1});
    assert_eq!(code(&machine.rpc(eve, "publish", by_rpc)), 103);
}

#[test]
fn a_connection_token_opens_the_rooms_that_it_names() {
    let mut machine = machine(|_| {});
    let client = machine.open(0);
    let reply = machine.call(client, "connect", json!({"token": "guest"}));
    assert!(reply["connect"]["subs"]["$lounge"].is_object(), "{reply}");
    assert_eq!(code(&machine.call(client, "subscribe", json!({"channel": "$other"}))), 103);
}

#[test]
fn a_token_that_cannot_be_checked_yet_may_be_tried_again() {
    let mut machine = machine(|_| {});
    let client = machine.open(0);
    let reply = machine.call(client, "connect", json!({"token": "unknown"}));
    assert_eq!((code(&reply), &reply["error"]["temporary"]), (100, &json!(true)));
}

#[test]
fn a_permit_ends_unless_it_is_renewed() {
    let mut machine = machine(|config| config.expiry_grace = Duration::from_secs(5));
    let (ada, bob) = (join(&mut machine, "ada"), join(&mut machine, "bob"));
    for (client, user) in [(ada, "ada"), (bob, "bob")] {
        let token = format!("{user} $a 10");
        let reply = machine.call(client, "subscribe", json!({"channel": "$a", "token": token}));
        assert_eq!((&reply["subscribe"]["expires"], &reply["subscribe"]["ttl"]), (&json!(true), &json!(10)));
    }
    machine.pass(Duration::from_secs(12));
    let reply = machine.call(ada, "sub_refresh", json!({"channel": "$a", "token": "ada $a 60"}));
    assert_eq!(reply["sub_refresh"], json!({"expires": true, "ttl": 60}));
    for (token, expected) in [("eve $a 60", 103), ("ada $b 60", 103), ("ada $a 0", 109)] {
        let reply = machine.call(ada, "sub_refresh", json!({"channel": "$a", "token": token}));
        assert_eq!(code(&reply), expected, "{token}");
    }
    assert_eq!(code(&machine.call(ada, "sub_refresh", json!({"channel": "$b", "token": "ada $b"}))), 103);
    machine.lines(bob);
    machine.pass(Duration::from_secs(4));
    machine.settle();
    let expected =
        json!({"push": {"channel": "$a", "unsubscribe": {"code": 2501, "reason": "subscription expired"}}});
    assert!(machine.lines(bob).contains(&expected));
    assert!(!machine.lines(ada).iter().any(|line| line["push"]["unsubscribe"].is_object()));
    let stats = machine.call(ada, "presence_stats", json!({"channel": "$a"}));
    assert_eq!(stats["presence_stats"]["num_clients"], json!(1));
}

#[test]
fn a_namespace_says_who_may_do_what() {
    let news = Namespace {
        subscribe: Right::Users,
        publish: Right::Nobody,
        history: Right::Members,
        presence: Right::Nobody,
        join_leave: false,
        delta: false,
        ..Namespace::default()
    };
    let mut machine = machine(|config| {
        config.namespaces.named.insert("news".into(), news);
        config
            .namespaces
            .named
            .insert("shut".into(), Namespace { subscribe: Right::Nobody, ..Namespace::default() });
    });
    let (ada, nobody) = (join(&mut machine, "ada"), join(&mut machine, "-"));
    let subscribe = json!({"channel": "news:today", "join_leave": true, "delta": "fossil"});
    assert_eq!(code(&machine.call(nobody, "subscribe", subscribe.clone())), 103);
    assert_eq!(code(&machine.call(ada, "history", json!({"channel": "news:today"}))), 103);
    let reply = machine.call(ada, "subscribe", subscribe);
    assert_eq!((code(&reply), reply["subscribe"].get("delta")), (0, None));
    assert!(!machine.lines(ada).iter().any(|line| line["push"]["join"].is_object()));
    assert_eq!(code(&machine.call(ada, "history", json!({"channel": "news:today"}))), 0);
    assert_eq!(code(&machine.call(ada, "publish", json!({"channel": "news:today", "data": 1}))), 103);
    assert_eq!(code(&machine.call(ada, "presence", json!({"channel": "news:today"}))), 103);
    assert_eq!(code(&machine.call(ada, "subscribe", json!({"channel": "shut:a"}))), 103);
    assert_eq!(code(&machine.call(ada, "subscribe", json!({"channel": "shut:a", "token": "ada shut:a"}))), 0);
    assert_eq!(code(&machine.call(ada, "publish", json!({"channel": "elsewhere", "data": 1}))), 0);
}
