//! What a client needs to know before it starts.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::{Backoff, Error, Json, Position, Url};

/// Looks a name up each time when the client dials: host and port in, addresses out, the best first.
pub type Resolver = Arc<dyn Fn(&str, u16) -> Resolving + Send + Sync>;

/// A look-up under way.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Settings of a [`Client`](crate::Client).
#[derive(Clone)]
pub struct Config {
    /// The server.
    pub url: Url,
    /// How to find its address; not asked when the URL has a number instead of a name.
    pub resolver: Option<Resolver>,
    /// More headers for the handshake (`Authorization`, `Origin`, cookies).
    pub headers: Vec<(String, String)>,
    /// The connection token.
    pub token: Option<String>,
    /// Data for the server's own use, sent with connect.
    pub data: Option<Json>,
    /// What this program calls itself.
    pub name: String,
    /// Time for one attempt: look-up, connect and handshake together.
    pub dial_timeout: Duration,
    /// Time for the answer to one command; when it passes, the connection is taken for broken.
    pub reply_timeout: Duration,
    /// Time for one request with all its attempts.
    pub request_timeout: Duration,
    /// A server that has been silent for its ping interval and this much more is taken for dead.
    pub ping_slack: Duration,
    /// Waits between attempts.
    pub backoff: Backoff,
    /// Events that may wait to be taken. When they are that many, nothing more is read from the server.
    pub events: usize,
    /// Requests that may be under way. When they are that many, the next one waits.
    pub requests: usize,
    /// Bytes of one command.
    pub max_message: usize,
    /// Bytes of one message from the server. A recovery comes in one message; one that is longer ends the client.
    pub max_received: usize,
}

impl Config {
    /// Settings for the server at `url` (`ws://HOST:PORT`), everything else as is usual.
    ///
    /// # Errors
    ///
    /// [`Error::Url`] when it is no such address.
    pub fn new(url: &str) -> Result<Self, Error> {
        Ok(Self {
            url: url.parse()?,
            resolver: None,
            headers: Vec::new(),
            token: None,
            data: None,
            name: "fourwire".to_owned(),
            dial_timeout: Duration::from_secs(10),
            reply_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            ping_slack: Duration::from_secs(10),
            backoff: Backoff::default(),
            events: 256,
            requests: 256,
            max_message: 1 << 20,
            max_received: 8 << 20,
        })
    }
}

impl fmt::Debug for Config {
    /// Without token and headers: they are secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Config")
            .field("url", &self.url)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// How to be in a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// The subscription token, for rooms that ask for one.
    pub token: Option<String>,
    /// Whether to be told who enters and leaves.
    pub join_leave: bool,
    /// Where an earlier client was in the room: what was published since comes first.
    pub since: Option<Position>,
}
