//! Runs that a filter finds, a page at a time. A page begins after the last run of the one before, wherever that stands by
//! then, so that runs that are made meanwhile are neither skipped nor sent twice.

use serde::Deserialize;

use super::{App, known, run_json};
use crate::clock;
use crate::server::fault::Fault;
use crate::server::http::{Reply, Request};
use crate::server::wire::{self, Int};
use crate::store::RunQuery;
use crate::types::RunId;

/// Runs of one answer, unless the client says how many, and at most.
const USUAL: usize = 1_000;
const MOST: usize = 50_000;
/// Keys to sort by, and names of experiments, at most.
const MOST_KEYS: usize = 32;
const MOST_NAMES: usize = 10_000;

#[derive(Deserialize)]
struct Search {
    #[serde(default, deserialize_with = "wire::or_default")]
    experiment_ids: Vec<String>,
    #[serde(default, deserialize_with = "wire::or_default")]
    filter: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    run_view_type: String,
    max_results: Option<Int>,
    #[serde(default, deserialize_with = "wire::or_default")]
    order_by: Vec<String>,
    #[serde(default, deserialize_with = "wire::or_default")]
    page_token: String,
}

/// The runs that a filter finds.
pub fn search(app: &App, request: Request) -> Result<Reply, Fault> {
    let sent: Search = wire::read(&request)?;
    let most = wire::max_results(sent.max_results.map(|Int(count)| count), USUAL, MOST)?;
    let trash = known::trash_of(&sent.run_view_type)?;
    if sent.order_by.len() > MOST_KEYS {
        return Err(Fault::invalid(format!("runs are sorted by at most {MOST_KEYS} keys")));
    }
    let known = known::all(app)?;
    let wanted = known.iter().filter(|experiment| sent.experiment_ids.contains(&experiment.id));
    let names: Vec<&str> = wanted.flat_map(known::names_of).collect();
    if names.is_empty() {
        return Ok(Reply::empty());
    }
    if names.len() > MOST_NAMES {
        return Err(Fault::invalid(format!("runs of at most {MOST_NAMES} experiments are searched at once")));
    }
    let query = RunQuery::of_mlflow(&sent.filter, &sent.order_by, clock::now())?;
    let query = query.within_experiments(&names).from_trash(trash);
    let after = after(&sent.page_token)?;
    let book = app.store().experiment_book()?;
    let bytes = app.reader.ask(|index| {
        let page = index.page(&query, after.as_ref().map(|(run, number)| (run, *number)), most)?;
        let mut bytes = b"{\"runs\":[".to_vec();
        for (id, version) in &page.runs {
            let Some(json) = run_json::of_index(app, index, &book, id, version)? else { continue };
            if !bytes.ends_with(b"[") {
                bytes.push(b',');
            }
            bytes.extend_from_slice(&json);
        }
        bytes.push(b']');
        if let Some((last, _)) = page.runs.last().filter(|_| page.has_more) {
            let number = page.start + page.runs.len();
            bytes.extend_from_slice(format!(",\"next_page_token\":\"{last}.{number}\"").as_bytes());
        }
        bytes.push(b'}');
        Ok(bytes)
    })?;
    Ok(Reply::of_json(if bytes == b"{\"runs\":[]}" { b"{}".to_vec() } else { bytes }))
}

/// The run that a page begins after, and its number where it is gone.
fn after(token: &str) -> Result<Option<(RunId, usize)>, Fault> {
    if token.is_empty() {
        return Ok(None);
    }
    let parsed = token.split_once('.').and_then(|(run, number)| Some((run.parse().ok()?, number.parse().ok()?)));
    let wrong = || Fault::invalid("invalid page token: it is the 'next_page_token' of the page before");
    parsed.ok_or_else(wrong).map(Some)
}
