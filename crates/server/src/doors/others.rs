//! The doors beside HTTP: they are quiet, and the first shard serves them.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use application::dns::server::Server;
use application::smtp::server::Memory;
use host::{Host, ListenOptions, Listener};

use super::{ftp, smtp};
use crate::accept::{Connections, accept};
use crate::shard::Shard;
use crate::shutdown::Shutdown;
use crate::station::{Common, Doors, Error};

/// The open doors of a server, before anybody is let in.
pub(crate) struct Others<H: Host> {
    ftp: Vec<H::Listener>,
    smtp: Vec<H::Listener>,
    dns: Vec<(H::Listener, H::Datagrams)>,
}

/// Something that goes on until the shutdown.
type Going<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

impl<H: Host> Others<H> {
    /// Listens for all that is configured.
    pub(crate) async fn listen(host: &H, common: &Common) -> Result<Self, Error> {
        let config = &common.config;
        Ok(Self {
            ftp: listen(host, "--ftp-listen", config.ftp.as_ref().map(|ftp| &*ftp.listen)).await?,
            smtp: listen(host, "--smtp-listen", config.smtp.as_ref().map(|smtp| &*smtp.listen)).await?,
            dns: bind(host, config.dns.as_ref().map(|dns| &*dns.listen)).await?,
        })
    }

    /// Where it listens.
    pub(crate) fn addresses(&self) -> Doors {
        let of = |listeners: &[H::Listener]| listeners.iter().map(Listener::local_address).collect();
        Doors {
            ftp: of(&self.ftp),
            smtp: of(&self.smtp),
            dns: self.dns.iter().map(|(listener, _)| listener.local_address()).collect(),
        }
    }

    /// Serves until `shutdown`, and then until nobody is left.
    pub(crate) async fn serve(self, shard: &Shard<H>, common: &Arc<Common>, shutdown: &Shutdown) {
        let mut going: Vec<Going<'_>> = Vec::new();
        if let Some(config) = common.config.ftp.clone().map(Arc::new) {
            let sessions = Connections::limited_to(config.sessions);
            for listener in self.ftp {
                let (config, sessions) = (config.clone(), sessions.clone());
                going.push(Box::pin(async move {
                    let serve = |connection| {
                        ftp::serve(
                            shard.clone(),
                            common.clone(),
                            config.clone(),
                            shutdown.clone(),
                            connection,
                        )
                    };
                    accept(shard.host(), listener, &sessions, shutdown, serve).await;
                    sessions.none_open().await;
                }));
            }
        }
        if let Some(config) = common.config.smtp.clone().map(Arc::new) {
            let sessions = Connections::limited_to(config.sessions);
            let memory = Memory::limited_to(config.memory_bytes);
            for listener in self.smtp {
                let (config, sessions, memory) = (config.clone(), sessions.clone(), memory.clone());
                going.push(Box::pin(async move {
                    let serve = |connection| {
                        let (shard, common) = (shard.clone(), common.clone());
                        smtp::serve(
                            shard,
                            common,
                            config.clone(),
                            memory.clone(),
                            shutdown.clone(),
                            connection,
                        )
                    };
                    accept(shard.host(), listener, &sessions, shutdown, serve).await;
                    sessions.none_open().await;
                }));
            }
        }
        if let Some(config) = common.config.dns.clone() {
            let connections = Connections::limited_to(config.connections);
            let server = Server::new(shard.host().clone(), config.server);
            for (listener, datagrams) in self.dns {
                let (streams, connections) = (server.clone(), connections.clone());
                going.push(Box::pin(async move {
                    let serve = |connection| {
                        let server = streams.clone();
                        async move { server.serve_stream(connection).await }
                    };
                    // Who has a connection open for more questions waits for nothing.
                    accept(shard.host(), listener, &connections, shutdown, serve).await;
                }));
                let server = server.clone();
                going.push(Box::pin(
                    async move { server.serve_datagrams(datagrams, shutdown.requested()).await },
                ));
            }
        }
        std::future::poll_fn(|context| {
            going.retain_mut(|door| door.as_mut().poll(context).is_pending());
            if going.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

async fn listen<H: Host>(
    host: &H,
    option: &'static str,
    addresses: Option<&[SocketAddr]>,
) -> Result<Vec<H::Listener>, Error> {
    let mut listeners = Vec::new();
    for &address in addresses.unwrap_or_default() {
        let listener = host.listen(address, ListenOptions::default()).await;
        listeners.push(listener.map_err(|error| refused(option, address, error))?);
    }
    Ok(listeners)
}

/// Both sockets of each address, on one port.
async fn bind<H: Host>(
    host: &H,
    addresses: Option<&[SocketAddr]>,
) -> Result<Vec<(H::Listener, H::Datagrams)>, Error> {
    let mut sockets = Vec::new();
    for listener in listen(host, "--dns-listen", addresses).await? {
        let address = listener.local_address();
        let datagrams = host.bind(address).await.map_err(|error| refused("--dns-listen", address, error))?;
        sockets.push((listener, datagrams));
    }
    Ok(sockets)
}

fn refused(option: &'static str, address: SocketAddr, error: io::Error) -> Error {
    Error::Door { option, address, error }
}
