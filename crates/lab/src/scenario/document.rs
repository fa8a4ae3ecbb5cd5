//! A scenario's file.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use toml::de::DeTable;

use super::check::{check, place};
use super::format::Scenario;
use super::problem::{Place, Problem, Refused, line_of};
use super::registry::{Programs, Start};

/// A scenario that was checked, with its programs ready to run. It can run any number of times, on several threads too.
#[derive(Clone)]
pub struct Checked {
    pub(super) scenario: Scenario,
    pub(super) starts: Vec<Start>,
}

impl Scenario {
    /// Reads a scenario from the text of a file called `origin`, without a look at what it means.
    ///
    /// # Errors
    ///
    /// What is no TOML, or has keys or values that a scenario has not; with line and column.
    pub fn parse(origin: &str, text: &str) -> Result<Self, Refused> {
        parse(origin, text).map(|(scenario, _)| scenario)
    }

    /// Checks it as a whole, and makes its programs ready.
    ///
    /// # Errors
    ///
    /// All that is wrong with it.
    pub fn check(self, programs: &Programs) -> Result<Checked, Vec<Problem>> {
        let starts = check(&self, None, programs)?;
        Ok(Checked { scenario: self, starts })
    }

    /// The text of its file.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a scenario is a table of what TOML has")
    }
}

impl Checked {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    ///
    /// That it cannot be read, or all that is wrong with it, with line and column.
    pub fn read(path: &Path, programs: &Programs) -> Result<Self, Refused> {
        let origin = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| {
            let message = format!("cannot be read: {error}");
            Refused { places: vec![Place { origin: origin.clone(), at: None, message }] }
        })?;
        Self::parse(&origin, &text, programs)
    }

    /// Reads and checks the text of a file called `origin`.
    ///
    /// # Errors
    ///
    /// All that is wrong with it, with line and column.
    pub fn parse(origin: &str, text: &str, programs: &Programs) -> Result<Self, Refused> {
        let (scenario, table) = parse(origin, text)?;
        let starts = check(&scenario, Some(&table), programs).map_err(|problems| {
            let mut found: Vec<(usize, Place)> = problems
                .into_iter()
                .map(|problem| match place(&problem, &table) {
                    Some(byte) => (byte, located(origin, text, byte, problem.message)),
                    None => (0, Place { origin: origin.to_owned(), at: None, message: problem.to_string() }),
                })
                .collect();
            found.sort_by_key(|(byte, _)| *byte);
            Refused { places: found.into_iter().map(|(_, place)| place).collect() }
        })?;
        Ok(Self { scenario, starts })
    }

    /// The scenario.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }
}

fn parse<'t>(origin: &str, text: &'t str) -> Result<(Scenario, DeTable<'t>), Refused> {
    let refused = |error: toml::de::Error| {
        let message = error.message().replace('\n', ", ");
        let place = match error.span() {
            Some(span) => located(origin, text, span.start, message),
            None => Place { origin: origin.to_owned(), at: None, message },
        };
        Refused { places: vec![place] }
    };
    let table = DeTable::parse(text).map_err(refused)?;
    let deserializer = toml::de::Deserializer::from(table.clone());
    let scenario = Scenario::deserialize(deserializer).map_err(refused)?;
    Ok((scenario, table.into_inner()))
}

fn located(origin: &str, text: &str, byte: usize, message: String) -> Place {
    Place { origin: origin.to_owned(), at: Some(line_of(text, byte)), message }
}
