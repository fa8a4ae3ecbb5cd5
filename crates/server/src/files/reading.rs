//! A file on its way out.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use host::Runtime;

use super::entry::Entry;
use super::{Files, FilesError};

/// Bytes that are being fetched.
pub(crate) type Fetching = Pin<Box<dyn Future<Output = Result<Bytes, FilesError>> + Send>>;

/// A file that is open for reading, on whatever runtime.
pub(crate) struct Opened {
    pub(crate) entry: Arc<Entry>,
    fetch: Box<dyn Fn(u64, usize) -> Fetching + Send>,
}

impl Opened {
    /// At most `limit` bytes from `offset` on; none behind the end.
    pub(crate) fn read(&self, offset: u64, limit: usize) -> Fetching {
        (self.fetch)(offset, limit)
    }
}

/// Opens a file.
pub(crate) fn open<R: Runtime>(files: &Files, runtime: &R, entry: Arc<Entry>) -> Opened {
    let (runtime, storage, id) = (runtime.clone(), files.0.storage.clone(), entry.id.clone());
    let fetch = move |offset, limit| -> Fetching {
        let (runtime, storage, id) = (runtime.clone(), storage.clone(), id.clone());
        Box::pin(async move { Ok(runtime.blocking(move || storage.read(&id, offset, limit)).await?) })
    };
    Opened { entry, fetch: Box::new(fetch) }
}

/// A picture's thumbnail.
pub(crate) async fn open_thumbnail<R: Runtime>(
    files: &Files,
    runtime: &R,
    entry: &Entry,
) -> Result<Bytes, FilesError> {
    let (storage, id) = (files.0.storage.clone(), entry.id.clone());
    Ok(runtime.blocking(move || storage.thumbnail(&id)).await?)
}
