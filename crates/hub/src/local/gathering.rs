//! Answers that are made up of many: from all shards, or of many rooms.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::session::Stage;
use super::{Local, Who};
use crate::api::{self, NodeInfo, Position};
use crate::centrifuge::{Message, Reply, codes};
use crate::context::{Context, Purpose};
use crate::counters::Counters;
use crate::document::END_OF_RESERVED;
use crate::error::Error;
use crate::hub::SessionId;
use crate::json;
use crate::message::{self, Answer, Count};
use crate::store::{Operation, Outcome, StoreError};

/// Answers of which some are missing.
#[derive(Debug)]
pub(super) struct Gathering {
    asked: Asked,
    missing: usize,
    parts: Parts,
}

/// Who wants them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    Command { session: SessionId, id: u32 },
    Program(u64),
}

#[derive(Debug)]
enum Parts {
    Rooms { rooms: BTreeMap<Arc<str>, u64>, pattern: String },
    Info(NodeInfo),
    Broadcast(Vec<Result<Position, Error>>),
}

impl Local {
    /// Asks all shards for the rooms in memory, and the store for the others.
    pub(super) fn gather_rooms(&mut self, asked: Asked, pattern: String, context: &mut Context<'_>) {
        let parts = Parts::Rooms { rooms: BTreeMap::new(), pattern };
        let gathering = self.start(asked, parts, context.shard.count + 1);
        self.ask_all(gathering, true, context);
        let limit = context.config.limits.rooms_listed;
        let after = Some(END_OF_RESERVED.to_owned());
        context.ask_store(Operation::Rooms { after, limit }, Purpose::Names { gathering });
    }

    /// Asks all shards about themselves.
    pub(super) fn gather_info(&mut self, asked: Asked, context: &mut Context<'_>) {
        let info = NodeInfo {
            name: context.config.node.clone(),
            version: context.config.version.clone(),
            uptime: self.started.map_or(0, |started| context.now.since(started).as_secs()),
            ..NodeInfo::default()
        };
        let gathering = self.start(asked, Parts::Info(info), context.shard.count);
        self.ask_all(gathering, false, context);
    }

    /// Prepares for the answers of so many rooms; they come as parts of the gathering that is returned.
    pub(super) fn gather_broadcast(&mut self, asked: Asked, rooms: usize) -> u64 {
        let missing = Error::new(codes::INTERNAL, "the room has not answered");
        self.start(asked, Parts::Broadcast(vec![Err(missing); rooms]), rooms)
    }

    /// A part has come.
    pub(super) fn gathered(
        &mut self,
        gathering: u64,
        part: usize,
        answer: Result<Answer, Error>,
        context: &mut Context<'_>,
    ) {
        let limit = context.config.limits.rooms_listed;
        let Some(found) = self.gatherings.get_mut(&gathering) else { return };
        match (&mut found.parts, answer) {
            (Parts::Rooms { rooms, .. }, Ok(Answer::Counted(count))) => {
                // Those with members first: a name from the store must not push them out.
                for (channel, members) in count.rooms {
                    rooms.insert(channel, members);
                }
                shorten(rooms, limit);
            }
            (Parts::Info(info), Ok(Answer::Counted(count))) => {
                info.clients += count.clients;
                info.users += count.users;
                info.channels += count.channels;
                info.subscriptions += count.subscriptions;
            }
            (Parts::Broadcast(results), answer) => {
                let result = match answer {
                    Ok(Answer::Published(position)) => Ok(position),
                    Ok(_) => {
                        Err(Error::new(codes::INTERNAL, "the room answered another question: try again"))
                    }
                    Err(error) => Err(error),
                };
                if let Some(place) = results.get_mut(part) {
                    *place = result;
                }
            }
            // A shard that does not answer is missing in the sum.
            (Parts::Rooms { .. } | Parts::Info(_), _) => {}
        }
        self.one_less(gathering, context);
    }

    /// The store has named its rooms.
    pub(crate) fn named(
        &mut self,
        gathering: u64,
        outcome: Result<Outcome, StoreError>,
        context: &mut Context<'_>,
    ) {
        let limit = context.config.limits.rooms_listed;
        if let Some(Gathering { parts: Parts::Rooms { rooms, .. }, .. }) = self.gatherings.get_mut(&gathering)
            && let Ok(Outcome::Rooms(names)) = outcome
        {
            for name in names {
                rooms.entry(name.into()).or_insert(0);
            }
            shorten(rooms, limit);
        }
        self.one_less(gathering, context);
    }

    /// What this shard has, with `rooms` of its owner if asked for.
    pub(crate) fn count(&self, rooms: Vec<(Arc<str>, u64)>, channels: usize) -> Count {
        let users: std::collections::BTreeSet<&str> =
            self.sessions.iter().map(|session| session.info.user.as_str()).collect();
        Count {
            rooms,
            clients: self.sessions.len() as u64,
            users: users.len() as u64,
            channels: channels as u64,
            subscriptions: self.subscribers.len() as u64,
        }
    }

    /// Fills in what the sessions of this shard are.
    pub(crate) fn measure(&self, counters: &mut Counters) {
        counters.sessions = self.sessions.len() as u64;
        counters.connected =
            self.sessions.iter().filter(|session| session.stage == Stage::Connected).count() as u64;
        counters.subscriptions = self.subscribers.len() as u64;
        counters.pending = self.waiting.len() as u64;
    }

    fn start(&mut self, asked: Asked, parts: Parts, missing: usize) -> u64 {
        self.last_gathering += 1;
        self.gatherings.insert(self.last_gathering, Gathering { asked, missing, parts });
        self.last_gathering
    }

    fn ask_all(&mut self, gathering: u64, rooms: bool, context: &mut Context<'_>) {
        for shard in 0..context.shard.count {
            let ticket = self.wait_for(Who::Part { gathering, part: shard }, shard, context);
            context.tell(shard, message::Message::Count { ticket, rooms });
        }
    }

    fn one_less(&mut self, gathering: u64, context: &mut Context<'_>) {
        let Some(found) = self.gatherings.get_mut(&gathering) else { return };
        found.missing -= 1;
        if found.missing > 0 {
            return;
        }
        let Some(Gathering { asked, parts, .. }) = self.gatherings.remove(&gathering) else { return };
        match asked {
            Asked::Program(program) => {
                let answer = match parts {
                    Parts::Rooms { rooms, pattern } => api::Answer::Channels(
                        rooms
                            .into_iter()
                            .filter(|(channel, _)| pattern.is_empty() || matches(&pattern, channel))
                            .map(|(channel, members)| (channel.to_string(), members))
                            .collect(),
                    ),
                    Parts::Info(info) => api::Answer::Info(info),
                    Parts::Broadcast(results) => api::Answer::Broadcast(results),
                };
                self.reply(program, Ok(answer), context);
            }
            Asked::Command { session, id } => {
                let Some(found) = self.sessions.get_mut(session) else { return };
                found.pending = found.pending.saturating_sub(1);
                if let Parts::Rooms { rooms, .. } = parts {
                    self.send(session, &Message::Reply(id, Reply::Rpc(&list(&rooms))), context);
                }
            }
        }
    }
}

/// `{"rooms":[{"channel":…,"members":…},…]}`
fn list(rooms: &BTreeMap<Arc<str>, u64>) -> Vec<u8> {
    let mut out = b"{\"rooms\":[".to_vec();
    for (index, (channel, members)) in rooms.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"channel\":");
        json::string(&mut out, channel);
        out.extend_from_slice(b",\"members\":");
        json::number(&mut out, *members);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out
}

/// Drops rooms past the limit: those that nobody is in first, then the last by name.
fn shorten(rooms: &mut BTreeMap<Arc<str>, u64>, limit: usize) {
    let mut surplus = rooms.len().saturating_sub(limit);
    if surplus > 0 {
        let empty: Vec<_> =
            rooms.iter().rev().filter(|(_, members)| **members == 0).map(|(name, _)| name.clone()).collect();
        for name in empty.into_iter().take(surplus) {
            rooms.remove(&name);
            surplus -= 1;
        }
        for _ in 0..surplus {
            rooms.pop_last();
        }
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any characters, and no others are special.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(part) = last.replace(part) {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, expected) in [
            ("chat", "chat", true),
            ("chat", "chats", false),
            ("*", "", true),
            ("chat:*", "chat:a", true),
            ("*:a", "chat:a", true),
            ("c*t*a", "chat:a", true),
            ("a*a", "a", false),
            ("*é*", "café au", true),
            ("a**b", "ab", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn rooms_that_nobody_is_in_are_dropped_first() {
        let mut rooms: BTreeMap<Arc<str>, u64> =
            [("a".into(), 0), ("b".into(), 1), ("c".into(), 0), ("d".into(), 2)].into();
        shorten(&mut rooms, 3);
        assert_eq!(rooms.keys().map(|name| &**name).collect::<Vec<_>>(), ["a", "b", "d"]);
        shorten(&mut rooms, 1);
        assert_eq!(rooms.keys().map(|name| &**name).collect::<Vec<_>>(), ["b"]);
    }
}
