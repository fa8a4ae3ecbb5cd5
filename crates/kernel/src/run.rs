//! Starting a program on its shards.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::task::Poll;
use std::thread;

use host::Shard;
use tokio::sync::watch;

use crate::KernelHost;

/// Runs `program` on `shards` shards (at least one), each a thread with its own current-thread tokio runtime, and returns
/// what it returned on each, in the shards' order. Tasks that a shard's program leaves behind are dropped when it returns;
/// blocking work that was started is waited for.
///
/// # Errors
///
/// When the system does not give us the threads or their event queues.
///
/// # Panics
///
/// When the program panics on a shard. It is dropped on the other shards then, for they have lost a part of themselves.
pub fn run<F, P, T>(shards: usize, program: P) -> io::Result<Vec<T>>
where
    P: Fn(KernelHost) -> F + Send + Sync,
    F: Future<Output = T>,
    T: Send,
{
    let count = shards.max(1);
    let (lost, _) = watch::channel(false);
    let outcomes = thread::scope(|scope| {
        let mut threads = Vec::with_capacity(count);
        for index in 0..count {
            let (lost, program) = (&lost, &program);
            let started =
                thread::Builder::new().name(format!("shard-{index}")).spawn_scoped(scope, move || {
                    let outcome =
                        catch_unwind(AssertUnwindSafe(|| shard(Shard { index, count }, program, lost)));
                    if !matches!(outcome, Ok(Ok(_))) {
                        lost.send_replace(true);
                    }
                    outcome
                });
            match started {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    lost.send_replace(true);
                    return Err(error);
                }
            }
        }
        Ok(threads.into_iter().map(|thread| thread.join().and_then(|outcome| outcome)).collect::<Vec<_>>())
    })?;
    gather(outcomes)
}

/// Runs the program on one shard. `None` when another shard was lost before it returned.
fn shard<F: Future>(
    shard: Shard,
    program: &impl Fn(KernelHost) -> F,
    lost: &watch::Sender<bool>,
) -> io::Result<Option<F::Output>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut lost = lost.subscribe();
    let host = KernelHost::on(runtime.handle().clone(), shard);
    Ok(runtime.block_on(async {
        let mut running = pin!(program(host));
        let mut losing = pin!(lost.wait_for(|lost| *lost));
        poll_fn(|context| {
            if let Poll::Ready(output) = running.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            losing.as_mut().poll(context).map(|_| None)
        })
        .await
    }))
}

type Outcome<T> = Result<io::Result<Option<T>>, Box<dyn Any + Send>>;

fn gather<T>(outcomes: Vec<Outcome<T>>) -> io::Result<Vec<T>> {
    let mut outputs = Vec::with_capacity(outcomes.len());
    let mut failure = None;
    for outcome in outcomes {
        match outcome {
            Ok(Ok(output)) => outputs.extend(output),
            Ok(Err(error)) => failure = failure.or(Some(error)),
            Err(panic) => resume_unwind(panic),
        }
    }
    failure.map_or(Ok(outputs), Err)
}
