//! A scenario that fails, made as small as it can be while it still fails in the same way.

use std::collections::BTreeSet;

use toml::Value;

use super::calm::calm;
use super::document::Checked;
use super::expectation::Expectation;
use super::format::Scenario;
use super::judge::{Fault, Verdict};
use super::registry::Programs;
use super::run::Outcome;
use crate::units::Delay;

/// A scenario that was made smaller.
#[derive(Debug)]
pub struct Shrunk {
    /// What is left of it.
    pub scenario: Scenario,
    /// What it comes to under the same seed.
    pub outcome: Outcome,
    /// Runs that it took.
    pub runs: usize,
}

type Step = fn(&Scenario) -> Vec<Scenario>;

/// What is tried, in this order, again and again until nothing helps: what drops most comes first.
const STEPS: &[Step] =
    &[drop_expectations, drop_events, drop_programs, drop_nodes, calm_links, halve_counts, halve_times];

/// What is tried where nothing tells whether something is lacking only because less happens.
const CAREFUL_STEPS: &[Step] = &[drop_expectations, drop_nodes, calm_links];

impl Checked {
    /// Makes it smaller while it still fails under the seed of `failure`, and in the same way: events, programs, nodes and
    /// impairments are dropped one by one, counts and times halved. At most so many runs; `each` is told of each, and ends
    /// it by `false`.
    ///
    /// A scenario in which too little happens for what it expects fails as well, and shows nothing. So where something is
    /// lacking, what is left must still be enough for it: it must be there when nothing goes wrong on the same network, or, of
    /// what a program notices only when something does, the program must notice all else that it noticed before.
    pub fn shrink(
        &self,
        failure: &Outcome,
        programs: &Programs,
        runs: usize,
        each: impl FnMut(usize) -> bool,
    ) -> Shrunk {
        let mut best = Shrunk { scenario: self.scenario.clone(), outcome: failure.clone(), runs: 0 };
        let Some(wanted) = failure.failure().map(|verdict| Cause::of(&self.scenario, verdict)) else {
            return best;
        };
        let mut trial = Trial { programs, seed: failure.seed, wanted, most: runs, runs: 0, each };
        let guard = trial.guard(&self.scenario, failure);
        let steps = if guard == Guard::Careful { CAREFUL_STEPS } else { STEPS };
        let mut helped = true;
        while helped {
            helped = false;
            for step in steps {
                // What has helped once is tried again at once: half of a half.
                while let Some((scenario, outcome)) = step(&best.scenario).into_iter().find_map(|candidate| {
                    let outcome = (candidate != best.scenario).then(|| trial.fails(&candidate))??;
                    trial.passes(&guard, &candidate, &outcome).then_some((candidate, outcome))
                }) {
                    (best.scenario, best.outcome) = (scenario, outcome);
                    helped = true;
                }
            }
        }
        best.runs = trial.runs;
        best
    }
}

/// Runs candidates, as many as may be.
struct Trial<'a, F> {
    programs: &'a Programs,
    seed: u64,
    wanted: Cause,
    most: usize,
    runs: usize,
    each: F,
}

impl<F: FnMut(usize) -> bool> Trial<'_, F> {
    fn run(&mut self, candidate: &Scenario) -> Option<Outcome> {
        if self.runs >= self.most {
            return None;
        }
        let checked = candidate.clone().check(self.programs).ok()?;
        self.runs += 1;
        if !(self.each)(self.runs) {
            self.most = self.runs;
            return None;
        }
        Some(checked.run(self.seed))
    }

    /// What a candidate comes to, if it fails in the way that is wanted.
    fn fails(&mut self, candidate: &Scenario) -> Option<Outcome> {
        let outcome = self.run(candidate)?;
        let same = outcome.failure().is_some_and(|verdict| Cause::of(candidate, verdict) == self.wanted);
        same.then_some(outcome)
    }

    /// What keeps candidates from failing for nothing but that less happens in them.
    fn guard(&mut self, scenario: &Scenario, failure: &Outcome) -> Guard {
        if !self.wanted.fault.is_lack() {
            return Guard::None;
        }
        if self.is_enough(scenario) {
            return Guard::Calm;
        }
        match self.wanted.noticer().and_then(|program| failure.noticed.get(program)) {
            Some(noticed) => Guard::Noticed(noticed.clone()),
            None => Guard::Careful,
        }
    }

    /// Whether a candidate, which fails, does so for more than that less happens in it.
    fn passes(&mut self, guard: &Guard, candidate: &Scenario, outcome: &Outcome) -> bool {
        match guard {
            Guard::None | Guard::Careful => true,
            Guard::Calm => self.is_enough(candidate),
            Guard::Noticed(all) => {
                let noticed = self.wanted.noticer().and_then(|program| outcome.noticed.get(program));
                noticed.is_some_and(|noticed| noticed.is_superset(all))
            }
        }
    }

    /// Whether a candidate would be as expected, in this point, if nothing went wrong.
    fn is_enough(&mut self, candidate: &Scenario) -> bool {
        let calm = calm(candidate);
        let Some(outcome) = self.run(&calm) else { return false };
        let mut failures = outcome.verdicts.iter().filter(|verdict| !verdict.holds());
        failures.all(|verdict| Cause::of(&calm, verdict).about != self.wanted.about)
    }
}

/// What keeps candidates from failing for nothing but that less happens in them.
#[derive(PartialEq)]
enum Guard {
    /// They cannot.
    None,
    /// On a network where nothing goes wrong, they must be as expected.
    Calm,
    /// A program must notice all this.
    Noticed(BTreeSet<String>),
    /// Nothing but the steps that are taken.
    Careful,
}

/// In which way a scenario fails.
#[derive(Clone, Debug, PartialEq)]
struct Cause {
    fault: Fault,
    /// The kind of an expectation, and the programs that it is about; `None` for a program that gave up.
    about: Option<(&'static str, Vec<String>)>,
}

impl Cause {
    /// Of a verdict that does not hold.
    fn of(scenario: &Scenario, verdict: &Verdict) -> Self {
        let expectation = verdict.expectation.and_then(|index| scenario.expect.get(index));
        let about = expectation.map(|expectation| {
            let names = match expectation {
                Expectation::Delivered(delivered) => delivered.to.all().to_vec(),
                Expectation::Noticed(noticed) => vec![noticed.on.clone(), noticed.what.clone()],
                Expectation::Unnoticed(unnoticed) => vec![unnoticed.on.clone(), unnoticed.what.clone()],
                Expectation::Bound(bound) => vec![bound.on.clone(), bound.of.to_string()],
                Expectation::Less(less) => vec![less.on.clone(), less.of.to_string()],
                Expectation::Queue(queue) => vec![queue.link.clone()],
                Expectation::NoSocketLeft(_) => Vec::new(),
            };
            (expectation.kind(), names)
        });
        Self { fault: verdict.fault.unwrap_or(Fault::Program), about }
    }

    /// Who should have noticed something.
    fn noticer(&self) -> Option<&str> {
        let (_, names) = self.about.as_ref().filter(|(kind, _)| *kind == "noticed")?;
        names.first().map(String::as_str)
    }
}

/// Copies of `scenario`, each changed in one way.
fn each<T>(
    scenario: &Scenario,
    ways: impl IntoIterator<Item = T>,
    change: impl Fn(&mut Scenario, T),
) -> Vec<Scenario> {
    ways.into_iter()
        .map(|way| {
            let mut copy = scenario.clone();
            change(&mut copy, way);
            copy
        })
        .collect()
}

fn drop_expectations(scenario: &Scenario) -> Vec<Scenario> {
    let alone = each(scenario, 0..scenario.expect.len(), |copy, index| {
        copy.expect = vec![copy.expect.swap_remove(index)];
    });
    if scenario.expect.len() > 1 { alone } else { Vec::new() }
}

fn drop_events(scenario: &Scenario) -> Vec<Scenario> {
    each(scenario, 0..scenario.at.len(), |copy, index| {
        copy.at.remove(index);
    })
}

fn drop_programs(scenario: &Scenario) -> Vec<Scenario> {
    each(scenario, 0..scenario.program.len(), |copy, index| {
        copy.program.remove(index);
    })
}

fn drop_nodes(scenario: &Scenario) -> Vec<Scenario> {
    each(scenario, scenario.node.keys(), |copy, name| {
        copy.node.remove(name);
        let Scenario { link, node, .. } = copy;
        link.retain(|link, _| node.values().any(|node| node.on.contains(link)));
    })
}

fn calm_links(scenario: &Scenario) -> Vec<Scenario> {
    let mut calmer = Vec::new();
    for (name, link) in &scenario.link {
        let mut with = |change: &dyn Fn(&mut super::link::Link)| {
            let mut copy = scenario.clone();
            copy.link.get_mut(name).into_iter().for_each(change);
            calmer.push(copy);
        };
        // A rate stays: without one, more happens and not less.
        if let Some(preset) = link.preset {
            with(&|link| {
                (link.preset, link.person) = (None, None);
                link.both.rate = link.both.rate.or(preset.up().rate);
            });
        }
        for both in link.both.calmer().into_iter().filter(|both| both.rate == link.both.rate) {
            with(&|link| link.both.clone_from(&both));
        }
        for way in link.toward.keys() {
            with(&|link| {
                link.toward.remove(way);
            });
        }
    }
    calmer
}

const PORT: &str = "port";

/// Halves a count wherever it stands, what is sent and what is expected together. A `port` is no count.
fn halve_counts(scenario: &Scenario) -> Vec<Scenario> {
    let mut counts = BTreeSet::new();
    for program in &scenario.program {
        collect(&Value::Table(program.settings.clone()), &mut counts);
    }
    each(scenario, counts.into_iter().rev(), |copy, count| {
        for program in &mut copy.program {
            replace_in(&mut program.settings, count);
        }
        for expectation in &mut copy.expect {
            if let Expectation::Delivered(delivered) = expectation
                && delivered.count == u64::try_from(count).ok()
            {
                delivered.count = u64::try_from(count / 2).ok();
            }
        }
    })
}

/// The counts in a value that can be halved.
fn collect(value: &Value, counts: &mut BTreeSet<i64>) {
    match value {
        Value::Integer(count) if *count >= 2 => {
            counts.insert(*count);
        }
        Value::Table(table) => {
            table.iter().filter(|(key, _)| *key != PORT).for_each(|(_, value)| collect(value, counts));
        }
        Value::Array(array) => array.iter().for_each(|value| collect(value, counts)),
        _ => {}
    }
}

fn replace_in(table: &mut toml::Table, count: i64) {
    table.iter_mut().filter(|(key, _)| *key != PORT).for_each(|(_, value)| replace(value, count));
}

fn replace(value: &mut Value, count: i64) {
    match value {
        Value::Integer(found) if *found == count => *found /= 2,
        Value::Table(table) => replace_in(table, count),
        Value::Array(array) => array.iter_mut().for_each(|value| replace(value, count)),
        _ => {}
    }
}

/// Halves all times at once, then those of single events.
fn halve_times(scenario: &Scenario) -> Vec<Scenario> {
    let half = |time: &mut Delay| {
        // Whole milliseconds read better than the last nanosecond.
        let millis = time.as_nanos() / 2_000_000;
        *time = Delay::from_nanos(millis * 1_000_000);
    };
    let mut all = scenario.clone();
    half(&mut all.stop);
    all.program.iter_mut().for_each(|program| half(&mut program.start));
    all.at.iter_mut().for_each(|event| half(&mut event.t));
    let mut shorter = scenario.clone();
    half(&mut shorter.stop);
    let mut copies = vec![all, shorter];
    copies.extend(each(scenario, 0..scenario.at.len(), |copy, index| half(&mut copy.at[index].t)));
    copies
}
