//! What was sent, what came back, and how long it took.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use host::Instant;

/// Requests whose answers are told from duplicates; of older ones nobody expects any.
const REMEMBERED: usize = 4096;

/// Counts requests and their answers.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// When each was sent, and whether it was answered.
    requests: BTreeMap<u64, (Instant, bool)>,
    began: Option<Instant>,
    ended: Option<Instant>,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) duplicates: u64,
    pub(super) damaged: u64,
    pub(super) errors: u64,
    times: Times,
}

/// Round-trip times: enough to tell their spread.
#[derive(Debug, Default)]
struct Times {
    least: Duration,
    most: Duration,
    /// In nanoseconds, and in their squares.
    sum: u128,
    squares: u128,
    count: u128,
}

/// What a reply is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// Which request it answers, counted from one.
    pub(super) number: u64,
    /// After how long.
    pub(super) after: Duration,
    /// Whether another one came before.
    pub(super) duplicate: bool,
}

impl Tally {
    /// The next request goes out. Says which it is.
    pub(super) fn send(&mut self, now: Instant) -> u64 {
        self.sent += 1;
        self.began.get_or_insert(now);
        self.requests.insert(self.sent, (now, false));
        if self.requests.len() > REMEMBERED {
            self.requests.pop_first();
        }
        self.sent
    }

    /// A reply to the request with the sequence number `sequence` came. `None` when no such was sent of late.
    pub(super) fn receive(&mut self, now: Instant, sequence: u16) -> Option<Heard> {
        let number = self.number(sequence)?;
        let (at, answered) = self.requests.get_mut(&number)?;
        let after = now.since(*at);
        let duplicate = std::mem::replace(answered, true);
        if duplicate {
            self.duplicates += 1;
        } else {
            self.received += 1;
            self.ended = Some(now);
            self.times.add(after);
        }
        Some(Heard { number, after, duplicate })
    }

    /// The request with the sequence number `sequence` did not get there; which it is.
    pub(super) fn fail(&mut self, sequence: u16) -> Option<u64> {
        let number = self.number(sequence)?;
        self.errors += 1;
        Some(number)
    }

    /// Whether all that was sent was answered.
    pub(super) fn is_complete(&self) -> bool {
        self.received + self.errors >= self.sent
    }

    /// The last request with the sequence number: it has 16 bits of the request's.
    fn number(&self, sequence: u16) -> Option<u64> {
        let back = (self.sent as u16).wrapping_sub(sequence);
        let number = self.sent.checked_sub(u64::from(back))?;
        self.requests.contains_key(&number).then_some(number)
    }

    /// What there is to say in the end.
    pub(super) fn summary(&self, now: Instant) -> String {
        let Self { sent, received, duplicates, damaged, errors, .. } = self;
        let mut text = format!("{sent} packets transmitted, {received} received");
        for (count, what) in [(duplicates, "duplicates"), (damaged, "damaged"), (errors, "errors")] {
            if *count > 0 {
                text += &format!(", +{count} {what}");
            }
        }
        let lost = sent.saturating_sub(*received) as f64 * 100.0 / (*sent).max(1) as f64;
        let lost = format!("{lost:.4}");
        let lost = lost.trim_end_matches('0').trim_end_matches('.');
        let time =
            self.began.map_or(Duration::ZERO, |began| self.ended.unwrap_or(now).max(began).since(began));
        text += &format!(", {lost}% packet loss, time {}ms", time.as_millis());
        if self.received > 0 {
            text += &format!("\n{}", self.times);
        }
        text
    }
}

impl Times {
    fn add(&mut self, time: Duration) {
        self.least = if self.count == 0 { time } else { self.least.min(time) };
        self.most = self.most.max(time);
        self.sum += time.as_nanos();
        self.squares += time.as_nanos().pow(2);
        self.count += 1;
    }
}

impl fmt::Display for Times {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count.max(1);
        let mean = self.sum / count;
        let deviation = (self.squares / count).saturating_sub(mean.pow(2)).isqrt();
        let nanoseconds = [self.least.as_nanos(), mean, self.most.as_nanos(), deviation];
        let [least, mean, most, deviation] = nanoseconds.map(|time| format!("{:.3}", time as f64 / 1e6));
        write!(formatter, "rtt min/avg/max/mdev = {least}/{mean}/{most}/{deviation} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Instant {
        Instant::from_nanos(1 + milliseconds * 1_000_000)
    }

    #[test]
    fn it_says_what_ping_says() {
        let mut tally = Tally::default();
        for number in 1..=4 {
            assert_eq!(tally.send(at(1000 * number)), number);
        }
        assert_eq!(tally.receive(at(1010), 1).unwrap().after, Duration::from_millis(10));
        assert!(!tally.receive(at(2020), 2).unwrap().duplicate);
        assert!(tally.receive(at(2021), 2).unwrap().duplicate);
        assert_eq!(tally.fail(3), Some(3));
        assert_eq!((tally.receive(at(4000), 5), tally.receive(at(4000), 0)), (None, None), "not asked");
        assert!(!tally.is_complete());
        let expected = "4 packets transmitted, 2 received, +1 duplicates, +1 errors, 50% packet loss, time 1020ms\n\
                        rtt min/avg/max/mdev = 10.000/15.000/20.000/5.000 ms";
        assert_eq!(tally.summary(at(5000)), expected);
    }

    #[test]
    fn sequence_numbers_begin_again_and_memory_does_not_grow() {
        let mut tally = Tally::default();
        for number in 1..=70_000 {
            tally.send(at(number));
        }
        assert_eq!(tally.receive(at(70_001), 70_000_u64 as u16).unwrap().number, 70_000);
        assert_eq!(tally.receive(at(70_001), 60_000), None, "too long ago");
        assert_eq!(tally.requests.len(), REMEMBERED);
        assert!(tally.summary(at(1)).contains("99.9986% packet loss"), "{}", tally.summary(at(1)));
        assert!(
            Tally::default().summary(at(1)).starts_with("0 packets transmitted, 0 received, 0% packet loss")
        );
    }
}
