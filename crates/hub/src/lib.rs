//! Rooms as a value: publish, subscribe, presence, history and recovery, without sockets or tasks.

pub mod store;
