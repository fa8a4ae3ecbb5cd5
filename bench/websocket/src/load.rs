//! The generator: frames that were made before, and bytes that are counted.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::contestant::Running;
use crate::echoes::Echoes;
use crate::tls;
use crate::workload::{Over, Workload};

/// What warms up, and does not count.
const WARM_UP: Duration = Duration::from_millis(300);

/// Handshakes at a time.
const AT_ONCE: usize = 64;

/// What one server did in one round.
pub struct Measured {
    pub cpu_nanos: f64,
    pub rate: f64,
    /// Bytes that came back for each byte of the messages.
    pub size: f64,
}

/// A connection to a server, and what it sends.
struct Client {
    stream: Box<dyn Stream>,
    batches: Vec<Arc<[u8]>>,
    next: usize,
    echoes: Echoes,
    buffer: Vec<u8>,
    /// Batches that came back, and their bytes.
    done: u64,
    bytes: u64,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The generator has core 1 for itself.
pub fn pin() -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(1);
    Ok(sched_setaffinity(None, &cores)?)
}

/// Puts load on a server for `seconds`.
pub fn run(workload: &Workload, server: &Running, raw: bool, seconds: Duration) -> io::Result<Measured> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut clients = connect_all(workload, server, raw).await?;
        clients = together(clients, Until::Time(Instant::now() + WARM_UP)).await?;
        for client in &mut clients {
            (client.done, client.bytes) = (0, 0);
        }
        let (cpu, began) = (server.cpu_nanos()?, Instant::now());
        let clients = together(clients, Until::Time(began + seconds)).await?;
        let took = began.elapsed();
        let cpu = server.cpu_nanos()? - cpu;
        let messages =
            clients.iter().map(|client| client.done).sum::<u64>() as f64 * workload.in_flight as f64;
        let bytes = clients.iter().map(|client| client.bytes).sum::<u64>() as f64;
        Ok(Measured {
            cpu_nanos: cpu as f64 / messages,
            rate: messages / took.as_secs_f64(),
            size: bytes / messages / workload.message_bytes() as f64,
        })
    })
}

/// Bytes of memory that a server holds for each connection that has sent one message, got it back, and is idle.
pub fn idle(workload: &Workload, server: &Running, raw: bool) -> io::Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let empty = server.resident()?;
        let clients = connect_all(workload, server, raw).await?;
        let clients = together(clients, Until::Batches(1)).await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let full = server.resident()?;
        Ok(full.saturating_sub(empty) as f64 / clients.len() as f64)
    })
}

async fn connect_all(workload: &Workload, server: &Running, raw: bool) -> io::Result<Vec<Client>> {
    let batches = workload.batches();
    let mut clients = Vec::new();
    while clients.len() < workload.connections {
        let mut opening = JoinSet::new();
        for _ in 0..AT_ONCE.min(workload.connections - clients.len()) {
            opening.spawn(connect(server.address, workload.over, raw));
        }
        while let Some(opened) = opening.join_next().await {
            let stream = opened.map_err(io::Error::other)??;
            // An echo has no mask.
            let each = batches[0].len() - if raw { 0 } else { 4 * workload.in_flight };
            let echoes = match workload.over {
                Over::Deflate => Echoes::Frame { header: Vec::new(), left: 0, got: false },
                _ => Echoes::Bytes { each, left: 0 },
            };
            let buffer = vec![0; each.min(256 << 10)];
            let batches = batches.clone();
            clients.push(Client { stream, batches, next: 0, echoes, buffer, done: 0, bytes: 0 });
        }
    }
    Ok(clients)
}

async fn connect(address: std::net::SocketAddr, over: Over, raw: bool) -> io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut stream: Box<dyn Stream> = match over {
        Over::Tls => Box::new(tls::connect(stream).await?),
        _ => Box::new(stream),
    };
    if raw {
        return Ok(stream);
    }
    let extensions = match over {
        Over::Deflate => {
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
        }
        _ => "",
    };
    let request = format!(
        "GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{extensions}\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let granted = String::from_utf8_lossy(&head).to_lowercase().contains("permessage-deflate");
    if !head.starts_with(b"HTTP/1.1 101") || granted != (over == Over::Deflate) {
        return Err(io::Error::other(String::from_utf8_lossy(&head).into_owned()));
    }
    Ok(stream)
}

#[derive(Clone, Copy)]
enum Until {
    Time(Instant),
    Batches(u64),
}

/// All connections send batch after batch, each when the echo of the one before is there.
async fn together(clients: Vec<Client>, until: Until) -> io::Result<Vec<Client>> {
    let mut tasks = JoinSet::new();
    for mut client in clients {
        tasks.spawn(async move {
            while match until {
                Until::Time(until) => Instant::now() < until,
                Until::Batches(batches) => client.done < batches,
            } {
                client.exchange().await?;
            }
            Ok::<_, io::Error>(client)
        });
    }
    let mut clients = Vec::new();
    while let Some(done) = tasks.join_next().await {
        clients.push(done.map_err(io::Error::other)??);
    }
    Ok(clients)
}

impl Client {
    /// Sends one batch, and waits for what comes back.
    async fn exchange(&mut self) -> io::Result<()> {
        let batch = self.batches[self.next].clone();
        self.next = (self.next + 1) % self.batches.len();
        self.echoes.expect();
        let mut sent = 0;
        poll_fn(|context| self.poll(context, &batch, &mut sent)).await?;
        self.done += 1;
        Ok(())
    }

    fn poll(&mut self, context: &mut Context<'_>, batch: &[u8], sent: &mut usize) -> Poll<io::Result<()>> {
        while *sent < batch.len() {
            match Pin::new(&mut self.stream).poll_write(context, &batch[*sent..])? {
                Poll::Ready(more) => *sent += more,
                Poll::Pending => break,
            }
        }
        // What TLS holds back.
        let _ = Pin::new(&mut self.stream).poll_flush(context)?;
        loop {
            let most = self.echoes.wanted().min(self.buffer.len());
            let mut read = ReadBuf::new(&mut self.buffer[..most]);
            if Pin::new(&mut self.stream).poll_read(context, &mut read)?.is_pending() {
                return Poll::Pending;
            }
            let came = read.filled();
            if came.is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.bytes += came.len() as u64;
            if self.echoes.take(came) {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
