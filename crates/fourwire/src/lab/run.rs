//! `fourwire lab run`: one run of a scenario under one seed.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use lab::scenario::{Checked, Outcome};

use super::{Error, programs};

/// Run a scenario: tell what happens, and whether it is what was expected.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The scenario, as TOML
    file: PathBuf,

    /// What everything random grows from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Runs it once.
pub(super) fn run(args: &Args) -> Result<(), Error> {
    let checked = Checked::read(&args.file, &programs::all())?;
    #[expect(clippy::disallowed_methods, reason = "the real time that a run takes is what is told")]
    let started = std::time::Instant::now();
    let outcome = checked.run(args.seed);
    let real = started.elapsed();
    print!("{}", tell(&outcome, real));
    if outcome.holds() {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "not as expected; again with: fourwire lab run {} --seed {}",
        args.file.display(),
        args.seed
    )))
}

/// The whole story of a run.
fn tell(outcome: &Outcome, real: Duration) -> String {
    let mut text = String::new();
    for (at, line) in &outcome.story {
        let who = if line.who.is_empty() { "--" } else { &*line.who };
        let _ = writeln!(text, "{:>12.6} s  {who:<12} {}", at.as_secs_f64(), line.what);
    }
    for verdict in &outcome.verdicts {
        let mark = if verdict.holds { "ok    " } else { "FAILED" };
        let at = verdict.at.map_or_else(String::new, |at| format!(" at {at:?}"));
        let _ = writeln!(text, "{mark} {}: {}{at}", verdict.expected, verdict.seen);
    }
    let hash: String = outcome.hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let ratio = outcome.took.as_secs_f64() / real.as_secs_f64().max(f64::MIN_POSITIVE);
    let _ = writeln!(
        text,
        "seed {}: {:.1} s of virtual time in {:.2} s ({ratio:.0} to 1), {} frames, hash {hash}",
        outcome.seed,
        outcome.took.as_secs_f64(),
        real.as_secs_f64(),
        outcome.frames,
    );
    text
}
