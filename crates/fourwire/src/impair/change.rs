//! What is to be different about a direction: as flags, as keys of a file, and as JSON. One list of impairments for all.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::time::Duration;

use lab::units::{Chance, Delay, Rate};
use lab::{Discipline, Displaced, Impairments, Jitter, Loss, Reordering, Schedule};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What is to be different; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Change {
    #[serde(deserialize_with = "read", serialize_with = "write", skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<Rate>,
    #[serde(deserialize_with = "read", serialize_with = "write", skip_serializing_if = "Option::is_none")]
    pub(crate) queue: Option<Discipline>,
    #[serde(deserialize_with = "read", serialize_with = "write", skip_serializing_if = "Option::is_none")]
    pub(crate) delay: Option<Delay>,
    #[serde(deserialize_with = "read", serialize_with = "write", skip_serializing_if = "Option::is_none")]
    pub(crate) jitter: Option<Jitter>,
    #[serde(deserialize_with = "read", serialize_with = "write", skip_serializing_if = "Option::is_none")]
    pub(crate) loss: Option<Loss>,
    #[serde(deserialize_with = "read", serialize_with = "write", skip_serializing_if = "Option::is_none")]
    pub(crate) duplicate: Option<Chance>,
    #[serde(deserialize_with = "read", serialize_with = "write", skip_serializing_if = "Option::is_none")]
    pub(crate) reorder: Option<Reorder>,
    #[serde(deserialize_with = "read", serialize_with = "write", skip_serializing_if = "Option::is_none")]
    pub(crate) corrupt: Option<Chance>,
    #[serde(deserialize_with = "read", serialize_with = "write", skip_serializing_if = "Option::is_none")]
    pub(crate) black_hole: Option<BlackHole>,
    #[serde(deserialize_with = "read", serialize_with = "write", skip_serializing_if = "Option::is_none")]
    pub(crate) schedule: Option<OnOff>,
}

impl Change {
    /// Makes it so.
    pub(crate) fn apply(&self, to: &mut Impairments) {
        let Self { rate, queue, delay, jitter, loss, duplicate, reorder, corrupt, black_hole, schedule } =
            *self;
        to.rate = rate.or(to.rate);
        to.queue = queue.unwrap_or(to.queue);
        to.delay = delay.map_or(to.delay, Duration::from);
        to.jitter = jitter.unwrap_or(to.jitter);
        to.loss = loss.unwrap_or(to.loss);
        to.duplication = duplicate.unwrap_or(to.duplication);
        to.reordering = reorder.map_or(to.reordering, |reorder| reorder.0);
        to.corruption = corrupt.unwrap_or(to.corruption);
        to.mtu = black_hole.map_or(to.mtu, |black_hole| black_hole.0);
        to.schedule = schedule.map_or(to.schedule, |schedule| schedule.0);
    }

    /// This, and where it says nothing, `other`.
    pub(crate) fn or(self, other: &Self) -> Self {
        Self {
            rate: self.rate.or(other.rate),
            queue: self.queue.or(other.queue),
            delay: self.delay.or(other.delay),
            jitter: self.jitter.or(other.jitter),
            loss: self.loss.or(other.loss),
            duplicate: self.duplicate.or(other.duplicate),
            reorder: self.reorder.or(other.reorder),
            corrupt: self.corrupt.or(other.corrupt),
            black_hole: self.black_hole.or(other.black_hole),
            schedule: self.schedule.or(other.schedule),
        }
    }
}

/// Which frames come out of order. Written `1%`, `1% 25ms`, `1% ahead`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reorder(pub(crate) Reordering);

impl FromStr for Reorder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (chance, how) = text.split_once(' ').unwrap_or((text, ""));
        let how = match how.trim() {
            "" => Displaced::default(),
            "ahead" => Displaced::Ahead,
            held => Displaced::Held(held.parse::<Delay>().map_err(said)?.into()),
        };
        Ok(Self(Reordering { chance: chance.parse().map_err(said)?, gap: 0, how }))
    }
}

impl Display for Reorder {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self.0.how {
            Displaced::Held(by) => write!(formatter, "{} {}", self.0.chance, Delay::from(by)),
            Displaced::Ahead => write!(formatter, "{} ahead", self.0.chance),
        }
    }
}

/// From which length on packets vanish, in bytes of IP. Written as the longest that passes, or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlackHole(pub(crate) Option<u16>);

impl FromStr for BlackHole {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let bytes = text.strip_suffix('B').unwrap_or(text).parse().ok().filter(|&bytes: &u16| bytes >= 68);
        bytes.map(|bytes| Self(Some(bytes))).ok_or_else(|| {
            format!("{text:?} is no length of a packet: write one from 68B to 65535B, such as 1400B, or none")
        })
    }
}

impl Display for BlackHole {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => write!(formatter, "{bytes}B"),
            None => formatter.write_str("none"),
        }
    }
}

/// When the link works. Written `5s on 1s off`, `5s on 1s waiting`, or `always`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OnOff(pub(crate) Option<Schedule>);

impl FromStr for OnOff {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<_> = text.split_whitespace().collect();
        let (on, off, waits) = match words[..] {
            ["always"] => return Ok(Self(None)),
            [on, "on", off, "off"] => (on, off, false),
            [on, "on", off, "waiting"] => (on, off, true),
            _ => {
                let form = "`5s on 1s off` (frames are lost meanwhile), `5s on 1s waiting` or `always`";
                return Err(format!("{text:?} is no schedule: write {form}"));
            }
        };
        let duration = |text: &str| text.parse::<Delay>().map(Duration::from).map_err(said);
        Ok(Self(Some(Schedule { on: duration(on)?, off: duration(off)?, from: Duration::ZERO, waits })))
    }
}

impl Display for OnOff {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Some(Schedule { on, off, waits, .. }) = self.0 else { return formatter.write_str("always") };
        let what = if waits { "waiting" } else { "off" };
        write!(formatter, "{} on {} {what}", Delay::from(on), Delay::from(off))
    }
}

fn said(error: impl Display) -> String {
    error.to_string()
}

/// A value in the text form that the command line has.
fn read<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(from: D) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

fn write<S: Serializer, T: Display>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => to.collect_str(value),
        None => to.serialize_none(),
    }
}

/// The flags of one direction, or of both.
macro_rules! flags {
    ($name:ident, $flag:literal, $variable:literal, $where:literal) => {
        #[derive(Clone, Debug, Default, clap::Args)]
        #[group(skip)]
        pub(crate) struct $name {
            #[arg(
                long = concat!($flag, "loss"), id = concat!($flag, "loss"),
                env = concat!("FOURWIRE_IMPAIR_", $variable, "LOSS"), value_name = "LOSS",
                help = concat!("Lose packets", $where, ": `3%`, or in bursts `gemodel P R`, such as `gemodel 1% 10%`")
            )]
            loss: Option<Loss>,
            #[arg(
                long = concat!($flag, "delay"), id = concat!($flag, "delay"),
                env = concat!("FOURWIRE_IMPAIR_", $variable, "DELAY"), value_name = "TIME",
                help = concat!("Let packets travel so long, one way", $where, ", such as `40ms`")
            )]
            delay: Option<Delay>,
            #[arg(
                long = concat!($flag, "jitter"), id = concat!($flag, "jitter"),
                env = concat!("FOURWIRE_IMPAIR_", $variable, "JITTER"), value_name = "TIME",
                help = concat!(
                    "Vary the delay", $where,
                    ": `5ms`, with a distribution `5ms normal` (uniform, normal, pareto, paretonormal)"
                )
            )]
            jitter: Option<Jitter>,
            #[arg(
                long = concat!($flag, "rate"), id = concat!($flag, "rate"),
                env = concat!("FOURWIRE_IMPAIR_", $variable, "RATE"), value_name = "RATE",
                help = concat!("Let so many bits a second pass", $where, ", such as `20Mbit`")
            )]
            rate: Option<Rate>,
            #[arg(
                long = concat!($flag, "queue"), id = concat!($flag, "queue"),
                env = concat!("FOURWIRE_IMPAIR_", $variable, "QUEUE"), value_name = "QUEUE",
                help = concat!("Where packets wait for the rate", $where, ": so many bytes `256KiB`, packets `25p`, `codel` or `fq_codel`")
            )]
            queue: Option<Discipline>,
            #[arg(
                long = concat!($flag, "duplicate"), id = concat!($flag, "duplicate"),
                env = concat!("FOURWIRE_IMPAIR_", $variable, "DUPLICATE"), value_name = "CHANCE",
                help = concat!("Let packets arrive twice", $where, ", such as `1%`")
            )]
            duplicate: Option<Chance>,
            #[arg(
                long = concat!($flag, "reorder"), id = concat!($flag, "reorder"),
                env = concat!("FOURWIRE_IMPAIR_", $variable, "REORDER"), value_name = "CHANCE",
                help = concat!("Let packets come out of order", $where, ": `1%`, `1% 25ms` for how late, `1% ahead`")
            )]
            reorder: Option<Reorder>,
            #[arg(
                long = concat!($flag, "corrupt"), id = concat!($flag, "corrupt"),
                env = concat!("FOURWIRE_IMPAIR_", $variable, "CORRUPT"), value_name = "CHANCE",
                help = concat!("Flip a bit of packets", $where, ", which a checksum then catches, such as `1%`")
            )]
            corrupt: Option<Chance>,
            #[arg(
                long = concat!($flag, "black-hole"), id = concat!($flag, "black-hole"),
                env = concat!("FOURWIRE_IMPAIR_", $variable, "BLACK_HOLE"), value_name = "BYTES",
                help = concat!("Lose without a word what is longer", $where, ", such as `1400B`")
            )]
            black_hole: Option<BlackHole>,
            #[arg(
                long = concat!($flag, "schedule"), id = concat!($flag, "schedule"),
                env = concat!("FOURWIRE_IMPAIR_", $variable, "SCHEDULE"), value_name = "SCHEDULE",
                help = concat!(
                    "When packets pass at all", $where,
                    ": `5s on 1s off`, or `5s on 1s waiting` for a queue in place of loss"
                )
            )]
            schedule: Option<OnOff>,
        }

        impl From<$name> for Change {
            fn from(flags: $name) -> Self {
                let $name {
                    loss, delay, jitter, rate, queue, duplicate, reorder, corrupt, black_hole, schedule,
                } = flags;
                Self { rate, queue, delay, jitter, loss, duplicate, reorder, corrupt, black_hole, schedule }
            }
        }
    };
}

flags!(Both, "", "", "");
flags!(Up, "up-", "UP_", " on their way to the target");
flags!(Down, "down-", "DOWN_", " on their way back");

/// The flags of both directions and of each.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub(crate) struct Flags {
    #[command(flatten, next_help_heading = "Impairments of both directions")]
    both: Both,
    #[command(flatten, next_help_heading = "Impairments towards the target only")]
    up: Up,
    #[command(flatten, next_help_heading = "Impairments of the way back only")]
    down: Down,
}

impl Flags {
    /// What is said of both directions, of the way to the target, and of the way back.
    pub(crate) fn changes(self) -> [Change; 3] {
        [self.both.into(), self.up.into(), self.down.into()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_stays() {
        let mut impairments = Impairments { delay: Duration::from_millis(7), ..Impairments::default() };
        Change { loss: Some("3%".parse().unwrap()), ..Change::default() }.apply(&mut impairments);
        assert_eq!(impairments.delay, Duration::from_millis(7));
        assert_eq!(impairments.loss, Loss::Independent(Chance::percent(3)));
    }

    #[test]
    fn the_words_of_the_command_line_are_those_of_a_file() {
        let change: Change =
            toml::from_str("loss = 'gemodel 1% 10%'\nreorder = '1% 25ms'\nschedule = '5s on 1s off'")
                .unwrap();
        assert_eq!(change.reorder.unwrap().0.how, Displaced::Held(Duration::from_millis(25)));
        assert_eq!(change.schedule.unwrap().0.unwrap().off, Duration::from_secs(1));
        let again: Change = toml::from_str(&toml::to_string(&change).unwrap()).unwrap();
        assert_eq!(again, change);
        for wrong in ["loss = '3'", "los = '3%'", "black_hole = '40B'", "schedule = '5s'", "delay = 40"] {
            assert!(toml::from_str::<Change>(wrong).is_err(), "{wrong}");
        }
    }
}
