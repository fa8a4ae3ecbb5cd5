//! What goes over the links, seen from outside: which frame is which, wherever it is seen.
//!
//! Nothing in a frame says which one it is, and the links change some. So each gets its numbers here: one for itself, on
//! its way from one interface to the next, and one for the packet in it, which it shares with those in which routers sent
//! the packet on.

mod identity;
mod travel;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use host::Instant;
use trace::{Sink, Tracer};

use crate::capture::Recording;
use crate::follow::Log;
use crate::link::{Lost, Way};
use crate::state::{Shared, State};
use identity::Passing;
use travel::Travelling;

/// Which frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The frame's own number, from one interface to the next.
    pub(crate) frame: u64,
    /// The number of the packet in it.
    pub(crate) packet: u64,
    /// Routers behind it.
    pub(crate) hop: u32,
}

/// Who watches.
pub(crate) struct Watch {
    frames: u64,
    packets: u64,
    travelling: Travelling,
    /// What each router has received and may send on.
    passing: BTreeMap<usize, Passing>,
    /// What the addresses are called.
    pub(crate) names: Vec<(IpAddr, String)>,
    pub(crate) recording: Option<Recording>,
    pub(crate) log: Log,
}

/// An interface of a machine, or the cable behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Port {
    pub(crate) segment: usize,
    pub(crate) port: usize,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self {
            frames: 0,
            packets: 0,
            travelling: Travelling::default(),
            passing: BTreeMap::new(),
            names: Vec::new(),
            recording: None,
            log: Log::default(),
        }
    }

    /// A machine is a router: what it sends may be what it has received.
    pub(crate) fn router(&mut self, machine: usize) {
        self.passing.entry(machine).or_default();
    }

    /// A machine sends a frame: which one it is.
    fn send(&mut self, machine: usize, frame: &Bytes) -> Stamp {
        self.frames += 1;
        let passed = self.passing.get_mut(&machine).and_then(|passing| passing.find(frame));
        let (packet, hop) = match passed {
            Some(stamp) => (stamp.packet, stamp.hop + 1),
            None => {
                self.packets += 1;
                (self.packets, 0)
            }
        };
        Stamp { frame: self.frames, packet, hop }
    }
}

/// What the links tell.
impl State {
    /// A machine sent a frame.
    pub(crate) fn watch_sent(&mut self, at: Port, machine: usize, frame: &Bytes) {
        let Some(watch) = &mut self.watch else { return };
        let stamp = watch.send(machine, frame);
        watch.travelling.start((at, Way::Out), frame, stamp);
        let said = watch.log.sent(self.now, machine, at.segment, frame, stamp);
        if let Some(recording) = &mut watch.recording {
            let tap = recording.tap(machine, at.segment, &self.net.machines, self.segments.name(at.segment));
            recording.outbound(tap, self.now, frame, stamp, said, &watch.names);
        }
    }

    /// A frame came to a switch: which one.
    pub(crate) fn watch_at_switch(&mut self, from: Port, frame: &Bytes) -> Option<Stamp> {
        self.watch.as_mut()?.travelling.find((from, Way::Out), frame)
    }

    /// A switch sends a frame on.
    pub(crate) fn watch_onward(&mut self, stamp: Option<Stamp>, to: Port, frame: &Bytes) {
        if let (Some(watch), Some(stamp)) = (&mut self.watch, stamp) {
            watch.travelling.start((to, Way::In), frame, stamp);
        }
    }

    /// A frame came to a plug that was pulled: which one.
    pub(crate) fn watch_unplugged(&mut self, at: Port, frame: &Bytes) -> Option<Stamp> {
        self.watch.as_mut()?.travelling.find((at, Way::In), frame)
    }

    /// There is nobody at the other end for a frame.
    pub(crate) fn watch_nobody(&mut self, stamp: Option<Stamp>) {
        let Some(watch) = &mut self.watch else { return };
        let (Some(stamp), Some(recording)) = (stamp, &mut watch.recording) else { return };
        recording.settle(stamp, Some("nobody is there".to_owned()));
    }

    /// A frame arrived at a machine.
    pub(crate) fn watch_arrived(&mut self, at: Port, machine: usize, frame: &Bytes) {
        let Some(watch) = &mut self.watch else { return };
        let Some(stamp) = watch.travelling.find((at, Way::In), frame) else { return };
        if let Some(passing) = watch.passing.get_mut(&machine) {
            passing.add(frame, stamp);
        }
        watch.log.arrived(self.now, machine, stamp, frame);
        if let Some(recording) = &mut watch.recording {
            recording.settle(stamp, None);
            let tap = recording.tap(machine, at.segment, &self.net.machines, self.segments.name(at.segment));
            recording.inbound(tap, self.now, frame, stamp, &watch.names);
        }
    }

    /// A frame was lost on the cable of a machine.
    pub(crate) fn watch_lost(&mut self, at: Port, machine: usize, way: Way, frame: &Bytes, why: Lost) {
        let Some(watch) = &mut self.watch else { return };
        let Some(stamp) = watch.travelling.find((at, way), frame) else { return };
        watch.log.lost(self.now, machine, way, stamp, why);
        if let Some(recording) = &mut watch.recording {
            let place = match way {
                Way::Out => String::new(),
                Way::In => format!(" before {}", self.net.machines[machine].name),
            };
            recording.settle(stamp, Some(format!("lost{place}: {why}")));
        }
    }
}

/// What the layers of a machine tell.
struct Ear(Arc<Shared>);

impl Sink for Ear {
    fn record(&self, host: u32, _: u64, event: trace::Event) {
        // A machine's own clock may be wrong: what counts is the lab's.
        self.0.with(|state| {
            let now: Instant = state.now;
            if let Some(watch) = &mut state.watch {
                watch.log.heard(now, host as usize, event);
            }
        });
    }
}

impl Shared {
    /// The line by which the layers of a machine tell what they do, when somebody watches.
    pub(crate) fn tracer(self: &Arc<Self>, machine: usize) -> Tracer {
        match self.with(|state| state.watch.is_some()) {
            true => Tracer::new(machine as u32, Arc::new(Ear(self.clone()))),
            false => Tracer::OFF,
        }
    }
}
