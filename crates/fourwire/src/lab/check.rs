//! `fourwire lab check`: whether scenarios make sense.

use std::path::PathBuf;

use lab::scenario::Checked;

use super::{Error, programs};

/// Check scenarios without running them.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Scenarios, as TOML
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Checks all of them, and tells all that is wrong.
pub(super) fn run(args: &Args) -> Result<(), Error> {
    let programs = programs::all();
    let mut wrong = None;
    for file in &args.files {
        match Checked::read(file, &programs) {
            Ok(checked) => {
                let scenario = checked.scenario();
                println!(
                    "{}: {}, {} nodes on {} links, {} programs, {} events, {} expectations",
                    file.display(),
                    scenario.name,
                    scenario.node.len(),
                    scenario.link.len(),
                    scenario.program.len(),
                    scenario.at.len(),
                    scenario.expect.len(),
                );
            }
            Err(refused) => {
                // All but the last are told here, so that the end of the command tells no less and nothing twice.
                if let Some(before) = wrong.replace(refused) {
                    eprintln!("{before}");
                }
            }
        }
    }
    wrong.map_or(Ok(()), |refused| Err(refused.into()))
}
