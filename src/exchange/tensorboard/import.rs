//! A folder of logs taken in: every folder with event files is a run, called by its path, as TensorBoard calls it.
//!
//! The files of a run are read twice, in the order of their names: for what is said of it as a whole, and for its points. A
//! program that began again at an earlier step says so (`SessionLog.START`), and then TensorBoard shows nothing that was logged for
//! that step and later ones before: what it voids is not taken here, and counted.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufReader, Read};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::event::{self, Data, Event, Session, Summed, What};
use super::records::Records;
use crate::exchange::copying::DEEPEST;
use crate::exchange::findings::{Findings, shown};
use crate::exchange::folder::{Folder, Kind, reason};
use crate::exchange::intake::{self, Candidate, Ending, Filling, ImportError, Imported, Named, Options, Tally, Told};
use crate::exchange::records::Next;
use crate::exchange::yaml;
use crate::store::{RunState, Store};
use crate::types::{ContentHasher, Timestamp};

/// The settings that PyTorch Lightning writes beside its event files.
const SETTINGS: &str = "hparams.yaml";

/// Bytes of settings that are read at most.
const LONGEST_SETTINGS: u64 = 1 << 24;

/// The artifact with the texts of a run.
const TEXTS: &str = "texts.jsonl";

/// Takes in the logs at `path`: a folder, or one event file; `tell` hears of every run, of how many there are.
///
/// # Errors
/// When there are no event files, or the store cannot be written. The runs that came in until then stay.
pub fn import(
    store: &Store,
    path: &Path,
    options: &Options,
    tell: &mut dyn FnMut(usize, usize),
) -> Result<Imported, ImportError> {
    let Named { path: top, root, only } = Named::at(path)?;
    let mut search = Search {
        root,
        called: top.file_name().map_or("logs".to_owned(), |name| name.to_string_lossy().into_owned()),
        only,
        runs: Vec::new(),
        findings: Findings::default(),
    };
    search.below(&mut Vec::new())?;
    let Search { root, called, runs, findings, .. } = search;
    if runs.is_empty() {
        let problem = "has no event files of TensorBoard (`events.out.tfevents.*`), nor has a folder in it".to_owned();
        return Err(ImportError::NoSource { path: path.to_owned(), problem });
    }
    let runs: Vec<Logs> = runs
        .into_iter()
        .map(|run| Logs { identity: run.identity(&root), root: &root, experiment: &called, run })
        .collect();
    intake::take_in(store, "tensorboard", &top, &runs, findings, options, tell)
}

/// The search for folders with event files.
struct Search {
    root: Folder,
    /// What the folder that was named is called.
    called: String,
    /// The one file that was asked for.
    only: Option<std::ffi::OsString>,
    runs: Vec<RunFolder>,
    findings: Findings,
}

/// A folder with event files.
struct RunFolder {
    /// What it is called: its path.
    name: String,
    parts: Vec<String>,
    /// The event files by name, and how long each is now.
    files: Vec<(String, u64)>,
    has_settings: bool,
    /// Whatever else lies in it.
    others: Vec<String>,
}

impl Search {
    /// Finds the runs of a folder and below it; how many there are.
    fn below(&mut self, parts: &mut Vec<String>) -> Result<usize, ImportError> {
        let at = if parts.is_empty() { self.called.clone() } else { parts.join("/") };
        let opened = self.root.below(parts.iter().map(String::as_str)).ok_or("it cannot be opened".to_owned());
        let read = opened.and_then(|folder| Ok((folder.entries().map_err(|error| reason(&error))?, folder)));
        let (entries, folder) = match read {
            Ok(read) => read,
            Err(why) => {
                self.findings.set_aside(at, why);
                return Ok(0);
            }
        };
        let place = self.runs.len();
        let mut run =
            RunFolder { name: at.clone(), parts: parts.clone(), files: vec![], has_settings: false, others: vec![] };
        let mut found = 0;
        for (name, kind) in entries {
            if self.only.as_ref().is_some_and(|only| *only != name && name != SETTINGS) {
                continue;
            }
            let Some(text) = name.to_str() else {
                self.findings.not_taken(format!("{at}/{}", name.display()), "its name is not UTF-8");
                continue;
            };
            let is_log = text.contains("tfevents");
            match kind {
                Kind::File if is_log => match folder.file(&name).and_then(|file| file.metadata()) {
                    Ok(metadata) => run.files.push((text.to_owned(), metadata.len())),
                    Err(error) => self.findings.set_aside(format!("{at}/{text}"), reason(&error)),
                },
                Kind::File if text == SETTINGS => run.has_settings = true,
                Kind::Folder if parts.len() >= DEEPEST => {
                    self.findings.not_taken(format!("{at}/{text}"), format!("more than {DEEPEST} folders deep"));
                }
                Kind::Folder => {
                    parts.push(text.to_owned());
                    let in_it = self.below(parts)?;
                    parts.pop();
                    found += in_it;
                    if in_it == 0 {
                        run.others.push(text.to_owned());
                    }
                }
                Kind::Other(what) if is_log => {
                    self.findings.not_taken(format!("{at}/{text}"), format!("{what}, which is not followed"));
                }
                Kind::File | Kind::Other(_) => run.others.push(text.to_owned()),
            }
        }
        if !run.files.is_empty() {
            found += 1;
            // Before those in it, as paths are sorted.
            self.runs.insert(place, run);
        }
        Ok(found)
    }
}

impl RunFolder {
    fn folder(&self, root: &Folder) -> Result<Folder, String> {
        root.below(self.parts.iter().map(String::as_str)).ok_or_else(|| "its folder is gone".to_owned())
    }

    /// What it is known again by, wherever the folder lies: the name of its first file, which has the second, the machine and the
    /// process in which it was made, and its first record, which has the microsecond.
    fn identity(&self, root: &Folder) -> String {
        let mut hasher = ContentHasher::new();
        if let Some((name, _)) = self.files.first() {
            hasher.update(name.as_bytes()).update(&[0]);
            let file = self.folder(root).and_then(|folder| folder.file(OsStr::new(name)).map_err(|e| reason(&e)));
            let mut records = file.map(|file| Records::new(BufReader::new(file)));
            if let Ok(Ok(Next::Record(first))) = records.as_mut().map(|records| records.next().map_err(drop)) {
                hasher.update(first);
            }
        }
        hasher.finish().to_string()[..32].to_owned()
    }
}

/// A run that was found.
struct Logs<'a> {
    root: &'a Folder,
    experiment: &'a str,
    run: RunFolder,
    identity: String,
}

/// What the first reading finds out.
#[derive(Default)]
struct Overview {
    /// Where the program began again: which event, at which step, or the earliest of a later one.
    restarts: Vec<(u64, i64)>,
    first_time: Option<f64>,
    last_time: Option<f64>,
    settings: Option<Map<String, Value>>,
    has_other_settings: bool,
    end: Option<(u64, Option<f64>)>,
    others: Tally,
    scalars: u64,
    texts: u64,
    /// Whether the last file ends within a record.
    is_torn: bool,
}

/// How many things were wrong in which way; the first are named.
#[derive(Default)]
struct Wrong(BTreeMap<String, (u64, String)>);

impl Wrong {
    fn note(&mut self, why: String, place: impl FnOnce() -> String) {
        self.0.entry(why).and_modify(|(count, _)| *count += 1).or_insert_with(|| (1, place()));
    }

    fn tell(self, findings: &mut Findings) {
        for (why, (count, place)) in self.0 {
            let more = if count > 1 { format!(" ({count} times, this is the first)") } else { String::new() };
            findings.set_aside(place, format!("{why}{more}"));
        }
    }
}

impl Logs<'_> {
    /// Reads every event of the run; what is wrong with a file is told, if somebody asks.
    fn each(
        &self,
        mut findings: Option<&mut Findings>,
        take: &mut dyn FnMut(u64, Event<'_>, &mut Wrong) -> Result<(), ImportError>,
    ) -> Result<bool, ImportError> {
        let (mut position, mut is_torn) = (0, false);
        for (name, length) in &self.run.files {
            let place = format!("{}/{name}", self.run.name);
            let mut say = |why: String| {
                if let Some(findings) = findings.as_deref_mut() {
                    findings.set_aside(place.clone(), why);
                }
            };
            is_torn = false;
            let opened = self.run.folder(self.root);
            let file = opened.and_then(|folder| folder.file(OsStr::new(name)).map_err(|error| reason(&error)));
            let file = match file {
                Ok(file) => file,
                Err(why) => {
                    say(why);
                    continue;
                }
            };
            // What is logged meanwhile comes in the next time, as a change.
            let mut records = Records::new(BufReader::with_capacity(1 << 18, file.take(*length)));
            let mut wrong = Wrong::default();
            loop {
                let at = records.at();
                match records.next() {
                    Ok(Next::Record(data)) => match Event::read(data) {
                        Ok(event) => {
                            take(position, event, &mut wrong)?;
                            position += 1;
                        }
                        Err(malformed) => wrong.note(malformed.to_string(), || format!("{place}: record at byte {at}")),
                    },
                    Ok(Next::End) => break,
                    Ok(Next::Torn) => {
                        is_torn = true;
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
            if let Some(findings) = findings.as_deref_mut() {
                wrong.tell(findings);
            }
        }
        Ok(is_torn)
    }

    fn overview(&self, findings: &mut Findings) -> Result<Overview, ImportError> {
        let mut overview = Overview::default();
        let mut plugins = Plugins::default();
        let name = &self.run.name;
        let is_torn = self.each(Some(findings), &mut |position, event, wrong| {
            if event.wall_time.is_finite() {
                overview.first_time.get_or_insert(event.wall_time);
                overview.last_time = Some(overview.last_time.map_or(event.wall_time, |last| last.max(event.wall_time)));
            }
            match event.what {
                What::Nothing => {}
                What::Restart => overview.restarts.push((position, event.step)),
                What::Other(kind) => overview.others.note(kind, ""),
                What::Summary(summary) => {
                    for value in event::values(summary) {
                        let value = match value {
                            Ok(value) => value,
                            Err(malformed) => {
                                wrong.note(malformed.to_string(), || format!("{name}: step {}", event.step));
                                break;
                            }
                        };
                        let place = || format!("{name}: {} at step {}", shown(value.tag), event.step);
                        match plugins.kept(value) {
                            Kept::Nothing => {}
                            Kept::Scalar(Ok(_)) => overview.scalars += 1,
                            Kept::Text(Ok(_)) => overview.texts += 1,
                            Kept::Scalar(Err(why)) | Kept::Text(Err(why)) => wrong.note(why, place),
                            Kept::Session(Ok(said)) => overview.hear(said),
                            Kept::Session(Err(malformed)) => wrong.note(malformed.to_string(), place),
                            Kept::Other(kind) => overview.others.note(kind, value.tag),
                        }
                    }
                }
            }
            Ok(())
        })?;
        overview.is_torn = is_torn;
        // Of several restarts after a point the earliest step counts.
        let mut earliest = i64::MAX;
        for (_, step) in overview.restarts.iter_mut().rev() {
            earliest = earliest.min(*step);
            *step = earliest;
        }
        Ok(overview)
    }

    /// The settings that lie beside the event files, with those of these that they lack.
    fn settings(&self, logged: Option<Map<String, Value>>, findings: &mut Findings) -> Map<String, Value> {
        let beside = || {
            let text = self.run.folder(self.root)?.text(OsStr::new(SETTINGS), LONGEST_SETTINGS)?;
            if text.trim().trim_end_matches("{}").is_empty() { Ok(Vec::new()) } else { yaml::read(&text) }
        };
        let mut settings = Map::new();
        if self.run.has_settings {
            match beside() {
                Ok(fields) => settings.extend(fields.into_iter().map(|(key, value)| (key, value.json()))),
                Err(why) => findings.set_aside(format!("{}/{SETTINGS}", self.run.name), why),
            }
        }
        let mut known = BTreeMap::new();
        settings.iter().for_each(|(key, value)| flatten(key.clone(), value, &mut known));
        for (key, value) in logged.into_iter().flatten() {
            if !known.contains_key(&key) && !settings.contains_key(&key) {
                settings.insert(key, value);
            }
        }
        settings
    }
}

/// Nested settings as Lightning logs them: the keys of the way, with slashes between.
fn flatten(key: String, value: &Value, found: &mut BTreeMap<String, ()>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, inner)| flatten(format!("{key}/{name}"), inner, found)),
        _ => drop(found.insert(key, ())),
    }
}

impl Overview {
    fn hear(&mut self, said: Option<Session>) {
        match said {
            None => {}
            // TensorBoard shows what was said first.
            Some(Session::Start(settings)) => match &self.settings {
                Some(first) => self.has_other_settings |= *first != settings,
                None => self.settings = Some(settings),
            },
            Some(Session::End { status, at }) => self.end = Some((status, at)),
            Some(Session::Experiment) => self.others.note("descriptions of the hparams page", ""),
        }
    }

    /// How many events a step would be void after, and from which on: the first restart behind an event.
    fn is_void(&self, position: u64, step: i64) -> bool {
        let next = self.restarts.partition_point(|(restart, _)| *restart <= position);
        self.restarts.get(next).is_some_and(|(_, from)| step >= *from)
    }

    fn ending(&self) -> Ending {
        let last = self.last_time.and_then(intake::moment);
        let (state, reason, at) = match self.end {
            Some((1, at)) => (RunState::Finished, None, at),
            Some((2, at)) => (RunState::Failed, None, at),
            Some((3, _)) => (RunState::Interrupted, Some("its log says that it was still running"), None),
            _ if self.is_torn => (RunState::Interrupted, Some("its last record is torn: it was being written"), None),
            _ => (RunState::Finished, Some("an event file does not say how a run ended"), None),
        };
        Ending { state, reason: reason.map(str::to_owned), at: at.and_then(intake::moment).or(last) }
    }
}

/// What the values of tags are for: a writer may say so of the first value of a tag alone, and what is said first holds.
#[derive(Default)]
struct Plugins(BTreeMap<String, String>);

/// What a value is here.
enum Kept<'a> {
    Nothing,
    /// A number, and whether it is exact.
    Scalar(Result<(f64, bool), String>),
    Text(Result<Vec<&'a str>, String>),
    Session(Result<Option<Session>, crate::exchange::wire::Malformed>),
    /// Something that has no place here, in words.
    Other(&'a str),
}

impl Plugins {
    fn kept<'a>(&'a mut self, value: Summed<'a>) -> Kept<'a> {
        if let Data::Scalar(number) = value.data {
            return Kept::Scalar(Ok((f64::from(number), true)));
        }
        if let Some((plugin, content)) = value.plugin {
            if plugin == "hparams" {
                return Kept::Session(event::session(content));
            }
            if !self.0.contains_key(value.tag) {
                self.0.insert(value.tag.to_owned(), plugin.to_owned());
            }
        }
        match value.data {
            Data::Nothing | Data::Scalar(_) => Kept::Nothing,
            Data::Other(kind) => Kept::Other(kind),
            Data::Tensor(tensor) => match self.0.get(value.tag).map_or("", String::as_str) {
                "scalars" => Kept::Scalar(event::scalar(tensor)),
                "text" => Kept::Text(event::texts(tensor)),
                "" => Kept::Other("tensors"),
                plugin => Kept::Other(plugin),
            },
        }
    }
}

impl Candidate for Logs<'_> {
    type Read = Overview;

    fn name(&self) -> &str {
        &self.run.name
    }

    fn known_by(&self) -> Vec<(&'static str, String)> {
        vec![("id", self.identity.clone())]
    }

    fn stamp(&self) -> Value {
        let bytes: u64 = self.run.files.iter().map(|(_, length)| length).sum();
        json!({ "files": self.run.files.len(), "bytes": bytes })
    }

    fn read(&self, findings: &mut Findings) -> Result<Option<(Told, Overview)>, ImportError> {
        let mut overview = self.overview(findings)?;
        let place = format!("run {}", shown(&self.run.name));
        std::mem::take(&mut overview.others).tell(&place, findings);
        if overview.has_other_settings {
            findings.not_taken(&place, "settings that were said again, otherwise: the first hold, as in TensorBoard");
        }
        if !self.run.others.is_empty() {
            let some: Vec<String> = self.run.others.iter().take(3).map(|name| format!("`{}`", shown(name))).collect();
            let more = if self.run.others.len() > 3 { ", ..." } else { "" };
            let why = format!("what lies beside its event files: {}{more}", some.join(", "));
            findings.not_taken(&place, why);
        }
        let settings = self.settings(overview.settings.take(), findings);
        if overview.scalars + overview.texts == 0 && settings.is_empty() {
            findings.not_taken(place, "it has no scalars, settings or texts");
            return Ok(None);
        }
        let mut told = Told {
            experiment: Some(self.experiment.to_owned()),
            parameters: settings,
            started: overview.first_time.and_then(intake::moment),
            ..Told::default()
        };
        told.labels.name = Some(self.run.name.clone());
        Ok(Some((told, overview)))
    }

    fn fill(&self, overview: &Overview, into: &mut Filling<'_>) -> Result<Ending, ImportError> {
        let (mut voided, mut inexact) = (0_u64, 0_u64);
        let mut plugins = Plugins::default();
        self.each(None, &mut |position, event, _| {
            let What::Summary(summary) = event.what else { return Ok(()) };
            let is_void = overview.is_void(position, event.step);
            let mut at: Option<Option<Timestamp>> = None;
            for value in event::values(summary).map_while(Result::ok) {
                let Kept::Scalar(Ok((number, is_exact))) = plugins.kept(value) else { continue };
                if is_void {
                    voided += 1;
                    continue;
                }
                inexact += u64::from(!is_exact);
                let at = *at.get_or_insert_with(|| into.moment(event.wall_time));
                into.point(value.tag, event.step, at, number)?;
            }
            Ok(())
        })?;
        if voided > 0 {
            let why = format!("{voided} points that a restart at an earlier step made void, as in TensorBoard");
            into.findings.not_taken(into.place, why);
        }
        if inexact > 0 {
            let why = format!("{inexact} points are integers of more than 53 bits, and are rounded");
            into.findings.changed(into.place, why);
        }
        if overview.texts > 0 {
            into.artifact(TEXTS, |take, _| self.texts(overview, take))?;
        }
        Ok(overview.ending())
    }
}

impl Logs<'_> {
    /// Hands over every text as a line of JSON.
    fn texts(
        &self,
        overview: &Overview,
        take: &mut dyn FnMut(&str) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        let mut plugins = Plugins::default();
        self.each(None, &mut |position, event, _| {
            let What::Summary(summary) = event.what else { return Ok(()) };
            for value in event::values(summary).map_while(Result::ok) {
                let Kept::Text(Ok(texts)) = plugins.kept(value) else { continue };
                if overview.is_void(position, event.step) {
                    continue;
                }
                let text = if let [text] = texts[..] { json!(text) } else { json!(texts) };
                let time = intake::moment(event.wall_time);
                let line = json!({ "tag": value.tag, "step": event.step, "time": time, "text": text });
                take(&format!("{line}\n"))?;
            }
            Ok(())
        })?;
        Ok(())
    }
}
