//! The axes of a panel: from its units to the page, ticks and their texts.

use super::{Anchor, Frame, LEADING, Shape, TICK_GAP, Text, rule, tick_text};
use crate::plot::figure::{Ink, PlotAxis, Scale};
use crate::plot::text::Fonts;
use crate::plot::theme::size;

/// From the units of a panel's axes to the page.
pub struct Map<'a> {
    pub frame: Frame,
    pub x: &'a PlotAxis,
    pub y: &'a PlotAxis,
}

impl Map<'_> {
    pub fn x(&self, value: f64) -> f64 {
        self.frame.left + share(self.x, value) * (self.frame.right - self.frame.left)
    }

    pub fn y(&self, value: f64) -> f64 {
        self.frame.bottom - share(self.y, value) * (self.frame.bottom - self.frame.top)
    }

    pub fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.x(x), self.y(y))
    }
}

fn share(axis: &PlotAxis, value: f64) -> f64 {
    match axis.scale {
        Scale::Linear => (value - axis.low) / (axis.high - axis.low),
        Scale::Log10 => (value / axis.low).ln() / (axis.high / axis.low).ln(),
    }
}

/// The ticks on the left of a panel, with texts no wider than `widest`, or without any.
pub fn draw_y_axis(map: &Map<'_>, widest: Option<f64>, fonts: &Fonts<'_>, shapes: &mut Vec<Shape>) {
    let frame = map.frame;
    for tick in &map.y.ticks {
        let y = map.y(tick.at);
        if map.y.grid {
            shapes.push(rule((frame.left, y), (frame.right, y), 0.6, Ink::Grid));
        }
        let Some(widest) = widest else { continue };
        let lines = tick.text.lines().collect::<Vec<_>>();
        for (i, line) in lines.iter().enumerate() {
            let below = i as f64 - (lines.len() - 1) as f64 / 2.0;
            let at = (frame.left - TICK_GAP, y + (0.36 + 1.2 * below) * size::TICK);
            let line = fonts.fit(line, size::TICK, false, widest);
            shapes.push(Shape::Text(Text { anchor: Anchor::End, ..tick_text(at, &line) }));
        }
    }
}

/// The ticks below a panel, with texts that end before `text_end`, or without any, and the line that they stand on, where the
/// panel has a y axis. What would overlap is left out.
pub fn draw_x_axis(map: &Map<'_>, text_end: Option<f64>, fonts: &Fonts<'_>, shapes: &mut Vec<Shape>) {
    let frame = map.frame;
    let mut clear_from = f64::NEG_INFINITY;
    for tick in &map.x.ticks {
        let x = map.x(tick.at);
        if map.x.grid {
            shapes.push(rule((x, frame.top), (x, frame.bottom), 0.6, Ink::Grid));
        }
        shapes.push(rule((x, frame.bottom), (x, frame.bottom + 2.5), 0.7, Ink::Muted));
        let widths = tick.text.lines().map(|line| fonts.width(line, size::TICK, false));
        let half = widths.fold(0.0, f64::max) / 2.0;
        let Some(end) = text_end else { continue };
        let x = x.min(end - half - 2.0).max(half + 2.0);
        if x - half >= clear_from {
            clear_from = x + half + 3.0;
            for (i, line) in tick.text.lines().enumerate() {
                let at = (x, frame.bottom + TICK_GAP + (0.8 + i as f64 * LEADING) * size::TICK);
                shapes.push(Shape::Text(Text { anchor: Anchor::Middle, ..tick_text(at, line) }));
            }
        }
    }
    if !map.y.ticks.is_empty() {
        shapes.push(rule((frame.left, frame.bottom), (frame.right, frame.bottom), 0.7, Ink::Muted));
    }
}
