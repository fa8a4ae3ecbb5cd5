//! The link's engine in real time: between two ends in this process, and between whatever devices there are.
//!
//! A [`Wire`] is a link in real time. With a [`WireEnd`] at each of its ends, it joins two `stack::StackHost`s on any runtime;
//! [`bridge`] puts it between two devices. A [`Path`] carries connections of an outer network over such a wire: each is
//! taken up by a host of Fourwire's own on the near side, crosses the wire as segments of a real TCP, and leaves from a
//! second host on the far side. What the wire loses, TCP sends again.

mod bridge;
mod counting;
mod datagrams;
mod end;
mod gate;
mod path;
mod places;
mod pump;
mod report;
mod rules;
mod wire;

pub use bridge::{Unsent, bridge};
pub use counting::Resent;
pub use end::WireEnd;
pub use path::{Path, PathConfig, PathError};
pub use places::Places;
pub use report::Report;
pub use rules::Rules;
pub use wire::{Lateness, Passing, Tap, Wire};
