//! Putting into a room what came by a door that knows nothing of rooms.

use std::collections::BTreeMap;

use host::Host;
use hub::api::{Answer, NewPublication, Request};

use crate::shard::Shard;

/// Why it is not in the room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotPosted {
    /// It never will be.
    #[error("{0}")]
    Refused(String),
    /// It may be later.
    #[error("{0}")]
    Later(String),
}

/// Codes of the hub that mean: the same again may succeed.
const LATER: [u16; 3] = [100, 109, 111];

/// Publishes `data` in `room`. When this returns, it is stored. With a `key`, the same again is the same publication, for as
/// long as the room remembers.
pub(super) async fn post<H: Host>(
    shard: &Shard<H>,
    room: &str,
    data: &serde_json::Value,
    key: String,
) -> Result<(), NotPosted> {
    let publication =
        NewPublication { data: data.to_string().into(), tags: BTreeMap::new(), idempotency_key: key };
    match shard.call(Request::Publish { channel: room.to_owned(), publication }).await {
        Some(Ok(Answer::Published(_))) => Ok(()),
        Some(Ok(_)) => Err(NotPosted::Later("the room answered with something else".into())),
        Some(Err(error)) if LATER.contains(&error.code) => Err(NotPosted::Later(error.message.to_string())),
        Some(Err(error)) => Err(NotPosted::Refused(error.message.to_string())),
        None => Err(NotPosted::Later("the room did not answer in time".into())),
    }
}
