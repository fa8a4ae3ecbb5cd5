//! Alarms in virtual time.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use host::{Instant, Timer};

use crate::queue::Moment;
use crate::state::{Happening, Shared};

/// An alarm in virtual time. It rings at exactly its deadline, as its machine's clock shows it.
pub struct LabTimer {
    shared: Arc<Shared>,
    machine: usize,
    deadline: Option<Instant>,
    /// The event that holds our waker.
    scheduled: Option<Moment>,
    /// Whoever polled while no deadline was set.
    waiting: Option<Waker>,
}

impl LabTimer {
    pub(crate) fn new(shared: Arc<Shared>, machine: usize) -> Self {
        Self { shared, machine, deadline: None, scheduled: None, waiting: None }
    }

    /// Takes our event back and gives the waker that it held.
    fn cancel(&mut self) -> Option<Waker> {
        let moment = self.scheduled.take()?;
        match self.shared.with(|state| state.queue.cancel(moment)) {
            Some(Happening::Wake { waker, .. }) => Some(waker),
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
                    let at = state.net.machines[self.machine].clock.when(deadline).max(state.now);
                    state.queue.schedule(at, Happening::Wake { machine: self.machine, waker })
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
            let clock = state.net.machines[self.machine].clock;
            if clock.show(state.now) >= deadline {
                return (Poll::Ready(()), None);
            }
            let held = self.scheduled.and_then(|moment| state.queue.get_mut(moment));
            match held {
                Some(Happening::Wake { waker: held, .. }) if held.will_wake(waker) => (Poll::Pending, None),
                Some(held) => {
                    let wake = Happening::Wake { machine: self.machine, waker: waker.clone() };
                    (Poll::Pending, Some(std::mem::replace(held, wake)))
                }
                None => {
                    let wake = Happening::Wake { machine: self.machine, waker: waker.clone() };
                    self.scheduled = Some(state.queue.schedule(clock.when(deadline), wake));
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
