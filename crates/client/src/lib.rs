//! The Rust client of a Fourwire server, on any Fourwire host.
