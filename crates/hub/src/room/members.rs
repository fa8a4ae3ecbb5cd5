//! Who is in a room.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::hub::SessionId;
use crate::identity::ClientInfo;

/// The connections in a room, on all shards.
#[derive(Debug)]
pub(crate) struct Members {
    sessions: BTreeMap<(usize, SessionId), Member>,
    /// How many connections each user has here.
    users: BTreeMap<String, u64>,
    shards: Vec<OnShard>,
}

#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) info: Arc<ClientInfo>,
    /// Whether it wants to hear of others coming and going.
    pub(crate) join_leave: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct OnShard {
    sessions: usize,
    listeners: usize,
}

impl Members {
    pub(crate) fn new(shards: usize) -> Self {
        Self { sessions: BTreeMap::new(), users: BTreeMap::new(), shards: vec![OnShard::default(); shards] }
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    pub(crate) fn users(&self) -> usize {
        self.users.len()
    }

    /// At most `limit` of them.
    pub(crate) fn infos(&self, limit: usize) -> Vec<Arc<ClientInfo>> {
        self.sessions.values().take(limit).map(|member| member.info.clone()).collect()
    }

    /// The shards that have members.
    pub(crate) fn shards(&self) -> Vec<usize> {
        (0..self.shards.len()).filter(|&shard| self.shards[shard].sessions > 0).collect()
    }

    /// The shards that have members who want to hear of others coming and going.
    pub(crate) fn listening_shards(&self) -> Vec<usize> {
        (0..self.shards.len()).filter(|&shard| self.shards[shard].listeners > 0).collect()
    }

    /// Lets a session in. What it said of itself when it was in already is replaced.
    pub(crate) fn insert(&mut self, shard: usize, session: SessionId, member: Member) {
        self.remove(shard, session);
        *self.users.entry(member.info.user.clone()).or_default() += 1;
        self.shards[shard].sessions += 1;
        self.shards[shard].listeners += usize::from(member.join_leave);
        self.sessions.insert((shard, session), member);
    }

    pub(crate) fn remove(&mut self, shard: usize, session: SessionId) -> Option<Member> {
        let member = self.sessions.remove(&(shard, session))?;
        if let Some(count) = self.users.get_mut(&member.info.user) {
            *count -= 1;
            if *count == 0 {
                self.users.remove(&member.info.user);
            }
        }
        self.shards[shard].sessions -= 1;
        self.shards[shard].listeners -= usize::from(member.join_leave);
        Some(member)
    }

    pub(crate) fn on_shard(&self, shard: usize) -> BTreeSet<SessionId> {
        self.sessions.keys().filter(|(on, _)| *on == shard).map(|&(_, session)| session).collect()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.shards.len());
    }
}
