//! The floor: one file that is only appended to, with an index in memory. It has no checksums, cannot trim, and would
//! have to be read whole at every start.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use hub::store::{Epoch, Limit, Record, Start, Store, StoreError, StoredRoom, Write};

use crate::not_measured;

pub struct Log {
    file: File,
    end: u64,
    /// Where each record's body is.
    rooms: HashMap<Arc<str>, (Epoch, Vec<(u64, u32)>)>,
    block: Vec<u8>,
}

impl Log {
    pub fn open(path: &Path) -> Self {
        let file = File::options().create(true).read(true).append(true).open(path).unwrap();
        Self { file, end: 0, rooms: HashMap::new(), block: Vec::new() }
    }
}

impl Store for Log {
    fn load(&mut self, channel: &str, limit: Limit) -> Result<Option<StoredRoom>, StoreError> {
        let Some((epoch, index)) = self.rooms.get(channel) else { return Ok(None) };
        let skipped = index.len().saturating_sub(limit.records);
        let records = index[skipped..]
            .iter()
            .zip(skipped as u64 + 1..)
            .map(|((at, length), offset)| {
                let mut body = vec![0; *length as usize];
                self.file.read_exact_at(&mut body, *at).unwrap();
                Record { offset, body: Bytes::from(body) }
            })
            .collect();
        Ok(Some(StoredRoom { epoch: epoch.clone(), offset: index.len() as u64, records }))
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        self.block.clear();
        for write in writes {
            let channel = write.channel();
            self.block.extend_from_slice(&(channel.len() as u32).to_le_bytes());
            self.block.extend_from_slice(channel.as_bytes());
            match write {
                Write::Create { epoch, .. } => {
                    self.block.extend_from_slice(epoch.as_str().as_bytes());
                    self.rooms.insert(channel.clone(), (epoch.clone(), Vec::new()));
                }
                Write::Append { record, .. } => {
                    let (_, index) = self.rooms.get_mut(channel).expect("a room");
                    assert_eq!(index.len() as u64 + 1, record.offset);
                    self.block.extend_from_slice(&record.offset.to_le_bytes());
                    self.block.extend_from_slice(&(record.body.len() as u32).to_le_bytes());
                    index.push((self.end + self.block.len() as u64, record.body.len() as u32));
                    self.block.extend_from_slice(&record.body);
                }
                _ => return Err(not_measured()),
            }
        }
        self.file.write_all(&self.block).unwrap();
        self.file.sync_data().unwrap();
        self.end += self.block.len() as u64;
        Ok(())
    }

    fn read(&mut self, _: &str, _: Start, _: Limit) -> Result<Vec<Record>, StoreError> {
        Err(not_measured())
    }

    fn rooms(&mut self, _: Option<&str>, _: usize) -> Result<Vec<String>, StoreError> {
        Err(not_measured())
    }
}
