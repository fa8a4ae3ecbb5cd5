//! How far a connection is, as its parts tell each other.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::Problem;

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// The rest of a head; also the first head.
    #[default]
    Head,
    /// A request's body, the handler, or the response's body.
    Busy,
    /// The last bytes of a response to be taken.
    Ending,
    /// The next request.
    Idle,
}

/// Shared by hyper's service, hyper's transport and the driver of both.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    changes: u64,
    problem: Option<Problem>,
    stalled: bool,
    live: bool,
}

impl Progress {
    /// The phase, and how often it changed so far.
    pub(super) fn look(&self) -> (Phase, u64) {
        let state = self.state();
        (state.phase, state.changes)
    }

    pub(super) fn enter(&self, phase: Phase) {
        let mut state = self.state();
        state.phase = phase;
        state.changes += 1;
    }

    /// Goes on to `to`, if the connection is in `from`.
    pub(super) fn advance(&self, from: Phase, to: Phase) {
        let mut state = self.state();
        if state.phase == from {
            state.phase = to;
            state.changes += 1;
        }
    }

    /// Whether the response under way ends when the peer's direction does.
    pub(super) fn is_live(&self) -> bool {
        self.state().live
    }

    pub(super) fn set_live(&self, live: bool) {
        self.state().live = live;
    }

    pub(super) fn set_problem(&self, problem: Problem) {
        self.state().problem = Some(problem);
    }

    pub(super) fn problem(&self) -> Option<Problem> {
        self.state().problem
    }

    pub(super) fn set_stalled(&self) {
        self.state().stalled = true;
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.state().stalled
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
