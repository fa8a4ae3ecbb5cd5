//! How a hub is set up, and every limit it keeps.

use std::time::Duration;

use crate::document;
use crate::namespace::Namespaces;

/// How a hub is set up. The same on every shard.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's name, as clients and the HTTP API see it.
    pub node: String,
    /// The server's version, as clients and the HTTP API see it.
    pub version: String,
    /// How often a client is pinged. Rounded down to whole seconds on the wire.
    pub ping_interval: Duration,
    /// How long after a ping a sign of life must have come, else the connection is closed with 3012.
    pub pong_timeout: Duration,
    /// How long a connection may take to send its connect command, else it is closed with 3502.
    pub connect_timeout: Duration,
    /// How long a command may wait for a room or the store, else it is answered with error 100.
    pub request_timeout: Duration,
    /// How long past its expiry a connection is kept for the refresh command, then it is closed with 3005.
    pub expiry_grace: Duration,
    /// How long after a failed write or load the hub asks the store again about that room.
    pub store_retry: Duration,
    /// What rooms keep.
    pub history: History,
    /// What clients may ask for.
    pub limits: Limits,
    /// What holds for which rooms.
    pub namespaces: Namespaces,
    /// What documents may grow to.
    pub documents: document::Limits,
}

/// What a room keeps.
#[derive(Clone, Debug)]
pub struct History {
    /// Publications that a room keeps in the store; older ones are dropped, up to an eighth of this late.
    pub kept: u64,
    /// How long a room keeps a publication, on the wall clock; without it, as long as there are not too many. An older
    /// one is told to nobody any more, and dropped from the store with the next that is published.
    pub age: Option<Duration>,
    /// Publications of a room that are kept in memory, for history and recovery without a read.
    pub in_memory: usize,
    /// Bytes of publications of a room that are kept in memory.
    pub bytes_in_memory: usize,
    /// Bytes of publications and ids that all rooms of a shard keep in memory. Past it rooms that nobody uses are
    /// unloaded, then those that are written to keep less.
    pub total_bytes_in_memory: usize,
    /// Ids of publications that a room remembers, so that a repeated publish is answered with the first one's offset.
    /// When a room is loaded, about that many of its newest publications, at most, are read for their ids.
    pub ids: usize,
    /// How long a room remembers an id, on the wall clock.
    pub id_lifetime: Duration,
}

/// The most of everything. What goes past a limit is refused; nothing else happens to the connection unless said.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of one command (one line of a frame); a longer one closes the connection with 3501.
    pub command_bytes: usize,
    /// How deep JSON may nest in a command; a deeper one closes the connection with 3501.
    pub json_depth: usize,
    /// Commands in one frame; more close the connection with 3501.
    pub commands_per_frame: usize,
    /// Bytes of a publication's data.
    pub message_bytes: usize,
    /// Bytes of a channel's name.
    pub channel_bytes: usize,
    /// Bytes of a user's id, and of what `conn_info` says of a client.
    pub info_bytes: usize,
    /// Bytes and number of the tags of a publication that comes by the HTTP API.
    pub tag_bytes: usize,
    /// Commands a client may send each second, in the long run.
    pub commands_per_second: u32,
    /// Commands a client may send at once after a silence. What comes past it is answered with error 111; this many
    /// again past it close the connection with 3013.
    pub command_burst: u32,
    /// Signals a client may send each second, and at once after a silence.
    pub signals_per_second: u32,
    /// Commands of one client that may wait for a room or the store.
    pub pending_per_session: usize,
    /// Rooms one connection may be in.
    pub rooms_per_session: usize,
    /// Connections one room may hold.
    pub sessions_per_room: usize,
    /// Rooms one shard keeps in memory.
    pub rooms: usize,
    /// How long a room that nobody is in stays in memory.
    pub room_idle: Duration,
    /// Questions of one shard that the store works on at once; others wait, in order. Each may bring as many
    /// publications into memory, in number and bytes, as one answer to history has, or as a room keeps there.
    pub reads_at_once: usize,
    /// Publications of one room that wait for the store.
    pub waiting_publications: usize,
    /// Bytes of publications of one room that wait for the store.
    pub waiting_bytes: usize,
    /// Bytes of all that is to be published in the rooms of one shard and is not stored yet, from its arrival at the
    /// room's owner on. On its way to the store a publication lies in memory twice, as it is passed on and as it is
    /// stored, and this counts it once.
    pub total_waiting_bytes: usize,
    /// Publications that go to the store in one write of one room.
    pub write_group: usize,
    /// Publications in one answer to history, and in one recovery; who missed more is not recovered.
    pub publications_per_reply: usize,
    /// Bytes of publications in one answer to history (which then ends early), and in one recovery.
    pub bytes_per_reply: usize,
    /// Members that one answer to presence names.
    pub presence_entries: usize,
    /// Members up to which a room tells joins and leaves.
    pub join_leave_members: usize,
    /// Rooms that one answer to `rooms` and to the HTTP API's `channels` names.
    pub rooms_listed: usize,
    /// Channels in one broadcast of the HTTP API.
    pub broadcast_channels: usize,
    /// Requests of the HTTP API that may wait at once on one shard.
    pub pending_api: usize,
    /// Edits of one publication.
    pub edits: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: "fourwire".into(),
            version: concat!("Fourwire ", env!("CARGO_PKG_VERSION")).into(),
            ping_interval: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(10),
            expiry_grace: Duration::from_secs(25),
            store_retry: Duration::from_secs(1),
            history: History::default(),
            limits: Limits::default(),
            namespaces: Namespaces::default(),
            documents: document::Limits::default(),
        }
    }
}

impl Default for History {
    fn default() -> Self {
        Self {
            kept: 10_000,
            age: None,
            in_memory: 512,
            bytes_in_memory: 1024 * 1024,
            total_bytes_in_memory: 256 * 1024 * 1024,
            ids: 1024,
            id_lifetime: Duration::from_secs(300),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_bytes: 128 * 1024,
            json_depth: 32,
            commands_per_frame: 256,
            message_bytes: 64 * 1024,
            channel_bytes: 255,
            info_bytes: 1024,
            tag_bytes: 1024,
            commands_per_second: 100,
            command_burst: 500,
            signals_per_second: 10,
            pending_per_session: 256,
            rooms_per_session: 128,
            sessions_per_room: 50_000,
            rooms: 10_000,
            room_idle: Duration::from_secs(60),
            reads_at_once: 8,
            waiting_publications: 4096,
            waiting_bytes: 8 * 1024 * 1024,
            // As much as eight rooms may have waiting: no room takes it all, a disk that pauses for a second while
            // sixty megabytes come is ridden out, and a server whose disk hangs stays small.
            total_waiting_bytes: 64 * 1024 * 1024,
            write_group: 128,
            publications_per_reply: 500,
            bytes_per_reply: 1024 * 1024,
            presence_entries: 1000,
            join_leave_members: 500,
            rooms_listed: 1000,
            broadcast_channels: 1000,
            pending_api: 1024,
            edits: 32,
        }
    }
}
