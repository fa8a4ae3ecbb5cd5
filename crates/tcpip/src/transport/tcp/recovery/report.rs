//! What a connection tells its loss recovery, and what it is told.

use std::time::Duration;

use wire::tcp::{SackBlocks, SeqNumber};

/// An acknowledgment that is acceptable: not of what was never sent.
#[derive(Clone, Copy, Debug)]
pub struct Acknowledgment<'a> {
    /// The next number that the receiver wants.
    pub number: SeqNumber,
    /// What it has beyond.
    pub sack: &'a SackBlocks,
    /// How long ago the segment left that made it acknowledge, by the timestamp that it echoes.
    pub echo: Option<Duration>,
    /// The segment says nothing else: no payload, no SYN or FIN, no change of window.
    pub bare: bool,
}

/// What an acknowledgment brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acked {
    /// Bytes that are acknowledged for the first time, selectively or not.
    pub delivered: u32,
    /// Whether everything up to a later number than before is acknowledged now.
    pub progress: bool,
    /// Recovery began with this acknowledgment.
    pub began: bool,
    /// Recovery ended with this acknowledgment.
    pub ended: bool,
    /// It proved that the last loss was none, and the window was given back.
    pub undone: bool,
}

/// What has become due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// Nothing that the connection has to do.
    Nothing,
    /// Something is to be sent again: [`Recovery::lost`](super::Recovery::lost) has it.
    Retransmit,
    /// The tail is to be probed: with a segment of new data when there is one, else with
    /// [`Recovery::probe`](super::Recovery::probe).
    Probe,
}

/// In which phase the sender is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is known to be lost.
    #[default]
    Open,
    /// Losses are being repaired that acknowledgments told of.
    Recovery,
    /// The retransmission timer has run out.
    Loss,
}

/// What a sender knows of its path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// In which phase it is.
    pub phase: Phase,
    /// Congestion window, in bytes.
    pub congestion_window: u32,
    /// Slow start threshold, in bytes.
    pub threshold: u32,
    /// Smoothed round-trip time.
    pub round_trip: Option<Duration>,
    /// Its variation.
    pub variation: Duration,
    /// Retransmission timeout, with its backoff.
    pub timeout: Duration,
    /// Bytes on their way.
    pub in_flight: u32,
    /// Segments sent again.
    pub retransmissions: u64,
    /// Losses that were none, as was found later.
    pub undone: u64,
    /// Bytes acknowledged for each second of the last round trip, zero while unknown.
    pub delivery_rate: u64,
}
