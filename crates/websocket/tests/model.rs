//! The parser against a naive model that sees the whole input at once, and the queue against a naive reader.

mod common;

use std::collections::VecDeque;

use bytes::Bytes;
use common::*;
use proptest::prelude::*;
use websocket::protocol::Scratch;
use websocket::{Fault, Kind, Limits, Role};

const MESSAGE_BYTES: usize = 300;
const FRAME_BYTES: usize = 200;
const FRAGMENTS: usize = 4;

/// One frame that a peer might send, sound or not.
#[derive(Clone, Debug)]
struct Sent {
    first: u8,
    payload: Vec<u8>,
    wrong_mask: bool,
}

fn sent() -> impl Strategy<Value = Sent> {
    let first = prop_oneof![
        20 => prop_oneof![Just(0x81_u8), Just(0x82), Just(0x01), Just(0x02)],
        20 => prop_oneof![Just(0x80_u8), Just(0x00)],
        10 => prop_oneof![Just(0x89_u8), Just(0x8A)],
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        10 => "[a-zäß€😀]{0,30}".prop_map(String::into_bytes),
        2 => proptest::collection::vec(any::<u8>(), 0..10),
        1 => (0..400_usize).prop_map(|len| vec![b'x'; len]),
        1 => Just(status(1000, "done")),
    ];
    (first, payload, proptest::bool::weighted(0.02)).prop_map(|(first, payload, wrong_mask)| Sent {
        first,
        payload,
        wrong_mask,
    })
}

/// What the model says must come of a whole input.
#[derive(Debug, Default, PartialEq)]
struct Expected {
    recorder: Recorder,
    fault: Option<Fault>,
    closed: bool,
}

/// RFC 6455, read naively.
fn model(role: Role, input: &[Sent]) -> Expected {
    let mut expected = Expected::default();
    let mut message: Option<(Kind, Vec<u8>, usize)> = None;
    for frame in input {
        match model_frame(role, frame, &mut message, &mut expected.recorder) {
            Ok(false) => {}
            Ok(true) => {
                expected.closed = true;
                break;
            }
            Err(fault) => {
                expected.fault = Some(fault);
                break;
            }
        }
    }
    expected
}

fn model_frame(
    role: Role,
    Sent { first, payload, wrong_mask }: &Sent,
    message: &mut Option<(Kind, Vec<u8>, usize)>,
    recorder: &mut Recorder,
) -> Result<bool, Fault> {
    let (fin, opcode) = (first & 0x80 != 0, first & 0x0F);
    if first & 0x70 != 0 {
        return Err(Fault::ReservedBit);
    }
    if !matches!(opcode, 0..=2 | 8..=10) {
        return Err(Fault::ReservedOpcode(opcode));
    }
    if opcode >= 8 && !fin {
        return Err(Fault::ControlFragmented);
    }
    if *wrong_mask {
        return Err(if role == Role::Server { Fault::Unmasked } else { Fault::Masked });
    }
    if opcode >= 8 && payload.len() > 125 {
        return Err(Fault::ControlTooLong);
    }
    match opcode {
        PING => recorder.pings.push(payload.clone()),
        PONG => recorder.pongs.push(payload.clone()),
        CLOSE => return model_close(payload).map(|()| true),
        _ => {
            match (opcode, &message) {
                (CONTINUATION, None) => return Err(Fault::NothingToContinue),
                (TEXT | BINARY, Some(_)) => return Err(Fault::Interleaved),
                (TEXT, None) => *message = Some((Kind::Text, Vec::new(), 0)),
                (BINARY, None) => *message = Some((Kind::Binary, Vec::new(), 0)),
                _ => {}
            }
            let (kind, so_far, fragments) = message.as_mut().unwrap();
            *fragments += 1;
            if *fragments > FRAGMENTS {
                return Err(Fault::TooManyFragments);
            }
            if payload.len() > FRAME_BYTES {
                return Err(Fault::FrameTooBig);
            }
            if so_far.len() + payload.len() > MESSAGE_BYTES {
                return Err(Fault::MessageTooBig);
            }
            so_far.extend(payload);
            if *kind == Kind::Text {
                match std::str::from_utf8(so_far) {
                    Err(error) if fin || error.error_len().is_some() => return Err(Fault::InvalidUtf8),
                    _ => {}
                }
            }
            if fin {
                let (kind, payload, _) = message.take().unwrap();
                recorder.messages.push((kind, payload));
            }
        }
    }
    Ok(false)
}

fn model_close(payload: &[u8]) -> Result<(), Fault> {
    match payload {
        [] => Ok(()),
        [_] => Err(Fault::CloseTooShort),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(Fault::CloseCode(code));
            }
            std::str::from_utf8(reason).map(|_| ()).map_err(|_| Fault::InvalidUtf8)
        }
    }
}

fn emit(role: Role, frame: &Sent) -> Vec<u8> {
    match (role, frame.wrong_mask) {
        (Role::Server, false) | (Role::Client, true) => masked(frame.first, &frame.payload),
        _ => plain(frame.first, &frame.payload),
    }
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Server), Just(Role::Client)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_parser_agrees_with_the_model_however_its_input_is_cut(
        role in role(),
        input in proptest::collection::vec(sent(), 1..12),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
        each_byte in proptest::bool::weighted(0.1),
        lend in any::<bool>(),
    ) {
        let bytes: Vec<u8> = input.iter().flat_map(|frame| emit(role, frame)).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        if each_byte {
            cuts.extend(0..bytes.len());
        }
        cuts.sort_unstable();

        let limits = Limits {
            message_bytes: MESSAGE_BYTES,
            frame_bytes: FRAME_BYTES as u64,
            fragments: FRAGMENTS as u32,
            ..Limits::default()
        };
        let mut protocol = protocol(role, limits);
        let mut found = Expected::default();
        let mut scratch = Scratch::default();
        for piece in cuts.windows(2) {
            if lend {
                protocol.lend(std::mem::take(&mut scratch));
            }
            protocol.receive(START, &mut bytes[piece[0]..piece[1]].to_vec(), &mut found.recorder);
            drain(&mut protocol);
            scratch = protocol.reclaim();
        }
        match protocol.expected_end() {
            None => {}
            Some(websocket::End::Fault(fault)) => found.fault = Some(fault),
            Some(websocket::End::ClosedByPeer { .. }) => found.closed = true,
            Some(end) => prop_assert!(false, "unexpected {end:?}"),
        }
        prop_assert_eq!(found, model(role, &input));
    }

    #[test]
    fn noise_never_panics(role in role(), mut bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let mut protocol = protocol(role, Limits::default());
        for piece in bytes.chunks_mut(100) {
            protocol.receive(START, piece, &mut Recorder::default());
        }
    }
}

/// Something that is done to a queue.
#[derive(Clone, Debug)]
enum Step {
    Borrowed(usize),
    Owned(usize),
    Prepared(usize),
    Ping(u8),
    PingReceived(u8),
    Write { slices: usize, most: usize },
    Lend,
    Reclaim,
}

fn step() -> impl Strategy<Value = Step> {
    let len = || prop_oneof![3 => 0..200_usize, 1 => 4_000..4_200_usize, 1 => 65_000..70_000_usize];
    let most = prop_oneof![0..20_usize, 0..5_000_usize, Just(usize::MAX)];
    prop_oneof![
        len().prop_map(Step::Borrowed),
        len().prop_map(Step::Owned),
        len().prop_map(Step::Prepared),
        any::<u8>().prop_map(Step::Ping),
        any::<u8>().prop_map(Step::PingReceived),
        (1..10_usize, most.clone()).prop_map(|(slices, most)| Step::Write { slices, most }),
        (1..10_usize, most).prop_map(|(slices, most)| Step::Write { slices, most }),
        Just(Step::Lend),
        Just(Step::Reclaim),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_is_written_is_whole_frames_in_order_with_the_newest_control_frames(
        role in role(),
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let limits = Limits { queued_bytes: 200_000, control_frames_per_second: 1_000, ..Limits::default() };
        let mut protocol = protocol(role, limits);
        let mut written = Vec::new();
        let mut scratch = Scratch::default();
        let mut data: VecDeque<Vec<u8>> = VecDeque::new();
        let (mut pings, mut pongs) = (Vec::new(), Vec::new());
        for (number, step) in steps.into_iter().enumerate() {
            let payload = |len: usize| vec![number as u8; len];
            let (outcome, len) = match step {
                Step::Borrowed(len) => (protocol.send(&payload(len)[..]), len),
                Step::Owned(len) => (protocol.send((Kind::Binary, Bytes::from(payload(len)))), len),
                Step::Prepared(len) => (protocol.send(websocket::Prepared::binary(payload(len))), len),
                Step::Ping(byte) => {
                    pings.push(vec![byte]);
                    protocol.ping(START, &[byte]);
                    continue;
                }
                Step::PingReceived(byte) => {
                    pongs.push(vec![byte]);
                    protocol.receive(START, &mut to(role, 0x80 | PING, &[byte]), &mut Recorder::default());
                    continue;
                }
                Step::Write { slices, most } => {
                    written.extend(write(&mut protocol, slices, most));
                    continue;
                }
                Step::Lend => {
                    protocol.lend(std::mem::take(&mut scratch));
                    continue;
                }
                Step::Reclaim => {
                    scratch = protocol.reclaim();
                    continue;
                }
            };
            if outcome.is_ok() {
                data.push_back(payload(len));
            }
            prop_assert!(protocol.queued_bytes() <= 200_000 + 20 * 131);
        }
        written.extend(drain(&mut protocol));
        prop_assert_eq!(protocol.queued_bytes(), 0);

        // Reading it back finds every message once, in order, and of the control frames a subsequence that has the last.
        let (mut ping, mut pong) = (pings.iter(), pongs.iter());
        let (mut last_ping, mut last_pong) = (None, None);
        for (first, payload) in frames(&written) {
            match first {
                0x82 => prop_assert!(Some(payload) == data.pop_front()),
                0x89 => {
                    prop_assert!(ping.any(|sent| *sent == payload));
                    last_ping = Some(payload);
                }
                0x8A => {
                    prop_assert!(pong.any(|sent| *sent == payload));
                    last_pong = Some(payload);
                }
                other => prop_assert!(false, "frame {other:#x}"),
            }
        }
        prop_assert!(data.is_empty());
        prop_assert_eq!(last_ping.as_ref(), pings.last());
        prop_assert_eq!(last_pong.as_ref(), pongs.last());
    }
}
