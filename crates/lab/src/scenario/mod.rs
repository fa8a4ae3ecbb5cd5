//! Scenarios: a network, the programs that run in it, what happens to them, and what is to come of it.

mod build;
mod check;
mod context;
mod document;
mod entry;
mod event;
mod expectation;
mod format;
mod journal;
mod judge;
mod junit;
mod link;
mod measure;
mod moment;
mod problem;
mod registry;
mod run;
mod shrink;
mod sweep;
pub mod text;

pub use context::{Context, Ending, Names as NodeNames};
pub use document::Checked;
pub use event::{Action, BlackHole, Event, OnLink, OnNode, Set, Silence, Skew, Which};
pub use expectation::{Bound, Delivered, Expectation, Less, Names, NoSocketLeft, Noticed, Queue, Unnoticed};
pub use format::{Kind, Node, Program, Routing, Scenario, VERSION};
pub use journal::{Clock, Journal, Line};
pub use judge::Verdict;
pub use junit::{Report, Suite};
pub use link::{Change, Duplex, Link, LinkKind};
pub use measure::{Measure, MeasureError};
pub use moment::Moment;
pub use problem::{Problem, Refused, Step};
pub use registry::{Ended, Programs};
pub use run::Outcome;
pub use shrink::Shrunk;
pub use sweep::Swept;
