//! Connections against each other and against forged segments.

mod adversary;
mod basic;
mod forged;
mod pair;
mod timing;
