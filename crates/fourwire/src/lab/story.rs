//! Runs in words.

use std::fmt::Write;
use std::time::Duration;

use lab::scenario::{Kept, Outcome, Verdict};

/// The whole story of a run.
pub(super) fn whole(kept: &Kept, real: Duration) -> String {
    let outcome = &kept.outcome;
    let mut text = String::new();
    for (at, line) in &outcome.story {
        let who = if line.who.is_empty() { "--" } else { &*line.who };
        let _ = writeln!(text, "{:>12.6} s  {who:<12} {}", at.as_secs_f64(), plain(&line.what));
    }
    outcome.verdicts.iter().for_each(|one| text += &verdict(one));
    let hash: String = kept.capture_hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let _ = writeln!(
        text,
        "seed {}: {} s of virtual time in {:.2} s ({}), {} frames, capture {hash}",
        outcome.seed,
        outcome.took.as_secs(),
        real.as_secs_f64(),
        ratio(outcome.took, real),
        outcome.frames,
    );
    text
}

/// What was not as expected in a run, a line each.
pub(super) fn failures(outcome: &Outcome) -> String {
    outcome.verdicts.iter().filter(|verdict| !verdict.holds()).map(verdict).collect()
}

/// That all was as expected under so many seeds.
pub(super) fn swept(name: &str, seeds: u64, real: Duration, virtual_time: Duration, frames: u64) -> String {
    format!(
        "{name}: as expected under {seeds} seeds: {} s of virtual time in {:.1} s ({}), {frames} frames",
        virtual_time.as_secs(),
        real.as_secs_f64(),
        ratio(virtual_time, real),
    )
}

fn verdict(verdict: &Verdict) -> String {
    plain(&verdict.to_string()) + "\n"
}

/// How much faster than the clock on the wall.
fn ratio(virtual_time: Duration, real: Duration) -> String {
    let ratio = virtual_time.as_secs_f64() / real.as_secs_f64().max(1e-9);
    if ratio < 10.0 { format!("{ratio:.1} to 1") } else { format!("{ratio:.0} to 1") }
}

/// Text that cannot make the terminal do things.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}
