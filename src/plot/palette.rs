//! Which colour an axis value has: a function of the value alone, so that it is the same in every figure and table.

use std::collections::BTreeMap;

use super::figure::Ink;
use crate::analysis::{Axis, AxisKind};

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
        for axis in axes {
            for (index, value) in axis.values.iter().enumerate() {
                let ink = match axis.kind {
                    AxisKind::Numeric | AxisKind::Ordered => ramp_ink(ramp, index, axis.values.len()),
                    AxisKind::Category => Ink::Category(category + (index % 64) as u8),
                };
                inks.insert((axis.name.clone(), value.clone()), ink);
            }
            match axis.kind {
                AxisKind::Numeric | AxisKind::Ordered => ramp += 1,
                AxisKind::Category => category = (category + axis.values.len().min(64) as u8) % 128,
            }
        }
        Self { inks }
    }

    /// The role of `value` on the axis `axis`; text colour for what was never declared.
    pub fn ink(&self, axis: &str, value: &str) -> Ink {
        self.inks.get(&(axis.to_owned(), value.to_owned())).copied().unwrap_or(Ink::Text)
    }
}

/// A place on a ramp; more values than places share them.
fn ramp_ink(ramp: u8, index: usize, of: usize) -> Ink {
    const PLACES: usize = 64;
    if of <= PLACES {
        return Ink::Ramp { ramp, index: index as u8, of: of as u8 };
    }
    Ink::Ramp { ramp, index: (index * (PLACES - 1) / (of - 1)) as u8, of: PLACES as u8 }
}
