//! The doors: joins the hub and the application's protocols on any Fourwire host.
//!
//! [`stations`] lays out a server over a number of shards, and [`Station::serve`] runs one of them on its host. The same
//! code serves from the operating system's sockets and in a simulated network.
//!
//! The way of a message, file by file: [`accept`] takes a connection, `doors/http` reads its request, `doors/websocket`
//! carries its messages to the session, `shard` has the hub decide and carries that out, `mailbox` takes it to other
//! shards, `store` to the disk, and `session` keeps what waits for each client.

mod accept;
pub mod doors;
mod emulation;
pub mod files;
mod flight;
mod mailbox;
mod metrics;
mod pages;
mod session;
mod shard;
mod shutdown;
mod signal;
mod station;
mod store;
mod token;

pub use accept::{Connections, accept};
pub use shutdown::{Shutdown, Trigger};
pub use station::{Config, Doors, Error, Listening, Station, stations};
pub use token::{KeyError, KeySet, Tokens};
