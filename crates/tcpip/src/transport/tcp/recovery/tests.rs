//! A sender against a receiver that is a set of bytes, over a channel that loses, delays and repeats.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use host::{Instant, Random};
use proptest::prelude::*;
use wire::tcp::SackBlock;

use super::*;

const SEGMENT: u32 = 1000;
const START: SeqNumber = SeqNumber(u32::MAX - 20_000);

/// What travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Packet {
    Data { offset: u32, len: u32 },
    Ack { up_to: u32, blocks: [(u32, u32); 3] },
}

struct Channel {
    random: Random,
    queue: BTreeSet<(Instant, u64, Packet)>,
    sequence: u64,
    /// In 1/1000.
    loss: u64,
    duplication: u64,
    delay: Duration,
    jitter: u64,
}

impl Channel {
    fn send(&mut self, now: Instant, packet: Packet) {
        let copies = 1 + u64::from(self.random.below(1000) < self.duplication);
        for _ in 0..copies {
            if self.random.below(1000) >= self.loss {
                let jitter = Duration::from_micros(self.random.below(self.jitter + 1));
                self.sequence += 1;
                self.queue.insert((now + self.delay + jitter, self.sequence, packet));
            }
        }
    }
}

/// What a transfer came to.
struct Outcome {
    time: Duration,
    expiries: u32,
    recovery: Recovery,
}

fn transfer(total: u32, sack: bool, mut channel: Channel) -> Outcome {
    let mut now = Instant::ORIGIN;
    let mut recovery = Recovery::new(now, Setup { sack, ..Setup::new(START, SEGMENT) });
    let mut received = BTreeMap::<u32, u32>::new();
    let mut up_to = 0;
    let mut expiries = 0;
    while up_to < total || !recovery.is_idle() {
        // The sender sends what it may.
        let mut turns = 0;
        loop {
            turns += 1;
            assert!(turns < 10_000, "it sends for ever at one instant");
            let (range, why) = if let Some((range, why)) = recovery.lost(SEGMENT) {
                (range, why)
            } else {
                let left = total - recovery.snd_nxt().since(START);
                let len = left.min(SEGMENT).min(recovery.allowance());
                if len == 0 || len < SEGMENT.min(left) {
                    break;
                }
                (Range { start: recovery.snd_nxt(), end: recovery.snd_nxt() + len }, Why::New)
            };
            let offset = range.start.since(START);
            recovery.on_sent(now, range, why, recovery.snd_nxt() == START + total);
            channel.send(now, Packet::Data { offset, len: range.len() });
        }
        assert!(recovery.flight.is_consistent());
        assert!(recovery.info().congestion_window >= SEGMENT);
        // Time goes on to what happens next.
        let arrival = channel.queue.first().map(|packet| packet.0);
        let timeout = recovery.poll_timeout();
        now = now.max([arrival, timeout].into_iter().flatten().min().expect("somebody waits for something"));
        assert!(now < Instant::ORIGIN + Duration::from_secs(36_000), "it never ends");
        if arrival.is_some_and(|at| at <= now) {
            let (_, _, packet) = channel.queue.pop_first().unwrap();
            match packet {
                Packet::Data { offset, len } => {
                    let end = received.entry(offset).or_default();
                    *end = (*end).max(offset + len);
                    let mut blocks = Vec::<(u32, u32)>::new();
                    for (&start, &end) in &received {
                        match blocks.last_mut() {
                            Some(last) if start <= last.1 => last.1 = last.1.max(end),
                            _ => blocks.push((start, end)),
                        }
                    }
                    up_to = blocks.first().filter(|first| first.0 == 0).map_or(0, |first| first.1);
                    blocks.retain(|block| block.0 > up_to);
                    // The block with what came now goes first.
                    blocks.sort_by_key(|block| !(block.0..block.1).contains(&offset));
                    let mut three = [(0, 0); 3];
                    for (place, block) in three.iter_mut().zip(blocks) {
                        *place = block;
                    }
                    channel.send(now, Packet::Ack { up_to, blocks: three });
                }
                Packet::Ack { up_to, blocks } => {
                    let mut selected = SackBlocks::default();
                    for (start, end) in blocks.into_iter().filter(|block| sack && block.1 > 0) {
                        selected.push(SackBlock { start: START + start, end: START + end });
                    }
                    let number = START + up_to;
                    if !number.is_before(recovery.snd_una()) {
                        recovery
                            .on_ack(now, Acknowledgment { number, sack: &selected, echo: None, bare: true });
                    }
                }
            }
        } else {
            expiries += 1;
            if recovery.handle_timeout(now) == Expired::Probe {
                let range = recovery.probe(SEGMENT).expect("something is on its way");
                recovery.on_sent(now, range, Why::TailProbe, true);
                channel.send(now, Packet::Data { offset: range.start.since(START), len: range.len() });
            }
        }
    }
    Outcome { time: now.since(Instant::ORIGIN), expiries, recovery }
}

fn channel(seed: u8, loss: u64, duplication: u64, jitter: u64) -> Channel {
    Channel {
        random: Random::from_seed([seed; 32]),
        queue: BTreeSet::new(),
        sequence: 0,
        loss,
        duplication,
        delay: Duration::from_millis(20),
        jitter,
    }
}

#[test]
fn without_loss_nothing_is_sent_again() {
    for sack in [false, true] {
        let outcome = transfer(1_000_000, sack, channel(1, 0, 0, 0));
        assert_eq!((outcome.recovery.retransmissions, outcome.expiries), (0, 0));
        // Ten segments, then twice as many in each round trip: seven of 40 ms.
        assert!(outcome.time <= Duration::from_millis(7 * 40), "{:?}", outcome.time);
    }
}

#[test]
fn a_few_losses_cost_what_the_window_of_reno_says() {
    let outcome = transfer(2_000_000, true, channel(3, 10, 0, 0));
    let sent_again = outcome.recovery.retransmissions;
    assert!((5..80).contains(&sent_again), "{sent_again}");
    // At one loss in a hundred Reno's window is about twelve segments (Mathis et al., 1997): 2,000 of them take 6.7 s.
    assert!(outcome.time < Duration::from_secs(9), "{:?}", outcome.time);
}

#[test]
fn a_forged_selection_changes_nothing() {
    let now = Instant::ORIGIN;
    let mut recovery = Recovery::new(now, Setup { sack: true, ..Setup::new(START, SEGMENT) });
    recovery.on_sent(now, Range { start: START, end: START + 3000 }, Why::New, false);
    for (start, end) in
        [(0u32, 0), (2000, 1000), (0, 4000), (3000, 3001), (u32::MAX, 10), (1 << 31, (1 << 31) + 5)]
    {
        let mut sack = SackBlocks::default();
        sack.push(SackBlock { start: START + start, end: START + end });
        recovery.on_ack(now, Acknowledgment { number: START, sack: &sack, echo: None, bare: true });
        assert_eq!(recovery.info().in_flight, 3000, "{start} {end}");
    }
}

#[test]
fn acknowledging_in_the_smallest_pieces_stays_bounded() {
    let now = Instant::ORIGIN;
    let mut recovery = Recovery::new(now, Setup { sack: true, ..Setup::new(START, SEGMENT) });
    recovery.on_sent(now, Range { start: START, end: START + 100_000 }, Why::New, false);
    for piece in 0..40_000 {
        let mut sack = SackBlocks::default();
        let start = START + 1 + piece * 2;
        sack.push(SackBlock { start, end: start + 1 });
        recovery.on_ack(now, Acknowledgment { number: START, sack: &sack, echo: None, bare: true });
    }
    assert!(recovery.flight.ranges() <= 8192);
    assert!(recovery.flight.is_consistent());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn everything_arrives_in_the_end(
        seed: u8, loss in 0u64..250, duplication in 0u64..100, jitter in 0u64..60_000, sack: bool, total in 1u32..200_000,
    ) {
        let outcome = transfer(total, sack, channel(seed, loss, duplication, jitter));
        // Every timer that runs out has something to show for it.
        let segments = total / SEGMENT + 1;
        prop_assert!(outcome.expiries <= 30 + 4 * segments, "{} for {segments}", outcome.expiries);
        prop_assert_eq!(outcome.recovery.info().in_flight, 0);
        prop_assert_eq!(outcome.recovery.poll_timeout(), None);
    }
}
