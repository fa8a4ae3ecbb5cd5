//! What is behind the queue: the wire, with all that happens to frames on it.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use host::{Instant, Random};

use super::corruption::corrupt;
use super::counters::Books;
use super::impairments::{Framing, Impairments, Lost};
use super::loss::Dice;
use super::reordering::{Displaced, Shuffle};

/// Bytes that may be on the wire at a time; what comes on top is lost as if a queue were full.
const MOST_BYTES: usize = 256 << 20;

/// The wire of one direction, and the frames on it.
pub(super) struct Path {
    framing: Framing,
    loss: Dice,
    corruption: Random,
    jitter: Random,
    shuffle: Shuffle,
    duplication: Random,
    /// Frames on the wire by their arrival, those that arrive together in the order in which they set out.
    travelling: VecDeque<(Instant, Bytes)>,
    bytes: usize,
    /// When the last frame in order arrives.
    last: Instant,
}

impl Path {
    /// `stream` gives the random stream of a purpose: each impairment has its own, so that none moves another's draws.
    pub(super) fn new(framing: Framing, stream: &mut impl FnMut(&str) -> Random) -> Self {
        Self {
            framing,
            loss: Dice::new(stream("loss")),
            corruption: stream("corruption"),
            jitter: stream("jitter"),
            shuffle: Shuffle::new(stream("reordering")),
            duplication: stream("duplication"),
            travelling: VecDeque::new(),
            bytes: 0,
            last: Instant::ORIGIN,
        }
    }

    pub(super) const fn framing(&self) -> Framing {
        self.framing
    }

    /// A frame sets out, whose last bit leaves at `sent`.
    pub(super) fn launch(
        &mut self,
        sent: Instant,
        frame: Bytes,
        impairments: &Impairments,
        books: &mut Books,
    ) {
        if self.loss.lose(impairments.loss) {
            return books.lose(frame, Lost::Chance);
        }
        if self.bytes + frame.len() > MOST_BYTES {
            return books.lose(frame, Lost::Full);
        }
        let frame = if impairments.corruption.strikes(&mut self.corruption) {
            match corrupt(self.framing, frame, &mut self.corruption) {
                Ok(frame) => {
                    books.counters.corrupted += 1;
                    frame
                }
                Err(frame) => return books.lose(frame, Lost::Damaged),
            }
        } else {
            frame
        };
        let delay = impairments.jitter.vary(impairments.delay, &mut self.jitter);
        let arrival = match self.shuffle.displace(&impairments.reordering) {
            Some(displaced) => {
                books.counters.reordered += 1;
                match displaced {
                    Displaced::Held(by) => sent + delay + by,
                    Displaced::Ahead => sent + Duration::ZERO,
                }
            }
            None if impairments.jitter.reorders => sent + delay,
            None => {
                self.last = self.last.max(sent + delay);
                self.last
            }
        };
        if impairments.duplication.strikes(&mut self.duplication) {
            books.counters.duplicated += 1;
            self.insert(arrival, frame.clone());
        }
        self.insert(arrival, frame);
        books.counters.travelling = self.travelling.len() as u64;
    }

    /// Nearly all frames arrive in the order in which they set out, and the others not long before.
    fn insert(&mut self, arrival: Instant, frame: Bytes) {
        self.bytes += frame.len();
        match self.travelling.back() {
            Some(&(latest, _)) if arrival < latest => {
                let place = self.travelling.partition_point(|&(other, _)| other <= arrival);
                self.travelling.insert(place, (arrival, frame));
            }
            _ => self.travelling.push_back((arrival, frame)),
        }
    }

    /// When the next frame arrives.
    pub(super) fn next_arrival(&self) -> Option<Instant> {
        self.travelling.front().map(|&(arrival, _)| arrival)
    }

    /// The next frame that has arrived by `now`.
    pub(super) fn arrive(&mut self, now: Instant, books: &mut Books) -> Option<Bytes> {
        let (_, frame) = self.travelling.pop_front_if(|(arrival, _)| *arrival <= now)?;
        self.bytes -= frame.len();
        let counters = &mut books.counters;
        counters.travelling = self.travelling.len() as u64;
        counters.delivered += 1;
        counters.delivered_bytes += frame.len() as u64;
        Some(frame)
    }
}
