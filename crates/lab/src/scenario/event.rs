//! What happens to a scenario's network and machines, and when.

use std::fmt::{self, Display, Formatter};

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use super::format::is_default;
use super::link::{Change, OneOf};
use super::text;
use crate::units::{Delay, Size};

/// Something that happens at a time. In a file: `t = "5s"` and one action under its name, `cut = { link = "wan" }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Event {
    /// When, after the start.
    pub t: Delay,
    /// What expectations call it. Without it they call it by its kind.
    pub name: Option<String>,
    /// What happens.
    pub action: Action,
}

impl Event {
    /// What expectations call it.
    pub fn called(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.action.kind())
    }
}

/// A link, or one direction of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnLink {
    /// The link.
    pub link: String,
    /// One direction only, as `a>b`: what `a` sends to `b`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<String>,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnNode {
    /// The node.
    pub node: String,
}

/// Packets that are too long for a link are lost without a word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlackHole {
    /// The link.
    pub link: String,
    /// One direction only, as `a>b`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<String>,
    /// The longest IP packet that still passes.
    #[serde(with = "text")]
    pub mtu: Size,
}

/// A machine's clocks go wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skew {
    /// The machine.
    pub node: String,
    /// Its wall clock jumps so far ahead.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub ahead: Option<Delay>,
    /// Its wall clock jumps so far back.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub back: Option<Delay>,
    /// Its clocks run fast by so many parts of a million; slow, when negative.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ppm: i32,
}

/// The packets of some flows are lost without a word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Silence {
    /// The link.
    pub link: String,
    /// Which flows: by default those of TCP connections that exist already.
    #[serde(default, skip_serializing_if = "is_default")]
    pub flows: Which,
}

/// Which flows fall silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// Those of TCP connections that exist already; new ones get through.
    #[default]
    Established,
    /// All of them. Neighbours still find each other.
    All,
}

/// A link changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    /// The link.
    pub link: String,
    /// One direction only, as `a>b`.
    pub way: Option<String>,
    /// What is different from now on.
    pub change: Change,
}

/// Declares the actions, once for the value and for the file.
macro_rules! actions {
    ($($(#[$about:meta])* $variant:ident($type:ty) = $key:ident,)*) => {
        /// What can happen.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Action {
            $($(#[$about])* $variant($type),)*
        }

        impl Action {
            /// The name of the action in a file.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => stringify!($key),)*
                }
            }
        }

        /// An event as a file has it.
        #[derive(Default, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            #[serde(with = "text")]
            t: Delay,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            name: Option<String>,
            $(#[serde(default, skip_serializing_if = "Option::is_none")]
            $key: Option<$type>,)*
        }

        impl TryFrom<Written> for Event {
            type Error = String;

            fn try_from(written: Written) -> Result<Self, String> {
                let Written { t, name, $($key),* } = written;
                let actions: Vec<Action> = [$($key.map(Action::$variant)),*].into_iter().flatten().collect();
                let known = [$(stringify!($key)),*].join(", ");
                match <[Action; 1]>::try_from(actions) {
                    Ok([action]) => Ok(Self { t, name, action }),
                    Err(none) if none.is_empty() => Err(format!("what happens? Say one of {known}")),
                    Err(several) => Err(format!(
                        "an [[at]] holds one action, not both `{}` and `{}`; write [[at]] for each",
                        several[0].kind(),
                        several[1].kind(),
                    )),
                }
            }
        }

        impl From<Event> for Written {
            fn from(event: Event) -> Self {
                let mut written = Self { t: event.t, name: event.name, ..Self::default() };
                match event.action {
                    $(Action::$variant(value) => written.$key = Some(value),)*
                }
                written
            }
        }
    };
}

actions! {
    /// A link carries nothing any more: what is on its way arrives, what comes after is lost.
    Cut(OnLink) = cut,
    /// A link carries everything again: takes back `cut`, `silence` and `black_hole`.
    Heal(OnLink) = heal,
    /// A link loses the packets of some flows and says nothing: what is left are connections that each end believes open.
    Silence(Silence) = silence,
    /// A NAT forgets its table: connections through it live on inside and outside, and no longer meet.
    Rebind(OnNode) = rebind,
    /// Longer packets are lost on a link, and nobody says so.
    BlackHole(BlackHole) = black_hole,
    /// The power of a machine fails: its programs and stack are gone, and nobody is told.
    Crash(OnNode) = crash,
    /// A machine that crashed, or runs, starts anew with its programs.
    Restart(OnNode) = restart,
    /// A machine's wall clock jumps.
    Skew(Skew) = skew,
    /// A link changes.
    Set(Set) = set,
}

impl<'de> Deserialize<'de> for Set {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sets;

        impl<'de> Visitor<'de> for Sets {
            type Value = Set;

            fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
                formatter.write_str("a link and what is different, such as { link = \"wan\", loss = \"5%\" }")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Set, A::Error> {
                let (mut link, mut way, mut change) = (None, None, Change::default());
                while let Some(key) =
                    map.next_key_seed(OneOf(&[&["link", "way"], Change::FIELDS], |_| false))?
                {
                    match &*key {
                        "link" => link = Some(map.next_value()?),
                        "way" => way = Some(map.next_value()?),
                        key => {
                            change.read(key, &mut map)?;
                        }
                    }
                }
                let link = link.ok_or_else(|| de::Error::missing_field("link"))?;
                Ok(Set { link, way, change })
            }
        }

        deserializer.deserialize_map(Sets)
    }
}

impl Serialize for Set {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("link", &self.link)?;
        if let Some(way) = &self.way {
            map.serialize_entry("way", way)?;
        }
        self.change.write(&mut map)?;
        map.end()
    }
}

impl Display for Action {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        let (what, way) = match self {
            Self::Cut(on) | Self::Heal(on) => (&on.link, &on.way),
            Self::BlackHole(hole) => (&hole.link, &hole.way),
            Self::Set(set) => (&set.link, &set.way),
            Self::Silence(silence) => (&silence.link, &None),
            Self::Rebind(on) | Self::Crash(on) | Self::Restart(on) => (&on.node, &None),
            Self::Skew(skew) => (&skew.node, &None),
        };
        write!(formatter, "{kind} {what}")?;
        way.iter().try_for_each(|way| write!(formatter, " {way}"))?;
        match self {
            Self::BlackHole(hole) => write!(formatter, " above {}", hole.mtu),
            Self::Skew(Skew { ahead, back, ppm, .. }) => {
                ahead.iter().try_for_each(|by| write!(formatter, " {by} ahead"))?;
                back.iter().try_for_each(|by| write!(formatter, " {by} back"))?;
                if *ppm != 0 { write!(formatter, " {ppm:+} ppm") } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }
}
