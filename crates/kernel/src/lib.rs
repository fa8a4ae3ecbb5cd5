//! The operating system's sockets, clocks and tasks as a Fourwire host, on tokio.
//!
//! [`run`] starts a program on as many shards as the machine shall have; each shard is a thread with a current-thread
//! tokio runtime of its own, and a [`KernelHost`] is the program's handle to it. A program that already lives on a
//! tokio runtime, of either flavour, takes [`KernelHost::current`].
//!
//! ```
//! use std::io;
//!
//! use host::{Host, ListenOptions, Listener};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! // A program is written for any host.
//! async fn program<H: Host>(host: H) -> io::Result<String> {
//!     let mut listener = host.listen("127.0.0.1:0".parse().unwrap(), ListenOptions::default()).await?;
//!     let mut caller = host.connect(listener.local_address()).await?;
//!     caller.write_all(b"hello").await?;
//!     caller.shutdown().await?;
//!     let mut heard = String::new();
//!     listener.accept().await?.read_to_string(&mut heard).await?;
//!     Ok(heard)
//! }
//!
//! # fn main() -> io::Result<()> {
//! for heard in kernel::run(2, program)? {
//!     assert_eq!(heard?, "hello");
//! }
//! # Ok(())
//! # }
//! ```
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
#[cfg(any(target_os = "linux", target_os = "android"))]
mod echo;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod exact;
mod listener;
mod machine;
mod process;
mod run;
#[cfg(unix)]
mod sys;
mod timer;

pub use connection::KernelConnection;
pub use datagrams::KernelDatagrams;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub use echo::{EchoAnswer, KernelEcho};
pub use listener::KernelListener;
pub use machine::KernelHost;
pub use process::{ShutdownSignals, Signal, notify_ready, notify_stopping, raise_file_limit};
pub use run::run;
pub use timer::KernelTimer;
