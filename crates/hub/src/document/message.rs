//! What a document's owner and the shards where its clients are say to each other.

use std::sync::Arc;

use bytes::Bytes;

use super::api::{Reply, Request};
use super::protocol::Outgoing;
use crate::centrifuge::Disconnect;
use crate::hub::SessionId;

/// A client's place at a document. One connection may have many, also several at one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seat {
    pub(crate) session: SessionId,
    pub(crate) place: u32,
}

/// A seat, and the shard that it is on.
pub(crate) type Who = (usize, Seat);

/// What a client may do with a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Nothing.
    None,
    /// See it, and be seen.
    Read,
    /// Edit it, too.
    #[default]
    Write,
}

/// To a document's owner.
#[derive(Clone, Debug)]
pub(crate) enum ToDocument {
    Enter {
        seat: Seat,
        access: Access,
        greeting: Greeting,
    },
    Leave {
        seat: Seat,
    },
    Say {
        seat: Seat,
        said: Said,
    },
    /// Answered by [`FromDocument::Answer`].
    Ask {
        ticket: u64,
        request: Request,
    },
}

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Greeting {
    /// y-websocket: we ask what the client has as soon as it is here.
    AtOnce,
    /// Hocuspocus: once it has asked us.
    WhenAsked,
}

/// What a client says of a document. It has been looked at: it is what it says it is, though what an update does only
/// the document finds out.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    Step1(Bytes),
    Update(Bytes),
    Awareness(Bytes),
    QueryAwareness,
}

impl ToDocument {
    /// Bytes that it brings, about.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Say { said: Said::Step1(bytes) | Said::Update(bytes) | Said::Awareness(bytes), .. } => {
                bytes.len()
            }
            Self::Ask { request, .. } => request.bytes(),
            Self::Say { said: Said::QueryAwareness, .. } | Self::Enter { .. } | Self::Leave { .. } => 0,
        }
    }
}

/// From a document's owner to a shard where its clients are.
#[derive(Clone, Debug)]
pub(crate) enum FromDocument {
    /// To all at the document. If all of it came from one, that one need not hear it again where its protocol tells it
    /// otherwise that it was stored.
    Update { update: Bytes, by: Option<Who> },
    /// To all at the document.
    Awareness(Bytes),
    /// To one.
    Tell { seat: Seat, words: Outgoing },
    /// So many updates of that one are stored.
    Stored { seat: Seat, updates: u32 },
    /// That one is out.
    Close { seat: Seat, close: Close },
    /// The answer to [`ToDocument::Ask`].
    Answer { ticket: u64, reply: Reply },
}

impl FromDocument {
    /// Bytes that it brings, about.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Update { update, .. } => update.len(),
            Self::Awareness(bytes)
            | Self::Tell { words: Outgoing::Step1(bytes) | Outgoing::Step2(bytes), .. } => bytes.len(),
            Self::Tell { .. } | Self::Stored { .. } | Self::Close { .. } | Self::Answer { .. } => 0,
        }
    }
}

/// How a client is put out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Close {
    pub(crate) disconnect: Disconnect,
    /// Whether it concerns that one document only, so that others on the same connection go on where there are such.
    pub(crate) is_about_the_document: bool,
}

/// What is said between shards about `document`.
#[derive(Clone, Debug)]
pub(crate) enum DocumentMessage {
    To { document: Arc<str>, what: ToDocument },
    From { document: Arc<str>, what: FromDocument },
}

impl DocumentMessage {
    /// Bytes that it brings, about.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::To { what, .. } => what.bytes(),
            Self::From { what, .. } => what.bytes(),
        }
    }
}
