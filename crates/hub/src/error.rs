//! What a client or a program is told when its request is refused.

use std::borrow::Cow;

use crate::centrifuge::codes;
use crate::store::StoreError;

/// A request that was not fulfilled. Codes are those of the Centrifuge protocol ([`codes`]).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Error {
    /// A Centrifuge error code.
    pub code: u16,
    /// What is wrong, and what to do.
    pub message: Cow<'static, str>,
}

impl Error {
    /// An error with a message of its own.
    pub const fn new(code: u16, message: &'static str) -> Self {
        Self { code, message: Cow::Borrowed(message) }
    }

    pub(crate) fn with(code: u16, message: String) -> Self {
        Self { code, message: Cow::Owned(message) }
    }

    /// Whether the same request may succeed later.
    pub const fn is_temporary(&self) -> bool {
        matches!(self.code, codes::INTERNAL | codes::TOO_MANY_REQUESTS)
    }

    pub(crate) fn store(error: &StoreError) -> Self {
        Self::with(codes::INTERNAL, format!("the store refused: {error}"))
    }

    pub(crate) const fn timeout() -> Self {
        Self::new(codes::INTERNAL, "no answer in time: it may or may not be done, try again")
    }

    pub(crate) const fn lagged() -> Self {
        Self::new(codes::INTERNAL, "the server is overloaded: it may or may not be done, try again")
    }
}
