//! How often which deviation from a mean occurs, as tables of quantiles.
//!
//! The tables are made here, at first use, by integer arithmetic alone: every machine has the same ones to the last bit,
//! which a floating-point library does not promise. Entry `i` of `N` is the value below which (2i + 1) / 2N of all draws
//! lie; the table is then shifted and scaled to mean zero and standard deviation one, so that its tails, cut at the
//! last entry, do not make it narrower than it says. A draw is one entry, each as likely as any other.

use std::sync::LazyLock;

use host::Random;

/// How often which length of a delay occurs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    /// Each between two bounds is equally likely.
    #[default]
    Uniform,
    /// The bell curve.
    Normal,
    /// Short ones mostly, and a long tail of longer and longer ones: the Pareto distribution with shape 3, the one that
    /// netem's table has.
    Pareto,
    /// A quarter of a normal draw and three quarters of a Pareto draw, as in netem, scaled to standard deviation one.
    ParetoNormal,
}

impl Distribution {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Uniform, Self::Normal, Self::Pareto, Self::ParetoNormal];

    /// Its name, which is netem's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Normal => "normal",
            Self::Pareto => "pareto",
            Self::ParetoNormal => "paretonormal",
        }
    }
}

/// One standard deviation, or half the width of the uniform distribution, in the steps in which [`draw`] counts.
pub(super) const ONE: i64 = 1 << 20;

/// A deviation from the mean.
pub(super) fn draw(distribution: Distribution, random: &mut Random) -> i64 {
    match distribution {
        Distribution::Uniform => random.below(2 * ONE as u64 + 1) as i64 - ONE,
        Distribution::Normal => entry(&NORMAL, random),
        Distribution::Pareto => entry(&PARETO, random),
        Distribution::ParetoNormal => {
            let mixed = entry(&NORMAL, random) + 3 * entry(&PARETO, random);
            // Independent variances add up: 1 + 9.
            mixed * ONE / (10 * ONE * ONE).isqrt()
        }
    }
}

fn entry(table: &[i64; N], random: &mut Random) -> i64 {
    table[random.below(N as u64) as usize]
}

/// Entries of a table.
const N: usize = 4_096;

static NORMAL: LazyLock<Box<[i64; N]>> = LazyLock::new(|| standardized(normal()));
static PARETO: LazyLock<Box<[i64; N]>> = LazyLock::new(|| standardized(pareto()));

/// Quantiles of the normal distribution: its density is added up in steps of a 4096th, and whenever the area comes to
/// another (2i + 1) / 2N, the place is an entry. Each step's density follows from the one before by two products, for
/// exp(-(x + h)² / 2) = exp(-x² / 2) · exp(-xh - h² / 2), whose second factor shrinks by exp(-h²) each time.
fn normal() -> Box<[i64; N]> {
    /// One, in fixed point.
    const UNIT: u128 = 1 << 62;
    const STEP: i64 = ONE / 4_096;
    /// h², in fixed point: h is 2^-12.
    const SQUARE: u128 = UNIT >> 24;
    /// sqrt(π / 2), the area of the right half, in fixed point (to 1e-18).
    const HALF: u128 = 1_253_314_137_315_500_251 * UNIT / 1_000_000_000_000_000_000;

    let product = |a: u128, b: u128| (a * b) >> 62;
    // The Taylor series of exp(-y); y is so small that its third power does not count.
    let exp = |y: u128| UNIT - y + product(y, y) / 2;
    let (shrink, mut factor, mut density) = (exp(SQUARE), exp(SQUARE / 2), UNIT);
    let mut table = Box::new([0; N]);
    let (mut x, mut area) = (0, 0);
    for index in 0..N / 2 {
        let wanted = HALF * (2 * index as u128 + 1) / N as u128;
        while area < wanted {
            let next = product(density, factor);
            // The trapezium under the two.
            area += (density + next) >> 13;
            (density, factor, x) = (next, product(factor, shrink), x + STEP);
        }
        table[N / 2 + index] = x;
        table[N / 2 - 1 - index] = -x;
    }
    table
}

/// Quantiles of the Pareto distribution with shape 3 and smallest value one: below the cube root of 1 / (1 - q) lies q.
fn pareto() -> Box<[i64; N]> {
    let mut table = Box::new([0; N]);
    for (index, entry) in table.iter_mut().enumerate() {
        let above = 2 * N - 2 * index - 1;
        *entry = cube_root(((ONE as u128).pow(3) * 2 * N as u128) / above as u128);
    }
    table
}

/// The largest number whose cube is at most `cube`.
fn cube_root(cube: u128) -> i64 {
    let (mut low, mut high) = (0_u128, 1 << 42);
    while high - low > 1 {
        let middle = (low + high) / 2;
        if middle.pow(3) <= cube { low = middle } else { high = middle }
    }
    low as i64
}

/// The table, with mean zero and standard deviation [`ONE`].
fn standardized(mut table: Box<[i64; N]>) -> Box<[i64; N]> {
    let mean = table.iter().sum::<i64>() / N as i64;
    table.iter_mut().for_each(|entry| *entry -= mean);
    let square = |entry: &i64| (i128::from(*entry)).pow(2) as u128;
    let deviation = (table.iter().map(square).sum::<u128>() / N as u128).isqrt() as i64;
    table.iter_mut().for_each(|entry| *entry = *entry * ONE / deviation);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(entry: i64, expected: f64) {
        let found = entry as f64 / ONE as f64;
        assert!((found - expected).abs() < 0.002, "{found} is not {expected}");
    }

    #[test]
    fn the_normal_table_has_the_quantiles_of_every_textbook() {
        // 84.13 %, 97.72 % and 99.865 % lie below one, two and three standard deviations.
        for (share, deviations) in [(0.841_345, 1.0), (0.977_25, 2.0), (0.998_650, 3.0), (0.5, 0.0)] {
            let raw = normal();
            close(raw[(share * N as f64) as usize], deviations);
        }
        assert!(NORMAL.iter().sum::<i64>().abs() < N as i64);
    }

    #[test]
    fn the_pareto_table_has_its_closed_form() {
        let raw = pareto();
        for index in [0, 1, 100, 2_048, 4_000, N - 1] {
            let below = (2 * index + 1) as f64 / (2 * N) as f64;
            close(raw[index], (1.0 - below).powf(-1.0 / 3.0));
        }
        // Its mean is 1.5 and its deviation sqrt(3) / 2, a little less for the tail that is cut off: the standard table
        // begins a little below (1 - 1.5) / 0.866.
        assert!((-0.63..-0.577).contains(&(PARETO[0] as f64 / ONE as f64)), "{}", PARETO[0]);
        assert!(PARETO[N - 1] > 15 * ONE, "a long tail");
    }

    #[test]
    fn draws_have_mean_zero_and_their_deviation() {
        let mut random = Random::from_seed([9; 32]);
        for (distribution, deviation) in
            Distribution::ALL.into_iter().zip([1.0 / 3_f64.sqrt(), 1.0, 1.0, 1.0])
        {
            let draws: Vec<f64> =
                (0..200_000).map(|_| draw(distribution, &mut random) as f64 / ONE as f64).collect();
            let mean = draws.iter().sum::<f64>() / draws.len() as f64;
            let found = (draws.iter().map(|draw| draw * draw).sum::<f64>() / draws.len() as f64).sqrt();
            assert!(mean.abs() < 0.01, "{distribution:?}: mean {mean}");
            assert!((found - deviation).abs() < 0.03, "{distribution:?}: deviation {found}");
        }
    }

    #[test]
    fn the_tables_are_the_same_for_ever() {
        let sum = |table: &[i64; N]| {
            table.iter().fold(0_u64, |sum, &entry| sum.wrapping_mul(31).wrapping_add(entry as u64))
        };
        assert_eq!((sum(&NORMAL), sum(&PARETO)), (89_543_429_650_028_084, 14_759_396_080_051_538_666));
    }
}
