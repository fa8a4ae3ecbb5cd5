//! From a URL to an open WebSocket.

use std::net::SocketAddr;
use std::sync::Arc;

use host::{Host, Instant, timeout_at};
use http::{HeaderMap, HeaderName, HeaderValue};
use websocket::handshake::client::{self as handshake, Request};
use websocket::{Limits, Role, WebSocket};

use crate::Config;

/// A WebSocket, or why there is none.
pub(crate) type Dialed<H> = Result<Box<WebSocket<<H as host::Network>::Connection, H>>, String>;

/// Addresses of one name that are tried.
const ADDRESSES: usize = 8;

/// Looks the server up, connects to its addresses one after the other until one answers, and shakes hands.
pub(crate) async fn dial<H: Host>(host: H, config: Arc<Config>) -> Dialed<H> {
    let deadline = host.now() + config.dial_timeout;
    let addresses = timeout_at(&host, deadline, resolve(&config))
        .await
        .map_err(|_| format!("looking up {} took too long", config.url.host))??;
    let (address, connection) = connect(&host, &addresses, deadline).await?;
    let mut request = Request::new(config.url.authority(), &config.url.path);
    request.headers = headers(&config.headers)?;
    request.time = deadline.since(host.now());
    let opened = handshake::connect(connection, &host, &request)
        .await
        .map_err(|error| format!("no WebSocket with {address}: {error}"))?;
    let limits = Limits { keepalive: None, ..Limits::default() }.with_message_bytes(config.max_received);
    let websocket::handshake::Opened { connection, deflate, already_read, .. } = opened;
    Ok(Box::new(WebSocket::new(connection, host, Role::Client, limits, deflate, already_read)))
}

async fn resolve(config: &Config) -> Result<Vec<SocketAddr>, String> {
    let url = &config.url;
    if let Some(address) = url.address() {
        return Ok(vec![address]);
    }
    let Some(resolver) = &config.resolver else {
        return Err(format!("{} is a name, and there is no resolver: use an IP address", url.host));
    };
    match resolver(&url.host, url.port).await {
        Ok(addresses) if addresses.is_empty() => Err(format!("{} has no address", url.host)),
        Ok(addresses) => Ok(addresses),
        Err(error) => Err(format!("cannot look up {}: {error}", url.host)),
    }
}

/// Each address gets an equal part of the time that is left.
async fn connect<H: Host>(
    host: &H,
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<(SocketAddr, H::Connection), String> {
    let mut failures = Vec::new();
    let tried = addresses.len().min(ADDRESSES);
    for (index, address) in addresses.iter().take(tried).enumerate() {
        let now = host.now();
        let left = u32::try_from(tried - index).unwrap_or(u32::MAX);
        match timeout_at(host, now + deadline.since(now) / left, host.connect(*address)).await {
            Ok(Ok(connection)) => return Ok((*address, connection)),
            Ok(Err(error)) => failures.push(format!("cannot connect to {address}: {error}")),
            Err(_) => failures.push(format!("connecting to {address} took too long")),
        }
    }
    Err(failures.join("; "))
}

fn headers(pairs: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::with_capacity(pairs.len());
    for (name, value) in pairs {
        let invalid = || format!("header {name:?} cannot be sent: its name or value is malformed");
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        headers.append(name, HeaderValue::from_str(value).map_err(|_| invalid())?);
    }
    Ok(headers)
}
