use std::time::Duration;

use wire::tcp::{Flags, Header, Options, SackBlock};

use crate::forge::{Heard, Peer, Victim, header, segment};

fn selective(size: u16) -> Options {
    Options {
        max_segment_size: Some(size),
        sack_permitted: true,
        window_scale: Some(7),
        ..Options::default()
    }
}

fn acknowledge(victim: &mut Victim, peer: &Peer, number: u32, blocks: &[(u32, u32)]) -> Vec<Heard> {
    let mut with = header(Flags::ACK, peer.next, peer.wants + number);
    for &(start, end) in blocks {
        with.options.sack.push(SackBlock { start: peer.wants + start, end: peer.wants + end });
    }
    crate::forge::segments(&victim.gets(segment(peer.us, peer.host, with, &[])))
}

#[test]
fn sack_panic_cve_2019_11477_and_11479_segments_of_nothing_are_not_sent() {
    let mut victim = Victim::at_home();
    let (peer, id) = victim.call(5000, selective(8));
    let sent = victim.write(id, &vec![1; 1 << 20]);
    assert!(!sent.is_empty() && sent.iter().all(|heard| heard.payload.len() >= 200), "not 8 bytes each");
    for start in 0..2000u32 {
        acknowledge(&mut victim, &peer, 0, &[(start * 2 + 1, start * 2 + 2)]);
    }
    victim.run(Duration::from_secs(5));
    assert!(victim.is_well());
}

#[test]
fn sack_slowness_cve_2019_11478_what_is_told_apart_is_bounded() {
    let mut victim = Victim::at_home();
    let (peer, id) = victim.call(5000, selective(1460));
    let mut acknowledged = 0;
    // Let much be in flight first.
    victim.write(id, &vec![1; 2 << 20]);
    for _ in 0..200 {
        acknowledged += 14_600;
        acknowledge(&mut victim, &peer, acknowledged, &[]);
        victim.write(id, &[1; 14_600]);
    }
    let flight = victim.stack.connection(id).unwrap().info().recovery.in_flight;
    assert!(flight > 200_000, "{flight}");
    for place in 0..10_000u32 {
        let start = acknowledged + place * 2 + 1;
        acknowledge(
            &mut victim,
            &peer,
            acknowledged,
            &[(start, start + 1), (start + 60_000, start + 60_001)],
        );
    }
    let info = victim.stack.connection(id).unwrap().info();
    assert!(info.memory < (4 << 20) + (1 << 20), "{info:?}");
    assert!(victim.is_well());
}

#[test]
fn segmentsmack_cve_2018_5390_every_second_byte_costs_little() {
    let mut victim = Victim::at_home();
    let (peer, id) = victim.call(5000, selective(1460));
    for at in 1..3000u32 {
        victim.gets(peer.says(Flags::ACK, at * 2, 0, b"x"));
    }
    let info = victim.stack.connection(id).unwrap().info();
    assert!(info.out_of_order <= 64 && info.memory <= 65_536, "{info:?}");
    let with = Header { ..header(Flags::ACK, peer.next, peer.wants) };
    victim.gets(segment(peer.us, peer.host, with, &[7; 200]));
    assert_eq!(victim.read(id).len(), 200);
    assert!(victim.is_well());
}

#[test]
fn blocks_that_make_no_sense_mark_nothing_cve_2024_41996_like() {
    let mut victim = Victim::at_home();
    let (peer, id) = victim.call(5000, selective(1460));
    victim.write(id, &[1; 10_000]);
    let before = victim.stack.connection(id).unwrap().info().recovery.in_flight;
    let nonsense = [(0, 0), (5, 4), (1 << 31, 10), (0, 1 << 31), (9_999, 10_001), (20_000, 30_000)];
    for block in nonsense {
        acknowledge(&mut victim, &peer, 0, &[block, block, block]);
    }
    let info = victim.stack.connection(id).unwrap().info();
    assert!(info.recovery.in_flight >= before, "{info:?}");
    assert!(victim.is_well());
}
