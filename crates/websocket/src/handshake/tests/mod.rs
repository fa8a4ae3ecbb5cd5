//! The handshake's tests: the rules as tables, then both roles on a connection.

mod client;
mod extensions;
mod script;
mod server;

/// The request of RFC 6455, section 1.2, line by line.
const REQUEST: [&str; 6] = [
    "GET /chat HTTP/1.1",
    "Host: server.example.com",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
];

fn lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    let mut head: String = lines.into_iter().flat_map(|line| [line, "\r\n"]).collect();
    head.push_str("\r\n");
    head
}

/// [`REQUEST`] with the line `index` replaced by others.
fn replaced(index: usize, by: &[&str]) -> String {
    lines(REQUEST[..index].iter().chain(by).chain(&REQUEST[index + 1..]).copied())
}

/// [`REQUEST`] and more lines.
fn with(more: &[&str]) -> String {
    lines(REQUEST.iter().chain(more).copied())
}
