#![no_main]
//! WebSocket frames: any bytes at either end, at once and cut at every byte, whole and in pieces, with compression and
//! without. What comes of them is what a naive reader of RFC 6455 finds; where that knows no answer, for what is
//! compressed, the same comes each time.

use fourwire_host::{Instant, Random};
use libfuzzer_sys::fuzz_target;
use websocket::deflate::{Offer, Options};
use websocket::protocol::Protocol;
use websocket::{Begun, End, Fault, Handler, Intake, Kind, Limits, Outbox, Piece};

const FRAME_BYTES: u64 = 1 << 12;
const MESSAGE_BYTES: u64 = 1 << 13;
const FRAGMENTS: u32 = 100;

#[derive(Debug, Default, PartialEq)]
struct Heard {
    messages: Vec<(Kind, Vec<u8>)>,
    pings: Vec<Vec<u8>>,
    pongs: Vec<Vec<u8>>,
}

/// Keeps what it is told.
#[derive(Default)]
struct Listener {
    in_pieces: bool,
    heard: Heard,
    open: Vec<u8>,
}

impl Handler for Listener {
    fn begin(&mut self, _: &Begun) -> Intake {
        if self.in_pieces { Intake::Pieces { most_bytes: MESSAGE_BYTES } } else { Intake::Whole }
    }

    fn piece(&mut self, piece: Piece<'_>, _: &mut Outbox) {
        self.open.extend_from_slice(piece.bytes);
        assert!(self.open.len() as u64 <= MESSAGE_BYTES);
        if piece.is_last {
            self.heard.messages.push((piece.kind, std::mem::take(&mut self.open)));
        }
    }

    fn message(&mut self, kind: Kind, payload: &[u8], _: &mut Outbox) {
        assert!(kind == Kind::Binary || std::str::from_utf8(payload).is_ok());
        assert!(payload.len() as u64 <= MESSAGE_BYTES);
        self.heard.messages.push((kind, payload.to_vec()));
    }

    fn ping(&mut self, payload: &[u8]) {
        self.heard.pings.push(payload.to_vec());
    }

    fn pong(&mut self, payload: &[u8]) {
        self.heard.pongs.push(payload.to_vec());
    }
}

fn limits() -> Limits {
    Limits {
        frame_bytes: FRAME_BYTES,
        message_bytes: MESSAGE_BYTES as usize,
        fragments: FRAGMENTS,
        // Time stands still here.
        control_frames_per_second: u32::MAX,
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
    let mut listener = Listener { in_pieces, ..Listener::default() };
    for chunk in bytes.to_vec().chunks_mut(piece) {
        end.receive(now, chunk, &mut listener);
    }
    assert!(end.queued_bytes() <= 16 * 140 + 200);
    (listener.heard, end.expected_end())
}

/// How an input ends, read naively.
#[derive(Debug, PartialEq)]
enum Ending {
    /// All frames are whole, and sound.
    Open,
    /// The last frame is not whole: what is there of it may show that it is not sound.
    Cut,
    Closed,
    Fault(Fault),
}

/// What RFC 6455 says must come of `bytes`, which a peer of ours sent.
fn read_naively(mut bytes: &[u8], we_are_client: bool) -> (Heard, Ending) {
    let mut heard = Heard::default();
    let mut open: Option<(Kind, Vec<u8>, u32)> = None;
    while !bytes.is_empty() {
        let frame = match Frame::read(bytes, we_are_client) {
            Ok(Some(frame)) => frame,
            Ok(None) => return (heard, Ending::Cut),
            Err(fault) => return (heard, Ending::Fault(fault)),
        };
        bytes = &bytes[frame.whole..];
        match frame.take(&mut open, &mut heard) {
            Ok(false) => {}
            Ok(true) => return (heard, Ending::Closed),
            Err(fault) => return (heard, Ending::Fault(fault)),
        }
    }
    (heard, Ending::Open)
}

struct Frame {
    fin: bool,
    opcode: u8,
    payload: Vec<u8>,
    whole: usize,
}

impl Frame {
    /// The frame at the front of `bytes`, when all of it is there. A header that is whole is judged before its payload.
    fn read(bytes: &[u8], we_are_client: bool) -> Result<Option<Self>, Fault> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let (fin, opcode, masked) = (first & 0x80 != 0, first & 0x0F, second & 0x80 != 0);
        let (len, len_bytes) = match second & 0x7F {
            126 => (rest.first_chunk().map(|&field| u64::from(u16::from_be_bytes(field))), 2),
            127 => (rest.first_chunk().map(|&field| u64::from_be_bytes(field)), 8),
            short => (Some(u64::from(short)), 0),
        };
        let Some(len) = len else { return Ok(None) };
        let key: [u8; 4] = match (masked, rest[len_bytes..].first_chunk()) {
            (false, _) => [0; 4],
            (true, Some(&key)) => key,
            (true, None) => return Ok(None),
        };
        if first & 0x70 != 0 {
            return Err(Fault::ReservedBit);
        }
        if !matches!(opcode, 0..=2 | 8..=10) {
            return Err(Fault::ReservedOpcode(opcode));
        }
        if opcode >= 8 && !fin {
            return Err(Fault::ControlFragmented);
        }
        if masked == we_are_client {
            return Err(if we_are_client { Fault::Masked } else { Fault::Unmasked });
        }
        if opcode >= 8 && second & 0x7F > 125 {
            return Err(Fault::ControlTooLong);
        }
        if len >> 63 != 0 {
            return Err(Fault::LengthTooLarge);
        }
        if len < 126 && len_bytes > 0 || len < 65_536 && len_bytes > 2 {
            return Err(Fault::LengthNotMinimal);
        }
        let start = 2 + len_bytes + if masked { 4 } else { 0 };
        let Some(payload) = usize::try_from(len).ok().and_then(|len| bytes[start..].get(..len)) else {
            return Ok(None);
        };
        let payload: Vec<u8> = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        let whole = start + payload.len();
        Ok(Some(Self { fin, opcode, payload, whole }))
    }

    /// True when the connection ends with it.
    fn take(self, open: &mut Option<(Kind, Vec<u8>, u32)>, heard: &mut Heard) -> Result<bool, Fault> {
        let Self { fin, opcode, payload, .. } = self;
        match opcode {
            8 => return closes(&payload).map(|()| true),
            9 => heard.pings.push(payload),
            10 => heard.pongs.push(payload),
            _ => {
                match (opcode, &open) {
                    (0, None) => return Err(Fault::NothingToContinue),
                    (1 | 2, Some(_)) => return Err(Fault::Interleaved),
                    (1, None) => *open = Some((Kind::Text, Vec::new(), 0)),
                    (2, None) => *open = Some((Kind::Binary, Vec::new(), 0)),
                    _ => {}
                }
                let Some((kind, so_far, fragments)) = open else { unreachable!("one was just opened") };
                *fragments += 1;
                if *fragments > FRAGMENTS {
                    return Err(Fault::TooManyFragments);
                }
                if payload.len() as u64 > FRAME_BYTES {
                    return Err(Fault::FrameTooBig);
                }
                if (so_far.len() + payload.len()) as u64 > MESSAGE_BYTES {
                    return Err(Fault::MessageTooBig);
                }
                so_far.extend(payload);
                let valid = std::str::from_utf8(so_far).map_err(|error| error.error_len().is_some() || fin);
                if *kind == Kind::Text && valid == Err(true) {
                    return Err(Fault::InvalidUtf8);
                }
                if fin && let Some((kind, payload, _)) = open.take() {
                    heard.messages.push((kind, payload));
                }
            }
        }
        Ok(false)
    }
}

fn closes(payload: &[u8]) -> Result<(), Fault> {
    match payload {
        [] => Ok(()),
        [_] => Err(Fault::CloseTooShort),
        [high, low, reason @ ..] => match u16::from_be_bytes([*high, *low]) {
            1000..=1003 | 1007..=1014 | 3000..=4999 => {
                std::str::from_utf8(reason).map(drop).map_err(|_| Fault::InvalidUtf8)
            }
            code => Err(Fault::CloseCode(code)),
        },
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&flags, bytes)) = input.split_first() else { return };
    let (whole, end) = hear(bytes, flags, usize::MAX, false);
    for (piece, in_pieces) in [(1, false), (7, true), (usize::MAX, true)] {
        let (again, same) = hear(bytes, flags, piece, in_pieces);
        // Taken in pieces, a frame may be longer, so that more messages may come before a fault.
        if in_pieces && end == Some(End::Fault(Fault::FrameTooBig)) {
            assert_eq!(again.messages[..whole.messages.len()], whole.messages);
            continue;
        }
        assert_eq!(whole, again);
        // Of two faults in one compressed text the cut decides which is seen first, and in pieces another limit may be.
        if flags & 4 == 0 {
            assert_eq!(end, same);
        } else if !in_pieces {
            assert_eq!(end.is_some(), same.is_some());
        }
    }
    if flags & 4 != 0 {
        return;
    }
    let (expected, ending) = read_naively(bytes, flags & 1 != 0);
    assert_eq!(whole, expected);
    match (ending, end) {
        (Ending::Open, end) => assert_eq!(end, None),
        (Ending::Cut, end) => assert!(matches!(end, None | Some(End::Fault(_))), "{end:?}"),
        (Ending::Closed, end) => assert!(matches!(end, Some(End::ClosedByPeer { .. })), "{end:?}"),
        (Ending::Fault(fault), end) => assert_eq!(end, Some(End::Fault(fault))),
    }
});
