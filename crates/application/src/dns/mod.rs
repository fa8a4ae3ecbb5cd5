//! Names (RFC 1035): a stub resolver over any [`host::Host`], and a name server ([`server`]). Messages are read and written by
//! hickory-proto.
//!
//! A [`Resolver`] asks the servers of a [`Config`], by UDP from a port of its own for each question and with a random
//! identification (RFC 5452), by TCP where an answer was cut (RFC 7766), and goes on to the next server where one does
//! not answer. Literal addresses, `localhost` (RFC 6761) and what a hosts file knows are answered without asking.

mod answer;
mod config;
mod exchange;
mod resolver;
pub mod server;
mod stream;

pub use config::Config;
pub use resolver::Resolver;

use std::io;
use std::net::SocketAddr;

/// Why there is no address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It cannot be a name.
    #[error("{0:?} is no name: labels have 1 to 63 letters, digits, - or _, and all together at most 253")]
    Name(String),
    /// The name does not exist, or has no address.
    #[error("no address is known for {0}")]
    NotFound(String),
    /// There is nobody to ask.
    #[error("no name server is configured: name one, or use an address in place of the name")]
    NoServer,
    /// Nobody answered in time.
    #[error("no name server answered in time; asked: {0}")]
    Silent(Servers),
    /// The servers answered, but with a failure.
    #[error("the name servers could not answer ({code}); asked: {servers}")]
    Failed {
        /// What the last one said.
        code: String,
        /// Who was asked.
        servers: Servers,
    },
    /// The network does not let us ask.
    #[error("a name server cannot be asked: {0}")]
    Network(#[from] io::Error),
}

/// The servers that were asked, for an error to name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Servers(pub Vec<SocketAddr>);

impl std::fmt::Display for Servers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, server) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(formatter, "{separator}{server}")?;
        }
        Ok(())
    }
}
