use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use fourwire_tcpip::transport::tcp::State;
use wire::tcp::{Flags, Options};

use crate::forge::{Peer, Victim, error, header, segment};
use crate::net::addresses;

const ROUTER: [u8; 4] = [198, 51, 100, 1];

/// What a router quotes of a segment of the host's, whose number is off by `offset` from the first in flight.
fn quote(peer: &Peer, offset: u32) -> Vec<u8> {
    let mut bytes = segment(peer.host, peer.us, header(Flags::ACK, peer.wants + offset, peer.next), &[]);
    bytes.truncate(28);
    bytes
}

/// A connection with ten thousand bytes in flight.
fn busy() -> (Victim, Peer, fourwire_tcpip::transport::ConnectionId) {
    let mut victim = Victim::at_home();
    let (peer, id) = victim.call(5000, Options { max_segment_size: Some(1460), ..Options::default() });
    victim.write(id, &[1; 10_000]);
    (victim, peer, id)
}

#[test]
fn hard_errors_cve_2004_0790_do_not_end_a_connection() {
    let (mut victim, peer, id) = busy();
    for code in 0..16 {
        for offset in [0, 1000, 20_000, 1 << 31] {
            victim.gets(error(ROUTER.into(), addresses(1)[0], (3, code), 0, &quote(&peer, offset)));
        }
    }
    victim.gets(error(ROUTER.into(), addresses(1)[0], (12, 0), 0, &quote(&peer, 0)));
    assert_eq!(victim.stack.connection(id).unwrap().state(), State::Established);
}

#[test]
fn source_quench_cve_2004_0791_slows_nobody() {
    let (mut victim, peer, id) = busy();
    let before = victim.stack.connection(id).unwrap().info().recovery.congestion_window;
    for _ in 0..100 {
        victim.gets(error(ROUTER.into(), addresses(1)[0], (4, 0), 0, &quote(&peer, 0)));
    }
    let after = victim.stack.connection(id).unwrap().info();
    assert_eq!((after.recovery.congestion_window, after.state), (before, State::Established));
}

#[test]
fn path_mtu_cve_2004_1060_counts_only_for_what_is_in_flight_and_never_below_the_least() {
    let (mut victim, peer, id) = busy();
    let size = |victim: &mut Victim| victim.stack.connection(id).unwrap().info().max_segment_size;
    let before = size(&mut victim);
    for offset in [20_000, 1 << 31, u32::MAX - 100] {
        victim.gets(error(ROUTER.into(), addresses(1)[0], (3, 4), 600, &quote(&peer, offset)));
        assert_eq!(size(&mut victim), before, "{offset} is not in flight");
    }
    victim.gets(error(ROUTER.into(), addresses(1)[0], (3, 4), 68, &quote(&peer, 0)));
    assert_eq!(size(&mut victim), 552 - 40);
    // For another connection to somebody else, nothing has changed.
    let other = SocketAddr::from(([203, 0, 113, 1], 9));
    Peer::open(&mut victim, other, peer.host, Options { max_segment_size: Some(1460), ..Options::default() });
    let id = victim.stack.accept(victim.listener.unwrap()).unwrap();
    assert_eq!(victim.stack.connection(id).unwrap().info().max_segment_size, 1460);
}

#[test]
fn packet_too_big_for_ipv6_is_never_below_1280() {
    let mut victim = Victim::at_home();
    let at = SocketAddr::new(addresses(1)[1], 80);
    let listener = victim.stack.listen(at, 8).unwrap();
    let us = SocketAddr::new("2001:db8::1".parse().unwrap(), 5);
    let options = Options { max_segment_size: Some(1440), ..Options::default() };
    let peer = Peer::open(&mut victim, us, at, options).unwrap();
    let id = victim.stack.accept(listener).unwrap();
    victim.write(id, &[1; 10_000]);
    let mut quote = segment(at, us, header(Flags::ACK, peer.wants, peer.next), &[]);
    quote.truncate(60);
    let router: IpAddr = "2001:db8::2".parse().unwrap();
    victim.gets(error(router, at.ip(), (2, 0), 100, &quote));
    assert_eq!(victim.stack.connection(id).unwrap().info().max_segment_size, 1280 - 60);
}

#[test]
fn no_error_answers_an_error() {
    let mut victim = Victim::at_home();
    let to = addresses(1)[0];
    // About a datagram that was never sent, about an error, cut short, about nothing.
    let inner = error(to, ROUTER.into(), (3, 3), 0, &[0; 28]);
    for quote in [&inner[..], &inner[..20], &inner[..7], &[]] {
        for kind in [3, 4, 5, 11, 12] {
            assert!(victim.gets(error(ROUTER.into(), to, (kind, 3), 0, quote)).is_empty());
        }
    }
    victim.run(Duration::from_secs(1));
    assert!(victim.is_well());
}
