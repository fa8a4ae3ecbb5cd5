//! More connections than there is memory for, all of them stuffed.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::time::Duration;

use fourwire_tcpip::transport::{Config, Memory};
use fourwire_tcpip::{Stack, StackConfig};
use wire::tcp::{Flags, Options};

use super::forge::{Peer, Victim};
use super::net::{Link, Net, addresses, host};

/// A quarter of it is [`STUFFED`] times 4 KiB, and two more.
const MEMORY: usize = 24 << 20;
const STUFFED: u16 = 1500;

fn config(memory: usize) -> StackConfig {
    StackConfig { transport: Config { memory, ..Config::default() }, ..StackConfig::default() }
}

/// What the stack says that it holds, after looking if that is true.
fn measured(stack: &mut Stack) -> Memory {
    let memory = stack.transport().memory();
    let sum: usize = stack.transport().connections().map(|(_, _, connection)| connection.info().memory).sum();
    assert!(sum <= memory.held, "{sum} {memory:?}");
    assert!(memory.held <= memory.limit, "{memory:?}");
    memory
}

/// How a hostile peer fills what a connection has.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stuffing {
    /// It sends, and the program does not read.
    InOrder,
    /// It leaves the first byte out.
    OutOfOrder,
    /// The program writes, and it does not acknowledge.
    Unacknowledged,
    /// It acknowledges every other byte of what it gets.
    Selections,
}

/// A thousand connections and more, stuffed by turns in every way.
fn stuff(net: &mut Net, listener: fourwire_tcpip::transport::ListenerId, kinds: &[Stuffing]) {
    let at = SocketAddr::new(addresses(1)[0], 80);
    let stack = std::mem::replace(&mut net.hosts[1], host(1, StackConfig::default(), 1500));
    let mut victim = Victim { now: net.now, ..Victim::new(stack) };
    let options = Options {
        max_segment_size: Some(1460),
        sack_permitted: true,
        window_scale: Some(7),
        ..Options::default()
    };
    let mut peers = Vec::new();
    for number in 0..STUFFED {
        let us = SocketAddr::from(([192, 0, 2, (number % 7) as u8], 1024 + number));
        let peer = Peer::open(&mut victim, us, at, options).expect("an answer");
        peers.push((peer, victim.stack.accept(listener).expect("a connection")));
    }
    for (number, (mut peer, id)) in peers.into_iter().enumerate() {
        let kind = kinds[number % kinds.len()];
        match kind {
            Stuffing::InOrder => {
                for _ in 0..4 {
                    victim.gets(peer.says(Flags::ACK, 0, 0, &[1; 16_000]));
                    peer.next += 16_000;
                }
            }
            Stuffing::OutOfOrder => {
                for place in (1..4).rev() {
                    victim.gets(peer.says(Flags::ACK, place * 16_000, 0, &[2; 16_000]));
                }
            }
            Stuffing::Unacknowledged | Stuffing::Selections => {
                let now = victim.now;
                let mut connection = victim.stack.connection(id).unwrap();
                let _ = connection.write(now, &[IoSlice::new(&[3; 200_000])]);
                drop(connection);
                victim.run(Duration::ZERO);
                if kind == Stuffing::Selections {
                    for place in 0..40u32 {
                        let mut ack = super::forge::header(Flags::ACK, peer.next, peer.wants);
                        let start = peer.wants + (place * 2 + 1);
                        ack.options.sack.push(wire::tcp::SackBlock { start, end: start + 1 });
                        victim.gets(super::forge::segment(peer.us, at, ack, &[]));
                    }
                }
            }
        }
        if number % 200 == 0 {
            measured(&mut victim.stack);
        }
    }
    net.hosts[1] = victim.stack;
}

#[test]
fn stuffed_connections_stay_within_the_budget_and_honest_ones_get_on() {
    use Stuffing::{InOrder, OutOfOrder, Selections, Unacknowledged};
    for kinds in [&[OutOfOrder][..], &[InOrder, OutOfOrder, Unacknowledged, Selections]] {
        let mut net =
            Net::new([host(0, config(MEMORY), 1500), host(1, config(MEMORY), 1500)], Link::clean(), 1);
        let at = SocketAddr::new(addresses(1)[0], 80);
        let listener = net.on(1, |stack, _, _| stack.listen(at, 4096).unwrap());
        let before = net.connect(listener);
        stuff(&mut net, listener, kinds);
        let memory = measured(&mut net.hosts[1]);
        assert!(memory.scarce, "{memory:?}");
        let counters = *net.hosts[1].transport().counters();
        let dropped = counters.segments_dropped + counters.disorder_dropped;
        assert!(dropped > 0, "{kinds:?} {counters:?}");
        let after = net.connect(listener);
        assert_eq!(net.hosts[1].transport().counters().cookies_in, 1, "a SYN holds no memory now");
        for ends in [before, after] {
            for from in [0, 1] {
                let took = net.transfer(ends, from, 200_000);
                assert!(took < Duration::from_secs(20), "{kinds:?} from {from}: {took:?}");
                measured(&mut net.hosts[1]);
            }
        }
        assert_eq!(net.hosts[1].transport().connections().count(), usize::from(STUFFED) + 2);
    }
}

#[test]
fn what_waits_to_be_sent_leaves_room_to_hear_that_it_arrived() {
    let mut net = Net::new([0, 1].map(|side| host(side, config(32 << 10), 1500)), Link::clean(), 1);
    let at = SocketAddr::new(addresses(1)[0], 80);
    let listener = net.on(1, |stack, _, _| stack.listen(at, 8).unwrap());
    let ends = [net.connect(listener), net.connect(listener)];
    let mut sent = [[0; 2]; 2];
    let mut heard = [[0; 2]; 2];
    for round in 0..2000 {
        for (number, ends) in ends.iter().enumerate() {
            for side in [0, 1] {
                let (id, more) = (ends[side], 100_000 - sent[number][side]);
                sent[number][side] += net.on(side, |stack, now, _| {
                    let mut connection = stack.connection(id).unwrap();
                    connection.write(now, &[IoSlice::new(&vec![5; more])]).unwrap_or(0)
                });
                // First all of them only write.
                heard[number][side] += net.on(side, |stack, now, _| {
                    let mut connection = stack.connection(id).unwrap();
                    if round < 20 { 0 } else { connection.read(now, &mut [0; 65_536]).unwrap_or(0) }
                });
                measured(&mut net.hosts[side]);
            }
        }
        net.run(Duration::from_millis(100));
    }
    assert_eq!(heard, [[100_000; 2]; 2]);
}

#[test]
fn when_all_memory_is_taken_nobody_new_comes_in_until_somebody_lets_go() {
    let at = SocketAddr::new(addresses(1)[0], 80);
    let mut victim = Victim::new(host(1, config(128 << 10), 1500));
    let listener = victim.stack.listen(at, 4096).unwrap();
    let mut held = Vec::new();
    for port in 0..200 {
        let us = SocketAddr::from(([192, 0, 2, 1], 1024 + port));
        let Some(peer) = Peer::open(&mut victim, us, at, Options::default()) else { continue };
        for place in [1, 0] {
            victim.gets(peer.says(Flags::ACK, place * 2000, 0, &[1; 2000]));
        }
        held.extend(victim.stack.accept(listener));
        measured(&mut victim.stack);
    }
    let counters = *victim.stack.transport().counters();
    assert!(counters.refused > 0 && held.len() < 100, "{} {counters:?}", held.len());
    for id in held {
        victim.stack.release(victim.now, id);
    }
    victim.run(Duration::from_secs(1));
    assert_eq!(measured(&mut victim.stack).held, 0);
    assert!(
        Peer::open(&mut victim, SocketAddr::from(([192, 0, 2, 1], 80)), at, Options::default()).is_some()
    );
    assert!(victim.stack.accept(listener).is_some());
}

#[test]
fn what_was_acknowledged_is_still_there_and_who_waited_for_memory_is_told() {
    let mut net =
        Net::new([host(0, config(MEMORY), 1500), host(1, config(64 << 10), 1500)], Link::clean(), 1);
    let at = SocketAddr::new(addresses(1)[0], 80);
    let listener = net.on(1, |stack, _, _| stack.listen(at, 64).unwrap());
    let ends: Vec<_> = (0..12).map(|_| net.connect(listener)).collect();
    // The clients send all they can, and the servers write all they can, while nobody reads.
    let mut sent = [0; 12];
    for _ in 0..40 {
        for (number, ends) in ends.iter().enumerate() {
            let said = super::net::pattern(number as u64, sent[number], 5000);
            sent[number] += net.on(0, |stack, now, _| {
                stack.connection(ends[0]).unwrap().write(now, &[IoSlice::new(&said)]).unwrap_or(0)
            });
            net.on(1, |stack, now, _| {
                let _ = stack.connection(ends[1]).unwrap().write(now, &[IoSlice::new(&[9; 3000])]);
            });
            measured(&mut net.hosts[1]);
        }
        net.run(Duration::from_millis(50));
    }
    let waiting: Vec<_> = ends
        .iter()
        .filter(|ends| !net.hosts[1].connection(ends[1]).unwrap().is_writable())
        .map(|ends| ends[1])
        .collect();
    assert!(!waiting.is_empty() && net.hosts[1].transport().memory().starved > 0);
    net.events[1].clear();
    // Now all is read, slowly, and every byte is there.
    let mut read = [0; 12];
    for _ in 0..4000 {
        for (number, ends) in ends.iter().enumerate() {
            let mut buffer = [0; 700];
            let len = net.on(1, |stack, now, _| {
                stack.connection(ends[1]).unwrap().read(now, &mut buffer).unwrap_or(0)
            });
            assert_eq!(buffer[..len], super::net::pattern(number as u64, read[number], len));
            read[number] += len;
            net.on(0, |stack, now, _| {
                let mut buffer = [0; 65_536];
                let _ = stack.connection(ends[0]).unwrap().read(now, &mut buffer);
            });
        }
        net.run(Duration::from_millis(5));
        measured(&mut net.hosts[1]);
    }
    assert_eq!(read, sent);
    for id in waiting {
        assert!(net.events[1].contains(&fourwire_tcpip::Event::Writable(id)), "{id:?} was never told");
    }
    let memory = measured(&mut net.hosts[1]);
    assert_eq!((memory.held, memory.starved), (0, 0), "{memory:?}");
}
