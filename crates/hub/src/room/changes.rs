//! Editing and deleting what was published.
//!
//! A change is a publication of its own; beside it the stored target is replaced, so that history shows what became of
//! it, and what was deleted is no longer anywhere. One publication is changed by one change at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Room;
use super::history::{Lookup, Wanted};
use super::writing::Replaces;
use crate::centrifuge::codes;
use crate::context::Context;
use crate::error::Error;
use crate::message::{Asker, Change, Draft};
use crate::namespace::Durable;
use crate::publication::{Author, DELETED, DELETES, EDITS, Publication};
use crate::store::Start;

/// A change that waits for another of the same publication.
#[derive(Debug)]
pub(super) struct Parked {
    asker: Asker,
    draft: Draft,
    change: Change,
}

/// A change whose publications are being looked up.
#[derive(Debug)]
pub(super) struct Gathering {
    asker: Asker,
    draft: Draft,
    target: u64,
    change: Change,
    /// The target first, then its edits.
    found: Vec<Arc<Publication>>,
    /// Offsets of those still to be looked up.
    missing: VecDeque<u64>,
}

impl Room {
    /// Edits or deletes the publication at `target`.
    pub(super) fn change(
        &mut self,
        asker: Asker,
        mut draft: Draft,
        target: u64,
        change: Change,
        context: &mut Context<'_>,
    ) {
        if self.is_duplicate(asker, &draft, context) {
            return;
        }
        if let Err(error) = context.hold(&mut draft, 0) {
            context.answer(asker, Err(error));
            return;
        }
        if let Some(parked) = self.changing.get_mut(&target) {
            if parked.len() < context.config.limits.waiting_publications {
                parked.push_back(Parked { asker, draft, change });
            } else {
                let error = context.overloaded(super::TOO_MUCH_WAITING);
                context.answer(asker, Err(error));
            }
            return;
        }
        self.changing.insert(target, VecDeque::new());
        let missing = VecDeque::from([target]);
        self.gather(Gathering { asker, draft, target, change, found: Vec::new(), missing }, context);
    }

    /// The publication at `target`, if any, is no longer being changed: the next change of it comes.
    pub(super) fn changed(&mut self, target: Option<u64>, context: &mut Context<'_>) {
        let Some(target) = target else { return };
        for Parked { asker, draft, change } in self.changing.remove(&target).into_iter().flatten() {
            self.change(asker, draft, target, change, context);
        }
    }

    /// Goes on with a change, as far as its publications are in memory.
    fn gather(&mut self, mut gathering: Gathering, context: &mut Context<'_>) {
        while let Some(&offset) = gathering.missing.front() {
            if (self.log.first_in_memory()..=self.log.offset()).contains(&offset)
                || offset > self.log.offset()
                || self.durable == Durable::Memory
            {
                let publication = self.log.get(offset).cloned();
                if let Err(error) = gathering.take_in(publication, context) {
                    self.give_up(&gathering, error, context);
                    return;
                }
            } else {
                let start = Start::After(offset.saturating_sub(1));
                self.look_up(start, 1, Wanted::Change(gathering), context);
                return;
            }
        }
        let Gathering { asker, draft, target, change, found, missing: _ } = gathering;
        if self.is_duplicate(asker, &draft, context) {
            // The same change came again while this one was looking.
            self.changed(Some(target), context);
            return;
        }
        let replaces = match change {
            Change::Edit => found.into_iter().next().map_or(Replaces::Nothing, Replaces::Edit),
            Change::Delete => Replaces::Delete(found),
        };
        self.enqueue(asker, draft, replaces, context);
    }

    /// A publication that a change asked for was looked up.
    pub(super) fn gathered(
        &mut self,
        mut gathering: Gathering,
        found: Result<Option<Publication>, Error>,
        context: &mut Context<'_>,
    ) {
        // The store answers with what comes next, when what was asked for is gone.
        let is_meant = |found: &Publication| gathering.missing.front() == Some(&found.offset);
        let found = found.map(|found| found.filter(is_meant));
        let taken_in = found.and_then(|found| gathering.take_in(found.map(Arc::new), context));
        match taken_in {
            Ok(()) => self.gather(gathering, context),
            Err(error) => self.give_up(&gathering, error, context),
        }
    }

    fn give_up(&mut self, gathering: &Gathering, error: Error, context: &mut Context<'_>) {
        context.answer(gathering.asker, Err(error));
        self.changed(Some(gathering.target), context);
    }
}

impl Gathering {
    /// Takes in the publication that was missing first, unless that is gone.
    fn take_in(
        &mut self,
        publication: Option<Arc<Publication>>,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        self.missing.pop_front();
        if !self.found.is_empty() {
            return publication.map_or(Ok(()), |edit| self.keep(edit, context));
        }
        let Some(target) = publication else {
            return Err(Error::new(codes::BAD_REQUEST, "the target is not a publication that is kept here"));
        };
        let is_theirs = matches!(&self.draft.author, Author::User(user) if !user.is_empty())
            && target.author() == self.draft.author;
        if !is_theirs {
            return Err(Error::new(codes::PERMISSION_DENIED, "only the user who published it may change it"));
        }
        if target.tags.contains_key(EDITS) || target.tags.contains_key(DELETES) {
            return Err(Error::new(
                codes::BAD_REQUEST,
                "the target is a change itself: name what it changed",
            ));
        }
        if target.tags.contains_key(DELETED) {
            return Err(Error::new(codes::BAD_REQUEST, "the target was deleted"));
        }
        match self.change {
            Change::Edit if target.edits.len() >= context.config.limits.edits => {
                return Err(Error::new(codes::LIMIT_EXCEEDED, "the target was edited too often"));
            }
            Change::Edit => {}
            Change::Delete => self.missing.extend(&target.edits),
        }
        self.keep(target, context)
    }

    /// Keeps what is needed of a publication until the change is stored.
    fn keep(&mut self, publication: Arc<Publication>, context: &mut Context<'_>) -> Result<(), Error> {
        self.found.push(match self.change {
            Change::Edit => publication,
            Change::Delete => Arc::new(publication.without_data()),
        });
        let found = self.found.iter().map(|publication| publication.size()).sum();
        context.hold(&mut self.draft, found)
    }
}

impl Lookup {
    /// Whether the lookup is for a change.
    pub(super) fn is_change(&self) -> bool {
        matches!(self.wanted, Wanted::Change(_))
    }
}
