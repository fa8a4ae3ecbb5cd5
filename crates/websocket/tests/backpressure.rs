//! What becomes of messages for a peer that reads too slowly.

mod common;

use common::*;
use proptest::prelude::*;
use websocket::deflate::{Offer, Options};
use websocket::protocol::Protocol;
use websocket::{Kind, Limits, Outbox, Prepared, Refused, Role, WhenFull};

const QUEUED: usize = 100_000;

fn slow(when_full: WhenFull) -> Protocol {
    protocol(Role::Server, Limits { queued_bytes: QUEUED, when_full, ..Limits::default() })
}

/// A message of a thousand bytes that begins with its number.
fn message(number: usize) -> String {
    format!("{number:<1000}")
}

fn numbers(written: &[u8]) -> Vec<usize> {
    let text = frames(written).into_iter().filter(|(first, _)| *first == 0x80 | TEXT);
    text.map(|(_, payload)| String::from_utf8(payload).unwrap().trim().parse().unwrap()).collect()
}

#[test]
fn unless_told_otherwise_it_is_refused_and_nothing_is_dropped() {
    let mut server = slow(WhenFull::Refuse);
    let taken = (0..1_000).take_while(|&number| server.send(message(number)).is_ok()).count();
    assert!((90..100).contains(&taken), "{taken}");
    assert!(matches!(server.send(message(0)), Err(Refused::Full { limit: QUEUED, .. })));
    assert_eq!(numbers(&drain(&mut server)), (0..taken).collect::<Vec<_>>());
    assert_eq!(server.counters().dropped, 0);
}

#[test]
fn the_oldest_give_way() {
    let mut server = slow(WhenFull::DropOldest);
    for number in 0..1_000 {
        server.send(message(number)).unwrap();
        assert!(server.queued_bytes() <= QUEUED);
    }
    let sent = numbers(&drain(&mut server));
    // What was a frame already is sent, then there is a gap, then the newest.
    let gap = sent.windows(2).position(|pair| pair[1] != pair[0] + 1).unwrap() + 1;
    assert_eq!(sent[..gap], (0..gap).collect::<Vec<_>>());
    assert_eq!(sent[gap..], (1_000 - (sent.len() - gap)..1_000).collect::<Vec<_>>());
    assert!(sent.len() > 85, "{}", sent.len());
    assert_eq!(server.counters().dropped as usize, 1_000 - sent.len());
    assert_eq!(server.counters().sent.messages as usize, sent.len());
}

#[test]
fn the_newest_are_dropped() {
    let mut server = slow(WhenFull::DropNewest);
    for number in 0..1_000 {
        server.send(message(number)).unwrap();
        assert!(server.queued_bytes() <= QUEUED);
    }
    let sent = numbers(&drain(&mut server));
    assert!(sent.len() > 85, "{}", sent.len());
    assert_eq!(sent, (0..sent.len()).collect::<Vec<_>>());
    assert_eq!(server.counters().dropped as usize, 1_000 - sent.len());
    server.send(message(7)).unwrap();
    assert_eq!(numbers(&drain(&mut server)), [7]);
}

#[test]
fn of_each_key_the_latest_waits() {
    let mut server = slow(WhenFull::LatestPerKey);
    for round in 0..100 {
        for key in 0..10 {
            server.outbox().send_latest(key, message(round * 10 + key as usize)).unwrap();
        }
        assert!(server.queued_bytes() <= 50_000, "{}", server.queued_bytes());
    }
    let sent = numbers(&drain(&mut server));
    assert_eq!(sent[sent.len() - 10..].iter().map(|number| number / 10).collect::<Vec<_>>(), [99; 10]);
    assert_eq!(server.counters().dropped as usize, 1_000 - sent.len());
    // Without a key, and with too many of them, the oldest give way.
    for number in 0..500 {
        server.send(message(number)).unwrap();
        server.outbox().send_latest(number as u64, message(number)).unwrap();
        assert!(server.queued_bytes() <= QUEUED);
    }
    let sent = numbers(&drain(&mut server));
    assert_eq!(sent.last(), Some(&499));
}

#[test]
fn the_connection_is_closed_with_1013() {
    let mut server = slow(WhenFull::Close);
    let taken = (0..1_000).take_while(|&number| server.send(message(number)).is_ok()).count();
    assert!(taken > 85, "{taken}");
    assert_eq!(server.send(message(0)), Err(Refused::Closing));
    let sent = frames(&drain(&mut server));
    let (last, before) = sent.split_last().unwrap();
    assert_eq!((last.0, &last.1[..2]), (0x80 | CLOSE, &1013_u16.to_be_bytes()[..]));
    assert_eq!(server.counters().dropped as usize, taken + 1 - before.len());
    assert!(server.poll_timeout().is_some(), "closing has its deadline");
}

#[test]
fn reading_rests_above_the_high_water_mark_until_the_low_one() {
    let limits = Limits { high_water_bytes: 10_000, low_water_bytes: 2_000, ..Limits::default() };
    let mut server = protocol(Role::Server, limits);
    let mut echo = |kind: Kind, payload: &[u8], out: &mut Outbox| out.send((kind, payload)).unwrap();
    let mut input = masked(0x80 | TEXT, &[b'x'; 1_000]).repeat(20);
    let taken = server.receive(START, &mut input, &mut echo);
    assert_eq!((taken / 1_008, server.is_choked()), (10, true));
    write(&mut server, 16, 7_000);
    assert!(server.is_choked(), "{} wait", server.queued_bytes());
    write(&mut server, 16, 1_100);
    assert!(!server.is_choked(), "{} wait", server.queued_bytes());
    assert!(server.receive(START, &mut input[taken..], &mut echo) > 8_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever is dropped, what is sent is whole, in order, and can be read: also when each compressed message refers
    /// to those before it.
    #[test]
    fn what_is_left_can_be_read(
        when_full in prop_oneof![
            Just(WhenFull::DropOldest),
            Just(WhenFull::DropNewest),
            Just(WhenFull::LatestPerKey)
        ],
        takeover: bool,
        steps in proptest::collection::vec((0_u64..8, 0..3_000_usize, 0..4_000_usize, any::<bool>()), 1..80),
    ) {
        let options = Options {
            client_context_takeover: takeover,
            server_context_takeover: takeover,
            ..Options::default()
        };
        let agreed = options.accept(&Offer::default()).0;
        let limits = Limits { queued_bytes: 40_000, when_full, ..Limits::default() };
        let mut server = Protocol::server(START, limits, Some(&agreed));
        let random = host::Random::from_seed([3; 32]);
        let mut client = Protocol::client(START, Limits::default(), Some(&agreed), random);
        let mut recorder = Recorder::default();
        let mut sent = Vec::new();
        for (number, (key, len, written, prepared)) in steps.into_iter().enumerate() {
            let mut payload = format!("{number} {key} ");
            // Such as does not compress to nothing.
            while payload.len() < len {
                let next = format!("{:x}", sent.len() * 7_919 + payload.len() * payload.len() * 31);
                payload.push_str(&next);
            }
            sent.push(payload.clone());
            if prepared {
                server.outbox().send_latest(key, Prepared::text(&payload)).unwrap();
            } else {
                server.outbox().send_latest(key, payload).unwrap();
            }
            prop_assert!(server.queued_bytes() <= 40_000 + 3_100);
            let mut written = write(&mut server, 8, written);
            client.receive(START, &mut written, &mut recorder);
        }
        client.receive(START, &mut drain(&mut server), &mut recorder);
        prop_assert_eq!(client.expected_end(), None);
        let mut left = sent.iter();
        let dropped = server.counters().dropped as usize;
        prop_assert_eq!(recorder.messages.len() + dropped, sent.len());
        let mut last_of_key = std::collections::BTreeMap::new();
        for (_, payload) in &recorder.messages {
            let text = std::str::from_utf8(payload).unwrap();
            if when_full == WhenFull::LatestPerKey {
                prop_assert!(sent.iter().any(|sent| sent == text));
                let mut words = text.split(' ');
                let number: usize = words.next().unwrap().parse().unwrap();
                let before = last_of_key.insert(words.next().unwrap(), number);
                prop_assert!(before.is_none_or(|before| before < number));
            } else {
                prop_assert!(left.any(|sent| sent == text));
            }
        }
    }
}
