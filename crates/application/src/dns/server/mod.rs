//! A name server (RFC 1034, 1035): authoritative for its [`Zone`]s, and for who may ask for more, forwarding to others with
//! a cache.
//!
//! [`Zone`] says what a name means and [`Responder`] what is answered to a message; both are values without I/O.
//! [`Server`] joins them to the network: [`Server::serve_datagrams`] and [`Server::serve_stream`].

mod cache;
mod driver;
mod forward;
mod limiter;
mod responder;
mod zone;
mod zone_text;

use std::net::SocketAddr;
use std::time::Duration;

pub use driver::Server;
pub use responder::{Decision, Responder};
pub use zone::{Found, Zone};
pub use zone_text::RecordError;

/// How a name server is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// What it is authoritative for.
    pub zones: Vec<Zone>,
    /// Who is asked for other names, in order. With none, other names are refused.
    pub forward_to: Vec<SocketAddr>,
    /// Whether anybody's questions are forwarded, and not only those from private and loopback addresses.
    pub forward_for_anybody: bool,
    /// How long one of them has to answer.
    pub forward_time: Duration,
    /// Questions that may be forwarded at a time.
    pub forwards: usize,
    /// Bytes of answers that are kept.
    pub cache_bytes: usize,
    /// Datagrams that one network (IPv4 /24, IPv6 /56) is answered each second, in the long run; twice as many at once.
    /// Zero for no limit.
    pub datagrams_per_second: u32,
    /// How long a connection may wait between two questions.
    pub idle_time: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            zones: Vec::new(),
            forward_to: Vec::new(),
            forward_for_anybody: false,
            forward_time: Duration::from_secs(2),
            forwards: 256,
            cache_bytes: 8 << 20,
            datagrams_per_second: 500,
            idle_time: Duration::from_secs(10),
        }
    }
}
