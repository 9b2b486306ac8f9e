//! What a run measured: series at any zoom, over steps and over whatever else rises with them, and each point as CSV.
//!
//! A series lies over steps. What it is over tokens or time follows from its steps: the tokens at a step are another series, the
//! times are those of the points themselves. Nothing is interpolated: at a step without the one or the other there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{CONTENT_DISPOSITION, HeaderValue};
use serde_json::{Value, json};

use super::super::App;
use super::super::fault::Fault;
use super::super::http::{Reply, ReplyBody, Request};
use super::super::pieces::pieces;
use super::super::wire::{self, required, shown};
use crate::report::json::value;
use crate::store::{Measured, Series, SeriesBook, StoreError};
use crate::types::Timestamp;

/// The word for the points' own times, where another metric could be named.
const TIME: &str = "time";

/// Points of a piece of CSV, about.
const PIECE: usize = 8_192;

/// Series of a run, at a zoom.
pub fn series(app: &App, request: Request) -> Result<Reply, Fault> {
    let run = app.run_id(&request.names[0])?;
    let [from, to, points] = ["from", "to", "points"].map(|key| wire::count(key, request.asked(key)));
    let (from, to) = (from?, to?);
    let most = match points?.map(usize::try_from) {
        None => 1_000,
        Some(Ok(most)) if (1..=100_000).contains(&most) => most,
        Some(_) => return Err(Fault::invalid("'points' is a number from 1 to 100000")),
    };
    let wanted = request.asked_all("metric");
    let book = app.reader.series(&run)?;
    let missing = |name: &str| Fault::missing(format!("run {run} has no metric '{}'", shown(name)));
    let wanted: Vec<String> = match wanted.is_empty() {
        true => book.summaries().into_keys().map(ToString::to_string).collect(),
        false => wanted,
    };
    let mut found: BTreeMap<&str, Series> = BTreeMap::new();
    for name in &wanted {
        found.insert(name, book.zoomed(name, from, to, most)?.ok_or_else(|| missing(name))?);
    }
    let mut answer = value(&found);
    if let Some(x) = request.asked("x").filter(|x| !x.is_empty()) {
        if x != TIME && book.zoomed(x, None, None, 1)?.is_none() {
            return Err(missing(x));
        }
        place(&mut answer, &found, &Over::of(x, &found, &book)?);
    }
    Ok(Reply::json(&json!({ "format": "ablate-series-1", "run": run, "series": answer })))
}

/// What series are laid over in place of steps.
enum Over {
    Time,
    /// The values of another metric at the steps that are shown.
    Metric(BTreeMap<i64, f64>),
}

impl Over {
    fn of(name: &str, found: &BTreeMap<&str, Series>, book: &SeriesBook) -> Result<Self, StoreError> {
        if name == TIME {
            return Ok(Self::Time);
        }
        let (exact, buckets) = (found.values().filter_map(|series| series.exact.as_ref()), found.values());
        let buckets = buckets.filter_map(|series| series.buckets.as_ref());
        let of_buckets = buckets.flat_map(|buckets| buckets.from.iter().chain(&buckets.to));
        let steps: BTreeSet<i64> = exact.flat_map(|points| &points.steps).chain(of_buckets).copied().collect();
        let steps: Vec<i64> = steps.into_iter().collect();
        let values = book.at_each(name, &steps)?;
        Ok(Self::Metric(steps.into_iter().zip(values).filter_map(|(step, value)| Some((step, value?))).collect()))
    }

    fn column(&self, steps: &[i64], times: &[Option<Timestamp>]) -> Value {
        match self {
            Self::Time => times.iter().map(|at| at.map(Timestamp::unix_millis)).collect(),
            Self::Metric(values) => steps.iter().map(|step| values.get(step).map(value)).collect(),
        }
    }
}

/// Adds the columns of where points and the ends of buckets lie.
fn place(answer: &mut Value, found: &BTreeMap<&str, Series>, over: &Over) {
    for (name, series) in found {
        if let Some(points) = &series.exact {
            answer[name]["exact"]["x"] = over.column(&points.steps, &points.at);
        }
        if let Some(buckets) = &series.buckets {
            answer[name]["buckets"]["x_from"] = over.column(&buckets.from, &buckets.from_at);
            answer[name]["buckets"]["x_to"] = over.column(&buckets.to, &buckets.to_at);
        }
    }
}

/// Every point of a metric, as CSV.
pub fn csv(app: &App, request: Request) -> Result<Reply, Fault> {
    let run = app.run_id(&request.names[0])?;
    let metric = required("metric", request.asked("metric"))?.to_owned();
    let book = app.reader.series(&run)?;
    let has_times = match book.some_from(&metric, i64::MIN)?.last() {
        None => return Err(Fault::missing(format!("run {run} has no metric '{}'", shown(&metric)))),
        Some(point) => point.at.is_some(),
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let file: String = format!("{run}-{metric}.csv").chars().map(plain).collect();
    let attachment = HeaderValue::from_str(&format!("attachment; filename=\"{file}\""));
    let attachment = attachment.unwrap_or(HeaderValue::from_static("attachment"));
    let reply = Reply::new(StatusCode::OK, "text/csv; charset=utf-8", Bytes::new());
    let head = if has_times { "step,value,time\n" } else { "step,value\n" };
    let receiver = pieces((book, Some(i64::MIN), head.to_owned()), move |(book, from, text)| {
        let Some(start) = from else { return Ok(None) };
        let (next, lines) = lines(&book, &metric, start, has_times).map_err(io::Error::other)?;
        Ok(Some(((book, next, String::new()), Bytes::from(text + &lines))))
    });
    Ok(Reply { body: ReplyBody::Pieces { receiver, length: None }, ..reply.with(CONTENT_DISPOSITION, attachment) })
}

/// Lines from a step on, and the step at which to go on.
fn lines(book: &SeriesBook, metric: &str, from: i64, has_times: bool) -> Result<(Option<i64>, String), StoreError> {
    let (mut next, mut lines, mut count) = (Some(from), String::new(), 0);
    while let Some(start) = next.filter(|_| count < PIECE) {
        let points = book.some_from(metric, start)?;
        points.iter().for_each(|point| line(&mut lines, point, has_times));
        count += points.len();
        next = points.last().and_then(|last| last.step.checked_add(1));
    }
    Ok((next, lines))
}

fn line(lines: &mut String, Measured { step, value, at }: &Measured, has_times: bool) {
    let value = match *value {
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        value => value.to_string(),
    };
    let at = at.filter(|_| has_times).map(|at| format!(",{at}"));
    let at = at.or(has_times.then(|| ",".to_owned())).unwrap_or_default();
    let _ = writeln!(lines, "{step},{value}{at}"); // Text takes all.
}
