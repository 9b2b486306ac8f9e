//! A figure made for a page, arranged anew for one of two columns: fewer panels a row, and words on several lines.
//!
//! A row of a forest plot has its numbers under its name, so that the middle stays wide enough to be read; everywhere else
//! labels stay at the right, broken between words. Nothing is left out.

use super::figure::{Figure, Label, Mark, Panel, PlotAxis};
use super::page::Page;
use super::text::{Fonts, wrap};
use super::theme::size;

/// The widest label, as a share of the page.
const WIDEST_LABEL: f64 = 0.3;
/// The width of an axis title, as a share of the page, and its length beside a frame in points.
const WIDEST_TITLE: f64 = 0.66;
const LONGEST_TITLE: f64 = 125.0;
/// What a row of panels with axes takes, and what stands around it.
const ROW_PT: f64 = 150.0;
const AROUND_PT: f64 = 60.0;

/// `figure` for the narrower `page`.
pub fn narrowed(figure: &Figure, page: &Page, fonts: &Fonts<'_>) -> Figure {
    let mut figure = figure.clone();
    let before = figure.panels.len().div_ceil(figure.columns.max(1));
    let has_rows = figure.panels.iter().any(is_rows);
    let has_labels = figure.panels.iter().any(|panel| !panel.labels.is_empty());
    figure.columns = figure.columns.min(if has_labels { 1 } else { 2 });
    let mut most_lines = 1;
    for panel in &mut figure.panels {
        if is_rows(panel) {
            join_rows(panel);
        }
        most_lines = most_lines.max(arrange(panel, page, figure.columns, fonts));
    }
    let rows = figure.panels.len().div_ceil(figure.columns.max(1));
    figure.height = if has_rows {
        let places = figure.panels.iter().map(|panel| panel.y.ticks.len()).max().unwrap_or(1);
        let least = places as f64 * (most_lines as f64 * 1.2 * size::TICK + 4.0);
        AROUND_PT + least.max(figure.height - 100.0)
    } else if before == rows && figure.height < AROUND_PT + ROW_PT {
        figure.height
    } else {
        AROUND_PT + ROW_PT * rows as f64
    };
    figure
}

/// Whether each label names a tick, as in a forest plot.
fn is_rows(panel: &Panel) -> bool {
    !panel.labels.is_empty()
        && panel
            .labels
            .iter()
            .all(|label| panel.y.ticks.iter().any(|tick| tick.at == label.at.1 && !tick.text.is_empty()))
        && !panel.y.grid
}

/// Puts what stands right of a row below its name.
fn join_rows(panel: &mut Panel) {
    for label in std::mem::take(&mut panel.labels) {
        if let Some(tick) = panel.y.ticks.iter_mut().find(|tick| tick.at == label.at.1) {
            tick.text = format!("{}\n{}", tick.text, label.text);
        }
    }
}

/// Breaks texts into lines; returns the lines of the longest tick of the y axis.
fn arrange(panel: &mut Panel, page: &Page, columns: usize, fonts: &Fonts<'_>) -> usize {
    let break_at = |text: &str, size: f64, width: f64| {
        let lines = text.lines().flat_map(|line| wrap(fonts, line, size, false, width));
        lines.collect::<Vec<_>>().join("\n")
    };
    for tick in &mut panel.y.ticks {
        tick.text = break_at(&tick.text, size::TICK, page.widest_tick() * page.width - 2.0);
    }
    // Values on parallel axes end before the next axis, whose place is one further on.
    if panel.y.ticks.is_empty() {
        let apart = (page.width - AROUND_PT / 2.0) / (panel.x.high - panel.x.low).max(1.0);
        for mark in &mut panel.marks {
            if let Mark::Note { text, .. } = mark {
                *text = fonts.fit(text, size::TICK, false, apart - 6.0);
            }
        }
    }
    for Label { text, .. } in &mut panel.labels {
        *text = break_at(text, size::LABEL, WIDEST_LABEL * page.width);
    }
    let title = |axis: &mut PlotAxis, width: f64| axis.label = break_at(&axis.label, size::AXIS, width);
    // Titles of neighbours stand side by side.
    title(&mut panel.x, WIDEST_TITLE * page.width / columns.max(1) as f64);
    title(&mut panel.y, LONGEST_TITLE);
    panel.y.ticks.iter().map(|tick| tick.text.lines().count()).max().unwrap_or(1)
}
