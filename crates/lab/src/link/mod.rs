//! Links between simulated machines that carry packets: Ethernet segments in virtual time.

mod cable;
mod corruption;
mod counters;
mod device;
mod direction;
mod distribution;
mod duplex;
mod ecn;
mod flow;
mod impairments;
mod jitter;
mod loss;
mod path;
mod presets;
mod queue;
mod reordering;
mod schedule;
mod segment;

use std::fmt;
use std::sync::Arc;

use host::Instant;

pub use cable::Cable;
pub use counters::Counters;
pub use device::LinkEnd;
pub use direction::Direction;
pub use duplex::Duplex;
pub use impairments::{Framing, Impairments, Lost};
pub use jitter::{Distribution, Jitter};
pub use loss::Loss;
pub use presets::Preset;
pub use queue::{Codel, Discipline, FqCodel};
pub use reordering::{Displaced, Reordering};
pub use schedule::Schedule;
pub(crate) use segment::{CableId, Segments};

use crate::lab::{Lab, Machine};
use crate::silence::{Flows, Silence};
use crate::state::Shared;

/// An Ethernet segment: a learning switch with a cable to each end. Whatever travels it is written to the transcript.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
    segment: usize,
}

/// A direction of an end's cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the end to the switch.
    Out,
    /// From the switch to the end.
    In,
}

impl Lab {
    /// Adds an Ethernet segment for packets of up to `mtu` bytes, with no ends yet.
    ///
    /// # Panics
    ///
    /// When the name is taken.
    pub fn link(&self, name: &str, mtu: u16) -> Link {
        let segment = self.shared().with(|state| state.segments.add(name, mtu));
        Link { shared: self.shared().clone(), segment }
    }
}

impl Link {
    /// Plugs `machine` in. The device is its end, for one stack to hold; dropping it pulls the plug.
    pub fn attach(&self, machine: &Machine) -> LinkEnd {
        LinkEnd::attach(self.shared.clone(), self.segment, machine.number())
    }

    /// Does this to what `machine` sends ([`Way::Out`]) or receives ([`Way::In`]) on this link, from now on.
    pub fn impair(&self, machine: &Machine, way: Way, impairments: Impairments) {
        self.each(machine, |cable, now| cable.set(way, now, impairments.clone()));
    }

    /// Who may speak when on the cable of `machine`, from now on.
    pub fn set_duplex(&self, machine: &Machine, duplex: Duplex) {
        self.each(machine, |cable, now| cable.set_duplex(now, duplex));
    }

    /// Cuts one direction of the cable of `machine`: frames are lost.
    pub fn cut(&self, machine: &Machine, way: Way) {
        self.each(machine, |cable, _| cable.cut(way, true));
    }

    /// Takes a cut back.
    pub fn heal(&self, machine: &Machine, way: Way) {
        self.each(machine, |cable, _| cable.cut(way, false));
    }

    /// Loses the packets of these flows without a word, or of none any more.
    pub(crate) fn silence(&self, flows: Option<Flows>) {
        self.shared.with(|state| state.segments.silence(self.segment, flows.map(Silence::new)));
    }

    /// What became of the frames that `machine` sent or should have received on this link, by all its plugs together.
    pub fn counters(&self, machine: &Machine, way: Way) -> Counters {
        self.shared.with(|state| state.segments.counters(self.segment, machine.number(), way))
    }

    fn each(&self, machine: &Machine, change: impl Fn(&mut Cable, Instant)) {
        self.shared.with(|state| state.each_cable(self.segment, machine.number(), change));
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Link({})", self.segment)
    }
}
