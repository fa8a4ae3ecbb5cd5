//! What a server's files are, for whoever has some.

use std::future::Future;
use std::net::IpAddr;

use bytes::Bytes;

use super::effect::Placing;
use crate::ftp::listing::Entry;
use crate::ftp::path::Path;

/// Files, as a session's user sees them.
pub trait FileSystem: Clone + Send + Sync + 'static {
    /// Somebody who has logged in.
    type User: Clone + Send + Sync + 'static;
    /// A file that is being read.
    type Source: Source;
    /// A file that is being written.
    type Target: Target;

    /// Whoever has this name and password; `secure` when they came inside TLS.
    fn log_in(
        &self,
        user: &str,
        password: &str,
        from: IpAddr,
        secure: bool,
    ) -> impl Future<Output = Option<Self::User>> + Send;

    /// What is at `path`.
    fn look(&self, user: &Self::User, path: &Path) -> impl Future<Output = Result<Entry, FileError>> + Send;

    /// What is in the directory at `path`, at most `limit` entries.
    fn list(
        &self,
        user: &Self::User,
        path: &Path,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Entry>, FileError>> + Send;

    /// Makes a directory.
    fn make_directory(
        &self,
        user: &Self::User,
        path: &Path,
    ) -> impl Future<Output = Result<(), FileError>> + Send;

    /// Removes a directory.
    fn remove_directory(
        &self,
        user: &Self::User,
        path: &Path,
    ) -> impl Future<Output = Result<(), FileError>> + Send;

    /// Removes a file.
    fn remove(&self, user: &Self::User, path: &Path) -> impl Future<Output = Result<(), FileError>> + Send;

    /// Gives a file another name.
    fn rename(
        &self,
        user: &Self::User,
        from: &Path,
        to: &Path,
    ) -> impl Future<Output = Result<(), FileError>> + Send;

    /// The file at `path`, from byte `offset` on.
    fn open(
        &self,
        user: &Self::User,
        path: &Path,
        offset: u64,
    ) -> impl Future<Output = Result<Self::Source, FileError>> + Send;

    /// A place for a file at `path`.
    fn create(
        &self,
        user: &Self::User,
        path: &Path,
        placing: Placing,
    ) -> impl Future<Output = Result<Self::Target, FileError>> + Send;
}

/// A file that is being read.
pub trait Source: Send + 'static {
    /// Bytes that are left, for people to read.
    fn left(&self) -> u64;

    /// The next bytes, at most `limit`; none at the end.
    fn read(&mut self, limit: usize) -> impl Future<Output = Result<Bytes, FileError>> + Send;
}

/// A file that is being written.
pub trait Target: Send + 'static {
    /// Its name, for the reply to STOU.
    fn name(&self) -> &str;

    /// Takes the next bytes.
    fn write(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), FileError>> + Send;

    /// The file is whole: returns when it will not be lost any more.
    fn finish(self) -> impl Future<Output = Result<(), FileError>> + Send;

    /// The file broke off. What there is may be kept, for the client to go on with.
    fn break_off(self) -> impl Future<Output = ()> + Send;
}

/// Why the file system did not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// There is nothing of that name.
    #[error("there is no such file or directory")]
    NotFound,
    /// It is there, and the user may not do that to it; in words.
    #[error("{0}")]
    NotAllowed(String),
    /// No file may be called so; in words.
    #[error("{0}")]
    Name(String),
    /// There is no room for it; in words.
    #[error("{0}")]
    Full(String),
    /// The upload does not begin where the client thinks.
    #[error("there are not so many bytes to go on from: {0} are there")]
    Position(u64),
    /// Not now.
    #[error("try again later: {0}")]
    Later(String),
}

impl FileError {
    /// The reply's code (RFC 959, section 4.2.2).
    pub fn code(&self) -> u16 {
        match self {
            Self::NotFound | Self::NotAllowed(_) => 550,
            Self::Name(_) => 553,
            Self::Full(_) => 552,
            Self::Position(_) => 554,
            Self::Later(_) => 451,
        }
    }
}
