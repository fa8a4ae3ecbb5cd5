//! What a session wants done, and what came of it.

use std::fmt;
use std::net::IpAddr;

/// What the driver is to do. One at a time: the next one comes when [`Session::done`](super::Session::done) was told the
/// outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Say whether these are a user's name and password.
    LogIn {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// Say whether mail for this address is taken.
    Check(String),
    /// Send what waits, then shake hands for TLS as the server. Its failure ends the connection.
    StartTls,
    /// Take a message.
    Deliver(Envelope),
    /// Send what waits, then close.
    Close,
}

/// A message, who sends it, and to whom.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What the client calls itself.
    pub client: String,
    /// Where it is.
    pub peer: IpAddr,
    /// As whom it has logged in, if it has.
    pub user: Option<String>,
    /// Whether it came inside TLS.
    pub secure: bool,
    /// Where complaints go; empty for nowhere.
    pub from: String,
    /// To whom; at least one.
    pub recipients: Vec<String>,
    /// The message (RFC 5322).
    pub message: Vec<u8>,
}

impl fmt::Debug for Envelope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Envelope")
            .field("from", &self.from)
            .field("recipients", &self.recipients)
            .field("bytes", &self.message.len())
            .finish_non_exhaustive()
    }
}

/// What came of an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is so, or it is done.
    Done,
    /// It is not, with the reply that says why.
    Refused(Refusal),
    /// TLS stands.
    Secured,
}

/// A reply that says no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 4yz: not now; 5yz: never.
    pub code: u16,
    /// RFC 3463, such as `5.1.1`.
    pub status: &'static str,
    /// For people.
    pub text: String,
}

impl Refusal {
    /// A reply that says no.
    pub fn new(code: u16, status: &'static str, text: impl Into<String>) -> Self {
        Self { code, status, text: text.into() }
    }
}
