//! Links, and what they do to the frames on them.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use super::text::Read;
use crate::link::{Discipline, Displaced, Impairments, Jitter, Loss, Preset, Reordering, Schedule};
use crate::units::{Chance, Delay, Rate, Size, UnitError};

/// A link: an Ethernet segment for any number of nodes. What it does to frames counts one way, in each direction.
///
/// In a file its impairments stand beside its other keys, and a key such as `"r1>r2"` holds those of one direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Link {
    /// What kind of link.
    pub kind: LinkKind,
    /// The addresses of its network, as `10.1.0.0/24`; without it one is chosen.
    pub subnet: Option<String>,
    /// The longest IP packet. 1500 bytes.
    pub mtu: Option<Size>,
    /// Who may speak when.
    pub duplex: Duplex,
    /// What it does to frames, before what is said beside: a link that people know, such as `3g`.
    pub preset: Option<Preset>,
    /// The node at the person's end of the preset, where its two directions differ.
    pub person: Option<String>,
    /// What it does to frames in each direction.
    pub both: Change,
    /// What it does to frames from one node to another (`"a>b"`) instead.
    pub toward: BTreeMap<String, Change>,
}

/// What kind of link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkKind {
    /// Ethernet.
    #[default]
    Ethernet,
}

/// Who may speak when on a link. Written `full`, `half`, or `a>b` where only `a` speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Duplex {
    /// All at any time.
    #[default]
    Full,
    /// One of two at a time: carrier sense, collisions, back-off.
    Half,
    /// One direction only.
    Simplex(String),
}

impl FromStr for Duplex {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        match text {
            "full" => Ok(Self::Full),
            "half" => Ok(Self::Half),
            way if way.contains('>') => Ok(Self::Simplex(way.to_owned())),
            _ => Err(UnitError::form(text, "\"full\", \"half\", or \"a>b\" where only a speaks")),
        }
    }
}

impl Display for Duplex {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Full => "full",
            Self::Half => "half",
            Self::Simplex(way) => way,
        })
    }
}

/// Declares what can be changed about a direction, once for reading, writing and doing it.
macro_rules! changes {
    ($($(#[$about:meta])* $field:ident: $type:ty,)*) => {
        /// What is different about a direction of a link. What is left out stays as it is.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Change {
            $($(#[$about])* pub $field: Option<$type>,)*
        }

        impl Change {
            /// The keys of a file.
            pub(super) const FIELDS: &[&str] = &[$(stringify!($field)),*];

            /// Reads the value of `key` when it is one of ours.
            pub(super) fn read<'de, A: MapAccess<'de>>(
                &mut self,
                key: &str,
                map: &mut A,
            ) -> Result<bool, A::Error> {
                match key {
                    $(stringify!($field) => self.$field = Some(map.next_value::<Read<$type>>()?.0),)*
                    _ => return Ok(false),
                }
                Ok(true)
            }

            /// Writes what is there.
            pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
                $(if let Some(value) = &self.$field {
                    map.serialize_entry(stringify!($field), &value.to_string())?;
                })*
                Ok(())
            }

            /// Says what `other` says too, which wins.
            pub(super) fn add(&mut self, other: &Self) {
                $(if other.$field.is_some() {
                    self.$field.clone_from(&other.$field);
                })*
            }

            /// All that is the same, but for one thing less; one for each thing that is different.
            pub(super) fn calmer(&self) -> Vec<Self> {
                let mut all = Vec::new();
                $(if self.$field.is_some() {
                    all.push(Self { $field: None, ..self.clone() });
                })*
                all
            }

            /// Changes `impairments` to what is said here.
            pub fn apply(&self, impairments: &mut Impairments) {
                $(if let Some(value) = self.$field.clone() {
                    impairments.$field = value.into();
                })*
            }
        }
    };
}

changes! {
    /// How fast frames leave.
    rate: Rate,
    /// Where frames wait for their turn, and which of them are given up.
    queue: Discipline,
    /// How long a frame travels, one way.
    delay: Delay,
    /// How the delay varies.
    jitter: Jitter,
    /// Which frames are lost.
    loss: Loss,
    /// How likely a frame arrives twice.
    duplication: Chance,
    /// Which frames are held back while others pass them.
    reordering: Held,
    /// How likely one bit of a frame is flipped.
    corruption: Chance,
    /// When the link works at all.
    schedule: OnOff,
}

/// Frames that are held back while others pass them. Written `1% 10ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// How likely that happens to a frame.
    pub chance: Chance,
    /// For how long.
    pub by: Delay,
}

impl FromStr for Held {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let form = "how likely, and for how long: \"1% 10ms\"";
        let (chance, by) = text.trim().split_once(' ').ok_or_else(|| UnitError::form(text, form))?;
        Ok(Self { chance: chance.parse()?, by: by.parse()? })
    }
}

impl Display for Held {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.chance, self.by)
    }
}

impl From<Held> for Reordering {
    fn from(held: Held) -> Self {
        Self { chance: held.chance, gap: 0, how: Displaced::Held(held.by.into()) }
    }
}

/// A link that works for a while, then does not, again and again; frames wait meanwhile. Written `5s on, 500ms off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnOff {
    /// How long it works.
    pub on: Delay,
    /// How long it then does not.
    pub off: Delay,
}

impl FromStr for OnOff {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong =
            || UnitError::form(text, "how long it works, then how long it does not: \"5s on, 500ms off\"");
        let (on, off) = text.split_once(',').ok_or_else(wrong)?;
        let on = on.trim().strip_suffix("on").ok_or_else(wrong)?;
        let off = off.trim().strip_suffix("off").ok_or_else(wrong)?;
        Ok(Self { on: on.parse()?, off: off.parse()? })
    }
}

impl Display for OnOff {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} on, {} off", self.on, self.off)
    }
}

impl From<OnOff> for Option<Schedule> {
    fn from(times: OnOff) -> Self {
        let (on, off) = (times.on.into(), times.off.into());
        Some(Schedule { on, off, from: Duration::ZERO, waits: true })
    }
}

/// A map's key that must be one of some, or one by itself.
pub(super) struct OneOf(pub(super) &'static [&'static [&'static str]], pub(super) fn(&str) -> bool);

impl<'de> de::DeserializeSeed<'de> for OneOf {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        let key = String::deserialize(deserializer)?;
        let known = || self.0.iter().copied().flatten().copied();
        if known().any(|known| known == key) || self.1(&key) {
            return Ok(key);
        }
        let known: Vec<String> = known().map(|known| format!("`{known}`")).collect();
        Err(de::Error::custom(format!("unknown field `{key}`, expected one of {}", known.join(", "))))
    }
}

impl<'de> Deserialize<'de> for Change {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Changes;

        impl<'de> Visitor<'de> for Changes {
            type Value = Change;

            fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
                formatter.write_str("a table of what is different, such as { loss = \"3%\" }")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Change, A::Error> {
                let mut change = Change::default();
                while let Some(key) = map.next_key_seed(OneOf(&[Change::FIELDS], |_| false))? {
                    change.read(&key, &mut map)?;
                }
                Ok(change)
            }
        }

        deserializer.deserialize_map(Changes)
    }
}

impl Serialize for Change {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.write(&mut map)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Links;

        impl<'de> Visitor<'de> for Links {
            type Value = Link;

            fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
                formatter.write_str("a link, such as { rate = \"20Mbit\", delay = \"40ms\" }")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Link, A::Error> {
                const OWN: &[&str] = &["kind", "subnet", "mtu", "duplex", "preset", "person", "\"a>b\""];
                let mut link = Link::default();
                while let Some(key) =
                    map.next_key_seed(OneOf(&[OWN, Change::FIELDS], |key| key.contains('>')))?
                {
                    match &*key {
                        "kind" => link.kind = map.next_value::<SomeKind>()?.0,
                        "subnet" => link.subnet = Some(map.next_value()?),
                        "mtu" => link.mtu = Some(map.next_value::<Read<Size>>()?.0),
                        "duplex" => link.duplex = map.next_value::<Read<_>>()?.0,
                        "preset" => link.preset = Some(map.next_value::<Read<_>>()?.0),
                        "person" => link.person = Some(map.next_value()?),
                        key if key.contains('>') => {
                            link.toward.insert(key.to_owned(), map.next_value()?);
                        }
                        key => {
                            link.both.read(key, &mut map)?;
                        }
                    }
                }
                Ok(link)
            }
        }

        deserializer.deserialize_map(Links)
    }
}

/// A kind of link, or a word about those that are still to come.
struct SomeKind(LinkKind);

impl<'de> Deserialize<'de> for SomeKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match &*String::deserialize(deserializer)? {
            "ethernet" => Ok(Self(LinkKind::Ethernet)),
            "wifi" => Err(de::Error::custom(
                "links of the kind \"wifi\" come in a later version; until then take \"ethernet\" with duplex = \
                 \"half\", a rate and a loss",
            )),
            other => Err(de::Error::custom(format!("{other:?} is no kind of link; there is \"ethernet\""))),
        }
    }
}

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { kind, subnet, mtu, duplex, preset, person, both, toward } = self;
        let mut map = serializer.serialize_map(None)?;
        if *kind != LinkKind::default() {
            map.serialize_entry("kind", kind)?;
        }
        if let Some(subnet) = subnet {
            map.serialize_entry("subnet", subnet)?;
        }
        if let Some(mtu) = mtu {
            map.serialize_entry("mtu", &mtu.to_string())?;
        }
        if *duplex != Duplex::default() {
            map.serialize_entry("duplex", &duplex.to_string())?;
        }
        if let Some(preset) = preset {
            map.serialize_entry("preset", &preset.to_string())?;
        }
        if let Some(person) = person {
            map.serialize_entry("person", person)?;
        }
        both.write(&mut map)?;
        toward.iter().try_for_each(|(way, change)| map.serialize_entry(way, change))?;
        map.end()
    }
}
