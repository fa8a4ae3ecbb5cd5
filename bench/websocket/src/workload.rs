//! What the generator sends.

use std::sync::Arc;

use flate2::{Compress, Compression, FlushCompress};

const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// Different messages that a compressed workload goes round.
const CORPUS: usize = 64;

/// Frames that are sent again and again.
pub struct Workload {
    pub name: &'static str,
    pub connections: usize,
    bytes: usize,
    pub in_flight: usize,
    content: Content,
    pub over: Over,
    /// Whether we echo piece by piece, instead of whole messages; peers have no such way.
    pub streamed: bool,
}

/// What the messages are made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Binary,
    /// Mostly characters of two bytes and more.
    Text,
    Json,
}

/// What lies under the messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Over {
    Tcp,
    /// TLS 1.3, AES-256-GCM.
    Tls,
    /// permessage-deflate without context takeover, on TCP.
    Deflate,
}

const TCP: Workload = Workload {
    name: "",
    connections: 100,
    bytes: 0,
    in_flight: 1,
    content: Content::Binary,
    over: Over::Tcp,
    streamed: false,
};

impl Workload {
    pub const ALL: [Self; 10] = [
        Self { name: "20", bytes: 20, ..TCP },
        Self { name: "125", bytes: 125, ..TCP },
        Self { name: "pipelined", bytes: 100, in_flight: 32, ..TCP },
        Self { name: "16k", bytes: 16 << 10, ..TCP },
        Self { name: "text", bytes: 16 << 10, content: Content::Text, ..TCP },
        Self { name: "1m", connections: 10, bytes: 1 << 20, ..TCP },
        Self { name: "1m-streamed", connections: 10, bytes: 1 << 20, streamed: true, ..TCP },
        Self { name: "tls-100", bytes: 100, over: Over::Tls, ..TCP },
        Self { name: "tls-16k", bytes: 16 << 10, over: Over::Tls, ..TCP },
        Self { name: "deflate", bytes: 1 << 10, content: Content::Json, over: Over::Deflate, ..TCP },
    ];

    /// One message of 100 bytes on each of many connections, which then are idle.
    pub const IDLE: Self = Self { name: "idle", connections: 8_000, bytes: 100, ..TCP };

    pub fn describe(&self) -> String {
        let content = match self.content {
            Content::Binary => "binary",
            Content::Text => "mostly non-ASCII text",
            Content::Json => "JSON, no two alike",
        };
        let over = match self.over {
            Over::Tcp => "",
            Over::Tls => ", TLS 1.3",
            Over::Deflate => ", compressed without context takeover",
        };
        let streamed = if self.streamed { "; we send back pieces, as they come" } else { "" };
        format!(
            "{} connections, {} bytes of {content}, {} in flight on each{over}{streamed}",
            self.connections, self.bytes, self.in_flight
        )
    }

    /// Bytes of one message, uncompressed.
    pub fn message_bytes(&self) -> usize {
        self.bytes
    }

    /// Batches of masked frames, to be sent one after the other.
    pub fn batches(&self) -> Vec<Arc<[u8]>> {
        match self.content {
            Content::Json => (0..CORPUS).map(|seed| self.batch(deflated(&json(seed, self.bytes)))).collect(),
            Content::Binary => vec![self.batch(text(self.bytes))],
            Content::Text => vec![self.batch(text(self.bytes))],
        }
    }

    fn batch(&self, payload: Vec<u8>) -> Arc<[u8]> {
        let opcode = if self.content == Content::Binary { 2 } else { 1 };
        let rsv1 = if self.over == Over::Deflate { 0x40 } else { 0 };
        let mut frame = vec![0x80 | rsv1 | opcode];
        match payload.len() {
            bytes @ ..126 => frame.push(0x80 | bytes as u8),
            bytes @ 126..65_536 => {
                frame.push(0x80 | 126);
                frame.extend((bytes as u16).to_be_bytes());
            }
            bytes => {
                frame.push(0x80 | 127);
                frame.extend((bytes as u64).to_be_bytes());
            }
        }
        frame.extend(MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
        frame.repeat(self.in_flight).into()
    }
}

impl Over {
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Deflate => "deflate",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        [Self::Tcp, Self::Tls, Self::Deflate].into_iter().find(|over| over.name() == name)
    }
}

fn text(bytes: usize) -> Vec<u8> {
    let text = "Grüße, 你好, Привет 😀 ";
    let mut payload: Vec<u8> = text.bytes().cycle().take(bytes / text.len() * text.len()).collect();
    payload.resize(bytes, b' ');
    payload
}

/// A list of readings, as long as wanted, different for each seed.
fn json(seed: usize, bytes: usize) -> Vec<u8> {
    let mut state = seed as u64 * 0x9E37_79B9 + 1;
    let mut next = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let places = ["kitchen", "garden", "cellar", "attic", "garage", "hall"];
    let mut text = String::from("[");
    while text.len() < bytes {
        text += &format!(
            "{{\"sensor\":\"{}-{}\",\"time\":17{:08},\"celsius\":{}.{:02},\"on\":{}}},",
            places[next(6) as usize],
            next(100),
            next(100_000_000),
            next(40),
            next(100),
            next(2) == 0
        );
    }
    text.truncate(bytes - 1);
    text.push(']');
    text.into_bytes()
}

/// A message as RFC 7692, section 7.2.1, has it.
fn deflated(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * message.len());
    Compress::new(Compression::new(6), false)
        .compress_vec(message, &mut out, FlushCompress::Sync)
        .expect("there is room for all of it");
    assert!(out.ends_with(&[0, 0, 0xFF, 0xFF]));
    out.truncate(out.len() - 4);
    out
}
