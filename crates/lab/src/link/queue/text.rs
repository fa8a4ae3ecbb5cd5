//! How queues are written.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use super::{Codel, Discipline, FqCodel};
use crate::units::{Delay, Size, UnitError};

const FORM: &str = "LIMIT, codel [OPTION]... or fq_codel [OPTION]..., with the options limit LIMIT, target TIME, interval \
                    TIME, ecn, noecn and, for fq_codel, flows NUMBER and quantum SIZE";

impl FromStr for Discipline {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let mut words = text.split_whitespace();
        match words.next() {
            Some("codel") => {
                let mut fq = FqCodel { codel: Codel::default(), ..FqCodel::default() };
                read_options(text, words, &mut fq, false).map(|()| Self::Codel(fq.codel))
            }
            Some("fq_codel") => {
                let mut fq = FqCodel::default();
                read_options(text, words, &mut fq, true).map(|()| Self::FqCodel(fq))
            }
            Some(word) if word.starts_with(|first: char| first.is_ascii_digit()) => {
                text.parse().map(Self::DropTail)
            }
            _ => Err(UnitError::form(text, FORM)),
        }
    }
}

fn read_options<'a>(
    text: &str,
    mut words: impl Iterator<Item = &'a str>,
    settings: &mut FqCodel,
    has_flows: bool,
) -> Result<(), UnitError> {
    let form = || UnitError::form(text, FORM);
    while let Some(option) = words.next() {
        let codel = &mut settings.codel;
        match option {
            "ecn" | "noecn" => {
                codel.ecn = option == "ecn";
                continue;
            }
            _ => {}
        }
        let value = words.next().ok_or_else(form)?;
        match option {
            "limit" => codel.limit = value.parse()?,
            "target" => codel.target = value.parse::<Delay>()?.into(),
            "interval" => codel.interval = value.parse::<Delay>()?.into(),
            "flows" if has_flows => {
                settings.flows = value.parse().ok().filter(|&flows| flows > 0).ok_or_else(form)?;
            }
            "quantum" if has_flows => {
                let quantum = u32::try_from(value.parse::<Size>()?.as_bytes());
                settings.quantum = quantum.ok().filter(|&quantum| quantum > 0).ok_or_else(form)?;
            }
            _ => return Err(form()),
        }
    }
    Ok(())
}

impl Display for Discipline {
    /// Only what is not the default is said.
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::DropTail(limit) => limit.fmt(formatter),
            Self::Codel(codel) => {
                formatter.write_str("codel")?;
                write_codel(formatter, codel, &Codel::default())
            }
            Self::FqCodel(FqCodel { flows, quantum, codel }) => {
                let usual = FqCodel::default();
                formatter.write_str("fq_codel")?;
                write_codel(formatter, codel, &usual.codel)?;
                if *flows != usual.flows {
                    write!(formatter, " flows {flows}")?;
                }
                if *quantum != usual.quantum {
                    write!(formatter, " quantum {}", Size::bytes(u64::from(*quantum)))?;
                }
                Ok(())
            }
        }
    }
}

fn write_codel(formatter: &mut Formatter<'_>, codel: &Codel, usual: &Codel) -> fmt::Result {
    let Codel { target, interval, limit, ecn } = codel;
    if *limit != usual.limit {
        write!(formatter, " limit {limit}")?;
    }
    for (name, time, usual) in [("target", target, usual.target), ("interval", interval, usual.interval)] {
        if *time != usual {
            write!(formatter, " {name} {}", Delay::from(*time))?;
        }
    }
    match (ecn, usual.ecn) {
        (true, false) => formatter.write_str(" ecn"),
        (false, true) => formatter.write_str(" noecn"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back() {
        for text in [
            "256KiB",
            "25p",
            "codel",
            "codel limit 100p target 10ms interval 200ms ecn",
            "fq_codel",
            "fq_codel limit 1MiB noecn flows 64 quantum 300B",
        ] {
            assert_eq!(text.parse::<Discipline>().unwrap().to_string(), text);
        }
        for text in
            ["", "red", "codel flows 3", "codel limit", "fq_codel flows 0", "fq_codel quantum 5", "25"]
        {
            let error = text.parse::<Discipline>().unwrap_err().to_string();
            assert!(error.contains("write") || error.contains("unit"), "{error}");
        }
    }
}
