//! Centrifuge client protocol v2 in JSON, as a client sees it: commands out, replies and pushes in.
//!
//! One WebSocket text message holds one or more JSON objects with a line feed between them. A command has an id and the
//! reply bears the same; an object without id is a push, and an empty object is the server's ping, answered by an empty
//! object.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Json;

/// What a client may ask.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request<'a> {
    Connect(Connect<'a>),
    Subscribe(Subscribe<'a>),
    Unsubscribe(Channel<'a>),
    Publish(Publish<'a>),
    Presence(Channel<'a>),
    PresenceStats(Channel<'a>),
    History(History<'a>),
    Rpc(Rpc<'a>),
}

impl Request<'_> {
    /// The command without its id.
    pub(crate) fn body(&self) -> String {
        // Strings, numbers and checked JSON: they always have a form in JSON.
        let body = serde_json::to_string(self).unwrap_or_default();
        // A line feed would end the command. In JSON it can only stand between values, where a space does as well.
        if body.contains('\n') { body.replace('\n', " ") } else { body }
    }

    /// The command under the id that its reply will bear.
    pub(crate) fn line(&self, id: u32) -> String {
        numbered(id, &self.body())
    }
}

/// Puts `id` into the `body` of a command.
pub(crate) fn numbered(id: u32, body: &str) -> String {
    format!(r#"{{"id":{id},{}"#, body.strip_prefix('{').unwrap_or_default())
}

#[derive(Serialize)]
pub(crate) struct Connect<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<&'a Json>,
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
}

#[derive(Serialize)]
pub(crate) struct Channel<'a> {
    pub(crate) channel: &'a str,
}

#[derive(Serialize)]
pub(crate) struct Subscribe<'a> {
    pub(crate) channel: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<&'a str>,
    pub(crate) recoverable: bool,
    pub(crate) join_leave: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) recover: bool,
    #[serde(flatten)]
    pub(crate) since: Option<&'a Position>,
}

#[derive(Serialize)]
pub(crate) struct Publish<'a> {
    pub(crate) channel: &'a str,
    pub(crate) data: &'a Json,
}

#[derive(Serialize)]
pub(crate) struct History<'a> {
    pub(crate) channel: &'a str,
    pub(crate) limit: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<&'a Position>,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) reverse: bool,
}

#[derive(Serialize)]
pub(crate) struct Rpc<'a> {
    pub(crate) method: &'a str,
    pub(crate) data: &'a Json,
}

/// The argument of the RPCs `publish`, `edit` and `delete`, whose id makes repeating them harmless.
#[derive(Serialize)]
pub(crate) struct Once<'a> {
    pub(crate) id: &'a str,
    pub(crate) channel: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<&'a Json>,
}

/// A place in a room's stream of publications.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Position {
    /// Which stream: it changes when the room lost its history and counts anew.
    pub epoch: String,
    /// The last publication up to here; 0 before the first.
    pub offset: u64,
}

/// Whatever the server sends.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Reply {
    pub(crate) id: u32,
    pub(crate) error: Option<ReplyError>,
    pub(crate) push: Option<Push>,
    pub(crate) connect: Option<ConnectResult>,
    pub(crate) subscribe: Option<SubscribeResult>,
    pub(crate) presence: Option<PresenceResult>,
    pub(crate) presence_stats: Option<PresenceStats>,
    pub(crate) history: Option<Page>,
    pub(crate) rpc: Option<RpcResult>,
}

impl Reply {
    /// Whether it is the empty object.
    pub(crate) fn is_ping(&self) -> bool {
        self.id == 0 && self.error.is_none() && self.push.is_none()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct ReplyError {
    pub(crate) code: u32,
    pub(crate) message: String,
    pub(crate) temporary: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct ConnectResult {
    pub(crate) client: String,
    pub(crate) version: String,
    /// Seconds between the server's pings; 0 when it sends none.
    pub(crate) ping: u32,
    /// Whether the server wants its pings answered.
    pub(crate) pong: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct SubscribeResult {
    pub(crate) recoverable: bool,
    pub(crate) positioned: bool,
    pub(crate) recovered: bool,
    pub(crate) was_recovering: bool,
    pub(crate) epoch: String,
    pub(crate) offset: u64,
    pub(crate) publications: Vec<Publication>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct PresenceResult {
    pub(crate) presence: BTreeMap<String, Info>,
}

#[derive(Deserialize)]
pub(crate) struct RpcResult {
    #[serde(default)]
    pub(crate) data: Option<Json>,
}

/// The push that concerns a channel (or, with an empty name, the connection).
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Push {
    pub(crate) channel: String,
    #[serde(rename = "pub")]
    pub(crate) publication: Option<Publication>,
    pub(crate) join: Option<Presence>,
    pub(crate) leave: Option<Presence>,
    pub(crate) unsubscribe: Option<Farewell>,
    pub(crate) disconnect: Option<Farewell>,
    pub(crate) message: Option<Message>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Presence {
    pub(crate) info: Info,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Farewell {
    pub(crate) code: u32,
    pub(crate) reason: String,
}

#[derive(Deserialize)]
pub(crate) struct Message {
    pub(crate) data: Json,
}

/// What somebody published.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Publication {
    /// Its number in the room, from 1; 0 for what is not kept, such as a signal.
    #[serde(default)]
    pub offset: u64,
    /// When it was published, in milliseconds since 1970; 0 when the server does not say.
    #[serde(default)]
    pub time: u64,
    /// What it says.
    pub data: Json,
    /// Who published it, when a connection did.
    #[serde(default)]
    pub info: Option<Info>,
    /// What the server marks it with: the `id` that it was published under, and whether it `edits` or `deletes` another.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// Who stands behind a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Info {
    /// The user's id; empty for an anonymous one.
    pub user: String,
    /// The connection's id.
    pub client: String,
    /// What was said of the connection when it was made.
    pub conn_info: Option<Json>,
    /// What was said of it when it subscribed.
    pub chan_info: Option<Json>,
}

/// A stretch of a room's history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Page {
    /// The publications, in the order asked for.
    pub publications: Vec<Publication>,
    /// The stream's epoch.
    pub epoch: String,
    /// The last offset of the room, whatever was asked for.
    pub offset: u64,
}

/// How many are in a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PresenceStats {
    /// Connections.
    pub num_clients: u32,
    /// Different users among them.
    pub num_users: u32,
}

/// The answer to a publication with an id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Published {
    /// Its number in the room.
    pub offset: u64,
    /// The room's epoch.
    pub epoch: String,
}

pub(crate) fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(id: u32, request: Request<'_>) -> String {
        request.line(id)
    }

    #[test]
    fn commands_are_written_as_the_protocol_has_them() {
        let data = Json::from_text(r#"{"a": 1}"#).expect("well-formed");
        assert_eq!(
            written(1, Request::Connect(Connect { token: None, data: Some(&data), name: "n", version: "v" })),
            r#"{"id":1,"connect":{"data":{"a": 1},"name":"n","version":"v"}}"#
        );
        let lines = Json::from_text("[1,\n \"\\n\"]").expect("well-formed");
        assert_eq!(
            written(1, Request::Publish(Publish { channel: "c", data: &lines })),
            r#"{"id":1,"publish":{"channel":"c","data":[1,  "\n"]}}"#
        );
        let since = Position { epoch: "xyz".to_owned(), offset: 7 };
        let subscribe = |since| Subscribe {
            channel: "room",
            token: None,
            recoverable: true,
            join_leave: false,
            recover: Option::is_some(&since),
            since,
        };
        assert_eq!(
            written(2, Request::Subscribe(subscribe(None))),
            r#"{"id":2,"subscribe":{"channel":"room","recoverable":true,"join_leave":false}}"#
        );
        assert_eq!(
            written(3, Request::Subscribe(subscribe(Some(&since)))),
            r#"{"id":3,"subscribe":{"channel":"room","recoverable":true,"join_leave":false,"recover":true,"epoch":"xyz","offset":7}}"#
        );
        let history = History { channel: "room", limit: 5, since: Some(&since), reverse: false };
        assert_eq!(
            written(4, Request::History(history)),
            r#"{"id":4,"history":{"channel":"room","limit":5,"since":{"epoch":"xyz","offset":7}}}"#
        );
    }

    #[test]
    fn replies_and_pushes_are_read() {
        let push: Reply = serde_json::from_str(
            r#"{"push":{"channel":"room","pub":{"data":{"x":[1,2]},"offset":3,"info":{"user":"","client":"c"},"tags":{"id":"q"}}}}"#,
        )
        .expect("well-formed");
        let publication = push.push.and_then(|push| push.publication).expect("a publication");
        assert_eq!((publication.offset, publication.data.as_str()), (3, r#"{"x":[1,2]}"#));
        assert_eq!(publication.tags.get("id").map(String::as_str), Some("q"));
        let ping: Reply = serde_json::from_str("{}").expect("well-formed");
        assert!(ping.is_ping());
        let unknown: Reply = serde_json::from_str(r#"{"id":4,"novelty":{"a":1}}"#).expect("well-formed");
        assert!(!unknown.is_ping());
    }
}
