//! The seam between a Fourwire program and the machine it runs on.
//!
//! Every server and client in this workspace is written against [`Host`] and nothing else: a [`Runtime`] (clocks,
//! timers, tasks, named random streams, blocking work) and a [`Network`] (listen, connect, bind). What stands below is
//! chosen by whoever starts the program:
//!
//! - `kernel::KernelHost`: the operating system's sockets, on tokio;
//! - `lab::LabHost`: a deterministic executor with virtual time;
//! - later `stack::StackHost`: Fourwire's own TCP/IP over any device.
//!
//! A `Host` handle stands for **one shard**: one core, one runtime thread, one listener of its own. A task and its
//! sockets stay on the shard that made them. Shards talk through channels that the program makes ([`Shard`] says which
//! one it is). All types are `Send`, so that a program on an ordinary multi-threaded tokio runtime can use them too.
//!
//! This crate holds traits and plain types only. The traits for byte streams are tokio's [`AsyncRead`] and
//! [`AsyncWrite`], which carry no runtime with them.

mod network;
mod random;
mod runtime;
mod task;
mod time;

pub use network::{Connection, ConnectionInfo, Datagrams, ListenOptions, Listener, Network, Shard};
pub use random::Random;
pub use runtime::{Runtime, Timer};
pub use task::{Task, TaskEnd};
pub use time::{Elapsed, Instant, WallTime, sleep, sleep_until, timeout_at};
pub use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One shard of a machine: a [`Runtime`] and a [`Network`] together.
pub trait Host: Runtime + Network {}

impl<T: Runtime + Network> Host for T {}
