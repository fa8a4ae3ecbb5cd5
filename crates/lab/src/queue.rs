//! What is still to happen, in the one order that it will.

use std::collections::BTreeMap;

use host::Instant;

/// When something happens: at an instant and, among all that happens then, in the order in which it was scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub(crate) at: Instant,
    sequence: u64,
}

/// The event queue.
pub(crate) struct Queue<E> {
    events: BTreeMap<Moment, E>,
    scheduled: u64,
}

impl<E> Queue<E> {
    pub(crate) fn new() -> Self {
        Self { events: BTreeMap::new(), scheduled: 0 }
    }

    pub(crate) fn schedule(&mut self, at: Instant, event: E) -> Moment {
        let moment = Moment { at, sequence: self.scheduled };
        self.scheduled += 1;
        self.events.insert(moment, event);
        moment
    }

    pub(crate) fn cancel(&mut self, moment: Moment) -> Option<E> {
        self.events.remove(&moment)
    }

    pub(crate) fn get_mut(&mut self, moment: Moment) -> Option<&mut E> {
        self.events.get_mut(&moment)
    }

    /// Takes all events that `wanted` picks, in order.
    pub(crate) fn extract(&mut self, wanted: impl Fn(&E) -> bool) -> Vec<E> {
        self.events.extract_if(.., |_, event| wanted(event)).map(|(_, event)| event).collect()
    }

    /// Takes the next event, unless it comes after `limit`.
    pub(crate) fn next(&mut self, limit: Instant) -> Option<(Instant, E)> {
        let (moment, _) = self.events.first_key_value().filter(|(moment, _)| moment.at <= limit)?;
        let at = moment.at;
        self.events.pop_first().map(|(_, event)| (at, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_then_by_the_order_of_scheduling() {
        let mut queue = Queue::new();
        let at = Instant::from_nanos;
        queue.schedule(at(5), "c");
        queue.schedule(at(1), "a");
        let gone = queue.schedule(at(1), "gone");
        queue.schedule(at(5), "d");
        queue.schedule(at(1), "b");
        assert_eq!(queue.cancel(gone), Some("gone"));
        let mut seen = Vec::new();
        while let Some((time, event)) = queue.next(at(5)) {
            seen.push((time.as_nanos(), event));
        }
        assert_eq!(seen, [(1, "a"), (1, "b"), (5, "c"), (5, "d")]);
        queue.schedule(at(6), "late");
        assert_eq!(queue.next(at(5)), None);
    }
}
