//! Frames that nobody sane would send, in both protocols: nothing panics, and nothing grows without bound.

use host::{Instant, Random, Shard, WallTime};
use hub::store::{Memory, run};
use hub::{Config, Hub, Input, Output, Protocol, SessionId};
use proptest::prelude::*;

/// A connection that has said `frames`, and how many bytes it was answered; every number of a frame counts.
fn answered(protocol: Protocol, frames: &[Vec<u8>]) -> usize {
    let shard = Shard { index: 0, count: 1 };
    let mut hub = Hub::new(Config::default(), shard, Random::from_seed([1; 32]), None);
    let session = SessionId { index: 0, generation: 1 };
    let (mut store, mut all) = (Memory::new(), Vec::new());
    let mut handle = |input| {
        let mut outputs = Vec::new();
        hub.handle(Instant::ORIGIN, WallTime::from_unix_millis(1), input, &mut outputs);
        while let Some(output) = outputs.pop() {
            if let Output::Store { request } = output {
                for reply in run(&mut store, vec![request]) {
                    let (now, wall) = (Instant::ORIGIN, WallTime::from_unix_millis(1));
                    hub.handle(now, wall, Input::Stored { reply }, &mut outputs);
                }
            } else {
                all.push(output);
            }
        }
    };
    handle(Input::Connected { session, remote: ([10, 0, 0, 2], 4000).into(), protocol, name: None });
    for frame in frames {
        handle(Input::Received { session, bytes: frame });
    }
    handle(Input::Disconnected { session });
    assert_eq!(hub.counters().sessions, 0);
    let length = |output: &Output| match output {
        Output::Send { frame, .. } => frame.len(),
        Output::Fanout { frame, sessions, .. } => frame.len() * sessions.len(),
        _ => 0,
    };
    all.iter().map(length).sum()
}

/// Connect, subscribe with all its fields, publish, history, presence, rpc, refresh, sub_refresh: as clients write them.
fn sane(protocol: Protocol) -> Vec<u8> {
    match protocol {
        Protocol::Json => [
            r#"{"id":1,"connect":{"token":"t","data":{"name":"a"},"subs":{"b":{"recover":true,"offset":1}}}}"#,
            r#"{"id":2,"subscribe":{"channel":"a","token":"t","recover":true,"epoch":"e","offset":9,"delta":"fossil","flag":2}}"#,
            r#"{"id":3,"publish":{"channel":"a","data":[1]}}"#,
            r#"{"id":4,"history":{"channel":"a","limit":-1,"since":{"offset":1,"epoch":"e"},"reverse":true}}"#,
            r#"{"id":5,"presence":{"channel":"a"}}"#,
            r#"{"id":6,"rpc":{"method":"publish","data":{"id":"1","channel":"a","data":1}}}"#,
            r#"{"id":7,"refresh":{"token":"t"}}"#,
            r#"{"id":8,"sub_refresh":{"channel":"a","token":"t"}}"#,
            "{}",
        ]
        .join("\n")
        .into_bytes(),
        Protocol::Protobuf => [
            &b"\x08\x01\x22\x11\x0a\x01t\x12\x02{}\x1a\x08\x0a\x01b\x12\x03\x0a\x01b"[..],
            b"\x08\x02\x2a\x12\x0a\x01a\x18\x01\x32\x01e\x38\x09b\x06fossil",
            b"\x08\x03\x3a\x08\x0a\x01a\x12\x03[1]",
            b"\x08\x04\x52\x0e\x0a\x01a\x38\x7f\x42\x05\x08\x01\x12\x01e\x48\x01",
            b"\x08\x05\x42\x03\x0a\x01a",
            b"\x08\x06\x6a\x0b\x0a\x02{}\x12\x05rooms",
            b"\x08\x07\x72\x03\x0a\x01t",
            b"\x08\x08\x7a\x06\x0a\x01a\x12\x01t",
            b"",
        ]
        .iter()
        .flat_map(|command| [&[command.len() as u8][..], command].concat())
        .collect(),
    }
}

fn frames(protocol: Protocol) -> impl Strategy<Value = Vec<Vec<u8>>> {
    let anything = prop::collection::vec(any::<u8>(), 0..200);
    let nearly = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..6).prop_map(
        move |changes| {
            let mut frame = sane(protocol);
            for (place, byte, kind) in changes {
                let at = place.index(frame.len());
                match kind {
                    0 => frame[at] = byte,
                    1 => frame.insert(at, byte),
                    _ => drop(frame.remove(at)),
                }
            }
            frame
        },
    );
    prop::collection::vec(prop_oneof![anything, nearly, Just(sane(protocol))], 1..6)
}

proptest! {
    #[test]
    fn json(frames in frames(Protocol::Json)) {
        let said: usize = frames.iter().map(Vec::len).sum();
        prop_assert!(answered(Protocol::Json, &frames) < 2000 + 50 * said);
    }

    #[test]
    fn protobuf(frames in frames(Protocol::Protobuf)) {
        let said: usize = frames.iter().map(Vec::len).sum();
        prop_assert!(answered(Protocol::Protobuf, &frames) < 2000 + 50 * said);
    }
}

#[test]
fn what_is_sane_is_answered() {
    for protocol in [Protocol::Json, Protocol::Protobuf] {
        assert!(answered(protocol, &[sane(protocol)]) > 50, "{protocol:?}");
    }
}

#[test]
fn huge_lengths_and_counts_cost_nothing() {
    let subs = "\"x\":{},".repeat(100_000);
    let many = format!(r#"{{"id":1,"connect":{{"subs":{{{}"y":{{}}}}}}}}"#, subs);
    let deep = format!(r#"{{"id":1,"connect":{{"data":{}"#, "[".repeat(100_000));
    for frame in [many, deep, "{}\n".repeat(100_000)] {
        assert!(answered(Protocol::Json, &[frame.into_bytes()]) < 500);
    }
    let huge = vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1];
    let nested = [vec![0x80, 0x01], [0x22, 0x7e].repeat(64)].concat();
    for frame in [huge, nested, vec![0; 100_000]] {
        assert!(answered(Protocol::Protobuf, &[frame]) < 500);
    }
}
