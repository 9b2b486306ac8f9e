//! A parabola through dots: how the outcome bends along one axis while all others vary below.
//!
//! Least squares of 1, u and u squared over the cells, with the interval of the fitted mean by Student's t. Where the others
//! are drawn independently of the axis they are noise of equal spread, and the interval holds if the mean is a parabola.

use super::statistics::{CONFIDENCE, Interval, t_quantile};

/// Fewer cells say nothing about a bend.
const LEAST_CELLS: usize = 8;

/// A fitted parabola.
#[derive(Clone, Debug, PartialEq)]
pub struct Trend {
    low: f64,
    high: f64,
    coefficients: [f64; 3],
    /// Of the normal equations.
    inverse: [[f64; 3]; 3],
    variance: f64,
    degrees: f64,
}

impl Trend {
    /// The fit through `points`; absent below 8 of them, or where they have fewer than four places.
    pub fn fit(points: &[(f64, f64)]) -> Option<Self> {
        let mut places = points.iter().map(|&(x, _)| x).collect::<Vec<_>>();
        places.sort_by(f64::total_cmp);
        places.dedup();
        let (low, high) = (*places.first()?, *places.last()?);
        if points.len() < LEAST_CELLS || places.len() < 4 {
            return None;
        }
        let rows = points.iter().map(|&(x, y)| (row(low, high, x), y)).collect::<Vec<_>>();
        let sum = |term: &dyn Fn(&[f64; 3], f64) -> f64| rows.iter().map(|(row, y)| term(row, *y)).sum::<f64>();
        let normal: [[f64; 3]; 3] = std::array::from_fn(|i| std::array::from_fn(|j| sum(&|row, _| row[i] * row[j])));
        let right: [f64; 3] = std::array::from_fn(|i| sum(&|row, y| row[i] * y));
        let inverse = inverse(normal)?;
        let coefficients: [f64; 3] = std::array::from_fn(|i| dot(inverse[i], right));
        let degrees = points.len() as f64 - 3.0;
        let variance = sum(&|row, y| (y - dot(coefficients, *row)).powi(2)) / degrees;
        Some(Self { low, high, coefficients, inverse, variance, degrees })
    }

    /// The fitted mean at `x` and its 95 % interval.
    pub fn at(&self, x: f64) -> (f64, Interval) {
        let row = row(self.low, self.high, x);
        let mean = dot(self.coefficients, row);
        let leverage = dot(row, std::array::from_fn(|i| dot(self.inverse[i], row)));
        let half = t_quantile(0.5 + CONFIDENCE / 2.0, self.degrees) * (self.variance * leverage).sqrt();
        (mean, Interval { low: mean - half, high: mean + half })
    }
}

/// 1, u and u squared, where u runs from -1 to 1: so the equations are well conditioned.
fn row(low: f64, high: f64, x: f64) -> [f64; 3] {
    let u = 2.0 * (x - low) / (high - low) - 1.0;
    [1.0, u, u * u]
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// By cofactors; absent for a matrix without an inverse.
fn inverse(m: [[f64; 3]; 3]) -> Option<[[f64; 3]; 3]> {
    let cofactor = |i: usize, j: usize| {
        let [a, b] = [(i + 1) % 3, (i + 2) % 3];
        let [c, d] = [(j + 1) % 3, (j + 2) % 3];
        m[a][c] * m[b][d] - m[a][d] * m[b][c]
    };
    let determinant = (0..3).map(|j| m[0][j] * cofactor(0, j)).sum::<f64>();
    let is_singular = determinant.abs() < 1e-9 * m[0][0] * m[1][1].max(1e-12) * m[2][2].max(1e-12);
    (!is_singular).then(|| std::array::from_fn(|i| std::array::from_fn(|j| cofactor(j, i) / determinant)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::analysis::fixture::Noise;

    proptest! {
        #[test]
        fn a_parabola_is_found_again(a in -3.0..3.0f64, b in -3.0..3.0f64, c in -3.0..3.0f64, seed: u64) {
            let mut noise = Noise::new(seed);
            let f = |x: f64| a + b * x + c * x * x;
            let points = (0..9).map(|_| 5.0 * noise.unit()).map(|x| (x, f(x))).collect::<Vec<_>>();
            let fitted = Trend::fit(&points).unwrap();
            prop_assert!([0.5, 2.0, 4.5].iter().all(|&x| (fitted.at(x).0 - f(x)).abs() < 1e-6));
        }
    }

    /// 4,000 random sweeps of 20 cells: the interval at a place inside holds the true mean in 95 % of them.
    #[test]
    fn the_interval_holds_what_it_promises() {
        let mut noise = Noise::new(7);
        let f = |x: f64| 2.0 - x + 0.7 * x * x;
        let is_held = |noise: &mut Noise| {
            let points = (0..20).map(|_| noise.unit()).collect::<Vec<_>>();
            let points = points.into_iter().map(|x| (x, f(x) + 0.3 * noise.normal())).collect::<Vec<_>>();
            Trend::fit(&points).unwrap().at(0.4).1.contains(f(0.4))
        };
        let held = (0..4_000).filter(|_| is_held(&mut noise)).count();
        assert!((3_742..=3_858).contains(&held), "{held} of 4,000, four standard errors from 3,800");
    }

    #[test]
    fn few_cells_or_places_have_no_trend() {
        let few = (0..7).map(|i| (f64::from(i), 1.0)).collect::<Vec<_>>();
        let same = (0..12).map(|i| (f64::from(i % 3), 1.0)).collect::<Vec<_>>();
        assert_eq!((Trend::fit(&few), Trend::fit(&same)), (None, None));
    }
}
