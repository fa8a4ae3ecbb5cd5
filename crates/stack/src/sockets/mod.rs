//! The host: a runtime, a stack, and the devices under it.

mod connection;
mod datagrams;
mod driver;
mod echo;
mod error;
mod listener;
mod waiting;

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use host::{Instant, ListenOptions, Network, Random, Runtime, Shard, WallTime, sleep};
use tcpip::internet::{ConfigError, Layer};
use tcpip::link::{AddressState, InterfaceConfig, Medium};
use tcpip::{InterfaceId, Stack, StackConfig, Transmit};
use trace::Tracer;

use crate::Device;

pub use connection::StackConnection;
pub use datagrams::StackDatagrams;
pub use driver::DeviceCounters;
pub use echo::{EchoAnswer, StackEcho};
pub use listener::StackListener;

use connection::Dialing;
use driver::Shared;

/// One Internet host: the clocks, timers and tasks of `R`, and sockets of Fourwire's own TCP/IP over devices of the kind
/// `D` (`Box<dyn Device>` where they are of several kinds).
///
/// A clone is another handle to the same host. One task on `R` drives it: it reads the devices until they are empty and
/// waits for the stack's deadlines. What a program writes leaves in the same call. The task lives as long as its runtime,
/// as a machine's network does, so that what was closed can still say goodbye.
pub struct StackHost<R: Runtime, D: Device> {
    shared: Arc<Shared<R, D>>,
}

impl<R: Runtime, D: Device> StackHost<R, D> {
    /// A host with no device yet: nothing gets in or out. With the first one its loopback addresses answer as well.
    ///
    /// Segments leave at once (TCP_NODELAY): whoever writes has gathered what belongs together.
    pub fn new(runtime: R, mut config: StackConfig, tracer: Tracer) -> Self {
        config.settings.nodelay = true;
        let stack = Stack::new(config, |name: &str| runtime.random(name), tracer);
        let shared = Arc::new(Shared::new(runtime.clone(), stack));
        runtime.spawn_detached(driver::drive(shared.clone()));
        Self { shared }
    }

    /// Puts `device` under the host as an interface called `name`. It has no address yet: give it some with
    /// [`with_stack`](Self::with_stack).
    ///
    /// # Errors
    ///
    /// When there are too many, or the device's MTU is too small for IP.
    pub fn attach(&self, name: &str, device: D) -> Result<InterfaceId, ConfigError> {
        let medium = device.mac().map_or(Medium::Ip, Medium::Ethernet);
        let (mtu, segmented) = (device.mtu(), device.segmented());
        let config = InterfaceConfig { name: name.into(), medium, mtu, segmented };
        self.shared.attach(config, device)
    }

    /// Lets `change` administer the stack: addresses, routes, what it counts. What it wants to send then leaves.
    ///
    /// `change` runs under the host's lock: it must not call the host.
    pub fn with_stack<T>(&self, change: impl FnOnce(&mut Stack, Instant, &mut dyn Transmit) -> T) -> T {
        self.shared.with(|inner, now| change(&mut inner.stack, now, &mut inner.devices))
    }

    /// A socket that asks other hosts whether they are there.
    ///
    /// # Errors
    ///
    /// When as many ask already as there can be.
    pub fn echo(&self) -> io::Result<StackEcho<R, D>> {
        StackEcho::open(self.shared.clone())
    }

    /// Waits until `look` finds what it looks for among the addresses of this host and what came with them: it looks now,
    /// and whenever something happens to one of them. It runs under the host's lock: it must not call the host.
    pub async fn watch_addresses<T>(&self, mut look: impl FnMut(&Layer) -> Option<T>) -> T {
        poll_fn(|context| {
            self.shared.peek(|inner, _| match look(inner.stack.internet()) {
                Some(found) => Poll::Ready(found),
                None => {
                    inner.waiting.for_addresses(context.waker());
                    Poll::Pending
                }
            })
        })
        .await
    }

    /// Waits until nobody else shows to have one of this host's addresses (RFC 4862, RFC 5227), and until those that are
    /// asked for by DHCP are lent: until then what is sent and received by such an address is lost.
    ///
    /// # Errors
    ///
    /// `AddrInUse` when somebody has one of them.
    pub async fn addresses_ready(&self) -> io::Result<()> {
        self.watch_addresses(|internet| {
            let mut waits = false;
            for (id, interface) in (0..).map(InterfaceId).zip(internet.interfaces()) {
                waits |= internet.awaits_lease(id);
                for own in interface.addresses() {
                    match own.state {
                        AddressState::Duplicate => return Some(Err(taken(own.cidr.address))),
                        AddressState::Tentative => waits = true,
                        _ => {}
                    }
                }
            }
            (!waits).then_some(Ok(()))
        })
        .await
    }

    /// Gives back the addresses that were lent, and waits until that is said, until `deadline` at most.
    pub async fn release_leases(&self, deadline: Instant) {
        self.with_stack(|stack, now, out| stack.internet().release_leases(now, out));
        let waits = |stack: &mut Stack| {
            let internet = stack.internet();
            let ids = (0..internet.interfaces().len()).map(|at| InterfaceId(at as u16));
            ids.flat_map(|id| internet.neighbors(id)).any(|neighbor| neighbor.waiting > 0)
        };
        while self.now() < deadline && self.shared.peek(|inner, _| waits(&mut inner.stack)) {
            sleep(self, PAUSE).await;
        }
    }

    /// What the device under `interface` has moved and lost.
    pub fn device_counters(&self, interface: InterfaceId) -> DeviceCounters {
        self.shared.with(|inner, _| inner.devices.counters(interface))
    }

    /// Waits until no connection has anything left to be acknowledged, and until `deadline` at most: what a program does
    /// between its last close and its end.
    pub async fn quiet(&self, deadline: Instant) {
        let busy = || {
            self.shared.peek(|inner, _| {
                inner.stack.transport().connections().any(|(_, _, connection)| connection.unsent() > 0)
            })
        };
        while self.now() < deadline && busy() {
            sleep(self, PAUSE).await;
        }
    }

    /// Takes the host off its devices: nothing is sent or received any more, and what drives it ends. Its sockets stay as
    /// they are, and mute.
    pub fn power_off(&self) {
        self.shared.power_off();
    }

    /// The runtime under the host.
    pub fn runtime(&self) -> &R {
        &self.shared.runtime
    }
}

/// Between two looks at what nobody tells.
const PAUSE: Duration = Duration::from_millis(5);

fn taken(address: IpAddr) -> io::Error {
    let why =
        format!("another host on the link has the address {address}: give this one another, or end that one");
    io::Error::new(ErrorKind::AddrInUse, why)
}

impl<R: Runtime, D: Device> Clone for StackHost<R, D> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<R: Runtime, D: Device> fmt::Debug for StackHost<R, D> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("StackHost(..)")
    }
}

impl<R: Runtime, D: Device> Runtime for StackHost<R, D> {
    type Timer = R::Timer;

    fn now(&self) -> Instant {
        self.shared.runtime.now()
    }

    fn wall_clock(&self) -> WallTime {
        self.shared.runtime.wall_clock()
    }

    fn timer(&self) -> R::Timer {
        self.shared.runtime.timer()
    }

    fn exact_timer(&self) -> R::Timer {
        self.shared.runtime.exact_timer()
    }

    fn random(&self, name: &str) -> Random {
        self.shared.runtime.random(name)
    }

    #[track_caller]
    fn spawn_detached(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.shared.runtime.spawn_detached(future);
    }

    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        self.shared.runtime.blocking(work)
    }
}

impl<R: Runtime, D: Device> Network for StackHost<R, D> {
    type Connection = StackConnection<R, D>;
    type Listener = StackListener<R, D>;
    type Datagrams = StackDatagrams<R, D>;

    /// Always the only one: a stack is one shard.
    fn shard(&self) -> Shard {
        Shard::ONLY
    }

    async fn listen(&self, address: SocketAddr, options: ListenOptions) -> io::Result<StackListener<R, D>> {
        StackListener::listen(self.shared.clone(), address, options)
    }

    async fn connect(&self, remote: SocketAddr) -> io::Result<StackConnection<R, D>> {
        Dialing::dial(self.shared.clone(), remote).await
    }

    async fn bind(&self, local: SocketAddr) -> io::Result<StackDatagrams<R, D>> {
        StackDatagrams::bind(self.shared.clone(), local)
    }
}
