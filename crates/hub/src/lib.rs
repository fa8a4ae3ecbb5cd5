//! Rooms as a value: publish, subscribe, presence, history and recovery, without sockets or tasks.
//!
//! A [`Hub`] is one shard's part. Its driver tells it what happened ([`Input`]) and does what comes out ([`Output`]);
//! between the two there is no I/O, no clock and no task. A room is owned by one shard, chosen by a hash of its name; a
//! session lives on the shard that accepted its connection. What the two have to tell each other goes as
//! [`ShardMessage`]s, also when they are the same shard, so that one shard and many run the same code.
//!
//! Clients speak the Centrifuge client protocol ([`centrifuge`]); the HTTP API comes as values ([`api`]); rooms are kept
//! by a [`store`]. What is promised stands in `docs/guarantees.md`, what is said in `docs/protocol.md`.

pub mod api;
mod budget;
pub mod centrifuge;
mod config;
mod context;
mod counters;
pub mod document;
mod error;
mod hub;
mod identity;
mod json;
mod local;
mod message;
mod namespace;
mod owner;
mod publication;
mod room;
pub mod store;

pub use centrifuge::Protocol;
pub use config::{Config, History, Limits};
pub use counters::Counters;
pub use hub::{Hub, Input, Output, SessionId};
pub use identity::{AuthError, Authenticator, ClientInfo, Identity, Permit};
pub use message::ShardMessage;
pub use namespace::{Durable, Namespace, Namespaces, Right};
