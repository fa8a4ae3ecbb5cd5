//! Who is at a document and where their cursors are: y-protocols' awareness, which is passed on and never stored.
//!
//! A state belongs to the client id that it is of, and has a clock; the later clock counts. Clients pass on each other's
//! states, so what is not news is ignored, and a state goes with the connection that brought its news.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use host::Instant;
use serde::de::IgnoredAny;

use super::lib0::{Malformed, Reader, Writer};
use super::message::Who;

/// One client's state in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State<'a> {
    client: u64,
    clock: u64,
    /// JSON; `null` when the client is gone.
    json: &'a str,
}

/// Reads the states of a message. Other clients parse what is passed on to them, so it has to be JSON.
pub(super) fn read(message: &[u8]) -> Result<Vec<State<'_>>, Malformed> {
    let mut reader = Reader::new(message);
    let mut states = Vec::new();
    for _ in 0..reader.count()? {
        let (client, clock, json) = (reader.number()?, reader.number()?, reader.text()?);
        serde_json::from_str::<IgnoredAny>(json).map_err(|_| Malformed)?;
        states.push(State { client, clock, json });
    }
    Ok(states)
}

/// The states of one document.
#[derive(Debug, Default)]
pub(super) struct Awareness {
    entries: BTreeMap<u64, Entry>,
    /// What was not told yet.
    changed: BTreeSet<u64>,
    told_at: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    clock: u64,
    /// None once the client is gone: then its clock is still remembered for a while, against late news.
    json: Option<Box<str>>,
    by: Who,
    seen: Instant,
}

/// How long a state lives that is not renewed. Clients renew theirs after half of that.
const LIFETIME: Duration = Duration::from_secs(30);
/// What happens to states within this time is told together.
const TICK: Duration = Duration::from_millis(30);

impl Awareness {
    /// Takes in what `by` says, of which there may be `limit` states in all. Returns how many had no room.
    pub(super) fn update(&mut self, by: Who, states: &[State<'_>], limit: usize, now: Instant) -> usize {
        let mut refused = 0;
        for state in states {
            let count = self.entries.len();
            let json = (state.json.trim() != "null").then(|| state.json.into());
            match self.entries.get_mut(&state.client) {
                Some(entry) if state.clock > entry.clock => {
                    *entry = Entry { clock: state.clock, json, by, seen: now };
                }
                // A client takes its state back under the same clock.
                Some(entry)
                    if state.clock == entry.clock
                        && json.is_none()
                        && entry.json.is_some()
                        && entry.by == by =>
                {
                    entry.json = None;
                    entry.seen = now;
                }
                Some(_) => continue,
                None if json.is_none() => continue,
                None if count >= limit => {
                    refused += 1;
                    continue;
                }
                None => {
                    self.entries.insert(state.client, Entry { clock: state.clock, json, by, seen: now });
                }
            }
            self.changed.insert(state.client);
        }
        refused
    }

    /// Who brought these states is gone.
    pub(super) fn leave(&mut self, who: Who, now: Instant) {
        for (&client, entry) in &mut self.entries {
            if entry.by == who && entry.json.take().is_some() {
                entry.seen = now;
                self.changed.insert(client);
            }
        }
    }

    /// When [`tell`](Self::tell) or [`expire`](Self::expire) has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let tell =
            (!self.changed.is_empty()).then(|| self.told_at.map_or(Instant::ORIGIN, |told| told + TICK));
        let expiry = self.entries.values().map(|entry| entry.seen).min().map(|seen| seen + LIFETIME);
        tell.into_iter().chain(expiry).min()
    }

    /// What is to be told now to all who are at the document, if anything.
    pub(super) fn tell(&mut self, now: Instant) -> Option<Bytes> {
        if self.changed.is_empty() || self.told_at.is_some_and(|told| now < told + TICK) {
            return None;
        }
        self.told_at = Some(now);
        let changed = std::mem::take(&mut self.changed);
        let entries = changed.iter().filter_map(|client| Some((*client, self.entries.get(client)?)));
        Some(write(entries.collect()))
    }

    /// All states, for somebody who comes.
    pub(super) fn all(&self) -> Option<Bytes> {
        let entries: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.json.is_some())
            .map(|(client, entry)| (*client, entry))
            .collect();
        (!entries.is_empty()).then(|| write(entries))
    }

    /// Drops what was not renewed.
    pub(super) fn expire(&mut self, now: Instant) {
        let changed = &mut self.changed;
        self.entries.retain(|&client, entry| {
            if now.since(entry.seen) < LIFETIME {
                return true;
            }
            if entry.json.take().is_some() {
                entry.seen = now;
                changed.insert(client);
                return true;
            }
            changed.contains(&client)
        });
    }
}

fn write(entries: Vec<(u64, &Entry)>) -> Bytes {
    let start = Writer::default().number(entries.len() as u64);
    let written = entries.into_iter().fold(start, |writer, (client, entry)| {
        writer.number(client).number(entry.clock).text(entry.json.as_deref().unwrap_or("null"))
    });
    written.done()
}

#[cfg(test)]
mod tests {
    use super::super::message::Seat;
    use super::*;
    use crate::hub::SessionId;

    fn who(index: u32) -> Who {
        (0, Seat { session: SessionId { index, generation: 1 }, place: 0 })
    }

    fn message(states: &[(u64, u64, &str)]) -> Bytes {
        let start = Writer::default().number(states.len() as u64);
        let written = states
            .iter()
            .fold(start, |writer, (client, clock, json)| writer.number(*client).number(*clock).text(json));
        written.done()
    }

    fn say(awareness: &mut Awareness, by: Who, states: &[(u64, u64, &str)], now: Instant) {
        let message = message(states);
        assert_eq!(awareness.update(by, &read(&message).unwrap(), 10, now), 0);
    }

    #[test]
    fn news_are_told_once_and_together() {
        let mut awareness = Awareness::default();
        let start = Instant::from_nanos(1_000_000_000);
        say(&mut awareness, who(1), &[(7, 1, "{}")], start);
        assert_eq!(awareness.tell(start), Some(message(&[(7, 1, "{}")])));
        say(&mut awareness, who(1), &[(7, 2, r#"{"a":1}"#)], start);
        say(&mut awareness, who(2), &[(9, 1, "{}")], start);
        assert_eq!(awareness.tell(start), None, "not so soon");
        assert_eq!(awareness.poll_timeout(), Some(start + TICK));
        assert_eq!(awareness.tell(start + TICK), Some(message(&[(7, 2, r#"{"a":1}"#), (9, 1, "{}")])));
        // What another client has heard and passes on.
        say(&mut awareness, who(2), &[(7, 1, "{}"), (7, 2, "null")], start + TICK);
        assert_eq!(awareness.tell(start + TICK * 9), None);
        assert_eq!(awareness.all(), Some(message(&[(7, 2, r#"{"a":1}"#), (9, 1, "{}")])));
    }

    #[test]
    fn a_state_goes_with_its_connection_and_with_time() {
        let mut awareness = Awareness::default();
        let start = Instant::from_nanos(1);
        say(&mut awareness, who(1), &[(7, 4, "{}")], start);
        say(&mut awareness, who(2), &[(8, 1, "{}")], start);
        awareness.tell(start);
        awareness.leave(who(1), start);
        assert_eq!(awareness.tell(start + TICK), Some(message(&[(7, 4, "null")])));
        // Late news of it do not bring it back.
        say(&mut awareness, who(2), &[(7, 4, "{}")], start + TICK);
        awareness.expire(start + LIFETIME);
        assert_eq!(awareness.tell(start + LIFETIME), Some(message(&[(8, 1, "null")])));
        awareness.expire(start + LIFETIME * 2);
        assert_eq!((awareness.all(), awareness.poll_timeout()), (None, None));
    }

    #[test]
    fn there_is_room_for_only_so_many_and_only_for_json() {
        let mut awareness = Awareness::default();
        let many: Vec<_> = (0..12).map(|client| (client, 1, "{}")).collect();
        let message = message(&many);
        assert_eq!(awareness.update(who(1), &read(&message).unwrap(), 10, Instant::ORIGIN), 2);
        assert_eq!(read(&super::write(Vec::new())), Ok(Vec::new()));
        assert_eq!(read(b"\x01\x07\x01\x02{}"), Ok(vec![State { client: 7, clock: 1, json: "{}" }]));
        assert_eq!(read(b"\x01\x07\x01\x02{]"), Err(Malformed));
        let deep = Writer::default().number(1).number(7).number(1).text(&"[".repeat(100_000)).done();
        assert_eq!(read(&deep), Err(Malformed));
    }
}
