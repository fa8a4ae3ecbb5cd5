//! What happened on the network, and the proof that it happened again.

use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use host::Instant;
use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher13;

use crate::link::{Lost, Way};

/// Everything that happened on a lab's network so far, in order. The same program under the same seed gives the same
/// transcript, whose [`hash`](Self::hash) is the test of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    entries: Vec<Entry>,
    hash: [u8; 32],
}

/// One line of a [`Transcript`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it happened.
    pub at: Instant,
    /// The machine that it happened to; empty for the lab itself.
    pub machine: Arc<str>,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The machine set out to connect.
    Connect {
        /// Its own end.
        from: SocketAddr,
        /// The other end.
        to: SocketAddr,
    },
    /// A connection of the machine failed before it was made.
    Failed {
        /// Its own end.
        from: SocketAddr,
        /// The other end.
        to: SocketAddr,
        /// How.
        error: std::io::ErrorKind,
    },
    /// A connection arrived.
    Accept {
        /// The shard that it was given to.
        shard: usize,
        /// The end that called.
        from: SocketAddr,
        /// The end that was called.
        to: SocketAddr,
    },
    /// Bytes of a stream arrived.
    Bytes {
        /// The sender.
        from: SocketAddr,
        /// The receiver.
        to: SocketAddr,
        /// How many.
        length: usize,
        /// SipHash-1-3 of them, under the key zero.
        hash: [u8; 8],
    },
    /// The end of a stream arrived (FIN).
    End {
        /// The sender.
        from: SocketAddr,
        /// The receiver.
        to: SocketAddr,
    },
    /// A reset arrived (RST).
    Reset {
        /// The sender.
        from: SocketAddr,
        /// The receiver.
        to: SocketAddr,
    },
    /// A datagram arrived.
    Datagram {
        /// The sender.
        from: SocketAddr,
        /// The receiver.
        to: SocketAddr,
        /// Its length in bytes.
        length: usize,
        /// SipHash-1-3 of it, under the key zero.
        hash: [u8; 8],
    },
    /// A frame arrived.
    Frame {
        /// The link that it came by.
        link: Arc<str>,
        /// Its length in bytes.
        length: usize,
        /// SipHash-1-3 of it, under the key zero.
        hash: [u8; 8],
    },
    /// A frame that the machine sent, or should have received, was lost.
    FrameLost {
        /// The link.
        link: Arc<str>,
        /// On its way out or in.
        way: Way,
        /// Its length in bytes.
        length: usize,
        /// SipHash-1-3 of it, under the key zero.
        hash: [u8; 8],
        /// Why.
        why: Lost,
    },
    /// The machine crashed.
    Crash,
    /// A remark of the program or of the test ([`Lab::note`](crate::Lab::note)).
    Note(String),
}

impl Transcript {
    /// What happened, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// SHA-256 over the text of every entry, a line each.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// The first entry that is not the same in `other`, told as text; `None` when there is none.
    pub fn first_difference(&self, other: &Self) -> Option<String> {
        let length = self.entries.len().max(other.entries.len());
        let position = (0..length).find(|&index| self.entries.get(index) != other.entries.get(index))?;
        let tell = |transcript: &Self| match transcript.entries.get(position) {
            Some(entry) => entry.to_string(),
            None => "(the end)".to_owned(),
        };
        Some(format!("entry {position}: {} | {}", tell(self), tell(other)))
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.iter().try_for_each(|entry| writeln!(formatter, "{entry}"))
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} {} ", self.at, self.machine)?;
        match &self.event {
            Event::Connect { from, to } => write!(formatter, "connect {from} > {to}"),
            Event::Failed { from, to, error } => write!(formatter, "failed {from} > {to} {error:?}"),
            Event::Accept { shard, from, to } => write!(formatter, "accept {from} > {to} on shard {shard}"),
            Event::Bytes { from, to, length, hash } => {
                write!(formatter, "bytes {from} > {to} {length} ")?;
                write_hex(formatter, hash)
            }
            Event::End { from, to } => write!(formatter, "end {from} > {to}"),
            Event::Reset { from, to } => write!(formatter, "reset {from} > {to}"),
            Event::Datagram { from, to, length, hash } => {
                write!(formatter, "datagram {from} > {to} {length} ")?;
                write_hex(formatter, hash)
            }
            Event::Frame { link, length, hash } => {
                write!(formatter, "frame {link} {length} ")?;
                write_hex(formatter, hash)
            }
            Event::FrameLost { link, way, length, hash, why } => {
                write!(formatter, "lost {link} {way:?} {why:?} {length} ")?;
                write_hex(formatter, hash)
            }
            Event::Crash => formatter.write_str("crash"),
            Event::Note(note) => write!(formatter, "note {note:?}"),
        }
    }
}

fn write_hex(formatter: &mut fmt::Formatter<'_>, bytes: &[u8; 8]) -> fmt::Result {
    write!(formatter, "{:016x}", u64::from_be_bytes(*bytes))
}

/// Writes a transcript. What happens only once for each frame is kept as cheap as can be: entries become text, and the text
/// a hash, when somebody asks for it.
pub(crate) struct Recorder {
    entries: Vec<Entry>,
    /// Of the entries before.
    hash: Sha256,
    hashed: usize,
    line: String,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self { entries: Vec::new(), hash: Sha256::new(), hashed: 0, line: String::new() }
    }

    pub(crate) fn record(&mut self, at: Instant, machine: Arc<str>, event: Event) {
        self.entries.push(Entry { at, machine, event });
    }

    pub(crate) fn transcript(&mut self) -> Transcript {
        for entry in &self.entries[self.hashed..] {
            self.line.clear();
            writeln!(self.line, "{entry}").expect("a string takes all text");
            self.hash.update(&self.line);
        }
        self.hashed = self.entries.len();
        Transcript { entries: self.entries.clone(), hash: self.hash.clone().finalize().into() }
    }
}

/// A short name for `bytes`: enough to see that two runs part, and where.
pub(crate) fn short_hash(bytes: &[u8]) -> [u8; 8] {
    SipHasher13::new().hash(bytes).to_be_bytes()
}
