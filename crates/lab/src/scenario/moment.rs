//! Points in a scenario's time: since its start, or since one of its events.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use crate::units::{Delay, UnitError};

/// A point in a scenario's time. Written `20s`, `heal`, or `heal+6s`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// So long after the start.
    At(Delay),
    /// So long after an event: the last that goes by that name.
    After {
        /// The event's name, or its kind.
        event: String,
        /// How long after it.
        by: Delay,
    },
}

impl FromStr for Moment {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let trimmed = text.trim();
        if !trimmed.starts_with(char::is_alphabetic) {
            return trimmed.parse().map(Self::At);
        }
        match trimmed.split_once('+') {
            Some((event, by)) => Ok(Self::After { event: event.trim().to_owned(), by: by.trim().parse()? }),
            None => Ok(Self::After { event: trimmed.to_owned(), by: Delay::default() }),
        }
    }
}

impl Display for Moment {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(at) => at.fmt(formatter),
            Self::After { event, by } if *by == Delay::default() => formatter.write_str(event),
            Self::After { event, by } => write!(formatter, "{event}+{by}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_they_are_written() {
        for text in ["20s", "heal", "heal+6s", "the cut+1500ms"] {
            assert_eq!(text.parse::<Moment>().expect("a moment").to_string(), text);
        }
        for wrong in ["", "6", "heal+", "heal+6", "-1s"] {
            assert!(wrong.parse::<Moment>().is_err(), "{wrong}");
        }
    }
}
