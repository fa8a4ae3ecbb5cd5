//! The bounds of the whole server, each reached from outside, in virtual time.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use application::http::client::Client;
use bytes::Bytes;
use fourwire_server as server;
use host::{Network, Runtime, Task};
use hub::store::Memory;
use lab::{Lab, LabConnection, LabHost};
use server::{Config, Shutdown, Trigger};
use websocket::handshake::Error as HandshakeError;
use websocket::handshake::client::{Request, connect};
use websocket::{CloseCode, End, Kind, Limits, Message, WebSocket};

type Socket = WebSocket<LabConnection, LabHost>;

struct World {
    lab: Lab,
    client: LabHost,
    trigger: Trigger,
    shard: Task,
}

fn world(change: impl FnOnce(&mut Config)) -> World {
    world_in(Lab::new(1), change)
}

fn world_in(lab: Lab, change: impl FnOnce(&mut Config)) -> World {
    let server = lab.machine("server", address().ip(), 1);
    let mut config = Config { listen: vec![address()], ..Config::default() };
    change(&mut config);
    let (trigger, shutdown) = Shutdown::new();
    let station = server::stations(config, Box::new(Memory::new()), 1).pop().expect("one shard");
    let host = server.host();
    let shard =
        host.clone().spawn(async move { station.serve(host, shutdown).await.expect("the address is free") });
    let client = lab.machine("client", [10, 0, 0, 2].into(), 1).host();
    World { lab, client, trigger, shard }
}

fn address() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 8000))
}

async fn dial(host: &LabHost) -> Result<Socket, HandshakeError> {
    let connection = host.connect(address()).await.expect("somebody listens");
    let request = Request::new(address().to_string(), "/connection/websocket");
    let limits = Limits { keepalive: None, ..Limits::default().with_message_bytes(4 << 20) };
    Ok(connect(connection, host, &request).await?.websocket(host.clone(), limits))
}

/// A client that is in the room `lobby`.
async fn enter(host: &LabHost) -> Socket {
    let mut socket = dial(host).await.expect("a handshake");
    socket.send(r#"{"id":1,"connect":{}}"#).await.expect("open");
    socket.send(r#"{"id":2,"subscribe":{"channel":"lobby"}}"#).await.expect("open");
    while !text(&mut socket).await.contains(r#""id":2"#) {}
    socket
}

async fn text(socket: &mut Socket) -> String {
    let message = socket.next().await.expect("no fault").expect("still open");
    message.as_text().expect("text").to_owned()
}

/// How the server ends a connection on which `messages` were sent.
fn end_after(messages: Vec<Message>) -> (u16, String) {
    let World { lab, client, trigger: _trigger, shard: _ } = world(|_| {});
    lab.block_on(async move {
        let mut socket = dial(&client).await.expect("a handshake");
        for message in messages {
            if socket.send(message).await.is_err() {
                break;
            }
        }
        closed(&mut socket).await
    })
}

async fn closed(socket: &mut Socket) -> (u16, String) {
    while let Ok(Some(_)) = socket.next().await {}
    match socket.end() {
        Some(End::ClosedByPeer { code: Some(CloseCode(code)), reason }) => (*code, reason.to_string()),
        end => panic!("not closed by the server: {end:?}"),
    }
}

#[test]
fn who_does_not_read_is_closed_as_slow_and_slows_nobody() {
    const MESSAGES: usize = 60;
    let World { lab, client, trigger: _trigger, shard: _ } = world(|config| config.session_bytes = 256 << 10);
    lab.block_on(async move {
        let mut slow = enter(&client).await;
        let mut reader = enter(&client).await;
        let mut writer = enter(&client).await;
        let data = "x".repeat(32 << 10);
        let mut seen = Vec::new();
        for number in 0..MESSAGES {
            let command = format!(
                r#"{{"id":{},"publish":{{"channel":"lobby","data":"{number} {data}"}}}}"#,
                number + 3
            );
            writer.send(command.as_str()).await.expect("open");
            let publication = text(&mut reader).await;
            seen.push(publication);
            while !text(&mut writer).await.contains(&format!(r#""id":{},"#, number + 3)) {}
        }
        assert_eq!(seen.len(), MESSAGES, "the reader has everything");
        assert!(seen.iter().enumerate().all(|(at, text)| text.contains(&format!(r#""{at} x"#))));

        let mut got = 0;
        while let Ok(Some(message)) = slow.next().await {
            assert!(message.as_text().is_some_and(|text| text.contains(&format!(r#""{got} x"#))), "in order");
            got += 1;
        }
        assert!(got < MESSAGES, "what waited was dropped");
        assert_eq!(closed(&mut slow).await, (3008, "slow".into()));
    });
}

#[test]
fn what_waits_for_a_disk_that_hangs_is_bounded_over_all_rooms_and_goes_on_after_it() {
    const LIMIT: u64 = 200_000;
    const CLIENTS: usize = 4;
    const EACH: usize = 5;
    // Whatever the store is asked takes seconds, and nobody is told meanwhile that it takes too long.
    let lab = Lab::with(lab::Config { blocking: Duration::from_secs(2), ..lab::Config::default() });
    let World { lab, client, trigger: _trigger, shard: _ } =
        world_in(lab, |config| config.hub.limits.total_waiting_bytes = LIMIT as usize);
    lab.block_on(async move {
        let data = "x".repeat(30_000);
        let mut sockets = Vec::new();
        for _ in 0..CLIENTS {
            let mut socket = dial(&client).await.expect("a handshake");
            socket.send(r#"{"id":1,"connect":{}}"#).await.expect("open");
            text(&mut socket).await;
            sockets.push(socket);
        }
        for (number, socket) in sockets.iter_mut().enumerate() {
            for id in 0..EACH {
                // Each in a room of its own: no room and no session is near its own bound.
                let room = format!("room-{number}-{id}");
                let publish =
                    format!(r#"{{"id":{},"publish":{{"channel":"{room}","data":"{data}"}}}}"#, id + 2);
                socket.send(publish.as_str()).await.expect("open");
            }
        }
        host::sleep(&client, Duration::from_secs(1)).await;
        let waiting = metric(&client, "fourwire_publications_waiting_bytes").await;
        let refused = metric(&client, "fourwire_publications_refused_total").await;
        let fitting = (CLIENTS * EACH) as u64 - refused;
        assert!((30_000 * fitting..=LIMIT).contains(&waiting), "{waiting} bytes of {fitting}");
        assert_eq!(fitting, 6, "as many as fit");
        assert_eq!(metric(&client, "fourwire_publications_total").await, 0, "nothing is stored yet");

        let (mut stored, mut again_later) = (0, 0);
        for socket in &mut sockets {
            for _ in 0..EACH {
                let reply = text(socket).await;
                if reply.contains(r#""publish":{}"#) {
                    stored += 1;
                } else {
                    assert!(
                        reply.contains(r#""code":111"#) && reply.contains(r#""temporary":true"#),
                        "{reply}"
                    );
                    again_later += 1;
                }
            }
        }
        assert_eq!((stored, again_later), (fitting, refused));
        assert_eq!(metric(&client, "fourwire_publications_waiting_bytes").await, 0);
        assert_eq!(metric(&client, "fourwire_publications_total").await, fitting);
        for socket in &mut sockets {
            let publish = format!(r#"{{"id":9,"publish":{{"channel":"later","data":"{data}"}}}}"#);
            socket.send(publish.as_str()).await.expect("open");
        }
        for socket in &mut sockets {
            let mut reply = text(socket).await;
            while reply == "{}" {
                reply = text(socket).await;
            }
            assert_eq!(reply, r#"{"id":9,"publish":{}}"#, "what was refused may come again");
        }
        assert_eq!(metric(&client, "fourwire_publications_waiting_bytes").await, 0);
    });
}

/// One number of the server's metrics.
async fn metric(host: &LabHost, name: &str) -> u64 {
    let mut client =
        Client::new(host.connect(address()).await.expect("somebody listens")).await.expect("HTTP");
    let request = http::Request::get(format!("http://{}/metrics", address())).body(Bytes::new());
    let response = client.send(request.expect("a request"), 1 << 20).await.expect("an answer");
    let text = std::str::from_utf8(response.body()).expect("text");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
}

#[test]
fn clients_are_told_when_the_server_goes_and_those_that_do_not_answer_do_not_hold_it() {
    let World { lab, client, trigger, shard } =
        world(|config| config.shutdown_grace = Duration::from_secs(3));
    lab.block_on(async move {
        let mut polite = enter(&client).await;
        let silent = enter(&client).await;
        let begin = client.now();
        trigger.pull();
        assert_eq!(closed(&mut polite).await.0, 1001);
        shard.await;
        let took = client.now().since(begin);
        assert!((Duration::from_secs(3)..Duration::from_secs(4)).contains(&took), "{took:?}");
        drop(silent);
    });
}

#[test]
fn connections_beyond_the_limit_are_reset() {
    let World { lab, client, trigger: _trigger, shard: _ } = world(|config| config.max_connections = 2);
    lab.block_on(async move {
        let first = enter(&client).await;
        let _second = enter(&client).await;
        match dial(&client).await {
            Err(HandshakeError::Io(error)) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            other => panic!("not reset: {other:?}"),
        }
        drop(first);
        host::sleep(&client, Duration::from_secs(1)).await;
        enter(&client).await;
    });
}

#[test]
fn what_is_no_text_is_not_taken() {
    let binary = Message::new(Kind::Binary, b"{}".as_slice().into());
    assert_eq!(end_after(vec![binary]).0, 1003);
}

#[test]
fn a_message_beyond_the_limit_is_not_taken() {
    assert_eq!(end_after(vec![Message::text("x".repeat(3 << 20))]).0, 1009);
}

#[test]
fn what_is_no_command_closes_with_bad_request() {
    assert_eq!(end_after(vec![Message::text("hello?")]).0, 3501);
    assert_eq!(end_after(vec![Message::text(r#"{"id":1,"subscribe":{"channel":"lobby"}}"#)]).0, 3501);
}

#[test]
fn who_does_not_connect_is_stale() {
    assert_eq!(end_after(Vec::new()).0, 3502);
}
