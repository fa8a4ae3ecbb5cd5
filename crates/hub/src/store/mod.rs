//! Where rooms are kept: the [`Store`] trait, its requests, and its implementations.
//!
//! A store knows rooms by name. A room has an epoch, a position (the offset of the record appended last, zero before the
//! first) and the records that were not trimmed yet, whose offsets follow one another without a gap. What is in a record
//! is the hub's business. One task drives a store; nobody else touches it meanwhile.

mod backup;
mod embedded;
mod error;
pub mod faulty;
mod memory;
mod request;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use host::Random;

pub use backup::{BackupError, Progress, backup, restore};
pub use embedded::{Directory, Embedded, Place};
pub use error::StoreError;
pub use memory::Memory;
pub use request::{Operation, Outcome, Reply, Request, run};

/// Keeps rooms and their records.
pub trait Store: Send + 'static {
    /// Epoch, position and the newest records of a room, as many as `limit` allows, oldest first; `None` when there is no
    /// such room.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] and [`StoreError::Corrupt`] when the room cannot be read.
    fn load(&mut self, channel: &str, limit: Limit) -> Result<Option<StoredRoom>, StoreError>;

    /// Writes all of `writes`, in order, all or nothing; returns after the sync that covers them.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] and [`StoreError::Io`] from the storage; [`StoreError::NoSuchRoom`],
    /// [`StoreError::RoomExists`] and [`StoreError::NotContiguous`] when the writes do not fit what is there. After any
    /// error nothing of `writes` is there, and the store goes on: a caller may try again.
    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError>;

    /// Records from `start` on, as many as `limit` allows, oldest first. None when there is no such room.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    fn read(&mut self, channel: &str, start: Start, limit: Limit) -> Result<Vec<Record>, StoreError>;

    /// Names of the rooms after `after`, in the order of their bytes, at most `limit`.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    fn rooms(&mut self, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError>;
}

/// From where to read a room, and in which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The records after this offset.
    After(u64),
    /// The records before this offset, the last of them first. What was read comes in the order of the offsets all the
    /// same.
    Before(u64),
}

/// How much of a room is read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Records, at most.
    pub records: usize,
    /// Bytes of their bodies, at most. The first record comes whatever its length, so that who reads on gets on.
    pub bytes: usize,
}

impl Limit {
    /// Says of one body after the other, by its length, whether it may still come.
    fn admits(self) -> impl FnMut(usize) -> bool {
        let (mut records, mut bytes) = (0, 0_usize);
        move |length| {
            let sum = bytes.saturating_add(length);
            let fits = records < self.records && (records == 0 || sum <= self.bytes);
            if fits {
                (records, bytes) = (records + 1, sum);
            }
            fits
        }
    }
}

/// A room as it was found in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRoom {
    /// Which life of the room this is.
    pub epoch: Epoch,
    /// Offset of the record appended last; zero before the first.
    pub offset: u64,
    /// The records asked for, oldest first.
    pub records: Vec<Record>,
}

/// One record of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the room, counted from one.
    pub offset: u64,
    /// What the hub made of the publication. The store does not look into it.
    pub body: Bytes,
}

/// One change of what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Makes a room that is not there yet, at offset zero.
    Create {
        /// The room's name.
        channel: Arc<str>,
        /// Its epoch.
        epoch: Epoch,
    },
    /// Makes a room that is not there yet and whose first records are gone: the next record is `offset` + 1. This is how
    /// a backup comes back.
    Restore {
        /// The room's name.
        channel: Arc<str>,
        /// Its epoch.
        epoch: Epoch,
        /// The offset before the first record to come.
        offset: u64,
    },
    /// Adds the next record: its offset is the room's position plus one, which is then the position.
    Append {
        /// The room's name.
        channel: Arc<str>,
        /// The record.
        record: Record,
    },
    /// Puts another body in the place of a record. Nothing happens when that record or its room is gone.
    Replace {
        /// The room's name.
        channel: Arc<str>,
        /// The record's offset, and its new body.
        record: Record,
    },
    /// Drops the records up to and including offset `through`; the position stays. Nothing happens when the room is
    /// gone.
    Trim {
        /// The room's name.
        channel: Arc<str>,
        /// The last offset to drop. May be past the last record.
        through: u64,
    },
    /// Drops a room with all that is in it. Nothing happens when it is gone already.
    Remove {
        /// The room's name.
        channel: Arc<str>,
    },
}

impl Write {
    /// The room that is written to.
    pub fn channel(&self) -> &Arc<str> {
        match self {
            Self::Create { channel, .. }
            | Self::Restore { channel, .. }
            | Self::Append { channel, .. }
            | Self::Replace { channel, .. }
            | Self::Trim { channel, .. }
            | Self::Remove { channel } => channel,
        }
    }
}

/// Which life of a room an offset belongs to. Offsets of different epochs have nothing to do with each other: a client
/// that comes back with another epoch than the room's has to load the room anew.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(Arc<str>);

impl Epoch {
    /// How many characters a random epoch has.
    const LENGTH: usize = 8;

    /// The epoch that is written `text`.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// A new epoch: eight letters and digits, 47 bits.
    pub fn random(random: &mut Random) -> Self {
        const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let text: String =
            (0..Self::LENGTH).map(|_| char::from(ALPHABET[random.below(62) as usize])).collect();
        Self(text.into())
    }

    /// The epoch as it goes over the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Epoch({})", self.0)
    }
}
