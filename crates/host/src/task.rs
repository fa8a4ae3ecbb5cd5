//! Handles to tasks, the same on every runtime.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// A handle to a task that was started by [`Runtime::spawn`](crate::Runtime::spawn). Await it to learn how the task
/// ended; drop it and the task runs on.
#[derive(Debug)]
pub struct Task(Arc<Mutex<State>>);

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskEnd {
    /// It returned.
    Finished,
    /// [`Task::abort`] was called before it returned.
    Aborted,
    /// It panicked, or its runtime was shut down under it.
    Lost,
}

#[derive(Debug, Default)]
struct State {
    abort: bool,
    end: Option<TaskEnd>,
    /// Wakes the task itself, to see `abort`.
    runner: Option<Waker>,
    /// Wakes whoever awaits the handle.
    watcher: Option<Waker>,
}

impl Task {
    /// Ends the task at the next point where it waits: its future is dropped there.
    pub fn abort(&self) {
        let runner = {
            let mut state = lock(&self.0);
            state.abort = true;
            state.runner.take()
        };
        if let Some(runner) = runner {
            runner.wake();
        }
    }

    /// Whether the task has ended.
    pub fn is_ended(&self) -> bool {
        lock(&self.0).end.is_some()
    }
}

impl Future for Task {
    type Output = TaskEnd;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<TaskEnd> {
        let mut state = lock(&self.0);
        match state.end {
            Some(end) => Poll::Ready(end),
            None => {
                state.watcher = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Wraps `future` so that a [`Task`] can watch and abort it.
pub(crate) fn watched<F>(future: F) -> (impl Future<Output = ()> + Send + 'static, Task)
where
    F: Future<Output = ()> + Send + 'static,
{
    let state = Arc::new(Mutex::new(State::default()));
    let mut ending = Ending { state: state.clone(), end: TaskEnd::Lost };
    let wrapped = async move {
        let mut future = Box::pin(future);
        ending.end = std::future::poll_fn(|context| {
            {
                let mut state = lock(&ending.state);
                if state.abort {
                    return Poll::Ready(TaskEnd::Aborted);
                }
                state.runner = Some(context.waker().clone());
            }
            future.as_mut().poll(context).map(|()| TaskEnd::Finished)
        })
        .await;
        // The future goes before the watcher hears of its end, so that what it held is free by then.
        drop(future);
        drop(ending);
    };
    (wrapped, Task(state))
}

/// Tells the watcher when the task's future is dropped, however that came about.
struct Ending {
    state: Arc<Mutex<State>>,
    end: TaskEnd,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let watcher = {
            let mut state = lock(&self.state);
            state.end = Some(self.end);
            state.runner = None;
            state.watcher.take()
        };
        if let Some(watcher) = watcher {
            watcher.wake();
        }
    }
}

/// The state is plain data, whole at every step: a panic elsewhere does not spoil it.
fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_handle_says_how_the_task_ended() {
        let (future, mut task) = watched(async {});
        let mut future = Box::pin(future);
        assert_eq!(poll(&mut task), Poll::Pending);
        assert_eq!(poll(&mut future), Poll::Ready(()));
        assert_eq!(poll(&mut task), Poll::Ready(TaskEnd::Finished));
    }

    #[test]
    fn an_aborted_task_is_dropped_at_its_next_wait() {
        let held = Arc::new(());
        let inside = held.clone();
        let (future, mut task) = watched(async move {
            let _inside = inside;
            std::future::pending::<()>().await;
        });
        let mut future = Box::pin(future);
        assert_eq!(poll(&mut future), Poll::Pending);
        task.abort();
        assert_eq!(poll(&mut future), Poll::Ready(()));
        assert_eq!(poll(&mut task), Poll::Ready(TaskEnd::Aborted));
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[test]
    fn a_task_dropped_by_its_runtime_is_lost() {
        let (future, mut task) = watched(std::future::pending());
        drop(future);
        assert!(task.is_ended());
        assert_eq!(poll(&mut task), Poll::Ready(TaskEnd::Lost));
    }
}
