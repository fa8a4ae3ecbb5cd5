//! Files in rooms: what came by FTP or as an attachment of a mail, kept for as long as a publication of its room names it.
//!
//! A file is written under a name that nobody knows, synced, and only then has its own (`storage`); the publication
//! follows, and whoever sent the file hears that it is stored after both. Its id is drawn at random and too long to guess:
//! who can read the room can fetch the file. What no publication names any more, because the room's history went on or
//! the message was deleted, is removed (`sweep`). All that waits for a disk is done where it may block.

mod disk;
mod entry;
mod index;
mod kind;
mod memory;
mod picture;
mod reading;
mod storage;
pub(crate) mod sweep;
mod upload;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use host::{Random, Runtime};

pub(crate) use entry::{Entry, Id};
pub(crate) use kind::is_safe_picture;
pub(crate) use reading::{Fetching, Opened, open, open_thumbnail};
pub(crate) use upload::{Placing, Upload};

use index::Index;
use storage::Storage;

/// How much there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of the files of one room.
    pub room_bytes: u64,
    /// Files of one room.
    pub room_files: usize,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// Uploads that may lie unfinished, for their clients to go on with.
    pub unfinished: usize,
    /// Bytes of a picture's file beyond which no thumbnail is made.
    pub picture_bytes: u64,
    /// Pixels of a picture beyond which no thumbnail is made.
    pub picture_pixels: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 256 << 20,
            room_bytes: 1 << 30,
            room_files: 10_000,
            total_bytes: 8 << 30,
            unfinished: 256,
            picture_bytes: 32 << 20,
            picture_pixels: 40_000_000,
        }
    }
}

/// All files of a server. A handle: clones are the same.
#[derive(Clone)]
pub struct Files(Arc<Inner>);

struct Inner {
    limits: Limits,
    storage: Arc<dyn Storage>,
    index: Mutex<Index>,
    /// One picture is decoded at a time: each may take its pixels' memory.
    decoding: Arc<Mutex<()>>,
}

/// Why a file could not be kept, or found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FilesError {
    #[error("there is no such file")]
    NotFound,
    #[error("the file is longer than the {0} bytes that a file may have")]
    TooLarge(u64),
    #[error("the files of this room have {0} bytes, and may not have more")]
    RoomFull(u64),
    #[error("this room has {0} files, and may not have more")]
    TooMany(usize),
    #[error("there is no room for more files on this server")]
    Full,
    #[error("{0} bytes are there to go on from")]
    Position(u64),
    #[error("somebody is writing a file of that name")]
    Busy,
    #[error("the disk refuses: {0}")]
    Disk(String),
}

impl From<io::Error> for FilesError {
    fn from(error: io::Error) -> Self {
        tracing::error!(%error, "a file cannot be stored or read");
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            kind => Self::Disk(kind.to_string()),
        }
    }
}

impl Files {
    /// Files that are forgotten when the server ends.
    pub fn in_memory(limits: Limits) -> Self {
        Self::over(limits, Arc::new(memory::Memory::default()), Vec::new())
    }

    /// Files in `directory`, which is made if need be. What an earlier server did not finish there is removed.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made, read or written.
    pub fn open(directory: &Path, limits: Limits) -> io::Result<Self> {
        let (disk, entries) = disk::Disk::open(directory)?;
        Ok(Self::over(limits, Arc::new(disk), entries))
    }

    fn over(limits: Limits, storage: Arc<dyn Storage>, entries: Vec<Entry>) -> Self {
        let index = Mutex::new(Index::new(entries));
        Self(Arc::new(Inner { limits, storage, index, decoding: Arc::default() }))
    }

    /// What is known of a file.
    pub(crate) fn get(&self, id: &Id) -> Option<Arc<Entry>> {
        self.index().get(id)
    }

    /// The newest file of that name in a room.
    pub(crate) fn named(&self, room: &str, name: &str) -> Option<Arc<Entry>> {
        self.index().named(room, name)
    }

    /// The newest file of each name in a room, at most `limit`, those first whose names begin with `prefix`.
    pub(crate) fn list(&self, room: &str, prefix: &str, limit: usize) -> Vec<Arc<Entry>> {
        self.index().list(room, prefix, limit)
    }

    /// Rooms that have files.
    pub(crate) fn rooms(&self) -> Vec<Arc<str>> {
        self.index().rooms()
    }

    /// An upload that broke off: how many bytes there are, and since when.
    pub(crate) fn unfinished(&self, room: &str, name: &str, sender: &str) -> Option<(u64, host::WallTime)> {
        self.index().unfinished(room, name, sender)
    }

    /// Forgets an upload that broke off. False when there is none.
    pub(crate) fn forget(&self, room: &str, name: &str, sender: &str) -> bool {
        self.index().take_unfinished(room, name, sender).is_some()
    }

    /// Takes a file away.
    pub(crate) async fn remove<R: Runtime>(&self, runtime: &R, id: Id) {
        if self.index().remove(&id).is_none() {
            return;
        }
        let storage = self.0.storage.clone();
        if let Err(error) = runtime.blocking(move || storage.remove(&id)).await {
            tracing::warn!(%error, "a file that is not needed any more cannot be removed");
        }
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.index().bytes()
    }

    /// A new id.
    fn draw(random: &mut Random) -> Id {
        Id::from_random(random)
    }

    fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The index is whole at every step: a panic elsewhere does not spoil it.
    fn index(&self) -> MutexGuard<'_, Index> {
        self.0.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Files {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Files").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
