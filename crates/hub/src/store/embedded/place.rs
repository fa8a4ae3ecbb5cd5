//! Where the file of a store is: a directory of the operating system, or what stands for it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use redb::StorageBackend;
use redb::backends::FileBackend;

use super::super::StoreError;

/// Somewhere that a store's file can be opened, and opened again after it failed.
pub trait Place: Send + 'static {
    /// The file, opened.
    type Backend: StorageBackend;

    /// Opens the file, or makes an empty one. What is read from it is what the storage itself holds: nothing that an
    /// earlier sync failed to write may still come from a cache.
    ///
    /// # Errors
    ///
    /// What the storage has against it.
    fn open(&mut self) -> Result<Self::Backend, StoreError>;

    /// Called once the file that was opened holds a store. A file made by [`open`](Self::open) that a crash left without
    /// this call is made anew.
    ///
    /// # Errors
    ///
    /// What the storage has against it.
    fn keep(&mut self) -> Result<(), StoreError>;

    /// Gives free the space that was laid by, so that a store on a full storage can still be opened and read.
    fn spend_reserve(&mut self);

    /// Lays by some space, unless that was done.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] when there is none.
    fn refill_reserve(&mut self) -> Result<(), StoreError>;

    /// What to call the place in messages.
    fn name(&self) -> String;
}

/// A directory with a store in it. Only one process can have it open.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// The store's file is in the cache of the operating system only as far as it is on the disk.
    trusted: bool,
    /// Locked for as long as this lives.
    _lock: File,
}

/// Holds the store.
const FILE: &str = "rooms.redb";
/// Becomes [`FILE`] once it holds a store.
const NEW_FILE: &str = "rooms.redb.new";
/// Takes up the reserve.
const RESERVE_FILE: &str = "reserve";
/// Bytes laid by for the repair of a store on a full disk. The repair writes a few pages.
const RESERVE: usize = 4 << 20;
/// Bytes that must be free beside the reserve before it is laid by again. Without them the next commit would fail too,
/// only at more cost.
const HEADROOM: u64 = 1 << 20;

impl Directory {
    /// The file in the directory that is locked by the process that has it open.
    pub const LOCK: &'static str = "lock";

    /// Opens the directory at `path`, and makes it when it is not there: for its owner only.
    ///
    /// # Errors
    ///
    /// [`StoreError::InUse`] when another process has it open; [`StoreError::Io`] when it is not a directory or cannot
    /// be written to.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        make_directory(path).map_err(|error| describe(path, "make", &error))?;
        let lock =
            own_file().open(path.join(Self::LOCK)).map_err(|error| describe(path, "write to", &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), trusted: true, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path.display().to_string().into())),
            Err(TryLockError::Error(error)) => Err(describe(path, "lock", &error)),
        }
    }

    /// Moves the store from the directory at `from`, which nobody has open, to this one, which must not have one yet.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`], above all when the two are not on one file system.
    pub fn take_over(&self, from: &Path) -> Result<(), StoreError> {
        let to = self.path.join(FILE);
        let moved = match to.try_exists() {
            Ok(false) => std::fs::rename(from.join(FILE), &to).and_then(|()| sync_directory(&self.path)),
            Ok(true) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) => Err(error),
        };
        moved.map_err(|error| describe(&self.path, "write to", &error))
    }

    /// Whether there is a store in the directory at `path`.
    pub fn holds_store(path: &Path) -> bool {
        path.join(FILE).is_file()
    }
}

impl Place for Directory {
    type Backend = FileBackend;

    fn open(&mut self) -> Result<FileBackend, StoreError> {
        let (path, new) = (self.path.join(FILE), self.path.join(NEW_FILE));
        let file = if path.try_exists().map_err(|error| describe(&self.path, "read", &error))? {
            OpenOptions::new().read(true).write(true).open(path)
        } else {
            own_file().truncate(true).open(new)
        };
        let file = file.map_err(|error| describe(&self.path, "write to", &error))?;
        if !self.trusted {
            forget_cached(&file);
        }
        self.trusted = false;
        FileBackend::new(file).map_err(|error| StoreError::Corrupt(error.to_string().into()))
    }

    fn keep(&mut self) -> Result<(), StoreError> {
        let new = self.path.join(NEW_FILE);
        if new.exists() && !self.path.join(FILE).exists() {
            std::fs::rename(new, self.path.join(FILE))
                .and_then(|()| sync_directory(&self.path))
                .map_err(|error| describe(&self.path, "write to", &error))?;
        }
        Ok(())
    }

    fn spend_reserve(&mut self) {
        // Should it stay, there is the less space for the repair, which then says so.
        let _ = std::fs::remove_file(self.path.join(RESERVE_FILE));
    }

    fn refill_reserve(&mut self) -> Result<(), StoreError> {
        let path = self.path.join(RESERVE_FILE);
        if std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() == RESERVE as u64) {
            return Ok(());
        }
        let needed = RESERVE as u64 + HEADROOM;
        if let Some(free) = free_bytes(&self.path).filter(|free| *free < needed) {
            let text =
                format!("{} KiB are free where {} is, and {} needed", free >> 10, self.name(), needed >> 10);
            return Err(StoreError::Full(text.into()));
        }
        let laid = own_file().truncate(true).open(&path).and_then(|mut file| {
            // Not zeros only: a file system that compresses would lay by nothing.
            let mut block = vec![0; RESERVE];
            let mut state = 1_u32;
            for byte in &mut block {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = (state >> 24) as u8;
            }
            file.write_all(&block)?;
            file.sync_data()
        });
        laid.map_err(|error| {
            self.spend_reserve();
            describe(&self.path, "write to", &error)
        })
    }

    fn name(&self) -> String {
        self.path.join(FILE).display().to_string()
    }
}

/// Makes the directory and those above it, and syncs that it is there.
fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
        _ => sync_directory(Path::new(".")),
    }
}

/// A file is there for sure only when its directory is synced too.
fn sync_directory(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

/// What we may still write to the file system under `path`, as far as it says.
fn free_bytes(path: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let system = rustix::fs::statvfs(path).ok()?;
        system.f_bavail.checked_mul(system.f_frsize)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// Opens or makes a file that only its owner can read.
fn own_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// After a failed sync Linux holds pages for clean that never reached the disk. Without them, a read tells the truth.
fn forget_cached(file: &File) {
    #[cfg(target_os = "linux")]
    {
        // Where that is not to be had, the checksums still tell, once the cache has been emptied in another way.
        let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

fn describe(path: &Path, what: &str, error: &io::Error) -> StoreError {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ": change its owner or permissions, or choose another with --data"
        }
        io::ErrorKind::AlreadyExists if what == "write to" => ": it has a store already",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            ": it is not a directory; choose another with --data"
        }
        _ => "",
    };
    let text = format!("cannot {what} the data directory {}: {error}{advice}", path.display());
    io::Error::new(error.kind(), text).into()
}
