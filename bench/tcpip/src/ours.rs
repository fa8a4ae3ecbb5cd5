//! Fourwire's end: one thread.

use std::io;
use std::net::SocketAddr;

use host::{ListenOptions, Listener, Network, Runtime};
use kernel::KernelHost;
use stack::device::{Offload, Tap};
use stack::{StackConnection, StackHost};
use tcpip::StackConfig;
use tcpip::internet::Cidr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trace::Tracer;
use wire::MacAddress;

use crate::{BUFFER, CONTESTANT, ECHO, SINK, SOURCE, TAP, stay};

type Connection = StackConnection<KernelHost, Tap>;

const CHUNK: usize = 256 << 10;

pub(crate) fn serve(offload: Offload) -> io::Result<()> {
    stay()?;
    let served = kernel::run(1, |kernel| async move {
        let mut config = StackConfig::default();
        config.settings.send_buffer = BUFFER;
        config.settings.receive_buffer = BUFFER;
        let host = StackHost::new(kernel, config, Tracer::OFF);
        let mac = MacAddress([2, 0, 0, 0, 0, 1]);
        let tap = Tap::open_with(TAP, mac, offload).map_err(io::Error::other)?;
        let interface = host.attach(TAP, tap).map_err(io::Error::other)?;
        host.with_stack(|stack, now, _| {
            stack.internet().add_address(now, interface, Cidr::new(CONTESTANT.into(), 24))
        })
        .map_err(io::Error::other)?;
        for port in [SINK, SOURCE, ECHO] {
            let mut listener =
                host.listen(SocketAddr::from((CONTESTANT, port)), ListenOptions::default()).await?;
            host.spawn_detached(async move {
                while let Ok(connection) = listener.accept().await {
                    // Ends when the driver does.
                    let _ = talk(connection, port).await;
                }
            });
        }
        std::future::pending::<io::Result<()>>().await
    })?;
    served.into_iter().collect()
}

async fn talk(mut connection: Connection, port: u16) -> io::Result<()> {
    let mut chunk = vec![7; CHUNK];
    loop {
        match port {
            SOURCE => connection.write_all(&chunk).await?,
            _ => {
                let read = connection.read(&mut chunk).await?;
                if read == 0 {
                    return Ok(());
                }
                if port == ECHO {
                    connection.write_all(&chunk[..read]).await?;
                }
            }
        }
    }
}
