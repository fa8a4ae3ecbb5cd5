//! The other faces: futures' traits, any stream of bytes, blocking sockets, and HTTP servers that upgrade.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use host::{Connection, Runtime};
use kernel::KernelHost;
use websocket::stream::Io;
use websocket::{End, Limits, Message, Role, WebSocket};

async fn echo<C: Connection, R: Runtime>(socket: WebSocket<C, R>) -> Result<(), End> {
    let (mut sink, mut stream) = socket.into_messages().split();
    while let Some(message) = stream.next().await {
        sink.send(message?).await?;
    }
    Ok(())
}

fn over_pipe(capacity: usize, limits: &Limits) -> [WebSocket<Io<tokio::io::DuplexStream>, KernelHost>; 2] {
    let (ours, theirs) = tokio::io::duplex(capacity);
    let host = KernelHost::current();
    [(ours, Role::Server), (theirs, Role::Client)].map(|(stream, role)| {
        WebSocket::new(Io::new(stream), host.clone(), role, limits.clone(), None, Bytes::new())
    })
}

#[tokio::test]
async fn a_stream_and_a_sink_over_any_stream_of_bytes() {
    // The pipe holds less than a message, or even than a header.
    for capacity in [7, 1_000, 1 << 20] {
        let [server, client] = over_pipe(capacity, &Limits::default());
        let echoing = KernelHost::current().spawn(async move { echo(server).await.unwrap() });
        let mut client = client.into_messages();
        let messages: Vec<Message> =
            (0..20).map(|number| Message::Binary(vec![number; usize::from(number).pow(3)].into())).collect();
        for message in &messages {
            client.feed(message.clone()).await.unwrap();
        }
        client.flush().await.unwrap();
        for message in &messages {
            assert!(client.next().await.unwrap().unwrap() == *message);
        }
        client.close().await.unwrap();
        assert!(client.next().await.is_none());
        assert_eq!(echoing.await, host::TaskEnd::Finished);
    }
}

#[tokio::test]
async fn a_sink_waits_instead_of_gathering_without_bound() {
    let [server, mut client] = over_pipe(1 << 10, &Limits::default());
    let mut server = server.into_messages();
    let message = Message::Binary(vec![7; 100_000].into());
    let fed = async {
        let mut fed = 0;
        while fed < 100 {
            server.feed(message.clone()).await.unwrap();
            fed += 1;
            assert!(server.get_ref().queued_bytes() <= 2 << 20);
        }
        server.flush().await.unwrap();
        fed
    };
    let read = async {
        let mut read = 0;
        while read < 100 {
            assert!(client.next().await.unwrap().unwrap() == message);
            read += 1;
        }
        read
    };
    assert_eq!(tokio::join!(biased; fed, read), (100, 100));
}

#[tokio::test]
async fn an_end_that_is_not_clean_is_the_streams_last_item() {
    let [server, client] = over_pipe(1 << 10, &Limits::default());
    drop(client);
    let mut server = server.into_messages();
    assert!(matches!(server.next().await, Some(Err(End::EndOfStream))));
    assert!(server.next().await.is_none());
}

#[cfg(feature = "blocking")]
mod blocking {
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use websocket::blocking::BlockingWebSocket;
    use websocket::handshake::server::{Options, Origins};
    use websocket::handshake::{Error, client::Request};
    use websocket::{Keepalive, Timeout};

    use super::*;

    fn pair(client: Limits) -> (std::thread::JoinHandle<End>, BlockingWebSocket<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let options = Options { origins: Origins::Any, ..Options::default() };
            let mut socket = BlockingWebSocket::accept(stream, &options, Limits::default()).unwrap();
            while let Ok(Some(message)) = socket.next() {
                if message.as_text() == Some("sleep") {
                    std::thread::park_timeout(Duration::from_millis(400));
                }
                socket.send(message).unwrap();
            }
            socket.end().unwrap().clone()
        });
        let stream = TcpStream::connect(address).unwrap();
        let request = Request {
            deflate: Some(websocket::deflate::Options::default()),
            ..Request::new(address.to_string(), "/")
        };
        (serving, BlockingWebSocket::connect(stream, &request, client).unwrap())
    }

    #[test]
    fn an_echo() {
        let (serving, mut client) = pair(Limits::default());
        for len in [0, 1, 200, 100_000, 200_000] {
            let message = Message::text("ü".repeat(len / 2));
            client.send(message.clone()).unwrap();
            assert!(client.next().unwrap() == Some(message));
        }
        client.ping(b"?");
        client.send("done").unwrap();
        assert_eq!(client.next().unwrap(), Some(Message::text("done")));
        assert!(client.counters().round_trip.is_some());
        let end = client.close(websocket::CloseCode::NORMAL, "bye");
        assert_eq!(end, End::ClosedByUs { code: Some(websocket::CloseCode::NORMAL), reason: "bye".into() });
        assert!(serving.join().unwrap().is_clean());
    }

    #[test]
    fn deadlines_hold_while_it_waits() {
        let keepalive = Keepalive { interval: Duration::from_millis(30), timeout: Duration::from_millis(30) };
        let (_, mut client) = pair(Limits { keepalive: Some(keepalive), ..Limits::default() });
        client.send("sleep").unwrap();
        assert_eq!(client.next(), Err(End::Timeout(Timeout::Keepalive)));
    }

    #[test]
    fn a_client_that_says_nothing_costs_the_time_given() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let options = Options { time: Duration::from_millis(30), ..Options::default() };
        let outcome = BlockingWebSocket::accept(stream, &options, Limits::default());
        assert!(matches!(outcome, Err(Error::TimedOut)));
    }
}

#[cfg(feature = "axum")]
mod axum {
    use ::axum::Router;
    use ::axum::routing::any;
    use host::Network;
    use websocket::handshake::{self, client, server::Origins};
    use websocket::upgrade::WebSocketUpgrade;

    use super::*;

    async fn serve() -> std::net::SocketAddr {
        let talk = async |mut upgrade: WebSocketUpgrade| {
            upgrade.options.subprotocols.push("chat".to_owned());
            upgrade.options.origins = Origins::SameHost;
            upgrade.on_upgrade(|socket| async move { drop(echo(socket).await) })
        };
        let app = Router::new().route("/talk", any(talk));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        KernelHost::current().spawn_detached(async move { ::axum::serve(listener, app).await.unwrap() });
        address
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_extractor_upgrades() {
        let (address, host) = (serve().await, KernelHost::current());
        let request = client::Request {
            subprotocols: vec!["chat".to_owned()],
            deflate: Some(websocket::deflate::Options::default()),
            ..client::Request::new(address.to_string(), "/talk")
        };
        let connection = host.connect(address).await.unwrap();
        let opened = client::connect(connection, &host, &request).await.unwrap();
        assert_eq!(opened.subprotocol.as_deref(), Some("chat"));
        assert!(opened.deflate.is_some());
        let mut socket = opened.websocket(host, Limits::default());
        for text in ["one".to_owned(), "two".repeat(50_000)] {
            socket.send(text.clone()).await.unwrap();
            assert!(socket.next().await.unwrap() == Some(Message::text(text)));
        }
        assert!(socket.close(websocket::CloseCode::NORMAL, "").await.is_clean());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_page_of_another_site_is_refused() {
        let (address, host) = (serve().await, KernelHost::current());
        let mut request = client::Request::new(address.to_string(), "/talk");
        request.headers.insert("origin", "https://elsewhere.example".parse().unwrap());
        let connection = host.connect(address).await.unwrap();
        let refused = client::connect(connection, &host, &request).await.unwrap_err();
        let handshake::Error::Status(response) = refused else { panic!("{refused}") };
        assert_eq!(response.status(), 403);
    }
}
