//! What leaves when: delayed acknowledgments, small segments, closed windows, and all that ends by itself.

use std::io::IoSlice;
use std::time::Duration;

use trace::Why;
use wire::tcp::{Flags, Options, SeqNumber, Timestamps};

use super::pair::{Link, Pair};
use crate::internet::Problem;
use crate::transport::tcp::{Answer, End, Keepalive, Settings, State};

const MILLIS: fn(u64) -> Duration = Duration::from_millis;

/// Segments of side `from` since the log was cleared: payload, and why.
fn sent(pair: &Pair, from: usize) -> Vec<(usize, Why)> {
    pair.log.iter().filter(|(_, carried)| carried.to != from).map(|(_, c)| (c.payload.len(), c.why)).collect()
}

/// Uses up the quick acknowledgments of the start.
fn warm(pair: &mut Pair) {
    for _ in 0..20 {
        pair.write(0, b"warm");
        pair.run(MILLIS(100));
        pair.read(1);
    }
    pair.log.clear();
}

#[test]
fn a_lost_handshake_makes_no_long_round_trip() {
    let mut pair = Pair::new(1, Link::clean(), Settings::default());
    pair.run(MILLIS(5));
    pair.link.loss = 1000;
    pair.run(MILLIS(900));
    pair.link.loss = 0;
    pair.run(Duration::from_secs(3));
    let trips = [0, 1].map(|side| pair.end(side).info().recovery.round_trip.unwrap());
    assert!(trips.iter().all(|trip| (MILLIS(20)..MILLIS(30)).contains(trip)), "{trips:?}");
}

#[test]
fn the_tail_is_probed_with_new_data_when_there_is_some() {
    let mut pair = Pair::open(Settings::default());
    pair.write(0, b"the round trip is known");
    pair.run(MILLIS(100));
    pair.log.clear();
    pair.link.loss = 1000;
    pair.write(0, &[1; 40_000]);
    let first = sent(&pair, 0).len();
    pair.run(MILLIS(100));
    let all = sent(&pair, 0);
    assert_eq!(all[first..], [(1448, Why::TailProbe)], "one segment after two round trips");
    let sequence = |at: usize| pair.log[at].1.header.sequence;
    assert_eq!(sequence(first), sequence(first - 1) + 1448, "that was never sent");
}

#[test]
fn a_single_segment_is_acknowledged_late_and_every_second_full_one_at_once() {
    let mut pair = Pair::open(Settings::default());
    pair.write(0, b"first");
    pair.run(MILLIS(11));
    assert_eq!(sent(&pair, 1), [(0, Why::Acknowledgment)], "at once in the beginning");
    warm(&mut pair);
    pair.write(0, b"one");
    pair.run(MILLIS(49));
    assert_eq!(sent(&pair, 1), []);
    pair.run(MILLIS(2));
    assert_eq!(sent(&pair, 1), [(0, Why::Acknowledgment)], "after 40 ms");
    pair.log.clear();
    pair.write(0, &[0; 1448 * 2]);
    pair.run(MILLIS(11));
    assert_eq!(sent(&pair, 1).len(), 1);
}

#[test]
fn small_segments_wait_for_an_acknowledgment_unless_told_not_to() {
    for nodelay in [false, true] {
        let mut pair = Pair::open(Settings { nodelay, ..Settings::default() });
        for _ in 0..3 {
            pair.write(0, b"small");
        }
        let expected: &[(usize, Why)] = if nodelay { &[(5, Why::New); 3] } else { &[(5, Why::New)] };
        assert_eq!(sent(&pair, 0), expected);
        pair.run(MILLIS(100));
        assert_eq!(pair.read(1), b"smallsmallsmall");
    }
}

#[test]
fn a_closed_window_is_asked_about_ever_more_rarely_and_opens_by_steps() {
    let settings = Settings { receive_buffer: 4096, ..Settings::default() };
    let mut pair = Pair::open(settings);
    pair.write(0, &[7; 20_000]);
    pair.run(Duration::from_secs(60));
    let probes = sent(&pair, 0).into_iter().filter(|(_, why)| *why == Why::WindowProbe).count();
    assert!((5..=12).contains(&probes), "{probes} questions in a minute");
    pair.run(Duration::from_secs(3600));
    assert_eq!(pair.end(0).end(), None, "who answers is not given up");
    pair.log.clear();
    let now = pair.now;
    pair.end(1).read(now, &mut [0; 100]).unwrap();
    pair.flush();
    assert_eq!(sent(&pair, 1), [], "a hundred bytes are no window");
    let mut got = 100;
    for _ in 0..50 {
        got += pair.read(1).len();
        pair.run(MILLIS(300));
    }
    assert_eq!(got, 20_000);
}

#[test]
fn who_does_not_answer_about_a_closed_window_is_given_up() {
    let mut pair = Pair::open(Settings { receive_buffer: 4096, ..Settings::default() });
    pair.write(0, &[7; 20_000]);
    pair.run(Duration::from_secs(10));
    pair.link.loss = 1000;
    pair.run(Duration::from_secs(600));
    assert_eq!(pair.end(0).end(), None);
    pair.run(Duration::from_secs(600));
    assert_eq!((pair.end(0).end(), pair.end(0).poll_timeout()), (Some(End::TimedOut), None));
}

#[test]
fn a_closed_window_does_not_hold_a_connection_that_was_let_go() {
    // Sockstress.
    let mut pair = Pair::open(Settings { receive_buffer: 4096, ..Settings::default() });
    pair.write(0, &[7; 20_000]);
    let now = pair.now;
    pair.end(0).release(now);
    pair.run(Duration::from_secs(130));
    assert_eq!(pair.end(0).end(), Some(End::TimedOut));
    assert_eq!((pair.end(1).end(), pair.end(0).info().memory), (Some(End::Reset), 0));
}

#[test]
fn a_silent_peer_is_asked_and_then_given_up() {
    let keepalive = Keepalive { idle: Duration::from_secs(10), interval: Duration::from_secs(2), probes: 3 };
    let mut pair = Pair::open(Settings { keepalive: Some(keepalive), ..Settings::default() });
    pair.run(Duration::from_secs(95));
    assert_eq!((pair.end(0).end(), pair.end(1).end()), (None, None), "who answers lives");
    pair.log.clear();
    pair.link.loss = 1000;
    pair.run(Duration::from_secs(30));
    let probes = sent(&pair, 0).into_iter().filter(|(_, why)| *why == Why::Keepalive).count();
    assert_eq!((probes, pair.end(0).end()), (3, Some(End::TimedOut)));
}

#[test]
fn unacknowledged_bytes_end_the_connection_after_the_users_timeout() {
    let user_timeout = Some(Duration::from_secs(7));
    let mut pair = Pair::open(Settings { user_timeout, ..Settings::default() });
    pair.link.loss = 1000;
    pair.write(0, b"lost");
    pair.run(MILLIS(6900));
    assert_eq!(pair.end(0).end(), None);
    pair.run(MILLIS(200));
    assert_eq!(pair.end(0).end(), Some(End::TimedOut));
}

#[test]
fn a_window_that_shrinks_stops_what_is_new_only() {
    let mut pair = Pair::open(Settings { nodelay: true, ..Settings::default() });
    pair.write(0, &[1; 1000]);
    pair.inject(0, |header| header.window = 1, b"");
    assert!(pair.end(0).info().send_window < 1000);
    pair.log.clear();
    pair.write(0, &[2; 1000]);
    assert_eq!(sent(&pair, 0), []);
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.read(1).len(), 2000);
}

#[test]
fn fin_that_overtakes_data_waits_for_it() {
    let mut pair = Pair::open(Settings::default());
    let fin = |header: &mut wire::tcp::Header| {
        (header.flags, header.sequence) = (Flags::ACK | Flags::FIN, header.sequence + 3);
    };
    pair.inject(1, fin, b"def");
    assert_eq!(pair.end(1).state(), State::Established);
    pair.inject(1, |header| header.flags = Flags::ACK | Flags::URG | Flags::PSH, b"abc");
    assert_eq!(pair.end(1).state(), State::CloseWait);
    assert_eq!(pair.read(1), b"abcdef", "urgent bytes are bytes");
}

/// A connection in TIME-WAIT.
fn waiting() -> Pair {
    let mut pair = Pair::open(Settings::default());
    for side in [0, 1] {
        let now = pair.now;
        pair.end(side).shutdown(now);
        pair.run(MILLIS(100));
    }
    assert_eq!(pair.end(0).state(), State::TimeWait);
    pair
}

#[test]
fn time_wait_is_left_for_a_newer_connection_only() {
    let mut pair = waiting();
    let mut kept = pair.end(0).time_wait().unwrap();
    let recent = kept.clock.unwrap().0;
    let mut syn = pair.log.last().unwrap().1.header;
    let with = |value| Options { timestamps: Some(Timestamps { value, echo: 0 }), ..Options::default() };
    (syn.flags, syn.sequence, syn.options) = (Flags::SYN, SeqNumber(1), with(recent + 1));
    assert_eq!(kept.receive(pair.now, &syn, 0), Answer::Reopen(kept.sent));
    syn.options = with(recent.wrapping_sub(1));
    assert!(matches!(kept.receive(pair.now, &syn, 0), Answer::Send(header) if header.flags == Flags::ACK));
    syn.options = Options::default();
    syn.sequence = kept.received + 5;
    assert_eq!(kept.receive(pair.now, &syn, 0), Answer::Reopen(kept.sent));
    syn.flags = Flags::RST;
    assert_eq!(kept.receive(pair.now, &syn, 0), Answer::Nothing, "RFC 1337");
    (syn.flags, syn.sequence) = (Flags::FIN | Flags::ACK, kept.received - 1);
    let later = pair.now + Duration::from_secs(30);
    assert!(matches!(kept.receive(later, &syn, 0), Answer::Send(_)));
    assert_eq!(kept.receive(later, &syn, 0), Answer::Nothing, "not so often");
    syn.flags = Flags::ACK;
    assert!(matches!(kept.receive(later + MILLIS(100), &syn, 0), Answer::Send(_)), "its number is old");
    syn.sequence = kept.received;
    assert_eq!(kept.receive(later + MILLIS(200), &syn, 0), Answer::Nothing, "an answer to an answer");
    assert_eq!(kept.until, later + Duration::from_secs(60), "a FIN again begins anew");
}

#[test]
fn fin_wait_2_ends_once_nobody_reads() {
    let mut pair = Pair::open(Settings::default());
    let now = pair.now;
    pair.end(0).shutdown(now);
    pair.run(Duration::from_secs(3600));
    assert_eq!(pair.end(0).state(), State::FinWait2);
    let now = pair.now;
    pair.end(0).release(now);
    pair.run(Duration::from_secs(61));
    assert!(pair.end(0).is_finished());
}

#[test]
fn icmp_errors_end_what_is_opening_if_they_quote_what_is_in_flight() {
    let mut pair = Pair::new(1, super::pair::Link::clean(), Settings::default());
    pair.flush();
    let (now, sequence) = (pair.now, pair.log[0].1.header.sequence);
    assert!(!pair.end(0).icmp(now, Problem::PortUnreachable, sequence + 1), "RFC 5927");
    assert!(pair.end(0).icmp(now, Problem::HostUnreachable, sequence));
    assert_eq!(pair.end(0).end(), None, "it may pass");
    assert!(pair.end(0).icmp(now, Problem::PortUnreachable, sequence));
    assert_eq!(pair.end(0).end(), Some(End::Unreachable(Problem::PortUnreachable)));
    let mut pair = Pair::open(Settings::default());
    pair.write(0, b"in flight");
    let (now, sequence) = (pair.now, pair.log[0].1.header.sequence);
    assert!(pair.end(0).icmp(now, Problem::PortUnreachable, sequence));
    assert_eq!(pair.end(0).end(), None);
}

#[test]
fn a_smaller_path_cuts_again_what_was_cut() {
    let mut pair = Pair::open(Settings::default());
    pair.link.loss = 1000;
    pair.write(0, &[5; 4000]);
    pair.link.loss = 0;
    let now = pair.now;
    pair.end(0).set_path_mtu(now, 600);
    pair.log.clear();
    pair.run(Duration::from_secs(10));
    assert_eq!(pair.read(1), [5; 4000]);
    assert!(sent(&pair, 0).iter().all(|(len, _)| *len <= 600 - 52));
}

#[test]
fn a_path_that_swallows_long_segments_is_found_out() {
    for (longest, seconds) in [(1280 - 20, 3), (576 - 20, 10)] {
        let mut pair = Pair::open(Settings::default());
        pair.link.longest = longest;
        pair.write(0, &[5; 4000]);
        pair.run(Duration::from_secs(seconds));
        assert_eq!(pair.read(1).len(), 4000, "{longest} bytes");
    }
    // What is lost for another reason is not too long.
    let mut pair = Pair::open(Settings::default());
    pair.link.loss = 1000;
    pair.write(0, &[5; 100]);
    pair.run(Duration::from_secs(5));
    pair.link.loss = 0;
    pair.run(Duration::from_secs(10));
    assert_eq!(pair.end(0).info().max_segment_size, 1460 - 12);
}

#[test]
fn writers_are_told_when_there_is_room_again() {
    let mut pair = Pair::open(Settings { send_buffer: 5000, ..Settings::default() });
    pair.end(0).take_changes();
    let now = pair.now;
    assert_eq!(pair.end(0).write(now, &[IoSlice::new(&[0; 9000])]), Ok(5000));
    assert!(pair.end(0).write(now, &[IoSlice::new(&[0])]).is_err());
    assert!(!pair.end(0).is_writable());
    pair.run(MILLIS(200));
    assert!(pair.end(0).take_changes().writable && pair.end(1).take_changes().readable);
}
