//! The transport layer: TCP and UDP.

pub mod tcp;
