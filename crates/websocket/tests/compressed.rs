//! Messages under permessage-deflate (RFC 7692), through the whole protocol.

mod common;

use bytes::Bytes;
use common::*;
use host::Random;
use proptest::prelude::*;
use websocket::deflate::{Agreed, Budget, Compressor, Direction};
use websocket::protocol::Protocol;
use websocket::{End, Fault, Kind, Limits, Prepared, Role};

fn agreed(takeover: bool, window_bits: u8) -> Agreed {
    let direction = Direction { context_takeover: takeover, window_bits };
    Agreed { server: direction, client: direction, level: 3, threshold: 8 }
}

fn protocol(role: Role, limits: Limits, agreed: &Agreed) -> Protocol {
    match role {
        Role::Server => Protocol::server(START, limits, Some(agreed)),
        Role::Client => Protocol::client(START, limits, Some(agreed), Random::from_seed([2; 32])),
    }
}

fn other(role: Role) -> Role {
    match role {
        Role::Server => Role::Client,
        Role::Client => Role::Server,
    }
}

fn deflated(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    assert!(Compressor::server(&agreed(false, 15)).compress(payload, &mut out));
    out
}

/// How a server's connection would end after `input`, in pieces of `piece` bytes.
fn outcome(input: &[u8], piece: usize, limits: Limits) -> (Recorder, Option<End>) {
    let mut protocol = protocol(Role::Server, limits, &agreed(false, 15));
    let mut recorder = Recorder::default();
    for piece in input.chunks(piece) {
        protocol.receive(START, &mut piece.to_vec(), &mut recorder);
    }
    (recorder, protocol.expected_end())
}

#[test]
fn fragments_of_a_compressed_message() {
    let text = "grüße ".repeat(100);
    let payload = deflated(text.as_bytes());
    let (one, rest) = payload.split_at(5);
    let (two, three) = rest.split_at(1);
    let input = [
        masked(0x40 | TEXT, one),
        masked(0x80 | PING, b""),
        masked(CONTINUATION, two),
        masked(CONTINUATION, b""),
        masked(0x80 | CONTINUATION, three),
        masked(0x80 | TEXT, "not compressed".as_bytes()),
    ]
    .concat();
    for piece in 1..=input.len() {
        let (received, end) = outcome(&input, piece, Limits::default());
        assert_eq!(end, None);
        assert_eq!(received.messages[0], (Kind::Text, text.as_bytes().to_vec()));
        assert_eq!(received.messages[1].1, b"not compressed");
    }
}

#[test]
fn compressed_faults() {
    let bad_text = deflated(b"a long enough beginning, then \xff");
    let half_a_character = deflated("and so on €".as_bytes().split_last().unwrap().1);
    let bomb = deflated(&vec![0; 300_000]);
    let small = Limits { message_bytes: 100_000, ..Limits::default() };
    for (input, limits, fault) in [
        (masked(0xC0 | TEXT, &bad_text), Limits::default(), Fault::InvalidUtf8),
        (masked(0xC0 | TEXT, &half_a_character), Limits::default(), Fault::InvalidUtf8),
        (masked(0xC0 | BINARY, b"\xff\xff\xff\xff"), Limits::default(), Fault::Inflate),
        (masked(0xC0 | BINARY, &bomb), small, Fault::MessageTooBig),
        (masked(0xC0 | BINARY, &bomb), Limits::default(), Fault::InflateRatio),
        (masked(0xC0 | PING, b""), Limits::default(), Fault::ReservedBit),
        (masked(0xE0 | TEXT, b""), Limits::default(), Fault::ReservedBit),
        (
            [masked(0x40 | BINARY, &bomb), masked(0x40 | CONTINUATION, b"")].concat(),
            Limits {
                inflate_ratio: websocket::deflate::RatioLimit { ratio: 2_000, beyond: 0 },
                ..Limits::default()
            },
            Fault::ReservedBit,
        ),
    ] {
        for piece in [1, 2, 5, input.len()] {
            let (received, end) = outcome(&input, piece, limits.clone());
            assert_eq!(end, Some(End::Fault(fault)));
            assert_eq!(received, Recorder::default());
        }
    }
}

#[test]
fn text_is_checked_while_it_inflates() {
    // Random letters hardly compress, so that the bad byte comes out long before the message is whole.
    let mut random = Random::from_seed([3; 32]);
    let mut text: Vec<u8> = (0..50_000).map(|_| b'a' + random.below(26) as u8).collect();
    text[1_000] = 0xff;
    let input = masked(0xC0 | TEXT, &deflated(&text));
    let (_, end) = outcome(&input[..input.len() / 2], 100, Limits::default());
    assert_eq!(end, Some(End::Fault(Fault::InvalidUtf8)));
}

#[test]
fn a_prepared_message_is_compressed_once_for_all() {
    let prepared = Prepared::text("all work and no play ".repeat(300));
    let mut frames_sent = Vec::new();
    for (takeover, bits) in [(false, 12), (true, 12), (false, 15), (true, 15)] {
        let mut server = protocol(Role::Server, Limits::default(), &agreed(takeover, bits));
        server.send(&prepared).unwrap();
        frames_sent.push(drain(&mut server));
    }
    assert!(frames_sent[0].len() < prepared.payload().len() / 10);
    assert!(frames_sent.iter().all(|frame| *frame == frames_sent[0]));
}

#[test]
fn a_prepared_message_is_compressed_again_only_for_a_smaller_window() {
    // Repeats itself at a distance that only the larger window spans.
    let mut random = Random::from_seed([4; 32]);
    let once: Vec<u8> = (0..10_000).map(|_| random.below(256) as u8).collect();
    let prepared = Prepared::binary(once.repeat(2));
    let mut lens = Vec::new();
    for bits in [15, 9, 15, 9, 12] {
        let mut server = protocol(Role::Server, Limits::default(), &agreed(false, bits));
        let mut client = protocol(Role::Client, Limits::default(), &agreed(false, bits));
        server.send(&prepared).unwrap();
        let mut recorder = Recorder::default();
        let mut sent = drain(&mut server);
        lens.push(sent.len());
        client.receive(START, &mut sent, &mut recorder);
        assert!(recorder.messages[0].1 == prepared.payload());
    }
    assert!(lens[0] < 15_000 && lens[1] > 19_000, "{lens:?}");
    assert_eq!(lens, [lens[0], lens[1], lens[0], lens[1], lens[1]]);
}

#[test]
fn what_does_not_become_shorter_is_sent_as_it_is() {
    let mut random = Random::from_seed([5; 32]);
    let noise: Vec<u8> = (0..1_000).map(|_| random.below(256) as u8).collect();
    let mut server = protocol(Role::Server, Limits::default(), &agreed(false, 15));
    server.send(&noise[..]).unwrap();
    assert_eq!(frames(&drain(&mut server)), [(0x80 | BINARY, noise)]);
}

#[test]
fn without_memory_for_contexts_messages_go_as_they_are_and_halves_are_refused() {
    let budget = Budget::new(0);
    let limits = Limits { deflate_budget: budget, ..Limits::default() };
    let text = "all work and no play ".repeat(30);
    let mut server = protocol(Role::Server, limits.clone(), &agreed(true, 15));
    server.send(&text[..]).unwrap();
    assert_eq!(frames(&drain(&mut server)), [(0x80 | TEXT, text.clone().into_bytes())]);

    let input = masked(0xC0 | TEXT, &deflated(text.as_bytes()));
    let mut server = protocol(Role::Server, limits, &agreed(false, 15));
    let mut recorder = Recorder::default();
    server.receive(START, &mut input.clone(), &mut recorder);
    assert_eq!(recorder.messages.len(), 1);
    server.receive(START, &mut input[..20].to_vec(), &mut recorder);
    assert_eq!(server.expected_end(), Some(End::Fault(Fault::InflateBudget)));
    assert_eq!(frames(&drain(&mut server))[0].1[..2], 1013_u16.to_be_bytes());
}

#[derive(Clone, Debug)]
enum Way {
    Borrowed,
    Owned,
    Prepared,
}

fn message() -> impl Strategy<Value = (Way, Kind, Vec<u8>)> {
    let way = prop_oneof![Just(Way::Borrowed), Just(Way::Owned), Just(Way::Prepared)];
    let text = prop_oneof![
        4 => ("[a-c€]{0,20}", 1..20_usize).prop_map(|(text, times)| text.repeat(times)),
        1 => ("[a-z]{40,60}", 100..200_usize).prop_map(|(text, times)| text.repeat(times)),
    ];
    (way, prop_oneof![Just(Kind::Text), Just(Kind::Binary)], text.prop_map(String::into_bytes))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Prepared messages share their bytes with connections whose contexts differ; still each peer reads what was sent.
    #[test]
    fn messages_come_through_whatever_was_agreed(
        role in prop_oneof![Just(Role::Server), Just(Role::Client)],
        agreements in proptest::collection::vec((any::<bool>(), 8..=15_u8), 1..4),
        messages in proptest::collection::vec((message(), any::<bool>()), 1..20),
        piece in 1..5_000_usize,
    ) {
        let limits = Limits { queued_bytes: 1 << 24, ..Limits::default() };
        let prepared: Vec<Prepared> =
            messages.iter().map(|((_, kind, payload), _)| Prepared::new(*kind, payload)).collect();
        for (takeover, bits) in agreements {
            let agreed = agreed(takeover, bits);
            let mut sender = protocol(role, limits.clone(), &agreed);
            let mut receiver = protocol(other(role), limits.clone(), &agreed);
            let mut received = Recorder::default();
            for (((way, kind, payload), flush), prepared) in messages.iter().zip(&prepared) {
                match way {
                    Way::Borrowed => sender.send((*kind, &payload[..])).unwrap(),
                    Way::Owned => sender.send((*kind, Bytes::from(payload.clone()))).unwrap(),
                    Way::Prepared => sender.send(prepared).unwrap(),
                }
                if *flush {
                    for piece in drain(&mut sender).chunks_mut(piece) {
                        receiver.receive(START, piece, &mut received);
                    }
                }
            }
            for piece in drain(&mut sender).chunks_mut(piece) {
                receiver.receive(START, piece, &mut received);
            }
            prop_assert_eq!(receiver.expected_end(), None);
            let sent: Vec<_> = messages.iter().map(|((_, kind, payload), _)| (*kind, payload.clone())).collect();
            prop_assert!(received.messages == sent);
        }
    }
}
