//! Files over both storages: the directory, and the double in memory.

use bytes::Bytes;
use host::Runtime;
use lab::Lab;

use super::*;

const ROOM: &str = "lobby";

/// Runs `test` over each storage, in virtual time.
fn over_both<F: Future<Output = ()>>(limits: &Limits, test: impl Fn(Files, lab::LabHost) -> F) {
    let directory = tempfile::tempdir().unwrap();
    for files in [Files::in_memory(limits.clone()), Files::open(directory.path(), limits.clone()).unwrap()] {
        let lab = Lab::new(1);
        let host = lab.machine("server", "10.0.0.1".parse().unwrap(), 1).host();
        lab.block_on(test(files, host));
    }
}

async fn put<R: Runtime>(
    files: &Files,
    runtime: &R,
    name: &str,
    bytes: &[u8],
) -> Result<Arc<Entry>, FilesError> {
    let mut upload = Upload::begin(files, runtime, ROOM, name, "ada", Placing::Whole).await?;
    for piece in bytes.chunks(1000) {
        upload.write(Bytes::copy_from_slice(piece)).await?;
    }
    upload.finish().await
}

async fn get<R: Runtime>(files: &Files, runtime: &R, entry: &Arc<Entry>) -> Vec<u8> {
    open(files, runtime, entry.clone()).read(0, 1 << 20).await.unwrap().to_vec()
}

#[test]
fn what_is_stored_is_found_and_removed() {
    over_both(&Limits::default(), async |files, host| {
        let first = put(&files, &host, "a.txt", b"hello").await.unwrap();
        let second = put(&files, &host, "a.txt", b"hello again").await.unwrap();
        assert_eq!((first.size, first.media_type.as_str(), first.sender.as_str()), (5, "text/plain", "ada"));
        assert_eq!(first.sha256, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
        assert_eq!(files.named(ROOM, "a.txt"), Some(second.clone()), "the newest of a name");
        assert_eq!(get(&files, &host, &first).await, b"hello");
        assert_eq!(files.bytes(), 16);
        files.remove(&host, second.id.clone()).await;
        assert_eq!(files.named(ROOM, "a.txt"), Some(first.clone()));
        files.remove(&host, first.id.clone()).await;
        assert_eq!((files.bytes(), files.rooms().len()), (0, 0));
        assert!(open(&files, &host, first).read(0, 1).await.is_err());
    });
}

#[test]
fn an_upload_that_was_not_finished_was_never_there() {
    over_both(&Limits::default(), async |files, host| {
        let mut upload = Upload::begin(&files, &host, ROOM, "a", "ada", Placing::Whole).await.unwrap();
        upload.write(Bytes::from_static(b"half")).await.unwrap();
        assert_eq!(files.bytes(), 4, "it has its room");
        drop(upload);
        assert_eq!((files.bytes(), files.named(ROOM, "a")), (0, None));
    });
}

#[test]
fn an_upload_goes_on_where_it_broke_off() {
    over_both(&Limits::default(), async |files, host| {
        let begin =
            async |sender: &str, placing| Upload::begin(&files, &host, ROOM, "a", sender, placing).await;
        let mut upload = begin("ada", Placing::Whole).await.unwrap();
        upload.write(Bytes::from_static(b"hello, wor")).await.unwrap();
        upload.lay_aside();
        assert_eq!(files.unfinished(ROOM, "a", "ada").map(|found| found.0), Some(10));
        assert_eq!(files.unfinished(ROOM, "a", "eve"), None, "it is the sender's own");
        assert!(matches!(begin("ada", Placing::From(11)).await, Err(FilesError::Position(10))));

        let mut upload = begin("ada", Placing::Whole).await.unwrap();
        upload.write(Bytes::from_static(b"hello, wor")).await.unwrap();
        upload.lay_aside();
        let mut upload = begin("ada", Placing::From(7)).await.unwrap();
        upload.write(Bytes::from_static(b"lab")).await.unwrap();
        let entry = upload.finish().await.unwrap();
        assert_eq!(get(&files, &host, &entry).await, b"hello, lab");

        let mut upload = begin("ada", Placing::Behind).await.unwrap();
        upload.write(Bytes::from_static(b"!")).await.unwrap();
        let longer = upload.finish().await.unwrap();
        assert_eq!(get(&files, &host, &longer).await, b"hello, lab!", "behind the file that there is");
        assert_eq!(get(&files, &host, &entry).await, b"hello, lab", "which stays as it was");
    });
}

#[test]
fn a_file_may_get_its_name_at_the_end() {
    over_both(&Limits::default(), async |files, host| {
        let mut upload = Upload::begin(&files, &host, ROOM, "a.tmp", "ada", Placing::Whole).await.unwrap();
        upload.write(Bytes::from_static(b"\xff\xd8\xff")).await.unwrap();
        upload.lay_aside();
        let entry = Upload::name(&files, &host, ROOM, ("a.tmp", "a.jpg"), "ada").await.unwrap();
        assert_eq!((entry.name.as_str(), entry.media_type.as_str()), ("a.jpg", "image/jpeg"));
        assert_eq!(Upload::name(&files, &host, ROOM, ("a.tmp", "b"), "ada").await, Err(FilesError::NotFound));
    });
}

#[test]
fn there_is_room_for_so_much() {
    let limits =
        Limits { file_bytes: 60, room_bytes: 100, room_files: 3, total_bytes: 150, ..Limits::default() };
    over_both(&limits, async |files, host| {
        assert_eq!(put(&files, &host, "a", &[0; 61]).await, Err(FilesError::TooLarge(60)));
        put(&files, &host, "a", &[0; 60]).await.unwrap();
        assert_eq!(put(&files, &host, "b", &[0; 41]).await, Err(FilesError::RoomFull(60)));
        let first = put(&files, &host, "b", &[0; 40]).await.unwrap();
        let mut other = Upload::begin(&files, &host, "kitchen", "c", "ada", Placing::Whole).await.unwrap();
        assert_eq!(other.write(vec![0; 51].into()).await, Err(FilesError::Full));
        drop(other);
        put(&files, &host, "empty", b"").await.unwrap();
        assert_eq!(put(&files, &host, "four", b"").await, Err(FilesError::TooMany(3)));
        assert_eq!(files.bytes(), 100, "what was refused takes nothing");
        files.remove(&host, first.id.clone()).await;
        put(&files, &host, "b", &[0; 40]).await.unwrap();
    });
}

#[test]
fn a_directory_is_found_again_and_what_is_there_by_halves_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Files::open(directory.path(), Limits::default()).unwrap();
    let lab = Lab::new(1);
    let host = lab.machine("server", "10.0.0.1".parse().unwrap(), 1).host();
    lab.block_on(async {
        let files = open();
        let whole = put(&files, &host, "whole", b"whole").await.unwrap();
        let cut = put(&files, &host, "cut", b"cut off").await.unwrap();
        let nameless = put(&files, &host, "nameless", b"nameless").await.unwrap();
        let path = |id: &Id, end: &str| directory.path().join(format!("{id}{end}"));
        std::fs::write(path(&cut.id, ""), b"cut").unwrap();
        std::fs::remove_file(path(&nameless.id, ".json")).unwrap();
        std::fs::write(directory.path().join("somebody else's"), b"stays").unwrap();
        let mut under_way = Upload::begin(&files, &host, ROOM, "x", "ada", Placing::Whole).await.unwrap();
        under_way.write(Bytes::from_static(b"under way")).await.unwrap();
        // The power fails: nobody cleans up.
        std::mem::forget(under_way);

        let files = open();
        assert_eq!(files.list(ROOM, "", 10), std::slice::from_ref(&whole));
        assert_eq!(get(&files, &host, &whole).await, b"whole");
        let mut left: Vec<_> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|found| found.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let mut expected = vec![whole.id.to_string(), format!("{}.json", whole.id), "somebody else's".into()];
        expected.sort();
        assert_eq!(left, expected);
    });
}
