//! The server's side: receives mail.
//!
//! - [`Session`]: one connection as a value: bytes in, replies and [`Effect`]s out.
//! - [`Post`]: who may send, to whom, and what becomes of a message.
//! - [`serve`]: drives a session over a connection of any [`host::Host`].

mod content;
mod driver;
mod effect;
mod session;

use std::future::Future;
use std::time::Duration;

pub use content::{Content, Problem};
pub use driver::{End, Memory, Setup, serve};
pub use effect::{Effect, Envelope, Outcome, Refusal};
pub use session::{Offer, Session};

/// What one session may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a command line, its end included (RFC 5321 asks for 512, and AUTH for 12288).
    pub line_bytes: usize,
    /// Bytes of a message.
    pub message_bytes: usize,
    /// Bytes of a line of a message (RFC 5321 allows 1000; senders are not so strict).
    pub text_line_bytes: usize,
    /// Bytes of a message's header.
    pub header_bytes: usize,
    /// `Received` fields of a message, from which on it runs in a circle (RFC 5321, section 6.3).
    pub hops: usize,
    /// Recipients of a message.
    pub recipients: usize,
    /// Messages of a session.
    pub messages: usize,
    /// Commands that may be refused.
    pub errors: usize,
    /// Between two commands.
    pub idle_time: Duration,
    /// Between two pieces of a message.
    pub data_time: Duration,
    /// Of the whole session.
    pub session_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_bytes: 12 * 1024 + 512,
            message_bytes: 32 << 20,
            text_line_bytes: 64 * 1024,
            header_bytes: 128 * 1024,
            hops: 50,
            recipients: 100,
            messages: 1000,
            errors: 20,
            idle_time: Duration::from_secs(300),
            data_time: Duration::from_secs(180),
            session_time: Duration::from_secs(3600),
        }
    }
}

/// Who may send, to whom, and what becomes of a message.
pub trait Post: Send + 'static {
    /// Whether this is a user's name and password.
    fn log_in(&mut self, user: &str, password: &str) -> impl Future<Output = bool> + Send;

    /// Whether mail from a sender who is logged in as `user`, or not at all, is taken for this address.
    ///
    /// # Errors
    ///
    /// The reply that says why not.
    fn check(&mut self, user: Option<&str>, address: &str) -> Result<(), Refusal>;

    /// Takes a message: when this returns, it will not be lost.
    ///
    /// # Errors
    ///
    /// The reply that says why not.
    fn deliver(&mut self, envelope: Envelope) -> impl Future<Output = Result<(), Refusal>> + Send;
}
