//! Connections against each other and against forged segments.

mod basic;
mod ecn;
mod forged;
mod pair;
mod timing;
