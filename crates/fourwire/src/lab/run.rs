//! `fourwire lab run`: scenarios under one seed or many.

use std::fs;
use std::io::IsTerminal;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use host::Runtime;
use kernel::{KernelHost, ShutdownSignals};
use lab::scenario::{Checked, Keep, Outcome, Programs, Report, Suite};

use super::progress::Progress;
use super::{Error, programs, story};

/// Run scenarios: tell what happens, and whether it is what was expected.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Scenarios, as TOML
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// What everything random grows from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Run under each of these seeds, such as 1..1000; stop at the first that is not as expected, and make the scenario
    /// that shows it as small as it can be
    #[arg(long, value_name = "FIRST..LAST", conflicts_with = "seed", value_parser = seeds)]
    seeds: Option<RangeInclusive<u64>>,

    /// Threads that run seeds [default: the number of cores]
    #[arg(long, value_name = "N", requires = "seeds", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,

    /// Where the scenario that was made smaller is written [default: NAME-SEED.toml, here]
    #[arg(long, value_name = "FILE", requires = "seeds")]
    shrunk: Option<PathBuf>,

    /// Runs that making it smaller may take; 0 leaves it as it is
    #[arg(long, value_name = "N", requires = "seeds", default_value_t = 300)]
    shrink: usize,

    /// Write what passes each interface into files of this directory, for Wireshark
    #[arg(long, value_name = "DIR", conflicts_with = "seeds")]
    capture: Option<PathBuf>,

    /// Tell the way of one message down the layers, over each hop and up the other side: by its number, its sender and
    /// which of theirs it is (alice:3), or words in it
    #[arg(long, value_name = "MESSAGE", conflicts_with = "seeds")]
    follow: Option<String>,

    /// Write a JUnit report
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Reads `1..1000`, both ends included.
fn seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let wrong = || format!("{text:?} are no seeds; write the first and the last: 1..1000");
    let (first, last) = text.split_once("..").ok_or_else(wrong)?;
    let last = last.strip_prefix('=').unwrap_or(last);
    let seeds = first.parse().map_err(|_| wrong())?..=last.parse().map_err(|_| wrong())?;
    if seeds.is_empty() { Err(wrong()) } else { Ok(seeds) }
}

/// Runs them, until Ctrl-C.
pub(super) fn run(args: &Args) -> Result<(), Error> {
    let ran = kernel::run(1, |host| {
        let args = args.clone();
        async move {
            let mut signals = ShutdownSignals::watch()?;
            let stop = Arc::new(AtomicBool::new(false));
            let (clock, stopping) = (host.clone(), stop.clone());
            let mut running = std::pin::pin!(host.blocking(move || all(&args, &clock, &stopping)));
            loop {
                tokio::select! {
                    biased;
                    ran = &mut running => return ran,
                    _ = signals.next() => {
                        // Who asks twice does not want to wait for the runs under way.
                        if stop.swap(true, Ordering::AcqRel) {
                            std::process::exit(130);
                        }
                    }
                }
            }
        }
    })?;
    ran.into_iter().collect()
}

fn all(args: &Args, clock: &KernelHost, stop: &AtomicBool) -> Result<(), Error> {
    let programs = programs::all();
    let checked: Vec<Checked> =
        args.files.iter().map(|file| Checked::read(file, &programs)).collect::<Result<_, _>>()?;
    let mut report = Report::default();
    let mut failed = None;
    for (file, checked) in args.files.iter().zip(&checked) {
        let one = One { args, file, checked, programs: &programs, clock, stop };
        let (suite, failure) = match &args.seeds {
            Some(seeds) => one.sweep(seeds)?,
            None => one.once()?,
        };
        report.suites.push(suite);
        failed = failed.or(failure);
        if stop.load(Ordering::Acquire) {
            failed = failed.or(Some("interrupted".to_owned()));
            break;
        }
    }
    if let Some(path) = &args.junit {
        fs::write(path, report.to_string()).map_err(|error| Error::Write(path.clone(), error))?;
    }
    failed.map_or(Ok(()), |failed| Err(Error::Failed(failed)))
}

/// One scenario, and how it is to run.
struct One<'a> {
    args: &'a Args,
    file: &'a Path,
    checked: &'a Checked,
    programs: &'a Programs,
    clock: &'a KernelHost,
    stop: &'a AtomicBool,
}

impl One<'_> {
    /// The line that runs it again.
    fn replay(&self, seed: u64) -> String {
        format!("fourwire lab run {} --seed {seed}", self.file.display())
    }

    fn suite(&self, seeds: String, took: Duration, outcome: Option<&Outcome>) -> Suite {
        let replay = outcome.filter(|outcome| !outcome.holds()).map(|outcome| self.replay(outcome.seed));
        Suite {
            file: self.file.display().to_string(),
            name: self.checked.scenario().name.clone(),
            seeds,
            took,
            verdicts: outcome.map(|outcome| outcome.verdicts.clone()).unwrap_or_default(),
            replay,
        }
    }

    /// Runs it once, and tells everything.
    fn once(&self) -> Result<(Suite, Option<String>), Error> {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let keep = Keep { capture: self.directory(), follow: self.args.follow.clone(), colours };
        let began = self.clock.now();
        let kept = self.checked.run_and_keep(self.args.seed, &keep)?;
        let took = self.clock.now().since(began);
        if self.args.files.len() > 1 {
            println!("{}:", self.file.display());
        }
        print!("{}", story::whole(&kept, took));
        if let Some(directory) = &keep.capture {
            println!("{} files in {}", kept.files.len(), directory.display());
        }
        let outcome = &kept.outcome;
        let mut failure =
            (!outcome.holds()).then(|| format!("not as expected; again with: {}", self.replay(outcome.seed)));
        match kept.journeys {
            Some(Ok(journeys)) => print!("\n{journeys}"),
            Some(Err(error)) => failure = failure.or(Some(error.to_string())),
            None => {}
        }
        Ok((self.suite(outcome.seed.to_string(), took, Some(outcome)), failure))
    }

    /// Where the capture goes: each scenario into a directory of its own where there are several.
    fn directory(&self) -> Option<PathBuf> {
        let directory = self.args.capture.as_ref()?;
        let several = self.args.files.len() > 1;
        Some(if several { directory.join(&self.checked.scenario().name) } else { directory.clone() })
    }

    /// Runs it under each of `seeds`; what fails first is told, and made smaller.
    fn sweep(&self, seeds: &RangeInclusive<u64>) -> Result<(Suite, Option<String>), Error> {
        let name = &self.checked.scenario().name;
        let count = (seeds.end() - seeds.start()).saturating_add(1);
        let threads = self.args.jobs.map_or_else(cores, usize::from);
        let began = self.clock.now();
        let progress = Progress::of_seeds(name, count);
        let swept = self.checked.sweep(seeds.clone(), threads, self.stop, |outcome| progress.seed(outcome));
        let last = progress.end();
        let took = self.clock.now().since(began);
        let range = format!("{}..{}", seeds.start(), seeds.end());
        let Some(failure) = swept.failure else {
            println!("{}", story::swept(name, swept.held, took, last.virtual_time, last.frames));
            return Ok((self.suite(range, took, last.outcome.as_ref()), None));
        };
        let replay = self.replay(failure.seed);
        print!("{name}: {}", story::failures(&failure));
        println!("{}: {} seeds were as expected before. Replay it with\n  {replay}", name, swept.held);
        self.shrink(&failure)?;
        Ok((
            self.suite(range, took, Some(&failure)),
            Some(format!("{name}: not as expected; again with: {replay}")),
        ))
    }

    /// Makes the scenario smaller, and writes what is left.
    fn shrink(&self, failure: &Outcome) -> Result<(), Error> {
        if self.args.shrink == 0 {
            return Ok(());
        }
        let name = &self.checked.scenario().name;
        let progress = Progress::of_shrinking(name);
        let shrunk = self.checked.shrink(failure, self.programs, self.args.shrink, |runs| {
            progress.run(runs);
            !self.stop.load(Ordering::Acquire)
        });
        progress.end();
        let path = self.args.shrunk.clone().unwrap_or_else(|| format!("{name}-{}.toml", failure.seed).into());
        let mut text = format!("# Made from {} in {} runs. Run it with\n", self.file.display(), shrunk.runs);
        text += &format!("#   fourwire lab run {} --seed {}\n", path.display(), failure.seed);
        for line in story::failures(&shrunk.outcome).lines() {
            text += &format!("# {line}\n");
        }
        text += "\n";
        text += &shrunk.scenario.to_toml();
        fs::write(&path, text).map_err(|error| Error::Write(path.clone(), error))?;
        let scenario = &shrunk.scenario;
        println!(
            "{name}: {} is what is left of it after {} runs: {} nodes, {} programs, {} events, {}",
            path.display(),
            shrunk.runs,
            scenario.node.len(),
            scenario.program.len(),
            scenario.at.len(),
            scenario.stop,
        );
        Ok(())
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_first_and_a_last() {
        assert_eq!(seeds("1..1000"), Ok(1..=1000));
        assert_eq!(seeds("7..=7"), Ok(7..=7));
        for wrong in ["", "5", "5..", "..5", "9..2", "a..b"] {
            assert!(seeds(wrong).is_err(), "{wrong}");
        }
    }
}
