//! What programs ask by the HTTP API.

use std::sync::Arc;

use super::entering::Way;
use super::gathering::Asked;
use super::session::Stage;
use super::{Local, Who, check_channel, check_length};
use crate::api::{Answer, NewPublication, Refresh, Reply, Request, Target};
use crate::budget::Share;
use crate::centrifuge::{self, Disconnect, Push, Subscribe, codes};
use crate::context::Context;
use crate::error::Error;
use crate::hub::Output;
use crate::json;
use crate::message::{Draft, Message, Question, Since};
use crate::publication::{Author, is_reserved};

impl Local {
    /// A program asks for something.
    pub(crate) fn program(&mut self, program: u64, request: Request, context: &mut Context<'_>) {
        self.started.get_or_insert(context.now);
        self.programs += 1;
        if self.programs > context.config.limits.pending_api {
            let error = Error::new(codes::TOO_MANY_REQUESTS, "too many requests wait: try again later");
            self.reply(program, Err(error), context);
        } else if let Err(error) = self.request(program, request, context) {
            self.reply(program, Err(error), context);
        }
    }

    fn request(&mut self, program: u64, request: Request, context: &mut Context<'_>) -> Result<(), Error> {
        match request {
            Request::Publish { channel, publication } => {
                let draft = draft(publication, context)?;
                self.program_ask(program, &channel, Question::Publish(draft), context)?;
            }
            Request::Broadcast { channels, publication } => {
                let limit = context.config.limits.broadcast_channels;
                if channels.is_empty() || channels.len() > limit {
                    let message = format!("a broadcast goes to 1 to {limit} channels");
                    return Err(Error::with(codes::BAD_REQUEST, message));
                }
                let draft = draft(publication, context)?;
                let gathering = self.gather_broadcast(Asked::Program(program), channels.len());
                for (part, channel) in channels.into_iter().enumerate() {
                    match check_channel(&channel, context) {
                        Ok(channel) => {
                            let question = Question::Publish(draft.clone());
                            self.ask(Who::Part { gathering, part }, channel, question, context);
                        }
                        Err(error) => self.gathered(gathering, part, Err(error), context),
                    }
                }
            }
            Request::History { channel, limit, since, reverse } => {
                let since = since.map(|(offset, epoch)| Since::new(offset, &epoch));
                self.program_ask(program, &channel, Question::History { limit, since, reverse }, context)?;
            }
            Request::Presence { channel } => {
                self.program_ask(program, &channel, Question::Presence, context)?;
            }
            Request::PresenceStats { channel } => {
                self.program_ask(program, &channel, Question::PresenceStats, context)?;
            }
            Request::Channels { pattern } => {
                self.gather_rooms(Asked::Program(program), pattern, context);
            }
            Request::Info => self.gather_info(Asked::Program(program), context),
            Request::Disconnect { target, reconnect } => {
                check_target(&target)?;
                context.tell_all(&Message::Disconnect { target, reconnect });
                self.reply(program, Ok(Answer::Done), context);
            }
            Request::Subscribe { channel, target } => {
                let channel = check_channel(&channel, context)?;
                check_target(&target)?;
                context.tell_all(&Message::Subscribe { channel, target });
                self.reply(program, Ok(Answer::Done), context);
            }
            Request::Refresh { target, refresh } => {
                check_target(&target)?;
                context.tell_all(&Message::Refresh { target, refresh });
                self.reply(program, Ok(Answer::Done), context);
            }
            Request::Unsubscribe { channel, target } => {
                let channel = check_channel(&channel, context)?;
                check_target(&target)?;
                context.tell_all(&Message::Unsubscribe { channel, target });
                self.reply(program, Ok(Answer::Done), context);
            }
        }
        Ok(())
    }

    /// Closes the connections that are meant.
    pub(crate) fn disconnect_all(&mut self, target: &Target, reconnect: bool, context: &mut Context<'_>) {
        let disconnect = if reconnect { Disconnect::FORCE_RECONNECT } else { Disconnect::FORCE_DISCONNECT };
        for session in self.meant(target) {
            self.close(session, disconnect, context);
        }
    }

    /// Takes the connections that are meant out of the room.
    pub(crate) fn unsubscribe_all(&mut self, channel: &Arc<str>, target: &Target, context: &mut Context<'_>) {
        for session in self.meant(target) {
            self.put_out(session, channel, codes::UNSUBSCRIBED_BY_SERVER, "server unsubscribe", context);
        }
    }

    /// Takes the connections that are meant into the room. Those that are in it already, or in as many as may be, stay
    /// as they are.
    pub(crate) fn subscribe_all(&mut self, channel: &Arc<str>, target: &Target, context: &mut Context<'_>) {
        for session in self.meant(target) {
            if self.sessions.get(session).is_some_and(|found| found.stage == Stage::Connected) {
                let _ = self.let_enter(session, channel, &Subscribe::default(), Way::Program, None, context);
            }
        }
    }

    /// Says until when the connections that are meant are who they are, to the clients too.
    pub(crate) fn refresh_all(&mut self, target: &Target, refresh: Refresh, context: &mut Context<'_>) {
        for session in self.meant(target) {
            let expires = match refresh {
                Refresh::Expired => {
                    self.close(session, Disconnect::EXPIRED, context);
                    continue;
                }
                Refresh::Until(end) => Some(end),
                Refresh::Forever => None,
            };
            let Some(found) = self.sessions.get_mut(session) else { continue };
            let expires_in = found.expire(expires, context);
            self.sessions.reschedule(session);
            self.send(session, &centrifuge::Message::Push("", Push::Refresh { expires_in }), context);
        }
    }

    pub(super) fn reply(&mut self, program: u64, reply: Reply, context: &mut Context<'_>) {
        self.programs = self.programs.saturating_sub(1);
        if let Err(error) = &reply {
            *context.counters.errors_total.entry(error.code).or_default() += 1;
        }
        context.output(Output::Api { ticket: program, reply });
    }

    fn program_ask(
        &mut self,
        program: u64,
        channel: &str,
        question: Question,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        let channel = check_channel(channel, context)?;
        self.ask(Who::Program(program), channel, question, context);
        Ok(())
    }

    fn meant(&self, target: &Target) -> Vec<crate::hub::SessionId> {
        self.sessions
            .iter()
            .filter(|session| {
                let info = &session.info;
                (target.user.is_empty() || info.user == target.user)
                    && (target.client.is_empty() || info.client == target.client)
            })
            .map(|session| session.id)
            .collect()
    }
}

fn check_target(target: &Target) -> Result<(), Error> {
    if target.user.is_empty() && target.client.is_empty() {
        return Err(Error::new(codes::BAD_REQUEST, "say which user or which client"));
    }
    Ok(())
}

/// What a program wants to publish.
fn draft(publication: NewPublication, context: &Context<'_>) -> Result<Draft, Error> {
    let NewPublication { data, tags, idempotency_key } = publication;
    let limits = &context.config.limits;
    check_length(data.len(), context)?;
    let Some(data) = json::compact(&data, limits.json_depth) else {
        return Err(Error::new(
            codes::BAD_REQUEST,
            "the data is not JSON, or nested too deep, or has half a surrogate pair",
        ));
    };
    let tag_bytes: usize = tags.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
    if tag_bytes > limits.tag_bytes || idempotency_key.len() > limits.tag_bytes {
        return Err(Error::new(codes::LIMIT_EXCEEDED, "the tags or the idempotency key are too long"));
    }
    if let Some(tag) = tags.keys().find(|tag| is_reserved(tag)) {
        return Err(Error::with(codes::BAD_REQUEST, format!("the tag {tag:?} is set by the server only")));
    }
    Ok(Draft {
        author: Author::Program,
        info: None,
        id: idempotency_key,
        data,
        tags,
        share: Share::default(),
    })
}
