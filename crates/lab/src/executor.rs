//! The executor: tasks that are ready run first in, first out, on the thread that drives the lab.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use host::Instant;

use crate::state::{Shared, lock};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// All tasks of a lab, and those of them that are ready to run.
pub(crate) struct Tasks {
    ready: Arc<Ready>,
    all: Mutex<All>,
}

/// First in, first out. Apart from the rest because wakers hold it.
struct Ready(Mutex<VecDeque<Runnable>>);

enum Runnable {
    Task(Arc<Cell>),
    /// The future that the lab is driven for, by the number of the drive.
    Main(u64),
}

struct All {
    living: BTreeMap<u64, Arc<Cell>>,
    spawned: u64,
    drives: u64,
    driving: bool,
    /// Machines that are being taken down, whose futures must not start new tasks as they are dropped.
    falling: Vec<usize>,
    /// The lab itself is gone.
    closed: bool,
    isolate_panics: bool,
}

/// One task.
struct Cell {
    id: u64,
    machine: usize,
    spawned_at: &'static Location<'static>,
    ready: Arc<Ready>,
    queued: AtomicBool,
    dead: AtomicBool,
    future: Mutex<Option<Work>>,
}

impl Wake for Cell {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            let ready = self.ready.clone();
            lock(&ready.0).push_back(Runnable::Task(self));
        }
    }
}

/// Wakes the future that the lab is driven for.
struct Main {
    drive: u64,
    ready: Arc<Ready>,
    queued: AtomicBool,
}

impl Wake for Main {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            lock(&self.ready.0).push_back(Runnable::Main(self.drive));
        }
    }
}

impl Tasks {
    pub(crate) fn new() -> Self {
        Self {
            ready: Arc::new(Ready(Mutex::new(VecDeque::new()))),
            all: Mutex::new(All {
                living: BTreeMap::new(),
                spawned: 0,
                drives: 0,
                driving: false,
                falling: Vec::new(),
                closed: false,
                isolate_panics: false,
            }),
        }
    }

    #[track_caller]
    pub(crate) fn spawn(&self, machine: usize, future: Work) {
        let spawned_at = Location::caller();
        let cell = {
            let mut all = lock(&self.all);
            // While a machine falls its futures are dropped, and what they would start falls with them.
            (!all.closed && !all.falling.contains(&machine)).then(|| {
                let id = all.spawned;
                all.spawned += 1;
                let cell = Arc::new(Cell {
                    id,
                    machine,
                    spawned_at,
                    ready: self.ready.clone(),
                    queued: AtomicBool::new(false),
                    dead: AtomicBool::new(false),
                    future: Mutex::new(None),
                });
                all.living.insert(id, cell.clone());
                cell
            })
        };
        if let Some(cell) = cell {
            *lock(&cell.future) = Some(future);
            cell.wake();
        }
    }

    /// Drops all tasks of `machine`, in the order in which they were started; of all machines when `None`.
    pub(crate) fn fell(&self, machine: Option<usize>) {
        let fallen = {
            let mut all = lock(&self.all);
            all.falling.extend(machine);
            all.closed |= machine.is_none();
            let ids: Vec<u64> = all
                .living
                .values()
                .filter(|cell| machine.is_none_or(|machine| machine == cell.machine))
                .map(|cell| cell.id)
                .collect();
            ids.into_iter().filter_map(|id| all.living.remove(&id)).collect::<Vec<_>>()
        };
        for cell in fallen {
            // The one that runs at this moment is dropped when it comes to its next wait.
            cell.dead.store(true, Ordering::Release);
            let future = lock(&cell.future).take();
            drop(future);
        }
        if machine.is_some() {
            lock(&self.all).falling.retain(|&falling| Some(falling) != machine);
        }
    }

    pub(crate) fn isolate_panics(&self) {
        lock(&self.all).isolate_panics = true;
    }

    fn next(&self) -> Option<Runnable> {
        lock(&self.ready.0).pop_front()
    }

    /// Runs a task until it waits or ends. The error is its panic, unless those are isolated.
    fn run(&self, cell: Arc<Cell>) -> Result<(), Box<dyn Any + Send>> {
        cell.queued.store(false, Ordering::Release);
        let Some(mut future) = lock(&cell.future).take() else {
            return Ok(()); // it has ended, and was woken once more
        };
        let waker = Waker::from(cell.clone());
        let outcome =
            catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
        match outcome {
            Ok(Poll::Pending) if !cell.dead.load(Ordering::Acquire) => {
                *lock(&cell.future) = Some(future);
                Ok(())
            }
            Ok(_) => {
                self.forget(&cell);
                drop(future);
                Ok(())
            }
            Err(panic) => {
                self.forget(&cell);
                // Dropping what has panicked may panic once more; the first tells more.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
                if lock(&self.all).isolate_panics { Ok(()) } else { Err(panic) }
            }
        }
    }

    fn forget(&self, cell: &Cell) {
        lock(&self.all).living.remove(&cell.id);
    }
}

/// How a drive ended.
pub(crate) enum Driven<T> {
    /// The future is done.
    Done(T),
    /// Nothing is ready, and nothing is to happen until the limit.
    Idle,
    /// A task panicked.
    Panicked(Box<dyn Any + Send>),
}

/// Drives the lab until `future` is done, or until nothing is left to do up to `limit`.
pub(crate) fn drive<F: Future>(shared: &Shared, limit: Instant, future: F) -> Driven<F::Output> {
    let tasks = &shared.tasks;
    let _driving = Driving::begin(tasks);
    let drive = {
        let mut all = lock(&tasks.all);
        all.drives += 1;
        all.drives
    };
    let main = Arc::new(Main { drive, ready: tasks.ready.clone(), queued: AtomicBool::new(false) });
    let waker = Waker::from(main.clone());
    let mut future = pin!(future);
    let most = shared.with(|state| state.config.polls_per_instant);
    let mut polls = 0_u64;
    let mut instant = shared.with(|state| state.now);
    waker.wake_by_ref();
    loop {
        while let Some(runnable) = tasks.next() {
            polls += 1;
            assert!(
                polls <= most,
                "the clock stands still at {instant:?}: {most} polls without waiting for anything{}",
                match &runnable {
                    Runnable::Task(cell) => format!(", last of the task started at {}", cell.spawned_at),
                    Runnable::Main(_) => String::new(),
                }
            );
            match runnable {
                Runnable::Main(number) if number == drive => {
                    main.queued.store(false, Ordering::Release);
                    if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                        return Driven::Done(output);
                    }
                }
                Runnable::Main(_) => {}
                Runnable::Task(cell) => {
                    if let Err(panic) = tasks.run(cell) {
                        return Driven::Panicked(panic);
                    }
                }
            }
        }
        if !shared.happen(limit) {
            return Driven::Idle;
        }
        let now = shared.with(|state| state.now);
        if now != instant {
            (instant, polls) = (now, 0);
        }
    }
}

/// Tells where the tasks that are alive were started, and how many at each place.
pub(crate) fn waiting(shared: &Shared) -> String {
    let mut places = BTreeMap::<(usize, String), usize>::new();
    for cell in lock(&shared.tasks.all).living.values() {
        *places.entry((cell.machine, cell.spawned_at.to_string())).or_default() += 1;
    }
    let tell = |((machine, place), count): ((usize, String), usize)| {
        let name = shared.with(|state| state.net.machines[machine].name.clone());
        format!("\n  {count} of {name}, started at {place}")
    };
    match places.is_empty() {
        true => "No task is alive.".to_owned(),
        false => format!("These tasks wait too:{}", places.into_iter().map(tell).collect::<String>()),
    }
}

/// Only one thread drives a lab at a time, and no task drives the lab that it runs in.
struct Driving<'a>(&'a Tasks);

impl<'a> Driving<'a> {
    fn begin(tasks: &'a Tasks) -> Self {
        let before = std::mem::replace(&mut lock(&tasks.all).driving, true);
        assert!(
            !before,
            "the lab is being driven already: await inside `block_on` instead of calling it again"
        );
        Self(tasks)
    }
}

impl Drop for Driving<'_> {
    fn drop(&mut self) {
        lock(&self.0.all).driving = false;
    }
}
