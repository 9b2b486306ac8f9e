//! Shorthands for the marks that most charts draw.

use crate::plot::figure::{Colour, Dash, Ink, Label, Mark, Stroke};

/// Shades of a ramp, from the worst to the best.
pub const SHADES: u8 = 9;

/// A dot in full colour.
pub fn dot(at: (f64, f64), radius: f64, ink: Ink, filled: bool) -> Mark {
    Mark::Dot { at, nudge: 0.0, radius, colour: Colour::full(ink), filled }
}

/// A line.
pub fn line(points: Vec<(f64, f64)>, colour: Colour, width: f64, dash: Dash) -> Mark {
    Mark::Line { points, stroke: Stroke { colour, width, dash } }
}

/// Text on the right that names what ends at `at`.
pub fn label(at: (f64, f64), text: impl Into<String>, ink: Ink) -> Label {
    Label { y: at.1, text: text.into(), colour: Colour::full(ink) }
}

/// The ink for `share` of the way from the worst, 0, to the best, 1.
pub fn shade(share: f64) -> Ink {
    Ink::Ramp { ramp: 0, index: (share.clamp(0.0, 1.0) * f64::from(SHADES - 1)).round() as u8, of: SHADES }
}

/// The ink of words on a tile in the shade of `share`: both themes run from near the background to far from it.
pub fn on_shade(share: f64) -> Ink {
    if share < 0.45 { Ink::Text } else { Ink::Background }
}
