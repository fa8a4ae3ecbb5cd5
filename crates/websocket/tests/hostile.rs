//! One test for each advisory and failure of the field that a peer can bring about, over a socket, with the memory that it
//! costs. All memory of the process is counted: that of the attacker and of the network between them, too.

mod common;

use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, ready};
use std::time::Duration;

use common::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frames, masked, plain, status};
use host::{Connection, Instant, ListenOptions, Listener, Network, Runtime, sleep, timeout_at};
use lab::{Config, Lab, LabConnection, LabHost};
use peak_alloc::PeakAlloc;
use websocket::deflate::{self, Compressor, Direction};
use websocket::handshake::{self, client, server};
use websocket::{End, Fault, Kind, Limits, Message, Outbox, Timeout, WebSocket};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// One test at a time, so that the memory is its own.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

/// How it ended for an echo server with default limits.
#[derive(Debug)]
struct Outcome {
    handshake: Result<(), handshake::Error>,
    end: Option<End>,
    /// Bytes of memory at most, over what there was before.
    peak: usize,
    /// How long the server had to do with it.
    took: Duration,
}

impl Outcome {
    fn fault(&self) -> Option<Fault> {
        match self.end {
            Some(End::Fault(fault)) => Some(fault),
            _ => None,
        }
    }
}

/// An attacker: what it has to do with the connection, on which nothing was said yet.
async fn attacked<A, F>(lab: &Lab, options: server::Options, limits: Limits, attack: A) -> Outcome
where
    A: FnOnce(LabConnection, LabHost) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let server = lab.machine("server", [10, 0, 0, 1].into(), 1).host();
    let client = lab.machine("client", [10, 0, 0, 2].into(), 1).host();
    let address = SocketAddr::from(([10, 0, 0, 1], 80));
    let mut listener = server.listen(address, ListenOptions::default()).await.unwrap();
    let connection = client.connect(address).await.unwrap();
    let accepted = listener.accept().await.unwrap();
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let began = server.now();
    client.spawn_detached(attack(connection, client.clone()));
    let (handshake, end) = match server::accept(accepted, &server, &options).await {
        Err(error) => (Err(error), None),
        Ok(opened) => (Ok(()), Some(echo(opened.websocket(server.clone(), limits)).await)),
    };
    let took = server.now().since(began);
    Outcome { handshake, end, peak: MEMORY.peak_usage() - before, took }
}

async fn echo(mut socket: WebSocket<LabConnection, LabHost>) -> End {
    let mut answer = |kind: Kind, payload: &[u8], out: &mut Outbox| _ = out.send((kind, payload));
    poll_fn(|context| {
        loop {
            if let Err(end) = ready!(socket.poll_receive(context, &mut answer)) {
                return Poll::Ready(end);
            }
        }
    })
    .await
}

fn open_to_all() -> server::Options {
    server::Options {
        origins: server::Origins::Any,
        deflate: Some(deflate::Options {
            client_context_takeover: true,
            server_context_takeover: true,
            ..deflate::Options::default()
        }),
        ..server::Options::default()
    }
}

fn attack<A, F>(attack: A) -> Outcome
where
    A: FnOnce(LabConnection, LabHost) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let lab = Lab::with(Config::default());
    lab.block_on(attacked(&lab, open_to_all(), Limits::default(), attack))
}

/// Sends all of it, while what comes is thrown away. False when the server wants no more.
async fn send(connection: &mut LabConnection, mut bytes: &[u8]) -> bool {
    poll_fn(|context| {
        while !bytes.is_empty() {
            let mut scrap = [0; 4_096];
            while matches!(connection.try_read(&mut scrap), Ok(1..)) {}
            match connection.try_write_vectored(&[IoSlice::new(bytes)]) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let _ = connection.poll_readable(context);
                    ready!(connection.poll_writable(context)).ok();
                }
                Err(_) => return Poll::Ready(false),
            }
        }
        Poll::Ready(true)
    })
    .await
}

/// What comes until the server ends it.
async fn hear(connection: &mut LabConnection) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        if poll_fn(|context| connection.poll_readable(context)).await.is_err() {
            return all;
        }
        let mut buffer = [0; 4_096];
        match connection.try_read(&mut buffer) {
            Ok(0) => return all,
            Ok(len) => all.extend_from_slice(&buffer[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return all,
        }
    }
}

/// Shakes hands with these headers, then sends each piece until the server wants no more, and hears it out.
async fn say(
    mut connection: LabConnection,
    headers: &'static str,
    pieces: impl IntoIterator<Item = Vec<u8>, IntoIter: Send> + Send,
) {
    send(&mut connection, format!("{REQUEST}{headers}\r\n").as_bytes()).await;
    for piece in pieces {
        if !send(&mut connection, &piece).await {
            return;
        }
    }
    hear(&mut connection).await;
}

// The handshake.

/// tungstenite, CVE-2023-43669: the head grew without bound.
#[test]
fn a_head_without_end() {
    let _turn = turn();
    let outcome = attack(|mut connection, _| async move {
        send(&mut connection, REQUEST.as_bytes()).await;
        for _ in 0..10_000 {
            if !send(&mut connection, &b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(20))
                .await
            {
                return;
            }
        }
    });
    assert!(matches!(outcome.handshake, Err(handshake::Error::HeadTooLarge { .. })), "{outcome:?}");
    assert!(outcome.peak < 500 * KIB, "{outcome:?}");
}

/// ws, CVE-2024-37890: more header lines than the parser has places for.
#[test]
fn a_thousand_headers() {
    let _turn = turn();
    let outcome = attack(|mut connection, _| async move {
        send(&mut connection, REQUEST.as_bytes()).await;
        send(&mut connection, &b"a:b\r\n".repeat(1_000)).await;
        send(&mut connection, b"\r\n").await;
        hear(&mut connection).await;
    });
    assert!(matches!(outcome.handshake, Err(handshake::Error::NotHttp(_))), "{outcome:?}");
    assert!(outcome.peak < 300 * KIB, "{outcome:?}");
}

/// ws, CVE-2021-32640, and websocket-extensions, CVE-2020-7662: headers on which bad parsers take quadratic time.
#[test]
fn headers_that_were_slow_to_parse() {
    let _turn = turn();
    for headers in [
        format!("Sec-WebSocket-Protocol: b{}x\r\n\r\n", " ".repeat(6_000)),
        format!("Sec-WebSocket-Protocol: {}x\r\n\r\n", "a,".repeat(3_000)),
        format!("Sec-WebSocket-Extensions: a; b=\"{}\r\n\r\n", "\\\"".repeat(3_000)),
        format!("Sec-WebSocket-Extensions: a{}\r\n\r\n", "; b".repeat(2_000)),
        format!("Sec-WebSocket-Extensions: {}a\r\n\r\n", "permessage-deflate, ".repeat(350)),
    ] {
        let outcome = attack(|mut connection, _| async move {
            send(&mut connection, REQUEST.as_bytes()).await;
            send(&mut connection, headers.as_bytes()).await;
            drop(connection);
        });
        assert!(outcome.peak < MIB, "{outcome:?}");
    }
}

/// One byte a second: the time for a handshake is for all of it, not for each byte.
#[test]
fn a_handshake_of_one_byte_a_second() {
    let _turn = turn();
    let outcome = attack(|mut connection, host| async move {
        for byte in REQUEST.as_bytes() {
            if !send(&mut connection, &[*byte]).await {
                return;
            }
            sleep(&host, Duration::from_secs(1)).await;
        }
    });
    assert!(matches!(outcome.handshake, Err(handshake::Error::TimedOut)), "{outcome:?}");
    assert!(outcome.took < Duration::from_secs(12), "{outcome:?}");
}

/// undici, CVE-2026-1527: nothing of a client's request can add a line to it.
#[test]
fn a_request_that_would_split() {
    let _turn = turn();
    for field in ["chat\r\nX: y", "chat\n", "chat\0", "chat room"] {
        let bad = client::Request {
            subprotocols: vec![field.to_owned()],
            ..client::Request::new("a.example", "/")
        };
        assert!(matches!(client::Handshake::new(&bad, [0; 16]), Err(handshake::Error::Request(_))));
        for bad in [client::Request::new(field, "/"), client::Request::new("a.example", format!("/{field}"))]
        {
            let bad = client::Handshake::new(&bad, [0; 16]);
            assert!(field == "chat" || matches!(bad, Err(handshake::Error::Request(_))), "{field:?}");
        }
    }
}

/// undici, CVE-2026-2229: window bits that are none. A server declines the offer, a client the answer.
#[test]
fn window_bits_out_of_range() {
    let _turn = turn();
    for bits in ["7", "16", "0", "-1", "99999999999999999999", "08", "x", ""] {
        let request = format!(
            "{REQUEST}Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits={bits}\r\n\r\n"
        );
        let outcome = attack(|mut connection, _| async move {
            send(&mut connection, request.as_bytes()).await;
            // Had it agreed on compression, this were no fault.
            send(&mut connection, &masked(0xC0 | TEXT, b"?")).await;
            hear(&mut connection).await;
        });
        let declined = outcome.fault() == Some(Fault::ReservedBit);
        let malformed =
            matches!(outcome.handshake, Err(handshake::Error::Rejected(server::Rejected::Extensions)));
        assert!(declined || malformed, "{bits}: {outcome:?}");

        let request = client::Request {
            deflate: Some(deflate::Options::default()),
            ..client::Request::new("a.example", "/")
        };
        let answer = http::Response::builder()
            .status(101)
            .header("upgrade", "websocket")
            .header("connection", "upgrade")
            .header("sec-websocket-accept", handshake::accept_value(b"AAAAAAAAAAAAAAAAAAAAAA=="))
            .header("sec-websocket-extensions", format!("permessage-deflate; client_max_window_bits={bits}"))
            .body(())
            .unwrap();
        let refused = client::Handshake::new(&request, [0; 16]).unwrap().confirm(&answer);
        assert!(matches!(refused, Err(handshake::Error::Answer(_))), "{bits}: {refused:?}");
    }
}

// Lengths.

/// Tomcat, CVE-2020-13935; gorilla, CVE-2020-27813; undici, CVE-2026-1528; swift-nio, CVE-2026-43678; websocket-driver,
/// CVE-2026-54466; and those that add four to a length and wrap: lengths that nobody has.
#[test]
fn lengths_that_nobody_has() {
    let _turn = turn();
    for (len, fault) in [
        (1_u64 << 63, Fault::LengthTooLarge),
        (u64::MAX, Fault::LengthTooLarge),
        (u64::MAX - 3, Fault::LengthTooLarge),
        ((1 << 63) - 1, Fault::FrameTooBig),
        ((1 << 63) - 4, Fault::FrameTooBig),
        (1 << 32, Fault::FrameTooBig),
        (u64::from(u32::MAX) - 3, Fault::FrameTooBig),
        ((1 << 20) + 1, Fault::FrameTooBig),
    ] {
        for opcode in [TEXT, BINARY] {
            let mut header = vec![0x80 | opcode, 0x80 | 127];
            header.extend(len.to_be_bytes());
            header.extend([0; 64]);
            let outcome = attack(|connection, _| say(connection, "", [header]));
            assert_eq!(outcome.fault(), Some(fault), "{len:#x}");
            assert!(outcome.peak < 300 * KIB, "{outcome:?}");
        }
    }
}

/// Jetty, CVE-2026-19204: a large payload behind an opcode that nobody knows.
#[test]
fn a_large_payload_of_no_kind() {
    let _turn = turn();
    for opcode in [3, 7, 11, 15] {
        let mut header = vec![0x80 | opcode, 0x80 | 127];
        header.extend((512 * KIB as u64).to_be_bytes());
        let outcome = attack(|connection, _| say(connection, "", [header, vec![0; 512 * KIB]]));
        assert_eq!(outcome.fault(), Some(Fault::ReservedOpcode(opcode)));
    }
}

/// A claim of a megabyte, and then silence, from many: memory is given for what has come, not for what is said.
#[test]
fn a_claim_and_then_silence() {
    let _turn = turn();
    let outcome = attack(|mut connection, host| async move {
        let mut frame = vec![0x80 | BINARY, 0x80 | 127];
        frame.extend((MIB as u64).to_be_bytes());
        frame.extend([7; 1_000]);
        send(&mut connection, format!("{REQUEST}\r\n").as_bytes()).await;
        send(&mut connection, &frame).await;
        sleep(&host, Duration::from_secs(1)).await;
    });
    assert!(matches!(outcome.end, Some(End::Transport(_) | End::EndOfStream)), "{outcome:?}");
    assert!(outcome.peak < 400 * KIB, "{outcome:?}");
}

// Many small things.

/// ws, CVE-2026-48779: each of a million fragments of one byte costs more than a byte.
#[test]
fn a_million_fragments() {
    let _turn = turn();
    for (payload, name) in [(&b"x"[..], "of one byte"), (b"", "of none")] {
        let fragments: Vec<u8> = masked(CONTINUATION, payload).repeat(1_000);
        let pieces = std::iter::once(masked(BINARY, payload)).chain(vec![fragments; 1_000]);
        let outcome = attack(|connection, _| say(connection, "", pieces));
        assert_eq!(outcome.fault(), Some(Fault::TooManyFragments), "{name}");
        // The attacker's own million takes seven megabytes.
        assert!(outcome.peak < 8 * MIB, "{name}: {outcome:?}");
    }
}

/// Pings, pongs and empty messages without end.
#[test]
fn control_floods() {
    let _turn = turn();
    for opcode in [PING, PONG] {
        let flood = masked(0x80 | opcode, &[b'!'; 125]).repeat(100);
        let outcome = attack(|connection, _| say(connection, "", vec![flood; 100]));
        assert_eq!(outcome.fault(), Some(Fault::ControlFlood));
        assert!(outcome.peak < 2 * MIB, "{outcome:?}");
    }
}

/// http-kit #259: close frames answered by close frames, for ever.
#[test]
fn close_frames_without_end() {
    let _turn = turn();
    let outcome = attack(|mut connection, _| async move {
        let close = masked(0x80 | CLOSE, &status(1000, "again"));
        send(&mut connection, format!("{REQUEST}\r\n").as_bytes()).await;
        // More than a read takes at a time.
        for _ in 0..10_000 {
            if connection.try_write_vectored(&[IoSlice::new(&close)]).is_err() {
                break;
            }
        }
        let heard = hear(&mut connection).await;
        let head = heard.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(frames(&heard[head..]), [(0x80 | CLOSE, status(1000, ""))]);
    });
    assert!(
        matches!(&outcome.end, Some(End::ClosedByPeer { reason, .. }) if &**reason == "again"),
        "{outcome:?}"
    );
}

/// Tomcat, CVE-2024-23672: a close handshake that is never completed keeps nothing open.
#[test]
fn a_close_that_is_never_completed() {
    let _turn = turn();
    let outcome = attack(|mut connection, host| async move {
        send(&mut connection, format!("{REQUEST}\r\n").as_bytes()).await;
        send(&mut connection, &masked(0x80 | CLOSE, &status(1001, ""))).await;
        // It reads and goes on talking, but does not end the stream.
        while send(&mut connection, &masked(0x80 | TEXT, b"and another thing")).await {
            sleep(&host, Duration::from_millis(500)).await;
        }
    });
    assert!(outcome.end.as_ref().is_some_and(End::is_clean), "{outcome:?}");
    assert!(outcome.took <= Duration::from_secs(6), "{outcome:?}");
}

// Compression.

/// python websockets, CVE-2018-1000518; undici, CVE-2026-1526; tornado #2391: little that becomes much, with and without
/// the window of an earlier message, and up to the very limit.
#[test]
fn inflate_bombs() {
    let _turn = turn();
    for takeover in [false, true] {
        let headers = if takeover {
            "Sec-WebSocket-Extensions: permessage-deflate\r\n"
        } else {
            "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n"
        };
        for (len, fault) in [
            (64 * MIB, Some(Fault::MessageTooBig)),
            (300 * KIB, Some(Fault::InflateRatio)),
            (256 * KIB, None),
        ] {
            let direction = Direction { context_takeover: takeover, window_bits: 15 };
            let mut compressor = Compressor::new(direction, 9);
            let mut pieces = Vec::new();
            for message in [b"harmless".repeat(100), vec![0; len]] {
                let mut payload = Vec::new();
                assert!(compressor.compress(&message, &mut payload));
                pieces.push(masked(0xC0 | BINARY, &payload));
            }
            pieces.push(masked(0x80 | CLOSE, b""));
            drop(compressor);
            let outcome = attack(|connection, _| say(connection, headers, pieces));
            assert_eq!(outcome.fault(), fault, "{len} bytes, takeover {takeover}");
            assert!(outcome.peak < 3 * MIB, "{len} bytes, takeover {takeover}: {outcome:?}");
        }
    }
}

/// The same in many small fragments, and one byte beyond the limit of a message.
#[test]
fn an_inflate_bomb_in_fragments() {
    let _turn = turn();
    let mut payload = Vec::new();
    // Compresses far less than the ratio allows.
    let text: Vec<u8> = (0..MIB as u32 + 1).map(|at| (at.wrapping_mul(2_654_435_761) >> 30) as u8).collect();
    assert!(
        Compressor::new(Direction { context_takeover: false, window_bits: 15 }, 6)
            .compress(&text, &mut payload)
    );
    let mut pieces: Vec<Vec<u8>> = payload.chunks(100).map(|chunk| masked(CONTINUATION, chunk)).collect();
    pieces[0][0] = 0x40 | BINARY;
    let last = pieces.len() - 1;
    pieces[last][0] |= 0x80;
    let headers = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let outcome = attack(|connection, _| say(connection, headers, pieces));
    assert_eq!(outcome.fault(), Some(Fault::MessageTooBig));
    assert!(outcome.peak < 4 * MIB, "{outcome:?}");
}

// Slow, silent, cut.

/// Bun #42511: the close code was lost when its frame came in two reads. Each frame, cut at each byte.
#[test]
fn frames_cut_at_every_byte() {
    let _turn = turn();
    let close = masked(0x80 | CLOSE, &status(4_321, "grüße"));
    let bytes = [
        masked(TEXT, "zwei".as_bytes()),
        masked(0x80 | PING, b"between"),
        masked(0x80 | CONTINUATION, &"ü".repeat(100).into_bytes()),
        close,
    ]
    .concat();
    for cut in 1..bytes.len() {
        let (first, second) = (bytes[..cut].to_vec(), bytes[cut..].to_vec());
        let outcome = attack(|mut connection, host| async move {
            send(&mut connection, format!("{REQUEST}\r\n").as_bytes()).await;
            send(&mut connection, &first).await;
            sleep(&host, Duration::from_secs(1)).await;
            send(&mut connection, &second).await;
            hear(&mut connection).await;
        });
        let end = End::ClosedByPeer { code: Some(4_321.into()), reason: "grüße".into() };
        assert_eq!(outcome.end, Some(end), "cut at {cut}");
    }
}

/// ws-rs, RUSTSEC-2020-0043: a peer that asks and asks, and never reads an answer.
#[test]
fn a_peer_that_reads_nothing() {
    let _turn = turn();
    let outcome = attack(|mut connection, _| async move {
        let question = masked(0x80 | BINARY, &[7; 50_000]);
        let mut bytes = [format!("{REQUEST}\r\n").into_bytes(), question.clone()].concat();
        let mut at = 0;
        poll_fn(|context| -> Poll<()> {
            loop {
                match connection.try_write_vectored(&[IoSlice::new(&bytes[at..])]) {
                    Ok(written) => at += written,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        if ready!(connection.poll_writable(context)).is_err() {
                            return Poll::Ready(());
                        }
                    }
                    Err(_) => return Poll::Ready(()),
                }
                if at == bytes.len() {
                    bytes.clone_from(&question);
                    at = 0;
                }
            }
        })
        .await;
    });
    assert_eq!(outcome.end, Some(End::Timeout(Timeout::Write)));
    assert!(outcome.peak < 2 * MIB, "{outcome:?}");
}

/// One byte a second of a message, for an hour: it costs next to nothing, and the message is heard.
#[test]
fn a_message_of_one_byte_a_second() {
    let _turn = turn();
    let outcome = attack(|mut connection, host| async move {
        send(&mut connection, format!("{REQUEST}\r\n").as_bytes()).await;
        for byte in masked(0x80 | TEXT, &[b'x'; 3_600]) {
            assert!(send(&mut connection, &[byte]).await);
            sleep(&host, Duration::from_secs(1)).await;
        }
        connection.try_write_vectored(&[IoSlice::new(&masked(0x80 | CLOSE, b""))]).unwrap();
        let heard = hear(&mut connection).await;
        assert!(heard.windows(3_604).any(|bytes| bytes == plain(0x80 | TEXT, &[b'x'; 3_600])));
    });
    assert!(outcome.end.as_ref().is_some_and(End::is_clean), "{outcome:?}");
    assert!(outcome.peak < MIB, "{outcome:?}");
}

/// A server that reads one byte of the client's message a second: no progress, and the client gives it up.
#[test]
fn a_reader_of_one_byte_a_second() {
    let _turn = turn();
    let lab = Lab::with(Config { send_buffer: 1_000, receive_buffer: 1_000, ..Config::default() });
    let server = lab.machine("server", [10, 0, 0, 1].into(), 1).host();
    let client = lab.machine("client", [10, 0, 0, 2].into(), 1).host();
    lab.block_on(async {
        let address = SocketAddr::from(([10, 0, 0, 1], 80));
        let mut listener = server.listen(address, ListenOptions::default()).await.unwrap();
        let connection = client.connect(address).await.unwrap();
        let mut slow = listener.accept().await.unwrap();
        let host = server.clone();
        server.spawn_detached(async move {
            while !matches!(slow.try_read(&mut [0]), Ok(0)) {
                sleep(&host, Duration::from_secs(1)).await;
            }
        });
        let role = websocket::Role::Client;
        let mut socket =
            WebSocket::new(connection, client.clone(), role, Limits::default(), None, bytes::Bytes::new());
        let end = timeout_at(
            &client,
            Instant::ORIGIN + Duration::from_secs(600),
            socket.send(Message::Binary(vec![7; 100_000].into())),
        );
        assert_eq!(end.await.unwrap(), Err(End::Timeout(Timeout::Write)));
    });
}
