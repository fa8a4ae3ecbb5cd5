//! Replies and pushes, as they go to a client: one line each.

/// Writes lines.
pub(crate) mod encode {
    use std::sync::Arc;

    use super::Connected;
    use crate::api::Position;
    use crate::error::Error;
    use crate::identity::ClientInfo;
    use crate::json::{number, string};
    use crate::message::Subscribed;
    use crate::publication::{ID, Publication};

    /// A ping: the client answers with the same.
    pub(crate) const PING: &[u8] = b"{}";

    /// The reply to a command that was refused.
    pub(crate) fn error(id: u32, error: &Error) -> Vec<u8> {
        let mut out = start(id);
        out.extend_from_slice(b"\"error\":{\"code\":");
        number(&mut out, error.code.into());
        out.extend_from_slice(b",\"message\":");
        string(&mut out, &error.message);
        if error.is_temporary() {
            out.extend_from_slice(b",\"temporary\":true");
        }
        out.extend_from_slice(b"}}");
        out
    }

    /// The reply to a command that has nothing to tell: `kind` is the command's name.
    pub(crate) fn done(id: u32, kind: &str) -> Vec<u8> {
        let mut out = start(id);
        string(&mut out, kind);
        out.extend_from_slice(b":{}}");
        out
    }

    /// The reply to a connect command.
    pub(crate) fn connected(id: u32, connected: &Connected<'_>) -> Vec<u8> {
        let Connected { client, version, expires_in, ping, session, node, subscribed } = connected;
        let mut out = start(id);
        out.extend_from_slice(b"\"connect\":{\"client\":");
        string(&mut out, client);
        out.extend_from_slice(b",\"version\":");
        string(&mut out, version);
        expiry(&mut out, *expires_in);
        if !subscribed.is_empty() {
            out.extend_from_slice(b",\"subs\":{");
            for (index, (channel, subscribed)) in subscribed.iter().enumerate() {
                separate(&mut out, index);
                string(&mut out, channel);
                out.push(b':');
                write_subscribed(&mut out, subscribed);
            }
            out.push(b'}');
        }
        if *ping > 0 {
            out.extend_from_slice(b",\"ping\":");
            number(&mut out, *ping);
            out.extend_from_slice(b",\"pong\":true");
        }
        out.extend_from_slice(b",\"session\":");
        string(&mut out, session);
        out.extend_from_slice(b",\"node\":");
        string(&mut out, node);
        out.extend_from_slice(b"}}");
        out
    }

    /// The reply to a refresh command.
    pub(crate) fn refreshed(id: u32, client: &str, version: &str, expires_in: Option<u64>) -> Vec<u8> {
        let mut out = start(id);
        out.extend_from_slice(b"\"refresh\":{\"client\":");
        string(&mut out, client);
        out.extend_from_slice(b",\"version\":");
        string(&mut out, version);
        expiry(&mut out, expires_in);
        out.extend_from_slice(b"}}");
        out
    }

    /// The reply to a subscribe command.
    pub(crate) fn subscribed(id: u32, subscribed: &Subscribed) -> Vec<u8> {
        let mut out = start(id);
        out.extend_from_slice(b"\"subscribe\":");
        write_subscribed(&mut out, subscribed);
        out.push(b'}');
        out
    }

    /// The reply to a history command.
    pub(crate) fn history(id: u32, publications: &[Arc<Publication>], position: &Position) -> Vec<u8> {
        let mut out = start(id);
        out.extend_from_slice(b"\"history\":{\"publications\":");
        write_publications(&mut out, publications);
        write_position(&mut out, position);
        out.extend_from_slice(b"}}");
        out
    }

    /// The reply to a presence command.
    pub(crate) fn presence(id: u32, infos: &[Arc<ClientInfo>]) -> Vec<u8> {
        let mut out = start(id);
        out.extend_from_slice(b"\"presence\":{\"presence\":{");
        for (index, info) in infos.iter().enumerate() {
            separate(&mut out, index);
            string(&mut out, &info.client);
            out.push(b':');
            write_info(&mut out, info);
        }
        out.extend_from_slice(b"}}}");
        out
    }

    /// The reply to a presence_stats command.
    pub(crate) fn presence_stats(id: u32, clients: u64, users: u64) -> Vec<u8> {
        let mut out = start(id);
        out.extend_from_slice(b"\"presence_stats\":{\"num_clients\":");
        number(&mut out, clients);
        out.extend_from_slice(b",\"num_users\":");
        number(&mut out, users);
        out.extend_from_slice(b"}}");
        out
    }

    /// The reply to an rpc command; `data` is JSON on one line.
    pub(crate) fn rpc(id: u32, data: &[u8]) -> Vec<u8> {
        let mut out = start(id);
        out.extend_from_slice(b"\"rpc\":{\"data\":");
        out.extend_from_slice(data);
        out.extend_from_slice(b"}}");
        out
    }

    /// `{"offset":…,"epoch":…}`: what our own publish methods answer.
    pub(crate) fn position(position: &Position) -> Vec<u8> {
        let mut out = b"{\"offset\":".to_vec();
        number(&mut out, position.offset);
        out.extend_from_slice(b",\"epoch\":");
        string(&mut out, position.epoch.as_str());
        out.push(b'}');
        out
    }

    /// A push: something was published.
    pub(crate) fn published(channel: &str, publication: &Publication) -> Vec<u8> {
        let mut out = start_push(channel, publication.data.len() + 256);
        out.extend_from_slice(b",\"pub\":");
        write_publication(&mut out, publication);
        out.extend_from_slice(b"}}");
        out
    }

    /// A push: somebody has come (`join`) or gone (`leave`).
    pub(crate) fn presence_changed(channel: &str, kind: &str, info: &ClientInfo) -> Vec<u8> {
        let mut out = start_push(channel, 256);
        out.push(b',');
        string(&mut out, kind);
        out.extend_from_slice(b":{\"info\":");
        write_info(&mut out, info);
        out.extend_from_slice(b"}}}");
        out
    }

    /// A push: the client was taken out of a room.
    pub(crate) fn unsubscribed(channel: &str, code: u16, reason: &str) -> Vec<u8> {
        let mut out = start_push(channel, 64);
        out.extend_from_slice(b",\"unsubscribe\":{\"code\":");
        number(&mut out, code.into());
        out.extend_from_slice(b",\"reason\":");
        string(&mut out, reason);
        out.extend_from_slice(b"}}}");
        out
    }

    fn start(id: u32) -> Vec<u8> {
        let mut out = b"{\"id\":".to_vec();
        number(&mut out, id.into());
        out.push(b',');
        out
    }

    fn start_push(channel: &str, capacity: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(capacity + channel.len());
        out.extend_from_slice(b"{\"push\":{\"channel\":");
        string(&mut out, channel);
        out
    }

    fn write_subscribed(out: &mut Vec<u8>, subscribed: &Subscribed) {
        let Subscribed { position, publications, was_recovering, recovered } = subscribed;
        out.extend_from_slice(b"{\"recoverable\":true,\"positioned\":true");
        write_position(out, position);
        if *was_recovering {
            out.extend_from_slice(b",\"was_recovering\":true");
        }
        if *recovered {
            out.extend_from_slice(b",\"recovered\":true");
        }
        if !publications.is_empty() {
            out.extend_from_slice(b",\"publications\":");
            write_publications(out, publications);
        }
        out.push(b'}');
    }

    fn write_position(out: &mut Vec<u8>, position: &Position) {
        out.extend_from_slice(b",\"epoch\":");
        string(out, position.epoch.as_str());
        out.extend_from_slice(b",\"offset\":");
        number(out, position.offset);
    }

    fn write_publications(out: &mut Vec<u8>, publications: &[Arc<Publication>]) {
        out.push(b'[');
        for (index, publication) in publications.iter().enumerate() {
            separate(out, index);
            write_publication(out, publication);
        }
        out.push(b']');
    }

    fn write_publication(out: &mut Vec<u8>, publication: &Publication) {
        let Publication { offset, time, data, info, id, tags, edits: _ } = publication;
        out.extend_from_slice(b"{\"data\":");
        out.extend_from_slice(data);
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

    fn expiry(out: &mut Vec<u8>, expires_in: Option<u64>) {
        if let Some(seconds) = expires_in {
            out.extend_from_slice(b",\"expires\":true,\"ttl\":");
            number(out, seconds);
        }
    }

    fn separate(out: &mut Vec<u8>, index: usize) {
        if index > 0 {
            out.push(b',');
        }
    }
}

use std::sync::Arc;

use crate::message::Subscribed;

/// What a client learns when it is connected.
#[derive(Debug)]
pub(crate) struct Connected<'a> {
    pub(crate) client: &'a str,
    pub(crate) version: &'a str,
    /// Seconds, for an identity that ends.
    pub(crate) expires_in: Option<u64>,
    /// Seconds between pings; zero for none.
    pub(crate) ping: u64,
    pub(crate) session: &'a str,
    pub(crate) node: &'a str,
    /// The rooms it is in from its start.
    pub(crate) subscribed: &'a [(Arc<str>, Subscribed)],
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::api::Position;
    use crate::centrifuge::codes;
    use crate::error::Error;
    use crate::identity::ClientInfo;
    use crate::publication::Publication;
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
            let push = parsed(&encode::published(&channel, &publication));
            prop_assert_eq!(&push["push"]["channel"], &json!(channel));
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
        let line = encode::subscribed(5, &subscribed);
        assert_eq!(
            parsed(&line),
            json!({"id": 5, "subscribe": {"recoverable": true, "positioned": true, "epoch": "abc", "offset": 0,
                "was_recovering": true}})
        );
    }

    #[test]
    fn an_error_says_whether_to_try_again() {
        let line = encode::error(1, &Error::new(codes::INTERNAL, "a \"b\""));
        assert_eq!(
            parsed(&line),
            json!({"id": 1, "error": {"code": 100, "message": "a \"b\"", "temporary": true}})
        );
        let line = encode::error(1, &Error::new(codes::PERMISSION_DENIED, "no"));
        assert_eq!(parsed(&line), json!({"id": 1, "error": {"code": 103, "message": "no"}}));
    }
}
