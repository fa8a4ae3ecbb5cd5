//! FTP (RFC 959, with RFC 2389, 2428, 3659 and 4217): files over a control connection and one connection for each transfer.
//!
//! [`server`] is the server's side: [`server::Session`] is the control connection as a value, and [`server::serve`] drives
//! it over any [`host::Host`], with the files of whoever implements [`server::FileSystem`]. [`client`] is the other side.
//!
//! Files travel as they are: a server that does not convert lines stores text in the network's form (RFC 959, section
//! 3.1.1.1), so that TYPE A and TYPE I carry the same bytes.

mod address;
pub mod client;
mod command;
mod line;
mod listing;
mod path;
mod reply;
pub mod server;

pub use command::{Command, SyntaxError};
pub use line::{LineError, Lines};
pub use listing::{Entry, Kind};
pub use path::{Path, PathError};
pub use reply::{Replies, Reply, ReplyError};
