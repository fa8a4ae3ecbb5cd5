//! Memory for what waits for the store, counted over all rooms of a shard.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many bytes are taken. Clones count the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Budget(Arc<AtomicUsize>);

/// Bytes of a budget, given back when this is dropped: with what they are held for, whatever becomes of that.
#[derive(Debug, Default)]
pub(crate) struct Share(Option<(Budget, usize)>);

impl Budget {
    /// Bytes that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Makes `share` hold `bytes` of this budget, if it holds less. False when more than `limit` would be taken then; it
    /// holds what it held in that case.
    pub(crate) fn fill(&self, share: &mut Share, bytes: usize, limit: usize) -> bool {
        let missing = bytes.saturating_sub(share.bytes());
        if missing == 0 {
            return true;
        }
        // A hub is one thread's, so nothing comes between the look and the addition.
        if self.taken().saturating_add(missing) > limit {
            return false;
        }
        self.0.fetch_add(missing, Ordering::Relaxed);
        match &mut share.0 {
            Some((_, held)) => *held += missing,
            empty => *empty = Some((self.clone(), missing)),
        }
        true
    }
}

impl Share {
    fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |(_, bytes)| *bytes)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some((budget, bytes)) = self.0.take() {
            budget.0.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

impl Clone for Share {
    /// Nothing: a copy of what the bytes are held for is counted for itself, where it waits.
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_taken_is_what_the_shares_hold_and_never_past_the_limit(
            steps in prop::collection::vec((0..6_usize, 0..60_usize, any::<bool>()), 0..80),
        ) {
            let budget = Budget::default();
            let mut shares: [Share; 6] = Default::default();
            for (index, bytes, drops) in steps {
                if drops {
                    shares[index] = Share::default();
                } else {
                    let (before, taken) = (shares[index].bytes(), budget.taken());
                    let fits = taken + bytes.saturating_sub(before) <= 100;
                    prop_assert_eq!(budget.fill(&mut shares[index], bytes, 100), fits);
                    prop_assert_eq!(shares[index].bytes(), if fits { before.max(bytes) } else { before });
                    prop_assert_eq!(shares[index].clone().bytes(), 0);
                }
                prop_assert_eq!(budget.taken(), shares.iter().map(Share::bytes).sum::<usize>());
                prop_assert!(budget.taken() <= 100);
            }
            drop(shares);
            prop_assert_eq!(budget.taken(), 0);
        }
    }
}
