//! A file on its way in.

use std::sync::Arc;

use bytes::Bytes;
use host::Runtime;
use sha2::{Digest, Sha256};

use super::entry::{Entry, Picture};
use super::index::Unfinished;
use super::storage::Part;
use super::{Files, FilesError, kind, picture};

/// Bytes that are read at a time where an upload is taken up again.
const CHUNK: usize = 1 << 20;

/// Where the bytes of an upload go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placing {
    /// They are the whole file.
    Whole,
    /// They go on from this byte of an upload that broke off.
    From(u64),
    /// Behind an upload that broke off, or behind the file that there is.
    Behind,
}

/// A file on its way in. Dropped, it was never there.
pub(crate) struct Upload<R: Runtime> {
    files: Files,
    runtime: R,
    room: String,
    name: String,
    sender: String,
    /// Out of here only while it is written, where it may block.
    part: Option<Box<dyn Part>>,
    size: u64,
    /// Set aside in the index.
    reserved: u64,
    sha256: Sha256,
    head: Vec<u8>,
}

impl<R: Runtime> Upload<R> {
    /// Begins a file in `room`, or goes on with one.
    pub(crate) async fn begin(
        files: &Files,
        runtime: &R,
        room: &str,
        name: &str,
        sender: &str,
        placing: Placing,
    ) -> Result<Self, FilesError> {
        files.index().check_count(room, files.limits())?;
        let before = match placing {
            // A new upload of the name takes the place of one that broke off.
            Placing::Whole => {
                files.index().take_unfinished(room, name, sender);
                None
            }
            Placing::From(_) | Placing::Behind => files.index().take_unfinished(room, name, sender),
        };
        let id = Files::draw(&mut runtime.random("file ids"));
        let storage = files.0.storage.clone();
        let part = match before {
            Some(Unfinished { part, .. }) => part,
            None => runtime.blocking(move || storage.create(&id)).await?,
        };
        let mut upload = Self {
            files: files.clone(),
            runtime: runtime.clone(),
            room: room.to_owned(),
            name: name.to_owned(),
            sender: sender.to_owned(),
            part: Some(part),
            size: 0,
            reserved: 0,
            sha256: Sha256::new(),
            head: Vec::new(),
        };
        upload.take_up(placing).await?;
        Ok(upload)
    }

    /// Reads what is there already, as far as the upload goes on from it.
    async fn take_up(&mut self, placing: Placing) -> Result<(), FilesError> {
        let keep = match placing {
            Placing::Whole => return Ok(()),
            Placing::From(position) => position,
            Placing::Behind => u64::MAX,
        };
        let mut found = 0;
        while found < keep {
            let limit = CHUNK.min(usize::try_from(keep - found).unwrap_or(CHUNK));
            let read = self.with_part(move |part| part.read(found, limit)).await?;
            if read.is_empty() {
                break;
            }
            self.account(&read)?;
            found += read.len() as u64;
        }
        match (found, placing) {
            // The file is stored already: what comes goes behind its bytes, and both are a new file.
            (0, Placing::Behind | Placing::From(_)) => self.copy_stored(keep).await?,
            (found, Placing::From(_)) if found < keep => return Err(FilesError::Position(found)),
            _ => self.with_part(move |part| part.cut(found).map(|()| Bytes::new())).await.map(drop)?,
        }
        match placing {
            Placing::From(position) if self.size != position => Err(FilesError::Position(self.size)),
            _ => Ok(()),
        }
    }

    async fn copy_stored(&mut self, keep: u64) -> Result<(), FilesError> {
        let Some(stored) = self.files.named(&self.room, &self.name) else { return Ok(()) };
        let end = stored.size.min(keep);
        while self.size < end {
            let (storage, id, offset) = (self.files.0.storage.clone(), stored.id.clone(), self.size);
            let limit = CHUNK.min(usize::try_from(end - offset).unwrap_or(CHUNK));
            let bytes = self.runtime.blocking(move || storage.read(&id, offset, limit)).await?;
            if bytes.is_empty() {
                return Err(FilesError::NotFound);
            }
            self.write(bytes).await?;
        }
        Ok(())
    }

    /// Takes the next bytes.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<(), FilesError> {
        self.account(&bytes)?;
        self.with_part(move |part| part.append(&bytes).map(|()| Bytes::new())).await.map(drop)
    }

    /// Counts bytes in, if there is room for them.
    fn account(&mut self, bytes: &[u8]) -> Result<(), FilesError> {
        let (more, limit) = (bytes.len() as u64, self.files.limits().file_bytes);
        if self.size + more > limit {
            return Err(FilesError::TooLarge(limit));
        }
        self.files.index().reserve(&self.room, more, self.files.limits())?;
        self.reserved += more;
        self.size += more;
        self.sha256.update(bytes);
        let missing = kind::HEAD.saturating_sub(self.head.len());
        self.head.extend_from_slice(&bytes[..missing.min(bytes.len())]);
        Ok(())
    }

    /// The file is whole: returns when it is durable, and found under its id.
    pub(crate) async fn finish(mut self) -> Result<Arc<Entry>, FilesError> {
        let name = self.name.clone();
        self.finish_as(&name).await
    }

    async fn finish_as(&mut self, name: &str) -> Result<Arc<Entry>, FilesError> {
        let mut part = self.part.take().ok_or(FilesError::NotFound)?;
        let media_type = kind::media_type(&self.head, name);
        let sha256 = std::mem::take(&mut self.sha256).finalize();
        let mut entry = Entry {
            id: part.id().clone(),
            room: self.room.clone(),
            name: name.to_owned(),
            size: self.size,
            media_type: media_type.to_owned(),
            sender: self.sender.clone(),
            sha256: sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
            time: self.runtime.wall_clock().unix_millis(),
            picture: None,
        };
        let (limits, decoding) = (self.files.limits().clone(), self.files.0.decoding.clone());
        let has_thumbnail = kind::is_safe_picture(media_type) && entry.size <= limits.picture_bytes;
        let storage = self.files.0.storage.clone();
        let kept = self.runtime.blocking(move || {
            let thumbnail = match has_thumbnail {
                true => {
                    let bytes = part.read(0, usize::try_from(entry.size).unwrap_or(0))?;
                    picture::thumbnail(&bytes, &entry.media_type, limits.picture_pixels, &decoding)
                }
                false => None,
            };
            entry.picture = thumbnail.as_ref().map(|found| Picture {
                width: found.width,
                height: found.height,
                thumbnail: found.bytes.len() as u64,
            });
            storage.keep(part, &entry, thumbnail.as_ref().map(|found| &*found.bytes))?;
            Ok::<_, std::io::Error>(Arc::new(entry))
        });
        let entry = kept.await?;
        let mut index = self.files.index();
        // A thumbnail is small, and its picture is stored: it is counted, whatever the quota says.
        index.release(&self.room, std::mem::take(&mut self.reserved));
        index.adopt(entry.clone());
        Ok(entry)
    }

    /// The upload broke off, or waits for its name: its bytes stay, for the same sender to go on with.
    pub(crate) fn lay_aside(mut self) {
        let Some(part) = self.part.take() else { return };
        let mut index = self.files.index();
        index.release(&self.room, std::mem::take(&mut self.reserved));
        if self.size > 0 {
            let since = self.runtime.wall_clock();
            let laid = Unfinished { part, size: self.size, since };
            index.lay_aside(&self.room, &self.name, &self.sender, laid, self.files.limits());
        }
    }

    /// Takes up what was laid aside under `from`, and finishes it as `to`.
    pub(crate) async fn name(
        files: &Files,
        runtime: &R,
        room: &str,
        (from, to): (&str, &str),
        sender: &str,
    ) -> Result<Arc<Entry>, FilesError> {
        if files.unfinished(room, from, sender).is_none() {
            return Err(FilesError::NotFound);
        }
        let mut upload = Self::begin(files, runtime, room, from, sender, Placing::Behind).await?;
        upload.finish_as(to).await
    }

    /// Does something to the part, where it may block.
    async fn with_part(
        &mut self,
        work: impl FnOnce(&mut dyn Part) -> std::io::Result<Bytes> + Send + 'static,
    ) -> Result<Bytes, FilesError> {
        let mut part = self.part.take().ok_or(FilesError::Busy)?;
        let (part, outcome) = self
            .runtime
            .blocking(move || {
                let outcome = work(&mut *part);
                (part, outcome)
            })
            .await;
        self.part = Some(part);
        Ok(outcome?)
    }
}

impl<R: Runtime> Drop for Upload<R> {
    fn drop(&mut self) {
        self.files.index().release(&self.room, self.reserved);
    }
}
