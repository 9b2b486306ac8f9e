//! A run as clients see it.
//!
//! A run that was logged over this protocol is given back as it came: texts are texts. Of other runs, numbers are spelled as
//! everywhere else in this program.

use serde_json::{Value, json};

use super::App;
use crate::report::json::value;
use crate::report::spelling;
use crate::server::fault::Fault;
use crate::store::{ExperimentBook, ExperimentEntry, Facts, Index, Labels, RunState, RunVersion, StoreError};
use crate::types::{RunId, Timestamp};

/// The tag that is a run's name.
pub const NAME_TAG: &str = "mlflow.runName";
/// The tag that is a run's note.
pub const NOTE_TAG: &str = "mlflow.note.content";

/// The key of the provenance that says that a run was logged over this protocol.
pub const PROTOCOL: &str = "client.protocol";
/// The key of the provenance that names the user.
pub const USER: &str = "client.user";

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
        "tags": tags(&row.labels),
    });
    let inputs = row.inputs.as_ref().map_or_else(|| json!({}), |inputs| json!({ "dataset_inputs": inputs }));
    json!({ "info": info, "data": data, "inputs": inputs })
}

/// The tags of a run: those that people gave it, and its name and its note under the names that clients know.
fn tags(labels: &Labels) -> Vec<Value> {
    let tag = |key: &str, value: &str| json!({ "key": key, "value": value });
    let named = [(NAME_TAG, &labels.name), (NOTE_TAG, &labels.note)];
    let named = named.into_iter().filter_map(|(key, value)| Some(tag(key, value.as_deref()?)));
    let given = labels.tags.iter().map(|text| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        tag(key, value)
    });
    named.chain(given).collect()
}

/// Where clients put a run's artifacts: with this server.
pub fn artifact_uri(experiment: &str, run: &RunId) -> String {
    format!("mlflow-artifacts:/{experiment}/{run}/artifacts")
}

/// A state in the words of the protocol. It has none for a run that was lost or stopped: somebody ended it.
pub fn status(state: RunState) -> &'static str {
    match state {
        RunState::Planned => "SCHEDULED",
        RunState::Running => "RUNNING",
        RunState::Finished => "FINISHED",
        RunState::Failed => "FAILED",
        RunState::Interrupted | RunState::Stopped | RunState::Lost => "KILLED",
    }
}

/// The state of a word of the protocol.
pub fn state(status: &str) -> Option<RunState> {
    Some(match status {
        "SCHEDULED" => RunState::Planned,
        "RUNNING" => RunState::Running,
        "FINISHED" => RunState::Finished,
        "FAILED" => RunState::Failed,
        "KILLED" => RunState::Interrupted,
        _ => return None,
    })
}
