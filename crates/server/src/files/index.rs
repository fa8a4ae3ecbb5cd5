//! Which files there are, and how much room they take.

use std::collections::BTreeMap;
use std::sync::Arc;

use host::WallTime;

use super::entry::{Entry, Id};
use super::storage::Part;
use super::{FilesError, Limits};

/// All files, by id and by room.
#[derive(Default)]
pub(super) struct Index {
    files: BTreeMap<Id, Arc<Entry>>,
    rooms: BTreeMap<Arc<str>, Room>,
    /// Uploads that broke off, or wait for their name.
    unfinished: BTreeMap<Key, Unfinished>,
    /// Of files, of uploads under way, and of those that broke off.
    bytes: u64,
}

#[derive(Default)]
struct Room {
    /// By name, newest last.
    names: BTreeMap<String, Vec<Id>>,
    files: usize,
    bytes: u64,
}

/// Room, sender and name of an upload.
type Key = (Arc<str>, String, String);

/// An upload that broke off.
pub(super) struct Unfinished {
    pub(super) part: Box<dyn Part>,
    pub(super) size: u64,
    pub(super) since: WallTime,
}

impl Index {
    pub(super) fn new(entries: Vec<Entry>) -> Self {
        let mut index = Self::default();
        let mut entries = entries;
        entries.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
        for entry in entries {
            index.adopt(Arc::new(entry));
        }
        index
    }

    pub(super) fn get(&self, id: &Id) -> Option<Arc<Entry>> {
        self.files.get(id).cloned()
    }

    pub(super) fn named(&self, room: &str, name: &str) -> Option<Arc<Entry>> {
        self.get(self.rooms.get(room)?.names.get(name)?.last()?)
    }

    pub(super) fn list(&self, room: &str, prefix: &str, limit: usize) -> Vec<Arc<Entry>> {
        let Some(room) = self.rooms.get(room) else { return Vec::new() };
        let from_prefix = room.names.range(prefix.to_owned()..);
        from_prefix
            .take_while(|(name, _)| name.starts_with(prefix))
            .filter_map(|(_, ids)| self.get(ids.last()?))
            .take(limit)
            .collect()
    }

    pub(super) fn rooms(&self) -> Vec<Arc<str>> {
        self.rooms.iter().filter(|(_, room)| room.files > 0).map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn files_of(&self, room: &str) -> Vec<Arc<Entry>> {
        let names = self.rooms.get(room).map(|room| room.names.values().flatten());
        names.into_iter().flatten().filter_map(|id| self.get(id)).collect()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Sets room for `more` bytes of `room` aside, or says what is full.
    pub(super) fn reserve(&mut self, room: &str, more: u64, limits: &Limits) -> Result<(), FilesError> {
        let used = self.rooms.get(room).map_or(0, |room| room.bytes);
        if used.saturating_add(more) > limits.room_bytes {
            return Err(FilesError::RoomFull(used));
        }
        if self.bytes.saturating_add(more) > limits.total_bytes {
            return Err(FilesError::Full);
        }
        self.charge(room, more);
        Ok(())
    }

    /// Whether one more file may come into `room`.
    pub(super) fn check_count(&self, room: &str, limits: &Limits) -> Result<(), FilesError> {
        match self.rooms.get(room).map_or(0, |room| room.files) {
            files if files >= limits.room_files => Err(FilesError::TooMany(files)),
            _ => Ok(()),
        }
    }

    /// Gives back what was set aside.
    pub(super) fn release(&mut self, room: &str, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some(found) = self.rooms.get_mut(room) {
            found.bytes = found.bytes.saturating_sub(bytes);
            if found.bytes == 0 && found.files == 0 {
                self.rooms.remove(room);
            }
        }
    }

    /// A file is whole.
    pub(super) fn adopt(&mut self, entry: Arc<Entry>) {
        self.charge(&entry.room, entry.bytes());
        self.insert(entry);
    }

    fn insert(&mut self, entry: Arc<Entry>) {
        let room = self.rooms.entry(entry.room.as_str().into()).or_default();
        room.names.entry(entry.name.clone()).or_default().push(entry.id.clone());
        room.files += 1;
        self.files.insert(entry.id.clone(), entry);
    }

    pub(super) fn remove(&mut self, id: &Id) -> Option<Arc<Entry>> {
        let entry = self.files.remove(id)?;
        if let Some(room) = self.rooms.get_mut(entry.room.as_str()) {
            if let Some(ids) = room.names.get_mut(&entry.name) {
                ids.retain(|other| other != id);
                if ids.is_empty() {
                    room.names.remove(&entry.name);
                }
            }
            room.files -= 1;
        }
        self.release(&entry.room, entry.bytes());
        Some(entry)
    }

    pub(super) fn unfinished(&self, room: &str, name: &str, sender: &str) -> Option<(u64, WallTime)> {
        let found = self.unfinished.get(&key(room, name, sender))?;
        Some((found.size, found.since))
    }

    /// Lays an upload aside, in place of an earlier one of the same name, and of the oldest where there are too many.
    pub(super) fn lay_aside(
        &mut self,
        room: &str,
        name: &str,
        sender: &str,
        new: Unfinished,
        limits: &Limits,
    ) {
        self.take_unfinished(room, name, sender);
        while self.unfinished.len() >= limits.unfinished.max(1) {
            let oldest =
                self.unfinished.iter().min_by_key(|(_, found)| found.since).map(|(key, _)| key.clone());
            let Some((room, sender, name)) = oldest else { break };
            self.take_unfinished(&room, &name, &sender);
        }
        self.charge(room, new.size);
        self.unfinished.insert((room.into(), sender.to_owned(), name.to_owned()), new);
    }

    /// Takes up an upload that broke off. Its bytes have to be set aside again.
    pub(super) fn take_unfinished(&mut self, room: &str, name: &str, sender: &str) -> Option<Unfinished> {
        let (key, found) = self.unfinished.remove_entry(&key(room, name, sender))?;
        self.release(&key.0, found.size);
        Some(found)
    }

    /// Forgets uploads that broke off before `then`.
    pub(super) fn forget_unfinished(&mut self, then: WallTime) {
        let old = self.unfinished.iter().filter(|(_, found)| found.since < then).map(|(key, _)| key.clone());
        for (room, sender, name) in old.collect::<Vec<_>>() {
            self.take_unfinished(&room, &name, &sender);
        }
    }

    fn charge(&mut self, room: &str, bytes: u64) {
        self.bytes += bytes;
        self.rooms.entry(room.into()).or_default().bytes += bytes;
    }
}

fn key(room: &str, name: &str, sender: &str) -> Key {
    (room.into(), sender.to_owned(), name.to_owned())
}
