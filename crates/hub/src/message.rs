//! What the hubs of a machine's shards say to each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::api::{Position, Refresh, Target};
use crate::budget::Share;
use crate::document::DocumentMessage;
use crate::error::Error;
use crate::hub::SessionId;
use crate::identity::ClientInfo;
use crate::publication::{Author, Publication, tags_size};

/// A message from one shard's hub to another's. The driver carries it and need not look inside.
#[derive(Clone, Debug)]
pub struct ShardMessage(pub(crate) Message);

impl ShardMessage {
    /// Bytes of the publications that it brings, about: what makes some messages much larger than others. Answers count
    /// nothing: what they bring the room has in memory anyway, or the store was asked for, which is bounded where it is
    /// asked.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Message::Ask { question: Question::Publish(draft) | Question::Change { draft, .. }, .. } => {
                draft.size()
            }
            Message::Signal { publication, .. } => publication.size(),
            Message::Published { publications, .. } => {
                publications.iter().map(|publication| publication.size()).sum()
            }
            Message::Document(message) => message.bytes(),
            Message::Ask { .. }
            | Message::Leave { .. }
            | Message::Count { .. }
            | Message::Disconnect { .. }
            | Message::Unsubscribe { .. }
            | Message::Subscribe { .. }
            | Message::Refresh { .. }
            | Message::Answer { .. }
            | Message::Joined { .. }
            | Message::Left { .. }
            | Message::Evicted { .. }
            | Message::Forgotten => 0,
        }
    }
}

/// What is said.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    /// To a room's owner: a question, which is answered by [`Message::Answer`] with its ticket.
    Ask { ticket: u64, channel: Arc<str>, question: Question },
    /// To a room's owner: the session is out of the room, or does not want to come in any more.
    Leave { channel: Arc<str>, session: SessionId },
    /// To a room's owner: pass this on to all who are in the room.
    Signal { channel: Arc<str>, publication: Arc<Publication> },
    /// To all: what do you have? Answered by [`Message::Answer`] with its ticket.
    Count { ticket: u64, rooms: bool },
    /// To all: close these connections.
    Disconnect { target: Target, reconnect: bool },
    /// To all: take these connections into the room.
    Subscribe { channel: Arc<str>, target: Target },
    /// To all: these connections are who they are until then.
    Refresh { target: Target, refresh: Refresh },
    /// To all: take these connections out of the room.
    Unsubscribe { channel: Arc<str>, target: Target },

    /// About a document.
    Document(DocumentMessage),

    /// From whoever was asked.
    Answer { ticket: u64, answer: Result<Answer, Error> },
    /// From a room's owner: these were published, in this order.
    Published { channel: Arc<str>, publications: Vec<Arc<Publication>> },
    /// From a room's owner: somebody has come.
    Joined { channel: Arc<str>, info: Arc<ClientInfo> },
    /// From a room's owner: somebody has gone.
    Left { channel: Arc<str>, info: Arc<ClientInfo> },
    /// From a room's owner: the room is not what it was; whoever is in it is out, and should come again.
    Evicted { channel: Arc<str> },
    /// From a shard that lost messages of the receiver: it has forgotten the receiver's sessions.
    Forgotten,
}

/// Who asked, and by which ticket the answer finds its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) shard: usize,
    pub(crate) ticket: u64,
}

/// What a room's owner is asked.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    /// Let this session in.
    Subscribe {
        session: SessionId,
        info: Arc<ClientInfo>,
        join_leave: bool,
        recover: Option<Recover>,
    },
    Publish(Draft),
    /// Edit or delete what was published.
    Change {
        draft: Draft,
        target: u64,
        change: Change,
    },
    History {
        limit: usize,
        since: Option<Since>,
        reverse: bool,
    },
    Presence,
    PresenceStats,
}

impl Question {
    /// What it would have published.
    pub(crate) fn draft(&mut self) -> Option<&mut Draft> {
        match self {
            Self::Publish(draft) | Self::Change { draft, .. } => Some(draft),
            Self::Subscribe { .. } | Self::History { .. } | Self::Presence | Self::PresenceStats => None,
        }
    }
}

/// What is to be published.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) author: Author,
    pub(crate) info: Option<Arc<ClientInfo>>,
    /// Empty for none.
    pub(crate) id: String,
    pub(crate) data: Bytes,
    pub(crate) tags: BTreeMap<String, String>,
    /// The memory that it is counted for, once it waits at the room's owner.
    pub(crate) share: Share,
}

impl Draft {
    /// Bytes that it takes in memory, about, with what all who publish have in common; not less than its record has.
    pub(crate) fn size(&self) -> usize {
        let Self { author, info, id, data, tags, share: _ } = self;
        let author = match author {
            Author::Program => 0,
            Author::User(user) => user.len(),
        };
        let info = info.as_ref().map_or(0, |info| info.size());
        size_of::<Self>() + author + info + id.len() + data.len() + tags_size(tags)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Edit,
    Delete,
}

/// A client's position. An empty epoch is any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Since {
    pub(crate) offset: u64,
    pub(crate) epoch: String,
}

impl Since {
    /// More than any epoch of ours has, in bytes.
    const EPOCH_BYTES: usize = 64;

    /// The position that a client names. What is longer than any epoch is none, and the rest of it need not wait with
    /// the question.
    pub(crate) fn new(offset: u64, epoch: &str) -> Self {
        Self { offset, epoch: epoch[..epoch.floor_char_boundary(Self::EPOCH_BYTES)].to_owned() }
    }
}

/// What a client wants that comes back.
#[derive(Clone, Debug)]
pub(crate) struct Recover {
    pub(crate) since: Since,
    /// Rather stay out than come in without what was missed.
    pub(crate) or_refuse: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Subscribed(Subscribed),
    Published(Position),
    History { publications: Vec<Arc<Publication>>, position: Position },
    Presence(Vec<Arc<ClientInfo>>),
    PresenceStats { clients: u64, users: u64 },
    Counted(Count),
}

/// What a session learns when it comes into a room. What is published from here on follows.
#[derive(Clone, Debug)]
pub(crate) struct Subscribed {
    pub(crate) position: Position,
    /// What was missed, when `recovered`.
    pub(crate) publications: Vec<Arc<Publication>>,
    pub(crate) was_recovering: bool,
    pub(crate) recovered: bool,
}

/// What a shard has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Count {
    /// Rooms with their members, when asked for.
    pub(crate) rooms: Vec<(Arc<str>, u64)>,
    pub(crate) clients: u64,
    pub(crate) users: u64,
    pub(crate) channels: u64,
    pub(crate) subscriptions: u64,
}
