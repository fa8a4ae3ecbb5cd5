//! Rooms in one file, in copy-on-write trees (redb).
//!
//! redb writes the pages of a commit beside those of the one before, then a header that points to them, and syncs once;
//! checksums tell after a crash whether all of it arrived, else the commit before counts. It has no threads and no clock
//! and takes any storage that can read, write and sync, which is how the crash tests run it on storage that crashes
//! ([`faulty`](super::faulty)).
//!
//! After one failed write or sync redb refuses everything that follows, rightly: nobody knows what is on the disk. So we
//! close it and open it anew, which looks at what is there, checks it, and finds out by a number that each commit leaves
//! in the file whether the failed one arrived.

mod place;
mod tables;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use redb::{Builder, Database};

pub use place::{Directory, Place};

use super::{Limit, Record, Start, Store, StoreError, StoredRoom, Write};
use tables::Failure;

/// A [`Store`] that keeps rooms at a [`Place`], in a directory by default.
///
/// A commit that fails leaves nothing of its records and rooms behind, even when the storage only pretended to fail.
/// (A replacement, a trim or a removal in a failed commit may have happened all the same: the storage was so broken that
/// it could not be read again at once. Each of them can be repeated.)
#[derive(Debug)]
pub struct Embedded<P: Place = Directory> {
    place: P,
    /// `None` after a failure, until it could be opened anew.
    database: Option<Database>,
    /// How many commits are known to be on the storage; the last of them left this number there.
    commits: u64,
    /// What a commit tried to write that failed, and of which it is not known yet whether it arrived.
    doubtful: Option<Vec<Write>>,
    /// The storage had no room left, and the reserve was spent on being able to read what is there.
    full: bool,
}

/// Memory for pages that were read or are to be written, in bytes.
const CACHE: usize = 64 << 20;

impl Embedded {
    /// Opens the store in the directory at `path`, and makes both when they are not there.
    ///
    /// # Errors
    ///
    /// [`StoreError::InUse`] when another process has it open, [`StoreError::Version`] when it was written by a newer
    /// program, [`StoreError::Io`] when the directory cannot be written to, [`StoreError::Corrupt`] when it holds
    /// something else.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::at(Directory::open(path)?)
    }

    /// Whether there is a store in the directory at `path`.
    pub fn is_in(path: &Path) -> bool {
        Directory::holds_store(path)
    }
}

impl<P: Place> Embedded<P> {
    /// Opens the store that is at `place`, and makes it when there is none.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn at(place: P) -> Result<Self, StoreError> {
        let mut store = Self { place, database: None, commits: 0, doubtful: None, full: false };
        let database = store.open_database()?;
        store.commits = guarded(|| tables::prepare(&database)).map_err(|failure| store.explain(failure))?;
        store.place.keep()?;
        // A reserve that cannot be laid by now is laid before the first commit.
        store.full = store.place.refill_reserve().is_err();
        store.database = Some(database);
        Ok(store)
    }

    fn open_database(&mut self) -> Result<Database, StoreError> {
        let backend = self.place.open()?;
        guarded(|| Ok(Builder::new().set_cache_size(CACHE).create_with_backend(backend)?))
            .map_err(|failure| self.explain(failure))
    }

    /// The database, opened anew if it has to be, in which nothing is doubtful any more.
    fn database(&mut self) -> Result<&Database, StoreError> {
        if self.database.is_none() {
            if self.reopen()? {
                self.undo()?;
            }
            self.doubtful = None;
        }
        self.database.as_ref().ok_or_else(|| StoreError::Corrupt("it closed itself".into()))
    }

    /// Opens the database after a failure, and says whether the doubtful writes are in it. What is in it then is synced:
    /// redb does that when it repairs, and a database that was not closed in order is always repaired.
    fn reopen(&mut self) -> Result<bool, StoreError> {
        let database = self.open_database()?;
        let found = guarded(|| tables::prepare(&database)).map_err(|failure| self.explain(failure))?;
        self.database = Some(database);
        if self.doubtful.is_some() && found == self.commits + 1 {
            return Ok(true);
        }
        // Either as before the doubtful writes, or one commit further still: they were there and are undone.
        self.commits = found;
        Ok(false)
    }

    /// Takes back the doubtful writes, which are there though they were reported as failed.
    fn undo(&mut self) -> Result<(), StoreError> {
        let (Some(database), Some(writes)) = (&self.database, &self.doubtful) else { return Ok(()) };
        match guarded(|| tables::undo(database, writes, self.commits + 2)) {
            Ok(()) => {
                self.commits += 2;
                Ok(())
            }
            Err(failure) => {
                let error = self.explain(failure);
                self.close();
                Err(error)
            }
        }
    }

    /// After a failed commit: opens the database anew and finds out whether `writes` arrived all the same.
    fn recover(&mut self, writes: &[Write], error: StoreError) -> Result<(), StoreError> {
        self.close();
        self.doubtful = Some(writes.to_vec());
        if matches!(error, StoreError::Full(_)) {
            self.full = true;
            self.place.spend_reserve();
        }
        match self.reopen() {
            Ok(true) => {
                self.commits += 1;
                self.doubtful = None;
                Ok(())
            }
            Ok(false) => {
                self.doubtful = None;
                Err(error)
            }
            // It stays closed, and the writes doubtful, until somebody wants something again.
            Err(_) => Err(error),
        }
    }

    fn look<T>(&mut self, look: impl FnOnce(&Database) -> Result<T, Failure>) -> Result<T, StoreError> {
        let database = self.database()?;
        guarded(|| look(database)).map_err(|failure| {
            self.close();
            self.explain(failure)
        })
    }

    fn close(&mut self) {
        let database = self.database.take();
        // Closing in order is not to be had any more; what redb has to say about that is known already.
        let _ = guarded(|| {
            drop(database);
            Ok(())
        });
    }

    fn explain(&self, failure: Failure) -> StoreError {
        failure.explain(&self.place.name())
    }
}

impl<P: Place> Store for Embedded<P> {
    fn load(&mut self, channel: &str, limit: Limit) -> Result<Option<StoredRoom>, StoreError> {
        self.look(|database| tables::load(database, channel, limit))
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        if self.full {
            self.place.refill_reserve()?;
            self.full = false;
        }
        self.database()?;
        let commits = self.commits + 1;
        let database = self.database()?;
        match guarded(|| tables::commit(database, writes, commits)) {
            Ok(()) => {
                self.commits = commits;
                Ok(())
            }
            Err(Failure::Refused(error)) => Err(error),
            Err(failure) => {
                let error = self.explain(failure);
                self.recover(writes, error)
            }
        }
    }

    fn read(&mut self, channel: &str, start: Start, limit: Limit) -> Result<Vec<Record>, StoreError> {
        self.look(|database| tables::read(database, channel, start, limit))
    }

    fn rooms(&mut self, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        self.look(|database| tables::rooms(database, after, limit))
    }
}

/// redb takes what it finds in a file for granted here and there, and panics when it is not so. A damaged file must end
/// as an error that says so.
fn guarded<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("for an unknown reason");
        Err(Failure::Panicked(text.to_owned()))
    })
}
