//! The way from shard to shard: one bounded mailbox for each, first in, first out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hub::ShardMessage;
use hub::store;
use tokio::sync::mpsc;

/// Letters that may lie in a mailbox. A shard that falls this far behind is told that it lost some.
const CAPACITY: usize = 16_384;

/// What arrives at a shard from outside of it.
#[derive(Debug)]
pub(crate) enum Letter {
    /// Another shard's hub says something.
    Shard {
        /// That shard.
        from: usize,
        /// What it says.
        message: ShardMessage,
    },
    /// Letters from this shard are missing from here on: the mailbox was full.
    Lagged {
        /// That shard.
        from: usize,
    },
    /// The store answers.
    Stored(store::Reply),
}

/// A shard's own mailbox.
#[derive(Debug)]
pub(crate) struct Mailbox {
    letters: mpsc::Receiver<Letter>,
    /// A letter that was taken out, and must wait until the shard knows that others before it are missing.
    held: Option<Letter>,
    lagging: Arc<[AtomicBool]>,
}

/// Where to post letters to one shard.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    letters: mpsc::Sender<Letter>,
    lagging: Arc<[AtomicBool]>,
}

/// A mailbox for each of `count` shards, and the addresses of all.
pub(crate) fn mailboxes(count: usize) -> (Vec<Mailbox>, Vec<Address>) {
    (0..count)
        .map(|_| {
            let (sender, receiver) = mpsc::channel(CAPACITY);
            let lagging: Arc<[AtomicBool]> = (0..count).map(|_| AtomicBool::new(false)).collect();
            let mailbox = Mailbox { letters: receiver, held: None, lagging: lagging.clone() };
            (mailbox, Address { letters: sender, lagging })
        })
        .unzip()
}

impl Address {
    /// Posts what hub `from` says. Never waits: two shards that wait for each other would wait for ever. When the
    /// mailbox is full the message is dropped, and its reader told so before it reads anything later from `from`.
    pub(crate) fn post(&self, from: usize, message: ShardMessage) {
        // A mailbox that is gone belongs to a shard that has ended, and needs nothing more.
        if let Err(mpsc::error::TrySendError::Full(_)) =
            self.letters.try_send(Letter::Shard { from, message })
        {
            self.lagging[from].store(true, Ordering::Release);
        }
    }

    /// Posts an answer of the store, waiting for room: the reader never waits for the store.
    pub(crate) async fn post_stored(&self, reply: store::Reply) {
        let _ = self.letters.send(Letter::Stored(reply)).await;
    }
}

impl Mailbox {
    /// The next letter, or `None` when nobody is left to write one.
    pub(crate) async fn next(&mut self) -> Option<Letter> {
        let letter = match self.held.take() {
            Some(letter) => letter,
            None => self.letters.recv().await?,
        };
        if let Letter::Shard { from, .. } = letter
            && self.lagging[from].swap(false, Ordering::Acquire)
        {
            self.held = Some(letter);
            return Some(Letter::Lagged { from });
        }
        Some(letter)
    }
}
