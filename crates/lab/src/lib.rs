//! Simulated machines and networks in virtual time.
//!
//! A [`Lab`] holds machines, each with an address and one or more shards; a [`LabHost`] is the handle to one shard and
//! offers the same [`host::Host`] that the real machine does. So the program under test is the program, not a copy.
//!
//! Everything happens on one thread, in an order that follows from the seed alone: tasks that are ready run first in,
//! first out; when none is, the clock jumps to the next event, by (nanoseconds, sequence number). An hour passes in as
//! long as it takes to do what happens in it. What goes over the network is written to a [`Transcript`], and the same
//! seed gives the same one to the last byte.
//!
//! This first network is made of pipes: streams and datagrams take a latency to arrive, streams have bounded buffers, half
//! close, refuse and reset, and are never lossy. [`Lab::cut`] and [`Lab::heal`], [`Lab::reset_connections`] and
//! [`Lab::crash`] do what networks and machines do.

pub mod executor;

mod blocking;
mod faults;
mod lab;
mod machine;
mod network;
mod queue;
mod random;
mod state;
mod timer;
mod transcript;

pub use faults::Crash;
pub use lab::{Config, Lab, Machine};
pub use machine::LabHost;
pub use network::{LabConnection, LabDatagrams, LabListener};
pub use timer::LabTimer;
pub use transcript::{Entry, Event, Transcript};
