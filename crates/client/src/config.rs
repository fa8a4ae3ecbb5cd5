//! What a client needs to know before it starts.

use std::fmt;
use std::time::Duration;

use crate::url::DEFAULT_PATH;
use crate::{Backoff, Dialer, Error, Json, Position, Url};

/// Settings of a [`Client`](crate::Client).
#[derive(Clone)]
pub struct Config {
    /// The server.
    pub url: Url,
    /// How to reach it.
    pub dialer: Dialer,
    /// The connection token.
    pub token: Option<String>,
    /// Data for the server's own use, sent with connect.
    pub data: Option<Json>,
    /// What this program calls itself.
    pub name: String,
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
    /// Settings for the server at `url` (`ws://HOST:PORT`, `wss://HOST`), everything else as is usual. Where it names no
    /// path, that is [`DEFAULT_PATH`].
    ///
    /// # Errors
    ///
    /// [`Error::Url`] when it is no such address.
    pub fn new(url: &str) -> Result<Self, Error> {
        Ok(Self {
            url: url.parse::<Url>()?.or_path(DEFAULT_PATH),
            dialer: Dialer::default(),
            token: None,
            data: None,
            name: "fourwire".to_owned(),
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
    /// Without the token: it is a secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Config")
            .field("url", &self.url)
            .field("dialer", &self.dialer)
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
