//! What can be measured of a program.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

/// Something that is measured of a program. Written `p99 latency`, `mean age`, `most age`, `count polls`, or `wire`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measure {
    /// So many percent of the samples called `name` are at most that.
    Percentile {
        /// 1 to 100; 100 is the greatest of all.
        percent: u8,
        /// What the program calls its samples.
        name: String,
    },
    /// The mean of the samples called `name`.
    Mean {
        /// What the program calls its samples.
        name: String,
    },
    /// What the program counts under `name`.
    Count {
        /// What the program calls it.
        name: String,
    },
    /// Bytes of the frames that the program's machine sent and received.
    Wire,
}

/// Why a text is no measure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no measure: write \"p99 NAME\" (any percentage), \"most NAME\", \"mean NAME\", \"count NAME\" or \"wire\""
)]
pub struct MeasureError(String);

impl FromStr for Measure {
    type Err = MeasureError;

    fn from_str(text: &str) -> Result<Self, MeasureError> {
        let wrong = || MeasureError(text.to_owned());
        let trimmed = text.trim();
        if trimmed == "wire" {
            return Ok(Self::Wire);
        }
        let (kind, name) = trimmed.split_once(' ').ok_or_else(wrong)?;
        let name = name.trim().to_owned();
        match kind {
            "count" => Ok(Self::Count { name }),
            "mean" => Ok(Self::Mean { name }),
            "most" => Ok(Self::Percentile { percent: 100, name }),
            _ => match kind.strip_prefix('p').and_then(|percent| percent.parse().ok()) {
                Some(percent @ 1..=100) => Ok(Self::Percentile { percent, name }),
                _ => Err(wrong()),
            },
        }
    }
}

impl Display for Measure {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percentile { percent: 100, name } => write!(formatter, "most {name}"),
            Self::Percentile { percent, name } => write!(formatter, "p{percent} {name}"),
            Self::Mean { name } => write!(formatter, "mean {name}"),
            Self::Count { name } => write!(formatter, "count {name}"),
            Self::Wire => formatter.write_str("wire"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_read_as_they_are_written() {
        for text in ["p50 latency", "p99 latency", "most age", "mean age", "count polls", "wire"] {
            assert_eq!(text.parse::<Measure>().expect("a measure").to_string(), text);
        }
        for wrong in ["", "latency", "p0 latency", "p101 latency", "px latency"] {
            assert!(wrong.parse::<Measure>().is_err(), "{wrong}");
        }
    }
}
