//! Whether what was sent again was lost at all: the timestamps of Eifel (RFC 3522), duplicate selective acknowledgments
//! (RFC 2883), and F-RTO (RFC 5682). When it was not, the window is given back.

use std::time::Duration;

use host::Instant;
use wire::tcp::{SackBlocks, SeqNumber};

use super::Range;

/// Ranges sent again that are remembered; with more in one recovery, duplicates prove nothing.
const REMEMBERED: usize = 32;

/// The clock of timestamps ticks this often.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// How long F-RTO waits for new data to leave before it sends again what the timeout took for lost.
const PATIENCE: Duration = Duration::from_millis(5);

/// What speaks for and against the last reduction of the window.
#[derive(Clone, Debug, Default)]
pub(super) struct Doubt {
    episode: Option<Episode>,
}

#[derive(Clone, Debug)]
struct Episode {
    /// What had been sent when the loss was found.
    point: SeqNumber,
    /// Sent again, and not reported as having arrived twice.
    again: Vec<Range>,
    /// There were more than are remembered.
    overflow: bool,
    /// When something was sent again first.
    first: Option<Instant>,
    /// The first acknowledgment since has not come yet.
    fresh: bool,
    forward: Forward,
}

/// F-RTO's steps (RFC 5682 sections 2.1 and 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forward {
    /// Not applied, or decided.
    Off,
    /// The first range was sent again after the timeout, up to `end`.
    Waiting { end: SeqNumber },
    /// It was acknowledged; new data goes out, and the next acknowledgment decides.
    Probing { since: Instant, sent: u32 },
}

impl Doubt {
    /// Losses were found when everything up to `point` had been sent. `forward`: by a timeout, outside of recovery.
    pub(super) fn begin(&mut self, unacknowledged: SeqNumber, point: SeqNumber, forward: bool) {
        let forward = if forward { Forward::Waiting { end: unacknowledged } } else { Forward::Off };
        self.episode =
            Some(Episode { point, again: Vec::new(), overflow: false, first: None, fresh: true, forward });
    }

    /// Whether F-RTO has not decided about a timeout yet: another one of the same data begins it anew.
    pub(super) fn is_forward(&self) -> bool {
        self.episode.as_ref().is_some_and(|episode| episode.forward != Forward::Off)
    }

    /// `range` left again.
    pub(super) fn sent_again(&mut self, now: Instant, range: Range) {
        let Some(episode) = &mut self.episode else { return };
        episode.first.get_or_insert(now);
        if episode.again.len() < REMEMBERED {
            episode.again.push(range);
        } else {
            episode.overflow = true;
        }
        match &mut episode.forward {
            Forward::Waiting { end } => *end = end.later(range.end),
            forward => *forward = Forward::Off,
        }
    }

    /// `bytes` left for the first time.
    pub(super) fn sent_new(&mut self, bytes: u32) {
        if let Some(Episode { forward: Forward::Probing { sent, .. }, .. }) = &mut self.episode {
            *sent = sent.saturating_add(bytes);
        }
    }

    /// New data that F-RTO lets go in place of what the timeout took for lost: two segments.
    pub(super) fn new_data(&self, segment: u32) -> Option<u32> {
        match self.episode.as_ref()?.forward {
            Forward::Probing { sent, .. } => Some(segment.saturating_mul(2).saturating_sub(sent)),
            _ => None,
        }
    }

    /// When F-RTO has waited long enough for new data.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.episode.as_ref()?.forward {
            Forward::Probing { since, sent: 0 } => Some(since + PATIENCE),
            _ => None,
        }
    }

    /// There was no new data. Answers whether F-RTO was waiting for it.
    pub(super) fn give_up(&mut self, now: Instant) -> bool {
        let due = self.deadline().is_some_and(|deadline| deadline <= now);
        if due && let Some(episode) = &mut self.episode {
            episode.forward = Forward::Off;
        }
        due
    }

    /// `range` has arrived twice (RFC 2883). Answers whether now everything has that was sent again.
    pub(super) fn arrived_twice(&mut self, range: Range) -> bool {
        let Some(episode) = &mut self.episode else { return false };
        let before = episode.again.len();
        episode.again.retain(|again| again.start.is_before(range.start) || again.end.is_after(range.end));
        let all = before > 0 && episode.again.is_empty() && !episode.overflow;
        if all {
            self.episode = None;
        }
        all
    }

    /// An acknowledgment of `number` came. `highest` is the highest number that is acknowledged in any way, `more`
    /// whether there is new data to send. Answers whether it proves that the loss was none.
    pub(super) fn acknowledged(&mut self, now: Instant, ack: &Seen, more: bool) -> bool {
        let Some(episode) = &mut self.episode else { return false };
        let proven = episode.by_timestamp(now, ack) || episode.by_forward(now, ack, more);
        if proven {
            self.episode = None;
        }
        proven
    }
}

/// What the scoreboard made of an acknowledgment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) number: SeqNumber,
    pub(super) highest: SeqNumber,
    pub(super) echo: Option<Duration>,
    pub(super) progress: bool,
    pub(super) delivered: u32,
    pub(super) bare: bool,
}

impl Episode {
    /// The first acknowledgment of what was sent again, and only that, echoes a time before it was (RFC 3522).
    fn by_timestamp(&mut self, now: Instant, ack: &Seen) -> bool {
        let Some(first) = self.first.filter(|_| ack.progress && self.fresh) else { return false };
        self.fresh = false;
        self.again.len() == 1 && ack.echo.is_some_and(|echo| now - echo + TICK < first)
    }

    fn by_forward(&mut self, now: Instant, ack: &Seen, more: bool) -> bool {
        match self.forward {
            Forward::Waiting { end } if ack.progress => {
                let whole = !ack.number.is_before(end);
                let covered = !ack.number.is_before(self.point);
                self.forward = if whole && !covered && more {
                    Forward::Probing { since: now, sent: 0 }
                } else {
                    Forward::Off
                };
                false
            }
            Forward::Probing { .. } if ack.progress || ack.bare => {
                self.forward = Forward::Off;
                // It tells of data that left before the timeout only, and that was not sent again.
                ack.delivered > 0 && !ack.highest.is_after(self.point)
            }
            _ => false,
        }
    }
}

/// The range that arrived twice, as the first block tells (RFC 2883 section 4).
pub(super) fn duplicate(number: SeqNumber, blocks: &SackBlocks) -> Option<Range> {
    let blocks = blocks.as_slice();
    let first = blocks.first()?;
    if !first.start.is_before(first.end) {
        return None;
    }
    let within =
        |outer: &wire::tcp::SackBlock| !first.start.is_before(outer.start) && !first.end.is_after(outer.end);
    let twice = !first.end.is_after(number) || blocks.get(1).is_some_and(within);
    twice.then_some(Range { start: first.start, end: first.end })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::tcp::SackBlock;

    fn range(start: u32, end: u32) -> Range {
        Range { start: SeqNumber(start), end: SeqNumber(end) }
    }

    fn blocks(ranges: &[(u32, u32)]) -> SackBlocks {
        let mut blocks = SackBlocks::default();
        for &(start, end) in ranges {
            blocks.push(SackBlock { start: SeqNumber(start), end: SeqNumber(end) });
        }
        blocks
    }

    #[test]
    fn the_first_block_tells_of_duplicates_below_the_acknowledgment_or_within_the_second() {
        assert_eq!(duplicate(SeqNumber(4000), &blocks(&[(3000, 3500)])), Some(range(3000, 3500)));
        assert_eq!(
            duplicate(SeqNumber(4000), &blocks(&[(5000, 5500), (4500, 6000)])),
            Some(range(5000, 5500))
        );
        assert_eq!(duplicate(SeqNumber(4000), &blocks(&[(4500, 5000), (5500, 6000)])), None);
        assert_eq!(duplicate(SeqNumber(4000), &blocks(&[(3500, 3000)])), None);
    }

    #[test]
    fn duplicates_of_all_that_was_sent_again_prove_it_and_others_do_not() {
        let mut doubt = Doubt::default();
        doubt.begin(SeqNumber(0), SeqNumber(9000), false);
        doubt.sent_again(Instant::ORIGIN, range(0, 1000));
        doubt.sent_again(Instant::ORIGIN, range(3000, 4000));
        assert!(!doubt.arrived_twice(range(5000, 6000)));
        assert!(!doubt.arrived_twice(range(0, 1000)));
        assert!(!doubt.arrived_twice(range(0, 1000)));
        assert!(doubt.arrived_twice(range(3000, 4000)));
        assert!(!doubt.arrived_twice(range(3000, 4000)), "only once");
    }

    #[test]
    fn an_echo_from_before_it_was_sent_again_proves_it() {
        let millis = Duration::from_millis;
        let answer = |again: &[Range], age| {
            let mut doubt = Doubt::default();
            doubt.begin(SeqNumber(0), SeqNumber(9000), false);
            for &range in again {
                doubt.sent_again(Instant::ORIGIN + millis(100), range);
            }
            let seen = Seen {
                number: SeqNumber(1000),
                highest: SeqNumber(1000),
                echo: age,
                progress: true,
                delivered: 1000,
                bare: true,
            };
            let now = Instant::ORIGIN + millis(120);
            let proven = doubt.acknowledged(now, &seen, true);
            assert!(
                !doubt.acknowledged(now, &Seen { echo: Some(millis(100)), ..seen }, true),
                "the first decides"
            );
            proven
        };
        let one = [range(0, 1000)];
        assert!(answer(&one, Some(millis(60))));
        assert!(!answer(&one, Some(millis(20))), "it echoes the copy");
        assert!(!answer(&one, Some(millis(21))), "within a tick of the copy");
        assert!(!answer(&one, None));
        assert!(!answer(&[range(0, 1000), range(3000, 4000)], Some(millis(60))), "the other may be lost");
    }
}
