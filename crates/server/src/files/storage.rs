//! Where the bytes of files lie. Everything here may block.

use std::io;

use bytes::Bytes;

use super::entry::{Entry, Id};

/// A place for files.
pub(super) trait Storage: Send + Sync + 'static {
    /// A place for a new file's bytes, which is not found under any name.
    fn create(&self, id: &Id) -> io::Result<Box<dyn Part>>;

    /// Makes a file of `part`, with a thumbnail if there is one. When this returns, it will be there after a power cut.
    fn keep(&self, part: Box<dyn Part>, entry: &Entry, thumbnail: Option<&[u8]>) -> io::Result<()>;

    /// At most `limit` bytes of a file from `offset` on.
    fn read(&self, id: &Id, offset: u64, limit: usize) -> io::Result<Bytes>;

    /// A picture's thumbnail.
    fn thumbnail(&self, id: &Id) -> io::Result<Bytes>;

    /// Removes a file.
    fn remove(&self, id: &Id) -> io::Result<()>;
}

/// Bytes that are to become a file. Dropped, they are gone.
pub(super) trait Part: Send + 'static {
    /// The file's id to be.
    fn id(&self) -> &Id;

    /// Writes behind what there is.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Forgets what is behind `length`.
    fn cut(&mut self, length: u64) -> io::Result<()>;

    /// At most `limit` bytes from `offset` on.
    fn read(&mut self, offset: u64, limit: usize) -> io::Result<Bytes>;

    /// The memory double takes its own part back.
    fn into_bytes(self: Box<Self>) -> Option<Vec<u8>>;

    /// Writes everything through to the disk.
    fn sync(&mut self) -> io::Result<()>;
}
