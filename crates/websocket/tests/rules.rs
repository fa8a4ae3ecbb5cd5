//! The rules of RFC 6455, one by one, in both roles, with the input cut at every byte.

mod common;

use common::*;
use websocket::{CloseCode, End, Fault, Kind, Limits, Role};

type Frames = Vec<(u8, Vec<u8>)>;

/// How a connection ends and what was received when `input` arrives in `pieces` of one length.
fn outcome(role: Role, input: &[u8], piece: usize) -> (Recorder, Option<End>, Frames) {
    let mut protocol = protocol(role, Limits::default());
    let mut recorder = Recorder::default();
    let mut sent = Vec::new();
    for piece in input.chunks(piece) {
        protocol.receive(START, &mut piece.to_vec(), &mut recorder);
        sent.extend(drain(&mut protocol));
    }
    if protocol.expected_end().is_some() {
        protocol.receive_end();
        assert!(protocol.wants_shutdown());
        protocol.shutdown_done();
    }
    (recorder, protocol.end().cloned(), frames(&sent))
}

#[track_caller]
fn assert_fault(role: Role, input: &[u8], fault: Fault, code: CloseCode) {
    for piece in 1..=input.len() {
        let (_, end, sent) = outcome(role, input, piece);
        assert_eq!(end, Some(End::Fault(fault)), "{role:?}, {input:x?} in pieces of {piece}");
        let (first, payload) = sent.last().unwrap();
        assert_eq!(*first, 0x80 | CLOSE);
        assert_eq!(payload[..2], code.0.to_be_bytes());
        assert!(payload.len() <= 125);
    }
}

#[test]
fn framing_faults() {
    let protocol_error = CloseCode::PROTOCOL_ERROR;
    for role in [Role::Server, Role::Client] {
        for rsv in [0x40, 0x20, 0x10, 0x70] {
            for opcode in [TEXT, BINARY, PING, PONG, CLOSE] {
                let input = to(role, 0x80 | rsv | opcode, b"");
                assert_fault(role, &input, Fault::ReservedBit, protocol_error);
            }
        }
        for opcode in [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF] {
            let input = to(role, 0x80 | opcode, b"x");
            assert_fault(role, &input, Fault::ReservedOpcode(opcode), protocol_error);
        }
        for opcode in [PING, PONG, CLOSE] {
            assert_fault(role, &to(role, opcode, b""), Fault::ControlFragmented, protocol_error);
            assert_fault(role, &to(role, 0x80 | opcode, &[b'x'; 126]), Fault::ControlTooLong, protocol_error);
        }
        let lonely = to(role, 0x80 | CONTINUATION, b"x");
        assert_fault(role, &lonely, Fault::NothingToContinue, protocol_error);
        let interleaved = [to(role, TEXT, b"a"), to(role, 0x80 | TEXT, b"b")].concat();
        assert_fault(role, &interleaved, Fault::Interleaved, protocol_error);
        let after_the_end =
            [to(role, TEXT, b"a"), to(role, 0x80, b"b"), to(role, 0x80 | CONTINUATION, b"c")].concat();
        assert_fault(role, &after_the_end, Fault::NothingToContinue, protocol_error);
    }
    assert_fault(Role::Server, &plain(0x80 | TEXT, b"x"), Fault::Unmasked, protocol_error);
    assert_fault(Role::Client, &masked(0x80 | TEXT, b"x"), Fault::Masked, protocol_error);
}

#[test]
fn lengths_are_minimal_and_fit_63_bits() {
    let with = |length: &[u8]| [&[0x82][..], length].concat();
    for (length, fault, code) in [
        (&[126, 0, 125][..], Fault::LengthNotMinimal, CloseCode::PROTOCOL_ERROR),
        (&[126, 0, 0], Fault::LengthNotMinimal, CloseCode::PROTOCOL_ERROR),
        (&[127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Fault::LengthNotMinimal, CloseCode::PROTOCOL_ERROR),
        (&[127, 0x80, 0, 0, 0, 0, 0, 0, 0], Fault::LengthTooLarge, CloseCode::PROTOCOL_ERROR),
        (
            &[127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            Fault::LengthTooLarge,
            CloseCode::PROTOCOL_ERROR,
        ),
        (
            &[127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            Fault::FrameTooBig,
            CloseCode::MESSAGE_TOO_BIG,
        ),
        (&[127, 0, 0, 0, 0, 0, 0x10, 0, 1], Fault::FrameTooBig, CloseCode::MESSAGE_TOO_BIG),
    ] {
        assert_fault(Role::Client, &with(length), fault, code);
    }
}

#[test]
fn every_length_form_comes_through_however_it_is_cut() {
    for role in [Role::Server, Role::Client] {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536, 100_000] {
            let payload: Vec<u8> = (0..len).map(|index| (index % 251) as u8).collect();
            let input = to(role, 0x80 | BINARY, &payload);
            for piece in [1, 2, 3, 13, 14, 15, 4_096, input.len()] {
                if piece < 1_000 && len > 1_000 && piece != 13 {
                    continue;
                }
                let (received, end, _) = outcome(role, &input, piece);
                assert_eq!(end, None);
                assert!(received.messages == [(Kind::Binary, payload.clone())], "{len} in pieces of {piece}");
            }
        }
    }
}

#[test]
fn fragments_with_control_frames_between_them() {
    for role in [Role::Server, Role::Client] {
        let input = [
            to(role, TEXT, "grü".as_bytes()),
            to(role, 0x80 | PING, b"p"),
            to(role, CONTINUATION, b""),
            to(role, 0x80 | PONG, b"unasked"),
            to(role, 0x80 | CONTINUATION, "ße".as_bytes()),
            to(role, 0x80 | BINARY, b"\xff"),
        ]
        .concat();
        for piece in 1..=input.len() {
            let (received, end, sent) = outcome(role, &input, piece);
            assert_eq!(end, None);
            let messages = [(Kind::Text, "grüße".as_bytes().to_vec()), (Kind::Binary, vec![0xff])];
            assert_eq!(received.messages, messages);
            assert_eq!(received.pings, [b"p"]);
            assert_eq!(received.pongs, [b"unasked"]);
            assert_eq!(sent, [(0x80 | PONG, b"p".to_vec())]);
        }
    }
}

#[test]
fn text_fails_at_the_first_byte_that_cannot_be_right() {
    let text = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited";
    for role in [Role::Server, Role::Client] {
        let input = to(role, 0x80 | TEXT, text);
        assert_fault(role, &input, Fault::InvalidUtf8, CloseCode::INVALID_PAYLOAD);

        let wrong_at = input.len() - text.len() + 12;
        let mut protocol = protocol(role, Limits::default());
        let mut recorder = Recorder::default();
        protocol.receive(START, &mut input[..wrong_at].to_vec(), &mut recorder);
        assert_eq!(protocol.expected_end(), None);
        protocol.receive(START, &mut input[wrong_at..=wrong_at].to_vec(), &mut recorder);
        assert_eq!(protocol.expected_end(), Some(End::Fault(Fault::InvalidUtf8)));

        let cut_short = to(role, 0x80 | TEXT, b"\xe2\x82");
        assert_fault(role, &cut_short, Fault::InvalidUtf8, CloseCode::INVALID_PAYLOAD);
        let over_fragments = [to(role, TEXT, b"\xe2"), to(role, 0x80, b"\x28")].concat();
        assert_fault(role, &over_fragments, Fault::InvalidUtf8, CloseCode::INVALID_PAYLOAD);
    }
}

#[test]
fn close_frames_are_answered_with_their_code() {
    for role in [Role::Server, Role::Client] {
        for code in (1000..=1003).chain(1007..=1014).chain([3000, 3999, 4000, 4999]) {
            let input = to(role, 0x80 | CLOSE, &status(code, "adiós"));
            for piece in 1..=input.len() {
                let (_, end, sent) = outcome(role, &input, piece);
                let expected = End::ClosedByPeer { code: Some(CloseCode(code)), reason: "adiós".into() };
                assert_eq!(end, Some(expected), "pieces of {piece}");
                assert_eq!(sent, [(0x80 | CLOSE, status(code, ""))]);
            }
        }
        let (_, end, sent) = outcome(role, &to(role, 0x80 | CLOSE, b""), 1);
        assert_eq!(end, Some(End::ClosedByPeer { code: None, reason: "".into() }));
        assert_eq!(sent, [(0x80 | CLOSE, vec![])]);
    }
}

#[test]
fn close_faults() {
    for role in [Role::Server, Role::Client] {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
            let input = to(role, 0x80 | CLOSE, &status(code, "why"));
            assert_fault(role, &input, Fault::CloseCode(code), CloseCode::PROTOCOL_ERROR);
        }
        assert_fault(role, &to(role, 0x80 | CLOSE, b"\x03"), Fault::CloseTooShort, CloseCode::PROTOCOL_ERROR);
        let reason = [&1000_u16.to_be_bytes()[..], b"ok\xff"].concat();
        assert_fault(role, &to(role, 0x80 | CLOSE, &reason), Fault::InvalidUtf8, CloseCode::INVALID_PAYLOAD);
        let reason = [&1000_u16.to_be_bytes()[..], b"ok\xe2\x82"].concat();
        assert_fault(role, &to(role, 0x80 | CLOSE, &reason), Fault::InvalidUtf8, CloseCode::INVALID_PAYLOAD);
    }
}

#[test]
fn what_follows_a_close_frame_is_ignored() {
    for role in [Role::Server, Role::Client] {
        let close = to(role, 0x80 | CLOSE, &status(1000, ""));
        let input =
            [close, to(role, 0x80 | TEXT, b"late"), to(role, 0x80 | PING, b"late"), vec![0xff; 40]].concat();
        for piece in [1, 7, input.len()] {
            let (received, end, sent) = outcome(role, &input, piece);
            assert_eq!(received, Recorder::default());
            assert!(end.unwrap().is_clean());
            assert_eq!(sent, [(0x80 | CLOSE, status(1000, ""))]);
        }
    }
}

#[test]
fn our_close_frame_comes_last_and_its_answer_ends_it() {
    for role in [Role::Server, Role::Client] {
        let mut protocol = protocol(role, Limits::default());
        let mut recorder = Recorder::default();
        protocol.send("before").unwrap();
        protocol.close(START, CloseCode::GOING_AWAY, "bye");
        protocol.close(START, CloseCode::NORMAL, "again");
        assert_eq!(protocol.send("after"), Err(websocket::Refused::Closing));
        let mut input =
            [to(role, 0x80 | TEXT, b"still coming"), to(role, 0x80 | PING, b""), to(role, 0x80 | CLOSE, b"")]
                .concat();
        protocol.receive(START, &mut input, &mut recorder);
        assert_eq!(recorder.messages, [], "nothing is handed on after our close");
        let sent = frames(&drain(&mut protocol));
        assert_eq!(sent, [(0x80 | TEXT, b"before".to_vec()), (0x80 | CLOSE, status(1001, "bye"))]);
        // Only the server ends its direction before it has seen the client's end.
        assert_eq!(protocol.wants_shutdown(), role == Role::Server);
        protocol.receive_end();
        assert_eq!(protocol.end(), None);
        assert!(protocol.wants_shutdown());
        protocol.shutdown_done();
        let end = End::ClosedByUs { code: Some(CloseCode::GOING_AWAY), reason: "bye".into() };
        assert_eq!(protocol.end(), Some(&end));
    }
}

#[test]
fn a_close_reason_is_cut_between_characters() {
    let mut protocol = protocol(Role::Server, Limits::default());
    protocol.close(START, CloseCode::NORMAL, &"é".repeat(100));
    let sent = frames(&drain(&mut protocol));
    assert_eq!(sent, [(0x80 | CLOSE, status(1000, &"é".repeat(61)))]);
}

#[test]
fn a_code_that_must_not_be_sent_is_left_out() {
    let mut protocol = protocol(Role::Server, Limits::default());
    protocol.close(START, CloseCode::ABNORMAL, "never");
    assert_eq!(frames(&drain(&mut protocol)), [(0x80 | CLOSE, vec![])]);
}

#[test]
fn a_stream_that_ends_without_a_close_frame() {
    for input in [vec![], vec![0x81], masked(0x80 | TEXT, b"whole"), masked(TEXT, b"half")] {
        let mut protocol = protocol(Role::Server, Limits::default());
        protocol.receive(START, &mut input.clone(), &mut Recorder::default());
        assert_eq!(protocol.end(), None);
        protocol.receive_end();
        assert_eq!(protocol.end(), Some(&End::EndOfStream));
        assert_eq!(drain(&mut protocol), []);
    }
}
