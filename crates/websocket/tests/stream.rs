//! The async face, over the lab's streams and in its time.

mod common;

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use common::{CLOSE, PING, PONG, TEXT, frames, masked, status};
use host::{
    AsyncRead, AsyncWrite, Connection, ConnectionInfo, ListenOptions, Listener, Network, ReadBuf, Runtime,
    sleep, timeout_at,
};
use lab::{Config, Lab, LabConnection, LabHost, Machine};
use websocket::deflate::{self, Agreed};
use websocket::{CloseCode, End, Kind, Limits, Message, Outbox, Role, Timeout, WebSocket};

type Socket = WebSocket<LabConnection, LabHost>;

/// Two machines and the two ends of one stream between them.
struct Pair {
    lab: Lab,
    server: Machine,
    client: Machine,
}

impl Pair {
    fn new(config: Config) -> Self {
        let lab = Lab::with(config);
        let server = lab.machine("server", [10, 0, 0, 1].into(), 1);
        let client = lab.machine("client", [10, 0, 0, 2].into(), 1);
        Self { lab, server, client }
    }

    /// The server's end and the client's end.
    fn connect(&self) -> (LabConnection, LabConnection) {
        let address = SocketAddr::from(([10, 0, 0, 1], 80));
        let (server, client) = (self.server.host(), self.client.host());
        self.lab.block_on(async move {
            let mut listener = server.listen(address, ListenOptions::default()).await.unwrap();
            let ours = client.connect(address).await.unwrap();
            (listener.accept().await.unwrap(), ours)
        })
    }

    fn sockets(&self, limits: &Limits, deflate: Option<Agreed>) -> (Socket, Socket) {
        let (server, client) = self.connect();
        (
            WebSocket::new(server, self.server.host(), Role::Server, limits.clone(), deflate, Bytes::new()),
            WebSocket::new(client, self.client.host(), Role::Client, limits.clone(), deflate, Bytes::new()),
        )
    }
}

/// What an echo server does.
async fn echo<C: Connection>(mut socket: WebSocket<C, LabHost>) -> End {
    poll_fn(|context| {
        loop {
            let mut handler =
                |kind: Kind, payload: &[u8], out: &mut Outbox| out.send((kind, payload)).unwrap();
            if let Err(end) = std::task::ready!(socket.poll_receive(context, &mut handler)) {
                return Poll::Ready(end);
            }
        }
    })
    .await
}

fn torn() -> Config {
    Config { segment: 61, ..Config::default() }
}

fn agreed() -> Agreed {
    deflate::Options { threshold: 10, ..Default::default() }.accept(&deflate::Offer::default()).0
}

#[test]
fn what_is_sent_comes_back() {
    let messages = [
        Message::text(""),
        Message::text("grüße 😀"),
        Message::Binary(Bytes::from_static(b"\x00\xff")),
        Message::Binary(Bytes::from(vec![7; 100_000])),
        Message::text("ü".repeat(50_000)),
    ];
    for config in [Config::default(), torn()] {
        for deflate in [None, Some(agreed())] {
            let pair = Pair::new(config.clone());
            let (server, mut client) = pair.sockets(&Limits::default(), deflate);
            let server = pair.server.host().spawn(async move {
                let end = echo(server).await;
                assert_eq!(end, End::ClosedByPeer { code: Some(CloseCode::NORMAL), reason: "done".into() });
            });
            pair.lab.block_on(async {
                for message in &messages {
                    client.send(message.clone()).await.unwrap();
                }
                for message in &messages {
                    let echoed = client.next().await.unwrap().unwrap();
                    assert!(echoed == *message, "{} bytes", message.payload().len());
                }
                let end = client.close(CloseCode::NORMAL, "done").await;
                assert_eq!(end, End::ClosedByUs { code: Some(CloseCode::NORMAL), reason: "done".into() });
                server.await;
            });
        }
    }
}

#[test]
fn the_answers_to_a_batch_leave_in_one_write() {
    let pair = Pair::new(Config::default());
    let (server, client) = pair.connect();
    let writes = Arc::new(AtomicUsize::new(0));
    let counted = Counted { inner: server, writes: writes.clone(), most: None, full: false };
    let limits = Limits::default();
    let host = pair.server.host();
    let server = WebSocket::new(counted, host.clone(), Role::Server, limits.clone(), None, Bytes::new());
    host.spawn_detached(async move { drop(echo(server).await) });
    let mut client = WebSocket::new(client, pair.client.host(), Role::Client, limits, None, Bytes::new());
    pair.lab.block_on(async {
        for round in 1..=3 {
            for number in 0..32 {
                client.queue(&[number; 100][..]).unwrap();
            }
            for number in 0..32 {
                let message = client.next().await.unwrap().unwrap();
                assert_eq!(message, Message::Binary(Bytes::from(vec![number; 100])));
            }
            assert_eq!(writes.load(Ordering::Relaxed), round);
        }
    });
}

#[test]
fn what_is_sent_back_from_where_it_lies_is_whole_however_little_is_taken_at_a_time() {
    for most in [1_000, 7_001, 20_000, 100_000] {
        let pair = Pair::new(Config::default());
        let (server, client) = pair.connect();
        let inner = Counted { inner: server, writes: Arc::default(), most: Some(most), full: false };
        let (limits, host) = (Limits::default(), pair.server.host());
        let server = WebSocket::new(inner, host.clone(), Role::Server, limits.clone(), None, Bytes::new());
        host.spawn_detached(async move { drop(echo(server).await) });
        let mut client = WebSocket::new(client, pair.client.host(), Role::Client, limits, None, Bytes::new());
        pair.lab.block_on(async {
            let message = |number: usize| -> Vec<u8> {
                let len = [100, 5_000, 20_000, 4_096][number % 4];
                (0..len).map(|at: usize| (at / 7 + number) as u8).collect()
            };
            for round in 0..10 {
                for number in 0..4 {
                    client.queue(&message(round + number)[..]).unwrap();
                }
                client.ping(b"between");
                for number in 0..4 {
                    let echoed = client.next().await.unwrap().unwrap();
                    assert!(echoed.payload()[..] == message(round + number), "{most} at a time");
                }
            }
        });
    }
}

#[test]
fn a_server_closes_and_says_so_with_its_code() {
    for config in [Config::default(), torn()] {
        let pair = Pair::new(config);
        let (mut server, mut client) = pair.sockets(&Limits::default(), None);
        pair.server.host().spawn_detached(async move {
            server.queue("last words").unwrap();
            let end = server.close(CloseCode::GOING_AWAY, "restart").await;
            assert_eq!(end, End::ClosedByUs { code: Some(CloseCode::GOING_AWAY), reason: "restart".into() });
        });
        pair.lab.block_on(async {
            assert_eq!(client.next().await, Ok(Some(Message::text("last words"))));
            assert_eq!(client.next().await, Ok(None));
            let end = End::ClosedByPeer { code: Some(CloseCode::GOING_AWAY), reason: "restart".into() };
            assert_eq!(client.end(), Some(&end));
            assert_eq!(client.send("too late").await, Err(end));
        });
    }
}

#[test]
fn both_may_close_at_once() {
    let pair = Pair::new(Config::default());
    let (mut server, mut client) = pair.sockets(&Limits::default(), None);
    let task = pair.server.host().spawn(async move {
        assert!(server.close(CloseCode(4000), "").await.is_clean());
    });
    pair.lab.block_on(async {
        assert!(client.close(CloseCode(4001), "").await.is_clean());
        task.await;
    });
    assert!(pair.lab.now().as_nanos() < 1_000_000_000, "nobody waited for a deadline");
}

/// Reads until the stream ends.
async fn read_to_end(connection: &mut LabConnection) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        poll_fn(|context| connection.poll_readable(context)).await?;
        match connection.try_read(&mut buffer) {
            Ok(0) => return Ok(all),
            Ok(len) => all.extend_from_slice(&buffer[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

fn write(connection: &mut LabConnection, bytes: &[u8]) {
    assert_eq!(connection.try_write_vectored(&[IoSlice::new(bytes)]).unwrap(), bytes.len());
}

#[test]
fn the_server_ends_the_stream_first() {
    let pair = Pair::new(Config::default());
    let (server, mut client) = pair.connect();
    let server =
        WebSocket::new(server, pair.server.host(), Role::Server, Limits::default(), None, Bytes::new());
    let task = pair.server.host().spawn(async move {
        assert!(echo(server).await.is_clean());
    });
    pair.lab.block_on(async {
        write(&mut client, &masked(0x80 | CLOSE, &status(1000, "")));
        let read = read_to_end(&mut client).await.unwrap();
        assert_eq!(frames(&read), [(0x80 | CLOSE, status(1000, ""))]);
        drop(client);
        task.await;
    });
}

#[test]
fn the_client_waits_for_the_server_to_end_the_stream() {
    let pair = Pair::new(Config::default());
    let (mut server, client) = pair.connect();
    let mut client =
        WebSocket::new(client, pair.client.host(), Role::Client, Limits::default(), None, Bytes::new());
    pair.lab.block_on(async {
        write(&mut server, &common::plain(0x80 | CLOSE, &status(1000, "")));
        let soon = pair.lab.now() + Duration::from_secs(1);
        assert!(timeout_at(&pair.client.host(), soon, client.next()).await.is_err());
        drop(server);
        assert_eq!(client.next().await, Ok(None));
    });
}

#[test]
fn a_peer_that_does_not_answer_the_close_frame_is_reset_at_the_deadline() {
    let pair = Pair::new(Config::default());
    let (server, mut client) = pair.connect();
    let mut server =
        WebSocket::new(server, pair.server.host(), Role::Server, Limits::default(), None, Bytes::new());
    let begun = pair.lab.now();
    let end = pair.lab.block_on(server.close(CloseCode::NORMAL, ""));
    assert_eq!(end, End::Timeout(Timeout::Close));
    assert_eq!(pair.lab.now().since(begun), Limits::default().close_timeout);
    let read = pair.lab.block_on(read_to_end(&mut client));
    assert!(read.is_err(), "the client sees a reset");
}

#[test]
fn a_peer_that_never_reads_is_given_up_with_a_bounded_queue() {
    let pair = Pair::new(Config::default());
    let (server, client) = pair.connect();
    let limits = Limits { keepalive: None, ..Limits::default() };
    let mut server =
        WebSocket::new(server, pair.server.host(), Role::Server, limits.clone(), None, Bytes::new());
    let end = pair.lab.block_on(async {
        let mut refused = 0;
        for _ in 0..1_000 {
            refused += usize::from(server.queue(Message::Binary(Bytes::from(vec![0; 10_000]))).is_err());
            assert!(server.queued_bytes() <= limits.queued_bytes);
            let _ = poll_fn(|context| Poll::Ready(server.poll_flush(context))).await;
        }
        assert!(refused > 800, "{refused}");
        server.send("never").await.unwrap_err()
    });
    assert_eq!(end, End::Timeout(Timeout::Write));
    drop(client);
}

#[test]
fn an_echo_of_more_than_its_queue_holds_loses_nothing() {
    let pair = Pair::new(Config::default());
    let limits = Limits { high_water_bytes: 50_000, queued_bytes: 200_000, ..Limits::default() };
    let (server, client) = pair.sockets(&limits, None);
    pair.server.host().spawn_detached(async move { drop(echo(server).await) });
    let (mut sender, mut receiver) = client.split();
    let sending = pair.client.host().spawn(async move {
        for number in 0..1_000_u32 {
            sender.send(&number.to_be_bytes().repeat(1_000)[..]).await.unwrap();
        }
    });
    pair.lab.block_on(async {
        // Long enough for everything between the two to be full.
        sleep(&pair.client.host(), Duration::from_secs(10)).await;
        assert!(!sending.is_ended());
        for number in 0..1_000_u32 {
            let message = receiver.next().await.unwrap().unwrap();
            assert!(message == Message::Binary(number.to_be_bytes().repeat(1_000).into()));
        }
        sending.await;
    });
}

#[test]
fn a_batch_that_inflates_past_the_high_water_mark_is_answered_in_steps() {
    let pair = Pair::new(Config::default());
    let limits = Limits { high_water_bytes: 20_000, queued_bytes: 40_000, ..Limits::default() };
    let (server, client) = pair.connect();
    let agreed = agreed();
    // The server sends uncompressed, so that a few small frames make a flood.
    let plain = Agreed { threshold: usize::MAX, ..agreed };
    let server = WebSocket::new(server, pair.server.host(), Role::Server, limits, Some(plain), Bytes::new());
    pair.server.host().spawn_detached(async move { drop(echo(server).await) });
    let mut client = WebSocket::new(
        client,
        pair.client.host(),
        Role::Client,
        Limits::default(),
        Some(agreed),
        Bytes::new(),
    );
    pair.lab.block_on(async {
        for number in 0..100 {
            client.queue(&[number; 10_000][..]).unwrap();
        }
        for number in 0..100 {
            assert!(client.next().await.unwrap().unwrap() == Message::Binary(vec![number; 10_000].into()));
        }
    });
}

#[test]
fn a_close_through_the_outbox_has_its_deadline_too() {
    let pair = Pair::new(Config::default());
    let (server, _client) = pair.connect();
    let mut server =
        WebSocket::new(server, pair.server.host(), Role::Server, Limits::default(), None, Bytes::new());
    let begun = pair.lab.now();
    server.outbox().close(CloseCode::NORMAL, "");
    assert_eq!(pair.lab.block_on(server.next()), Err(End::Timeout(Timeout::Close)));
    assert_eq!(pair.lab.now().since(begun), Limits::default().close_timeout);
}

#[test]
fn dropping_next_loses_nothing() {
    let pair = Pair::new(torn());
    let (mut server, mut client) = pair.sockets(&Limits::default(), None);
    pair.server.host().spawn_detached(async move {
        for number in 0..100 {
            server.send(format!("message number {number}").as_str()).await.unwrap();
        }
        server.close(CloseCode::NORMAL, "").await;
    });
    let host = pair.client.host();
    pair.lab.block_on(async {
        let (mut received, mut dropped) = (0, 0);
        loop {
            let soon = host.now() + Duration::from_micros(50);
            match timeout_at(&host, soon, client.next()).await {
                Ok(Ok(Some(message))) => {
                    assert_eq!(message, Message::text(format!("message number {received}")));
                    received += 1;
                }
                Ok(end) => break assert_eq!(end, Ok(None)),
                Err(_) => dropped += 1,
            }
        }
        assert_eq!(received, 100);
        assert!(dropped > 10, "{dropped}");
    });
}

#[test]
fn halves_work_in_two_tasks() {
    let pair = Pair::new(torn());
    let (server, client) = pair.sockets(&Limits::default(), None);
    pair.server.host().spawn_detached(async move { drop(echo(server).await) });
    let (mut sender, mut receiver) = client.split();
    let receiving = pair.client.host().spawn(async move {
        for number in 0..500 {
            assert_eq!(receiver.next().await, Ok(Some(Message::text(number.to_string()))));
        }
        assert_eq!(receiver.next().await, Ok(None));
        assert!(receiver.end().unwrap().is_clean());
    });
    pair.lab.block_on(async {
        for number in 0..500 {
            sender.send(number.to_string()).await.unwrap();
        }
        sleep(&pair.client.host(), Duration::from_secs(1)).await;
        assert!(sender.close(CloseCode::NORMAL, "").await.is_clean());
        receiving.await;
    });
    assert!(pair.lab.now().as_nanos() < 3_000_000_000);
}

#[test]
fn bytes_that_came_with_the_handshake_come_first() {
    let pair = Pair::new(Config::default());
    let (server, mut client) = pair.connect();
    let first =
        [masked(0x80 | TEXT, b"one"), masked(0x80 | PING, b"p"), masked(0x80 | TEXT, b"two")].concat();
    let (early, late) = first.split_at(first.len() - 2);
    let early = Bytes::copy_from_slice(early);
    let mut server = WebSocket::new(server, pair.server.host(), Role::Server, Limits::default(), None, early);
    write(&mut client, late);
    pair.lab.block_on(async {
        assert_eq!(server.next().await, Ok(Some(Message::text("one"))));
        assert_eq!(server.next().await, Ok(Some(Message::text("two"))));
        drop(server);
        let read = read_to_end(&mut client).await.unwrap();
        assert_eq!(frames(&read), [(0x80 | PONG, b"p".to_vec())]);
    });
}

#[test]
fn a_cut_line_is_found_by_pings() {
    let pair = Pair::new(Config::default());
    let (server, mut client) = pair.sockets(&Limits::default(), None);
    let host = pair.client.host();
    host.spawn_detached(async move { while client.next().await.is_ok_and(|message| message.is_some()) {} });
    let serving = pair.server.host().spawn(async move {
        assert_eq!(echo(server).await, End::Timeout(Timeout::Keepalive));
    });
    pair.lab.run_for(Duration::from_secs(300));
    assert!(!serving.is_ended());
    let cut = pair.lab.now();
    pair.lab.cut(&pair.server, &pair.client);
    pair.lab.block_on(serving);
    let took = pair.lab.now().since(cut);
    assert!(took <= Duration::from_secs(50), "{took:?}");
}

#[test]
fn an_abort_is_a_reset() {
    let pair = Pair::new(Config::default());
    let (mut server, mut client) = pair.sockets(&Limits::default(), None);
    server.abort();
    assert_eq!(server.end(), Some(&End::Aborted));
    assert_eq!(pair.lab.block_on(server.next()), Err(End::Aborted));
    let end = pair.lab.block_on(client.next()).unwrap_err();
    assert!(matches!(end, End::Transport(_)), "{end}");
}

#[test]
fn a_busy_connection_lets_others_go_first() {
    let pair = Pair::new(Config::default());
    let mut socket = WebSocket::new(
        Busy(masked(0x80 | TEXT, b"again")),
        pair.server.host(),
        Role::Server,
        Limits::default(),
        None,
        Bytes::new(),
    );
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..3 {
        let mut handler = |_: Kind, _: &[u8], _: &mut Outbox| {};
        let batches =
            (0..1_000).take_while(|_| socket.poll_receive(&mut context, &mut handler).is_ready()).count();
        assert!((1..=64).contains(&batches), "{batches}");
    }
}

#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<WebSocket<(), LabHost>>() <= 600, "{}", size_of::<WebSocket<(), LabHost>>());
}

#[test]
fn a_message_is_written_and_read_in_pieces() {
    for len in [None, Some(3_000_000)] {
        let pair = Pair::new(Config::default());
        let (mut server, mut client) = pair.sockets(&Limits::default(), None);
        let reading = pair.server.host().spawn(async move {
            let mut total = 0;
            let mut message = server.read(1 << 30).await.unwrap().unwrap();
            assert_eq!(message.kind(), Kind::Binary);
            while let Some(piece) = message.next().await.unwrap() {
                assert!(piece.len() <= 64 << 10 && piece.iter().all(|&byte| byte == 7));
                total += piece.len();
            }
            assert_eq!(total, 3_000_000);
            drop(message);
            // The second is left unread in the middle, the third is read whole.
            let mut message = server.read(1 << 30).await.unwrap().unwrap();
            assert!(message.next().await.unwrap().is_some());
            drop(message);
            assert_eq!(server.next().await.unwrap(), Some(Message::text("whole")));
            assert_eq!(server.next().await.unwrap(), Some(Message::text("again")));
            assert!(server.read(1 << 30).await.unwrap().is_none());
        });
        pair.lab.block_on(async {
            let mut message = client.write(Kind::Binary, len).await.unwrap();
            for _ in 0..30 {
                message.send(vec![7; 100_000]).await.unwrap();
            }
            message.finish().await.unwrap();
            let mut message = client.write(Kind::Text, Some(400_000)).await.unwrap();
            for _ in 0..4 {
                message.send("x".repeat(100_000)).await.unwrap();
            }
            message.finish().await.unwrap();
            client.send("whole").await.unwrap();
            client.send("again").await.unwrap();
            client.close(CloseCode::NORMAL, "").await;
            reading.await;
        });
    }
}

#[test]
fn a_message_that_is_not_finished_closes_the_connection() {
    let pair = Pair::new(Config::default());
    let (mut server, mut client) = pair.sockets(&Limits::default(), None);
    let closing = pair.server.host().spawn(async move {
        assert_eq!(server.next().await.unwrap(), None);
        let Some(End::ClosedByPeer { code, .. }) = server.end() else { panic!("{:?}", server.end()) };
        assert_eq!(*code, Some(CloseCode::INTERNAL_ERROR));
    });
    pair.lab.block_on(async {
        let mut message = client.write(Kind::Binary, None).await.unwrap();
        message.send("half").await.unwrap();
        drop(message);
        assert!(matches!(client.next().await, Ok(None)));
        closing.await;
    });
}

/// The pong comes although the application neither reads nor gets its own message through.
#[test]
fn pings_are_answered_while_a_message_waits_for_a_slow_reader() {
    for halves in [false, true] {
        let pair = Pair::new(Config::default());
        let (server, mut client) = pair.connect();
        let limits = Limits { queued_bytes: 64 << 20, ..Limits::default() };
        let mut server = WebSocket::new(server, pair.server.host(), Role::Server, limits, None, Bytes::new());
        let sending = pair.server.host().spawn(async move {
            let message = Message::Binary(Bytes::from(vec![1; 2 << 20]));
            if halves {
                let (mut sender, mut receiver) = server.split();
                sender.send(message).await.unwrap();
                assert_eq!(receiver.next().await.unwrap(), Some(Message::text("kept")));
            } else {
                server.send(message).await.unwrap();
                assert_eq!(server.next().await.unwrap(), Some(Message::text("kept")));
            }
        });
        pair.lab.block_on(async {
            host::sleep(&pair.client.host(), Duration::from_millis(100)).await;
            write(&mut client, &masked(0x80 | TEXT, b"kept"));
            write(&mut client, &masked(0x80 | PING, b"are you there?"));
            host::sleep(&pair.client.host(), Duration::from_millis(100)).await;
            // Only now the client begins to read; the answer comes right behind the one frame.
            let mut read = Vec::new();
            while read.len() < (2 << 20) + 10 + 16 {
                poll_fn(|context| client.poll_readable(context)).await.unwrap();
                let mut buffer = [0; 65_536];
                let len = client.try_read(&mut buffer).unwrap();
                assert!(len > 0);
                read.extend_from_slice(&buffer[..len]);
            }
            let frames = frames(&read);
            assert_eq!(frames[1], (0x80 | PONG, b"are you there?".to_vec()));
            sending.await;
        });
    }
}

/// Counts writes, and may take no more than so many bytes at a time, and then nothing for a moment.
struct Counted<C> {
    inner: C,
    writes: Arc<AtomicUsize>,
    most: Option<usize>,
    full: bool,
}

impl<C: Connection> Connection for Counted<C> {
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_readable(context)
    }
    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.try_read(buffer)
    }
    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.full) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.inner.poll_writable(context)
    }
    fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        let Some(most) = self.most else { return self.inner.try_write_vectored(slices) };
        if self.full {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.full = true;
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).take(most).collect();
        self.inner.try_write_vectored(&[IoSlice::new(&bytes)])
    }
    fn unsent(&self) -> usize {
        self.inner.unsent()
    }
    fn abort(&mut self) {
        self.inner.abort();
    }
    fn info(&self) -> ConnectionInfo {
        self.inner.info()
    }
    fn peer_address(&self) -> SocketAddr {
        self.inner.peer_address()
    }
    fn local_address(&self) -> SocketAddr {
        self.inner.local_address()
    }
}

impl<C: Connection> AsyncRead for Counted<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<C: Connection> AsyncWrite for Counted<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// Always has one more message.
struct Busy(Vec<u8>);

impl Connection for Busy {
    fn poll_readable(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        buffer[..self.0.len()].copy_from_slice(&self.0);
        Ok(self.0.len())
    }
    fn poll_writable(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }
    fn unsent(&self) -> usize {
        0
    }
    fn abort(&mut self) {}
    fn info(&self) -> ConnectionInfo {
        ConnectionInfo::default()
    }
    fn peer_address(&self) -> SocketAddr {
        SocketAddr::from(([0, 0, 0, 0], 0))
    }
    fn local_address(&self) -> SocketAddr {
        SocketAddr::from(([0, 0, 0, 0], 0))
    }
}

impl AsyncRead for Busy {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Busy {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
