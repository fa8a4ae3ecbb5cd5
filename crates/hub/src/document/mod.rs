//! Documents that many edit at once: Yjs documents, kept durably, for clients that speak y-websocket's or Hocuspocus's
//! protocol.
//!
//! They go the way of rooms. A document is owned by one shard, chosen by its name (`owner`); its clients are at the
//! `desk` of whatever shard accepted them. What a client says is decoded there (`protocol`), looked at (`scan`), and
//! sent to the owner, where the document (`shared`) takes it into the CRDT (`replica`), has it stored
//! (`writing`), and only then passes it on, as it came, and acknowledges it. `docs/documents.md` says what clients see.

pub mod api;
mod awareness;
mod closing;
mod config;
mod counters;
mod desk;
mod lib0;
mod message;
mod nesting;
mod owner;
mod protocol;
mod record;
mod replica;
mod rights;
mod scan;
mod shared;
mod writing;

use std::sync::Arc;

use host::Instant;

use crate::context::{Context, DocumentPurpose};
use crate::hub::SessionId;
use crate::store::{Outcome, StoreError};

pub use config::Limits;
pub use counters::Counters;
pub use message::Access;
pub use rights::Rights;

pub(crate) use desk::Doorkeeper;
pub(crate) use message::DocumentMessage;
pub(crate) use record::END_OF_RESERVED;

/// In which envelope a client's messages come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// npm `y-websocket`: one document for each connection, named when it is opened.
    YWebsocket,
    /// npm `@hocuspocus/provider`: each message names its document.
    Hocuspocus,
}

/// What is known of a client when its connection opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Its envelope.
    pub framing: Framing,
    /// The document. Of no meaning for Hocuspocus.
    pub document: String,
    /// Who it is; empty for none. Of no meaning for Hocuspocus, whose clients show a token for each document.
    pub token: String,
    /// Whether it wants no more than to read.
    pub read_only: bool,
}

/// The part of a hub that knows documents.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    desk: desk::Desk,
    owner: owner::Owner,
}

impl Documents {
    pub(crate) fn connected(
        &mut self,
        session: SessionId,
        opening: Opening,
        doorkeeper: Doorkeeper<'_>,
        context: &mut Context<'_>,
    ) {
        self.desk.connected(session, opening, doorkeeper, context);
    }

    pub(crate) fn received(
        &mut self,
        session: SessionId,
        message: &[u8],
        doorkeeper: Doorkeeper<'_>,
        context: &mut Context<'_>,
    ) {
        self.desk.received(session, message, doorkeeper, context);
    }

    pub(crate) fn disconnected(&mut self, session: SessionId, context: &mut Context<'_>) {
        self.desk.disconnected(session, context);
    }

    pub(crate) fn ask(
        &mut self,
        ticket: u64,
        document: &str,
        request: api::Request,
        context: &mut Context<'_>,
    ) {
        self.desk.ask(ticket, document, request, context);
    }

    /// A shard's hub says something about a document.
    pub(crate) fn hear(&mut self, from: usize, message: DocumentMessage, context: &mut Context<'_>) {
        match message {
            DocumentMessage::To { document, what } => self.owner.hear(from, &document, what, context),
            DocumentMessage::From { document, what } => self.desk.hear(&document, what, from, context),
        }
    }

    /// The store has answered a question of a document.
    pub(crate) fn stored(
        &mut self,
        document: &Arc<str>,
        purpose: DocumentPurpose,
        outcome: Result<Outcome, StoreError>,
        context: &mut Context<'_>,
    ) {
        self.owner.stored(document, purpose, outcome, context);
    }

    /// Messages from that shard were lost.
    pub(crate) fn lost_touch(&mut self, shard: usize, context: &mut Context<'_>) {
        self.desk.lost_touch(shard, context);
    }

    /// Messages from that shard were lost: its clients are no longer at our documents.
    pub(crate) fn forget_shard(&mut self, shard: usize, context: &mut Context<'_>) {
        self.owner.forget_shard(shard, context);
    }

    pub(crate) fn poll_timeout(&self, limits: &Limits) -> Option<Instant> {
        self.desk.poll_timeout().into_iter().chain(self.owner.poll_timeout(limits)).min()
    }

    pub(crate) fn handle_timeout(&mut self, context: &mut Context<'_>) {
        self.desk.handle_timeout(context);
        self.owner.handle_timeout(context);
    }

    /// Notes what is there now.
    pub(crate) fn measure(&self, counters: &mut Counters) {
        counters.sessions = self.desk.len() as u64;
        counters.documents = self.owner.len() as u64;
        counters.clients = self.owner.clients() as u64;
        counters.bytes = self.owner.bytes() as u64;
    }
}
