//! How hosts find their neighbours, routers and addresses: ARP, neighbour discovery, DHCP.

use std::net::{Ipv4Addr, Ipv6Addr};

use fourwire_wire::dhcpv4::{self, Addresses, DhcpOption, MessageType, code};
use fourwire_wire::ndp::{Message, NdpOption, Options, Prefix, Router, Servers};
use fourwire_wire::{EtherType, MacAddress, Protocol, arp, icmpv6, ipv6};

use crate::capture::{
    Capture, MAC_A, MAC_B, V4_A, V4_B, V6_A, V6_B, icmpv6_bytes, udp_packet, v6_header, v6_packet,
};

pub(crate) fn write(capture: &mut Capture) {
    resolution(capture);
    discovery(capture);
    dhcp(capture);
}

fn resolution(capture: &mut Capture) {
    for (operation, target_mac, destination) in [
        (arp::Operation::Request, MacAddress::default(), MacAddress::BROADCAST),
        (arp::Operation::Reply, MAC_B, MAC_B),
    ] {
        let packet = arp::Packet { operation, sender_mac: MAC_A, sender: V4_A, target_mac, target: V4_B };
        let mut bytes = [0; arp::Packet::LEN];
        packet.emit(&mut bytes);
        capture.frame(EtherType::ARP, destination, &bytes, "ARP");
    }
}

fn discovery(capture: &mut Capture) {
    let global = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);
    let everybody = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let routers = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
    let source = options(&[NdpOption::SourceLinkAddress(MAC_A)]);
    let source = Options::parse(&source).expect("they were written here");
    let target = options(&[NdpOption::TargetLinkAddress(MAC_A)]);
    let target = Options::parse(&target).expect("they were written here");
    let mut send = |destination, message, comment| {
        let header = ipv6::Header { destination, ..v6_header(Protocol::ICMPV6) };
        let bytes = icmpv6_bytes(&header, &icmpv6::Message::Neighbor(message));
        capture.packet(&v6_packet(&header, &bytes), comment);
    };
    send(routers, Message::RouterSolicitation { options: source }, "router solicitation");
    let servers = [Ipv6Addr::LOCALHOST.octets(), global.octets()].concat();
    let of_router = options(&[
        NdpOption::SourceLinkAddress(MAC_A),
        NdpOption::Mtu(1400),
        NdpOption::Prefix(Prefix {
            len: 64,
            on_link: true,
            autonomous: true,
            valid_lifetime: 86_400,
            preferred_lifetime: 14_400,
            prefix: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
        }),
        NdpOption::DnsServers { lifetime: 600, servers: Servers::new(&servers).expect("two addresses") },
    ]);
    let router = Router {
        hop_limit: 64,
        managed: false,
        other: true,
        lifetime: 1800,
        reachable_time: 30_000,
        retransmit_timer: 1000,
    };
    let of_router = Options::parse(&of_router).expect("they were written here");
    send(everybody, Message::RouterAdvertisement { router, options: of_router }, "router advertisement");
    let message = Message::NeighborSolicitation { target: V6_B, options: source };
    send(ipv6::solicited_node(V6_B), message, "neighbour solicitation");
    let advertisement = |solicited| Message::NeighborAdvertisement {
        router: false,
        solicited,
        replace: true,
        target: V6_A,
        options: target,
    };
    send(V6_B, advertisement(true), "neighbour advertisement");
    send(everybody, advertisement(false), "a new address is told");
    let longer = udp_packet(V6_B.into(), global.into(), (50_001, 50_002), b"the longer way..");
    let better = options(&[NdpOption::TargetLinkAddress(MAC_A), NdpOption::Redirected(&longer)]);
    let options = Options::parse(&better).expect("they were written here");
    send(V6_B, Message::Redirect { target: V6_A, destination: global, options }, "redirect");
}

fn options(list: &[NdpOption<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for option in list {
        let at = bytes.len();
        bytes.resize(at + option.len(), 0);
        option.emit(&mut bytes[at..]);
    }
    bytes
}

fn dhcp(capture: &mut Capture) {
    let nobody = Ipv4Addr::UNSPECIFIED;
    let header = |operation, your| dhcpv4::Header {
        operation,
        hops: 0,
        transaction: 0x1234_5678,
        seconds: 1,
        broadcast: true,
        client: nobody,
        your,
        next_server: nobody,
        relay: nobody,
        hardware: MAC_A,
    };
    let wanted = [code::SUBNET_MASK, code::ROUTERS, code::DNS_SERVERS, code::INTERFACE_MTU];
    let identity = [1, 2, 0, 0, 0, 0, 0x0a];
    let servers = [V4_B.octets(), V4_A.octets()].concat();
    let addresses = Addresses::new(&servers).expect("two addresses");
    let lent = [
        DhcpOption::ServerIdentifier(V4_B),
        DhcpOption::LeaseTime(3600),
        DhcpOption::RenewalTime(1800),
        DhcpOption::RebindingTime(3150),
        DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 0)),
        DhcpOption::BroadcastAddress(Ipv4Addr::new(10, 9, 0, 255)),
        DhcpOption::Routers(Addresses::new(&servers[..4]).expect("one address")),
        DhcpOption::DnsServers(addresses),
        DhcpOption::InterfaceMtu(1400),
        DhcpOption::DomainName(b"example.net"),
    ];
    let asked = [
        DhcpOption::ClientIdentifier(&identity),
        DhcpOption::MaxMessageSize(1400),
        DhcpOption::ParameterRequest(&wanted),
        DhcpOption::HostName(b"fourwire"),
    ];
    let taken = [DhcpOption::RequestedAddress(V4_A), DhcpOption::ServerIdentifier(V4_B)];
    let refused = [DhcpOption::ServerIdentifier(V4_B), DhcpOption::Message(b"not here")];
    let question = dhcpv4::Operation::Request;
    let answer = dhcpv4::Operation::Reply;
    let messages: [(_, _, _, &[&[DhcpOption<'_>]]); 5] = [
        (question, MessageType::Discover, nobody, &[&asked]),
        (answer, MessageType::Offer, V4_A, &[&lent]),
        (question, MessageType::Request, nobody, &[&asked, &taken]),
        (answer, MessageType::Ack, V4_A, &[&lent]),
        (answer, MessageType::Nak, nobody, &[&refused]),
    ];
    for (operation, kind, your, options) in messages {
        let mut message = [0; 548];
        let mut writer =
            dhcpv4::Writer::new(&mut message, &header(operation, your)).expect("548 bytes are enough");
        writer.push(&DhcpOption::MessageType(kind)).expect("548 bytes are enough");
        for option in options.concat() {
            writer.push(&option).expect("548 bytes are enough");
        }
        let len = writer.finish();
        let (source, ports) = match operation {
            dhcpv4::Operation::Request => (nobody, (dhcpv4::CLIENT_PORT, dhcpv4::SERVER_PORT)),
            dhcpv4::Operation::Reply => (V4_B, (dhcpv4::SERVER_PORT, dhcpv4::CLIENT_PORT)),
        };
        let packet = udp_packet(source.into(), Ipv4Addr::BROADCAST.into(), ports, &message[..len]);
        capture.frame(EtherType::IPV4, MacAddress::BROADCAST, &packet, "DHCP");
    }
}
