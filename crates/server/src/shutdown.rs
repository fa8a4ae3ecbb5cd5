//! Telling every task of every shard that it is time to end.
//!
//! Tokio's `watch` would do, but it wakes its waiters in an order drawn from a thread's own randomness, and in the lab
//! one seed must be one order.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Pulled once, ends everything that holds the [`Shutdown`] made with it. Dropping it does the same.
pub struct Trigger(Arc<Signal>);

/// Waits for the [`Trigger`]. Works on any runtime and across threads.
#[derive(Clone)]
pub struct Shutdown(Arc<Signal>);

#[derive(Default)]
struct Signal(Mutex<State>);

#[derive(Default)]
struct State {
    requested: bool,
    /// By tickets, which rise: the first to wait is the first to be woken.
    waiting: BTreeMap<u64, Waker>,
    last_ticket: u64,
}

impl Shutdown {
    /// A trigger, and what it ends.
    pub fn new() -> (Trigger, Self) {
        let signal = Arc::<Signal>::default();
        (Trigger(signal.clone()), Self(signal))
    }

    /// Ready once the trigger was pulled or dropped.
    pub async fn requested(&self) {
        Requested { signal: &self.0, ticket: None }.await;
    }

    /// Whether the trigger was pulled or dropped.
    pub fn is_requested(&self) -> bool {
        self.0.lock().requested
    }
}

impl Trigger {
    /// Asks everything to end.
    pub fn pull(&self) {
        let waiting = {
            let mut state = self.0.lock();
            state.requested = true;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_values().for_each(Waker::wake);
    }
}

impl Drop for Trigger {
    fn drop(&mut self) {
        self.pull();
    }
}

impl Signal {
    /// The state is plain data, whole at every step: a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Requested<'a> {
    signal: &'a Signal,
    ticket: Option<u64>,
}

impl Future for Requested<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.signal.lock();
        if state.requested {
            return Poll::Ready(());
        }
        let ticket = self.ticket.unwrap_or_else(|| {
            state.last_ticket += 1;
            state.last_ticket
        });
        state.waiting.insert(ticket, context.waker().clone());
        drop(state);
        self.ticket = Some(ticket);
        Poll::Pending
    }
}

impl Drop for Requested<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.signal.lock().waiting.remove(&ticket);
        }
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
    use std::pin::pin;
    use std::task::Wake;

    use super::*;

    /// Writes its name down when it is woken.
    struct Bell(u32, Arc<Mutex<Vec<u32>>>);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.1.lock().expect("no test panics with it").push(self.0);
        }
    }

    #[test]
    fn waiters_are_woken_in_the_order_in_which_they_came() {
        let (trigger, shutdown) = Shutdown::new();
        let woken = Arc::default();
        let mut waits: Vec<_> = (0..20).map(|_| Box::pin(shutdown.requested())).collect();
        for (name, wait) in waits.iter_mut().enumerate() {
            let waker = Waker::from(Arc::new(Bell(name as u32, Arc::clone(&woken))));
            assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        drop(waits.remove(7));
        trigger.pull();
        let expected: Vec<u32> = (0..20).filter(|name| *name != 7).collect();
        assert_eq!(*woken.lock().expect("no test panics with it"), expected);
    }

    #[test]
    fn dropping_the_trigger_pulls_it() {
        let (trigger, shutdown) = Shutdown::new();
        assert!(!shutdown.is_requested());
        drop(trigger);
        assert!(shutdown.is_requested());
        assert!(pin!(shutdown.requested()).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }
}
