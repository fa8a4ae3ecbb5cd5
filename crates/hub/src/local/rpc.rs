//! Fourwire's own methods, which clients call by the protocol's `rpc` command.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::gathering::Asked;
use super::session::Passage;
use super::{Kind, Local, check_channel, check_data};
use crate::centrifuge::{self, Data, Method, Reply, codes};
use crate::context::Context;
use crate::error::Error;
use crate::hub::SessionId;
use crate::message::{Change, Message, Question};
use crate::publication::{DELETES, EDITS, Publication, SIGNAL};

/// Bytes of an id that a publisher gives.
const ID_BYTES: usize = 64;

#[derive(Deserialize)]
struct Publish<'a> {
    id: String,
    channel: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Edit<'a> {
    id: String,
    channel: String,
    target: u64,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Delete {
    id: String,
    channel: String,
    target: u64,
}

#[derive(Deserialize)]
struct Signal<'a> {
    channel: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Local {
    pub(super) fn rpc(
        &mut self,
        session: SessionId,
        id: u32,
        request: &Method<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        let data = request.data.as_deref().unwrap_or(b"null");
        match &*request.method {
            "publish" => {
                let Publish { id: name, channel, data } =
                    read(data, "publish takes {\"id\": …, \"channel\": …, \"data\": …}")?;
                let draft = self.draft(session, check_id(name)?, Some(&bytes(data)), context)?;
                let question = Question::Publish(draft);
                self.command_ask(session, id, Kind::PublishMethod, &channel, question, context)
            }
            "edit" => {
                let Edit { id: name, channel, target, data } =
                    read(data, "edit takes {\"id\": …, \"channel\": …, \"target\": offset, \"data\": …}")?;
                let mut draft = self.draft(session, check_id(name)?, Some(&bytes(data)), context)?;
                draft.tags.insert(EDITS.into(), target.to_string());
                let question = Question::Change { draft, target, change: Change::Edit };
                self.command_ask(session, id, Kind::PublishMethod, &channel, question, context)
            }
            "delete" => {
                let Delete { id: name, channel, target } =
                    read(data, "delete takes {\"id\": …, \"channel\": …, \"target\": offset}")?;
                let mut draft =
                    self.draft(session, check_id(name)?, Some(&bytes(RawValue::NULL)), context)?;
                draft.tags.insert(DELETES.into(), target.to_string());
                let question = Question::Change { draft, target, change: Change::Delete };
                self.command_ask(session, id, Kind::PublishMethod, &channel, question, context)
            }
            "signal" => {
                let Signal { channel, data } = read(data, "signal takes {\"channel\": …, \"data\": …}")?;
                self.signal(session, id, &channel, data, context)
            }
            "rooms" => {
                self.gather_rooms(Asked::Command { session, id }, String::new(), context);
                if let Some(found) = self.sessions.get_mut(session) {
                    found.pending += 1;
                }
                Ok(())
            }
            _ => Err(Error::new(
                codes::NOT_AVAILABLE,
                "there is no such method: there are publish, edit, delete, signal and rooms",
            )),
        }
    }

    /// Passes something on to all who are in the room now, and keeps nothing of it.
    fn signal(
        &mut self,
        session: SessionId,
        id: u32,
        channel: &str,
        data: &RawValue,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        let channel = check_channel(channel, context)?;
        let Some(found) = self.sessions.get_mut(session) else { return Ok(()) };
        let data = check_data(&bytes(data), found.protocol, context)?;
        if !found.is_in(&channel) {
            return Err(Error::new(
                codes::PERMISSION_DENIED,
                "subscribe first: signals are for those in the room",
            ));
        }
        let rate = context.config.limits.signals_per_second;
        if found.signals.take(context.now, rate, rate) != Passage::Yes {
            return Err(Error::new(codes::TOO_MANY_REQUESTS, "too many signals: slow down"));
        }
        let publication = Publication {
            offset: 0,
            time: context.wall.unix_millis(),
            data,
            info: Some(found.info.clone()),
            id: String::new(),
            tags: [(SIGNAL.to_owned(), "true".to_owned())].into(),
            edits: Vec::new(),
        };
        let owner = context.owner(&channel);
        context.tell(owner, Message::Signal { channel, publication: Arc::new(publication) });
        self.send(session, &centrifuge::Message::Reply(id, Reply::Rpc(b"{}")), context);
        Ok(())
    }
}

fn read<'a, T: Deserialize<'a>>(data: &'a [u8], takes: &'static str) -> Result<T, Error> {
    serde_json::from_slice(data).map_err(|_| Error::new(codes::BAD_REQUEST, takes))
}

fn check_id(id: String) -> Result<String, Error> {
    if id.is_empty() || id.len() > ID_BYTES {
        return Err(Error::new(codes::BAD_REQUEST, "the id has 1 to 64 bytes"));
    }
    Ok(id)
}

/// What stands in a method's data: JSON, on as many lines as it likes.
fn bytes(data: &RawValue) -> Data<'_> {
    Data::Borrowed(data.get().as_bytes())
}
