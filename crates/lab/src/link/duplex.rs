//! Who may speak when, on a link with two ends.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use host::Instant;

use super::direction::Direction;
use super::impairments::Lost;
use crate::link::Way;
use crate::units::UnitError;

/// Who may speak when. Written `full`, `half`, `simplex out` or `simplex in`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplex {
    /// Both ends at any time.
    #[default]
    Full,
    /// One at a time, by listening before speaking and while speaking (CSMA/CD, IEEE 802.3 clause 4): who hears the other
    /// waits; two that begin before they hear each other collide, and each tries again after a random number of slot
    /// times whose range doubles with each attempt. A frame that has collided sixteen times is lost.
    ///
    /// All times follow from the rate: a slot is 512 bits long (4,096 from 1 Gbit/s on), the gap between frames 96 bits, a
    /// jam 32, and a shorter frame takes a whole slot. Without a rate speaking takes no time, and nobody is in the way. Of
    /// the delay, half a slot at most lies between the two; the rest is what comes behind.
    Half,
    /// This way only.
    Simplex(Way),
}

impl FromStr for Duplex {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        match text.trim() {
            "full" => Ok(Self::Full),
            "half" => Ok(Self::Half),
            "simplex out" => Ok(Self::Simplex(Way::Out)),
            "simplex in" => Ok(Self::Simplex(Way::In)),
            _ => Err(UnitError::form(text, "full, half, simplex out or simplex in")),
        }
    }
}

impl Display for Duplex {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Full => "full",
            Self::Half => "half",
            Self::Simplex(Way::Out) => "simplex out",
            Self::Simplex(Way::In) => "simplex in",
        })
    }
}

/// Attempts after which a frame is lost (attemptLimit).
const ATTEMPTS: u32 = 16;

/// Attempts after which the range of the back-off grows no more (backoffLimit).
const BACK_OFF: u32 = 10;

/// Bits between frames (interFrameSpacing), and of a jam (jamSize).
const GAP: u64 = 96;
const JAM: u64 = 32;

/// The one medium of a half-duplex link.
#[derive(Default)]
pub(super) struct Medium {
    stations: [Station; 2],
}

#[derive(Default)]
struct Station {
    /// The frame that it wants to get through.
    frame: Option<Bytes>,
    /// How often that has collided.
    attempts: u32,
    /// It keeps silent until then: for the gap after its own frame, or because it backs off.
    silent: Instant,
    /// Until when it hears what the other has said.
    hears: Option<Instant>,
    speaking: Option<Speech>,
}

#[derive(Clone, Copy)]
struct Speech {
    from: Instant,
    until: Instant,
}

/// What a station does next. What ends comes before what begins at the same time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    End,
    Begin,
}

impl Medium {
    /// When something happens next on the medium.
    pub(super) fn poll_timeout(&self, directions: [&Direction; 2]) -> Option<Instant> {
        self.next(directions).map(|(at, ..)| at)
    }

    /// Lets everything happen that is due by `now`.
    pub(super) fn handle_timeout(&mut self, now: Instant, mut directions: [&mut Direction; 2]) {
        while let Some((at, act, who)) = self.next([&*directions[0], &*directions[1]])
            && at <= now
        {
            match act {
                Act::End => self.end(at, who, &mut directions),
                Act::Begin => self.begin(at, who, &mut directions),
            }
            for (station, direction) in self.stations.iter().zip(&mut directions) {
                direction.hold(usize::from(station.frame.is_some()));
            }
        }
    }

    /// The medium is no more: what a station had taken from its queue sets out.
    pub(super) fn leave(self, now: Instant, directions: [&mut Direction; 2]) {
        for (station, direction) in self.stations.into_iter().zip(directions) {
            direction.hold(0);
            if let Some(frame) = station.frame {
                direction.launch(now, frame);
            }
        }
    }

    fn next(&self, directions: [&Direction; 2]) -> Option<(Instant, Act, usize)> {
        [0, 1].into_iter().filter_map(|who| self.next_of(who, directions)).min()
    }

    fn next_of(&self, who: usize, directions: [&Direction; 2]) -> Option<(Instant, Act, usize)> {
        let (station, other) = (&self.stations[who], &self.stations[1 - who]);
        if let Some(speech) = station.speaking {
            return Some((speech.until, Act::End, who));
        }
        let waits = if station.frame.is_some() { Some(station.silent) } else { directions[who].ready() };
        let times = [Times::of(directions, 0), Times::of(directions, 1)];
        let heard = station.hears.map_or(Instant::ORIGIN, |until| until + times[who].gap);
        let begins = directions[who].next_on(waits?.max(station.silent).max(heard));
        // Who hears the other waits until it has ended, and then looks again.
        let hears = other.speaking.is_some_and(|speech| speech.from + times[1 - who].reach < begins);
        (!hears).then_some((begins, Act::Begin, who))
    }

    /// A station begins to speak at `at`.
    fn begin(&mut self, at: Instant, who: usize, directions: &mut [&mut Direction; 2]) {
        let station = &mut self.stations[who];
        if station.frame.is_none() {
            station.frame = directions[who].take(at);
        }
        let Some(frame) = &station.frame else { return };
        let times = Times::of([&*directions[0], &*directions[1]], who);
        let until = at + directions[who].time_for(frame.len()).max(times.slot);
        station.speaking = Some(Speech { from: at, until });
        if let Some(other) = self.stations[1 - who].speaking {
            self.collide(at, who, other, directions);
        }
    }

    /// A station began at `at`, before it heard that the other speaks.
    fn collide(&mut self, at: Instant, who: usize, other: Speech, directions: &mut [&mut Direction; 2]) {
        let times = [0, 1].map(|who| Times::of([&*directions[0], &*directions[1]], who));
        let mut noticed = [at; 2];
        noticed[who] = at.max(other.from + times[1 - who].reach);
        noticed[1 - who] = at + times[who].reach;
        for who in [0, 1] {
            let Times { slot, jam, reach, .. } = times[who];
            let stops = noticed[who] + jam;
            self.stations[1 - who].hears = Some(stops + reach);
            let station = &mut self.stations[who];
            station.speaking = None;
            station.attempts += 1;
            station.silent = stops;
            let slots = directions[who].collide(1 << station.attempts.min(BACK_OFF));
            if station.attempts < ATTEMPTS {
                station.silent += Duration::from_nanos((slot.as_nanos() as u64).saturating_mul(slots));
                continue;
            }
            station.attempts = 0;
            if let Some(frame) = station.frame.take() {
                directions[who].lose(frame, Lost::Collisions);
            }
        }
    }

    /// A station has spoken to the end: its frame is through.
    fn end(&mut self, at: Instant, who: usize, directions: &mut [&mut Direction; 2]) {
        let times = Times::of([&*directions[0], &*directions[1]], who);
        self.stations[1 - who].hears = Some(at + times.reach);
        let station = &mut self.stations[who];
        station.speaking = None;
        station.attempts = 0;
        station.silent = at + times.gap;
        if let Some(frame) = station.frame.take() {
            directions[who].launch(at, frame);
        }
    }
}

/// How long things take for one station.
#[derive(Clone, Copy)]
struct Times {
    slot: Duration,
    gap: Duration,
    jam: Duration,
    /// Until the other hears it.
    reach: Duration,
}

impl Times {
    fn of(directions: [&Direction; 2], who: usize) -> Self {
        let rate = directions[who].impairments().rate;
        let time = |bits| rate.map_or(Duration::ZERO, |rate| rate.time_for(bits));
        let slot = |direction: &Direction| {
            let rate = direction.impairments().rate;
            rate.map_or(Duration::ZERO, |rate| {
                rate.time_for(if rate.bits() < 1_000_000_000 { 512 } else { 4_096 })
            })
        };
        let shorter = directions.map(slot).into_iter().min().unwrap_or_default();
        let reach = directions[who].impairments().delay.min(shorter / 2);
        Self { slot: slot(directions[who]), gap: time(GAP), jam: time(JAM), reach }
    }
}
