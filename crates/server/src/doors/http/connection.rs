//! One connection, from its first request to the end of what it was upgraded to.

use std::net::SocketAddr;
use std::sync::Arc;

use application::http::Body;
use application::http::server::serve_connection;
use bytes::Bytes;
use host::{Connection, Host};
use hub::{api, document};
use websocket::{End, Role, WebSocket, deflate};

use super::access::Circumstances;
use super::{Config, Door, Rooms};
use crate::doors;
use crate::doors::stream::Shape;
use crate::doors::websocket::Purpose;
use crate::emulation::Unposted;
use crate::files::{self, Entry, Id, Opened};
use crate::flight::{Filter, Flight};
use crate::metrics::{self, Snapshot};
use crate::shard::Shard;
use crate::shutdown::Shutdown;
use crate::station::Common;

/// Serves `connection` until it is over.
pub(crate) async fn serve<H: Host>(
    shard: Shard<H>,
    common: Arc<Common>,
    shutdown: Shutdown,
    connection: H::Connection,
) {
    let host = shard.host().clone();
    let config = &common.config;
    let Some(connection) = Box::pin(doors::lock::open(&host, &common, connection)).await else { return };
    let door = Arc::new(Door {
        rooms: Served {
            shard: shard.clone(),
            common: common.clone(),
            shutdown: shutdown.clone(),
            peer: connection.peer_address(),
        },
        config: Config {
            // Whatever may be published must fit.
            body_bytes: config
                .http
                .body_bytes
                .max(config.hub.limits.message_bytes.saturating_mul(2))
                .max(config.hub.documents.update_bytes),
            ..config.http.clone()
        },
        here: Circumstances {
            tokens: !config.tokens.is_empty(),
            loopback: connection.local_address().ip().is_loopback(),
        },
        deflate: config.deflate.then(deflate::Options::default),
        counts: common.counts.clone(),
    });
    // Boxed, so that HTTP's state is given back before a WebSocket's long life begins.
    let outcome = Box::pin(serve_connection(
        connection,
        &host,
        &config.http.limits,
        move |request| door.clone().answer(request),
        shutdown.requested(),
    ))
    .await;
    match outcome {
        Ok(None) => {}
        Err(error) => common.counts.http_failures.count(error.label()),
        Ok(Some(upgraded)) => {
            let purpose = upgraded.then.purpose;
            let socket = WebSocket::new(
                upgraded.connection,
                host,
                Role::Server,
                match purpose {
                    Purpose::Rooms(_) => config.websocket.clone(),
                    Purpose::Documents(_) => common.document_sockets.clone(),
                },
                upgraded.then.deflate,
                upgraded.already_read,
            );
            let end = doors::websocket::serve(shard, socket, purpose).await;
            common.counts.ends.count((end.label(), code(&end)));
        }
    }
}

/// The code that the connection was closed with; zero for none.
fn code(end: &End) -> u16 {
    match end {
        // A client may choose among thousands, and each would be a line of the metrics for ever: 4999 is any without a name.
        End::ClosedByPeer { code: Some(code), .. } if code.name().is_none() => 4999,
        End::ClosedByPeer { code, .. } | End::ClosedByUs { code, .. } => code.map_or(0, |code| code.0),
        End::Fault(fault) => fault.code().0,
        _ => 0,
    }
}

/// The rest of the server, as this door sees it.
struct Served<H: Host> {
    shard: Shard<H>,
    common: Arc<Common>,
    shutdown: Shutdown,
    peer: SocketAddr,
}

impl<H: Host> Rooms for Served<H> {
    async fn call(&self, request: api::Request) -> Option<api::Reply> {
        self.shard.call(request).await
    }

    fn stream(&self, shape: Shape, first: &[u8]) -> Body {
        doors::stream::open(&self.shard, &self.common.emulated, self.peer, shape, first)
    }

    fn post(&self, session: &str, frame: Bytes) -> Result<(), Unposted> {
        self.common.emulated.post(session, frame)
    }

    async fn document(
        &self,
        document: String,
        request: document::api::Request,
    ) -> Option<document::api::Reply> {
        self.shard.ask_document(&document, request).await
    }

    fn file(&self, id: &Id) -> Option<Opened> {
        let files = &self.common.config.files;
        Some(files::open(files, self.shard.host(), files.get(id)?))
    }

    async fn thumbnail(&self, id: &Id) -> Option<(Arc<Entry>, Bytes)> {
        let files = &self.common.config.files;
        let entry = files.get(id).filter(|entry| entry.picture.is_some())?;
        let bytes = files::open_thumbnail(files, self.shard.host(), &entry).await.ok()?;
        Some((entry, bytes))
    }

    fn observe(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            connections_open: self.common.connections.open() as u64,
            connections_accepted: self.common.connections.accepted() as u64,
            connections_refused: self.common.connections.refused() as u64,
            file_bytes: self.common.config.files.bytes(),
            counts: self.common.counts.clone(),
            ..Snapshot::default()
        };
        for shard in self.common.observed() {
            metrics::add(&mut snapshot.hub, shard.counters());
            snapshot.slow_sessions += shard.slow_sessions();
            snapshot.shards += 1;
        }
        snapshot
    }

    fn flights(&self, filter: &Filter) -> Vec<Flight> {
        let mut flights: Vec<Flight> =
            self.common.observed().flat_map(|shard| shard.flights(filter)).collect();
        flights.sort_by_key(|flight| std::cmp::Reverse(flight.ended));
        flights.truncate(filter.limit);
        flights
    }

    fn is_ending(&self) -> bool {
        self.shutdown.is_requested()
    }
}
