//! One Internet host: the layers put together.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use host::{Instant, Random};
use trace::Tracer;
use wire::virtio;

use crate::internet::{
    self, Cidr, ConfigError, EchoRequest, Failure, Layer, Problem, Received, Route, SendError,
};
use crate::link::InterfaceConfig;
use crate::transport::tcp::Settings;
use crate::transport::{
    self, ConnectionId, ConnectionMut, Event, ListenerId, SocketError, Transport, UdpId, Verdict,
};
use crate::{InterfaceId, Transmit};

/// How a host behaves.
#[derive(Clone, Debug)]
pub struct StackConfig {
    /// Its internet layer.
    pub internet: internet::Config,
    /// Its transport layer.
    pub transport: transport::Config,
    /// What connections begin with.
    pub settings: Settings,
}

impl Default for StackConfig {
    fn default() -> Self {
        // What talks in messages suffers from Nagle's algorithm, and batches its writes itself.
        let settings = Settings { nodelay: true, ..Settings::default() };
        Self { internet: internet::Config::default(), transport: transport::Config::default(), settings }
    }
}

/// One Internet host as a value.
///
/// Whoever drives it hands in frames as they come ([`receive`](Self::receive)), as many as there are; lets it send what
/// has become due ([`transmit`](Self::transmit)); looks at the events ([`poll_event`](Self::poll_event)); and comes back
/// at the latest at [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct Stack {
    internet: Layer,
    transport: Transport,
    settings: Settings,
    notices: VecDeque<Notice>,
}

/// Something that a person may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Something about the addresses of this host.
    Internet(internet::Event),
    /// The answer to [`Stack::echo`].
    EchoReply {
        /// Who answers.
        source: IpAddr,
        /// Which pinger asked.
        identifier: u16,
        /// Its which request.
        sequence: u16,
        /// Routers that might still have forwarded it.
        ttl: u8,
        /// What came back.
        data: Vec<u8>,
    },
    /// What [`Stack::echo`] sent did not get there.
    EchoFailed {
        /// Who says so; ourselves where a neighbour did not answer.
        reporter: IpAddr,
        /// What went wrong.
        problem: Problem,
        /// Which pinger asked.
        identifier: u16,
        /// Its which request.
        sequence: u16,
    },
}

/// Notices that wait; the oldest make way.
const NOTICES: usize = 256;

impl Stack {
    /// A host without interfaces. `random` gives the stream of a name: what must not be guessed is drawn from it.
    pub fn new(config: StackConfig, mut random: impl FnMut(&str) -> Random, tracer: Tracer) -> Self {
        Self {
            internet: Layer::new(config.internet, random("tcpip: internet"), tracer.clone()),
            transport: Transport::new(config.transport, random("tcpip: transport"), tracer),
            settings: config.settings,
            notices: VecDeque::new(),
        }
    }

    /// A frame came in on an interface. It may be changed.
    pub fn receive(&mut self, now: Instant, on: InterfaceId, frame: &mut [u8], out: &mut dyn Transmit) {
        self.receive_offloaded(now, on, frame, &virtio::Header::default(), out);
    }

    /// As [`receive`](Self::receive), from a device that leaves something of the frame to us: to check or fill in a
    /// checksum, to cut a segment that was joined.
    pub fn receive_offloaded(
        &mut self,
        now: Instant,
        on: InterfaceId,
        frame: &mut [u8],
        offload: &virtio::Header,
        out: &mut dyn Transmit,
    ) {
        let received = self.internet.receive_offloaded(now, on, frame, offload, out);
        take_in(&mut self.internet, &mut self.transport, &mut self.notices, now, received, out);
        self.loop_back(now, out);
    }

    /// Sends what has become due, as far as the devices have room.
    pub fn transmit(&mut self, now: Instant, out: &mut dyn Transmit) {
        self.transport.transmit(now, &mut self.internet.with(out));
        self.loop_back(now, out);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.internet.poll_timeout(), self.transport.poll_timeout()].into_iter().flatten().min()
    }

    /// Does what the time has come for; [`transmit`](Self::transmit) follows it.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut dyn Transmit) {
        self.internet.handle_timeout(now, out);
        self.transport.handle_timeout(now);
        self.look(now, out);
    }

    /// What happened that a program may wait for.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.transport.poll_event()
    }

    /// What happened that a person may want to know.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// Packets that this host sends to itself go in again, until there are none.
    fn loop_back(&mut self, now: Instant, out: &mut dyn Transmit) {
        // Two sockets of one host could keep each other busy for ever: what is left waits for the next call.
        for _ in 0..LOOPS {
            let Some(mut looped) = self.internet.poll_loopback() else { break };
            let received = self.internet.receive_looped(now, &mut looped, out);
            take_in(&mut self.internet, &mut self.transport, &mut self.notices, now, received, out);
            self.transport.transmit(now, &mut self.internet.with(out));
        }
        self.look(now, out);
    }

    /// Looks at what happened in the internet layer by itself.
    fn look(&mut self, now: Instant, out: &mut dyn Transmit) {
        while let Some(event) = self.internet.poll_event() {
            match event {
                internet::Event::Failure(failure) => {
                    fail(&mut self.internet, &mut self.transport, &mut self.notices, now, &failure, out);
                }
                event => note(&mut self.notices, Notice::Internet(event)),
            }
        }
    }
}

/// Packets from this host to itself that are gone through in one call.
const LOOPS: usize = 1024;

/// Sockets.
impl Stack {
    /// What connections begin with that are listened for, or made, from now on.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Listens at `local`: [`Transport::listen`].
    ///
    /// # Errors
    ///
    /// As [`Transport::listen`]; [`SocketError::AddressNotAvailable`] when the address is not ours.
    pub fn listen(&mut self, local: SocketAddr, backlog: u32) -> Result<ListenerId, SocketError> {
        self.check_local(local.ip())?;
        self.transport.listen(local, backlog, self.settings)
    }

    /// Where a listener listens.
    pub fn listener_address(&self, id: ListenerId) -> Option<SocketAddr> {
        self.transport.listener_address(id)
    }

    /// The next connection that was made at a listener.
    pub fn accept(&mut self, id: ListenerId) -> Option<ConnectionId> {
        self.transport.accept(id)
    }

    /// Listens no more.
    pub fn unlisten(&mut self, now: Instant, id: ListenerId) {
        self.transport.unlisten(now, id);
    }

    /// Connects: [`Transport::connect`].
    ///
    /// # Errors
    ///
    /// As [`Transport::connect`].
    pub fn connect(
        &mut self,
        now: Instant,
        local: Option<SocketAddr>,
        remote: SocketAddr,
        out: &mut dyn Transmit,
    ) -> Result<ConnectionId, SocketError> {
        self.transport.connect(now, local, remote, self.settings, &mut self.internet.with(out))
    }

    /// A connection, to be read, written, closed. [`transmit`](Self::transmit) follows it.
    pub fn connection(&mut self, id: ConnectionId) -> Option<ConnectionMut<'_>> {
        self.transport.connection(id)
    }

    /// The application lets a connection go.
    pub fn release(&mut self, now: Instant, id: ConnectionId) {
        self.transport.release(now, id);
    }

    /// Binds a datagram socket: [`Transport::bind_udp`].
    ///
    /// # Errors
    ///
    /// As [`Transport::bind_udp`]; [`SocketError::AddressNotAvailable`] when the address is not ours.
    pub fn bind_udp(&mut self, local: SocketAddr) -> Result<UdpId, SocketError> {
        self.check_local(local.ip())?;
        self.transport.bind_udp(local)
    }

    /// Where a datagram socket is bound.
    pub fn udp_address(&self, id: UdpId) -> Option<SocketAddr> {
        self.transport.udp_address(id)
    }

    /// Sends a datagram: [`Transport::udp_send`].
    ///
    /// # Errors
    ///
    /// As [`Transport::udp_send`].
    pub fn udp_send(
        &mut self,
        now: Instant,
        id: UdpId,
        payload: &[u8],
        to: SocketAddr,
        out: &mut dyn Transmit,
    ) -> Result<(), SocketError> {
        self.transport.udp_send(now, id, payload, to, &mut self.internet.with(out))
    }

    /// The next datagram: its length, and from whom.
    pub fn udp_receive(&mut self, id: UdpId, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        self.transport.udp_receive(id, buffer)
    }

    /// What the network heard of an earlier datagram, once.
    pub fn udp_error(&mut self, id: UdpId) -> Option<internet::Problem> {
        self.transport.udp_error(id)
    }

    /// Receives what is sent to `group`: [`Transport::udp_join`].
    ///
    /// # Errors
    ///
    /// As [`Transport::udp_join`].
    pub fn udp_join(
        &mut self,
        now: Instant,
        id: UdpId,
        group: IpAddr,
        on: Option<InterfaceId>,
        out: &mut dyn Transmit,
    ) -> Result<InterfaceId, SocketError> {
        self.transport.udp_join(now, id, group, on, &mut self.internet.with(out))
    }

    /// Receives what is sent to `group` no more.
    pub fn udp_leave(
        &mut self,
        now: Instant,
        id: UdpId,
        group: IpAddr,
        on: InterfaceId,
        out: &mut dyn Transmit,
    ) {
        self.transport.udp_leave(now, id, group, on, &mut self.internet.with(out));
    }

    /// Closes a datagram socket.
    pub fn close_udp(&mut self, id: UdpId) {
        self.transport.close_udp(id);
    }

    /// Asks a host whether it is there; [`Notice::EchoReply`] or [`Notice::EchoFailed`] is the answer.
    ///
    /// # Errors
    ///
    /// As [`SendError`] says.
    pub fn echo(
        &mut self,
        now: Instant,
        request: &EchoRequest<'_>,
        out: &mut dyn Transmit,
    ) -> Result<(), SendError> {
        self.internet.echo(now, request, out)
    }

    fn check_local(&self, address: IpAddr) -> Result<(), SocketError> {
        let any = address.is_unspecified() || address.is_multicast() || address.is_loopback();
        let ours = any || self.internet.interfaces().iter().any(|interface| interface.owns(address));
        if ours { Ok(()) } else { Err(SocketError::AddressNotAvailable) }
    }
}

/// Administration.
impl Stack {
    /// Adds an interface: [`Layer::add_interface`].
    ///
    /// # Errors
    ///
    /// As [`Layer::add_interface`].
    pub fn add_interface(
        &mut self,
        now: Instant,
        config: InterfaceConfig,
    ) -> Result<InterfaceId, ConfigError> {
        self.internet.add_interface(now, config)
    }

    /// Gives an interface an address: [`Layer::add_address`].
    ///
    /// # Errors
    ///
    /// As [`Layer::add_address`].
    pub fn add_address(&mut self, now: Instant, id: InterfaceId, cidr: Cidr) -> Result<(), ConfigError> {
        self.internet.add_address(now, id, cidr)
    }

    /// Adds a route: [`Layer::add_route`].
    ///
    /// # Errors
    ///
    /// As [`Layer::add_route`].
    pub fn add_route(&mut self, route: Route) -> Result<(), ConfigError> {
        self.internet.add_route(route)
    }

    /// The internet layer, for everything else.
    pub fn internet(&mut self) -> &mut Layer {
        &mut self.internet
    }

    /// The transport layer, for everything else.
    pub fn transport(&mut self) -> &mut Transport {
        &mut self.transport
    }
}

/// Hands up what the internet layer received.
fn take_in(
    internet: &mut Layer,
    transport: &mut Transport,
    notices: &mut VecDeque<Notice>,
    now: Instant,
    received: Received<'_>,
    out: &mut dyn Transmit,
) {
    match received {
        Received::Handled => {}
        Received::Deliver(delivery) => {
            if transport.receive(now, &delivery, &mut internet.with(out)) == Verdict::NoPort {
                internet.reject(now, &delivery, out);
            }
        }
        Received::Failure(failure) => fail(internet, transport, notices, now, &failure, out),
        Received::EchoReply { source, identifier, sequence, ttl, data } => {
            note(notices, Notice::EchoReply { source, identifier, sequence, ttl, data });
        }
    }
}

/// Tells whom it concerns that a packet of ours did not get through.
fn fail(
    internet: &mut Layer,
    transport: &mut Transport,
    notices: &mut VecDeque<Notice>,
    now: Instant,
    failure: &Failure,
    out: &mut dyn Transmit,
) {
    if let Some((identifier, sequence)) = internet.echo_failed(now, failure) {
        let Failure { reporter, problem, .. } = *failure;
        return note(notices, Notice::EchoFailed { reporter, problem, identifier, sequence });
    }
    transport.icmp_error(now, &failure.as_error(), &mut internet.with(out));
}

fn note(notices: &mut VecDeque<Notice>, notice: Notice) {
    if notices.len() == NOTICES {
        notices.pop_front();
    }
    notices.push_back(notice);
}
