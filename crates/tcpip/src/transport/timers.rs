//! When which connection is to be looked at.

use std::collections::BTreeSet;

use host::Instant;

/// One entry at most for each key, so that it grows with nothing else. An entry may be too early: a deadline that moves
/// on, as most do with each acknowledgment, costs nothing until the old one comes.
#[derive(Debug)]
pub(super) struct Timers<K>(BTreeSet<(Instant, K)>);

impl<K: Copy + Ord> Timers<K> {
    pub(super) fn new() -> Self {
        Self(BTreeSet::new())
    }

    /// Makes sure that `key` comes up at `deadline` or earlier. `armed` is where the key keeps its entry.
    pub(super) fn arm(&mut self, key: K, armed: &mut Option<Instant>, deadline: Option<Instant>) {
        match (*armed, deadline) {
            (_, None) => {}
            (Some(at), Some(deadline)) if at <= deadline => {}
            (before, Some(deadline)) => {
                if let Some(at) = before {
                    self.0.remove(&(at, key));
                }
                self.0.insert((deadline, key));
                *armed = Some(deadline);
            }
        }
    }

    /// Takes the entry of `key` away.
    pub(super) fn disarm(&mut self, key: K, armed: &mut Option<Instant>) {
        if let Some(at) = armed.take() {
            self.0.remove(&(at, key));
        }
    }

    /// The earliest entry.
    pub(super) fn earliest(&self) -> Option<Instant> {
        self.0.first().map(|&(at, _)| at)
    }

    /// A key whose entry has come. Its entry is gone: the key has to forget that it was armed.
    pub(super) fn due(&mut self, now: Instant) -> Option<K> {
        let &(at, key) = self.0.first().filter(|(at, _)| *at <= now)?;
        self.0.remove(&(at, key));
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_moves_on_costs_nothing_and_one_that_comes_nearer_counts() {
        let at = Instant::from_nanos;
        let (mut timers, mut armed) = (Timers::new(), None);
        timers.arm(7, &mut armed, Some(at(100)));
        timers.arm(7, &mut armed, Some(at(200)));
        assert_eq!(timers.earliest(), Some(at(100)));
        timers.arm(7, &mut armed, Some(at(50)));
        assert_eq!((timers.earliest(), timers.0.len()), (Some(at(50)), 1));
        assert_eq!(timers.due(at(49)), None);
        assert_eq!(timers.due(at(50)), Some(7));
        assert_eq!(timers.earliest(), None);
        armed = None;
        timers.arm(7, &mut armed, Some(at(300)));
        timers.disarm(7, &mut armed);
        assert_eq!((timers.earliest(), armed), (None, None));
    }
}
