//! A scenario that fails, made as small as it can be while it still fails in the same way.

use std::collections::BTreeSet;

use toml::Value;

use super::document::Checked;
use super::expectation::Expectation;
use super::format::Scenario;
use super::judge::Verdict;
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

/// What is tried, in this order, again and again until nothing helps: what drops most comes first.
const STEPS: &[fn(&Scenario) -> Vec<Scenario>] =
    &[drop_expectations, drop_events, drop_programs, drop_nodes, calm_links, halve_counts, halve_times];

impl Checked {
    /// Makes it smaller while it still fails under the seed of `failure`, and in the same way: events, programs, nodes and
    /// impairments are dropped one by one, counts and times halved. At most so many runs; `each` is told of each, and ends
    /// it by `false`.
    pub fn shrink(
        &self,
        failure: &Outcome,
        programs: &Programs,
        runs: usize,
        mut each: impl FnMut(usize) -> bool,
    ) -> Shrunk {
        let mut best = Shrunk { scenario: self.scenario.clone(), outcome: failure.clone(), runs: 0 };
        let Some(wanted) = failure.failure().map(|verdict| Cause::of(&self.scenario, verdict)) else {
            return best;
        };
        let mut helped = true;
        while helped {
            helped = false;
            for step in STEPS {
                // What has helped once is tried again at once: half of a half.
                while let Some((scenario, outcome)) = step(&best.scenario).into_iter().find_map(|candidate| {
                    if best.runs >= runs || candidate == best.scenario {
                        return None;
                    }
                    let checked = candidate.clone().check(programs).ok()?;
                    best.runs += 1;
                    if !each(best.runs) {
                        best.runs = runs;
                        return None;
                    }
                    let outcome = checked.run(failure.seed);
                    let same =
                        outcome.failure().is_some_and(|verdict| Cause::of(&candidate, verdict) == wanted);
                    same.then_some((candidate, outcome))
                }) {
                    (best.scenario, best.outcome) = (scenario, outcome);
                    helped = true;
                }
            }
        }
        best
    }
}

/// In which way a scenario fails.
#[derive(Clone, Debug, PartialEq)]
enum Cause {
    /// An expectation of this kind about these programs.
    Expectation(&'static str, Vec<String>),
    /// A program that gave up.
    Program,
}

impl Cause {
    fn of(scenario: &Scenario, verdict: &Verdict) -> Self {
        let Some(expectation) = verdict.expectation.and_then(|index| scenario.expect.get(index)) else {
            return Self::Program;
        };
        let names = match expectation {
            Expectation::Delivered(delivered) => delivered.to.all().to_vec(),
            Expectation::Noticed(noticed) => vec![noticed.on.clone(), noticed.what.clone()],
            Expectation::Unnoticed(unnoticed) => vec![unnoticed.on.clone(), unnoticed.what.clone()],
            Expectation::Bound(bound) => vec![bound.on.clone(), bound.of.to_string()],
            Expectation::Less(less) => vec![less.on.clone(), less.of.to_string()],
            Expectation::Queue(queue) => vec![queue.link.clone()],
            Expectation::NoSocketLeft(_) => Vec::new(),
        };
        Self::Expectation(expectation.kind(), names)
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
        if link.preset.is_some() {
            with(&|link| (link.preset, link.person) = (None, None));
        }
        for both in link.both.calmer() {
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

/// Halves a count wherever it stands: what is sent and what is expected go together.
fn halve_counts(scenario: &Scenario) -> Vec<Scenario> {
    let mut counts = BTreeSet::new();
    for program in &scenario.program {
        program.settings.values().for_each(|value| collect(value, &mut counts));
    }
    each(scenario, counts.into_iter().rev(), |copy, count| {
        for program in &mut copy.program {
            program.settings.iter_mut().for_each(|(_, value)| replace(value, count));
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
        Value::Table(table) => table.values().for_each(|value| collect(value, counts)),
        Value::Array(array) => array.iter().for_each(|value| collect(value, counts)),
        _ => {}
    }
}

fn replace(value: &mut Value, count: i64) {
    match value {
        Value::Integer(found) if *found == count => *found /= 2,
        Value::Table(table) => table.iter_mut().for_each(|(_, value)| replace(value, count)),
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
