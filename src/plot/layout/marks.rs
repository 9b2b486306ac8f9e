//! Marks become shapes: lines are clipped to their frame and cut into dashes, floors are hatched like ground.

use super::axes::Map;
use super::{Anchor, Frame, Shape, Text, line_of_text, rule};
use crate::plot::figure::{Colour, Ink, Mark, Stroke};
use crate::plot::text::Fonts;
use crate::plot::theme::size;

/// How much of a band is ink.
const BAND_OPACITY: f64 = 0.18;
const INTERVAL_WIDTH: f64 = 1.3;
/// Between the hatches of a floor.
const HATCH: f64 = 5.6;

/// Adds the shapes of `mark`.
pub fn draw(mark: &Mark, map: &Map<'_>, fonts: &Fonts<'_>, shapes: &mut Vec<Shape>) {
    let frame = map.frame;
    match mark {
        Mark::Line { points, stroke } => {
            let points = points.iter().map(|&point| map.at(point)).collect::<Vec<_>>();
            shapes.extend(clip(&points, frame).iter().flat_map(|piece| stroked(piece, *stroke)));
        }
        Mark::Band { low, high, colour } => {
            let edge = low.iter().chain(high.iter().rev());
            let points = edge.map(|&point| clamp(map.at(point), frame)).collect();
            shapes.push(Shape::Area { points, colour: *colour, opacity: BAND_OPACITY });
        }
        Mark::Dot { at, radius, colour, filled } => {
            shapes.extend(dot(clamp(map.at(*at), frame), *radius, *colour, *filled));
        }
        Mark::Cross { at, colour } => shapes.extend(cross(clamp(map.at(*at), frame), *colour)),
        Mark::Interval { x, low, high, colour } => {
            let points = [(*x, *low), (*x, *high)].map(|point| clamp(map.at(point), frame)).to_vec();
            shapes.push(Shape::Path { points, width: INTERVAL_WIDTH, colour: *colour });
        }
        Mark::Note { at, text, colour } => {
            let (x, y) = clamp(map.at(*at), frame);
            let (x, half) = (x + 3.0, 0.62 * size::TICK);
            let right = x + fonts.width(text, size::TICK, false) + 1.5;
            let corners = [(x - 1.5, y - half), (right, y - half), (right, y + half), (x - 1.5, y + half)];
            let ground = Colour::full(Ink::Background);
            shapes.push(Shape::Area { points: corners.to_vec(), colour: ground, opacity: 0.85 });
            shapes.push(line_of_text((x, y + 0.36 * size::TICK), text.clone(), size::TICK, false, colour.ink));
        }
        Mark::Tag { at, text, colour, below } => {
            let (x, y) = clamp(map.at(*at), frame);
            let shift = if *below { 3.0 + 0.8 * size::TICK } else { -4.0 };
            let left = x - 4.0 - fonts.width(text, size::TICK, false);
            let at = (left.max(frame.left), (y + shift).clamp(frame.top + 0.8 * size::TICK, frame.bottom - 1.0));
            shapes.push(line_of_text(at, text.clone(), size::TICK, true, colour.ink));
        }
        Mark::Span { y, low, high, colour } => {
            let points = [(*low, *y), (*high, *y)].map(|point| clamp(map.at(point), frame)).to_vec();
            shapes.push(Shape::Path { points, width: INTERVAL_WIDTH, colour: *colour });
        }
        Mark::Floor { y, .. } => shapes.extend(floor(map.y(*y), frame)),
        Mark::Tile { centre: (x, y), width, height, colour, text, ink } => {
            let corner = |right: f64, up: f64| clamp(map.at((x + right * width / 2.0, y + up * height / 2.0)), frame);
            let points = vec![corner(-1.0, -1.0), corner(1.0, -1.0), corner(1.0, 1.0), corner(-1.0, 1.0)];
            let (across, centre) = (points[1].0 - points[0].0, map.at((*x, *y)));
            shapes.push(Shape::Area { points, colour: *colour, opacity: 1.0 });
            let middle = (text.lines().count() as f64 - 1.0) / 2.0;
            for (line, words) in text.lines().enumerate() {
                let down = (line as f64 - middle) * 1.2 * size::TICK;
                shapes.push(Shape::Text(Text {
                    at: (centre.0, centre.1 + 0.36 * size::TICK + down),
                    text: fonts.fit(words, size::TICK, false, across - 2.0),
                    size: size::TICK,
                    bold: false,
                    anchor: Anchor::Middle,
                    colour: Colour::full(*ink),
                    upright: false,
                }));
            }
        }
        Mark::Zero { x } => {
            let x = map.x(*x);
            shapes.push(rule((x, frame.top), (x, frame.bottom), 0.9, Ink::Muted));
        }
    }
}

/// A full disc, or an open one.
pub fn dot(centre: (f64, f64), radius: f64, colour: Colour, filled: bool) -> Vec<Shape> {
    let mut shapes = vec![Shape::Disc { centre, radius, colour }];
    if !filled {
        let hole = (radius - 1.1).max(0.4);
        shapes.push(Shape::Disc { centre, radius: hole, colour: Colour::full(Ink::Background) });
    }
    shapes
}

/// Two short strokes.
pub fn cross((x, y): (f64, f64), colour: Colour) -> impl Iterator<Item = Shape> {
    let stroke = move |side: f64| vec![(x - 2.6, y - 2.6 * side), (x + 2.6, y + 2.6 * side)];
    [-1.0, 1.0].into_iter().map(move |side| Shape::Path { points: stroke(side), width: 1.2, colour })
}

/// A line with short hatches below it, as ground is drawn: no pattern of a series looks like it.
pub fn floor(y: f64, frame: Frame) -> Vec<Shape> {
    let mut shapes = vec![rule((frame.left, y), (frame.right, y), 0.8, Ink::Muted)];
    let count = ((frame.right - frame.left) / HATCH).floor() as usize;
    for i in 0..count {
        let right = frame.left + HATCH * (i as f64 + 0.9);
        let depth = (0.5 * HATCH).min(frame.bottom - y);
        shapes.push(rule((right, y), (right - depth, y + depth), 0.5, Ink::Muted));
    }
    shapes
}

fn clamp((x, y): (f64, f64), frame: Frame) -> (f64, f64) {
    (x.clamp(frame.left, frame.right), y.clamp(frame.top, frame.bottom))
}

/// The parts of a polyline inside `frame` (Liang & Barsky 1984, segment by segment). Points that are not finite break it.
fn clip(points: &[(f64, f64)], frame: Frame) -> Vec<Vec<(f64, f64)>> {
    let mut pieces = Vec::<Vec<(f64, f64)>>::new();
    for pair in points.windows(2) {
        let Some((from, to)) = clip_segment(pair[0], pair[1], frame) else { continue };
        match pieces.last_mut() {
            Some(piece) if piece.last() == Some(&from) => piece.push(to),
            _ => pieces.push(vec![from, to]),
        }
    }
    pieces
}

fn clip_segment(from: (f64, f64), to: (f64, f64), frame: Frame) -> Option<((f64, f64), (f64, f64))> {
    if ![from.0, from.1, to.0, to.1].iter().all(|v| v.is_finite()) {
        return None;
    }
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let (mut enter, mut leave) = (0.0_f64, 1.0_f64);
    let edges = [
        (-dx, from.0 - frame.left),
        (dx, frame.right - from.0),
        (-dy, from.1 - frame.top),
        (dy, frame.bottom - from.1),
    ];
    for (towards, distance) in edges {
        if towards == 0.0 && distance < 0.0 {
            return None;
        }
        if towards < 0.0 {
            enter = enter.max(distance / towards);
        } else if towards > 0.0 {
            leave = leave.min(distance / towards);
        }
    }
    let at = |t: f64| (from.0 + t * dx, from.1 + t * dy);
    // The ends themselves where nothing is cut off, so that neighbouring segments still meet exactly.
    let start = if enter > 0.0 { at(enter) } else { from };
    let end = if leave < 1.0 { at(leave) } else { to };
    (enter <= leave).then_some((start, end))
}

/// The path of a line, or its dashes.
pub fn stroked(points: &[(f64, f64)], stroke: Stroke) -> Vec<Shape> {
    let path = |points| Shape::Path { points, width: stroke.width, colour: stroke.colour };
    let Some(pattern) = stroke.dash.pattern() else { return vec![path(points.to_vec())] };
    dashes(points, pattern.map(|length| length * stroke.width.max(1.0))).into_iter().map(path).collect()
}

/// Cuts a polyline into dashes by its own length; it begins with ink.
fn dashes(points: &[(f64, f64)], [ink, gap]: [f64; 2]) -> Vec<Vec<(f64, f64)>> {
    let mut dashes = Vec::new();
    let mut current = points.first().map_or(Vec::new(), |&first| vec![first]);
    let (mut is_ink, mut remaining) = (true, ink);
    for pair in points.windows(2) {
        let (mut from, to) = (pair[0], pair[1]);
        let mut length = (to.0 - from.0).hypot(to.1 - from.1);
        while length > remaining {
            let share = remaining / length;
            from = (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1));
            length -= remaining;
            if is_ink {
                current.push(from);
                dashes.push(std::mem::take(&mut current));
            } else {
                current = vec![from];
            }
            is_ink = !is_ink;
            remaining = if is_ink { ink } else { gap };
        }
        remaining -= length;
        if is_ink {
            current.push(to);
        }
    }
    if is_ink && current.len() > 1 {
        dashes.push(current);
    }
    dashes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn length(points: &[(f64, f64)]) -> f64 {
        points.windows(2).map(|pair| (pair[1].0 - pair[0].0).hypot(pair[1].1 - pair[0].1)).sum()
    }

    const FRAME: Frame = Frame { left: 10.0, top: 10.0, right: 90.0, bottom: 60.0 };

    proptest! {
        #[test]
        fn dashes_carry_their_share_of_the_length(steps in prop::collection::vec((0.1..9.0f64, -9.0..9.0f64), 1..40)) {
            let mut points = vec![(0.0, 0.0)];
            for (dx, dy) in steps {
                let (x, y) = points[points.len() - 1];
                points.push((x + dx, y + dy));
            }
            let inked = dashes(&points, [3.0, 2.0]).iter().map(|dash| length(dash)).sum::<f64>();
            let total = length(&points);
            let expected = (total / 5.0).floor() * 3.0 + (total % 5.0).min(3.0);
            prop_assert!((inked - expected).abs() < 1e-6, "{inked} of {total}");
        }

        /// What is clipped is inside, and what is inside is kept: by sampling each segment.
        #[test]
        fn clipping_keeps_exactly_the_inside(points in prop::collection::vec((-20.0..120.0f64, -20.0..90.0f64), 2..12)) {
            let pieces = clip(&points, FRAME);
            let slack = 1e-9;
            let inside = |(x, y): (f64, f64), slack: f64| x >= FRAME.left - slack && x <= FRAME.right + slack && y >= FRAME.top - slack && y <= FRAME.bottom + slack;
            prop_assert!(pieces.iter().flatten().all(|&point| inside(point, slack)));
            let samples = 4_000;
            let mut sampled = 0.0;
            for pair in points.windows(2) {
                let hits = (0..samples).filter(|&i| {
                    let t = (f64::from(i) + 0.5) / f64::from(samples);
                    inside((pair[0].0 + t * (pair[1].0 - pair[0].0), pair[0].1 + t * (pair[1].1 - pair[0].1)), 0.0)
                });
                sampled += hits.count() as f64 / f64::from(samples) * length(pair);
            }
            let kept = pieces.iter().map(|piece| length(piece)).sum::<f64>();
            prop_assert!((kept - sampled).abs() < 1e-3 * length(&points), "{kept} {sampled}");
        }
    }

    #[test]
    fn a_gap_in_the_values_is_a_gap_in_the_line() {
        let pieces = clip(&[(20.0, 20.0), (30.0, 20.0), (40.0, f64::NAN), (50.0, 20.0), (60.0, 20.0)], FRAME);
        assert_eq!(pieces, [vec![(20.0, 20.0), (30.0, 20.0)], vec![(50.0, 20.0), (60.0, 20.0)]]);
    }
}
