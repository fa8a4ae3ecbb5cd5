//! An acknowledged commit survives a crash whole, one that was under way is there whole or not at all: on a disk that
//! drops, tears and reorders what was not synced, over 1,000 seeds.

mod store_common;

use host::Random;
use hub::store::faulty::{Disk, Fault};
use hub::store::{Embedded, Memory, Store};
use store_common::{dump, random, writes};

const SEEDS: u64 = 1_000;
const THREADS: u64 = 4;

#[test]
fn acknowledged_commits_survive_crashes_whole_and_in_order() {
    let tally = std::thread::scope(|scope| {
        let run =
            |thread| (thread..SEEDS).step_by(THREADS as usize).map(live).fold(Tally::default(), Tally::and);
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || run(thread))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no seed failed"))
            .fold(Tally::default(), Tally::and)
    });
    println!("{tally:?}");
    // The disk would prove nothing if it always took the same way.
    assert!(tally.commits > 10_000 && tally.while_opening > 300);
    assert!(tally.arrived > 300 && tally.lost > 1_000);
}

/// The life of one disk: a few crashes at random moments, and after each of them a look at what is there.
fn live(seed: u64) -> Tally {
    let disk = Disk::new(seed);
    let mut luck = random(seed, 1);
    let mut model = Memory::new();
    let mut tally = Tally::default();
    for _ in 0..3 {
        disk.restart();
        match luck.below(2) {
            0 => disk.fail_after(luck.below(150), Fault::Crash),
            _ => disk.fail_sync_after(luck.below(12), Fault::Crash),
        }
        let Ok(mut store) = Embedded::at(disk.clone()) else {
            assert!(!disk.is_powered(), "seed {seed}: the store did not open");
            tally.while_opening += 1;
            continue;
        };
        let after = work(seed, &disk, &mut store, &mut luck, &mut model, &mut tally);
        drop(store);
        disk.restart();
        let mut store = Embedded::at(disk.clone())
            .unwrap_or_else(|error| panic!("seed {seed}: not opened after a crash: {error}"));
        let found = dump(&mut store).unwrap();
        if found == dump(&mut after.clone()).unwrap() {
            model = after;
            tally.arrived += 1;
        } else {
            assert!(found == dump(&mut model).unwrap(), "seed {seed}: neither before nor after");
            tally.lost += 1;
        }
    }
    disk.restart();
    let mut store = Embedded::at(disk).unwrap();
    assert!(dump(&mut store).unwrap() == dump(&mut model).unwrap(), "seed {seed}: something changed");
    tally
}

/// Commits until the disk crashes. Returns what there would be if the commit under way had arrived.
fn work(
    seed: u64,
    disk: &Disk,
    store: &mut dyn Store,
    luck: &mut Random,
    model: &mut Memory,
    tally: &mut Tally,
) -> Memory {
    for _ in 0..1_000 {
        let group = writes(luck, model);
        if store.commit(&group).is_err() {
            assert!(!disk.is_powered(), "seed {seed}: a commit failed with the power on");
            let mut after = model.clone();
            after.commit(&group).unwrap();
            return after;
        }
        model.commit(&group).unwrap();
        tally.commits += 1;
    }
    panic!("seed {seed}: commits do not reach the disk");
}

#[derive(Debug, Default)]
struct Tally {
    /// Acknowledged.
    commits: u64,
    /// Under way at a crash, and there afterwards.
    arrived: u64,
    /// Under way at a crash, and not there afterwards.
    lost: u64,
    /// Crashes while the store was being opened.
    while_opening: u64,
}

impl Tally {
    fn and(self, other: Self) -> Self {
        Self {
            commits: self.commits + other.commits,
            arrived: self.arrived + other.arrived,
            lost: self.lost + other.lost,
            while_opening: self.while_opening + other.while_opening,
        }
    }
}
