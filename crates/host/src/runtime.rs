//! Time, tasks, randomness and blocking work.

use std::future::Future;
use std::task::{Context, Poll};

use crate::task::{self, Task};
use crate::{Instant, Random, WallTime};

/// What a program may ask of the machine besides its network.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// The runtime's timers.
    type Timer: Timer;

    /// The monotonic clock.
    fn now(&self) -> Instant;

    /// The wall clock.
    fn wall_clock(&self) -> WallTime;

    /// A new timer, not set.
    fn timer(&self) -> Self::Timer;

    /// A new timer, not set, that rings as exactly as the machine can, where [`timer`](Self::timer) may count in
    /// milliseconds. It may cost something that is scarce, such as a file descriptor.
    fn exact_timer(&self) -> Self::Timer {
        self.timer()
    }

    /// The random stream called `name` on this shard. Each call starts the stream's next incarnation: two calls with
    /// one name give two different streams, in the lab the same two each time.
    fn random(&self, name: &str) -> Random;

    /// Starts `future` as a task of this shard that nobody waits for.
    #[track_caller]
    fn spawn_detached(&self, future: impl Future<Output = ()> + Send + 'static);

    /// Starts `future` as a task of this shard. Dropping the handle lets the task run on.
    #[track_caller]
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Task {
        let (future, task) = task::watched(future);
        self.spawn_detached(future);
        task
    }

    /// Runs `work` where it may block (disk, above all) and waits for its result.
    ///
    /// Work that was started runs to its end even when the returned future is dropped. When `work` panics, so does the
    /// task that waits.
    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static;
}

/// One alarm that can be set again and again. Dropping it costs nothing that grows with the number of timers.
pub trait Timer: Send + Unpin + 'static {
    /// Sets the alarm, or with `None` takes it back. A waiter that was registered stays registered, and is woken at the
    /// new time.
    fn set(&mut self, deadline: Option<Instant>);

    /// Ready once the deadline has come, and again at each poll until the timer is set anew; pending while none is set.
    fn poll_expired(&mut self, context: &mut Context<'_>) -> Poll<()>;
}
