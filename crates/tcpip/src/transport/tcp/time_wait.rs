//! TIME-WAIT without its connection: what is left to be known, in a few bytes.

use std::time::Duration;

use host::Instant;
use wire::tcp::{Flags, Header, Options, SeqNumber, Timestamps};

/// A connection in TIME-WAIT whose buffers are gone.
#[derive(Clone, Copy, Debug)]
pub struct TimeWait {
    /// When it may be forgotten.
    pub(in crate::transport) until: Instant,
    /// Nothing is answered before: two ends in TIME-WAIT must not keep each other busy.
    quiet_until: Instant,
    /// How long it lasts, in milliseconds.
    lasts: u32,
    /// SND.NXT.
    pub(super) sent: SeqNumber,
    /// RCV.NXT.
    pub(super) received: SeqNumber,
    window: u16,
    /// The peer's clock, and what is added to ours.
    pub(super) clock: Option<(u32, u32)>,
}

/// What a segment to a connection in TIME-WAIT leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    Nothing,
    /// This is to be sent, with the ports of the connection.
    Send(Header),
    /// It opens a new connection (RFC 6191): accept it as a listener would, with an initial sequence number after
    /// this one.
    Reopen(SeqNumber),
}

/// An answer at most in this time. Who sends its FIN again waits longer.
const QUIET: Duration = Duration::from_millis(100);

impl TimeWait {
    /// What is left of a connection: `sent` is SND.NXT, `received` RCV.NXT, `window` what was offered last, `clock` the
    /// peer's latest timestamp and our offset.
    pub(in crate::transport) fn new(
        until: Instant,
        lasts: Duration,
        sent: SeqNumber,
        received: SeqNumber,
        window: u16,
        clock: Option<(u32, u32)>,
    ) -> Self {
        let lasts = u32::try_from(lasts.as_millis()).unwrap_or(u32::MAX);
        Self { until, quiet_until: Instant::ORIGIN, lasts, sent, received, window, clock }
    }

    /// A segment with `len` bytes of payload came.
    pub fn receive(&mut self, now: Instant, header: &Header, len: u32) -> Answer {
        if header.flags.contains(Flags::RST) {
            // RFC 1337: a reset does not end TIME-WAIT.
            return Answer::Nothing;
        }
        let syn = header.flags.contains(Flags::SYN);
        if syn && !header.flags.contains(Flags::ACK) && self.is_newer(header) {
            return Answer::Reopen(self.sent);
        }
        let fin = header.flags.contains(Flags::FIN);
        if fin && header.sequence + (len + 1) == self.received {
            self.until = now + Duration::from_millis(u64::from(self.lasts));
        }
        let bare = len == 0 && !fin && !syn;
        if bare && header.sequence == self.received || now < self.quiet_until {
            return Answer::Nothing;
        }
        self.quiet_until = now + QUIET;
        let timestamps = self.clock.map(|(echo, offset)| Timestamps {
            value: ((now.as_nanos() / 1_000_000) as u32).wrapping_add(offset),
            echo,
        });
        Answer::Send(Header {
            source_port: 0,
            destination_port: 0,
            sequence: self.sent,
            acknowledgment: self.received,
            flags: Flags::ACK,
            window: self.window,
            urgent: 0,
            options: Options { timestamps, ..Options::default() },
        })
    }

    /// Whether a SYN cannot be an old one: its clock, or else its number, is later than all that was seen.
    fn is_newer(&self, header: &Header) -> bool {
        match (self.clock, header.options.timestamps) {
            (Some((recent, _)), Some(timestamps)) if timestamps.value != recent => {
                SeqNumber(timestamps.value).is_after(SeqNumber(recent))
            }
            _ => header.sequence.is_after(self.received),
        }
    }
}
