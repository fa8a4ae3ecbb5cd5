//! Messages in pieces: read as they come, also inside a frame, and written before the whole of them is there.

mod common;

use bytes::{BufMut, Bytes};
use common::*;
use proptest::prelude::*;
use websocket::deflate::{self, Compressor};
use websocket::protocol::{Protocol, Scratch};
use websocket::{
    Begun, CloseCode, End, Fault, Handler, Intake, Kind, Limits, Message, Outbox, Piece, Refused, Role,
};

/// Takes everything in pieces.
#[derive(Debug, Default)]
struct Pieces {
    most_bytes: u64,
    begun: Vec<Begun>,
    messages: Vec<(Kind, Vec<u8>)>,
    open: Vec<u8>,
    largest: usize,
    pings: usize,
}

impl Pieces {
    fn of(most_bytes: u64) -> Self {
        Self { most_bytes, ..Self::default() }
    }
}

impl Handler for Pieces {
    fn begin(&mut self, begun: &Begun) -> Intake {
        self.begun.push(*begun);
        Intake::Pieces { most_bytes: self.most_bytes }
    }

    fn piece(&mut self, piece: Piece<'_>, _: &mut Outbox) {
        assert!(piece.is_last || !piece.bytes.is_empty());
        self.largest = self.largest.max(piece.bytes.len());
        self.open.extend_from_slice(piece.bytes);
        if piece.is_last {
            self.messages.push((piece.kind, std::mem::take(&mut self.open)));
        }
    }

    fn message(&mut self, _: Kind, _: &[u8], _: &mut Outbox) {
        panic!("it was to come in pieces");
    }

    fn ping(&mut self, _: &[u8]) {
        self.pings += 1;
    }
}

fn agreed(takeover: bool) -> deflate::Agreed {
    let options = deflate::Options {
        client_context_takeover: takeover,
        server_context_takeover: takeover,
        ..deflate::Options::default()
    };
    options.accept(&deflate::Offer::default()).0
}

#[test]
fn what_has_come_of_a_frame_is_handed_on_at_once() {
    let mut server = protocol(Role::Server, Limits::default());
    let mut handler = Pieces::of(1 << 40);
    // A gigabyte is announced, far beyond the limits for whole messages.
    let mut header = vec![0x82, 0x80 | 127];
    header.extend((1_u64 << 30).to_be_bytes());
    header.extend(KEY);
    server.receive(START, &mut header, &mut handler);
    assert_eq!(handler.begun, [Begun { kind: Kind::Binary, compressed: false, len: Some(1 << 30) }]);
    for round in 1..=100 {
        server.receive(START, &mut [KEY[0], KEY[1], KEY[2], KEY[3]].repeat(250), &mut handler);
        assert_eq!(handler.open, vec![0; round * 1000]);
    }
    assert_eq!(server.expected_end(), None);
}

#[test]
fn the_limit_is_judged_by_the_header() {
    for (frames, fits) in [(&[10_u64][..], true), (&[11], false), (&[5, 5], true), (&[5, 6], false)] {
        let mut server =
            protocol(Role::Server, Limits { message_bytes: 1, frame_bytes: 1, ..Limits::default() });
        let mut handler = Pieces::of(10);
        for (index, &len) in frames.iter().enumerate() {
            let opcode = if index == 0 { BINARY } else { CONTINUATION };
            let frame = masked(opcode, &vec![7; len as usize]);
            // Without its payload, when it is the last one.
            let end = if index + 1 == frames.len() { 6 } else { frame.len() };
            server.receive(START, &mut frame[..end].to_vec(), &mut handler);
        }
        let fault = (!fits).then_some(End::Fault(Fault::MessageTooBig));
        assert_eq!(server.expected_end(), fault, "{frames:?}");
    }
}

#[test]
fn a_compressed_bomb_goes_through_in_small_pieces_up_to_the_limit() {
    let agreed = agreed(false);
    let mut payload = Vec::new();
    assert!(Compressor::client(&agreed).compress(&vec![0; 8 << 20], &mut payload));
    for (most_bytes, fits) in [(8 << 20, true), ((8 << 20) - 1, false)] {
        let limits =
            Limits { inflate_ratio: deflate::RatioLimit { ratio: 2_000, beyond: 0 }, ..Limits::default() };
        let mut server = Protocol::server(START, limits, Some(&agreed));
        let mut handler = Pieces::of(most_bytes);
        server.receive(START, &mut masked(0xC0 | BINARY, &payload), &mut handler);
        assert!(handler.largest <= 512 << 10, "{}", handler.largest);
        assert_eq!(handler.messages.len(), usize::from(fits));
        let fault = (!fits).then_some(End::Fault(Fault::MessageTooBig));
        assert_eq!(server.expected_end(), fault);
    }
}

#[test]
fn the_rest_of_a_large_message_is_read_to_where_it_belongs() {
    for (kind, text) in [(BINARY, vec![0xEE; 1 << 20]), (TEXT, "grüße 😀 ".repeat(70_000).into_bytes())] {
        let limits = Limits::default().with_message_bytes(2 << 20);
        let mut server = protocol(Role::Server, limits);
        let mut recorder = Recorder::default();
        // In two frames, with a ping between them.
        let (first, second) = text.split_at(text.len() / 3);
        let mut bytes = masked(kind, first);
        bytes.extend(masked(0x80 | PING, b"!"));
        bytes.extend(masked(0x80 | CONTINUATION, second));
        bytes.extend(masked(0x80 | TEXT, b"the end"));
        let mut rest = &mut bytes[..];
        let mut direct = 0;
        let mut scratch = Scratch::default();
        while !rest.is_empty() {
            server.lend(scratch);
            let (chunk, after) = rest.split_at_mut(rest.len().min(20_011));
            rest = after;
            let len = chunk.len();
            let placed = server.destination().map_or(0, |mut destination| {
                let placed = len.min(destination.remaining_mut());
                destination.put_slice(&chunk[..placed]);
                placed
            });
            if placed > 0 {
                direct += placed;
                server.received(START, placed, &mut recorder);
            }
            server.receive(START, &mut chunk[placed..], &mut recorder);
            scratch = server.reclaim();
        }
        assert_eq!(server.expected_end(), None);
        assert_eq!(recorder.pings.len(), 1);
        assert!(recorder.messages[0].1 == text, "{} bytes", recorder.messages[0].1.len());
        assert_eq!(recorder.messages[1].1, b"the end");
        assert!(direct > text.len() * 9 / 10, "{direct} of {}", text.len());
        assert_eq!(server.counters().received.wire_bytes, bytes.len() as u64);
    }
}

#[test]
fn text_that_is_read_to_where_it_belongs_is_checked_there() {
    let mut server = protocol(Role::Server, Limits::default());
    let mut text = vec![b'a'; 100_000];
    text[60_000] = 0xFF;
    let mut frame = masked(0x80 | TEXT, &text);
    server.receive(START, &mut frame[..50_000], &mut Recorder::default());
    server.destination().unwrap().put_slice(&frame[50_000..70_000]);
    server.received(START, 20_000, &mut Recorder::default());
    assert_eq!(server.expected_end(), Some(End::Fault(Fault::InvalidUtf8)));
    assert!(server.destination().is_none());
}

#[test]
fn a_claim_gets_no_memory() {
    let mut server = protocol(Role::Server, Limits::default().with_message_bytes(1 << 30));
    let mut frame = masked(0x80 | BINARY, &vec![0; 1 << 20]);
    frame[2..10].copy_from_slice(&(1_u64 << 30).to_be_bytes());
    server.receive(START, &mut frame[..20], &mut Recorder::default());
    assert!(server.destination().is_none());
    server.receive(START, &mut frame[20..2_000], &mut Recorder::default());
    assert!(server.destination().is_some_and(|destination| destination.remaining_mut() <= 40_000));
}

#[test]
fn control_frames_go_between_pieces_that_are_frames() {
    for role in [Role::Server, Role::Client] {
        let mut protocol = protocol(role, Limits::default());
        let out = protocol.outbox();
        out.begin(Kind::Text, None).unwrap();
        out.piece("one ", false).unwrap();
        assert_eq!(out.send("no"), Err(Refused::InPieces));
        assert_eq!(out.begin(Kind::Text, None), Err(Refused::InPieces));
        let mut written = drain(&mut protocol);
        protocol.ping(START, b"?");
        protocol.outbox().piece("two ", false).unwrap();
        written.extend(drain(&mut protocol));
        protocol.outbox().piece(Bytes::from(vec![b'3'; 10_000]), true).unwrap();
        protocol.send("next").unwrap();
        written.extend(drain(&mut protocol));
        let expected = [
            (TEXT, b"one ".to_vec()),
            (0x80 | PING, b"?".to_vec()),
            (CONTINUATION, b"two ".to_vec()),
            (0x80 | CONTINUATION, vec![b'3'; 10_000]),
            (0x80 | TEXT, b"next".to_vec()),
        ];
        assert_eq!(frames(&written), expected);
        assert_eq!(protocol.outbox().piece("late", true), Err(Refused::NotBegun));
        let sent = protocol.counters().sent;
        assert_eq!((sent.messages, sent.bytes, sent.wire_bytes), (2, 10_012, written.len() as u64));
    }
}

#[test]
fn a_long_message_goes_in_frames_between_which_a_pong_finds_room() {
    for role in [Role::Server, Role::Client] {
        let mut protocol = protocol(role, Limits { sent_frame_bytes: 10_000, ..Limits::default() });
        for message in [Message::Binary(vec![7; 25_000].into()), Message::Binary(vec![8; 10_000].into())] {
            protocol.send(message).unwrap();
        }
        protocol.send(&[9; 10_001][..]).unwrap();
        let mut written = write(&mut protocol, 16, 5_000);
        protocol.receive(START, &mut to(role, 0x80 | PING, b"!"), &mut Recorder::default());
        written.extend(drain(&mut protocol));
        let expected = [
            (BINARY, vec![7; 10_000]),
            (0x80 | PONG, b"!".to_vec()),
            (CONTINUATION, vec![7; 10_000]),
            (0x80 | CONTINUATION, vec![7; 5_000]),
            (0x80 | BINARY, vec![8; 10_000]),
            (BINARY, vec![9; 10_000]),
            (0x80 | CONTINUATION, vec![9; 1]),
        ];
        assert_eq!(frames(&written), expected);
    }
}

#[test]
fn pieces_of_one_frame_of_announced_length() {
    for role in [Role::Server, Role::Client] {
        let mut protocol = protocol(role, Limits::default());
        protocol.outbox().begin(Kind::Binary, Some(10_003)).unwrap();
        let mut written = drain(&mut protocol);
        protocol.ping(START, b"waits");
        for (piece, is_last) in [(vec![1; 1], false), (vec![2; 10_000], false)] {
            protocol.outbox().piece(piece, is_last).unwrap();
            written.extend(drain(&mut protocol));
        }
        assert_eq!(
            protocol.outbox().piece(Bytes::from_static(b"abc"), false),
            Err(Refused::Length { left: 2 })
        );
        assert_eq!(protocol.outbox().piece(Bytes::from_static(b"a"), true), Err(Refused::Length { left: 2 }));
        protocol.outbox().piece(Bytes::from_static(b"\x03\x04"), true).unwrap();
        written.extend(drain(&mut protocol));
        let payload = [&[1][..], &[2; 10_000], &[3, 4]].concat();
        assert_eq!(frames(&written), [(0x80 | BINARY, payload), (0x80 | PING, b"waits".to_vec())]);
    }
}

#[test]
fn closing_between_frames_is_orderly_and_inside_one_cuts() {
    let mut server = protocol(Role::Server, Limits::default());
    server.outbox().begin(Kind::Binary, None).unwrap();
    server.outbox().piece("half", false).unwrap();
    server.close(START, CloseCode::INTERNAL_ERROR, "");
    assert_eq!(frames(&drain(&mut server)), [(BINARY, b"half".to_vec()), (0x80 | CLOSE, status(1011, ""))]);

    let mut server = protocol(Role::Server, Limits::default());
    server.outbox().begin(Kind::Binary, Some(100)).unwrap();
    server.outbox().piece("half", false).unwrap();
    server.close(START, CloseCode::INTERNAL_ERROR, "");
    assert_eq!((drain(&mut server), server.end()), (vec![], Some(&End::Aborted)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn pieces_make_up_the_message_however_it_is_cut(
        messages in proptest::collection::vec(
            (any::<bool>(), "[a-zß€😀]{0,400}", proptest::collection::vec(any::<prop::sample::Index>(), 0..3)),
            1..5,
        ),
        takeover: bool,
        ping: bool,
        size in 1_usize..500,
    ) {
        let agreed = agreed(takeover);
        let mut compressor = Compressor::client(&agreed);
        let mut bytes = Vec::new();
        for (compressed, text, cuts) in &messages {
            let mut payload = text.clone().into_bytes();
            if *compressed {
                payload.clear();
                assert!(compressor.compress(text.as_bytes(), &mut payload));
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
            cuts.extend([0, payload.len()]);
            cuts.sort_unstable();
            for (index, cut) in cuts.windows(2).enumerate() {
                let first = if index == 0 { TEXT | if *compressed { 0x40 } else { 0 } } else { CONTINUATION };
                let fin = if index + 2 == cuts.len() { 0x80 } else { 0 };
                bytes.extend(masked(fin | first, &payload[cut[0]..cut[1]]));
                if ping {
                    bytes.extend(masked(0x80 | PING, b""));
                }
            }
        }
        let mut server = Protocol::server(START, Limits::default(), Some(&agreed));
        let mut handler = Pieces::of(10_000);
        for chunk in bytes.chunks_mut(size) {
            server.receive(START, chunk, &mut handler);
        }
        prop_assert_eq!(server.expected_end(), None);
        let expected: Vec<_> =
            messages.iter().map(|(_, text, _)| (Kind::Text, text.clone().into_bytes())).collect();
        prop_assert_eq!(handler.messages, expected);
    }
}
