//! Commands, as they come from a client: one model, whatever they were written in.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// One command of a frame.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    /// An empty command: the answer to a ping.
    Pong,
    /// A command that wants a reply with this id, which is not zero.
    Command(u32, Command<'a>),
    /// `send`: a message that wants no reply.
    Send,
}

/// The protocol's commands.
#[derive(Debug)]
pub(crate) enum Command<'a> {
    Connect(Connect<'a>),
    Subscribe(Subscribe<'a>),
    Unsubscribe(Channel<'a>),
    Publish(Publish<'a>),
    Presence(Channel<'a>),
    PresenceStats(Channel<'a>),
    History(History<'a>),
    Ping,
    Rpc(Method<'a>),
    Refresh(Refresh<'a>),
    SubRefresh(SubRefresh<'a>),
}

/// What an application says, as it came: JSON where commands are JSON, and anything in Protobuf.
pub(crate) type Data<'a> = Cow<'a, [u8]>;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Connect<'a> {
    #[serde(borrow)]
    pub(crate) token: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "raw")]
    pub(crate) data: Option<Data<'a>>,
    #[serde(borrow)]
    pub(crate) subs: BTreeMap<Cow<'a, str>, Subscribe<'a>>,
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) version: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) headers: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Subscribe<'a> {
    #[serde(borrow)]
    pub(crate) channel: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) token: Cow<'a, str>,
    pub(crate) recover: bool,
    #[serde(borrow)]
    pub(crate) epoch: Cow<'a, str>,
    pub(crate) offset: u64,
    #[serde(borrow, deserialize_with = "raw")]
    pub(crate) data: Option<Data<'a>>,
    pub(crate) join_leave: bool,
    #[serde(borrow)]
    pub(crate) delta: Cow<'a, str>,
    /// Whether it wants only publications with certain tags.
    #[serde(rename = "tf", deserialize_with = "is_there")]
    pub(crate) filters: bool,
    pub(crate) flag: i64,
    #[serde(rename = "type")]
    pub(crate) kind: i32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Channel<'a> {
    #[serde(borrow)]
    pub(crate) channel: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Publish<'a> {
    #[serde(borrow)]
    pub(crate) channel: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "raw")]
    pub(crate) data: Option<Data<'a>>,
    #[serde(rename = "type")]
    pub(crate) kind: i32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct History<'a> {
    #[serde(borrow)]
    pub(crate) channel: Cow<'a, str>,
    pub(crate) limit: i32,
    #[serde(borrow)]
    pub(crate) since: Option<Position<'a>>,
    pub(crate) reverse: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Position<'a> {
    pub(crate) offset: u64,
    #[serde(borrow)]
    pub(crate) epoch: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Method<'a> {
    #[serde(borrow)]
    pub(crate) method: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "raw")]
    pub(crate) data: Option<Data<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Refresh<'a> {
    #[serde(borrow)]
    pub(crate) token: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SubRefresh<'a> {
    #[serde(borrow)]
    pub(crate) channel: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) token: Cow<'a, str>,
    #[serde(rename = "type")]
    pub(crate) kind: i32,
}

impl Command<'_> {
    /// The command's name, for metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Subscribe(_) => "subscribe",
            Self::Unsubscribe(_) => "unsubscribe",
            Self::Publish(_) => "publish",
            Self::Presence(_) => "presence",
            Self::PresenceStats(_) => "presence_stats",
            Self::History(_) => "history",
            Self::Ping => "ping",
            Self::Rpc(_) => "rpc",
            Self::Refresh(_) => "refresh",
            Self::SubRefresh(_) => "sub_refresh",
        }
    }
}

/// A JSON value as it stands, also when it is `null`.
fn raw<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Data<'de>>, D::Error> {
    let value = <&RawValue>::deserialize(deserializer)?;
    Ok(Some(Cow::Borrowed(value.get().as_bytes())))
}

fn is_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    <&RawValue>::deserialize(deserializer).map(|_| true)
}
