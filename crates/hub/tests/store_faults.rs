//! A disk that is full or fails makes commits fail, and nothing else: what failed is not there, what was acknowledged
//! is, and the store goes on once the disk does.

mod store_common;

use hub::store::faulty::{Disk, Fault};
use hub::store::{Embedded, Memory, Store, StoreError};
use store_common::{are_additions, dump, random, writes};

const SEEDS: u64 = 200;

#[test]
fn a_failed_operation_fails_its_commit_and_the_store_goes_on() {
    let mut failures = 0;
    for seed in 0..SEEDS {
        let disk = Disk::new(seed);
        let mut store = Embedded::at(disk.clone()).unwrap();
        let mut luck = random(seed, 2);
        let mut model = Memory::new();
        for _ in 0..20 {
            let lasting = luck.below(3) == 0;
            if luck.below(3) == 0 {
                let fault = if lasting { Fault::Lasting } else { Fault::Once };
                match luck.below(3) {
                    0 => disk.fail_sync_after(luck.below(2), fault),
                    _ => disk.fail_after(luck.below(40), fault),
                }
            }
            let group = writes(&mut luck, &mut model);
            match store.commit(&group) {
                Ok(()) => model.commit(&group).unwrap(),
                Err(error) => {
                    failures += 1;
                    assert!(matches!(error, StoreError::Io(..)), "seed {seed}: {error}");
                    disk.mend();
                    let found = dump(&mut store)
                        .unwrap_or_else(|error| panic!("seed {seed}: not readable once mended: {error}"));
                    if found != dump(&mut model).unwrap() {
                        assert!(!are_additions(&group), "seed {seed}: a failed commit left something");
                        model = settled(&mut store);
                    }
                }
            }
        }
        disk.crash();
        disk.restart();
        drop(store);
        let mut store = Embedded::at(disk).unwrap();
        assert!(dump(&mut store).unwrap() == dump(&mut model).unwrap(), "seed {seed}: something is lost");
    }
    println!("{failures} commits failed");
    assert!(failures > 300);
}

#[test]
fn a_full_disk_refuses_and_can_still_be_read() {
    let mut refused = 0;
    for seed in 0..12 {
        let disk = Disk::new(seed);
        let mut store = Embedded::at(disk.clone()).unwrap();
        let mut luck = random(seed, 3);
        let mut model = Memory::new();
        for round in 0..3 {
            disk.set_capacity(disk.used() + luck.below(60_000));
            let mut refusals = 0;
            while refusals < 3 {
                let group = writes(&mut luck, &mut model);
                match store.commit(&group) {
                    Ok(()) => model.commit(&group).unwrap(),
                    Err(StoreError::Full(_)) => {
                        refusals += 1;
                        let found =
                            dump(&mut store).unwrap_or_else(|error| panic!("seed {seed}, {round}: {error}"));
                        assert!(found == dump(&mut model).unwrap(), "seed {seed}: something changed");
                    }
                    Err(error) => panic!("seed {seed}: {error}"),
                }
            }
            refused += refusals;
            if luck.below(2) == 0 {
                // The server is started again while the disk is full.
                drop(store);
                store = Embedded::at(disk.clone()).unwrap();
                assert!(dump(&mut store).unwrap() == dump(&mut model).unwrap(), "seed {seed}");
            }
            disk.set_capacity(u64::MAX);
            let group = writes(&mut luck, &mut model);
            store.commit(&group).unwrap_or_else(|error| panic!("seed {seed}: there is space again: {error}"));
            model.commit(&group).unwrap();
        }
        disk.crash();
        disk.restart();
        drop(store);
        let mut store = Embedded::at(disk).unwrap();
        assert!(dump(&mut store).unwrap() == dump(&mut model).unwrap(), "seed {seed}: something is lost");
    }
    assert!(refused >= 100);
}

/// What the store holds, as a model.
fn settled(store: &mut dyn Store) -> Memory {
    use hub::store::Write;
    let mut model = Memory::new();
    for (name, room) in dump(store).unwrap() {
        let channel: std::sync::Arc<str> = name.into();
        let before = room.records.first().map_or(room.offset, |record| record.offset - 1);
        let mut writes = vec![Write::Restore { channel: channel.clone(), epoch: room.epoch, offset: before }];
        writes.extend(
            room.records.into_iter().map(|record| Write::Append { channel: channel.clone(), record }),
        );
        model.commit(&writes).unwrap();
    }
    model
}
