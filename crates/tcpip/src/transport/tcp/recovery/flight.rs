//! What is on its way: each range that was sent and is not acknowledged yet, in order of sequence numbers.

use std::collections::VecDeque;
use std::time::Duration;

use host::Instant;
use wire::tcp::{SackBlocks, SeqNumber};

use super::Range;
use super::selections::Selections;

/// Ranges that are told apart. A peer that acknowledges in the smallest pieces gets no more; what is in between counts as
/// not received until it is acknowledged whole (CVE-2019-11478).
const RANGES: usize = 16_384;

/// Of four ranges, with three nothing new is sent: the last is room for the receiver's cuts.
const fn full(most: usize) -> usize {
    most / 4 * 3
}

/// Ranges that every connection has room for.
const FEW: usize = 32;

/// Bytes that a range takes.
const COST: usize = size_of::<Sent>() + size_of::<Range>();

/// Ranges that are looked at for one acknowledgment when looking for what was overtaken: the others have their turn a
/// little later. A peer could make us look at all of them each time (CVE-2019-11478).
pub(super) const LOOKS: usize = 1024;

/// When the others have their turn.
const LATER: Duration = Duration::from_millis(1);

/// The scoreboard.
#[derive(Debug)]
pub(super) struct Flight {
    /// Without gap from `unacknowledged` to `next`.
    sent: VecDeque<Sent>,
    unacknowledged: SeqNumber,
    next: SeqNumber,
    /// Bytes that are neither acknowledged, nor selected, nor lost.
    in_flight: u32,
    lost: usize,
    /// Nothing before this number is lost.
    searched: SeqNumber,
    /// Nothing before this number is in flight.
    flying: SeqNumber,
    selected: usize,
    selections: Selections,
    /// Where the last search for what was overtaken stopped short, and the earliest deadline that it had found.
    unsearched: Option<(SeqNumber, Option<Instant>)>,
    /// Ranges that were looked at.
    #[cfg(test)]
    pub(super) looks: u64,
    /// The delivered range that was sent last (RFC 8985 section 6.2, RACK.segment).
    latest: Option<Latest>,
    /// The highest number that was ever selected or acknowledged.
    highest: SeqNumber,
    saw_reordering: bool,
    smallest: Option<Duration>,
    sample: Option<Duration>,
    /// When the latest copy left of what was acknowledged last, if there were several.
    copied: Option<Instant>,
    /// Ranges that there is memory for.
    most: usize,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    range: Range,
    /// When it left last.
    at: Instant,
    /// It was sent more than once.
    again: bool,
    selected: bool,
    lost: bool,
}

#[derive(Clone, Copy, Debug)]
struct Latest {
    at: Instant,
    end: SeqNumber,
    round_trip: Duration,
}

impl Sent {
    fn is_in_flight(&self) -> bool {
        !self.selected && !self.lost
    }
}

impl Flight {
    pub(super) fn new(start: SeqNumber) -> Self {
        Self {
            sent: VecDeque::new(),
            unacknowledged: start,
            next: start,
            in_flight: 0,
            lost: 0,
            searched: start,
            flying: start,
            selected: 0,
            selections: Selections::default(),
            unsearched: None,
            #[cfg(test)]
            looks: 0,
            latest: None,
            highest: start,
            saw_reordering: false,
            smallest: None,
            sample: None,
            copied: None,
            most: RANGES,
        }
    }

    /// Bytes of memory held beyond those for [`FEW`] ranges.
    pub(super) fn memory(&self) -> usize {
        // Each may be a selection of its own.
        self.sent.capacity().saturating_sub(FEW) * COST
    }

    /// It may take `room` bytes of memory more.
    pub(super) fn set_room(&mut self, room: usize) {
        let capacity = self.sent.capacity().max(FEW);
        // It grows to twice as much at a time.
        let grows = room / COST >= capacity;
        self.most = if grows { RANGES } else { capacity.min(RANGES) };
    }

    pub(super) fn unacknowledged(&self) -> SeqNumber {
        self.unacknowledged
    }

    pub(super) fn next(&self) -> SeqNumber {
        self.next
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// Whether nothing new is to be sent until something is acknowledged.
    pub(super) fn is_full(&self) -> bool {
        self.sent.len() >= full(self.most)
    }

    /// The highest number that was ever acknowledged, selectively or not.
    pub(super) fn highest(&self) -> SeqNumber {
        self.highest
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(super) fn has_lost(&self) -> bool {
        self.lost > 0
    }

    pub(super) fn selected_segments(&self) -> usize {
        self.selected
    }

    pub(super) fn saw_reordering(&self) -> bool {
        self.saw_reordering
    }

    /// `range` has left: for the first time, or again.
    pub(super) fn sent(&mut self, now: Instant, range: Range) {
        let known_end = range.end.earlier(self.next);
        let known_start = range.start.later(self.unacknowledged);
        if known_start.is_before(known_end) {
            let first = self.split(known_start);
            let last = self.split(known_end);
            for sent in self.sent.range_mut(first..last) {
                if sent.lost {
                    sent.lost = false;
                    self.lost -= 1;
                    self.in_flight += sent.range.len();
                }
                sent.at = now;
                sent.again = true;
            }
            self.flying = self.flying.earlier(known_start);
            self.searched = self.first_marked().map_or(self.next, |sent| sent.range.start);
        }
        if range.end.is_after(self.next) {
            let range = Range { start: self.next, end: range.end };
            self.sent.push_back(Sent { range, at: now, again: false, selected: false, lost: false });
            self.in_flight += range.len();
            self.next = range.end;
        }
    }

    /// Everything before `number` has arrived. Answers how many bytes of it were not known to have.
    pub(super) fn acknowledge(&mut self, now: Instant, number: SeqNumber) -> u32 {
        if !number.is_after(self.unacknowledged) || number.is_after(self.next) {
            return 0;
        }
        let mut delivered = 0;
        self.copied = None;
        while let Some(first) = self.sent.front_mut() {
            if first.range.end.is_after(number) {
                if first.range.start.is_before(number) {
                    self.copied = self.copied.max(Some(first.at).filter(|_| first.again));
                    // A part of it: the rest stays as it is.
                    let part = number.since(first.range.start);
                    first.range.start = number;
                    if first.is_in_flight() {
                        self.in_flight -= part;
                    }
                    if !first.selected {
                        delivered += part;
                    }
                }
                break;
            }
            let Some(sent) = self.sent.pop_front() else { break };
            if sent.is_in_flight() {
                self.in_flight -= sent.range.len();
            }
            self.lost -= usize::from(sent.lost);
            self.selected -= usize::from(sent.selected);
            if !sent.selected {
                delivered += sent.range.len();
                self.copied = self.copied.max(Some(sent.at).filter(|_| sent.again));
                self.arrived(now, &sent);
            }
        }
        if self.sent.is_empty() && self.sent.capacity() > FEW {
            self.sent = VecDeque::new();
        }
        if self.copied.is_some() {
            // The others may have arrived long ago and waited for what was sent again.
            self.sample = None;
        }
        self.unacknowledged = number;
        self.selections.forget(number);
        delivered
    }

    /// The receiver has these ranges too. Answers how many bytes of them were not known to have arrived. Blocks that
    /// make no sense, or tell of what came twice (RFC 2883), are passed over, and so is what was told before.
    pub(super) fn select(&mut self, now: Instant, blocks: &SackBlocks) -> u32 {
        let mut delivered = 0;
        for block in blocks.as_slice() {
            let ours = self.next.since(self.unacknowledged);
            let (start, end) = (block.start.since(self.unacknowledged), block.end.since(self.unacknowledged));
            if start >= end || end > ours {
                continue;
            }
            let mut rest = Range { start: block.start, end: block.end };
            while let Some(gap) = self.selections.gap(rest) {
                delivered += self.select_gap(now, gap);
                rest.start = gap.end;
            }
        }
        delivered
    }

    /// As [`select`](Self::select), for ranges of which none was selected before.
    fn select_gap(&mut self, now: Instant, gap: Range) -> u32 {
        let (start, end) = (gap.start.since(self.unacknowledged), gap.end.since(self.unacknowledged));
        // Where there is no room for a cut, the part of a range counts as not received.
        let room = self.sent.len() + 2 <= self.most;
        let (first, last) = if room {
            (self.split(gap.start), self.split(gap.end))
        } else {
            let sent = &self.sent;
            let within = |sent: &Sent, offset| sent.range.end.since(self.unacknowledged) <= offset;
            let first = sent.partition_point(|sent| within(sent, start));
            let cut = sent.get(first).is_some_and(|sent| sent.range.start != gap.start);
            (first + usize::from(cut), sent.partition_point(|sent| within(sent, end)))
        };
        let mut delivered = 0;
        for at in first..last {
            self.look();
            let sent = &mut self.sent[at];
            if sent.lost {
                sent.lost = false;
                self.lost -= 1;
            } else {
                self.in_flight -= sent.range.len();
            }
            sent.selected = true;
            self.selected += 1;
            delivered += sent.range.len();
            let sent = *sent;
            self.arrived(now, &sent);
        }
        if first < last {
            let (start, end) = (self.sent[first].range.start, self.sent[last - 1].range.end);
            self.selections.insert(Range { start, end });
        }
        delivered
    }

    fn look(&mut self) {
        #[cfg(test)]
        {
            self.looks += 1;
        }
    }

    /// The time from sending to arrival of what arrived last, if it was sent only once (Karn).
    pub(super) fn take_sample(&mut self) -> Option<Duration> {
        self.sample.take()
    }

    /// When the latest copy left of what was acknowledged last, if it was sent more than once.
    pub(super) fn take_copied(&mut self) -> Option<Instant> {
        self.copied.take()
    }

    /// The first range that is to be sent again, at most `longest` bytes of it.
    pub(super) fn first_lost(&self, longest: u32) -> Option<Range> {
        if self.lost == 0 {
            return None;
        }
        let lost = self.first_marked()?.range;
        Some(Range { start: lost.start, end: lost.end.earlier(lost.start + longest.max(1)) })
    }

    /// The first that is marked as lost: looked for from where the last search ended.
    fn first_marked(&self) -> Option<&Sent> {
        self.sent.range(self.place(self.searched)..).find(|sent| sent.lost)
    }

    /// Which range has `number`, or the first when it is acknowledged.
    fn place(&self, number: SeqNumber) -> usize {
        let offset = number.later(self.unacknowledged).since(self.unacknowledged);
        self.sent.partition_point(|sent| sent.range.end.since(self.unacknowledged) <= offset)
    }

    /// The last `longest` bytes of what was sent last.
    pub(super) fn last(&self, longest: u32) -> Option<Range> {
        let last = self.sent.iter().rev().find(|sent| !sent.selected)?.range;
        Some(Range { start: last.end + last.len().min(longest.max(1)).wrapping_neg(), end: last.end })
    }

    /// The first range is lost. Answers its length, or zero when that was known.
    pub(super) fn lose_first(&mut self) -> u32 {
        match self.sent.front_mut() {
            Some(first) if first.is_in_flight() => {
                first.lost = true;
                self.searched = self.searched.earlier(first.range.start);
                self.lost += 1;
                self.in_flight -= first.range.len();
                first.range.len()
            }
            _ => 0,
        }
    }

    /// What was taken for lost is not.
    pub(super) fn lose_nothing(&mut self) {
        for sent in self.sent.iter_mut().filter(|sent| sent.lost) {
            sent.lost = false;
            self.in_flight += sent.range.len();
        }
        self.lost = 0;
        self.flying = self.unacknowledged;
        // What arrived latest may have been an original, not the copy that left later: it proves nothing.
        self.latest = None;
    }

    /// Everything is lost that is not known to have arrived; and as a receiver may throw away what it has not
    /// acknowledged (RFC 2018 section 8), the selections are forgotten if they begin with the first range.
    pub(super) fn lose_all(&mut self) {
        self.flying = self.unacknowledged;
        let reneged = self.sent.front().is_some_and(|first| first.selected);
        if reneged {
            self.selections.clear();
        }
        for sent in &mut self.sent {
            if reneged && sent.selected {
                sent.selected = false;
                self.selected -= 1;
                self.in_flight += sent.range.len();
            }
            if sent.is_in_flight() {
                sent.lost = true;
                self.searched = self.searched.earlier(sent.range.start);
                self.lost += 1;
                self.in_flight -= sent.range.len();
            }
        }
    }

    /// Ranges are lost that left before one that has arrived, when that is longer ago than a round trip and `window`
    /// (RFC 8985 section 6.2 step 5). Answers how many bytes, and when the next range would be.
    pub(super) fn lose_overtaken(&mut self, now: Instant, window: Duration) -> (u32, Option<Instant>) {
        let Some(latest) = self.latest else { return (0, None) };
        let unsearched = self.unsearched.take().filter(|(from, _)| from.is_after(self.unacknowledged));
        let resumes = unsearched.is_some();
        let (from, mut next) = unsearched.unwrap_or((self.flying, None));
        let (mut bytes, from) = (0, self.place(from));
        let mut flying = None;
        for (looks, at) in (from..self.sent.len()).enumerate() {
            let sent = &mut self.sent[at];
            if looks == LOOKS {
                self.unsearched = Some((sent.range.start, next));
                flying.get_or_insert(sent.range.start);
                next = Some(next.map_or(now + LATER, |next: Instant| next.min(now + LATER)));
                break;
            }
            let overtaken =
                sent.at < latest.at || sent.at == latest.at && sent.range.end.is_before(latest.end);
            if !sent.again && !overtaken {
                flying.get_or_insert(sent.range.start);
                break; // what follows was sent later still
            }
            if sent.is_in_flight() && !overtaken {
                flying.get_or_insert(sent.range.start);
            }
            if sent.is_in_flight() && overtaken {
                let deadline = sent.at + latest.round_trip + window;
                if deadline <= now {
                    sent.lost = true;
                    self.searched = self.searched.earlier(sent.range.start);
                    self.lost += 1;
                    self.in_flight -= sent.range.len();
                    bytes += sent.range.len();
                } else {
                    flying.get_or_insert(sent.range.start);
                    next = Some(next.map_or(deadline, |next: Instant| next.min(deadline)));
                }
            }
            self.look();
        }
        if !resumes {
            self.flying = flying.unwrap_or(self.next);
        }
        (bytes, next)
    }

    /// A range is known to have arrived now.
    fn arrived(&mut self, now: Instant, sent: &Sent) {
        let round_trip = now.since(sent.at);
        if sent.again && self.smallest.is_some_and(|smallest| round_trip < smallest) {
            return; // it was an earlier copy that arrived
        }
        if !sent.again {
            self.sample = Some(round_trip);
            self.smallest = Some(self.smallest.map_or(round_trip, |smallest| smallest.min(round_trip)));
            self.saw_reordering |= sent.range.end.is_before(self.highest);
        }
        self.highest = self.highest.later(sent.range.end);
        let later = self.latest.is_none_or(|latest| {
            sent.at > latest.at || sent.at == latest.at && sent.range.end.is_after(latest.end)
        });
        if later {
            self.latest = Some(Latest { at: sent.at, end: sent.range.end, round_trip });
        }
    }

    /// Makes a range begin at `number`, and answers its place.
    fn split(&mut self, number: SeqNumber) -> usize {
        let offset = number.since(self.unacknowledged);
        let start = self.unacknowledged;
        let at = self.sent.partition_point(|sent| sent.range.end.since(start) <= offset);
        let Some(sent) = self.sent.get_mut(at) else { return at };
        if sent.range.start == number {
            return at;
        }
        let mut rest = *sent;
        sent.range.end = number;
        rest.range.start = number;
        self.lost += usize::from(rest.lost);
        self.selected += usize::from(rest.selected);
        self.sent.insert(at + 1, rest);
        at + 1
    }

    #[cfg(test)]
    pub(super) fn ranges(&self) -> usize {
        self.sent.len()
    }

    /// Whether the counts are those of the ranges, and these have no gaps.
    #[cfg(test)]
    pub(super) fn is_consistent(&self) -> bool {
        let count = |is: fn(&Sent) -> bool| self.sent.iter().filter(|sent| is(sent)).count();
        let in_flight =
            self.sent.iter().filter(|sent| sent.is_in_flight()).map(|sent| sent.range.len()).sum::<u32>();
        let mut end = self.unacknowledged;
        let gapless =
            self.sent.iter().all(|sent| std::mem::replace(&mut end, sent.range.end) == sent.range.start);
        gapless
            && end == self.next
            && in_flight == self.in_flight
            && count(|sent| sent.lost) == self.lost
            && count(|sent| sent.selected) == self.selected
            && count(|sent| sent.lost && sent.selected) == 0
            && self.sent.range(..self.place(self.flying)).all(|sent| !sent.is_in_flight())
            && self.sent.iter().find(|sent| sent.lost).map(|sent| sent.range)
                == self.first_marked().map(|sent| sent.range)
    }
}
