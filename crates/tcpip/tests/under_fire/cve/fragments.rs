use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use fourwire_tcpip::transport::UdpId;
use wire::{Protocol, ipv4};

use crate::forge::{Victim, bare_datagram, packet, v4};
use crate::net::addresses;

/// A fragment of a datagram to port 53, with the bytes from `offset` on.
fn fragment(identification: u16, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let header = ipv4::Header {
        traffic_class: 0,
        identification,
        dont_fragment: false,
        more_fragments: more,
        fragment_offset: offset,
        ttl: 64,
        protocol: Protocol::UDP,
        source: [10, 9, 0, 1].into(),
        destination: [10, 9, 0, 2].into(),
        options: ipv4::Options::default(),
    };
    v4(&header, payload)
}

/// As [`fragment`], of IPv6.
fn fragment6(identification: u32, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![Protocol::UDP.0, 0];
    bytes.extend_from_slice(&(offset & !7 | u16::from(more)).to_be_bytes());
    bytes.extend_from_slice(&identification.to_be_bytes());
    bytes.extend_from_slice(payload);
    packet(addresses(0)[1], addresses(1)[1], Protocol::FRAGMENT, &bytes)
}

fn ends(family: usize) -> [SocketAddr; 2] {
    [SocketAddr::new(addresses(0)[family], 5), SocketAddr::new(addresses(1)[family], 53)]
}

/// A host with sockets at port 53 of both families, and a datagram of 1000 bytes for each.
fn prepare() -> (Victim, [UdpId; 2], [Vec<u8>; 2]) {
    let mut victim = Victim::at_home();
    let sockets = [0, 1].map(|family| victim.stack.bind_udp(ends(family)[1]).unwrap());
    let datagrams = [0, 1].map(|family| {
        let [from, to] = ends(family);
        bare_datagram(from, to, &(0..992).map(|at| at as u8).collect::<Vec<_>>())
    });
    (victim, sockets, datagrams)
}

fn receives(victim: &mut Victim, socket: UdpId) -> bool {
    victim.stack.udp_receive(socket, &mut [0; 65_535]).is_some()
}

#[test]
fn teardrop_cve_1999_0015_and_bonk_overlapping_fragments_are_poison() {
    let (mut victim, sockets, [datagram, datagram6]) = prepare();
    for (start, end) in [(400, 600), (496, 504), (0, 1000), (504, 512), (8, 16)] {
        let id = 100 + start;
        victim.gets(fragment(id, 0, true, &datagram[..504]));
        victim.gets(fragment(id, start & !7, true, &datagram[usize::from(start & !7)..end & !7]));
        victim.gets(fragment(id, 504, false, &datagram[504..]));
        victim.gets(fragment6(u32::from(id), 0, true, &datagram6[..504]));
        victim.gets(fragment6(
            u32::from(id),
            start & !7,
            true,
            &datagram6[usize::from(start & !7)..end & !7],
        ));
        victim.gets(fragment6(u32::from(id), 504, false, &datagram6[504..]));
        for socket in sockets {
            assert!(!receives(&mut victim, socket), "RFC 5722, and so for IPv4: {start} {end}");
        }
    }
    victim.gets(fragment(7, 504, false, &datagram[504..]));
    victim.gets(fragment(7, 0, true, &datagram[..504]));
    assert!(receives(&mut victim, sockets[0]), "in disorder is no overlap");
    assert!(victim.is_well());
}

#[test]
fn ping_of_death_cve_1999_0128_nothing_is_longer_than_a_packet() {
    let (mut victim, sockets, [datagram, datagram6]) = prepare();
    victim.gets(fragment(1, 0, true, &datagram[..504]));
    for offset in [65_528, 65_520, 65_000] {
        victim.gets(fragment(1, offset, false, &[0; 1480]));
        victim.gets(fragment6(1, offset, false, &[0; 1400]));
    }
    victim.gets(fragment6(1, 0, true, &datagram6[..504]));
    assert!(sockets.into_iter().all(|socket| !receives(&mut victim, socket)));
    assert!(victim.is_well());
}

#[test]
fn rose_and_fragmentsmack_cve_2018_5391_fragments_without_end_take_bounded_memory_and_harm_nobody_else() {
    let (mut victim, sockets, [datagram, _]) = prepare();
    for id in 0..3000u16 {
        // The first and the last of many, and never what is between.
        victim.gets(fragment(id, 0, true, &datagram[..8]));
        victim.gets(fragment(id, 64_000, false, &[0; 8]));
    }
    for offset in (8..60_000).step_by(16) {
        victim.gets(fragment(9, offset, true, &[0; 8]));
    }
    let counters = victim.stack.internet().counters();
    assert!(counters.reassembly_limit > 0, "{counters:?}");
    // Another source gets its own through.
    let [_, to] = ends(0);
    let from = SocketAddr::from(([192, 0, 2, 9], 5));
    let bytes = bare_datagram(from, to, &[1; 992]);
    for (offset, more, payload) in [(0, true, &bytes[..504]), (504, false, &bytes[504..])] {
        let mut piece = fragment(1, offset, more, payload);
        piece[12..16].copy_from_slice(&[192, 0, 2, 9]);
        piece[10..12].fill(0);
        let sum = wire::checksum::Sum::of(&piece[..20]).checksum();
        piece[10..12].copy_from_slice(&sum.to_be_bytes());
        victim.gets(piece);
    }
    assert!(receives(&mut victim, sockets[0]));
    victim.run(Duration::from_secs(120));
    assert!(victim.is_well() && victim.stack.poll_timeout().is_none(), "all is forgotten");
}

#[test]
fn tiny_fragments_rfc_1858_and_a_first_one_without_its_header_rfc_7112_deliver_nothing() {
    let (mut victim, sockets, [_, datagram6]) = prepare();
    // The header of a segment, cut in two.
    let syn = crate::forge::segment(
        ends(0)[0],
        SocketAddr::new(addresses(1)[0], 80),
        crate::forge::header(wire::tcp::Flags::SYN, wire::tcp::SeqNumber(1), wire::tcp::SeqNumber(0)),
        &[],
    );
    let piece = |offset: u16, more, payload: &[u8]| {
        let mut bytes = fragment(5, offset, more, payload);
        bytes[9] = Protocol::TCP.0;
        bytes[10..12].fill(0);
        let sum = wire::checksum::Sum::of(&bytes[..20]).checksum();
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes
    };
    victim.gets(piece(0, true, &syn[20..28]));
    victim.gets(piece(8, false, &syn[28..]));
    // Whole, they are a segment like another; a second time over it (RFC 3128) they are nothing.
    victim.gets(piece(8, false, &[0xff; 12]));
    victim.gets(fragment6(5, 0, true, &datagram6[..0]));
    assert!(!receives(&mut victim, sockets[1]));
    assert!(victim.is_well());
}

#[test]
fn atomic_fragments_rfc_6946_are_not_mixed_with_others() {
    let (mut victim, sockets, [_, datagram6]) = prepare();
    victim.gets(fragment6(5, 504, false, &[9; 496]));
    victim.gets(fragment6(5, 0, false, &datagram6));
    assert!(receives(&mut victim, sockets[1]), "it stands alone");
    let IpAddr::V6(_) = addresses(1)[1] else { unreachable!("the second is IPv6") };
    assert!(victim.is_well());
}
