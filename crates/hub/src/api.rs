//! Requests of the HTTP API as values, shaped after Centrifugo's server API.

use std::collections::BTreeMap;

use bytes::Bytes;
use host::WallTime;

pub use crate::error::Error;
use crate::identity::ClientInfo;
use crate::store::Epoch;

/// What a program behind the HTTP API asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Publishes into one room. Answered by [`Answer::Published`].
    Publish {
        /// The room.
        channel: String,
        /// What.
        publication: NewPublication,
    },
    /// Publishes into several rooms. Answered by [`Answer::Broadcast`].
    Broadcast {
        /// The rooms.
        channels: Vec<String>,
        /// What.
        publication: NewPublication,
    },
    /// Asks for a room's publications. Answered by [`Answer::History`].
    History {
        /// The room.
        channel: String,
        /// At most how many; zero asks for the position alone.
        limit: usize,
        /// After which one (with `reverse`: before which one), and of which epoch; an empty epoch is any.
        since: Option<(u64, String)>,
        /// Newest first.
        reverse: bool,
    },
    /// Asks who is in a room. Answered by [`Answer::Presence`].
    Presence {
        /// The room.
        channel: String,
    },
    /// Asks how many are in a room. Answered by [`Answer::PresenceStats`].
    PresenceStats {
        /// The room.
        channel: String,
    },
    /// Asks which rooms there are. Answered by [`Answer::Channels`].
    Channels {
        /// Only rooms whose names match; `*` stands for any characters. Empty for all.
        pattern: String,
    },
    /// Asks about the node. Answered by [`Answer::Info`].
    Info,
    /// Closes connections. Answered by [`Answer::Done`].
    Disconnect {
        /// Which connections.
        target: Target,
        /// Whether the client may come back by itself: code 3011 if so, else 3503.
        reconnect: bool,
    },
    /// Takes connections out of a room. Answered by [`Answer::Done`].
    Unsubscribe {
        /// The room.
        channel: String,
        /// Which connections.
        target: Target,
    },
    /// Takes connections into a room, whatever their own rights are. Answered by [`Answer::Done`].
    Subscribe {
        /// The room.
        channel: String,
        /// Which connections.
        target: Target,
    },
    /// Says until when connections are who they are. Answered by [`Answer::Done`].
    Refresh {
        /// Which connections.
        target: Target,
        /// Until when.
        refresh: Refresh,
    },
}

/// What becomes of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// It is over: the connection is closed with 3005.
    Expired,
    /// It ends then.
    Until(WallTime),
    /// It does not end.
    Forever,
}

/// Which connections a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Those of this user.
    pub user: String,
    /// And only the one with this client id, unless empty.
    pub client: String,
}

/// What is to be published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewPublication {
    /// JSON. White space outside of strings is taken out.
    pub data: Bytes,
    /// Words for the clients' use.
    pub tags: BTreeMap<String, String>,
    /// Publishes into one room with one key are one publication, as long as ids are remembered. Empty for none.
    pub idempotency_key: String,
}

/// What the hub answers.
pub type Reply = Result<Answer, Error>;

/// A request that was fulfilled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is stored, at this position.
    Published(Position),
    /// For each channel, in the order of the request.
    Broadcast(Vec<Result<Position, Error>>),
    /// What was asked for, and the room's position.
    History {
        /// In the order asked for.
        publications: Vec<Publication>,
        /// Of the newest publication in the room.
        position: Position,
    },
    /// Who is in the room, by client id; at most as many as the limits say.
    Presence(BTreeMap<String, ClientInfo>),
    /// How many are in the room.
    PresenceStats {
        /// Connections.
        clients: u64,
        /// Users, of which one may have many connections.
        users: u64,
    },
    /// Rooms by name, with how many connections are in each; at most as many as the limits say.
    Channels(BTreeMap<String, u64>),
    /// About the node.
    Info(NodeInfo),
    /// It is done.
    Done,
}

/// A place in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Of the publication; zero before the first.
    pub offset: u64,
    /// Of the room.
    pub epoch: Epoch,
}

/// A publication as a program sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publication {
    /// Its place in the room.
    pub offset: u64,
    /// When it was published, in milliseconds since 1970.
    pub time: u64,
    /// JSON; `null` once it was deleted.
    pub data: Bytes,
    /// Who published it; none for the HTTP API.
    pub info: Option<ClientInfo>,
    /// Words for the clients' use.
    pub tags: BTreeMap<String, String>,
}

/// About the node: summed over its shards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its name.
    pub name: String,
    /// The server's version.
    pub version: String,
    /// Connections.
    pub clients: u64,
    /// Users, counted once on each shard they are connected to.
    pub users: u64,
    /// Rooms in memory.
    pub channels: u64,
    /// Rooms that connections are in, summed over the connections.
    pub subscriptions: u64,
    /// Seconds since the hub was made.
    pub uptime: u64,
}
