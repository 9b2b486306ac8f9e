//! The rows of a table of runs, in three shapes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Column, Kind, TableError, Value};
use crate::store::{Event, Facts, LoggedPoint, Measured, RunDir, SeriesBook, Store, StoreError};
use crate::types::Timestamp;

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A run: who it is, its settings, the last, least and largest value of each metric.
    Runs,
    /// A point of a series.
    Long,
    /// A step of a run, with a column for each metric.
    Wide,
}

/// Columns of a run beside its settings and metrics.
const OF_RUN: [(&str, Kind); 17] = [
    ("id", Kind::Text),
    ("experiment", Kind::Text),
    ("name", Kind::Text),
    ("state", Kind::Text),
    ("reason", Kind::Text),
    ("tags", Kind::Text),
    ("note", Kind::Text),
    ("created", Kind::Moment),
    ("started", Kind::Moment),
    ("ended", Kind::Moment),
    ("took_secs", Kind::Number),
    ("steps_done", Kind::Count),
    ("total_steps", Kind::Count),
    ("parameters", Kind::Count),
    ("spec_hash", Kind::Text),
    ("logged_by", Kind::Text),
    ("starts_from", Kind::Text),
];

/// The columns of a table of `runs`.
pub(super) fn columns(runs: &[Facts], shape: Shape) -> Vec<Column> {
    let fixed = |columns: &[(&str, Kind)]| columns.iter().map(|(name, kind)| Column::new(*name, *kind)).collect();
    let metrics = metrics(runs);
    match shape {
        Shape::Runs => {
            let mut columns: Vec<Column> = fixed(&OF_RUN);
            columns.extend(settings(runs).map(|(key, kind)| Column::new(named(key, &metrics), kind)));
            for metric in metrics {
                let of = [metric.to_owned(), format!("{metric}.min"), format!("{metric}.max")];
                columns.extend(of.map(|name| Column::new(spelled(name), Kind::Number)));
            }
            told_apart(columns)
        }
        Shape::Long => fixed(&[
            ("run", Kind::Text),
            ("experiment", Kind::Text),
            ("metric", Kind::Text),
            ("step", Kind::Count),
            ("value", Kind::Number),
            ("time", Kind::Moment),
        ]),
        Shape::Wide => {
            let mut columns: Vec<Column> =
                fixed(&[("run", Kind::Text), ("experiment", Kind::Text), ("step", Kind::Count)]);
            columns.extend(metrics.into_iter().map(|metric| Column::new(spelled(metric.to_owned()), Kind::Number)));
            told_apart(columns)
        }
    }
}

/// A metric's column: `metric.NAME` is that of a metric which is called as another column is, so one that begins so has it twice.
fn spelled(metric: String) -> String {
    if metric.starts_with("metric.") { format!("metric.{metric}") } else { metric }
}

/// Columns of which each has a name of its own: a metric that is called as a column before it is `metric.NAME`.
fn told_apart(columns: Vec<Column>) -> Vec<Column> {
    let mut taken = BTreeSet::new();
    let apart = |Column { mut name, kind }: Column| {
        while !taken.insert(name.clone()) {
            name = format!("metric.{name}");
        }
        Column { name, kind }
    };
    columns.into_iter().map(apart).collect()
}

/// Hands each row of the table on.
pub(super) fn each(
    store: &Store,
    runs: &[Facts],
    shape: Shape,
    take: &mut dyn FnMut(&[Value]) -> Result<(), TableError>,
) -> Result<(), TableError> {
    if shape == Shape::Runs {
        let settings: Vec<(&str, Kind)> = settings(runs).collect();
        let metrics = metrics(runs);
        return runs.iter().try_for_each(|run| take(&of_run(run, &settings, &metrics)));
    }
    let metrics = metrics(runs);
    for run in runs {
        let head = [Value::Text(run.row.id.to_string()), maybe(run.row.experiment())];
        let dir = store.run(&run.row.id)?;
        match shape {
            Shape::Long if run.row.spec_hash.is_none() => as_logged(&head, &dir, take)?,
            Shape::Wide => wide(&head, &dir.read_overview()?.2, &metrics, take)?,
            _ => long(&head, &dir.read_overview()?.2, take)?,
        }
    }
    Ok(())
}

fn metrics(runs: &[Facts]) -> BTreeSet<&str> {
    runs.iter().flat_map(|run| run.row.metrics.keys()).map(|metric| metric.as_str()).collect()
}

/// Every setting of any run, a number or a count where it is one wherever it is set.
fn settings(runs: &[Facts]) -> impl Iterator<Item = (&str, Kind)> {
    let mut all: BTreeMap<&str, Kind> = BTreeMap::new();
    for (key, value) in runs.iter().flat_map(|run| &run.settings) {
        let kind = match number(value) {
            None => Kind::Text,
            Some(_) if value.parse::<i64>().is_ok() => Kind::Count,
            Some(_) => Kind::Number,
        };
        let both = |known: Kind| match (known, kind) {
            (Kind::Text, _) | (_, Kind::Text) => Kind::Text,
            (Kind::Count, Kind::Count) => Kind::Count,
            _ => Kind::Number,
        };
        all.entry(key).and_modify(|known| *known = both(*known)).or_insert(kind);
    }
    all.into_iter()
}

/// What is a number, and means nothing else: `0012` and a seed of 20 digits are texts.
fn number(value: &str) -> Option<f64> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let is_plain =
        !(digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit()) && value != "-0";
    let is_exact = value.bytes().filter(u8::is_ascii_digit).count() <= 15;
    let is_spelled = digits.starts_with(|c: char| c.is_ascii_digit());
    value.parse::<f64>().ok().filter(|number| number.is_finite() && is_exact && is_plain && is_spelled)
}

/// A setting's column; a guest may call one as a column is called, and then it is named as a query names it.
fn named(key: &str, metrics: &BTreeSet<&str>) -> String {
    let is_metric =
        |key: &str| metrics.contains(key) || key.rsplit_once('.').is_some_and(|(name, _)| metrics.contains(name));
    if OF_RUN.iter().any(|(name, _)| *name == key) || is_metric(key) { format!("param.{key}") } else { key.to_owned() }
}

fn of_run(run: &Facts, settings: &[(&str, Kind)], metrics: &BTreeSet<&str>) -> Vec<Value> {
    let row = &run.row;
    let hash = row.spec_hash.map(|hash| hash.to_string());
    let tags = row.labels.tags.iter().map(String::as_str).collect::<Vec<_>>().join(",");
    let moment = |at: Option<Timestamp>| at.map_or(Value::Missing, Value::Moment);
    let parent = run.edges.iter().find(|(role, _)| role.name() == "starts_from").map(|(_, other)| other.as_str());
    let mut values = vec![
        Value::Text(row.id.to_string()),
        maybe(row.experiment()),
        maybe(row.labels.name.as_deref()),
        maybe(Some(row.state.name())),
        maybe(row.reason.as_deref()),
        maybe(Some(tags.as_str()).filter(|tags| !tags.is_empty())),
        maybe(row.labels.note.as_deref()),
        moment(row.created_at),
        moment(row.started_at),
        moment(row.ended_at),
        row.worked_secs().map_or(Value::Missing, Value::Number),
        count(Some(row.steps_done.0)),
        count(row.total_steps),
        count(row.parameters),
        maybe(hash.as_deref()),
        maybe(row.logged_by.as_deref()),
        maybe(parent),
    ];
    values.extend(settings.iter().map(|(key, kind)| match run.settings.get(*key) {
        None => Value::Missing,
        Some(value) => match kind {
            Kind::Number => number(value).map_or(Value::Missing, Value::Number),
            Kind::Count => value.parse().map_or(Value::Missing, Value::Count),
            Kind::Text | Kind::Moment => Value::Text(value.clone()),
        },
    }));
    for name in metrics {
        let found = row.metrics.iter().find(|(metric, _)| metric.as_str() == *name).map(|(_, summary)| summary);
        let number = |value: Option<f64>| value.map_or(Value::Missing, Value::Number);
        values.extend([
            number(found.map(|summary| summary.last)),
            number(found.and_then(|summary| summary.min)),
            number(found.and_then(|summary| summary.max)),
        ]);
    }
    values
}

fn maybe(text: Option<&str>) -> Value {
    text.map_or(Value::Missing, |text| Value::Text(text.to_owned()))
}

fn count(count: Option<u64>) -> Value {
    count.and_then(|count| i64::try_from(count).ok()).map_or(Value::Missing, Value::Count)
}

/// Every point of a guest as it came: repeated and falling steps, too.
fn as_logged(
    head: &[Value; 2],
    run: &RunDir,
    take: &mut dyn FnMut(&[Value]) -> Result<(), TableError>,
) -> Result<(), TableError> {
    for event in run.events()? {
        let Event::Points { points } = event? else { continue };
        for LoggedPoint { key, step, value, at } in points {
            take(&[
                head[0].clone(),
                head[1].clone(),
                Value::Text(key.to_string()),
                Value::Count(step),
                Value::Number(value),
                at.map_or(Value::Missing, Value::Moment),
            ])?;
        }
    }
    Ok(())
}

fn long(
    head: &[Value; 2],
    series: &SeriesBook,
    take: &mut dyn FnMut(&[Value]) -> Result<(), TableError>,
) -> Result<(), TableError> {
    for metric in series.summaries().into_keys() {
        let mut row = [
            head[0].clone(),
            head[1].clone(),
            Value::Text(metric.to_string()),
            Value::Missing,
            Value::Missing,
            Value::Missing,
        ];
        for point in series.points(metric.as_str()) {
            let Measured { step, value, at } = point?;
            row[3] = Value::Count(step);
            row[4] = Value::Number(value);
            row[5] = at.map_or(Value::Missing, Value::Moment);
            take(&row)?;
        }
    }
    Ok(())
}

/// Each step that any metric has, with the values of all that have it.
fn wide(
    head: &[Value; 2],
    series: &SeriesBook,
    metrics: &BTreeSet<&str>,
    take: &mut dyn FnMut(&[Value]) -> Result<(), TableError>,
) -> Result<(), TableError> {
    let mut all = metrics.iter().map(|metric| series.points(metric).peekable()).collect::<Vec<_>>();
    loop {
        let mut next: Option<i64> = None;
        for points in &mut all {
            if let Some(point) = points.peek() {
                let step = match point {
                    Ok(point) => point.step,
                    Err(_) => i64::MIN, // Taken, and reported, below.
                };
                next = Some(next.map_or(step, |next| next.min(step)));
            }
        }
        let Some(step) = next else { return Ok(()) };
        let mut row = vec![head[0].clone(), head[1].clone(), Value::Count(step)];
        for points in &mut all {
            let is_here =
                |point: &Result<Measured, StoreError>| point.as_ref().map_or(true, |point| point.step == step);
            row.push(match points.next_if(is_here).transpose()? {
                Some(point) => Value::Number(point.value),
                None => Value::Missing,
            });
        }
        take(&row)?;
    }
}
