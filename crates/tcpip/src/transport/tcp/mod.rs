//! TCP (RFC 9293).
//!
//! A [`Connection`] is one end of one connection, as a value: segments, bytes of the application and the time go in,
//! segments, bytes and [`Changes`] come out. Its states are types of their own (`state`); what all synchronized states
//! share lies in two values, one for each direction (`sending`, `receiving`). What was lost, when to send it again and
//! how much may be in flight is [`recovery`]'s.

pub mod congestion;
pub mod recovery;

mod assembler;
mod buffer;
mod connection;
mod deadlines;
mod ecn;
mod face;
mod input;
mod output;
mod receiving;
mod sending;
mod state;
mod time_wait;

pub use congestion::Algorithm;
pub use connection::Connection;
pub use ecn::Ecn;
pub use face::{
    Changes, End, Info, Keepalive, Negotiated, Opening, ReadError, Segment, Settings, State, WriteError,
};
pub use time_wait::{Answer, TimeWait};

#[cfg(test)]
mod tests;
