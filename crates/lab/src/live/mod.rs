//! The link's engine in real time: between two ends in this process, and between whatever devices there are.
//!
//! A [`Wire`] joins two [`WireEnd`]s, devices for `stack::StackHost`, on any runtime. A [`Path`] carries connections of an
//! outer network over such a wire: each is taken up by a host of Fourwire's own on the near side, crosses the wire as
//! segments of a real TCP, and leaves from a second host on the far side. What the wire loses, TCP sends again.

mod counting;
mod gate;
mod path;
mod pump;
mod wire;

pub use counting::Resent;
pub use path::{Path, PathConfig, PathError, Report};
pub use wire::{Passing, Tap, Wire, WireEnd};
