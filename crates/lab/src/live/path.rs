//! Two hosts of our own and a wire between them, in the way of other people's connections.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use host::{Connection, Host, ListenOptions, Listener, Network, sleep, timeout_at};
use stack::{Device, StackConnection, StackHost};
use tcpip::internet::{Cidr, ConfigError};
use tcpip::transport::tcp::Settings;
use tcpip::{InterfaceId, StackConfig};
use tokio::sync::oneshot;
use trace::Tracer;

use super::counting::{Counter, Resent};
use super::gate::{Gate, Porter, Verdict};
use super::pump::{self, Meter, pump};
use super::wire::{Wire, WireEnd};
use crate::link::{Duplex, Impairments};
use crate::random::Streams;

/// What a path is made of.
#[derive(Clone, Debug)]
pub struct PathConfig {
    /// Towards the far side, and back.
    pub impairments: [Impairments; 2],
    /// Who may speak when on the wire.
    pub duplex: Duplex,
    /// The longest IP packet on the wire, in bytes.
    pub mtu: u16,
    /// Bytes of one connection that the path holds in each direction, at most: what is sent and not acknowledged, what
    /// waits to be read, and what is being carried. At least 64 KiB.
    pub buffer: usize,
    /// Connections there may be at a time.
    pub connections: usize,
    /// What chance draws from; `None` for a seed of the runtime's.
    pub seed: Option<u64>,
}

impl Default for PathConfig {
    fn default() -> Self {
        Self {
            impairments: Default::default(),
            duplex: Duplex::Full,
            mtu: 1500,
            buffer: 256 * 1024,
            connections: 1024,
            seed: None,
        }
    }
}

/// Why there is no path.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// The hosts cannot be set up.
    #[error("the path's hosts cannot be set up: {0}")]
    Config(#[from] ConfigError),
    /// The far host cannot listen.
    #[error("the path's far host cannot listen: {0}")]
    Listen(#[from] io::Error),
}

/// What a path has done, and how it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Connections that are being carried.
    pub open: usize,
    /// Connections that were taken up, of which some may have failed.
    pub accepted: u64,
    /// Connections that were reset at once, because there were too many.
    pub over_limit: u64,
    /// Connections that the target refused or that could not reach it.
    pub unreached: u64,
    /// Bytes that came out at the far side, and at the near one.
    pub carried: [u64; 2],
    /// Bytes that are held by the path on their way to the far side, and back.
    pub held: [u64; 2],
    /// Segments that the near host sent again, and the far host.
    pub resent: [Resent; 2],
    /// Smoothed round-trip time (RFC 6298) as the near host knows it, and as the far one does: the median over the
    /// connections that are open.
    pub round_trip: [Option<Duration>; 2],
}

/// A way for connections of `H`'s network through an impaired one. A clone is another handle to the same path.
pub struct Path<H: Host>(Arc<Inner<H>>);

type Near<H> = StackHost<H, WireEnd<H>>;
type Far<H> = StackHost<H, Gate<WireEnd<H>>>;
type FarConnection<H> = StackConnection<H, Gate<WireEnd<H>>>;

struct Inner<H: Host> {
    outer: H,
    wire: Wire<H>,
    near: Near<H>,
    far: Far<H>,
    /// Where the far host listens.
    door: SocketAddr,
    target: Mutex<SocketAddr>,
    limit: usize,
    /// Who at the far side waits for the connection of which caller.
    expected: Mutex<BTreeMap<SocketAddr, oneshot::Sender<FarConnection<H>>>>,
    /// At the near side: taken from the client, given to it.
    near_meters: [Meter; 2],
    /// At the far side: taken from the near side, given to it.
    far_meters: [Meter; 2],
    resent: [Arc<Counter>; 2],
    open: AtomicUsize,
    accepted: AtomicU64,
    over_limit: AtomicU64,
    unreached: AtomicU64,
}

/// The hosts' addresses: TEST-NET-1 (RFC 5737), which no other network has.
const NEAR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

/// How long the far side keeps the target's connection for a caller whose handshake does not come to its end.
const HANDSHAKE: Duration = Duration::from_secs(180);

/// How long a listener waits after an error before it asks again.
const PAUSE: Duration = Duration::from_millis(100);

impl<H: Host> Path<H> {
    /// A path to `target`, on the runtime and the network of `outer`.
    ///
    /// # Errors
    ///
    /// When the MTU is too small for IP.
    pub async fn open(outer: H, target: SocketAddr, config: PathConfig) -> Result<Self, PathError> {
        let PathConfig { impairments, duplex, mtu, buffer, connections, seed } = config;
        let mut streams = Streams::new(seed.unwrap_or_else(|| outer.random("impairments").next_u64()));
        let (wire, [near_end, far_end]) =
            Wire::new(outer.clone(), mtu, duplex, impairments, |purpose| streams.next("wire", 0, purpose));
        let (gate, porter) = Gate::new(far_end);
        let (near_resent, near_tracer) = Counter::new(0);
        let (far_resent, far_tracer) = Counter::new(1);
        let near = host(&outer, near_end, NEAR, buffer, near_tracer)?;
        let far = host(&outer, gate, FAR, buffer, far_tracer)?;
        let door = SocketAddr::new(FAR, target.port());
        let listener = far.listen(door, ListenOptions::default()).await?;
        let inner = Arc::new(Inner {
            outer,
            wire,
            near,
            far,
            door,
            target: Mutex::new(target),
            limit: connections,
            expected: Mutex::default(),
            near_meters: Default::default(),
            far_meters: Default::default(),
            resent: [near_resent, far_resent],
            open: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            over_limit: AtomicU64::new(0),
            unreached: AtomicU64::new(0),
        });
        inner.outer.spawn_detached(inner.clone().answer_calls(porter));
        inner.outer.spawn_detached(inner.clone().take_in(listener));
        Ok(Self(inner))
    }

    /// The wire between the two hosts.
    pub fn wire(&self) -> &Wire<H> {
        &self.0.wire
    }

    /// Where connections go to from now on.
    pub fn set_target(&self, target: SocketAddr) {
        *lock(&self.0.target) = target;
    }

    /// Carries every connection that `listener` accepts, for ever.
    pub async fn serve(&self, mut listener: H::Listener) {
        loop {
            match listener.accept().await {
                Ok(mut connection) => {
                    let Some(place) = Place::take(&self.0) else {
                        self.0.over_limit.fetch_add(1, Relaxed);
                        connection.abort();
                        continue;
                    };
                    self.0.accepted.fetch_add(1, Relaxed);
                    let inner = self.0.clone();
                    self.0.outer.spawn_detached(async move {
                        inner.carry(connection).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    if error.kind() != ErrorKind::ConnectionAborted {
                        sleep(&self.0.outer, PAUSE).await;
                    }
                }
            }
        }
    }

    /// What it has done, and how it is.
    pub fn report(&self) -> Report {
        let inner = &*self.0;
        let held = |taken: &Meter, given: &Meter| {
            taken.taken.load(Relaxed).saturating_sub(given.given.load(Relaxed))
        };
        let ([near_up, near_down], [far_up, far_down]) = (&inner.near_meters, &inner.far_meters);
        Report {
            open: inner.open.load(Relaxed),
            accepted: inner.accepted.load(Relaxed),
            over_limit: inner.over_limit.load(Relaxed),
            unreached: inner.unreached.load(Relaxed),
            carried: [far_up.given.load(Relaxed), near_down.given.load(Relaxed)],
            held: [held(near_up, far_up), held(far_down, near_down)],
            resent: [inner.resent[0].resent(), inner.resent[1].resent()],
            round_trip: [round_trip(&inner.near), round_trip(&inner.far)],
        }
    }
}

impl<H: Host> Inner<H> {
    /// The near side of one connection.
    async fn carry(&self, mut client: H::Connection) {
        // Nothing is read from the client, and nothing written to it, before the far side has answered.
        match self.near.connect(self.door).await {
            Ok(inside) => {
                let [up, down] = &self.near_meters;
                pump(client, inside, up, down).await;
            }
            Err(_) => {
                self.unreached.fetch_add(1, Relaxed);
                client.abort();
            }
        }
    }

    /// The far side: dials the target for each call, and then answers it.
    async fn answer_calls(self: Arc<Self>, porter: Porter) {
        loop {
            let caller = porter.call().await;
            let (inner, porter) = (self.clone(), porter.clone());
            self.outer.spawn_detached(async move {
                inner.answer(&porter, caller).await;
                porter.forget(caller);
            });
        }
    }

    async fn answer(&self, porter: &Porter, caller: SocketAddr) {
        let target = *lock(&self.target);
        let outside = match self.outer.connect(target).await {
            Ok(outside) => outside,
            Err(error) => {
                let refused = error.kind() != ErrorKind::TimedOut;
                porter.answer(caller, if refused { Verdict::Refused } else { Verdict::Ignored });
                return;
            }
        };
        let (sender, arriving) = oneshot::channel();
        lock(&self.expected).insert(caller, sender);
        porter.answer(caller, Verdict::Admitted);
        let deadline = self.outer.now() + HANDSHAKE;
        let arrived = timeout_at(&self.outer, deadline, arriving).await;
        lock(&self.expected).remove(&caller);
        if let Ok(Ok(inside)) = arrived {
            let [up, down] = &self.far_meters;
            pump(inside, outside, up, down).await;
        }
    }

    /// Gives each connection that arrives at the far host to whoever answered its call.
    async fn take_in(self: Arc<Self>, mut listener: stack::StackListener<H, Gate<WireEnd<H>>>) {
        loop {
            match listener.accept().await {
                Ok(mut inside) => {
                    let expecting = lock(&self.expected).remove(&inside.peer_address());
                    match expecting {
                        Some(expecting) => drop(expecting.send(inside)),
                        None => inside.abort(),
                    }
                }
                Err(_) => sleep(&self.outer, PAUSE).await,
            }
        }
    }
}

/// A connection's place among those that there may be.
struct Place<H: Host>(Arc<Inner<H>>);

impl<H: Host> Place<H> {
    fn take(inner: &Arc<Inner<H>>) -> Option<Self> {
        let limit = inner.limit;
        inner
            .open
            .fetch_update(Relaxed, Relaxed, |open| (open < limit).then_some(open + 1))
            .ok()
            .map(|_| Self(inner.clone()))
    }
}

impl<H: Host> Drop for Place<H> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// One of the two hosts.
fn host<H: Host, D: Device>(
    outer: &H,
    device: D,
    address: IpAddr,
    buffer: usize,
    tracer: Tracer,
) -> Result<StackHost<H, D>, ConfigError> {
    let mut config = StackConfig::default();
    config.settings = settings(config.settings, buffer);
    let host = StackHost::new(outer.clone(), config, tracer);
    let interface: InterfaceId = host.attach("wire", device)?;
    host.with_stack(|stack, now, _| stack.add_address(now, interface, Cidr::new(address, 24)))?;
    Ok(host)
}

/// Shares `buffer` bytes between what lies in one direction of a path: in the sending host, in the receiving one, and in
/// the two pumps.
fn settings(settings: Settings, buffer: usize) -> Settings {
    let shared = buffer.max(64 * 1024) - 2 * pump::BUFFER;
    let send_buffer = shared * 3 / 7;
    Settings {
        send_buffer,
        receive_buffer: shared - send_buffer,
        time_wait: Duration::from_secs(4),
        ..settings
    }
}

fn round_trip<H: Host, D: Device>(host: &StackHost<H, D>) -> Option<Duration> {
    let mut times: Vec<_> = host.with_stack(|stack, _, _| {
        let connections = stack.transport().connections();
        connections.filter_map(|(_, _, connection)| connection.info().recovery.round_trip).collect()
    });
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<H: Host> Clone for Path<H> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<H: Host> fmt::Debug for Path<H> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Path({:?})", lock(&self.0.target))
    }
}
