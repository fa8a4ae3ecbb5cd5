//! Telling every task of every shard that it is time to end.

use std::fmt;
use std::sync::Arc;

use crate::signal::Signal;

/// Pulled once, ends everything that holds the [`Shutdown`] made with it. Dropping it does the same.
pub struct Trigger(Arc<Signal>);

/// Waits for the [`Trigger`]. Works on any runtime and across threads.
#[derive(Clone)]
pub struct Shutdown(Arc<Signal>);

impl Shutdown {
    /// A trigger, and what it ends.
    pub fn new() -> (Trigger, Self) {
        let signal = Arc::<Signal>::default();
        (Trigger(signal.clone()), Self(signal))
    }

    /// Ready once the trigger was pulled or dropped.
    pub async fn requested(&self) {
        self.0.raised().await;
    }

    /// Whether the trigger was pulled or dropped.
    pub fn is_requested(&self) -> bool {
        self.0.is_raised()
    }
}

impl Trigger {
    /// Asks everything to end.
    pub fn pull(&self) {
        self.0.raise();
    }
}

impl Drop for Trigger {
    fn drop(&mut self) {
        self.pull();
    }
}

impl fmt::Debug for Trigger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Trigger(..)")
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Shutdown").field(&self.is_requested()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn dropping_the_trigger_pulls_it() {
        let (trigger, shutdown) = Shutdown::new();
        assert!(!shutdown.is_requested());
        drop(trigger);
        assert!(shutdown.is_requested());
        assert!(pin!(shutdown.requested()).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }
}
