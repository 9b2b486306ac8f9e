//! Experiments, which clients know by ids and the store by the names that runs give them.

use serde::Deserialize;
use serde_json::{Value, json};

use super::known::{all, of_id, runs_of, trash_of};
use super::{App, runs};
use crate::clock;
use crate::server::fault::{Code, Fault};
use crate::server::http::{Reply, Request};
use crate::server::wire::{self, Int, KeyValue, required, shown};
use crate::store::{ExperimentBook, ExperimentEntry, ExperimentFilter, Group, Trash};
use crate::types::Timestamp;

/// Experiments of one answer at most.
const MOST: usize = 50_000;

#[derive(Deserialize)]
struct Create {
    name: Option<String>,
    artifact_location: Option<String>,
    #[serde(default, deserialize_with = "wire::or_default")]
    tags: Vec<KeyValue>,
}

/// Makes an experiment.
pub fn create(app: &App, request: Request) -> Result<Reply, Fault> {
    let sent: Create = wire::read(&request)?;
    let name = required("name", sent.name.as_deref())?;
    wire::check_name("experiment", name)?;
    check_tags(&sent.tags)?;
    if sent.artifact_location.is_some_and(|location| !location.is_empty()) {
        let text =
            "artifacts lie in the folders of their runs: an experiment has no 'artifact_location' of its own here";
        return Err(Fault::invalid(text));
    }
    let named = app.reader.ask(|index| index.experiments())?;
    let now = clock::now();
    let id = app.store().change_experiments(|book: &mut ExperimentBook| {
        check_free(book, &named, name)?;
        let new = book.of_name(name);
        let entry = book.entry(&new);
        (entry.created_at, entry.changed_at) = (Some(now), Some(now));
        entry.tags.extend(sent.tags.into_iter().map(|tag| (tag.key, tag.value)));
        Ok::<_, Fault>(entry.id.clone())
    })?;
    Ok(Reply::json(&json!({ "experiment_id": id })))
}

/// Whether no experiment has a name, or had it.
fn check_free(book: &ExperimentBook, named: &[String], name: &str) -> Result<(), Fault> {
    let all = book.all(named.iter().map(String::as_str));
    let Some(known) = all.iter().find(|known| known.names().any(|known| known == name)) else { return Ok(()) };
    let how = match () {
        () if known.name != name => format!("; it is called '{}' now, and its runs still say the old name", known.name),
        () if known.trashed_at.is_some() => "; it is in the trash, from which it can be restored".to_owned(),
        () => String::new(),
    };
    let text = format!("the experiment '{}' exists already{how}", shown(name));
    Err(Fault::new(Code::ResourceAlreadyExists, text))
}

/// An experiment by its id.
pub fn get(app: &App, request: Request) -> Result<Reply, Fault> {
    let experiment = of_id(app, required("experiment_id", request.asked("experiment_id"))?)?;
    Ok(Reply::json(&json!({ "experiment": spelled(&experiment) })))
}

/// An experiment by its name.
pub fn get_by_name(app: &App, request: Request) -> Result<Reply, Fault> {
    let name = required("experiment_name", request.asked("experiment_name"))?;
    let found = all(app)?.into_iter().find(|experiment| experiment.name == name);
    let experiment = found.ok_or_else(|| Fault::missing(format!("no experiment is called '{}'", shown(name))))?;
    Ok(Reply::json(&json!({ "experiment": spelled(&experiment) })))
}

#[derive(Default, Deserialize)]
struct Search {
    #[serde(default, deserialize_with = "wire::or_default")]
    filter: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    order_by: Vec<String>,
    max_results: Option<Int>,
    #[serde(default, deserialize_with = "wire::or_default")]
    view_type: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    page_token: String,
}

/// The experiments that a filter finds.
pub fn search(app: &App, request: Request) -> Result<Reply, Fault> {
    found(app, wire::read(&request)?)
}

/// The same, asked in the address.
pub fn search_asked(app: &App, request: Request) -> Result<Reply, Fault> {
    let text = |key: &str| request.asked(key).unwrap_or_default().to_owned();
    let max_results = wire::count("max_results", request.asked("max_results"))?.map(Int);
    let (filter, view_type, page_token) = (text("filter"), text("view_type"), text("page_token"));
    found(app, Search { filter, order_by: request.asked_all("order_by"), max_results, view_type, page_token })
}

/// All experiments, as clients of version 1 ask for them.
pub fn list(app: &App, request: Request) -> Result<Reply, Fault> {
    let view_type = request.asked("view_type").unwrap_or_default().to_owned();
    found(app, Search { view_type, max_results: Some(Int(MOST as i64)), ..Search::default() })
}

fn found(app: &App, sent: Search) -> Result<Reply, Fault> {
    let most = wire::max_results(sent.max_results.map(|Int(count)| count), 1_000, MOST)?;
    let trash = trash_of(&sent.view_type)?;
    let filter = ExperimentFilter::of_mlflow(&sent.filter, &sent.order_by)?;
    let mut experiments = all(app)?;
    experiments.retain(|experiment| match trash {
        Trash::Without => experiment.trashed_at.is_none(),
        Trash::Only => experiment.trashed_at.is_some(),
        Trash::With => true,
    });
    experiments.retain(|experiment| filter.matches(experiment));
    filter.sort(&mut experiments);
    // After the last one that the client has, so that experiments that come meanwhile shift nothing.
    let start = match sent.page_token.as_str() {
        "" => 0,
        token => {
            let (id, number) = token.split_once('.').ok_or_else(bad_token)?;
            let number: usize = number.parse().map_err(|_| bad_token())?;
            experiments.iter().position(|experiment| experiment.id == id).map_or(number, |at| at + 1)
        }
    };
    let page: Vec<_> = experiments.iter().skip(start).take(most).collect();
    let mut answer = json!({ "experiments": page.iter().map(|experiment| spelled(experiment)).collect::<Vec<_>>() });
    let end = start + page.len();
    if let Some(last) = page.last().filter(|_| end < experiments.len()) {
        answer["next_page_token"] = Value::String(format!("{}.{end}", last.id));
    }
    Ok(Reply::json(&answer))
}

fn bad_token() -> Fault {
    Fault::invalid("invalid page token: it is the 'next_page_token' of the page before")
}

#[derive(Deserialize)]
struct Change {
    experiment_id: Option<String>,
    new_name: Option<String>,
    key: Option<String>,
    #[serde(default, deserialize_with = "wire::or_default")]
    value: String,
}

impl Change {
    fn experiment(&self, app: &App) -> Result<ExperimentEntry, Fault> {
        of_id(app, required("experiment_id", self.experiment_id.as_deref())?)
    }
}

/// Renames an experiment. Its runs say the old name in files that are sealed, so it keeps both, and they join the new one.
pub fn rename(app: &App, request: Request) -> Result<Reply, Fault> {
    let sent: Change = wire::read(&request)?;
    let experiment = sent.experiment(app)?;
    let name = required("new_name", sent.new_name.as_deref())?;
    wire::check_name("experiment", name)?;
    if experiment.trashed_at.is_some() {
        return Err(Fault::invalid("the experiment must be in the 'active' state: it is in the trash"));
    }
    if experiment.name == name {
        return Ok(Reply::empty());
    }
    let named = app.reader.ask(|index| index.experiments())?;
    let now = clock::now();
    app.store().change_experiments(|book: &mut ExperimentBook| {
        if !experiment.names().any(|known| known == name) {
            check_free(book, &named, name)?;
        }
        let entry = book.entry(&experiment);
        let old = std::mem::replace(&mut entry.name, name.to_owned());
        entry.former_names.retain(|former| former != name);
        entry.former_names.push(old);
        entry.changed_at = Some(now);
        Ok::<_, Fault>(())
    })?;
    for run in runs_of(app, &experiment, Trash::With)? {
        let group = Group { name: name.to_owned(), axes: serde_json::Map::new() };
        app.store().run(&run)?.relabel(|labels| labels.join(group))?;
        app.changed(&run);
    }
    Ok(Reply::empty())
}

/// Puts an experiment into the trash, and its runs.
pub fn delete(app: &App, request: Request) -> Result<Reply, Fault> {
    let sent: Change = wire::read(&request)?;
    let experiment = sent.experiment(app)?;
    if experiment.id == ExperimentEntry::DEFAULT_ID {
        return Err(Fault::invalid("the default experiment stays: clients that name none log to it"));
    }
    if experiment.trashed_at.is_some() {
        return Err(Fault::invalid("the experiment is in the trash already"));
    }
    let now = clock::now();
    for run in runs_of(app, &experiment, Trash::Without)? {
        runs::trash(app, &run, now)?;
    }
    app.store().change_experiments(|book: &mut ExperimentBook| {
        let entry = book.entry(&experiment);
        (entry.trashed_at, entry.changed_at) = (Some(now), Some(now));
        Ok::<_, Fault>(())
    })?;
    Ok(Reply::empty())
}

/// Takes an experiment out of the trash, and the runs that went into it with it.
pub fn restore(app: &App, request: Request) -> Result<Reply, Fault> {
    let sent: Change = wire::read(&request)?;
    let experiment = sent.experiment(app)?;
    let Some(trashed_at) = experiment.trashed_at else {
        return Err(Fault::invalid("the experiment is not in the trash"));
    };
    let now = clock::now();
    app.store().change_experiments(|book: &mut ExperimentBook| {
        let entry = book.entry(&experiment);
        (entry.trashed_at, entry.changed_at) = (None, Some(now));
        Ok::<_, Fault>(())
    })?;
    for run in runs_of(app, &experiment, Trash::Only)? {
        let went_with_it = |at: &mut Timestamp| *at == trashed_at;
        app.store().run(&run)?.relabel(|labels| _ = labels.trashed_at.take_if(went_with_it))?;
        app.changed(&run);
    }
    Ok(Reply::empty())
}

/// Gives an experiment a tag.
pub fn set_tag(app: &App, request: Request) -> Result<Reply, Fault> {
    let sent: Change = wire::read(&request)?;
    let experiment = sent.experiment(app)?;
    let key = required("key", sent.key.as_deref())?.to_owned();
    check_tags(&[KeyValue { key: key.clone(), value: sent.value.clone() }])?;
    let now = clock::now();
    app.store().change_experiments(|book: &mut ExperimentBook| {
        let entry = book.entry(&experiment);
        entry.tags.insert(key, sent.value);
        entry.changed_at = Some(now);
        Ok::<_, Fault>(())
    })?;
    Ok(Reply::empty())
}

/// Takes a tag away from an experiment.
pub fn delete_tag(app: &App, request: Request) -> Result<Reply, Fault> {
    let sent: Change = wire::read(&request)?;
    let experiment = sent.experiment(app)?;
    let key = required("key", sent.key.as_deref())?;
    let now = clock::now();
    app.store().change_experiments(|book: &mut ExperimentBook| {
        let entry = book.entry(&experiment);
        entry.changed_at = Some(now);
        let missing = || Fault::missing(format!("the experiment has no tag '{}'", shown(key)));
        entry.tags.remove(key).map(drop).ok_or_else(missing)
    })?;
    Ok(Reply::empty())
}

fn check_tags(tags: &[KeyValue]) -> Result<(), Fault> {
    for tag in tags {
        wire::check_key("tag", &tag.key)?;
        wire::check_value("tag", &tag.key, &tag.value)?;
    }
    Ok(())
}

/// An experiment as clients see it.
fn spelled(experiment: &ExperimentEntry) -> Value {
    let mut json = json!({
        "experiment_id": experiment.id,
        "name": experiment.name,
        "artifact_location": format!("mlflow-artifacts:/{}", experiment.id),
        "lifecycle_stage": if experiment.trashed_at.is_some() { "deleted" } else { "active" },
    });
    let times = [("creation_time", experiment.created_at), ("last_update_time", experiment.changed_at)];
    for (key, at) in times.into_iter().filter_map(|(key, at)| Some((key, at?))) {
        json[key] = at.unix_millis().into();
    }
    if !experiment.tags.is_empty() {
        let tags = experiment.tags.iter().map(|(key, value)| json!({ "key": key, "value": value }));
        json["tags"] = tags.collect();
    }
    json
}
