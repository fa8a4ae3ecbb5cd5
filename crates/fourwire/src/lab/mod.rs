//! `fourwire lab`: scenarios in virtual time.

mod check;
mod programs;
mod progress;
mod run;
mod story;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

/// Try programs on bad networks, in virtual time: the same result each time for the same seed.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    Check(check::Args),
    Run(run::Args),
    /// List the programs that scenarios may run.
    Programs,
}

/// Why it came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Something is wrong with a file: all of it was told, with its places.
    #[error("{0}")]
    Refused(#[from] lab::scenario::Refused),
    /// What was expected did not come about: it was told.
    #[error("{0}")]
    Failed(String),
    /// A file that was asked for.
    #[error("cannot write {}: {}", .0.display(), .1)]
    Write(PathBuf, io::Error),
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}

/// Does what was asked for.
pub(crate) fn run(args: Args) -> Result<(), Error> {
    match args.command {
        Command::Check(args) => check::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Programs => {
            list();
            Ok(())
        }
    }
}

/// Tells which programs there are.
fn list() {
    for (name, about) in programs::all().list() {
        println!("{name:<10} {about}");
    }
}
