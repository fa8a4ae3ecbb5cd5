use std::net::SocketAddr;

use wire::Protocol;

use crate::forge::{Victim, bare_datagram, datagram, packet};
use crate::net::addresses;

#[test]
fn ripple20_cve_2020_11896_an_ip_packet_within_an_ip_packet_is_not_unpacked() {
    let mut victim = Victim::at_home();
    let (from, to) = (SocketAddr::new(addresses(0)[0], 5), SocketAddr::new(addresses(1)[0], 53));
    let socket = victim.stack.bind_udp(to).unwrap();
    let mut inner = datagram(from, to, b"smuggled");
    for _ in 0..20 {
        inner = packet(from.ip(), to.ip(), Protocol::IPV4, &inner);
        assert!(victim.gets(inner.clone()).len() <= 1, "at most one error, for the outermost");
    }
    assert_eq!(victim.stack.udp_receive(socket, &mut [0; 100]), None);
    assert!(victim.is_well());
}

#[test]
fn ripple20_cve_2020_11901_lengths_that_contradict_each_other_are_refused() {
    let mut victim = Victim::at_home();
    for address in [0, 1] {
        let from = SocketAddr::new(addresses(0)[address], 5);
        let to = SocketAddr::new(addresses(1)[address], 53);
        let socket = victim.stack.bind_udp(to).unwrap();
        let whole = datagram(from, to, &[7; 100]);
        let ip = if address == 0 { 20 } else { 40 };
        // The datagram says that it is longer or shorter than its packet.
        for len in [0u16, 7, 109, 2000, 65_535] {
            let mut bytes = bare_datagram(from, to, &[7; 100]);
            bytes[4..6].copy_from_slice(&len.to_be_bytes());
            victim.gets(packet(from.ip(), to.ip(), Protocol::UDP, &bytes));
        }
        // The packet says that it is longer than its frame, or was cut anywhere.
        for cut in 0..whole.len() {
            victim.gets(whole[..cut].to_vec());
        }
        // It ends before its own header does.
        for len in 0..ip as u8 {
            let mut bytes = whole.clone();
            bytes[if address == 0 { 3 } else { 5 }] = len;
            victim.gets(bytes);
        }
        assert_eq!(victim.stack.udp_receive(socket, &mut [0; 200]), None);
        victim.gets(whole);
        assert_eq!(victim.stack.udp_receive(socket, &mut [0; 200]), Some((100, from)));
    }
    assert!(victim.is_well());
}
