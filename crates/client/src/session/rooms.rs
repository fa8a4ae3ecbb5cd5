//! The rooms that the program wants to be in, and how far it has followed each.

use std::collections::BTreeMap;

use host::{Instant, Random};

use super::{Answer, Outputs, Subscribed};
use crate::event::{Event, Recovery};
use crate::protocol::{
    Farewell, Position, Publication, Push, Reply, ReplyError, Request, Subscribe, SubscribeResult,
};
use crate::{Backoff, Error, SubscribeOptions};

/// Unsubscribe codes from here on ask the client to subscribe again.
const RESUBSCRIBE: u32 = 2500;

/// The error "token expired", which a later attempt may not meet.
const TOKEN_EXPIRED: u32 = 109;

/// The rooms that the program wants to be in.
pub(crate) struct Rooms<W> {
    rooms: BTreeMap<String, Room<W>>,
    /// The rooms whose subscribe command waits for its reply.
    asked: BTreeMap<u32, String>,
}

struct Room<W> {
    options: SubscribeOptions,
    /// How far we have followed the room; `None` until it said that it can be followed.
    position: Option<Position>,
    standing: Standing,
    failures: u32,
    waiters: Vec<(W, Instant)>,
}

enum Standing {
    /// To be asked for as soon as there is a connection.
    Outside,
    Asked(Instant),
    /// Refused for now.
    Later(Instant),
    Inside,
}

/// A room's stream has a hole: only recovery can fill it.
#[derive(Debug)]
pub(crate) struct Gap {
    pub(crate) room: String,
    pub(crate) expected: u64,
    pub(crate) found: u64,
}

impl<W> Rooms<W> {
    pub(crate) fn new() -> Self {
        Self { rooms: BTreeMap::new(), asked: BTreeMap::new() }
    }

    /// Waiters for a room.
    pub(crate) fn waiting(&self) -> usize {
        self.rooms.values().map(|room| room.waiters.len()).sum()
    }

    pub(crate) fn is_asking(&self, id: u32) -> bool {
        self.asked.contains_key(&id)
    }

    pub(crate) fn subscribe(
        &mut self,
        name: String,
        options: SubscribeOptions,
        deadline: Instant,
        waiter: W,
        outputs: &mut Outputs<W>,
    ) {
        let room = self.rooms.entry(name).or_insert_with(|| Room {
            position: options.since.clone(),
            options,
            standing: Standing::Outside,
            failures: 0,
            waiters: Vec::new(),
        });
        match room.standing {
            Standing::Inside => {
                let subscribed = Subscribed { recovery: Recovery::Fresh, position: room.position.clone() };
                outputs.outcomes.push_back((waiter, Ok(Answer::Subscribed(subscribed))));
            }
            _ => room.waiters.push((waiter, deadline)),
        }
    }

    /// Forgets a room. Whether the server must be told.
    pub(crate) fn unsubscribe(&mut self, name: &str, outputs: &mut Outputs<W>) -> bool {
        let Some(room) = self.rooms.remove(name) else { return false };
        self.asked.retain(|_, asked| asked != name);
        let told = match room.standing {
            Standing::Asked(_) | Standing::Inside => true,
            Standing::Outside | Standing::Later(_) => false,
        };
        room.fail(&Error::Closed("unsubscribed".to_owned()), outputs);
        told
    }

    /// Asks for the rooms that are due, each under an id from `next_id`.
    pub(crate) fn ask_due(
        &mut self,
        now: Instant,
        mut next_id: impl FnMut() -> u32,
        outputs: &mut Outputs<W>,
    ) {
        for (name, room) in &mut self.rooms {
            let due = match room.standing {
                Standing::Outside => true,
                Standing::Later(at) => at <= now,
                Standing::Asked(_) | Standing::Inside => false,
            };
            if !due {
                continue;
            }
            let id = next_id();
            let request = Request::Subscribe(Subscribe {
                channel: name,
                token: room.options.token.as_deref(),
                recoverable: true,
                join_leave: room.options.join_leave,
                recover: room.position.is_some(),
                since: room.position.as_ref(),
            });
            outputs.lines.push_back(request.line(id));
            room.standing = Standing::Asked(now);
            self.asked.insert(id, name.clone());
        }
    }

    /// Takes the reply to a subscribe command; others are not ours.
    pub(crate) fn handle_reply(
        &mut self,
        now: Instant,
        reply: Reply,
        backoff: &Backoff,
        jitter: &mut Random,
        outputs: &mut Outputs<W>,
    ) {
        let Some(name) = self.asked.remove(&reply.id) else { return };
        let Some(room) = self.rooms.get_mut(&name) else { return };
        match (reply.error, reply.subscribe) {
            (Some(error), _) if is_passing(&error) => {
                room.standing = Standing::Later(now + backoff.draw(room.failures, jitter));
                room.failures = room.failures.saturating_add(1);
            }
            (Some(error), _) => self.refused(name, error, outputs),
            (None, Some(result)) => room.enter(&name, result, outputs),
            (None, None) => {
                let message = "a reply to subscribe without its result".to_owned();
                self.refused(name, ReplyError { code: 0, message, temporary: false }, outputs);
            }
        }
    }

    /// Takes a push that concerns a room.
    pub(crate) fn handle_push(&mut self, push: Push, outputs: &mut Outputs<W>) -> Result<(), Gap> {
        let name = push.channel;
        let Some(room) = self.rooms.get_mut(&name) else { return Ok(()) };
        let Standing::Inside = room.standing else { return Ok(()) };
        if let Some(publication) = push.publication {
            return room.follow(&name, publication, outputs);
        }
        if let Some(join) = push.join {
            outputs.events.push_back(Event::Join { room: name, info: join.info });
        } else if let Some(leave) = push.leave {
            outputs.events.push_back(Event::Leave { room: name, info: leave.info });
        } else if let Some(farewell) = push.unsubscribe {
            if farewell.code >= RESUBSCRIBE {
                room.standing = Standing::Outside;
            } else {
                self.rooms.remove(&name);
                let Farewell { code, reason } = farewell;
                outputs.events.push_back(Event::Unsubscribed { room: name, code, reason });
            }
        }
        Ok(())
    }

    pub(crate) fn connection_lost(&mut self) {
        self.asked.clear();
        for room in self.rooms.values_mut() {
            room.standing = Standing::Outside;
        }
    }

    /// Fails everyone who waits for a room.
    pub(crate) fn end(&mut self, reason: &str, outputs: &mut Outputs<W>) {
        self.asked.clear();
        for (_, room) in std::mem::take(&mut self.rooms) {
            room.fail(&Error::Closed(reason.to_owned()), outputs);
        }
    }

    /// Fails those who have waited long enough. The rooms stay wanted.
    pub(crate) fn expire(&mut self, now: Instant, outputs: &mut Outputs<W>) {
        for room in self.rooms.values_mut() {
            for (waiter, _) in room.waiters.extract_if(.., |(_, deadline)| *deadline <= now) {
                outputs.outcomes.push_back((waiter, Err(Error::Timeout)));
            }
        }
    }

    /// The moment since which the oldest subscribe command waits for its reply.
    pub(crate) fn unanswered_since(&self) -> Option<Instant> {
        self.rooms
            .values()
            .filter_map(|room| match room.standing {
                Standing::Asked(at) => Some(at),
                _ => None,
            })
            .min()
    }

    /// Counts the wait for replies from `now` on.
    pub(crate) fn forgive(&mut self, now: Instant) {
        for room in self.rooms.values_mut() {
            if let Standing::Asked(at) = &mut room.standing {
                *at = now;
            }
        }
    }

    /// The next deadline, or attempt when there is a connection for it.
    pub(crate) fn poll_timeout(&self, open: bool) -> Option<Instant> {
        self.rooms
            .values()
            .flat_map(|room| {
                let again = match room.standing {
                    Standing::Later(at) if open => Some(at),
                    _ => None,
                };
                room.waiters.iter().map(|(_, deadline)| *deadline).chain(again)
            })
            .min()
    }

    fn refused(&mut self, name: String, error: ReplyError, outputs: &mut Outputs<W>) {
        let Some(room) = self.rooms.remove(&name) else { return };
        if room.waiters.is_empty() {
            // Nobody waits: it was a return to a room that let us in before.
            let ReplyError { code, message: reason, .. } = error;
            outputs.events.push_back(Event::Unsubscribed { room: name, code, reason });
        } else {
            room.fail(&Error::Refused { code: error.code, message: error.message }, outputs);
        }
    }
}

impl<W> Room<W> {
    /// The server let us in: tell it, then what was missed.
    fn enter(&mut self, name: &str, result: SubscribeResult, outputs: &mut Outputs<W>) {
        self.standing = Standing::Inside;
        self.failures = 0;
        let followed = result.recoverable || result.positioned;
        let latest = followed.then_some(Position { epoch: result.epoch, offset: result.offset });
        let recovery = match &self.position {
            None => Recovery::Fresh,
            Some(_) if result.recovered => Recovery::Complete,
            Some(_) => Recovery::TooOld,
        };
        let subscribed = Subscribed { recovery, position: latest.clone() };
        for (waiter, _) in self.waiters.drain(..) {
            outputs.outcomes.push_back((waiter, Ok(Answer::Subscribed(subscribed.clone()))));
        }
        outputs.events.push_back(Event::Subscribed {
            room: name.to_owned(),
            recovery,
            position: latest.clone(),
        });
        if let (Recovery::Complete, Some(position)) = (recovery, &mut self.position) {
            for publication in result.publications {
                // Holes are allowed here: what was deleted in between does not come back.
                if publication.offset > position.offset {
                    position.offset = publication.offset;
                    outputs.events.push_back(Event::Publication { room: name.to_owned(), publication });
                }
            }
        }
        self.position = latest;
    }

    /// Takes a live publication: next in line, or known already, or beyond a hole.
    fn follow(&mut self, name: &str, publication: Publication, outputs: &mut Outputs<W>) -> Result<(), Gap> {
        if let (Some(position), 1..) = (&mut self.position, publication.offset) {
            if publication.offset <= position.offset {
                return Ok(());
            }
            let expected = position.offset + 1;
            if publication.offset != expected {
                return Err(Gap { room: name.to_owned(), expected, found: publication.offset });
            }
            position.offset = publication.offset;
        }
        outputs.events.push_back(Event::Publication { room: name.to_owned(), publication });
        Ok(())
    }

    fn fail(self, error: &Error, outputs: &mut Outputs<W>) {
        for (waiter, _) in self.waiters {
            outputs.outcomes.push_back((waiter, Err(error.clone())));
        }
    }
}

/// Whether a later attempt may go better.
pub(crate) fn is_passing(error: &ReplyError) -> bool {
    error.temporary || error.code == TOKEN_EXPIRED || (1..100).contains(&error.code)
}
