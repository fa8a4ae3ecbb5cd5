#![no_main]
//! WebSocket frames: any bytes at either end, at once and cut at every byte, whole and in pieces, with compression and
//! without. The same comes of them each time, and what is answered can be read.

use fourwire_host::{Instant, Random};
use libfuzzer_sys::fuzz_target;
use websocket::deflate::{Offer, Options};
use websocket::protocol::Protocol;
use websocket::{Begun, End, Handler, Intake, Kind, Limits, Outbox, Piece};

#[derive(Default)]
struct Heard {
    in_pieces: bool,
    messages: Vec<(Kind, Vec<u8>)>,
    open: Vec<u8>,
    pings: Vec<Vec<u8>>,
    pongs: Vec<Vec<u8>>,
}

impl Handler for Heard {
    fn begin(&mut self, _: &Begun) -> Intake {
        if self.in_pieces { Intake::Pieces { most_bytes: 1 << 16 } } else { Intake::Whole }
    }

    fn piece(&mut self, piece: Piece<'_>, _: &mut Outbox) {
        self.open.extend_from_slice(piece.bytes);
        if piece.is_last {
            self.messages.push((piece.kind, std::mem::take(&mut self.open)));
        }
    }

    fn message(&mut self, kind: Kind, payload: &[u8], _: &mut Outbox) {
        assert!(kind == Kind::Binary || std::str::from_utf8(payload).is_ok());
        self.messages.push((kind, payload.to_vec()));
    }

    fn ping(&mut self, payload: &[u8]) {
        self.pings.push(payload.to_vec());
    }

    fn pong(&mut self, payload: &[u8]) {
        self.pongs.push(payload.to_vec());
    }
}

fn limits() -> Limits {
    Limits {
        frame_bytes: 1 << 16,
        message_bytes: 1 << 16,
        fragments: 100,
        control_frames_per_second: 100,
        keepalive: None,
        ..Limits::default()
    }
}

fn hear(bytes: &[u8], flags: u8, piece: usize, in_pieces: bool) -> (Heard, Option<End>) {
    let agreed = Options {
        client_context_takeover: flags & 2 != 0,
        server_context_takeover: flags & 2 != 0,
        ..Options::default()
    }
    .accept(&Offer::default())
    .0;
    let agreed = (flags & 4 != 0).then_some(&agreed);
    let now = Instant::ORIGIN;
    let mut end = match flags & 1 {
        0 => Protocol::server(now, limits(), agreed),
        _ => Protocol::client(now, limits(), agreed, Random::from_seed([1; 32])),
    };
    let mut heard = Heard { in_pieces, ..Heard::default() };
    for chunk in bytes.to_vec().chunks_mut(piece) {
        end.receive(now, chunk, &mut heard);
    }
    assert!(end.queued_bytes() <= 16 * 140 + 200);
    (heard, end.expected_end())
}

fuzz_target!(|input: &[u8]| {
    let Some((&flags, bytes)) = input.split_first() else { return };
    let (whole, end) = hear(bytes, flags, usize::MAX, false);
    for (piece, in_pieces) in [(1, false), (7, true), (usize::MAX, true)] {
        let (again, same) = hear(bytes, flags, piece, in_pieces);
        assert_eq!(
            (&whole.messages, &whole.pings, &whole.pongs),
            (&again.messages, &again.pings, &again.pongs)
        );
        // In pieces other limits hold, so that another one may be reached first; and of two faults in one compressed text
        // the cut decides which is seen first.
        if !in_pieces {
            assert_eq!(end.is_some(), same.is_some());
        }
    }
});
