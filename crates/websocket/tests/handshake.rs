//! Both roles from the first byte of the handshake to the last of the close, over the lab's streams and in its time.

use std::net::SocketAddr;
use std::time::Duration;

use host::{ListenOptions, Listener, Network};
use lab::{Config, Lab, LabConnection, LabHost, Machine};
use websocket::handshake::server::Options;
use websocket::handshake::{self, client, server};
use websocket::{CloseCode, Limits, Message, deflate};

/// Two machines, and streams cut so finely that no line of a head comes in one piece.
fn machines() -> (Lab, Machine, Machine, SocketAddr) {
    let lab = Lab::with(Config { segment: 23, ..Config::default() });
    let server = lab.machine("server", [10, 0, 0, 1].into(), 1);
    let client = lab.machine("client", [10, 0, 0, 2].into(), 1);
    (lab, server, client, ([10, 0, 0, 1], 80).into())
}

async fn pair(server: &LabHost, client: &LabHost, address: SocketAddr) -> (LabConnection, LabConnection) {
    let mut listener = server.listen(address, ListenOptions::default()).await.unwrap();
    let connecting = client.connect(address).await.unwrap();
    (listener.accept().await.unwrap(), connecting)
}

/// Every combination of what a client may ask and a server may grant talks, with and without compression.
#[test]
fn our_roles_understand_each_other() {
    let choices = || {
        let options =
            [(true, 15), (false, 15), (true, 9), (false, 8)].map(|(takeover, bits)| deflate::Options {
                server_context_takeover: takeover,
                client_context_takeover: !takeover,
                server_max_window_bits: bits,
                client_max_window_bits: 23 - bits,
                threshold: 0,
                ..deflate::Options::default()
            });
        std::iter::once(None).chain(options.map(Some))
    };
    for granted in choices() {
        for asked in choices() {
            let (lab, server, client, address) = machines();
            let (server, client) = (server.host(), client.host());
            lab.block_on(async move {
                let (accepting, connecting) = pair(&server, &client, address).await;
                let options = Options { deflate: granted, ..Options::default() };
                let serving = host::Runtime::spawn(&server.clone(), async move {
                    let opened = handshake::server::accept(accepting, &server, &options).await.unwrap();
                    assert_eq!(opened.deflate.is_some(), granted.is_some() && asked.is_some());
                    let mut socket = opened.websocket(server, Limits::default());
                    while let Some(message) = socket.next().await.unwrap() {
                        socket.send(message).await.unwrap();
                    }
                });
                let request =
                    client::Request { deflate: asked, ..client::Request::new(address.to_string(), "/chat") };
                let opened = client::connect(connecting, &client, &request).await.unwrap();
                let mut socket = opened.websocket(client, Limits::default());
                for length in [0, 1, 30, 1_000] {
                    let message = Message::text("round and round ".repeat(length).as_str());
                    socket.send(message.clone()).await.unwrap();
                    assert_eq!(socket.next().await, Ok(Some(message)), "{asked:?} of {granted:?}");
                }
                assert!(socket.close(CloseCode::NORMAL, "").await.is_clean());
                assert_eq!(serving.await, host::TaskEnd::Finished);
            });
        }
    }
}

/// A client reads why it was refused, though it sent more than the server wanted to read.
#[test]
fn a_refusal_is_heard() {
    let (lab, server, client, address) = machines();
    let (server, client) = (server.host(), client.host());
    lab.block_on(async move {
        let (accepting, connecting) = pair(&server, &client, address).await;
        let serving = host::Runtime::spawn(&server.clone(), async move {
            let refused = server::accept(accepting, &server, &Options::default()).await;
            assert!(
                matches!(refused, Err(handshake::Error::Rejected(server::Rejected::Origin))),
                "{refused:?}"
            );
        });
        let mut request = client::Request::new(address.to_string(), "/chat");
        request.headers.insert("origin", "https://elsewhere.example".parse().unwrap());
        match client::connect(connecting, &client, &request).await {
            Err(handshake::Error::Status(response)) => assert_eq!(response.status(), 403),
            other => panic!("{other:?}"),
        }
        assert_eq!(serving.await, host::TaskEnd::Finished);
    });
}

/// A server that vanishes in the middle of its answer costs the client no more than the time that it gave.
#[test]
fn a_silent_server_costs_the_time_given() {
    let (lab, server, client, address) = machines();
    let (server, client) = (server.host(), client.host());
    lab.block_on(async move {
        let (_silent, connecting) = pair(&server, &client, address).await;
        let began = host::Runtime::now(&client);
        let request = client::Request {
            time: Duration::from_secs(3),
            ..client::Request::new(address.to_string(), "/")
        };
        let refused = client::connect(connecting, &client, &request).await;
        assert!(matches!(refused, Err(handshake::Error::TimedOut)), "{refused:?}");
        assert_eq!(host::Runtime::now(&client).since(began), Duration::from_secs(3));
    });
}
