//! Who waits for room in the transport.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

/// The two tasks that may have a connection's halves. Either may wait for room, the reading one for what the other left;
/// a transport remembers one waker, so it is given this, which wakes both.
#[derive(Debug, Default)]
pub(crate) struct Room(Mutex<[Option<Waker>; 2]>);

/// Whose half.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Half {
    Reading,
    Writing,
}

impl Room {
    /// Remembers the task of a half, and gives the waker for both.
    pub(crate) fn wait(self: &Arc<Self>, half: Half, context: &Context<'_>) -> Waker {
        let stale = {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let place = &mut waiting[half as usize];
            match place {
                Some(waker) if waker.will_wake(context.waker()) => None,
                _ => place.replace(context.waker().clone()),
            }
        };
        // A waker may run foreign code when it is dropped: not under the lock.
        drop(stale);
        Waker::from(self.clone())
    }
}

impl Wake for Room {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let due = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        due.into_iter().flatten().for_each(Waker::wake);
    }
}
