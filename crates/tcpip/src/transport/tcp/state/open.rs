//! ESTABLISHED and CLOSE-WAIT: the application may write.

use super::{FinWait1, Flow, LastAck};

/// Bytes go both ways.
#[derive(Debug)]
pub(in super::super) struct Established {
    pub(in super::super) flow: Box<Flow>,
}

/// The peer has said all.
#[derive(Debug)]
pub(in super::super) struct CloseWait {
    pub(in super::super) flow: Box<Flow>,
}

impl Established {
    pub(super) fn shut_down(self) -> FinWait1 {
        let Self { mut flow } = self;
        flow.sending.finishing = true;
        FinWait1 { flow }
    }

    pub(super) fn fin_received(self) -> CloseWait {
        let Self { flow } = self;
        CloseWait { flow }
    }
}

impl CloseWait {
    pub(super) fn shut_down(self) -> LastAck {
        let Self { mut flow } = self;
        flow.sending.finishing = true;
        LastAck { flow }
    }
}
