use super::lines;
use super::script::Script;
use crate::deflate;
use crate::handshake::client::{Confirmed, Handshake, Request, connect};
use crate::handshake::{Error, head, server};

/// The nonce of the RFC's example key.
const NONCE: [u8; 16] = *b"the sample nonce";

/// The answer of RFC 6455, section 1.2, line by line.
const ANSWER: [&str; 4] = [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
];

fn request() -> Request {
    Request {
        subprotocols: vec!["v2".to_owned(), "v1".to_owned()],
        deflate: Some(deflate::Options::default()),
        ..Request::new("server.example.com", "/chat")
    }
}

fn confirm(answer: &str, request: &Request) -> Result<Confirmed, Error> {
    let response = head::parse_response(answer.as_bytes()).expect(answer);
    Handshake::new(request, NONCE)?.confirm(&response)
}

#[test]
fn the_request_of_the_rfc() {
    let mut request = Request::new("server.example.com", "/chat");
    request.headers.insert("origin", "http://example.com".parse().unwrap());
    let handshake = Handshake::new(&request, NONCE).unwrap();
    assert_eq!(
        std::str::from_utf8(handshake.bytes()).unwrap(),
        "GET /chat HTTP/1.1\r\nhost: server.example.com\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\norigin: http://example.com\r\n\r\n"
    );
}

#[test]
fn our_server_accepts_our_client() {
    let request = request();
    let handshake = Handshake::new(&request, NONCE).unwrap();
    let received = head::parse_request(handshake.bytes()).unwrap();
    let options = server::Options { subprotocols: vec!["v1".to_owned()], ..server::Options::default() };
    let accepted = server::respond(&received, &options).unwrap();
    let confirmed = handshake.confirm(&accepted.response).unwrap();
    assert_eq!(confirmed.subprotocol.as_deref(), Some("v1"));
    assert_eq!(confirmed.subprotocol, accepted.subprotocol);
    assert_eq!(confirmed.deflate, accepted.deflate);
    assert!(confirmed.deflate.is_some());
}

#[test]
fn nothing_can_be_injected() {
    for (host, path) in [
        ("", "/"),
        ("a b", "/"),
        ("a\r\nX: y", "/"),
        ("user@a", "/"),
        ("a/b", "/"),
        ("a", ""),
        ("a", "chat"),
        ("a", "/ HTTP/1.1\r\nX: y\r\n\r\n"),
        ("a", "/\u{e4}"),
        ("a", "/#x"),
    ] {
        let request = Request::new(host, path);
        assert!(matches!(Handshake::new(&request, NONCE), Err(Error::Request(_))), "{host:?} {path:?}");
    }
    for subprotocol in ["", "a b", "a,b", "a\r\nX: y"] {
        let request = Request { subprotocols: vec![subprotocol.to_owned()], ..Request::new("a", "/") };
        assert!(matches!(Handshake::new(&request, NONCE), Err(Error::Request(_))), "{subprotocol:?}");
    }
    for ours in
        ["host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-extensions", "content-length"]
    {
        let mut request = Request::new("a", "/");
        request.headers.insert(ours, "x".parse().unwrap());
        assert!(matches!(Handshake::new(&request, NONCE), Err(Error::Request(_))), "{ours}");
    }
}

#[test]
fn answers_that_must_not_be_believed() {
    let deflated = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover";
    let replaced = |index: usize, by: &'static [&'static str]| {
        lines(ANSWER[..index].iter().chain(by).chain(&ANSWER[index + 1..]).copied())
    };
    let with = |more: &[&'static str]| lines(ANSWER.iter().chain(more).copied());
    for (answer, valid) in [
        (lines(ANSWER), true),
        (replaced(1, &["upgrade: WebSocket"]), true),
        (replaced(2, &["Connection: keep-alive, upgrade"]), true),
        (with(&["Sec-WebSocket-Protocol: v1"]), true),
        (with(&[deflated]), true),
        (replaced(0, &["HTTP/1.0 101 Switching Protocols"]), false),
        (replaced(1, &[]), false),
        (replaced(1, &["Upgrade: h2c"]), false),
        (replaced(2, &[]), false),
        (replaced(2, &["Connection: close"]), false),
        (replaced(3, &[]), false),
        (replaced(3, &["Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo="]), false),
        (replaced(3, &[ANSWER[3], ANSWER[3]]), false),
        (with(&["Sec-WebSocket-Protocol: v3"]), false),
        (with(&["Sec-WebSocket-Protocol: V1"]), false),
        (with(&["Sec-WebSocket-Protocol:"]), false),
        (with(&["Sec-WebSocket-Protocol: v1", "Sec-WebSocket-Protocol: v2"]), false),
        (with(&["Sec-WebSocket-Extensions: other"]), false),
        (with(&["Sec-WebSocket-Extensions: permessage-deflate"]), false),
        (with(&["Sec-WebSocket-Extensions: permessage-deflate;"]), false),
        (with(&[deflated, deflated]), false),
    ] {
        let confirmed = confirm(&answer, &request());
        assert_eq!(confirmed.is_ok(), valid, "{answer}");
        assert!(valid || matches!(confirmed, Err(Error::Answer(_))));
    }
    // Offered nothing, granted something.
    let plain = Request::new("server.example.com", "/chat");
    for granted in ["Sec-WebSocket-Protocol: v1", deflated] {
        assert!(matches!(confirm(&with(&[granted]), &plain), Err(Error::Answer(_))), "{granted}");
    }
}

#[test]
fn another_status_is_handed_on() {
    let answer = lines(["HTTP/1.1 503 Service Unavailable", "Retry-After: 5"]);
    match confirm(&answer, &request()) {
        Err(Error::Status(response)) => {
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers()["retry-after"], "5");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_that_stalls_or_floods_or_leaves() {
    let script = Script::default();
    script.sends(1, "HTTP/1.1 101 ").sends(60, "Switching");
    let end = script.run(connect(script.connection(), &script, &request()));
    assert!(matches!(end, Err(Error::TimedOut)));
    assert!(script.closed());

    let script = Script::default();
    script.sends(0, "HTTP/1.1 200 OK\r\n".to_owned() + &"X: y\r\n".repeat(100_000));
    let end = script.run(connect(script.connection(), &script, &request()));
    assert!(matches!(end, Err(Error::HeadTooLarge { limit: 16_384 })));

    let script = Script::default();
    script.sends(0, "HTTP/1.1 101").ends();
    let end = script.run(connect(script.connection(), &script, &request()));
    assert!(matches!(end, Err(Error::Closed)));

    let script = Script::default();
    script.sends(0, "SSH-2.0-OpenSSH_9.2\r\n\r\n");
    let end = script.run(connect(script.connection(), &script, &request()));
    assert!(matches!(end, Err(Error::NotHttp(_))));
}
