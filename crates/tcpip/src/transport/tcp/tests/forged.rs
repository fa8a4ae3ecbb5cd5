//! Forged and hostile segments, by the families of attacks that are known.

use std::time::Duration;

use proptest::prelude::*;
use trace::Why;
use wire::tcp::{Flags, SeqNumber};

use super::pair::{Link, Pair, opening};
use crate::transport::tcp::{Connection, End, Settings, State};

#[test]
fn a_reset_counts_only_at_the_exact_number() {
    // CVE-2004-0230, RFC 5961 section 3.
    let mut pair = Pair::open(Settings::default());
    let in_window =
        |header: &mut wire::tcp::Header| (header.flags, header.sequence) = (Flags::RST, header.sequence + 10);
    let answers = pair.inject(1, in_window, b"");
    assert_eq!((answers.len(), answers[0].why), (1, Why::Challenge));
    assert!(
        pair.inject(1, |header| (header.flags, header.sequence) = (Flags::RST, header.sequence - 10), b"")
            .is_empty()
    );
    assert_eq!(pair.end(1).state(), State::Established);
    pair.inject(1, |header| header.flags = Flags::RST, b"");
    assert_eq!(pair.end(1).end(), Some(End::Reset));
}

#[test]
fn challenges_are_bounded_for_each_connection() {
    // CVE-2016-5696, RFC 5961 section 7.
    let mut pair = Pair::open(Settings::default());
    let mut answers = 0;
    for _ in 0..100 {
        answers += pair.inject(1, |header| header.flags = Flags::SYN, b"").len();
    }
    assert_eq!((answers, pair.end(1).info().challenges, pair.end(1).state()), (10, 10, State::Established));
    pair.run(Duration::from_secs(6));
    assert_eq!(pair.inject(1, |header| header.flags = Flags::SYN, b"").len(), 1);
}

#[test]
fn forged_data_needs_a_plausible_acknowledgment() {
    // RFC 5961 section 5; an acknowledgment of what was never sent is optimistic (SCWA99) or forged.
    let mut pair = Pair::open(Settings::default());
    for wrong in [1u32, 1 << 30, 0x8000_0000, 0u32.wrapping_sub(200_000)] {
        let change = |header: &mut wire::tcp::Header| header.acknowledgment += wrong;
        let answers = pair.inject(1, change, b"forged");
        assert_eq!((answers.len(), answers[0].why), (1, Why::Challenge), "{wrong}");
    }
    assert_eq!(pair.read(1), b"");
}

#[test]
fn old_segments_are_known_by_their_clock() {
    // PAWS, RFC 7323 section 5.
    let mut pair = Pair::open(Settings::default());
    pair.run(Duration::from_secs(5));
    pair.inject(1, |_| {}, b"new");
    let old = |header: &mut wire::tcp::Header| {
        header.sequence += 3;
        let timestamps = header.options.timestamps.as_mut().unwrap();
        timestamps.value = timestamps.value.wrapping_sub(4000);
    };
    assert_eq!(pair.inject(1, old, b"old").len(), 1, "it is acknowledged and not taken");
    let none = |header: &mut wire::tcp::Header| {
        header.sequence += 3;
        header.options.timestamps = None;
    };
    assert!(pair.inject(1, none, b"none").is_empty());
    assert_eq!(pair.read(1), b"new");
}

#[test]
fn a_syn_in_a_connection_is_challenged_and_its_data_ignored() {
    let mut pair = Pair::open(Settings::default());
    let answers = pair.inject(1, |header| header.flags = Flags::SYN | Flags::ACK, b"data");
    assert_eq!((answers.len(), answers[0].why), (1, Why::Challenge));
    assert_eq!((pair.end(1).state(), pair.read(1)), (State::Established, Vec::new()));
}

#[test]
fn a_split_handshake_ends_as_a_connection_of_the_one_who_opened() {
    let mut pair = Pair::new(1, Link { loss: 1000, ..Link::clean() }, Settings::default());
    pair.flush();
    let now = pair.now;
    let mut header = pair.log[0].1.header;
    (header.flags, header.sequence) = (Flags::SYN, SeqNumber(5000));
    pair.end(0).receive(now, &header, b"early", 0);
    assert_eq!(pair.end(0).state(), State::SynReceived);
    pair.log.clear();
    pair.flush();
    let answer = pair.log[0].1.header;
    assert_eq!((answer.flags, answer.acknowledgment), (Flags::SYN | Flags::ACK, SeqNumber(5001)));
    (header.flags, header.sequence, header.acknowledgment) =
        (Flags::ACK, SeqNumber(5001), answer.sequence + 2);
    pair.end(0).receive(now, &header, b"", 0);
    assert_eq!(pair.end(0).state(), State::SynReceived, "what was not sent is not acknowledged");
}

#[test]
fn a_tiny_segment_size_is_not_obeyed() {
    // CVE-2019-11479.
    for size in [0, 1, 48, 215] {
        let mut pair = Pair::new(1, Link::clean(), Settings::default());
        pair.flush();
        let mut syn = pair.log[0].1.header;
        syn.options.max_segment_size = Some(size);
        let end = Connection::accept(pair.now, opening(1, Settings::default()), &syn);
        assert_eq!(end.info().max_segment_size, 216 - 12);
    }
}

#[test]
fn every_second_byte_costs_little() {
    // CVE-2018-5390.
    let mut pair = Pair::open(Settings::default());
    for at in 1..2000u32 {
        pair.inject(1, |header| header.sequence += 2 * at, b"x");
    }
    let info = pair.end(1).info();
    assert!(info.out_of_order <= 64 && info.memory <= 65_536, "{info:?}");
}

#[test]
fn bytes_beyond_the_window_are_not_kept() {
    let mut pair = Pair::open(Settings { receive_buffer: 4096, ..Settings::default() });
    for _ in 0..5 {
        pair.inject(1, |_| {}, &[1; 60_000]);
        pair.inject(1, |header| header.sequence += 4000, &[1; 60_000]);
    }
    assert_eq!(pair.read(1).len(), 4096);
}

proptest! {
    #[test]
    fn no_segment_makes_a_connection_panic_or_send_without_end(
        segments in proptest::collection::vec(
            (0usize..2, 0u16..0x200, -3000i32..70_000, -70_000i32..70_000, any::<u16>(), any::<Option<(u32, u32)>>(),
             0usize..3000, proptest::collection::vec((-2000i32..9000, 0u32..9000), 0..4), 0u64..3000),
            1..40,
        ),
    ) {
        let mut pair = Pair::open(Settings { receive_buffer: 20_000, ..Settings::default() });
        for (to, flags, sequence, number, window, clock, len, blocks, pause) in segments {
            if pair.ends.iter().flatten().any(|end| end.is_finished()) {
                break;
            }
            let _ = pair.ends[to].as_mut().unwrap().write(pair.now, &[std::io::IoSlice::new(&vec![1; len])]);
            let change = |header: &mut wire::tcp::Header| {
                header.flags = Flags(flags);
                header.sequence += sequence as u32;
                header.acknowledgment += number as u32;
                header.window = window;
                if let Some((value, echo)) = clock {
                    header.options.timestamps = Some(wire::tcp::Timestamps { value, echo });
                }
                for (start, len) in blocks {
                    let start = header.acknowledgment + start as u32;
                    header.options.sack.push(wire::tcp::SackBlock { start, end: start + len });
                }
            };
            pair.inject(to, change, &vec![2; len]);
            let until = pair.now + Duration::from_millis(pause);
            let mut steps = 0;
            while pair.step(until) {
                steps += 1;
                prop_assert!(steps < 5000, "the two do not come to rest");
            }
            for end in pair.ends.iter().flatten() {
                prop_assert!(end.info().memory <= 2 * ((2 << 20) + 30_000));
            }
        }
    }
}
