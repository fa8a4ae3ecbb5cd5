//! What a session wants done, and what came of it.

use std::net::SocketAddr;

use super::files::FileError;
use crate::ftp::listing::Entry;
use crate::ftp::path::Path;

/// What the driver is to do. One at a time: the next one comes when [`Session::done`](super::Session::done) was told the
/// outcome, except for [`Effect::Abort`] and [`Effect::Close`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Say whether these are a user's name and password.
    LogIn {
        /// The name.
        user: String,
        /// What was given as password.
        password: String,
    },
    /// Send what waits, then shake hands for TLS as the server. Its failure ends the connection.
    StartTls,
    /// Listen for a data connection, at the address that the client reached us by.
    Listen,
    /// Ask the file system.
    Ask(Question),
    /// Carry a file or a listing over a data connection.
    Transfer(Transfer),
    /// Stop the transfer under way, and say so as its outcome.
    Abort,
    /// Send what waits, then close.
    Close,
}

/// What the file system is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Is this a directory that the user may enter?
    Enter(Path),
    /// What is there?
    Look(Path),
    /// What is in it?
    List(Path),
    /// Make a directory.
    MakeDirectory(Path),
    /// Remove a directory.
    RemoveDirectory(Path),
    /// Remove a file.
    Remove(Path),
    /// Give a file another name.
    Rename {
        /// The old one.
        from: Path,
        /// The new one.
        to: Path,
    },
}

/// A transfer over a data connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// What.
    pub form: Form,
    /// The file, or the directory.
    pub path: Path,
    /// How the data connection comes about.
    pub way: DataWay,
    /// Whether it is inside TLS (PROT P).
    pub protected: bool,
}

/// What is carried over a data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Lines for people (LIST).
    List,
    /// Names only (NLST).
    Names,
    /// Lines for programs (MLSD).
    Facts,
    /// A file to the client, from this byte on.
    Retrieve(u64),
    /// A file from the client.
    Store(Placing),
}

/// Where the bytes of a client's file go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placing {
    /// They are the whole file.
    Whole,
    /// They go on from this byte, where an upload broke off (REST).
    From(u64),
    /// Behind what there is (APPE).
    Behind,
    /// They are a file under a new name (STOU).
    Unique,
}

/// How a data connection comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataWay {
    /// The client connects to where we listen.
    Passive,
    /// We connect to the client.
    Active(SocketAddr),
}

/// What came of an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// That user is known, with that password.
    LoggedIn,
    /// Nobody of that name and password may come in.
    LoginRefused,
    /// TLS stands.
    Secured,
    /// We listen there.
    Listening(SocketAddr),
    /// This is there.
    Found(Entry),
    /// These are there.
    Entries(Vec<Entry>),
    /// The file system says no, or cannot.
    Failed(FileError),
    /// No data connection came about.
    NoConnection,
    /// The data connection was lost.
    Lost,
    /// The transfer was stopped by [`Effect::Abort`].
    Aborted,
}
