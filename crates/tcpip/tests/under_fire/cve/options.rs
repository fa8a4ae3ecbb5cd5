use std::net::IpAddr;

use wire::checksum::Sum;
use wire::tcp::Flags;
use wire::{Protocol, ipv4};

use crate::forge::{Victim, packet, v4};
use crate::net::addresses;

/// A SYN with these bytes as its options, whatever they are.
fn syn(options: &[u8], port: u16) -> Vec<u8> {
    let mut options = options.to_vec();
    options.resize(options.len().next_multiple_of(4).min(40), 0);
    let mut bytes = vec![0; 20];
    bytes[..4].copy_from_slice(&[(port >> 8) as u8, port as u8, 0, 80]);
    bytes[12] = ((20 + options.len()) as u8 / 4) << 4;
    bytes[13] = Flags::SYN.0 as u8;
    bytes.extend_from_slice(&options);
    let (from, to) = (IpAddr::from([192, 0, 2, 1]), addresses(1)[0]);
    let sum = Sum::pseudo_header(from, to, Protocol::TCP.0, bytes.len()).and(&bytes).checksum();
    bytes[16..18].copy_from_slice(&sum.to_be_bytes());
    packet(from, to, Protocol::TCP, &bytes)
}

#[test]
fn amnesia_33_cve_2020_13988_tcp_options_of_length_zero_or_beyond_the_header_end_the_list() {
    let mut victim = Victim::at_home();
    let mut port = 1000;
    for kind in 2..=255 {
        for len in [0, 1, 2, 3, 39, 255] {
            port += 1;
            for options in [vec![kind, len], vec![1, kind, len, 0, 0, 0], vec![2, 4, 5, 180, kind, len]] {
                victim.gets(syn(&options, port));
            }
        }
    }
    assert!(victim.is_well());
}

#[test]
fn urgent_11_cve_2019_12256_ip_options_are_checked_and_source_routes_refused() {
    let mut victim = Victim::at_home();
    let ipv4::Header { .. } = header(ipv4::Options::default());
    let well = [7, 7, 4, 0, 0, 0, 0, 0]; // record route
    for kind in [131u8, 137] {
        for (len, pointer) in [(7, 4), (3, 4), (2, 4), (1, 0), (0, 0), (255, 4), (11, 255), (39, 40)] {
            let mut bytes = vec![kind, len, pointer];
            bytes.resize(8, 10);
            // Made by hand: what is wrong cannot be written otherwise.
            let mut packet = v4(&header(ipv4::Options::new(&well).unwrap()), b"\x08\x00\xf7\xff\0\0\0\0");
            packet[20..28].copy_from_slice(&bytes);
            packet[10..12].fill(0);
            let sum = Sum::of(&packet[..28]).checksum();
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
            let answers = victim.gets(packet);
            // An error may be said, but the packet is followed nowhere.
            let ours = |answer: &Vec<u8>| answer[9] == Protocol::ICMP.0 && answer[16..20] == [192, 0, 2, 1];
            assert!(answers.iter().all(ours), "{kind} {len} {pointer}");
        }
    }
    assert!(victim.is_well());
}

fn header(options: ipv4::Options) -> ipv4::Header {
    ipv4::Header {
        traffic_class: 0,
        identification: 1,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol: Protocol::ICMP,
        source: [192, 0, 2, 1].into(),
        destination: [10, 9, 0, 2].into(),
        options,
    }
}

#[test]
fn amnesia_33_cve_2020_13985_extension_headers_are_read_within_their_packet() {
    let mut victim = Victim::at_home();
    let (from, to) = (addresses(0)[1], addresses(1)[1]);
    for first in [0u8, 43, 44, 51, 60, 135] {
        for len in [0u8, 1, 2, 255] {
            for option in [[0, 0], [1, 0], [1, 255], [5, 0], [194, 4], [201, 16], [255, 1]] {
                let mut bytes = vec![first, len, option[0], option[1], 0, 0, 0, 0];
                bytes.resize(40, first);
                let answers = victim.gets(packet(from, to, Protocol(first), &bytes));
                assert!(answers.len() <= 1, "{first} {len} {option:?}");
            }
        }
    }
    // A chain without end.
    let chain: Vec<u8> = [60u8, 0, 1, 4, 0, 0, 0, 0].into_iter().cycle().take(64_000).collect();
    assert!(victim.gets(packet(from, to, Protocol(60), &chain)).len() <= 1);
    assert!(victim.is_well());
}
