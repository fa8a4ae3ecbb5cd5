//! A backup brings back every room and record, under new epochs, and a damaged one brings back nothing unnoticed.

mod store_common;

use hub::store::{BackupError, Memory, Progress, Store, StoredRoom, backup, restore};
use store_common::{dump, random, writes};

fn filled(seed: u64) -> Memory {
    let mut luck = random(seed, 5);
    let mut store = Memory::new();
    for _ in 0..60 {
        let group = writes(&mut luck, &mut store);
        store.commit(&group).unwrap();
    }
    store
}

fn backed_up(store: &mut dyn Store) -> Vec<u8> {
    let mut bytes = Vec::new();
    let progress = backup(store, &mut bytes, |_| {}).unwrap();
    assert_eq!(progress.bytes, bytes.len() as u64);
    bytes
}

fn without_epochs(store: &mut dyn Store) -> Vec<(String, u64, Vec<hub::store::Record>)> {
    let rooms = dump(store).unwrap().into_iter();
    rooms.map(|(name, StoredRoom { offset, records, .. })| (name, offset, records)).collect()
}

#[test]
fn what_was_backed_up_comes_back_under_new_epochs() {
    for seed in 0..30 {
        let mut store = filled(seed);
        let bytes = backed_up(&mut store);
        let mut restored = Memory::new();
        let mut seen = Progress::default();
        let done = restore(&*bytes, &mut restored, &mut random(seed, 6), |progress| seen = progress).unwrap();
        assert!(without_epochs(&mut store) == without_epochs(&mut restored), "seed {seed}");
        assert_eq!((done.bytes, done.rooms), (bytes.len() as u64, dump(&mut store).unwrap().len() as u64));
        assert_eq!(seen.records, done.records);
        for ((_, before), (_, after)) in dump(&mut store).unwrap().iter().zip(&dump(&mut restored).unwrap()) {
            assert_ne!(before.epoch, after.epoch);
        }
        assert!(matches!(
            restore(&*bytes, &mut restored, &mut random(seed, 6), |_| {}),
            Err(BackupError::NotEmpty)
        ));
    }
}

#[test]
fn an_empty_store_has_a_backup_too() {
    let bytes = backed_up(&mut Memory::new());
    let done = restore(&*bytes, &mut Memory::new(), &mut random(0, 6), |_| {}).unwrap();
    assert_eq!((done.rooms, done.records), (0, 0));
}

#[test]
fn no_damage_goes_unnoticed() {
    let bytes = backed_up(&mut filled(1));
    let restore = |bytes: &[u8]| restore(bytes, &mut Memory::new(), &mut random(0, 6), |_| {});
    let mut luck = random(0, 7);
    for _ in 0..300 {
        let at = luck.below(bytes.len() as u64) as usize;
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << luck.below(8);
        assert!(restore(&damaged).is_err(), "a changed byte at {at}");
        assert!(restore(&bytes[..at]).is_err(), "cut off after {at}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(matches!(restore(&longer), Err(BackupError::Damaged { .. })));
}

#[test]
fn what_is_no_backup_or_a_newer_one_is_told_apart() {
    let mut bytes = backed_up(&mut Memory::new());
    bytes[16] = 9;
    let error = restore(&*bytes, &mut Memory::new(), &mut random(0, 6), |_| {}).unwrap_err();
    assert!(matches!(error, BackupError::Version { found: 9, known: 1 }), "{error}");
    let error = restore(&b"something else"[..], &mut Memory::new(), &mut random(0, 6), |_| {}).unwrap_err();
    assert!(matches!(error, BackupError::NotABackup), "{error}");
}
