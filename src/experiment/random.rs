//! `[sweep.random]`: rows drawn from ranges, for spaces too large for a grid.
//!
//! A draw is a pure function of the seed, the key and the number of the row. Sobol points take the keys as dimensions in
//! the order of the key table, each scrambled by itself in Owen's way, which leaves them as even as they are: of 2^k rows,
//! each of 2^k equal parts of a range has one. Values are decimals of six significant digits, so that a run's hash is of what
//! a person can type.

use super::decimal::Decimal;
use super::keys::Key;
use super::range::{SIGNIFICANT, log_between};
use super::sobol::{DIMENSIONS, Dimension};
use super::sweep::compare_values;
use super::value::Value;
use super::{Column, Place, Setting};
use crate::types::ContentHash;

/// Rows that are drawn, in the way of a zip.
#[derive(Clone, Debug, Default)]
pub struct Random {
    /// The rows, by column.
    pub columns: Vec<Column>,
    /// The same columns with their distinct values in order, as axes of tables and figures.
    pub axes: Vec<Column>,
}

/// A key and what its values are drawn from.
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    pub(super) key: &'static Key,
    /// Where the key stands.
    pub(super) at: Place,
    /// Where the distribution stands.
    pub(super) place: Place,
    pub(super) distribution: Distribution,
}

/// What values are drawn from.
#[derive(Clone, Debug)]
pub(super) enum Distribution {
    /// Any number between the two.
    Uniform(Decimal, Decimal),
    /// Any number between the two, at equal chances for equal ratios.
    LogUniform(Decimal, Decimal),
    /// A whole number from the one to the other, both included.
    Integer(Decimal, Decimal),
    /// One of these.
    Choice(Vec<Value>),
}

/// How shares of the way through a range are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sampler {
    Sobol,
    Uniform,
}

impl Sampler {
    /// The most keys that it can draw.
    pub(super) fn dimensions(self) -> usize {
        match self {
            Self::Sobol => DIMENSIONS,
            Self::Uniform => usize::MAX,
        }
    }
}

/// Draws `n` rows of `keys`, which are in the order of the key table.
pub(super) fn draw(keys: &[Drawn], n: usize, seed: u64, sampler: Sampler) -> Random {
    let column = |(dimension, drawn): (usize, &Drawn)| {
        let share = shares(drawn.key, dimension, seed, sampler);
        let value = |row: usize| Setting {
            value: drawn.distribution.at(share(row), drawn.key),
            place: Some(drawn.place.clone()),
            preset: None,
        };
        Column { key: drawn.key, place: drawn.at.clone(), values: (0..n).map(value).collect() }
    };
    let columns: Vec<Column> = keys.iter().enumerate().map(column).collect();
    let axes = columns.iter().zip(keys).map(|(column, drawn)| drawn.distribution.axis(column)).collect();
    Random { columns, axes }
}

/// For a row, a number strictly between 0 and 1.
fn shares(key: &'static Key, dimension: usize, seed: u64, sampler: Sampler) -> Box<dyn Fn(usize) -> f64> {
    let hash = move |purpose: &str| ContentHash::of(format!("{purpose}\n{seed}\n{}", key.name).as_bytes()).first_u64();
    match (sampler, Dimension::new(dimension)) {
        (Sampler::Sobol, Some(points)) => {
            let seed = (hash("sweep.random scramble") >> 32) as u32;
            Box::new(move |row| (f64::from(scrambled(points.at(row as u32), seed)) + 0.5) / 2f64.powi(32))
        }
        _ => Box::new(move |row| ((hash(&format!("sweep.random row {row}")) >> 12) as f64 + 0.5) / 2f64.powi(52)),
    }
}

/// Nested uniform scrambling (Owen 1995): whether a bit is flipped depends on the bits above it and on nothing else, so
/// that points in different halves, quarters, eighths stay in different ones. The hash is Laine and Karras's (2011,
/// "Stratified sampling for stochastic transparency") as Burley 2020 uses it, "Practical hash-based Owen scrambling", J.
/// Comput. Graph. Tech. 9(4).
fn scrambled(point: u32, seed: u32) -> u32 {
    // Upside down, a product with an even number carries from higher bits to lower ones alone.
    let mut bits = point.reverse_bits().wrapping_add(seed);
    for factor in [0x6c50_b47c, 0xb82f_1e52, 0xc7af_e638, 0x8d22_f6e6] {
        bits ^= bits.wrapping_mul(factor);
    }
    bits.reverse_bits()
}

impl Distribution {
    /// The value at a share of the way through.
    fn at(&self, share: f64, key: &Key) -> Value {
        // Rounding may lead past an end that has more digits itself.
        let between = |value: Decimal, low: &Decimal, high: &Decimal| value.clamp(*low, *high);
        let number = match self {
            Self::Uniform(low, high) => {
                let (from, to) = (low.to_f64(), high.to_f64());
                between(Decimal::rounded(from + share * (to - from), SIGNIFICANT).unwrap_or(*low), low, high)
            }
            Self::LogUniform(low, high) => between(log_between((*low, *high), share, key.kind), low, high),
            Self::Integer(low, high) => {
                let n = high.subtract(*low).to_f64() + 1.0;
                between(low.add(Decimal::from((share * n) as i64)), low, high)
            }
            Self::Choice(values) => {
                return values[((share * values.len() as f64) as usize).min(values.len() - 1)].clone();
            }
        };
        key.kind.number(number).expect("invariant: both ends are values of the key, and so is what lies between")
    }

    /// The distinct values of a column: numbers by size, choices in the order of their list.
    fn axis(&self, column: &Column) -> Column {
        let mut values = column.values.clone();
        match self {
            Self::Choice(choices) => {
                values.sort_by_key(|setting| choices.iter().position(|choice| *choice == setting.value));
            }
            _ => values.sort_by(|a, b| compare_values(&a.value, &b.value)),
        }
        values.dedup_by(|a, b| a.value == b.value);
        Column { key: column.key, place: column.place.clone(), values }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::experiment::keys;

    fn drawn(name: &str, distribution: Distribution) -> Drawn {
        let place = Place::from(0..0);
        Drawn { key: keys::find(name).expect("a key"), at: place.clone(), place, distribution }
    }

    fn decimal(text: &str) -> Decimal {
        text.parse().expect("a decimal")
    }

    fn floats(random: &Random, column: usize) -> Vec<f64> {
        let number = |setting: &Setting| match setting.value {
            Value::Float(value) => value,
            Value::Integer(value) => value as f64,
            _ => panic!("no number"),
        };
        random.columns[column].values.iter().map(number).collect()
    }

    fn four_keys() -> Vec<Drawn> {
        let choices = ["off", "random", "swap"].map(|word| Value::Text(word.to_owned()));
        vec![
            drawn("model.num_hidden_layers", Distribution::Integer(decimal("1"), decimal("4"))),
            drawn("objective.mask_ratio", Distribution::Uniform(decimal("0.1"), decimal("0.9"))),
            drawn("objective.nsp", Distribution::Choice(choices.to_vec())),
            drawn("optimizer.lr", Distribution::LogUniform(decimal("1e-4"), decimal("1e-2"))),
        ]
    }

    #[test]
    fn rows_are_these() {
        let random = draw(&four_keys(), 6, 0, Sampler::Sobol);
        let row = |i: usize| -> Vec<String> {
            random.columns.iter().map(|column| column.values[i].value.to_string()).collect()
        };
        let rows: Vec<String> = (0..6).map(|i| row(i).join(" ")).collect();
        insta::assert_snapshot!(rows.join("\n"), @r"
        2 0.272374 random 1.03024e-4
        4 0.559992 random 0.00205002
        3 0.446726 swap 4.41444e-4
        1 0.791943 off 0.00676854
        1 0.360844 random 0.00361655
        3 0.83672 swap 8.07696e-4
        ");
        let axes: Vec<usize> = random.axes.iter().map(|axis| axis.values.len()).collect();
        assert_eq!(axes, [4, 6, 3, 6]);
    }

    /// 2^k rows by Sobol points: each of 2^k parts of a range has one, even when scrambled.
    #[test]
    fn ranges_are_filled_evenly() {
        for seed in 0..20 {
            let random = draw(&four_keys(), 64, seed, Sampler::Sobol);
            let mut parts: Vec<usize> =
                floats(&random, 1).iter().map(|ratio| ((ratio - 0.1) / 0.8 * 64.0) as usize).collect();
            parts.sort_unstable();
            assert!(parts.into_iter().eq(0..64), "uniform, seed {seed}");
            let mut parts: Vec<usize> =
                floats(&random, 3).iter().map(|lr| ((lr / 1e-4).log10() * 32.0) as usize).collect();
            parts.sort_unstable();
            assert!(parts.into_iter().eq(0..64), "log-uniform, seed {seed}");
            for layers in 1..=4 {
                let n = floats(&random, 0).iter().filter(|value| **value == f64::from(layers)).count();
                assert_eq!(n, 16, "integer, seed {seed}");
            }
        }
    }

    /// Means of independent draws lie within four standard errors of those of their distributions, for both samplers.
    #[test]
    fn the_distributions_have_their_means() {
        for sampler in [Sampler::Sobol, Sampler::Uniform] {
            let n = 4096;
            let random = draw(&four_keys(), n, 7, sampler);
            let mean = |values: Vec<f64>| values.iter().sum::<f64>() / n as f64;
            let check = |found: f64, expected: f64, deviation: f64| {
                assert!((found - expected).abs() < 4.0 * deviation / (n as f64).sqrt(), "{sampler:?}: {found}");
            };
            check(mean(floats(&random, 0)), 2.5, (15f64 / 12.0).sqrt());
            check(mean(floats(&random, 1)), 0.5, 0.8 / 12f64.sqrt());
            check(mean(floats(&random, 3).iter().map(|lr| lr.log10()).collect()), -3.0, 2.0 / 12f64.sqrt());
            let of_nsp = &random.columns[2].values;
            let share = of_nsp.iter().filter(|setting| setting.value.to_string() == "swap").count() as f64 / n as f64;
            check(share, 1.0 / 3.0, (2f64 / 9.0).sqrt());
        }
    }

    #[test]
    fn keys_and_seeds_draw_by_themselves() {
        let same = |a: &Random, b: &Random| format!("{a:?}") == format!("{b:?}");
        for sampler in [Sampler::Sobol, Sampler::Uniform] {
            let rows = |n: usize, seed: u64| draw(&four_keys(), n, seed, sampler);
            assert!(same(&rows(8, 3), &rows(8, 3)));
            assert!(!same(&rows(8, 3), &rows(8, 4)));
            let (few, many) = (rows(8, 3), rows(16, 3));
            assert!(
                (0..4).all(|i| many.columns[i].values[..8] == few.columns[i].values),
                "more rows keep the first ones"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Values lie within both ends and have at most six digits, unless an end has more.
        #[test]
        fn values_are_short_decimals_within_the_ends(
            low in 1i64..1_000_000_000, width in 1i64..1_000_000_000, share in 0.0f64..1.0, scale in -12i32..0,
        ) {
            let key = keys::find("optimizer.lr").expect("a key");
            let decimal = |digits: i64| format!("{digits}e{scale}").parse::<Decimal>().expect("a decimal");
            let (low, high) = (decimal(low), decimal(low + width));
            for distribution in [Distribution::Uniform(low, high), Distribution::LogUniform(low, high)] {
                let Value::Float(value) = distribution.at(share, key) else { panic!("a number") };
                let value = Decimal::from_f64(value).expect("a decimal");
                prop_assert!(value >= low && value <= high);
                prop_assert!(value == low || value == high || Decimal::rounded(value.to_f64(), 6) == Some(value));
            }
        }

        /// Every whole number of a range has its equal part of the way.
        #[test]
        fn whole_numbers_have_equal_parts(low in 1i64..100, n in 1i64..50, share in 0.0f64..1.0) {
            let key = keys::find("train.batch_size").expect("a key");
            let distribution = Distribution::Integer(Decimal::from(low), Decimal::from(low + n - 1));
            prop_assert_eq!(distribution.at(share, key), Value::Integer(low + (share * n as f64).floor() as i64));
        }
    }
}
