//! What programs ask of documents, as values.

use bytes::Bytes;

use crate::error::Error;

/// What is asked of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// All of it, as an update in Yjs's first format.
    State,
    /// To take in an update.
    Apply(Bytes),
    /// To become again what it was when this state was taken, by an edit like any other.
    Revert(Bytes),
    /// The text that has this name in the document.
    Text(String),
}

impl Request {
    /// Bytes that it brings, about.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Apply(update) | Self::Revert(update) => update.len(),
            Self::State | Self::Text(_) => 0,
        }
    }
}

/// The answer, or why there is none.
pub type Reply = Result<Answer, Error>;

/// What a program learns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Request::State`]: an update.
    State(Bytes),
    /// To [`Request::Text`].
    Text(String),
    /// It is done, and stored.
    Done,
}
