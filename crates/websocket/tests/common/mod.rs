//! What the tests share: a naive writer and reader of frames, and a handler that keeps what it was told.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::IoSlice;

use host::{Instant, Random};
use websocket::protocol::Protocol;
use websocket::{Handler, Kind, Limits, Outbox, Role};

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;

pub(crate) const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame as a client sends it.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, 0x80, payload.len());
    frame.extend(KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// A frame as a server sends it.
pub(crate) fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, 0, payload.len());
    frame.extend(payload);
    frame
}

/// A frame as the peer of `role` sends it.
pub(crate) fn to(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    match role {
        Role::Server => masked(first, payload),
        Role::Client => plain(first, payload),
    }
}

fn header(first: u8, mask_bit: u8, len: usize) -> Vec<u8> {
    let mut header = vec![first];
    if len < 126 {
        header.push(mask_bit | len as u8);
    } else if len < 65_536 {
        header.push(mask_bit | 126);
        header.extend((len as u16).to_be_bytes());
    } else {
        header.push(mask_bit | 127);
        header.extend((len as u64).to_be_bytes());
    }
    header
}

/// A close frame's payload.
pub(crate) fn status(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// The first bytes and payloads of the frames in `bytes`, whoever sent them; panics on a frame that is not whole.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (first, second) = (bytes[0], bytes[1]);
        let mut at = 2;
        let len = match second & 0x7F {
            126 => {
                at += 2;
                usize::from(u16::from_be_bytes(bytes[2..4].try_into().unwrap()))
            }
            127 => {
                at += 8;
                usize::try_from(u64::from_be_bytes(bytes[2..10].try_into().unwrap())).unwrap()
            }
            short => usize::from(short),
        };
        let key = if second & 0x80 != 0 {
            at += 4;
            <[u8; 4]>::try_from(&bytes[at - 4..at]).unwrap()
        } else {
            [0; 4]
        };
        let payload =
            bytes[at..at + len].iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        frames.push((first, payload));
        bytes = &bytes[at + len..];
    }
    frames
}

/// Keeps what it was told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Recorder {
    pub(crate) messages: Vec<(Kind, Vec<u8>)>,
    pub(crate) pings: Vec<Vec<u8>>,
    pub(crate) pongs: Vec<Vec<u8>>,
}

impl Handler for Recorder {
    fn message(&mut self, kind: Kind, payload: &[u8], _: &mut Outbox) {
        self.messages.push((kind, payload.to_vec()));
    }

    fn ping(&mut self, payload: &[u8]) {
        self.pings.push(payload.to_vec());
    }

    fn pong(&mut self, payload: &[u8]) {
        self.pongs.push(payload.to_vec());
    }
}

pub(crate) const START: Instant = Instant::from_nanos(1_000_000_000);

pub(crate) fn protocol(role: Role, limits: Limits) -> Protocol {
    match role {
        Role::Server => Protocol::server(START, limits, None),
        Role::Client => Protocol::client(START, limits, None, Random::from_seed([1; 32])),
    }
}

/// Writes at most `most` bytes of what waits, through at most `slices` slices.
pub(crate) fn write(protocol: &mut Protocol, slices: usize, most: usize) -> Vec<u8> {
    let mut lent = vec![IoSlice::new(&[]); slices];
    let filled = protocol.transmit(&mut lent);
    let shown: Vec<u8> = lent[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
    let written = shown[..most.min(shown.len())].to_vec();
    protocol.advance(written.len());
    written
}

/// Writes all that waits.
pub(crate) fn drain(protocol: &mut Protocol) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let written = write(protocol, 16, usize::MAX);
        if written.is_empty() {
            return all;
        }
        all.extend(written);
    }
}
