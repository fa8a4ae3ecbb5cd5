//! What a room has in memory of its publications.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use host::WallTime;

use crate::config::History;
use crate::publication::{Author, Publication};

/// The newest publications of a room, without a gap, and the ids of the newest of them.
#[derive(Debug, Default)]
pub(crate) struct Log {
    offset: u64,
    newest: VecDeque<Arc<Publication>>,
    bytes: usize,
    ids: BTreeMap<Key, u64>,
    /// The same ids in the order of their publications.
    ids_in_order: VecDeque<Remembered>,
}

#[derive(Debug)]
struct Remembered {
    offset: u64,
    /// Milliseconds since 1970.
    time: u64,
    key: Key,
}

/// An id, its author's and its places in the two collections.
const BYTES_PER_ID: usize = 256;

/// Publications of one author with one id are one.
pub(crate) type Key = (Author, String);

impl Log {
    /// A log whose newest publication is at `offset`, of which the newest `publications` are known.
    pub(crate) fn new(offset: u64, publications: Vec<Arc<Publication>>, history: &History) -> Self {
        let mut log = Self { offset, ..Self::default() };
        if let Some(first) = publications.first() {
            log.offset = first.offset - 1;
        }
        for publication in publications {
            log.push(publication, history);
        }
        debug_assert_eq!(log.offset, offset);
        log
    }

    /// Remembers the ids of publications that are older than all whose ids are remembered. Oldest first.
    pub(crate) fn remember(&mut self, publications: &[Publication], history: &History) {
        for publication in publications.iter().rev().filter(|publication| !publication.id.is_empty()) {
            if self.ids_in_order.len() >= history.ids {
                return;
            }
            let key = (publication.author(), publication.id.clone());
            // An id that was used again after its lifetime stands for the newer publication.
            self.ids.entry(key.clone()).or_insert(publication.offset);
            let remembered = Remembered { offset: publication.offset, time: publication.time, key };
            self.ids_in_order.push_front(remembered);
        }
    }

    /// Whether older publications may have ids that are not forgotten yet.
    pub(crate) fn may_remember_more(&self, wall: WallTime, history: &History) -> bool {
        let oldest = self.ids_in_order.front().map(|id| id.time);
        let oldest = oldest.into_iter().chain(self.newest.front().map(|publication| publication.time)).min();
        self.ids_in_order.len() < history.ids && oldest.is_none_or(|time| !is_forgotten(time, wall, history))
    }

    /// Bytes that all this takes in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.ids_in_order.len() * BYTES_PER_ID
    }

    /// Lets go of the oldest publications until they take half of the memory that they took.
    pub(crate) fn halve(&mut self) {
        let goal = self.bytes / 2;
        while self.bytes > goal {
            self.let_go_of_oldest();
        }
    }

    /// The offset of the newest publication in memory that is older than `age`, and all before are; zero for none.
    pub(crate) fn older_than(&self, wall: WallTime, age: Duration) -> u64 {
        let old =
            self.newest.iter().take_while(|publication| is_older(publication, wall, age)).count() as u64;
        if old == 0 { 0 } else { self.first_in_memory() + old - 1 }
    }

    /// Of the newest publication; zero before the first.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Of the oldest publication in memory; that of the next when there is none.
    pub(crate) fn first_in_memory(&self) -> u64 {
        self.offset + 1 - self.newest.len() as u64
    }

    /// Appends the next publication.
    pub(crate) fn push(&mut self, publication: Arc<Publication>, history: &History) {
        debug_assert_eq!(publication.offset, self.offset + 1);
        self.offset = publication.offset;
        if !publication.id.is_empty() {
            let key = (publication.author(), publication.id.clone());
            self.ids.insert(key.clone(), publication.offset);
            self.ids_in_order.push_back(Remembered {
                offset: publication.offset,
                time: publication.time,
                key,
            });
            while self.ids_in_order.len() > history.ids {
                self.forget_oldest_id();
            }
        }
        self.bytes += publication.size();
        self.newest.push_back(publication);
        while self.newest.len() > history.in_memory || self.bytes > history.bytes_in_memory {
            self.let_go_of_oldest();
        }
    }

    /// Puts another publication in the place of one, if that is in memory.
    pub(crate) fn replace(&mut self, publication: &Arc<Publication>) {
        let first = self.first_in_memory();
        let place = publication.offset.checked_sub(first).and_then(|place| usize::try_from(place).ok());
        if let Some(old) = place.and_then(|place| self.newest.get_mut(place)) {
            self.bytes = self.bytes + publication.size() - old.size();
            *old = publication.clone();
        }
    }

    /// The publication at `offset`, if that is in memory.
    pub(crate) fn get(&self, offset: u64) -> Option<&Arc<Publication>> {
        let place = usize::try_from(offset.checked_sub(self.first_in_memory())?).ok()?;
        self.newest.get(place)
    }

    /// The publications after `offset`, oldest first, as far as they are in memory.
    pub(crate) fn after(&self, offset: u64) -> impl Iterator<Item = &Arc<Publication>> {
        let skipped = (offset + 1).saturating_sub(self.first_in_memory());
        self.newest.iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX))
    }

    /// Where the publication of this author with this id is, if that was published not longer than `lifetime` ago and
    /// is remembered.
    pub(crate) fn offset_of(&mut self, key: &Key, wall: WallTime, history: &History) -> Option<u64> {
        let lifetime = u64::try_from(history.id_lifetime.as_millis()).unwrap_or(u64::MAX);
        while self
            .ids_in_order
            .front()
            .is_some_and(|id| id.time.saturating_add(lifetime) < wall.unix_millis())
        {
            self.forget_oldest_id();
        }
        self.ids.get(key).copied()
    }

    fn let_go_of_oldest(&mut self) {
        if let Some(oldest) = self.newest.pop_front() {
            self.bytes -= oldest.size();
        }
    }

    fn forget_oldest_id(&mut self) {
        if let Some(oldest) = self.ids_in_order.pop_front() {
            // An id that was used again after its lifetime stands for the newer publication.
            if self.ids.get(&oldest.key) == Some(&oldest.offset) {
                self.ids.remove(&oldest.key);
            }
        }
    }
}

/// Whether a publication is older than `age`.
pub(crate) fn is_older(publication: &Publication, wall: WallTime, age: Duration) -> bool {
    let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    publication.time.saturating_add(age) < wall.unix_millis()
}

/// Whether an id of that time, in milliseconds, is past its lifetime.
fn is_forgotten(time: u64, wall: WallTime, history: &History) -> bool {
    let lifetime = u64::try_from(history.id_lifetime.as_millis()).unwrap_or(u64::MAX);
    time.saturating_add(lifetime) < wall.unix_millis()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn publication(offset: u64, time: u64, id: &str) -> Arc<Publication> {
        Arc::new(Publication {
            offset,
            time,
            data: Bytes::from_static(b"1"),
            info: None,
            id: id.into(),
            tags: BTreeMap::new(),
            edits: Vec::new(),
        })
    }

    fn history(in_memory: usize, ids: usize) -> History {
        History { in_memory, ids, id_lifetime: Duration::from_millis(100), ..History::default() }
    }

    #[test]
    fn an_id_is_forgotten_after_its_lifetime_and_when_there_are_too_many() {
        let history = history(10, 2);
        let mut log = Log::new(0, Vec::new(), &history);
        let key = |id: &str| (Author::Program, id.to_owned());
        for (offset, id) in [(1, "a"), (2, "b"), (3, "c")] {
            log.push(publication(offset, 1000, id), &history);
        }
        let now = WallTime::from_unix_millis(1100);
        assert_eq!(log.offset_of(&key("a"), now, &history), None);
        assert_eq!(log.offset_of(&key("b"), now, &history), Some(2));
        assert_eq!(log.offset_of(&(Author::User(String::new()), "b".into()), now, &history), None);
        assert_eq!(log.offset_of(&key("c"), WallTime::from_unix_millis(1101), &history), None);
    }

    proptest! {
        #[test]
        fn a_log_has_the_newest_in_order(count in 0..30_u64, start in 0..5_u64, room in 1..10_usize, after in 0..40_u64) {
            let history = history(room, 4);
            let mut log = Log::new(start, Vec::new(), &history);
            for offset in start + 1..=start + count {
                log.push(publication(offset, 0, ""), &history);
            }
            let all: Vec<u64> = (start + 1..=start + count).collect();
            let newest = &all[all.len().saturating_sub(room)..];
            prop_assert_eq!(log.offset(), start + count);
            prop_assert_eq!(log.first_in_memory(), newest.first().copied().unwrap_or(start + count + 1));
            let found: Vec<u64> = log.after(after).map(|publication| publication.offset).collect();
            let expected: Vec<u64> = newest.iter().copied().filter(|&offset| offset > after).collect();
            prop_assert_eq!(found, expected);
            for offset in 0..40 {
                prop_assert_eq!(log.get(offset).map(|publication| publication.offset), newest.contains(&offset).then_some(offset));
            }
        }
    }
}
