//! Which colour an axis value has: a function of the value alone, so that it is the same in every figure and table.

use std::collections::BTreeMap;

use super::figure::Ink;
use crate::analysis::{Axis, AxisKind};

/// The ramps in the order in which axes take them: green to purple, blues, oranges.
const RAMPS: [u8; 3] = [0, 2, 1];
/// The order of the categories beside no ramp, one, two and three: hues that a ramp has come last.
const CATEGORIES: [[u8; 7]; 4] =
    [[0, 1, 2, 3, 4, 5, 6], [1, 0, 4, 3, 6, 5, 2], [1, 4, 3, 6, 2, 0, 5], [3, 6, 0, 2, 5, 4, 1]];

/// The roles of all values of all axes.
#[derive(Clone, Debug)]
pub struct Palette {
    inks: BTreeMap<(String, String), Ink>,
}

impl Palette {
    /// Ordered axes get a ramp each; the values of unordered axes share one list of categories, so that no two of them
    /// look alike until the list is used up.
    pub fn of(axes: &[Axis]) -> Self {
        let mut inks = BTreeMap::new();
        let (mut ramp, mut category) = (0, 0);
        let is_ramp = |axis: &&Axis| axis.kind != AxisKind::Category && axis.values.len() > 1;
        let apart = CATEGORIES[axes.iter().filter(is_ramp).count().min(CATEGORIES.len() - 1)];
        for axis in axes {
            let places = by_size(axis);
            for (value, index) in axis.values.iter().zip(places) {
                let ink = match axis.kind {
                    AxisKind::Numeric | AxisKind::Ordered => {
                        ramp_ink(RAMPS[ramp % RAMPS.len()], index, axis.values.len())
                    }
                    AxisKind::Category => Ink::Category(apart[(category + index) % apart.len()]),
                };
                inks.insert((axis.name.clone(), value.clone()), ink);
            }
            match axis.kind {
                AxisKind::Numeric | AxisKind::Ordered => ramp += usize::from(axis.values.len() > 1),
                AxisKind::Category => category += axis.values.len(),
            }
        }
        Self { inks }
    }

    /// The role of `value` on the axis `axis`; text colour for what was never declared.
    pub fn ink(&self, axis: &str, value: &str) -> Ink {
        self.inks.get(&(axis.to_owned(), value.to_owned())).copied().unwrap_or(Ink::Text)
    }
}

/// The place of each value in order: that of the numbers, however a random sweep drew them, or that of the file.
fn by_size(axis: &Axis) -> Vec<usize> {
    let number = |i: usize| axis.values[i].parse::<f64>().unwrap_or(f64::INFINITY);
    let mut order = (0..axis.values.len()).collect::<Vec<_>>();
    if axis.kind == AxisKind::Numeric {
        order.sort_by(|&a, &b| number(a).total_cmp(&number(b)));
    }
    let mut places = vec![0; order.len()];
    order.into_iter().enumerate().for_each(|(place, i)| places[i] = place);
    places
}

/// A place on a ramp; more values than places share them.
fn ramp_ink(ramp: u8, index: usize, of: usize) -> Ink {
    const PLACES: usize = 64;
    if of <= PLACES {
        return Ink::Ramp { ramp, index: index as u8, of: of as u8 };
    }
    Ink::Ramp { ramp, index: (index * (PLACES - 1) / (of - 1)) as u8, of: PLACES as u8 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::axis;
    use crate::plot::figure::Colour;
    use crate::plot::theme::Theme;

    /// The least distance between a value of one axis and a value of another, in sRGB.
    fn least_distance(axes: &[Axis]) -> f64 {
        let palette = Palette::of(axes);
        let rgb = |axis: &Axis, value: &String| Theme::LIGHT.rgb(Colour::full(palette.ink(&axis.name, value)));
        let mut least = f64::INFINITY;
        for (i, a) in axes.iter().enumerate() {
            for b in &axes[i + 1..] {
                for (x, y) in a.values.iter().flat_map(|x| b.values.iter().map(move |y| (x, y))) {
                    let (x, y) = (rgb(a, x), rgb(b, y));
                    let squares = (0..3).map(|c| (f64::from(x[c]) - f64::from(y[c])).powi(2));
                    least = least.min(squares.sum::<f64>().sqrt());
                }
            }
        }
        least
    }

    #[test]
    fn values_of_different_axes_look_different() {
        use AxisKind::{Category, Numeric};
        let nsp = axis("nsp", &["off", "random"], Category);
        let schedule = axis("schedule", &["linear", "cosine"], Category);
        let size = axis("size", &["32", "64"], Numeric);
        let ratio = axis("ratio", &["0.15", "0.3"], Numeric);
        for axes in [
            vec![nsp.clone(), schedule.clone()],
            vec![size.clone(), nsp.clone(), schedule.clone()],
            vec![size.clone(), ratio.clone(), nsp.clone(), schedule.clone()],
        ] {
            assert!(least_distance(&axes) > 45.0, "{} axes: {}", axes.len(), least_distance(&axes));
        }
    }

    #[test]
    fn drawn_numbers_are_coloured_by_their_size() {
        let axes = [axis("lr", &["0.3", "0.1", "0.2"], AxisKind::Numeric)];
        let palette = Palette::of(&axes);
        let ink = |value: &str| palette.ink("lr", value);
        let place = |index| Ink::Ramp { ramp: 0, index, of: 3 };
        assert_eq!([ink("0.1"), ink("0.2"), ink("0.3")], [place(0), place(1), place(2)]);
    }
}
