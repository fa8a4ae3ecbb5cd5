//! What can go wrong with a store.

use std::io;
use std::sync::Arc;

use thiserror::Error;

/// Why a store did not do what it was asked. Cheap to clone: one failed commit is told to many publishers.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StoreError {
    /// There is no room left on the storage. Nothing is lost; what is refused may be tried again.
    #[error("the storage is full ({0}): free some space, then publish again")]
    Full(Arc<str>),
    /// The storage failed in another way.
    #[error("the storage failed: {1}")]
    Io(io::ErrorKind, Arc<str>),
    /// What is stored cannot be understood.
    #[error("the store is damaged: {0}; restore it from a backup")]
    Corrupt(Arc<str>),
    /// What is stored was written by a newer Fourwire.
    #[error(
        "the store has format version {found}, and this fourwire knows versions up to {known}: \
         run the fourwire that wrote it, or a newer one"
    )]
    Version {
        /// The version in the store.
        found: u64,
        /// The newest version that this program knows.
        known: u64,
    },
    /// Another process has the store open.
    #[error(
        "the store {0} is in use by another fourwire: stop that one first, or choose another --data directory"
    )]
    InUse(Arc<str>),
    /// More was asked at once than may wait for the store. Nothing is lost; it may be tried again.
    #[error("the storage cannot keep up: try again in a moment")]
    Busy,
    /// A record was appended to a room that is not there.
    #[error("there is no room {0:?} in the store")]
    NoSuchRoom(Arc<str>),
    /// A room was created that is there already.
    #[error("there is a room {0:?} in the store already")]
    RoomExists(Arc<str>),
    /// A record was appended anywhere but at the room's end, or one was replaced that was never there.
    #[error("room {channel:?} ends with offset {last}: a record with offset {offset} does not fit")]
    NotContiguous {
        /// The room.
        channel: Arc<str>,
        /// Its position.
        last: u64,
        /// What was written.
        offset: u64,
    },
}

impl StoreError {
    /// Whether the writes themselves were at fault: the same store takes others.
    pub(super) fn is_about_the_writes(&self) -> bool {
        match self {
            Self::NoSuchRoom(_) | Self::RoomExists(_) | Self::NotContiguous { .. } => true,
            Self::Busy
            | Self::Full(_)
            | Self::Io(..)
            | Self::Corrupt(_)
            | Self::Version { .. }
            | Self::InUse(_) => false,
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        let text = error.to_string().into();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full(text)
            }
            kind => Self::Io(kind, text),
        }
    }
}
