//! Messages in and out.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::deflate::{Agreed, Compressor, Direction};
use crate::protocol::frame::{self, Opcode};

/// What a message's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Anything.
    Binary,
}

/// A whole message that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Valid UTF-8: what was received has been checked; what is sent is the caller's promise, and a peer closes with
    /// 1007 on a broken one.
    Text(Bytes),
    /// Any bytes.
    Binary(Bytes),
}

impl Message {
    /// A message of `kind`.
    pub fn new(kind: Kind, payload: Bytes) -> Self {
        match kind {
            Kind::Text => Self::Text(payload),
            Kind::Binary => Self::Binary(payload),
        }
    }

    /// A text message.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Bytes::from(text.into()))
    }

    /// What its bytes are.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Binary(_) => Kind::Binary,
        }
    }

    /// Its bytes.
    pub fn payload(&self) -> &Bytes {
        match self {
            Self::Text(payload) | Self::Binary(payload) => payload,
        }
    }

    /// Its text, when it is valid UTF-8.
    pub fn as_text(&self) -> Option<&str> {
        std::str::from_utf8(self.payload()).ok()
    }
}

/// A message on its way out: borrowed (copied into the queue), owned (large payloads are sent without a copy), or
/// prepared once for many connections.
#[derive(Clone, Debug)]
pub enum Outgoing<'a> {
    /// Lent for the call.
    Borrowed(Kind, &'a [u8]),
    /// Given.
    Owned(Kind, Bytes),
    /// Shared.
    Prepared(Prepared),
}

impl Outgoing<'_> {
    /// The message's bytes.
    pub fn payload(&self) -> &[u8] {
        match self {
            Self::Borrowed(_, payload) => payload,
            Self::Owned(_, payload) => payload,
            Self::Prepared(prepared) => prepared.payload(),
        }
    }

    /// The same, with a copy of what is lent.
    pub fn into_owned(self) -> Outgoing<'static> {
        match self {
            Self::Borrowed(kind, payload) => Outgoing::Owned(kind, Bytes::copy_from_slice(payload)),
            Self::Owned(kind, payload) => Outgoing::Owned(kind, payload),
            Self::Prepared(prepared) => Outgoing::Prepared(prepared),
        }
    }
}

impl<'a> From<&'a str> for Outgoing<'a> {
    fn from(text: &'a str) -> Self {
        Self::Borrowed(Kind::Text, text.as_bytes())
    }
}

impl<'a> From<&'a [u8]> for Outgoing<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Borrowed(Kind::Binary, bytes)
    }
}

impl<'a> From<(Kind, &'a [u8])> for Outgoing<'a> {
    fn from((kind, payload): (Kind, &'a [u8])) -> Self {
        Self::Borrowed(kind, payload)
    }
}

impl From<(Kind, Bytes)> for Outgoing<'_> {
    fn from((kind, payload): (Kind, Bytes)) -> Self {
        Self::Owned(kind, payload)
    }
}

impl From<Message> for Outgoing<'_> {
    fn from(message: Message) -> Self {
        match message {
            Message::Text(payload) => Self::Owned(Kind::Text, payload),
            Message::Binary(payload) => Self::Owned(Kind::Binary, payload),
        }
    }
}

impl From<String> for Outgoing<'_> {
    fn from(text: String) -> Self {
        Self::Owned(Kind::Text, Bytes::from(text))
    }
}

impl From<Prepared> for Outgoing<'_> {
    fn from(prepared: Prepared) -> Self {
        Self::Prepared(prepared)
    }
}

impl From<&Prepared> for Outgoing<'_> {
    fn from(prepared: &Prepared) -> Self {
        Self::Prepared(prepared.clone())
    }
}

/// A piece of a message on its way out ([`Outbox::piece`](crate::Outbox::piece)): borrowed, or owned, and then sent without
/// a copy if it is large.
#[derive(Clone, Debug)]
pub enum Chunk<'a> {
    /// Lent for the call.
    Borrowed(&'a [u8]),
    /// Given.
    Owned(Bytes),
}

impl Chunk<'_> {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Takes the first `at` bytes away.
    pub(crate) fn split_to(&mut self, at: usize) -> Self {
        match self {
            Self::Borrowed(bytes) => {
                let (front, back) = bytes.split_at(at);
                *bytes = back;
                Self::Borrowed(front)
            }
            Self::Owned(bytes) => Self::Owned(bytes.split_to(at)),
        }
    }
}

impl<'a> From<&'a [u8]> for Chunk<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Borrowed(bytes)
    }
}

impl<'a> From<&'a str> for Chunk<'a> {
    fn from(text: &'a str) -> Self {
        Self::Borrowed(text.as_bytes())
    }
}

impl From<Bytes> for Chunk<'_> {
    fn from(bytes: Bytes) -> Self {
        Self::Owned(bytes)
    }
}

impl From<Vec<u8>> for Chunk<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Owned(bytes.into())
    }
}

/// A message framed once, to be sent to many. A clone costs a reference count; a server's connections share its bytes.
#[derive(Clone, Debug)]
pub struct Prepared(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    kind: Kind,
    /// A server's frame: header and payload.
    frame: Bytes,
    header_len: usize,
    /// The same compressed without reference to any other message, for each window, from 9 bits on: whoever has at least
    /// that window can read it.
    deflated: [OnceLock<Bytes>; WINDOWS],
}

/// The windows that zlib compresses with: 9 to 15 bits.
const WINDOWS: usize = 7;

impl Prepared {
    /// Frames `payload` as a message of `kind`.
    pub fn new(kind: Kind, payload: &[u8]) -> Self {
        let mut frame = Vec::with_capacity(payload.len() + frame::MAX_HEADER_LEN);
        let opcode = Opcode::of(kind);
        frame::Header { fin: true, rsv1: false, opcode, mask: None, len: payload.len() as u64 }
            .emit(&mut frame);
        let header_len = frame.len();
        frame.extend_from_slice(payload);
        Self(Arc::new(Shared { kind, frame: frame.into(), header_len, deflated: Default::default() }))
    }

    /// Frames a text message. `payload` must be valid UTF-8, else peers close with 1007.
    pub fn text(payload: impl AsRef<[u8]>) -> Self {
        Self::new(Kind::Text, payload.as_ref())
    }

    /// Frames a binary message.
    pub fn binary(payload: impl AsRef<[u8]>) -> Self {
        Self::new(Kind::Binary, payload.as_ref())
    }

    /// What its bytes are.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The message's bytes, without the frame's header.
    pub fn payload(&self) -> &[u8] {
        &self.0.frame[self.0.header_len..]
    }

    /// The whole frame, as a server sends it uncompressed.
    pub fn frame(&self) -> &Bytes {
        &self.0.frame
    }

    /// The whole frame compressed, as a server sends it to a client that agreed to `agreed`: made once, for the first
    /// who asks and all whose window is not smaller.
    pub(crate) fn deflated_frame(&self, agreed: &Agreed) -> &Bytes {
        let window = usize::from(agreed.server.window_bits.saturating_sub(9)).min(WINDOWS - 1);
        let made = self.0.deflated[..=window].iter().rev().find_map(OnceLock::get);
        made.unwrap_or_else(|| self.0.deflated[window].get_or_init(|| self.deflate(agreed)))
    }

    fn deflate(&self, agreed: &Agreed) -> Bytes {
        let direction = Direction { context_takeover: false, ..agreed.server };
        let mut payload = Vec::new();
        let rsv1 = Compressor::new(direction, agreed.level).compress(self.payload(), &mut payload);
        debug_assert!(rsv1, "without context takeover no budget is asked");
        let opcode = Opcode::of(self.kind());
        let mut frame = Vec::with_capacity(payload.len() + frame::MAX_HEADER_LEN);
        frame::Header { fin: true, rsv1, opcode, mask: None, len: payload.len() as u64 }.emit(&mut frame);
        frame.extend_from_slice(&payload);
        frame.into()
    }
}
