//! Forged and hostile segments, by the families of attacks that are known.

use std::time::Duration;

use trace::Why;
use wire::tcp::Flags;

use super::pair::Pair;
use crate::transport::tcp::{End, Settings, State};

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
