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
//! There are two networks. The first is made of pipes: streams and datagrams take a latency to arrive, streams have bounded buffers, half
//! close, refuse and reset, and are never lossy. [`Lab::cut`] and [`Lab::heal`], [`Lab::reset_connections`] and
//! [`Lab::crash`] do what networks and machines do.
//!
//! The second carries packets: a [`Link`] is an Ethernet segment whose ends are devices for `stack::StackHost`, which makes
//! a [`LabHost`] a machine with Fourwire's own TCP/IP. [`Impairments`] delay, lose, double, reorder and damage its frames.
//! A [`Topology`] is the plan of a whole such network: links, hosts, routers and their addresses and routes; what it becomes
//! is a [`Network`], to which a [`Change`] happens now or at its time.
//!
//! # Looking at it
//!
//! What happened can be told in three ways. The [`Transcript`] is a line for each thing that a machine's network saw, in
//! memory: for tests that ask what happened, for short runs, and for the place where two runs of one seed part. A
//! [capture](Lab::capture) is every frame at every interface, in files for Wireshark, in bounded memory: for people who look
//! at protocols, and its hash is the proof that two runs were one. [Following](Lab::follow) joins what the layers tell with
//! what the links did, and draws [the way of one message](Lab::draw_journeys).
//!
//! # A server and a client
//!
//! ```
//! use std::io;
//! use std::time::Duration;
//!
//! use host::{Host, ListenOptions, Listener, Runtime, sleep};
//! use lab::Lab;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! // Programs are written once, for any host.
//! async fn shout<H: Host>(host: H) -> io::Result<()> {
//!     let mut listener = host.listen("0.0.0.0:7".parse().unwrap(), ListenOptions::default()).await?;
//!     loop {
//!         let mut connection = listener.accept().await?;
//!         host.spawn(async move {
//!             let mut words = String::new();
//!             if connection.read_to_string(&mut words).await.is_ok() {
//!                 let _ = connection.write_all(words.to_uppercase().as_bytes()).await;
//!             }
//!         });
//!     }
//! }
//!
//! async fn say<H: Host>(host: H, words: &str) -> io::Result<String> {
//!     let mut connection = host.connect("10.0.0.1:7".parse().unwrap()).await?;
//!     connection.write_all(words.as_bytes()).await?;
//!     connection.shutdown().await?;
//!     let mut answer = String::new();
//!     connection.read_to_string(&mut answer).await?;
//!     Ok(answer)
//! }
//!
//! let run = |seed| {
//!     let lab = Lab::new(seed);
//!     let server = lab.machine("server", "10.0.0.1".parse().unwrap(), 1);
//!     let client = lab.machine("client", "10.0.0.2".parse().unwrap(), 1);
//!     lab.set_latency(&client, &server, Duration::from_millis(20));
//!
//!     let host = server.host();
//!     host.clone().spawn_detached(async move { shout(host).await.unwrap() });
//!
//!     let answer = lab.block_on(async {
//!         // For an hour nobody gets through, then the call does.
//!         lab.cut(&client, &server);
//!         let calling = say(client.host(), "hello");
//!         let (lab, client, server) = (lab.clone(), client.clone(), server.clone());
//!         client.host().spawn_detached(async move {
//!             sleep(&client.host(), Duration::from_secs(3600)).await;
//!             lab.heal(&client, &server);
//!         });
//!         calling.await
//!     });
//!     assert_eq!(answer.unwrap(), "HELLO");
//!     assert!(lab.now().as_nanos() > 3_600_000_000_000);
//!     lab.transcript()
//! };
//! assert_eq!(run(1).hash(), run(1).hash());
//! ```
//!
//! # What breaks the promise
//!
//! The order of events follows from the seed only as long as the program takes nothing from elsewhere: no real clock, no
//! thread of its own, no iteration over a `HashMap`, no `tokio::select!` that is not `biased`, no `tokio::sync::watch` with
//! several waiters (it wakes them in a random order; `Notify` and `mpsc` are fine), no randomness but
//! [`host::Runtime::random`]. [`Transcript::first_difference`] says where two runs of one seed part.

mod blocking;
pub mod capture;
mod clock;
mod executor;
mod faults;
pub mod follow;
mod lab;
mod link;
pub mod live;
mod machine;
mod network;
mod queue;
mod random;
pub mod scenario;
mod silence;
mod state;
mod timer;
mod topology;
mod transcript;
pub mod units;
mod watch;

pub use capture::{CaptureConfig, CaptureFile};
pub use clock::Jump;
pub use faults::Crash;
pub use follow::{FollowError, Journey};
pub use lab::{Config, Lab, Machine};
pub use link::{
    Cable, Codel, Counters, Direction, Discipline, Displaced, Distribution, Duplex, FqCodel, Framing,
    Impairments, Jitter, Link, LinkEnd, Loss, Lost, Preset, Reordering, Schedule, Way,
};
pub use machine::LabHost;
pub use network::{LabConnection, LabDatagrams, LabListener};
pub use silence::Flows;
pub use timer::LabTimer;
pub use topology::{
    Change, LinkKind, LinkPlan, NatPlan, Network, NodeHost, NodeKind, NodePlan, StaticRoute, Topology,
    TopologyError,
};
pub use transcript::{Entry, Event, Transcript};
pub use units::Chance;
