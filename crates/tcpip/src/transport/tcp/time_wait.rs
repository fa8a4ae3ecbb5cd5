//! TIME-WAIT without its connection: what is left to be known, in a few bytes.

use std::net::SocketAddr;
use std::time::Duration;

use host::Instant;
use wire::tcp::{Flags, Header, Options, SeqNumber, Timestamps};

/// A connection in TIME-WAIT whose buffers are gone.
#[derive(Clone, Copy, Debug)]
pub struct TimeWait {
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// When it may be forgotten.
    pub until: Instant,
    pub(super) lasts: Duration,
    /// SND.NXT.
    pub(super) sent: SeqNumber,
    /// RCV.NXT.
    pub(super) received: SeqNumber,
    pub(super) window: u16,
    /// The peer's clock, and what is added to ours.
    pub(super) clock: Option<(u32, u32)>,
}

/// What a segment to a connection in TIME-WAIT leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    Nothing,
    /// This is to be sent.
    Send(Header),
    /// It opens a new connection (RFC 6191): accept it as a listener would, with an initial sequence number after
    /// this one.
    Reopen(SeqNumber),
}

impl TimeWait {
    /// A segment came.
    pub fn receive(&mut self, now: Instant, header: &Header) -> Answer {
        if header.flags.contains(Flags::RST) {
            // RFC 1337: a reset does not end TIME-WAIT.
            return Answer::Nothing;
        }
        if header.flags.contains(Flags::SYN) && !header.flags.contains(Flags::ACK) && self.is_newer(header) {
            return Answer::Reopen(self.sent);
        }
        if header.flags.contains(Flags::FIN) && header.sequence + 1 == self.received {
            self.until = now + self.lasts;
        }
        let timestamps = self.clock.map(|(echo, offset)| Timestamps {
            value: ((now.as_nanos() / 1_000_000) as u32).wrapping_add(offset),
            echo,
        });
        Answer::Send(Header {
            source_port: self.local.port(),
            destination_port: self.remote.port(),
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
