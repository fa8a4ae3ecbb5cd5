//! The store's task: gathers what all shards ask while one commit is under way into the next one.
//!
//! This is group commit without a timer: alone, a write is committed at once; under load, a commit covers everything
//! that came in while the disk was busy with the one before.

use host::Runtime;
use hub::store::{self, Store};
use tokio::sync::mpsc;

use crate::mailbox::Address;

/// Requests that may wait for the store. The hub keeps at most one write group a room under way, so this bounds rooms
/// that write at the same moment; beyond it a request is refused and its publishers are told.
const CAPACITY: usize = 16_384;

/// Requests that one commit may cover. More would only make the first of them wait longer.
const BATCH: usize = 4_096;

/// Bytes of records that one commit may cover; a single request may bring more, and goes alone then. The store holds a
/// commit in memory until it is synced, and past some megabytes a sync costs what its bytes cost: nothing is gained by
/// more.
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// A shard's line to the store.
#[derive(Clone, Debug)]
pub(crate) struct StoreLine(mpsc::Sender<Asked>);

#[derive(Debug)]
struct Asked {
    by: usize,
    request: store::Request,
}

/// Too many requests wait for the store.
#[derive(Debug)]
pub(crate) struct Busy;

/// The other end of every [`StoreLine`].
#[derive(Debug)]
pub(crate) struct StoreDesk {
    asked: mpsc::Receiver<Asked>,
    /// A request that was taken out and did not fit the batch.
    next: Option<Asked>,
}

pub(crate) fn line() -> (StoreLine, StoreDesk) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    (StoreLine(sender), StoreDesk { asked: receiver, next: None })
}

impl StoreLine {
    /// Asks the store on behalf of shard `by`, unless too many wait.
    pub(crate) fn ask(&self, by: usize, request: store::Request) -> Result<(), Busy> {
        self.0.try_send(Asked { by, request }).map_err(|_| Busy)
    }
}

impl StoreDesk {
    /// Serves until every [`StoreLine`] is dropped, then closes the store.
    pub(crate) async fn serve<R: Runtime>(
        mut self,
        runtime: R,
        mut store: Box<dyn Store>,
        shards: Vec<Address>,
    ) {
        while let Some(batch) = self.batch().await {
            let (askers, requests): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|asked| (asked.by, asked.request)).unzip();
            let replies;
            (store, replies) = runtime
                .blocking(move || {
                    let replies = store::run(&mut *store, requests);
                    (store, replies)
                })
                .await;
            for (by, reply) in askers.into_iter().zip(replies) {
                shards[by].post_stored(reply).await;
            }
        }
    }

    /// What has been asked by now, as far as it fits one commit. Waits for a first request, and gives `None` when nobody
    /// is left to ask.
    async fn batch(&mut self) -> Option<Vec<Asked>> {
        let first = match self.next.take() {
            Some(next) => next,
            None => self.asked.recv().await?,
        };
        let mut bytes = first.request.operation.bytes();
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(asked) = self.asked.try_recv()
        {
            bytes = bytes.saturating_add(asked.request.operation.bytes());
            if bytes > BATCH_BYTES {
                self.next = Some(asked);
                break;
            }
            batch.push(asked);
        }
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use hub::store::{Epoch, Limit, Memory, Operation, Record, Start, StoreError, StoredRoom, Write};
    use lab::Lab;

    use super::*;
    use crate::mailbox::{Letter, mailboxes};

    /// A store that notes how many bytes each commit had.
    struct Noting(Memory, Arc<Mutex<Vec<usize>>>);

    impl Store for Noting {
        fn load(&mut self, channel: &str, limit: Limit) -> Result<Option<StoredRoom>, StoreError> {
            self.0.load(channel, limit)
        }

        fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
            let bodies = writes.iter().map(|write| match write {
                Write::Append { record, .. } => record.body.len(),
                _ => 0,
            });
            self.1.lock().expect("no test panics with it").push(bodies.sum());
            self.0.commit(writes)
        }

        fn read(&mut self, channel: &str, start: Start, limit: Limit) -> Result<Vec<Record>, StoreError> {
            self.0.read(channel, start, limit)
        }

        fn rooms(&mut self, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
            self.0.rooms(after, limit)
        }
    }

    /// Bytes of the commits when requests of so many bytes each wait when the desk opens.
    fn commits(requests: &[usize]) -> Vec<usize> {
        let lab = Lab::new(1);
        let host = lab.machine("server", [10, 0, 0, 1].into(), 1).host();
        let (mut mailboxes, addresses) = mailboxes(1);
        let mut mailbox = mailboxes.pop().expect("one shard");
        let (line, desk) = line();
        for (&bytes, ticket) in requests.iter().zip(1..) {
            let channel: Arc<str> = format!("room-{ticket}").into();
            let create = Write::Create { channel: channel.clone(), epoch: Epoch::new("e") };
            let record = Record { offset: 1, body: vec![0; bytes].into() };
            let writes = vec![create, Write::Append { channel, record }];
            line.ask(0, store::Request { ticket, operation: Operation::Write(writes) }).expect("room");
        }
        drop(line);
        let noted = Arc::new(Mutex::new(Vec::new()));
        let store = Box::new(Noting(Memory::new(), noted.clone()));
        lab.block_on(desk.serve(host, store, addresses));
        lab.block_on(async {
            for ticket in 1..=requests.len() as u64 {
                let Some(Letter::Stored(reply)) = mailbox.next().await else { panic!("no answer") };
                assert_eq!((reply.ticket, reply.outcome), (ticket, Ok(store::Outcome::Written)));
            }
            assert!(mailbox.next().await.is_none());
        });
        noted.lock().expect("no test panics with it").clone()
    }

    #[test]
    fn a_commit_covers_all_that_waits_as_far_as_its_bytes_go() {
        const HALF: usize = BATCH_BYTES / 2;
        assert_eq!(commits(&[10; 1000]), [10_000]);
        assert_eq!(commits(&[HALF; 5]), [BATCH_BYTES, BATCH_BYTES, HALF], "to the last byte");
        assert_eq!(commits(&[HALF, HALF + 1, 5]), [HALF, HALF + 6]);
        // Larger than a commit: it goes, alone.
        assert_eq!(commits(&[1, BATCH_BYTES + 1, 1]), [1, BATCH_BYTES + 1, 1]);
    }

    #[test]
    fn a_commit_covers_only_so_many_requests() {
        assert_eq!(commits(&[1; BATCH + 1]), [BATCH, 1]);
    }
}
