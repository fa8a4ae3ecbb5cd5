//! A scenario as a value. The TOML file is its one-to-one face: what stands here under a name stands there under the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::expectation::Expectation;
use super::link::Link;
use super::text;
use crate::units::Delay;

/// The version of the format that this crate reads.
pub const VERSION: u32 = 1;

/// A network, the programs that run in it, what happens to them, and what is to come of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The version of the format: [`VERSION`].
    pub lab: u32,
    /// What the scenario is called.
    pub name: String,
    /// What it shows, in a sentence or two.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// When the programs are asked to end, in virtual time.
    #[serde(with = "text")]
    pub stop: Delay,
    /// How long the programs, and what they leave in the stacks, may take to end after that. 3 minutes: enough for
    /// TIME-WAIT on both sides.
    #[serde(default = "drain", with = "text", skip_serializing_if = "is_drain")]
    pub drain: Delay,
    /// The links, by name.
    #[serde(default)]
    pub link: BTreeMap<String, Link>,
    /// The machines, by name.
    #[serde(default)]
    pub node: BTreeMap<String, Node>,
    /// What runs on them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub program: Vec<Program>,
    /// What happens when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<Event>,
    /// What is to come of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<Expectation>,
}

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// What kind of machine.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kind: Kind,
    /// The links that it is plugged into. A NAT's last one is its outside.
    pub on: Vec<String>,
    /// More names by which programs find it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// How a router learns of networks that it is not in. Only `static`, so far: by the fewest hops, when the lab is built.
    #[serde(default, skip_serializing_if = "is_default")]
    pub routing: Routing,
}

/// What kind of machine a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It runs programs.
    #[default]
    Host,
    /// It forwards packets between its links.
    Router,
    /// A router that hides what is behind it (RFC 4787, RFC 5382): all links but the last are inside.
    Nat,
}

impl Kind {
    /// The kind with its article.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Host => "a host",
            Self::Router => "a router",
            Self::Nat => "a NAT",
        }
    }
}

/// How a router learns its routes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Routing {
    /// By the fewest hops, when the lab is built.
    #[default]
    Static,
}

/// A program that runs on a machine. In a file its settings stand under the program's own name:
/// `chat = { room = "lobby" }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// The machine.
    pub on: String,
    /// What it is called in expectations: by default the machine's name.
    pub name: Option<String>,
    /// When it starts, after the scenario does.
    pub start: Delay,
    /// Which program: the name under which it is registered.
    pub run: String,
    /// The program's own settings.
    pub settings: toml::Table,
}

impl Program {
    /// What it is called in expectations.
    pub fn called(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.on)
    }
}

fn drain() -> Delay {
    Delay::from_nanos(180_000_000_000)
}

fn is_drain(delay: &Delay) -> bool {
    *delay == drain()
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
