//! Editing, deleting, and what is not kept.

mod support;

use hub::Config;
use serde_json::{Value, json};
use support::{Client, Machine};

fn publish(machine: &mut Machine, client: Client, id: &str) -> u64 {
    let reply = machine.rpc(client, "publish", json!({"id": id, "channel": "a", "data": id}));
    reply["rpc"]["data"]["offset"].as_u64().unwrap()
}

fn edit(machine: &mut Machine, client: Client, id: &str, target: u64) -> Value {
    machine.rpc(client, "edit", json!({"id": id, "channel": "a", "target": target, "data": id}))
}

fn delete(machine: &mut Machine, client: Client, id: &str, target: u64) -> Value {
    machine.rpc(client, "delete", json!({"id": id, "channel": "a", "target": target}))
}

fn history(machine: &mut Machine, client: Client) -> Vec<Value> {
    let reply = machine.call(client, "history", json!({"channel": "a", "limit": 1000}));
    reply["history"]["publications"].as_array().unwrap().clone()
}

/// Machines whose rooms have much and little in memory.
fn machines() -> [Machine; 2] {
    [512, 1]
        .map(|in_memory| Machine::configured(2, |config: &mut Config| config.history.in_memory = in_memory))
}

#[test]
fn an_edit_is_passed_on_and_marked() {
    for mut machine in machines() {
        let ada = machine.join(0, "ada");
        machine.call(ada, "subscribe", json!({"channel": "a"}));
        let target = publish(&mut machine, ada, "first");
        publish(&mut machine, ada, "second");
        assert_eq!(edit(&mut machine, ada, "better", target)["rpc"]["data"]["offset"], json!(3));
        let last = machine.publications(ada).pop().unwrap();
        assert_eq!(last["tags"], json!({"id": "better", "edits": "1"}));
        assert_eq!(last["data"], json!("better"));
        let history = history(&mut machine, ada);
        assert_eq!(history[0]["tags"], json!({"id": "first", "edited": "3"}));
        assert_eq!(history[0]["data"], json!("first"));
    }
}

#[test]
fn what_is_deleted_is_nowhere_any_more() {
    for mut machine in machines() {
        let ada = machine.join(0, "ada");
        machine.call(ada, "subscribe", json!({"channel": "a"}));
        let target = publish(&mut machine, ada, "secret-1");
        edit(&mut machine, ada, "secret-2", target);
        edit(&mut machine, ada, "secret-3", target);
        publish(&mut machine, ada, "other");
        machine.publications(ada);
        let reply = delete(&mut machine, ada, "gone", target);
        assert_eq!(reply["rpc"]["data"]["offset"], json!(5), "{reply}");
        let last = machine.publications(ada).pop().unwrap();
        assert_eq!((&last["data"], &last["tags"]), (&json!(null), &json!({"id": "gone", "deletes": "1"})));
        let history = history(&mut machine, ada);
        for deleted in &history[..3] {
            assert_eq!(deleted["data"], json!(null), "{deleted}");
            assert_eq!(deleted["tags"]["deleted"], json!("5"));
        }
        assert_eq!(history[3]["data"], json!("other"));
        for record in support::stored(&mut *machine.store, "a") {
            let body = String::from_utf8_lossy(&record.body).into_owned();
            assert!(!body.contains("\"secret"), "{body}");
        }
        for change in [edit(&mut machine, ada, "x", target), delete(&mut machine, ada, "y", target)] {
            assert_eq!(change["error"]["code"], json!(107), "{change}");
        }
    }
}

#[test]
fn only_the_author_changes_a_publication() {
    for mut machine in machines() {
        let (ada, ben) = (machine.join(0, "ada"), machine.join(1, "ben"));
        let target = publish(&mut machine, ada, "mine");
        for reply in [edit(&mut machine, ben, "x", target), delete(&mut machine, ben, "y", target)] {
            assert_eq!(reply["error"]["code"], json!(103), "{reply}");
        }
        // Another connection of the same user may.
        let again = machine.join(1, "ada");
        assert!(edit(&mut machine, again, "z", target)["rpc"].is_object());
    }
}

#[test]
fn who_is_nobody_changes_nothing() {
    let mut machine = Machine::new(1);
    let nobody = machine.open(0);
    machine.call(nobody, "connect", json!({}));
    let target = publish(&mut machine, nobody, "x");
    assert_eq!(edit(&mut machine, nobody, "y", target)["error"]["code"], json!(103));
    let request = hub::api::Request::Publish { channel: "a".into(), publication: support::publication("1") };
    machine.api(0, request).unwrap();
    assert_eq!(edit(&mut machine, nobody, "z", target + 1)["error"]["code"], json!(103));
}

#[test]
fn a_target_has_to_be_a_publication() {
    for mut machine in machines() {
        let ada = machine.join(0, "ada");
        let target = publish(&mut machine, ada, "x");
        let change = edit(&mut machine, ada, "y", target)["rpc"]["data"]["offset"].as_u64().unwrap();
        for (id, wrong) in [("a", 0), ("b", 3), ("c", u64::MAX), ("d", change)] {
            let reply = edit(&mut machine, ada, id, wrong);
            assert_eq!(reply["error"]["code"], json!(107), "{wrong}: {reply}");
        }
    }
}

#[test]
fn changes_at_once_come_one_after_the_other() {
    for mut machine in machines() {
        let (ada, again) = (machine.join(0, "ada"), machine.join(1, "ada"));
        let target = publish(&mut machine, ada, "x");
        publish(&mut machine, ada, "y");
        let command = |id: u64, method: &str, name: &str| {
            let data = json!({"id": name, "channel": "a", "target": target, "data": name});
            json!({"id": id, "rpc": {"method": method, "data": data}})
        };
        machine.command(ada, &command(101, "edit", "one"));
        machine.command(again, &command(102, "edit", "two"));
        machine.command(ada, &command(103, "edit", "one"));
        machine.command(ada, &command(104, "delete", "end"));
        machine.command(again, &command(105, "edit", "late"));
        machine.settle();
        let offset = |reply: Value| reply["rpc"]["data"]["offset"].as_u64();
        let offsets = [101, 103].map(|id| offset(machine.reply(ada, id)));
        assert_eq!(offsets[0], offsets[1], "one id, one edit");
        assert!(offset(machine.reply(ada, 104)).is_some());
        let (two, late) = (machine.reply(again, 102), machine.reply(again, 105));
        for publication in history(&mut machine, ada) {
            let kept = publication["data"] == json!("y") || publication["data"].is_null();
            assert!(kept, "{publication}: {two} {late}");
        }
    }
}

#[test]
fn a_signal_is_passed_on_and_not_kept() {
    let mut machine = Machine::new(2);
    let (ada, ben, cleo) = (machine.join(0, "ada"), machine.join(1, "ben"), machine.join(0, "cleo"));
    for client in [ada, ben] {
        machine.call(client, "subscribe", json!({"channel": "a"}));
    }
    machine.lines(cleo);
    assert_eq!(
        machine.rpc(ada, "signal", json!({"channel": "a", "data": {"typing": true}}))["rpc"]["data"],
        json!({})
    );
    for client in [ada, ben] {
        let publications = machine.publications(client);
        assert_eq!(publications.len(), 1);
        assert_eq!(publications[0].get("offset"), None);
        assert_eq!(publications[0]["tags"], json!({"signal": "true"}));
        assert_eq!(publications[0]["info"]["conn_info"]["name"], json!("ada"));
    }
    assert!(machine.lines(cleo).is_empty());
    assert!(history(&mut machine, ada).is_empty());
}

#[test]
fn unknown_methods_and_wrong_arguments_are_errors() {
    let mut machine = Machine::new(1);
    let ada = machine.join(0, "ada");
    assert_eq!(machine.rpc(ada, "nothing", json!({}))["error"]["code"], json!(108));
    for method in ["publish", "edit", "delete", "signal"] {
        for data in [json!(null), json!({}), json!([1]), json!({"id": 1, "channel": 2, "data": 1})] {
            let reply = machine.rpc(ada, method, data.clone());
            assert_eq!(reply["error"]["code"], json!(107), "{method} {data}: {reply}");
        }
    }
}
