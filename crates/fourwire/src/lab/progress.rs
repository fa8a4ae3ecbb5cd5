//! How far a sweep has come; shown where somebody looks.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use lab::scenario::Outcome;

/// What there is to see of a sweep, and what it adds up to.
pub(super) struct Progress {
    bar: ProgressBar,
    sum: Mutex<Sum>,
}

/// What the runs add up to.
#[derive(Default)]
pub(super) struct Sum {
    pub(super) virtual_time: Duration,
    pub(super) frames: u64,
    /// One of them.
    pub(super) outcome: Option<Outcome>,
}

impl Progress {
    /// Over so many seeds.
    pub(super) fn of_seeds(name: &str, seeds: u64) -> Self {
        let style = ProgressStyle::with_template("{prefix} [{bar:30}] {pos} of {len} seeds, {eta} left")
            .expect("the template is well formed");
        Self::new(
            ProgressBar::new(seeds).with_style(style.progress_chars("=> ")).with_prefix(name.to_owned()),
        )
    }

    /// While a scenario is made smaller.
    pub(super) fn of_shrinking(name: &str) -> Self {
        let style = ProgressStyle::with_template("{spinner} {prefix}: making it smaller, run {pos}")
            .expect("the template is well formed");
        Self::new(ProgressBar::new_spinner().with_style(style).with_prefix(name.to_owned()))
    }

    fn new(bar: ProgressBar) -> Self {
        Self { bar, sum: Mutex::default() }
    }

    /// A seed is done.
    pub(super) fn seed(&self, outcome: &Outcome) {
        self.bar.inc(1);
        let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        sum.virtual_time += outcome.took;
        sum.frames += outcome.frames;
        if sum.outcome.is_none() {
            sum.outcome = Some(outcome.clone());
        }
    }

    /// So many runs are done.
    pub(super) fn run(&self, runs: usize) {
        self.bar.set_position(runs as u64);
    }

    /// It is over.
    pub(super) fn end(self) -> Sum {
        self.bar.finish_and_clear();
        self.sum.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
