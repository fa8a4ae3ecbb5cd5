//! Datagrams by way of another socket for each who sends: what carries UDP through a path, on both of its sides.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use host::{Datagrams, Instant, Runtime, timeout_at};

/// How long a sender is remembered that is silent, and that nothing comes back for.
const IDLE: Duration = Duration::from_secs(120);

/// The longest datagram, in bytes.
const LONGEST: usize = 65_535;

/// What a relay has moved and lost, in datagrams.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) carried: AtomicU64,
    pub(super) lost: AtomicU64,
}

/// Sends what arrives at `inbound` on to `to`, by a socket of its own for each sender, which `open` makes; what comes back
/// there goes back to the sender. At most `limit` senders are known at a time, the others are lost. Goes on for ever.
pub(super) async fn relay<R, A, B, F>(
    runtime: &R,
    inbound: A,
    limit: usize,
    open: impl Fn() -> F,
    to: impl Fn() -> SocketAddr,
    tally: &Arc<Tally>,
) where
    R: Runtime,
    A: Datagrams,
    B: Datagrams,
    F: Future<Output = io::Result<B>> + Send,
{
    let inbound = Arc::new(Mutex::new(inbound));
    let mut senders: BTreeMap<SocketAddr, Arc<Sender<B>>> = BTreeMap::new();
    let mut buffer = vec![0; LONGEST];
    loop {
        // An error tells of an earlier datagram, which is lost as any may be.
        let Ok((length, from)) = receive(&inbound, &mut buffer).await else {
            tally.lost.fetch_add(1, Relaxed);
            continue;
        };
        if !senders.contains_key(&from) {
            senders.retain(|_, sender| !sender.is_over());
            if senders.len() >= limit {
                tally.lost.fetch_add(1, Relaxed);
                continue;
            }
            let Ok(socket) = open().await else {
                tally.lost.fetch_add(1, Relaxed);
                continue;
            };
            let sender =
                Arc::new(Sender { socket: Mutex::new(socket), active: Mutex::new(Some(runtime.now())) });
            senders.insert(from, sender.clone());
            let answers = answer(runtime.clone(), inbound.clone(), from, sender, tally.clone());
            runtime.spawn_detached(answers);
        }
        if let Some(sender) = senders.get(&from) {
            if !sender.is_active_at(runtime.now()) {
                senders.remove(&from);
                tally.lost.fetch_add(1, Relaxed);
                continue;
            }
            send(&sender.socket, &buffer[..length], to(), tally).await;
        }
    }
}

/// Who sends to us, and the socket that stands for them.
struct Sender<B> {
    socket: Mutex<B>,
    /// Since when nothing has come; `None` once it is over.
    active: Mutex<Option<Instant>>,
}

impl<B> Sender<B> {
    fn is_over(&self) -> bool {
        lock(&self.active).is_none()
    }

    /// Notes that something has come. `false` when it is over.
    fn is_active_at(&self, now: Instant) -> bool {
        lock(&self.active).as_mut().map(|active| *active = now).is_some()
    }
}

/// Carries back what comes for one sender, until nothing moves either way for long.
async fn answer<R: Runtime, A: Datagrams, B: Datagrams>(
    runtime: R,
    inbound: Arc<Mutex<A>>,
    to: SocketAddr,
    sender: Arc<Sender<B>>,
    tally: Arc<Tally>,
) {
    let mut buffer = vec![0; LONGEST];
    loop {
        let since = *lock(&sender.active);
        let deadline = since.unwrap_or_default() + IDLE;
        match timeout_at(&runtime, deadline, receive(&sender.socket, &mut buffer)).await {
            Ok(Ok((length, _))) => {
                sender.is_active_at(runtime.now());
                send(&inbound, &buffer[..length], to, &tally).await;
            }
            // Nobody was there for an earlier one.
            Ok(Err(_)) => {
                tally.lost.fetch_add(1, Relaxed);
            }
            Err(_) => {
                let mut active = lock(&sender.active);
                if *active == since {
                    *active = None;
                    return;
                }
            }
        }
    }
}

async fn receive<D: Datagrams>(socket: &Mutex<D>, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    poll_fn(|context: &mut Context<'_>| lock(socket).poll_receive(context, buffer)).await
}

/// Sends, if it goes at once: a datagram that does not is lost.
async fn send<D: Datagrams>(socket: &Mutex<D>, datagram: &[u8], to: SocketAddr, tally: &Tally) {
    let sent = poll_fn(|context: &mut Context<'_>| {
        Poll::Ready(matches!(lock(socket).poll_send(context, datagram, to), Poll::Ready(Ok(()))))
    });
    let counter = if sent.await { &tally.carried } else { &tally.lost };
    counter.fetch_add(1, Relaxed);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
