//! The documents that this shard owns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use host::Instant;

use super::closing;
use super::message::{DocumentMessage, FromDocument, ToDocument};
use super::shared::Document;
use crate::centrifuge::codes;
use crate::context::{Context, DocumentPurpose};
use crate::error::Error;
use crate::message::Message;
use crate::store::{Outcome, StoreError};

/// The documents of this shard that are in memory.
#[derive(Debug, Default)]
pub(super) struct Owner {
    documents: BTreeMap<Arc<str>, Document>,
    /// Those that nobody uses, by when the last user went.
    idle: BTreeSet<(Instant, Arc<str>)>,
    /// Those that have something to do later.
    timers: BTreeSet<(Instant, Arc<str>)>,
}

impl Owner {
    /// Something is said to a document. It is brought into memory when it is not there.
    pub(super) fn hear(&mut self, from: usize, name: &Arc<str>, what: ToDocument, context: &mut Context<'_>) {
        if !self.documents.contains_key(name) {
            let is_full = self.documents.len() >= context.config.documents.documents.max(1);
            match what {
                // What was said to it before it went from memory, or to one that was never opened.
                ToDocument::Leave { .. } | ToDocument::Say { .. } => return,
                ToDocument::Enter { seat, .. } if is_full && !self.unload_oldest() => {
                    let what = FromDocument::Close { seat, close: closing::TOO_MANY };
                    tell(name, from, what, context);
                    return;
                }
                ToDocument::Ask { ticket, .. } if is_full && !self.unload_oldest() => {
                    let error = Error::new(codes::TOO_MANY_REQUESTS, closing::TOO_MANY.disconnect.reason);
                    tell(name, from, FromDocument::Answer { ticket, reply: Err(error) }, context);
                    return;
                }
                ToDocument::Enter { .. } | ToDocument::Ask { .. } => {}
            }
            self.documents.insert(name.clone(), Document::load(name.clone(), context));
        }
        self.with(name, context, |document, context| {
            document.hear(from, what, context);
            true
        });
    }

    /// The store has answered a question of a document.
    pub(super) fn stored(
        &mut self,
        name: &Arc<str>,
        purpose: DocumentPurpose,
        outcome: Result<Outcome, StoreError>,
        context: &mut Context<'_>,
    ) {
        self.with(name, context, |document, context| match (purpose, outcome) {
            (DocumentPurpose::Write, outcome) => {
                let outcome = outcome.map(drop);
                document.written(outcome, context);
                true
            }
            (DocumentPurpose::Load, Ok(Outcome::Loaded(found))) => document.loaded(Ok(found), context),
            (DocumentPurpose::Load, Err(error)) => document.loaded(Err(error), context),
            (DocumentPurpose::Read, Ok(Outcome::Records(records))) => document.read(Ok(records), context),
            (DocumentPurpose::Read, Err(error)) => document.read(Err(error), context),
            (DocumentPurpose::Load | DocumentPurpose::Read, Ok(other)) => {
                let text = format!("the store answered another question: {other:?}");
                document.read(Err(StoreError::Corrupt(text.into())), context)
            }
        });
    }

    /// Messages from that shard were lost.
    pub(super) fn forget_shard(&mut self, shard: usize, context: &mut Context<'_>) {
        for name in self.documents.keys().cloned().collect::<Vec<_>>() {
            self.with(&name, context, |document, context| {
                document.forget_shard(shard, context);
                true
            });
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(super) fn poll_timeout(&self, limits: &super::Limits) -> Option<Instant> {
        let idle = self.idle.first().map(|(since, _)| *since + limits.idle);
        let timer = self.timers.first().map(|(at, _)| *at);
        idle.into_iter().chain(timer).min()
    }

    pub(super) fn handle_timeout(&mut self, context: &mut Context<'_>) {
        while let Some((at, name)) = self.timers.first().cloned()
            && at <= context.now
        {
            self.with(&name, context, |document, context| {
                document.handle_timeout(context);
                true
            });
        }
        while let Some((since, name)) = self.idle.first().cloned()
            && since + context.config.documents.idle <= context.now
        {
            let mut is_tidied = false;
            self.with(&name, context, |document, context| {
                is_tidied = document.tidy(context);
                true
            });
            // One that is being tidied is not idle: its time comes again.
            if !is_tidied {
                self.remove(&name);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.documents.len()
    }

    pub(super) fn clients(&self) -> usize {
        self.documents.values().map(Document::clients).sum()
    }

    pub(super) fn bytes(&self) -> usize {
        self.documents.values().map(Document::bytes).sum()
    }

    /// Does something with a document, if it is in memory, notes when it is to be seen to again, and takes it out of
    /// memory if it is of no use after that (false).
    fn with(
        &mut self,
        name: &Arc<str>,
        context: &mut Context<'_>,
        action: impl FnOnce(&mut Document, &mut Context<'_>) -> bool,
    ) {
        let Some(document) = self.documents.get_mut(name) else { return };
        if let Some(since) = document.idle_since.take() {
            self.idle.remove(&(since, name.clone()));
        }
        if let Some(at) = document.poll_timeout() {
            self.timers.remove(&(at, name.clone()));
        }
        let is_of_use = action(document, context);
        if let Some(at) = document.poll_timeout() {
            self.timers.insert((at, name.clone()));
        }
        if !is_of_use {
            self.remove(name);
        } else if document.is_idle() {
            document.idle_since = Some(context.now);
            self.idle.insert((context.now, name.clone()));
        }
    }

    /// Takes the document out of memory that was unused for longest. False when all are in use.
    fn unload_oldest(&mut self) -> bool {
        let oldest = self.idle.first().map(|(_, name)| name.clone());
        oldest.inspect(|name| self.remove(name)).is_some()
    }

    fn remove(&mut self, name: &Arc<str>) {
        let Some(document) = self.documents.remove(name) else { return };
        if let Some(since) = document.idle_since {
            self.idle.remove(&(since, name.clone()));
        }
        if let Some(at) = document.poll_timeout() {
            self.timers.remove(&(at, name.clone()));
        }
    }
}

fn tell(document: &Arc<str>, shard: usize, what: FromDocument, context: &mut Context<'_>) {
    context.tell(shard, Message::Document(DocumentMessage::From { document: document.clone(), what }));
}
