use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use wire::tcp::{Flags, Header, Options, SeqNumber, Timestamps};

use crate::forge::{Victim, header, segment, segments};
use crate::net::{Out, addresses};

/// The SYN-ACK to a SYN from `from`.
fn answer(victim: &mut Victim, from: SocketAddr) -> Header {
    let options = Options { timestamps: Some(Timestamps { value: 1, echo: 0 }), ..Options::default() };
    let syn = Header { options, ..header(Flags::SYN, SeqNumber(1), SeqNumber(0)) };
    let at = SocketAddr::new(addresses(1)[0], 80);
    segments(&victim.gets(segment(from, at, syn, &[])))[0].header
}

/// How many of these differ from the one before by less than `near`.
fn near(numbers: &[u32], near: u32) -> usize {
    let close = |two: &&[u32]| two[1].wrapping_sub(two[0]).min(two[0].wrapping_sub(two[1])) < near;
    numbers.windows(2).filter(close).count()
}

#[test]
fn number_jack_cve_2020_27213_initial_numbers_of_one_peer_say_nothing_of_anothers() {
    let mut victim = Victim::at_home();
    let numbers: Vec<_> = (0..500u16)
        .map(|number| answer(&mut victim, SocketAddr::from(([192, 0, 2, 1], 1024 + number))).sequence.0)
        .collect();
    assert!(near(&numbers, 1 << 24) < 20, "they are next to each other");
    let bits = numbers.iter().fold((0, u32::MAX), |(or, and), number| (or | number, and & number));
    assert_eq!(bits, (u32::MAX, 0), "every bit changes");
}

#[test]
fn timestamps_do_not_tell_the_uptime_nor_join_connections() {
    let mut victim = Victim::at_home();
    let clocks: Vec<_> = (0..500u16)
        .map(|number| answer(&mut victim, SocketAddr::from(([192, 0, 2, 1], 1024 + number))))
        .filter_map(|header| header.options.timestamps.map(|timestamps| timestamps.value))
        .collect();
    assert!(clocks.len() == 500 && near(&clocks, 1 << 24) < 20);
}

#[test]
fn ports_cve_2022_1012_and_sad_dns_cve_2020_25705_are_not_told_by_those_before() {
    let mut victim = Victim::at_home();
    let mut out = Out::default();
    let remote = |last: u8| SocketAddr::from(([192, 0, 2, last], 443));
    let mut port = |victim: &mut Victim, last| {
        let now = victim.now;
        let id = victim.stack.connect(now, None, remote(last), &mut out).unwrap();
        u32::from(victim.stack.connection(id).unwrap().endpoints().local.port())
    };
    let one: Vec<_> = (0..100).map(|_| port(&mut victim, 1)).collect();
    let steps: BTreeSet<_> = one.windows(2).map(|two| two[1].wrapping_sub(two[0])).collect();
    assert!(steps.len() > 4, "{steps:?}");
    let each: Vec<_> = (2..102).map(|last| port(&mut victim, last)).collect();
    assert!(near(&each, 64) < 10, "{each:?}");
    let datagrams: Vec<_> = (0..100)
        .map(|_| {
            let id = victim.stack.bind_udp("0.0.0.0:0".parse().unwrap()).unwrap();
            u32::from(victim.stack.udp_address(id).unwrap().port())
        })
        .collect();
    assert!(near(&datagrams, 64) < 10, "{datagrams:?}");
}

#[test]
fn ip_identifications_of_fragments_do_not_count_up() {
    let mut victim = Victim::at_home();
    let id = victim.stack.bind_udp(SocketAddr::new(addresses(1)[0], 53)).unwrap();
    let mut identifications = Vec::new();
    for number in 0..200u32 {
        let mut out = Out::default();
        let (now, to) = (victim.now, SocketAddr::from(([192, 0, 2, (number % 2) as u8 + 1], 9)));
        victim.stack.udp_send(now, id, &[0; 4000], to, &mut out).unwrap();
        let of_this: BTreeSet<_> =
            out.0.iter().map(|packet| u32::from(u16::from_be_bytes([packet[4], packet[5]]))).collect();
        assert!(out.0.len() >= 3 && of_this.len() == 1, "fragments of one packet have one");
        identifications.extend(of_this);
        victim.run(Duration::from_millis(1));
    }
    assert!(near(&identifications, 16) < 20, "{identifications:?}");
    let recent: Vec<_> = identifications[150..].to_vec();
    assert!(recent.iter().collect::<BTreeSet<_>>().len() >= 49, "one does not come again soon");
}
