//! Many runs of one scenario, each under its own seed, on several threads.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::document::Checked;
use super::registry::Programs;
use super::run::Outcome;

/// What many runs came to.
#[derive(Debug)]
pub struct Swept {
    /// How many were as expected.
    pub held: u64,
    /// The lowest of the seeds under which it was not, and what it came to.
    pub failure: Option<Outcome>,
    /// Whether it ended before all seeds were tried, because somebody asked for that.
    pub stopped: bool,
}

impl Checked {
    /// Runs it under each of `seeds`, in order, on so many threads, until one is not as expected or `stop` is raised.
    /// `each` is told of each outcome as it comes.
    ///
    /// What comes of it does not depend on the threads: seeds that are lower than the first to fail are all tried.
    pub fn sweep(
        &self,
        seeds: RangeInclusive<u64>,
        threads: usize,
        stop: &AtomicBool,
        each: impl Fn(&Outcome) + Sync,
    ) -> Swept {
        let (next, last) = (AtomicU64::new(*seeds.start()), *seeds.end());
        let (failed, held) = (AtomicBool::new(false), AtomicU64::new(0));
        let failure: Mutex<Option<Outcome>> = Mutex::new(None);
        let work = || {
            while !failed.load(Ordering::Acquire) && !stop.load(Ordering::Acquire) {
                let seed = next.fetch_add(1, Ordering::AcqRel);
                if seed > last {
                    return;
                }
                let outcome = self.run(seed);
                each(&outcome);
                if outcome.holds() {
                    held.fetch_add(1, Ordering::AcqRel);
                    continue;
                }
                failed.store(true, Ordering::Release);
                let mut first = failure.lock().unwrap_or_else(PoisonError::into_inner);
                if first.as_ref().is_none_or(|first| seed < first.seed) {
                    *first = Some(outcome);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads.max(1) {
                scope.spawn(work);
            }
            work();
        });
        let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
        Swept { held: held.into_inner(), stopped: stop.load(Ordering::Acquire) && failure.is_none(), failure }
    }
}

/// Runs the scenario in the file at `path` under each of `seeds`, on all cores: what a test calls.
///
/// # Panics
///
/// When the file makes no sense, or when a run is not as expected: with what was expected, what was seen, when, and the
/// line that replays it.
pub fn assert_as_expected(path: impl AsRef<Path>, programs: &Programs, seeds: RangeInclusive<u64>) {
    let path = path.as_ref();
    let checked = Checked::read(path, programs).unwrap_or_else(|refused| panic!("{refused}"));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let swept = checked.sweep(seeds, threads, &AtomicBool::new(false), |_| {});
    if let Some(failure) = swept.failure {
        let verdicts: Vec<String> =
            failure.verdicts.iter().filter(|one| !one.holds()).map(ToString::to_string).collect();
        let (told, file, seed) = (verdicts.join("\n"), path.display(), failure.seed);
        panic!("{told}\nreplay it with: fourwire lab run {file} --seed {seed}");
    }
}
