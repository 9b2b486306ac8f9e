//! Where the values of an axis stand below a chart: numbers at their place on a scale, names side by side.

use super::curves::extent;
use crate::analysis::{Axis, AxisKind};
use crate::plot::figure::{PlotAxis, Scale, Tick};
use crate::plot::ticks::{linear_axis, log_axis, named_axis, short};

/// Values over more than this ratio are told apart on a logarithmic axis only.
const WIDE: f64 = 8.0;
/// The room beside the outermost values, as a share of the axis.
const PAD: f64 = 0.09;
/// How far apart lines stand that share a name, in units of the distance between names.
const APART: f64 = 0.07;
const WIDEST_GROUP: f64 = 0.3;

/// The places of an axis's values.
#[derive(Clone, Debug)]
pub(super) struct Positions {
    pub x: PlotAxis,
    /// For each value of the axis; absent for what is no number on an axis of numbers.
    at: Vec<Option<f64>>,
    is_scale: bool,
}

impl Positions {
    pub fn of(axis: &Axis) -> Self {
        let numbers = axis.values.iter().map(|value| number(value)).collect::<Vec<_>>();
        match extent(numbers.iter().flatten().copied()) {
            Some((low, high)) if axis.kind == AxisKind::Numeric && low < high => {
                Self { x: scale(axis, &numbers, low, high), at: numbers, is_scale: true }
            }
            _ => {
                let count = axis.values.len();
                let names = axis.values.iter().map(|value| short(value)).collect::<Vec<_>>();
                let x = named_axis(axis.name.clone(), &names);
                Self { x, at: (0..count).map(|i| Some(i as f64)).collect(), is_scale: false }
            }
        }
    }

    /// The place of the value at `index` for line `group` of `groups`: a number always stands at itself.
    pub fn at(&self, index: usize, group: usize, groups: usize) -> Option<f64> {
        let place = (*self.at.get(index)?)?;
        if self.is_scale {
            return Some(place);
        }
        let apart = APART.min(WIDEST_GROUP / groups.max(1) as f64);
        Some(place + apart * (group as f64 - (groups.max(1) - 1) as f64 / 2.0))
    }

    /// The place of the value at `index`, from 0 at the low end of the values to 1 at the high one.
    pub fn share(&self, index: usize) -> Option<f64> {
        let value = (*self.at.get(index)?)?;
        let (low, high) = extent(self.at.iter().flatten().copied())?;
        Some(match self.x.scale {
            _ if low == high => 0.5,
            Scale::Linear => (value - low) / (high - low),
            Scale::Log10 => (value / low).ln() / (high / low).ln(),
        })
    }

    /// The ticks as shares of the way between the outermost values, those beyond left out.
    pub fn ticks_by_share(&self) -> Vec<(f64, String)> {
        let Some((low, high)) = extent(self.at.iter().flatten().copied()) else { return Vec::new() };
        let share = |at: f64| match self.x.scale {
            _ if low == high => 0.5,
            Scale::Linear => (at - low) / (high - low),
            Scale::Log10 => (at / low).ln() / (high / low).ln(),
        };
        let ticks = self.x.ticks.iter().map(|tick| (share(tick.at), tick.text.clone()));
        ticks.filter(|(share, _)| (-1e-9..=1.0 + 1e-9).contains(share)).collect()
    }
}

fn number(value: &str) -> Option<f64> {
    value.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// A scale over the numbers: with a tick at each of a few, with round ticks for many.
fn scale(axis: &Axis, numbers: &[Option<f64>], low: f64, high: f64) -> PlotAxis {
    let mut x = scale_axis(axis, low, high);
    if !axis.is_continuous() {
        let ticks = numbers.iter().zip(&axis.values);
        let ticks = ticks.filter_map(|(at, text)| Some(Tick { at: (*at)?, text: short(text) }));
        let mut ticks = ticks.collect::<Vec<_>>();
        ticks.sort_by(|a, b| a.at.total_cmp(&b.at));
        x.ticks = ticks;
    }
    x
}

/// A scale with round ticks from below `low` to above `high`, logarithmic where those are far apart.
pub(super) fn scale_axis(axis: &Axis, low: f64, high: f64) -> PlotAxis {
    if low > 0.0 && high > WIDE * low {
        let mut x = log_axis(format!("{} (log scale)", axis.name), low, high);
        let pad = (high / low).powf(PAD).max(1.15);
        (x.low, x.high) = (low / pad, high * pad);
        x.ticks.retain(|tick| (x.low..=x.high).contains(&tick.at));
        return x;
    }
    let pad = PAD * (high - low);
    linear_axis(axis.name.clone(), low - pad, high + pad, 5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;

    #[test]
    fn numbers_stand_at_themselves_and_names_side_by_side() {
        let ratio = Positions::of(&fixture::axis("ratio", &["0.1", "0.15", "0.5"], AxisKind::Numeric));
        assert_eq!([0, 1, 2].map(|i| ratio.at(i, 1, 3).unwrap()), [0.1, 0.15, 0.5]);
        assert!((ratio.share(1).unwrap() - 0.125).abs() < 1e-12);
        let nsp = Positions::of(&fixture::axis("nsp", &["off", "random"], AxisKind::Category));
        let places = [0, 1].map(|group| nsp.at(1, group, 2).unwrap());
        assert!(places[0] < 1.0 && places[1] > 1.0 && places[1] - places[0] < 0.1, "{places:?}");
        let many = [0, 9].map(|group| nsp.at(1, group, 10).unwrap());
        assert!(many[1] - many[0] < WIDEST_GROUP);
    }

    #[test]
    fn a_wide_scale_is_logarithmic() {
        let lr = Positions::of(&fixture::axis("lr", &["1e-4", "1e-3", "1e-2"], AxisKind::Numeric));
        assert_eq!((lr.x.scale, lr.share(1).unwrap()), (Scale::Log10, 0.5));
        assert_eq!(lr.x.ticks.iter().map(|tick| tick.text.as_str()).collect::<Vec<_>>(), ["1e-4", "1e-3", "1e-2"]);
    }

    #[test]
    fn a_scale_with_a_gap_keeps_the_rest() {
        let axis = fixture::axis("warmup", &["0.1", "-", "0.3"], AxisKind::Numeric);
        assert_eq!(Positions::of(&axis).at(1, 0, 1), None);
    }
}
