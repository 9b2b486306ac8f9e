//! The cells of a sweep: a map over two of its axes, and a table of all, each with its runs, their states and values.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::{short, typed};
use crate::report::listing::ListedRun;
use crate::report::{format, spelling};
use crate::server::App;
use crate::store::RunState;
use crate::types::metrics::Goal;
use crate::types::{MetricName, RunId};

/// Shades, the best first.
const SHADES: usize = 5;

/// Squares of a cell that are shown; of more runs the others are counted.
const MOST_SQUARES: usize = 24;

/// Rows and columns of a map, at most: what is larger is read as a table.
const MOST_VALUES: usize = 40;

/// The cells of an experiment, the best first.
pub struct Cells<'r> {
    cells: Vec<Cell<'r>>,
    decides: Option<&'r MetricName>,
    /// Every axis with its values, in their order.
    axes: BTreeMap<String, Vec<String>>,
}

/// A cell of the sweep with its runs.
struct Cell<'r> {
    axes: BTreeMap<String, String>,
    runs: Vec<&'r ListedRun>,
    /// Those that have no run yet.
    waiting: usize,
    mean: Option<f64>,
    shade: Option<String>,
}

impl<'r> Cells<'r> {
    /// The cells of `runs` by the metric that decides; `waiting` are the cells of what a sweep has still to begin. The axes of a sweep
    /// are in its plan; those of other runs are `found`: the settings in which they differ.
    pub fn new(
        runs: &'r [ListedRun],
        waiting: &[serde_json::Map<String, serde_json::Value>],
        decides: Option<&'r MetricName>,
        found: Option<&BTreeMap<RunId, BTreeMap<String, String>>>,
    ) -> Self {
        let spelled = |axes: &serde_json::Map<String, serde_json::Value>| -> BTreeMap<String, String> {
            axes.iter().map(|(key, value)| (key.clone(), spelling::axis_value(value))).collect()
        };
        let is_planned = runs.iter().any(|run| !run.axes.is_empty());
        let mut by_axes = BTreeMap::<BTreeMap<String, String>, (Vec<&ListedRun>, usize)>::new();
        for run in runs.iter().filter(|run| run.reproduces.is_none()) {
            let axes = match is_planned {
                true => spelled(&run.axes),
                false => found.and_then(|found| found.get(&run.id)).cloned().unwrap_or_default(),
            };
            by_axes.entry(axes).or_default().0.push(run);
        }
        for axes in waiting {
            by_axes.entry(spelled(axes)).or_default().1 += 1;
        }
        let mut cells: Vec<Cell<'_>> = by_axes
            .into_iter()
            .map(|(axes, (mut runs, waiting))| {
                runs.sort_by_key(|run| (run.replicate, run.seed, run.id.clone()));
                let finished = runs.iter().filter(|run| run.state == RunState::Finished);
                let mean = mean(finished.filter_map(|run| value(run, decides)));
                Cell { axes, runs, waiting, mean, shade: None }
            })
            .collect();
        let sign = match decides.map(|metric| Goal::usual(metric.as_str())) {
            Some(Goal::Maximize) => -1.0,
            _ => 1.0,
        };
        let order = |cell: &Cell<'_>| cell.mean.map_or(f64::INFINITY, |mean| sign * mean);
        cells.sort_by(|a, b| order(a).total_cmp(&order(b)).then_with(|| a.axes.cmp(&b.axes)));
        let ranked = cells.iter().filter(|cell| cell.mean.is_some()).count();
        for (place, cell) in cells.iter_mut().enumerate().take(ranked) {
            cell.shade = Some(shade(place, ranked));
        }
        let mut axes = BTreeMap::<String, BTreeSet<&String>>::new();
        for (key, value) in cells.iter().flat_map(|cell| &cell.axes) {
            axes.entry(key.clone()).or_default().insert(value);
        }
        let axes = axes.into_iter().map(|(key, values)| (key, in_order(values))).collect();
        Self { cells, decides, axes }
    }

    /// Two axes as the sides of a map, those that are asked for or the two with most values; the other axes are averaged over.
    pub fn map(&self, app: &App, asked: (Option<&str>, Option<&str>), address: &str) -> Markup {
        let mut by_size: Vec<&String> =
            self.axes.iter().filter(|(_, values)| values.len() > 1).map(|(key, _)| key).collect();
        by_size.sort_by_key(|key| std::cmp::Reverse(self.axes[*key].len()));
        let named = |name: Option<&str>| by_size.iter().copied().find(|key| Some(key.as_str()) == name);
        let Some(x) = named(asked.0).or_else(|| by_size.iter().copied().find(|key| named(asked.1) != Some(key))) else {
            return html! {};
        };
        let Some(y) = named(asked.1).filter(|y| *y != x).or_else(|| by_size.iter().copied().find(|key| *key != x))
        else {
            return html! {};
        };
        let (columns, rows) = (&self.axes[x], &self.axes[y]);
        if columns.len() > MOST_VALUES || rows.len() > MOST_VALUES {
            return html! {};
        }
        let mut fields = BTreeMap::<(&String, &String), Vec<&Cell<'_>>>::new();
        for cell in &self.cells {
            if let (Some(row), Some(column)) = (cell.axes.get(y), cell.axes.get(x)) {
                fields.entry((row, column)).or_default().push(cell);
            }
        }
        // The best of the fields has the darkest shade, as in the table: their order is that of their first cells' goal.
        let means: BTreeMap<_, _> =
            fields.iter().map(|(place, cells)| (*place, mean(cells.iter().filter_map(|cell| cell.mean)))).collect();
        let ranked = means.iter().filter_map(|(place, mean)| Some((*place, mean.filter(|mean| !mean.is_nan())?)));
        let mut ranking: Vec<_> = ranked.collect();
        let is_larger_better = self.decides.is_some_and(|metric| Goal::usual(metric.as_str()) == Goal::Maximize);
        ranking.sort_by(|(_, a), (_, b)| if is_larger_better { b.total_cmp(a) } else { a.total_cmp(b) });
        let shades: BTreeMap<_, _> =
            ranking.iter().enumerate().map(|(place, (at, _))| (*at, shade(place, ranking.len()))).collect();
        let others = by_size.len() - 2;
        let choice = |name: &str, label: &str, chosen: &String| {
            html! {
                label for={ "map-" (name) } { (label) }
                select id={ "map-" (name) } name=(name) { @for key in &by_size { option value=(key) selected[*key == chosen] { (key) } } }
            }
        };
        html! {
            h2 { "Map" }
            @if by_size.len() > 2 {
                form.metric method="get" action=(address) {
                    @if let Some(metric) = self.decides { input type="hidden" name="metric" value=(metric); }
                    (choice("x", "across", x)) (choice("y", "down", y))
                    button type="submit" { "Show" }
                    span.quiet { @if others == 1 { "the mean over the other axis" } @else { "the mean over " (others) " other axes" } }
                }
            }
            div.scroll tabindex="0" role="region" aria-label="Map" {
                table.grid.map {
                    thead { tr { th scope="col" { (short(y)) " \\ " (short(x)) } @for column in columns { th.number scope="col" title=(x) { (typed(column)) } } } }
                    tbody {
                        @for row in rows {
                            tr {
                                th scope="row" title=(y) { (typed(row)) }
                                @for column in columns {
                                    @let place = (row, column);
                                    @match fields.get(&place) {
                                        None => td.number.none { "\u{2013}" },
                                        Some(cells) => td class={ "number mean " (shades.get(&place).map_or("", String::as_str)) } {
                                            (field(app, cells, means[&place]))
                                        },
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// All cells, and of each run its state and its value.
    pub fn table(&self, app: &App) -> Markup {
        html! {
            h2 { "Cells" }
            div.scroll tabindex="0" role="region" aria-label="Cells" {
                table.grid {
                    thead {
                        tr {
                            @for key in self.axes.keys() { th scope="col" title=(key) { (short(key)) } }
                            th.number scope="col" { @match self.decides { Some(metric) => { "mean " (metric) }, None => "mean" } }
                            th scope="col" { "runs" }
                        }
                    }
                    tbody {
                        @for cell in &self.cells {
                            tr class=[cell.shade.as_ref()] {
                                @for key in self.axes.keys() {
                                    td { @match cell.axes.get(key) { Some(value) => (typed(value)), None => span.none { "\u{2013}" } } }
                                }
                                td.number.mean { (format::metric(cell.mean)) }
                                td.squares {
                                    @for run in cell.runs.iter().take(MOST_SQUARES) { (square(app, run, self.decides)) " " }
                                    @if cell.runs.len() > MOST_SQUARES { span.quiet { (cell.runs.len() - MOST_SQUARES) " more " } }
                                    @if cell.waiting > 0 { span.square.waiting { (cell.waiting) " waiting" } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A field of the map: its mean, how many of its runs are done, and what is the matter with the others.
fn field(app: &App, cells: &[&Cell<'_>], mean: Option<f64>) -> Markup {
    let runs = || cells.iter().flat_map(|cell| cell.runs.iter());
    let waiting: usize = cells.iter().map(|cell| cell.waiting).sum();
    let (finished, all) = (runs().filter(|run| run.state == RunState::Finished).count(), runs().count() + waiting);
    let only = runs().next().filter(|_| all == 1);
    let state = |of: RunState| runs().filter(|run| run.state == of).count();
    let value = format::metric(mean);
    html! {
        @match only {
            Some(run) => a href={ (app.root_path) "/runs/" (run.id) } title=(run.state.name()) { (value) },
            None => (value),
        }
        @if finished < all {
            " " small { (finished) "/" (all) }
            @for of in [RunState::Running, RunState::Failed, RunState::Lost] {
                @if state(of) > 0 { " " span class={ "state " (of.name()) } { (state(of)) " " (of.name()) } }
            }
        }
    }
}

fn square(app: &App, run: &ListedRun, decides: Option<&MetricName>) -> Markup {
    let value = value(run, decides);
    html! {
        a class={ "square " (run.state.name()) } href={ (app.root_path) "/runs/" (run.id) } title=(about(run, value)) {
            (value.map_or_else(|| run.state.name().to_owned(), |value| format::metric(Some(value))))
        }
    }
}

fn value(run: &ListedRun, decides: Option<&MetricName>) -> Option<f64> {
    run.metrics.get(decides?).copied()
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// The class of a place among so many.
fn shade(place: usize, of: usize) -> String {
    format!("shade{}", place * SHADES / of.max(1))
}

/// Values of an axis: numbers by their size, and then words.
fn in_order(values: BTreeSet<&String>) -> Vec<String> {
    let mut values: Vec<String> = values.into_iter().cloned().collect();
    let number = |text: &String| text.parse::<f64>().unwrap_or(f64::INFINITY);
    values.sort_by(|a, b| number(a).total_cmp(&number(b)).then_with(|| a.cmp(b)));
    values
}

fn about(run: &ListedRun, value: Option<f64>) -> String {
    let steps = match run.total_steps {
        Some(total) => format!("{} of {total} steps", run.steps_done),
        None => format!("{} steps", run.steps_done),
    };
    let seed = run.seed.map(|seed| format!(", seed {seed}")).unwrap_or_default();
    format!("{} {}: {}, {steps}{seed}", run.id, run.state.name(), format::metric(value))
}
