//! Light and dark as data: the value of every role, and the sizes of type.
//!
//! Categories are Okabe & Ito's palette (2008) without its yellow, which cannot be seen on white; ramps run from light to
//! dark along viridis and a warm counterpart, cut off before they fade into the background. On a dark ground every
//! place keeps its hue and changes its lightness, so that "more" is always further from the background and a value is called by
//! the same colour on paper and on a screen.

use super::figure::{Colour, Ink};

/// Red, green and blue.
pub type Rgb = [u8; 3];

/// The share of the background in a pale colour.
const PALE: f64 = 0.62;

/// A theme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    background: Rgb,
    text: Rgb,
    muted: Rgb,
    grid: Rgb,
    categories: [Rgb; 7],
    ramps: [[Rgb; 4]; 3],
}

impl Theme {
    /// Dark on white: for paper.
    pub const LIGHT: Self = Self {
        background: [0xFF, 0xFF, 0xFF],
        text: [0x1A, 0x1A, 0x1A],
        muted: [0x5C, 0x5F, 0x66],
        grid: [0xE3, 0xE5, 0xE8],
        categories: [
            [0x00, 0x72, 0xB2],
            [0xD5, 0x5E, 0x00],
            [0x00, 0x9E, 0x73],
            [0xCC, 0x79, 0xA7],
            [0xE6, 0x9F, 0x00],
            [0x56, 0xB4, 0xE9],
            [0x00, 0x00, 0x00],
        ],
        ramps: [
            [[0x2F, 0xB0, 0x75], [0x23, 0x88, 0x8D], [0x3E, 0x4F, 0x8A], [0x45, 0x05, 0x58]],
            [[0xE8, 0x93, 0x3A], [0xD1, 0x5A, 0x24], [0x9E, 0x2A, 0x14], [0x57, 0x0F, 0x08]],
            [[0x6F, 0xA8, 0xD8], [0x2F, 0x7F, 0xBE], [0x14, 0x53, 0x8F], [0x08, 0x2A, 0x54]],
        ],
    };

    /// Light on near-black: for screens.
    pub const DARK: Self = Self {
        background: [0x16, 0x18, 0x1C],
        text: [0xE8, 0xE9, 0xEB],
        muted: [0x9D, 0xA2, 0xAB],
        grid: [0x2E, 0x32, 0x39],
        categories: [
            [0x4A, 0xA8, 0xE0],
            [0xF2, 0x84, 0x3C],
            [0x2F, 0xC7, 0x9A],
            [0xE3, 0xA0, 0xC8],
            [0xF2, 0xB6, 0x32],
            [0xA7, 0xD8, 0xF5],
            [0xFF, 0xFF, 0xFF],
        ],
        ramps: [
            [[0x21, 0x8F, 0x5C], [0x35, 0xA9, 0xAF], [0x8E, 0xA4, 0xEC], [0xEB, 0xA8, 0xFA]],
            [[0xB0, 0x6A, 0x22], [0xE0, 0x6E, 0x3A], [0xF5, 0x8A, 0x76], [0xFF, 0xBC, 0xB4]],
            [[0x3B, 0x74, 0xB4], [0x5C, 0x9E, 0xDC], [0x93, 0xC6, 0xF0], [0xD6, 0xEC, 0xFC]],
        ],
    };

    /// The value of a role.
    pub fn rgb(&self, colour: Colour) -> Rgb {
        let full = match colour.ink {
            Ink::Background => self.background,
            Ink::Text => self.text,
            Ink::Muted => self.muted,
            Ink::Grid => self.grid,
            Ink::Category(k) => self.categories[usize::from(k) % self.categories.len()],
            Ink::Ramp { ramp, index, of } => self.on_ramp(usize::from(ramp), f64::from(index), f64::from(of)),
        };
        if colour.pale { mix(full, self.background, PALE) } else { full }
    }

    fn on_ramp(&self, ramp: usize, index: f64, of: f64) -> Rgb {
        let stops = &self.ramps[ramp % self.ramps.len()];
        // Few values do not need the whole ramp: two of them are a third of the way from its ends.
        let share = if of > 1.0 { index / (of - 1.0) } else { 0.5 };
        let share = if of < 3.0 { 0.12 + 0.66 * share } else { share };
        let place = share.clamp(0.0, 1.0) * (stops.len() - 1) as f64;
        let below = (place.floor() as usize).min(stops.len() - 2);
        mix(stops[below], stops[below + 1], place - below as f64)
    }
}

/// `share` of the way from `from` to `to`.
fn mix(from: Rgb, to: Rgb, share: f64) -> Rgb {
    let channel = |i: usize| (f64::from(from[i]) + share * (f64::from(to[i]) - f64::from(from[i]))).round() as u8;
    [channel(0), channel(1), channel(2)]
}

/// Type sizes in points.
pub mod size {
    pub const TITLE: f64 = 10.5;
    pub const SUBTITLE: f64 = 8.0;
    pub const PANEL: f64 = 8.5;
    pub const AXIS: f64 = 8.5;
    pub const TICK: f64 = 7.8;
    pub const LABEL: f64 = 7.8;
    pub const CAPTION: f64 = 7.4;
}

/// The contrast ratio of WCAG 2.1, from 1 (none) to 21 (black on white).
#[cfg(test)]
pub(super) fn contrast(left: Rgb, right: Rgb) -> f64 {
    let linear = |channel: u8| {
        let c = f64::from(channel) / 255.0;
        if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    };
    let luminance = |rgb: Rgb| 0.2126 * linear(rgb[0]) + 0.7152 * linear(rgb[1]) + 0.0722 * linear(rgb[2]);
    let (low, high) = (luminance(left).min(luminance(right)), luminance(left).max(luminance(right)));
    (high + 0.05) / (low + 0.05)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn every_role() -> Vec<Colour> {
        let fixed = [Ink::Background, Ink::Text, Ink::Muted, Ink::Grid].map(Colour::full);
        let categories = (0..7).map(Ink::Category);
        let ramps = (0..3).flat_map(|ramp| (0..5).map(move |index| Ink::Ramp { ramp, index, of: 5 }));
        let inks = categories.chain(ramps);
        let pale_text = Colour::pale(Ink::Text);
        fixed
            .into_iter()
            .chain([pale_text])
            .chain(inks.flat_map(|ink| [Colour::full(ink), Colour::pale(ink)]))
            .collect()
    }

    /// The style sheet of an SVG maps each light value to its dark one, so no two roles may share a value.
    #[test]
    fn every_role_has_a_value_of_its_own() {
        for theme in [Theme::LIGHT, Theme::DARK] {
            let mut seen = BTreeMap::new();
            for role in every_role() {
                let before = seen.insert(theme.rgb(role), role);
                assert!(before.is_none(), "{role:?} looks like {before:?}");
            }
        }
    }

    /// In degrees; of a grey nothing can be said.
    fn hue([r, g, b]: Rgb) -> Option<f64> {
        let [r, g, b] = [r, g, b].map(f64::from);
        let (high, low) = (r.max(g).max(b), r.min(g).min(b));
        let turn = match high - low {
            span if span < 20.0 => return None,
            span if high == r => (g - b) / span,
            span if high == g => 2.0 + (b - r) / span,
            span => 4.0 + (r - g) / span,
        };
        Some((60.0 * turn).rem_euclid(360.0))
    }

    #[test]
    fn a_role_has_one_hue_in_both_themes() {
        for role in every_role().into_iter().filter(|role| matches!(role.ink, Ink::Category(_) | Ink::Ramp { .. })) {
            let (Some(light), Some(dark)) = (hue(Theme::LIGHT.rgb(role)), hue(Theme::DARK.rgb(role))) else { continue };
            let apart = (light - dark).abs();
            assert!(apart.min(360.0 - apart) < 25.0, "{role:?}: {light:.0} and {dark:.0} degrees");
        }
    }

    #[test]
    fn text_and_lines_stand_out_from_the_ground() {
        for theme in [Theme::LIGHT, Theme::DARK] {
            let ground = theme.rgb(Colour::full(Ink::Background));
            for role in every_role().into_iter().filter(|role| !role.pale) {
                let needed = match role.ink {
                    Ink::Text => 7.0,
                    Ink::Muted => 4.5,
                    Ink::Category(_) | Ink::Ramp { .. } => 2.2,
                    Ink::Background | Ink::Grid => continue,
                };
                let ratio = contrast(theme.rgb(role), ground);
                assert!(ratio >= needed, "{role:?} has a contrast of {ratio:.2}");
            }
        }
    }
}
