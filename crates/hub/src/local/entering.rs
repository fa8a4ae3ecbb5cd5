//! How a session enters rooms, and how it leaves them.

use std::sync::Arc;

use super::session::{Place, Subscription};
use super::subscribers::{Audience, Takes};
use super::{Local, Subscriber, Who, check_channel};
use host::{Instant, WallTime};

use crate::centrifuge::{Admission, Message, Push, Reply, Subscribe, codes};
use crate::context::Context;
use crate::error::Error;
use crate::hub::SessionId;
use crate::message::{Question, Recover, Since, Subscribed};

/// A session that wants to be in a room.
#[derive(Debug)]
pub(super) struct Entrant {
    pub(super) session: SessionId,
    pub(super) channel: Arc<str>,
    /// Whether it wants to hear of others coming and going.
    pub(super) join_leave: bool,
    /// Whether it takes deltas.
    pub(super) delta: bool,
    /// When its permit ends, if ever.
    pub(super) expires: Option<WallTime>,
    pub(super) way: Way,
}

/// How a session comes to enter a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By a subscribe command with that id.
    Command(u32),
    /// From its start.
    Start,
    /// A program wants it.
    Program,
}

impl Local {
    /// Asks to be let into a room: for a subscribe command with id `command`, or from the session's start.
    pub(super) fn enter(
        &mut self,
        session: SessionId,
        channel: &str,
        request: &Subscribe<'_>,
        command: Option<u32>,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        let way = command.map_or(Way::Start, Way::Command);
        let expires = self.may_enter(session, channel, &request.token, command.is_none(), context)?;
        self.let_enter(session, channel, request, way, expires, context)
    }

    /// The same for who may enter, until the permit `expires`.
    pub(super) fn let_enter(
        &mut self,
        session: SessionId,
        channel: &str,
        request: &Subscribe<'_>,
        way: Way,
        expires: Option<WallTime>,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        let channel = check_channel(channel, context)?;
        if request.kind != 0 {
            return Err(Error::new(codes::NOT_AVAILABLE, "there is no such type of subscription here"));
        }
        if request.filters {
            return Err(Error::new(codes::BAD_REQUEST, "publications are not filtered by tags here"));
        }
        let Some(found) = self.sessions.get(session) else { return Ok(()) };
        let Err(place) = found.find(&channel) else {
            return Err(Error::new(codes::ALREADY_SUBSCRIBED, "already subscribed"));
        };
        let limit = context.config.limits.rooms_per_session;
        if found.subscriptions.len() >= limit {
            return Err(Error::with(codes::LIMIT_EXCEEDED, format!("a connection may be in {limit} rooms")));
        }
        let info = found.info.clone();
        let since = Since::new(request.offset, &request.epoch);
        let or_refuse = request.flag & REJECT_UNRECOVERED != 0;
        let recover = request.recover.then_some(Recover { since, or_refuse });
        let namespace = context.config.namespaces.of(&channel);
        let join_leave = request.join_leave && namespace.join_leave;
        // Another kind of delta is not agreed on.
        let delta = namespace.delta && request.delta == "fossil";
        let entrant = Entrant { session, channel: channel.clone(), join_leave, delta, expires, way };
        let who = Who::Entrant(entrant);
        let question = Question::Subscribe { session, info, join_leave, recover };
        let ticket = self.ask(who, channel.clone(), question, context);
        if let Some(found) = self.sessions.get_mut(session) {
            found
                .subscriptions
                .insert(place, Subscription { channel, place: Place::Asked(ticket), expires_at: None });
            found.pending += usize::from(matches!(way, Way::Command(_)));
        }
        Ok(())
    }

    /// The room's owner has let the session in, or not.
    pub(super) fn entered(
        &mut self,
        entrant: Entrant,
        answer: Result<Subscribed, Error>,
        context: &mut Context<'_>,
    ) {
        let Entrant { session, channel, join_leave, delta, expires, way } = entrant;
        let Some(found) = self.sessions.get_mut(session) else { return };
        let Ok(index) = found.find(&channel) else { return };
        found.pending = found.pending.saturating_sub(usize::from(matches!(way, Way::Command(_))));
        match answer {
            Ok(subscribed) => {
                let held = found.joining.is_some();
                let takes = if delta { Takes::Whole } else { Takes::Plain };
                let audience = Audience { protocol: found.protocol, takes };
                let subscriber = Subscriber { session, audience, join_leave, held };
                let place = self.subscribers.push(&channel, subscriber);
                let (expires_at, expires_in) = expiry(expires, context);
                let admission = Admission { subscribed, delta, expires_in };
                found.subscriptions[index].place = Place::Listed(place);
                found.subscriptions[index].expires_at = expires_at;
                if expires_at.is_some() {
                    self.sessions.reschedule(session);
                }
                let Some(found) = self.sessions.get_mut(session) else { return };
                match (way, &mut found.joining) {
                    (Way::Start, Some(joining)) => {
                        joining.missing -= 1;
                        joining.subscribed.push((channel.clone(), admission));
                        self.join(session, context);
                    }
                    (Way::Start, None) => {}
                    (Way::Command(id), _) => {
                        self.send(session, &Message::Reply(id, Reply::Subscribe(&admission)), context);
                    }
                    (Way::Program, _) => {
                        let push = Push::Subscribe(&admission.subscribed.position);
                        self.send(session, &Message::Push(&channel, push), context);
                    }
                }
            }
            Err(error) => {
                found.subscriptions.remove(index);
                match (way, &found.joining) {
                    (Way::Command(id), _) => self.refuse(session, id, &error, context),
                    (Way::Start, Some(joining)) => {
                        let id = joining.id;
                        self.refuse_connect(session, id, &error, context);
                    }
                    (Way::Start, None) | (Way::Program, _) => {}
                }
            }
        }
    }

    /// The unsubscribe command, or that of a program.
    pub(super) fn exit(&mut self, session: SessionId, channel: &str, context: &mut Context<'_>) -> bool {
        let Some(found) = self.sessions.get_mut(session) else { return false };
        let Ok(index) = found.find(channel) else { return false };
        let subscription = found.subscriptions.remove(index);
        let waiting = match subscription.place {
            Place::Asked(ticket) => self.waiting.remove(&ticket),
            Place::Listed(_) => None,
        };
        self.leave(session, &subscription, context);
        match waiting.map(|waiting| waiting.who) {
            Some(Who::Entrant(Entrant { way: Way::Command(id), .. })) => {
                if let Some(found) = self.sessions.get_mut(session) {
                    found.pending = found.pending.saturating_sub(1);
                }
                let error = Error::new(codes::BAD_REQUEST, "unsubscribed before the room had answered");
                self.refuse(session, id, &error, context);
            }
            Some(Who::Entrant(Entrant { way: Way::Start, .. })) => {
                if let Some(joining) = self.sessions.get_mut(session).and_then(|found| found.joining.as_mut())
                {
                    joining.missing -= 1;
                    self.join(session, context);
                }
            }
            _ => {}
        }
        true
    }

    /// The room is not what it was: its subscribers are out, and told to come again.
    pub(crate) fn evicted(&mut self, channel: &Arc<str>, context: &mut Context<'_>) {
        let sessions: Vec<_> =
            self.subscribers.of(channel).iter().map(|subscriber| subscriber.session).collect();
        for session in sessions {
            self.put_out(session, channel, codes::INSUFFICIENT_STATE, "insufficient state", context);
        }
    }

    /// Takes a session out of a room and tells it so.
    pub(super) fn put_out(
        &mut self,
        session: SessionId,
        channel: &Arc<str>,
        code: u16,
        reason: &str,
        context: &mut Context<'_>,
    ) {
        if self.exit(session, channel, context) {
            self.send(session, &Message::Push(channel, Push::Unsubscribe { code, reason }), context);
        }
    }
}

/// When a permit is over for good, and in how many seconds it wants to be renewed.
pub(super) fn expiry(expires: Option<WallTime>, context: &Context<'_>) -> (Option<Instant>, Option<u64>) {
    let left = expires.map(|expires| expires.since(context.wall));
    let over = left.map(|left| context.now + left + context.config.expiry_grace);
    (over, left.map(|left| left.as_secs().max(1)))
}

/// The subscription flag of a client that would rather stay out than come in without what it missed.
const REJECT_UNRECOVERED: i64 = 2;
