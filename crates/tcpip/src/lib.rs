//! One Internet host as a value: the link, internet and transport layers of the TCP/IP model, without I/O.
//!
//! Frames and the time go in, frames and events come out. Nothing here opens a device, reads a clock, starts a task or
//! draws randomness that was not handed in; deadlines live here, the waiting is outside. So the same host runs on a TAP,
//! in a simulation and under a fuzzer.
//!
//! A packet falls through the layers as a [`Descending`]: the payload stays where the transport layer keeps it, each
//! layer puts its header in front, and the whole leaves through a [`Transmit`] in the same call. Nothing waits in a
//! queue between layers, except a packet whose neighbour is not known yet. What a device has no room for is dropped and
//! counted, as a network does; TCP sends it again.

#![forbid(unsafe_code)]

mod counters;
pub mod internet;
pub mod link;
mod packet;
mod segmentation;
mod stack;
pub mod transport;

pub use packet::{Descending, InterfaceId, Segmentation, Transmit};
pub use stack::{Notice, Stack, StackConfig};
pub use transport::Event;
