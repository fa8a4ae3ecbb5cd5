//! What is in the file: the tables, and each operation as one transaction on them.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `meta` | `"format"`, `"commits"`, `"next room"` | a number |
//! | `rooms` | the room's name | its number, its position, its epoch |
//! | `records` | the room's number, the record's offset | the record's body |

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use redb::{
    AccessGuard, Database, Durability, ReadableDatabase, ReadableTable, StorageError, Table, TableDefinition,
    TableError, WriteTransaction,
};

use super::super::{Epoch, Limit, Record, Start, StoreError, StoredRoom, Write};

/// The version of what is described above. Whoever changes it adds a step to [`migrate`].
pub(super) const FORMAT: u64 = 1;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const ROOMS: TableDefinition<'_, &str, (u64, u64, &str)> = TableDefinition::new("rooms");
const RECORDS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("records");

const FORMAT_KEY: &str = "format";
const COMMITS_KEY: &str = "commits";
const NEXT_ROOM_KEY: &str = "next room";

/// Makes sure that the tables are there and that we know their format; returns the number of commits.
pub(super) fn prepare(database: &Database) -> Result<u64, Failure> {
    let transaction = database.begin_read()?;
    let meta = match transaction.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::TableDoesNotExist(_)) if transaction.list_tables()?.next().is_none() => {
            initialize(database)?;
            return Ok(0);
        }
        Err(error) => return Err(error.into()),
    };
    let number = |key| -> Result<Option<u64>, Failure> { Ok(meta.get(key)?.map(|number| number.value())) };
    match number(FORMAT_KEY)? {
        Some(FORMAT) => {}
        Some(found) if found > FORMAT => {
            return Err(Failure::Refused(StoreError::Version { found, known: FORMAT }));
        }
        Some(found) => migrate(database, found)?,
        None => return Err(Failure::damaged("it does not say its format version")),
    }
    number(COMMITS_KEY)?.ok_or_else(|| Failure::damaged("it does not say how many commits there were"))
}

fn initialize(database: &Database) -> Result<(), Failure> {
    let transaction = begin(database)?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert(FORMAT_KEY, FORMAT)?;
        meta.insert(COMMITS_KEY, 0)?;
        meta.insert(NEXT_ROOM_KEY, 0)?;
        transaction.open_table(ROOMS)?;
        transaction.open_table(RECORDS)?;
    }
    Ok(transaction.commit()?)
}

/// Brings the tables from the format `found` to [`FORMAT`], a step for each version, all in one transaction.
fn migrate(_database: &Database, found: u64) -> Result<(), Failure> {
    // The first version has nothing before it.
    Err(Failure::damaged(&format!("no fourwire ever wrote format version {found}")))
}

/// Writes all of `writes`, and `number` as the number of commits.
pub(super) fn commit(database: &Database, writes: &[Write], number: u64) -> Result<(), Failure> {
    let transaction = begin(database)?;
    {
        let mut changes = Changes::begin(&transaction)?;
        for write in writes {
            changes.apply(write)?;
        }
        changes.finish(number)?;
    }
    Ok(transaction.commit()?)
}

/// Takes back the rooms and records that `writes` made, and writes `number` as the number of commits.
pub(super) fn undo(database: &Database, writes: &[Write], number: u64) -> Result<(), Failure> {
    let transaction = begin(database)?;
    {
        let mut changes = Changes::begin(&transaction)?;
        for write in writes.iter().rev() {
            changes.undo(write)?;
        }
        changes.finish(number)?;
    }
    Ok(transaction.commit()?)
}

pub(super) fn load(database: &Database, channel: &str, limit: Limit) -> Result<Option<StoredRoom>, Failure> {
    let transaction = database.begin_read()?;
    let rooms = transaction.open_table(ROOMS)?;
    let Some(room) = rooms.get(channel)? else { return Ok(None) };
    let (id, offset, epoch) = room.value();
    let records = transaction.open_table(RECORDS)?;
    let records = newest(records.range((id, 0)..=(id, u64::MAX))?, limit)?;
    Ok(Some(StoredRoom { epoch: Epoch::new(epoch), offset, records }))
}

pub(super) fn read(
    database: &Database,
    channel: &str,
    start: Start,
    limit: Limit,
) -> Result<Vec<Record>, Failure> {
    let transaction = database.begin_read()?;
    let rooms = transaction.open_table(ROOMS)?;
    let Some(room) = rooms.get(channel)? else { return Ok(Vec::new()) };
    let (id, ..) = room.value();
    let records = transaction.open_table(RECORDS)?;
    match start {
        Start::After(offset) => {
            let range = (Bound::Excluded((id, offset)), Bound::Included((id, u64::MAX)));
            take(records.range::<(u64, u64)>(range)?, limit)
        }
        Start::Before(offset) => newest(records.range((id, 0)..(id, offset))?, limit),
    }
}

pub(super) fn rooms(database: &Database, after: Option<&str>, limit: usize) -> Result<Vec<String>, Failure> {
    let transaction = database.begin_read()?;
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    let names = transaction
        .open_table(ROOMS)?
        .range::<&str>((start, Bound::Unbounded))?
        .take(limit)
        .map(|entry| entry.map(|(name, _)| name.value().to_owned()))
        .collect::<Result<_, _>>()?;
    Ok(names)
}

type Entry<'a> = Result<(AccessGuard<'a, (u64, u64)>, AccessGuard<'a, &'static [u8]>), StorageError>;

/// As many records as `limit` allows. No body past that is copied.
fn take<'a>(entries: impl Iterator<Item = Entry<'a>>, limit: Limit) -> Result<Vec<Record>, Failure> {
    let mut admits = limit.admits();
    let mut records = Vec::new();
    for entry in entries.take(limit.records) {
        let (key, body) = entry?;
        if !admits(body.value().len()) {
            break;
        }
        let (_, offset) = key.value();
        records.push(Record { offset, body: Bytes::copy_from_slice(body.value()) });
    }
    Ok(records)
}

/// The last of the entries, as many as `limit` allows, in their order.
fn newest<'a>(
    entries: impl DoubleEndedIterator<Item = Entry<'a>>,
    limit: Limit,
) -> Result<Vec<Record>, Failure> {
    let mut records = take(entries.rev(), limit)?;
    records.reverse();
    Ok(records)
}

fn begin(database: &Database) -> Result<WriteTransaction, Failure> {
    let mut transaction = database.begin_write()?;
    if transaction.set_durability(Durability::Immediate).is_err() {
        return Err(Failure::damaged("it cannot be synced at each commit"));
    }
    Ok(transaction)
}

/// The changes of one transaction. Rooms that it touches are held here and written once, at its end.
struct Changes<'a> {
    meta: Table<'a, &'static str, u64>,
    rooms: Table<'a, &'static str, (u64, u64, &'static str)>,
    records: Table<'a, (u64, u64), &'static [u8]>,
    touched: BTreeMap<Arc<str>, Option<Room>>,
    next_room: u64,
}

struct Room {
    id: u64,
    offset: u64,
    epoch: Epoch,
}

impl<'a> Changes<'a> {
    fn begin(transaction: &'a WriteTransaction) -> Result<Self, Failure> {
        let meta = transaction.open_table(META)?;
        let next_room = meta
            .get(NEXT_ROOM_KEY)?
            .ok_or_else(|| Failure::damaged("it does not say which room is the next"))?
            .value();
        Ok(Self {
            meta,
            rooms: transaction.open_table(ROOMS)?,
            records: transaction.open_table(RECORDS)?,
            touched: BTreeMap::new(),
            next_room,
        })
    }

    fn apply(&mut self, write: &Write) -> Result<(), Failure> {
        let channel = write.channel();
        match write {
            Write::Create { epoch, .. } => self.make(channel, epoch, 0),
            Write::Restore { epoch, offset, .. } => self.make(channel, epoch, *offset),
            Write::Append { record, .. } => {
                let Some(room) = self.room(channel)? else {
                    return Err(Failure::Refused(StoreError::NoSuchRoom(channel.clone())));
                };
                if room.offset.checked_add(1) != Some(record.offset) {
                    return Err(misfit(channel, room.offset, record.offset));
                }
                room.offset = record.offset;
                let key = (room.id, record.offset);
                self.records.insert(key, &*record.body)?;
                Ok(())
            }
            Write::Replace { record, .. } => {
                let Some(room) = self.room(channel)? else { return Ok(()) };
                if record.offset > room.offset {
                    return Err(misfit(channel, room.offset, record.offset));
                }
                let key = (room.id, record.offset);
                let there = self.records.get(key)?.is_some();
                if there {
                    self.records.insert(key, &*record.body)?;
                }
                Ok(())
            }
            Write::Trim { through, .. } => {
                let Some(room) = self.room(channel)? else { return Ok(()) };
                let id = room.id;
                self.drop_records(id, *through)
            }
            Write::Remove { .. } => {
                let Some(room) = self.room(channel)? else { return Ok(()) };
                let id = room.id;
                self.touched.insert(channel.clone(), None);
                self.drop_records(id, u64::MAX)
            }
        }
    }

    fn undo(&mut self, write: &Write) -> Result<(), Failure> {
        let channel = write.channel();
        match write {
            Write::Create { .. } | Write::Restore { .. } => {
                self.apply(&Write::Remove { channel: channel.clone() })
            }
            Write::Append { record, .. } => {
                // Not so when a later write of the same commit removed the room.
                let Some(room) = self.room(channel)?.filter(|room| room.offset == record.offset) else {
                    return Ok(());
                };
                room.offset -= 1;
                let key = (room.id, record.offset);
                self.records.remove(key)?;
                Ok(())
            }
            Write::Replace { .. } | Write::Trim { .. } | Write::Remove { .. } => Ok(()),
        }
    }

    fn finish(mut self, number: u64) -> Result<(), Failure> {
        for (channel, room) in &self.touched {
            match room {
                Some(room) => {
                    self.rooms.insert(&**channel, (room.id, room.offset, room.epoch.as_str()))?;
                }
                None => {
                    self.rooms.remove(&**channel)?;
                }
            }
        }
        self.meta.insert(NEXT_ROOM_KEY, self.next_room)?;
        self.meta.insert(COMMITS_KEY, number)?;
        Ok(())
    }

    fn room(&mut self, channel: &Arc<str>) -> Result<Option<&mut Room>, Failure> {
        if !self.touched.contains_key(channel) {
            let room = self.rooms.get(&**channel)?.map(|room| {
                let (id, offset, epoch) = room.value();
                Room { id, offset, epoch: Epoch::new(epoch) }
            });
            self.touched.insert(channel.clone(), room);
        }
        Ok(self.touched.get_mut(channel).and_then(Option::as_mut))
    }

    fn make(&mut self, channel: &Arc<str>, epoch: &Epoch, offset: u64) -> Result<(), Failure> {
        if self.room(channel)?.is_some() {
            return Err(Failure::Refused(StoreError::RoomExists(channel.clone())));
        }
        let id = self.next_room;
        self.next_room += 1;
        self.touched.insert(channel.clone(), Some(Room { id, offset, epoch: epoch.clone() }));
        Ok(())
    }

    fn drop_records(&mut self, room: u64, through: u64) -> Result<(), Failure> {
        Ok(self.records.retain_in((room, 0)..=(room, through), |_, _| false)?)
    }
}

fn misfit(channel: &Arc<str>, last: u64, offset: u64) -> Failure {
    Failure::Refused(StoreError::NotContiguous { channel: channel.clone(), last, offset })
}

/// Why a transaction failed.
pub(super) enum Failure {
    /// Because of what was asked. The database goes on.
    Refused(StoreError),
    /// The storage, or what is on it.
    Storage(redb::Error),
    /// redb did not expect what it found.
    Panicked(String),
}

impl Failure {
    fn damaged(text: &str) -> Self {
        Self::Refused(StoreError::Corrupt(text.into()))
    }

    /// What to tell about the store called `name`.
    pub(super) fn explain(self, name: &str) -> StoreError {
        match self {
            Self::Refused(StoreError::Corrupt(text)) => StoreError::Corrupt(format!("{name}: {text}").into()),
            Self::Refused(error) => error,
            Self::Storage(redb::Error::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                StoreError::Corrupt(format!("{name}: {error}").into())
            }
            Self::Storage(redb::Error::Io(error)) => {
                io::Error::new(error.kind(), format!("{name}: {error}")).into()
            }
            Self::Storage(redb::Error::DatabaseAlreadyOpen) => StoreError::InUse(name.into()),
            Self::Storage(redb::Error::PreviousIo) => {
                StoreError::Io(io::ErrorKind::Other, format!("{name}: it failed before").into())
            }
            Self::Storage(error) => StoreError::Corrupt(format!("{name}: {error}").into()),
            Self::Panicked(text) => StoreError::Corrupt(format!("{name}: unexpected content: {text}").into()),
        }
    }
}

/// redb has an error type for each kind of step; they all end here.
macro_rules! storage_failures {
    ($($error:ty),*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Storage(error.into())
            }
        })*
    };
}

storage_failures!(
    redb::DatabaseError,
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError
);
