//! Rooms in memory, for a server that keeps nothing and for tests.

use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::ops::Bound;
use std::sync::Arc;

use super::{Epoch, Limit, Record, Start, Store, StoreError, StoredRoom, Write};

/// A [`Store`] that forgets everything with the process.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    rooms: BTreeMap<Arc<str>, Room>,
}

impl Memory {
    /// A store without rooms.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether `writes` fit what is there. Looks at positions only, so it costs nothing that grows with the rooms.
    fn check(&self, writes: &[Write]) -> Result<(), StoreError> {
        let mut ends: BTreeMap<&Arc<str>, Option<u64>> = BTreeMap::new();
        for write in writes {
            let channel = write.channel();
            let end = ends.entry(channel).or_insert_with(|| self.rooms.get(channel).map(|room| room.offset));
            match write {
                Write::Create { .. } => make(end, channel, 0)?,
                Write::Restore { offset, .. } => make(end, channel, *offset)?,
                Write::Append { record, .. } => match end {
                    None => return Err(StoreError::NoSuchRoom(channel.clone())),
                    Some(last) if last.checked_add(1) == Some(record.offset) => *last = record.offset,
                    Some(last) => return Err(misfit(channel, *last, record.offset)),
                },
                Write::Replace { record, .. } => match end {
                    Some(last) if record.offset > *last => {
                        return Err(misfit(channel, *last, record.offset));
                    }
                    _ => {}
                },
                Write::Trim { .. } => {}
                Write::Remove { .. } => *end = None,
            }
        }
        Ok(())
    }

    fn apply(&mut self, write: &Write) {
        match write {
            Write::Create { channel, epoch } => self.make(channel, epoch, 0),
            Write::Restore { channel, epoch, offset } => self.make(channel, epoch, *offset),
            Write::Append { channel, record } => {
                if let Some(room) = self.rooms.get_mut(channel) {
                    room.offset = record.offset;
                    room.records.push_back(record.clone());
                }
            }
            Write::Replace { channel, record } => {
                if let Some(room) = self.rooms.get_mut(channel) {
                    let index = room.records.partition_point(|other| other.offset < record.offset);
                    if let Some(found) =
                        room.records.get_mut(index).filter(|found| found.offset == record.offset)
                    {
                        found.body = record.body.clone();
                    }
                }
            }
            Write::Trim { channel, through } => {
                if let Some(room) = self.rooms.get_mut(channel) {
                    let gone = room.records.partition_point(|record| record.offset <= *through);
                    room.records.drain(..gone);
                }
            }
            Write::Remove { channel } => {
                self.rooms.remove(channel);
            }
        }
    }

    fn make(&mut self, channel: &Arc<str>, epoch: &Epoch, offset: u64) {
        if let Entry::Vacant(entry) = self.rooms.entry(channel.clone()) {
            entry.insert(Room { epoch: epoch.clone(), offset, records: VecDeque::new() });
        }
    }
}

impl Store for Memory {
    fn load(&mut self, channel: &str, limit: Limit) -> Result<Option<StoredRoom>, StoreError> {
        Ok(self.rooms.get(channel).map(|room| StoredRoom {
            epoch: room.epoch.clone(),
            offset: room.offset,
            records: room.newest(room.records.len(), limit),
        }))
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        self.check(writes)?;
        for write in writes {
            self.apply(write);
        }
        Ok(())
    }

    fn read(&mut self, channel: &str, start: Start, limit: Limit) -> Result<Vec<Record>, StoreError> {
        let Some(room) = self.rooms.get(channel) else { return Ok(Vec::new()) };
        Ok(match start {
            Start::After(offset) => {
                let skipped = room.records.partition_point(|record| record.offset <= offset);
                let mut admits = limit.admits();
                room.records
                    .range(skipped..)
                    .take_while(|record| admits(record.body.len()))
                    .cloned()
                    .collect()
            }
            Start::Before(offset) => {
                room.newest(room.records.partition_point(|record| record.offset < offset), limit)
            }
        })
    }

    fn rooms(&mut self, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let names = self.rooms.range::<str, _>((start, Bound::Unbounded));
        Ok(names.take(limit).map(|(name, _)| name.to_string()).collect())
    }
}

#[derive(Clone, Debug)]
struct Room {
    epoch: Epoch,
    offset: u64,
    /// Offsets rise by one from record to record.
    records: VecDeque<Record>,
}

impl Room {
    /// The newest of the first `count` records, oldest first.
    fn newest(&self, count: usize, limit: Limit) -> Vec<Record> {
        let mut admits = limit.admits();
        let newest = self.records.range(..count).rev().take_while(|record| admits(record.body.len())).count();
        self.records.range(count - newest..count).cloned().collect()
    }
}

fn make(end: &mut Option<u64>, channel: &Arc<str>, offset: u64) -> Result<(), StoreError> {
    match end {
        Some(_) => Err(StoreError::RoomExists(channel.clone())),
        None => {
            *end = Some(offset);
            Ok(())
        }
    }
}

fn misfit(channel: &Arc<str>, last: u64, offset: u64) -> StoreError {
    StoreError::NotContiguous { channel: channel.clone(), last, offset }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn create(channel: &str) -> Write {
        Write::Create { channel: channel.into(), epoch: Epoch::new("e") }
    }

    fn append(channel: &str, offset: u64) -> Write {
        Write::Append { channel: channel.into(), record: record(offset) }
    }

    fn records(records: usize) -> Limit {
        Limit { records, bytes: usize::MAX }
    }

    fn record(offset: u64) -> Record {
        Record { offset, body: Bytes::from(format!("body {offset}")) }
    }

    #[test]
    fn a_room_gives_back_its_newest_records_oldest_first() {
        let mut store = Memory::new();
        assert_eq!(store.load("room", records(10)), Ok(None));
        store.commit(&[create("room"), append("room", 1), append("room", 2), append("room", 3)]).unwrap();
        let room = store.load("room", records(2)).unwrap().unwrap();
        assert_eq!((room.epoch.as_str(), room.offset), ("e", 3));
        assert_eq!(room.records, [record(2), record(3)]);
        assert_eq!(store.read("room", Start::After(1), records(1)), Ok(vec![record(2)]));
        assert_eq!(store.read("room", Start::After(3), records(1)), Ok(vec![]));
        assert_eq!(store.read("room", Start::Before(3), records(1)), Ok(vec![record(2)]));
        assert_eq!(store.read("room", Start::Before(1), records(1)), Ok(vec![]));
    }

    #[test]
    fn a_commit_that_does_not_fit_leaves_nothing_behind() {
        let mut store = Memory::new();
        let misfit = store.commit(&[create("room"), append("room", 1), append("room", 3)]);
        assert_eq!(misfit, Err(StoreError::NotContiguous { channel: "room".into(), last: 1, offset: 3 }));
        assert_eq!(store.load("room", records(1)), Ok(None));
        assert_eq!(store.commit(&[append("room", 1)]), Err(StoreError::NoSuchRoom("room".into())));
        store.commit(&[create("room")]).unwrap();
        assert_eq!(store.commit(&[create("room")]), Err(StoreError::RoomExists("room".into())));
    }

    #[test]
    fn trimming_keeps_the_position_and_replacing_keeps_the_place() {
        let mut store = Memory::new();
        store.commit(&[create("room"), append("room", 1), append("room", 2)]).unwrap();
        let other = Record { offset: 2, body: Bytes::from_static(b"other") };
        store
            .commit(&[
                Write::Trim { channel: "room".into(), through: 1 },
                Write::Replace { channel: "room".into(), record: other.clone() },
                Write::Replace { channel: "room".into(), record: record(1) },
            ])
            .unwrap();
        assert_eq!(store.load("room", records(9)).unwrap().unwrap().records, [other]);
        store.commit(&[Write::Trim { channel: "room".into(), through: 99 }, append("room", 3)]).unwrap();
        assert_eq!(store.load("room", records(9)).unwrap().unwrap().records, [record(3)]);
    }

    #[test]
    fn rooms_are_listed_in_order_and_in_pages() {
        let mut store = Memory::new();
        store.commit(&[create("b"), create("a"), create("c")]).unwrap();
        assert_eq!(store.rooms(None, 2).unwrap(), ["a", "b"]);
        assert_eq!(store.rooms(Some("b"), 2).unwrap(), ["c"]);
        store.commit(&[Write::Remove { channel: "b".into() }]).unwrap();
        assert_eq!(store.rooms(None, 9).unwrap(), ["a", "c"]);
    }
}
