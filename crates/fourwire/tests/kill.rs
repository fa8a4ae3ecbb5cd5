//! What was acknowledged outlives `kill -9`: once each, in order. `FOURWIRE_KILLS` says how often to kill.

#![allow(clippy::disallowed_methods, reason = "a real process lives in real time")]

mod process;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use process::{Api, Server, free_address};
use serde_json::{Value, json};

const WRITERS: u64 = 4;
const ROOMS: u64 = 3;

#[test]
fn acknowledged_publications_outlive_kill_9_once_and_in_order() {
    let kills: u64 = std::env::var("FOURWIRE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let directory = tempfile::tempdir().expect("there is a temporary directory");
    let data = directory.path().join("data");
    let address = free_address();
    let stop = AtomicBool::new(false);
    let written: Vec<Writer> = std::thread::scope(|scope| {
        let stop = &stop;
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || Writer { writer, ..Writer::default() }.publish(address, stop)))
            .collect();
        for _ in 0..kills {
            let server = Server::start(address, &data);
            std::thread::sleep(Duration::from_millis(50 + RandomState::new().hash_one(()) % 300));
            server.kill();
        }
        let server = Server::start(address, &data);
        stop.store(true, Ordering::Relaxed);
        let written = writers.into_iter().map(|writer| writer.join().expect("a writer fails")).collect();
        server.kill();
        written
    });

    let _server = Server::start(address, &data);
    let mut api = Api::connect(address).expect("the server answers");
    let acknowledged: usize = written.iter().map(|writer| writer.acknowledged.len()).sum();
    let retried: u64 = written.iter().map(|writer| writer.retried).sum();
    let mut stored = 0;
    for room in 0..ROOMS {
        let history = api.history(&room_name(room));
        assert!((1..).zip(&history).all(|(expected, (offset, _))| *offset == expected), "offsets have a gap");
        stored += history.len();
        check(room, &history, &written);
    }
    println!("{kills} kills: {acknowledged} acknowledged, {stored} stored, {retried} sent again");
    assert_eq!(stored, acknowledged, "every publication was repeated until it was acknowledged");
    assert!(acknowledged as u64 > kills * 10, "too little was published to prove anything");
}

/// Every writer's publications are there once, at the offset that it was told, in the order in which it sent them.
fn check(room: u64, history: &[(u64, Value)], written: &[Writer]) {
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    for (offset, data) in history {
        let (writer, number) = (data["writer"].as_u64().unwrap(), data["number"].as_u64().unwrap());
        let told = written[writer as usize].acknowledged.get(&number);
        assert_eq!(told, Some(&(room, *offset)), "publication {number} of writer {writer}");
        let before = last.insert(writer, number);
        assert!(before < Some(number), "writer {writer}: {number} comes after {before:?}");
    }
}

/// Publishes one after the other, and each until it is acknowledged.
#[derive(Default)]
struct Writer {
    writer: u64,
    /// Where each publication is, as the server said: room and offset.
    acknowledged: BTreeMap<u64, (u64, u64)>,
    /// How many publications had to be sent more than once.
    retried: u64,
}

impl Writer {
    fn publish(mut self, address: SocketAddr, stop: &AtomicBool) -> Self {
        let mut api = None;
        for number in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let room = (number + self.writer) % ROOMS;
            let request = json!({
                "channel": room_name(room),
                "data": { "writer": self.writer, "number": number },
                "idempotency_key": format!("{}-{number}", self.writer),
            });
            let mut attempts = 0;
            let offset = loop {
                if let Some(offset) = attempt(&mut api, address, &request) {
                    break offset;
                }
                attempts += 1;
                assert!(attempts < 10_000, "the server never came back");
                std::thread::sleep(Duration::from_millis(5));
            };
            self.retried += u64::from(attempts > 0);
            self.acknowledged.insert(number, (room, offset));
        }
        self
    }
}

/// The offset, when the server acknowledges.
fn attempt(api: &mut Option<Api>, address: SocketAddr, request: &Value) -> Option<u64> {
    let connected = match api {
        Some(api) => api,
        None => api.insert(Api::connect(address).ok()?),
    };
    match connected.call("publish", request) {
        Ok(answer) => {
            let offset = answer["result"]["offset"].as_u64();
            assert!(offset.is_some(), "a publication was refused: {answer}");
            offset
        }
        Err(_) => {
            *api = None;
            None
        }
    }
}

fn room_name(room: u64) -> String {
    format!("room-{room}")
}
