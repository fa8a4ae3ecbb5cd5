//! What goes to a client: one model, whatever it is written in.

use std::sync::Arc;

use crate::api::Position;
use crate::error::Error;
use crate::identity::ClientInfo;
use crate::message::Subscribed;
use crate::publication::Publication;

/// One reply or push.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Message<'a> {
    /// The client answers with an empty command.
    Ping,
    /// The reply to the command with this id.
    Reply(u32, Reply<'a>),
    /// Something that happened in this channel, or, where that is empty, to the connection.
    Push(&'a str, Push<'a>),
}

/// What became of a command.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply<'a> {
    Error(&'a Error),
    /// Done, and there is nothing to tell.
    Done(Done),
    Connect(Connected<'a>),
    Subscribe(&'a Admission),
    Presence(&'a [Arc<ClientInfo>]),
    PresenceStats {
        clients: u64,
        users: u64,
    },
    History {
        publications: &'a [Arc<Publication>],
        position: &'a Position,
    },
    /// The data is JSON on one line.
    Rpc(&'a [u8]),
    Refresh {
        client: &'a str,
        version: &'a str,
        /// Seconds, for an identity that ends.
        expires_in: Option<u64>,
    },
    SubRefresh {
        /// Seconds, for a subscription that ends.
        expires_in: Option<u64>,
    },
}

/// A command that has nothing to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    Unsubscribe,
    Publish,
    Ping,
}

/// What a client learns when it is connected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connected<'a> {
    pub(crate) client: &'a str,
    pub(crate) version: &'a str,
    /// Seconds, for an identity that ends.
    pub(crate) expires_in: Option<u64>,
    /// Seconds between pings; zero for none.
    pub(crate) ping: u64,
    pub(crate) session: &'a str,
    pub(crate) node: &'a str,
    /// What the application has to say, JSON.
    pub(crate) data: Option<&'a [u8]>,
    /// The rooms it is in from its start.
    pub(crate) subs: &'a [(Arc<str>, Admission)],
}

/// What a client learns when it is in a room.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    pub(crate) subscribed: Subscribed,
    /// Whether publications come as deltas.
    pub(crate) delta: bool,
    /// Seconds, for a subscription that ends.
    pub(crate) expires_in: Option<u64>,
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Push<'a> {
    Publication(Item<'a>),
    Join(&'a ClientInfo),
    Leave(&'a ClientInfo),
    /// The client was taken into the room.
    Subscribe(&'a Position),
    /// The client is who it is for so many seconds, or as long as it stays.
    Refresh {
        expires_in: Option<u64>,
    },
    /// The client was taken out of the room.
    Unsubscribe {
        code: u16,
        reason: &'a str,
    },
    /// The connection is closed by what carries no close codes of its own.
    Disconnect {
        code: u16,
        reason: &'a str,
    },
}

/// A publication, and how its data is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    pub(crate) publication: &'a Publication,
    pub(crate) form: Form<'a>,
}

/// How the data of a publication is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form<'a> {
    /// As it is.
    Plain,
    /// As it is, to a client that takes deltas; in JSON that is a string with the data's text.
    Whole,
    /// As the difference from the publication before.
    Delta(&'a [u8]),
}
