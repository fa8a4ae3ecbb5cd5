//! How many connections there may be, over all paths together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Places for connections. A clone shares them: several paths can be bounded together.
#[derive(Clone, Debug)]
pub struct Places(Arc<Taken>);

#[derive(Debug)]
struct Taken {
    taken: AtomicUsize,
    limit: usize,
}

/// A place that is taken, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Taken>);

impl Places {
    /// So many.
    pub fn at_most(limit: usize) -> Self {
        Self(Arc::new(Taken { taken: AtomicUsize::new(0), limit }))
    }

    /// How many there are.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    pub(super) fn take(&self) -> Option<Place> {
        let limit = self.0.limit;
        let more = |taken| (taken < limit).then_some(taken + 1);
        self.0.taken.fetch_update(Relaxed, Relaxed, more).ok().map(|_| Place(self.0.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Relaxed);
    }
}
