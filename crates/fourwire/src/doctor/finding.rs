//! What was found, told at once, one line each.

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::time::Duration;

use client::Url;

/// How good or bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grade {
    Well,
    /// It works, and will hurt some day or somebody.
    Doubtful,
    /// A client could not work.
    Ill,
}

/// What was found so far.
pub(super) struct Report {
    colour: bool,
    doubtful: u32,
    ill: u32,
}

impl Report {
    pub(super) fn begin(url: &Url) -> Self {
        println!("{url}");
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { colour, doubtful: 0, ill: 0 }
    }

    pub(super) fn well(&mut self, step: &str, found: impl Display) {
        self.tell(Grade::Well, step, &found, "");
    }

    /// `remedy` says what to do.
    pub(super) fn doubtful(&mut self, step: &str, found: impl Display, remedy: &str) {
        self.doubtful += 1;
        self.tell(Grade::Doubtful, step, &found, remedy);
    }

    /// `remedy` says what to do.
    pub(super) fn ill(&mut self, step: &str, found: impl Display, remedy: &str) {
        self.ill += 1;
        self.tell(Grade::Ill, step, &found, remedy);
    }

    /// The last word; `false` when a client could not work.
    pub(super) fn end(&self) -> bool {
        let doubts = match self.doubtful {
            0 => String::new(),
            1 => ", with one doubt".to_owned(),
            many => format!(", with {many} doubts"),
        };
        if self.ill == 0 {
            println!("a client would work here{doubts}");
        }
        self.ill == 0
    }

    fn tell(&self, grade: Grade, step: &str, found: &dyn Display, remedy: &str) {
        let (word, colour) = match grade {
            Grade::Well => ("ok  ", "32"),
            Grade::Doubtful => ("hm  ", "33"),
            Grade::Ill => ("BAD ", "31"),
        };
        match self.colour {
            true => println!("  \x1b[{colour}m{word}\x1b[0m {step:<12} {found}"),
            false => println!("  {word} {step:<12} {found}"),
        }
        for line in remedy.lines() {
            println!("       {:<12} {line}", "");
        }
    }
}

/// A time as a person reads it.
pub(super) fn milliseconds(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1000.0;
    if milliseconds < 10.0 { format!("{milliseconds:.2} ms") } else { format!("{milliseconds:.0} ms") }
}
