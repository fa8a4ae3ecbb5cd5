//! `fourwire restore`: a data directory from a backup.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use host::{Random, Runtime};
use hub::store::{self, BackupError, Embedded, Progress, StoreError};

use crate::backup::{bar, describe, sync_parent};

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
    #[error("cannot make the data directory {}: {}", .0.display(), .1)]
    Directory(PathBuf, io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{}: {}", .0.display(), .1)]
    Backup(PathBuf, BackupError),
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}

/// Restores beside the directory, which takes its place only when all of the backup is there.
pub(crate) fn run(args: Args) -> Result<(), Error> {
    let Args { data, file } = args;
    let input = File::open(&file).map_err(|error| Error::File(file.clone(), error))?;
    if !is_free(&data) {
        return Err(Error::NotEmpty(data));
    }
    // Without a slash at its end, or the name beside it would be one in it.
    let data: PathBuf = data.components().collect();
    let mut beside = data.clone().into_os_string();
    beside.push(".restoring");
    let beside = PathBuf::from(beside);
    if beside.symlink_metadata().is_ok() {
        return Err(Error::Unfinished(beside));
    }
    let restored = fill(&beside, &file, input).and_then(|done| {
        std::fs::rename(&beside, &data)
            .and_then(|()| sync_parent(&data))
            .map_err(|error| Error::Directory(data.clone(), error))?;
        Ok(done)
    });
    let done = restored.inspect_err(|_| {
        let _ = std::fs::remove_dir_all(&beside);
    })?;
    println!("{} holds {}", data.display(), describe(done));
    Ok(())
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
