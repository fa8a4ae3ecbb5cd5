//! Very many connections in TIME-WAIT.

use std::net::SocketAddr;
use std::time::Duration;

use fourwire_tcpip::StackConfig;
use wire::tcp::{Flags, Options};

use super::forge::{Peer, Victim, segments};
use super::net::{addresses, host};

/// Opens a connection, which the host ends first: it is in TIME-WAIT then.
fn hang_up(victim: &mut Victim, us: SocketAddr, payload: &[u8]) -> Peer {
    let at = SocketAddr::new(addresses(1)[0], 80);
    let mut peer = Peer::open(victim, us, at, Options::default()).expect("an answer");
    let listener = victim.listener.expect("somebody listens");
    let id = victim.stack.accept(listener).expect("a connection");
    let now = victim.now;
    victim.stack.connection(id).unwrap().shutdown(now);
    assert!(segments(&victim.run(Duration::ZERO))[0].header.flags.contains(Flags::FIN));
    peer.wants += 1;
    victim.gets(peer.says(Flags::ACK | Flags::FIN, 0, 0, payload));
    peer.next += payload.len() as u32 + 1;
    if payload.is_empty() {
        victim.stack.release(now, id);
        victim.run(Duration::ZERO);
    }
    peer
}

#[test]
fn ten_thousand_take_a_megabyte_or_so_and_end_in_a_minute() {
    let mut victim = Victim::listening(host(1, StackConfig::default(), 1500), 80);
    let us =
        |number: u32| SocketAddr::from(([192, 0, 2, (number >> 15) as u8], 1024 + (number & 0x7fff) as u16));
    let peers: Vec<_> = (0..10_000).map(|number| hang_up(&mut victim, us(number), &[])).collect();
    let transport = victim.stack.transport();
    assert_eq!((transport.connections().count(), transport.time_waits().count()), (0, 10_000));
    let memory = transport.memory();
    assert!(memory.held == 0 && memory.time_waits < 2 << 20, "{memory:?}");
    // A FIN that comes again is answered, and the time begins anew; for the others it ends.
    victim.run(Duration::from_secs(30));
    let answers = segments(&victim.gets(peers[77].says(Flags::ACK | Flags::FIN, u32::MAX, 0, &[])));
    assert_eq!((answers.len(), answers[0].header.acknowledgment), (1, peers[77].next));
    victim.run(Duration::from_secs(31));
    assert_eq!(victim.stack.transport().time_waits().count(), 1);
    victim.run(Duration::from_secs(30));
    let transport = victim.stack.transport();
    assert_eq!((transport.time_waits().count(), transport.memory().time_waits), (0, 0));
    assert_eq!(victim.stack.poll_timeout(), None);
}

#[test]
fn what_was_not_read_is_still_delivered_and_then_only_the_few_bytes_are_left() {
    let mut victim = Victim::listening(host(1, StackConfig::default(), 1500), 80);
    hang_up(&mut victim, SocketAddr::from(([192, 0, 2, 1], 5000)), b"last words");
    let (id, ..) = victim.stack.transport().connections().next().expect("it is kept for its bytes");
    assert_eq!(victim.stack.transport().time_waits().count(), 0);
    let (now, mut buffer) = (victim.now, [0; 100]);
    assert_eq!(victim.stack.connection(id).unwrap().read(now, &mut buffer), Ok(10));
    assert_eq!(buffer[..10], *b"last words");
    victim.run(Duration::ZERO);
    assert_eq!(victim.stack.transport().time_waits().count(), 1);
    let end = victim.stack.connection(id).unwrap().end();
    assert_eq!(end, Some(fourwire_tcpip::transport::tcp::End::Closed));
    assert_eq!(victim.stack.connection(id).unwrap().read(now, &mut buffer), Ok(0));
    victim.stack.release(now, id);
    victim.run(Duration::ZERO);
    assert_eq!(victim.stack.transport().connections().count(), 0);
}

#[test]
fn a_reset_does_not_end_it_and_two_in_time_wait_do_not_keep_each_other_busy() {
    let mut victim = Victim::listening(host(1, StackConfig::default(), 1500), 80);
    let peer = hang_up(&mut victim, SocketAddr::from(([192, 0, 2, 1], 5000)), &[]);
    assert!(victim.gets(peer.says(Flags::RST, 0, 0, &[])).is_empty());
    assert!(victim.gets(peer.says(Flags::ACK, 0, 0, &[])).is_empty());
    assert_eq!(victim.stack.transport().time_waits().count(), 1, "RFC 1337");
    let old = |victim: &mut Victim| victim.gets(peer.says(Flags::ACK, u32::MAX - 5000, 0, &[])).len();
    assert_eq!((0..100).map(|_| old(&mut victim)).sum::<usize>(), 1);
    victim.run(Duration::from_millis(100));
    assert_eq!(old(&mut victim), 1);
}
