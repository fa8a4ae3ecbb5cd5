use std::time::Duration;

use super::script::Script;
use super::{REQUEST, lines, replaced, with};
use crate::deflate;
use crate::handshake::server::{Options, Origins, Rejected, accept, respond};
use crate::handshake::{Error, head};

fn answer(request: &str, options: &Options) -> Result<http::Response<()>, Rejected> {
    let request = head::parse_request(request.as_bytes()).expect(request);
    respond(&request, options).map(|accepted| accepted.response)
}

#[test]
fn the_request_of_the_rfc_is_accepted() {
    let response = answer(&lines(REQUEST), &Options::default()).unwrap();
    let response = String::from_utf8(head::response(&response)).unwrap();
    assert_eq!(
        response,
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    );
}

#[test]
fn contexts_are_not_promised_when_no_memory_is_left_for_them() {
    let generous = deflate::Options {
        server_context_takeover: true,
        client_context_takeover: true,
        ..deflate::Options::default()
    };
    for (budget, answered) in [
        (1 << 20, "permessage-deflate"),
        (1 << 10, "permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
    ] {
        let options = Options {
            deflate: Some(generous),
            deflate_budget: deflate::Budget::new(budget),
            ..Options::default()
        };
        let response = answer(&with(&["Sec-WebSocket-Extensions: permessage-deflate"]), &options).unwrap();
        assert_eq!(response.headers()["sec-websocket-extensions"], answered);
    }
}

#[test]
fn malformed_handshakes_and_their_status() {
    for (request, status, reason) in [
        (replaced(0, &["POST /chat HTTP/1.1"]), 405, Rejected::Method),
        (replaced(0, &["HEAD /chat HTTP/1.1"]), 405, Rejected::Method),
        (replaced(0, &["GET /chat HTTP/1.0"]), 400, Rejected::HttpVersion),
        (replaced(1, &[]), 400, Rejected::Host),
        (replaced(1, &["Host:"]), 400, Rejected::Host),
        (replaced(1, &["Host: a", "Host: b"]), 400, Rejected::Host),
        (replaced(2, &[]), 426, Rejected::Upgrade),
        (replaced(2, &["Upgrade: h2c"]), 426, Rejected::Upgrade),
        (replaced(2, &["Upgrade: websocket2"]), 426, Rejected::Upgrade),
        (replaced(3, &[]), 400, Rejected::Connection),
        (replaced(3, &["Connection: keep-alive"]), 400, Rejected::Connection),
        (replaced(3, &["Connection: keep-alive, NotUpgrade"]), 400, Rejected::Connection),
        (replaced(4, &[]), 400, Rejected::Key),
        (replaced(4, &["Sec-WebSocket-Key:"]), 400, Rejected::Key),
        (replaced(4, &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"]), 400, Rejected::Key),
        (replaced(4, &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"]), 400, Rejected::Key),
        (replaced(4, &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZXQ="]), 400, Rejected::Key),
        (replaced(4, &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!=="]), 400, Rejected::Key),
        (replaced(4, &[REQUEST[4], REQUEST[4]]), 400, Rejected::Key),
        (replaced(5, &[]), 426, Rejected::WebSocketVersion),
        (replaced(5, &["Sec-WebSocket-Version: 8"]), 426, Rejected::WebSocketVersion),
        (replaced(5, &["Sec-WebSocket-Version: 13, 8"]), 426, Rejected::WebSocketVersion),
        (replaced(5, &["Sec-WebSocket-Version: 013"]), 426, Rejected::WebSocketVersion),
        (replaced(5, &[REQUEST[5], REQUEST[5]]), 426, Rejected::WebSocketVersion),
        (with(&["Content-Length: 5"]), 400, Rejected::Body),
        (with(&["Transfer-Encoding: chunked"]), 400, Rejected::Body),
        (with(&["Origin: https://elsewhere.example"]), 403, Rejected::Origin),
        (with(&["Origin: null"]), 403, Rejected::Origin),
        (with(&["Sec-WebSocket-Protocol: chat room"]), 400, Rejected::Subprotocols),
        (with(&["Sec-WebSocket-Extensions: permessage-deflate;"]), 400, Rejected::Extensions),
    ] {
        let rejected = answer(&request, &Options::default()).expect_err(&request);
        assert_eq!((rejected, rejected.status().as_u16()), (reason, status), "{request}");
        let response = rejected.response();
        assert!(!response.body().is_empty());
        let versions = response.headers().get("sec-websocket-version").map(|version| version.as_bytes());
        assert_eq!(versions, (status == 426).then_some(&b"13"[..]), "{request}");
        assert_eq!(response.headers().contains_key("allow"), status == 405);
    }
}

#[test]
fn well_formed_variants_are_accepted() {
    for request in [
        replaced(2, &["UPGRADE: WebSocket"]),
        replaced(2, &["Upgrade: h2c, websocket"]),
        replaced(3, &["Connection: keep-alive,upgrade"]),
        replaced(3, &["Connection: keep-alive", "Connection: UPGRADE"]),
        replaced(4, &["Sec-WebSocket-Key:   dGhlIHNhbXBsZSBub25jZR==  "]),
        replaced(0, &["GET http://server.example.com/chat?x=1 HTTP/1.1"]),
        with(&["Content-Length: 0"]),
        with(&["Origin: https://server.example.com"]),
        with(&["Sec-WebSocket-Protocol: chat"]),
        with(&["Sec-WebSocket-Extensions: unknown; with=parameters"]),
    ] {
        let response = answer(&request, &Options::default()).expect(&request);
        assert!(!response.headers().contains_key("sec-websocket-protocol"), "{request}");
        assert!(!response.headers().contains_key("sec-websocket-extensions"), "{request}");
    }
}

#[test]
fn origins() {
    let listed = Origins::Listed(vec!["https://app.example".to_owned()]);
    for (origin, same_host, in_list) in [
        ("http://server.example.com", true, false),
        ("https://SERVER.example.com", true, false),
        ("https://server.example.com:8443", false, false),
        ("https://server.example.com.evil.example", false, false),
        ("https://app.example", false, true),
        ("http://app.example", false, false),
    ] {
        let request = with(&[&format!("Origin: {origin}")]);
        for (origins, allowed) in
            [(Origins::Any, true), (Origins::SameHost, same_host), (listed.clone(), in_list)]
        {
            let options = Options { origins, ..Options::default() };
            assert_eq!(answer(&request, &options).is_ok(), allowed, "{origin} by {:?}", options.origins);
        }
    }
}

#[test]
fn the_dearest_subprotocol_is_chosen() {
    let options = Options { subprotocols: vec!["v2".to_owned(), "v1".to_owned()], ..Options::default() };
    for (offered, chosen) in [
        (&["Sec-WebSocket-Protocol: v1, v2"][..], Some("v2")),
        (&["Sec-WebSocket-Protocol: v1", "Sec-WebSocket-Protocol: v0"], Some("v1")),
        (&["Sec-WebSocket-Protocol: V2"], None),
        (&[], None),
    ] {
        let response = answer(&with(offered), &options).unwrap();
        let answered = response.headers().get("sec-websocket-protocol").map(|value| value.to_str().unwrap());
        assert_eq!(answered, chosen, "{offered:?}");
    }
}

#[test]
fn the_first_extension_that_is_valid_is_chosen() {
    let offered = "Sec-WebSocket-Extensions: other, permessage-deflate; server_max_window_bits=99, \
                   permessage-deflate; server_max_window_bits=9";
    let takeover = deflate::Options {
        server_context_takeover: true,
        client_context_takeover: true,
        ..deflate::Options::default()
    };
    for (deflate, chosen) in
        [(None, None), (Some(takeover), Some("permessage-deflate; server_max_window_bits=9"))]
    {
        let options = Options { deflate, ..Options::default() };
        let response = answer(&with(&[offered]), &options).unwrap();
        let answered =
            response.headers().get("sec-websocket-extensions").map(|value| value.to_str().unwrap());
        assert_eq!(answered, chosen);
    }
}

#[test]
fn a_request_in_pieces_and_the_frames_behind_it() {
    let script = Script::default();
    let request = with(&["Sec-WebSocket-Extensions: permessage-deflate"]);
    for piece in request.as_bytes().chunks(7) {
        script.sends(0, piece);
    }
    script.sends(0, b"\x81\x00");
    let opened = script.run(accept(script.connection(), &script, &Options::default())).unwrap();
    assert_eq!(opened.head.uri(), "/chat");
    assert!(opened.deflate.is_some());
    assert!(script.written().starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
    assert!(script.written().ends_with("\r\n\r\n"));
    assert!(!script.closed());
    assert!(opened.already_read.is_empty(), "the piece behind was not asked for");

    let script = Script::default();
    script.sends(0, [request.as_bytes(), b"\x81\x00"].concat());
    let opened = script.run(accept(script.connection(), &script, &Options::default())).unwrap();
    assert_eq!(opened.already_read, &b"\x81\x00"[..]);
}

/// Lines may end in a lone LF (RFC 9112, section 2.2), and the end may be cut anywhere.
#[test]
fn the_end_is_found_wherever_it_is_cut() {
    for request in [lines(REQUEST), lines(REQUEST).replace("\r\n", "\n")] {
        for cut in 1..request.len() {
            let script = Script::default();
            script.sends(0, &request[..cut]).sends(0, &request[cut..]);
            let opened = script.run(accept(script.connection(), &script, &Options::default()));
            assert!(opened.is_ok(), "cut at {cut}: {opened:?}");
        }
    }
}

#[test]
fn one_byte_a_second_runs_into_the_deadline() {
    let script = Script::default();
    for byte in lines(REQUEST).as_bytes() {
        script.sends(1, [*byte]);
    }
    let end = script.run(accept(script.connection(), &script, &Options::default()));
    assert!(matches!(end, Err(Error::TimedOut)), "{end:?}");
    assert!(script.written().starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    assert!(script.closed() && script.shut_down());
    assert_eq!(script.elapsed(), Duration::from_secs(11), "ten for the request, one to say goodbye");
}

#[test]
fn a_silent_client_runs_into_the_deadline() {
    let script = Script::default();
    let end = script.run(accept(script.connection(), &script, &Options::default()));
    assert!(matches!(end, Err(Error::TimedOut)));
    assert!(script.closed());
}

#[test]
fn floods_of_headers_are_refused() {
    let endless = format!("{}\r\n", REQUEST[0]) + &"X-More: and more\r\n".repeat(100_000);
    let long_line = format!("{}\r\nX-Long: {}", REQUEST[0], "x".repeat(1_000_000));
    let many = with(&["a: b"; 200]);
    for flood in [endless, long_line, many] {
        let script = Script::default();
        script.sends(0, flood).ends();
        let end = script.run(accept(script.connection(), &script, &Options::default()));
        let fits = matches!(end, Err(Error::NotHttp(httparse::Error::TooManyHeaders)));
        assert!(fits || matches!(end, Err(Error::HeadTooLarge { limit: 8192 })), "{end:?}");
        assert!(script.written().starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"));
        assert!(script.reads() < 50, "{} reads", script.reads());
    }
}

#[test]
fn what_is_not_http_is_refused() {
    for (bytes, status) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n"[..], "400 Bad Request"),
        (b"GET /chat\r\n\r\n", "400 Bad Request"),
        (b"\r\n\r\n", "400 Bad Request"),
        (b"GET /chat HTTP/1.1\r\nno colon\r\n\r\n", "400 Bad Request"),
        (b"GET /chat HTTP/1.1\r\na: b\x00c\r\n\r\n", "400 Bad Request"),
        (b"GET /chat HTTP/1.1\r\nHost: x\r\n\r\n", "426 Upgrade Required"),
    ] {
        let script = Script::default();
        script.sends(0, bytes).ends();
        let end = script.run(accept(script.connection(), &script, &Options::default()));
        assert!(matches!(end, Err(Error::NotHttp(_) | Error::Rejected(_))), "{end:?}");
        let written = script.written();
        assert!(written.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{written}");
        let (head, body) = written.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{written}");
        assert!(script.closed());
    }
}

#[test]
fn a_client_that_goes_away_is_told_nothing() {
    let script = Script::default();
    script.sends(0, b"GET /").ends();
    let end = script.run(accept(script.connection(), &script, &Options::default()));
    assert!(matches!(end, Err(Error::Closed)));
    assert_eq!(script.written(), "");
}

#[test]
fn both_faces_can_be_spawned() {
    fn is_send<T: Send>(_: T) {}
    let script = Script::default();
    is_send(accept(script.connection(), &script, &Options::default()));
    let request = crate::handshake::client::Request::new("a", "/");
    is_send(crate::handshake::client::connect(script.connection(), &script, &request));
}
