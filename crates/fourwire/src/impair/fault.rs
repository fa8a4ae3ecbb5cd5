//! Faults: what happens to a link all at once, by a key, at a time, or on request.

use std::fmt;
use std::str::FromStr;

use host::{Host, Runtime};
use lab::live::{Path, Wire};
use lab::units::Delay;
use lab::{Flows, Way};

/// What happens to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing passes any more.
    Cut,
    /// Nothing gets to the target any more.
    CutUp,
    /// Nothing comes back any more.
    CutDown,
    /// All that was cut or silent is whole again.
    Heal,
    /// The connections that are open are lost without a word; new ones can be made.
    HalfOpen,
    /// All connections are reset.
    Reset,
}

impl Fault {
    pub(crate) const ALL: [Self; 6] =
        [Self::Cut, Self::CutUp, Self::CutDown, Self::Heal, Self::HalfOpen, Self::Reset];

    fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::CutUp => "cut-up",
            Self::CutDown => "cut-down",
            Self::Heal => "heal",
            Self::HalfOpen => "half-open",
            Self::Reset => "reset",
        }
    }

    /// Does it to a path.
    pub(crate) fn strike<H: Host>(self, path: &Path<H>) {
        match self {
            Self::Reset => path.reset(),
            fault => fault.strike_wire(path.wire()),
        }
    }

    /// Does it to a wire, which knows packets but no connections: a reset is none of its.
    pub(crate) fn strike_wire<R: Runtime>(self, wire: &Wire<R>) {
        match self {
            Self::Cut => [Way::Out, Way::In].into_iter().for_each(|way| wire.cut(way, true)),
            Self::CutUp => wire.cut(Way::Out, true),
            Self::CutDown => wire.cut(Way::In, true),
            Self::Heal => {
                [Way::Out, Way::In].into_iter().for_each(|way| wire.cut(way, false));
                wire.silence(None);
            }
            Self::HalfOpen => wire.silence(Some(Flows::Established)),
            Self::Reset => {}
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|fault| fault.name() == text).ok_or_else(|| {
            let all = Self::ALL.map(Self::name).join(", ");
            format!("{text:?} is no fault: say one of {all}")
        })
    }
}

/// A fault and when it strikes, counted from the start. Written `10s half-open`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timed {
    pub(crate) after: Delay,
    pub(crate) fault: Fault,
}

impl FromStr for Timed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (after, fault) = text
            .trim()
            .split_once(' ')
            .ok_or_else(|| format!("{text:?} is no fault with its time: write `10s half-open`"))?;
        let after = after.parse().map_err(|error: lab::units::UnitError| error.to_string())?;
        Ok(Self { after, fault: fault.trim().parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_they_are_written() {
        for fault in Fault::ALL {
            assert_eq!(fault.to_string().parse(), Ok(fault));
            assert_eq!(format!("1.5s {fault}").parse::<Timed>().unwrap().fault, fault);
        }
        assert!("half".parse::<Fault>().is_err() && "10s".parse::<Timed>().is_err());
    }
}
