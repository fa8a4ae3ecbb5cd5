//! One file of a capture: what one interface sees.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use wire::pcapng::{Direction, Interface, LinkType, Names, Packet, Resolution, Section};

use super::CaptureFile;

/// Records of one tap that wait behind one whose fate is not known; then that is written without.
const WAITING: usize = 4_096;
/// Bytes that are gathered before the file is opened, for thousands of taps cannot all be open.
const GATHERED: usize = 64 * 1024;
/// Names in a file, at most.
const NAMES: usize = 4_096;

/// A frame as it is written.
pub(super) struct Record {
    /// Nanoseconds since 1970.
    pub(super) time: u64,
    pub(super) frame: Bytes,
    pub(super) packet: u64,
    pub(super) direction: Direction,
    pub(super) comment: String,
    /// All that is to be said of it is known.
    pub(super) is_settled: bool,
}

pub(super) struct Tap {
    name: String,
    link: String,
    description: String,
    /// In order of time.
    records: VecDeque<Record>,
    /// The number of the first of them.
    first: u64,
    gathered: Vec<u8>,
    hash: Sha256,
    frames: u64,
    bytes: u64,
    /// The file was begun.
    is_begun: bool,
}

impl Tap {
    pub(super) fn new(name: String, link: &str, machine: &str) -> Self {
        Self {
            name,
            link: link.to_owned(),
            description: format!("{machine} on {link}"),
            records: VecDeque::new(),
            first: 0,
            gathered: Vec::new(),
            hash: Sha256::new(),
            frames: 0,
            bytes: 0,
            is_begun: false,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn file(&self) -> CaptureFile {
        let (name, hash) = (self.name.clone(), self.hash.clone().finalize().into());
        CaptureFile { name, frames: self.frames, bytes: self.bytes, hash }
    }

    /// Takes a record; its number.
    pub(super) fn push(&mut self, record: Record, application: &str, names: &[(IpAddr, String)]) -> u64 {
        if self.frames == 0 && self.records.is_empty() {
            self.begin(application, names);
        }
        self.records.push_back(record);
        self.first + self.records.len() as u64 - 1
    }

    /// What became of a frame is known; its length in bytes, if its record still waits.
    pub(super) fn settle(&mut self, number: u64, lost: Option<String>) -> Option<usize> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let record = self.records.get_mut(at)?;
        record.is_settled = true;
        if let Some(lost) = lost {
            if !record.comment.is_empty() {
                record.comment.push_str("; ");
            }
            record.comment.push_str(&lost);
        }
        Some(record.frame.len())
    }

    /// Writes the records that need not wait any more.
    pub(super) fn drain(&mut self, all: bool, directory: Option<&Path>) -> io::Result<()> {
        while self.records.len() > WAITING
            || self.records.front().is_some_and(|record| all || record.is_settled)
        {
            let Some(record) = self.records.pop_front() else { break };
            self.first += 1;
            self.frames += 1;
            let packet = Packet {
                interface: 0,
                timestamp: record.time,
                original_len: record.frame.len() as u32,
                data: &record.frame,
                direction: Some(record.direction),
                id: Some(record.packet),
                comment: &record.comment,
            };
            self.gather(packet.len(), |bytes| packet.emit(bytes));
        }
        if self.gathered.len() >= GATHERED { self.write(directory) } else { Ok(()) }
    }

    /// Writes what was gathered.
    pub(super) fn write(&mut self, directory: Option<&Path>) -> io::Result<()> {
        let gathered = std::mem::take(&mut self.gathered);
        let Some(directory) = directory.filter(|_| !gathered.is_empty()) else { return Ok(()) };
        let path = directory.join(&self.name);
        let mut file = match std::mem::replace(&mut self.is_begun, true) {
            false => File::create(&path),
            true => OpenOptions::new().append(true).open(&path),
        }?;
        file.write_all(&gathered)
    }

    fn begin(&mut self, application: &str, names: &[(IpAddr, String)]) {
        let section = Section { application };
        self.gather(section.len(), |bytes| section.emit(bytes));
        let (link, description) = (self.link.clone(), self.description.clone());
        let interface = Interface {
            link_type: LinkType::ETHERNET,
            snap_len: 0,
            resolution: Resolution::NANOSECONDS,
            name: &link,
            description: &description,
        };
        self.gather(interface.len(), |bytes| interface.emit(bytes));
        if !names.is_empty() {
            let entries: Vec<_> =
                names.iter().take(NAMES).map(|(address, name)| (*address, name.as_str())).collect();
            let names = Names { entries: &entries };
            self.gather(names.len(), |bytes| names.emit(bytes));
        }
    }

    fn gather(&mut self, len: usize, emit: impl FnOnce(&mut [u8])) {
        let at = self.gathered.len();
        self.gathered.resize(at + len, 0);
        emit(&mut self.gathered[at..]);
        self.hash.update(&self.gathered[at..]);
        self.bytes += len as u64;
    }
}
