//! What a direction of a link does to the frames that travel it.

use std::time::Duration;

use host::{Instant, Random};

/// How likely something is, in parts of a million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chance(u32);

impl Chance {
    /// It does not happen.
    pub const NEVER: Self = Self(0);

    /// So many times in a hundred.
    ///
    /// # Panics
    ///
    /// Above 100.
    pub const fn percent(percent: u32) -> Self {
        assert!(percent <= 100, "a chance is at most 100 percent");
        Self(percent * 10_000)
    }

    /// So many times in a million.
    ///
    /// # Panics
    ///
    /// Above a million.
    pub const fn per_million(parts: u32) -> Self {
        assert!(parts <= 1_000_000, "a chance is at most a million parts of a million");
        Self(parts)
    }

    fn strikes(self, random: &mut Random) -> bool {
        self.0 > 0 && random.below(1_000_000) < u64::from(self.0)
    }
}

/// What happens to frames in one direction. The default does nothing to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impairments {
    /// How long a frame travels.
    pub delay: Duration,
    /// Up to so much longer, each length equally likely. Frames still arrive in the order in which they left.
    pub jitter: Duration,
    /// Bits a second; `None` is without bound.
    pub rate: Option<u64>,
    /// Bytes that may wait for their turn when there is a rate; what comes on top is dropped.
    pub queue: usize,
    /// A frame is lost.
    pub loss: Chance,
    /// A frame arrives twice.
    pub duplication: Chance,
    /// A frame is held back for [`held`](Self::held), and others pass it.
    pub reordering: Chance,
    /// How long a frame is held back.
    pub held: Duration,
    /// One bit of a frame is flipped.
    pub corruption: Chance,
    /// Longer IP packets are lost without a word, in bytes; `None` for the device's own MTU.
    pub mtu: Option<u16>,
}

impl Default for Impairments {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            rate: None,
            queue: 256 * 1024,
            loss: Chance::NEVER,
            duplication: Chance::NEVER,
            reordering: Chance::NEVER,
            held: Duration::from_millis(10),
            corruption: Chance::NEVER,
            mtu: None,
        }
    }
}

/// Why a frame did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// By chance.
    Chance,
    /// It found the queue full.
    Full,
    /// The link is cut.
    Cut,
    /// It was too long.
    TooLong,
}

/// One direction: its impairments, and what it remembers.
pub(super) struct Direction {
    pub(super) impairments: Impairments,
    pub(super) cut: bool,
    random: Streams,
    /// Until when the frames before keep the wire.
    busy: Instant,
    /// When the last frame in order arrives.
    last: Instant,
}

/// A random stream for each purpose, so that one impairment moves no other's draws.
struct Streams {
    jitter: Random,
    loss: Random,
    duplication: Random,
    reordering: Random,
    corruption: Random,
}

/// When a frame arrives, and when its double does.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) at: Instant,
    pub(super) again: Option<Instant>,
}

/// Bytes of an Ethernet header, which no MTU counts.
const HEADER: usize = wire::ethernet::Header::LEN;

impl Direction {
    /// `stream` gives the random stream of a purpose.
    pub(super) fn new(mut stream: impl FnMut(&str) -> Random) -> Self {
        Self {
            impairments: Impairments::default(),
            cut: false,
            random: Streams {
                jitter: stream("jitter"),
                loss: stream("loss"),
                duplication: stream("duplication"),
                reordering: stream("reordering"),
                corruption: stream("corruption"),
            },
            busy: Instant::ORIGIN,
            last: Instant::ORIGIN,
        }
    }

    /// Lets `frame` travel from `now` on.
    pub(super) fn travel(&mut self, now: Instant, frame: &mut [u8]) -> Result<Arrival, Lost> {
        let Self { impairments, random, .. } = self;
        if self.cut {
            return Err(Lost::Cut);
        }
        if impairments.mtu.is_some_and(|mtu| frame.len() > HEADER + usize::from(mtu)) {
            return Err(Lost::TooLong);
        }
        let mut sent = now;
        if let Some(rate) = impairments.rate {
            let waiting = self.busy.since(now).as_nanos() * u128::from(rate) / 8 / 1_000_000_000;
            if waiting > impairments.queue as u128 {
                return Err(Lost::Full);
            }
            let takes = frame.len() as u128 * 8 * 1_000_000_000 / u128::from(rate.max(1));
            self.busy = self.busy.max(now) + Duration::from_nanos(u64::try_from(takes).unwrap_or(u64::MAX));
            sent = self.busy;
        }
        if impairments.loss.strikes(&mut random.loss) {
            return Err(Lost::Chance);
        }
        if impairments.corruption.strikes(&mut random.corruption) && !frame.is_empty() {
            let bit = random.corruption.below(frame.len() as u64 * 8) as usize;
            frame[bit / 8] ^= 1 << (bit % 8);
        }
        let mut at = sent + impairments.delay;
        if !impairments.jitter.is_zero() {
            let most = u64::try_from(impairments.jitter.as_nanos()).unwrap_or(u64::MAX - 1);
            at += Duration::from_nanos(random.jitter.below(most + 1));
        }
        if impairments.reordering.strikes(&mut random.reordering) {
            at += impairments.held;
        } else {
            at = at.max(self.last);
            self.last = at;
        }
        let again = impairments.duplication.strikes(&mut random.duplication).then_some(at);
        Ok(Arrival { at, again })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direction(impairments: Impairments) -> Direction {
        let mut number = 0;
        let mut direction = Direction::new(|_| {
            number += 1;
            Random::from_seed([number; 32])
        });
        direction.impairments = impairments;
        direction
    }

    fn at(micros: u64) -> Instant {
        Instant::from_nanos(micros * 1_000)
    }

    #[test]
    fn a_frame_takes_its_delay() {
        let mut direction =
            direction(Impairments { delay: Duration::from_micros(7), ..Impairments::default() });
        assert_eq!(direction.travel(at(1), &mut [0; 60]), Ok(Arrival { at: at(8), again: None }));
    }

    #[test]
    fn a_rate_spaces_frames_out_and_its_queue_is_bounded() {
        // 125 bytes at 1 Mbit/s are 1 ms.
        let mut direction =
            direction(Impairments { rate: Some(1_000_000), queue: 300, ..Impairments::default() });
        let times: Vec<_> = (0..5).map(|_| direction.travel(at(0), &mut [0; 125])).collect();
        let arrival = |micros| Ok(Arrival { at: at(micros), again: None });
        assert_eq!(times, [arrival(1_000), arrival(2_000), arrival(3_000), Err(Lost::Full), Err(Lost::Full)]);
        assert_eq!(direction.travel(at(3_000), &mut [0; 125]), arrival(4_000));
    }

    #[test]
    fn chances_strike_as_often_as_they_say() {
        let mut direction = direction(Impairments { loss: Chance::percent(2), ..Impairments::default() });
        let lost = (0..100_000).filter(|_| direction.travel(at(0), &mut [0; 60]).is_err()).count();
        assert!((1_800..2_200).contains(&lost), "{lost} of 100,000 were lost");
    }

    #[test]
    fn jitter_keeps_the_order_and_reordering_does_not() {
        let jitter = Impairments { jitter: Duration::from_millis(5), ..Impairments::default() };
        let mut calm = direction(jitter.clone());
        let times: Vec<_> = (0..200).map(|n| calm.travel(at(n), &mut [0; 60]).unwrap().at).collect();
        assert!(times.is_sorted());
        let mut wild = direction(Impairments { reordering: Chance::percent(10), ..jitter });
        let times: Vec<_> = (0..200).map(|n| wild.travel(at(n), &mut [0; 60]).unwrap().at).collect();
        assert!(!times.is_sorted());
    }

    #[test]
    fn corruption_flips_one_bit() {
        let mut direction =
            direction(Impairments { corruption: Chance::percent(100), ..Impairments::default() });
        let mut frame = [0; 60];
        direction.travel(at(0), &mut frame).unwrap();
        assert_eq!(frame.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
    }

    #[test]
    fn too_long_or_cut_off_does_not_arrive() {
        let mut direction = direction(Impairments { mtu: Some(576), ..Impairments::default() });
        assert_eq!(direction.travel(at(0), &mut [0; 14 + 577]), Err(Lost::TooLong));
        assert!(direction.travel(at(0), &mut [0; 14 + 576]).is_ok());
        direction.cut = true;
        assert_eq!(direction.travel(at(0), &mut [0; 60]), Err(Lost::Cut));
    }
}
