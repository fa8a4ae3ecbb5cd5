//! Captures: one pcapng file for each end of the wire, with the times of the wall clock.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use host::{Instant, Runtime};
use lab::Way;
use lab::live::{Passing, Tap};
use wire::pcapng::{Direction, Interface, LinkType, Packet, Resolution, Section};

/// Captures that are being written.
#[derive(Clone)]
pub(super) struct Capture(Arc<Mutex<Files>>);

struct Files {
    /// The near end's and the far end's.
    files: [BufWriter<File>; 2],
    /// Of the wall clock, in nanoseconds, when the clock of the host was at its origin.
    epoch: u64,
    scratch: Vec<u8>,
    failed: Option<io::Error>,
}

/// The longest frame that is written whole.
const SNAP: u32 = 262_144;

impl Capture {
    /// Begins `NAME-near.pcapng` and `NAME-far.pcapng` in `directory`, which is made if need be.
    ///
    /// # Errors
    ///
    /// When they cannot be written, and which.
    pub(super) fn begin(
        runtime: &impl Runtime,
        directory: &Path,
        name: &str,
    ) -> Result<Self, (PathBuf, io::Error)> {
        let at = |path: PathBuf| move |error| (path, error);
        std::fs::create_dir_all(directory).map_err(at(directory.to_owned()))?;
        let epoch = runtime.wall_clock().unix_nanos().saturating_sub(runtime.now().as_nanos());
        let [near, far] = ["near", "far"].map(|end| {
            let path = directory.join(format!("{name}-{end}.pcapng"));
            begin(&path, end).map_err(at(path))
        });
        let files = Files { files: [near?, far?], epoch, scratch: Vec::new(), failed: None };
        Ok(Self(Arc::new(Mutex::new(files))))
    }

    /// What writes down the frames of a wire.
    pub(super) fn tap(&self) -> Tap {
        let files = self.0.clone();
        Box::new(move |now, way, passing, frame| {
            let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
            // The near end sends out and hears what comes in; the far end the other way round.
            let (end, direction) = match (passing, way) {
                (Passing::Sent, Way::Out) => (0, Direction::Outbound),
                (Passing::Arrived, Way::Out) => (1, Direction::Inbound),
                (Passing::Sent, Way::In) => (1, Direction::Outbound),
                (Passing::Arrived, Way::In) => (0, Direction::Inbound),
                // What was lost is in its sender's file, and missing in the other.
                (Passing::Lost(_), _) => return,
            };
            files.write(now, end, direction, frame);
        })
    }

    /// Hands everything to the system, and tells what went wrong since it was asked last.
    pub(super) fn flush(&self) -> io::Result<()> {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = files.failed.take() {
            return Err(error);
        }
        files.files.iter_mut().try_for_each(Write::flush)
    }
}

impl Files {
    fn write(&mut self, now: Instant, end: usize, direction: Direction, frame: &[u8]) {
        let data = &frame[..frame.len().min(SNAP as usize)];
        let packet = Packet {
            interface: 0,
            timestamp: self.epoch + now.as_nanos(),
            original_len: frame.len() as u32,
            data,
            direction: Some(direction),
            comment: "",
            id: None,
        };
        self.scratch.clear();
        self.scratch.resize(packet.len(), 0);
        packet.emit(&mut self.scratch);
        if let Err(error) = self.files[end].write_all(&self.scratch) {
            self.failed = Some(error);
        }
    }
}

fn begin(path: &Path, end: &str) -> io::Result<BufWriter<File>> {
    let mut file = BufWriter::new(File::create(path)?);
    let application = concat!("fourwire ", env!("CARGO_PKG_VERSION"));
    let section = Section { application };
    let interface = Interface {
        link_type: LinkType::ETHERNET,
        snap_len: SNAP,
        resolution: Resolution::NANOSECONDS,
        name: end,
        description: "",
    };
    let mut bytes = vec![0; section.len() + interface.len()];
    let (head, tail) = bytes.split_at_mut(section.len());
    section.emit(head);
    interface.emit(tail);
    file.write_all(&bytes)?;
    Ok(file)
}
