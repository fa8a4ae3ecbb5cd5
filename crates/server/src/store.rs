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
pub(crate) struct StoreDesk(mpsc::Receiver<Asked>);

pub(crate) fn line() -> (StoreLine, StoreDesk) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    (StoreLine(sender), StoreDesk(receiver))
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
        let mut batch = Vec::new();
        while self.0.recv_many(&mut batch, BATCH).await > 0 {
            let (askers, requests): (Vec<_>, Vec<_>) =
                batch.drain(..).map(|asked| (asked.by, asked.request)).unzip();
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
}
