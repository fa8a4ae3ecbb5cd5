#![no_main]
//! The opening handshake: any headers, to a server and to a client. What a server grants, the client that asked confirms.

use libfuzzer_sys::fuzz_target;
use websocket::deflate::{Offer, Options};
use websocket::handshake::{client, extensions, server};

const NAMES: [&str; 8] = [
    "host",
    "upgrade",
    "connection",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
    "origin",
];

fuzz_target!(|input: &[u8]| {
    let mut request = http::Request::new(());
    let mut response = http::Response::new(());
    *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
    for line in input.split(|&byte| byte == 0) {
        let Some((&name, value)) = line.split_first() else { continue };
        let Ok(value) = http::HeaderValue::from_bytes(value) else { continue };
        let name = NAMES[usize::from(name) % NAMES.len()];
        request.headers_mut().append(name, value.clone());
        response.headers_mut().append(name, value);
    }
    let _ = server::respond(&request, &server::Options::default());
    let asked = client::Request {
        deflate: Some(Options::default()),
        subprotocols: vec!["chat".to_owned()],
        ..client::Request::new("a.example", "/")
    };
    let _ = client::Handshake::new(&asked, [7; 16]).expect("the request is sound").confirm(&response);

    let Ok(offered) = extensions::parse([input]) else { return };
    for offer in offered.iter().filter_map(Offer::parse) {
        let options =
            Options { server_context_takeover: true, client_context_takeover: true, ..Options::default() };
        let (agreed, answer) = options.accept(&offer);
        assert!(
            (8..=15).contains(&agreed.server.window_bits) && (8..=15).contains(&agreed.client.window_bits)
        );
        let answer = extensions::parse([answer.as_bytes()]).expect("our own answer follows the grammar");
        assert_eq!(answer.len(), 1);
    }
});
