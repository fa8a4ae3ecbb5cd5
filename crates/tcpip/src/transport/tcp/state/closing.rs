//! FIN-WAIT-1, FIN-WAIT-2, CLOSING and LAST-ACK: we have said all.

use host::Instant;

use super::{Closed, Flow, TimeWait};

/// Our FIN waits to be sent or acknowledged; the peer may still speak.
#[derive(Debug)]
pub(in super::super) struct FinWait1 {
    pub(in super::super) flow: Box<Flow>,
}

/// Our FIN was acknowledged; the peer may still speak.
#[derive(Debug)]
pub(in super::super) struct FinWait2 {
    pub(in super::super) flow: Box<Flow>,
    /// How long to wait for its FIN, when nobody reads any more.
    pub(in super::super) until: Option<Instant>,
}

/// Both have said all; ours is not acknowledged.
#[derive(Debug)]
pub(in super::super) struct Closing {
    pub(in super::super) flow: Box<Flow>,
}

/// As [`Closing`], and the peer was first: its side keeps TIME-WAIT.
#[derive(Debug)]
pub(in super::super) struct LastAck {
    pub(in super::super) flow: Box<Flow>,
}

impl FinWait1 {
    pub(super) fn fin_received(self) -> Closing {
        let Self { flow } = self;
        Closing { flow }
    }

    pub(super) fn fin_acknowledged(self, until: Option<Instant>) -> FinWait2 {
        let Self { flow } = self;
        FinWait2 { flow, until }
    }
}

impl FinWait2 {
    pub(super) fn fin_received(self, time_wait: Instant) -> TimeWait {
        let Self { flow, until: _ } = self;
        TimeWait { flow, until: time_wait }
    }
}

impl Closing {
    pub(super) fn fin_acknowledged(self, until: Instant) -> TimeWait {
        let Self { flow } = self;
        TimeWait { flow, until }
    }
}

impl LastAck {
    pub(super) fn fin_acknowledged(self) -> Closed {
        let Self { flow } = self;
        Closed { flow: Some(flow) }
    }
}
