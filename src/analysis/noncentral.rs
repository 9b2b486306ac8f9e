//! How sure a share of variance is: exact intervals from the noncentral F distribution, put together by MOVER.
//!
//! The F statistic of a fixed effect is noncentral F with noncentrality `N V / sigma^2`, so the noncentralities under
//! which the observed F is neither too large nor too small are an exact interval for its variance V in units of the noise
//! (Steiger 2004). A share divides one component by the sum of all; its limits come from those of the components by the
//! method of variance estimates recovery (Zou & Donner 2008), in the form of Fieller's theorem.

#[cfg(test)]
use statrs::distribution::FisherSnedecor;
use statrs::distribution::{ChiSquared, ContinuousCDF};
use statrs::function::beta::beta_reg;
use statrs::function::gamma::ln_gamma;

use super::statistics::{CONFIDENCE, Interval};

/// The probability that is left out on each side of an interval.
const TAIL: f64 = (1.0 - CONFIDENCE) / 2.0;
/// Above this noncentrality Patnaik's (1949) approximation is used, whose error is below 1e-3 there.
const LARGE: f64 = 2_000.0;

/// A variance component with its 95 % interval.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub value: f64,
    pub range: Interval,
}

impl Measured {
    /// A component that is known.
    pub fn exact(value: f64) -> Self {
        Self { value, range: Interval { low: value, high: value } }
    }
}

/// The probability that F with `degrees` is at least `f` by chance.
#[cfg(test)]
fn f_tail(f: f64, degrees: usize, noise_degrees: usize) -> f64 {
    central_f(degrees, noise_degrees).map_or(1.0, |central| central.sf(f))
}

/// The 95 % interval of a noise variance estimated as `mean_square`.
pub(super) fn noise_interval(mean_square: f64, degrees: usize) -> Interval {
    let Ok(chi_squared) = ChiSquared::new(degrees as f64) else {
        return Interval { low: mean_square, high: mean_square };
    };
    // The quantile by bisection: the library's own fails for one degree of freedom.
    let quantile = |p: f64| bisect(0.0, 20.0 * (degrees + 2) as f64, |x| chi_squared.cdf(x) < p);
    let limit = |p: f64| mean_square * degrees as f64 / quantile(p);
    Interval { low: limit(1.0 - TAIL), high: limit(TAIL) }
}

/// The 95 % interval of the noncentrality under which `f` was observed.
pub(super) fn noncentrality_interval(f: f64, degrees: usize, noise_degrees: usize) -> Interval {
    let at = |p: f64| {
        let cdf = |lambda: f64| noncentral_f_cdf(f, degrees as f64, noise_degrees as f64, lambda);
        if cdf(0.0) <= p {
            return 0.0;
        }
        // The distribution function falls as the noncentrality grows.
        let mut high = degrees as f64 * f + 1.0;
        while cdf(high) > p {
            high *= 2.0;
        }
        bisect(0.0, high, |lambda| cdf(lambda) > p)
    };
    Interval { low: at(1.0 - TAIL), high: at(TAIL) }
}

/// The distribution function of noncentral F: a mixture of central ones with Poisson weights.
fn noncentral_f_cdf(f: f64, degrees: f64, noise_degrees: f64, lambda: f64) -> f64 {
    if lambda > LARGE {
        let matched = (degrees + lambda).powi(2) / (degrees + 2.0 * lambda);
        let x = matched * f / (1.0 + lambda / degrees);
        return beta_reg(matched / 2.0, noise_degrees / 2.0, x / (x + noise_degrees));
    }
    let x = degrees * f / (degrees * f + noise_degrees);
    let rate = lambda / 2.0;
    let (first, last) = ((rate - 8.0 * rate.sqrt() - 2.0).max(0.0) as u64, (rate + 8.0 * rate.sqrt() + 20.0) as u64);
    let weight = |j: f64| {
        if rate == 0.0 { f64::from(u8::from(j == 0.0)) } else { (j * rate.ln() - rate - ln_gamma(j + 1.0)).exp() }
    };
    let terms = (first..=last).map(|j| j as f64).filter(|&j| weight(j) > 1e-14);
    terms.map(|j| weight(j) * beta_reg(degrees / 2.0 + j, noise_degrees / 2.0, x)).sum()
}

/// The 95 % interval of the share `part / (part + others)`, all components independent.
pub(super) fn share_interval(part: Measured, others: &[Measured]) -> Interval {
    let rest = others.iter().map(|other| other.value).sum::<f64>();
    let spread = |distance: &dyn Fn(&Measured) -> f64| others.iter().map(|o| distance(o).powi(2)).sum::<f64>().sqrt();
    let rest_below = spread(&|other| other.value - other.range.low);
    let rest_above = spread(&|other| other.range.high - other.value);
    let (below, above) = (part.value - part.range.low, part.range.high - part.value);
    // A share s is possible as long as 0 lies within the limits of (1 - s) part - s rest.
    let centre = |s: f64| (1.0 - s) * part.value - s * rest;
    let low = bisect(0.0, 1.0, |s| centre(s) > ((1.0 - s) * below).hypot(s * rest_above));
    let high = bisect(0.0, 1.0, |s| centre(s) > -((1.0 - s) * above).hypot(s * rest_below.min(rest)));
    Interval { low, high }
}

/// Where `holds`, true at `low` or nowhere, stops holding.
fn bisect(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..60 {
        let middle = low.midpoint(high);
        if holds(middle) {
            low = middle
        } else {
            high = middle
        }
        if high - low <= 1e-9 * high {
            break;
        }
    }
    low
}

#[cfg(test)]
fn central_f(degrees: usize, noise_degrees: usize) -> Option<FisherSnedecor> {
    FisherSnedecor::new(degrees as f64, noise_degrees as f64).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::Noise;
    use statrs::distribution::Normal;

    fn close(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
    }

    /// The usual table: the upper 5 % points of F.
    #[test]
    fn tails_are_those_of_the_tables() {
        for (degrees, noise, point) in [(1, 10, 4.9646), (3, 20, 3.0984), (5, 60, 2.3683)] {
            close(f_tail(point, degrees, noise), 0.05, 1e-5);
            close(1.0 - noncentral_f_cdf(point, degrees as f64, noise as f64, 0.0), 0.05, 1e-5);
        }
    }

    /// With one degree and no doubt about the noise, F is the square of a shifted normal: P(|Z + d| <= x).
    #[test]
    fn one_degree_is_a_squared_normal() {
        let normal = Normal::new(0.0, 1.0).unwrap();
        for (f, lambda) in [(3.0_f64, 1.5_f64), (0.4, 6.0), (60.0, 50.0), (2_100.0, 2_050.0), (2_600.0, 2_500.0)] {
            let (x, d) = (f.sqrt(), lambda.sqrt());
            close(noncentral_f_cdf(f, 1.0, 1e7, lambda), normal.cdf(x - d) - normal.cdf(-x - d), 1.5e-3);
        }
    }

    /// Against drawing it: ratios of a shifted and a plain chi square.
    #[test]
    fn the_distribution_is_that_of_simulated_ratios() {
        let (mut noise, trials) = (Noise::new(3), 20_000);
        let (shift, degrees, noise_degrees) = (2.5, 3, 12);
        let below = (0..trials).filter(|_| {
            let top = (0..degrees).map(|i| (noise.normal() + if i == 0 { shift } else { 0.0 }).powi(2)).sum::<f64>();
            let bottom = (0..noise_degrees).map(|_| noise.normal().powi(2)).sum::<f64>();
            (top / f64::from(degrees)) / (bottom / f64::from(noise_degrees)) <= 3.0
        });
        let share = below.count() as f64 / f64::from(trials);
        close(noncentral_f_cdf(3.0, 3.0, 12.0, shift * shift), share, 4.0 * (0.25 / f64::from(trials)).sqrt());
    }

    /// The usual table of chi squared, from one degree of freedom up.
    #[test]
    fn noise_intervals_are_those_of_the_tables() {
        for (degrees, low, high) in [(1, 9.8207e-4, 5.0239), (4, 0.48442, 11.1433), (60, 40.4817, 83.2977)] {
            let interval = noise_interval(1.0, degrees);
            close(degrees as f64 / interval.low, high, 1e-3);
            close(degrees as f64 / interval.high, low, 1e-3);
        }
    }

    #[test]
    fn a_known_part_of_a_known_whole_has_no_width() {
        let interval = share_interval(Measured::exact(3.0), &[Measured::exact(0.5), Measured::exact(0.5)]);
        close(interval.low, 0.75, 1e-6);
        close(interval.high, 0.75, 1e-6);
    }
}
