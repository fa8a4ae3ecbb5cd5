//! The sessions of this shard, and what they wait for.

mod answers;
mod commands;
mod connecting;
mod entering;
mod gathering;
mod programs;
mod rights;
mod rpc;
mod session;
mod sessions;
mod subscribers;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use host::Instant;

use crate::centrifuge::{Data, Disconnect, Message, Protocol, Reply, codes};
use crate::context::Context;
use crate::error::Error;
use crate::hub::SessionId;
use crate::identity::Authenticator;
use crate::json;
use crate::message::{self, Question};

use entering::Entrant;
use gathering::Gathering;
use session::{Place, Session, Stage, Subscription};
use sessions::Sessions;
use subscribers::{Subscriber, Subscribers};

/// The part of a hub that knows clients: sessions, who of them listens to which room, and questions under way.
pub(crate) struct Local {
    authenticator: Option<Box<dyn Authenticator>>,
    sessions: Sessions,
    subscribers: Subscribers,
    /// Questions that were asked and not answered, by ticket. All wait equally long, so the first is due first.
    waiting: BTreeMap<u64, Waiting>,
    last_ticket: u64,
    gatherings: BTreeMap<u64, Gathering>,
    last_gathering: u64,
    /// Requests of programs that were not answered yet.
    programs: usize,
    /// When the first input came.
    started: Option<Instant>,
}

/// A question under way.
#[derive(Debug)]
struct Waiting {
    who: Who,
    /// The shard that was asked.
    owner: usize,
    /// When there is no use in waiting any longer.
    deadline: Instant,
}

/// Who wants the answer.
#[derive(Debug)]
enum Who {
    /// A session that wants to be in a room: by a subscribe command with that id, or from its start.
    Entrant(Entrant),
    /// A session's command with that id.
    Command { session: SessionId, id: u32, kind: Kind },
    /// A program, by the ticket of its request.
    Program(u64),
    /// One of the questions that make up an answer.
    Part { gathering: u64, part: usize },
}

/// How an answer is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Publish,
    /// A method of ours that publishes.
    PublishMethod,
    History,
    Presence,
    PresenceStats,
}

impl Local {
    pub(crate) fn new(authenticator: Option<Box<dyn Authenticator>>) -> Self {
        Self {
            authenticator,
            sessions: Sessions::default(),
            subscribers: Subscribers::default(),
            waiting: BTreeMap::new(),
            last_ticket: 0,
            gatherings: BTreeMap::new(),
            last_gathering: 0,
            programs: 0,
            started: None,
        }
    }

    /// Who says who somebody is.
    pub(crate) fn authenticator(&mut self) -> Option<&mut (dyn Authenticator + 'static)> {
        self.authenticator.as_deref_mut()
    }

    /// A client's connection is gone.
    pub(crate) fn disconnected(&mut self, session: SessionId, context: &mut Context<'_>) {
        if let Some(session) = self.sessions.remove(session) {
            self.forget(session, context);
        }
    }

    /// Messages from that shard, or to it, were lost: nobody knows what sessions in its rooms have missed.
    pub(crate) fn lost_touch(&mut self, shard: usize, context: &mut Context<'_>) {
        let asked: Vec<_> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.owner == shard)
            .map(|(&ticket, _)| ticket)
            .collect();
        let mut missed: Vec<SessionId> = self.subscribers.in_rooms(|channel| context.owner(channel) == shard);
        for ticket in asked {
            if let Some(Waiting { who: Who::Entrant(entrant), .. }) = self.waiting.get(&ticket) {
                missed.push(entrant.session);
            } else {
                self.answered(ticket, Err(Error::lagged()), context);
            }
        }
        missed.sort_unstable();
        missed.dedup();
        for session in missed {
            self.close(session, Disconnect::INSUFFICIENT_STATE, context);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let question = self.waiting.values().next().map(|waiting| waiting.deadline);
        let session = self.sessions.next_deadline();
        question.into_iter().chain(session).min()
    }

    /// Pings, closes what is overdue, and gives up on questions that were not answered.
    pub(crate) fn handle_timeout(&mut self, context: &mut Context<'_>) {
        while let Some((&ticket, waiting)) = self.waiting.first_key_value()
            && waiting.deadline <= context.now
        {
            if let Who::Entrant(Entrant { session, channel, .. }) = &waiting.who {
                // The owner may let it in yet.
                let leave = message::Message::Leave { channel: channel.clone(), session: *session };
                context.tell(waiting.owner, leave);
            }
            self.answered(ticket, Err(Error::timeout()), context);
        }
        let mut pinged = Vec::new();
        while let Some(session) = self.sessions.due(context.now) {
            if session.stage != Stage::Connected {
                let id = session.id;
                self.close(id, Disconnect::STALE, context);
            } else if session.expires_at.is_some_and(|at| at <= context.now) {
                let id = session.id;
                self.close(id, Disconnect::EXPIRED, context);
            } else if session.owes_pong && session.ping_at <= context.now {
                let id = session.id;
                self.close(id, Disconnect::NO_PONG, context);
            } else {
                if session.ping_at <= context.now {
                    // Who waits to be connected hears nothing before that.
                    session.owes_pong = session.joining.is_none();
                    let wait = if session.owes_pong {
                        context.config.pong_timeout
                    } else {
                        context.config.ping_interval
                    };
                    session.ping_at = context.now + wait;
                    pinged.extend(session.owes_pong.then_some((session.id, session.protocol)));
                }
                let (id, overdue) = (session.id, session.overdue(context.now));
                for channel in overdue {
                    let code = codes::SUBSCRIPTION_EXPIRED;
                    self.put_out(id, &channel, code, "subscription expired", context);
                }
                self.sessions.reschedule(id);
            }
        }
        for protocol in Protocol::ALL {
            let sessions =
                pinged.iter().filter(|(_, theirs)| *theirs == protocol).map(|&(session, _)| session);
            let sessions: Vec<_> = sessions.collect();
            if !sessions.is_empty() {
                let frame = Bytes::from(protocol.encode(&Message::Ping));
                context.output(crate::hub::Output::Fanout { sessions, protocol, frame });
            }
        }
    }

    /// Tells a client something, or holds it while the client is not connected yet.
    fn send(&mut self, session: SessionId, message: &Message<'_>, context: &mut Context<'_>) {
        if let Some(found) = self.sessions.get(session) {
            let encoded = found.protocol.encode(message);
            self.send_encoded(session, encoded.into(), context);
        }
    }

    /// The same, with what was written already.
    fn send_encoded(&mut self, session: SessionId, message: Bytes, context: &mut Context<'_>) {
        let Some(found) = self.sessions.get_mut(session) else { return };
        let Some(joining) = &mut found.joining else {
            context.send(session, found.protocol, &message);
            return;
        };
        joining.held_bytes += message.len();
        joining.held.push(message);
        if joining.held_bytes > context.config.limits.bytes_per_reply {
            self.close(session, Disconnect::SLOW, context);
        }
    }

    fn refuse(&mut self, session: SessionId, id: u32, error: &Error, context: &mut Context<'_>) {
        *context.counters.errors_total.entry(error.code).or_default() += 1;
        self.send(session, &Message::Reply(id, Reply::Error(error)), context);
    }

    /// Closes a client's connection, if it is still there.
    fn close(&mut self, session: SessionId, disconnect: Disconnect, context: &mut Context<'_>) {
        if let Some(found) = self.sessions.remove(session) {
            self.forget(found, context);
            context.close(session, disconnect);
        }
    }

    /// Takes a session that is gone out of its rooms.
    fn forget(&mut self, session: Session, context: &mut Context<'_>) {
        let Session { id, subscriptions, .. } = session;
        for subscription in subscriptions {
            self.leave(id, &subscription, context);
        }
    }

    /// Takes a session out of a room that is no longer among its subscriptions.
    fn leave(&mut self, session: SessionId, subscription: &Subscription, context: &mut Context<'_>) {
        let channel = &subscription.channel;
        match subscription.place {
            Place::Listed(place) => {
                if let Some(moved) = self.subscribers.remove(channel, place) {
                    self.sessions.move_to(moved, channel, place);
                }
            }
            Place::Asked(ticket) => {
                self.waiting.remove(&ticket);
            }
        }
        context.tell(context.owner(channel), message::Message::Leave { channel: channel.clone(), session });
    }

    /// Asks a room's owner, and notes who wants the answer. The answer comes later, never at once.
    fn ask(&mut self, who: Who, channel: Arc<str>, question: Question, context: &mut Context<'_>) -> u64 {
        let owner = context.owner(&channel);
        let ticket = self.wait_for(who, owner, context);
        context.tell(owner, message::Message::Ask { ticket, channel, question });
        ticket
    }

    fn wait_for(&mut self, who: Who, owner: usize, context: &Context<'_>) -> u64 {
        self.last_ticket += 1;
        let deadline = context.now + context.config.request_timeout;
        self.waiting.insert(self.last_ticket, Waiting { who, owner, deadline });
        self.last_ticket
    }
}

/// Whether a room may have this name.
fn check_channel(channel: &str, context: &Context<'_>) -> Result<Arc<str>, Error> {
    let limit = context.config.limits.channel_bytes;
    if channel.is_empty() {
        Err(Error::new(codes::BAD_REQUEST, "the channel is missing"))
    } else if channel.len() > limit {
        Err(Error::with(codes::BAD_REQUEST, format!("the channel's name is longer than {limit} bytes")))
    } else if channel.chars().any(char::is_control) {
        Err(Error::new(codes::BAD_REQUEST, "the channel's name has control characters"))
    } else {
        Ok(channel.into())
    }
}

/// What a client wants to publish: JSON on one line.
fn check_data(data: &Data<'_>, protocol: Protocol, context: &Context<'_>) -> Result<Bytes, Error> {
    check_length(data.len(), context)?;
    let data = Bytes::copy_from_slice(data);
    match protocol {
        // It came as a part of such a line.
        Protocol::Json if std::str::from_utf8(&data).is_ok_and(json::has_half_pair) => {
            Err(Error::new(codes::BAD_REQUEST, "the data has half a surrogate pair, which is no text"))
        }
        Protocol::Json => Ok(data),
        Protocol::Protobuf => json::compact(&data, context.config.limits.json_depth).ok_or(Error::new(
            codes::BAD_REQUEST,
            "the data is not JSON, or nested too deep, or has half a surrogate pair",
        )),
    }
}

/// Whether a publication may say this much.
fn check_length(length: usize, context: &Context<'_>) -> Result<(), Error> {
    let limit = context.config.limits.message_bytes;
    if length > limit {
        return Err(Error::with(codes::LIMIT_EXCEEDED, format!("the data is longer than {limit} bytes")));
    }
    Ok(())
}
