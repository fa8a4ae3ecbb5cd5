//! Two hosts of our own and a wire between them, in the way of other people's connections.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use host::{Connection, Host, Instant, ListenOptions, Listener, Network, Timer, sleep, timeout_at};
use stack::{Device, StackConnection, StackHost, StackListener};
use tcpip::internet::{Cidr, ConfigError};
use tcpip::transport::tcp::Settings;
use tcpip::{InterfaceId, StackConfig};
use tokio::sync::{oneshot, watch};
use trace::Tracer;

use super::counting::Counter;
use super::datagrams::relay;
use super::end::WireEnd;
use super::gate::{Answer, Gate, Porter};
use super::places::Places;
use super::pump::{self, pump};
use super::report::{Books, Opened, Report};
use super::rules::{Rules, Standing, Verdict};
use super::wire::Wire;
use crate::link::{Duplex, Impairments, Way};

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
    /// Connections there may be at a time; a clone of the same places bounds several paths together. As many senders of
    /// datagrams are known at a time.
    pub places: Places,
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
            places: Places::at_most(1024),
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

/// A way for connections of `H`'s network through an impaired one. A clone is another handle to the same path.
pub struct Path<H: Host>(Arc<Inner<H>>);

type Near<H> = StackHost<H, WireEnd<H>>;
type Far<H> = StackHost<H, Gate<WireEnd<H>>>;
type FarListener<H> = StackListener<H, Gate<WireEnd<H>>>;
type FarConnection<H> = StackConnection<H, Gate<WireEnd<H>>>;

struct Inner<H: Host> {
    outer: H,
    wire: Wire<H>,
    near: Near<H>,
    far: Far<H>,
    /// Where the far host listens.
    door: SocketAddr,
    target: Mutex<SocketAddr>,
    places: Places,
    standing: watch::Sender<Standing>,
    /// Who at the far side waits for the connection of which caller.
    expected: Mutex<BTreeMap<SocketAddr, oneshot::Sender<FarConnection<H>>>>,
    books: Books,
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
        let PathConfig { impairments, duplex, mtu, buffer, places, seed } = config;
        let wire = Wire::seeded(outer.clone(), duplex, impairments, seed);
        let [near_end, far_end] = WireEnd::pair(&wire, mtu);
        let (gate, porter) = Gate::new(far_end);
        let (near_resent, near_tracer) = Counter::new(0);
        let (far_resent, far_tracer) = Counter::new(1);
        let near = host(&outer, near_end, NEAR, buffer, near_tracer)?;
        let far = host(&outer, gate, FAR, buffer, far_tracer)?;
        let door = SocketAddr::new(FAR, target.port().max(1));
        let listener = far.listen(door, ListenOptions::default()).await?;
        let standing = Standing { rules: Rules::default(), since: outer.now(), resets: 0, closed: false };
        let inner = Arc::new(Inner {
            outer,
            wire,
            near,
            far,
            door,
            target: Mutex::new(target),
            places,
            standing: watch::Sender::new(standing),
            expected: Mutex::default(),
            books: Books::new([near_resent, far_resent]),
        });
        inner.spawn(inner.clone().answer_calls(porter));
        inner.spawn(inner.clone().take_in(listener));
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

    /// Where connections go to.
    pub fn target(&self) -> SocketAddr {
        *lock(&self.0.target)
    }

    /// What is done to connections as wholes, from now on.
    pub fn set_rules(&self, rules: Rules) {
        let since = self.0.outer.now();
        self.0.standing.send_modify(|standing| (standing.rules, standing.since) = (rules, since));
    }

    /// Carries every connection that `listener` accepts, until the path is closed.
    pub async fn serve(&self, mut listener: H::Listener) {
        let inner = &self.0;
        let serving = async {
            loop {
                match listener.accept().await {
                    Ok(connection) => inner.take_up(connection),
                    // Only a connection's own end is nothing to wait for.
                    Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                    Err(_) => sleep(&inner.outer, PAUSE).await,
                }
            }
        };
        unless_closed(inner.standing.subscribe(), serving).await;
    }

    /// Carries every datagram that `socket` receives, and what comes back, until the path is closed.
    ///
    /// # Errors
    ///
    /// When the far host cannot bind its socket: somebody carries datagrams already.
    pub async fn serve_datagrams(&self, socket: H::Datagrams) -> io::Result<()> {
        let far = self.0.far.bind(self.0.door).await?;
        let inner = self.0.clone();
        self.0.spawn(async move {
            let open = || {
                let any: IpAddr = match lock(&inner.target).ip() {
                    IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                    IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
                };
                inner.outer.bind(SocketAddr::new(any, 0))
            };
            let to = || *lock(&inner.target);
            relay(&inner.outer, far, inner.places.limit(), open, to, &inner.books.datagrams[1]).await;
        });
        let inner = &self.0;
        let open = || inner.near.bind(SocketAddr::new(NEAR, 0));
        let relaying =
            relay(&inner.outer, socket, inner.places.limit(), open, || inner.door, &inner.books.datagrams[0]);
        unless_closed(inner.standing.subscribe(), relaying).await;
        Ok(())
    }

    /// Resets every connection, towards the client and towards the target.
    pub fn reset(&self) {
        self.0.standing.send_modify(|standing| standing.resets += 1);
    }

    /// Ends the path: its connections are closed, and it takes up no more.
    pub fn close(&self) {
        self.0.standing.send_modify(|standing| standing.closed = true);
        self.0.near.power_off();
        self.0.far.power_off();
    }

    /// What it has done, and how it is.
    pub fn report(&self) -> Report {
        let inner = &*self.0;
        Report {
            round_trip: [round_trip(&inner.near), round_trip(&inner.far)],
            wire: [Way::Out, Way::In].map(|way| inner.wire.counters(way)),
            silenced: [Way::Out, Way::In].map(|way| inner.wire.silenced(way)),
            overflowed: [Way::Out, Way::In].map(|way| inner.wire.overflowed(way)),
            late: [Way::Out, Way::In].map(|way| inner.wire.lateness(way)),
            ..inner.books.report()
        }
    }
}

impl<H: Host> Inner<H> {
    /// Starts a task that ends with the path.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.outer.spawn_detached(unless_closed(self.standing.subscribe(), task));
    }

    /// The near side takes up a connection, if there may be one more.
    fn take_up(self: &Arc<Self>, mut client: H::Connection) {
        let Some(place) = self.places.take() else {
            self.books.over_limit.fetch_add(1, Relaxed);
            return client.abort();
        };
        self.books.accepted.fetch_add(1, Relaxed);
        let open = Opened::count(&self.books.open);
        let inner = self.clone();
        self.spawn(async move {
            let _place = (place, open);
            inner.carry(client).await;
        });
    }

    /// The near side of one connection.
    async fn carry(&self, mut client: H::Connection) {
        let (began, mut inside) = (self.outer.now(), None);
        let verdict = {
            let work = async {
                // Nothing is read from the client, and nothing written to it, before the far side has answered.
                let Ok(connected) = self.near.connect(self.door).await else {
                    self.books.unreached.fetch_add(1, Relaxed);
                    return client.abort();
                };
                let [up, down] = &self.books.near;
                let limits = || self.standing.borrow().rules.limits;
                pump(&mut client, inside.insert(connected), [up, down], limits).await;
            };
            self.until_ended(work, |standing| standing.end_of(began)).await
        };
        if verdict == Some(Verdict::Reset) {
            client.abort();
            if let Some(inside) = &mut inside {
                inside.abort();
            }
        }
    }

    /// Does the work of a connection until it is done, or all are reset, or a rule ends it, by what `end` says of the rules.
    async fn until_ended(
        &self,
        work: impl Future<Output = ()> + Send,
        end: impl Fn(&Standing) -> Option<(Instant, Verdict)>,
    ) -> Option<Verdict> {
        let mut standing = self.standing.subscribe();
        let resets = standing.borrow_and_update().resets;
        let mut timer = self.outer.timer();
        let mut work = pin!(work);
        loop {
            let end = {
                let standing = standing.borrow_and_update();
                if standing.resets != resets {
                    return Some(Verdict::Reset);
                }
                end(&standing)
            };
            timer.set(end.map(|(at, _)| at));
            let mut changed = pin!(standing.changed());
            let outcome = poll_fn(|context| {
                if work.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Some(None));
                }
                if let Some((_, verdict)) = end
                    && timer.poll_expired(context).is_ready()
                {
                    return Poll::Ready(Some(Some(verdict)));
                }
                changed.as_mut().poll(context).map(|_| None)
            });
            if let Some(verdict) = outcome.await {
                return verdict;
            }
        }
    }

    /// The far side: dials the target for each call, and then answers it.
    async fn answer_calls(self: Arc<Self>, porter: Porter) {
        loop {
            let caller = porter.call().await;
            let (inner, porter) = (self.clone(), porter.clone());
            self.spawn(async move {
                inner.answer(&porter, caller).await;
                porter.forget(caller);
            });
        }
    }

    /// The far side of one connection.
    async fn answer(&self, porter: &Porter, caller: SocketAddr) {
        let (mut outside, mut inside) = (None, None);
        let verdict = {
            let work = async {
                let target = *lock(&self.target);
                let outside = match self.outer.connect(target).await {
                    Ok(connected) => outside.insert(connected),
                    Err(error) => {
                        let timed_out = error.kind() == ErrorKind::TimedOut;
                        return porter.answer(caller, if timed_out { Answer::None } else { Answer::Refused });
                    }
                };
                if let Some(arrived) = self.arrival(porter, caller).await {
                    let [up, down] = &self.books.far;
                    pump(inside.insert(arrived), outside, [up, down], || [None; 2]).await;
                }
            };
            self.until_ended(work, |_| None).await
        };
        lock(&self.expected).remove(&caller);
        if verdict == Some(Verdict::Reset) {
            outside.as_mut().map(Connection::abort);
            inside.as_mut().map(Connection::abort);
        }
    }

    /// Lets a call in, and waits until its connection arrives.
    async fn arrival(&self, porter: &Porter, caller: SocketAddr) -> Option<FarConnection<H>> {
        let (sender, arriving) = oneshot::channel();
        lock(&self.expected).insert(caller, sender);
        porter.answer(caller, Answer::Admitted);
        timeout_at(&self.outer, self.outer.now() + HANDSHAKE, arriving).await.ok()?.ok()
    }

    /// Gives each connection that arrives at the far host to whoever answered its call.
    async fn take_in(self: Arc<Self>, mut listener: FarListener<H>) {
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

/// Runs `task` until it is done or the path is closed.
async fn unless_closed(mut standing: watch::Receiver<Standing>, task: impl Future<Output = ()> + Send) {
    let mut task = pin!(task);
    let mut closed = pin!(standing.wait_for(|standing| standing.closed));
    poll_fn(|context| {
        // An error means that the path is gone altogether.
        if closed.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        task.as_mut().poll(context)
    })
    .await;
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
