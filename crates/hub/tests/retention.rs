//! What rooms keep, and where, by their namespaces.

mod support;

use std::time::Duration;

use hub::api::{Answer, Request};
use hub::{Durable, Namespace};
use serde_json::json;
use support::{Machine, publication, stored};

fn machine(namespace: Namespace) -> Machine {
    Machine::configured(1, |config| {
        config.namespaces.named.insert("ns".into(), namespace);
    })
}

fn publish(machine: &mut Machine, text: &str) -> u64 {
    let request = Request::Publish { channel: "ns:a".into(), publication: publication(text) };
    match machine.api(0, request) {
        Ok(Answer::Published(position)) => position.offset,
        other => panic!("{other:?}"),
    }
}

fn offsets(machine: &mut Machine) -> Vec<u64> {
    let request = Request::History { channel: "ns:a".into(), limit: 100, since: None, reverse: false };
    match machine.api(0, request) {
        Ok(Answer::History { publications, .. }) => publications.iter().map(|found| found.offset).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_room_keeps_as_many_as_its_namespace_says() {
    let mut machine = machine(Namespace { kept: Some(2), ..Namespace::default() });
    let client = machine.join(0, "ada");
    let reply = machine.call(client, "subscribe", json!({"channel": "ns:a"}));
    let epoch = reply["subscribe"]["epoch"].clone();
    for number in 1..=5 {
        publish(&mut machine, &number.to_string());
    }
    assert_eq!(offsets(&mut machine), [4, 5]);
    assert_eq!(stored(&mut *machine.store, "ns:a").len(), 2);
    let other = machine.join(0, "bob");
    for (offset, recovered) in [(2, json!(null)), (3, json!(true))] {
        let request = json!({"channel": "ns:a", "recover": true, "offset": offset, "epoch": epoch});
        let reply = machine.call(other, "subscribe", request);
        assert_eq!(reply["subscribe"]["recovered"], recovered, "{reply}");
        machine.call(other, "unsubscribe", json!({"channel": "ns:a"}));
    }
}

#[test]
fn a_room_keeps_publications_as_long_as_its_namespace_says() {
    let mut machine = machine(Namespace { age: Some(Duration::from_secs(60)), ..Namespace::default() });
    let client = machine.join(0, "ada");
    let reply = machine.call(client, "subscribe", json!({"channel": "ns:a"}));
    let epoch = reply["subscribe"]["epoch"].clone();
    publish(&mut machine, "1");
    machine.pass(Duration::from_secs(40));
    publish(&mut machine, "2");
    assert_eq!(offsets(&mut machine), [1, 2]);
    machine.pass(Duration::from_secs(30));
    assert_eq!(offsets(&mut machine), [2], "the first is too old");
    let other = machine.join(0, "bob");
    let request = json!({"channel": "ns:a", "recover": true, "offset": 0, "epoch": epoch});
    let reply = machine.call(other, "subscribe", request);
    assert_eq!(reply["subscribe"].get("recovered"), None, "what was missed is not all there");
    publish(&mut machine, "3");
    assert_eq!(stored(&mut *machine.store, "ns:a").len(), 2, "dropped with the next");
}

#[test]
fn a_room_in_memory_is_never_stored_and_recovers_while_it_lasts() {
    let mut machine = machine(Namespace { durable: Durable::Memory, ..Namespace::default() });
    let client = machine.join(0, "ada");
    let reply = machine.call(client, "subscribe", json!({"channel": "ns:a"}));
    let epoch = reply["subscribe"]["epoch"].clone();
    for number in 1..=600 {
        assert_eq!(publish(&mut machine, &number.to_string()), number);
    }
    assert_eq!(machine.publications(client).len(), 600);
    assert!(stored(&mut *machine.store, "ns:a").is_empty());
    assert_eq!(offsets(&mut machine).first(), Some(&89), "the newest 512");
    let other = machine.join(0, "bob");
    for (offset, recovered) in [(500, json!(true)), (10, json!(null))] {
        let request = json!({"channel": "ns:a", "recover": true, "offset": offset, "epoch": epoch});
        let reply = machine.call(other, "subscribe", request);
        assert_eq!(reply["subscribe"]["recovered"], recovered);
        machine.call(other, "unsubscribe", json!({"channel": "ns:a"}));
    }
    let change = json!({"id": "x", "channel": "ns:a", "target": 3, "data": 1});
    assert_eq!(machine.rpc(client, "edit", change)["error"]["code"], json!(107), "it is gone");
}
