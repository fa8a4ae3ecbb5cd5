//! The protocol in JSON: a frame is one or more lines, each a command or a reply; `{}` is a ping and a pong.

mod decode;
mod encode;

use super::command::Frame;
use super::reply::Message;

/// The commands of a frame, as long as they can be read.
pub(super) fn commands(
    bytes: &[u8],
    command_bytes: usize,
    depth: usize,
) -> impl Iterator<Item = Option<Frame<'_>>> {
    let lines = std::str::from_utf8(bytes).unwrap_or("not UTF-8").split('\n');
    let lines = lines.map(str::trim).filter(|line| !line.is_empty());
    lines.map(move |line| if line.len() <= command_bytes { decode::decode(line, depth) } else { None })
}

/// One line, without its end.
pub(super) fn encode(message: &Message<'_>) -> Vec<u8> {
    encode::encode(message)
}

/// What a client of an emulated connection posts: the frame is a string.
pub(super) fn emulation(bytes: &[u8]) -> Option<(String, bytes::Bytes)> {
    #[derive(serde::Deserialize)]
    struct Request {
        session: String,
        data: String,
    }
    let Request { session, data } = serde_json::from_slice(bytes).ok()?;
    Some((session, data.into()))
}
