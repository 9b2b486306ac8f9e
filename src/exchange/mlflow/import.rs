//! A store of MLflow taken in: experiments into the list of experiments, runs as guests' runs.
//!
//! A run appears whole or not at all, and one that was taken in before is known by the id that MLflow gave it, so an import
//! that was interrupted is simply done again. What MLflow says of a run that has no place here stands in its provenance, word
//! for word; how its metric lines are spelled, where that is not the usual way, in the fact [`LINES_FACT`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::database::Database;
use super::file_store::FileStore;
use super::line::{Form, Line, USUAL};
use super::meta::Meta;
use super::source::{Source, SourceExperiment, SourceRun};
use super::words::{self, NAME_TAG, PARENT_TAG, RUN_ID};
use crate::exchange::copying::{Copied, copy};
use crate::exchange::findings::Findings;
use crate::store::{
    ExperimentBook, ExperimentEntry, GuestRun, INPUTS_FACT, Index, Labels, Lineage, Logged, LoggedPoint, RunState,
    Store,
};
use crate::types::{MetricName, RunId, Timestamp};

pub use super::source::ImportError;

/// The fact that says how the lines of metrics are spelled: by metric, how many lines in a row have which form.
pub const LINES_FACT: &str = "mlflow.lines";

/// Changes of spelling that are kept of a run at most. No client writes more than a handful.
const MOST_SPELLINGS: usize = 50_000;

/// Points that are recorded at once.
const AT_A_TIME: usize = 2_000;

/// What an import is told beside its path.
#[derive(Clone, Debug)]
pub struct Options {
    /// Further folders of which artifacts may be read.
    pub artifacts: Vec<PathBuf>,
    pub now: Timestamp,
}

/// What came of an import.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Imported {
    pub experiments: Vec<ImportedExperiment>,
    pub runs: Vec<ImportedRun>,
    /// Runs that were here already.
    pub known: Vec<KnownRun>,
    #[serde(flatten)]
    pub findings: Findings,
}

/// An experiment that came in.
#[derive(Clone, Debug, Serialize)]
pub struct ImportedExperiment {
    /// What it is called here.
    pub name: String,
    /// Its id here.
    pub id: String,
    pub mlflow_id: String,
    pub is_deleted: bool,
    /// Whether it was here already, by its name.
    pub is_known: bool,
}

/// A run that came in.
#[derive(Clone, Debug, Serialize)]
pub struct ImportedRun {
    pub run: RunId,
    pub mlflow_run_id: String,
    pub experiment: String,
    pub state: RunState,
    pub is_deleted: bool,
    pub metrics: usize,
    pub points: u64,
    pub params: usize,
    pub tags: usize,
    pub inputs: usize,
    pub artifacts: u64,
    pub artifact_bytes: u64,
}

/// A run that was here already.
#[derive(Clone, Debug, Serialize)]
pub struct KnownRun {
    pub run: RunId,
    pub mlflow_run_id: String,
}

/// Takes in the store at `path`; `tell` hears of every run, of how many there are.
///
/// # Errors
/// When `path` is no store, or this one cannot be written. The runs that came in until then stay.
pub fn import(
    store: &Store,
    path: &Path,
    options: &Options,
    tell: &mut dyn FnMut(usize, usize),
) -> Result<Imported, ImportError> {
    let source: Box<dyn Source> = match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Box::new(Database::open(path, &options.artifacts)?),
        Ok(_) => Box::new(FileStore::open(path, &options.artifacts)?),
        Err(source) => return Err(ImportError::Io { place: path.display().to_string(), source }),
    };
    let _alone = store.claim_imports()?;
    let index = Index::open(store)?;
    let mut imported = Imported::default();
    let experiments = source.experiments(&mut imported.findings)?;
    let runs = parents_first(source.runs(&experiments, &mut imported.findings)?);
    imported.experiments = enter(store, &index, &experiments, options.now, &mut imported.findings)?;
    let mut known = index.by_provenance(RUN_ID)?;
    let own: BTreeSet<RunId> = store.run_ids()?.into_iter().collect();
    drop(index);
    let origin = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for (i, run) in runs.iter().enumerate() {
        tell(i, runs.len());
        let experiment = &experiments[run.experiment];
        let itself = run.id.parse::<RunId>().ok().filter(|id| own.contains(id));
        if let Some(id) = known.get(&run.id).cloned().or(itself) {
            let meta = source.meta(run, experiment, &mut Findings::default())?;
            if is_changed(store, &id, &meta) {
                let text = format!("it is not what it was when it came in as run {id}, which stays as it is");
                imported.findings.changed(format!("run {}", run.id), text);
            }
            imported.known.push(KnownRun { run: id, mlflow_run_id: run.id.clone() });
            continue;
        }
        let place = &imported.experiments[run.experiment];
        let taking = Taking { store, source: source.as_ref(), run, experiment, place, known: &known, origin: &origin };
        match taking.take(options.now) {
            Ok((run, findings)) => {
                known.insert(run.mlflow_run_id.clone(), run.run.clone());
                imported.runs.push(run);
                imported.findings.append(findings);
            }
            // Other runs lie on other pages of the database.
            Err(error) if error.is_damage() => {
                imported.findings.set_aside(format!("run {}", run.id), error.to_string())
            }
            Err(error) => return Err(error),
        }
    }
    Ok(imported)
}

/// Whether MLflow says something else of a run now. Where its files lie is not of the run.
fn is_changed(store: &Store, id: &RunId, meta: &Meta) -> bool {
    let provenance = store.run(id).and_then(|run| run.read_provenance()).unwrap_or_default();
    let before = provenance.pointer("/mlflow/meta").and_then(Value::as_str).and_then(|text| Meta::parse(text).ok());
    let Some(before) = before else { return false };
    ["status", "end_time", "lifecycle_stage", "run_name"].iter().any(|key| before.said(key) != meta.said(key))
}

/// Runs so that each comes after the one in which it was started, and otherwise as they were.
fn parents_first(runs: Vec<SourceRun>) -> Vec<SourceRun> {
    let by_id: BTreeMap<&str, usize> = runs.iter().enumerate().map(|(i, run)| (run.id.as_str(), i)).collect();
    let parent = |i: usize| runs[i].parent.as_deref().and_then(|id| by_id.get(id).copied());
    let (mut order, mut is_placed) = (Vec::with_capacity(runs.len()), vec![false; runs.len()]);
    for i in 0..runs.len() {
        let (mut line, mut next) = (Vec::new(), Some(i));
        // A circle ends where it would begin again.
        while let Some(run) = next.filter(|&run| !is_placed[run]) {
            is_placed[run] = true;
            line.push(run);
            next = parent(run);
        }
        order.extend(line.into_iter().rev());
    }
    let mut runs: Vec<Option<SourceRun>> = runs.into_iter().map(Some).collect();
    order.into_iter().filter_map(|i| runs[i].take()).collect()
}

/// Enters the experiments into the list: under their ids, where nobody has them.
fn enter(
    store: &Store,
    index: &Index,
    experiments: &[SourceExperiment],
    now: Timestamp,
    findings: &mut Findings,
) -> Result<Vec<ImportedExperiment>, ImportError> {
    let named = index.experiments()?;
    store.change_experiments(|book: &mut ExperimentBook| {
        let mut entered = Vec::new();
        for experiment in experiments {
            let known = book.all(named.iter().map(String::as_str));
            let same_name = known.iter().find(|entry| entry.names().any(|name| name == experiment.name));
            let was_here = same_name.is_some();
            let mut entry = same_name.cloned().unwrap_or_else(|| {
                let mut new = book.of_name(&experiment.name);
                let is_free = known.iter().all(|entry| entry.id != experiment.id);
                if is_free && experiment.id.parse::<i64>().is_ok_and(|id| id >= 0) {
                    new.id.clone_from(&experiment.id);
                }
                new
            });
            let place = format!("experiment {}", experiment.id);
            if was_here && entry.id != experiment.id {
                findings.changed(&place, format!("`{}` is here already, with the id {}", entry.name, entry.id));
            } else if entry.id != experiment.id {
                findings.changed(&place, format!("another experiment has this id here: it has {} now", entry.id));
            }
            let moment = |key: &str| experiment.meta.int(key).map(Timestamp::from_unix_millis);
            if !was_here || entry.mlflow_meta.is_none() {
                let kept = book.entry(&entry);
                kept.created_at = kept.created_at.or(moment("creation_time"));
                kept.changed_at = kept.changed_at.or(moment("last_update_time"));
                let tags = experiment.tags.iter().map(|(key, value)| (key.clone(), value.clone()));
                tags.for_each(|(key, value)| _ = kept.tags.entry(key).or_insert(value));
                if !was_here && experiment.is_deleted {
                    kept.trashed_at = Some(moment("last_update_time").unwrap_or(now));
                }
                kept.mlflow_meta = Some(experiment.meta.text().to_owned());
                entry = kept.clone();
            }
            entered.push(ImportedExperiment {
                name: entry.name,
                id: entry.id,
                mlflow_id: experiment.id.clone(),
                is_deleted: experiment.is_deleted,
                is_known: was_here && experiment.id != ExperimentEntry::DEFAULT_ID,
            });
        }
        Ok(entered)
    })
}

/// One run on its way.
struct Taking<'a> {
    store: &'a Store,
    source: &'a dyn Source,
    run: &'a SourceRun,
    experiment: &'a SourceExperiment,
    place: &'a ImportedExperiment,
    known: &'a BTreeMap<String, RunId>,
    origin: &'a Path,
}

impl Taking<'_> {
    fn take(&self, now: Timestamp) -> Result<(ImportedRun, Findings), ImportError> {
        let mut first = Findings::default();
        let meta = self.source.meta(self.run, self.experiment, &mut first)?;
        let texts = self.source.texts(self.run, self.experiment, &mut first)?;
        let said = meta.said("status").and_then(words::state_in_file);
        let started = match meta.int("start_time") {
            Some(millis) => Some(millis),
            None => self.first_time()?.or(meta.int("end_time")),
        };
        let started = started.map_or(now, Timestamp::from_unix_millis);
        let labels = self.labels(&meta, &texts.tags, now);
        let tagged = texts.tags.contains_key(NAME_TAG);
        let provenance = json!({
            "client": words::client("mlflow-store", "mlflow", meta.said("user_id").unwrap_or_default()),
            "mlflow": {
                "run_id": self.run.id,
                "store": self.origin,
                "imported_at": now,
                // By these, export knows what was changed since.
                "name": labels.name,
                "is_name_tagged": tagged,
                "states": if said == Some(RunState::Planned) { 1 } else { 3 },
                "meta": meta.text(),
            },
        });
        let parameters: Map<String, Value> =
            texts.params.iter().map(|(key, value)| (key.clone(), Value::String(value.clone()))).collect();
        let logged = Logged { by: "mlflow".to_owned(), experiment: Some(self.place.name.clone()), parameters };
        let (mut findings, mut came) = (Findings::default(), Came::default());
        let dir = self.store.create_whole(&logged, &provenance, &Lineage::default(), started, |guest| {
            (findings, came) = (first.clone(), Came::default());
            if said != Some(RunState::Planned) {
                guest.state(RunState::Running, None, started)?;
            }
            came = self.points(guest, &mut findings)?;
            if !texts.inputs.is_empty() {
                guest.fact(INPUTS_FACT, Value::Array(texts.inputs.clone()))?;
            }
            if let Some(folder) = self.source.artifacts(self.run, self.experiment, &meta, &mut findings)? {
                let to = guest.dir().path().join("artifacts");
                let at = format!("{}/{}/artifacts", self.experiment.id, self.run.id);
                came.artifacts = copy(&folder, &to, &at, &mut findings)?;
            }
            for finding in findings.set_aside.iter().chain(&findings.not_taken) {
                guest.warning(format!("not imported: {}: {}", finding.place, finding.why))?;
            }
            guest.dir().relabel(|now| now.clone_from(&labels))?;
            let ended = meta.int("end_time").map(Timestamp::from_unix_millis).or(came.last_time).unwrap_or(started);
            match said {
                Some(RunState::Planned) => {}
                Some(RunState::Running) => {
                    let reason = "it was still running in MLflow when it was imported";
                    guest.state(RunState::Interrupted, Some(reason.to_owned()), ended)?;
                }
                Some(state) => guest.state(state, None, ended)?,
                None => {
                    let reason = "MLflow does not say how it ended";
                    guest.state(RunState::Interrupted, Some(reason.to_owned()), ended)?;
                }
            }
            Ok::<_, ImportError>(())
        })?;
        let run = ImportedRun {
            run: dir.id().clone(),
            mlflow_run_id: self.run.id.clone(),
            experiment: self.place.name.clone(),
            state: match said {
                Some(RunState::Running) | None => RunState::Interrupted,
                Some(state) => state,
            },
            is_deleted: labels.is_trashed(),
            metrics: came.metrics,
            points: came.points,
            params: texts.params.len(),
            tags: texts.tags.len(),
            inputs: texts.inputs.len(),
            artifacts: came.artifacts.files,
            artifact_bytes: came.artifacts.bytes,
        };
        Ok((run, findings))
    }

    /// The time of the first point, for a run that does not say when it began.
    fn first_time(&self) -> Result<Option<i64>, ImportError> {
        let mut first: Option<i64> = None;
        self.source.points(self.run, self.experiment, &mut Findings::default(), &mut |_, line| {
            first = Some(first.map_or(line.millis, |first| first.min(line.millis)));
            Ok(())
        })?;
        Ok(first)
    }

    fn labels(&self, meta: &Meta, tags: &BTreeMap<String, String>, now: Timestamp) -> Labels {
        let mut labels = Labels::default();
        for (key, value) in tags {
            let parent = if key == PARENT_TAG { self.known.get(value) } else { None };
            words::put(&mut labels, key, parent.map_or(value.as_str(), RunId::as_str));
        }
        let named = || meta.said("run_name").or(meta.said("name")).map(str::to_owned);
        labels.name = labels.name.take().or_else(named);
        if meta.said("lifecycle_stage") == Some("deleted") {
            labels.trashed_at = Some(meta.int("deleted_time").map_or(now, Timestamp::from_unix_millis));
        } else if self.experiment.is_deleted {
            // They went with their experiment, and come back with it.
            let with_it = self.experiment.meta.int("last_update_time").map_or(now, Timestamp::from_unix_millis);
            labels.trashed_at = Some(with_it);
        }
        labels
    }

    fn points(&self, guest: &mut GuestRun, findings: &mut Findings) -> Result<Came, ImportError> {
        let mut came = Came::default();
        let (mut batch, mut metrics) = (Vec::with_capacity(AT_A_TIME), BTreeSet::new());
        let (mut lines, mut out_of_time) = (Spellings::default(), 0_u64);
        self.source.points(self.run, self.experiment, findings, &mut |metric, line| {
            let at = Timestamp::from_unix_millis(line.millis);
            let Line { millis, value, step, mut form } = line;
            if at.unix_millis() != millis {
                out_of_time += 1;
                let usual = form.take().unwrap_or_else(|| USUAL.to_owned());
                let spelled = if usual.starts_with("T ") { usual.replacen('T', &millis.to_string(), 1) } else { usual };
                form = Some(spelled);
            }
            if !metrics.contains(metric) {
                metrics.insert(metric.clone());
            }
            lines.note(metric, form);
            came.points += 1;
            came.last_time = came.last_time.max(Some(at));
            batch.push(LoggedPoint { key: metric.clone(), step, at: Some(at), value });
            if batch.len() == AT_A_TIME {
                guest.points(std::mem::take(&mut batch))?;
                batch.reserve(AT_A_TIME);
            }
            Ok(())
        })?;
        guest.points(batch)?;
        came.metrics = metrics.len();
        let place = format!("run {}", self.run.id);
        if out_of_time > 0 {
            let text =
                format!("{out_of_time} points have a time outside of the years 0 to 9999, and are held within them");
            findings.changed(&place, text);
        }
        match lines.fact() {
            Some(Ok(fact)) => guest.fact(LINES_FACT, fact)?,
            Some(Err(())) => {
                findings.changed(&place, "its metric lines are spelled in too many ways: the numbers are kept")
            }
            None => {}
        }
        Ok(came)
    }
}

/// What came of a run.
#[derive(Clone, Copy, Debug, Default)]
struct Came {
    metrics: usize,
    points: u64,
    last_time: Option<Timestamp>,
    artifacts: Copied,
}

/// How the lines of metrics are spelled, lines in a row as one.
#[derive(Default)]
struct Spellings {
    rows: BTreeMap<MetricName, Vec<(u64, Option<Form>)>>,
    count: usize,
}

impl Spellings {
    fn note(&mut self, metric: &MetricName, form: Option<Form>) {
        let rows = match self.rows.get_mut(metric) {
            Some(rows) => rows,
            None => self.rows.entry(metric.clone()).or_default(),
        };
        match rows.last_mut() {
            Some((count, last)) if *last == form => *count += 1,
            _ if self.count >= MOST_SPELLINGS => self.count += 1,
            _ => {
                rows.push((1, form));
                self.count += 1;
            }
        }
    }

    /// Nothing where every line is spelled as usual.
    fn fact(self) -> Option<Result<Value, ()>> {
        if self.count > MOST_SPELLINGS {
            return Some(Err(()));
        }
        let odd = self.rows.into_iter().filter(|(_, rows)| rows.iter().any(|(_, form)| form.is_some()));
        let odd: Map<String, Value> = odd.map(|(metric, rows)| (metric.to_string(), json!(rows))).collect();
        (!odd.is_empty()).then_some(Ok(Value::Object(odd)))
    }
}
