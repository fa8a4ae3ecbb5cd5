//! What a hostile or silent peer can make us do, and for how long.

mod common;

use std::time::Duration;

use common::*;
use host::Instant;
use websocket::{CloseCode, End, Fault, Keepalive, Limits, Prepared, Refused, Role, Timeout};

fn at(millis: u64) -> Instant {
    START + Duration::from_millis(millis)
}

#[test]
fn a_million_one_byte_fragments_hit_the_limit() {
    let mut protocol = protocol(Role::Server, Limits { fragments: 1_000, ..Limits::default() });
    let mut recorder = Recorder::default();
    protocol.receive(START, &mut masked(BINARY, b"x"), &mut recorder);
    for received in 1..1_000_000 {
        assert_eq!(protocol.expected_end().is_some(), received > 1_000);
        if received > 1_000 {
            break;
        }
        protocol.receive(START, &mut masked(CONTINUATION, b"x"), &mut recorder);
    }
    assert_eq!(protocol.expected_end(), Some(End::Fault(Fault::TooManyFragments)));
    let sent = frames(&drain(&mut protocol));
    assert_eq!(sent[0].1[..2], CloseCode::POLICY_VIOLATION.0.to_be_bytes());
}

#[test]
fn a_message_may_reach_its_limit_but_not_pass_it() {
    let limits = Limits { message_bytes: 10, frame_bytes: 100, ..Limits::default() };
    for (fragments, fits) in [
        (&[10][..], true),
        (&[11], false),
        (&[5, 5], true),
        (&[5, 0, 6], false),
        (&[9, 1, 0], true),
        (&[10, 0, 1], false),
    ] {
        let mut protocol = protocol(Role::Server, limits.clone());
        let mut recorder = Recorder::default();
        for (index, len) in fragments.iter().enumerate() {
            let opcode = if index == 0 { BINARY } else { CONTINUATION };
            let fin = if index + 1 == fragments.len() { 0x80 } else { 0 };
            protocol.receive(START, &mut masked(fin | opcode, &vec![7; *len]), &mut recorder);
        }
        assert_eq!(recorder.messages.len(), usize::from(fits), "{fragments:?}");
        let fault = (!fits).then_some(End::Fault(Fault::MessageTooBig));
        assert_eq!(protocol.expected_end(), fault, "{fragments:?}");
    }
}

#[test]
fn a_length_is_judged_before_its_payload_comes() {
    let mut protocol = protocol(Role::Server, Limits { message_bytes: 10, ..Limits::default() });
    protocol.receive(START, &mut masked(0x82, &[0; 11])[..6], &mut Recorder::default());
    assert_eq!(protocol.expected_end(), Some(End::Fault(Fault::MessageTooBig)));
}

#[test]
fn control_floods_end_the_connection_and_a_steady_rate_does_not() {
    let limits = Limits { control_frames_per_second: 10, ..Limits::default() };
    for opcode in [PING, PONG] {
        let mut protocol = protocol(Role::Server, limits.clone());
        let mut recorder = Recorder::default();
        let mut burst: Vec<u8> = masked(0x80 | opcode, b"!").repeat(10);
        protocol.receive(at(0), &mut burst, &mut recorder);
        assert_eq!(protocol.expected_end(), None, "a second's worth may come at once");
        for tick in 1..100 {
            protocol.receive(at(tick * 100), &mut masked(0x80 | opcode, b"!"), &mut recorder);
            assert_eq!(protocol.expected_end(), None);
        }
        let mut two = masked(0x80 | opcode, b"!").repeat(2);
        protocol.receive(at(10_000), &mut two, &mut recorder);
        assert_eq!(protocol.expected_end(), Some(End::Fault(Fault::ControlFlood)));
    }
}

#[test]
fn unwritten_pongs_do_not_pile_up() {
    let limits = Limits { control_frames_per_second: 100_000, ..Limits::default() };
    let mut protocol = protocol(Role::Server, limits);
    for round in 0..1_000 {
        let payload = [round as u8; 125];
        protocol.receive(START, &mut masked(0x80 | PING, &payload), &mut Recorder::default());
        assert!(protocol.queued_bytes() <= 17 * 127);
        if round == 0 {
            assert_eq!(write(&mut protocol, 4, 1).len(), 1, "the first pong is begun");
        }
    }
    let rest = drain(&mut protocol);
    let whole = [&[0x80 | PONG][..], &rest].concat();
    let expected: Vec<_> =
        (0..16).chain([999]).map(|round| (0x80 | PONG, vec![(round % 256) as u8; 125])).collect();
    assert_eq!(frames(&whole), expected, "the one that was begun, fifteen more, and the newest");
}

#[test]
fn a_peer_that_never_reads_fills_the_queue_and_no_more() {
    let mut protocol = protocol(Role::Server, Limits { queued_bytes: 10_000, ..Limits::default() });
    let prepared = Prepared::text("x".repeat(100));
    let mut accepted = 0;
    let refused = loop {
        match protocol.send(&prepared) {
            Ok(()) => accepted += 1,
            Err(refused) => break refused,
        }
    };
    assert!((90..=98).contains(&accepted), "{accepted}");
    assert!(matches!(refused, Refused::Full { limit: 10_000, .. }));
    assert!(protocol.queued_bytes() <= 10_000);
    assert_eq!(frames(&drain(&mut protocol)).len(), accepted);
    protocol.send(&prepared).unwrap();
}

#[test]
fn one_message_always_fits_an_empty_queue() {
    let mut protocol = protocol(Role::Server, Limits { queued_bytes: 10, ..Limits::default() });
    protocol.send("longer than ten bytes").unwrap();
    assert!(protocol.send("x").is_err());
}

#[test]
fn closing_has_a_deadline() {
    let limits = Limits { close_timeout: Duration::from_secs(5), ..Limits::default() };
    for role in [Role::Server, Role::Client] {
        let mut protocol = protocol(role, limits.clone());
        protocol.close(at(0), CloseCode::NORMAL, "");
        drain(&mut protocol);
        assert_eq!(protocol.poll_timeout(), Some(at(5_000)));
        protocol.handle_timeout(at(4_999));
        assert_eq!(protocol.end(), None);
        // Bytes that keep coming do not move it.
        protocol.receive(at(5_000), &mut to(role, 0x80 | TEXT, b"busy"), &mut Recorder::default());
        assert_eq!(protocol.end(), Some(&End::Timeout(Timeout::Close)));
        assert_eq!(protocol.poll_timeout(), None);
    }
}

#[test]
fn a_peer_that_answers_the_close_but_not_the_end_of_the_stream() {
    let mut protocol = protocol(Role::Server, Limits::default());
    protocol.receive(at(0), &mut masked(0x80 | CLOSE, &status(1000, "")), &mut Recorder::default());
    drain(&mut protocol);
    assert!(protocol.wants_shutdown());
    protocol.shutdown_done();
    assert!(!protocol.wants_shutdown());
    assert_eq!(protocol.end(), None);
    protocol.handle_timeout(protocol.poll_timeout().unwrap());
    assert!(protocol.end().unwrap().is_clean());
}

#[test]
fn a_silent_peer_is_pinged_and_then_given_up() {
    let keepalive = Keepalive { interval: Duration::from_secs(30), timeout: Duration::from_secs(20) };
    let limits = Limits { keepalive: Some(keepalive), ..Limits::default() };
    let mut protocol = protocol(Role::Server, limits);
    let mut recorder = Recorder::default();

    // Whatever comes counts.
    protocol.receive(at(20_000), &mut masked(0x80 | TEXT, b"hi"), &mut recorder);
    protocol.handle_timeout(at(30_000));
    assert_eq!(drain(&mut protocol), []);
    assert_eq!(protocol.poll_timeout(), Some(at(50_000)));

    protocol.handle_timeout(at(50_000));
    assert_eq!(frames(&drain(&mut protocol)), [(0x80 | PING, vec![])]);
    assert_eq!(protocol.poll_timeout(), Some(at(70_000)));
    protocol.receive(at(51_000), &mut masked(0x80 | PONG, b""), &mut recorder);
    protocol.handle_timeout(at(70_000));
    assert_eq!(protocol.poll_timeout(), Some(at(81_000)));

    // What comes late, but before anybody looked at the clock, still counts.
    protocol.handle_timeout(at(81_000));
    assert_eq!(frames(&drain(&mut protocol)), [(0x80 | PING, vec![])]);
    protocol.receive(at(110_000), &mut masked(0x80 | PONG, b""), &mut recorder);
    assert_eq!(protocol.end(), None);

    protocol.handle_timeout(at(140_000));
    assert_eq!(frames(&drain(&mut protocol)), [(0x80 | PING, vec![])]);
    protocol.handle_timeout(at(160_000));
    assert_eq!(protocol.end(), Some(&End::Timeout(Timeout::Keepalive)));
}

#[test]
fn a_transport_that_takes_nothing_is_given_up() {
    let limits = Limits { write_timeout: Duration::from_secs(30), keepalive: None, ..Limits::default() };
    let mut protocol = protocol(Role::Server, limits);
    protocol.send("hello").unwrap();
    assert_eq!(protocol.poll_timeout(), None);
    protocol.blocked(at(0));
    protocol.blocked(at(10_000));
    assert_eq!(protocol.poll_timeout(), Some(at(30_000)));
    // One byte a second is no progress, four kilobytes are.
    protocol.send(&[0; 10_000][..]).unwrap();
    write(&mut protocol, 4, 1);
    protocol.blocked(at(20_000));
    assert_eq!(protocol.poll_timeout(), Some(at(30_000)));
    write(&mut protocol, 4, 4_095);
    protocol.blocked(at(29_000));
    assert_eq!(protocol.poll_timeout(), Some(at(59_000)));
    protocol.handle_timeout(at(59_000));
    assert_eq!(protocol.end(), Some(&End::Timeout(Timeout::Write)));
}

#[test]
fn a_transport_that_fails_while_we_write_may_still_hold_the_peers_close() {
    let mut protocol = protocol(Role::Server, Limits::default());
    protocol.send("lost").unwrap();
    protocol.write_failed(START, std::io::ErrorKind::BrokenPipe);
    assert_eq!((protocol.end(), protocol.queued_bytes()), (None, 0));
    assert!(protocol.send("more").is_err());
    let mut close = masked(0x80 | CLOSE, &status(1001, "gone"));
    protocol.receive(START, &mut close, &mut Recorder::default());
    protocol.receive_end();
    let end = End::ClosedByPeer { code: Some(CloseCode::GOING_AWAY), reason: "gone".into() };
    assert_eq!(protocol.end(), Some(&end));
}
