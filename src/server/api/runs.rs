//! Runs, one or many, and what they say together.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::super::App;
use super::super::fault::Fault;
use super::super::http::{Reply, Request};
use super::super::turns::check_cells;
use super::super::wire::{self, shown};
use crate::analysis::summarize;
use crate::clock;
use crate::report::comparison::{self, document};
use crate::report::json::value;
use crate::report::listing::Listing;
use crate::report::record::RunRecord;
use crate::store::{Facts, Index, Overview, RunQuery, RunVersion, StoreError};
use crate::types::RunId;
use crate::types::metrics;

/// Runs of a page where nobody says, and at most.
const USUAL: usize = 100;
const MOST: usize = 10_000;

/// The runs that a query finds.
pub fn list(app: &App, request: Request) -> Result<Reply, Fault> {
    let most = wire::count("limit", request.asked("limit"))?.map(usize::try_from);
    let most = match most {
        None => USUAL,
        Some(Ok(most)) if (1..=MOST).contains(&most) => most,
        Some(_) => return Err(Fault::invalid(format!("'limit' is a number from 1 to {MOST}"))),
    };
    let mut query = RunQuery::parse(request.asked("query").unwrap_or_default(), clock::now())?;
    if let Some(key) = request.asked("sort").filter(|key| !key.is_empty()) {
        query = query.sorted_by(key);
    }
    let most = query.limit.take().map_or(most, |limit| limit.min(most));
    let after = request.asked("after").filter(|token| !token.is_empty()).map(place).transpose()?;
    let (runs, next) = app.reader.ask(|index| {
        let page = index.page(&query, after.as_ref().map(|(run, number)| (run, *number)), most)?;
        let last = page.runs.last().filter(|_| page.has_more);
        let next = last.map(|(run, _)| format!("{run}.{}", page.start + page.runs.len()));
        Ok((facts_of(index, &page.runs)?, next))
    })?;
    let mut answer = value(&Listing::of(runs, &query));
    answer["next"] = next.map_or(Value::Null, Value::String);
    Ok(Reply::json(&answer))
}

/// Runs as a listing takes them.
pub fn facts_of(index: &Index, runs: &[(RunId, RunVersion)]) -> Result<Vec<Facts>, StoreError> {
    runs.iter().filter_map(|(id, version)| index.facts_of(id, version).transpose()).collect()
}

fn place(token: &str) -> Result<(RunId, usize), Fault> {
    let parsed = token.split_once('.').and_then(|(run, number)| Some((run.parse().ok()?, number.parse().ok()?)));
    parsed.ok_or_else(|| Fault::invalid("'after' is the 'next' of the page before"))
}

/// Everything about a run but its series; of those how long each is.
pub fn one(app: &App, request: Request) -> Result<Reply, Fault> {
    let Overview { run, series } = app.store().overview(&app.run_id(&request.names[0])?)?;
    let record = RunRecord::of(&run, None);
    let lengths = series.summaries().into_iter().map(|(name, summary)| {
        let last = json!({ "step": summary.last.step, "value": value(&summary.last.value) });
        (name.to_string(), json!({ "points": summary.points, "last": last }))
    });
    let lengths: Map<String, Value> = lengths.collect();
    let mut answer = value(&record);
    answer["series"] = Value::Object(lengths);
    Ok(Reply::json(&answer))
}

/// The comparison of the runs that a query finds.
pub fn compare(app: &App, request: Request) -> Result<Reply, Fault> {
    let query = RunQuery::parse(request.asked("query").unwrap_or_default(), clock::now())?;
    let metric = match request.asked("metric") {
        None => metrics::deciding(None).metric_name(),
        Some(name) => name.parse().map_err(|_| Fault::invalid(format!("'{}' names no metric", shown(name))))?,
    };
    let _turn = app.comparisons.take()?;
    let asked = app.reader.ask(|index| comparison::Asked::of(index, &query))?;
    let found = comparison::of_asked(&query, &metric, app.store(), asked);
    let mut comparison = found.map_err(|error| Fault::invalid(error.to_string()))?.comparison;
    check_cells(&comparison).map_err(Fault::invalid)?;
    if let Some(name) = request.asked("metric") {
        comparison.goal = metrics::Goal::usual(name);
    }
    // No report was written.
    let mut documents = comparison::parts(comparison).into_iter().map(|part| {
        let mut document = document(&part.comparison, &summarize(&part.comparison), Path::new(""));
        document["report"] = Value::Null;
        document["part"] = Value::String(part.name);
        document
    });
    let first = documents.next().unwrap_or(Value::Null);
    let rest: Vec<Value> = documents.collect();
    Ok(Reply::json(&match rest.is_empty() {
        true => first,
        false => {
            let parts: Vec<Value> = std::iter::once(first).chain(rest).collect();
            json!({ "format": "ablate-comparison-parts-1", "parts": parts })
        }
    }))
}
