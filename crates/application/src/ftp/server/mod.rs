//! The server's side.
//!
//! - [`Session`]: one control connection as a value: bytes in, replies and [`Effect`]s out.
//! - [`FileSystem`]: what there is to list, fetch and store, and for whom.
//! - [`serve`]: drives a session over a connection of any [`host::Host`], and makes its data connections.

mod data;
mod driver;
mod effect;
mod files;
mod session;
mod transfer;

use std::time::Duration;

pub use driver::{End, serve};
pub use effect::{DataWay, Effect, Form, Outcome, Placing, Question, Transfer};
pub use files::{FileError, FileSystem, Source, Target};
pub use session::Session;

/// What one session may cost, and what it offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a command line.
    pub line_bytes: usize,
    /// Bytes of commands that may wait while one is carried out.
    pub waiting_bytes: usize,
    /// From the start of the connection until somebody has logged in.
    pub login_time: Duration,
    /// Between two commands.
    pub idle_time: Duration,
    /// From the command until the data connection stands.
    pub data_time: Duration,
    /// How long a data connection may bring, or take, nothing.
    pub stall_time: Duration,
    /// Passwords that may be wrong.
    pub attempts: u32,
    /// Bytes that are read from a data connection, or written to one, at a time.
    pub chunk_bytes: usize,
    /// Entries of one listing.
    pub entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_bytes: 2048,
            waiting_bytes: 16 * 1024,
            login_time: Duration::from_secs(60),
            idle_time: Duration::from_secs(300),
            data_time: Duration::from_secs(20),
            stall_time: Duration::from_secs(60),
            attempts: 3,
            chunk_bytes: 128 * 1024,
            entries: 20_000,
        }
    }
}
