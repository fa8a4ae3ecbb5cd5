//! From a URL to an open WebSocket.

mod eyeballs;
mod proxy;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use host::{Host, Instant, Network, timeout_at};
use http::header::{AUTHORIZATION, COOKIE, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tls::Stream;
use websocket::handshake::client::{self as handshake, Request};
use websocket::{Limits, WebSocket, deflate};

use crate::{Error, Url};

pub use eyeballs::{Unreachable, connect};
pub use proxy::{Proxy, ProxyError};

/// Looks a name up each time when somebody dials: host and port in, addresses out, the best first.
pub type Resolver = Arc<dyn Fn(&str, u16) -> Resolving + Send + Sync>;

/// A look-up under way.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// A WebSocket, plain or inside TLS, on a host of the kind `H`.
pub type Socket<H> = WebSocket<Stream<<H as Network>::Connection>, H>;

/// How to reach WebSocket servers: look the name up, connect to whichever address answers first (through a proxy, if there
/// is one), shake hands for TLS and for WebSocket, and follow redirects.
#[derive(Clone)]
pub struct Dialer {
    /// How to find addresses; not asked when the URL has a number instead of a name. With a proxy, the proxy looks the
    /// server up.
    pub resolver: Option<Resolver>,
    /// TLS for `wss://`: whom to trust.
    pub tls: Option<tls::Client>,
    /// The proxy to go through.
    pub proxy: Option<Proxy>,
    /// More headers for the handshake (`Origin`, `Authorization`, cookies).
    pub headers: HeaderMap,
    /// Subprotocols to offer, the dearest first.
    pub subprotocols: Vec<String>,
    /// Compression to offer.
    pub deflate: Option<deflate::Options>,
    /// Redirects to follow. None leads from `wss` to `ws`, and credentials stay behind when one leads to another host.
    pub redirects: usize,
    /// Time for all of it.
    pub timeout: Duration,
}

/// A server that was reached.
pub struct Dialed<H: Host> {
    /// The open WebSocket.
    pub socket: Socket<H>,
    /// Where it is, behind all redirects.
    pub url: Url,
    /// The server's answer.
    pub head: Response<()>,
    /// The subprotocol that it chose.
    pub subprotocol: Option<String>,
    /// The compression that was agreed on.
    pub deflate: Option<deflate::Agreed>,
}

/// Why a server was not reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// There is no way from the name to an address.
    #[error("{0} is a name, and there is no resolver: use an IP address")]
    NoResolver(String),
    /// The name could not be looked up.
    #[error("cannot look up {0}: {1}")]
    Lookup(String, io::Error),
    /// The name has no address.
    #[error("{0} has no address")]
    NoAddress(String),
    /// No address answered.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The proxy made no tunnel.
    #[error("the proxy {0} made no tunnel: {1}")]
    Proxy(String, ProxyError),
    /// The address asks for TLS, and nobody said whom to trust.
    #[error("{0} needs TLS, and no certificate authorities are configured")]
    NoTls(Url),
    /// TLS failed.
    #[error("no TLS with {0}: {1}")]
    Tls(String, tls::Error),
    /// The server did not open a WebSocket.
    #[error("no WebSocket with {0}: {1}")]
    Handshake(String, websocket::handshake::Error),
    /// A redirect leads where we do not go.
    #[error("{0} redirects to {1:?}: {2}")]
    Redirect(Url, String, &'static str),
    /// Time was up.
    #[error("{0} took too long")]
    Late(&'static str),
}

impl Default for Dialer {
    /// For addresses that are numbers, without TLS or proxy; 5 redirects, 10 seconds.
    fn default() -> Self {
        Self {
            resolver: None,
            tls: None,
            proxy: None,
            headers: HeaderMap::new(),
            subprotocols: Vec::new(),
            deflate: None,
            redirects: 5,
            timeout: Duration::from_secs(10),
        }
    }
}

impl Dialer {
    /// Adds a header to those of the handshake.
    ///
    /// # Errors
    ///
    /// When the name or the value is malformed.
    pub fn add_header(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let invalid =
            || Error::Data(format!("header {name:?} cannot be sent: its name or value is malformed"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        self.headers.append(name, HeaderValue::from_str(value).map_err(|_| invalid())?);
        Ok(())
    }

    /// Opens a WebSocket at `url`.
    ///
    /// # Errors
    ///
    /// What was in the way. Nothing is tried twice.
    pub async fn dial<H: Host>(
        &self,
        host: &H,
        url: &Url,
        limits: impl Into<Arc<Limits>>,
    ) -> Result<Dialed<H>, DialError> {
        let deadline = host.now() + self.timeout;
        let limits = limits.into();
        let (mut url, mut headers) = (url.clone(), self.headers.clone());
        let mut left = self.redirects;
        loop {
            let location = match self.dial_once(host, &url, &headers, deadline, &limits).await {
                Err(DialError::Handshake(_, websocket::handshake::Error::Status(answer)))
                    if left > 0
                        && answer.status().is_redirection()
                        && answer.headers().contains_key(LOCATION) =>
                {
                    String::from_utf8_lossy(answer.headers()[LOCATION].as_bytes()).into_owned()
                }
                outcome => return outcome,
            };
            left -= 1;
            let next = follow(&url, location)?;
            if (&next.host, next.port) != (&url.host, url.port) {
                headers.remove(AUTHORIZATION);
                headers.remove(COOKIE);
            }
            url = next;
        }
    }

    /// Connects to the server at `url`, by way of the proxy if there is one, and shakes hands for TLS where the address
    /// asks for it: all that comes before the WebSocket's own handshake.
    ///
    /// # Errors
    ///
    /// What was in the way, or [`DialError::Late`] and its likes once `deadline` has passed.
    pub async fn connect<H: Host>(
        &self,
        host: &H,
        url: &Url,
        deadline: Instant,
    ) -> Result<Stream<H::Connection>, DialError> {
        self.secured(host, url, self.reach(host, url, deadline).await?, deadline).await
    }

    async fn dial_once<H: Host>(
        &self,
        host: &H,
        url: &Url,
        headers: &HeaderMap,
        deadline: Instant,
        limits: &Arc<Limits>,
    ) -> Result<Dialed<H>, DialError> {
        let connection = self.connect(host, url, deadline).await?;
        let request = Request {
            headers: headers.clone(),
            subprotocols: self.subprotocols.clone(),
            deflate: self.deflate,
            time: deadline.since(host.now()),
            ..Request::new(url.authority(), &url.path)
        };
        let opened = handshake::connect(connection, host, &request)
            .await
            .map_err(|error| DialError::Handshake(url.authority(), error))?;
        let (head, subprotocol, deflate) = (opened.head.clone(), opened.subprotocol.clone(), opened.deflate);
        let socket = opened.websocket(host.clone(), limits.clone());
        Ok(Dialed { socket, url: url.clone(), head, subprotocol, deflate })
    }

    /// A connection to the server, by way of the proxy if there is one.
    async fn reach<H: Host>(
        &self,
        host: &H,
        url: &Url,
        deadline: Instant,
    ) -> Result<H::Connection, DialError> {
        let Some(proxy) = &self.proxy else {
            let addresses = self.resolve(host, &url.host, url.port, deadline).await?;
            return Ok(connect(host, &addresses, deadline).await?.1);
        };
        let addresses = self.resolve(host, &proxy.host, proxy.port, deadline).await?;
        let (address, mut connection) = connect(host, &addresses, deadline).await?;
        let authority = url.authority_with_port();
        timeout_at(host, deadline, proxy.tunnel(&mut connection, &authority))
            .await
            .map_err(|_| DialError::Late("the proxy's answer"))?
            .map_err(|error| DialError::Proxy(address.to_string(), error))?;
        Ok(connection)
    }

    async fn resolve<H: Host>(
        &self,
        host: &H,
        name: &str,
        port: u16,
        deadline: Instant,
    ) -> Result<Vec<SocketAddr>, DialError> {
        if let Ok(ip) = name.parse() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let resolver = self.resolver.as_ref().ok_or_else(|| DialError::NoResolver(name.to_owned()))?;
        match timeout_at(host, deadline, resolver(name, port)).await {
            Ok(Ok(addresses)) if addresses.is_empty() => Err(DialError::NoAddress(name.to_owned())),
            Ok(found) => found.map_err(|error| DialError::Lookup(name.to_owned(), error)),
            Err(_) => Err(DialError::Late("looking the server up")),
        }
    }

    async fn secured<H: Host>(
        &self,
        host: &H,
        url: &Url,
        connection: H::Connection,
        deadline: Instant,
    ) -> Result<Stream<H::Connection>, DialError> {
        if !url.secure {
            return Ok(Stream::Plain(connection));
        }
        let tls = self.tls.as_ref().ok_or_else(|| DialError::NoTls(url.clone()))?;
        match tls.connect(host, connection, &url.host, deadline).await {
            Ok(connection) => Ok(Stream::Tls(Box::new(connection))),
            Err(error) => Err(DialError::Tls(url.authority(), error)),
        }
    }
}

impl<H: Host> fmt::Debug for Dialed<H> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Dialed")
            .field("url", &self.url)
            .field("subprotocol", &self.subprotocol)
            .field("deflate", &self.deflate)
            .finish_non_exhaustive()
    }
}

/// Where a redirect leads.
fn follow(from: &Url, location: String) -> Result<Url, DialError> {
    let refuse = |location, why| Err(DialError::Redirect(from.clone(), location, why));
    match from.join(&location) {
        Ok(to) if from.secure && !to.secure => refuse(location, "it would leave TLS"),
        Ok(to) => Ok(to),
        Err(_) => refuse(location, "that is no WebSocket address"),
    }
}

impl fmt::Debug for Dialer {
    /// Without the headers: they are secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Dialer")
            .field("tls", &self.tls)
            .field("proxy", &self.proxy)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
