//! Telling every task of every shard that it is time to end.

use tokio::sync::watch;

/// Pulled once, ends everything that holds the [`Shutdown`] made with it. Dropping it does the same.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// Waits for the [`Trigger`]. Works on any runtime and across threads.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// A trigger, and what it ends.
    pub fn new() -> (Trigger, Self) {
        let (sender, receiver) = watch::channel(false);
        (Trigger(sender), Self(receiver))
    }

    /// Ready once the trigger was pulled or dropped.
    pub async fn requested(&self) {
        // An error means that the trigger is gone: the same thing.
        let _ = self.0.clone().wait_for(|requested| *requested).await;
    }

    /// Whether the trigger was pulled or dropped.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

impl Trigger {
    /// Asks everything to end.
    pub fn pull(&self) {
        self.0.send_replace(true);
    }
}
