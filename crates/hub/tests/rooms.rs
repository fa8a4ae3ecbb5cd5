//! What rooms do for clients that behave.

mod support;

use serde_json::json;
use support::Machine;

#[test]
fn what_one_says_the_others_hear() {
    for shards in [1, 2, 3] {
        let mut machine = Machine::new(shards);
        let (ada, ben) = (machine.join(0, "ada"), machine.join(shards - 1, "ben"));
        for client in [ada, ben] {
            let reply = machine.call(client, "subscribe", json!({"channel": "chat"}));
            assert_eq!(reply["subscribe"]["offset"], json!(0), "{reply}");
            assert_eq!(reply["subscribe"]["recoverable"], json!(true));
        }
        let reply = machine.call(ada, "publish", json!({"channel": "chat", "data": {"text": "hello"}}));
        assert_eq!(reply["publish"], json!({}), "{reply}");
        for client in [ada, ben] {
            let publications = machine.publications(client);
            assert_eq!(publications.len(), 1);
            assert_eq!(publications[0]["data"], json!({"text": "hello"}));
            assert_eq!(publications[0]["offset"], json!(1));
            assert_eq!(publications[0]["info"]["conn_info"], json!({"name": "ada"}));
        }
    }
}

#[test]
fn who_comes_back_gets_what_it_missed() {
    for shards in [1, 2] {
        let mut machine = Machine::new(shards);
        let ada = machine.join(0, "ada");
        let ben = machine.join(shards - 1, "ben");
        let first = machine.call(ben, "subscribe", json!({"channel": "chat"}));
        machine.disconnect(ben);
        for number in 1..=5 {
            machine.rpc(ada, "publish", json!({"id": number.to_string(), "channel": "chat", "data": number}));
        }
        let ben = machine.join(0, "ben");
        let epoch = &first["subscribe"]["epoch"];
        let request = json!({"channel": "chat", "recover": true, "offset": 2, "epoch": epoch});
        let reply = machine.call(ben, "subscribe", request);
        let reply = &reply["subscribe"];
        assert_eq!((&reply["recovered"], &reply["was_recovering"]), (&json!(true), &json!(true)));
        let offsets: Vec<_> = reply["publications"]
            .as_array()
            .unwrap()
            .iter()
            .map(|publication| &publication["offset"])
            .collect();
        assert_eq!(offsets, [&json!(3), &json!(4), &json!(5)]);
    }
}

#[test]
fn one_id_is_published_once() {
    let mut machine = Machine::new(2);
    let ada = machine.join(0, "ada");
    machine.call(ada, "subscribe", json!({"channel": "chat"}));
    let request = json!({"id": "x", "channel": "chat", "data": 1});
    let first = machine.rpc(ada, "publish", request.clone());
    assert_eq!(first["rpc"]["data"]["offset"], json!(1), "{first}");
    assert_eq!(machine.rpc(ada, "publish", request)["rpc"], first["rpc"]);
    let publications = machine.publications(ada);
    assert_eq!(publications.len(), 1);
    assert_eq!(publications[0]["tags"], json!({"id": "x"}));
}
