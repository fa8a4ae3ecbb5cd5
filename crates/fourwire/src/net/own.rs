//! What there is on our own stack.

use std::net::SocketAddr;

use host::Instant;
use tcpip::link::{AddressState, NeighborState};
use tcpip::{InterfaceId, Stack};

use super::report::{Address, Connection, Counter, Interface, Neighbor, Report, Route, Socket};
use crate::network::{Net, OwnHost};

/// The state of `host`, which is on `net`.
pub(super) fn report(host: &OwnHost, net: &Net) -> Report {
    let mut report = host.with_stack(|stack, now, _| of_stack(stack, now));
    for (id, interface) in (0..).map(InterfaceId).zip(&mut report.interfaces) {
        let counters = host.device_counters(id);
        interface.up = !counters.ended;
        interface.received = counters.received;
        interface.sent = counters.sent;
        interface.dropped = counters.full + counters.refused;
    }
    report.network = net.to_string();
    report
}

fn of_stack(stack: &mut Stack, now: Instant) -> Report {
    let seconds = |until: Instant| until.since(now).as_secs();
    let mut report = Report::default();
    let internet = stack.internet();
    let name = |id: InterfaceId| internet.interfaces()[usize::from(id.0)].config().name.clone();
    for (at, interface) in internet.interfaces().iter().enumerate() {
        let id = InterfaceId(at as u16);
        let config = interface.config();
        report.interfaces.push(Interface {
            name: config.name.clone(),
            mac: interface.mac().map(|mac| mac.to_string()),
            mtu: config.mtu.into(),
            addresses: interface.addresses().iter().map(|own| address(own, seconds)).collect(),
            groups: interface.groups().map(|group| group.to_string()).collect(),
            ..Interface::default()
        });
        report.neighbors.extend(internet.neighbors(id).map(|one| Neighbor {
            address: one.address.to_string(),
            mac: one.mac.map(|mac| mac.to_string()),
            interface: config.name.clone(),
            state: neighbor(one.state).into(),
        }));
        report.routes.extend(interface.addresses().iter().map(|own| Route {
            network: own.cidr.network().to_string(),
            interface: config.name.clone(),
            expires: own.valid_until.map(seconds),
            ..Route::default()
        }));
    }
    report.routes.extend(internet.routes().iter().map(|route| Route {
        network: route.network.to_string(),
        gateway: route.gateway.map(|gateway| gateway.to_string()),
        interface: name(route.interface),
        metric: route.metric,
        expires: route.until.map(seconds),
    }));
    let counters = internet.counters().iter().map(|(name, value)| (format!("ip_{name}"), value));
    report.counters.extend(counters.map(|(name, value)| Counter { name, value }));
    let transport = stack.transport();
    let counters = transport.counters().iter().map(|(name, value)| (format!("transport_{name}"), value));
    report.counters.extend(counters.map(|(name, value)| Counter { name, value }));
    for (_, flow, connection) in transport.connections() {
        let info = connection.info();
        let recovery = info.recovery;
        let known = |number: u32| (number != u32::MAX).then_some(u64::from(number));
        report.connections.push(Connection {
            local: flow.local.to_string(),
            remote: flow.remote.to_string(),
            state: state(info.state),
            send_queue: info.unacknowledged as u64,
            receive_queue: info.unread as u64,
            congestion_window: Some(recovery.congestion_window.into()),
            threshold: known(recovery.threshold),
            round_trip: recovery.round_trip.map(|time| time.as_micros() as u64),
            timeout: Some(recovery.timeout.as_micros() as u64),
            retransmissions: Some(recovery.retransmissions),
            delivery_rate: Some(recovery.delivery_rate).filter(|&rate| rate > 0),
        });
    }
    let socket =
        |protocol: &str, local: SocketAddr| Socket { protocol: protocol.into(), local: local.to_string() };
    report.sockets.extend(transport.listening().map(|local| socket("tcp", local)));
    report.sockets.extend(transport.bound().map(|local| socket("udp", local)));
    report
}

fn address(own: &tcpip::link::Address, seconds: impl Fn(Instant) -> u64) -> Address {
    let state = match own.state {
        AddressState::Tentative => "tentative",
        AddressState::Preferred => "preferred",
        AddressState::Deprecated => "deprecated",
        AddressState::Duplicate => "duplicate",
    };
    Address { address: own.cidr.to_string(), state: state.into(), valid: own.valid_until.map(seconds) }
}

fn neighbor(state: NeighborState) -> &'static str {
    match state {
        NeighborState::Incomplete => "incomplete",
        NeighborState::Reachable => "reachable",
        NeighborState::Stale => "stale",
        NeighborState::Delay => "delay",
        NeighborState::Probe => "probe",
    }
}

/// The RFC's name of a state, as `ss` and others write it.
fn state(state: tcpip::transport::tcp::State) -> String {
    use tcpip::transport::tcp::State;
    match state {
        State::SynSent => "syn-sent",
        State::SynReceived => "syn-received",
        State::Established => "established",
        State::FinWait1 => "fin-wait-1",
        State::FinWait2 => "fin-wait-2",
        State::CloseWait => "close-wait",
        State::Closing => "closing",
        State::LastAck => "last-ack",
        State::TimeWait => "time-wait",
        State::Closed => "closed",
    }
    .into()
}
