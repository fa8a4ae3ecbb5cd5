//! Data connections: how one comes about, and with whom.

use std::net::{IpAddr, SocketAddr};

use host::{Connection, Host, Instant, ListenOptions, Listener, timeout_at};
use tls::Stream;

use super::effect::DataWay;

/// A data connection of one session: where the server listens for it, until it is used.
pub(super) struct DataPort<H: Host> {
    host: H,
    tls: Option<tls::Server>,
    peer: IpAddr,
    listener: Option<H::Listener>,
}

impl<H: Host> DataPort<H> {
    pub(super) fn new(host: H, tls: Option<tls::Server>, peer: IpAddr) -> Self {
        Self { host, tls, peer: peer.to_canonical(), listener: None }
    }

    /// Listens at `local` on a port that the network chooses, in place of where it listened before.
    pub(super) async fn listen(&mut self, local: IpAddr) -> Option<SocketAddr> {
        self.listener = None;
        let options = ListenOptions { backlog: 4, shared: false };
        let listener = self.host.listen(SocketAddr::new(local, 0), options).await.ok()?;
        let address = listener.local_address();
        self.listener = Some(listener);
        Some(address)
    }

    /// The connection, by `deadline`.
    pub(super) async fn open(
        &mut self,
        way: DataWay,
        protected: bool,
        deadline: Instant,
    ) -> Option<Stream<H::Connection>> {
        let host = self.host.clone();
        let connection = match way {
            DataWay::Active(address) => {
                timeout_at(&host, deadline, host.connect(address)).await.ok()?.ok()?
            }
            DataWay::Passive => {
                let mut listener = self.listener.take()?;
                timeout_at(&host, deadline, accept(&mut listener, self.peer)).await.ok()??
            }
        };
        match (&self.tls, protected) {
            (_, false) => Some(Stream::Plain(connection)),
            (Some(tls), true) => {
                let connection = tls.accept(&host, connection, deadline).await.ok()?;
                Some(Stream::Tls(Box::new(connection)))
            }
            (None, true) => None,
        }
    }
}

/// The client's connection. Whoever else finds the port first gets nothing (RFC 2577, section 4).
async fn accept<L: Listener>(listener: &mut L, peer: IpAddr) -> Option<L::Connection> {
    loop {
        let mut connection = listener.accept().await.ok()?;
        if connection.peer_address().ip().to_canonical() == peer {
            return Some(connection);
        }
        connection.abort();
    }
}
