//! What networks and machines do to programs.

use crate::lab::{Lab, Machine};
use crate::state::{Happening, Shared};
use crate::transcript::Event;

/// What the others see of a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Resets, as when a process is killed and its kernel closes what it had open.
    Reset,
    /// Nothing, as when the power fails. Who sends to the machine from then on gets a reset, for the machine is up again
    /// and knows of no connection; [`Lab::cut`] it off first when it shall stay down.
    Silent,
}

impl Lab {
    /// Cuts two machines off from each other, both ways. What is on its way waits at the cut, in order; datagrams are lost.
    pub fn cut(&self, one: &Machine, other: &Machine) {
        self.shared().with(|state| state.net.cut(one.number(), other.number()));
    }

    /// Takes a cut back. What waited arrives now.
    pub fn heal(&self, one: &Machine, other: &Machine) {
        self.shared().with(|state| {
            for packet in state.net.heal(one.number(), other.number()) {
                state.queue.schedule(state.now, Happening::Arrive(packet));
            }
        });
    }

    /// Resets every connection of `machine`, at both ends and at once, as a middlebox that forgot them would.
    pub fn reset_connections(&self, machine: &Machine) {
        self.shared().with(|state| state.reset_connections(machine.number()));
    }

    /// Crashes `machine`: its tasks are dropped, its sockets gone, its blocking work is done or not. The machine is up
    /// again at once, with nothing running; whoever wants it to serve again spawns the program again on the same hosts.
    pub fn crash(&self, machine: &Machine, crash: Crash) {
        self.shared().crash(machine.number(), crash);
    }
}

impl Shared {
    fn crash(&self, machine: usize, crash: Crash) {
        // First the network, so that what the tasks drop does not say goodbye.
        self.with(|state| {
            state.record(machine, Event::Crash);
            state.crash(machine, crash);
        });
        self.tasks.fell(Some(machine));
    }

    /// The power of a machine fails, and its plugs are pulled: who still holds its stack holds nothing.
    pub(crate) fn power_off(&self, machine: usize) {
        let drivers = self.with(|state| state.segments.unplug_all(machine));
        drop(drivers);
        self.crash(machine, Crash::Silent);
    }
}
