//! Links between simulated machines that carry packets: Ethernet segments in virtual time.

mod device;
mod impair;
mod segment;

use std::fmt;
use std::sync::Arc;

pub use device::LinkEnd;
pub use impair::{Chance, Impairments, Lost};
pub(crate) use segment::{Segments, Travel};

use crate::lab::{Lab, Machine};
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
        self.shared.with(|state| {
            state.segments.each(self.segment, machine.number(), way, |direction| {
                direction.impairments = impairments.clone();
            });
        });
    }

    /// Cuts one direction of the cable of `machine`: frames are lost.
    pub fn cut(&self, machine: &Machine, way: Way) {
        self.set_cut(machine, way, true);
    }

    /// Takes a cut back.
    pub fn heal(&self, machine: &Machine, way: Way) {
        self.set_cut(machine, way, false);
    }

    fn set_cut(&self, machine: &Machine, way: Way, cut: bool) {
        self.shared.with(|state| {
            state.segments.each(self.segment, machine.number(), way, |direction| direction.cut = cut);
        });
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Link({})", self.segment)
    }
}
