//! `fourwire backup` and `fourwire restore`, as a person uses them.

mod process;

use std::path::Path;
use std::process::{Command, Output};

use process::{Api, Server, free_address};
use serde_json::json;

#[test]
fn a_backup_makes_a_server_with_the_same_history() {
    let directory = tempfile::tempdir().expect("there is a temporary directory");
    let at = |name: &str| directory.path().join(name);
    let (data, file) = (at("data"), at("rooms.backup"));
    let address = free_address();

    let error = refused(&fourwire("backup", &data, &file));
    assert!(error.contains("no store"), "{error}");

    let server = Server::start(address, &data);
    let mut api = Api::connect(address).expect("the server answers");
    for number in 0..300 {
        let request = json!({ "channel": format!("room {}", number % 3), "data": { "number": number } });
        let answer = api.call("publish", &request).expect("the server answers");
        assert!(answer["result"]["offset"].is_u64(), "{answer}");
    }
    let history: Vec<_> = (0..3).map(|room| api.history(&format!("room {room}"))).collect();
    let epoch = epoch(&mut api);

    let error = refused(&fourwire("backup", &data, &file));
    assert!(error.contains("in use by another fourwire"), "{error}");
    server.kill();

    let done = fourwire("backup", &data, &file);
    assert!(done.status.success(), "{done:?}");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(said.contains("3 rooms with 300 records"), "{said}");
    let error = refused(&fourwire("backup", &data, &file));
    assert!(error.contains("there already"), "{error}");

    let error = refused(&fourwire("restore", &data, &file));
    assert!(error.contains("not an empty directory"), "{error}");
    let cut = at("cut.backup");
    let whole = std::fs::read(&file).expect("the backup can be read");
    std::fs::write(&cut, &whole[..whole.len() - 9]).expect("a file can be written");
    let error = refused(&fourwire("restore", &at("other"), &cut));
    assert!(error.contains("damaged"), "{error}");
    assert!(!at("other").exists(), "a failed restore leaves something");

    // An empty directory will do: it may be a mounted one.
    std::fs::create_dir(at("other")).expect("a directory can be made");
    let error = refused(&fourwire("restore", &at("other"), &cut));
    assert!(error.contains("damaged"), "{error}");
    assert_eq!(std::fs::read_dir(at("other")).expect("it is still there").count(), 0);

    let done = fourwire("restore", &at("other"), &file);
    assert!(done.status.success(), "{done:?}");
    let _server = Server::start(address, &at("other"));
    let mut api = Api::connect(address).expect("the server answers");
    for (room, history) in history.iter().enumerate() {
        assert_eq!(api.history(&format!("room {room}")), *history);
    }
    assert_ne!(self::epoch(&mut api), epoch, "clients must not take what comes for a continuation");
}

fn fourwire(command: &str, data: &Path, file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fourwire"))
        .args([command, "--data"])
        .args([data, file])
        .output()
        .expect("the program starts")
}

fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "it did not fail: {output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn epoch(api: &mut Api) -> String {
    let answer = api.call("history", &json!({ "channel": "room 0" })).expect("the server answers");
    answer["result"]["epoch"].as_str().expect("there is an epoch").to_owned()
}
