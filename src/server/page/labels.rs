//! What people say about runs, from the page: names, notes, tags, and what is in the trash.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::json;

use crate::clock;
use crate::server::App;
use crate::server::fault::Fault;
use crate::server::http::{Reply, Request};
use crate::server::mlflow;
use crate::server::wire;
use crate::store::Labels;

/// Runs that one request may speak of.
const MOST_RUNS: usize = 10_000;
/// Characters of a name and a note at most.
const LONGEST_NAME: usize = 200;
const LONGEST_NOTE: usize = 20_000;

/// What is to be changed; what is absent stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    runs: Vec<String>,
    #[serde(default)]
    add: BTreeSet<String>,
    #[serde(default)]
    remove: BTreeSet<String>,
    /// An empty one takes the name away; so for the note.
    name: Option<String>,
    note: Option<String>,
    trash: Option<bool>,
}

/// Changes the labels of runs, of all or, where one may not be changed, of those before it.
pub fn change(app: &App, request: Request) -> Result<Reply, Fault> {
    let change: Change = wire::read(&request)?;
    if change.runs.is_empty() || change.runs.len() > MOST_RUNS {
        return Err(Fault::invalid(format!("'runs' are 1 to {MOST_RUNS} ids")));
    }
    change.add.iter().try_for_each(|tag| Labels::check_tag(tag)).map_err(Fault::invalid)?;
    if change.name.as_ref().is_some_and(|name| name.chars().count() > LONGEST_NAME || name.contains(char::is_control)) {
        return Err(Fault::invalid(format!("a name is one line of at most {LONGEST_NAME} characters")));
    }
    if change.note.as_ref().is_some_and(|note| note.chars().count() > LONGEST_NOTE) {
        return Err(Fault::invalid(format!("a note has at most {LONGEST_NOTE} characters")));
    }
    let runs = change.runs.iter().map(|id| app.run_id(id)).collect::<Result<Vec<_>, _>>()?;
    let now = clock::now();
    for run in &runs {
        if change.trash == Some(true) {
            mlflow::runs::trash(app, run, now)?;
        }
        app.store().run(run)?.relabel(|labels| {
            labels.tags.extend(change.add.iter().cloned());
            labels.tags.retain(|tag| !change.remove.contains(tag));
            let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
            if let Some(name) = &change.name {
                labels.name = given(name);
            }
            if let Some(note) = &change.note {
                labels.note = given(note);
            }
            if change.trash == Some(false) {
                labels.trashed_at = None;
            }
        })?;
        app.changed(run);
    }
    Ok(Reply::json(&json!({ "changed": runs.len() })))
}
