//! Replies and pushes in Protobuf.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;

use super::schema::{self, Empty};
use crate::centrifuge::reply::{Admission, Connected, Done, Form, Item, Message, Push, Reply};
use crate::identity::ClientInfo;
use crate::publication::{ID, Publication};

/// Writes a message, with its length before it.
pub(crate) fn encode(message: &Message<'_>) -> Vec<u8> {
    let reply = match *message {
        Message::Ping => schema::Reply::default(),
        Message::Reply(id, reply) => schema::Reply { id, ..write_reply(reply) },
        Message::Push(channel, push) => {
            let push = schema::Push { channel: channel.to_owned(), ..write_push(push) };
            schema::Reply { push: Some(push), ..schema::Reply::default() }
        }
    };
    reply.encode_length_delimited_to_vec()
}

fn write_reply(reply: Reply<'_>) -> schema::Reply {
    let mut out = schema::Reply::default();
    match reply {
        Reply::Error(error) => {
            out.error = Some(schema::Error {
                code: error.code.into(),
                message: error.message.to_string(),
                temporary: error.is_temporary(),
            });
        }
        Reply::Done(Done::Unsubscribe) => out.unsubscribe = Some(Empty {}),
        Reply::Done(Done::Publish) => out.publish = Some(Empty {}),
        Reply::Done(Done::Ping) => out.ping = Some(Empty {}),
        Reply::Connect(connected) => out.connect = Some(write_connected(&connected)),
        Reply::Subscribe(admission) => out.subscribe = Some(write_admission(admission)),
        Reply::Presence(infos) => {
            let presence = infos.iter().map(|info| (info.client.clone(), write_info(info))).collect();
            out.presence = Some(schema::PresenceResult { presence });
        }
        Reply::PresenceStats { clients, users } => {
            let (num_clients, num_users) = (short(clients), short(users));
            out.presence_stats = Some(schema::PresenceStatsResult { num_clients, num_users });
        }
        Reply::History { publications, position } => {
            out.history = Some(schema::HistoryResult {
                publications: write_publications(publications, Form::Plain),
                epoch: position.epoch.as_str().to_owned(),
                offset: position.offset,
            });
        }
        Reply::Rpc(data) => out.rpc = Some(schema::Data { data: Bytes::copy_from_slice(data) }),
        Reply::Refresh { client, version, expires_in } => {
            out.refresh = Some(schema::RefreshResult {
                client: client.to_owned(),
                version: version.to_owned(),
                expires: expires_in.is_some(),
                ttl: short(expires_in.unwrap_or(0)),
            });
        }
        Reply::SubRefresh { expires_in } => out.sub_refresh = Some(write_expiry(expires_in)),
    }
    out
}

fn write_push(push: Push<'_>) -> schema::Push {
    let mut out = schema::Push::default();
    match push {
        Push::Publication(item) => out.publication = Some(write_publication(item)),
        Push::Join(info) => out.join = Some(schema::Presence { info: Some(write_info(info)) }),
        Push::Leave(info) => out.leave = Some(schema::Presence { info: Some(write_info(info)) }),
        Push::Subscribe(position) => {
            out.subscribe = Some(schema::Subscribe {
                recoverable: true,
                epoch: position.epoch.as_str().to_owned(),
                offset: position.offset,
                positioned: true,
                data: Bytes::new(),
            });
        }
        Push::Refresh { expires_in } => out.refresh = Some(write_expiry(expires_in)),
        Push::Unsubscribe { code, reason } => {
            out.unsubscribe = Some(schema::Unsubscribe { code: code.into(), reason: reason.to_owned() });
        }
        Push::Disconnect { code, reason } => {
            out.disconnect =
                Some(schema::Disconnect { code: code.into(), reason: reason.to_owned(), reconnect: false });
        }
    }
    out
}

fn write_connected(connected: &Connected<'_>) -> schema::ConnectResult {
    let Connected { client, version, expires_in, ping, session, node, data, subs } = *connected;
    schema::ConnectResult {
        client: client.to_owned(),
        version: version.to_owned(),
        expires: expires_in.is_some(),
        ttl: short(expires_in.unwrap_or(0)),
        data: data.map_or(Bytes::new(), Bytes::copy_from_slice),
        subs: subs.iter().map(|(channel, sub)| (channel.to_string(), write_admission(sub))).collect(),
        ping: short(ping),
        pong: ping > 0,
        session: session.to_owned(),
        node: node.to_owned(),
    }
}

fn write_admission(admission: &Admission) -> schema::SubscribeResult {
    let Admission { subscribed, delta, expires_in } = admission;
    schema::SubscribeResult {
        expires: expires_in.is_some(),
        ttl: short(expires_in.unwrap_or(0)),
        recoverable: true,
        epoch: subscribed.position.epoch.as_str().to_owned(),
        publications: write_publications(&subscribed.publications, Form::Plain),
        recovered: subscribed.recovered,
        offset: subscribed.position.offset,
        positioned: true,
        data: Bytes::new(),
        was_recovering: subscribed.was_recovering,
        delta: *delta,
    }
}

fn write_publications(publications: &[Arc<Publication>], form: Form<'_>) -> Vec<schema::Publication> {
    publications.iter().map(|publication| write_publication(Item { publication, form })).collect()
}

fn write_publication(item: Item<'_>) -> schema::Publication {
    let Publication { offset, time, data, info, id, tags, edits: _ } = item.publication;
    let (data, delta) = match item.form {
        Form::Plain | Form::Whole => (data.clone(), false),
        Form::Delta(delta) => (Bytes::copy_from_slice(delta), true),
    };
    let mut tags = tags.clone();
    if !id.is_empty() {
        tags.insert(ID.to_owned(), id.clone());
    }
    schema::Publication {
        data,
        info: info.as_deref().map(write_info),
        offset: *offset,
        tags,
        delta,
        time: i64::try_from(*time).unwrap_or(i64::MAX),
    }
}

fn write_info(info: &ClientInfo) -> schema::ClientInfo {
    let ClientInfo { client, user, conn_info } = info;
    schema::ClientInfo {
        user: user.clone(),
        client: client.clone(),
        conn_info: conn_info.clone().unwrap_or_default(),
        chan_info: Bytes::new(),
    }
}

fn write_expiry(expires_in: Option<u64>) -> schema::Expiry {
    schema::Expiry { expires: expires_in.is_some(), ttl: short(expires_in.unwrap_or(0)) }
}

/// What does not fit the protocol's field is told as the most that does.
fn short(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
