//! One run of a scenario under one seed.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use host::Instant;

use super::build::{Weather, finish, topology};
use super::context::{Context, Ending, Names};
use super::document::Checked;
use super::expectation::Expectation;
use super::format::{Kind, Scenario};
use super::journal::{Clock, Journal, Line, Page, Pages, lock};
use super::judge::{Evidence, Fault, Verdict};
use super::registry::{Ended, Start};
use crate::capture::{CaptureConfig, CaptureFile};
use crate::follow::FollowError;
use crate::lab::Lab;
use crate::link::Way;
use crate::topology::Network;

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed that it ran under.
    pub seed: u64,
    /// Virtual time that passed.
    pub took: Duration,
    /// Frames that travelled a link's length, or were lost on it.
    pub frames: u64,
    /// SHA-256 over everything that went over the links: the same for each run under this seed.
    pub hash: [u8; 32],
    /// Whether what was expected came about: one for each expectation, and one more for each program that gave up.
    pub verdicts: Vec<Verdict>,
    /// What happened, in order, as far as programs and the scenario told it.
    pub story: Vec<(Duration, Line)>,
    /// What each program noticed at some time, in its own words.
    pub noticed: BTreeMap<Arc<str>, BTreeSet<String>>,
}

impl Outcome {
    /// Whether all that was expected came about.
    pub fn holds(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.holds())
    }

    /// The first thing that was expected and did not come about.
    pub fn failure(&self) -> Option<&Verdict> {
        self.verdicts.iter().find(|verdict| !verdict.holds())
    }
}

/// What to keep of a run besides its outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// What passes each interface: in files of this directory.
    pub capture: Option<PathBuf>,
    /// The ways of these messages, as [`Lab::journeys`] names them.
    pub follow: Option<String>,
    /// Whether they are drawn with colours.
    pub colours: bool,
}

/// What was kept of a run.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What it came to.
    pub outcome: Outcome,
    /// The capture's files; they were written when a directory was named.
    pub files: Vec<CaptureFile>,
    /// The hash over the files: one seed gives one.
    pub capture_hash: [u8; 32],
    /// The ways of the messages that were asked for, drawn.
    pub journeys: Option<Result<String, FollowError>>,
}

/// Frames that are remembered for following a message.
const FOLLOWED: usize = 1 << 20;

impl Checked {
    /// Runs it under `seed`. A panic of a program is a verdict that does not hold.
    pub fn run(&self, seed: u64) -> Outcome {
        self.run_in(&Lab::new(seed), seed)
    }

    /// Runs it under `seed`, and keeps more of it.
    ///
    /// # Errors
    ///
    /// When the capture cannot be written.
    pub fn run_and_keep(&self, seed: u64, keep: &Keep) -> io::Result<Kept> {
        let lab = Lab::new(seed);
        let directory = keep.capture.clone();
        lab.capture(CaptureConfig { directory, scenario: self.scenario.name.clone() })?;
        if keep.follow.is_some() {
            lab.follow(FOLLOWED);
        }
        let outcome = self.run_in(&lab, seed);
        let journeys = keep.follow.as_ref().map(|what| lab.draw_journeys(what, keep.colours));
        let files = lab.finish_capture()?;
        Ok(Kept { outcome, capture_hash: crate::capture::hash(&files), files, journeys })
    }

    fn run_in(&self, lab: &Lab, seed: u64) -> Outcome {
        match catch_unwind(AssertUnwindSafe(|| Run::new(self, lab, seed).go())) {
            Ok(outcome) => outcome,
            Err(panic) => Outcome {
                seed,
                took: lab.now().since(Instant::ORIGIN),
                frames: 0,
                hash: lab.transcript().hash(),
                verdicts: vec![Verdict {
                    expectation: None,
                    expected: "no program panics".to_owned(),
                    seen: message(panic.as_ref()),
                    at: Some(lab.now().since(Instant::ORIGIN)),
                    fault: Some(Fault::Program),
                }],
                story: Vec::new(),
                noticed: BTreeMap::new(),
            },
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref().copied()).unwrap_or("a panic without a word").to_owned()
}

/// A run under way.
struct Run<'a> {
    seed: u64,
    scenario: &'a Scenario,
    starts: &'a [Start],
    lab: &'a Lab,
    network: Network,
    weather: Weather<'a>,
    names: Names,
    clock: Clock,
    pages: Arc<Mutex<Pages>>,
    ending: Ending,
    living: Arc<Mutex<Living>>,
    start: Instant,
    happened: Vec<(String, Instant)>,
}

/// What is known of the programs' ends.
#[derive(Default)]
struct Living {
    running: usize,
    /// Who gave up, when, and why.
    gave_up: Vec<(usize, Instant, String)>,
}

/// Counts a program as running until it is dropped, be it at its end or with its machine.
struct Alive(Arc<Mutex<Living>>);

impl Alive {
    fn new(living: &Arc<Mutex<Living>>) -> Self {
        plain(living).running += 1;
        Self(living.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        plain(&self.0).running -= 1;
    }
}

fn plain<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is to happen at a time.
enum Entry {
    Start(usize),
    Event(usize),
}

impl<'a> Run<'a> {
    fn new(checked: &'a Checked, lab: &'a Lab, seed: u64) -> Self {
        let scenario = &checked.scenario;
        let topology = topology(scenario).expect("the scenario was checked: its parts fit");
        let network = topology.build(lab).expect("the scenario was checked: it can be built");
        finish(scenario, &network).expect("the scenario was checked: its links are there");
        let mut names = BTreeMap::new();
        for (address, name) in network.names() {
            names.entry(name.to_owned()).or_insert(address);
        }
        let shared = lab.shared().clone();
        let page =
            |program: &super::format::Program| Page { name: program.called().into(), ..Page::default() };
        let pages = Pages { programs: scenario.program.iter().map(page).collect(), story: Vec::new() };
        Self {
            seed,
            scenario,
            starts: &checked.starts,
            lab,
            network,
            weather: Weather::new(scenario),
            names: Names::new(names),
            clock: Arc::new(move || shared.with(|state| state.now)),
            pages: Arc::new(Mutex::new(pages)),
            ending: Ending::default(),
            living: Arc::default(),
            start: lab.now(),
            happened: Vec::new(),
        }
    }

    fn go(mut self) -> Outcome {
        let mut entries: Vec<(Duration, Entry)> = Vec::new();
        for (index, program) in self.scenario.program.iter().enumerate() {
            entries.push((program.start.into(), Entry::Start(index)));
        }
        for (index, event) in self.scenario.at.iter().enumerate() {
            entries.push((event.t.into(), Entry::Event(index)));
        }
        // Of those at one time, programs start before anything happens, and all in the order of the file.
        entries.sort_by_key(|(at, _)| *at);
        for (at, entry) in entries {
            self.lab.run_until(self.start + at);
            match entry {
                Entry::Start(index) => self.launch(index),
                Entry::Event(index) => self.happen(index),
            }
        }
        self.lab.run_until(self.start + self.scenario.stop.into());
        self.end();
        self.outcome()
    }

    fn launch(&self, index: usize) {
        let program = &self.scenario.program[index];
        let (start, living, clock) = (self.starts[index].clone(), self.living.clone(), self.clock.clone());
        let journal = Journal::of(self.clock.clone(), self.pages.clone(), index);
        let (name, names, ending): (Arc<str>, _, _) =
            (program.called().into(), self.names.clone(), self.ending.clone());
        let run = move |host| {
            let (journal, name, names) = (journal.clone(), name.clone(), names.clone());
            let running = start(Context { host, name, journal, names, ending: ending.clone() });
            let (living, clock, alive) = (living.clone(), clock.clone(), Alive::new(&living));
            async move {
                let _alive = alive;
                let ended: Ended = running.await;
                if let Err(why) = ended {
                    plain(&living).gave_up.push((index, clock(), why));
                }
            }
        };
        self.network.run(&program.on, run).expect("the scenario was checked: the machine is there");
    }

    fn happen(&mut self, index: usize) {
        let event = &self.scenario.at[index];
        let now = self.lab.now();
        let told = match self.weather.happen(&self.network, event) {
            Ok(()) => event.action.to_string(),
            Err(error) => format!("{}: {error}", event.action),
        };
        lock(&self.pages).story.push(Line { at: now, who: "".into(), what: told });
        self.happened.push((event.called().to_owned(), now));
    }

    /// Asks the programs to end, and waits until they have and, where that is expected, no connection is left.
    fn end(&self) {
        const STEP: Duration = Duration::from_millis(100);
        self.ending.request();
        let deadline = self.lab.now() + self.scenario.drain.into();
        let sockets = self.scenario.expect.iter().any(|one| matches!(one, Expectation::NoSocketLeft(_)));
        let busy = || {
            plain(&self.living).running > 0
                || sockets && self.left().iter().any(|(_, connections)| !connections.is_empty())
        };
        while self.lab.now() < deadline && busy() {
            self.lab.run_for(STEP);
        }
    }

    /// The connections that each host has.
    fn left(&self) -> Vec<(String, Vec<String>)> {
        let hosts = self.scenario.node.iter().filter(|(_, node)| node.kind == Kind::Host);
        hosts
            .map(|(name, _)| {
                let connections = self.network.host(name).map_or_else(
                    |_| Vec::new(),
                    |host| {
                        host.with_stack(|stack, _, _| {
                            let all = stack.transport().connections();
                            all.map(|(_, flow, connection)| tell_connection(flow, connection)).collect()
                        })
                    },
                );
                (name.clone(), connections)
            })
            .collect()
    }

    fn outcome(self) -> Outcome {
        let pages = lock(&self.pages).clone();
        let left = self.left();
        let wire = |program: &str| self.wire(program);
        let queues = |link: &str| self.queues(link);
        let evidence = Evidence {
            pages: &pages,
            start: self.start,
            events: self.happened.clone(),
            wire: &wire,
            queues: &queues,
            left,
        };
        let expectations = self.scenario.expect.iter().enumerate();
        let mut verdicts: Vec<Verdict> = self.gave_up();
        verdicts.extend(expectations.map(|(index, one)| evidence.judge(index, one)));
        let took = self.lab.now().since(Instant::ORIGIN);
        let frames = self.scenario.link.keys().map(|link| self.frames(link)).sum();
        let words = |page: &Page| page.noticed.iter().map(|(_, what)| what.clone()).collect();
        let noticed = pages.programs.iter().map(|page| (page.name.clone(), words(page))).collect();
        let story = pages.story.into_iter().map(|line| (line.at.since(self.start), line)).collect();
        Outcome {
            seed: self.seed,
            took,
            frames,
            hash: self.lab.transcript().hash(),
            verdicts,
            story,
            noticed,
        }
    }

    /// Programs that gave up, or do not end.
    fn gave_up(&self) -> Vec<Verdict> {
        let living = plain(&self.living);
        let mut verdicts: Vec<Verdict> = living
            .gave_up
            .iter()
            .map(|(index, at, why)| Verdict {
                expectation: None,
                expected: format!("{} runs to its end", self.scenario.program[*index].called()),
                seen: format!("it gave up: {why}"),
                at: Some(at.since(self.start)),
                fault: Some(Fault::Program),
            })
            .collect();
        if living.running > 0 {
            verdicts.push(Verdict {
                expectation: None,
                expected: format!("all programs end within {} of being asked to", self.scenario.drain),
                seen: format!("{} still run", living.running),
                at: None,
                fault: Some(Fault::Program),
            });
        }
        verdicts
    }

    /// Bytes of the frames that the machine of a program sent and received.
    fn wire(&self, program: &str) -> u64 {
        let mut programs = self.scenario.program.iter();
        let Some(program) = programs.find(|known| known.called() == program) else { return 0 };
        let Ok(machine) = self.network.machine(&program.on) else { return 0 };
        let links = self.scenario.node[&program.on].on.iter().filter_map(|link| self.network.link(link).ok());
        links
            .map(|link| {
                let (out, back) = (link.counters(&machine, Way::Out), link.counters(&machine, Way::In));
                out.offered_bytes + back.delivered_bytes
            })
            .sum()
    }

    /// The most that any queue of a link held, in frames and in bytes.
    fn queues(&self, link: &str) -> (u64, u64) {
        self.cables(link).fold((0, 0), |(frames, bytes), counters| {
            (frames.max(counters.queued_most), bytes.max(counters.queued_most_bytes))
        })
    }

    /// Frames that were put onto a link.
    fn frames(&self, link: &str) -> u64 {
        self.cables(link).map(|counters| counters.offered).sum()
    }

    fn cables(&self, link: &str) -> impl Iterator<Item = crate::link::Counters> {
        let on = self.scenario.node.iter().filter(move |(_, node)| node.on.iter().any(|on| on == link));
        let ends = on.filter_map(|(name, _)| self.network.machine(name).ok());
        let link = self.network.link(link).ok();
        ends.filter_map(move |machine| Some((link.clone()?, machine)))
            .flat_map(|(link, machine)| [Way::Out, Way::In].map(|way| link.counters(&machine, way)))
    }
}

fn tell_connection(flow: tcpip::transport::Flow, connection: &tcpip::transport::tcp::Connection) -> String {
    format!("{} > {} {:?}", flow.local, flow.remote, connection.state())
}
