//! Numbers with their units, as people write them: `3%`, `40ms`, `20Mbit`, `256KiB`, `25p`.
//!
//! One text form for scenarios, the command line and what is printed. All arithmetic is on integers and exact: what cannot
//! be kept exactly is an error, and what is printed is read back as the same.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::time::Duration;

use host::Random;

/// How likely something is, in parts of a billion. Written in percent: `3%`, `0.1%`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chance(u32);

/// A time that something takes, in nanoseconds. Written with `ns`, `us`, `ms`, `s`, `min` or `h`: `40ms`, `1.5s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Delay(u64);

/// Bits in a second, at least one. Written with `bit`, `kbit`, `Mbit`, `Gbit` or `Tbit`, in powers of a thousand: `20Mbit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(u64);

/// An amount of bytes. Written with `B`, with `kB`, `MB`, `GB` in powers of a thousand, or with `KiB`, `MiB`, `GiB` in
/// powers of 1024: `1500B`, `256KiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

/// How much a queue holds: bytes, written as a [`Size`], or packets, written with `p`: `25p`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// So many bytes.
    Bytes(Size),
    /// So many packets, whatever their length.
    Packets(u32),
}

/// Why a text is not a number with a unit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// It does not begin with a number.
    #[error("{text:?} does not begin with a number: {what} is written like {example}")]
    NoNumber {
        /// What was read.
        text: String,
        /// What it should be.
        what: &'static str,
        /// Such a one.
        example: &'static str,
    },
    /// The number stands alone.
    #[error("{text:?} has no unit: {what} is given in {units}")]
    NoUnit {
        /// What was read.
        text: String,
        /// What it should be.
        what: &'static str,
        /// All units that are known.
        units: String,
    },
    /// The unit is not known here.
    #[error("{unit:?} in {text:?} is no unit of {what}: say {units}")]
    UnknownUnit {
        /// What was read.
        text: String,
        /// Its unit.
        unit: String,
        /// What it should be.
        what: &'static str,
        /// All units that are known.
        units: String,
    },
    /// More digits than can be kept.
    #[error("{text:?} is too fine: {what} is kept in whole {step}")]
    TooFine {
        /// What was read.
        text: String,
        /// What it should be.
        what: &'static str,
        /// The smallest step.
        step: &'static str,
    },
    /// Too much or too little.
    #[error("{text:?} is out of range: {what} lies between {least} and {most}")]
    OutOfRange {
        /// What was read.
        text: String,
        /// What it should be.
        what: &'static str,
        /// The least that there is.
        least: &'static str,
        /// The most that there is.
        most: &'static str,
    },
    /// Not the words that were expected.
    #[error("{text:?} is not understood: write {form}")]
    Form {
        /// What was read.
        text: String,
        /// What it should look like.
        form: &'static str,
    },
}

impl UnitError {
    pub(crate) fn form(text: &str, form: &'static str) -> Self {
        Self::Form { text: text.to_owned(), form }
    }
}

impl Chance {
    /// It does not happen.
    pub const NEVER: Self = Self(0);
    /// It always happens.
    pub const ALWAYS: Self = Self(BILLION);

    /// So many times in a hundred.
    ///
    /// # Panics
    ///
    /// Above 100.
    pub const fn percent(percent: u32) -> Self {
        assert!(percent <= 100, "a chance is at most 100 percent");
        Self(percent * 10_000_000)
    }

    /// So many times in a million.
    ///
    /// # Panics
    ///
    /// Above a million.
    pub const fn per_million(parts: u32) -> Self {
        assert!(parts <= 1_000_000, "a chance is at most a million parts of a million");
        Self(parts * 1_000)
    }

    /// So many times in a billion.
    ///
    /// # Panics
    ///
    /// Above a billion.
    pub const fn per_billion(parts: u32) -> Self {
        assert!(parts <= BILLION, "a chance is at most a billion parts of a billion");
        Self(parts)
    }

    /// Parts of a billion.
    pub const fn parts(self) -> u32 {
        self.0
    }

    /// How likely the opposite is.
    #[must_use]
    pub const fn opposite(self) -> Self {
        Self(BILLION - self.0)
    }

    /// Whether it happens this time. What never happens, and what always does, draws no number.
    pub fn strikes(self, random: &mut Random) -> bool {
        match self.0 {
            0 => false,
            BILLION => true,
            parts => random.below(u64::from(BILLION)) < u64::from(parts),
        }
    }
}

const BILLION: u32 = 1_000_000_000;

impl Delay {
    /// So many nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// In nanoseconds.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }
}

impl From<Delay> for Duration {
    fn from(delay: Delay) -> Self {
        Self::from_nanos(delay.0)
    }
}

impl From<Duration> for Delay {
    /// Saturates at 2^64 nanoseconds, which are 584 years.
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Rate {
    /// So many bits in a second; `None` for zero, for that is a cut and no rate.
    pub const fn new(bits: u64) -> Option<Self> {
        if bits == 0 { None } else { Some(Self(bits)) }
    }

    /// So many thousand bits in a second.
    ///
    /// # Panics
    ///
    /// For zero.
    pub const fn kbit(kilobits: u32) -> Self {
        assert!(kilobits > 0, "a link that carries nothing is cut: it has no rate");
        Self(kilobits as u64 * 1_000)
    }

    /// So many million bits in a second.
    ///
    /// # Panics
    ///
    /// For zero.
    pub const fn mbit(megabits: u32) -> Self {
        assert!(megabits > 0, "a link that carries nothing is cut: it has no rate");
        Self(megabits as u64 * 1_000_000)
    }

    /// Bits in a second.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// How long `bits` take after others, in whole nanoseconds. What is less than one is carried over to the next, so that a
    /// row of them takes its time exactly.
    pub(crate) fn time_after(self, bits: u64, carried: &mut u64) -> Duration {
        let total = u128::from(bits) * 1_000_000_000 + u128::from(*carried);
        *carried = (total % u128::from(self.0)) as u64;
        Duration::from_nanos(u64::try_from(total / u128::from(self.0)).unwrap_or(u64::MAX))
    }

    /// How long `bits` take, rounded up to a nanosecond.
    pub fn time_for(self, bits: u64) -> Duration {
        let nanos = (u128::from(bits) * 1_000_000_000).div_ceil(u128::from(self.0));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl Size {
    /// So many bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many times 1024 bytes.
    pub const fn kib(kibibytes: u32) -> Self {
        Self(kibibytes as u64 * 1024)
    }

    /// In bytes.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }
}

impl Limit {
    /// Whether one of `length` bytes has room beside so many frames of so many bytes together.
    pub(crate) const fn has_room_for(self, length: usize, frames: usize, bytes: usize) -> bool {
        match self {
            Self::Bytes(size) => (bytes + length) as u64 <= size.0,
            Self::Packets(packets) => frames < packets as usize,
        }
    }
}

impl FromStr for Chance {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let parts = CHANCE.read(text)?;
        u32::try_from(parts)
            .ok()
            .filter(|&parts| parts <= BILLION)
            .map(Self)
            .ok_or_else(|| CHANCE.range(text))
    }
}

impl FromStr for Delay {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        u64::try_from(DELAY.read(text)?).map(Self).map_err(|_| DELAY.range(text))
    }
}

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let bits = RATE.read(text)?;
        u64::try_from(bits).ok().and_then(Self::new).ok_or_else(|| RATE.range(text))
    }
}

impl FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        u64::try_from(SIZE.read(text)?).map(Self).map_err(|_| SIZE.range(text))
    }
}

impl FromStr for Limit {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = LIMIT.split(text)?;
        if !unit.eq_ignore_ascii_case("p") {
            return Ok(Self::Bytes(Size(u64::try_from(number).map_err(|_| LIMIT.range(text))?)));
        }
        u32::try_from(number).map(Self::Packets).map_err(|_| LIMIT.range(text))
    }
}

impl Display for Chance {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 10_000_000, self.0 % 10_000_000);
        let digits = format!("{part:07}");
        match digits.trim_end_matches('0') {
            "" => write!(formatter, "{whole}%"),
            digits => write!(formatter, "{whole}.{digits}%"),
        }
    }
}

impl Display for Delay {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        DELAY.write(u128::from(self.0), formatter)
    }
}

impl Display for Rate {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        RATE.write(u128::from(self.0), formatter)
    }
}

impl Display for Size {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        SIZE.write(u128::from(self.0), formatter)
    }
}

impl Display for Limit {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(size) => size.fmt(formatter),
            Self::Packets(packets) => write!(formatter, "{packets}p"),
        }
    }
}

/// How one kind of quantity is written.
struct Quantity {
    what: &'static str,
    example: &'static str,
    /// What the smallest unit is called in an error.
    step: &'static str,
    least: &'static str,
    most: &'static str,
    /// Each unit, and how many of the smallest it is. Those by which values are printed come first, the largest first.
    units: &'static [(&'static str, u128)],
    /// How many of them are for printing.
    printed: usize,
}

const CHANCE: Quantity = Quantity {
    what: "a chance",
    example: "3%",
    step: "parts of a billion",
    least: "0%",
    most: "100%",
    units: &[("%", 10_000_000)],
    printed: 1,
};

const DELAY: Quantity = Quantity {
    what: "a time",
    example: "40ms",
    step: "nanoseconds",
    least: "0ns",
    most: "18446744073709551615ns (584 years)",
    units: &[
        ("h", 3_600_000_000_000),
        ("min", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
        ("µs", 1_000),
    ],
    printed: 6,
};

const RATE: Quantity = Quantity {
    what: "a rate",
    example: "20Mbit",
    step: "bits in a second",
    least: "1bit (to carry nothing, cut the link)",
    most: "18446744Tbit",
    units: &[
        ("Tbit", 1_000_000_000_000),
        ("Gbit", 1_000_000_000),
        ("Mbit", 1_000_000),
        ("kbit", 1_000),
        ("bit", 1),
    ],
    printed: 5,
};

const SIZE: Quantity = Quantity {
    what: "a size",
    example: "256KiB",
    step: "bytes",
    least: "0B",
    most: "18446744073709551615B",
    units: SIZES,
    printed: 4,
};

const LIMIT: Quantity = Quantity {
    what: "a queue's limit",
    example: "256KiB or 25p",
    step: "bytes or packets",
    least: "0p",
    most: "4294967295p",
    units: &[
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
        ("B", 1),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("p", 1),
    ],
    printed: 4,
};

const SIZES: &[(&str, u128)] = LIMIT.units.split_at(7).0;

impl Quantity {
    /// The quantity that `text` says, in the smallest unit.
    fn read(&self, text: &str) -> Result<u128, UnitError> {
        self.split(text).map(|(number, _)| number)
    }

    /// The quantity, and the unit in which it was given.
    fn split(&self, text: &str) -> Result<(u128, &'static str), UnitError> {
        let trimmed = text.trim();
        let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
        let (number, unit) = (&trimmed[..end], trimmed[end..].trim_start());
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || part.contains('.') {
            let Self { what, example, .. } = *self;
            return Err(UnitError::NoNumber { text: text.to_owned(), what, example });
        }
        let &(unit, factor) = self.unit(text, unit)?;
        let part = part.trim_end_matches('0');
        let places = u32::try_from(part.len()).unwrap_or(u32::MAX);
        let steps = 10_u128.checked_pow(places).ok_or_else(|| self.fine(text))?;
        let digits = if whole.len() + part.len() > 38 { None } else { format!("{whole}{part}").parse().ok() };
        let scaled =
            digits.and_then(|digits: u128| digits.checked_mul(factor)).ok_or_else(|| self.range(text))?;
        if !scaled.is_multiple_of(steps) {
            return Err(self.fine(text));
        }
        Ok((scaled / steps, unit))
    }

    fn unit(&self, text: &str, unit: &str) -> Result<&'static (&'static str, u128), UnitError> {
        let what = self.what;
        let units = || self.units.iter().map(|unit| unit.0).collect::<Vec<_>>().join(", ");
        if unit.is_empty() {
            return Err(UnitError::NoUnit { text: text.to_owned(), what, units: units() });
        }
        // No two units of one quantity differ in their case alone, so that people need not mind it.
        self.units.iter().find(|known| known.0.eq_ignore_ascii_case(unit)).ok_or_else(|| {
            UnitError::UnknownUnit { text: text.to_owned(), unit: unit.to_owned(), what, units: units() }
        })
    }

    fn range(&self, text: &str) -> UnitError {
        let Self { what, least, most, .. } = *self;
        UnitError::OutOfRange { text: text.to_owned(), what, least, most }
    }

    fn fine(&self, text: &str) -> UnitError {
        UnitError::TooFine { text: text.to_owned(), what: self.what, step: self.step }
    }

    /// Writes `value` in the largest unit of which it is a whole multiple.
    fn write(&self, value: u128, formatter: &mut Formatter<'_>) -> fmt::Result {
        let (smallest, larger) = self.units[..self.printed].split_last().expect("there is a unit");
        let fits = |unit: &&(&str, u128)| value > 0 && value.is_multiple_of(unit.1);
        let (unit, factor) = larger.iter().find(fits).unwrap_or(smallest);
        write!(formatter, "{}{unit}", value / factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error<T: FromStr<Err = UnitError> + fmt::Debug>(text: &str) -> String {
        text.parse::<T>().unwrap_err().to_string()
    }

    #[test]
    fn people_write_numbers_in_many_ways() {
        for (text, parts) in [("3%", 30_000_000), ("0.1 %", 1_000_000), ("100%", BILLION), ("0.0000001%", 1)]
        {
            assert_eq!(text.parse(), Ok(Chance(parts)), "{text}");
        }
        for (text, nanos) in
            [("40ms", 40_000_000), ("1.5s", 1_500_000_000), (" 7 µs", 7_000), ("2min", 120_000_000_000)]
        {
            assert_eq!(text.parse(), Ok(Delay(nanos)), "{text}");
        }
        for (text, bits) in
            [("20Mbit", 20_000_000), ("9600bit", 9_600), ("1.6mbit", 1_600_000), ("1Gbit", 1_000_000_000)]
        {
            assert_eq!(text.parse(), Ok(Rate(bits)), "{text}");
        }
        for (text, bytes) in [("1500B", 1_500), ("256KiB", 262_144), ("1.5MiB", 1_572_864), ("64kB", 64_000)]
        {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        assert_eq!("25p".parse(), Ok(Limit::Packets(25)));
        assert_eq!("1MB".parse(), Ok(Limit::Bytes(Size(1_000_000))));
    }

    #[test]
    fn errors_say_what_to_write_instead() {
        assert_eq!(
            error::<Chance>("often"),
            r#""often" does not begin with a number: a chance is written like 3%"#
        );
        assert_eq!(error::<Chance>("0.03"), r#""0.03" has no unit: a chance is given in %"#);
        assert_eq!(error::<Chance>("101%"), r#""101%" is out of range: a chance lies between 0% and 100%"#);
        assert_eq!(error::<Delay>("40"), r#""40" has no unit: a time is given in h, min, s, ms, us, ns, µs"#);
        assert_eq!(error::<Delay>("0.5ns"), r#""0.5ns" is too fine: a time is kept in whole nanoseconds"#);
        assert_eq!(
            error::<Rate>("20Mbps"),
            r#""Mbps" in "20Mbps" is no unit of a rate: say Tbit, Gbit, Mbit, kbit, bit"#
        );
        assert!(error::<Rate>("0bit").contains("cut the link"));
        assert!(error::<Limit>("5000000000p").contains("out of range"));
    }

    #[test]
    fn hostile_texts_are_refused() {
        for text in
            ["", ".", "1..2s", "-1s", "1e9s", ".5s", "9999999999999999999999999999999999999999h", "٣s"]
        {
            assert!(text.parse::<Delay>().is_err(), "{text}");
        }
        let long = format!("0.{}1s", "0".repeat(100_000));
        assert!(long.parse::<Delay>().is_err());
    }

    #[test]
    fn a_rate_takes_its_time_exactly() {
        assert_eq!(Rate::mbit(1).time_for(1_000), Duration::from_millis(1));
        assert_eq!(Rate(3).time_for(1), Duration::from_nanos(333_333_334));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(number: u64, parts in 0..=BILLION) {
            let rate = Rate(number.max(1));
            prop_assert_eq!(Chance(parts).to_string().parse(), Ok(Chance(parts)));
            prop_assert_eq!(Delay(number).to_string().parse(), Ok(Delay(number)));
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
            prop_assert_eq!(Size(number).to_string().parse(), Ok(Size(number)));
            for limit in [Limit::Bytes(Size(number)), Limit::Packets(number as u32)] {
                prop_assert_eq!(limit.to_string().parse(), Ok(limit));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,20}") {
            let _ = (text.parse::<Chance>(), text.parse::<Delay>(), text.parse::<Rate>(), text.parse::<Limit>());
        }
    }
}
