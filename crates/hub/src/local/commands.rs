//! What a client sends.

use std::collections::BTreeMap;

use super::session::{Passage, Stage};
use super::{Kind, Local, Who, check_channel, check_data};
use crate::budget::Share;
use crate::centrifuge::{Command, Data, Disconnect, Done, Frame, History, Message, Protocol, Reply, codes};
use crate::context::Context;
use crate::error::Error;
use crate::hub::SessionId;
use crate::message::{Draft, Question, Since};
use crate::publication::Author;

impl Local {
    /// A frame came from a client: one or more commands.
    pub(crate) fn received(&mut self, session: SessionId, bytes: &[u8], context: &mut Context<'_>) {
        let Some(found) = self.sessions.get_mut(session) else { return };
        let protocol = found.protocol;
        context.counters.received_bytes_total += bytes.len() as u64;
        if found.owes_pong {
            // Whatever it says, it is alive.
            found.owes_pong = false;
            found.ping_at = context.now + context.config.ping_interval;
            self.sessions.reschedule(session);
        }
        let limits = &context.config.limits;
        for (index, frame) in protocol.commands(bytes, limits).enumerate() {
            let Some(frame) = frame.filter(|_| index < limits.commands_per_frame) else {
                count(context, "malformed");
                self.close(session, Disconnect::BAD_REQUEST, context);
                return;
            };
            self.frame(session, frame, context);
            if self.sessions.get(session).is_none() {
                return;
            }
        }
    }

    fn frame(&mut self, session: SessionId, frame: Frame<'_>, context: &mut Context<'_>) {
        let Some(found) = self.sessions.get_mut(session) else { return };
        let limits = &context.config.limits;
        let passage = found.commands.take(context.now, limits.commands_per_second, limits.command_burst);
        let stage = found.stage;
        if passage == Passage::FarTooMany {
            self.close(session, Disconnect::TOO_MANY_REQUESTS, context);
            return;
        }
        match frame {
            Frame::Pong if stage == Stage::Connected => count(context, "pong"),
            Frame::Send if stage == Stage::Connected => {
                count(context, "send");
                self.close(session, Disconnect::NOT_AVAILABLE, context);
            }
            Frame::Command(id, command) => {
                count(context, command.name());
                let is_connect = matches!(command, Command::Connect(_));
                if stage != Stage::Connected && !is_connect {
                    self.close(session, Disconnect::BAD_REQUEST, context);
                } else if passage == Passage::No {
                    let error = Error::new(codes::TOO_MANY_REQUESTS, "too many requests: slow down");
                    self.refuse(session, id, &error, context);
                } else if let Err(error) = self.command(session, id, command, context) {
                    self.refuse(session, id, &error, context);
                }
            }
            Frame::Pong | Frame::Send => self.close(session, Disconnect::BAD_REQUEST, context),
        }
    }

    fn command(
        &mut self,
        session: SessionId,
        id: u32,
        command: Command<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        let pending = self.sessions.get(session).map_or(0, |session| session.pending);
        if pending >= context.config.limits.pending_per_session {
            return Err(Error::new(
                codes::TOO_MANY_REQUESTS,
                "too many commands wait for an answer: wait for some",
            ));
        }
        match command {
            Command::Connect(request) => self.connect(session, id, &request, context),
            Command::Subscribe(request) => {
                let channel = request.channel.clone();
                self.enter(session, &channel, &request, Some(id), context)?;
            }
            Command::Unsubscribe(request) => {
                check_channel(&request.channel, context)?;
                self.exit(session, &request.channel, context);
                self.send(session, &Message::Reply(id, Reply::Done(Done::Unsubscribe)), context);
            }
            Command::Publish(request) => {
                if request.kind != 0 {
                    return Err(Error::new(
                        codes::NOT_AVAILABLE,
                        "there is no such type of publication here",
                    ));
                }
                let draft = self.draft(session, String::new(), request.data.as_ref(), context)?;
                self.command_ask(
                    session,
                    id,
                    Kind::Publish,
                    &request.channel,
                    Question::Publish(draft),
                    context,
                )?;
            }
            Command::Presence(request) => {
                let question = Question::Presence;
                self.command_ask(session, id, Kind::Presence, &request.channel, question, context)?;
            }
            Command::PresenceStats(request) => {
                let question = Question::PresenceStats;
                self.command_ask(session, id, Kind::PresenceStats, &request.channel, question, context)?;
            }
            Command::History(request) => {
                let question = history(&request);
                self.command_ask(session, id, Kind::History, &request.channel, question, context)?;
            }
            Command::Ping => self.send(session, &Message::Reply(id, Reply::Done(Done::Ping)), context),
            Command::Rpc(request) => self.rpc(session, id, &request, context)?,
            Command::Refresh(request) => self.refresh(session, id, &request.token, context),
            Command::SubRefresh(request) => self.sub_refresh(session, id, &request, context)?,
        }
        Ok(())
    }

    /// Asks a room's owner for a client's command.
    pub(super) fn command_ask(
        &mut self,
        session: SessionId,
        id: u32,
        kind: Kind,
        channel: &str,
        question: Question,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        let channel = check_channel(channel, context)?;
        let namespace = context.config.namespaces.of(&channel);
        let (right, what) = match kind {
            Kind::Publish | Kind::PublishMethod => (namespace.publish, "not everybody may publish here"),
            Kind::History => (namespace.history, "not everybody may read the history of this room"),
            Kind::Presence | Kind::PresenceStats => (namespace.presence, "not everybody may ask who is here"),
        };
        self.may(session, &channel, right, what)?;
        self.ask(Who::Command { session, id, kind }, channel, question, context);
        if let Some(found) = self.sessions.get_mut(session) {
            found.pending += 1;
        }
        Ok(())
    }

    /// What a client wants to publish.
    pub(super) fn draft(
        &self,
        session: SessionId,
        id: String,
        data: Option<&Data<'_>>,
        context: &Context<'_>,
    ) -> Result<Draft, Error> {
        let Some(data) = data else { return Err(Error::new(codes::BAD_REQUEST, "the data is missing")) };
        let found = self.sessions.get(session);
        let protocol = found.map_or(Protocol::Json, |found| found.protocol);
        let data = check_data(data, protocol, context)?;
        let info = found.map(|found| found.info.clone()).unwrap_or_default();
        Ok(Draft {
            author: Author::User(info.user.clone()),
            info: Some(info),
            id,
            data,
            tags: BTreeMap::new(),
            share: Share::default(),
        })
    }
}

fn history(request: &History<'_>) -> Question {
    Question::History {
        // A negative limit is the protocol's way to say: as much as there may be.
        limit: usize::try_from(request.limit).unwrap_or(usize::MAX),
        since: request.since.as_ref().map(|since| Since::new(since.offset, &since.epoch)),
        reverse: request.reverse,
    }
}

fn count(context: &mut Context<'_>, command: &'static str) {
    *context.counters.commands_total.entry(command).or_default() += 1;
}
