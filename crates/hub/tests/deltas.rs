//! Publications that come as the difference from the one before, and those who take them whole.

mod support;

use serde_json::{Value, json};
use support::{Machine, publication};

fn data(text: &str) -> String {
    json!({ "text": text, "filler": "x".repeat(300) }).to_string()
}

fn publish(machine: &mut Machine, text: &str) {
    let request =
        hub::api::Request::Publish { channel: "room".into(), publication: publication(&data(text)) };
    machine.api(0, request).expect("published");
}

#[test]
fn the_first_publication_comes_whole_and_the_next_as_its_difference() {
    let mut machine = Machine::new(2);
    let plain = machine.join(0, "ada");
    let delta = machine.join(1, "bob");
    machine.call(plain, "subscribe", json!({"channel": "room"}));
    publish(&mut machine, "before");
    let reply = machine.call(delta, "subscribe", json!({"channel": "room", "delta": "fossil"}));
    assert_eq!(reply["subscribe"]["delta"], json!(true));
    for text in ["one", "two"] {
        publish(&mut machine, text);
    }
    let whole = machine.publications(plain);
    assert_eq!(whole.len(), 3);
    assert!(whole.iter().all(|publication| publication["data"]["text"].is_string()));
    let differing = machine.publications(delta);
    assert_eq!(differing[0]["data"], json!(data("one")), "as text");
    assert_eq!(differing[0].get("delta"), None);
    assert_eq!(differing[1]["delta"], json!(true));
    let length = differing[1]["data"].as_str().expect("a text").len();
    assert!(length < 60, "{length}");
}

#[test]
fn what_was_missed_comes_whole_and_the_next_again() {
    let mut machine = Machine::new(1);
    publish(&mut machine, "one");
    let client = machine.join(0, "ada");
    let request = json!({"channel": "room", "delta": "fossil", "recover": true, "offset": 0});
    let reply = machine.call(client, "subscribe", request);
    assert_eq!(reply["subscribe"]["publications"][0]["data"], json!(data("one")));
    publish(&mut machine, "two");
    publish(&mut machine, "three");
    let came = machine.publications(client);
    assert_eq!(came[0]["data"], json!(data("two")));
    assert_eq!(came[1]["delta"], json!(true));
}

#[test]
fn another_kind_of_delta_is_not_agreed_on() {
    let mut machine = Machine::new(1);
    let client = machine.join(0, "ada");
    let reply = machine.call(client, "subscribe", json!({"channel": "room", "delta": "other"}));
    assert_eq!(reply["subscribe"].get("delta"), None);
    publish(&mut machine, "one");
    let came: Vec<Value> = machine.publications(client);
    assert_eq!(came[0]["data"]["text"], json!("one"));
}
