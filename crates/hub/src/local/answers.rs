//! What rooms' owners say.

use std::sync::Arc;

use bytes::Bytes;

use super::subscribers::{Audience, Takes};
use super::{Kind, Local, Subscriber, Waiting, Who};
use crate::api::{self, Position};
use crate::centrifuge::{Done, Form, Item, Message, Protocol, Push, Reply, fossil};
use crate::context::{Context, FRAME_BYTES};
use crate::error::Error;
use crate::hub::SessionId;
use crate::json;
use crate::message::{Answer, Subscribed};
use crate::publication::Publication;

impl Local {
    /// A question was answered, or is given up.
    pub(crate) fn answered(&mut self, ticket: u64, answer: Result<Answer, Error>, context: &mut Context<'_>) {
        // Nobody may want it any more.
        let Some(Waiting { who, .. }) = self.waiting.remove(&ticket) else { return };
        match who {
            Who::Entrant(entrant) => {
                let answer = answer.and_then(|answer| match answer {
                    Answer::Subscribed(subscribed) => Ok(subscribed),
                    _ => Err(OTHER_ANSWER),
                });
                self.entered(entrant, answer, context);
            }
            Who::Command { session, id, kind } => {
                let Some(found) = self.sessions.get_mut(session) else { return };
                found.pending = found.pending.saturating_sub(1);
                match answer {
                    Ok(answer) => self.reply_to(session, id, kind, &answer, context),
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

    /// Something was published in a room that has subscribers here. It is written once for all who take it in the same
    /// way.
    pub(crate) fn published(
        &mut self,
        channel: &str,
        publications: &[Arc<Publication>],
        context: &mut Context<'_>,
    ) {
        let audiences: Vec<Audience> = self.subscribers.audiences(channel).collect();
        let deltas = if audiences.iter().any(|audience| audience.takes != Takes::Plain) {
            self.deltas(channel, publications)
        } else {
            Vec::new()
        };
        for &audience in &audiences {
            let mut frame = Vec::new();
            for (index, publication) in publications.iter().enumerate() {
                let form = match (audience.takes, deltas.get(index)) {
                    (Takes::Plain, _) => Form::Plain,
                    (Takes::Whole, _) if index == 0 => Form::Whole,
                    (_, Some(Some(delta))) => Form::Delta(delta),
                    _ => Form::Whole,
                };
                let push = Push::Publication(Item { publication, form });
                let message = audience.protocol.encode(&Message::Push(channel, push));
                if !frame.is_empty() && frame.len() + message.len() > FRAME_BYTES {
                    self.fan_out(channel, audience, std::mem::take(&mut frame).into(), context);
                }
                audience.protocol.join(&mut frame, &message);
            }
            self.fan_out(channel, audience, frame.into(), context);
        }
        if let (Some(last), false) = (publications.last(), deltas.is_empty()) {
            self.subscribers.passed_on(channel, last);
        }
    }

    /// How each publication differs from the one before, where that is shorter to say.
    fn deltas(&self, channel: &str, publications: &[Arc<Publication>]) -> Vec<Option<Vec<u8>>> {
        let mut last = self.subscribers.last(channel);
        let delta = |publication| {
            let last = last.replace(publication)?;
            fossil::delta(&last.data, &publication.data)
        };
        publications.iter().map(delta).collect()
    }

    /// Passes on that somebody has come or gone, to those who want to hear of others.
    pub(crate) fn tell_presence(&mut self, channel: &Arc<str>, push: Push<'_>, context: &mut Context<'_>) {
        for protocol in Protocol::ALL {
            let listeners = self.subscribers.of(channel).iter();
            let listeners =
                listeners.filter(|listener| listener.audience.protocol == protocol && listener.join_leave);
            let listeners: Vec<Subscriber> = listeners.copied().collect();
            if !listeners.is_empty() {
                let message = protocol.encode(&Message::Push(channel, push));
                self.send_to(&listeners, protocol, &message.into(), context);
            }
        }
    }

    /// Passes a frame on to an audience of a room.
    fn fan_out(&mut self, channel: &str, audience: Audience, frame: Bytes, context: &mut Context<'_>) {
        let subscribers = self.subscribers.of(channel).iter();
        let subscribers: Vec<Subscriber> =
            subscribers.filter(|subscriber| subscriber.audience == audience).copied().collect();
        self.send_to(&subscribers, audience.protocol, &frame, context);
    }

    fn send_to(
        &mut self,
        subscribers: &[Subscriber],
        protocol: Protocol,
        frame: &Bytes,
        context: &mut Context<'_>,
    ) {
        let mut sessions = Vec::with_capacity(subscribers.len());
        for subscriber in subscribers {
            if subscriber.held {
                self.send_encoded(subscriber.session, frame.clone(), context);
            } else {
                sessions.push(subscriber.session);
            }
        }
        context.fan_out(sessions, protocol, frame.clone());
    }

    /// The reply to a client's command.
    fn reply_to(
        &mut self,
        session: SessionId,
        id: u32,
        kind: Kind,
        answer: &Answer,
        context: &mut Context<'_>,
    ) {
        let told;
        let reply = match (kind, answer) {
            (Kind::Publish, Answer::Published(_)) => Reply::Done(Done::Publish),
            (Kind::PublishMethod, Answer::Published(position)) => {
                told = to_json(position);
                Reply::Rpc(&told)
            }
            (Kind::History, Answer::History { publications, position }) => {
                Reply::History { publications, position }
            }
            (Kind::Presence, Answer::Presence(infos)) => Reply::Presence(infos),
            (Kind::PresenceStats, Answer::PresenceStats { clients, users }) => {
                Reply::PresenceStats { clients: *clients, users: *users }
            }
            _ => Reply::Error(&OTHER_ANSWER),
        };
        self.send(session, &Message::Reply(id, reply), context);
    }
}

/// `{"offset":…,"epoch":…}`: what our own publish methods answer.
fn to_json(position: &Position) -> Vec<u8> {
    let mut out = b"{\"offset\":".to_vec();
    json::number(&mut out, position.offset);
    out.extend_from_slice(b",\"epoch\":");
    json::string(&mut out, position.epoch.as_str());
    out.push(b'}');
    out
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
