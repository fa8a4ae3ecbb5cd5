//! The one state behind all handles of a lab.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use host::Instant;

use crate::executor::Tasks;
use crate::lab::Config;
use crate::link::{CableId, Segments};
use crate::network::{Net, Packet};
use crate::queue::Queue;
use crate::random::Streams;
use crate::transcript::{Event, Recorder};
use crate::watch::Watch;

/// What all handles share.
pub(crate) struct Shared {
    pub(crate) tasks: Tasks,
    state: Mutex<State>,
}

/// Everything that the lock guards. No foreign code (a future's poll or drop, a waker) runs under that lock, for it may
/// call the lab again.
pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) now: Instant,
    pub(crate) queue: Queue<Happening>,
    pub(crate) net: Net,
    pub(crate) segments: Segments,
    pub(crate) streams: Streams,
    pub(crate) recorder: Recorder,
    /// Who records and follows what goes over the links.
    pub(crate) watch: Option<Box<Watch>>,
    /// Who is woken when the lock is released.
    pub(crate) wakers: Vec<Waker>,
}

/// What can happen by itself.
pub(crate) enum Happening {
    /// A timer of a machine rings.
    Wake { machine: usize, waker: Waker },
    /// Something arrives.
    Arrive(Packet),
    /// Something happens on a cable.
    Travel(CableId),
    /// Blocking work of a machine, in one of its lives, is over.
    Finish { machine: usize, life: u64, work: Box<dyn FnOnce() + Send> },
    /// What somebody asked for.
    Do(Box<dyn FnOnce() + Send>),
}

impl Shared {
    pub(crate) fn new(config: Config) -> Arc<Self> {
        Arc::new(Self {
            tasks: Tasks::new(),
            state: Mutex::new(State {
                now: Instant::ORIGIN,
                queue: Queue::new(),
                net: Net::new(),
                segments: Segments::default(),
                streams: Streams::new(config.seed),
                recorder: Recorder::new(),
                watch: None,
                wakers: Vec::new(),
                config,
            }),
        })
    }

    /// Runs `change` under the lock, then wakes whom it woke.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (output, wakers) = {
            let mut state = lock(&self.state);
            let output = change(&mut state);
            (output, std::mem::take(&mut state.wakers))
        };
        wakers.into_iter().for_each(Waker::wake);
        output
    }

    /// Lets the next thing happen that is due at `limit` or before. `false` when there is none.
    pub(crate) fn happen(&self, limit: Instant) -> bool {
        let happening = self.with(|state| {
            let (at, happening) = state.queue.next(limit)?;
            state.now = state.now.max(at);
            match happening {
                Happening::Arrive(packet) => {
                    state.arrive(packet);
                    Some(None)
                }
                Happening::Travel(cable) => {
                    state.travel(cable);
                    Some(None)
                }
                other => Some(Some(other)),
            }
        });
        match happening {
            None => return false,
            Some(Some(Happening::Wake { waker, .. })) => waker.wake(),
            Some(Some(Happening::Do(work))) => work(),
            Some(Some(Happening::Finish { machine, life, work })) => {
                if self.with(|state| state.net.machines[machine].life == life) {
                    work();
                }
            }
            Some(None | Some(Happening::Arrive(_) | Happening::Travel(_))) => {}
        }
        true
    }
}

impl State {
    /// Writes a line into the transcript.
    pub(crate) fn record(&mut self, machine: usize, event: Event) {
        let name = self.net.machines[machine].name.clone();
        self.recorder.record(self.now, name, event);
    }
}

/// The state is whole between two calls: a panic elsewhere does not spoil it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
