//! Alarms in virtual time.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use host::{Instant, Timer};

use crate::queue::Moment;
use crate::state::{Happening, Shared};

/// An alarm in virtual time. It rings at exactly its deadline.
pub struct LabTimer {
    shared: Arc<Shared>,
    deadline: Option<Instant>,
    /// The event that holds our waker.
    scheduled: Option<Moment>,
    /// Whoever polled while no deadline was set.
    waiting: Option<Waker>,
}

impl LabTimer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, deadline: None, scheduled: None, waiting: None }
    }

    /// Takes our event back and gives the waker that it held.
    fn cancel(&mut self) -> Option<Waker> {
        let moment = self.scheduled.take()?;
        match self.shared.with(|state| state.queue.cancel(moment)) {
            Some(Happening::Wake(waker)) => Some(waker),
            // It has rung already.
            _ => None,
        }
    }
}

impl Timer for LabTimer {
    fn set(&mut self, deadline: Option<Instant>) {
        let waker = self.cancel().or_else(|| self.waiting.take());
        self.deadline = deadline;
        match (deadline, waker) {
            (Some(deadline), Some(waker)) => {
                self.scheduled = Some(self.shared.with(|state| {
                    let at = deadline.max(state.now);
                    state.queue.schedule(at, Happening::Wake(waker))
                }));
            }
            (_, waker) => self.waiting = waker,
        }
    }

    fn poll_expired(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else {
            self.waiting = Some(context.waker().clone());
            return Poll::Pending;
        };
        let waker = context.waker();
        let (poll, old) = self.shared.with(|state| {
            if state.now >= deadline {
                return (Poll::Ready(()), None);
            }
            let held = self.scheduled.and_then(|moment| state.queue.get_mut(moment));
            match held {
                Some(Happening::Wake(held)) if held.will_wake(waker) => (Poll::Pending, None),
                Some(held) => (Poll::Pending, Some(std::mem::replace(held, Happening::Wake(waker.clone())))),
                None => {
                    self.scheduled = Some(state.queue.schedule(deadline, Happening::Wake(waker.clone())));
                    (Poll::Pending, None)
                }
            }
        });
        // A waker may run foreign code when it is dropped: not under the lab's lock.
        drop(old);
        poll
    }
}

impl Drop for LabTimer {
    fn drop(&mut self) {
        drop(self.cancel());
    }
}
