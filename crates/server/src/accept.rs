//! The accept loop: every program that listens, `serve` and `ws --echo` alike, takes its connections here.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use host::{Host, Listener};
use tokio::sync::Notify;

use crate::shutdown::Shutdown;

/// After an error that is the process's and not one connection's (no file descriptors left), accepting rests this
/// long: the listener would report it again at once.
const REST: Duration = Duration::from_millis(50);

/// The connections that are being served, counted over all shards that share it.
#[derive(Clone, Debug)]
pub struct Connections(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    limit: usize,
    open: AtomicUsize,
    accepted: AtomicUsize,
    refused: AtomicUsize,
    gone: Notify,
}

impl Connections {
    /// Lets at most `limit` be open at a time. What comes beyond is reset at once, and counted.
    pub fn limited_to(limit: usize) -> Self {
        Self(Arc::new(Counted {
            limit,
            open: AtomicUsize::new(0),
            accepted: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            gone: Notify::new(),
        }))
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }

    /// How many were taken since the start.
    pub fn accepted(&self) -> usize {
        self.0.accepted.load(Ordering::Relaxed)
    }

    /// How many came when the limit was reached.
    pub fn refused(&self) -> usize {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Ready when none is open.
    pub async fn none_open(&self) {
        loop {
            let mut gone = pin!(self.0.gone.notified());
            gone.as_mut().enable();
            if self.open() == 0 {
                return;
            }
            gone.await;
        }
    }

    fn enter(&self) -> Option<Open> {
        let limit = self.0.limit;
        let more = |open: usize| (open < limit).then_some(open + 1);
        if self.0.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            self.0.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
        Some(Open(self.clone()))
    }
}

/// One open connection, for as long as this lives.
struct Open(Connections);

impl Drop for Open {
    fn drop(&mut self) {
        if self.0.0.open.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.0.gone.notify_waiters();
        }
    }
}

/// Accepts until `shutdown`, and runs `serve` on each connection as a task of this shard. Returns when it has stopped
/// listening; the tasks run on ([`Connections::none_open`] waits for them).
pub async fn accept<H, L, S, F>(
    host: &H,
    mut listener: L,
    connections: &Connections,
    shutdown: &Shutdown,
    serve: S,
) where
    H: Host,
    L: Listener,
    S: Fn(L::Connection) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut stop = pin!(shutdown.requested());
    loop {
        let accepted = std::future::poll_fn(|context| {
            if stop.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            listener.poll_accept(context).map(Some)
        });
        match accepted.await {
            None => return,
            Some(Ok(mut connection)) => match connections.enter() {
                Some(open) => {
                    let served = serve(connection);
                    host.spawn_detached(async move {
                        served.await;
                        drop(open);
                    });
                }
                None => host::Connection::abort(&mut connection),
            },
            Some(Err(error)) => {
                tracing::warn!(%error, "accepting a connection failed");
                if !is_of_one_connection(&error) {
                    host::sleep(host, REST).await;
                }
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
