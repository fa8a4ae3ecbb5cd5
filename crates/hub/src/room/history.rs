//! History and recovery: from memory where it can be, else from the store.

use std::sync::Arc;

use super::Room;
use super::changes::Gathering;
use super::log::is_older;
use super::members::Member;
use crate::centrifuge::codes;
use crate::context::{Context, Purpose};
use crate::error::Error;
use crate::hub::SessionId;
use crate::message::{Answer, Asker, Recover, Since};
use crate::namespace::Durable;
use crate::publication::Publication;
use crate::store::{Epoch, Limit, Operation, Record, Start, StoreError};

/// A question that waits for the store to look something up.
#[derive(Debug)]
pub(super) struct Lookup {
    /// The room's epoch when it was asked.
    epoch: Epoch,
    pub(super) wanted: Wanted,
}

#[derive(Debug)]
pub(super) enum Wanted {
    Recovery {
        asker: Asker,
        session: SessionId,
        member: Member,
        recover: Recover,
    },
    History {
        asker: Asker,
        span: Span,
        reverse: bool,
    },
    Change(Gathering),
    /// Publications whose ids may still be remembered.
    Ids,
}

/// A part of the room's publications.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// The offset before the first.
    after: u64,
    /// At most how many.
    count: usize,
    /// Whether the first has to be there, because the asker goes on from there.
    exact: bool,
}

impl Span {
    /// The offset after the last.
    fn end(&self) -> u64 {
        self.after.saturating_add(self.count as u64).saturating_add(1)
    }
}

impl Lookup {
    pub(super) fn is_subscribe_of(&self, shard: usize, session: SessionId) -> bool {
        matches!(&self.wanted, Wanted::Recovery { asker, session: theirs, .. }
            if asker.shard == shard && *theirs == session)
    }

    pub(super) fn is_subscribe_of_shard(&self, shard: usize) -> bool {
        matches!(&self.wanted, Wanted::Recovery { asker, .. } if asker.shard == shard)
    }
}

impl Room {
    pub(super) fn history(
        &mut self,
        asker: Asker,
        limit: usize,
        since: Option<Since>,
        reverse: bool,
        context: &mut Context<'_>,
    ) {
        let offset = self.log.offset();
        if since.as_ref().is_some_and(|since| !self.is_here(since)) {
            context.answer(asker, Err(UNRECOVERABLE));
            return;
        }
        let limit = limit.min(context.config.limits.publications_per_reply);
        let span = if reverse {
            let end = since.map_or(offset, |since| since.offset.saturating_sub(1));
            let after = end.saturating_sub(limit as u64);
            Span { after, count: usize::try_from(end - after).unwrap_or(limit), exact: false }
        } else {
            let exact = since.as_ref().is_some_and(|since| since.offset < offset);
            Span { after: since.map_or(0, |since| since.offset), count: limit, exact }
        };
        if span.count == 0 || self.has_all_after(span.after) {
            let found = self.log.after(span.after).take(span.count).cloned().collect();
            self.answer_history(asker, found, span, reverse, context);
        } else {
            // What the answer cannot hold is not read: its end is that of the reading.
            let start = if reverse { Start::Before(span.end()) } else { Start::After(span.after) };
            self.look_up(start, span.count, Wanted::History { asker, span, reverse }, context);
        }
    }

    fn answer_history(
        &self,
        asker: Asker,
        mut found: Vec<Arc<Publication>>,
        span: Span,
        reverse: bool,
        context: &mut Context<'_>,
    ) {
        if span.exact && span.count > 0 && found.first().is_none_or(|first| first.offset != span.after + 1) {
            context.answer(asker, Err(UNRECOVERABLE));
            return;
        }
        if reverse {
            found.reverse();
        }
        if let Some(age) = self.history.age {
            found.retain(|publication| !is_older(publication, context.wall, age));
        }
        let mut bytes = 0;
        let mut room_for = |publication: &Arc<Publication>| {
            bytes += publication.size();
            bytes <= context.config.limits.bytes_per_reply
        };
        let fitting = found.iter().take_while(|publication| room_for(publication)).count();
        // One always goes, else whoever pages through would stand still.
        found.truncate(fitting.max(1));
        context.answer(asker, Ok(Answer::History { publications: found, position: self.position() }));
    }

    pub(super) fn recover(
        &mut self,
        asker: Asker,
        session: SessionId,
        member: Member,
        recover: Recover,
        context: &mut Context<'_>,
    ) {
        let limit = context.config.limits.publications_per_reply;
        let since = &recover.since;
        let missed = self.log.offset().saturating_sub(since.offset);
        if !self.goes_on_from(since) || missed > limit as u64 {
            self.recovered(asker, session, member, &recover, None, context);
        } else if self.has_all_after(since.offset) {
            let missed = self.join_on(since.offset, Vec::new());
            self.recovered(asker, session, member, &recover, missed, context);
        } else {
            // What fits the reply fits the reading: a record is not longer than its publication is counted.
            let start = Start::After(since.offset);
            self.look_up(start, limit, Wanted::Recovery { asker, session, member, recover }, context);
        }
    }

    fn recovered(
        &mut self,
        asker: Asker,
        session: SessionId,
        member: Member,
        recover: &Recover,
        missed: Option<Vec<Arc<Publication>>>,
        context: &mut Context<'_>,
    ) {
        let limits = &context.config.limits;
        let missed = missed.filter(|missed| {
            let bytes: usize = missed.iter().map(|publication| publication.size()).sum();
            let gone = |age| missed.first().is_some_and(|first| is_older(first, context.wall, age));
            missed.len() <= limits.publications_per_reply
                && bytes <= limits.bytes_per_reply
                && !self.history.age.is_some_and(gone)
        });
        if missed.is_none() && recover.or_refuse {
            context.counters.unrecovered_total += 1;
            context.answer(asker, Err(UNRECOVERABLE));
        } else {
            self.let_in(asker, session, member, Some(missed), context);
        }
    }

    /// Asks the store for at most `count` publications from `start` on, and for no more bytes than an answer may have.
    pub(super) fn look_up(&mut self, start: Start, count: usize, wanted: Wanted, context: &mut Context<'_>) {
        self.last_lookup += 1;
        let lookup = self.last_lookup;
        self.lookups.insert(lookup, Lookup { epoch: self.epoch.clone(), wanted });
        let channel = self.channel.clone();
        let limit = Limit { records: count, bytes: context.config.limits.bytes_per_reply };
        let operation = Operation::Read { channel: channel.clone(), start, limit };
        context.ask_store(operation, Purpose::Read { channel, lookup });
    }

    /// The store has looked something up. False when it could not, and the room is of no use.
    pub(crate) fn looked_up(
        &mut self,
        lookup: u64,
        outcome: Result<Vec<Record>, StoreError>,
        context: &mut Context<'_>,
    ) -> bool {
        let Some(lookup) = self.lookups.remove(&lookup) else { return true };
        if matches!(lookup.wanted, Wanted::Ids) {
            return self.remembered(outcome, context);
        }
        let found = match outcome {
            Ok(records) if lookup.epoch == self.epoch => Ok(self.readable(&records)),
            Ok(_) if lookup.is_change() => Err(UNRECOVERABLE),
            Ok(_) => Ok(Vec::new()),
            Err(error) => {
                context.counters.store_failures_total += 1;
                Err(Error::store(&error))
            }
        };
        match (lookup.wanted, found) {
            (Wanted::Recovery { asker, .. } | Wanted::History { asker, .. }, Err(error)) => {
                context.answer(asker, Err(error));
            }
            (Wanted::Recovery { asker, session, member, recover }, Ok(found)) => {
                let missed = if self.goes_on_from(&recover.since) {
                    self.join_on(recover.since.offset, found)
                } else {
                    None
                };
                self.recovered(asker, session, member, &recover, missed, context);
            }
            (Wanted::History { asker, span, reverse }, Ok(found)) => {
                self.answer_history(asker, found, span, reverse, context);
            }
            (Wanted::Change(gathering), found) => {
                let found = found.map(|found| found.first().map(|found| Publication::clone(found)));
                self.gathered(gathering, found, context);
            }
            (Wanted::Ids, _) => {}
        }
        true
    }

    /// Whether what the room has after that offset is all in memory.
    fn has_all_after(&self, offset: u64) -> bool {
        self.durable == Durable::Memory || self.log.first_in_memory() <= offset + 1
    }

    /// Whether a client's position is one of this room's.
    fn is_here(&self, since: &Since) -> bool {
        since.offset <= self.log.offset() && (since.epoch.is_empty() || since.epoch == self.epoch.as_str())
    }

    /// Whether a client that has seen everything up to there, and nothing else, can go on here. Who was in the room
    /// before anything was published has seen nothing, of whatever epoch: all that there is, it missed. The store knows
    /// no room before its first publication, so such a room has another epoch after a restart.
    fn goes_on_from(&self, since: &Since) -> bool {
        since.offset == 0 || self.is_here(since)
    }

    /// All publications after the one at `after`, of which the store had these. `None` when some are missing.
    fn join_on(&self, after: u64, mut found: Vec<Arc<Publication>>) -> Option<Vec<Arc<Publication>>> {
        let last = found.last().map_or(after, |last| last.offset);
        found.extend(self.log.after(last).cloned());
        let expected = after + 1..=self.log.offset();
        expected.eq(found.iter().map(|publication| publication.offset)).then_some(found)
    }

    /// What can be read of the records, without what was not acknowledged yet, up to the first gap.
    fn readable(&self, records: &[Record]) -> Vec<Arc<Publication>> {
        let mut next = records.first().map(|record| record.offset);
        records
            .iter()
            .map_while(|record| {
                let fits = Some(record.offset) == next && record.offset <= self.log.offset();
                next = next.map(|next| next + 1);
                fits.then(|| Publication::from_record(record)).flatten().map(Arc::new)
            })
            .collect()
    }
}

const UNRECOVERABLE: Error = Error::new(
    codes::UNRECOVERABLE_POSITION,
    "unrecoverable position: the room no longer has what follows it, load it anew",
);
