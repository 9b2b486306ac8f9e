//! Layout: a figure becomes shapes in points, with every text measured before room is given to it.
//!
//! From the outside in: title, subtitle and legend above, caption below, then for each column of panels the widest tick text
//! on the left and the widest label on the right. What is left is shared evenly. A figure grows in height rather than let
//! labels overlap.

mod axes;
mod legend;
mod marks;

use std::ops::Range;

use axes::{Map, draw_x_axis, draw_y_axis};

use super::figure::{Colour, Figure, Ink, Owner, Panel};
use super::labels::{room, spread};
use super::narrow::narrowed;
use super::page::Page;
use super::text::{Fonts, wrap};
use super::theme::size;

const MARGIN: f64 = 9.0;
const LEADING: f64 = 1.32;
const PANEL_GAP: f64 = 10.0;
/// The least height of a panel's frame.
const LEAST_FRAME: f64 = 64.0;
/// Between a frame and its tick texts or labels.
const TICK_GAP: f64 = 4.0;
const LABEL_GAP: f64 = 9.0;
/// What words and ticks take of the height of a figure, at least; and the lines that the name of a y axis has at most.
const AROUND_FRAMES: f64 = 110.0;
const MOST_Y_LINES: usize = 2;
/// The widest label, as a share of the page; what is wider ends in an ellipsis.
const WIDEST_LABEL: f64 = 0.36;

/// Shapes in points; y points down.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    pub width: f64,
    pub height: f64,
    /// In drawing order.
    pub shapes: Vec<Shape>,
    /// Whose some of the shapes are, by their places, in order and apart from each other.
    pub owned: Vec<(Range<usize>, Owner)>,
}

/// Something with a place on the page.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    Path { points: Vec<(f64, f64)>, width: f64, colour: Colour },
    Area { points: Vec<(f64, f64)>, colour: Colour, opacity: f64 },
    Disc { centre: (f64, f64), radius: f64, colour: Colour },
    Text(Text),
}

/// One line of text; `at` is where its anchor meets the baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    pub at: (f64, f64),
    pub text: String,
    pub size: f64,
    pub bold: bool,
    pub anchor: Anchor,
    pub colour: Colour,
    /// Reads from bottom to top.
    pub upright: bool,
}

/// Which part of a text is at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A rectangle: left, top, right, bottom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

/// The shapes of `figure` on `page`.
pub fn lay_out(figure: &Figure, page: &Page, fonts: &Fonts<'_>) -> Scene {
    if page.is_narrow() { arranged(&narrowed(figure, page, fonts), page, fonts) } else { arranged(figure, page, fonts) }
}

fn arranged(figure: &Figure, page: &Page, fonts: &Fonts<'_>) -> Scene {
    let inner = page.width - 2.0 * MARGIN;
    let words = |text: &str, size: f64, bold: bool| {
        if page.has_words { wrap(fonts, text, size, bold, inner) } else { Vec::new() }
    };
    let (mut shapes, mut owned) = (Vec::new(), Vec::new());
    let mut top = MARGIN;
    for (text, size, bold, ink) in
        [(&figure.title, size::TITLE, true, Ink::Text), (&figure.subtitle, size::SUBTITLE, false, Ink::Muted)]
    {
        for line in words(text, size, bold) {
            top += size * LEADING;
            let line = fonts.fit(&line, size, bold, inner);
            shapes.push(line_of_text((MARGIN, top - 0.3 * size), line, size, bold, ink));
        }
    }
    // A legend is no words: without it the figure cannot be read.
    let entries = legend::place(figure, inner, fonts);
    legend::draw(&entries, top, inner, fonts, &mut shapes);
    top += legend::height(&entries);
    let caption = words(&figure.caption, size::CAPTION, false);
    let caption_height = caption.len() as f64 * size::CAPTION * LEADING;
    let grid = Grid::measure(figure, page, fonts);
    // A narrow page has more lines of words: they make it higher, and not its frames lower.
    let given = if page.is_narrow() { figure.height + top + caption_height } else { figure.height };
    let height = given.max(top + grid.least_height() + caption_height + 2.0 * MARGIN);
    let caption_top = height - MARGIN + 2.0 - caption_height;
    for (i, line) in caption.into_iter().enumerate() {
        let baseline = caption_top + (i as f64 + 0.76) * size::CAPTION * LEADING;
        shapes.push(line_of_text((MARGIN, baseline), line, size::CAPTION, false, Ink::Muted));
    }
    let area = Frame { left: MARGIN, top: top + 2.0, right: page.width - MARGIN, bottom: caption_top - 5.0 };
    for (i, panel) in figure.panels.iter().enumerate() {
        grid.draw_panel(i, panel, (area, fonts), &mut shapes, &mut owned);
    }
    grid.draw_y_labels(figure, area, fonts, &mut shapes);
    Scene { width: page.width, height, shapes, owned }
}

/// How the page is divided among the panels.
struct Grid {
    columns: usize,
    rows: usize,
    panels: usize,
    frame_width: f64,
    y_label: f64,
    /// Whether all rows have one quantity on the left: it is named once.
    has_one_y: bool,
    /// Above each row: the panel titles.
    panel_title: f64,
    widest_label: f64,
    widest_tick: f64,
    label_height: f64,
    /// Room for tick texts left of each column and for labels right of it.
    left: Vec<f64>,
    right: Vec<f64>,
    /// Below a row with tick texts and axis labels: the last one, or each where the x axes of a column differ.
    below: f64,
    has_own_x: bool,
    least_frame: f64,
}

impl Grid {
    fn measure(figure: &Figure, page: &Page, fonts: &Fonts<'_>) -> Self {
        let panels = figure.panels.len().max(1);
        let columns = figure.columns.clamp(1, panels);
        let in_column = |column: usize| figure.panels.iter().skip(column).step_by(columns);
        let widest_label = WIDEST_LABEL * page.width / columns as f64;
        let widest_tick = page.widest_tick() * page.width;
        let tick_width = |panel: &Panel| {
            let lines = panel.y.ticks.iter().flat_map(|tick| tick.text.lines());
            let widths = lines.map(|line| fonts.width(line, size::TICK, false));
            widths.fold(0.0, f64::max).min(widest_tick)
        };
        let label_width = |panel: &Panel| {
            let lines = panel.labels.iter().flat_map(|label| label.text.lines());
            let widths = lines.map(|line| fonts.width(line, size::LABEL, false));
            widths.fold(0.0, f64::max).min(widest_label)
        };
        let widest = |column: usize, width: &dyn Fn(&Panel) -> f64| in_column(column).map(width).fold(0.0, f64::max);
        let left = (0..columns).map(|column| if column == 0 { widest(0, &tick_width) + TICK_GAP } else { PANEL_GAP });
        let right = (0..columns).map(|column| match widest(column, &label_width) {
            // Half of the last tick's text may stand out.
            0.0 => 8.0,
            width => width + LABEL_GAP + 1.0,
        });
        let (left, right) = (left.collect::<Vec<_>>(), right.collect::<Vec<_>>());
        let has = |text: &dyn Fn(&Panel) -> &str| figure.panels.iter().any(|panel| !text(panel).is_empty());
        let most_labels = figure.panels.iter().map(|panel| panel.labels.len()).max().unwrap_or(0);
        let lines = |text: &dyn Fn(&Panel) -> &str| {
            figure.panels.iter().map(|panel| text(panel).lines().count()).max().unwrap_or(0) as f64
        };
        let has_one_y = in_column(0).all(|panel| panel.y.label == figure.panels[0].y.label);
        // Two lines where a long name meets a low figure.
        let rows = if has_one_y { 1 } else { panels.div_ceil(columns) };
        let short = (figure.height - AROUND_FRAMES).max(LEAST_FRAME) / rows as f64;
        let lines_of = |label: &str| {
            label.lines().map(|line| if fonts.width(line, size::AXIS, false) > short { 2 } else { 1 }).sum()
        };
        let y_lines = figure.panels.iter().map(|panel| lines_of(&panel.y.label)).max().unwrap_or(1usize);
        let y_lines = y_lines.clamp(1, MOST_Y_LINES) as f64;
        let y_label = if has(&|panel| &panel.y.label) { y_lines * size::AXIS * LEADING + 2.0 } else { 0.0 };
        let tick_lines = figure.panels.iter().flat_map(|panel| &panel.x.ticks);
        let tick_lines = tick_lines.map(|tick| tick.text.lines().count()).max().unwrap_or(1).max(1) as f64;
        let x_label = lines(&|panel| &panel.x.label) * size::AXIS * LEADING;
        let label_height = lines_of_labels(&figure.panels) as f64 * size::LABEL * LEADING;
        let has_own_x = (0..columns).any(|column| {
            let mut axes = in_column(column).map(|panel| &panel.x);
            let first = axes.next();
            axes.any(|axis| Some(axis) != first)
        });
        let gutters = left.iter().chain(&right).sum::<f64>();
        let frame_width = (page.width - 2.0 * MARGIN - y_label - gutters) / columns as f64;
        let title_width = |i: usize| frame_width + right[i % columns] - 3.0;
        let title_lines = figure.panels.iter().enumerate();
        let title_lines =
            title_lines.map(|(i, panel)| wrap(fonts, &panel.title, size::PANEL, true, title_width(i)).len());
        let title_lines = title_lines.max().unwrap_or(0) as f64;
        Self {
            columns,
            rows: panels.div_ceil(columns),
            panels,
            frame_width,
            y_label,
            has_one_y,
            panel_title: title_lines * size::PANEL * LEADING + 4.0,
            left,
            right,
            widest_label,
            widest_tick,
            label_height,
            below: TICK_GAP + tick_lines * size::TICK * LEADING + x_label,
            has_own_x,
            least_frame: LEAST_FRAME.max(room(most_labels, label_height)),
        }
    }

    /// The height of the grid when every frame is as low as it may be.
    fn least_height(&self) -> f64 {
        self.rows as f64 * (self.panel_title + self.least_frame)
            + self.below
            + self.between() * (self.rows - 1) as f64
            + 7.0
    }

    /// Between two rows, beside the titles of the lower one.
    fn between(&self) -> f64 {
        if self.has_own_x { self.below + 4.0 } else { 0.0 }
    }

    fn frame(&self, index: usize, area: Frame) -> Frame {
        let (row, column) = (index / self.columns, index % self.columns);
        let width = self.frame_width;
        let between = self.between() * (self.rows - 1) as f64;
        let height = (area.bottom - area.top - self.below - between) / self.rows as f64 - self.panel_title;
        let before = self.left[..=column].iter().chain(&self.right[..column]).sum::<f64>();
        let left = area.left + self.y_label + before + width * column as f64;
        let top = area.top + (self.panel_title + height + self.between()) * row as f64 + self.panel_title;
        Frame { left, top, right: left + width, bottom: top + height }
    }

    fn draw_panel(
        &self,
        index: usize,
        panel: &Panel,
        (area, fonts): (Frame, &Fonts<'_>),
        shapes: &mut Vec<Shape>,
        owned: &mut Vec<(Range<usize>, Owner)>,
    ) {
        let frame = self.frame(index, area);
        let map = Map { frame, x: &panel.x, y: &panel.y };
        // A title may stand over the labels of its panel, not over the next panel.
        let title_width = self.frame_width + self.right[index % self.columns] - 3.0;
        let title = wrap(fonts, &panel.title, size::PANEL, true, title_width);
        for (i, line) in title.iter().rev().enumerate() {
            let at = (frame.left, frame.top - 4.0 - i as f64 * size::PANEL * LEADING);
            let line = fonts.fit(line, size::PANEL, true, title_width);
            shapes.push(line_of_text(at, line, size::PANEL, true, Ink::Text));
        }
        let is_first_column = index.is_multiple_of(self.columns);
        draw_y_axis(&map, is_first_column.then_some(self.widest_tick), fonts, shapes);
        let is_lowest = self.has_own_x || index + self.columns >= self.panels;
        let text_end = is_lowest.then_some(area.right + MARGIN);
        draw_x_axis(&map, text_end, fonts, shapes);
        for (i, line) in panel.x.label.lines().rev().enumerate().filter(|_| is_lowest) {
            let half = fonts.width(line, size::AXIS, false) / 2.0 + 2.0;
            let middle = ((frame.left + frame.right) / 2.0).min(area.right + MARGIN - half).max(half);
            let at = (middle, frame.bottom + self.below - 2.0 - i as f64 * size::AXIS * LEADING);
            shapes.push(Shape::Text(Text { anchor: Anchor::Middle, ..axis_title(at, line) }));
        }
        let mut own = |range: Range<usize>, owner: Option<&Owner>| owned.extend(owner.map(|o| (range, o.clone())));
        for (i, mark) in panel.marks.iter().enumerate() {
            let from = shapes.len();
            marks::draw(mark, &map, fonts, shapes);
            own(from..shapes.len(), panel.owner_of_mark(i));
        }
        for (i, shape_range) in self.draw_labels(panel, &map, fonts, shapes).into_iter().enumerate() {
            own(shape_range, panel.owner_of_label(i));
        }
    }

    /// The quantity on the left of each row, once where all rows have the same.
    fn draw_y_labels(&self, figure: &Figure, area: Frame, fonts: &Fonts<'_>, shapes: &mut Vec<Shape>) {
        let rows = (0..self.rows).map(|row| row * self.columns).filter(|&first| first < figure.panels.len());
        let rows = rows.map(|first| (&figure.panels[first].y.label, self.frame(first, area))).collect::<Vec<_>>();
        let Some((label, top)) = rows.first().copied() else { return };
        let bottom = rows.last().map_or(top.bottom, |(_, frame)| frame.bottom);
        let together = [(label, Frame { bottom, ..top })];
        for (label, frame) in if self.has_one_y { &together[..] } else { &rows[..] } {
            let height = frame.bottom - frame.top + self.panel_title;
            let lines = label.lines().flat_map(|line| wrap(fonts, line, size::AXIS, false, height));
            for (i, line) in lines.take(MOST_Y_LINES).enumerate() {
                let line = fonts.fit(&line, size::AXIS, false, height);
                let at = (area.left + size::AXIS * (0.8 + 1.15 * i as f64), (frame.top + frame.bottom) / 2.0);
                shapes.push(Shape::Text(Text { upright: true, anchor: Anchor::Middle, ..axis_title(at, &line) }));
            }
        }
    }

    /// Draws the labels; returns the places of the shapes of each.
    fn draw_labels(
        &self,
        panel: &Panel,
        map: &Map<'_>,
        fonts: &Fonts<'_>,
        shapes: &mut Vec<Shape>,
    ) -> Vec<Range<usize>> {
        let mut places = Vec::new();
        let frame = map.frame;
        let wanted =
            panel.labels.iter().map(|label| map.y(label.at.1).clamp(frame.top, frame.bottom)).collect::<Vec<_>>();
        let placed = spread(&wanted, self.label_height, frame.top, frame.bottom);
        for ((label, wanted), y) in panel.labels.iter().zip(wanted).zip(placed) {
            let (x, from) = (frame.right + LABEL_GAP, shapes.len());
            // From what it names to the text, with a bend at the frame.
            let end = map.x(label.at.0) + 3.5;
            if (y - wanted).abs() > 2.0 || end < frame.right - 2.0 {
                let points = vec![(end.min(frame.right), wanted), (frame.right.max(end), wanted), (x - 1.5, y)];
                shapes.push(Shape::Path { points, width: 0.6, colour: Colour::pale(label.colour.ink) });
            }
            let lines = label.text.lines().collect::<Vec<_>>();
            for (i, line) in lines.iter().enumerate() {
                let below = (i as f64 - (lines.len() - 1) as f64 / 2.0) * LEADING;
                let text = fonts.fit(line, size::LABEL, false, self.widest_label);
                let at = (x, y + (0.36 + below) * size::LABEL);
                shapes.push(line_of_text(at, text, size::LABEL, false, label.colour.ink));
            }
            places.push(from..shapes.len());
        }
        places
    }
}

/// The lines of the longest label.
fn lines_of_labels(panels: &[Panel]) -> usize {
    let labels = panels.iter().flat_map(|panel| &panel.labels);
    labels.map(|label| label.text.lines().count()).max().unwrap_or(1).max(1)
}

fn rule(from: (f64, f64), to: (f64, f64), width: f64, ink: Ink) -> Shape {
    Shape::Path { points: vec![from, to], width, colour: Colour::full(ink) }
}

fn line_of_text(at: (f64, f64), text: String, size: f64, bold: bool, ink: Ink) -> Shape {
    Shape::Text(Text { at, text, size, bold, anchor: Anchor::Start, colour: Colour::full(ink), upright: false })
}

fn tick_text(at: (f64, f64), text: &str) -> Text {
    Text {
        at,
        text: text.to_owned(),
        size: size::TICK,
        bold: false,
        anchor: Anchor::Start,
        colour: Colour::full(Ink::Muted),
        upright: false,
    }
}

fn axis_title(at: (f64, f64), text: &str) -> Text {
    Text { size: size::AXIS, colour: Colour::full(Ink::Text), ..tick_text(at, text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::charts::tests::every_figure;

    /// Left, top, right, bottom of a text, from the height of its letters.
    fn bounds(text: &Text, fonts: &Fonts<'_>) -> Frame {
        let width = fonts.width(&text.text, text.size, text.bold);
        let before = match text.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => width / 2.0,
            Anchor::End => width,
        };
        let (x, y) = text.at;
        if text.upright {
            return Frame { left: x - 0.73 * text.size, top: y - width + before, right: x, bottom: y + before };
        }
        Frame { left: x - before, top: y - 0.73 * text.size, right: x - before + width, bottom: y }
    }

    fn every_scene(fonts: &Fonts<'_>) -> Vec<(Figure, Scene)> {
        let bare = Page { has_words: false, ..Page::COLUMN };
        let pages = [Page::REPORT, Page::COLUMN, bare];
        let on_each = |figure: Figure| pages.map(|page| (figure.clone(), lay_out(&figure, &page, fonts)));
        every_figure().into_iter().flat_map(on_each).collect()
    }

    #[test]
    fn no_text_is_clipped_and_no_two_texts_overlap() {
        let fonts = Fonts::new(None);
        for (figure, scene) in every_scene(&fonts) {
            let texts = scene.shapes.iter().filter_map(|shape| match shape {
                Shape::Text(text) => Some((text.text.clone(), bounds(text, &fonts))),
                _ => None,
            });
            let texts = texts.collect::<Vec<_>>();
            for (i, (text, a)) in texts.iter().enumerate() {
                let inside = a.left >= 0.0 && a.top >= 0.0 && a.right <= scene.width && a.bottom <= scene.height;
                assert!(inside, "`{text}` leaves the page of {}: {a:?}", figure.name);
                for (other, b) in &texts[i + 1..] {
                    let apart = a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
                    assert!(apart, "`{text}` and `{other}` overlap in {}: {a:?} {b:?}", figure.name);
                }
            }
        }
    }

    #[test]
    fn everything_drawn_is_on_the_page() {
        let fonts = Fonts::new(None);
        for (figure, scene) in every_scene(&fonts) {
            let on_page = |&(x, y): &(f64, f64)| (0.0..=scene.width).contains(&x) && (0.0..=scene.height).contains(&y);
            for shape in &scene.shapes {
                let fine = match shape {
                    Shape::Path { points, .. } | Shape::Area { points, .. } => points.iter().all(on_page),
                    Shape::Disc { centre, .. } => on_page(centre),
                    Shape::Text(_) => true,
                };
                assert!(fine, "{shape:?} leaves the page of {}", figure.name);
            }
        }
    }
}
