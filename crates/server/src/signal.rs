//! Something that happens once, and wakes all who wait for it in the order in which they came.
//!
//! Tokio's `watch` would do, but it wakes its waiters in an order drawn from a thread's own randomness, and in the lab
//! one seed must be one order.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Raised once. Works on any runtime and across threads.
#[derive(Default)]
pub(crate) struct Signal(Mutex<State>);

#[derive(Default)]
struct State {
    raised: bool,
    /// By tickets, which rise: the first to wait is the first to be woken.
    waiting: BTreeMap<u64, Waker>,
    last_ticket: u64,
}

impl Signal {
    /// Lets everybody go on. Again changes nothing.
    pub(crate) fn raise(&self) {
        let waiting = {
            let mut state = self.lock();
            state.raised = true;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_values().for_each(Waker::wake);
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.lock().raised
    }

    /// Ready once it was raised.
    pub(crate) fn raised(&self) -> impl Future<Output = ()> + Send + '_ {
        Raised { signal: self, ticket: None }
    }

    /// The state is plain data, whole at every step: a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Raised<'a> {
    signal: &'a Signal,
    ticket: Option<u64>,
}

impl Future for Raised<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.signal.lock();
        if state.raised {
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

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.signal.lock().waiting.remove(&ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
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
        let signal = Signal::default();
        let woken = Arc::default();
        let mut waits: Vec<_> = (0..20).map(|_| Box::pin(signal.raised())).collect();
        for (name, wait) in waits.iter_mut().enumerate() {
            let waker = Waker::from(Arc::new(Bell(name as u32, Arc::clone(&woken))));
            assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        drop(waits.remove(7));
        signal.raise();
        let expected: Vec<u32> = (0..20).filter(|name| *name != 7).collect();
        assert_eq!(*woken.lock().expect("no test panics with it"), expected);
    }
}
