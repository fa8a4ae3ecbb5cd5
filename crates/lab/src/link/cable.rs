//! A link with both its directions, as a value.

use std::fmt;

use bytes::Bytes;
use host::Instant;

use super::Way;
use super::counters::Counters;
use super::direction::Direction;
use super::duplex::{Duplex, Medium};
use super::impairments::{Impairments, Lost};

/// A link with both its directions. Seen from one of its ends, [`Way::Out`] leads away and [`Way::In`] leads back.
pub struct Cable {
    out: Direction,
    back: Direction,
    mode: Mode,
}

enum Mode {
    Full,
    Half(Medium),
    Simplex(Way),
}

impl Cable {
    /// A cable of two directions.
    pub fn new(duplex: Duplex, out: Direction, back: Direction) -> Self {
        let mut cable = Self { out, back, mode: Mode::Full };
        cable.set_duplex(Instant::ORIGIN, duplex);
        cable
    }

    /// Changes who may speak when, from now on. A frame that waited for a shared medium to fall silent sets out at once.
    pub fn set_duplex(&mut self, now: Instant, duplex: Duplex) {
        if duplex == self.duplex() {
            return;
        }
        self.handle_timeout(now);
        let mode = match duplex {
            Duplex::Full => Mode::Full,
            Duplex::Half => Mode::Half(Medium::default()),
            Duplex::Simplex(way) => Mode::Simplex(way),
        };
        if let Mode::Half(medium) = std::mem::replace(&mut self.mode, mode) {
            medium.leave(now, [&mut self.out, &mut self.back]);
        }
        self.out.share(duplex == Duplex::Half);
        self.back.share(duplex == Duplex::Half);
        self.handle_timeout(now);
    }

    /// Who may speak when.
    pub const fn duplex(&self) -> Duplex {
        match self.mode {
            Mode::Full => Duplex::Full,
            Mode::Half(_) => Duplex::Half,
            Mode::Simplex(way) => Duplex::Simplex(way),
        }
    }

    /// One of its directions, to look at.
    pub const fn direction(&self, way: Way) -> &Direction {
        match way {
            Way::Out => &self.out,
            Way::In => &self.back,
        }
    }

    const fn direction_mut(&mut self, way: Way) -> &mut Direction {
        match way {
            Way::Out => &mut self.out,
            Way::In => &mut self.back,
        }
    }

    /// What happens to frames one way.
    pub const fn impairments(&self, way: Way) -> &Impairments {
        self.direction(way).impairments()
    }

    /// Changes what happens to frames one way: see [`Direction::set`].
    pub fn set(&mut self, way: Way, now: Instant, impairments: Impairments) {
        self.handle_timeout(now);
        self.direction_mut(way).set(now, impairments);
    }

    /// Cuts one way, or heals it: see [`Direction::cut`].
    pub const fn cut(&mut self, way: Way, cut: bool) {
        self.direction_mut(way).cut(cut);
    }

    /// A sender puts a frame onto the cable.
    pub fn offer(&mut self, way: Way, now: Instant, frame: Bytes) {
        self.handle_timeout(now);
        match self.mode {
            Mode::Simplex(only) if only != way => self.direction_mut(way).refuse(frame, Lost::OneWay),
            _ => self.direction_mut(way).offer(now, frame),
        }
        self.handle_timeout(now);
    }

    /// A frame that has arrived by now, in the order of arrival.
    pub fn poll_arrival(&mut self, way: Way, now: Instant) -> Option<Bytes> {
        self.handle_timeout(now);
        self.direction_mut(way).poll_arrival(now)
    }

    /// A frame that was lost, and why: see [`Direction::poll_lost`].
    pub fn poll_lost(&mut self, way: Way) -> Option<(Bytes, Lost)> {
        self.direction_mut(way).poll_lost()
    }

    /// When something happens next, either way.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let medium = match &self.mode {
            Mode::Half(medium) => medium.poll_timeout([&self.out, &self.back]),
            Mode::Full | Mode::Simplex(_) => None,
        };
        [medium, self.out.poll_timeout(), self.back.poll_timeout()].into_iter().flatten().min()
    }

    /// Lets everything happen that is due by now.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Self { out, back, mode } = self;
        match mode {
            Mode::Half(medium) => medium.handle_timeout(now, [out, back]),
            Mode::Full | Mode::Simplex(_) => {
                out.handle_timeout(now);
                back.handle_timeout(now);
            }
        }
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

impl fmt::Debug for Cable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Cable({}, out {:?}, in {:?})", self.duplex(), self.out, self.back)
    }
}
