//! A full disk refuses publications and damages nothing. The disk is full for this process alone: the system limits the
//! size of its files, and the program cannot tell the difference.

#![cfg(target_os = "linux")]

mod process;

use std::process::Command;

use process::{Api, Server, free_address};
use serde_json::{Value, json};

#[test]
fn a_full_disk_refuses_publications_and_damages_nothing() {
    let directory = tempfile::tempdir().expect("there is a temporary directory");
    let data = directory.path().join("data");
    let address = free_address();

    let mut limited = Command::new("sh");
    // Without the signal, a write past the limit is an error like another. The limit is in blocks of 512 bytes.
    limited.args(["-c", "trap '' XFSZ; ulimit -f 12288; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_fourwire")]);
    let server = Server::start_with(limited, address, &data);
    let mut api = Api::connect(address).expect("the server answers");
    let mut acknowledged = Vec::new();
    let mut refusals = 0;
    for number in 0..3_000 {
        let answer = publish(&mut api, number);
        match answer["result"]["offset"].as_u64() {
            Some(offset) => acknowledged.push((offset, number)),
            None => {
                let message = answer["error"]["message"].as_str().unwrap_or_default();
                assert!(message.contains("full"), "the refusal does not say why: {answer}");
                refusals += 1;
                if refusals == 3 {
                    break;
                }
            }
        }
    }
    assert_eq!(refusals, 3, "the disk never was full");
    assert!(acknowledged.len() > 50);
    assert_eq!(numbers(&mut api), acknowledged, "on the full disk");
    server.kill();

    let _server = Server::start(address, &data);
    let mut api = Api::connect(address).expect("the server answers");
    assert_eq!(numbers(&mut api), acknowledged, "once there is space again");
    let answer = publish(&mut api, 9_999);
    let offset = answer["result"]["offset"].as_u64();
    assert_eq!(offset, Some(acknowledged.len() as u64 + 1), "{answer}");
}

fn publish(api: &mut Api, number: u64) -> Value {
    let request = json!({ "channel": "room", "data": { "number": number, "text": "x".repeat(8_000) } });
    api.call("publish", &request).expect("the server answers")
}

/// Offset and number of every publication in the room.
fn numbers(api: &mut Api) -> Vec<(u64, u64)> {
    let history = api.history("room").into_iter();
    history.map(|(offset, data)| (offset, data["number"].as_u64().unwrap_or(u64::MAX))).collect()
}
