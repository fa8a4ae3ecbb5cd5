//! The way from shard to shard: one bounded mailbox for each, first in, first out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hub::ShardMessage;
use hub::store;
use tokio::sync::mpsc;

/// Letters that may lie in a mailbox. A shard that falls this far behind is told that it lost some.
const CAPACITY: usize = 16_384;

/// Bytes of publications that may lie in a mailbox, beyond which it is as if it were full: as much as may wait for the
/// store, where most of them go on to.
const CAPACITY_BYTES: usize = 64 * 1024 * 1024;

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
    bytes: Arc<AtomicUsize>,
    lagging: Arc<[AtomicBool]>,
}

/// Where to post letters to one shard.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    letters: mpsc::Sender<Letter>,
    /// Of the letters that lie there.
    bytes: Arc<AtomicUsize>,
    lagging: Arc<[AtomicBool]>,
}

/// A mailbox for each of `count` shards, and the addresses of all.
pub(crate) fn mailboxes(count: usize) -> (Vec<Mailbox>, Vec<Address>) {
    (0..count)
        .map(|_| {
            let (sender, receiver) = mpsc::channel(CAPACITY);
            let lagging: Arc<[AtomicBool]> = (0..count).map(|_| AtomicBool::new(false)).collect();
            let bytes = Arc::new(AtomicUsize::new(0));
            let mailbox =
                Mailbox { letters: receiver, held: None, bytes: bytes.clone(), lagging: lagging.clone() };
            (mailbox, Address { letters: sender, bytes, lagging })
        })
        .unzip()
}

impl Address {
    /// Posts what hub `from` says. Never waits: two shards that wait for each other would wait for ever. When the
    /// mailbox is full the message is dropped, and its reader told so before it reads anything later from `from`.
    pub(crate) fn post(&self, from: usize, message: ShardMessage) {
        let bytes = message.bytes();
        let lying = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        // A mailbox that is gone belongs to a shard that has ended, and needs nothing more.
        if lying.saturating_add(bytes) > CAPACITY_BYTES
            || matches!(
                self.letters.try_send(Letter::Shard { from, message }),
                Err(mpsc::error::TrySendError::Full(_))
            )
        {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
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
            None => {
                let letter = self.letters.recv().await?;
                if let Letter::Shard { message, .. } = &letter {
                    self.bytes.fetch_sub(message.bytes(), Ordering::Relaxed);
                }
                letter
            }
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

#[cfg(test)]
mod tests {
    use host::{Instant, Random, Shard, WallTime};
    use hub::{Hub, Input, Output, Protocol, SessionId};
    use lab::Lab;

    use super::*;

    /// What hub 0 of two says to hub 1 when a client of the one publishes `length` bytes in a room of the other.
    fn publish(length: usize) -> ShardMessage {
        let shard = Shard { index: 0, count: 2 };
        let mut hub = Hub::new(hub::Config::default(), shard, Random::from_seed([1; 32]), None);
        let session = SessionId { index: 0, generation: 1 };
        let mut outputs = Vec::new();
        let mut handle =
            |input| hub.handle(Instant::ORIGIN, WallTime::from_unix_millis(0), input, &mut outputs);
        let remote = ([10, 0, 0, 2], 4000).into();
        handle(Input::Connected { session, remote, protocol: Protocol::Json, name: None });
        handle(Input::Received { session, bytes: br#"{"id":1,"connect":{}}"# });
        let data = "x".repeat(length);
        let commands = [1, 2, 3, 4, 5, 6, 7, 8]
            .map(|room| format!(r#"{{"id":2,"publish":{{"channel":"room-{room}","data":"{data}"}}}}"#));
        for command in &commands {
            handle(Input::Received { session, bytes: command.as_bytes() });
        }
        let message = outputs.into_iter().find_map(|output| match output {
            Output::Shard { message, .. } => Some(message),
            _ => None,
        });
        message.expect("one of eight rooms belongs to the other")
    }

    #[test]
    fn a_mailbox_is_full_by_bytes_too_and_takes_letters_again_when_it_was_read() {
        let lab = Lab::new(1);
        let (mut mailboxes, addresses) = mailboxes(2);
        let (address, mut mailbox) = (&addresses[1], mailboxes.pop().expect("two shards"));
        let (large, small) = (publish(60_000), publish(1));
        assert!((60_000..61_000).contains(&large.bytes()), "{}", large.bytes());
        let fitting = CAPACITY_BYTES / large.bytes();
        for _ in 0..3 {
            for _ in 0..fitting {
                address.post(0, large.clone());
            }
            lab.block_on(async {
                for _ in 0..fitting {
                    assert!(
                        matches!(mailbox.next().await, Some(Letter::Shard { from: 0, .. })),
                        "all of them fit"
                    );
                }
            });
            for _ in 0..=fitting {
                address.post(0, large.clone());
            }
            address.post(0, small.clone());
            lab.block_on(async {
                // That one is missing is said first of all; those that lay there already come all the same.
                assert!(matches!(mailbox.next().await, Some(Letter::Lagged { from: 0 })));
                for _ in 0..=fitting {
                    assert!(matches!(mailbox.next().await, Some(Letter::Shard { from: 0, .. })));
                }
            });
            assert_eq!(mailbox.bytes.load(Ordering::Relaxed), 0);
        }
    }
}
