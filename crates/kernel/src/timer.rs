//! Alarms: on tokio's timer wheel, or exact ones.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use host::{Instant, Timer};
use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep_until};

use crate::clock;

#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::exact::ExactTimer;

/// An alarm of [`KernelHost`](crate::KernelHost).
#[derive(Debug)]
pub struct KernelTimer(Kind);

#[derive(Debug)]
enum Kind {
    Wheel(Wheel),
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Exact(ExactTimer),
}

impl KernelTimer {
    /// On tokio's timer wheel, which counts in milliseconds: it rings at the first one that is not too early. It allocates
    /// once, when it is first set.
    pub(crate) fn new(handle: Handle) -> Self {
        Self(Kind::Wheel(Wheel { handle, set: false, sleep: None, waiting: None }))
    }

    /// An alarm of the system's own, for the price of a descriptor; where there is none to be had, as [`new`](Self::new).
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn exact(handle: Handle) -> Self {
        let exact = {
            let _inside = handle.enter();
            ExactTimer::new()
        };
        exact.map_or_else(|_| Self::new(handle), |timer| Self(Kind::Exact(timer)))
    }
}

impl Timer for KernelTimer {
    fn set(&mut self, deadline: Option<Instant>) {
        match &mut self.0 {
            Kind::Wheel(timer) => timer.set(deadline),
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Kind::Exact(timer) => timer.set(deadline),
        }
    }

    fn poll_expired(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Kind::Wheel(timer) => timer.poll_expired(context),
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Kind::Exact(timer) => timer.poll_expired(context),
        }
    }
}

#[derive(Debug)]
struct Wheel {
    handle: Handle,
    set: bool,
    /// May still hold a deadline that was taken back: it then wakes once in vain, which is cheaper than going back to the
    /// wheel each time.
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whoever polled while no deadline was set.
    waiting: Option<Waker>,
}

impl Timer for Wheel {
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
