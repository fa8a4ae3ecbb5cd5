//! A link with both its directions, as a value.

use bytes::Bytes;
use host::Instant;

use super::Way;
use super::counters::Counters;
use super::direction::Direction;
use super::impairments::{Impairments, Lost};

/// Who may speak when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplex {
    /// Both ends at any time.
    #[default]
    Full,
}

/// A link with both its directions. Seen from one of its ends, [`Way::Out`] leads away and [`Way::In`] leads back.
pub struct Cable {
    out: Direction,
    back: Direction,
    duplex: Duplex,
}

impl Cable {
    /// A cable of two directions.
    pub fn new(duplex: Duplex, out: Direction, back: Direction) -> Self {
        Self { out, back, duplex }
    }

    /// Who may speak when.
    pub fn duplex(&self) -> Duplex {
        self.duplex
    }

    /// One of its directions, to look at.
    pub fn direction(&self, way: Way) -> &Direction {
        match way {
            Way::Out => &self.out,
            Way::In => &self.back,
        }
    }

    fn direction_mut(&mut self, way: Way) -> &mut Direction {
        match way {
            Way::Out => &mut self.out,
            Way::In => &mut self.back,
        }
    }

    /// What happens to frames one way.
    pub fn impairments(&self, way: Way) -> &Impairments {
        self.direction(way).impairments()
    }

    /// Changes what happens to frames one way: see [`Direction::set`].
    pub fn set(&mut self, way: Way, now: Instant, impairments: Impairments) {
        self.direction_mut(way).set(now, impairments);
    }

    /// Cuts one way, or heals it: see [`Direction::cut`].
    pub fn cut(&mut self, way: Way, cut: bool) {
        self.direction_mut(way).cut(cut);
    }

    /// A sender puts a frame onto the cable.
    pub fn offer(&mut self, way: Way, now: Instant, frame: Bytes) {
        self.direction_mut(way).offer(now, frame);
    }

    /// A frame that has arrived by now, in the order of arrival.
    pub fn poll_arrival(&mut self, way: Way, now: Instant) -> Option<Bytes> {
        self.direction_mut(way).poll_arrival(now)
    }

    /// A frame that was lost, and why: see [`Direction::poll_lost`].
    pub fn poll_lost(&mut self, way: Way) -> Option<(Bytes, Lost)> {
        self.direction_mut(way).poll_lost()
    }

    /// When something happens next, either way.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [&self.out, &self.back].into_iter().filter_map(Direction::poll_timeout).min()
    }

    /// Lets everything leave the queues whose turn came by now.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.out.handle_timeout(now);
        self.back.handle_timeout(now);
    }

    /// Frames, and bytes, that wait in a queue.
    pub fn queue(&self, way: Way) -> (usize, usize) {
        self.direction(way).queue()
    }

    /// What became of the frames of one way so far.
    pub fn counters(&self, way: Way) -> Counters {
        self.direction(way).counters()
    }
}
