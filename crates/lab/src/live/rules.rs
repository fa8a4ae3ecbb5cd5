//! What is done to connections as wholes, rather than to the packets that they are made of.

use std::time::Duration;

use host::Instant;

/// What is done to every connection of a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Resets a connection so long after it began.
    pub reset_after: Option<Duration>,
    /// Closes a connection so long after it began.
    pub close_after: Option<Duration>,
    /// Closes a connection that has carried so many bytes to the far side, or back.
    pub limits: [Option<u64>; 2],
}

/// The rules as they stand, since when, and whether the path is there at all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) rules: Rules,
    pub(super) since: Instant,
    /// How often all connections were reset.
    pub(super) resets: u64,
    pub(super) closed: bool,
}

/// What a rule does in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Reset,
    Close,
}

impl Standing {
    /// What happens to a connection that began at `began`, and when. A rule that came later counts from then.
    pub(super) fn end_of(&self, began: Instant) -> Option<(Instant, Verdict)> {
        let from = began.max(self.since);
        let Rules { reset_after, close_after, .. } = self.rules;
        let reset = reset_after.map(|after| (from + after, Verdict::Reset));
        let close = close_after.map(|after| (from + after, Verdict::Close));
        [reset, close].into_iter().flatten().min()
    }
}
