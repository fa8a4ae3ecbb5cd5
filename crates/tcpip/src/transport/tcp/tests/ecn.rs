//! Explicit congestion notification (RFC 3168).

use std::time::Duration;

use trace::Why;
use wire::tcp::Flags;

use super::pair::{Carried, Link, Pair};
use crate::transport::tcp::{Ecn, Settings};

const ECHO: Flags = Flags::ECE;

/// Side 0 asks as `ask` says, side 1 answers as `answer` says.
fn open(ask: Ecn, answer: Ecn) -> Pair {
    let mut pair = Pair::new(1, Link::clean(), Settings { ecn: ask, ..Settings::default() });
    pair.settings[1] = Settings { ecn: answer, ..Settings::default() };
    pair.run(Duration::from_millis(100));
    pair
}

fn segments(pair: &Pair, from: usize) -> impl Iterator<Item = &Carried> {
    pair.log.iter().map(|(_, carried)| carried).filter(move |carried| carried.to != from)
}

#[test]
fn it_is_used_when_one_asks_and_the_other_does_not_refuse() {
    for (ask, answer, agreed) in [
        (Ecn::On, Ecn::Passive, true),
        (Ecn::On, Ecn::On, true),
        (Ecn::On, Ecn::Off, false),
        (Ecn::Passive, Ecn::On, false),
        (Ecn::Off, Ecn::On, false),
    ] {
        let mut pair = open(ask, answer);
        let syn = segments(&pair, 0).next().unwrap().header.flags;
        assert_eq!(syn.contains(Flags::ECE | Flags::CWR), ask == Ecn::On);
        let syn_ack = segments(&pair, 1).next().unwrap().header.flags;
        assert_eq!((syn_ack.contains(ECHO), syn_ack.contains(Flags::CWR)), (agreed, false));
        for side in [0, 1] {
            pair.log.clear();
            pair.write(side, &[1; 3000]);
            pair.run(Duration::from_millis(100));
            assert!(segments(&pair, side).all(|carried| carried.markable == agreed), "{ask:?} {answer:?}");
            assert!(segments(&pair, 1 - side).all(|carried| !carried.markable), "no bare acknowledgment is");
        }
    }
}

#[test]
fn a_mark_is_echoed_until_it_is_answered_and_halves_the_window_once() {
    let mut pair = open(Ecn::On, Ecn::Passive);
    pair.log.clear();
    let before = pair.end(0).info().recovery.congestion_window;
    pair.marks = true;
    pair.write(0, &[1; 7 * 1448]);
    pair.run(Duration::from_millis(15));
    pair.marks = false;
    assert!(segments(&pair, 1).all(|carried| carried.header.flags.contains(ECHO)));
    pair.run(Duration::from_millis(50));
    let after = pair.end(0).info().recovery;
    assert!(after.congestion_window <= before / 2 && after.retransmissions == 0, "{after:?}");
    pair.log.clear();
    pair.write(0, &[2; 3000]);
    pair.run(Duration::from_millis(100));
    let said: Vec<_> = segments(&pair, 0).map(|carried| carried.header.flags.contains(Flags::CWR)).collect();
    assert_eq!(said, [true, false, false], "the first new data says that the window was reduced");
    assert!(segments(&pair, 1).all(|carried| !carried.header.flags.contains(ECHO)), "and then it is quiet");
    assert_eq!(pair.end(0).info().recovery.threshold, after.threshold);
    assert_eq!(pair.read(1).len(), 7 * 1448 + 3000);
}

#[test]
fn what_is_sent_again_may_not_be_marked_and_a_lost_syn_asks_no_more() {
    let mut pair = open(Ecn::On, Ecn::Passive);
    pair.log.clear();
    pair.link.loss = 1000;
    pair.write(0, &[1; 2 * 1448]);
    pair.run(Duration::from_millis(30));
    pair.link.loss = 0;
    pair.run(Duration::from_secs(3));
    let again: Vec<_> = segments(&pair, 0).filter(|carried| carried.why != Why::New).collect();
    assert!(!again.is_empty() && again.iter().all(|carried| !carried.markable));
    let mut pair =
        Pair::new(1, Link { loss: 1000, ..Link::clean() }, Settings { ecn: Ecn::On, ..Settings::default() });
    pair.run(Duration::from_secs(4));
    let asks: Vec<_> = segments(&pair, 0).map(|carried| carried.header.flags.contains(ECHO)).collect();
    assert_eq!(asks, [true, false, false], "RFC 3168 section 6.1.1.1");
}

#[test]
fn without_agreement_nobody_reacts() {
    let mut pair = open(Ecn::Off, Ecn::Passive);
    let before = pair.end(0).info().recovery.congestion_window;
    pair.write(0, &[1; 10_000]);
    pair.inject(0, |header| header.flags |= ECHO, b"");
    assert!(pair.end(0).info().recovery.congestion_window >= before);
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.read(1).len(), 10_000);
}
