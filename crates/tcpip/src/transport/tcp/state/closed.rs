//! TIME-WAIT and CLOSED.

use host::Instant;

use super::Flow;

/// Old segments may still be on their way.
#[derive(Debug)]
pub(in super::super) struct TimeWait {
    pub(in super::super) flow: Box<Flow>,
    pub(in super::super) until: Instant,
}

/// No connection any more; perhaps bytes to read.
#[derive(Debug)]
pub(in super::super) struct Closed {
    pub(in super::super) flow: Option<Box<Flow>>,
}
