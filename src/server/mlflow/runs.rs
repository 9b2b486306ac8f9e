//! Single runs: begun, looked at, named, tagged, ended, put into the trash and taken out of it.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{App, known, run_json};
use crate::clock;
use crate::exchange::mlflow::words::{self, NAME_TAG, NOTE_TAG, is_of};
use crate::server::fault::Fault;
use crate::server::http::{Reply, Request};
use crate::server::wire::{self, Int, KeyValue, required};
use crate::server::writer::Entries;
use crate::store::{ExperimentEntry, Labels, Lineage, Logged, RunState};
use crate::types::RunId;

#[derive(Deserialize)]
struct Create {
    experiment_id: Option<String>,
    user_id: Option<String>,
    run_name: Option<String>,
    start_time: Option<Int>,
    #[serde(default, deserialize_with = "wire::or_default")]
    tags: Vec<KeyValue>,
}

/// Begins a run.
pub fn create(app: &App, request: Request) -> Result<Reply, Fault> {
    let sent: Create = wire::read(&request)?;
    let id = sent.experiment_id.as_deref().filter(|id| !id.is_empty()).unwrap_or(ExperimentEntry::DEFAULT_ID);
    let experiment = known::of_id(app, id)?;
    if experiment.trashed_at.is_some() {
        return Err(Fault::invalid(format!("the experiment {id} must be in the 'active' state: it is in the trash")));
    }
    let mut labels = Labels::default();
    check_tags(&sent.tags)?;
    sent.tags.iter().for_each(|tag| put(&mut labels, tag));
    if let Some(name) = sent.run_name.filter(|name| !name.is_empty()) {
        wire::check_name("run", &name)?;
        if labels.name.as_ref().is_some_and(|tagged| *tagged != name) {
            return Err(Fault::invalid(format!("'run_name' and the tag '{NAME_TAG}' are two names")));
        }
        labels.name = Some(name);
    }
    let started = match sent.start_time.filter(|Int(millis)| *millis != 0) {
        Some(Int(millis)) => wire::moment("start_time", millis)?,
        None => clock::now(),
    };
    let user = sent.user_id.unwrap_or_default();
    wire::check_value("field", "user_id", &user)?;
    let agent = agent(&request.user_agent);
    let logged = Logged { by: agent.clone(), experiment: Some(experiment.name), parameters: Map::new() };
    let provenance = json!({ "client": words::client("mlflow-2.0", &agent, &user) });
    let guest = app.store().create_logged(&logged, &provenance, &Lineage::default(), started)?;
    let run = guest.dir().id().clone();
    if labels != Labels::default() {
        guest.dir().relabel(|now| *now = labels)?;
    }
    app.writer.adopt(guest)?;
    app.changed(&run);
    shown(app, &request, &run)
}

/// A run.
pub fn get(app: &App, request: Request) -> Result<Reply, Fault> {
    let run = asked_run(app, &request)?;
    shown(app, &request, &run)
}

#[derive(Deserialize)]
struct Update {
    run_id: Option<String>,
    run_uuid: Option<String>,
    status: Option<String>,
    end_time: Option<Int>,
    run_name: Option<String>,
}

/// Changes the state or the name of a run.
pub fn update(app: &App, request: Request) -> Result<Reply, Fault> {
    let sent: Update = wire::read(&request)?;
    let run = sent_run(app, sent.run_id.as_deref().or(sent.run_uuid.as_deref()))?;
    let state = sent.status.as_deref().filter(|status| !status.is_empty());
    let state = state.map(|status| {
        let words = "RUNNING, SCHEDULED, FINISHED, FAILED and KILLED";
        let unknown = || Fault::invalid(format!("'{}' is no status; they are {words}", wire::shown(status)));
        words::state(status).ok_or_else(unknown)
    });
    let state = state.transpose()?;
    let at = match sent.end_time.filter(|Int(millis)| *millis != 0) {
        Some(Int(millis)) => wire::moment("end_time", millis)?,
        None => clock::now(),
    };
    active(app, &run)?;
    if let Some(name) = sent.run_name.filter(|name| !name.is_empty()) {
        wire::check_name("run", &name)?;
        app.store().run(&run)?.relabel(|labels| labels.name = Some(name))?;
        app.changed(&run);
    }
    if let Some(state) = state {
        let at = if state == RunState::Running { clock::now() } else { at };
        app.writer.write(&run, Entries { state: Some((state, at)), ..Entries::default() })?;
    }
    let run = json_of(app, &request, &run)?;
    Ok(Reply::json(&json!({ "run_info": run["info"] })))
}

#[derive(Deserialize)]
struct OneRun {
    run_id: Option<String>,
}

/// Puts a run into the trash. Doing so twice is no mistake.
pub fn delete(app: &App, request: Request) -> Result<Reply, Fault> {
    let sent: OneRun = wire::read(&request)?;
    let run = sent_run(app, sent.run_id.as_deref())?;
    trash(app, &run, clock::now())?;
    Ok(Reply::empty())
}

/// Puts a run into the trash, at a moment that all of several share.
pub fn trash(app: &App, run: &RunId, now: crate::types::Timestamp) -> Result<(), Fault> {
    let dir = app.store().run(run)?;
    if dir.labels()?.is_trashed() {
        return Ok(());
    }
    if let Some(heir) = app.reader.ask(|index| index.heirs(run))?.first() {
        return Err(Fault::invalid(format!("run {} stands on run {run}; delete that one first", heir.run)));
    }
    let is_logged = matches!(dir.read_subject()?, crate::store::Subject::Logged(_));
    if !is_logged && dir.is_leased()? {
        return Err(Fault::invalid(format!("run {run} is being trained; stop it first")));
    }
    app.writer.close(run)?;
    dir.relabel(|labels| labels.trashed_at = Some(now))?;
    app.changed(run);
    Ok(())
}

/// Takes a run out of the trash.
pub fn restore(app: &App, request: Request) -> Result<Reply, Fault> {
    let sent: OneRun = wire::read(&request)?;
    let run = sent_run(app, sent.run_id.as_deref())?;
    app.store().run(&run)?.relabel(|labels| labels.trashed_at = None)?;
    app.changed(&run);
    Ok(Reply::empty())
}

#[derive(Deserialize)]
struct OneTag {
    run_id: Option<String>,
    run_uuid: Option<String>,
    key: Option<String>,
    #[serde(default, deserialize_with = "wire::or_default")]
    value: String,
}

/// Gives a run a tag, in place of the one of the same key.
pub fn set_tag(app: &App, request: Request) -> Result<Reply, Fault> {
    let sent: OneTag = wire::read(&request)?;
    let run = sent_run(app, sent.run_id.as_deref().or(sent.run_uuid.as_deref()))?;
    let tag = KeyValue { key: required("key", sent.key.as_deref())?.to_owned(), value: sent.value };
    active(app, &run)?;
    tag_run(app, &run, std::slice::from_ref(&tag))?;
    Ok(Reply::empty())
}

/// Takes a tag away.
pub fn delete_tag(app: &App, request: Request) -> Result<Reply, Fault> {
    let sent: OneTag = wire::read(&request)?;
    let run = sent_run(app, sent.run_id.as_deref().or(sent.run_uuid.as_deref()))?;
    let key = required("key", sent.key.as_deref())?;
    active(app, &run)?;
    let mut was_there = false;
    app.store().run(&run)?.relabel(|labels| {
        was_there = match key {
            NAME_TAG => labels.name.take().is_some(),
            NOTE_TAG => labels.note.take().is_some(),
            _ => {
                let before = labels.tags.len();
                labels.tags.retain(|tag| !is_of(tag, key));
                labels.tags.len() < before
            }
        }
    })?;
    if !was_there {
        return Err(Fault::missing(format!("run {run} has no tag '{}'", wire::shown(key))));
    }
    app.changed(&run);
    Ok(Reply::empty())
}

/// Gives a run tags, each in place of the one of its key.
pub fn tag_run(app: &App, run: &RunId, tags: &[KeyValue]) -> Result<(), Fault> {
    if tags.is_empty() {
        return Ok(());
    }
    check_tags(tags)?;
    app.store().run(run)?.relabel(|labels| tags.iter().for_each(|tag| put(labels, tag)))?;
    app.changed(run);
    Ok(())
}

/// Holds tags to the rules, before anything is recorded.
pub fn check_tags(tags: &[KeyValue]) -> Result<(), Fault> {
    for tag in tags {
        wire::check_key("tag", &tag.key)?;
        wire::check_value("tag", &tag.key, &tag.value)?;
        if tag.key == NAME_TAG {
            wire::check_name("run", &tag.value)?;
        }
    }
    Ok(())
}

fn put(labels: &mut Labels, tag: &KeyValue) {
    words::put(labels, &tag.key, &tag.value);
}

/// The run that a query string names.
pub fn asked_run(app: &App, request: &Request) -> Result<RunId, Fault> {
    sent_run(app, request.asked("run_id").or(request.asked("run_uuid")))
}

/// The run that a body names.
pub fn sent_run(app: &App, id: Option<&str>) -> Result<RunId, Fault> {
    app.run_id(required("run_id", id)?)
}

/// Whether a run may be changed: it is not in the trash.
pub fn active(app: &App, run: &RunId) -> Result<(), Fault> {
    match app.store().run(run)?.labels()?.is_trashed() {
        false => Ok(()),
        true => Err(Fault::invalid(format!("the run {run} must be in the 'active' state: it is in the trash"))),
    }
}

fn shown(app: &App, request: &Request, run: &RunId) -> Result<Reply, Fault> {
    Ok(Reply::json(&json!({ "run": json_of(app, request, run)? })))
}

/// A run for who asks: the first clients know no artifacts but files.
fn json_of(app: &App, request: &Request, run: &RunId) -> Result<Value, Fault> {
    let mut json = run_json::now(app, run)?;
    if request.is_local && knows_files_only(&request.user_agent) {
        let folder = std::path::absolute(app.store().run(run)?.path().join("artifacts"));
        if let Some(folder) = folder.as_ref().ok().and_then(|folder| folder.to_str()) {
            json["info"]["artifact_uri"] = Value::String(format!("file://{folder}"));
        }
    }
    Ok(json)
}

/// Whether a client is older than the proxy for artifacts, which came with 1.24.
fn knows_files_only(user_agent: &str) -> bool {
    let version = user_agent.strip_prefix("mlflow-python-client/");
    let mut numbers = version.into_iter().flat_map(|version| version.split('.')).map(|number| number.parse::<u32>());
    matches!((numbers.next(), numbers.next()), (Some(Ok(1)), Some(Ok(minor))) if minor < 24)
}

/// Who logs, in words: `mlflow client 2.22.5`.
fn agent(user_agent: &str) -> String {
    match user_agent.strip_prefix("mlflow-python-client/") {
        Some(version) => format!("mlflow client {}", wire::shown(version)),
        None if user_agent.is_empty() => "an HTTP client".to_owned(),
        None => wire::shown(user_agent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_clients_are_told_by_their_version() {
        for (agent, expected) in [
            ("mlflow-python-client/1.15.0", true),
            ("mlflow-python-client/1.23.1", true),
            ("mlflow-python-client/1.30.0", false),
            ("mlflow-python-client/2.2.0", false),
            ("mlflow-python-client/3.18.0", false),
            ("curl/8", false),
        ] {
            assert_eq!(knows_files_only(agent), expected, "{agent}");
        }
        assert_eq!(agent("mlflow-python-client/2.22.5"), "mlflow client 2.22.5");
    }
}
