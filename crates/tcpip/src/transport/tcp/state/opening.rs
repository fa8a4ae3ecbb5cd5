//! SYN-SENT and SYN-RECEIVED.

use super::{Established, FinWait1, Flow, Phase};
use crate::transport::tcp::receiving::Receiving;
use crate::transport::tcp::sending::Sending;

/// We sent SYN and wait for the peer's.
#[derive(Debug)]
pub(in super::super) struct SynSent {
    pub(in super::super) sending: Box<Sending>,
}

/// Both SYNs are sent; ours is not acknowledged.
#[derive(Debug)]
pub(in super::super) struct SynReceived {
    pub(in super::super) flow: Box<Flow>,
    /// A listener made it: a reset ends it without a word.
    pub(in super::super) passive: bool,
}

impl SynSent {
    /// The peer's SYN came without an acknowledgment: both opened at once.
    pub(in super::super) fn met(self, receiving: Receiving) -> SynReceived {
        let Self { sending } = self;
        SynReceived { flow: Box::new(Flow { sending: *sending, receiving }), passive: false }
    }
}

impl SynReceived {
    pub(super) fn opened(self) -> Phase {
        let Self { flow, passive: _ } = self;
        if flow.sending.finishing {
            Phase::FinWait1(FinWait1 { flow })
        } else {
            Phase::Established(Established { flow })
        }
    }
}
