//! What is wrong with a scenario, and where.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// Something that is wrong with a scenario, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where in the scenario: keys, and indices of arrays.
    pub path: Vec<Step>,
    /// What is wrong, and what would be right.
    pub message: String,
    /// Where in the file, in bytes, when that is known more closely.
    pub(super) span: Option<Range<usize>>,
}

/// A step into a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A key of a table.
    Key(String),
    /// An index of an array, from zero.
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

impl Problem {
    pub(super) fn new(path: impl IntoIterator<Item = Step>, message: impl Into<String>) -> Self {
        Self { path: path.into_iter().collect(), message: message.into(), span: None }
    }
}

impl Display for Problem {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        for (index, step) in self.path.iter().enumerate() {
            match step {
                Step::Key(key) if index == 0 => formatter.write_str(key)?,
                Step::Key(key) => write!(formatter, ".{key}")?,
                Step::Index(index) => write!(formatter, "[{index}]")?,
            }
        }
        if !self.path.is_empty() {
            formatter.write_str(": ")?;
        }
        formatter.write_str(&self.message)
    }
}

/// All that is wrong with a scenario, each with the line of its file where that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub(super) places: Vec<Place>,
}

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The file, or nothing where the scenario comes from none.
    pub(super) origin: String,
    /// Line and column, from one, and the line itself.
    pub(super) at: Option<(usize, usize, String)>,
    pub(super) message: String,
}

impl Refused {
    /// What is wrong, each as `FILE:LINE:COLUMN: MESSAGE` with its line below.
    pub fn messages(&self) -> impl Iterator<Item = String> + '_ {
        self.places.iter().map(ToString::to_string)
    }
}

impl Display for Refused {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.places.iter().enumerate().try_for_each(|(index, place)| {
            let between = if index > 0 { "\n" } else { "" };
            write!(formatter, "{between}{place}")
        })
    }
}

impl std::error::Error for Refused {}

impl Display for Place {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self { origin, at, message } = self;
        match at {
            Some((line, column, text)) => {
                let gutter = line.to_string();
                let below = " ".repeat(gutter.len());
                writeln!(formatter, "{origin}:{line}:{column}: {message}")?;
                writeln!(formatter, " {gutter} | {text}")?;
                write!(formatter, " {below} | {}^", " ".repeat(column - 1))
            }
            None if origin.is_empty() => formatter.write_str(message),
            None => write!(formatter, "{origin}: {message}"),
        }
    }
}

/// Where `path` leads in `table`: the value's place in the text, or the nearest above it.
pub(super) fn locate(table: &DeTable<'_>, path: &[Step]) -> Option<Range<usize>> {
    let mut found = None;
    let mut value: Option<&DeValue<'_>> = None;
    for step in path {
        let next = match (step, value) {
            (Step::Key(key), None) => table.get(key.as_str()),
            (Step::Key(key), Some(DeValue::Table(table))) => table.get(key.as_str()),
            (Step::Index(index), Some(DeValue::Array(array))) => array.get(*index),
            _ => None,
        };
        let Some(next) = next else { break };
        found = Some(next.span());
        value = Some(next.get_ref());
    }
    found
}

/// Line and column of a byte in `text`, from one, and the line itself.
pub(super) fn line_of(text: &str, byte: usize) -> (usize, usize, String) {
    let byte = (0..=byte.min(text.len())).rev().find(|&byte| text.is_char_boundary(byte)).unwrap_or(0);
    let start = text[..byte].rfind('\n').map_or(0, |newline| newline + 1);
    let number = text[..start].matches('\n').count() + 1;
    let line = text[start..].lines().next().unwrap_or("");
    (number, text[start..byte].chars().count() + 1, line.to_owned())
}

/// `" did you mean \"…\"?"` for the one of `known` that `name` is most like, or all of them when it is like none.
pub(super) fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let distance = |other: &&&str| strsim::damerau_levenshtein(name, other);
    let nearest = known.iter().min_by_key(distance).copied();
    match nearest {
        None => "there is none at all".to_owned(),
        Some(nearest) if strsim::damerau_levenshtein(name, nearest) <= 1 + nearest.len() / 3 => {
            format!("did you mean {nearest:?}?")
        }
        Some(_) => format!("there is {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_and_in_letters() {
        let text = "a = 1\nüb = 2\n";
        assert_eq!(line_of(text, 0), (1, 1, "a = 1".to_owned()));
        assert_eq!(line_of(text, text.find('2').expect("there")), (2, 6, "üb = 2".to_owned()));
        assert_eq!(line_of(text, 1_000).0, 3);
    }

    #[test]
    fn a_name_that_is_nearly_right_is_told() {
        assert_eq!(suggestion("wam", ["lan", "wan"]), "did you mean \"wan\"?");
        assert_eq!(suggestion("internet", ["lan", "wan"]), "there is lan, wan");
        assert_eq!(suggestion("x", []), "there is none at all");
    }
}
