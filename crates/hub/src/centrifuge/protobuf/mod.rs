//! The protocol in Protobuf: a frame is one or more messages, each with its length before it; an empty one is a ping
//! and a pong.

mod decode;
mod encode;
mod schema;

pub(super) use decode::commands;
pub(super) use encode::encode;

/// What a client of an emulated connection posts.
pub(super) fn emulation(bytes: &[u8]) -> Option<(String, bytes::Bytes)> {
    let schema::EmulationRequest { session, data } = prost::Message::decode(bytes).ok()?;
    Some((session, data))
}
