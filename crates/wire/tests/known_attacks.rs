//! Packets that have broken other stacks, by the names under which that became known. What is left of each here is a
//! format: the rest of the family is tested where packets are put together and connections are kept.

use std::net::Ipv4Addr;

use fourwire_wire::checksum::Sum;
use fourwire_wire::{Error, Protocol, arp, dhcpv4, icmpv4, icmpv6, ip, ipv4, ipv6, ndp, pcapng, tcp};

fn tcp_with(options: &[u8]) -> Vec<u8> {
    let mut segment = vec![0; 20];
    segment[12] = ((5 + options.len() / 4) << 4) as u8;
    segment.extend(options);
    segment
}

fn icmpv6_with(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = Sum::of(&bytes).checksum().to_be_bytes();
    bytes[2..4].copy_from_slice(&checksum);
    bytes
}

fn v6_with(next_header: Protocol, payload: &[u8]) -> Vec<u8> {
    let header = ipv6::Header {
        traffic_class: 0,
        flow_label: 0,
        next_header,
        hop_limit: 64,
        source: "2001:db8::1".parse().unwrap(),
        destination: "2001:db8::2".parse().unwrap(),
    };
    let mut packet = vec![0; ipv6::Header::LEN];
    header.emit(&mut packet, payload.len());
    packet.extend(payload);
    packet
}

fn chain(packet: &[u8]) -> Result<ipv6::Chain, ipv6::Problem> {
    let (header, payload) = ipv6::Header::parse(packet).unwrap();
    ipv6::Chain::of(&header, payload)
}

/// AMNESIA:33 (CVE-2020-24337 and others): an option of length zero or one does not move the reader on.
#[test]
fn amnesia_33_options_without_a_length() {
    for len in [0, 1] {
        let (header, _) =
            tcp::Header::parse(&tcp_with(&[2, len, 5, 0xb4])).map(|(h, p)| (h, p.len())).unwrap();
        assert_eq!(header.options, tcp::Options::default());
        assert_eq!(ipv4::Options::new(&[131, len, 4, 0]).unwrap().iter().count(), 0);
    }
    assert_eq!(ndp::Options::parse(&[1, 0, 0, 0, 0, 0, 0, 0]), Err(Error::Malformed));
}

/// AMNESIA:33 (CVE-2020-17442, CVE-2020-17444, CVE-2020-13984): extension headers and options that say to be longer than
/// the packet.
#[test]
fn amnesia_33_extension_headers_beyond_the_packet() {
    for next in [0, 43, 44, 51, 60] {
        for payload in [&[][..], &[6], &[6, 0, 1, 4, 0, 0, 0], &[6, 255, 1, 4, 0, 0, 0, 0]] {
            if next == 44 && payload.len() == 8 {
                continue; // A fragment header has no length.
            }
            let packet = v6_with(Protocol(next), payload);
            let expected = if next == 51 { Ok(Protocol(51)) } else { Err(ipv6::Problem::Discard) };
            assert_eq!(chain(&packet).map(|chain| chain.protocol), expected, "{next}: {payload:?}");
            assert_eq!(ip::Packet::parse(&packet), Err(Error::Truncated), "{next}: {payload:?}");
        }
    }
    let beyond = v6_with(Protocol::DESTINATION_OPTIONS, &[6, 0, 0x1e, 200, 0, 0, 0, 0]);
    assert_eq!(chain(&beyond), Err(ipv6::Problem::Discard));
}

/// Ripple20 (CVE-2020-11896, CVE-2020-11898): lengths of the packet, its header and what was received contradict each
/// other.
#[test]
fn ripple20_lengths_that_contradict_each_other() {
    let header = ipv4::Header {
        traffic_class: 0,
        identification: 1,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol: Protocol::IPV4,
        source: Ipv4Addr::new(10, 0, 0, 1),
        destination: Ipv4Addr::new(10, 0, 0, 2),
        options: ipv4::Options::default(),
    };
    let packet = |total_len: u16, words: u8, received: usize| {
        let mut packet = vec![0; received];
        header.emit(&mut packet, 0);
        packet[0] = 0x40 | words;
        packet[2..4].copy_from_slice(&total_len.to_be_bytes());
        packet[10..12].fill(0);
        let header_len = (usize::from(words) * 4).min(received);
        let checksum = Sum::of(&packet[..header_len]).checksum().to_be_bytes();
        packet[10..12].copy_from_slice(&checksum);
        ipv4::Header::parse(&packet).map(|(_, payload)| payload.len())
    };
    assert_eq!(packet(40, 5, 60), Ok(20), "the packet ends where it says, not where the frame does");
    assert_eq!(packet(80, 5, 60), Err(Error::Truncated));
    assert_eq!(packet(19, 5, 60), Err(Error::Malformed));
    assert_eq!(packet(40, 4, 60), Err(Error::Malformed));
    assert_eq!(packet(40, 15, 60), Err(Error::Malformed), "a header longer than its packet");
    assert_eq!(packet(60, 15, 40), Err(Error::Truncated));
}

/// Ripple20 (CVE-2020-11903), URGENT/11 (CVE-2019-12257): DHCP options beyond the message, addresses of
/// other lengths than addresses have.
#[test]
fn ripple20_and_urgent_11_options_of_dhcp() {
    let header = dhcpv4::Header {
        operation: dhcpv4::Operation::Reply,
        hops: 0,
        transaction: 1,
        seconds: 0,
        broadcast: false,
        client: Ipv4Addr::UNSPECIFIED,
        your: Ipv4Addr::new(10, 0, 0, 9),
        next_server: Ipv4Addr::UNSPECIFIED,
        relay: Ipv4Addr::UNSPECIFIED,
        hardware: fourwire_wire::MacAddress([2, 0, 0, 0, 0, 1]),
    };
    let message = |options: &[u8]| {
        let mut message = vec![0; dhcpv4::Header::LEN];
        header.emit(&mut message);
        message.extend(options);
        message
    };
    for options in [&[53][..], &[53, 1], &[53, 1, 5, 12, 255, b'a'], &[3, 4, 10, 0]] {
        assert_eq!(dhcpv4::Header::parse(&message(options)), Err(Error::Malformed), "{options:?}");
    }
    for options in
        [&[1, 3, 255, 255, 255, 255][..], &[3, 5, 10, 0, 0, 1, 10, 255], &[6, 0, 255], &[51, 0, 255]]
    {
        let message = message(options);
        let (_, read) = dhcpv4::Header::parse(&message).unwrap();
        let first = read.iter().next().unwrap();
        assert!(matches!(first, dhcpv4::DhcpOption::Other { .. }), "{first:?}");
    }
}

/// URGENT/11 (CVE-2019-12256): a source route that is malformed overflows the error that quotes it. Here an error carries
/// what was received, and an option that ends beyond the header is none.
#[test]
fn urgent_11_source_routes() {
    for bytes in [&[131, 39, 4][..], &[131, 3], &[137, 2, 0, 0], &[131, 255, 255, 255]] {
        let options = ipv4::Options::new(bytes).unwrap();
        for option in options.iter() {
            assert!(option.data.len() <= options.as_bytes().len() - 2);
        }
        let error = icmpv4::Message::ParameterProblem { code: 0, pointer: 20, quoted: options.as_bytes() };
        let mut written = vec![0; error.len()];
        error.emit(&mut written);
        assert_eq!(icmpv4::Message::parse(&written), Ok(error));
    }
}

/// URGENT/11 (CVE-2019-12262): reverse ARP replies that were not asked for.
#[test]
fn urgent_11_reverse_arp() {
    for operation in [0, 3, 4, 0xff] {
        let mut packet = vec![0, 1, 8, 0, 6, 4, 0, operation];
        packet.resize(28, 1);
        assert_eq!(arp::Packet::parse(&packet), Err(Error::Malformed));
    }
}

/// Bad Neighbor (CVE-2020-16898): an option with DNS servers of even length, so that the last address is half one.
#[test]
fn bad_neighbor_half_an_address() {
    for units in [1, 2, 4, 6] {
        let mut bytes = vec![134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 25, units];
        bytes.resize(16 + usize::from(units) * 8, 0x41);
        let bytes = icmpv6_with(bytes);
        let Ok(icmpv6::Message::Neighbor(message)) = icmpv6::Message::parse(&bytes, Sum::default()) else {
            panic!("the message itself is valid");
        };
        let options: Vec<_> = message.options().iter().collect();
        assert!(matches!(options[..], [ndp::NdpOption::Other { kind: 25, .. }]), "{options:?}");
    }
}

/// The ping of death (CVE-1999-0128), here for IPv6: a last fragment that ends beyond 65,535 bytes.
#[test]
fn ping_of_death() {
    let fragment = ipv6::Fragment {
        next_header: Protocol::ICMPV6,
        offset: 0xfff8,
        more_fragments: false,
        identification: 1,
    };
    let mut payload = vec![0; ipv6::Fragment::LEN];
    fragment.emit(&mut payload);
    payload.extend([0; 8]);
    let code = ipv6::ParameterProblem::ErroneousHeaderField;
    let answer = ipv6::Problem::Answer { code, pointer: 42 };
    assert_eq!(chain(&v6_with(Protocol::FRAGMENT, &payload)), Err(answer));
}

/// CVE-2021-24086: very many extension headers, and options, in one packet.
#[test]
fn very_many_headers_and_options() {
    let many = [60, 0, 1, 4, 0, 0, 0, 0].repeat(8000);
    assert_eq!(chain(&v6_with(Protocol::DESTINATION_OPTIONS, &many)), Err(ipv6::Problem::Discard));
    let mut options = vec![6, 255];
    options.extend([0x1e, 0].repeat(1023));
    assert_eq!(chain(&v6_with(Protocol::DESTINATION_OPTIONS, &options)), Err(ipv6::Problem::Discard));
}

/// A first fragment that hides its ports behind a long chain of headers (RFC 7112), and one that is too short for them (RFC
/// 1858).
#[test]
fn fragments_without_ports() {
    let first =
        |next_header| ipv6::Fragment { next_header, offset: 0, more_fragments: true, identification: 1 };
    let long = [60, 0, 1, 4, 0, 0, 0, 0].repeat(3);
    assert!(!ipv6::is_whole_chain(&first(Protocol::DESTINATION_OPTIONS), &long));
    assert!(!ipv6::is_whole_chain(&first(Protocol::TCP), &[0; 8]));
}

/// An urgent pointer, sequence numbers and windows of any value are values and nothing else (URGENT/11, INFRA:HALT): what
/// they mean is for the connection.
#[test]
fn urgent_pointers_are_only_numbers() {
    let mut segment = tcp_with(&[]);
    segment[13] = 0x20;
    for urgent in [0, 1, 0xffff] {
        segment[18..20].copy_from_slice(&u16::to_be_bytes(urgent));
        assert_eq!(tcp::Header::parse(&segment).unwrap().0.urgent, urgent);
    }
}

/// A capture whose block says to be four gigabytes long, or empty.
#[test]
fn blocks_of_any_length() {
    for len in [0u32, 4, 8, 11, 13, 0xffff_fffc, 0xffff_ffff] {
        let mut capture = vec![0x0a, 0x0d, 0x0d, 0x0a];
        capture.extend(len.to_le_bytes());
        capture.extend([0x4d, 0x3c, 0x2b, 0x1a]);
        capture.resize(64, 0);
        assert!(pcapng::Reader::new(&capture).next().unwrap().is_err(), "{len}");
    }
}
