//! The legend: samples and words below the subtitle, running on from left to right like text.
//!
//! Floors explain themselves: every name that a panel gives one is an entry, after those that the figure lists.

use super::marks::{cross, dot, floor, stroked};
use super::{Frame, MARGIN, Shape, line_of_text};
use crate::plot::figure::{Figure, Ink, LegendItem, Mark, Sample};
use crate::plot::text::Fonts;
use crate::plot::theme::size;

/// The height of a line.
pub const LINE: f64 = 1.45 * size::LABEL;
/// Between a sample and its text, between two entries, and before a heading.
const GAP: f64 = 3.5;
const ENTRY_GAP: f64 = 9.0;
const HEADING_GAP: f64 = 16.0;
const SCALE_STEP: f64 = 6.0;

/// An entry with its place: the line, and the distance from the margin.
pub struct Placed {
    item: LegendItem,
    line: usize,
    x: f64,
}

/// The entries of a figure in lines of the width `inner`.
pub fn place(figure: &Figure, inner: f64, fonts: &Fonts<'_>) -> Vec<Placed> {
    let (mut line, mut x) = (0, 0.0_f64);
    let mut placed = Vec::<Placed>::new();
    let items = figure.legend.iter().cloned().chain(floors(figure)).collect::<Vec<_>>();
    for (i, item) in items.iter().enumerate() {
        let is_heading = matches!(item, LegendItem::Heading(_));
        let gap = match (x > 0.0, is_heading) {
            (false, _) => 0.0,
            (true, true) => HEADING_GAP,
            // The first entry stands closer to its heading.
            (true, false) if matches!(items[i - 1], LegendItem::Heading(_)) => 5.0,
            (true, false) => ENTRY_GAP,
        };
        // A heading goes with its first entry.
        let with_next = items.get(i + 1).filter(|_| is_heading).map_or(0.0, |next| 5.0 + width(next, fonts, inner));
        let own = width(item, fonts, inner);
        if x > 0.0 && x + gap + own + with_next > inner {
            (line, x) = (line + 1, 0.0);
        } else {
            x += gap;
        }
        placed.push(Placed { item: item.clone(), line, x });
        x += own;
    }
    placed
}

/// The height of the legend.
pub fn height(placed: &[Placed]) -> f64 {
    placed.last().map_or(0.0, |last| (last.line + 1) as f64 * LINE + 3.0)
}

/// Adds the shapes of the legend whose first line begins at `top`.
pub fn draw(placed: &[Placed], top: f64, inner: f64, fonts: &Fonts<'_>, shapes: &mut Vec<Shape>) {
    for Placed { item, line, x } in placed {
        let (left, middle) = (MARGIN + x, top + 3.0 + (*line as f64 + 0.5) * LINE);
        let baseline = middle + 0.36 * size::LABEL;
        match item {
            LegendItem::Heading(text) => {
                let text = fonts.fit(text, size::LABEL, false, inner);
                shapes.push(line_of_text((left, baseline), text, size::LABEL, false, Ink::Muted));
            }
            LegendItem::Entry { sample, text } => {
                let after = left + sample_width(sample);
                draw_sample(sample, (left, after), middle, shapes);
                let text = fonts.fit(text, size::LABEL, false, inner - sample_width(sample) - GAP);
                shapes.push(line_of_text((after + GAP, baseline), text, size::LABEL, false, Ink::Text));
            }
        }
    }
}

fn floors(figure: &Figure) -> Vec<LegendItem> {
    let mut names = Vec::<&String>::new();
    for mark in figure.panels.iter().flat_map(|panel| &panel.marks) {
        if let Mark::Floor { text, .. } = mark
            && !names.contains(&text)
        {
            names.push(text);
        }
    }
    names.into_iter().map(|text| LegendItem::Entry { sample: Sample::Floor, text: text.clone() }).collect()
}

fn width(item: &LegendItem, fonts: &Fonts<'_>, inner: f64) -> f64 {
    match item {
        LegendItem::Heading(text) => fonts.width(text, size::LABEL, false).min(inner),
        LegendItem::Entry { sample, text } => {
            (sample_width(sample) + GAP + fonts.width(text, size::LABEL, false)).min(inner)
        }
    }
}

fn sample_width(sample: &Sample) -> f64 {
    match sample {
        Sample::Line(_) | Sample::LineAndDot { .. } | Sample::Floor => 17.0,
        Sample::Dot { .. } | Sample::Cross(_) => 6.0,
        Sample::Scale(colours) => SCALE_STEP * colours.len() as f64,
    }
}

fn draw_sample(sample: &Sample, (left, right): (f64, f64), y: f64, shapes: &mut Vec<Shape>) {
    let centre = ((left + right) / 2.0, y);
    match sample {
        Sample::Line(stroke) => shapes.extend(stroked(&[(left, y), (right, y)], *stroke)),
        Sample::Dot { colour, filled } => shapes.extend(dot(centre, 2.9, *colour, *filled)),
        Sample::LineAndDot { stroke, filled } => {
            shapes.extend(stroked(&[(left, y), (right, y)], *stroke));
            shapes.extend(dot(centre, 2.9, stroke.colour, *filled));
        }
        Sample::Cross(colour) => shapes.extend(cross(centre, *colour)),
        Sample::Scale(colours) => {
            for (i, colour) in colours.iter().enumerate() {
                let (from, to) = (left + SCALE_STEP * i as f64, left + SCALE_STEP * (i + 1) as f64);
                let points = vec![(from, y - 2.8), (to, y - 2.8), (to, y + 2.8), (from, y + 2.8)];
                shapes.push(Shape::Area { points, colour: *colour, opacity: 1.0 });
            }
        }
        Sample::Floor => shapes.extend(floor(y - 1.0, Frame { left, top: y - 5.0, right, bottom: y + 5.0 })),
    }
}
