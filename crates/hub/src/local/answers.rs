//! What rooms' owners say.

use std::sync::Arc;

use bytes::Bytes;

use super::{Kind, Local, Waiting, Who};
use crate::api;
use crate::centrifuge::encode;
use crate::context::Context;
use crate::error::Error;
use crate::identity::ClientInfo;
use crate::message::{Answer, Subscribed};
use crate::publication::Publication;

/// Publications that come together share a frame until it has this many bytes.
const FRAME_BYTES: usize = 16 * 1024;

impl Local {
    /// A question was answered, or is given up.
    pub(crate) fn answered(&mut self, ticket: u64, answer: Result<Answer, Error>, context: &mut Context<'_>) {
        // Nobody may want it any more.
        let Some(Waiting { who, .. }) = self.waiting.remove(&ticket) else { return };
        match who {
            Who::Entrant { session, channel, join_leave, command } => {
                let answer = answer.and_then(|answer| match answer {
                    Answer::Subscribed(subscribed) => Ok(subscribed),
                    _ => Err(OTHER_ANSWER),
                });
                self.entered(session, &channel, join_leave, command, answer, context);
            }
            Who::Command { session, id, kind } => {
                let Some(found) = self.sessions.get_mut(session) else { return };
                found.pending = found.pending.saturating_sub(1);
                match answer.and_then(|answer| write(id, kind, &answer)) {
                    Ok(line) => self.send(session, line, context),
                    Err(error) => self.refuse(session, id, &error, context),
                }
            }
            Who::Program(program) => {
                let reply = answer.and_then(to_program);
                self.reply(program, reply, context);
            }
            Who::Part { gathering, part } => self.gathered(gathering, part, answer, context),
        }
    }

    /// Something was published in a room that has subscribers here.
    pub(crate) fn published(
        &mut self,
        channel: &str,
        publications: &[Arc<Publication>],
        context: &mut Context<'_>,
    ) {
        if self.subscribers.of(channel).is_empty() {
            return;
        }
        let mut frame = Vec::new();
        for publication in publications {
            let line = encode::published(channel, publication);
            if !frame.is_empty() && frame.len() + line.len() > FRAME_BYTES {
                self.fan_out(channel, Bytes::from(std::mem::take(&mut frame)), false, context);
            }
            if !frame.is_empty() {
                frame.push(b'\n');
            }
            frame.extend_from_slice(&line);
        }
        self.fan_out(channel, frame.into(), false, context);
    }

    /// Passes on that somebody has come or gone.
    pub(crate) fn tell_presence(
        &mut self,
        message: &'static str,
        channel: &Arc<str>,
        info: &ClientInfo,
        context: &mut Context<'_>,
    ) {
        let line = encode::presence_changed(channel, message, info);
        self.fan_out(channel, line.into(), true, context);
    }

    /// Passes a line on to the subscribers of a room: to all, or to those who want to hear of others.
    pub(super) fn fan_out(
        &mut self,
        channel: &str,
        line: Bytes,
        listeners_only: bool,
        context: &mut Context<'_>,
    ) {
        let subscribers = self.subscribers.of(channel);
        let mut sessions = Vec::with_capacity(subscribers.len());
        let mut holding = Vec::new();
        for subscriber in subscribers {
            if subscriber.join_leave || !listeners_only {
                if subscriber.held { &mut holding } else { &mut sessions }.push(subscriber.session);
            }
        }
        for session in holding {
            self.send(session, line.to_vec(), context);
        }
        context.fan_out(sessions, line);
    }
}

/// The reply to a client's command.
fn write(id: u32, kind: Kind, answer: &Answer) -> Result<Vec<u8>, Error> {
    match (kind, answer) {
        (Kind::Publish, Answer::Published(_)) => Ok(encode::done(id, "publish")),
        (Kind::PublishMethod, Answer::Published(position)) => {
            Ok(encode::rpc(id, &encode::position(position)))
        }
        (Kind::History, Answer::History { publications, position }) => {
            Ok(encode::history(id, publications, position))
        }
        (Kind::Presence, Answer::Presence(infos)) => Ok(encode::presence(id, infos)),
        (Kind::PresenceStats, Answer::PresenceStats { clients, users }) => {
            Ok(encode::presence_stats(id, *clients, *users))
        }
        _ => Err(OTHER_ANSWER),
    }
}

/// The answer to a program's request.
fn to_program(answer: Answer) -> Result<api::Answer, Error> {
    match answer {
        Answer::Published(position) => Ok(api::Answer::Published(position)),
        Answer::History { publications, position } => {
            let publications = publications.iter().map(|publication| to_api(publication)).collect();
            Ok(api::Answer::History { publications, position })
        }
        Answer::Presence(infos) => Ok(api::Answer::Presence(
            infos.iter().map(|info| (info.client.clone(), (**info).clone())).collect(),
        )),
        Answer::PresenceStats { clients, users } => Ok(api::Answer::PresenceStats { clients, users }),
        Answer::Subscribed(Subscribed { .. }) | Answer::Counted(_) => Err(OTHER_ANSWER),
    }
}

fn to_api(publication: &Publication) -> api::Publication {
    let Publication { offset, time, data, info, id, tags, edits: _ } = publication;
    let mut tags = tags.clone();
    if !id.is_empty() {
        tags.insert(crate::publication::ID.into(), id.clone());
    }
    api::Publication {
        offset: *offset,
        time: *time,
        data: data.clone(),
        info: info.as_deref().cloned(),
        tags,
    }
}

const OTHER_ANSWER: Error =
    Error::new(crate::centrifuge::codes::INTERNAL, "the room answered another question: try again");
