//! What holds for some rooms and not for others: rooms whose names begin alike, up to a colon, are a namespace.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::config::History;

/// What holds for which rooms.
#[derive(Clone, Debug, Default)]
pub struct Namespaces {
    /// For rooms of no namespace, and of those that are not listed.
    pub default: Namespace,
    /// By name: for `chat:lobby` and `$chat:lobby`, that of `chat`.
    pub named: BTreeMap<String, Namespace>,
}

/// What holds for some rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// What becomes of a publication before it is acknowledged and passed on.
    pub durable: Durable,
    /// Publications that a room keeps, if other than the hub keeps by itself ([`crate::History::kept`]).
    pub kept: Option<u64>,
    /// How long a room keeps a publication, on the wall clock.
    pub age: Option<Duration>,
    /// Who may enter a room without a token for it. Where nobody's identity is checked, everybody may.
    pub subscribe: Right,
    /// Who may publish.
    pub publish: Right,
    /// Who may ask for what was published.
    pub history: Right,
    /// Who may ask who is in a room.
    pub presence: Right,
    /// Whether those who want to hear of others coming and going do.
    pub join_leave: bool,
    /// Whether publications come as differences to those who ask for that.
    pub delta: bool,
}

impl Default for Namespace {
    fn default() -> Self {
        Self {
            durable: Durable::Sync,
            kept: None,
            age: None,
            subscribe: Right::Anybody,
            publish: Right::Anybody,
            history: Right::Anybody,
            presence: Right::Anybody,
            join_leave: true,
            delta: true,
        }
    }
}

/// When a publication is acknowledged and passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durable {
    /// Once it is on the disk: what anybody has seen survives a crash.
    #[default]
    Sync,
    /// At once; it is never on the disk. When nobody has used the room for a while ([`crate::Limits::room_idle`]), and
    /// after a restart, it is empty and has another epoch.
    Memory,
}

impl Durable {
    /// The word for it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Memory => "memory",
        }
    }
}

/// Who may do something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Every client.
    #[default]
    Anybody,
    /// Clients whose token names a user.
    Users,
    /// Clients that are in the room.
    Members,
    /// No client; for entering: only with a token for the room.
    Nobody,
}

impl Right {
    /// Whether a client has it that is in the room or not, and somebody or nobody in particular.
    pub(crate) fn is_of(self, is_member: bool, user: &str) -> bool {
        match self {
            Self::Anybody => true,
            Self::Users => !user.is_empty(),
            Self::Members => is_member,
            Self::Nobody => false,
        }
    }
}

impl Namespace {
    /// What a room keeps, where rooms by themselves keep `history`.
    pub(crate) fn history(&self, history: &History) -> History {
        let kept = self.kept.unwrap_or(history.kept);
        let in_memory = history.in_memory.min(usize::try_from(kept).unwrap_or(usize::MAX));
        History { kept, in_memory, age: self.age.or(history.age), ..history.clone() }
    }
}

impl Namespaces {
    /// What holds for a room.
    pub fn of(&self, channel: &str) -> &Namespace {
        let name = channel.strip_prefix(PRIVATE).unwrap_or(channel).split_once(':');
        name.and_then(|(name, _)| self.named.get(name)).unwrap_or(&self.default)
    }
}

/// Rooms whose names begin with it are entered with a token only.
const PRIVATE: char = '$';

/// After it, a room's name lists the users who may enter.
const USERS: char = '#';

/// Whether a room is entered with a token only.
pub(crate) fn is_private(channel: &str) -> bool {
    channel.starts_with(PRIVATE)
}

/// Whether a room is for some users only, and `user` none of them.
pub(crate) fn keeps_out(channel: &str, user: &str) -> bool {
    channel.rsplit_once(USERS).is_some_and(|(_, users)| users.split(',').all(|listed| listed != user))
}

/// Whether a room's name says who may enter: then it also says who may do anything else there.
pub(crate) fn is_limited(channel: &str) -> bool {
    is_private(channel) || channel.contains(USERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_of_the_namespace_before_its_first_colon() {
        let chat = Namespace { kept: Some(7), ..Namespace::default() };
        let namespaces =
            Namespaces { default: Namespace::default(), named: [("chat".into(), chat.clone())].into() };
        for name in ["chat:lobby", "$chat:lobby", "chat:a:b", "chat:"] {
            assert_eq!(namespaces.of(name), &chat, "{name}");
        }
        for name in ["chat", "other:chat", "", ":chat", "lobby"] {
            assert_eq!(namespaces.of(name), &namespaces.default, "{name}");
        }
    }

    #[test]
    fn a_name_lists_who_may_enter() {
        assert!(!keeps_out("dialog#ada,bob", "ada") && !keeps_out("a#b#ada", "ada"));
        assert!(
            keeps_out("dialog#ada,bob", "eve") && keeps_out("dialog#ada", "") && keeps_out("a#b#ada", "b")
        );
        assert!(!keeps_out("dialog", "eve"));
        assert!(is_private("$ada") && !is_private("a$da"));
    }
}
