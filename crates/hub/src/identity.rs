//! Who a client is, and who says so.

use bytes::Bytes;
use host::WallTime;

use crate::document::Rights;

/// Turns a token into an identity.
pub trait Authenticator: Send {
    /// Whom `token` stands for, as of `wall`.
    ///
    /// # Errors
    ///
    /// [`AuthError::Invalid`] for a token that will never be good (an empty one among them), [`AuthError::Expired`] for
    /// one that was good once.
    fn connect(&mut self, wall: WallTime, token: &str) -> Result<Identity, AuthError>;

    /// What room `token` opens, and to whom, as of `wall`. Without this, there are no such tokens.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    fn subscribe(&mut self, wall: WallTime, token: &str) -> Result<Permit, AuthError> {
        let _ = (wall, token);
        Err(AuthError::Invalid)
    }
}

/// What a token for a room says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permit {
    /// The user that may enter; empty for clients that are nobody in particular.
    pub user: String,
    /// The room.
    pub channel: String,
    /// When the client is to leave, unless the permit is renewed.
    pub expires: Option<WallTime>,
}

/// Whom a token stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The user's id; empty for a client that is nobody in particular.
    pub user: String,
    /// What others see of the connection (`conn_info`): JSON.
    pub info: Option<Bytes>,
    /// When the identity ends, unless it is refreshed.
    pub expires: Option<WallTime>,
    /// Rooms that the connection is in from its start.
    pub channels: Vec<String>,
    /// What it may do with documents.
    pub documents: Rights,
}

/// Why a token is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// It is missing, malformed, or not signed by whom we trust. The connection is closed with 3500.
    #[error("the token is not valid: ask for a new one")]
    Invalid,
    /// It was good, and its time is over. The connect command is answered with error 109.
    #[error("the token has expired: ask for a new one")]
    Expired,
    /// Whether it is good is not known yet. The command is answered with error 100, and may be tried again.
    #[error("the token cannot be checked at the moment: try again")]
    Unknown,
}

/// What others see of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// The connection's id, new each time it connects.
    pub client: String,
    /// The user's id; empty for a client that is nobody in particular.
    pub user: String,
    /// What it says of itself, or its token says of it: JSON.
    pub conn_info: Option<Bytes>,
}

impl ClientInfo {
    /// Bytes of its texts.
    pub(crate) fn size(&self) -> usize {
        let Self { client, user, conn_info } = self;
        client.len() + user.len() + conn_info.as_ref().map_or(0, Bytes::len)
    }
}
