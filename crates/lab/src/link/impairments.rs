//! What a direction of a link does to the frames that travel it, as a plain value.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use wire::ethernet::EtherType;

use super::jitter::Jitter;
use super::loss::Loss;
use super::queue::Discipline;
use super::reordering::Reordering;
use super::schedule::Schedule;
use crate::units::{Chance, Delay, Rate, Size};

/// What happens to frames in one direction. The default does nothing to them.
///
/// A frame meets them in this order: the [`mtu`](Self::mtu); the [`queue`](Self::queue), where it waits for its turn on a
/// wire that has a [`rate`](Self::rate) or a [`schedule`](Self::schedule); then, on the wire, [`loss`](Self::loss),
/// [`corruption`](Self::corruption), [`delay`](Self::delay) with [`jitter`](Self::jitter),
/// [`reordering`](Self::reordering), [`duplication`](Self::duplication). A frame that is lost on the wire has had its turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Impairments {
    /// How fast frames leave; `None` is at once. The bytes of a frame as it is captured count, headers too.
    pub rate: Option<Rate>,
    /// Where frames wait for their turn, and which of them are given up.
    pub queue: Discipline,
    /// How long a frame travels, one way.
    pub delay: Duration,
    /// How the delay varies.
    pub jitter: Jitter,
    /// Which frames are lost.
    pub loss: Loss,
    /// A frame arrives twice.
    pub duplication: Chance,
    /// Which frames come out of order.
    pub reordering: Reordering,
    /// One bit of a frame is flipped, where a checksum of its IP packet must catch it. A frame without such a checksum
    /// (ARP) is lost instead, as its frame check sequence would have it.
    pub corruption: Chance,
    /// Longer IP packets are lost without a word, in bytes; `None` is without bound.
    pub mtu: Option<u16>,
    /// When the link works at all; `None` is always.
    pub schedule: Option<Schedule>,
}

impl Display for Impairments {
    /// What is not the default, as it is written elsewhere; `none` when there is nothing.
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self { rate, queue, delay, jitter, loss, duplication, reordering, corruption, mtu, schedule } =
            self;
        let usual = Self::default();
        let mut parts = Vec::new();
        let mut tell = |name: &str, value: &dyn Display| parts.push(format!("{name} {value}"));
        if let Some(rate) = rate {
            tell("rate", rate);
        }
        if rate.is_some() || schedule.is_some() || *queue != usual.queue {
            tell("queue", queue);
        }
        if *delay != usual.delay {
            tell("delay", &Delay::from(*delay));
        }
        if *jitter != usual.jitter {
            tell("jitter", jitter);
        }
        if *loss != usual.loss {
            tell("loss", loss);
        }
        if *duplication != usual.duplication {
            tell("duplication", duplication);
        }
        if reordering.chance != Chance::NEVER {
            tell("reordering", reordering);
        }
        if *corruption != usual.corruption {
            tell("corruption", corruption);
        }
        if let Some(mtu) = mtu {
            tell("mtu", &Size::bytes(u64::from(*mtu)));
        }
        if let Some(schedule) = schedule {
            tell("schedule", schedule);
        }
        formatter.write_str(if parts.is_empty() { "none" } else { "" })?;
        formatter.write_str(&parts.join(", "))
    }
}

/// What the frames of a link are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// Ethernet frames, without their frame check sequence.
    #[default]
    Ethernet,
    /// Bare IP packets.
    Ip,
}

impl Framing {
    /// Bytes before the IP packet, which no MTU counts.
    pub(super) const fn header(self) -> usize {
        match self {
            Self::Ethernet => wire::ethernet::Header::LEN,
            Self::Ip => 0,
        }
    }

    /// Where in `frame` its IP packet begins; `None` when it carries none.
    pub(super) fn packet_offset(self, frame: &[u8]) -> Option<usize> {
        match self {
            Self::Ip => Some(0),
            Self::Ethernet => {
                let (header, _) = wire::ethernet::Header::parse(frame).ok()?;
                let is_ip = matches!(header.ether_type, EtherType::IPV4 | EtherType::IPV6);
                is_ip.then_some(self.header())
            }
        }
    }
}

/// Why a frame did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    /// By chance.
    Chance,
    /// It found the queue full, or made room for others that did.
    Full,
    /// The link is cut.
    Cut,
    /// It was too long.
    TooLong,
    /// The queue gave it up, because frames waited too long (CoDel).
    Stale,
    /// It was damaged, and carried nothing by which its receiver could have told.
    Damaged,
    /// The link was off by its schedule.
    Off,
    /// The link carries nothing in this direction (simplex).
    OneWay,
    /// It collided too often (half-duplex).
    Collisions,
    /// Its flow is silenced.
    Silenced,
}

impl fmt::Display for Lost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Chance => "by chance",
            Self::Full => "the queue was full",
            Self::Cut => "the link is cut",
            Self::TooLong => "too long for the link",
            Self::Stale => "waited too long in the queue",
            Self::Damaged => "damaged",
            Self::Off => "the link is off",
            Self::OneWay => "nothing goes this way",
            Self::Collisions => "collided too often",
            Self::Silenced => "its flow is silenced",
        })
    }
}

impl Lost {
    /// All causes.
    pub const ALL: [Self; 10] = [
        Self::Chance,
        Self::Full,
        Self::Cut,
        Self::TooLong,
        Self::Stale,
        Self::Damaged,
        Self::Off,
        Self::OneWay,
        Self::Collisions,
        Self::Silenced,
    ];
}
