//! Files in memory: for servers that forget everything, and for the lab.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::entry::{Entry, Id};
use super::storage::{Part, Storage};

#[derive(Default)]
pub(super) struct Memory(Mutex<BTreeMap<Id, (Bytes, Bytes)>>);

struct MemoryPart {
    id: Id,
    bytes: Vec<u8>,
}

impl Memory {
    fn files(&self) -> MutexGuard<'_, BTreeMap<Id, (Bytes, Bytes)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, id: &Id) -> io::Result<(Bytes, Bytes)> {
        self.files().get(id).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Storage for Memory {
    fn create(&self, id: &Id) -> io::Result<Box<dyn Part>> {
        Ok(Box::new(MemoryPart { id: id.clone(), bytes: Vec::new() }))
    }

    fn keep(&self, part: Box<dyn Part>, entry: &Entry, thumbnail: Option<&[u8]>) -> io::Result<()> {
        let bytes = part.into_bytes().ok_or(io::ErrorKind::InvalidInput)?;
        let thumbnail = Bytes::copy_from_slice(thumbnail.unwrap_or_default());
        self.files().insert(entry.id.clone(), (bytes.into(), thumbnail));
        Ok(())
    }

    fn read(&self, id: &Id, offset: u64, limit: usize) -> io::Result<Bytes> {
        let bytes = self.file(id)?.0;
        Ok(bytes.slice(window(bytes.len(), offset, limit)))
    }

    fn thumbnail(&self, id: &Id) -> io::Result<Bytes> {
        Ok(self.file(id)?.1)
    }

    fn remove(&self, id: &Id) -> io::Result<()> {
        self.files().remove(id);
        Ok(())
    }
}

impl Part for MemoryPart {
    fn id(&self) -> &Id {
        &self.id
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(())
    }

    fn read(&mut self, offset: u64, limit: usize) -> io::Result<Bytes> {
        Ok(Bytes::copy_from_slice(&self.bytes[window(self.bytes.len(), offset, limit)]))
    }

    fn into_bytes(self: Box<Self>) -> Option<Vec<u8>> {
        Some(self.bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn window(length: usize, offset: u64, limit: usize) -> std::ops::Range<usize> {
    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(length);
    from..from.saturating_add(limit).min(length)
}
