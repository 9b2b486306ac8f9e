//! Runs as a store of files that MLflow opens, its version 1.30 as well as 2 and 3.
//!
//! A run that came from MLflow goes back as it was: its `meta.yaml` with no more changed than was changed here, its metric
//! lines byte for byte. Of other runs, settings become parameters, and what MLflow has no word for becomes tags and artifacts.
//! Points are streamed from the log, so a run of any length takes no memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};

pub use super::export_error::ExportError;
use super::export_error::failed;
use super::import::LINES_FACT;
use super::key_files::{Forms, MetricFiles, Places};
use super::line::{Form, USUAL};
use super::meta::Meta;
use super::source::is_run_id;
use super::words::{self, NAME_TAG, PARENT_TAG};
use crate::durable;
use crate::exchange::copying::DEEPEST;
use crate::exchange::findings::{Findings, shown};
use crate::exchange::folder::{Folder, Kind, reason};
use crate::exchange::yaml::Node;
use crate::store::{Event, ExperimentBook, ExperimentEntry, History, INPUTS_FACT, RunDir, RunRow, Store, Subject};
use crate::types::{ContentHash, RunId, Timestamp};

/// What was written.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Exported {
    pub experiments: usize,
    pub runs: Vec<ExportedRun>,
    #[serde(flatten)]
    pub findings: Findings,
}

/// A run that was written.
#[derive(Clone, Debug, Serialize)]
pub struct ExportedRun {
    pub run: RunId,
    pub mlflow_run_id: String,
    pub mlflow_experiment_id: String,
    pub points: u64,
}

/// Writes runs into the new or empty folder `to`, which appears whole or not at all. `empty` says whether experiments without
/// runs are written, too.
///
/// # Errors
/// When a run cannot be read, or the folder cannot be written.
pub fn export(
    store: &Store,
    runs: &[RunRow],
    to: &Path,
    empty: bool,
    tell: &mut dyn FnMut(usize, usize),
) -> Result<Exported, ExportError> {
    let to = std::path::absolute(to).map_err(failed(to))?;
    let parent = to.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(failed(parent))?;
    let building = durable::new_folder(parent).map_err(failed(parent))?;
    let book = store.experiment_book()?;
    let ids = ids_of(store, runs)?;
    let mut writer = Writer {
        root: building.path().to_owned(),
        place: to.clone(),
        book,
        ids,
        experiments: BTreeSet::new(),
        findings: Findings::default(),
    };
    writer.folder(&writer.root.join(".trash"))?;
    writer.experiment(&writer.book.of_name(ExperimentEntry::DEFAULT_NAME))?;
    if empty {
        let all = writer.book.all([]);
        all.iter().try_for_each(|entry| writer.experiment(entry).map(drop))?;
    }
    let mut exported = Exported::default();
    for (i, row) in runs.iter().enumerate() {
        tell(i, runs.len());
        exported.runs.push(writer.run(&store.run(&row.id)?, row)?);
    }
    (exported.experiments, exported.findings) = (writer.experiments.len(), writer.findings);
    durable::publish_folder(building, &to).map_err(|(_, source)| ExportError::Io { path: to.clone(), source })?;
    Ok(exported)
}

/// What the runs are called in MLflow: as they were there, or by their ids here.
fn ids_of(store: &Store, runs: &[RunRow]) -> Result<BTreeMap<RunId, String>, ExportError> {
    let mut taken: BTreeSet<String> = runs.iter().map(|row| row.id.to_string()).collect();
    let mut ids = BTreeMap::new();
    for row in runs {
        let provenance = store.run(&row.id)?.read_provenance()?;
        let known = provenance.pointer("/mlflow/run_id").and_then(Value::as_str).filter(|id| is_run_id(id));
        let id = known.filter(|id| taken.insert((*id).to_owned())).unwrap_or(row.id.as_str());
        ids.insert(row.id.clone(), id.to_owned());
    }
    Ok(ids)
}

struct Writer {
    /// Where files are written, and where they will be then.
    root: PathBuf,
    place: PathBuf,
    book: ExperimentBook,
    ids: BTreeMap<RunId, String>,
    experiments: BTreeSet<String>,
    findings: Findings,
}

impl Writer {
    /// The folder of an experiment, written when it is asked for first.
    fn experiment(&mut self, entry: &ExperimentEntry) -> Result<PathBuf, ExportError> {
        let name = if entry.trashed_at.is_some() { format!(".trash/{}", entry.id) } else { entry.id.clone() };
        let folder = self.root.join(&name);
        if !self.experiments.insert(entry.id.clone()) {
            return Ok(folder);
        }
        self.folder(&folder)?;
        let mut meta = entry.mlflow_meta.clone().and_then(|text| Meta::parse(text).ok());
        let meta = meta.get_or_insert_with(|| Meta::of(Vec::new()));
        // MLflow writes where an experiment was before it was put into the trash.
        meta.set("artifact_location", Node::text(uri(&self.place.join(&entry.id))));
        meta.set("experiment_id", Node::text(&entry.id));
        meta.set("name", Node::text(&entry.name));
        for (key, at) in [("creation_time", entry.created_at), ("last_update_time", entry.changed_at)] {
            if let Some(at) = at {
                meta.set(key, Node::int(at.unix_millis()));
            }
        }
        // The first versions leave `active` there, and go by the trash alone.
        meta.set("lifecycle_stage", Node::text(stage(entry.trashed_at)));
        self.file(&folder.join("meta.yaml"), meta.text().as_bytes())?;
        let tags = entry.tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        self.keys(&folder.join("tags"), &format!("{name}/tags"), tags)?;
        Ok(folder)
    }

    fn run(&mut self, run: &RunDir, row: &RunRow) -> Result<ExportedRun, ExportError> {
        let experiment = self.book.of_name(row.experiment().unwrap_or(ExperimentEntry::DEFAULT_NAME));
        let within = self.experiment(&experiment)?;
        let id = self.ids.get(run.id()).cloned().unwrap_or_else(|| run.id().to_string());
        let folder = within.join(&id);
        // Version 3 takes a folder without these for no run.
        for name in ["metrics", "params", "tags", "artifacts"] {
            self.folder(&folder.join(name))?;
        }
        let at = format!("{}/{id}", experiment.id);
        let provenance = run.read_provenance()?;
        let imported = provenance.pointer("/mlflow").filter(|imported| imported.is_object());
        let mut history = History::default();
        let points = self.metrics(run, row, &folder, &at, &mut history)?;

        let artifact_uri = uri(&self.place.join(&experiment.id).join(&id).join("artifacts"));
        let meta = meta_of(row, &history, &provenance, &experiment, &id, artifact_uri);
        self.file(&folder.join("meta.yaml"), meta.text().as_bytes())?;

        let mut subject = run.read_subject()?;
        if let Subject::Logged(logged) = &mut subject {
            logged.parameters.extend(history.parameters.clone());
        }
        let settings = subject.settings();
        let settings = settings.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        self.keys(&folder.join("params"), &format!("{at}/params"), settings)?;

        let mut tags: BTreeMap<String, String> = BTreeMap::new();
        let is_tagged = imported.and_then(|imported| imported.get("is_name_tagged")).and_then(Value::as_bool);
        for (key, value) in words::tags(&row.labels) {
            let is_as_it_came =
                || imported.and_then(|imported| imported.get("name")).and_then(Value::as_str) == Some(value);
            match key {
                NAME_TAG if is_tagged == Some(false) && is_as_it_came() => {}
                PARENT_TAG => {
                    let parent = value.parse::<RunId>().ok().and_then(|parent| self.ids.get(&parent));
                    tags.insert(key.to_owned(), parent.map_or(value, String::as_str).to_owned());
                }
                _ => drop(tags.insert(key.to_owned(), value.to_owned())),
            }
        }
        if imported.is_none() {
            tags.insert("ablate.run".to_owned(), run.id().to_string());
            tags.insert("ablate.state".to_owned(), row.state.name().to_owned());
            tags.extend(row.reason.clone().map(|reason| ("ablate.reason".to_owned(), reason)));
            tags.extend(row.spec_hash.map(|hash| ("ablate.spec_hash".to_owned(), hash.to_string())));
            let others: Vec<&str> = row.experiments.iter().skip(1).map(|group| group.name.as_str()).collect();
            if !others.is_empty() {
                tags.insert("ablate.experiments".to_owned(), others.join(", "));
            }
        }
        let tags = tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        self.keys(&folder.join("tags"), &format!("{at}/tags"), tags)?;
        self.inputs(&within, &folder, &at, &id, history.facts.get(INPUTS_FACT))?;
        self.artifacts(run, &folder, &at, matches!(subject, Subject::Planned(_)), &history)?;
        Ok(ExportedRun { run: run.id().clone(), mlflow_run_id: id, mlflow_experiment_id: experiment.id, points })
    }

    /// Writes the metric files, and takes everything else of the log into `history`.
    fn metrics(
        &mut self,
        run: &RunDir,
        row: &RunRow,
        folder: &Path,
        at: &str,
        history: &mut History,
    ) -> Result<u64, ExportError> {
        // How lines are spelled stands behind the points that it is of.
        let mut forms: BTreeMap<String, Vec<(u64, Option<Form>)>> = BTreeMap::new();
        for event in run.events()? {
            if let Event::Fact { name, value } = event?
                && name == LINES_FACT
            {
                forms = serde_json::from_value(value).unwrap_or_default();
            }
        }
        let mut forms: BTreeMap<String, Forms> = forms.into_iter().map(|(key, rows)| (key, Forms::new(rows))).collect();
        let mut files = MetricFiles::new(folder.join("metrics"));
        for event in run.events()? {
            match event? {
                Event::Points { points } => {
                    for point in points {
                        let key = point.key.as_str();
                        let form = forms.get_mut(key).and_then(Forms::next);
                        let form = form.as_deref().unwrap_or(USUAL);
                        let millis = point.at.map_or_else(|| start_of(row), Timestamp::unix_millis);
                        let place = format!("{at}/metrics");
                        files.line(key, form, (millis, point.value, point.step), &place, &mut self.findings)?;
                    }
                }
                event => history.apply(event),
            }
        }
        // What ablate trained has no times by itself: all of it is of the moment when it began.
        let trained: Vec<_> = history.all_series().map(|(name, points)| (name.clone(), points.to_vec())).collect();
        for (name, points) in &trained {
            for point in points {
                let step = i64::try_from(point.step.0).unwrap_or(i64::MAX);
                let place = format!("{at}/metrics");
                files.line(name.as_str(), USUAL, (start_of(row), point.value, step), &place, &mut self.findings)?;
            }
        }
        files.flush()?;
        Ok(files.count)
    }

    /// Writes texts by their keys, each a file; keys that MLflow cannot read are listed.
    fn keys<'k>(
        &mut self,
        folder: &Path,
        at: &str,
        keys: impl Iterator<Item = (&'k str, &'k str)>,
    ) -> Result<(), ExportError> {
        let mut places = Places::default();
        for (key, text) in keys {
            match places.take(key) {
                Ok(()) => {
                    let path = folder.join(key);
                    self.folder(path.parent().unwrap_or(folder))?;
                    self.file(&path, text.as_bytes())?;
                }
                Err(why) => self.findings.not_taken(format!("{at}/{}", shown(key)), why),
            }
        }
        Ok(())
    }

    fn inputs(
        &mut self,
        experiment: &Path,
        folder: &Path,
        at: &str,
        run: &str,
        inputs: Option<&Value>,
    ) -> Result<(), ExportError> {
        for input in inputs.and_then(Value::as_array).into_iter().flatten() {
            let Some(dataset) = input.get("dataset").and_then(Value::as_object) else {
                self.findings.not_taken(format!("{at}/inputs"), "an input that is no data set");
                continue;
            };
            let text = |key: &str| dataset.get(key).and_then(Value::as_str);
            let name_of = |text: String| ContentHash::of(text.as_bytes()).to_string()[..32].to_owned();
            let dataset_id = name_of(format!("{:?} {:?}", text("name"), text("digest")));
            let input_id = name_of(format!("{dataset_id} {run}"));
            let keys = ["digest", "name", "profile", "schema", "source", "source_type"];
            let fields = keys.map(|key| (key.to_owned(), text(key).map_or(Node::Null, Node::text)));
            let of_dataset = experiment.join("datasets").join(&dataset_id);
            self.folder(&of_dataset)?;
            self.file(&of_dataset.join("meta.yaml"), Meta::of(fields.to_vec()).text().as_bytes())?;
            let tags = input.get("tags").and_then(Value::as_array).into_iter().flatten().filter_map(|tag| {
                Some((tag.get("key")?.as_str()?.to_owned(), Node::text(tag.get("value")?.as_str()?)))
            });
            let fields = vec![
                ("destination_id".to_owned(), Node::text(&dataset_id)),
                ("destination_type".to_owned(), Node::text("RUN")),
                ("source_id".to_owned(), Node::text(&dataset_id)),
                ("source_type".to_owned(), Node::text("DATASET")),
                ("tags".to_owned(), Node::Map(tags.collect())),
            ];
            let of_input = folder.join("inputs").join(input_id);
            self.folder(&of_input)?;
            self.file(&of_input.join("meta.yaml"), Meta::of(fields).text().as_bytes())?;
        }
        Ok(())
    }

    /// Copies the artifacts; of a run that ablate planned also what MLflow has no place for.
    fn artifacts(
        &mut self,
        run: &RunDir,
        folder: &Path,
        at: &str,
        is_planned: bool,
        history: &History,
    ) -> Result<(), ExportError> {
        let to = folder.join("artifacts");
        self.folder(&to)?;
        if let Ok(from) = Folder::open(&run.path().join("artifacts")) {
            self.copy(&from, &to, &format!("{at}/artifacts"), 0)?;
        }
        if !is_planned {
            return Ok(());
        }
        let ours = to.join("ablate");
        self.folder(&ours)?;
        for (name, path) in [("spec.toml", run.spec_path()), ("provenance.json", run.provenance_path())] {
            self.file(&ours.join(name), &durable::read(&path).map_err(failed(&path))?)?;
        }
        let facts = json!({ "facts": history.facts, "warnings": history.warnings });
        let facts = serde_json::to_vec_pretty(&facts).expect("invariant: facts have string keys");
        self.file(&ours.join("facts.json"), &facts)?;
        let checkpoints = fs::read_dir(run.checkpoints_path()).map_or(0, |entries| entries.flatten().count());
        if checkpoints > 0 {
            let text =
                format!("{checkpoints} checkpoints stay here; `ablate export {} --format hf` writes a model", run.id());
            self.findings.not_taken(format!("{at}/checkpoints"), text);
        }
        Ok(())
    }

    fn copy(&mut self, from: &Folder, to: &Path, at: &str, depth: usize) -> Result<(), ExportError> {
        for (name, kind) in from.entries().map_err(failed(to))? {
            let (place, path) = (format!("{at}/{}", name.display()), to.join(&name));
            match kind {
                Kind::Other(what) => self.findings.not_taken(place, format!("{what}, which is not followed")),
                Kind::Folder if depth >= DEEPEST => self.findings.not_taken(place, "too many folders deep"),
                Kind::Folder => match from.folder(&name) {
                    Ok(inner) => {
                        self.folder(&path)?;
                        self.copy(&inner, &path, &place, depth + 1)?;
                    }
                    Err(error) => self.findings.set_aside(place, reason(&error)),
                },
                Kind::File => self.copy_file(from, &name, &path, place)?,
            }
        }
        Ok(())
    }

    fn copy_file(&mut self, from: &Folder, name: &OsStr, to: &Path, place: String) -> Result<(), ExportError> {
        match from.file(name) {
            Ok(mut source) => {
                let mut file = File::create_new(to).map_err(failed(to))?;
                io::copy(&mut source, &mut file).map_err(failed(to))?;
            }
            Err(error) => self.findings.set_aside(place, reason(&error)),
        }
        Ok(())
    }

    fn folder(&self, path: &Path) -> Result<(), ExportError> {
        fs::create_dir_all(path).map_err(failed(path))
    }

    fn file(&self, path: &Path, bytes: &[u8]) -> Result<(), ExportError> {
        fs::write(path, bytes).map_err(failed(path))
    }
}

/// What MLflow is to know of a run. Of one that came from there, what was not changed since stays as it was written.
fn meta_of(
    row: &RunRow,
    history: &History,
    provenance: &Value,
    experiment: &ExperimentEntry,
    id: &str,
    artifact_uri: String,
) -> Meta {
    let imported = provenance.pointer("/mlflow/meta").and_then(Value::as_str).and_then(|text| Meta::parse(text).ok());
    let millis = |at: Option<Timestamp>| at.map_or(Node::Null, |at| Node::int(at.unix_millis()));
    let name = row.labels.name.as_deref();
    let mut meta = imported.unwrap_or_else(|| {
        let user = provenance.pointer("/client/user").and_then(Value::as_str).unwrap_or_default();
        let texts = [("entry_point_name", ""), ("source_name", ""), ("source_version", ""), ("user_id", user)];
        let mut fields: Vec<(String, Node)> =
            texts.into_iter().map(|(key, text)| (key.to_owned(), Node::text(text))).collect();
        fields.push(("tags".to_owned(), Node::List(Vec::new())));
        fields.push(("source_type".to_owned(), Node::int(4)));
        fields.push(("start_time".to_owned(), Node::int(start_of(row))));
        fields.push(("run_name".to_owned(), Node::text(name.unwrap_or(row.id.as_str()))));
        Meta::of(fields)
    });
    meta.set("artifact_uri", Node::text(artifact_uri));
    meta.set("experiment_id", Node::text(&experiment.id));
    meta.set("run_id", Node::text(id));
    meta.set("run_uuid", Node::text(id)); // Version 1 opens no run without it.
    let was_called = provenance.pointer("/mlflow/name").and_then(Value::as_str);
    if name != was_called
        && let Some(name) = name
    {
        meta.set("run_name", Node::text(name));
    }
    // The states that an import records are those that the file says.
    let states = provenance.pointer("/mlflow/states").and_then(Value::as_u64);
    let is_as_it_came = meta.get("status").is_some() && states == Some(history.states.len() as u64);
    if !is_as_it_came {
        meta.set("status", Node::int(words::status_number(row.state)));
        meta.set("end_time", millis(row.ended_at));
    }
    // In the trash with its experiment alone, a run says of itself what it did before.
    let went_with_it = row.labels.trashed_at.is_some() && row.labels.trashed_at == experiment.trashed_at;
    let says_deleted = meta.said("lifecycle_stage") == Some("deleted");
    if says_deleted != row.labels.is_trashed() && !(went_with_it && meta.get("lifecycle_stage").is_some())
        || meta.get("lifecycle_stage").is_none()
    {
        meta.set("lifecycle_stage", Node::text(stage(row.labels.trashed_at)));
        if row.labels.is_trashed() || meta.get("deleted_time").is_some() {
            meta.set("deleted_time", millis(row.labels.trashed_at));
        }
    }
    meta
}

fn stage(trashed_at: Option<Timestamp>) -> &'static str {
    if trashed_at.is_some() { "deleted" } else { "active" }
}

fn start_of(row: &RunRow) -> i64 {
    row.started_at.or(row.created_at).map_or(0, Timestamp::unix_millis)
}

/// A path as MLflow takes it in `artifact_uri`: letters beyond ASCII by their numbers.
fn uri(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;

    let mut uri = String::from("file://");
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => uri.push(char::from(byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}
