//! Captures: what passes each interface, in files that Wireshark reads.

mod tap;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use host::{Instant, WallTime};
use sha2::{Digest, Sha256};
use wire::pcapng::Direction;

use crate::lab::Lab;
use crate::network::MachineState;
use crate::watch::{Stamp, Watch};
use tap::{Record, Tap};

/// What to record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaptureConfig {
    /// Where the files go, one for each interface: `alice.home.pcapng` is what alice sees of the link home. The directory
    /// is made; files of these names are replaced. `None` writes nothing and is for the [hash](Lab::capture_hash).
    pub directory: Option<PathBuf>,
    /// What is run, to be found in each file beside version and seed.
    pub scenario: String,
}

/// A file of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureFile {
    /// Its name in the directory.
    pub name: String,
    /// Frames in it.
    pub frames: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub hash: [u8; 32],
}

/// Bytes of frames that wait for their fate, over all taps: beyond, they are written without.
const HELD: usize = 64 * 1024 * 1024;

impl Lab {
    /// Records from now on what passes each interface. Hosts that were made before tell less of why they send: call it
    /// before [`Topology::build`](crate::Topology::build).
    ///
    /// Each frame is written with its virtual time, in nanoseconds from [`Config::epoch`](crate::Config::epoch) on, and
    /// with the number of its packet (`epb_packetid`, `frame.packet_id` in Wireshark), which is the same at all taps on
    /// the packet's way, behind routers too. A comment says why it was sent, which message it carries, and where and why
    /// it was lost. The bytes of the files follow from the seed.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made. Later errors come from [`finish_capture`](Self::finish_capture).
    pub fn capture(&self, config: CaptureConfig) -> io::Result<()> {
        if let Some(directory) = &config.directory {
            std::fs::create_dir_all(directory)?;
        }
        self.shared().with(|state| {
            let epoch = state.config.epoch;
            let application = match config.scenario.as_str() {
                "" => format!("fourwire {}, seed {}", env!("CARGO_PKG_VERSION"), state.config.seed),
                scenario => {
                    format!("fourwire {}, seed {}, {scenario}", env!("CARGO_PKG_VERSION"), state.config.seed)
                }
            };
            let recording = Recording::new(config.directory, application, epoch);
            state.watch.get_or_insert_with(|| Box::new(Watch::new())).recording = Some(recording);
        });
        Ok(())
    }

    /// Writes what is left and ends the capture: its files, by name. A lab that goes writes what is left, too.
    ///
    /// # Errors
    ///
    /// The first error in writing a file.
    pub fn finish_capture(&self) -> io::Result<Vec<CaptureFile>> {
        let recording = self.shared().with(|state| state.watch.as_mut()?.recording.take());
        recording.map_or_else(|| Ok(Vec::new()), Recording::finish)
    }

    /// One hash over the whole capture so far: SHA-256 over the name and the hash of each file, in order of names. One seed
    /// gives one hash. `None` when nothing is recorded.
    pub fn capture_hash(&self) -> Option<[u8; 32]> {
        self.shared().with(|state| {
            let recording = state.watch.as_mut()?.recording.as_mut()?;
            recording.flush();
            Some(hash(&recording.files()))
        })
    }
}

/// One hash over the files of a capture: see [`Lab::capture_hash`].
pub fn hash(files: &[CaptureFile]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for file in files {
        hash.update((file.name.len() as u64).to_le_bytes());
        hash.update(&file.name);
        hash.update(file.hash);
    }
    hash.finalize().into()
}

/// A capture under way.
pub(crate) struct Recording {
    directory: Option<PathBuf>,
    application: String,
    epoch: WallTime,
    taps: Vec<Tap>,
    /// The tap of a machine on a link.
    places: BTreeMap<(usize, usize), usize>,
    /// Where the sender's record of a frame waits for the frame's fate.
    waiting: BTreeMap<u64, (usize, u64)>,
    held: usize,
    error: Option<io::Error>,
}

impl Recording {
    fn new(directory: Option<PathBuf>, application: String, epoch: WallTime) -> Self {
        Self {
            directory,
            application,
            epoch,
            taps: Vec::new(),
            places: BTreeMap::new(),
            waiting: BTreeMap::new(),
            held: 0,
            error: None,
        }
    }

    /// The tap at the interface of a machine to a link.
    pub(crate) fn tap(
        &mut self,
        machine: usize,
        segment: usize,
        machines: &[MachineState],
        link: &Arc<str>,
    ) -> usize {
        if let Some(&tap) = self.places.get(&(machine, segment)) {
            return tap;
        }
        let machine_name = &machines[machine].name;
        let mut name = format!("{}.{}.pcapng", file_name(machine_name), file_name(link));
        while self.taps.iter().any(|tap| tap.name() == name) {
            name.insert(0, '_');
        }
        self.taps.push(Tap::new(name, link, machine_name));
        self.places.insert((machine, segment), self.taps.len() - 1);
        self.taps.len() - 1
    }

    /// A machine sent a frame. Its record waits until its fate is known.
    pub(crate) fn outbound(
        &mut self,
        tap: usize,
        now: Instant,
        frame: &Bytes,
        stamp: Stamp,
        said: Option<String>,
        names: &[(IpAddr, String)],
    ) {
        let comment = match (said, stamp.hop) {
            (Some(said), _) => said,
            (None, 0) => String::new(),
            (None, hop) => format!("hop {}", hop + 1),
        };
        let number = self.record(tap, now, frame, stamp, Direction::Outbound, comment, names);
        self.waiting.insert(stamp.frame, (tap, number));
        self.held += frame.len();
        if self.held > HELD {
            self.flush();
        }
    }

    /// A frame arrived at a machine.
    pub(crate) fn inbound(
        &mut self,
        tap: usize,
        now: Instant,
        frame: &Bytes,
        stamp: Stamp,
        names: &[(IpAddr, String)],
    ) {
        self.record(tap, now, frame, stamp, Direction::Inbound, String::new(), names);
        self.drain(tap, false);
    }

    /// A frame has arrived, or was lost, for which there are words.
    pub(crate) fn settle(&mut self, stamp: Stamp, lost: Option<String>) {
        let Some((tap, number)) = self.waiting.remove(&stamp.frame) else { return };
        if let Some(len) = self.taps[tap].settle(number, lost) {
            self.held -= len;
        }
        self.drain(tap, false);
    }

    #[allow(clippy::too_many_arguments)]
    fn record(
        &mut self,
        tap: usize,
        now: Instant,
        frame: &Bytes,
        stamp: Stamp,
        direction: Direction,
        comment: String,
        names: &[(IpAddr, String)],
    ) -> u64 {
        let time = self.epoch.unix_nanos().saturating_add(now.as_nanos());
        let record = Record {
            time,
            frame: frame.clone(),
            packet: stamp.packet,
            direction,
            comment,
            is_settled: direction == Direction::Inbound,
        };
        self.taps[tap].push(record, &self.application, names)
    }

    /// Writes the records of a tap whose turn has come; all of them when `all`.
    fn drain(&mut self, tap: usize, all: bool) {
        let written = self.taps[tap].drain(all, self.directory.as_deref());
        if let Err(error) = written {
            self.error.get_or_insert(error);
        }
    }

    /// Writes everything, whether its fate is known or not.
    fn flush(&mut self) {
        for tap in 0..self.taps.len() {
            self.drain(tap, true);
        }
        self.waiting.clear();
        self.held = 0;
    }

    fn files(&self) -> Vec<CaptureFile> {
        let mut files: Vec<_> = self.taps.iter().map(Tap::file).collect();
        files.sort_by(|one, other| one.name.cmp(&other.name));
        files
    }

    /// Writes what is left.
    pub(crate) fn finish(mut self) -> io::Result<Vec<CaptureFile>> {
        self.flush();
        for tap in &mut self.taps {
            if let Err(error) = tap.write(self.directory.as_deref()) {
                self.error.get_or_insert(error);
            }
        }
        match self.error.take() {
            Some(error) => Err(error),
            None => Ok(self.files()),
        }
    }
}

/// A name as a part of a file's name.
fn file_name(name: &str) -> String {
    let plain = |letter: char| if letter.is_alphanumeric() || "-_".contains(letter) { letter } else { '_' };
    name.chars().map(plain).collect()
}
