//! The operating system's sockets, clocks and tasks as a Fourwire host, on tokio.
//!
//! [`run`] starts a program on as many shards as the machine shall have; each shard is a thread with a current-thread
//! tokio runtime of its own, and a [`KernelHost`] is the program's handle to it. A program that already lives on a
//! tokio runtime, of either flavour, takes [`KernelHost::current`].
//!
//! What only a process has is here too: [`ShutdownSignals`], [`notify_ready`] for a service manager, and
//! [`raise_file_limit`].

// This crate is the real machine: the clocks, sleeps and threads that are forbidden everywhere else come from here.
#![allow(
    clippy::disallowed_methods,
    reason = "the kernel host is where the real clock and real threads come from"
)]

mod clock;
mod connection;
mod datagrams;
mod listener;
mod machine;
mod process;
mod run;
#[cfg(unix)]
mod sys;
mod timer;

pub use connection::KernelConnection;
pub use datagrams::KernelDatagrams;
pub use listener::KernelListener;
pub use machine::KernelHost;
pub use process::{ShutdownSignals, Signal, notify_ready, notify_stopping, raise_file_limit};
pub use run::run;
pub use timer::KernelTimer;
