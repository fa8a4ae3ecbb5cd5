//! What programs write down while they run, and what expectations are judged by.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use host::Instant;

/// Where one program writes down what it did and saw. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    clock: Clock,
    pages: Arc<Mutex<Pages>>,
    program: usize,
}

/// Gives the time that entries are written under: the lab's own, which no machine's wrong clock moves.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// The journals of all programs, and the story that they make together.
#[derive(Clone, Debug, Default)]
pub(super) struct Pages {
    pub(super) programs: Vec<Page>,
    /// What is worth telling, in order.
    pub(super) story: Vec<Line>,
}

/// One program's journal.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    pub(super) name: Arc<str>,
    /// What it sent, in order.
    pub(super) sent: Vec<(u64, Instant)>,
    /// What it received of whom, in order.
    pub(super) received: BTreeMap<Arc<str>, Vec<(u64, Instant)>>,
    pub(super) noticed: Vec<(Instant, String)>,
    pub(super) samples: BTreeMap<&'static str, Vec<Duration>>,
    pub(super) counts: BTreeMap<&'static str, u64>,
}

/// A line of the story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: Instant,
    /// The program, or nothing for the scenario itself.
    pub who: Arc<str>,
    /// What.
    pub what: String,
}

impl Journal {
    /// A journal of its own, for a program that runs outside a scenario.
    pub fn new(name: &str, clock: Clock) -> Self {
        let page = Page { name: name.into(), ..Page::default() };
        let pages = Pages { programs: vec![page], story: Vec::new() };
        Self { clock, pages: Arc::new(Mutex::new(pages)), program: 0 }
    }

    pub(super) fn of(clock: Clock, pages: Arc<Mutex<Pages>>, program: usize) -> Self {
        Self { clock, pages, program }
    }

    /// It sends message `number`.
    pub fn sent(&self, number: u64) {
        let now = (self.clock)();
        self.page(|page| page.sent.push((number, now)));
    }

    /// It received message `number` of the program called `from`.
    pub fn received(&self, from: &str, number: u64) {
        let now = (self.clock)();
        self.page(|page| match page.received.get_mut(from) {
            Some(received) => received.push((number, now)),
            None => {
                page.received.insert(from.into(), vec![(number, now)]);
            }
        });
    }

    /// It noticed something: a word that expectations can ask for, the same each time.
    pub fn noticed(&self, what: impl Into<String>) {
        let (now, what) = ((self.clock)(), what.into());
        let mut pages = lock(&self.pages);
        let page = &mut pages.programs[self.program];
        page.noticed.push((now, what.clone()));
        let who = page.name.clone();
        pages.story.push(Line { at: now, who, what });
    }

    /// A remark for people.
    pub fn remark(&self, what: impl Into<String>) {
        let mut pages = lock(&self.pages);
        let who = pages.programs[self.program].name.clone();
        pages.story.push(Line { at: (self.clock)(), who, what: what.into() });
    }

    /// A sample of what it measures as `name`.
    pub fn sample(&self, name: &'static str, sample: Duration) {
        self.page(|page| page.samples.entry(name).or_default().push(sample));
    }

    /// `more` of what it counts as `name`. Counting nothing makes it known, as 0.
    pub fn count(&self, name: &'static str, more: u64) {
        self.page(|page| *page.counts.entry(name).or_default() += more);
    }

    /// The time that entries are written under.
    pub fn now(&self) -> Instant {
        (self.clock)()
    }

    fn page(&self, write: impl FnOnce(&mut Page)) {
        write(&mut lock(&self.pages).programs[self.program]);
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Journal(..)")
    }
}

/// The pages are whole at every step: a panic elsewhere does not spoil them.
pub(super) fn lock(pages: &Mutex<Pages>) -> MutexGuard<'_, Pages> {
    pages.lock().unwrap_or_else(PoisonError::into_inner)
}
