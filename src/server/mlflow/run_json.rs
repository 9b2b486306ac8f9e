//! A run as clients see it.
//!
//! A run that was logged over this protocol is given back as it came: texts are texts. Of other runs, numbers are spelled as
//! everywhere else in this program.

use serde_json::{Value, json};

use super::App;
use crate::exchange::mlflow::words::{PROTOCOL, USER, status, tags};
use crate::report::json::value;
use crate::report::spelling;
use crate::server::fault::Fault;
use crate::store::{ExperimentBook, ExperimentEntry, Facts, Index, RunVersion, StoreError};
use crate::types::{RunId, Timestamp};

/// The JSON of a run, as the index has it.
pub fn of_index(
    app: &App,
    index: &Index,
    book: &ExperimentBook,
    id: &RunId,
    version: &RunVersion,
) -> Result<Option<std::sync::Arc<[u8]>>, StoreError> {
    let spelled = |facts: Facts| serde_json::to_vec(&of(&facts, book)).expect("invariant: runs have string keys");
    app.reader.answer_of(index, id, version, spelled)
}

/// The JSON of one run, as it is now.
pub fn now(app: &App, id: &RunId) -> Result<Value, Fault> {
    let book = app.store().experiment_book()?;
    let found = app.reader.ask(|index| {
        if index.version(id)?.is_none() {
            index.refresh(id)?;
        }
        let Some(version) = index.version(id)? else { return Ok(None) };
        index.facts_of(id, &version)
    })?;
    let facts = found.ok_or_else(|| Fault::missing(format!("no run is called '{id}'")))?;
    Ok(of(&facts, &book))
}

/// A run; its artifacts are where the server's proxy has them.
fn of(facts: &Facts, book: &ExperimentBook) -> Value {
    let row = &facts.row;
    let is_as_it_came = facts.provenance.contains_key(PROTOCOL);
    let experiment = book.of_name(row.experiment().unwrap_or(ExperimentEntry::DEFAULT_NAME));
    let millis = |at: Option<Timestamp>| at.map(Timestamp::unix_millis);
    let mut info = json!({
        "run_id": row.id,
        "run_uuid": row.id,
        "run_name": row.labels.name.as_deref().unwrap_or(row.id.as_str()),
        "experiment_id": experiment.id,
        "user_id": facts.provenance.get(USER).map_or("", String::as_str),
        "status": status(row.state),
        "start_time": millis(row.started_at.or(row.created_at)),
        "artifact_uri": artifact_uri(&experiment.id, &row.id),
        "lifecycle_stage": if row.labels.is_trashed() { "deleted" } else { "active" },
    });
    if let Some(ended) = millis(row.ended_at) {
        info["end_time"] = ended.into();
    }
    let metrics = row.metrics.iter().map(|(key, metric)| {
        let timestamp = millis(metric.last_at).unwrap_or(0);
        json!({ "key": key, "value": value(&metric.last), "timestamp": timestamp, "step": metric.last_step })
    });
    let params = facts.settings.iter().map(|(key, text)| {
        let text = if is_as_it_came { text.clone() } else { spelling::setting(text) };
        json!({ "key": key, "value": text })
    });
    let data = json!({
        "metrics": metrics.collect::<Vec<_>>(),
        "params": params.collect::<Vec<_>>(),
        "tags": tags(&row.labels).map(|(key, value)| json!({ "key": key, "value": value })).collect::<Vec<_>>(),
    });
    let inputs = row.inputs.as_ref().map_or_else(|| json!({}), |inputs| json!({ "dataset_inputs": inputs }));
    json!({ "info": info, "data": data, "inputs": inputs })
}

/// Where clients put a run's artifacts: with this server.
pub fn artifact_uri(experiment: &str, run: &RunId) -> String {
    format!("mlflow-artifacts:/{experiment}/{run}/artifacts")
}
