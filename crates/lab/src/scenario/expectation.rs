//! What is to come of a scenario.

use serde::{Deserialize, Serialize};

use super::format::is_default;
use super::measure::Measure;
use super::moment::Moment;
use super::text;
use crate::units::{Delay, Limit};

/// One expectation. In a file: `[[expect]]`, and one of these under its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// What some programs sent arrived at others: each exactly once and, from each sender, in order.
    Delivered(Delivered),
    /// A program noticed something in time.
    Noticed(Noticed),
    /// A program never noticed something.
    Unnoticed(Unnoticed),
    /// Something measured lies within bounds.
    Bound(Bound),
    /// Something measured is less than the same of another program.
    Less(Less),
    /// A link's queue never held more.
    Queue(Queue),
    /// When all programs have ended, no connection is left on these machines; on any when none is named.
    NoSocketLeft(NoSocketLeft),
}

impl Expectation {
    /// Its name in a file.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Delivered(_) => "delivered",
            Self::Noticed(_) => "noticed",
            Self::Unnoticed(_) => "unnoticed",
            Self::Bound(_) => "bound",
            Self::Less(_) => "less",
            Self::Queue(_) => "queue",
            Self::NoSocketLeft(_) => "no_socket_left",
        }
    }
}

/// What some programs sent arrived at others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivered {
    /// The programs that sent.
    pub from: Names,
    /// The programs that received. Each must have everything.
    pub to: Names,
    /// How many each sent; by default, as many as it did, which is at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// By when all of it was there; by default, at the end.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub by: Option<Moment>,
    /// Whether it may come more than once.
    #[serde(default, skip_serializing_if = "is_default")]
    pub repeated: bool,
    /// Whether it may come out of order.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unordered: bool,
}

/// A program noticed something in time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noticed {
    /// The program.
    pub on: String,
    /// What it noticed, in its own words.
    pub what: String,
    /// Not before this; by default, the start.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub after: Option<Moment>,
    /// So long after that, at most.
    #[serde(with = "text")]
    pub within: Delay,
}

/// A program never noticed something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unnoticed {
    /// The program.
    pub on: String,
    /// What it did not notice, in its own words.
    pub what: String,
    /// Nothing before this counts; by default, the start.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub after: Option<Moment>,
}

/// Something measured lies within bounds. Times are written as `40ms`, counts as `100`, bytes as `64KiB`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// What is measured.
    #[serde(with = "text")]
    pub of: Measure,
    /// Of which program.
    pub on: String,
    /// At least so much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least: Option<String>,
    /// At most so much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<String>,
}

/// Something measured is less than the same of another program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Less {
    /// What is measured.
    #[serde(with = "text")]
    pub of: Measure,
    /// Of which program.
    pub on: String,
    /// It is less than this one's.
    pub than: String,
    /// So many times less.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub times: u64,
}

/// A link's queue never held more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// The link.
    pub link: String,
    /// The most that it may have held, in any direction.
    #[serde(with = "text")]
    pub most: Limit,
}

/// When all programs have ended, no connection is left.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSocketLeft {
    /// On these machines; on all when none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<String>,
}

/// One name, or several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a program's name, or several in brackets")]
pub enum Names {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Names {
    /// The names.
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

fn once() -> u64 {
    1
}

fn is_once(times: &u64) -> bool {
    *times == 1
}
