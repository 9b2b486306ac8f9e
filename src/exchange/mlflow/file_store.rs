//! `mlruns`: MLflow's store of files, of its versions 1 to 3.
//!
//! ```text
//! mlruns/EXPERIMENT/meta.yaml, tags/KEY, datasets/ID/meta.yaml        .trash/EXPERIMENT/... are the deleted ones
//!        EXPERIMENT/RUN/meta.yaml, params/KEY, tags/KEY, metrics/KEY, inputs/ID/meta.yaml, artifacts/...
//! ```
//!
//! A key with slashes is a file in folders. Every file is read for itself: one that is damaged is set aside, and what stands
//! beside it counts.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use serde_json::{Value, json};

use super::line::{self, Line, Piece};
use super::meta::Meta;
use super::source::{
    ArtifactRoots, ImportError, Source, SourceExperiment, SourceRun, TakePoint, Texts, check_tag, is_run_id, lines,
    metric,
};
use super::words::PARENT_TAG;
use crate::exchange::copying::DEEPEST;
use crate::exchange::findings::{Findings, shown};
use crate::exchange::folder::{Folder, Kind, reason};
use crate::exchange::yaml::Node;

/// Bytes of a text that are read at most: of a parameter, a tag, a `meta.yaml`.
const LONGEST_TEXT: u64 = 1 << 24;

const META: &str = "meta.yaml";
const TRASH: &str = ".trash";

/// What a run's folder may hold, by which it is known where its `meta.yaml` is missing.
const OF_A_RUN: [&str; 6] = ["metrics", "params", "tags", "artifacts", "inputs", "outputs"];

/// A store of files, open.
#[derive(Debug)]
pub struct FileStore {
    root: Folder,
    artifacts: ArtifactRoots,
}

impl FileStore {
    /// Opens the store at `path`, which may also be the folder that `mlruns` is in.
    pub fn open(path: &Path, artifacts: &[std::path::PathBuf]) -> Result<Self, ImportError> {
        let failed = |source| ImportError::Io { place: path.display().to_string(), source };
        let (mut path, mut root) = (path.to_owned(), Folder::open(path).map_err(failed)?);
        if !is_store(&root) {
            if let Ok(inner) = root.folder(OsStr::new("mlruns"))
                && is_store(&inner)
            {
                (path, root) = (path.join("mlruns"), inner);
            } else {
                let problem =
                    "it has no folder with a meta.yaml; a store is the folder `mlruns`, or the file `mlflow.db`";
                return Err(ImportError::NoStore { path, problem: problem.to_owned() });
            }
        }
        let base = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let roots = std::iter::once(path.clone()).chain(artifacts.iter().cloned());
        Ok(Self { artifacts: ArtifactRoots::new(base, roots), root })
    }

    fn of_experiment(&self, experiment: &SourceExperiment) -> Option<Folder> {
        self.root.below(path_of(experiment))
    }

    fn of_run(&self, run: &SourceRun, experiment: &SourceExperiment) -> Option<Folder> {
        self.root.below(path_of(experiment).into_iter().chain([run.id.as_str()]))
    }
}

/// Whether a folder has an experiment in it.
fn is_store(folder: &Folder) -> bool {
    let entries = folder.entries().unwrap_or_default();
    let has_meta = |name: &OsStr| folder.folder(name).is_ok_and(|inner| inner.file(OsStr::new(META)).is_ok());
    entries.iter().any(|(name, kind)| *kind == Kind::Folder && (name == TRASH || has_meta(name)))
}

fn path_of(experiment: &SourceExperiment) -> Vec<&str> {
    let trash = experiment.is_deleted.then_some(TRASH);
    trash.into_iter().chain([experiment.id.as_str()]).collect()
}

fn place(of: &SourceRun, within: &SourceExperiment, file: &str) -> String {
    path_of(within).into_iter().chain([of.id.as_str(), file]).collect::<Vec<_>>().join("/")
}

/// The names in a folder that are text; what is neither file nor folder is listed.
fn named(folder: &Folder, at: &str, findings: &mut Findings) -> Vec<(String, Kind)> {
    let entries = match folder.entries() {
        Ok(entries) => entries,
        Err(error) => {
            findings.set_aside(at, reason(&error));
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for (name, kind) in entries {
        let path = || if at == "." { name.display().to_string() } else { format!("{at}/{}", name.display()) };
        match (name.to_str(), kind) {
            (None, _) => findings.set_aside(path(), "its name is not UTF-8"),
            (Some(_), Kind::Other(what)) => findings.not_taken(path(), format!("{what}, which is not followed")),
            (Some(text), kind) => found.push((text.to_owned(), kind)),
        }
    }
    found
}

/// What is done with a file: its key, the folder that it is in, and its name.
type TakeFile<'t> = dyn FnMut(&str, &Folder, &OsStr, &mut Findings) -> Result<(), ImportError> + 't;

/// Goes through the files of a folder and of the folders in it, each by its key.
fn files(
    folder: &Folder,
    at: &str,
    key: &str,
    depth: usize,
    findings: &mut Findings,
    take: &mut TakeFile<'_>,
) -> Result<(), ImportError> {
    for (name, kind) in named(folder, at, findings) {
        let (path, key) = (format!("{at}/{name}"), if key.is_empty() { name.clone() } else { format!("{key}/{name}") });
        match kind {
            Kind::Folder if depth >= DEEPEST => findings.not_taken(path, format!("more than {DEEPEST} folders deep")),
            Kind::Folder => match folder.folder(OsStr::new(&name)) {
                Ok(inner) => files(&inner, &path, &key, depth + 1, findings, take)?,
                Err(error) => findings.set_aside(path, reason(&error)),
            },
            _ => take(&key, folder, OsStr::new(&name), findings)?,
        }
    }
    Ok(())
}

/// The texts of a folder of keys.
fn texts(folder: Option<Folder>, at: &str, findings: &mut Findings) -> Result<BTreeMap<String, String>, ImportError> {
    let mut found = BTreeMap::new();
    let Some(folder) = folder else { return Ok(found) };
    files(&folder, at, "", 0, findings, &mut |key, folder, name, findings| {
        match folder.text(name, LONGEST_TEXT) {
            Ok(text) => drop(found.insert(key.to_owned(), text)),
            Err(why) => findings.set_aside(format!("{at}/{key}"), why),
        }
        Ok(())
    })?;
    Ok(found)
}

/// Tags, but for those that cannot be kept.
fn tags(folder: Option<Folder>, at: &str, findings: &mut Findings) -> Result<BTreeMap<String, String>, ImportError> {
    let mut found = texts(folder, at, findings)?;
    found.retain(|key, _| check_tag(key).inspect_err(|why| findings.not_taken(format!("{at}/{key}"), *why)).is_ok());
    Ok(found)
}

/// The record of a folder; of one that is damaged what its names say.
fn meta_of(folder: &Folder, at: &str, findings: &mut Findings, otherwise: &[(&str, &str)]) -> Meta {
    let read = folder.text(OsStr::new(META), LONGEST_TEXT).and_then(Meta::parse);
    read.unwrap_or_else(|why| {
        findings.set_aside(format!("{at}/{META}"), why);
        Meta::of(otherwise.iter().map(|(key, text)| ((*key).to_owned(), Node::text(*text))).collect())
    })
}

impl Source for FileStore {
    fn experiments(&self, findings: &mut Findings) -> Result<Vec<SourceExperiment>, ImportError> {
        let mut found = Vec::new();
        for (folder, at, is_deleted) in
            [(self.root.below([]), ".".to_owned(), false), (self.root.below([TRASH]), TRASH.to_owned(), true)]
        {
            let Some(folder) = folder else { continue };
            for (name, kind) in named(&folder, &at, findings) {
                let path = if is_deleted { format!("{at}/{name}") } else { name.clone() };
                match (kind, name.as_str()) {
                    (Kind::Folder, TRASH) if !is_deleted => {}
                    (Kind::Folder, _) => {
                        let Ok(inner) = folder.folder(OsStr::new(&name)) else {
                            findings.set_aside(path, "cannot be opened");
                            continue;
                        };
                        found.extend(experiment(&inner, name, &path, is_deleted, findings)?);
                    }
                    _ => findings.not_taken(path, "a file beside the experiments"),
                }
            }
        }
        Ok(found)
    }

    fn runs(&self, experiments: &[SourceExperiment], findings: &mut Findings) -> Result<Vec<SourceRun>, ImportError> {
        let mut found = Vec::new();
        for (i, experiment) in experiments.iter().enumerate() {
            let Some(folder) = self.of_experiment(experiment) else { continue };
            let at = path_of(experiment).join("/");
            for (name, kind) in named(&folder, &at, findings) {
                let path = format!("{at}/{name}");
                match (kind, name.as_str()) {
                    (Kind::File, META) | (Kind::Folder, "tags" | "datasets") => {}
                    (Kind::Folder, "models" | "traces") => {
                        let held = folder.folder(OsStr::new(&name)).and_then(|inner| inner.entries());
                        let count = held.map_or(0, |held| held.len());
                        if count > 0 {
                            findings.not_taken(path, format!("{count} logged {name}"));
                        }
                    }
                    (Kind::Folder, _) => match folder.folder(OsStr::new(&name)) {
                        Ok(inner) if is_run(&inner) && is_run_id(&name) => {
                            let parent = inner.below(["tags"]);
                            let parent = parent.and_then(|tags| tags.text(OsStr::new(PARENT_TAG), 1_000).ok());
                            found.push(SourceRun { id: name, experiment: i, parent });
                        }
                        Ok(inner) if is_run(&inner) => findings.not_taken(path, "no run of MLflow is called so"),
                        Ok(_) => findings.not_taken(path, "no run: it has no meta.yaml"),
                        Err(error) => findings.set_aside(path, reason(&error)),
                    },
                    _ => findings.not_taken(path, "a file beside the runs"),
                }
            }
        }
        Ok(found)
    }

    fn meta(&self, of: &SourceRun, within: &SourceExperiment, findings: &mut Findings) -> Result<Meta, ImportError> {
        let at = place(of, within, "");
        let at = at.trim_end_matches('/');
        let otherwise = [("run_id", of.id.as_str()), ("experiment_id", within.id.as_str())];
        let Some(folder) = self.of_run(of, within) else {
            findings.set_aside(at, "cannot be opened");
            return Ok(Meta::of(Vec::new()));
        };
        let meta = meta_of(&folder, at, findings, &otherwise);
        let ids = [("run_id", &of.id), ("experiment_id", &within.id)];
        for (key, expected) in
            ids.into_iter().filter(|(key, expected)| meta.said(key).is_some_and(|id| id != *expected))
        {
            let text =
                format!("it says `{key}: {}`; its folder counts, `{expected}`", meta.said(key).unwrap_or_default());
            findings.changed(format!("{at}/{META}"), text);
        }
        Ok(meta)
    }

    fn texts(&self, of: &SourceRun, within: &SourceExperiment, findings: &mut Findings) -> Result<Texts, ImportError> {
        let Some(folder) = self.of_run(of, within) else { return Ok(Texts::default()) };
        let known = ["metrics", "params", "tags", "artifacts", "inputs"];
        for (name, kind) in named(&folder, place(of, within, "").trim_end_matches('/'), findings) {
            let is_empty =
                || folder.below([name.as_str()]).is_none_or(|inner| inner.entries().is_ok_and(|e| e.is_empty()));
            match kind {
                Kind::Folder if known.contains(&name.as_str()) => {}
                Kind::File if name == META => {}
                Kind::Folder if is_empty() => {}
                Kind::Folder if name == "outputs" => findings.not_taken(place(of, within, &name), "logged models"),
                _ => findings.not_taken(place(of, within, &name), "not of a run as MLflow writes it"),
            }
        }
        let params = texts(folder.below(["params"]), &place(of, within, "params"), findings)?;
        let tags = tags(folder.below(["tags"]), &place(of, within, "tags"), findings)?;
        let datasets = self.of_experiment(within).and_then(|experiment| experiment.below(["datasets"]));
        let inputs = inputs(folder.below(["inputs"]), datasets, &place(of, within, "inputs"), findings);
        Ok(Texts { params, tags, inputs })
    }

    fn points(
        &self,
        of: &SourceRun,
        within: &SourceExperiment,
        findings: &mut Findings,
        take: &mut TakePoint<'_>,
    ) -> Result<(), ImportError> {
        let Some(folder) = self.of_run(of, within).and_then(|run| run.below(["metrics"])) else { return Ok(()) };
        let at = place(of, within, "metrics");
        files(&folder, &at, "", 0, findings, &mut |key, folder, name, findings| {
            let place = format!("{at}/{key}");
            let metric = match metric(key) {
                Ok(metric) => metric,
                Err(why) => {
                    findings.not_taken(format!("{at}/{}", shown(key)), why);
                    return Ok(());
                }
            };
            let mut source = match folder.file(name) {
                Ok(file) => lines(file),
                Err(error) => {
                    findings.set_aside(place, reason(&error));
                    return Ok(());
                }
            };
            let (mut number, mut bad) = (0_u64, BadLines::default());
            loop {
                let piece = match line::next(&mut source) {
                    Ok(Some(piece)) => piece,
                    Ok(None) => break,
                    Err(error) => {
                        findings.set_aside(format!("{place}:{}", number + 1), reason(&error));
                        break;
                    }
                };
                number += 1;
                let parsed = match piece {
                    Piece::Line(text) => Line::parse(&text),
                    Piece::Bad(why) => Err(why),
                };
                match parsed {
                    Ok(line) => take(&metric, line)?,
                    Err(why) => bad.note(number, why),
                }
            }
            if number == 0 {
                findings.set_aside(place, "empty: a metric has a line at least");
            } else {
                bad.report(&place, findings);
            }
            Ok(())
        })
    }

    fn artifacts(
        &self,
        of: &SourceRun,
        within: &SourceExperiment,
        meta: &Meta,
        findings: &mut Findings,
    ) -> Result<Option<Folder>, ImportError> {
        if let Some(folder) = self.of_run(of, within).and_then(|run| run.below(["artifacts"])) {
            return Ok(Some(folder));
        }
        let Some(uri) = meta.said("artifact_uri") else { return Ok(None) };
        let found = self.artifacts.find(uri, &within.id, &of.id);
        Ok(found.unwrap_or_else(|why| {
            findings.not_taken(place(of, within, "artifacts"), why);
            None
        }))
    }
}

/// Lines that are no points: the first few by themselves, the rest as a number.
#[derive(Default)]
struct BadLines {
    first: Vec<(u64, String)>,
    more: u64,
}

impl BadLines {
    fn note(&mut self, number: u64, why: String) {
        if self.first.len() < 5 { self.first.push((number, why)) } else { self.more += 1 }
    }

    fn report(self, place: &str, findings: &mut Findings) {
        for (number, why) in self.first {
            findings.set_aside(format!("{place}:{number}"), why);
        }
        if self.more > 0 {
            findings.set_aside(place, format!("{} lines more that are no points", self.more));
        }
    }
}

fn is_run(folder: &Folder) -> bool {
    folder.file(OsStr::new(META)).is_ok() || OF_A_RUN.iter().any(|name| folder.below([*name]).is_some())
}

/// The experiment of a folder, if it is one.
fn experiment(
    folder: &Folder,
    id: String,
    at: &str,
    is_deleted: bool,
    findings: &mut Findings,
) -> Result<Option<SourceExperiment>, ImportError> {
    let has_meta = folder.entries().is_ok_and(|entries| entries.iter().any(|(name, _)| name == META));
    let has_runs = || {
        let entries: Vec<(OsString, Kind)> = folder.entries().unwrap_or_default();
        entries.iter().any(|(name, kind)| *kind == Kind::Folder && folder.folder(name).is_ok_and(|run| is_run(&run)))
    };
    if !has_meta && (id == "models" || !has_runs()) {
        let what = if id == "models" { "registered models" } else { "no experiment: it has no meta.yaml" };
        findings.not_taken(at, what);
        return Ok(None);
    }
    if ["metrics", "params"].iter().any(|of_run| folder.below([*of_run]).is_some()) {
        findings.not_taken(at, "a run beside experiments: name the folder that its experiment lies in");
        return Ok(None);
    }
    let name = if id == "0" { "Default".to_owned() } else { format!("experiment {id}") };
    let meta = meta_of(folder, at, findings, &[("experiment_id", &id), ("name", &name)]);
    let tags = tags(folder.below(["tags"]), &format!("{at}/tags"), findings)?;
    // Being in the trash is the truth: MLflow 1 does not write it down.
    let name = meta.said("name").map_or(name, str::to_owned);
    Ok(Some(SourceExperiment { id, name, tags, meta, is_deleted }))
}

/// The data sets of a run, as its client said them.
fn inputs(folder: Option<Folder>, datasets: Option<Folder>, at: &str, findings: &mut Findings) -> Vec<Value> {
    let mut found = Vec::new();
    let Some(folder) = folder else { return found };
    for (id, _) in named(&folder, at, findings).into_iter().filter(|(_, kind)| *kind == Kind::Folder) {
        let place = format!("{at}/{id}");
        let read = |folder: Option<Folder>| {
            folder.ok_or_else(|| "missing".to_owned())?.text(OsStr::new(META), LONGEST_TEXT).and_then(Meta::parse)
        };
        let input = match read(folder.below([id.as_str()])) {
            Ok(input) => input,
            Err(why) => {
                findings.set_aside(place, why);
                continue;
            }
        };
        if input.said("source_type").is_some_and(|kind| kind != "DATASET") {
            findings.not_taken(place, "a logged model");
            continue;
        }
        let source = input.said("source_id").unwrap_or_default();
        match read(datasets.as_ref().and_then(|datasets| datasets.below([source]))) {
            Ok(dataset) => found.push(input_of(&input, &dataset)),
            Err(why) => findings.set_aside(place, format!("its data set `{}`: {why}", shown(source))),
        }
    }
    found
}

fn input_of(input: &Meta, dataset: &Meta) -> Value {
    let tags = match input.get("tags") {
        Some(Node::Map(tags)) => tags.as_slice(),
        _ => &[],
    };
    let tag = |(key, value): &(String, Node)| json!({ "key": key, "value": value.as_text().unwrap_or_default() });
    let mut fields = serde_json::Map::new();
    for key in ["name", "digest", "source_type", "source", "schema", "profile"] {
        if let Some(text) = dataset.get(key).and_then(Node::as_text) {
            fields.insert(key.to_owned(), Value::String(text.to_owned()));
        }
    }
    json!({ "tags": tags.iter().map(tag).collect::<Vec<_>>(), "dataset": fields })
}
