//! What there is on the operating system's network, as Linux tells it by netlink.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable,
};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::inet::nlas::Nla;
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags};
use netlink_sys::Socket as Netlink;
use netlink_sys::protocols::{NETLINK_ROUTE, NETLINK_SOCK_DIAG};

use super::report::{Address, Connection, Counter, Interface, Neighbor, Report, Route, Socket};

/// The state of the machine's network, as far as this user may see it.
///
/// # Errors
///
/// When the kernel does not answer.
pub(super) fn report() -> io::Result<Report> {
    let mut report = Report { network: "kernel".into(), counters: counters()?, ..Report::default() };
    let mut names = BTreeMap::new();
    let mut interfaces = BTreeMap::new();
    for message in dump(NETLINK_ROUTE, RouteNetlinkMessage::GetLink(LinkMessage::default()))? {
        if let RouteNetlinkMessage::NewLink(link) = message {
            let interface = interface(&link);
            names.insert(link.header.index, interface.name.clone());
            interfaces.insert(link.header.index, interface);
        }
    }
    for message in dump(NETLINK_ROUTE, RouteNetlinkMessage::GetAddress(AddressMessage::default()))? {
        if let RouteNetlinkMessage::NewAddress(own) = message
            && let Some(interface) = interfaces.get_mut(&own.header.index)
        {
            interface.addresses.extend(address(&own));
        }
    }
    report.interfaces.extend(interfaces.into_values());
    let name = |index: u32| names.get(&index).cloned().unwrap_or_else(|| index.to_string());
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut asked = RouteMessage::default();
        asked.header.address_family = family;
        for message in dump(NETLINK_ROUTE, RouteNetlinkMessage::GetRoute(asked))? {
            if let RouteNetlinkMessage::NewRoute(entry) = message {
                report.routes.extend(route(&entry, family == AddressFamily::Inet, name));
            }
        }
    }
    for message in dump(NETLINK_ROUTE, RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()))? {
        if let RouteNetlinkMessage::NewNeighbour(entry) = message {
            report.neighbors.extend(neighbor(&entry, name));
        }
    }
    for (protocol, name) in [(TCP, "tcp"), (UDP, "udp")] {
        for (family, socket_id) in [(INET, SocketId::new_v4()), (INET6, SocketId::new_v6())] {
            let (extensions, states) = (ExtensionFlags::INFO, StateFlags::all());
            let asked = InetRequest { family, protocol, extensions, states, socket_id };
            for message in dump(NETLINK_SOCK_DIAG, SockDiagMessage::InetRequest(asked))? {
                if let SockDiagMessage::InetResponse(entry) = message {
                    socket(&mut report, &entry, name);
                }
            }
        }
    }
    Ok(report)
}

const INET: u8 = 2;
const INET6: u8 = 10;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Everything of a kind that the kernel has.
fn dump<T>(protocol: isize, asked: T) -> io::Result<Vec<T>>
where
    T: NetlinkSerializable + NetlinkDeserializable,
    NetlinkPayload<T>: From<T>,
{
    let mut socket = Netlink::new(protocol)?;
    socket.bind_auto()?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut message = NetlinkMessage::new(header, asked.into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send_to(&bytes, &netlink_sys::SocketAddr::new(0, 0), 0)?;
    let mut answers = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        let mut rest = &datagram[..];
        while !rest.is_empty() {
            // A message of a kernel that is newer than this program is passed over.
            let len =
                rest.first_chunk().map_or(0, |len| u32::from_ne_bytes(*len) as usize).next_multiple_of(4);
            if let Ok(message) = NetlinkMessage::<T>::deserialize(rest) {
                match message.payload {
                    NetlinkPayload::InnerMessage(answer) => answers.push(answer),
                    NetlinkPayload::Done(_) => return Ok(answers),
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    _ => {}
                }
            }
            rest = rest.get(len.max(16)..).unwrap_or_default();
        }
    }
}

fn interface(link: &LinkMessage) -> Interface {
    let mut interface = Interface { up: link.header.flags.contains(LinkFlags::Up), ..Interface::default() };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name.clone_from(name),
            LinkAttribute::Address(bytes) => interface.mac = mac(bytes),
            LinkAttribute::Mtu(mtu) => interface.mtu = *mtu,
            LinkAttribute::Stats64(stats) => {
                interface.received = stats.rx_packets;
                interface.sent = stats.tx_packets;
                interface.dropped = stats.tx_dropped + stats.tx_errors;
            }
            _ => {}
        }
    }
    interface
}

fn mac(bytes: &[u8]) -> Option<String> {
    let bytes: [u8; 6] = bytes.try_into().ok()?;
    Some(wire::MacAddress(bytes)).filter(|mac| mac.0 != [0; 6]).map(|mac| mac.to_string())
}

fn address(message: &AddressMessage) -> Option<Address> {
    let (mut address, mut local, mut valid) = (None, None, None);
    let mut flags = AddressFlags::from_bits_retain(message.header.flags.bits().into());
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Address(ip) => address = Some(*ip),
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Flags(all) => flags = *all,
            AddressAttribute::CacheInfo(times) => {
                valid = Some(u64::from(times.ifa_valid)).filter(|&valid| valid != u64::from(u32::MAX));
            }
            _ => {}
        }
    }
    let state = match flags {
        flags if flags.contains(AddressFlags::Dadfailed) => "duplicate",
        flags if flags.contains(AddressFlags::Tentative) => "tentative",
        flags if flags.contains(AddressFlags::Deprecated) => "deprecated",
        _ => "preferred",
    };
    // Of a tunnel, `Address` is the other end.
    let address = format!("{}/{}", local.or(address)?, message.header.prefix_len);
    Some(Address { address, state: state.into(), valid })
}

fn route(message: &RouteMessage, v4: bool, name: impl Fn(u32) -> String) -> Option<Route> {
    let header = &message.header;
    let mut table = u32::from(header.table);
    let unspecified: IpAddr = if v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let (mut network, mut route) = (unspecified, Route::default());
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => network = ip(address)?,
            RouteAttribute::Gateway(address) => {
                route.gateway = ip(address).map(|gateway| gateway.to_string());
            }
            RouteAttribute::Oif(index) => route.interface = name(*index),
            RouteAttribute::Priority(metric) => route.metric = *metric,
            RouteAttribute::Table(number) => table = *number,
            _ => {}
        }
    }
    // Those of local addresses and groups are in a table of their own.
    let shown = table == u32::from(RouteHeader::RT_TABLE_MAIN)
        && matches!(header.kind, RouteType::Unicast | RouteType::BlackHole | RouteType::Unreachable);
    route.network = format!("{network}/{}", header.destination_prefix_length);
    shown.then_some(route)
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match *address {
        RouteAddress::Inet(v4) => Some(v4.into()),
        RouteAddress::Inet6(v6) => Some(v6.into()),
        _ => None,
    }
}

fn neighbor(message: &NeighbourMessage, name: impl Fn(u32) -> String) -> Option<Neighbor> {
    let state = match message.header.state {
        NeighbourState::Incomplete => "incomplete",
        NeighbourState::Reachable => "reachable",
        NeighbourState::Stale => "stale",
        NeighbourState::Delay => "delay",
        NeighbourState::Probe => "probe",
        NeighbourState::Failed => "failed",
        NeighbourState::Permanent => "permanent",
        // Groups and our own addresses, which nobody is asked for.
        _ => return None,
    };
    let mut neighbor =
        Neighbor { interface: name(message.header.ifindex), state: state.into(), ..Neighbor::default() };
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => neighbor.address = v4.to_string(),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => neighbor.address = v6.to_string(),
            NeighbourAttribute::LinkLayerAddress(bytes) => neighbor.mac = mac(bytes),
            _ => {}
        }
    }
    (!neighbor.address.is_empty()).then_some(neighbor)
}

/// Takes a socket in: a connection, or a place where something arrives.
fn socket(report: &mut Report, entry: &InetResponse, protocol: &str) {
    let header = &entry.header;
    let id = &header.socket_id;
    let local = SocketAddr::new(id.source_address, id.source_port).to_string();
    let state = match header.state {
        1 => "established",
        2 => "syn-sent",
        3 | 12 => "syn-received",
        4 => "fin-wait-1",
        5 => "fin-wait-2",
        6 => "time-wait",
        8 => "close-wait",
        9 => "last-ack",
        11 => "closing",
        _ => "closed",
    };
    // In the states CLOSE and LISTEN nobody is at the other end.
    if protocol == "udp" || matches!(header.state, 7 | 10) {
        return report.sockets.push(Socket { protocol: protocol.into(), local });
    }
    let mut connection = Connection {
        local,
        remote: SocketAddr::new(id.destination_address, id.destination_port).to_string(),
        state: state.into(),
        send_queue: header.send_queue.into(),
        receive_queue: header.recv_queue.into(),
        ..Connection::default()
    };
    for attribute in &entry.nlas {
        if let Nla::TcpInfo(info) = attribute {
            inform(&mut connection, info);
        }
    }
    report.connections.push(connection);
}

/// What `struct tcp_info` of the kernel says, whose fields never move; an older kernel has fewer.
fn inform(connection: &mut Connection, info: &[u8]) {
    let word = |at: usize| {
        let bytes = info.get(at..)?.first_chunk::<4>()?;
        Some(u64::from(u32::from_ne_bytes(*bytes)))
    };
    let (mss, window) = (word(16), word(80));
    connection.timeout = word(8);
    connection.round_trip = word(68).filter(|&time| time > 0);
    connection.congestion_window = mss.zip(window).map(|(mss, window)| mss * window);
    // "Infinite" as long as there was no loss.
    let threshold = word(76).filter(|&threshold| threshold < 0x7fff_ffff);
    connection.threshold = mss.zip(threshold).map(|(mss, threshold)| mss * threshold);
    connection.retransmissions = word(100);
    let rate = info.get(160..).and_then(|rest| rest.first_chunk::<8>());
    connection.delivery_rate = rate.map(|rate| u64::from_ne_bytes(*rate)).filter(|&rate| rate > 0);
}

/// What `/proc/net/snmp` counts: a line of names and one of numbers for each protocol.
fn counters() -> io::Result<Vec<Counter>> {
    let text = std::fs::read_to_string("/proc/net/snmp")?;
    let lines: Vec<_> = text.lines().collect();
    let mut counters = Vec::new();
    for pair in lines.chunks_exact(2) {
        let Some((protocol, names)) = pair[0].split_once(": ") else { continue };
        let values = pair[1].split_whitespace().skip(1);
        counters.extend(names.split_whitespace().zip(values).filter_map(|(name, value)| {
            let name = format!("{}_{name}", protocol.to_ascii_lowercase());
            Some(Counter { name, value: value.parse().ok()? })
        }));
    }
    Ok(counters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_network() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let caller = std::net::TcpStream::connect(at).unwrap();
        let report = report().unwrap();
        let loopback = report.interfaces.iter().find(|one| one.name == "lo").expect("every Linux has one");
        assert!(loopback.up && loopback.mac.is_none());
        assert!(
            loopback.addresses.iter().any(|own| own.address == "127.0.0.1/8" && own.state == "preferred")
        );
        assert!(report.sockets.contains(&Socket { protocol: "tcp".into(), local: at.to_string() }));
        let local = caller.local_addr().unwrap().to_string();
        let connection = report.connections.iter().find(|one| one.local == local).expect("our connection");
        assert_eq!((&connection.remote, &connection.state[..]), (&at.to_string(), "established"));
        assert!(connection.congestion_window.is_some_and(|window| window > 0));
        assert!(connection.timeout.is_some_and(|timeout| timeout >= 1_000));
        assert_eq!((connection.threshold, connection.retransmissions), (None, Some(0)));
        assert!(report.counters.iter().any(|one| one.name == "tcp_InSegs"));
    }

    #[test]
    fn a_short_tcp_info_tells_less() {
        let mut connection = Connection::default();
        inform(&mut connection, &[1; 12]);
        assert_eq!(connection, Connection { timeout: Some(0x0101_0101), ..Connection::default() });
    }
}
