//! Which frames come out of order.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::time::Duration;

use host::Random;

use crate::units::{Chance, Delay, UnitError};

/// Which frames come out of order, and how. The default is none. Written `1%`, then `held 20ms` or `ahead`, and `gap 5`
/// where wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reordering {
    /// How likely a frame is out of order.
    pub chance: Chance,
    /// At least so many frames after one out of order before the next can be; with [`Chance::ALWAYS`] every `gap`-th frame
    /// is. Zero and one put no frames between.
    pub gap: u32,
    /// What happens to it.
    pub how: Displaced,
}

/// What happens to a frame that comes out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Displaced {
    /// It travels for so long on top of its delay, and others pass it.
    Held(Duration),
    /// It travels without any delay and passes others, as with netem.
    Ahead,
}

impl Default for Displaced {
    fn default() -> Self {
        Self::Held(Duration::from_millis(10))
    }
}

impl Reordering {
    /// Frames are held back by so much, each with this chance.
    pub fn held(chance: Chance, by: Duration) -> Self {
        Self { chance, gap: 0, how: Displaced::Held(by) }
    }
}

impl FromStr for Reordering {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let form = || UnitError::form(text, "CHANCE [held TIME|ahead] [gap NUMBER]");
        let mut words = text.split_whitespace();
        let chance = words.next().ok_or_else(form)?.parse()?;
        let mut reordering = Self { chance, ..Self::default() };
        while let Some(word) = words.next() {
            match word {
                "ahead" => reordering.how = Displaced::Ahead,
                "held" => {
                    let by = words.next().ok_or_else(form)?.parse::<Delay>()?;
                    reordering.how = Displaced::Held(by.into());
                }
                "gap" => {
                    reordering.gap = words.next().and_then(|gap| gap.parse().ok()).ok_or_else(form)?;
                }
                _ => return Err(form()),
            }
        }
        Ok(reordering)
    }
}

impl Display for Reordering {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self { chance, gap, how } = *self;
        match how {
            Displaced::Held(by) => write!(formatter, "{chance} held {}", Delay::from(by))?,
            Displaced::Ahead => write!(formatter, "{chance} ahead")?,
        }
        if gap > 0 { write!(formatter, " gap {gap}") } else { Ok(()) }
    }
}

/// What decides, frame by frame.
pub(super) struct Shuffle {
    random: Random,
    /// Frames in order since the last that was not.
    since: u32,
}

impl Shuffle {
    pub(super) fn new(random: Random) -> Self {
        Self { random, since: 0 }
    }

    /// What happens to the next frame, when it is out of order.
    pub(super) fn displace(&mut self, reordering: &Reordering) -> Option<Displaced> {
        let due = self.since >= reordering.gap.saturating_sub(1);
        if due && reordering.chance.strikes(&mut self.random) {
            self.since = 0;
            return Some(reordering.how);
        }
        self.since = self.since.saturating_add(1);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_read_back() {
        for text in ["1% held 20ms", "25% ahead gap 5"] {
            assert_eq!(text.parse::<Reordering>().unwrap().to_string(), text);
        }
        assert_eq!("1%".parse(), Ok(Reordering { chance: Chance::percent(1), ..Reordering::default() }));
        for text in ["", "held 5ms", "1% held", "1% gap many", "1% behind"] {
            assert!(text.parse::<Reordering>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_gap_keeps_frames_in_order_between() {
        let mut shuffle = Shuffle::new(Random::from_seed([1; 32]));
        let every_fifth = Reordering { chance: Chance::ALWAYS, gap: 5, how: Displaced::Ahead };
        let displaced: Vec<usize> = (1..=20).filter(|_| shuffle.displace(&every_fifth).is_some()).collect();
        assert_eq!(displaced, [5, 10, 15, 20]);
        let often = Reordering { chance: Chance::percent(50), ..every_fifth };
        let fates: Vec<bool> = (0..1_000).map(|_| shuffle.displace(&often).is_some()).collect();
        assert!(fates.windows(5).all(|window| window.iter().filter(|&&displaced| displaced).count() <= 1));
    }
}
