//! How documents lie in the store: each is a room of its own there, whose records are updates and snapshots.
//!
//! A snapshot stands for everything before it, so whatever is before the newest one is trimmed in the same commit that
//! brings it. The rooms have names that no client's room can have: with a
//! control character.

use std::sync::Arc;

use bytes::Bytes;

/// What the names of documents' rooms begin with.
pub(super) const DOCUMENTS: &str = "\u{1}document/";

/// After the names of everything that is not a client's room.
pub(crate) const END_OF_RESERVED: &str = "\u{2}";

/// The room that keeps a document.
pub(super) fn room(document: &str) -> Arc<str> {
    format!("{DOCUMENTS}{document}").into()
}

/// What a record of a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An update, as it came.
    Update,
    /// All that the document was.
    Snapshot,
}

impl Kind {
    /// A record of this kind.
    pub(super) fn record(self, update: &[u8]) -> Bytes {
        let tag = match self {
            Self::Update => 0,
            Self::Snapshot => 1,
        };
        let mut record = Vec::with_capacity(1 + update.len());
        record.push(tag);
        record.extend_from_slice(update);
        record.into()
    }

    /// A record's kind, and the update in it.
    pub(super) fn read(record: &Bytes) -> Option<(Self, Bytes)> {
        let kind = match record.first()? {
            0 => Self::Update,
            1 => Self::Snapshot,
            _ => return None,
        };
        Some((kind, record.slice(1..)))
    }
}
