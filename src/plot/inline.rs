//! A figure inside a page: an SVG without the words and the style that the page has itself, whose marks say whose they are.
//!
//! A screen shows less than a paper: lines of many points are thinned out as far as the eye does not see it, by Douglas &
//! Peucker (1973).

use std::collections::BTreeMap;

use super::figure::{Figure, Owner};
use super::layout::{Shape, lay_out};
use super::page::Page;
use super::render::{RenderError, SVG_UNITS, escape, svg_elements, theme_map};
use super::text::Fonts;

/// How far a thinned line may lie beside the line, in points: a quarter of a pixel where a figure fills a page.
const TOLERANCE: f64 = 0.13;
/// The room that title and caption would have taken, about, in points.
const WORDS: f64 = 40.0;
/// What is written of every element and what every reader assumes.
const IDLE: [&str; 2] = [" opacity=\"1\"", " stroke=\"none\" stroke-width=\"10\""];

/// A figure for a page that has title, legend and caption as text and the style of all its figures in one place.
pub struct Inline {
    /// The drawing, without a style. A group `g` stands around what has an owner: `data-run` is the id of its run,
    /// `data-set` its settings, `AXIS=VALUE` with tabs between them.
    pub svg: String,
    /// The value that each light colour of the drawing has in the dark.
    pub dark: BTreeMap<String, String>,
}

/// The figure without its words.
///
/// # Errors
/// When it cannot be drawn.
pub fn render_inline(figure: &Figure) -> Result<Inline, RenderError> {
    let lower = Figure { height: figure.height - WORDS, ..figure.clone() };
    let mut scene = lay_out(&lower, &Page { has_words: false, ..Page::REPORT }, &Fonts::new(None));
    for shape in &mut scene.shapes {
        if let Shape::Path { points, .. } = shape {
            *points = thinned(points);
        }
    }
    let elements = |shapes: &[Shape]| {
        let drawn = svg_elements(figure, shapes)?.replace("/>\n", "/>");
        Ok(IDLE.iter().fold(drawn, |drawn, idle| drawn.replace(idle, "")))
    };
    let (width, height) = (scene.width * SVG_UNITS, scene.height * SVG_UNITS);
    let title = escape(&figure.title);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{title}\" stroke-linejoin=\"round\">"
    );
    let mut drawn = 0;
    for (range, owner) in &scene.owned {
        svg += &elements(&scene.shapes[drawn..range.start])?;
        svg += &match owner {
            Owner::Run(id) => format!("<g data-run=\"{}\">", escape(id)),
            Owner::Settings(settings) => {
                let settings = settings.iter().map(|(axis, value)| format!("{axis}={value}")).collect::<Vec<_>>();
                format!("<g data-set=\"{}\">", escape(&settings.join("\t")))
            }
        };
        svg += &elements(&scene.shapes[range.clone()])?;
        svg += "</g>";
        drawn = range.end;
    }
    svg += &elements(&scene.shapes[drawn..])?;
    Ok(Inline { svg: svg + "</svg>", dark: theme_map(&scene) })
}

/// The line with as few of its points as stay within the tolerance; its ends are kept.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut is_kept = vec![false; points.len()];
    let mut open = Vec::new();
    if let Some(last) = points.len().checked_sub(1) {
        (is_kept[0], is_kept[last]) = (true, true);
        open.push((0, last));
    }
    while let Some((first, last)) = open.pop() {
        let between = (first + 1..last).map(|i| (i, distance(points[i], points[first], points[last])));
        let Some((farthest, apart)) = between.max_by(|a, b| a.1.total_cmp(&b.1)) else { continue };
        if apart > TOLERANCE {
            is_kept[farthest] = true;
            open.extend([(first, farthest), (farthest, last)]);
        }
    }
    points.iter().zip(is_kept).filter_map(|(point, is_kept)| is_kept.then_some(*point)).collect()
}

/// From a point to the line segment between two others.
fn distance(point: (f64, f64), from: (f64, f64), to: (f64, f64)) -> f64 {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx * dx + dy * dy;
    let along = ((point.0 - from.0) * dx + (point.1 - from.1) * dy) / length;
    let along = if length > 0.0 { along.clamp(0.0, 1.0) } else { 0.0 };
    (point.0 - from.0 - along * dx).hypot(point.1 - from.1 - along * dy)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plot::charts::tests::every_figure;

    #[test]
    fn groups_are_closed_and_nothing_is_lost() {
        for figure in every_figure() {
            let inline = render_inline(&figure).unwrap();
            let count = |part: &str| inline.svg.matches(part).count();
            assert_eq!((count("<g "), count("<svg"), count("</svg>")), (count("</g>"), 1, 1), "{}", figure.name);
            let labels = figure.panels.iter().map(|panel| panel.labels.len()).sum::<usize>();
            assert!(count("<text") >= labels, "{}: a label is missing", figure.name);
            let caption = figure.caption.split('.').next().unwrap();
            assert!(caption.is_empty() || !inline.svg.contains(caption), "{}: the page has the caption", figure.name);
        }
    }

    proptest! {
        /// No point of a line is further from the thinned line than the tolerance.
        #[test]
        fn a_thinned_line_is_where_the_line_is(steps in prop::collection::vec((-0.4..0.9f64, -0.6..0.6f64), 0..200)) {
            let mut points = vec![(0.0, 0.0)];
            for (dx, dy) in steps {
                let (x, y) = points[points.len() - 1];
                points.push((x + dx, y + dy));
            }
            let thin = thinned(&points);
            prop_assert_eq!((thin.first(), thin.last()), (points.first(), points.last()));
            let pairs = if thin.len() == 1 { vec![(thin[0], thin[0])] } else { thin.windows(2).map(|pair| (pair[0], pair[1])).collect() };
            for &point in &points {
                let apart = pairs.iter().map(|&(from, to)| distance(point, from, to)).fold(f64::INFINITY, f64::min);
                prop_assert!(apart <= TOLERANCE + 1e-9, "{apart}");
            }
        }
    }
}
