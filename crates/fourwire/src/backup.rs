//! `fourwire backup`: all rooms as one file.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use hub::store::{self, BackupError, Embedded, Progress, StoreError};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

/// Write all rooms and their history to one file.
///
/// The server that uses the directory must be stopped first. Any later fourwire can read the file.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The server's data directory
    #[arg(long, env = "FOURWIRE_DATA", value_name = "DIR")]
    data: PathBuf,

    /// The file to write; it must not be there yet
    file: PathBuf,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no store in {}: is this the server's data directory?", .0.display())]
    NoStore(PathBuf),
    #[error("{} is there already: choose another name, or remove it first", .0.display())]
    Exists(PathBuf),
    #[error("cannot write {}: {}", .0.display(), .1)]
    File(PathBuf, io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Backup(#[from] BackupError),
}

/// Makes the backup under another name, syncs it, and then gives it its own: a file of that name is a whole backup.
pub(crate) fn run(args: Args) -> Result<(), Error> {
    let Args { data, file } = args;
    if !Embedded::is_in(&data) {
        return Err(Error::NoStore(data));
    }
    if file.symlink_metadata().is_ok() {
        return Err(Error::Exists(file));
    }
    let mut store = Embedded::open(&data)?;
    let mut partial = file.clone().into_os_string();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let output = create(&partial).map_err(|error| Error::File(partial.clone(), error))?;
    let written = write(&mut store, output).and_then(|done| {
        publish(&partial, &file).map_err(|error| Error::File(file.clone(), error))?;
        Ok(done)
    });
    let done = written.inspect_err(|_| {
        let _ = std::fs::remove_file(&partial);
    })?;
    println!("{} holds {}", file.display(), describe(done));
    Ok(())
}

fn write(store: &mut Embedded, output: File) -> Result<Progress, Error> {
    let bar = bar("backing up");
    let mut output = BufWriter::new(output);
    let done = store::backup(store, &mut output, |progress| bar.set_message(describe(progress)))?;
    output
        .into_inner()
        .map_err(|error| error.into_error())
        .and_then(|file| file.sync_all())
        .map_err(BackupError::Io)?;
    bar.finish_and_clear();
    Ok(done)
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Gives the file its name, unless somebody else took the name meanwhile, and syncs that it has it.
fn publish(partial: &Path, file: &Path) -> io::Result<()> {
    match std::fs::hard_link(partial, file) {
        Ok(()) => std::fs::remove_file(partial)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        // Not every file system has links.
        Err(_) => std::fs::rename(partial, file)?,
    }
    sync_parent(file)
}

/// A file is there for sure only when its directory is synced too.
fn sync_parent(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// A sign of life for what may take long; not shown where nobody looks.
pub(crate) fn bar(doing: &'static str) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{spinner} {prefix}: {msg}").expect("the template is well formed");
    ProgressBar::new_spinner().with_style(style).with_prefix(doing)
}

pub(crate) fn describe(progress: Progress) -> String {
    let Progress { rooms, records, bytes } = progress;
    let plural = |count: u64| if count == 1 { "" } else { "s" };
    format!(
        "{} room{} with {} record{} in {}",
        HumanCount(rooms),
        plural(rooms),
        HumanCount(records),
        plural(records),
        HumanBytes(bytes)
    )
}
