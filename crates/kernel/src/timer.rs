//! Alarms, on tokio's timer wheel.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use host::{Instant, Timer};
use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep_until};

use crate::clock;

/// An alarm on tokio's timer wheel, which counts in milliseconds: it rings at the first one that is not too early.
///
/// It allocates once, when it is first set.
#[derive(Debug)]
pub struct KernelTimer {
    handle: Handle,
    set: bool,
    /// May still hold a deadline that was taken back: it then wakes once in vain, which is cheaper than going back to the
    /// wheel each time.
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whoever polled while no deadline was set.
    waiting: Option<Waker>,
}

impl KernelTimer {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle, set: false, sleep: None, waiting: None }
    }
}

impl Timer for KernelTimer {
    fn set(&mut self, deadline: Option<Instant>) {
        self.set = deadline.is_some();
        let Some(deadline) = deadline else { return };
        let deadline = clock::to_tokio(deadline);
        let sleep = match &mut self.sleep {
            Some(sleep) => {
                sleep.as_mut().reset(deadline);
                sleep
            }
            none => {
                let _inside = self.handle.enter();
                none.insert(Box::pin(sleep_until(deadline)))
            }
        };
        if let Some(waker) = self.waiting.take()
            && sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
        {
            waker.wake();
        }
    }

    fn poll_expired(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.sleep {
            Some(sleep) if self.set => sleep.as_mut().poll(context),
            _ => {
                match &mut self.waiting {
                    Some(waker) => waker.clone_from(context.waker()),
                    none => *none = Some(context.waker().clone()),
                }
                Poll::Pending
            }
        }
    }
}
