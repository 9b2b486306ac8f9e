//! W&B's offline runs taken in: folders that have the same run id are one run, as W&B's site would show it once they are synced.
//!
//! The records of a run are read twice, in the order of the dates in its folders' names: for what is said of it as a
//! whole, and for its points. What was logged is kept at its step and its time; what W&B adds to every step (`_step`,
//! `_timestamp`, `_runtime`) is that step and that time.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::logged::{Was, numbers, step, timestamp};
use super::record::{Changes, Item, LONGEST_KEPT, MOST_KEPT, Record, Said, nesting};
use super::search::{FILES, Identity, Piece, find};
use crate::exchange::copying::DEEPEST;
use crate::exchange::findings::{Findings, shown};
use crate::exchange::folder::{Folder, reason};
use crate::exchange::intake::{self, Candidate, Ending, Filling, ImportError, Imported, Named, Options, Tally, Told};
use crate::exchange::records::Next;
use crate::store::{Labels, RunState, Store};

/// The fact with what the summary says that the points do not.
pub const SUMMARY_FACT: &str = "wandb.summary";

/// The artifact with what the program said, where W&B's own file of it is missing.
const OUTPUT: &str = "output.log";

/// Takes in the offline runs at `path`: a folder `wandb`, a folder of a run, or a `.wandb` file; `tell` hears of every run, of how many
/// there are.
///
/// # Errors
/// When there are none, or the store cannot be written. The runs that came in until then stay.
pub fn import(
    store: &Store,
    path: &Path,
    options: &Options,
    tell: &mut dyn FnMut(usize, usize),
) -> Result<Imported, ImportError> {
    let Named { path: top, root, only } = Named::at(path)?;
    let (runs, findings) = find(&root, only);
    if runs.is_empty() && findings.is_empty() {
        let problem = "has no offline run of W&B: neither a `.wandb` file nor a folder with one".to_owned();
        return Err(ImportError::NoSource { path: path.to_owned(), problem });
    }
    let of_run = |((entity, project, id), pieces): (Identity, Vec<Piece>)| {
        let name = named(&entity, &project, &id);
        Offline { root: &root, name, id, project, pieces }
    };
    let runs: Vec<Offline> = runs.into_iter().map(of_run).collect();
    intake::take_in(store, "wandb", &top, &runs, findings, options, tell)
}

/// What a run is called: entity, project and id, from the first of them that is said. A slash within one of them is no slash
/// between them, so that no two runs are called the same.
fn named(entity: &str, project: &str, id: &str) -> String {
    let parts = [entity, project, id].map(|part| part.replace('%', "%25").replace('/', "%2F"));
    let first = parts.iter().position(|part| !part.is_empty()).unwrap_or(2);
    parts[first..].join("/")
}

/// A run that was found.
struct Offline<'a> {
    root: &'a Folder,
    /// Entity, project and id, as far as they are said.
    name: String,
    id: String,
    project: String,
    pieces: Vec<Piece>,
}

/// What the first reading finds out.
#[derive(Default)]
struct Overview {
    config: Map<String, Value>,
    config_held: Held,
    labels: Labels,
    /// Group, job type and sweep.
    of: BTreeMap<&'static str, String>,
    about: Map<String, Value>,
    started: Option<f64>,
    ended: Option<f64>,
    exit: Option<i32>,
    summary: BTreeMap<String, Value>,
    summary_held: Held,
    /// The bits of what was logged last by key, which the summary repeats.
    last: BTreeMap<String, u64>,
    others: Tally,
    has_output: bool,
    /// Whether it says anything at all.
    is_said: bool,
}

impl Offline<'_> {
    /// Reads every record of the run; what is wrong with a file is told, if somebody asks.
    fn each(
        &self,
        mut findings: Option<&mut Findings>,
        take: &mut dyn FnMut(Record<'_>) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        for piece in &self.pieces {
            let mut malformed = 0_u64;
            let mut say = |why: String| {
                if let Some(findings) = findings.as_deref_mut() {
                    findings.set_aside(piece.place(), why);
                }
            };
            let mut records = match piece.records(self.root) {
                Ok(records) => records,
                Err(why) => {
                    say(why);
                    continue;
                }
            };
            loop {
                let at = records.at();
                match records.next() {
                    Ok(Next::Record(data)) => match Record::read(data) {
                        Ok(record) => take(record)?,
                        Err(_) => malformed += 1,
                    },
                    Ok(Next::End) => break,
                    Ok(Next::Torn) => {
                        say(format!("the record at byte {at} is torn: it was being written"));
                        break;
                    }
                    Ok(Next::Bad(why)) => {
                        say(format!("{why}: the file is read until there"));
                        break;
                    }
                    Err(error) => {
                        say(format!("{}: it is read until byte {at}", reason(&error)));
                        break;
                    }
                }
            }
            if malformed > 0 {
                say(format!("{malformed} records are no messages of protocol buffers"));
            }
        }
        Ok(())
    }

    fn overview(&self, findings: &mut Findings) -> Result<Overview, ImportError> {
        let mut overview = Overview::default();
        self.each(Some(findings), &mut |record| {
            overview.is_said |= !matches!(record, Record::Nothing);
            match record {
                Record::Nothing => {}
                Record::Run(run) => {
                    overview.configure(run.config);
                    let labels = &mut overview.labels;
                    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
                    labels.name = some(run.name).or(labels.name.take());
                    labels.note = some(run.notes).or(labels.note.take());
                    labels.tags = run.tags.iter().map(|&tag| tag.to_owned()).collect();
                    let of = [("group", run.group), ("job_type", run.job_type), ("sweep", run.sweep)];
                    let of = of.into_iter().filter(|(_, value)| !value.is_empty());
                    overview.of.extend(of.map(|(key, value)| (key, value.to_owned())));
                    let about = [("host", run.host), ("git_remote", run.remote), ("git_commit", run.commit)];
                    let about = about.into_iter().filter(|(_, value)| !value.is_empty());
                    overview.about.extend(about.map(|(key, value)| (key.to_owned(), Value::from(value))));
                    overview.started = overview.started.or(run.started);
                    overview.exit = None;
                }
                Record::Config(changes) => overview.configure(changes),
                Record::Summary(changes) => overview.summarise(changes),
                Record::Environment(said) => {
                    overview.about.extend(said.into_iter().map(|(key, value)| (key.to_owned(), value)));
                }
                Record::Exit(code) => overview.exit = Some(code),
                Record::Output(_) => overview.has_output = true,
                Record::Stats(at, items) => {
                    overview.ended = later(overview.ended, at);
                    for item in items.iter().filter(|item| item.value.number().is_none()) {
                        overview.others.note("system metrics that are no numbers", &item.keys.join("."));
                    }
                }
                Record::Other(kind) => overview.others.note(kind, ""),
                Record::History(history) => {
                    overview.ended = later(overview.ended, timestamp(&history));
                    let others = &mut overview.others;
                    numbers(&history, &mut |kind, key| others.note(kind, key), &mut |key, number, _| {
                        match overview.last.get_mut(key) {
                            Some(last) => *last = number.to_bits(),
                            None => drop(overview.last.insert(key.to_owned(), number.to_bits())),
                        }
                        Ok(())
                    })?;
                }
            }
            Ok(())
        })?;
        Ok(overview)
    }
}

/// How many bytes are kept under which keys.
#[derive(Default)]
struct Held {
    sizes: BTreeMap<String, usize>,
    bytes: usize,
}

impl Held {
    /// Reads a value that is to be kept in the place of what was there before; where it cannot be, why not.
    fn keep(&mut self, item: Item<'_>) -> Result<Value, &'static str> {
        let size = item.size();
        self.forget(&item.keys);
        if size > LONGEST_KEPT {
            return Err("of more than 1 MiB");
        }
        if self.bytes + size > MOST_KEPT {
            return Err("beyond the first 16 MiB");
        }
        let nesting = if let Said::Unread(json) = item.value { nesting(json) } else { 0 };
        if item.keys.len() + nesting > DEEPEST {
            return Err("too deep in one another");
        }
        let value = item.value.json().ok_or("that are no JSON")?;
        self.sizes.insert(item.keys.join("\0"), size);
        self.bytes += size;
        Ok(value)
    }

    fn forget(&mut self, keys: &[&str]) {
        self.bytes -= self.sizes.remove(&keys.join("\0")).unwrap_or(0);
    }
}

impl Overview {
    /// Sets and takes away settings. What W&B says of itself is none of the run's; of what cannot be kept, what was there before
    /// is not kept either.
    fn configure(&mut self, changes: Changes<'_>) {
        (0..changes.beyond).for_each(|_| self.others.note("settings beyond the first 16 MiB", ""));
        for item in changes.updated.into_iter().filter(|item| item.keys[0] != "_wandb") {
            let keys = item.keys.clone();
            match self.config_held.keep(item) {
                Ok(value) => {
                    let (last, way) = keys.split_last().expect("invariant: an item has a key");
                    within(&mut self.config, way).insert((*last).to_owned(), value);
                }
                Err(why) => {
                    self.others.note(&format!("settings {why}"), keys[0]);
                    remove(&mut self.config, &keys);
                }
            }
        }
        for keys in &changes.removed {
            self.config_held.forget(keys);
            remove(&mut self.config, keys);
        }
    }

    fn summarise(&mut self, changes: Changes<'_>) {
        (0..changes.beyond).for_each(|_| self.others.note("values of the summary beyond the first 16 MiB", ""));
        let is_told = |item: &Item<'_>| !matches!(item.keys[0], "_step" | "_timestamp" | "_runtime" | "_wandb");
        for item in changes.updated.into_iter().filter(is_told) {
            let key = item.keys.join(".");
            match self.summary_held.keep(item) {
                Ok(value) => drop(self.summary.insert(key, value)),
                Err(why) => {
                    self.others.note(&format!("values of the summary {why}"), &key);
                    self.summary.remove(&key);
                }
            }
        }
        for keys in &changes.removed {
            self.summary_held.forget(keys);
            self.summary.remove(&keys.join("."));
        }
    }

    /// What the summary says beside what was logged last, but for media.
    fn own_summary(&self, media: &BTreeSet<String>) -> Map<String, Value> {
        let is_own = |(key, value): &(&String, &Value)| {
            let number = match value {
                Value::Number(number) => number.as_f64(),
                Value::String(text) => text.parse().ok().filter(|number: &f64| !number.is_finite()),
                Value::Bool(is_true) => Some(f64::from(u8::from(*is_true))),
                _ => None,
            };
            let repeats = match (self.last.get(*key), number) {
                (Some(last), Some(number)) => {
                    *last == number.to_bits() || number.is_nan() && f64::from_bits(*last).is_nan()
                }
                _ => false,
            };
            let is_media = media.iter().any(|name| *name == **key || key.starts_with(&format!("{name}.")));
            !repeats && !is_media
        };
        self.summary.iter().filter(is_own).map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn ending(&self) -> Ending {
        let (state, reason) = match self.exit {
            Some(0) => (RunState::Finished, None),
            Some(code) => (RunState::Failed, Some(format!("its program ended with exit code {code}"))),
            None => (RunState::Interrupted, Some("its log has no end: it was killed, or was still running".to_owned())),
        };
        Ending { state, reason, at: self.ended.and_then(intake::moment) }
    }
}

/// Takes a setting away.
fn remove(config: &mut Map<String, Value>, keys: &[&str]) {
    let (mut place, (last, way)) = (Some(config), keys.split_last().expect("invariant: an item has a key"));
    for key in way {
        place = place.and_then(|place| place.get_mut(*key)).and_then(Value::as_object_mut);
    }
    if let Some(place) = place {
        place.shift_remove(*last);
    }
}

/// The settings that keys lead to, made where they are not there.
fn within<'m>(config: &'m mut Map<String, Value>, way: &[&str]) -> &'m mut Map<String, Value> {
    let Some((first, rest)) = way.split_first() else { return config };
    let inner = config.entry(*first).or_insert(Value::Null);
    if !inner.is_object() {
        *inner = Value::Object(Map::new());
    }
    within(inner.as_object_mut().expect("invariant: it is an object now"), rest)
}

/// The later of two times, as far as they are known.
fn later(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).reduce(f64::max)
}

impl Candidate for Offline<'_> {
    type Read = Overview;

    fn name(&self) -> &str {
        &self.name
    }

    fn known_by(&self) -> Vec<(&'static str, String)> {
        vec![("id", self.name.clone())]
    }

    fn stamp(&self) -> Value {
        let bytes: u64 = self.pieces.iter().map(|piece| piece.bytes).sum();
        json!({ "files": self.pieces.len(), "bytes": bytes })
    }

    fn read(&self, findings: &mut Findings) -> Result<Option<(Told, Overview)>, ImportError> {
        let mut overview = self.overview(findings)?;
        let place = format!("run {}", shown(&self.name));
        if !overview.is_said {
            findings.not_taken(place, "its log says nothing: W&B writes 32 KiB at a time");
            return Ok(None);
        }
        overview.others.tell(&place, findings);
        let mut labels = std::mem::take(&mut overview.labels);
        labels.tags.extend(overview.of.iter().map(|(key, value)| format!("{key}={value}")));
        labels.tags.retain(|tag| match Labels::check_tag(tag) {
            Ok(()) => true,
            Err(why) => {
                findings.not_taken(format!("{place}: tag {}", shown(tag)), why);
                false
            }
        });
        let mut about = std::mem::take(&mut overview.about);
        about.insert("run_id".to_owned(), Value::from(self.id.as_str()));
        let project = if self.project.is_empty() { "uncategorized" } else { &self.project };
        let told = Told {
            experiment: Some(project.to_owned()),
            parameters: std::mem::take(&mut overview.config),
            labels,
            started: overview.started.and_then(intake::moment),
            about,
        };
        Ok(Some((told, overview)))
    }

    fn fill(&self, overview: &Overview, into: &mut Filling<'_>) -> Result<Ending, ImportError> {
        let (mut next, mut sample, mut inexact, mut unlike, mut booleans) =
            (0_i64, 0_i64, 0_u64, 0_u64, BTreeSet::new());
        self.each(None, &mut |record| match record {
            Record::History(history) => {
                let (its, is_unlike) = step(&history);
                let step = its.unwrap_or(next);
                unlike += u64::from(is_unlike);
                next = step.saturating_add(1);
                let at = timestamp(&history).and_then(|secs| into.moment(secs));
                numbers(&history, &mut |_, _| {}, &mut |key, number, was| {
                    inexact += u64::from(was == Was::MoreExact);
                    if was == Was::Boolean && !booleans.contains(key) {
                        booleans.insert(key.to_owned());
                    }
                    into.point(key, step, at, number)
                })
            }
            Record::Stats(secs, items) => {
                let at = secs.and_then(|secs| into.moment(secs));
                for item in &items {
                    if let Some((number, is_exact)) = item.value.number() {
                        inexact += u64::from(!is_exact);
                        into.point(&format!("system/{}", item.keys.join(".")), sample, at, number)?;
                    }
                }
                sample += 1;
                Ok(())
            }
            _ => Ok(()),
        })?;
        if unlike > 0 {
            let why = format!(
                "{unlike} times `_step` is no integer of 64 bits, or not the record's own step: that step is taken, or else the one \
                 after the step before"
            );
            into.findings.changed(into.place, why);
        }
        if inexact > 0 {
            let why = format!("{inexact} points are integers of more than 53 bits, and are rounded");
            into.findings.changed(into.place, why);
        }
        if !booleans.is_empty() {
            let why =
                format!("true is 1 and false is 0 in {}", shown(&booleans.into_iter().collect::<Vec<_>>().join(", ")));
            into.findings.changed(into.place, why);
        }
        let summary = overview.own_summary(&overview.others.names("media"));
        if !summary.is_empty() {
            into.fact(SUMMARY_FACT, Value::Object(summary))?;
        }
        self.files(overview, into)?;
        Ok(overview.ending())
    }
}

impl Offline<'_> {
    /// Copies the files of the run; where several folders have some, each has a folder of its own.
    fn files(&self, overview: &Overview, into: &mut Filling<'_>) -> Result<(), ImportError> {
        let with_files: Vec<&Piece> = self.pieces.iter().filter(|piece| piece.has_files).collect();
        let mut has_output = false;
        for (at, piece) in with_files.iter().enumerate() {
            let opened = piece
                .folder(self.root)
                .and_then(|folder| folder.folder(OsStr::new(FILES)).map_err(|error| reason(&error)));
            let below = (with_files.len() > 1).then(|| format!("part-{}", at + 1));
            match opened {
                Ok(folder) => {
                    has_output |= folder.entries().is_ok_and(|all| all.iter().any(|(name, _)| name == OUTPUT));
                    into.artifacts(&folder, below.as_deref(), &format!("{}/{FILES}", piece.parts.join("/")))?;
                }
                Err(why) => into.findings.set_aside(format!("{}/{FILES}", piece.parts.join("/")), why),
            }
        }
        if overview.has_output && !has_output {
            into.artifact(OUTPUT, |take, _| {
                self.each(None, &mut |record| match record {
                    Record::Output(line) => take(line),
                    _ => Ok(()),
                })
            })?;
        }
        Ok(())
    }
}
