//! Removes what no publication names any more: the file lives as long as its message.

use std::collections::BTreeSet;
use std::time::Duration;

use host::{Host, WallTime, sleep};
use hub::api::{Answer, Request};
use serde::Deserialize;

use super::Files;
use super::entry::Id;
use crate::shard::Shard;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(600);

/// A file that is younger may not have its publication yet, in milliseconds.
const YOUNG: u64 = 600_000;

/// How long an upload that broke off may wait for its client, in milliseconds.
const UNFINISHED: u64 = 3_600_000;

/// Publications that are read at a time.
const PAGE: usize = 200;

/// Looks again and again, for ever.
pub(crate) async fn keep_clean<H: Host>(files: Files, shard: Shard<H>) {
    loop {
        sleep(shard.host(), LOOK).await;
        sweep(&files, &shard).await;
    }
}

/// Removes, once, what is not named.
pub(crate) async fn sweep<H: Host>(files: &Files, shard: &Shard<H>) {
    let now = shard.host().wall_clock().unix_millis();
    let before = |age| WallTime::from_unix_millis(now.saturating_sub(age));
    files.index().forget_unfinished(before(UNFINISHED));
    for room in files.rooms() {
        let old: Vec<_> = {
            let all = files.index().files_of(&room);
            all.into_iter().filter(|entry| entry.time < before(YOUNG).unix_millis()).collect()
        };
        if old.is_empty() {
            continue;
        }
        // Where the room cannot say everything, nothing is removed.
        let Some(named) = named(shard, &room).await else { continue };
        for entry in old.iter().filter(|entry| !named.contains(&entry.id)) {
            files.remove(shard.host(), entry.id.clone()).await;
        }
    }
}

/// The ids of all files that a room's publications name.
async fn named<H: Host>(shard: &Shard<H>, room: &str) -> Option<BTreeSet<Id>> {
    let mut named = BTreeSet::new();
    let mut since = Some((0, String::new()));
    while let Some(from) = since {
        let channel = room.to_owned();
        let request = Request::History { channel, limit: PAGE, since: Some(from.clone()), reverse: false };
        let Ok(Answer::History { publications, position }) = shard.call(request).await? else { return None };
        for publication in &publications {
            named.extend(ids(&publication.data));
        }
        since = publications
            .last()
            .filter(|last| last.offset < position.offset && last.offset > from.0)
            .map(|last| (last.offset, String::new()));
    }
    Some(named)
}

/// The ids of the files that a publication names.
fn ids(data: &[u8]) -> Vec<Id> {
    #[derive(Deserialize)]
    struct Data {
        #[serde(default)]
        files: Vec<Named>,
    }
    #[derive(Deserialize)]
    struct Named {
        id: Id,
    }
    serde_json::from_slice::<Data>(data)
        .map(|data| data.files.into_iter().map(|file| file.id).collect())
        .unwrap_or_default()
}
