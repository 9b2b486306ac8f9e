//! The tables of a report as values, and two ways to write them: CSV with every digit, for programs, and LaTeX with the
//! digits that mean something, for papers.

use crate::analysis::{
    Axis, CellSummary, Comparison, Effect, Importance, Part, RunData, RunState, Summary, against_baseline, importance,
    marginal_effects, plus_minus, settings_of, summarize,
};
use crate::types::RunId;

use super::spelling::{decimal, p_value};

mod csv;
mod latex;

pub use csv::{csv, csv_of_runs};
pub use latex::latex;

/// A table.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The stem of its file name.
    pub name: &'static str,
    /// What it holds, in a sentence.
    pub title: String,
    columns: Vec<Column>,
    /// One entry for each column.
    rows: Vec<Vec<Entry>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Column {
    name: String,
    is_number: bool,
    reader: Reader,
}

/// Whom a column is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Both,
    /// Spelled numbers, several of them in one column.
    Person,
    /// Single numbers, and what is too long for paper.
    Program,
}

#[derive(Clone, Debug, PartialEq)]
enum Entry {
    Text(String),
    /// With its spelling.
    Number(f64, String),
    Missing,
}

impl Entry {
    fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    fn count(count: u64) -> Self {
        Self::Number(count as f64, decimal(count as f64, 0))
    }

    /// A number with all its digits for a program.
    fn exact(value: Option<f64>, decimals: usize) -> Self {
        value.map_or(Self::Missing, |value| Self::Number(value, decimal(value, decimals)))
    }
}

fn column(name: impl Into<String>, is_number: bool, reader: Reader) -> Column {
    Column { name: name.into(), is_number, reader }
}

/// Every table that `comparison` has: cells, effects, comparisons with baseline and best, importance, runs.
pub fn tables(comparison: &Comparison) -> Vec<Table> {
    let summary = summarize(comparison);
    let mut tables = vec![cells(comparison, &summary)];
    tables.extend(effects(
        "effects",
        "Difference between two values of an axis, over the settings of the others",
        &marginal_effects(comparison),
    ));
    tables.extend(effects("against-baseline", "Every cell against the baseline", &against_baseline(comparison)));
    tables.extend(effects("against-best", "Every cell against the best", &summary.rivals));
    tables.extend(importance(comparison).ok().map(|found| shares(&found)));
    tables.push(runs(comparison));
    tables
}

fn axis_columns(comparison: &Comparison) -> impl Iterator<Item = Column> {
    comparison.axes.iter().flat_map(Axis::settings).map(|name| column(name, false, Reader::Both))
}

/// An entry for each setting of an axis.
fn of_axis(axis: &Axis, value: Option<&str>) -> Vec<Entry> {
    match value {
        Some(value) => settings_of(&axis.name, value).map(|(_, value)| Entry::text(value)).collect(),
        None => axis.settings().map(|_| Entry::Missing).collect(),
    }
}

fn cells(comparison: &Comparison, summary: &Summary) -> Table {
    let mut columns = vec![column("rank", true, Reader::Both)];
    columns.extend(axis_columns(comparison));
    columns.extend([
        column("n", true, Reader::Both),
        column(format!("{} \u{b1} 95 %", summary.metric), true, Reader::Person),
        column("mean", true, Reader::Program),
        column("low_95", true, Reader::Program),
        column("high_95", true, Reader::Program),
        column("sd", true, Reader::Program),
        column("min", true, Reader::Both),
        column("max", true, Reader::Both),
        column("without_result", false, Reader::Program),
    ]);
    let row = |(i, cell): (usize, &CellSummary)| {
        let rank = summary.ranking.iter().position(|&ranked| ranked == i);
        let mut row = vec![rank.map_or(Entry::Missing, |rank| Entry::count(rank as u64 + 1))];
        row.extend(comparison.axes.iter().flat_map(|axis| of_axis(axis, cell.key.value(&axis.name))));
        let estimate = cell.estimate.as_ref();
        let interval = estimate.and_then(|estimate| estimate.interval);
        let of = |value: Option<f64>| Entry::exact(value, 4);
        row.extend([
            Entry::count(estimate.map_or(0, |estimate| estimate.n) as u64),
            estimate.map_or(Entry::Missing, |estimate| Entry::text(plus_minus(estimate))),
            of(estimate.map(|estimate| estimate.mean)),
            of(interval.map(|interval| interval.low)),
            of(interval.map(|interval| interval.high)),
            of(estimate.and_then(|estimate| estimate.sd)),
            of(estimate.map(|estimate| estimate.min)),
            of(estimate.map(|estimate| estimate.max)),
            Entry::text(cell.missing()),
        ]);
        row
    };
    let title = format!("Cells by {}, the best first", summary.metric);
    Table { name: "cells", title, columns, rows: summary.by_rank().map(row).collect() }
}

/// Absent where there is no effect.
fn effects(name: &'static str, title: &str, effects: &[Effect]) -> Option<Table> {
    let reference = effects.first()?.reference.clone();
    let columns = vec![
        column("effect", false, Reader::Both),
        column("difference \u{b1} 95 %", true, Reader::Person),
        column("difference", true, Reader::Program),
        column("low_95", true, Reader::Program),
        column("high_95", true, Reader::Program),
        column("settings", true, Reader::Both),
        column("p (corrected)", true, Reader::Person),
        column("p_corrected", true, Reader::Program),
        column("verdict", false, Reader::Both),
        column("note", false, Reader::Program),
    ];
    let row = |effect: &Effect| {
        let interval = effect.interval();
        vec![
            Entry::text(effect.name()),
            effect.size().map_or(Entry::Missing, Entry::Text),
            Entry::exact(effect.difference.map(|difference| difference.mean), 4),
            Entry::exact(interval.map(|interval| interval.low), 4),
            Entry::exact(interval.map(|interval| interval.high), 4),
            Entry::count(effect.blocks() as u64),
            effect.adjusted_p.map_or(Entry::Missing, |p| Entry::Text(p_value(p))),
            Entry::exact(effect.adjusted_p, 4),
            Entry::text(effect.word()),
            effect.advice().map_or(Entry::Missing, Entry::Text),
        ]
    };
    let rows = effects.iter().map(row).collect();
    let is_of_cells = effects.iter().all(|effect| effect.axis.is_none());
    let title = if is_of_cells { format!("{title}, {reference}") } else { title.to_owned() };
    Some(Table { name, title, columns, rows })
}

fn shares(found: &Importance) -> Table {
    let columns = vec![
        column("part", false, Reader::Both),
        column("share of the variance", true, Reader::Person),
        column("share", true, Reader::Program),
        column("low_95", true, Reader::Program),
        column("high_95", true, Reader::Program),
        column("rank_correlation", true, Reader::Program),
        column("p (corrected)", true, Reader::Person),
        column("p_corrected", true, Reader::Program),
        column("verdict", false, Reader::Both),
    ];
    let row = |part: &Part| {
        vec![
            Entry::text(&part.name),
            Entry::text(part.share_in_words()),
            Entry::exact(part.share, 4),
            Entry::exact(part.interval.map(|interval| interval.low), 4),
            Entry::exact(part.interval.map(|interval| interval.high), 4),
            Entry::exact(part.rank_correlation, 2),
            part.adjusted_p.map_or(Entry::Missing, |p| Entry::Text(p_value(p))),
            Entry::exact(part.adjusted_p, 4),
            Entry::text(part.word()),
        ]
    };
    let title = format!("What matters. {}", found.basis());
    Table { name: "importance", title, columns, rows: found.parts.iter().map(row).collect() }
}

fn runs(comparison: &Comparison) -> Table {
    let mut columns = vec![column("run", false, Reader::Both), column("state", false, Reader::Both)];
    columns.push(column("reason", false, Reader::Program));
    columns.extend(axis_columns(comparison));
    columns.extend([
        column("seed", true, Reader::Both),
        column("parameters", true, Reader::Both),
        column("tokens", true, Reader::Program),
        column("flops", true, Reader::Program),
        column("seconds", true, Reader::Both),
        column("step", true, Reader::Program),
        column(comparison.metric.as_str(), true, Reader::Both),
        column("spec", false, Reader::Program),
    ]);
    let row = |run: &RunData| {
        let last = run.last(&comparison.metric);
        let mut row = vec![
            run.id.as_ref().map_or(Entry::Missing, |id| Entry::text(RunId::as_str(id))),
            Entry::text(run.state.to_string()),
            run.reason.as_ref().map_or(Entry::Missing, Entry::text),
        ];
        row.extend(comparison.axes.iter().flat_map(|axis| of_axis(axis, run.axis(&axis.name))));
        // A seed is a name: no grouping.
        row.push(Entry::Number(run.seed.0 as f64, run.seed.to_string()));
        row.extend([
            Entry::count(run.parameters),
            Entry::count(run.tokens),
            Entry::exact((run.flops > 0.0).then_some(run.flops), 0),
            Entry::exact(Some(run.elapsed_secs), 1),
            last.map_or(Entry::Missing, |point| Entry::Number(point.step as f64, decimal(point.step as f64, 0))),
            Entry::exact(last.filter(|_| run.state == RunState::Finished).map(|point| point.value), 4),
            run.spec.map_or(Entry::Missing, |spec| Entry::text(spec.to_string())),
        ]);
        row
    };
    let title = "Every run; a run that has not finished has no result".to_owned();
    Table { name: "runs", title, columns, rows: comparison.runs.iter().map(row).collect() }
}

impl Table {
    /// The places of the columns that are not for the other reader.
    fn columns_for(&self, reader: Reader) -> Vec<usize> {
        let is_for = |i: &usize| [Reader::Both, reader].contains(&self.columns[*i].reader);
        (0..self.columns.len()).filter(is_for).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;

    #[test]
    fn a_sweep_has_every_table_and_every_row_every_column() {
        let tables = tables(&fixture::sweep());
        let names = tables.iter().map(|table| table.name).collect::<Vec<_>>();
        assert_eq!(names, ["cells", "effects", "against-baseline", "against-best", "importance", "runs"]);
        for table in &tables {
            assert!(table.rows.iter().all(|row| row.len() == table.columns.len()), "{}", table.name);
        }
        assert_eq!(tables.iter().map(|table| table.rows.len()).collect::<Vec<_>>(), [8, 3, 7, 7, 8, 24]);
    }

    #[test]
    fn nothing_finished_still_has_its_tables() {
        let mut comparison = fixture::sweep();
        comparison.runs.iter_mut().for_each(|run| (run.state, run.reason) = (RunState::Planned, None));
        let written = tables(&comparison).iter().map(|table| csv(table) + &latex(table)).collect::<String>();
        assert!(!written.contains("NaN") && written.contains("\\bottomrule"));
    }
}
