//! `fourwire restore`: a data directory from a backup.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use host::{Random, Runtime};
use hub::store::{self, BackupError, Directory, Embedded, Progress, StoreError};

use crate::backup::{bar, describe};

/// Make a data directory from a file that `fourwire backup` wrote.
///
/// Clients that come back after it load their rooms anew: what was published after the backup was made is not in it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The data directory to make; if it is there, it must be empty
    #[arg(long, env = "FOURWIRE_DATA", value_name = "DIR")]
    data: PathBuf,

    /// The backup
    file: PathBuf,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot read {}: {}", .0.display(), .1)]
    File(PathBuf, io::Error),
    #[error("{} is not an empty directory: choose another, or move it away first", .0.display())]
    NotEmpty(PathBuf),
    #[error("{} is left from a restore that did not end: remove it, unless one is still running", .0.display())]
    Unfinished(PathBuf),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{}: {}", .0.display(), .1)]
    Backup(PathBuf, BackupError),
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}

/// Restores into a directory in the directory. Only when all of the backup is there does it become the store: no server
/// ever finds a part of it.
pub(crate) fn run(args: Args) -> Result<(), Error> {
    let Args { data, file } = args;
    let input = File::open(&file).map_err(|error| Error::File(file.clone(), error))?;
    let inside = data.join(INSIDE);
    if inside.symlink_metadata().is_ok() {
        return Err(Error::Unfinished(inside));
    }
    if !is_free(&data) {
        return Err(Error::NotEmpty(data));
    }
    let was_there = data.exists();
    let directory = Directory::open(&data)?;
    let restored = fill(&inside, &file, input).and_then(|done| {
        directory.take_over(&inside)?;
        Ok(done)
    });
    let _ = std::fs::remove_dir_all(&inside);
    let done = restored.inspect_err(|_| clear(&data, was_there))?;
    println!("{} holds {}", data.display(), describe(done));
    Ok(())
}

/// Where a restore is under way.
const INSIDE: &str = "restoring";

/// Leaves the directory as it was before a restore that failed.
fn clear(data: &Path, was_there: bool) {
    // It is empty but for the lock; should anything else have come to it, it stays.
    let _ = std::fs::remove_file(data.join(Directory::LOCK));
    if !was_there {
        let _ = std::fs::remove_dir(data);
    }
}

fn fill(directory: &Path, file: &Path, input: File) -> Result<Progress, Error> {
    let bar = bar("restoring");
    let mut random = random()?;
    let mut store = Embedded::open(directory)?;
    let done = store::restore(BufReader::new(input), &mut store, &mut random, |progress| {
        bar.set_message(describe(progress));
    })
    .map_err(|error| Error::Backup(file.to_owned(), error))?;
    bar.finish_and_clear();
    Ok(done)
}

fn is_free(path: &Path) -> bool {
    match std::fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn random() -> io::Result<Random> {
    let drawn = kernel::run(1, |host| async move { host.random("restore") })?;
    drawn.into_iter().next().ok_or_else(|| io::ErrorKind::Other.into())
}
