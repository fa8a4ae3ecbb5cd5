//! Test equipment: a disk in memory that crashes, fills up and fails.
//!
//! A [`Disk`] keeps apart what was synced and what was only written. When its power goes, each sector that was written
//! since the last sync is found as it was before, or as any of the writes since left it, whatever their order; the same
//! holds for the file's length. Single sectors are whole, as on real disks. A sync that fails may have written any part,
//! and what it did not write is never written later, though reads from the cache still show it: that is what Linux does.
//!
//! All of it comes from one seed. [`Embedded`](super::Embedded) runs on a `Disk` through [`Place`], so a whole server
//! can be run in virtual time on storage that crashes.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use host::Random;
use redb::StorageBackend;

use super::{Place, StoreError};

/// Bytes that a disk writes whole or not at all.
const SECTOR: usize = 512;
/// Sectors that the reserve takes up.
const RESERVE: usize = 256;
/// Sectors that must be free beside it before it is laid by.
const HEADROOM: usize = 64;

/// A disk with one file on it. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Mutex<State>>);

/// What can befall a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power goes: this operation and all that follow fail, until [`Disk::restart`].
    Crash,
    /// One operation fails (EIO).
    Once,
    /// This operation and all that follow fail (EIO), until [`Disk::mend`].
    Lasting,
}

/// The file, opened.
#[derive(Debug)]
pub struct DiskFile {
    disk: Disk,
    life: u64,
}

impl Disk {
    /// An empty disk, whose fate grows from `seed`.
    pub fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self(Arc::new(Mutex::new(State {
            random: Random::from_seed(bytes),
            synced: Image::default(),
            cache: Image::default(),
            unsynced: Vec::new(),
            kept: false,
            life: 0,
            powered: true,
            fault: None,
            sync_fault: None,
            broken: false,
            operations: 0,
            syncs: 0,
            capacity: usize::MAX,
            reserve: false,
        })))
    }

    /// Lets `fault` happen at the operation (read, write, sync, change of length) that comes after `operations` others.
    pub fn fail_after(&self, operations: u64, fault: Fault) {
        let mut state = self.state();
        state.fault = Some((state.operations + operations, fault));
    }

    /// Lets `fault` happen at the sync that comes after `syncs` others.
    pub fn fail_sync_after(&self, syncs: u64, fault: Fault) {
        let mut state = self.state();
        state.sync_fault = Some((state.syncs + syncs, fault));
    }

    /// Ends a lasting fault, and takes back one that is still to come.
    pub fn mend(&self) {
        let mut state = self.state();
        state.fault = None;
        state.sync_fault = None;
        state.broken = false;
    }

    /// The power goes, now.
    pub fn crash(&self) {
        self.state().crash();
    }

    /// The power is back. Whoever had the file open has lost it.
    pub fn restart(&self) {
        let mut state = self.state();
        state.life += 1;
        state.powered = true;
        state.fault = None;
        state.sync_fault = None;
        state.broken = false;
    }

    /// How many bytes fit on the disk, counted in sectors that were ever written.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().capacity = usize::try_from(bytes / SECTOR as u64).unwrap_or(usize::MAX);
    }

    /// Bytes on the disk, counted in sectors.
    pub fn used(&self) -> u64 {
        (self.state().used() * SECTOR) as u64
    }

    /// Operations so far.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Whether the power is on.
    pub fn is_powered(&self) -> bool {
        self.state().powered
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place for Disk {
    type Backend = DiskFile;

    fn open(&mut self) -> Result<DiskFile, StoreError> {
        let mut state = self.state();
        if !state.powered {
            return Err(no_power().into());
        }
        if !state.kept {
            state.synced = Image::default();
            state.unsynced.clear();
        }
        // Only what is on the disk, or still waits to be written, is read from now on.
        let mut cache = state.synced.clone();
        for change in &state.unsynced {
            cache.apply(change);
        }
        state.cache = cache;
        state.life += 1;
        let life = state.life;
        drop(state);
        Ok(DiskFile { disk: self.clone(), life })
    }

    fn keep(&mut self) -> Result<(), StoreError> {
        let mut state = self.state();
        if !state.powered {
            return Err(no_power().into());
        }
        state.kept = true;
        Ok(())
    }

    fn spend_reserve(&mut self) {
        self.state().reserve = false;
    }

    fn refill_reserve(&mut self) -> Result<(), StoreError> {
        let mut state = self.state();
        if !state.powered {
            return Err(no_power().into());
        }
        if !state.reserve && state.used() + RESERVE + HEADROOM > state.capacity {
            return Err(no_space().into());
        }
        state.reserve = true;
        Ok(())
    }

    fn name(&self) -> String {
        "a disk in memory".into()
    }
}

impl DiskFile {
    /// The disk, for one operation.
    fn operate(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.powered()?;
        state.operations += 1;
        let operations = state.operations;
        let due = state.fault.take_if(|(at, _)| *at < operations);
        state.befall(due)?;
        Ok(state)
    }

    /// The disk, for a sync.
    fn operate_sync(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.operate()?;
        state.syncs += 1;
        let syncs = state.syncs;
        let due = state.sync_fault.take_if(|(at, _)| *at < syncs);
        state.befall(due)?;
        Ok(state)
    }

    fn powered(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if self.life == state.life && state.powered { Ok(state) } else { Err(no_power()) }
    }
}

impl StorageBackend for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.operate()?.cache.len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.operate()?.cache.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.operate()?.change(Change::Length(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.operate_sync() {
            Ok(mut state) => {
                state.sync();
                Ok(())
            }
            Err(error) => {
                if let Ok(mut state) = self.powered() {
                    state.sync_badly();
                }
                Err(error)
            }
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.operate()?;
        let mut written = 0;
        while written < data.len() {
            let at = offset + written as u64;
            let (index, start) = (at / SECTOR as u64, (at % SECTOR as u64) as usize);
            let count = (SECTOR - start).min(data.len() - written);
            if state.cache.get(index).is_none() && state.used() >= state.capacity {
                return Err(no_space());
            }
            let mut sector = state.cache.get(index).map_or([0; SECTOR], |sector| **sector);
            sector[start..start + count].copy_from_slice(&data[written..written + count]);
            state.change(Change::Sector(index, Arc::new(sector)));
            written += count;
        }
        if state.cache.len < offset + data.len() as u64 {
            state.change(Change::Length(offset + data.len() as u64));
        }
        Ok(())
    }
}

struct State {
    random: Random,
    /// What is on the disk for sure.
    synced: Image,
    /// What a read sees.
    cache: Image,
    /// What was changed since, in order.
    unsynced: Vec<Change>,
    kept: bool,
    /// Counts openings and restarts: an older opening is dead.
    life: u64,
    powered: bool,
    fault: Option<(u64, Fault)>,
    sync_fault: Option<(u64, Fault)>,
    broken: bool,
    operations: u64,
    syncs: u64,
    /// In sectors.
    capacity: usize,
    reserve: bool,
}

impl State {
    fn used(&self) -> usize {
        self.cache.count + if self.reserve { RESERVE } else { 0 }
    }

    fn befall(&mut self, due: Option<(u64, Fault)>) -> io::Result<()> {
        match due {
            Some((_, Fault::Crash)) => {
                self.crash();
                return Err(no_power());
            }
            Some((_, Fault::Once)) => return Err(broken()),
            Some((_, Fault::Lasting)) => self.broken = true,
            None => {}
        }
        if self.broken { Err(broken()) } else { Ok(()) }
    }

    fn change(&mut self, change: Change) {
        self.cache.apply(&change);
        self.unsynced.push(change);
    }

    fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            self.synced.apply(&change);
        }
    }

    /// A sync that failed half-way: what it did not write will not be written by the next one either.
    fn sync_badly(&mut self) {
        let changes = std::mem::take(&mut self.unsynced);
        self.write_some(changes);
    }

    fn crash(&mut self) {
        let changes = std::mem::take(&mut self.unsynced);
        self.write_some(changes);
        if !self.kept {
            self.synced = Image::default();
        }
        self.cache = Image::default();
        self.powered = false;
    }

    /// Writes what luck chooses of `changes`.
    fn write_some(&mut self, changes: Vec<Change>) {
        match self.random.below(8) {
            0 => {}
            1 => changes.iter().for_each(|change| self.synced.apply(change)),
            2 => {
                let count = self.random.below(changes.len() as u64 + 1) as usize;
                changes[..count].iter().for_each(|change| self.synced.apply(change));
            }
            // Fair luck would hardly ever spare a whole commit but for one sector, where the interesting cases are.
            luck => self.write_any(&changes, [1, 8, 14, 15, 15][luck as usize - 3]),
        }
        self.synced.cut();
    }

    /// Gives each sector, and the length, the state after any of its changes with a chance of `luck` in 16, else the
    /// state before them.
    fn write_any(&mut self, changes: &[Change], luck: u64) {
        let mut versions: BTreeMap<u64, Vec<&Arc<Sector>>> = BTreeMap::new();
        let mut lengths = Vec::new();
        for change in changes {
            match change {
                Change::Sector(index, sector) => versions.entry(*index).or_default().push(sector),
                Change::Length(len) => lengths.push(*len),
            }
        }
        if !lengths.is_empty() && self.random.below(16) < luck {
            let len = lengths[self.random.below(lengths.len() as u64) as usize];
            self.synced.apply(&Change::Length(len));
        }
        for (index, versions) in versions {
            if self.random.below(16) < luck {
                // The last one more often than not.
                let back = self.random.below(2) * self.random.below(versions.len() as u64);
                let version = &versions[versions.len() - 1 - back as usize];
                let version = (*version).clone();
                self.synced.set(index, version);
            }
        }
    }
}

type Sector = [u8; SECTOR];

enum Change {
    Sector(u64, Arc<Sector>),
    Length(u64),
}

/// A file's content. Sectors that are not there are zeros.
#[derive(Clone, Default)]
struct Image {
    len: u64,
    sectors: Vec<Option<Arc<Sector>>>,
    /// How many sectors are there.
    count: usize,
}

impl Image {
    fn get(&self, index: u64) -> Option<&Arc<Sector>> {
        self.sectors.get(index as usize)?.as_ref()
    }

    fn set(&mut self, index: u64, sector: Arc<Sector>) {
        let index = index as usize;
        if self.sectors.len() <= index {
            self.sectors.resize(index + 1, None);
        }
        if self.sectors[index].replace(sector).is_none() {
            self.count += 1;
        }
    }

    /// Takes away what is past the end.
    fn cut(&mut self) {
        let end = self.len.div_ceil(SECTOR as u64) as usize;
        if end < self.sectors.len() {
            self.count -= self.sectors.drain(end..).flatten().count();
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut done = 0;
        while done < out.len() {
            let at = offset + done as u64;
            let (index, start) = (at / SECTOR as u64, (at % SECTOR as u64) as usize);
            let count = (SECTOR - start).min(out.len() - done);
            match self.get(index) {
                Some(sector) => out[done..done + count].copy_from_slice(&sector[start..start + count]),
                None => out[done..done + count].fill(0),
            }
            done += count;
        }
        Ok(())
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Sector(index, sector) => self.set(*index, sector.clone()),
            Change::Length(len) => {
                let shrunk = *len < self.len;
                self.len = *len;
                if shrunk {
                    self.cut();
                    let rest = (*len % SECTOR as u64) as usize;
                    let last = self.sectors.get_mut((*len / SECTOR as u64) as usize);
                    if let Some(Some(last)) = last.filter(|_| rest > 0) {
                        Arc::make_mut(last)[rest..].fill(0);
                    }
                }
            }
        }
    }
}

fn no_power() -> io::Error {
    io::Error::other("the power is off")
}

fn broken() -> io::Error {
    io::Error::other("input/output error")
}

fn no_space() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "no space left on the disk")
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("State")
            .field("bytes", &self.cache.len)
            .field("unsynced", &self.unsynced.len())
            .field("powered", &self.powered)
            .finish_non_exhaustive()
    }
}
