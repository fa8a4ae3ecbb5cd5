//! A sender against a receiver that is a set of bytes, over a channel that loses, delays and repeats.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use host::{Instant, Random};
use proptest::prelude::*;
use wire::tcp::{SackBlock, SackBlocks};

use super::*;

const SEGMENT: u32 = 1000;
const START: SeqNumber = SeqNumber(u32::MAX - 20_000);

/// What travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Packet {
    Data { offset: u32, len: u32, at: Instant },
    Ack { up_to: u32, blocks: [(u32, u32); 3], echo: Instant },
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
    /// From then to then, packets wait.
    pause: (Duration, Duration),
}

impl Channel {
    fn send(&mut self, now: Instant, packet: Packet) {
        let copies = 1 + u64::from(self.random.below(1000) < self.duplication);
        for _ in 0..copies {
            if self.random.below(1000) >= self.loss {
                let jitter = Duration::from_micros(self.random.below(self.jitter + 1));
                self.sequence += 1;
                let mut at = now + self.delay + jitter;
                let (from, to) = (Instant::ORIGIN + self.pause.0, Instant::ORIGIN + self.pause.1);
                if (from..to).contains(&at) {
                    at = to + jitter;
                }
                self.queue.insert((at, self.sequence, packet));
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

/// What both sides agreed on.
#[derive(Clone, Copy, Debug)]
struct Options {
    sack: bool,
    timestamps: bool,
    algorithm: Algorithm,
}

const PLAIN: Options = Options { sack: false, timestamps: false, algorithm: Algorithm::NewReno };
const SELECTIVE: Options = Options { sack: true, ..PLAIN };

fn transfer(total: u32, options: Options, mut channel: Channel) -> Outcome {
    let Options { sack, timestamps, algorithm } = options;
    let mut now = Instant::ORIGIN;
    let mut recovery = Recovery::new(now, Setup { sack, algorithm, ..Setup::new(START, SEGMENT) });
    let mut received = BTreeMap::<u32, u32>::new();
    let mut up_to = 0;
    let mut expiries = 0;
    let mut recent = Instant::ORIGIN;
    let mut open_window = 0;
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
            let info = recovery.info();
            if info.phase == Phase::Open {
                open_window = info.congestion_window;
            }
            if sack && info.phase == Phase::Recovery {
                // It comes down from what it was, and never goes up.
                assert!(
                    info.in_flight + range.len() <= open_window.max(info.threshold) + 2 * SEGMENT,
                    "{info:?}"
                );
            }
            if why == Why::New && info.phase == Phase::Open {
                // Two more by limited transmit.
                let most = info.congestion_window + if sack { 0 } else { 2 * SEGMENT };
                assert!(info.in_flight + range.len() <= most, "{info:?}");
            }
            let offset = range.start.since(START);
            recovery.on_sent(now, range, why, recovery.snd_nxt() == START + total);
            channel.send(now, Packet::Data { offset, len: range.len(), at: now });
        }
        assert!(recovery.flight.is_consistent());
        let info = recovery.info();
        assert!(info.congestion_window >= SEGMENT);
        // Time goes on to what happens next.
        let arrival = channel.queue.first().map(|packet| packet.0);
        let timeout = recovery.poll_timeout();
        now = now.max([arrival, timeout].into_iter().flatten().min().expect("somebody waits for something"));
        assert!(now < Instant::ORIGIN + Duration::from_secs(36_000), "it never ends");
        if arrival.is_some_and(|at| at <= now) {
            let (_, _, packet) = channel.queue.pop_first().unwrap();
            match packet {
                Packet::Data { offset, len, at } => {
                    let mut blocks = Vec::<(u32, u32)>::new();
                    let known = |range: (&u32, &u32)| *range.0 <= offset && offset + len <= *range.1;
                    if offset + len <= up_to || received.iter().any(known) {
                        blocks.push((offset, offset + len)); // it comes twice (RFC 2883)
                    }
                    if offset <= up_to {
                        recent = recent.max(at);
                    }
                    // What overlaps or touches becomes one.
                    let (mut from, mut to) = (offset, offset + len);
                    received.retain(|&start, &mut end| {
                        let apart = end < from || start > to;
                        if !apart {
                            (from, to) = (from.min(start), to.max(end));
                        }
                        apart
                    });
                    received.insert(from, to);
                    up_to = received.get(&0).copied().unwrap_or(0);
                    // The block with what came now goes first.
                    blocks.extend((from > up_to).then_some((from, to)));
                    let others = received.iter().map(|(&start, &end)| (start, end));
                    blocks.extend(others.filter(|&(start, _)| start > up_to && start != from));
                    let mut three = [(0, 0); 3];
                    for (place, block) in three.iter_mut().zip(blocks) {
                        *place = block;
                    }
                    channel.send(now, Packet::Ack { up_to, blocks: three, echo: recent });
                }
                Packet::Ack { up_to, blocks, echo } => {
                    let mut selected = SackBlocks::default();
                    for (start, end) in blocks.into_iter().filter(|block| sack && block.1 > 0) {
                        selected.push(SackBlock { start: START + start, end: START + end });
                    }
                    let number = START + up_to;
                    let echo = timestamps.then(|| now.since(echo));
                    if !number.is_before(recovery.snd_una()) {
                        recovery.on_ack(now, Acknowledgment { number, sack: &selected, echo, bare: true });
                    }
                }
            }
        } else {
            expiries += 1;
            if recovery.handle_timeout(now) == Expired::Probe {
                let range = recovery.probe(SEGMENT).expect("something is on its way");
                recovery.on_sent(now, range, Why::TailProbe, true);
                let offset = range.start.since(START);
                channel.send(now, Packet::Data { offset, len: range.len(), at: now });
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
        pause: (Duration::ZERO, Duration::ZERO),
    }
}

#[test]
fn without_loss_nothing_is_sent_again() {
    for options in [PLAIN, SELECTIVE] {
        let outcome = transfer(1_000_000, options, channel(1, 0, 0, 0));
        assert_eq!((outcome.recovery.retransmissions, outcome.expiries), (0, 0));
        // Ten segments, then twice as many in each round trip: seven of 40 ms.
        assert!(outcome.time <= Duration::from_millis(7 * 40), "{:?}", outcome.time);
    }
}

#[test]
fn a_few_losses_cost_what_the_window_of_reno_says() {
    let outcome = transfer(2_000_000, SELECTIVE, channel(3, 10, 0, 0));
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
    recovery.on_sent(now, Range { start: START, end: START + 70_000 }, Why::New, false);
    for piece in 0u32..30_000 {
        let mut sack = SackBlocks::default();
        let start = START + 1 + piece * 2;
        sack.push(SackBlock { start, end: start + 1 });
        recovery.on_ack(now, Acknowledgment { number: START, sack: &sack, echo: None, bare: true });
    }
    assert!(recovery.flight.ranges() <= 16_384);
    assert!(recovery.flight.is_consistent());
}

#[test]
fn blocks_that_are_told_again_and_again_are_looked_at_once() {
    // CVE-2019-11478.
    let at = |millis| Instant::ORIGIN + Duration::from_millis(millis);
    let mut recovery = Recovery::new(at(0), Setup { sack: true, ..Setup::new(START, SEGMENT) });
    for range in 0..12_000u32 {
        let start = START + range * 2;
        recovery.on_sent(at(u64::from(range) / 100), Range { start, end: start + 2 }, Why::New, false);
    }
    let mut tell = |blocks: &[(u32, u32)], millis| {
        let mut sack = SackBlocks::default();
        for &(start, end) in blocks {
            sack.push(SackBlock { start: START + start, end: START + end });
        }
        let before = recovery.flight.looks;
        recovery.on_ack(at(millis), Acknowledgment { number: START, sack: &sack, echo: None, bare: true });
        if let Some((range, why)) = recovery.lost(SEGMENT) {
            recovery.on_sent(at(millis), range, why, false);
        }
        recovery.flight.looks - before
    };
    let mut looks = 0;
    for piece in 0..4000u32 {
        looks += tell(&[(piece * 6 + 2, piece * 6 + 4)], 200);
    }
    let most = super::flight::LOOKS as u64 + 10;
    for _ in 0..1000 {
        looks += tell(&[(2, 23_990), (2, 12_000), (12_000, 23_998), (4, 23_000)], 201);
    }
    for millis in 300..400 {
        assert!(tell(&[(2, 23_990), (2, 23_998)], millis) <= most);
    }
    assert!(looks < 12_000 + 5000 * most, "{looks}");
    assert!(recovery.flight.is_consistent());
}

fn again(recovery: &Recovery) -> u64 {
    recovery.info().retransmissions
}

#[test]
fn a_path_that_only_pauses_gives_the_window_back() {
    let with_all = Options { timestamps: true, ..SELECTIVE };
    // With timestamps by Eifel; with selections only by duplicates or F-RTO; with nothing by F-RTO.
    for options in [with_all, SELECTIVE, PLAIN] {
        let mut paused = channel(1, 0, 0, 0);
        paused.pause = (Duration::from_millis(130), Duration::from_millis(700));
        let outcome = transfer(1_000_000, options, paused);
        let info = outcome.recovery.info();
        assert!(info.undone >= 1, "{options:?} {info:?}");
        assert!(again(&outcome.recovery) < 8, "{options:?} {info:?}");
        assert!(info.congestion_window > 100 * SEGMENT, "{options:?} {info:?}");
    }
}

#[test]
fn disorder_is_learnt_and_not_taken_for_loss() {
    // Up to 15 ms out of order on 40 ms.
    let outcome = transfer(3_000_000, SELECTIVE, channel(5, 0, 0, 15_000));
    let share = again(&outcome.recovery) * 100 / 3_000;
    assert!(share < 5, "{share} of a hundred are sent again");
}

#[test]
fn the_loss_of_the_tail_costs_a_probe_and_no_timeout() {
    let mut recovery = Recovery::new(Instant::ORIGIN, Setup { sack: true, ..Setup::new(START, SEGMENT) });
    let at = |millis| Instant::ORIGIN + Duration::from_millis(millis);
    let ack = |number, sack| Acknowledgment { number, sack, echo: None, bare: true };
    let none = SackBlocks::default();
    recovery.on_sent(at(0), Range { start: START, end: START + 1000 }, Why::New, false);
    recovery.on_ack(at(40), ack(START + 1000, &none));
    for segment in 1..6 {
        let start = START + segment * 1000;
        recovery.on_sent(at(40), Range { start, end: start + 1000 }, Why::New, true);
    }
    // Three of five arrive; then silence. The probe goes after two round trips.
    recovery.on_ack(at(80), ack(START + 4000, &none));
    assert_eq!(recovery.poll_timeout(), Some(at(160)));
    assert_eq!(recovery.handle_timeout(at(160)), Expired::Probe);
    let probe = recovery.probe(SEGMENT).unwrap();
    assert_eq!(probe, Range { start: START + 5000, end: START + 6000 });
    recovery.on_sent(at(160), probe, Why::TailProbe, true);
    let mut sack = SackBlocks::default();
    sack.push(SackBlock { start: START + 5000, end: START + 6000 });
    let acked = recovery.on_ack(at(200), ack(START + 4000, &sack));
    assert!(acked.began);
    let lost = Range { start: START + 4000, end: START + 5000 };
    assert_eq!(recovery.lost(SEGMENT), Some((lost, Why::Lost)));
    recovery.on_sent(at(200), lost, Why::Lost, true);
    let acked = recovery.on_ack(at(240), ack(START + 6000, &none));
    assert!(acked.ended && recovery.is_idle() && recovery.backoffs() == 0);
}

#[test]
fn what_waited_for_a_segment_sent_again_does_not_count_as_a_long_round_trip() {
    let at = |millis| Instant::ORIGIN + Duration::from_millis(millis);
    let none = SackBlocks::default();
    let mut recovery = Recovery::new(at(0), Setup::new(START, SEGMENT));
    recovery.on_sent(at(0), Range { start: START, end: START + 1000 }, Why::New, false);
    recovery.on_ack(at(40), Acknowledgment { number: START + 1000, sack: &none, echo: None, bare: true });
    for segment in 1..3 {
        let start = START + segment * 1000;
        recovery.on_sent(at(40), Range { start, end: start + 1000 }, Why::New, true);
    }
    let due = recovery.poll_timeout().unwrap();
    assert_eq!(recovery.handle_timeout(due), Expired::Retransmit);
    let (lost, why) = recovery.lost(SEGMENT).unwrap();
    recovery.on_sent(due, lost, why, true);
    let both = Acknowledgment { number: START + 3000, sack: &none, echo: None, bare: true };
    recovery.on_ack(due + Duration::from_millis(40), both);
    assert_eq!(recovery.info().round_trip, Some(Duration::from_millis(40)));
}

#[test]
fn an_echo_of_an_earlier_copy_is_no_round_trip_and_the_timeout_stays_doubled_until_there_is_one() {
    let at = |millis| Instant::ORIGIN + Duration::from_millis(millis);
    let none = SackBlocks::default();
    let ack = |number, echo| {
        let echo = Some(Duration::from_millis(echo));
        Acknowledgment { number, sack: &none, echo, bare: true }
    };
    let mut recovery = Recovery::new(at(0), Setup::new(START, SEGMENT));
    let mut start = START;
    let mut send = |recovery: &mut Recovery, now| {
        let range = Range { start, end: start + SEGMENT };
        start = range.end;
        recovery.on_sent(now, range, Why::New, true);
        range
    };
    send(&mut recovery, at(0));
    recovery.on_ack(at(40), ack(START + 1000, 40));
    assert_eq!(recovery.info().timeout, Duration::from_millis(240));
    // It arrives, its acknowledgment is lost, and so the copy is acknowledged with the clock of the original.
    let range = send(&mut recovery, at(1000));
    assert_eq!(recovery.handle_timeout(at(1240)), Expired::Retransmit);
    recovery.on_sent(at(1240), range, Why::Timeout, true);
    recovery.on_ack(at(1280), ack(range.end, 280));
    let info = recovery.info();
    assert_eq!(info.round_trip, Some(Duration::from_millis(40)));
    assert_eq!((recovery.backoffs(), info.timeout), (0, Duration::from_millis(480)));
    // The echo of the copy is one.
    let range = send(&mut recovery, at(2000));
    assert_eq!(recovery.handle_timeout(at(2480)), Expired::Retransmit);
    recovery.on_sent(at(2480), range, Why::Timeout, true);
    recovery.on_ack(at(2528), ack(range.end, 48));
    let info = recovery.info();
    assert_eq!(info.round_trip, Some(Duration::from_millis(41)));
    assert_eq!(info.timeout, Duration::from_millis(241));
}

#[test]
fn what_a_receiver_has_thrown_away_is_sent_again_after_the_timeout() {
    let at = |millis| Instant::ORIGIN + Duration::from_millis(millis);
    let mut recovery = Recovery::new(at(0), Setup { sack: true, ..Setup::new(START, SEGMENT) });
    recovery.on_sent(at(0), Range { start: START, end: START + 1000 }, Why::New, false);
    recovery.on_sent(at(0), Range { start: START + 1000, end: START + 2000 }, Why::New, true);
    let mut sack = SackBlocks::default();
    sack.push(SackBlock { start: START + 1000, end: START + 2000 });
    recovery.on_ack(at(40), Acknowledgment { number: START, sack: &sack, echo: None, bare: true });
    // The first has arrived, and still the second is not acknowledged, that had been selected.
    let none = SackBlocks::default();
    recovery.on_ack(at(80), Acknowledgment { number: START + 1000, sack: &none, echo: None, bare: true });
    assert_eq!(recovery.info().in_flight, 0);
    let due = recovery.poll_timeout().expect("it is not forgotten");
    assert_eq!(recovery.handle_timeout(due), Expired::Retransmit);
    let second = Range { start: START + 1000, end: START + 2000 };
    assert_eq!(recovery.lost(SEGMENT), Some((second, Why::Timeout)));
}

#[test]
fn after_a_timeout_the_earliest_goes_alone_however_small_it_is() {
    let now = Instant::ORIGIN;
    let mut recovery = Recovery::new(now, Setup { sack: true, ..Setup::new(START, SEGMENT) });
    let small = |index: u32| Range { start: START + index * 100, end: START + (index + 1) * 100 };
    (0..4).for_each(|index| recovery.on_sent(now, small(index), Why::New, true));
    let due = recovery.poll_timeout().expect("something is on its way");
    while recovery.handle_timeout(due) != Expired::Retransmit {}
    assert_eq!(recovery.lost(100), Some((small(0), Why::Timeout)));
    recovery.on_sent(due, small(0), Why::Timeout, true);
    assert_eq!(recovery.lost(100), None, "three more would fit the window of one segment");
    let number = small(1).end;
    let none = SackBlocks::default();
    recovery.on_ack(
        due + Duration::from_millis(10),
        Acknowledgment { number, sack: &none, echo: None, bare: true },
    );
    assert_eq!(recovery.lost(100), Some((small(2), Why::Timeout)));
}

#[test]
fn an_echo_of_congestion_reduces_the_window_once_for_each_window_of_data() {
    let at = Instant::ORIGIN;
    let none = SackBlocks::default();
    let setup = Setup { algorithm: Algorithm::NewReno, ..Setup::new(START, SEGMENT) };
    let mut recovery = Recovery::new(at, setup);
    recovery.on_sent(at, Range { start: START, end: START + 10_000 }, Why::New, false);
    assert!(recovery.on_congestion_echo(at));
    assert_eq!(recovery.info().congestion_window, 5000);
    assert!(!recovery.on_congestion_echo(at));
    let ack = Acknowledgment { number: START + 10_000, sack: &none, echo: None, bare: true };
    recovery.on_ack(at, ack);
    recovery.on_sent(at, Range { start: START + 10_000, end: START + 14_000 }, Why::New, false);
    assert!(recovery.on_congestion_echo(at));
    assert_eq!(recovery.info().congestion_window, 2000);
}

#[test]
fn a_range_that_was_acknowledged_meanwhile_may_still_be_sent() {
    let (at, none) = (Instant::ORIGIN, SackBlocks::default());
    let mut recovery = Recovery::new(at, Setup::new(START, SEGMENT));
    recovery.on_sent(at, Range { start: START, end: START + 3000 }, Why::New, false);
    recovery.on_ack(at, Acknowledgment { number: START + 2000, sack: &none, echo: None, bare: true });
    recovery.on_sent(at, Range { start: START, end: START + 1000 }, Why::Lost, false);
    recovery.on_sent(at, Range { start: START + 1000, end: START + 2500 }, Why::Lost, false);
    assert!(recovery.flight.is_consistent());
    assert_eq!(recovery.info().in_flight, 1000);
}

#[test]
fn after_a_pause_the_window_is_the_initial_one_again() {
    let at = |millis| Instant::ORIGIN + Duration::from_millis(millis);
    let none = SackBlocks::default();
    let mut recovery = Recovery::new(at(0), Setup::new(START, SEGMENT));
    for segment in 0..10 {
        let start = START + segment * 1000;
        recovery.on_sent(at(0), Range { start, end: start + 1000 }, Why::New, false);
    }
    for segment in 1..=10 {
        let number = START + segment * 1000;
        recovery.on_ack(at(40), Acknowledgment { number, sack: &none, echo: None, bare: true });
    }
    assert_eq!(recovery.info().congestion_window, 20_000);
    recovery.on_restart(at(100));
    assert_eq!(recovery.info().congestion_window, 20_000);
    recovery.on_restart(at(1000));
    assert_eq!(recovery.info().congestion_window, 10_000);
}

#[test]
fn nothing_new_is_sent_while_the_scoreboard_is_full() {
    let at = Instant::ORIGIN;
    let mut recovery = Recovery::new(at, Setup::new(START, SEGMENT));
    recovery.controller.on_acknowledged(at, 2000, Duration::ZERO);
    let mut sent = 0;
    while recovery.allowance() > 0 {
        let start = recovery.snd_nxt();
        recovery.on_sent(at, Range { start, end: start + 1 }, Why::New, false);
        sent += 1;
    }
    assert_eq!(sent, 12_000, "the window");
    let mut recovery = Recovery::new(at, Setup::new(START, 9_000));
    while recovery.allowance() > 0 {
        let start = recovery.snd_nxt();
        recovery.on_sent(at, Range { start, end: start + 1 }, Why::New, false);
    }
    assert_eq!(recovery.flight.ranges(), 12_288);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn everything_arrives_in_the_end(
        seed: u8, loss in 0u64..250, duplication in 0u64..100, jitter in 0u64..60_000, pause in 0u64..3_000,
        sack: bool, timestamps: bool, cubic: bool, total in 1u32..200_000,
    ) {
        let algorithm = if cubic { Algorithm::Cubic } else { Algorithm::NewReno };
        let mut channel = channel(seed, loss, duplication, jitter);
        channel.pause = (Duration::from_millis(100), Duration::from_millis(100 + pause));
        let outcome = transfer(total, Options { sack, timestamps, algorithm }, channel);
        // Every timer that runs out has something to show for it.
        let segments = total / SEGMENT + 1;
        prop_assert!(outcome.expiries <= 30 + 4 * segments, "{} for {segments}", outcome.expiries);
        prop_assert_eq!(outcome.recovery.info().in_flight, 0);
        prop_assert_eq!(outcome.recovery.poll_timeout(), None);
    }
}
