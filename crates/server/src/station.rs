//! A server laid out over its shards, and one shard's run from the first listener to the last goodbye.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock, Weak};
use std::task::Poll;
use std::time::Duration;

use host::{Host, ListenOptions, Listener};
use hub::Hub;
use hub::store::Store;

use crate::accept::{Connections, accept};
use crate::doors;
use crate::emulation::Emulated;
use crate::files::{self, Files};
use crate::mailbox::{self, Address, Mailbox};
use crate::metrics::Counts;
use crate::session::Ending;
use crate::shard::{Observed, Shard};
use crate::shutdown::Shutdown;
use crate::signal::Signal;
use crate::store::{self, StoreDesk, StoreLine};
use crate::token::{KeyError, Tokens};

/// What clients hear when the server ends (RFC 6455, section 7.4.1).
const GOING_AWAY: Ending = Ending { code: 1001, reason: "going away" };

/// How a server is set up. The same on every shard.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen. Port 0 lets the network choose.
    pub listen: Vec<SocketAddr>,
    /// The rooms, and every limit that the hub keeps.
    pub hub: hub::Config,
    /// The HTTP door.
    pub http: doors::http::Config,
    /// The limits of one WebSocket connection.
    pub websocket: Arc<websocket::Limits>,
    /// Whether to agree on permessage-deflate with clients that offer it.
    pub deflate: bool,
    /// Connections that may be open at a time, over all shards.
    pub max_connections: usize,
    /// Bytes that may wait for one client before it is closed as slow.
    pub session_bytes: usize,
    /// How long clients have to say goodbye when the server ends.
    pub shutdown_grace: Duration,
    /// Whose signatures of clients' tokens are trusted. Where nobody's are, anybody may come in.
    pub tokens: Tokens,
    /// The certificate to show, and TLS on every connection of the HTTP door, and on request at the others.
    pub tls: Option<tls::Server>,
    /// The files of rooms.
    pub files: Files,
    /// The FTP door, where it is open.
    pub ftp: Option<doors::ftp::Config>,
    /// The SMTP door, where it is open.
    pub smtp: Option<doors::smtp::Config>,
    /// The DNS door, where it is open.
    pub dns: Option<doors::dns::Config>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8000))],
            hub: hub::Config::default(),
            http: doors::http::Config::default(),
            // The hub pings its clients itself, and hears more from it: one heartbeat is enough.
            websocket: Arc::new(websocket::Limits { keepalive: None, ..websocket::Limits::default() }),
            deflate: true,
            max_connections: 100_000,
            session_bytes: 1024 * 1024,
            shutdown_grace: Duration::from_secs(5),
            tokens: Tokens::default(),
            tls: None,
            files: Files::in_memory(files::Limits::default()),
            ftp: None,
            smtp: None,
            dns: None,
        }
    }
}

/// Why a shard could not serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody listens there already.
    #[error("{0} is in use: stop the program that listens there, or choose another address with --listen")]
    InUse(SocketAddr),
    /// The address is not one of this machine's, or its port is reserved.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// A key for tokens is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The same for one of the other doors.
    #[error("cannot listen on {address}: {error}; choose another address with {option}")]
    Door {
        /// The option that says where.
        option: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
}

/// One shard's part of a server, to be run on that shard's host.
pub struct Station {
    common: Arc<Common>,
    mailbox: Mailbox,
    store: StoreLine,
    /// With the first shard.
    desk: Option<(StoreDesk, Box<dyn Store>)>,
}

/// What all shards of a server share.
pub(crate) struct Common {
    pub(crate) config: Config,
    pub(crate) connections: Connections,
    pub(crate) counts: Arc<Counts>,
    pub(crate) emulated: Arc<Emulated>,
    /// The limits of one WebSocket connection to documents.
    pub(crate) document_sockets: Arc<websocket::Limits>,
    addresses: Vec<Address>,
    /// Weak, so that a shard ends when its last task does.
    shards: Vec<OnceLock<Weak<dyn Observed>>>,
    listening: Arc<Listening>,
}

/// Where a server listens, once that is settled.
#[derive(Default)]
pub struct Listening {
    addresses: OnceLock<Vec<SocketAddr>>,
    doors: OnceLock<Doors>,
    settled: Signal,
}

/// Where the doors beside HTTP are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doors {
    /// FTP.
    pub ftp: Vec<SocketAddr>,
    /// SMTP.
    pub smtp: Vec<SocketAddr>,
    /// DNS, for datagrams and streams.
    pub dns: Vec<SocketAddr>,
}

/// A server over `shards` shards that keeps its rooms in `store`.
pub fn stations(config: Config, store: Box<dyn Store>, shards: usize) -> Vec<Station> {
    let (mailboxes, addresses) = mailbox::mailboxes(shards.max(1));
    let (line, desk) = store::line();
    let common = Arc::new(Common {
        connections: Connections::limited_to(config.max_connections),
        shards: addresses.iter().map(|_| OnceLock::new()).collect(),
        counts: Arc::default(),
        emulated: Arc::default(),
        document_sockets: Arc::new(document_sockets(&config)),
        listening: Arc::default(),
        addresses,
        config,
    });
    let mut desk = Some((desk, store));
    mailboxes
        .into_iter()
        .map(|mailbox| Station { common: common.clone(), mailbox, store: line.clone(), desk: desk.take() })
        .collect()
}

/// Documents' clients do not answer pings of ours by themselves, so the connection's own are needed; and what they send
/// may be longer.
fn document_sockets(config: &Config) -> websocket::Limits {
    let limits = websocket::Limits {
        keepalive: websocket::Limits::default().keepalive,
        ..websocket::Limits::clone(&config.websocket)
    };
    let longest = config.hub.documents.update_bytes + 1024;
    let bytes = limits.message_bytes.max(longest);
    // What is sent may be a whole document.
    let queued = limits.queued_bytes.max(config.hub.documents.document_bytes.saturating_mul(2));
    websocket::Limits { queued_bytes: queued, ..limits.with_message_bytes(bytes) }
}

impl Station {
    /// Tells where the server listens, once it does.
    pub fn listening(&self) -> Arc<Listening> {
        self.common.listening.clone()
    }

    /// Serves on `host` until `shutdown`, then has every client say goodbye, for at most
    /// [`Config::shutdown_grace`], and lets the store finish.
    ///
    /// # Errors
    ///
    /// When this shard cannot listen.
    ///
    /// # Panics
    ///
    /// When `host` is a shard that the server was not laid out for.
    pub async fn serve<H: Host>(self, host: H, shutdown: Shutdown) -> Result<(), Error> {
        let Self { common, mailbox, store, desk } = self;
        let index = host.shard().index;
        let tokens = &common.config.tokens;
        let authenticator: Option<Box<dyn hub::Authenticator>> =
            if tokens.is_empty() { None } else { Some(Box::new(tokens.verifier()?)) };
        let hub = Hub::new(common.config.hub.clone(), host.shard(), host.random("hub"), authenticator);
        let shard =
            Shard::new(host.clone(), hub, common.addresses.clone(), store, common.config.session_bytes);
        assert!(common.shards[index].set(shard.observed()).is_ok(), "shard {index} serves twice");

        let keeper =
            desk.map(|(desk, store)| host.spawn(desk.serve(host.clone(), store, common.addresses.clone())));
        let mail = host.spawn(shard.clone().read_mail(mailbox));
        let time = host.spawn(shard.clone().keep_time());
        let files = common.config.files.clone();
        let sweep = (index == 0).then(|| host.spawn(files::sweep::keep_clean(files, shard.clone())));

        let served = serve(&shard, &common, &shutdown).await;

        shard.close_all(GOING_AWAY);
        let deadline = host.now() + common.config.shutdown_grace;
        let _ = host::timeout_at(&host, deadline, common.connections.none_open()).await;
        time.abort();
        if let Some(sweep) = sweep {
            sweep.abort();
        }
        mail.abort();
        shard.hang_up();
        if let Some(keeper) = keeper {
            // What was handed to the store before the end is still written.
            let _ = host::timeout_at(&host, deadline + common.config.shutdown_grace, keeper).await;
        }
        served
    }
}

impl Listening {
    /// The addresses, in the order of [`Config::listen`]. Waits until the first shard listens, and gives none when it
    /// could not.
    pub async fn addresses(&self) -> &[SocketAddr] {
        self.settled.raised().await;
        self.addresses.get().map_or(&[], Vec::as_slice)
    }

    /// Where the doors beside HTTP are; known with the addresses.
    pub fn doors(&self) -> Doors {
        self.doors.get().cloned().unwrap_or_default()
    }

    fn settle(&self, addresses: Vec<SocketAddr>) {
        // The first word counts, and there is one.
        let _ = self.addresses.set(addresses);
        self.settled.raise();
    }
}

impl Common {
    /// What each shard has counted.
    pub(crate) fn observed(&self) -> impl Iterator<Item = Arc<dyn Observed>> {
        self.shards.iter().filter_map(|shard| shard.get()?.upgrade())
    }
}

async fn serve<H: Host>(shard: &Shard<H>, common: &Arc<Common>, shutdown: &Shutdown) -> Result<(), Error> {
    let host = shard.host();
    let others = others(host, common).await?;
    let listeners = listen(host, common).await?;
    let mut loops: Vec<_> = listeners
        .into_iter()
        .map(|listener| {
            Box::pin(accept(host, listener, &common.connections, shutdown, |connection| {
                doors::http::serve(shard.clone(), common.clone(), shutdown.clone(), connection)
            }))
        })
        .collect();
    let mut others = Box::pin(async {
        if let Some(others) = others {
            others.serve(shard, common, shutdown).await;
        }
    });
    let mut others_served = false;
    // Each loop ends by itself at the shutdown.
    std::future::poll_fn(|context| {
        loops.retain_mut(|accepting| pin!(accepting).poll(context).is_pending());
        others_served = others_served || others.as_mut().poll(context).is_ready();
        if loops.is_empty() && (others_served || shutdown.is_requested()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    if !others_served {
        let deadline = host.now() + common.config.shutdown_grace;
        let _ = host::timeout_at(host, deadline, others).await;
    }
    Ok(())
}

/// Opens the doors beside HTTP, at the first shard.
async fn others<H: Host>(host: &H, common: &Common) -> Result<Option<doors::Others<H>>, Error> {
    if host.shard().index > 0 {
        return Ok(None);
    }
    match doors::Others::listen(host, common).await {
        Ok(others) => {
            // The first word counts, and there is one.
            let _ = common.listening.doors.set(others.addresses());
            Ok(Some(others))
        }
        Err(error) => {
            // The other shards wait for addresses that will not come.
            common.listening.settle(Vec::new());
            Err(error)
        }
    }
}

/// Listens at every address. The first shard settles ports that the network chooses, and the others follow.
async fn listen<H: Host>(host: &H, common: &Common) -> Result<Vec<H::Listener>, Error> {
    let first = host.shard().index == 0;
    let addresses =
        if first { common.config.listen.clone() } else { common.listening.addresses().await.to_vec() };
    let options = ListenOptions { shared: host.shard().count > 1, ..ListenOptions::default() };
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        let listener = host.listen(address, options).await.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => Error::InUse(address),
            _ => Error::Listen { address, error },
        });
        match listener {
            Ok(listener) => listeners.push(listener),
            Err(error) => {
                if first {
                    // The others wait for addresses that will not come.
                    common.listening.settle(Vec::new());
                }
                return Err(error);
            }
        }
    }
    if first {
        let bound = listeners.iter().map(Listener::local_address).collect();
        common.listening.settle(bound);
    }
    Ok(listeners)
}
