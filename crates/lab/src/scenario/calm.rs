//! A scenario on a network where nothing goes wrong.

use super::event::Event;
use super::expectation::Expectation;
use super::format::Scenario;
use super::link::Change;
use super::moment::Moment;
use crate::link::{Jitter, Loss};
use crate::units::{Chance, Delay};

/// The same scenario without events, and on links that are as slow and as long as they are, but lose, delay and change
/// nothing by chance. What its expectations say of an event, they say of the time at which it would have happened.
pub(super) fn calm(scenario: &Scenario) -> Scenario {
    let mut calm = scenario.clone();
    for link in calm.link.values_mut() {
        link.toward.values_mut().for_each(quiet);
        quiet(&mut link.both);
    }
    let events = std::mem::take(&mut calm.at);
    for expectation in &mut calm.expect {
        let moment = match expectation {
            Expectation::Delivered(delivered) => &mut delivered.by,
            Expectation::Noticed(noticed) => &mut noticed.after,
            Expectation::Unnoticed(unnoticed) => &mut unnoticed.after,
            Expectation::Bound(_)
            | Expectation::Less(_)
            | Expectation::Queue(_)
            | Expectation::NoSocketLeft(_) => continue,
        };
        if let Some(moment) = moment {
            *moment = Moment::At(time(moment, &events));
        }
    }
    calm
}

/// Leaves nothing to chance, whatever a preset says.
fn quiet(change: &mut Change) {
    (change.reordering, change.schedule) = (None, None);
    change.jitter = Some(Jitter::default());
    change.loss = Some(Loss::default());
    change.duplication = Some(Chance::NEVER);
    change.corruption = Some(Chance::NEVER);
}

/// When a moment is, if everything happens as it is planned.
fn time(moment: &Moment, events: &[Event]) -> Delay {
    match moment {
        Moment::At(at) => *at,
        Moment::After { event, by } => {
            let mut named = events.iter().filter(|one| one.called() == event);
            let event = named.next_back().map_or(0, |event| event.t.as_nanos());
            Delay::from_nanos(event.saturating_add(by.as_nanos()))
        }
    }
}
