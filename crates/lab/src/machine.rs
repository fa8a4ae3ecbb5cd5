//! One shard of a simulated machine.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use host::{Instant, ListenOptions, Network, Random, Runtime, Shard, WallTime};

use crate::blocking::blocking;
use crate::clock::Jump;
use crate::network::{Dialing, LabConnection, LabDatagrams, LabListener};
use crate::state::{Happening, Shared};
use crate::timer::LabTimer;

/// One shard of a simulated machine: a [`Runtime`] and a [`Network`] in virtual time.
///
/// The handle outlives a crash of its machine: whoever restarts the program uses it again.
#[derive(Clone)]
pub struct LabHost {
    pub(crate) shared: Arc<Shared>,
    pub(crate) machine: usize,
    pub(crate) shard: Shard,
}

impl LabHost {
    /// The name of the machine.
    pub fn name(&self) -> Arc<str> {
        self.shared.with(|state| state.net.machines[self.machine].name.clone())
    }

    /// From now on the machine's clocks run fast by `rate` parts of a million (slow when that is negative), and its wall
    /// clock jumps. Timers that are set ring when the clock shows their deadline.
    pub fn skew(&self, rate: i32, jump: Jump) {
        self.shared.with(|state| {
            state.net.machines[self.machine].clock.skew(state.now, rate, jump);
            // Who waits looks at the clock again.
            let ours = |event: &Happening| matches!(event, Happening::Wake { machine, .. } if *machine == self.machine);
            for happening in state.queue.extract(ours) {
                if let Happening::Wake { waker, .. } = happening {
                    state.wakers.push(waker);
                }
            }
        });
    }
}

impl fmt::Debug for LabHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "LabHost({} shard {})", self.name(), self.shard.index)
    }
}

impl Runtime for LabHost {
    type Timer = LabTimer;

    fn now(&self) -> Instant {
        self.shared.with(|state| state.net.machines[self.machine].clock.show(state.now))
    }

    fn wall_clock(&self) -> WallTime {
        self.shared.with(|state| state.net.machines[self.machine].clock.wall(state.now, state.config.epoch))
    }

    fn timer(&self) -> LabTimer {
        LabTimer::new(self.shared.clone(), self.machine)
    }

    fn random(&self, name: &str) -> Random {
        self.shared.with(|state| {
            let machine = &state.net.machines[self.machine].name;
            state.streams.next(machine, self.shard.index, name)
        })
    }

    #[track_caller]
    fn spawn_detached(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.shared.tasks.spawn(self.machine, Box::pin(future));
    }

    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        let early = self.random("lab: blocking work").next_u32().is_multiple_of(2);
        let (work, result) = blocking(work, early);
        let machine = self.machine;
        self.shared.with(|state| {
            let life = state.net.machines[machine].life;
            let at = state.now + state.config.blocking;
            state.queue.schedule(at, Happening::Finish { machine, life, work });
        });
        result
    }
}

impl Network for LabHost {
    type Connection = LabConnection;
    type Listener = LabListener;
    type Datagrams = LabDatagrams;

    fn shard(&self) -> Shard {
        self.shard
    }

    async fn listen(&self, address: SocketAddr, options: ListenOptions) -> io::Result<LabListener> {
        LabListener::listen(self, address, options)
    }

    async fn connect(&self, remote: SocketAddr) -> io::Result<LabConnection> {
        Dialing::dial(self, remote).await
    }

    async fn bind(&self, local: SocketAddr) -> io::Result<LabDatagrams> {
        LabDatagrams::bind(self, local)
    }
}
