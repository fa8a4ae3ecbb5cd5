//! Which frames are lost on the wire: each for itself, or in bursts.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use host::Random;

use crate::units::{Chance, UnitError};

/// Which frames are lost on the wire. Written `3%`, or `gemodel 1% 10%` in the order of netem: p, r, 1-h, 1-k.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Each frame with the same chance, whatever happened to the others.
    Independent(Chance),
    /// In bursts (Gilbert 1960, Elliott 1963): the wire is good or bad, and changes between frames. A frame meets the state
    /// that the frame before it left.
    ///
    /// In the long run p / (p + r) of the frames meet the bad state, for 1 / r frames in a row on average.
    GilbertElliott {
        /// How likely the good state turns bad, at each frame.
        p: Chance,
        /// How likely the bad state turns good, at each frame.
        r: Chance,
        /// How likely a frame passes in the bad state. In Gilbert's model never.
        h: Chance,
        /// How likely a frame passes in the good state. In Gilbert's model always.
        k: Chance,
    },
}

impl Default for Loss {
    fn default() -> Self {
        Self::Independent(Chance::NEVER)
    }
}

impl From<Chance> for Loss {
    fn from(chance: Chance) -> Self {
        Self::Independent(chance)
    }
}

impl FromStr for Loss {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let mut words = text.split_whitespace();
        if words.next() != Some("gemodel") {
            return text.parse().map(Self::Independent);
        }
        let mut chance = || words.next().map(str::parse::<Chance>).transpose();
        let form = || UnitError::form(text, "gemodel P [R [1-H [1-K]]], such as gemodel 1% 10%");
        let p = chance()?.ok_or_else(form)?;
        let r = chance()?.unwrap_or(p.opposite());
        let h = chance()?.unwrap_or(Chance::ALWAYS).opposite();
        let k = chance()?.unwrap_or(Chance::NEVER).opposite();
        if words.next().is_some() { Err(form()) } else { Ok(Self::GilbertElliott { p, r, h, k }) }
    }
}

impl Display for Loss {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Independent(chance) => chance.fmt(formatter),
            Self::GilbertElliott { p, r, h, k } => {
                write!(formatter, "gemodel {p} {r} {} {}", h.opposite(), k.opposite())
            }
        }
    }
}

/// What decides, frame by frame.
pub(super) struct Dice {
    random: Random,
    bad: bool,
}

impl Dice {
    pub(super) fn new(random: Random) -> Self {
        Self { random, bad: false }
    }

    /// Whether the next frame is lost.
    pub(super) fn lose(&mut self, loss: Loss) -> bool {
        let Self { random, bad } = self;
        match loss {
            Loss::Independent(chance) => chance.strikes(random),
            Loss::GilbertElliott { p, r, h, k } => {
                let (turns, passes) = if *bad { (r, h) } else { (p, k) };
                *bad ^= turns.strikes(random);
                !passes.strikes(random)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(loss: Loss, frames: usize) -> Vec<bool> {
        let mut dice = Dice::new(Random::from_seed([3; 32]));
        (0..frames).map(|_| dice.lose(loss)).collect()
    }

    fn lost(fates: &[bool]) -> usize {
        fates.iter().filter(|&&lost| lost).count()
    }

    #[test]
    fn independent_loss_is_as_frequent_as_it_says_and_has_no_memory() {
        let fates = fates(Chance::percent(2).into(), 500_000);
        // Within four standard deviations: sqrt(500,000 * 0.02 * 0.98) = 99.
        assert!(lost(&fates).abs_diff(10_000) < 400, "{}", lost(&fates));
        let pairs = fates.windows(2).filter(|pair| pair[0] && pair[1]).count();
        assert!(pairs.abs_diff(200) < 60, "{pairs} pairs");
    }

    #[test]
    fn gilbert_bursts_have_their_mean_length_and_share() {
        let (p, r) = (Chance::percent(1), Chance::percent(20));
        let fates = fates(Loss::GilbertElliott { p, r, h: Chance::NEVER, k: Chance::ALWAYS }, 1_000_000);
        // p / (p + r) = 1 / 21 of all, in bursts of 1 / r = 5.
        let share = lost(&fates) as f64 / 1e6;
        assert!((share - 1.0 / 21.0).abs() < 0.002, "{share}");
        let bursts = fates.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        let mean = lost(&fates) as f64 / bursts as f64;
        assert!((mean - 5.0).abs() < 0.15, "{mean}");
    }

    #[test]
    fn elliott_loses_in_both_states() {
        let [p, r, h, k] = [10, 30, 60, 95].map(Chance::percent);
        let share = lost(&fates(Loss::GilbertElliott { p, r, h, k }, 1_000_000)) as f64 / 1e6;
        // A quarter of the time bad: 0.25 * 0.4 + 0.75 * 0.05.
        assert!((share - 0.1375).abs() < 0.003, "{share}");
    }

    #[test]
    fn the_text_form_is_that_of_netem() {
        let [p, r] = [1, 10].map(Chance::percent);
        let gilbert = Loss::GilbertElliott { p, r, h: Chance::NEVER, k: Chance::ALWAYS };
        assert_eq!("gemodel 1% 10%".parse(), Ok(gilbert));
        assert_eq!(gilbert.to_string(), "gemodel 1% 10% 100% 0%");
        for text in ["3%", "gemodel 1% 10% 70% 0.1%"] {
            assert_eq!(text.parse::<Loss>().unwrap().to_string(), text);
        }
        for text in ["gemodel", "gemodel 1% 2% 3% 4% 5%", "3% 4%", "gemodel 1"] {
            assert!(text.parse::<Loss>().is_err(), "{text}");
        }
    }
}
