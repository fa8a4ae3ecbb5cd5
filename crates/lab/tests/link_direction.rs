//! One direction of a link by itself: what its impairments do to frames, and that none goes missing.

use std::time::Duration;

use bytes::Bytes;
use host::{Instant, Random};
use lab::units::{Limit, Rate, Size};
use lab::{
    Chance, Codel, Direction, Discipline, Displaced, FqCodel, Impairments, Jitter, Loss, Lost, Reordering,
    Schedule,
};
use proptest::prelude::*;

fn direction(impairments: Impairments) -> Direction {
    let mut number = 0;
    Direction::new(impairments, |_| {
        number += 1;
        Random::from_seed([number; 32])
    })
}

fn micros(micros: u64) -> Instant {
    Instant::from_nanos(micros * 1_000)
}

/// A frame of so many bytes, with a number in the last ones.
fn frame(length: usize, number: u32) -> Bytes {
    let mut bytes = vec![0; length.max(4)];
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&number.to_be_bytes());
    bytes.into()
}

fn number(frame: &[u8]) -> u32 {
    u32::from_be_bytes(frame[frame.len() - 4..].try_into().unwrap())
}

/// Everything that arrives until nothing is under way: when, and which.
fn arrivals(direction: &mut Direction) -> Vec<(Instant, u32)> {
    let mut arrived = Vec::new();
    while let Some(next) = direction.poll_timeout() {
        while let Some(frame) = direction.poll_arrival(next) {
            arrived.push((next, number(&frame)));
        }
    }
    arrived
}

#[test]
fn a_frame_takes_its_delay() {
    let mut direction = direction(Impairments { delay: Duration::from_micros(7), ..Impairments::default() });
    direction.offer(micros(1), frame(60, 1));
    assert_eq!(direction.poll_timeout(), Some(micros(8)));
    assert_eq!(direction.poll_arrival(Instant::from_nanos(7_999)), None);
    assert_eq!(direction.poll_arrival(micros(8)), Some(frame(60, 1)));
    assert_eq!(direction.poll_timeout(), None);
}

#[test]
fn a_rate_spaces_frames_out_and_its_queue_is_bounded() {
    // 125 bytes at 1 Mbit/s are 1 ms; one is sent, two wait.
    let queue = Discipline::DropTail(Limit::Bytes(Size::bytes(300)));
    let rate = Some(Rate::mbit(1));
    let mut direction = direction(Impairments { rate, queue, ..Impairments::default() });
    (0..5).for_each(|number| direction.offer(micros(0), frame(125, number)));
    assert_eq!(direction.queue(), (2, 250));
    let lost: Vec<_> = std::iter::from_fn(|| direction.poll_lost()).collect();
    assert_eq!(lost, [(frame(125, 3), Lost::Full), (frame(125, 4), Lost::Full)]);
    assert_eq!(arrivals(&mut direction), [(micros(1_000), 0), (micros(2_000), 1), (micros(3_000), 2)]);
    direction.offer(micros(3_000), frame(125, 6));
    assert_eq!(arrivals(&mut direction), [(micros(4_000), 6)]);
}

#[test]
fn a_second_carries_a_rate_exactly_to_one_frame() {
    for (rate, length) in [(Rate::mbit(20), 1_514_u32), (Rate::kbit(9), 60), (Rate::mbit(937), 333)] {
        let mut direction = direction(Impairments { rate: Some(rate), ..Impairments::default() });
        let mut now = Instant::ORIGIN;
        let mut bits = 0;
        while now < micros(1_000_000) {
            // A sender that always has the next one ready.
            while direction.queue().0 < 2 {
                direction.offer(now, frame(length as usize, 0));
            }
            now = direction.poll_timeout().unwrap();
            while direction.poll_arrival(now).is_some() {
                bits += u64::from(length) * 8;
            }
        }
        assert!(bits.abs_diff(rate.bits()) <= u64::from(length) * 8, "{bits} bits at {rate}");
    }
}

#[test]
fn a_double_follows_its_frame() {
    let mut direction = direction(Impairments { duplication: Chance::percent(30), ..Impairments::default() });
    (0..10_000).for_each(|number| direction.offer(micros(u64::from(number)), frame(60, number)));
    let arrived: Vec<u32> = arrivals(&mut direction).into_iter().map(|(_, number)| number).collect();
    assert!(arrived.is_sorted());
    let doubles = arrived.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert_eq!(doubles, arrived.len() - 10_000);
    // Within four standard deviations: sqrt(10,000 * 0.3 * 0.7) = 46.
    assert!(doubles.abs_diff(3_000) < 184, "{doubles}");
    assert_eq!(direction.counters().duplicated, doubles as u64);
}

#[test]
fn damage_without_a_checksum_is_loss() {
    let mut direction = direction(Impairments { corruption: Chance::ALWAYS, ..Impairments::default() });
    direction.offer(micros(0), frame(60, 1));
    assert_eq!(direction.poll_lost(), Some((frame(60, 1), Lost::Damaged)));
}

#[test]
fn a_queue_without_room_lets_through_what_finds_the_wire_free() {
    let queue = Discipline::DropTail(Limit::Packets(0));
    let mut direction = direction(Impairments { rate: Some(Rate::mbit(1)), queue, ..Impairments::default() });
    for number in 0..20 {
        direction.offer(micros(u64::from(number) * 600), frame(125, number));
    }
    let arrived: Vec<u32> = arrivals(&mut direction).into_iter().map(|(_, number)| number).collect();
    assert_eq!(arrived, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]);
}

#[test]
fn whoever_comes_late_finds_all_as_it_would_have_been() {
    let impairments = Impairments {
        rate: Some(Rate::mbit(1)),
        jitter: Jitter::uniform(Duration::from_millis(3)),
        loss: Chance::percent(20).into(),
        ..Impairments::default()
    };
    let [mut punctual, mut late] = [(); 2].map(|()| direction(impairments.clone()));
    for number in 0..100 {
        let now = micros(u64::from(number) * 400);
        punctual.offer(now, frame(125, number));
        late.offer(now, frame(125, number));
        punctual.handle_timeout(now);
        while punctual.poll_timeout().is_some_and(|next| next < now + Duration::from_micros(400)) {
            let next = punctual.poll_timeout().unwrap();
            punctual.handle_timeout(next);
            punctual.poll_arrival(next);
        }
    }
    arrivals(&mut punctual);
    let end = micros(1_000_000);
    while late.poll_arrival(end).is_some() {}
    assert_eq!(punctual.counters(), late.counters());
}

#[test]
fn jitter_keeps_the_order_and_reordering_does_not() {
    let jitter = Jitter::uniform(Duration::from_millis(5));
    let order = |impairments| {
        let mut direction = direction(impairments);
        (0..200).for_each(|number| direction.offer(micros(u64::from(number)), frame(60, number)));
        arrivals(&mut direction).into_iter().map(|(_, number)| number).collect::<Vec<_>>()
    };
    let delay = Duration::from_millis(20);
    let calm = Impairments { delay, jitter, ..Impairments::default() };
    assert!(order(calm.clone()).is_sorted());
    let overtaking = Jitter { reorders: true, ..jitter };
    assert!(!order(Impairments { jitter: overtaking, ..calm }).is_sorted());
    for how in [Displaced::Held(delay), Displaced::Ahead] {
        let reordering = Reordering { chance: Chance::percent(10), gap: 0, how };
        assert!(!order(Impairments { reordering, ..calm }).is_sorted(), "{how:?}");
    }
}

#[test]
fn frames_that_arrive_together_come_in_the_order_in_which_they_set_out() {
    let calm = Impairments { delay: Duration::from_millis(10), ..Impairments::default() };
    let mut direction = direction(calm.clone());
    direction.offer(micros(0), frame(60, 1));
    direction.offer(micros(5_000), frame(60, 2));
    let reordering = Reordering { chance: Chance::ALWAYS, gap: 0, how: Displaced::Ahead };
    direction.set(micros(10_000), Impairments { reordering, ..calm });
    direction.offer(micros(10_000), frame(60, 3));
    assert_eq!(arrivals(&mut direction), [(micros(10_000), 1), (micros(10_000), 3), (micros(15_000), 2)]);
}

#[test]
fn too_long_or_cut_off_does_not_arrive() {
    let mut direction = direction(Impairments { mtu: Some(576), ..Impairments::default() });
    direction.offer(micros(0), frame(14 + 577, 0));
    assert_eq!(direction.poll_lost(), Some((frame(14 + 577, 0), Lost::TooLong)));
    direction.offer(micros(0), frame(14 + 576, 1));
    direction.cut(true);
    direction.offer(micros(0), frame(60, 2));
    assert_eq!(direction.poll_lost(), Some((frame(60, 2), Lost::Cut)));
    assert_eq!(arrivals(&mut direction), [(micros(0), 1)], "what is on the wire arrives");
}

#[test]
fn a_schedule_loses_frames_or_lets_them_wait() {
    let [on, off] = [10, 5].map(Duration::from_millis);
    let schedule = |waits| Some(Schedule { on, off, from: Duration::ZERO, waits });
    let run = |waits| {
        let mut direction = direction(Impairments { schedule: schedule(waits), ..Impairments::default() });
        (0..15).for_each(|number| direction.offer(micros(u64::from(number) * 1_000), frame(60, number)));
        let arrived = arrivals(&mut direction);
        (arrived, direction.counters())
    };
    let (arrived, counters) = run(true);
    assert_eq!(arrived.len(), 15);
    assert!(arrived[10..].iter().all(|&(at, _)| at == micros(15_000)), "{arrived:?}");
    assert_eq!(counters.queued_most, 5);
    let (arrived, counters) = run(false);
    assert_eq!((arrived.len(), counters.lost(Lost::Off)), (10, 5));
}

#[test]
fn a_change_leaves_what_travels_alone() {
    let slow = Impairments { delay: Duration::from_millis(50), ..Impairments::default() };
    let mut direction = direction(slow);
    direction.offer(micros(0), frame(60, 1));
    let limit = Discipline::DropTail(Limit::Packets(2));
    let rate = Some(Rate::mbit(1));
    direction.set(micros(0), Impairments { rate, queue: limit, ..Impairments::default() });
    (2..6).for_each(|number| direction.offer(micros(0), frame(125, number)));
    direction.set(
        micros(0),
        Impairments { rate, queue: Discipline::DropTail(Limit::Packets(1)), ..Impairments::default() },
    );
    let arrived = arrivals(&mut direction);
    // The first keeps its delay; those after it were held up behind it, for the order is kept.
    assert_eq!(arrived.iter().map(|&(_, number)| number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(arrived[0].0, micros(50_000));
    assert_eq!(direction.counters().lost(Lost::Full), 2);
}

fn impairments() -> impl Strategy<Value = Impairments> {
    let chance = || (0..=30_u32).prop_map(Chance::percent);
    let loss = prop_oneof![
        chance().prop_map(Loss::Independent),
        [chance(), chance(), chance(), chance()].prop_map(|[p, r, h, k]| Loss::GilbertElliott {
            p,
            r,
            h: h.opposite(),
            k: k.opposite()
        }),
    ];
    let queue = prop_oneof![
        (0..20_u32).prop_map(|packets| Discipline::DropTail(Limit::Packets(packets))),
        (0..20_u32, any::<bool>()).prop_map(|(packets, ecn)| {
            let [target, interval] = [1, 3].map(Duration::from_millis);
            Discipline::Codel(Codel { target, interval, limit: Limit::Packets(packets), ecn })
        }),
        (1..20_u16, 1..3_000_u32, 0..9_000_u64).prop_map(|(flows, quantum, bytes)| {
            let limit = Limit::Bytes(Size::bytes(bytes));
            Discipline::FqCodel(FqCodel { flows, quantum, codel: Codel { limit, ..Codel::default() } })
        }),
        (0..9_000_u64).prop_map(|bytes| Discipline::DropTail(Limit::Bytes(Size::bytes(bytes)))),
    ];
    let rate = proptest::option::of((1..20_u32).prop_map(Rate::mbit));
    let schedule = proptest::option::of((0..5_u64, 0..5_u64, any::<bool>()).prop_map(|(on, off, waits)| {
        // One that never works again would hold its frames for ever.
        let [on, off, from] = [on + 1, off, 1].map(Duration::from_millis);
        Schedule { on, off, from, waits }
    }));
    let shape = (0..3_000_u64, any::<bool>(), chance(), proptest::option::of(100..1_500_u16));
    (rate, queue, loss, schedule, shape, [chance(), chance()]).prop_map(
        |(rate, queue, loss, schedule, (spread, reorders, displaced, mtu), [duplication, corruption])| {
            let spread = Duration::from_micros(spread);
            Impairments {
                rate,
                queue,
                delay: spread * 2,
                jitter: Jitter { reorders, ..Jitter::uniform(spread) },
                loss,
                duplication,
                reordering: Reordering::held(displaced, spread),
                corruption,
                mtu,
                schedule,
            }
        },
    )
}

proptest! {
    /// No frame goes missing, whatever happens to it and whenever somebody looks.
    #[test]
    fn all_frames_are_accounted_for(
        first in impairments(),
        second in impairments(),
        steps in prop::collection::vec((0..2_000_u64, 40..1_600_usize, any::<bool>()), 1..200),
    ) {
        let mut direction = direction(first);
        let mut now = Instant::ORIGIN;
        let mut delivered = 0;
        for (index, &(pause, length, looks)) in steps.iter().enumerate() {
            now += Duration::from_micros(pause);
            if index == steps.len() / 2 {
                direction.set(now, second.clone());
            }
            direction.offer(now, frame(length, index as u32));
            while looks && direction.poll_arrival(now).is_some() {
                delivered += 1;
            }
            let counters = direction.counters();
            prop_assert_eq!(
                counters.offered + counters.duplicated,
                counters.delivered + counters.lost_in_all() + counters.queued + counters.travelling
            );
        }
        delivered += arrivals(&mut direction).len() as u64;
        let counters = direction.counters();
        prop_assert_eq!((counters.queued, counters.travelling, counters.queued_bytes), (0, 0, 0));
        prop_assert_eq!(counters.delivered, delivered);
        prop_assert_eq!(counters.offered + counters.duplicated, delivered + counters.lost_in_all());
    }
}
