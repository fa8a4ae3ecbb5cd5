//! Opening, bytes both ways, closing.

use std::time::Duration;

use wire::tcp::Flags;

use super::pair::{Link, Pair, opening};
use crate::transport::tcp::{Connection, End, Negotiated, ReadError, Settings, State, WriteError};

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

#[test]
fn a_handshake_agrees_on_options() {
    let mut pair = Pair::open(Settings::default());
    for side in 0..2 {
        let info = pair.end(side).info();
        assert_eq!((info.state, info.max_segment_size), (State::Established, 1448));
        assert!(pair.end(side).take_changes().connected);
        assert_eq!(info.memory, 0, "an idle connection holds no buffers");
    }
}

#[test]
fn bytes_go_both_ways_and_the_window_grows() {
    let mut pair = Pair::open(Settings::default());
    let bytes = pattern(1_500_000);
    let (mut sent, mut got, mut back) = (0, Vec::new(), Vec::<u8>::new());
    for _ in 0..2000 {
        if sent < bytes.len() {
            sent += pair.write(0, &bytes[sent..]);
        }
        got.extend(pair.read(1));
        if got.len() > back.len() {
            pair.write(1, &got[back.len()..]);
            back.extend(&got[back.len()..]);
        }
        pair.read(0);
        pair.run(Duration::from_millis(5));
        if got.len() == bytes.len() {
            break;
        }
    }
    assert!(got == bytes, "{} of {}", got.len(), bytes.len());
    assert!(pair.end(1).info().receive_window > 65_535, "the window grew");
    pair.run(Duration::from_secs(1));
    pair.read(0);
    assert_eq!((pair.end(0).info().memory, pair.end(1).info().memory), (0, 0));
    assert_eq!((pair.end(0).poll_timeout(), pair.end(1).poll_timeout()), (None, None));
}

#[test]
fn who_fills_the_buffer_to_its_last_byte_hears_of_room() {
    let mut pair = Pair::open(Settings { send_buffer: 20_000, ..Settings::default() });
    pair.end(0).take_changes();
    assert_eq!(pair.write(0, &pattern(20_000)), 20_000);
    assert!(!pair.end(0).is_writable() && !pair.end(0).take_changes().writable);
    pair.run(Duration::from_millis(100));
    assert!(pair.end(0).is_writable() && pair.end(0).take_changes().writable);
}

#[test]
fn one_side_closes_and_the_other_goes_on() {
    let mut pair = Pair::open(Settings::default());
    let now = pair.now;
    pair.write(0, b"question");
    pair.end(0).shutdown(now);
    pair.run(Duration::from_millis(100));
    assert_eq!((pair.end(0).state(), pair.end(1).state()), (State::FinWait2, State::CloseWait));
    assert_eq!(pair.read(1), b"question");
    let (mut byte, now) = ([0], pair.now);
    assert_eq!(pair.end(1).read(now, &mut byte), Ok(0));
    assert_eq!(pair.end(0).write(now, &[]), Err(WriteError::ShutDown));
    pair.write(1, b"answer");
    pair.end(1).shutdown(now);
    pair.run(Duration::from_millis(100));
    assert_eq!((pair.end(0).state(), pair.end(1).state()), (State::TimeWait, State::Closed));
    assert!(pair.end(0).time_wait().is_none(), "unread bytes keep the connection");
    assert_eq!(pair.read(0), b"answer");
    assert!(pair.end(0).time_wait().is_some());
    pair.run(Duration::from_secs(61));
    assert_eq!(pair.end(0).end(), Some(End::Closed));
    assert!(pair.end(0).is_finished() && pair.end(1).is_finished());
}

#[test]
fn both_open_at_once() {
    let mut pair = Pair::new(1, Link::clean(), Settings::default());
    pair.ends[1] = Some(Connection::connect(pair.now, opening(1, Settings::default())));
    pair.run(Duration::from_secs(1));
    assert_eq!((pair.end(0).state(), pair.end(1).state()), (State::Established, State::Established));
    pair.write(0, b"hello");
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.read(1), b"hello");
}

#[test]
fn both_close_at_once() {
    let mut pair = Pair::open(Settings::default());
    let now = pair.now;
    pair.end(0).shutdown(now);
    pair.end(1).shutdown(now);
    pair.run(Duration::from_millis(100));
    assert_eq!((pair.end(0).state(), pair.end(1).state()), (State::TimeWait, State::TimeWait));
}

#[test]
fn a_cookie_brings_a_connection_back() {
    let mut pair = Pair::new(1, Link::clean(), Settings::default());
    pair.run(Duration::from_millis(15));
    let syn = pair.log[0].1.header;
    pair.run(Duration::from_millis(10));
    let ack = pair.log.iter().rfind(|(_, carried)| carried.to == 1).unwrap().1.header;
    assert!(!ack.flags.contains(Flags::SYN));
    let agreed = Negotiated {
        max_segment_size: syn.options.max_segment_size.unwrap(),
        window_scale: syn.options.window_scale,
        sack: true,
        timestamps: ack.options.timestamps.map(|timestamps| timestamps.value),
    };
    pair.ends[1] = Some(Connection::from_cookie(pair.now, opening(1, Settings::default()), agreed, &ack));
    let now = pair.now;
    pair.end(1).receive(now, &ack, b"", 0);
    pair.write(0, b"hello");
    pair.write(1, b"welcome");
    pair.run(Duration::from_millis(100));
    assert_eq!((pair.read(1), pair.read(0)), (b"hello".to_vec(), b"welcome".to_vec()));
}

#[test]
fn nobody_there_is_told_in_time_and_refusal_at_once() {
    let mut pair = Pair::new(1, Link { loss: 1000, ..Link::clean() }, Settings::default());
    pair.run(Duration::from_secs(300));
    assert_eq!(pair.end(0).end(), Some(End::TimedOut));
    assert_eq!(pair.log.len(), 7, "SYN and six retransmissions");
    let mut pair = Pair::new(1, Link::clean(), Settings::default());
    pair.flush();
    let syn = pair.log[0].1.header;
    let mut answer = syn;
    (answer.flags, answer.acknowledgment) = (Flags::RST | Flags::ACK, syn.sequence + 1);
    let now = pair.now;
    pair.end(0).receive(now, &answer, b"", 0);
    assert_eq!(pair.end(0).end(), Some(End::Refused));
    assert_eq!(pair.end(0).read(now, &mut [0]), Err(ReadError::Ended(End::Refused)));
}

#[test]
fn letting_go_of_unread_bytes_resets() {
    let mut pair = Pair::open(Settings::default());
    pair.write(0, b"unread");
    pair.run(Duration::from_millis(100));
    let now = pair.now;
    pair.end(1).release(now);
    pair.run(Duration::from_millis(100));
    assert_eq!((pair.end(0).end(), pair.end(1).end()), (Some(End::Reset), Some(End::Aborted)));
}

#[test]
fn a_device_that_cuts_gets_long_segments() {
    let mut pair = Pair::open(Settings::default());
    pair.max_payload = 64_000;
    let now = pair.now;
    pair.end(0).write(now, &[std::io::IoSlice::new(&pattern(14_480))]).unwrap();
    let segment = pair.end(0).transmit(now, 64_000).unwrap();
    assert_eq!((segment.payload.concat().len(), segment.segment_size), (14_480, Some(1448)));
}
