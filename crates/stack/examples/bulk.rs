//! Much data over Fourwire's own TCP, both ways at once, with checksums.
//!
//!     bulk --port fw0=10.9.0.2/24,fd09::2/64 listen 9
//!     bulk --port fw1=10.9.0.3/24 connect 10.9.0.2:9 --up 200000000 --down 200000000
//!
//! Who connects says how many bytes go up and how many come down, eight bytes each in network order. Then both sides send
//! theirs, and after them their SHA-256; the connection ends when both have heard what they were promised. Exit status 1
//! when a byte is missing, wrong or too many.

#![cfg(target_os = "linux")]

mod net;

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Parser;
use host::{ListenOptions, Listener, Network, Runtime};
use kernel::ShutdownSignals;
use net::OwnHost;
use sha2::{Digest, Sha256};
use tcpip::StackConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What is read and written at once, in bytes.
const CHUNK: usize = 256 << 10;

type Failure = Box<dyn Error + Send + Sync>;

/// Much data over our own TCP.
#[derive(Clone, Debug, Parser)]
struct Args {
    #[command(flatten)]
    net: net::Args,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// Serve whoever connects, until Ctrl-C or SIGTERM.
    Listen {
        /// The port, of all our addresses
        port: u16,
    },
    /// Connect, exchange, and end.
    Connect {
        /// Whom to call
        address: SocketAddr,
        /// Bytes that we send
        #[arg(long, default_value_t = 0)]
        up: u64,
        /// Bytes that they send
        #[arg(long, default_value_t = 0)]
        down: u64,
    },
}

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let ended = kernel::run(1, |kernel| {
        let args = args.clone();
        async move {
            let host = args.net.open(kernel, StackConfig::default())?;
            match args.command {
                Command::Listen { port } => listen(&host, port).await,
                Command::Connect { address, up, down } => connect(&host, address, up, down).await,
            }
        }
    })?;
    ended.into_iter().collect()
}

async fn listen(host: &OwnHost, port: u16) -> Result<(), Failure> {
    let mut signals = ShutdownSignals::watch()?;
    for all in [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()] {
        let mut listener = host.listen(SocketAddr::new(all, port), ListenOptions::default()).await?;
        let accepting = host.clone();
        host.spawn_detached(async move {
            while let Ok(mut connection) = listener.accept().await {
                accepting.spawn_detached(async move {
                    // The other side's verdict is the one that counts: it misses our checksum.
                    if let Err(error) = serve(&mut connection).await {
                        eprintln!("{connection:?}: {error}");
                    }
                });
            }
        });
    }
    println!("bulk is ready");
    signals.next().await;
    Ok(())
}

async fn serve<C: AsyncRead + AsyncWrite + Unpin>(connection: &mut C) -> Result<(), Failure> {
    let up = connection.read_u64().await?;
    let down = connection.read_u64().await?;
    exchange(connection, down, up).await
}

async fn connect(host: &OwnHost, address: SocketAddr, up: u64, down: u64) -> Result<(), Failure> {
    let mut connection = host.connect(address).await?;
    let begun = host.now();
    connection.write_u64(up).await?;
    connection.write_u64(down).await?;
    exchange(&mut connection, up, down).await?;
    let took = host.now().since(begun);
    println!("{up} bytes up and {down} down in {} ms", took.as_millis());
    drop(connection);
    host.quiet(host.now() + Duration::from_secs(5)).await;
    Ok(())
}

/// Sends and receives at the same time.
async fn exchange<C: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut C,
    send: u64,
    receive: u64,
) -> Result<(), Failure> {
    let (mut reader, mut writer) = tokio::io::split(connection);
    let sending = async {
        let mut bytes = Noise(send ^ 0x9e37_79b9_7f4a_7c15);
        let (mut hash, mut chunk, mut left) = (Sha256::new(), vec![0; CHUNK], send);
        while left > 0 {
            let chunk = &mut chunk[..left.min(CHUNK as u64) as usize];
            bytes.fill(chunk);
            hash.update(&chunk);
            writer.write_all(chunk).await?;
            left -= chunk.len() as u64;
        }
        writer.write_all(&hash.finalize()).await?;
        writer.shutdown().await?;
        Ok::<_, Failure>(())
    };
    let receiving = async {
        let (mut hash, mut chunk, mut left) = (Sha256::new(), vec![0; CHUNK], receive);
        while left > 0 {
            let most = left.min(CHUNK as u64) as usize;
            let read = reader.read(&mut chunk[..most]).await?;
            if read == 0 {
                return Err(format!("{left} of {receive} bytes are missing").into());
            }
            hash.update(&chunk[..read]);
            left -= read as u64;
        }
        let mut theirs = [0; 32];
        reader.read_exact(&mut theirs).await?;
        if theirs != *hash.finalize() {
            return Err("the checksum is wrong".into());
        }
        if reader.read(&mut chunk).await? != 0 {
            return Err("there is more than was promised".into());
        }
        Ok::<_, Failure>(())
    };
    tokio::try_join!(sending, receiving)?;
    Ok(())
}

/// Bytes without a pattern (xorshift64).
struct Noise(u64);

impl Noise {
    fn fill(&mut self, bytes: &mut [u8]) {
        for eight in bytes.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            eight.copy_from_slice(&self.0.to_le_bytes()[..eight.len()]);
        }
    }
}
