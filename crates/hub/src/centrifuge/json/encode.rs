//! Replies and pushes in JSON: one a line.

use std::sync::Arc;

use crate::api::Position;
use crate::centrifuge::reply::{Admission, Connected, Done, Form, Item, Message, Push, Reply};
use crate::error::Error;
use crate::identity::ClientInfo;
use crate::json::{number, string};
use crate::publication::{ID, Publication};

/// A ping: the client answers with the same.
pub(super) const PING: &[u8] = b"{}";

/// Writes a message, without the end of its line.
pub(super) fn encode(message: &Message<'_>) -> Vec<u8> {
    match *message {
        Message::Ping => PING.to_vec(),
        Message::Reply(id, reply) => {
            let mut out = b"{\"id\":".to_vec();
            number(&mut out, id.into());
            out.push(b',');
            write_reply(&mut out, reply);
            out.push(b'}');
            out
        }
        Message::Push(channel, push) => {
            let data = match push {
                Push::Publication(item) => item.publication.data.len(),
                _ => 0,
            };
            let mut out = Vec::with_capacity(data + channel.len() + 256);
            out.extend_from_slice(b"{\"push\":{");
            if !channel.is_empty() {
                out.extend_from_slice(b"\"channel\":");
                string(&mut out, channel);
                out.push(b',');
            }
            write_push(&mut out, push);
            out.extend_from_slice(b"}}");
            out
        }
    }
}

fn write_reply(out: &mut Vec<u8>, reply: Reply<'_>) {
    match reply {
        Reply::Error(error) => write_error(out, error),
        Reply::Done(Done::Unsubscribe) => out.extend_from_slice(b"\"unsubscribe\":{}"),
        Reply::Done(Done::Publish) => out.extend_from_slice(b"\"publish\":{}"),
        Reply::Done(Done::Ping) => out.extend_from_slice(b"\"ping\":{}"),
        Reply::Connect(connected) => write_connected(out, &connected),
        Reply::Subscribe(admission) => {
            out.extend_from_slice(b"\"subscribe\":");
            write_admission(out, admission);
        }
        Reply::Presence(infos) => {
            out.extend_from_slice(b"\"presence\":{\"presence\":{");
            for (index, info) in infos.iter().enumerate() {
                separate(out, index);
                string(out, &info.client);
                out.push(b':');
                write_info(out, info);
            }
            out.extend_from_slice(b"}}");
        }
        Reply::PresenceStats { clients, users } => {
            out.extend_from_slice(b"\"presence_stats\":{\"num_clients\":");
            number(out, clients);
            out.extend_from_slice(b",\"num_users\":");
            number(out, users);
            out.push(b'}');
        }
        Reply::History { publications, position } => {
            out.extend_from_slice(b"\"history\":{\"publications\":");
            write_publications(out, publications, Form::Plain);
            write_position(out, position);
            out.push(b'}');
        }
        Reply::Rpc(data) => {
            out.extend_from_slice(b"\"rpc\":{\"data\":");
            out.extend_from_slice(data);
            out.push(b'}');
        }
        Reply::Refresh { client, version, expires_in } => {
            out.extend_from_slice(b"\"refresh\":{\"client\":");
            string(out, client);
            out.extend_from_slice(b",\"version\":");
            string(out, version);
            write_expiry(out, expires_in);
            out.push(b'}');
        }
        Reply::SubRefresh { expires_in } => {
            out.extend_from_slice(b"\"sub_refresh\":{");
            write_end(out, expires_in);
            out.push(b'}');
        }
    }
}

fn write_push(out: &mut Vec<u8>, push: Push<'_>) {
    match push {
        Push::Publication(item) => {
            out.extend_from_slice(b"\"pub\":");
            write_publication(out, item);
        }
        Push::Join(info) => {
            out.extend_from_slice(b"\"join\":{\"info\":");
            write_info(out, info);
            out.push(b'}');
        }
        Push::Leave(info) => {
            out.extend_from_slice(b"\"leave\":{\"info\":");
            write_info(out, info);
            out.push(b'}');
        }
        Push::Subscribe(position) => {
            out.extend_from_slice(b"\"subscribe\":{\"recoverable\":true,\"positioned\":true");
            write_position(out, position);
            out.push(b'}');
        }
        Push::Refresh { expires_in } => {
            out.extend_from_slice(b"\"refresh\":{");
            write_end(out, expires_in);
            out.push(b'}');
        }
        Push::Unsubscribe { code, reason } => {
            out.extend_from_slice(b"\"unsubscribe\":");
            write_code(out, code, reason);
        }
        Push::Disconnect { code, reason } => {
            out.extend_from_slice(b"\"disconnect\":");
            write_code(out, code, reason);
        }
    }
}

fn write_error(out: &mut Vec<u8>, error: &Error) {
    out.extend_from_slice(b"\"error\":{\"code\":");
    number(out, error.code.into());
    out.extend_from_slice(b",\"message\":");
    string(out, &error.message);
    if error.is_temporary() {
        out.extend_from_slice(b",\"temporary\":true");
    }
    out.push(b'}');
}

fn write_connected(out: &mut Vec<u8>, connected: &Connected<'_>) {
    let Connected { client, version, expires_in, ping, session, node, data, subs } = connected;
    out.extend_from_slice(b"\"connect\":{\"client\":");
    string(out, client);
    out.extend_from_slice(b",\"version\":");
    string(out, version);
    write_expiry(out, *expires_in);
    if let Some(data) = data {
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(data);
    }
    if !subs.is_empty() {
        out.extend_from_slice(b",\"subs\":{");
        for (index, (channel, admission)) in subs.iter().enumerate() {
            separate(out, index);
            string(out, channel);
            out.push(b':');
            write_admission(out, admission);
        }
        out.push(b'}');
    }
    if *ping > 0 {
        out.extend_from_slice(b",\"ping\":");
        number(out, *ping);
        out.extend_from_slice(b",\"pong\":true");
    }
    out.extend_from_slice(b",\"session\":");
    string(out, session);
    out.extend_from_slice(b",\"node\":");
    string(out, node);
    out.push(b'}');
}

fn write_admission(out: &mut Vec<u8>, admission: &Admission) {
    let Admission { subscribed, delta, expires_in } = admission;
    out.extend_from_slice(b"{\"recoverable\":true,\"positioned\":true");
    write_position(out, &subscribed.position);
    write_expiry(out, *expires_in);
    if subscribed.was_recovering {
        out.extend_from_slice(b",\"was_recovering\":true");
    }
    if subscribed.recovered {
        out.extend_from_slice(b",\"recovered\":true");
    }
    if *delta {
        out.extend_from_slice(b",\"delta\":true");
    }
    if !subscribed.publications.is_empty() {
        out.extend_from_slice(b",\"publications\":");
        let form = if *delta { Form::Whole } else { Form::Plain };
        write_publications(out, &subscribed.publications, form);
    }
    out.push(b'}');
}

fn write_code(out: &mut Vec<u8>, code: u16, reason: &str) {
    out.extend_from_slice(b"{\"code\":");
    number(out, code.into());
    out.extend_from_slice(b",\"reason\":");
    string(out, reason);
    out.push(b'}');
}

fn write_position(out: &mut Vec<u8>, position: &Position) {
    out.extend_from_slice(b",\"epoch\":");
    string(out, position.epoch.as_str());
    out.extend_from_slice(b",\"offset\":");
    number(out, position.offset);
}

fn write_publications(out: &mut Vec<u8>, publications: &[Arc<Publication>], form: Form<'_>) {
    out.push(b'[');
    for (index, publication) in publications.iter().enumerate() {
        separate(out, index);
        write_publication(out, Item { publication, form });
    }
    out.push(b']');
}

fn write_publication(out: &mut Vec<u8>, item: Item<'_>) {
    let Publication { offset, time, data, info, id, tags, edits: _ } = item.publication;
    out.extend_from_slice(b"{\"data\":");
    match item.form {
        Form::Plain => out.extend_from_slice(data),
        Form::Whole => write_text(out, data),
        Form::Delta(delta) => {
            write_text(out, delta);
            out.extend_from_slice(b",\"delta\":true");
        }
    }
    if let Some(info) = info {
        out.extend_from_slice(b",\"info\":");
        write_info(out, info);
    }
    if *offset > 0 {
        out.extend_from_slice(b",\"offset\":");
        number(out, *offset);
    }
    if !id.is_empty() || !tags.is_empty() {
        out.extend_from_slice(b",\"tags\":{");
        let id = (!id.is_empty()).then_some((ID, id.as_str()));
        let tags = tags.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (index, (name, value)) in id.into_iter().chain(tags).enumerate() {
            separate(out, index);
            string(out, name);
            out.push(b':');
            string(out, value);
        }
        out.push(b'}');
    }
    out.extend_from_slice(b",\"time\":");
    number(out, *time);
    out.push(b'}');
}

/// JSON, or a delta between two JSON texts, as a string. Both are UTF-8: a delta that cuts a character in two is not
/// made ([`crate::centrifuge::fossil`]).
fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    string(out, &String::from_utf8_lossy(text));
}

fn write_info(out: &mut Vec<u8>, info: &ClientInfo) {
    let ClientInfo { client, user, conn_info } = info;
    out.extend_from_slice(b"{\"user\":");
    string(out, user);
    out.extend_from_slice(b",\"client\":");
    string(out, client);
    if let Some(conn_info) = conn_info {
        out.extend_from_slice(b",\"conn_info\":");
        out.extend_from_slice(conn_info);
    }
    out.push(b'}');
}

fn write_expiry(out: &mut Vec<u8>, expires_in: Option<u64>) {
    if expires_in.is_some() {
        out.push(b',');
    }
    write_end(out, expires_in);
}

fn write_end(out: &mut Vec<u8>, expires_in: Option<u64>) {
    if let Some(seconds) = expires_in {
        out.extend_from_slice(b"\"expires\":true,\"ttl\":");
        number(out, seconds);
    }
}

fn separate(out: &mut Vec<u8>, index: usize) {
    if index > 0 {
        out.push(b',');
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::centrifuge::codes;
    use crate::message::Subscribed;
    use crate::store::Epoch;

    fn parsed(line: &[u8]) -> Value {
        assert!(!line.contains(&b'\n'));
        serde_json::from_slice(line).unwrap()
    }

    proptest! {
        #[test]
        fn every_text_is_escaped(channel in any::<String>(), name in any::<String>(), id in any::<String>()) {
            let info = ClientInfo {
                client: name.clone(),
                user: name.clone(),
                conn_info: Some(Bytes::from(json!({ "name": name }).to_string())),
            };
            let publication = Publication {
                offset: 3,
                time: 4,
                data: Bytes::from_static(b"[1.50]"),
                info: Some(Arc::new(info)),
                id: id.clone(),
                tags: BTreeMap::from([(name.clone(), channel.clone())]),
                edits: Vec::new(),
            };
            let item = Item { publication: &publication, form: Form::Plain };
            let push = parsed(&encode(&Message::Push(&channel, Push::Publication(item))));
            if !channel.is_empty() {
                prop_assert_eq!(&push["push"]["channel"], &json!(channel));
            }
            let publication = &push["push"]["pub"];
            prop_assert_eq!(&publication["info"], &json!({"user": name, "client": name, "conn_info": {"name": name}}));
            if !id.is_empty() && name != "id" {
                prop_assert_eq!(&publication["tags"]["id"], &json!(id));
            }
            prop_assert_eq!(&publication["offset"], &json!(3));
        }
    }

    #[test]
    fn a_subscribe_reply_says_where_the_client_is() {
        let subscribed = Subscribed {
            position: Position { offset: 0, epoch: Epoch::new("abc") },
            publications: Vec::new(),
            was_recovering: true,
            recovered: false,
        };
        let admission = Admission { subscribed, delta: false, expires_in: None };
        let line = encode(&Message::Reply(5, Reply::Subscribe(&admission)));
        assert_eq!(
            parsed(&line),
            json!({"id": 5, "subscribe": {"recoverable": true, "positioned": true, "epoch": "abc", "offset": 0,
                "was_recovering": true}})
        );
    }

    #[test]
    fn an_error_says_whether_to_try_again() {
        let line = encode(&Message::Reply(1, Reply::Error(&Error::new(codes::INTERNAL, "a \"b\""))));
        assert_eq!(
            parsed(&line),
            json!({"id": 1, "error": {"code": 100, "message": "a \"b\"", "temporary": true}})
        );
        let line = encode(&Message::Reply(1, Reply::Error(&Error::new(codes::PERMISSION_DENIED, "no"))));
        assert_eq!(parsed(&line), json!({"id": 1, "error": {"code": 103, "message": "no"}}));
    }
}
