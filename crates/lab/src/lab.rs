//! The face of the lab: machines, and the clock that drives them.

use std::future::{Future, pending};
use std::net::IpAddr;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use host::{Instant, Random, Shard, WallTime};

use crate::executor::{Driven, drive, waiting};
use crate::machine::LabHost;
use crate::state::{Happening, Shared};
use crate::transcript::{Event, Transcript};

/// What a lab is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What every random number grows from.
    pub seed: u64,
    /// One way between two machines, unless [`Lab::set_latency`] says otherwise. 1 ms.
    pub latency: Duration,
    /// One way from a machine to itself. 10 µs.
    pub loopback: Duration,
    /// Bytes that a stream's sender keeps until they are acknowledged. 256 KiB.
    pub send_buffer: usize,
    /// Bytes that a stream's receiver keeps until they are read. 256 KiB.
    pub receive_buffer: usize,
    /// Bytes of a stream that arrive at once, at most. 64 KiB; a small number tears messages apart.
    pub segment: usize,
    /// How long blocking work takes. 200 µs.
    pub blocking: Duration,
    /// What the wall clock shows at [`Instant::ORIGIN`]. 2026-01-01 00:00 UTC.
    pub epoch: WallTime,
    /// So many times may tasks run before the clock must move: beyond, one of them runs in circles. 10 million.
    pub polls_per_instant: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 0,
            latency: Duration::from_millis(1),
            loopback: Duration::from_micros(10),
            send_buffer: 256 * 1024,
            receive_buffer: 256 * 1024,
            segment: 64 * 1024,
            blocking: Duration::from_micros(200),
            epoch: WallTime::from_unix_millis(1_767_225_600_000),
            polls_per_instant: 10_000_000,
        }
    }
}

/// A handle to a simulated network, its machines and its clock. A clone is another handle to the same lab; when the last
/// one goes, all tasks are dropped.
#[derive(Clone)]
pub struct Lab {
    owner: Arc<Owner>,
}

/// Tasks hold hosts and hosts hold the lab: somebody has to cut the circle.
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.tasks.fell(None);
        // Whatever happened: a capture is whole.
        let recording = self.0.with(|state| state.watch.as_mut()?.recording.take());
        let _ = recording.map(crate::capture::Recording::finish);
        // What was still to be done may hold the lab, too.
        drop(self.0.with(|state| state.queue.extract(|event| matches!(event, Happening::Do(_)))));
    }
}

/// One machine of a lab.
#[derive(Clone, Debug)]
pub struct Machine {
    hosts: Vec<LabHost>,
}

impl Machine {
    /// The handle to shard `index`.
    ///
    /// # Panics
    ///
    /// When the machine has no such shard.
    pub fn shard(&self, index: usize) -> LabHost {
        self.hosts[index].clone()
    }

    /// The handle to the machine's first, or only, shard.
    pub fn host(&self) -> LabHost {
        self.shard(0)
    }

    /// The handles to all shards, in order.
    pub fn hosts(&self) -> Vec<LabHost> {
        self.hosts.clone()
    }

    /// The machine's address.
    pub fn address(&self) -> IpAddr {
        let host = &self.hosts[0];
        host.shared.with(|state| state.net.machines[host.machine].address)
    }

    pub(crate) fn number(&self) -> usize {
        self.hosts[0].machine
    }
}

impl Lab {
    /// An empty lab, in which everything random grows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self::with(Config { seed, ..Config::default() })
    }

    /// An empty lab as `config` says.
    ///
    /// # Panics
    ///
    /// When a buffer or the segment has no bytes.
    pub fn with(config: Config) -> Self {
        let sizes = [config.send_buffer, config.receive_buffer, config.segment];
        assert!(sizes.iter().all(|&size| size > 0), "a stream needs room for at least one byte: {config:?}");
        Self { owner: Arc::new(Owner(Shared::new(config))) }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.owner.0
    }

    /// Adds a machine with one address and so many shards. It answers at its loopback addresses too, to itself.
    ///
    /// # Panics
    ///
    /// When the name or the address is taken, or the address is a wildcard or loopback one, or there is no shard.
    pub fn machine(&self, name: &str, address: IpAddr, shards: usize) -> Machine {
        assert!(shards > 0, "a machine needs a shard");
        let machine = self.shared().with(|state| state.net.add_machine(name, address));
        let host =
            |index| LabHost { shared: self.shared().clone(), machine, shard: Shard { index, count: shards } };
        Machine { hosts: (0..shards).map(host).collect() }
    }

    /// Sets the one-way latency between two machines, in both directions, for what is sent from now on. What was sent
    /// before on the same stream still arrives before.
    pub fn set_latency(&self, one: &Machine, other: &Machine, latency: Duration) {
        self.shared().with(|state| state.net.set_latency(one.number(), other.number(), latency));
    }

    /// The virtual time.
    pub fn now(&self) -> Instant {
        self.shared().with(|state| state.now)
    }

    /// A random stream for the test itself. As with [`host::Runtime::random`], each call with one name starts the stream's
    /// next incarnation.
    pub fn random(&self, name: &str) -> Random {
        self.shared().with(|state| state.streams.next("", 0, name))
    }

    /// Runs the lab until `future` is done. The future belongs to no machine; all tasks that are still running stay, and
    /// run on when the lab is driven again.
    ///
    /// # Panics
    ///
    /// When nothing is left that could ever finish the future, when a task panics (with that panic, unless
    /// [`isolate_panics`](Self::isolate_panics) was called), or when tasks run in circles without letting time pass.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        match drive(self.shared(), Instant::from_nanos(u64::MAX), future) {
            Driven::Done(output) => output,
            Driven::Panicked(panic) => resume_unwind(panic),
            Driven::Idle => panic!(
                "nothing will ever finish the future given to `block_on` here: at {:?} no task is ready and nothing is \
                 scheduled. {}",
                self.now(),
                waiting(self.shared()),
            ),
        }
    }

    /// Runs the lab up to and including `instant`.
    ///
    /// # Panics
    ///
    /// When a task panics or runs in circles, as with [`block_on`](Self::block_on).
    pub fn run_until(&self, instant: Instant) {
        match drive(self.shared(), instant, pending::<()>()) {
            Driven::Done(()) => {}
            Driven::Panicked(panic) => resume_unwind(panic),
            Driven::Idle => self.shared().with(|state| state.now = state.now.max(instant)),
        }
    }

    /// Runs the lab for `duration`.
    ///
    /// # Panics
    ///
    /// As [`run_until`](Self::run_until).
    pub fn run_for(&self, duration: Duration) {
        self.run_until(self.now() + duration);
    }

    /// From now on a panic ends only its own task, as it does on the real machine, instead of failing the test.
    pub fn isolate_panics(&self) {
        self.shared().tasks.isolate_panics();
    }

    /// Writes a remark into the transcript.
    pub fn note(&self, note: impl Into<String>) {
        self.shared().with(|state| state.recorder.record(state.now, "".into(), Event::Note(note.into())));
    }

    /// What happened on the network so far.
    pub fn transcript(&self) -> Transcript {
        self.shared().with(|state| state.recorder.transcript())
    }
}
