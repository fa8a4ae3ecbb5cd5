//! The states of RFC 9293 section 3.3.2, a type each, and the ways between them.
//!
//! A transition takes a state whole and destructures it without `..`, so that what a state gains must be thought of
//! wherever it is left.

mod closed;
mod closing;
mod open;
mod opening;

pub(super) use closed::{Closed, TimeWait};
pub(super) use closing::{Closing, FinWait1, FinWait2, LastAck};
pub(super) use open::{CloseWait, Established};
pub(super) use opening::{SynReceived, SynSent};

use host::Instant;

use super::face::State;
use super::receiving::Receiving;
use super::sending::Sending;

/// Both directions, as the synchronized states share them.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) sending: Sending,
    pub(super) receiving: Receiving,
}

/// Where a connection stands.
#[derive(Debug)]
pub(super) enum Phase {
    SynSent(SynSent),
    SynReceived(SynReceived),
    Established(Established),
    FinWait1(FinWait1),
    FinWait2(FinWait2),
    CloseWait(CloseWait),
    Closing(Closing),
    LastAck(LastAck),
    TimeWait(TimeWait),
    Closed(Closed),
}

impl Phase {
    pub(super) fn state(&self) -> State {
        match self {
            Self::SynSent(_) => State::SynSent,
            Self::SynReceived(_) => State::SynReceived,
            Self::Established(_) => State::Established,
            Self::FinWait1(_) => State::FinWait1,
            Self::FinWait2(_) => State::FinWait2,
            Self::CloseWait(_) => State::CloseWait,
            Self::Closing(_) => State::Closing,
            Self::LastAck(_) => State::LastAck,
            Self::TimeWait(_) => State::TimeWait,
            Self::Closed(_) => State::Closed,
        }
    }

    pub(super) fn flow(&self) -> Option<&Flow> {
        match self {
            Self::SynSent(SynSent { sending: _ }) => None,
            Self::SynReceived(SynReceived { flow, passive: _ })
            | Self::Established(Established { flow })
            | Self::FinWait1(FinWait1 { flow })
            | Self::FinWait2(FinWait2 { flow, until: _ })
            | Self::CloseWait(CloseWait { flow })
            | Self::Closing(Closing { flow })
            | Self::LastAck(LastAck { flow })
            | Self::TimeWait(TimeWait { flow, until: _ }) => Some(flow),
            Self::Closed(Closed { flow }) => flow.as_deref(),
        }
    }

    pub(super) fn flow_mut(&mut self) -> Option<&mut Flow> {
        match self {
            Self::SynSent(SynSent { sending: _ }) => None,
            Self::SynReceived(SynReceived { flow, passive: _ })
            | Self::Established(Established { flow })
            | Self::FinWait1(FinWait1 { flow })
            | Self::FinWait2(FinWait2 { flow, until: _ })
            | Self::CloseWait(CloseWait { flow })
            | Self::Closing(Closing { flow })
            | Self::LastAck(LastAck { flow })
            | Self::TimeWait(TimeWait { flow, until: _ }) => Some(flow),
            Self::Closed(Closed { flow }) => flow.as_deref_mut(),
        }
    }

    /// What still sends: nothing does in TIME-WAIT and CLOSED.
    pub(super) fn sending(&self) -> Option<&Sending> {
        match self {
            Self::SynSent(SynSent { sending }) => Some(sending),
            Self::TimeWait(_) | Self::Closed(_) => None,
            _ => self.flow().map(|flow| &flow.sending),
        }
    }

    pub(super) fn sending_mut(&mut self) -> Option<&mut Sending> {
        match self {
            Self::SynSent(SynSent { sending }) => Some(sending),
            Self::TimeWait(_) | Self::Closed(_) => None,
            _ => self.flow_mut().map(|flow| &mut flow.sending),
        }
    }

    /// What still receives.
    pub(super) fn receiving(&self) -> Option<&Receiving> {
        match self {
            Self::Closed(_) => None,
            _ => self.flow().map(|flow| &flow.receiving),
        }
    }

    /// Takes the state out, to be put back as another.
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Closed(Closed { flow: None }))
    }

    /// Our SYN was acknowledged.
    pub(super) fn opened(self) -> Self {
        match self {
            Self::SynReceived(state) => state.opened(),
            other => other,
        }
    }

    /// The application has no more to say.
    pub(super) fn shut_down(self) -> Self {
        match self {
            Self::Established(state) => Self::FinWait1(state.shut_down()),
            Self::CloseWait(state) => Self::LastAck(state.shut_down()),
            other => other,
        }
    }

    /// The peer has no more to say, and all of it came.
    pub(super) fn fin_received(self, until: Instant) -> Self {
        match self {
            Self::Established(state) => Self::CloseWait(state.fin_received()),
            Self::FinWait1(state) => Self::Closing(state.fin_received()),
            Self::FinWait2(state) => Self::TimeWait(state.fin_received(until)),
            other => other,
        }
    }

    /// Our FIN was acknowledged. `released`: until when FIN-WAIT-2 lasts, when nobody reads any more; `until` is
    /// TIME-WAIT's end.
    pub(super) fn fin_acknowledged(self, released: Option<Instant>, until: Instant) -> Self {
        match self {
            Self::FinWait1(state) => Self::FinWait2(state.fin_acknowledged(released)),
            Self::Closing(state) => Self::TimeWait(state.fin_acknowledged(until)),
            Self::LastAck(state) => Self::Closed(state.fin_acknowledged()),
            other => other,
        }
    }

    /// It is over; what was received can still be read.
    pub(super) fn closed(self) -> Self {
        match self {
            Self::SynSent(SynSent { sending: _ }) => Self::Closed(Closed { flow: None }),
            Self::SynReceived(SynReceived { flow, passive: _ })
            | Self::Established(Established { flow })
            | Self::FinWait1(FinWait1 { flow })
            | Self::FinWait2(FinWait2 { flow, until: _ })
            | Self::CloseWait(CloseWait { flow })
            | Self::Closing(Closing { flow })
            | Self::LastAck(LastAck { flow })
            | Self::TimeWait(TimeWait { flow, until: _ }) => Self::Closed(Closed { flow: Some(flow) }),
            Self::Closed(Closed { flow }) => Self::Closed(Closed { flow }),
        }
    }
}
