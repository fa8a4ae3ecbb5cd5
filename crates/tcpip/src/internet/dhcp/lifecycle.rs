//! From one state to the next.

use std::time::Duration;

use host::Instant;

use super::{Action, Client, FIRST, LONGEST, Lease, State};

impl Client {
    pub(super) fn enter(&mut self, state: State) {
        self.state = state;
        self.sent = 0;
    }

    /// Begins again after `delay`, and later the more often that came to nothing: whoever refuses everything must not keep
    /// us busy.
    pub(super) fn restart(&mut self, now: Instant, delay: Duration) {
        self.enter(State::Init);
        let jitter = Duration::from_nanos(self.random.below(1_000_000_000));
        let backoff = match self.failures {
            0 => Duration::ZERO,
            failures => (FIRST * 2_u32.pow(failures.min(5) - 1)).min(LONGEST),
        };
        self.deadline = Some(now + delay.max(backoff) + jitter);
    }

    pub(super) fn refused(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.restart(now, Duration::ZERO);
    }

    pub(super) fn probe(&mut self, lease: Lease) -> Action {
        self.enter(State::Probing(lease.clone()));
        self.deadline = None;
        Action::Probe(lease)
    }

    pub(super) fn renewed(&mut self, lease: Lease) -> Action {
        self.hold(self.requested, lease.clone());
        Action::Renewed(lease)
    }

    pub(super) fn hold(&mut self, now: Instant, lease: Lease) {
        self.failures = 0;
        self.deadline = lease.renew.map(|at| at.max(now));
        self.enter(State::Bound(lease));
    }
}
