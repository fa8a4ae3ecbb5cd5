//! Blocking work: done on the spot, with its result some virtual time later.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;

use crate::state::lock;

/// Waits for the result of blocking work.
pub(crate) struct Blocking<T>(Arc<Mutex<Slot<T>>>);

struct Slot<T> {
    result: Option<thread::Result<T>>,
    waker: Option<Waker>,
}

/// Splits `work` into what happens when its time is over, and the wait for that.
///
/// The work itself is done now (`early`) or then. Nobody on the machine can tell the difference, unless the machine crashes
/// in between: then the work was done and nobody heard of it, or it was not.
pub(crate) fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
    early: bool,
) -> (Box<dyn FnOnce() + Send>, Blocking<T>) {
    let slot = Arc::new(Mutex::new(Slot { result: None, waker: None }));
    let filled = slot.clone();
    let fill = move |result| {
        let waker = {
            let mut slot = lock(&filled);
            slot.result = Some(result);
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    };
    let finish: Box<dyn FnOnce() + Send> = if early {
        let result = catch_unwind(AssertUnwindSafe(work));
        // A panic's payload is `Send`, so the result can travel as any other.
        Box::new(move || fill(result))
    } else {
        Box::new(move || fill(catch_unwind(AssertUnwindSafe(work))))
    };
    (finish, Blocking(slot))
}

impl<T> Future for Blocking<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut slot = lock(&self.0);
        match slot.result.take() {
            Some(Ok(value)) => Poll::Ready(value),
            Some(Err(panic)) => {
                drop(slot);
                resume_unwind(panic)
            }
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
