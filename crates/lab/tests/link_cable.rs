//! Both directions of a link: who may speak when.

use std::time::Duration;

use bytes::Bytes;
use host::{Instant, Random};
use lab::units::{Limit, Rate};
use lab::{Cable, Direction, Discipline, Duplex, Impairments, Lost, Schedule, Way};
use proptest::prelude::*;

const WAYS: [Way; 2] = [Way::Out, Way::In];

fn cable(duplex: Duplex, impairments: &Impairments) -> Cable {
    cable_of(1, duplex, [impairments; 2])
}

fn cable_of(seed: u8, duplex: Duplex, impairments: [&Impairments; 2]) -> Cable {
    let mut number = 0;
    let [out, back] = impairments.map(|impairments| {
        Direction::new(impairments.clone(), |_| {
            number += 1;
            let mut bytes = [number; 32];
            bytes[0] = seed;
            Random::from_seed(bytes)
        })
    });
    Cable::new(duplex, out, back)
}

/// 10 Mbit/s over 100 m, and room for what a test sends.
fn thin_ethernet() -> Impairments {
    Impairments {
        rate: Some(Rate::mbit(10)),
        delay: Duration::from_nanos(500),
        queue: Discipline::DropTail(Limit::Packets(100_000)),
        ..Impairments::default()
    }
}

fn frame(length: usize) -> Bytes {
    vec![0; length].into()
}

/// What arrives each way until nothing is under way.
fn arrivals(cable: &mut Cable) -> [Vec<Instant>; 2] {
    let mut arrived = [const { Vec::new() }; 2];
    while let Some(next) = cable.poll_timeout() {
        cable.handle_timeout(next);
        for (way, arrived) in WAYS.into_iter().zip(&mut arrived) {
            while cable.poll_arrival(way, next).is_some() {
                arrived.push(next);
            }
        }
    }
    arrived
}

fn micros(micros: u64) -> Instant {
    Instant::from_nanos(micros * 1_000)
}

#[test]
fn a_full_cable_carries_both_ways_at_once() {
    let mut cable = cable(Duplex::Full, &thin_ethernet());
    for way in WAYS {
        (0..100).for_each(|_| cable.offer(way, Instant::ORIGIN, frame(1_250)));
    }
    for arrived in arrivals(&mut cable) {
        assert_eq!(arrived.last(), Some(&(micros(100 * 1_000) + Duration::from_nanos(500))));
    }
}

#[test]
fn a_simplex_cable_carries_one_way_only() {
    for only in WAYS {
        let mut cable = cable(Duplex::Simplex(only), &thin_ethernet());
        for way in WAYS {
            cable.offer(way, Instant::ORIGIN, frame(1_250));
            let lost = cable.poll_lost(way).map(|(_, cause)| cause);
            assert_eq!(lost, (way != only).then_some(Lost::OneWay));
        }
        assert_eq!(arrivals(&mut cable).map(|arrived| arrived.len()).iter().sum::<usize>(), 1);
    }
}

#[test]
fn alone_on_a_half_duplex_cable_there_is_only_the_gap_between_frames() {
    let mut cable = cable(Duplex::Half, &thin_ethernet());
    (0..3).for_each(|_| cable.offer(Way::Out, micros(5), frame(1_250)));
    let [arrived, _] = arrivals(&mut cable);
    // 1 ms each, 96 bits = 9.6 µs between them, and the way.
    let expected = [1_005_500, 2_015_100, 3_024_700].map(Instant::from_nanos);
    assert_eq!(arrived, expected);
    assert_eq!(cable.counters(Way::Out).collisions, 0);
}

#[test]
fn a_short_frame_takes_a_whole_slot() {
    let mut cable = cable(Duplex::Half, &thin_ethernet());
    (0..2).for_each(|_| cable.offer(Way::Out, Instant::ORIGIN, frame(20)));
    let [arrived, _] = arrivals(&mut cable);
    // 51.2 µs are 512 bits.
    assert_eq!(arrived, [51_700, 112_500].map(Instant::from_nanos));
}

#[test]
fn who_hears_the_other_waits() {
    let mut cable = cable(Duplex::Half, &thin_ethernet());
    cable.offer(Way::Out, micros(0), frame(1_250));
    cable.offer(Way::In, micros(400), frame(1_250));
    let [out, back] = arrivals(&mut cable);
    // The end of the first is heard half a microsecond later; then comes the gap.
    assert_eq!((out[0].as_nanos(), back[0].as_nanos()), (1_000_500, 1_000_500 + 9_600 + 1_000_000 + 500));
    assert_eq!(cable.counters(Way::In).collisions, 0);
}

#[test]
fn who_does_not_hear_the_other_yet_collides_and_both_try_again() {
    let mut cable = cable(Duplex::Half, &thin_ethernet());
    cable.offer(Way::Out, Instant::from_nanos(0), frame(1_250));
    cable.offer(Way::In, Instant::from_nanos(400), frame(1_250));
    let [out, back] = arrivals(&mut cable);
    for way in WAYS {
        assert!(cable.counters(way).collisions >= 1);
    }
    assert_eq!((out.len(), back.len()), (1, 1));
    let [first, second] = [out[0].min(back[0]), out[0].max(back[0])];
    // The jam has ended by 4.1 µs; the first comes through after a few slots at most.
    assert!(first >= micros(1_003) && second >= first + Duration::from_micros(1_009), "{first:?} {second:?}");
}

#[test]
fn two_that_always_have_something_to_say_share_the_medium() {
    let mut cable = cable(Duplex::Half, &thin_ethernet());
    for way in WAYS {
        (0..2_000).for_each(|_| cable.offer(way, Instant::ORIGIN, frame(1_500)));
    }
    let [out, back] = arrivals(&mut cable);
    let end = out.last().max(back.last()).unwrap().as_nanos();
    let lost: u64 = WAYS.map(|way| cable.counters(way).lost(Lost::Collisions)).iter().sum();
    assert_eq!(out.len() + back.len() + lost as usize, 4_000);
    // 4,000 frames with their gaps would take 4.84 s without collisions; collisions cost a little (Boggs, Mogul and Kent
    // 1988 measured well over nine tenths for long frames).
    let ideal = (out.len() + back.len()) as u64 * (1_200_000 + 9_600);
    assert!(end > ideal && end < ideal * 108 / 100, "{end} ns, without collisions {ideal}");
    // No two frames overlap: what arrives comes at least a frame apart.
    let mut all = [out, back].concat();
    all.sort_unstable();
    assert!(all.windows(2).all(|pair| pair[1].since(pair[0]) >= Duration::from_nanos(1_200_000)));
}

#[test]
fn without_a_rate_nobody_is_in_the_way() {
    let free = Impairments { delay: Duration::from_millis(20), ..Impairments::default() };
    let mut cable = cable(Duplex::Half, &free);
    for way in WAYS {
        (0..100).for_each(|_| cable.offer(way, micros(7), frame(1_500)));
    }
    let arrived = arrivals(&mut cable);
    assert!(arrived.iter().flatten().all(|&at| at == micros(20_007)));
    assert_eq!(arrived.map(|arrived| arrived.len()), [100, 100]);
}

#[test]
fn a_change_of_mode_loses_nothing() {
    let mut cable = cable(Duplex::Half, &thin_ethernet());
    for way in WAYS {
        (0..50).for_each(|_| cable.offer(way, Instant::ORIGIN, frame(1_250)));
    }
    cable.handle_timeout(micros(10_500));
    let early: usize = WAYS
        .map(|way| std::iter::from_fn(|| cable.poll_arrival(way, micros(10_500))).count())
        .into_iter()
        .sum();
    cable.set_duplex(micros(10_500), Duplex::Full);
    let later: usize = arrivals(&mut cable).map(|arrived| arrived.len()).into_iter().sum();
    assert_eq!(early + later, 100);
}

#[test]
fn modes_are_read_and_printed() {
    for text in ["full", "half", "simplex out", "simplex in"] {
        assert_eq!(text.parse::<Duplex>().unwrap().to_string(), text);
    }
    assert!("both".parse::<Duplex>().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever speaks when, and whatever the link: no frame goes missing, and it comes to rest.
    #[test]
    fn half_duplex_accounts_for_all_frames(
        seed: u8,
        rates in [proptest::option::of(1..2_000_u32), proptest::option::of(1..2_000_u32)],
        delays in [0..200_u64, 0..200_u64],
        off in 0..3_u64,
        steps in prop::collection::vec((any::<bool>(), 0..200_u64, 40..1_600_usize), 1..150),
    ) {
        let [out, back] = [0, 1].map(|n| Impairments {
            rate: rates[n].map(Rate::mbit),
            delay: Duration::from_micros(delays[n]),
            schedule: Some(Schedule {
                on: Duration::from_millis(1),
                off: Duration::from_millis(off),
                from: Duration::ZERO,
                waits: true,
            }),
            ..Impairments::default()
        });
        let mut cable = cable_of(seed, Duplex::Half, [&out, &back]);
        let mut now = Instant::ORIGIN;
        for (is_out, pause, length) in steps {
            now += Duration::from_micros(pause);
            cable.offer(WAYS[usize::from(is_out)], now, frame(length));
            for way in WAYS {
                let counters = cable.counters(way);
                prop_assert_eq!(
                    counters.offered,
                    counters.delivered + counters.lost_in_all() + counters.queued + counters.travelling
                );
            }
        }
        let arrived = arrivals(&mut cable);
        for (way, arrived) in WAYS.into_iter().zip(arrived) {
            let counters = cable.counters(way);
            prop_assert_eq!(counters.offered, arrived.len() as u64 + counters.lost_in_all());
            prop_assert!(arrived.is_sorted());
        }
    }
}
