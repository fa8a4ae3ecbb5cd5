//! The generator: frames that were made before, and bytes that are counted.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::contestant::Running;

/// What warms up, and does not count.
const WARM_UP: Duration = Duration::from_millis(300);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// What is sent.
pub struct Workload {
    pub name: &'static str,
    connections: usize,
    bytes: usize,
    in_flight: usize,
    /// Mostly characters of two bytes and more, instead of binary.
    text: bool,
}

/// What one server did in one round.
pub struct Measured {
    pub cpu_nanos: f64,
    pub rate: f64,
}

impl Workload {
    pub const ALL: [Self; 6] = [
        Self { name: "20", connections: 100, bytes: 20, in_flight: 1, text: false },
        Self { name: "125", connections: 100, bytes: 125, in_flight: 1, text: false },
        Self { name: "pipelined", connections: 100, bytes: 100, in_flight: 32, text: false },
        Self { name: "16k", connections: 100, bytes: 16 << 10, in_flight: 1, text: false },
        Self { name: "text", connections: 100, bytes: 16 << 10, in_flight: 1, text: true },
        Self { name: "1m", connections: 10, bytes: 1 << 20, in_flight: 1, text: false },
    ];

    pub fn describe(&self) -> String {
        let kind = if self.text { "mostly non-ASCII text" } else { "binary" };
        format!(
            "{} connections, {} bytes of {kind}, {} in flight on each",
            self.connections, self.bytes, self.in_flight
        )
    }

    /// One batch of masked frames.
    fn batch(&self) -> Vec<u8> {
        let mut frame = vec![if self.text { 0x81 } else { 0x82 }];
        match self.bytes {
            bytes @ ..126 => frame.push(0x80 | bytes as u8),
            bytes @ 126..65_536 => {
                frame.push(0x80 | 126);
                frame.extend((bytes as u16).to_be_bytes());
            }
            bytes => {
                frame.push(0x80 | 127);
                frame.extend((bytes as u64).to_be_bytes());
            }
        }
        frame.extend(MASK);
        let text = "Grüße, 你好, Привет 😀 ";
        let mut payload: Vec<u8> = text.bytes().cycle().take(self.bytes / text.len() * text.len()).collect();
        payload.resize(self.bytes, b' ');
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
        frame.repeat(self.in_flight)
    }
}

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
        let mut streams = Vec::new();
        for _ in 0..workload.connections {
            streams.push(connect(server.address, raw).await?);
        }
        let batch: std::sync::Arc<[u8]> = workload.batch().into();
        // An echo has no mask.
        let back = batch.len() - if raw { 0 } else { 4 * workload.in_flight };
        let warm = Instant::now() + WARM_UP;
        let mut streams = together(streams, &batch, back, warm).await?.1;
        let (cpu, began) = (server.cpu_nanos()?, Instant::now());
        let batches;
        (batches, streams) = together(streams, &batch, back, began + seconds).await?;
        let (cpu, took) = (server.cpu_nanos()? - cpu, began.elapsed());
        drop(streams);
        let messages = (batches * workload.in_flight as u64).max(1) as f64;
        Ok(Measured { cpu_nanos: cpu as f64 / messages, rate: messages / took.as_secs_f64() })
    })
}

async fn connect(address: SocketAddr, raw: bool) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    if raw {
        return Ok(stream);
    }
    stream.write_all(REQUEST).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    if head.starts_with(b"HTTP/1.1 101") { Ok(stream) } else { Err(io::Error::other("no handshake")) }
}

/// All connections send batch after batch, each when the echo of the one before is there, until `until`.
async fn together(
    streams: Vec<TcpStream>,
    batch: &std::sync::Arc<[u8]>,
    back: usize,
    until: Instant,
) -> io::Result<(u64, Vec<TcpStream>)> {
    let mut tasks = JoinSet::new();
    for stream in streams {
        tasks.spawn(alone(stream, batch.clone(), back, until));
    }
    let (mut sum, mut streams) = (0, Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (batches, stream) = done.map_err(io::Error::other)??;
        sum += batches;
        streams.push(stream);
    }
    Ok((sum, streams))
}

async fn alone(
    mut stream: TcpStream,
    batch: std::sync::Arc<[u8]>,
    back: usize,
    until: Instant,
) -> io::Result<(u64, TcpStream)> {
    let mut buffer = vec![0; back.min(256 << 10)];
    let mut batches = 0;
    while Instant::now() < until {
        let (mut reading, mut writing) = stream.split();
        let send = async { writing.write_all(&batch).await };
        let hear = async {
            let mut left = back;
            while left > 0 {
                let most = left.min(buffer.len());
                match reading.read(&mut buffer[..most]).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    len => left -= len,
                }
            }
            Ok(())
        };
        tokio::try_join!(biased; send, hear)?;
        batches += 1;
    }
    Ok((batches, stream))
}
