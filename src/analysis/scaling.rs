//! A scaling law: loss = floor + scale * compute^-exponent (Kaplan et al. 2020; Hoffmann et al. 2022), by least squares.
//!
//! For a given exponent the law is a straight line in compute^-exponent, so that one search over the exponent finds the best
//! law. Intervals are by profile likelihood: what belongs to any law whose squared error is within the quantile of F (1 and
//! n - 3 degrees of freedom) of the least one.

use super::statistics::{CONFIDENCE, Interval, t_quantile};

/// Fewer points than this leave nothing to judge the law by.
const LEAST_POINTS: usize = 5;
/// Fewer sizes make any curve a law.
pub const LEAST_SIZES: usize = 4;
/// The exponents that are looked at, evenly on a logarithmic scale.
const EXPONENTS: (f64, f64, usize) = (0.02, 3.0, 400);

/// A fitted law.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalingLaw {
    pub floor: f64,
    pub scale: f64,
    pub exponent: f64,
    /// The 95 % interval of the exponent; where it ends at an end of those that were looked at, it goes on.
    pub interval: Interval,
    /// A compute in the middle of the points, which the lines are fitted relative to.
    unit: f64,
    /// Every exponent with its best line.
    lines: Vec<Line>,
    /// The squared error that a law may have.
    threshold: f64,
}

/// The best line for one exponent.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Line {
    exponent: f64,
    /// The mean of the regressor, and its sum of squares around that.
    centre: f64,
    spread: f64,
    n: f64,
    mean: f64,
    slope: f64,
    error: f64,
}

impl Line {
    fn of(points: &[(f64, f64)], exponent: f64) -> Option<Self> {
        let n = points.len() as f64;
        let z = |x: f64| x.powf(-exponent);
        let centre = points.iter().map(|&(x, _)| z(x)).sum::<f64>() / n;
        let mean = points.iter().map(|&(_, y)| y).sum::<f64>() / n;
        let spread = points.iter().map(|&(x, _)| (z(x) - centre).powi(2)).sum::<f64>();
        let slope = points.iter().map(|&(x, y)| (z(x) - centre) * (y - mean)).sum::<f64>() / spread;
        let error = points.iter().map(|&(x, y)| (y - mean - slope * (z(x) - centre)).powi(2)).sum::<f64>();
        // A law falls; and a loss has a floor of nothing at least.
        let is_law = spread > 0.0 && slope > 0.0 && mean - slope * centre >= 0.0;
        is_law.then_some(Self { exponent, centre, spread, n, mean, slope, error })
    }

    fn at(&self, x: f64) -> f64 {
        self.mean + self.slope * (x.powf(-self.exponent) - self.centre)
    }

    /// The variance of the line at `x`, in units of that of a point.
    fn leverage(&self, x: f64) -> f64 {
        1.0 / self.n + (x.powf(-self.exponent) - self.centre).powi(2) / self.spread
    }
}

impl ScalingLaw {
    /// The law through `points` of compute and loss, each taken as independent; absent below five points or four places, and
    /// where no falling law fits.
    pub fn fit(points: &[(f64, f64)]) -> Option<Self> {
        let mut places = points.iter().map(|&(x, _)| x).collect::<Vec<_>>();
        places.sort_by(f64::total_cmp);
        places.dedup();
        if points.len() < LEAST_POINTS || places.len() < LEAST_SIZES || places[0] <= 0.0 {
            return None;
        }
        let unit = (places[0] * places[places.len() - 1]).sqrt();
        let relative = points.iter().map(|&(x, y)| (x / unit, y)).collect::<Vec<_>>();
        let (low, high, count) = EXPONENTS;
        let exponents = (0..count).map(|i| low * (high / low).powf(i as f64 / (count - 1) as f64));
        let lines = exponents.filter_map(|exponent| Line::of(&relative, exponent)).collect::<Vec<_>>();
        let best = *lines.iter().min_by(|a, b| a.error.total_cmp(&b.error))?;
        let degrees = points.len() as f64 - 3.0;
        let quantile = t_quantile(0.5 + CONFIDENCE / 2.0, degrees).powi(2);
        let threshold = best.error * (1.0 + quantile / degrees);
        let inside = lines.iter().filter(|line| line.error <= threshold).map(|line| line.exponent);
        let interval = Interval { low: inside.clone().fold(f64::MAX, f64::min), high: inside.fold(0.0, f64::max) };
        let floor = best.mean - best.slope * best.centre;
        let scale = best.slope * unit.powf(best.exponent);
        Some(Self { floor, scale, exponent: best.exponent, interval, unit, lines, threshold })
    }

    /// The loss that the law gives a run of `compute`, and its 95 % interval.
    pub fn at(&self, compute: f64) -> (f64, Interval) {
        let x = compute / self.unit;
        let mean = self.floor + self.scale * compute.powf(-self.exponent);
        let of = |line: &Line| {
            let room = (self.threshold - line.error).max(0.0);
            let half = (room * line.leverage(x)).sqrt();
            (line.at(x) - half, line.at(x) + half)
        };
        let inside = self.lines.iter().filter(|line| line.error <= self.threshold).map(of);
        let ends = inside.fold((mean, mean), |(low, high), (from, to)| (low.min(from), high.max(to)));
        (mean, Interval { low: ends.0, high: ends.1 })
    }

    /// The ends of the interval of the exponent; absent where smaller, or greater, ones would do as well.
    pub fn ends(&self) -> [Option<f64>; 2] {
        let edges = [self.lines.first(), self.lines.last()];
        let is_edge = |i: usize, end: f64| edges[i].is_some_and(|line| line.exponent == end);
        let Interval { low, high } = self.interval;
        [Some(low).filter(|&low| !is_edge(0, low)), Some(high).filter(|&high| !is_edge(1, high))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::Noise;

    const SIZES: [f64; 6] = [1e15, 4e15, 2e16, 6e16, 3e17, 1e18];

    fn law(x: f64) -> f64 {
        3.0 + 2.5 * (x / 1e15).powf(-0.3)
    }

    #[test]
    fn a_law_without_noise_is_found_again() {
        let points = SIZES.map(|x| (x, law(x)));
        let found = ScalingLaw::fit(&points).unwrap();
        assert!((found.exponent - 0.3).abs() < 0.003 && (found.floor - 3.0).abs() < 0.02, "{found:?}");
        assert!((found.at(1e19).0 - law(1e19)).abs() < 0.02);
        assert!(found.ends().iter().all(|end| end.is_some_and(|end| (end - 0.3).abs() < 0.01)), "{:?}", found.ends());
    }

    /// Simulated laws, three runs of each size: the intervals of the exponent and of the loss at twice the largest compute
    /// hold the truth in 95 % of them, as far as a few runs of a bent law allow.
    #[test]
    fn intervals_hold_what_they_promise() {
        let mut noise = Noise::new(11);
        let (mut exponents, mut losses) = (0, 0);
        let sweeps = 1_000;
        for _ in 0..sweeps {
            let points = SIZES.iter().flat_map(|&x| [x; 3]).map(|x| (x, law(x) + 0.03 * noise.normal()));
            let found = ScalingLaw::fit(&points.collect::<Vec<_>>()).unwrap();
            exponents += usize::from(found.interval.contains(0.3));
            losses += usize::from(found.at(2e18).1.contains(law(2e18)));
        }
        let fine = 925..=975;
        assert!(fine.contains(&exponents) && fine.contains(&losses), "{exponents} and {losses} of {sweeps}");
    }

    #[test]
    fn what_rises_or_is_too_little_has_no_law() {
        assert_eq!(ScalingLaw::fit(&SIZES.map(|x| (x, x.ln()))), None);
        assert_eq!(ScalingLaw::fit(&[1e15, 1e15, 2e15, 2e15, 3e15].map(|x| (x, law(x)))), None);
        assert_eq!(ScalingLaw::fit(&SIZES[..4].iter().map(|&x| (x, law(x))).collect::<Vec<_>>()), None);
    }
}
