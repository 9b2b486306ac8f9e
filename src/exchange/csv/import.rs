//! Tables taken in: every row is read and checked before anything is made, so that a table comes in whole or is refused with a line
//! and a column.
//!
//! A run is known again by what its rows say, wherever the table lies; where a table of the same place has other rows for a run of
//! the same name, that is said. The rows of a run may lie anywhere in the table: where they are is kept, and they are read again
//! from there.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::{Map, Value, json};

use super::cells;
use super::columns::{Columns, Of, Role, Shape};
use crate::csv::{CsvError, Reader, Record, plain};
use crate::exchange::copying::DEEPEST;
use crate::exchange::findings::{Findings, shown};
use crate::exchange::folder::{Folder, Kind, reason};
use crate::exchange::intake::{self, Candidate, Ending, Filling, ImportError, Imported, Options, Told};
use crate::exchange::yaml;
use crate::store::{Labels, RunState, Store};
use crate::types::{ContentHasher, RunId, Timestamp};

/// The settings that PyTorch Lightning writes beside its table.
const SETTINGS: &str = "hparams.yaml";

/// Bytes of settings that are read at most.
const LONGEST_SETTINGS: u64 = 1 << 24;

/// Takes in the tables at `paths`: files, or folders of which every `*.csv` is read; `metrics` names the columns that were measured in
/// tables with a run a row. `tell` hears of every run, of how many there are.
///
/// # Errors
/// When a file is no table that is understood (in a folder, that is a finding), or the store cannot be written. The runs that came in
/// until then stay.
pub fn import(
    store: &Store,
    paths: &[PathBuf],
    metrics: &[String],
    options: &Options,
    tell: &mut dyn FnMut(usize, usize),
) -> Result<Imported, ImportError> {
    let mut findings = Findings::default();
    let mut runs = Vec::new();
    for path in paths {
        let io = |source| ImportError::Io { path: path.clone(), source };
        let absolute = path.canonicalize().map_err(io)?;
        if absolute.is_dir() {
            let root = Folder::open(&absolute).map_err(io)?;
            let before = runs.len();
            let mut tables = Vec::new();
            find(&root, &mut Vec::new(), &mut tables, &mut findings);
            for parts in tables {
                let file = parts.iter().collect::<PathBuf>();
                match read(Origin::new(&absolute, &file), metrics, &mut findings) {
                    Ok(found) => runs.extend(found),
                    Err(why) => findings.not_taken(file.display().to_string(), why),
                }
            }
            if runs.len() == before && findings.is_empty() {
                let problem = "has no tables: no file in it is called `*.csv`".to_owned();
                return Err(ImportError::NoSource { path: path.clone(), problem });
            }
        } else {
            let (folder, file) = (absolute.parent(), absolute.file_name());
            let (Some(folder), Some(file)) = (folder, file) else { continue };
            let found = read(Origin::new(folder, Path::new(file)), metrics, &mut findings);
            runs.extend(found.map_err(|problem| ImportError::NoSource { path: path.clone(), problem })?);
        }
    }
    let origin = paths.first().map(|path| path.canonicalize().unwrap_or_else(|_| path.clone())).unwrap_or_default();
    intake::take_in(store, "csv", &origin, &runs, findings, options, tell)
}

/// Finds the tables of a folder and of those in it.
fn find(root: &Folder, parts: &mut Vec<String>, tables: &mut Vec<Vec<String>>, findings: &mut Findings) {
    let at = parts.join("/");
    let folder = root.below(parts.iter().map(String::as_str));
    let entries = folder.ok_or("it cannot be opened".to_owned()).and_then(|f| f.entries().map_err(|e| reason(&e)));
    let entries: Vec<(OsString, Kind)> = match entries {
        Ok(entries) => entries,
        Err(why) => return findings.set_aside(at, why),
    };
    for (name, kind) in entries {
        let Some(name) = name.to_str().map(str::to_owned) else { continue };
        let is_table = name.to_lowercase().ends_with(".csv");
        parts.push(name);
        match kind {
            Kind::File if is_table => tables.push(parts.clone()),
            Kind::Other(what) if is_table => {
                findings.not_taken(parts.join("/"), format!("{what}, which is not followed"));
            }
            Kind::Folder if parts.len() < DEEPEST => find(root, parts, tables, findings),
            Kind::Folder | Kind::File | Kind::Other(_) => {}
        }
        parts.pop();
    }
}

/// A file, and what follows from where it lies.
struct Origin {
    path: PathBuf,
    /// The folder that it is in.
    folder: PathBuf,
    /// What a run is called that the table does not name.
    run: String,
    /// The experiment of runs of which the table does not say it.
    experiment: String,
}

impl Origin {
    /// The file `below` the folder that was named.
    fn new(top: &Path, below: &Path) -> Self {
        let path = top.join(below);
        let folder = path.parent().unwrap_or(top).to_owned();
        let named = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        // Lightning calls every table `metrics.csv`: then the folder is the run.
        let is_usual = below.file_name() == Some(OsStr::new("metrics.csv"));
        let of_folder =
            below.parent().filter(|folder| *folder != Path::new("")).map(|folder| folder.display().to_string());
        let run = match of_folder {
            Some(folder) if is_usual => folder,
            _ if is_usual => named(top).unwrap_or_default(),
            _ => below.with_extension("").display().to_string(),
        };
        let is_top = is_usual && folder == top;
        let experiment = if is_top { top.parent().and_then(named) } else { named(top) };
        Self { path, folder, run, experiment: experiment.unwrap_or_else(|| "tables".to_owned()) }
    }
}

/// A table, for the runs that are in it.
struct Table {
    path: PathBuf,
    columns: Columns,
    delimiter: char,
}

/// A run of a table.
struct TableRun {
    table: Rc<Table>,
    name: String,
    experiment: String,
    /// What it is called besides.
    label: Option<String>,
    settings: Map<String, Value>,
    /// Lines and bytes before some rows of it, and where they end.
    pieces: Vec<(u64, Range<u64>)>,
    /// The hash of its rows and its names, and of its rows alone.
    digest: String,
    rows: String,
    started: Option<Timestamp>,
    /// Rows of which the value is not known.
    without_value: u64,
}

/// A run while its rows are read.
#[derive(Default)]
struct Gathered {
    pieces: Vec<(u64, Range<u64>)>,
    hasher: ContentHasher,
    started: Option<Timestamp>,
    without_value: u64,
}

/// A point of a row: its column, its metric, and what was measured if that is known.
struct Cell<'a> {
    metric: &'a str,
    step: i64,
    at: Option<Timestamp>,
    value: Option<f64>,
}

/// Reads and checks a table; the runs that are in it.
///
/// # Errors
/// What is wrong with it, and where.
fn read(origin: Origin, metrics: &[String], findings: &mut Findings) -> Result<Vec<TableRun>, String> {
    let file = File::open(&origin.path).map_err(|error| reason(&error))?;
    let mut file = BufReader::with_capacity(1 << 18, file);
    let delimiter = cells::delimiter(file.fill_buf().map_err(|error| reason(&error))?)?;
    let mut reader = Reader::new(file, delimiter, (0, 0));
    let Some(header) = next(&mut reader)? else { return Err("is empty".to_owned()) };
    let columns = Columns::of(&header.fields, metrics)?;
    let table = Rc::new(Table { path: origin.path.clone(), columns, delimiter });
    // By experiment and run.
    let mut runs: BTreeMap<(String, String), Gathered> = BTreeMap::new();
    let mut order = Vec::new();
    let mut rows = 0_u64;
    while let Some(record) = next(&mut reader)? {
        rows += 1;
        table.check(&record)?;
        let key = table.whose(&record, &origin, rows)?;
        if !runs.contains_key(&key) {
            order.push(key.clone());
            runs.insert(key.clone(), Gathered::default());
        } else if matches!(table.columns.shape, Shape::Runs(_)) {
            return Err(format!("line {}: a second run `{}`", record.line, shown(&key.1)));
        }
        let Some(gathered) = runs.get_mut(&key) else { continue };
        table.gather(&record, gathered)?;
        match gathered.pieces.last_mut() {
            Some((_, last)) if last.end == record.bytes.start => last.end = record.bytes.end,
            _ => gathered.pieces.push((record.line - 1, record.bytes)),
        }
    }
    if rows == 0 {
        return Err("has no rows".to_owned());
    }
    let beside = if runs.len() == 1 { settings_beside(&origin, &table.columns, findings) } else { Map::new() };
    let of_key = |key: (String, String)| {
        let gathered = runs.remove(&key)?;
        let mut hasher = gathered.hasher;
        if !beside.is_empty() {
            hasher.update(Value::Object(beside.clone()).to_string().as_bytes());
        }
        let rows = short(&hasher);
        for text in [&key.0, &key.1] {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
        let (experiment, name) = key;
        Some(TableRun {
            table: Rc::clone(&table),
            label: Some(name.clone()),
            name,
            experiment,
            settings: beside.clone(),
            pieces: gathered.pieces,
            digest: short(&hasher),
            rows,
            started: gathered.started,
            without_value: gathered.without_value,
        })
    };
    Ok(order.into_iter().filter_map(of_key).collect())
}

/// A hash, as far as it tells contents apart.
fn short(hasher: &ContentHasher) -> String {
    hasher.finish().to_string()[..32].to_owned()
}

fn next<R: BufRead>(reader: &mut Reader<R>) -> Result<Option<Record>, String> {
    reader.record().map_err(|error| match error {
        CsvError::Io(error) => reason(&error),
        bad => bad.to_string(),
    })
}

/// The settings that Lightning writes beside its table, where the table itself names no runs.
fn settings_beside(origin: &Origin, columns: &Columns, findings: &mut Findings) -> Map<String, Value> {
    let is_alone = matches!(&columns.shape, Shape::Long { of, .. } | Shape::Wide { of, .. } if of.run.is_none());
    let there = Folder::open(&origin.folder).ok().filter(|_| is_alone && origin.folder.join(SETTINGS).exists());
    let Some(folder) = there else { return Map::new() };
    let text = folder.text(OsStr::new(SETTINGS), LONGEST_SETTINGS);
    let is_empty = |text: &str| text.trim().trim_end_matches("{}").is_empty();
    match text.and_then(|text| if is_empty(&text) { Ok(Vec::new()) } else { yaml::read(&text) }) {
        Ok(fields) => fields.into_iter().map(|(key, value)| (key, value.json())).collect(),
        Err(why) => {
            findings.set_aside(format!("{}", origin.folder.join(SETTINGS).display()), why);
            Map::new()
        }
    }
}

impl Table {
    fn check(&self, record: &Record) -> Result<(), String> {
        let (found, wanted) = (record.fields.len(), self.columns.names.len());
        if found == wanted {
            return Ok(());
        }
        Err(format!("line {}: {found} fields, where the first line has {wanted}", record.line))
    }

    /// A text, as it was before `ablate export` spelled it.
    fn text<'r>(&self, record: &'r Record, column: usize) -> &'r str {
        let text = record.fields[column].as_str();
        if self.columns.is_ours { plain(text) } else { text.trim() }
    }

    fn wrong(&self, record: &Record, column: usize, why: &str) -> String {
        format!("line {}, column `{}`: {why}", record.line, shown(&self.columns.names[column]))
    }

    fn has_commas(&self) -> bool {
        self.delimiter == ';'
    }

    /// The experiment and the run of a row.
    fn whose(&self, record: &Record, origin: &Origin, row: u64) -> Result<(String, String), String> {
        let of_role = |role: &Role| match &self.columns.shape {
            Shape::Runs(roles) => roles.iter().position(|its| its == role),
            Shape::Long { of, .. } | Shape::Wide { of, .. } => match role {
                Role::Id => of.run,
                Role::Experiment => of.experiment,
                _ => None,
            },
        };
        let said = |role: &Role| {
            of_role(role).map(|column| (column, self.text(record, column))).filter(|(_, text)| !text.is_empty())
        };
        let run = match (said(&Role::Id).or_else(|| said(&Role::Name)), &self.columns.shape) {
            (Some((_, text)), _) => text.to_owned(),
            (None, Shape::Runs(_)) => format!("{}, row {row}", origin.run),
            (None, _) => match of_role(&Role::Id) {
                Some(column) => return Err(self.wrong(record, column, "it is empty")),
                None => origin.run.clone(),
            },
        };
        let experiment = said(&Role::Experiment).map_or_else(|| origin.experiment.clone(), |(_, text)| text.to_owned());
        Ok((experiment, run))
    }

    /// Hands over the points of a row.
    fn cells(&self, record: &Record, take: &mut dyn FnMut(Cell<'_>)) -> Result<(), String> {
        let wrong = |column: usize| move |why: String| self.wrong(record, column, &why);
        let number = |column: usize| cells::number(&record.fields[column], self.has_commas()).map_err(wrong(column));
        let when = |of: &Of| {
            let step = cells::step(&record.fields[of.step], self.has_commas()).map_err(wrong(of.step))?;
            let at = match of.time {
                None => None,
                Some((column, unit)) => {
                    cells::time(&record.fields[column], unit, self.has_commas()).map_err(wrong(column))?
                }
            };
            Ok::<_, String>((step, at))
        };
        match &self.columns.shape {
            Shape::Long { of, metric, value } => {
                let (step, at) = when(of)?;
                let metric = match self.text(record, *metric) {
                    "" => return Err(self.wrong(record, *metric, "it is empty")),
                    metric => metric,
                };
                take(Cell { metric, step, at, value: number(*value)? });
            }
            Shape::Wide { of, metrics } => {
                let (step, at) = when(of)?;
                for (column, metric) in metrics {
                    if let Some(value) = number(*column)? {
                        take(Cell { metric, step, at, value: Some(value) });
                    }
                }
            }
            Shape::Runs(roles) => {
                let steps = roles.iter().position(|role| *role == Role::Steps);
                let steps = steps.filter(|column| !record.fields[*column].trim().is_empty());
                let step = match steps {
                    Some(column) => cells::step(&record.fields[column], self.has_commas()).map_err(wrong(column))?,
                    None => 0,
                };
                for (column, role) in roles.iter().enumerate() {
                    if let Role::Metric(metric) = role
                        && let Some(value) = number(column)?
                    {
                        take(Cell { metric, step, at: None, value: Some(value) });
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes in what a row says of its run.
    fn gather(&self, record: &Record, run: &mut Gathered) -> Result<(), String> {
        let Gathered { hasher, started, without_value, .. } = run;
        self.cells(record, &mut |Cell { metric, step, at, value }| {
            hasher.update(&(metric.len() as u64).to_le_bytes()).update(metric.as_bytes()).update(&step.to_le_bytes());
            let millis = at.map_or(i64::MIN, Timestamp::unix_millis);
            let bits = value.map(|value| if value.is_nan() { f64::NAN } else { value }.to_bits());
            hasher.update(&millis.to_le_bytes()).update(&bits.unwrap_or(u64::MAX).to_le_bytes());
            *started = started.iter().copied().chain(at).min();
            *without_value += u64::from(value.is_none());
        })?;
        if let Shape::Runs(_) = self.columns.shape {
            for field in &record.fields {
                hasher.update(&(field.len() as u64).to_le_bytes()).update(field.as_bytes());
            }
        }
        Ok(())
    }
}

impl TableRun {
    /// Reads the rows of the run again.
    fn rows(&self, take: &mut dyn FnMut(&Record) -> Result<(), ImportError>) -> Result<(), ImportError> {
        let path = &self.table.path;
        let io = |source| ImportError::Io { path: path.clone(), source };
        let changed =
            |_| ImportError::NoSource { path: path.clone(), problem: "was changed while it was read".to_owned() };
        let mut file = File::open(path).map_err(io)?;
        for (lines, bytes) in &self.pieces {
            let length = bytes.end - bytes.start;
            file.seek(SeekFrom::Start(bytes.start)).map_err(io)?;
            let piece = BufReader::with_capacity(length.min(1 << 18) as usize, (&mut file).take(length));
            let mut reader = Reader::new(piece, self.table.delimiter, (*lines, bytes.start));
            while let Some(record) = next(&mut reader).map_err(changed)? {
                self.table.check(&record).map_err(changed)?;
                take(&record)?;
            }
        }
        Ok(())
    }

    /// What a row that is a run says of it.
    fn describe(&self, told: &mut Told, findings: &mut Findings) -> Result<(), ImportError> {
        let Shape::Runs(roles) = &self.table.columns.shape else { return Ok(()) };
        self.rows(&mut |record| {
            let mut others = Map::new();
            for (column, role) in roles.iter().enumerate() {
                let text = self.table.text(record, column);
                if text.is_empty() {
                    continue;
                }
                let tag = |text: String| match Labels::check_tag(&text) {
                    Ok(()) => Ok(text),
                    Err(why) => Err((format!("run {}: tag {}", shown(&self.name), shown(&text)), why)),
                };
                let mut tags = Vec::new();
                match role {
                    Role::Setting(key) => {
                        drop(told.parameters.insert(key.clone(), cells::setting(text, self.table.has_commas())))
                    }
                    Role::Name => told.labels.name = Some(text.to_owned()),
                    Role::Note => told.labels.note = Some(text.to_owned()),
                    Role::Tags => {
                        tags.extend(text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned))
                    }
                    Role::Tag(key) => tags.push(format!("{key}={text}")),
                    Role::Started if text.parse::<Timestamp>().is_ok() => told.started = text.parse().ok(),
                    Role::Id | Role::Experiment | Role::State | Role::Reason | Role::Steps | Role::Metric(_) => {}
                    Role::Ended if text.parse::<Timestamp>().is_ok() => {}
                    Role::Started | Role::Ended | Role::Other => {
                        others.insert(self.table.columns.names[column].clone(), Value::from(text));
                    }
                }
                for text in tags {
                    match tag(text) {
                        Ok(tag) => drop(told.labels.tags.insert(tag)),
                        Err((place, why)) => findings.not_taken(place, why),
                    }
                }
            }
            if !others.is_empty() {
                told.about.insert("row".to_owned(), Value::Object(others));
            }
            Ok(())
        })
    }

    /// How a run ended, as far as its row says it.
    fn ending(&self) -> Result<Ending, ImportError> {
        let mut ending = Ending {
            state: RunState::Finished,
            reason: Some("a table does not say how a run ended".to_owned()),
            at: None,
        };
        let Shape::Runs(roles) = &self.table.columns.shape else { return Ok(ending) };
        self.rows(&mut |record| {
            for (column, role) in roles.iter().enumerate() {
                let text = self.table.text(record, column);
                match role {
                    Role::State => {
                        let word = text.to_lowercase();
                        let known = match word.as_str() {
                            "killed" => Some(RunState::Interrupted),
                            "completed" | "success" => Some(RunState::Finished),
                            word => RunState::from_name(word),
                        };
                        ending = match known {
                            Some(
                                state @ (RunState::Finished
                                | RunState::Failed
                                | RunState::Interrupted
                                | RunState::Stopped),
                            ) => Ending { state, reason: None, at: ending.at },
                            _ if text.is_empty() => ending.clone(),
                            _ => {
                                let reason = Some(format!("it was `{}` when its table was written", shown(text)));
                                Ending { state: RunState::Interrupted, reason, at: ending.at }
                            }
                        };
                    }
                    Role::Reason if !text.is_empty() => ending.reason = Some(text.to_owned()),
                    Role::Ended => ending.at = text.parse().ok().or(ending.at),
                    _ => {}
                }
            }
            Ok(())
        })?;
        Ok(ending)
    }
}

impl Candidate for TableRun {
    type Read = ();

    fn name(&self) -> &str {
        &self.name
    }

    fn own_id(&self) -> Option<RunId> {
        self.name.parse().ok().filter(|_| self.table.columns.is_ours)
    }

    fn known_by(&self) -> Vec<(&'static str, String)> {
        // What follows from where a table lies is in its path already.
        let said = match &self.table.columns.shape {
            Shape::Long { of, .. } | Shape::Wide { of, .. } => [of.experiment.is_some(), of.run.is_some()],
            Shape::Runs(_) => [true; 2],
        };
        let [experiment, run] = [&self.experiment, &self.name];
        let names =
            [(experiment, said[0]), (run, said[1])].map(|(name, is_said)| if is_said { name.as_str() } else { "" });
        let place = json!([self.table.path.display().to_string(), names]).to_string();
        vec![("digest", self.digest.clone()), ("id", place)]
    }

    fn stamp(&self) -> Value {
        json!(self.rows)
    }

    fn read(&self, findings: &mut Findings) -> Result<Option<(Told, ())>, ImportError> {
        let mut told = Told {
            experiment: Some(self.experiment.clone()),
            parameters: self.settings.clone(),
            started: self.started,
            ..Told::default()
        };
        told.labels.name = self.label.clone();
        self.describe(&mut told, findings)?;
        Ok(Some((told, ())))
    }

    fn fill(&self, (): &(), into: &mut Filling<'_>) -> Result<Ending, ImportError> {
        let path = &self.table.path;
        self.rows(&mut |record| {
            let mut failed = Ok(());
            let read = self.table.cells(record, &mut |Cell { metric, step, at, value }| {
                if let (Ok(()), Some(value)) = (&failed, value) {
                    failed = into.point(metric, step, at, value);
                }
            });
            read.map_err(|problem| ImportError::NoSource { path: path.clone(), problem })?;
            failed
        })?;
        if self.without_value > 0 {
            let why = format!("{} rows have no value", self.without_value);
            into.findings.not_taken(into.place, why);
        }
        self.ending()
    }
}
