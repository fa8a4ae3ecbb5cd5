//! Measures the store of Fourwire beside two others, on the path that the server takes: the `Store` trait, one sync for
//! each commit.
//!
//!     cargo run --release [DIRECTORY]
//!
//! Rounds are interleaved: in each, every store does each kind of work once, and what counts is the median of the
//! rounds' ratios. The directory (a temporary one by default) decides which disk is measured.

mod fjall_store;
mod log_store;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hub::store::{Embedded, Epoch, Limit, Record, Store, StoreError, Write};

const ROOMS: u64 = 64;
const BODY: usize = 112;
const ROUNDS: usize = 11;
/// Records in a commit, and commits in a round.
const WORK: [(u64, u64); 3] = [(1, 200), (64, 60), (1000, 12)];

fn main() {
    let directory = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = directory.join(format!("fourwire-bench-store-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("the directory can be made");
    let mut subjects = [
        Subject::new("redb (ours)", &directory, Box::new(Embedded::open(&directory.join("redb")).unwrap())),
        Subject::new("fjall", &directory, Box::new(fjall_store::Fjall::open(&directory.join("fjall")))),
        Subject::new("append log", &directory, Box::new(log_store::Log::open(&directory.join("append log")))),
    ];
    for round in 0..ROUNDS {
        for subject in &mut subjects {
            subject.round();
        }
        eprintln!("round {} of {ROUNDS}", round + 1);
    }
    report(&subjects);
    reopen(&directory);
    drop(subjects);
    let _ = std::fs::remove_dir_all(&directory);
}

struct Subject {
    name: &'static str,
    path: PathBuf,
    store: Box<dyn Store>,
    /// The last offset in each room.
    offsets: Vec<u64>,
    next: u64,
    /// For each kind of work, the time that each round took.
    times: Vec<Vec<Duration>>,
}

impl Subject {
    fn new(name: &'static str, directory: &Path, mut store: Box<dyn Store>) -> Self {
        let path = directory.join(name.split(' ').next().filter(|first| *first == "redb").unwrap_or(name));
        let rooms: Vec<_> = (0..ROOMS)
            .map(|room| Write::Create { channel: channel(room), epoch: Epoch::new("benchmrk") })
            .collect();
        store.commit(&rooms).unwrap();
        Self {
            name,
            path,
            store,
            offsets: vec![0; ROOMS as usize],
            next: 0,
            times: vec![Vec::new(); WORK.len() + 1],
        }
    }

    fn round(&mut self) {
        for (kind, (records, commits)) in WORK.into_iter().enumerate() {
            let groups: Vec<Vec<Write>> =
                (0..commits).map(|_| (0..records).map(|_| self.append()).collect()).collect();
            let start = Instant::now();
            for group in &groups {
                self.store.commit(group).unwrap();
            }
            self.times[kind].push(start.elapsed());
        }
        let start = Instant::now();
        for room in 0..ROOMS {
            let room =
                self.store.load(&channel(room), Limit { records: 300, bytes: usize::MAX }).unwrap().unwrap();
            assert_eq!(room.records.last().map_or(0, |record| record.offset), room.offset);
            black_box(room);
        }
        self.times[WORK.len()].push(start.elapsed());
    }

    fn append(&mut self) -> Write {
        let room = self.next % ROOMS;
        self.next += 1;
        let offset = &mut self.offsets[room as usize];
        *offset += 1;
        let mut body = vec![0; BODY];
        for (index, byte) in body.iter_mut().enumerate() {
            // Text-like: neither all the same nor random.
            *byte = b'a' + ((index as u64 * 7 + *offset * 13 + room) % 26) as u8;
        }
        Write::Append { channel: channel(room), record: Record { offset: *offset, body: Bytes::from(body) } }
    }
}

fn report(subjects: &[Subject]) {
    let ours = &subjects[0];
    println!("| work | store | median per second | ratio to ours: median (least, most) |");
    println!("| --- | --- | --- | --- |");
    for kind in 0..=WORK.len() {
        let (label, count) = match WORK.get(kind) {
            Some((records, commits)) => (format!("{records} per commit"), records * commits),
            None => ("last 300 of a room".to_owned(), ROOMS),
        };
        for subject in subjects {
            let rates = sorted(subject.times[kind].iter().map(|time| count as f64 / time.as_secs_f64()));
            let ratios = sorted(
                subject.times[kind]
                    .iter()
                    .zip(&ours.times[kind])
                    .map(|(theirs, ours)| ours.as_secs_f64() / theirs.as_secs_f64()),
            );
            let unit = if kind < WORK.len() { "records" } else { "reads" };
            println!(
                "| {label} | {} | {:.0} {unit} | {:.2} ({:.2}, {:.2}) |",
                subject.name,
                median(&rates),
                median(&ratios),
                ratios[0],
                ratios[ratios.len() - 1]
            );
        }
    }
    for subject in subjects {
        println!(
            "{}: {} records, {} KiB on disk",
            subject.name,
            subject.next,
            disk_bytes(&subject.path) >> 10
        );
    }
}

/// How long our store takes to open after a crash, when it looks at every page: on a copy of the file as it is.
fn reopen(directory: &Path) {
    let copy = directory.join("copy");
    std::fs::create_dir_all(&copy).unwrap();
    std::fs::copy(directory.join("redb/rooms.redb"), copy.join("rooms.redb")).unwrap();
    let start = Instant::now();
    drop(black_box(Embedded::open(&copy).unwrap()));
    println!("redb (ours): opened after a crash and closed in {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    let store = Embedded::open(&copy).unwrap();
    println!("redb (ours): opened after a clean end in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    drop(store);
}

fn channel(room: u64) -> Arc<str> {
    format!("room {room}").into()
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

/// What is taken up on the disk, which for a file with holes is less than its length.
fn disk_bytes(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(metadata) = std::fs::metadata(path) else { return 0 };
    if !metadata.is_dir() {
        return if path.ends_with("reserve") { 0 } else { metadata.blocks() * 512 };
    }
    std::fs::read_dir(path).unwrap().map(|entry| disk_bytes(&entry.unwrap().path())).sum()
}

/// What the stores that we compare with answer where the benchmark does not go.
fn not_measured() -> StoreError {
    StoreError::Io(std::io::ErrorKind::Unsupported, "not measured".into())
}
