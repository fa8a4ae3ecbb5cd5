//! Thousands of idle clients on one thread, each of which says when a message has come.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

/// What every published message holds, and nothing else on the wire does.
pub const MARK: &[u8] = b"@@@@";
/// Handshakes at a time.
const AT_ONCE: usize = 100;
/// The server's ping in the Centrifuge protocol, as a frame, and its answer with a mask of zeros.
const PING: &[u8] = b"\x81\x02{}";
const PONG: &[u8] = b"\x81\x82\0\0\0\0{}";

thread_local! {
    /// All clients live on one thread and read one after the other.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 1 << 16]);
}

/// Idle clients.
pub struct Crowd {
    clients: JoinSet<()>,
    came: Arc<Came>,
    size: usize,
    speaker: TcpStream,
}

#[derive(Default)]
struct Came {
    count: AtomicUsize,
    changed: Notify,
}

impl Crowd {
    /// Connects `size` clients that each say `greetings` and wait for as many answers, and one more that speaks.
    pub async fn gather(
        address: SocketAddr,
        size: usize,
        greetings: &'static [&'static str],
    ) -> io::Result<Self> {
        let came = Arc::new(Came::default());
        let gate = Arc::new(Semaphore::new(AT_ONCE));
        let mut arriving = JoinSet::new();
        for _ in 0..size {
            let gate = gate.clone();
            arriving.spawn(async move {
                let _turn = gate.acquire_owned().await.map_err(io::Error::other)?;
                connect(address, greetings).await
            });
        }
        let mut clients = JoinSet::new();
        while let Some(arrived) = arriving.join_next().await {
            clients.spawn(listen(arrived.map_err(io::Error::other)??, came.clone()));
        }
        let speaker = connect(address, greetings).await?;
        Ok(Self { clients, came, size, speaker })
    }

    /// Publishes `message`, a text that holds [`MARK`] once, and waits until all have it. How long that took, and how many
    /// got it within `patience`.
    pub async fn publish(&mut self, message: &str, patience: Duration) -> io::Result<(Duration, usize)> {
        self.came.count.store(0, Ordering::Relaxed);
        let began = Instant::now();
        self.speaker.write_all(&frame(message)).await?;
        let all = async {
            while self.came.count.load(Ordering::Relaxed) < self.size {
                self.came.changed.notified().await;
            }
        };
        let _ = tokio::time::timeout(patience, all).await;
        let took = began.elapsed();
        // What the speaker itself is sent is read, but not waited for.
        let mut scrap = [0; 4_096];
        while matches!(self.speaker.try_read(&mut scrap), Ok(1..)) {}
        Ok((took, self.came.count.load(Ordering::Relaxed)))
    }

    /// Everyone goes.
    pub async fn disperse(mut self) {
        self.clients.shutdown().await;
    }
}

async fn connect(address: SocketAddr, greetings: &[&str]) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let request = format!(
        "GET /connection/websocket HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    if !head.starts_with(b"HTTP/1.1 101") {
        return Err(io::Error::other(String::from_utf8_lossy(&head).into_owned()));
    }
    let mut answer = [0; 1_024];
    for greeting in greetings {
        stream.write_all(&frame(greeting)).await?;
        if stream.read(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(stream)
}

/// Counts marks until the connection ends.
async fn listen(mut stream: TcpStream, came: Arc<Came>) {
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        let read = BUFFER.with_borrow_mut(|buffer| {
            let length = stream.try_read(buffer)?;
            let bytes = &buffer[..length];
            Ok::<_, io::Error>((
                length,
                bytes.windows(MARK.len()).any(|window| window == MARK),
                bytes.ends_with(PING),
            ))
        });
        match read {
            Ok((0, ..)) => return,
            Ok((_, marked, pinged)) => {
                if marked {
                    came.count.fetch_add(1, Ordering::Relaxed);
                    came.changed.notify_one();
                }
                if pinged && stream.write_all(PONG).await.is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// A text frame of a client, with a mask of zeros.
fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u16::try_from(text.len()).expect("short messages") {
        length @ ..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}
