//! A store as one stream of bytes, which any later Fourwire can read, whatever it keeps rooms in by then.
//!
//! ```text
//! file   = "fourwire backup\n" version(u32) block... end
//! block  = kind(u8) length(u32) payload seal(8 bytes)
//! room   = kind 1: name(text) epoch(text) first(u64) last(u64)
//! bodies = kind 2: (length(u32) body)...      of the room before, from offset first + 1 on
//! end    = kind 3: rooms(u64) records(u64)
//! text   = length(u32) UTF-8
//! ```
//!
//! Numbers are little-endian. A seal is the beginning of the SHA-256 of the whole file up to it, so a changed, missing
//! or displaced block is noticed at once, and a file that was cut off has no end.

use std::io::{self, Read, Write as Output};
use std::sync::Arc;

use bytes::Bytes;
use host::Random;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{Epoch, Limit, Record, Start, Store, StoreError, Write};

/// What went through, so far or in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rooms.
    pub rooms: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of the backup.
    pub bytes: u64,
}

/// Why a backup was not made, or not brought back.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The backup could not be read or written.
    #[error("the backup failed: {0}")]
    Io(#[from] io::Error),
    /// This is something else.
    #[error("this is not a backup made by fourwire")]
    NotABackup,
    /// A newer program made it.
    #[error(
        "the backup has format version {found}, and this fourwire knows versions up to {known}: use a newer one"
    )]
    Version {
        /// The version of the backup.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// It is not as it was written.
    #[error("the backup is damaged after {at} bytes: {text}; use another one")]
    Damaged {
        /// Where, in bytes from the beginning.
        at: u64,
        /// In what way.
        text: &'static str,
    },
    /// There are rooms already where it should go.
    #[error("the store has rooms already: restore into an empty one")]
    NotEmpty,
}

/// Writes all that is in `store` to `output`, and calls `progress` now and then.
///
/// It is what the store holds at one moment only if nobody writes to the store meanwhile.
///
/// # Errors
///
/// [`BackupError::Store`] and [`BackupError::Io`].
pub fn backup(
    store: &mut dyn Store,
    output: impl Output,
    mut progress: impl FnMut(Progress),
) -> Result<Progress, BackupError> {
    let mut writer = Writer { output, digest: Sha256::new(), done: Progress::default() };
    writer.put(MAGIC)?;
    writer.put(&VERSION.to_le_bytes())?;
    let mut after: Option<String> = None;
    loop {
        let names = store.rooms(after.as_deref(), ROOMS_AT_ONCE)?;
        for name in &names {
            write_room(store, name, &mut writer, &mut progress)?;
        }
        match names.into_iter().next_back() {
            Some(last) => after = Some(last),
            None => break,
        }
    }
    let mut end = Vec::new();
    end.extend_from_slice(&writer.done.rooms.to_le_bytes());
    end.extend_from_slice(&writer.done.records.to_le_bytes());
    writer.block(END, &end)?;
    writer.output.flush()?;
    Ok(writer.done)
}

/// Brings back into `store`, which must be empty, what [`backup`] wrote.
///
/// Each room gets a new epoch from `random`: what was published after the backup was made is lost, its offsets are given
/// out again, and a client that saw it must not take the new publications for a continuation.
///
/// # Errors
///
/// All of [`BackupError`]. What was brought back before an error is in the store: throw that store away.
pub fn restore(
    input: impl Read,
    store: &mut dyn Store,
    random: &mut Random,
    mut progress: impl FnMut(Progress),
) -> Result<Progress, BackupError> {
    if !store.rooms(None, 1)?.is_empty() {
        return Err(BackupError::NotEmpty);
    }
    let mut reader = Reader { input, digest: Sha256::new(), at: 0 };
    reader.header()?;
    let mut restoring =
        Restoring { store, writes: Vec::new(), bytes: 0, room: None, done: Progress::default() };
    loop {
        let (kind, payload) = reader.block()?;
        let mut fields = Fields { rest: &payload, at: reader.at };
        match kind {
            ROOM => {
                restoring.begin_room(&mut fields, random)?;
                fields.end()?;
            }
            BODIES => restoring.records(&mut fields)?,
            END => {
                let promised = (fields.number()?, fields.number()?);
                fields.end()?;
                restoring.end_room(reader.at)?;
                restoring.commit()?;
                restoring.done.bytes = reader.at;
                if promised != (restoring.done.rooms, restoring.done.records) {
                    return Err(reader.damaged("it does not hold what it says"));
                }
                if reader.input.read(&mut [0])? != 0 {
                    return Err(reader.damaged("something comes after its end"));
                }
                return Ok(restoring.done);
            }
            _ => return Err(reader.damaged("it has a part of an unknown kind")),
        }
        restoring.done.bytes = reader.at;
        progress(restoring.done);
    }
}

const MAGIC: &[u8; 16] = b"fourwire backup\n";
const VERSION: u32 = 1;
const ROOM: u8 = 1;
const BODIES: u8 = 2;
const END: u8 = 3;

const ROOMS_AT_ONCE: usize = 256;
/// Read from the store at once.
const AT_ONCE: Limit = Limit { records: 64, bytes: 1 << 20 };
/// A block of bodies is written when it is this long, in bytes.
const BLOCK: usize = 64 << 10;
/// No block is longer than this, in bytes: one record, and what came before it.
const LONGEST_BLOCK: u64 = 1 << 30;
/// A commit of a restore is about this long, in bytes.
const COMMIT: usize = 1 << 20;

fn write_room(
    store: &mut dyn Store,
    name: &str,
    writer: &mut Writer<impl Output>,
    progress: &mut impl FnMut(Progress),
) -> Result<(), BackupError> {
    let Some(room) = store.load(name, Limit { records: 0, bytes: 0 })? else { return Ok(()) };
    let mut records = store.read(name, Start::After(0), AT_ONCE)?;
    let first = records.first().map_or(room.offset, |record| record.offset - 1);
    let mut payload = Vec::new();
    put_text(&mut payload, name);
    put_text(&mut payload, room.epoch.as_str());
    payload.extend_from_slice(&first.to_le_bytes());
    payload.extend_from_slice(&room.offset.to_le_bytes());
    writer.block(ROOM, &payload)?;
    payload.clear();
    let mut last = first;
    while last < room.offset {
        for record in &records {
            if record.offset != last + 1 {
                let text = format!("room {name:?} lacks the record with offset {}", last + 1);
                return Err(StoreError::Corrupt(text.into()).into());
            }
            last = record.offset;
            payload.extend_from_slice(&(record.body.len() as u32).to_le_bytes());
            payload.extend_from_slice(&record.body);
            writer.done.records += 1;
            if payload.len() >= BLOCK || last == room.offset {
                writer.block(BODIES, &payload)?;
                payload.clear();
                progress(writer.done);
            }
            if last == room.offset {
                break;
            }
        }
        if records.is_empty() {
            let text = format!("room {name:?} lacks the record with offset {}", last + 1);
            return Err(StoreError::Corrupt(text.into()).into());
        }
        if last < room.offset {
            records = store.read(name, Start::After(last), AT_ONCE)?;
        }
    }
    writer.done.rooms += 1;
    progress(writer.done);
    Ok(())
}

fn put_text(payload: &mut Vec<u8>, text: &str) {
    payload.extend_from_slice(&(text.len() as u32).to_le_bytes());
    payload.extend_from_slice(text.as_bytes());
}

struct Writer<O> {
    output: O,
    digest: Sha256,
    done: Progress,
}

impl<O: Output> Writer<O> {
    fn block(&mut self, kind: u8, payload: &[u8]) -> Result<(), BackupError> {
        if payload.len() as u64 > LONGEST_BLOCK {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a record is longer than 1 GiB").into());
        }
        self.put(&[kind])?;
        self.put(&(payload.len() as u32).to_le_bytes())?;
        self.put(payload)?;
        let seal = seal(&self.digest);
        self.put(&seal)?;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.write_all(bytes)?;
        self.digest.update(bytes);
        self.done.bytes += bytes.len() as u64;
        Ok(())
    }
}

struct Reader<I> {
    input: I,
    digest: Sha256,
    /// Bytes read and found good.
    at: u64,
}

impl<I: Read> Reader<I> {
    fn header(&mut self) -> Result<(), BackupError> {
        let magic = self.take(MAGIC.len() as u64)?;
        if magic != MAGIC {
            return Err(BackupError::NotABackup);
        }
        let version = u32::from_le_bytes(self.array()?);
        match version {
            VERSION => {
                self.at = (MAGIC.len() + size_of::<u32>()) as u64;
                Ok(())
            }
            0 => Err(self.damaged("there is no format version 0")),
            found => Err(BackupError::Version { found, known: VERSION }),
        }
    }

    fn block(&mut self) -> Result<(u8, Vec<u8>), BackupError> {
        let [kind] = self.array()?;
        let length = u64::from(u32::from_le_bytes(self.array()?));
        if length > LONGEST_BLOCK {
            return Err(self.damaged("a part of it is too long"));
        }
        let payload = self.take(length)?;
        if payload.len() as u64 != length {
            return Err(self.damaged("it is cut off"));
        }
        let expected = seal(&self.digest);
        let found: [u8; SEAL] = self.array()?;
        if found != expected {
            return Err(self.damaged("its checksum is wrong"));
        }
        self.at += 5 + length + SEAL as u64;
        Ok((kind, payload))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BackupError> {
        let bytes = self.take(N as u64)?;
        bytes.try_into().map_err(|_| self.damaged("it is cut off"))
    }

    /// Up to `count` bytes: fewer at the end. Memory grows with what really comes.
    fn take(&mut self, count: u64) -> Result<Vec<u8>, BackupError> {
        let mut bytes = Vec::new();
        self.input.by_ref().take(count).read_to_end(&mut bytes)?;
        self.digest.update(&bytes);
        Ok(bytes)
    }

    fn damaged(&self, text: &'static str) -> BackupError {
        BackupError::Damaged { at: self.at, text }
    }
}

const SEAL: usize = 8;

fn seal(digest: &Sha256) -> [u8; SEAL] {
    let whole = digest.clone().finalize();
    let mut seal = [0; SEAL];
    seal.copy_from_slice(&whole[..SEAL]);
    seal
}

struct Restoring<'a> {
    store: &'a mut dyn Store,
    writes: Vec<Write>,
    /// Of the bodies in `writes`.
    bytes: usize,
    /// The room, its offset so far, and the one it must come to.
    room: Option<(Arc<str>, u64, u64)>,
    done: Progress,
}

impl Restoring<'_> {
    fn begin_room(&mut self, fields: &mut Fields<'_>, random: &mut Random) -> Result<(), BackupError> {
        self.end_room(fields.at)?;
        let channel: Arc<str> = fields.text()?.into();
        let _epoch = fields.text()?;
        let (first, last) = (fields.number()?, fields.number()?);
        if first > last {
            return Err(fields.damaged("a room ends before it begins"));
        }
        self.writes.push(Write::Restore {
            channel: channel.clone(),
            epoch: Epoch::random(random),
            offset: first,
        });
        self.room = Some((channel, first, last));
        Ok(())
    }

    fn records(&mut self, fields: &mut Fields<'_>) -> Result<(), BackupError> {
        while !fields.rest.is_empty() {
            let body = Bytes::copy_from_slice(fields.bytes()?);
            let Some((channel, offset, _)) = self.room.as_mut().filter(|(_, offset, last)| offset < last)
            else {
                return Err(fields.damaged("a record belongs to no room"));
            };
            *offset += 1;
            self.bytes += body.len();
            let record = Record { offset: *offset, body };
            self.writes.push(Write::Append { channel: channel.clone(), record });
            self.done.records += 1;
        }
        if self.bytes >= COMMIT { self.commit() } else { Ok(()) }
    }

    fn end_room(&mut self, at: u64) -> Result<(), BackupError> {
        match self.room.take() {
            Some((_, offset, last)) if offset != last => {
                Err(BackupError::Damaged { at, text: "a room lacks records" })
            }
            Some(_) => {
                self.done.rooms += 1;
                if self.writes.len() >= 4_096 { self.commit() } else { Ok(()) }
            }
            None => Ok(()),
        }
    }

    fn commit(&mut self) -> Result<(), BackupError> {
        if !self.writes.is_empty() {
            self.store.commit(&self.writes)?;
        }
        self.writes.clear();
        self.bytes = 0;
        Ok(())
    }
}

/// The fields of a payload.
struct Fields<'a> {
    rest: &'a [u8],
    at: u64,
}

impl<'a> Fields<'a> {
    fn text(&mut self) -> Result<&'a str, BackupError> {
        let at = self.at;
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| BackupError::Damaged { at, text: "a name is not UTF-8" })
    }

    fn bytes(&mut self) -> Result<&'a [u8], BackupError> {
        let Some((length, rest)) = self.rest.split_first_chunk() else { return Err(self.short()) };
        let length = u32::from_le_bytes(*length) as usize;
        let Some((bytes, rest)) = rest.split_at_checked(length) else { return Err(self.short()) };
        self.rest = rest;
        Ok(bytes)
    }

    fn number(&mut self) -> Result<u64, BackupError> {
        let Some((number, rest)) = self.rest.split_first_chunk() else { return Err(self.short()) };
        self.rest = rest;
        Ok(u64::from_le_bytes(*number))
    }

    fn end(&self) -> Result<(), BackupError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.damaged("a part of it is too long")) }
    }

    fn short(&self) -> BackupError {
        self.damaged("a part of it is too short")
    }

    fn damaged(&self, text: &'static str) -> BackupError {
        BackupError::Damaged { at: self.at, text }
    }
}
