use std::net::SocketAddr;
use std::time::Duration;

use fourwire_tcpip::StackConfig;
use fourwire_tcpip::transport::tcp::{End, Settings};
use wire::tcp::{Flags, Header, Options, SeqNumber};

use crate::forge::{Victim, header, segment};
use crate::net::{addresses, host};

#[test]
fn syn_flood_cve_1999_0116_old_and_new_connections_go_on() {
    let mut victim = Victim::at_home();
    let (peer, id) = victim.call(5000, Options::default());
    let at = SocketAddr::new(addresses(1)[0], 80);
    for number in 0..20_000u32 {
        let from = SocketAddr::from((std::net::Ipv4Addr::from(0xc612_0000 + number), 1000));
        victim.gets(segment(from, at, header(Flags::SYN, SeqNumber(number), SeqNumber(0)), &[]));
    }
    assert!(victim.stack.transport().connections().count() <= 1025);
    victim.gets(peer.says(Flags::ACK, 0, 0, b"still here"));
    assert_eq!(victim.read(id), b"still here");
    assert!(victim.is_well());
    victim.run(Duration::from_secs(200));
    assert_eq!(victim.stack.transport().connections().count(), 1, "what nobody completed is forgotten");
}

#[test]
fn floods_of_segments_for_nobody_get_few_answers() {
    let mut victim = Victim::at_home();
    let at = SocketAddr::new(addresses(1)[0], 80);
    let mut answers = 0;
    for number in 0..10_000u32 {
        let from = SocketAddr::from(([192, 0, 2, number as u8], 1000 + (number >> 8) as u16));
        for flags in [Flags::ACK, Flags::SYN | Flags::ACK, Flags::FIN, Flags::RST] {
            answers +=
                victim.gets(segment(from, at, header(flags, SeqNumber(number), SeqNumber(7)), &[])).len();
        }
    }
    assert!(answers <= 1000, "{answers}");
    assert_eq!(victim.stack.transport().connections().count(), 0);
    victim.run(Duration::from_secs(1));
    assert!(victim.is_well());
}

#[test]
fn fin_wait_2_does_not_last_for_ever() {
    let mut victim = Victim::at_home();
    for port in 0..500 {
        let (peer, id) = victim.call(5000 + port, Options::default());
        victim.stack.release(victim.now, id);
        victim.run(Duration::ZERO);
        victim.gets(peer.says(Flags::ACK, 0, 1, &[]));
    }
    assert_eq!(victim.stack.transport().connections().count(), 500);
    victim.run(Duration::from_secs(61));
    assert_eq!(victim.stack.transport().connections().count(), 0);
}

#[test]
fn sockstress_cve_2008_4609_a_closed_window_holds_nothing_that_was_let_go() {
    let mut victim = Victim::at_home();
    let mut peers = Vec::new();
    for port in 0..200 {
        let (peer, id) = victim.call(5000 + port, Options::default());
        let closed = Header { window: 0, ..header(Flags::ACK, peer.next, peer.wants) };
        victim.gets(segment(peer.us, peer.host, closed, &[]));
        victim.write(id, &[1; 50_000]);
        victim.stack.release(victim.now, id);
        peers.push((peer, closed));
    }
    assert!(victim.stack.transport().memory().held >= 200 * 50_000);
    // They answer every question, and never open.
    for _ in 0..13 {
        victim.run(Duration::from_secs(10));
        for (peer, closed) in &peers {
            victim.gets(segment(peer.us, peer.host, *closed, &[]));
        }
    }
    assert_eq!(victim.stack.transport().memory().held, 0);
    assert_eq!(victim.stack.transport().connections().count(), 0);
    assert!(victim.is_well());
}

#[test]
fn a_program_that_holds_on_can_bound_its_patience_with_a_closed_window() {
    let settings = Settings { user_timeout: Some(Duration::from_secs(30)), ..Settings::default() };
    let mut victim = Victim::listening(host(1, StackConfig { settings, ..StackConfig::default() }, 1500), 80);
    let (peer, id) = victim.call(5000, Options::default());
    let closed = Header { window: 0, ..header(Flags::ACK, peer.next, peer.wants) };
    victim.gets(segment(peer.us, peer.host, closed, &[]));
    victim.write(id, b"never taken");
    for _ in 0..7 {
        victim.run(Duration::from_secs(5));
        victim.gets(segment(peer.us, peer.host, closed, &[]));
    }
    assert_eq!(victim.stack.connection(id).unwrap().end(), Some(End::TimedOut), "RFC 5482");
}
