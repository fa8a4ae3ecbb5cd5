//! The capture, and the lower layers of what goes into it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fourwire_wire::checksum::Sum;
use fourwire_wire::pcapng::{Direction, Interface, LinkType, Packet, Resolution, Section};
use fourwire_wire::{EtherType, MacAddress, Protocol, ethernet, icmpv6, ipv4, ipv6, udp};

pub(crate) const MAC_A: MacAddress = MacAddress([2, 0, 0, 0, 0, 0x0a]);
pub(crate) const MAC_B: MacAddress = MacAddress([2, 0, 0, 0, 0, 0x0b]);
pub(crate) const V4_A: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
pub(crate) const V4_B: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
pub(crate) const V6_A: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xa);
pub(crate) const V6_B: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xb);

const ETHERNET: u32 = 0;
const RAW_IP: u32 = 1;
const RADIO: u32 = 2;

/// A capture that grows.
pub(crate) struct Capture {
    bytes: Vec<u8>,
    now: u64,
}

impl Capture {
    pub(crate) fn new() -> Self {
        let section = Section { application: "compose" };
        let mut bytes = vec![0; section.len()];
        section.emit(&mut bytes);
        let types =
            [(LinkType::ETHERNET, "eth0"), (LinkType::RAW_IP, "tun0"), (LinkType::WLAN_RADIOTAP, "wlan0")];
        for (link_type, name) in types {
            let interface = Interface {
                link_type,
                snap_len: 0,
                resolution: Resolution::NANOSECONDS,
                name,
                description: "",
            };
            let at = bytes.len();
            bytes.resize(at + interface.len(), 0);
            interface.emit(&mut bytes[at..]);
        }
        Self { bytes, now: 1_750_000_000_000_000_000 }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn push(&mut self, interface: u32, data: &[u8], comment: &str) {
        self.now += 1_000_001;
        let direction =
            Some(if self.now.is_multiple_of(2) { Direction::Inbound } else { Direction::Outbound });
        let original_len = data.len() as u32;
        let packet =
            Packet { interface, timestamp: self.now, original_len, data, direction, id: None, comment };
        let at = self.bytes.len();
        self.bytes.resize(at + packet.len(), 0);
        packet.emit(&mut self.bytes[at..]);
    }

    /// A frame from A.
    pub(crate) fn frame(
        &mut self,
        ether_type: EtherType,
        destination: MacAddress,
        payload: &[u8],
        comment: &str,
    ) {
        let mut frame = vec![0; ethernet::Header::LEN];
        ethernet::Header { destination, source: MAC_A, ether_type }.emit(&mut frame);
        frame.extend(payload);
        self.push(ETHERNET, &frame, comment);
    }

    /// A packet in a frame.
    pub(crate) fn packet(&mut self, packet: &[u8], comment: &str) {
        let ether_type = if packet[0] >> 4 == 4 { EtherType::IPV4 } else { EtherType::IPV6 };
        self.frame(ether_type, MAC_B, packet, comment);
    }

    /// A packet without a frame.
    pub(crate) fn raw(&mut self, packet: &[u8], comment: &str) {
        self.push(RAW_IP, packet, comment);
    }

    /// A frame of the air.
    pub(crate) fn radio(&mut self, frame: &[u8], comment: &str) {
        self.push(RADIO, frame, comment);
    }
}

/// An IPv4 header from A to B.
pub(crate) fn v4_header(protocol: Protocol) -> ipv4::Header {
    ipv4::Header {
        traffic_class: 0,
        identification: 0x1234,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol,
        source: V4_A,
        destination: V4_B,
        options: ipv4::Options::default(),
    }
}

pub(crate) fn v4_packet(header: &ipv4::Header, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; header.len()];
    header.emit(&mut packet, payload.len());
    packet.extend(payload);
    packet
}

/// An IPv6 header from A to B.
pub(crate) fn v6_header(next_header: Protocol) -> ipv6::Header {
    ipv6::Header {
        traffic_class: 0xb8,
        flow_label: 0x1_2345,
        next_header,
        hop_limit: 255,
        source: V6_A,
        destination: V6_B,
    }
}

pub(crate) fn v6_packet(header: &ipv6::Header, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; ipv6::Header::LEN];
    header.emit(&mut packet, payload.len());
    packet.extend(payload);
    packet
}

/// A datagram and the packet around it.
pub(crate) fn udp_packet(source: IpAddr, destination: IpAddr, ports: (u16, u16), data: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0; udp::Header::LEN];
    datagram.extend(data);
    let sum = Sum::pseudo_header(source, destination, Protocol::UDP.0, datagram.len());
    udp::Header { source_port: ports.0, destination_port: ports.1 }.emit(&mut datagram, sum);
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            v4_packet(&ipv4::Header { source, destination, ..v4_header(Protocol::UDP) }, &datagram)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            v6_packet(&ipv6::Header { source, destination, ..v6_header(Protocol::UDP) }, &datagram)
        }
        _ => unreachable!("both ends are of one family"),
    }
}

/// The bytes of an ICMPv6 message between the ends of `header`.
pub(crate) fn icmpv6_bytes(header: &ipv6::Header, message: &icmpv6::Message<'_>) -> Vec<u8> {
    let mut bytes = vec![0; message.len()];
    let ends = (header.source.into(), header.destination.into());
    message.emit(&mut bytes, Sum::pseudo_header(ends.0, ends.1, Protocol::ICMPV6.0, message.len()));
    bytes
}
