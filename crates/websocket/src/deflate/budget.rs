//! How much memory the contexts of many connections may take together.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// What a process allows unless told otherwise, in bytes.
const DEFAULT_BYTES: usize = 256 << 20;

/// A bound on the memory of compression contexts, for all connections that share it.
///
/// What is counted is what a connection keeps: the contexts of a direction with context takeover, and that of a
/// compressed message whose rest has not come yet. Where a context is needed only for the length of a call it belongs to
/// the thread, which keeps four of each kind.
///
/// When nothing is left, a server no longer grants context takeover, what was to be compressed with it is sent as it is,
/// and a peer whose message would need more is closed with 1013.
#[derive(Clone)]
pub struct Budget(Arc<Bytes>);

struct Bytes {
    limit: AtomicUsize,
    held: AtomicUsize,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Bytes { limit: AtomicUsize::new(bytes), held: AtomicUsize::new(0) }))
    }

    /// The one of the process, which all share that have no other: 256 MiB, unless changed.
    pub fn process() -> Self {
        static PROCESS: OnceLock<Budget> = OnceLock::new();
        PROCESS.get_or_init(|| Self::new(DEFAULT_BYTES)).clone()
    }

    /// Sets the limit, in bytes. What is held already stays.
    pub fn set_limit(&self, bytes: usize) {
        self.0.limit.store(bytes, Ordering::Relaxed);
    }

    /// Bytes that are held.
    pub fn held_bytes(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }

    /// Whether so many bytes are left.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let limit = self.0.limit.load(Ordering::Relaxed);
        self.held_bytes().checked_add(bytes).is_some_and(|held| held <= limit)
    }

    /// Takes so many bytes, until what is returned is dropped.
    pub(super) fn take(&self, bytes: usize) -> Option<Taken> {
        let limit = self.0.limit.load(Ordering::Relaxed);
        let held = |held: usize| held.checked_add(bytes).filter(|held| *held <= limit);
        self.0.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, held).ok()?;
        Some(Taken { budget: self.clone(), bytes })
    }
}

/// A part of a budget.
pub(super) struct Taken {
    budget: Budget,
    bytes: usize,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.budget.0.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Default for Budget {
    /// [`Budget::process`].
    fn default() -> Self {
        Self::process()
    }
}

impl PartialEq for Budget {
    /// Whether they are the same one.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Budget {}

impl fmt::Debug for Budget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Budget")
            .field("limit", &self.0.limit)
            .field("held", &self.0.held)
            .finish_non_exhaustive()
    }
}
