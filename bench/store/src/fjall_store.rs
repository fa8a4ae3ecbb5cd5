//! Rooms in fjall (log-structured merge trees), laid out as ours are in redb. Only what the measurement needs.

use std::path::Path;

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use hub::store::{Epoch, Limit, Record, Start, Store, StoreError, StoredRoom, Write};

use crate::not_measured;

pub struct Fjall {
    database: Database,
    rooms: Keyspace,
    records: Keyspace,
    next_room: u64,
}

impl Fjall {
    pub fn open(path: &Path) -> Self {
        let database = Database::builder(path).cache_size(64 << 20).open().unwrap();
        let rooms = database.keyspace("rooms", KeyspaceCreateOptions::default).unwrap();
        let records = database.keyspace("records", KeyspaceCreateOptions::default).unwrap();
        Self { database, rooms, records, next_room: 0 }
    }

    fn room(&self, channel: &str) -> Option<(u64, u64, Epoch)> {
        let value = self.rooms.get(channel).unwrap()?;
        let number = |range: std::ops::Range<usize>| u64::from_be_bytes(value[range].try_into().unwrap());
        Some((number(0..8), number(8..16), Epoch::new(std::str::from_utf8(&value[16..]).unwrap())))
    }
}

impl Store for Fjall {
    fn load(&mut self, channel: &str, limit: Limit) -> Result<Option<StoredRoom>, StoreError> {
        let Some((id, offset, epoch)) = self.room(channel) else { return Ok(None) };
        let mut records: Vec<_> = self
            .records
            .prefix(id.to_be_bytes())
            .rev()
            .take(limit.records)
            .map(|entry| {
                let (key, value) = entry.into_inner().unwrap();
                let offset = u64::from_be_bytes(key[8..16].try_into().unwrap());
                Record { offset, body: Bytes::copy_from_slice(&value) }
            })
            .collect();
        records.reverse();
        Ok(Some(StoredRoom { epoch, offset, records }))
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        let mut touched = std::collections::BTreeMap::new();
        for write in writes {
            match write {
                Write::Create { channel, epoch } => {
                    touched.insert(channel.clone(), (self.next_room, 0, epoch.clone()));
                    self.next_room += 1;
                }
                Write::Append { channel, record } => {
                    let room =
                        touched.entry(channel.clone()).or_insert_with(|| self.room(channel).expect("a room"));
                    assert_eq!(room.1 + 1, record.offset);
                    room.1 = record.offset;
                    let mut key = [0; 16];
                    key[..8].copy_from_slice(&room.0.to_be_bytes());
                    key[8..].copy_from_slice(&record.offset.to_be_bytes());
                    batch.insert(&self.records, key, &*record.body);
                }
                _ => return Err(not_measured()),
            }
        }
        for (channel, (id, offset, epoch)) in touched {
            let mut value = Vec::with_capacity(24);
            value.extend_from_slice(&id.to_be_bytes());
            value.extend_from_slice(&offset.to_be_bytes());
            value.extend_from_slice(epoch.as_str().as_bytes());
            batch.insert(&self.rooms, &*channel, value);
        }
        batch.commit().unwrap();
        Ok(())
    }

    fn read(&mut self, _: &str, _: Start, _: Limit) -> Result<Vec<Record>, StoreError> {
        Err(not_measured())
    }

    fn rooms(&mut self, _: Option<&str>, _: usize) -> Result<Vec<String>, StoreError> {
        Err(not_measured())
    }
}
