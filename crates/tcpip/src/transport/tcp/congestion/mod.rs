//! Congestion control: how much may be in flight.
//!
//! A [`Controller`] is told what was acknowledged and what was lost, and answers with a window in bytes. It knows
//! nothing of sequence numbers, timers or segments sent again: that is [`recovery`](super::recovery)'s.

mod cubic;
mod new_reno;
#[cfg(test)]
mod tests;

pub use cubic::Cubic;
pub use new_reno::NewReno;

use std::fmt;
use std::time::Duration;

use host::Instant;

/// How a connection finds its window.
pub trait Controller: fmt::Debug + Send {
    /// The window, in bytes: at least one segment.
    fn window(&self) -> u32;

    /// The slow start threshold, in bytes.
    fn threshold(&self) -> u32;

    /// The largest segment is `bytes` long from now on.
    fn set_segment(&mut self, bytes: u32);

    /// `bytes` were acknowledged outside of loss recovery, while the window was in full use.
    fn on_acknowledged(&mut self, now: Instant, bytes: u32, round_trip: Duration);

    /// Loss was found, once for a window of data, when `in_flight` bytes were on their way. Sets threshold and window.
    fn on_loss(&mut self, now: Instant, in_flight: u32);

    /// The retransmission timer ran out. `first` is false when it does so again for the same data.
    fn on_timeout(&mut self, now: Instant, in_flight: u32, first: bool);

    /// The loss was none: what the last `on_loss` or `on_timeout` changed is taken back.
    fn undo(&mut self);

    /// Nothing was sent for longer than the retransmission timeout (RFC 5681 section 4.1).
    fn on_idle(&mut self);
}

/// Which controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// RFC 5681 with the byte counting of RFC 3465.
    NewReno,
    /// RFC 9438: no slower than the other, and far faster on long paths; what others on the way use as well.
    #[default]
    Cubic,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::NewReno, Self::Cubic];

    /// A new controller for segments of `segment` bytes.
    pub fn controller(self, segment: u32) -> Box<dyn Controller> {
        match self {
            Self::NewReno => Box::new(NewReno::new(segment)),
            Self::Cubic => Box::new(Cubic::new(segment)),
        }
    }
}

/// The window that a connection begins with (RFC 6928): ten segments, but no more than 14,600 bytes of long ones.
pub fn initial_window(segment: u32) -> u32 {
    segment.saturating_mul(10).min(14_600.max(segment.saturating_mul(2)))
}

/// No window grows beyond what window scaling can announce (RFC 7323 section 2.3).
pub const LARGEST_WINDOW: u32 = 1 << 30;
