//! The store in a directory of the operating system.

#![cfg(unix)]

mod store_common;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use hub::store::{Embedded, Epoch, Limit, Memory, Record, Start, Store, StoreError, Write};
use store_common::{dump, random, writes};

#[test]
fn it_is_found_again_as_it_was_and_behaves_as_memory_does() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made/on/the/way");
    let (mut model, mut luck) = (Memory::new(), random(1, 8));
    for _ in 0..4 {
        let mut store = Embedded::open(&path).unwrap();
        assert!(dump(&mut store).unwrap() == dump(&mut model).unwrap());
        for _ in 0..25 {
            let mut group = writes(&mut luck, &mut model);
            if luck.below(4) == 0 {
                // One that does not fit: all of the group is refused.
                group.push(group[luck.below(group.len() as u64) as usize].clone());
            }
            assert_eq!(store.commit(&group), model.commit(&group));
        }
        let name = store.rooms(None, 1).unwrap().pop().unwrap();
        let limit = Limit { records: 3, bytes: 1 + luck.below(700) as usize };
        let room = store.load(&name, limit).unwrap();
        assert_eq!(room, model.load(&name, limit).unwrap());
        let half = room.unwrap().offset / 2;
        for start in [Start::After(half), Start::Before(half)] {
            assert_eq!(store.read(&name, start, limit), model.read(&name, start, limit));
        }
        assert_eq!(store.rooms(Some(&name), 2), model.rooms(Some(&name), 2));
    }
}

#[test]
fn no_more_is_read_than_the_limit_says_and_reading_on_finds_all() {
    let directory = tempfile::tempdir().unwrap();
    let stores: [Box<dyn Store>; 2] =
        [Box::new(Memory::new()), Box::new(Embedded::open(directory.path()).unwrap())];
    for mut store in stores {
        // Ten records of 100 bytes to 1000.
        let mut writes = vec![Write::Create { channel: "room".into(), epoch: Epoch::new("e") }];
        writes.extend((1..=10).map(|offset| {
            let record = Record { offset, body: vec![0; 100 * offset as usize].into() };
            Write::Append { channel: "room".into(), record }
        }));
        store.commit(&writes).unwrap();
        let mut read = |start, records, bytes| -> Vec<u64> {
            let records = store.read("room", start, Limit { records, bytes }).unwrap();
            records.iter().map(|record| record.offset).collect()
        };
        assert_eq!(read(Start::After(0), 99, 1000), [1, 2, 3, 4], "to the last byte");
        assert_eq!(read(Start::After(0), 99, 999), [1, 2, 3]);
        assert_eq!(read(Start::After(0), 2, 1000), [1, 2]);
        assert_eq!(read(Start::After(4), 99, 10), [5], "one comes whatever its length");
        assert_eq!(read(Start::After(4), 0, 1000), [0; 0]);
        assert_eq!(read(Start::After(10), 99, 1000), [0; 0]);
        assert_eq!(read(Start::Before(11), 99, 1900), [9, 10]);
        assert_eq!(read(Start::Before(11), 99, 1899), [10]);
        assert_eq!(read(Start::Before(5), 2, 1000), [3, 4]);
        assert_eq!(read(Start::Before(1), 99, 1000), [0; 0]);
        assert_eq!(read(Start::Before(u64::MAX), 99, usize::MAX).len(), 10);
        let (mut forwards, mut backwards) = (vec![0], vec![11]);
        for _ in 0..10 {
            forwards.extend(read(Start::After(forwards[forwards.len() - 1]), 99, 1500));
            backwards.splice(0..0, read(Start::Before(backwards[0]), 99, 1500));
        }
        assert_eq!(forwards[1..], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(backwards[..10], forwards[1..]);
        let mut load = |records, bytes| -> Vec<u64> {
            let room = store.load("room", Limit { records, bytes }).unwrap().unwrap();
            assert_eq!(room.offset, 10);
            room.records.iter().map(|record| record.offset).collect()
        };
        assert_eq!(load(99, 2700), [8, 9, 10]);
        assert_eq!(load(99, 2699), [9, 10]);
        assert_eq!(load(99, 1), [10]);
        assert_eq!(load(1, 2700), [10]);
        assert_eq!(load(0, 2700), [0; 0]);
    }
}

#[test]
fn only_its_owner_reads_it_and_only_one_process_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let store = Embedded::open(&path).unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("rooms.redb")), 0o600);
    let error = Embedded::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::InUse(_)));
    assert!(error.to_string().contains("in use by another fourwire"), "{error}");
    drop(store);
    Embedded::open(&path).unwrap();
}

#[test]
fn a_newer_format_and_a_damaged_file_are_told_apart() {
    const META: redb::TableDefinition<'_, &str, u64> = redb::TableDefinition::new("meta");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    drop(Embedded::open(path).unwrap());
    let file = path.join("rooms.redb");
    let database = redb::Database::open(&file).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(META).unwrap().insert("format", 7).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = Embedded::open(path).unwrap_err();
    assert_eq!(error, StoreError::Version { found: 7, known: 1 });

    fs::write(&file, b"this is not a store, and has never been one").unwrap();
    let error = Embedded::open(path).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
}

#[test]
fn a_place_that_cannot_be_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = Embedded::open(&file).unwrap_err().to_string();
    assert!(error.contains("not a directory") && error.contains("file"), "{error}");
    let error = Embedded::open(&file.join("below")).unwrap_err().to_string();
    assert!(error.contains("data directory"), "{error}");
}

#[test]
fn a_start_that_was_cut_short_leaves_nothing_that_hinders_the_next() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("rooms.redb.new"), vec![0; 1 << 20]).unwrap();
    let mut store = Embedded::open(directory.path()).unwrap();
    assert!(store.rooms(None, 1).unwrap().is_empty());
    assert!(!directory.path().join("rooms.redb.new").exists());
}

#[test]
fn a_file_with_changed_bytes_is_damaged_or_read_but_never_a_panic() {
    let directory = tempfile::tempdir().unwrap();
    let (mut model, mut luck) = (Memory::new(), random(2, 8));
    let mut store = Embedded::open(directory.path()).unwrap();
    for _ in 0..40 {
        let group = writes(&mut luck, &mut model);
        store.commit(&group).unwrap();
        model.commit(&group).unwrap();
    }
    drop(store);
    let file = directory.path().join("rooms.redb");
    let whole = fs::read(&file).unwrap();
    let used: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    let mut noticed = 0;
    for _ in 0..60 {
        let mut damaged = whole.clone();
        for _ in 0..=luck.below(3) {
            let at = used[luck.below(used.len() as u64) as usize];
            damaged[at] ^= 1 << luck.below(8);
        }
        fs::write(&file, &damaged).unwrap();
        let found = Embedded::open(directory.path()).and_then(|mut store| {
            let found = dump(&mut store)?;
            store.commit(&writes(&mut luck, &mut model))?;
            Ok(found)
        });
        noticed += u32::from(found.is_err());
    }
    assert!(noticed > 0);
}
