//! Runs of other trackers on their way in, whatever wrote them: each becomes a guest's run, whole or not at all.
//!
//! A format finds [`Candidate`]s; here each is held against what the store has, made, filled and listed. A run is known again by
//! what its provenance says of where it came from, so an import that was interrupted is done again and takes nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::copying::{Copied, copy};
use super::findings::{Findings, shown};
use super::folder::Folder;
use crate::durable;
use crate::store::{GuestRun, Index, Labels, Lineage, Logged, LoggedPoint, RunState, Store, StoreError};
use crate::types::{MetricName, RunId, Timestamp};

/// Points that are recorded at once.
const AT_A_TIME: usize = 2_000;

/// Letters that a run's name may have.
const LONGEST_NAME: usize = 250;

/// Things of one kind that are named one by one; of more only the number is said.
const NAMED: usize = 20;

/// Why nothing can be imported. What is wrong with a part is a finding, not an error.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// `path` is not what was asked for.
    #[error("`{}` {problem}", path.display())]
    NoSource { path: PathBuf, problem: String },

    #[error("cannot read `{}`: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },

    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What an import is told beside its path.
#[derive(Clone, Debug)]
pub struct Options {
    /// The experiment that the runs are counted to, whatever their files say.
    pub experiment: Option<String>,
    pub now: Timestamp,
}

/// What came of an import.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Imported {
    /// Those that the runs which came in are counted to.
    pub experiments: BTreeSet<String>,
    pub runs: Vec<ImportedRun>,
    /// Runs that were here already.
    pub known: Vec<KnownRun>,
    #[serde(flatten)]
    pub findings: Findings,
}

/// A run that came in.
#[derive(Clone, Debug, Serialize)]
pub struct ImportedRun {
    pub run: RunId,
    /// What it is called where it came from.
    pub source: String,
    pub experiment: Option<String>,
    pub state: RunState,
    pub metrics: usize,
    pub points: u64,
    pub params: usize,
    pub artifacts: u64,
    pub artifact_bytes: u64,
}

/// A run that was here already.
#[derive(Clone, Debug, Serialize)]
pub struct KnownRun {
    pub run: RunId,
    pub source: String,
}

/// A run that a format found.
pub(super) trait Candidate {
    /// What is found out before the run is made and [`fill`](Self::fill) needs again.
    type Read;

    /// What it is called where it came from: no other candidate is called so.
    fn name(&self) -> &str;

    /// Keys below the format in the provenance and their values: a run that has one of them is this one.
    fn known_by(&self) -> Vec<(&'static str, String)>;

    /// The run that it is, where it was exported from a store: this very one has it already.
    fn own_id(&self) -> Option<RunId> {
        None
    }

    /// What is another when the run has grown.
    fn stamp(&self) -> Value;

    /// Reads everything but the points; `None` for what is no run after all, which is a finding.
    fn read(&self, findings: &mut Findings) -> Result<Option<(Told, Self::Read)>, ImportError>;

    /// Records the points, and whatever else it has. It may be called again.
    fn fill(&self, read: &Self::Read, into: &mut Filling<'_>) -> Result<Ending, ImportError>;
}

/// What a run says of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub experiment: Option<String>,
    pub parameters: Map<String, Value>,
    pub labels: Labels,
    pub started: Option<Timestamp>,
    /// What the provenance has of it beside where it came from.
    pub about: Map<String, Value>,
}

/// How a run ended, and when, if that is known.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    pub state: RunState,
    pub reason: Option<String>,
    pub at: Option<Timestamp>,
}

/// What somebody named: a folder, or the one file of a folder that is meant.
pub(super) struct Named {
    /// The folder.
    pub path: PathBuf,
    pub root: Folder,
    pub only: Option<OsString>,
}

impl Named {
    /// What is at `path`.
    ///
    /// # Errors
    /// When there is nothing, or it cannot be opened.
    pub fn at(path: &Path) -> Result<Self, ImportError> {
        let io = |source| ImportError::Io { path: path.to_owned(), source };
        let absolute = path.canonicalize().map_err(io)?;
        let (folder, only) = match absolute.parent() {
            Some(parent) if absolute.is_file() => (parent.to_owned(), absolute.file_name().map(OsStr::to_owned)),
            _ => (absolute, None),
        };
        Ok(Self { root: Folder::open(&folder).map_err(io)?, path: folder, only })
    }
}

/// Takes in the candidates of a format, found at `origin`; `tell` hears of every one, of how many there are.
///
/// # Errors
/// When the store cannot be written. The runs that came in until then stay.
pub(super) fn take_in<C: Candidate>(
    store: &Store,
    format: &'static str,
    origin: &Path,
    candidates: &[C],
    found: Findings,
    options: &Options,
    tell: &mut dyn FnMut(usize, usize),
) -> Result<Imported, ImportError> {
    let mut imported = Imported { findings: found, ..Imported::default() };
    let keys: BTreeSet<&str> = candidates.iter().flat_map(Candidate::known_by).map(|(key, _)| key).collect();
    let _alone = store.claim_imports()?;
    let index = Index::open(store)?;
    let mut known: BTreeMap<(&str, String), RunId> = BTreeMap::new();
    for key in keys {
        let of_key = index.by_provenance(&format!("{format}.{key}"))?;
        known.extend(of_key.into_iter().map(|(value, run)| ((key, value), run)));
    }
    let own: BTreeSet<RunId> = store.run_ids()?.into_iter().collect();
    drop(index);
    for (i, candidate) in candidates.iter().enumerate() {
        tell(i, candidates.len());
        let (name, stamp) = (candidate.name(), candidate.stamp());
        let place = format!("run {}", shown(name));
        let here = candidate.known_by().into_iter().find_map(|known_by| known.get(&known_by).cloned());
        let itself = || candidate.own_id().filter(|id| own.contains(id));
        let came_from_here = here.is_some();
        if let Some(run) = here.or_else(itself) {
            let dir = store.run(&run);
            let provenance = dir.as_ref().ok().and_then(|run| run.read_provenance().ok()).unwrap_or_default();
            if dir.and_then(|run| run.labels()).is_ok_and(|labels| labels.is_trashed()) {
                let why = format!("it is run {run}, which is in the trash: `ablate restore {run}` brings it back");
                imported.findings.not_taken(place, why);
            } else if came_from_here && provenance.get(format).is_some_and(|of| of["stamp"] != stamp) {
                let why = format!(
                    "it is not what it was when it came in as run {run}, which stays as it is; into another store (--runs DIR) it comes in anew"
                );
                imported.findings.changed(place, why);
            }
            imported.known.push(KnownRun { run, source: name.to_owned() });
            continue;
        }
        let mut first = Findings::default();
        let Some((mut told, read)) = candidate.read(&mut first)? else {
            imported.findings.append(first);
            continue;
        };
        told.experiment = options.experiment.clone().or(told.experiment);
        if let Some(name) =
            told.labels.name.take_if(|name| name.contains(char::is_control) || name.len() > LONGEST_NAME)
        {
            first.changed(
                place.clone(),
                format!("its name {} is made a line of {LONGEST_NAME} letters at most", shown(&name)),
            );
            told.labels.name = Some(name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect());
        }
        let mut from = json!({ "source": origin, "imported_at": options.now, "stamp": stamp });
        candidate.known_by().into_iter().for_each(|(key, value)| from[key] = Value::String(value));
        std::mem::take(&mut told.about).into_iter().for_each(|(key, value)| from[key] = value);
        let provenance = json!({ format: from });
        let taking = Taking { store, format, candidate, told: &told, read: &read, place: &place, now: options.now };
        let (run, findings) = taking.take(first, &provenance)?;
        known.extend(candidate.known_by().into_iter().map(|known_by| (known_by, run.run.clone())));
        imported.experiments.extend(run.experiment.clone());
        imported.runs.push(run);
        imported.findings.append(findings);
    }
    Ok(imported)
}

/// A run on its way.
struct Taking<'a, C: Candidate> {
    store: &'a Store,
    format: &'static str,
    candidate: &'a C,
    told: &'a Told,
    read: &'a C::Read,
    place: &'a str,
    now: Timestamp,
}

impl<C: Candidate> Taking<'_, C> {
    fn take(&self, first: Findings, provenance: &Value) -> Result<(ImportedRun, Findings), ImportError> {
        let told = self.told;
        let (by, parameters) = (self.format.to_owned(), told.parameters.clone());
        let logged = Logged { by, experiment: told.experiment.clone(), parameters };
        let started = told.started.unwrap_or(self.now);
        let mut outcome = None;
        let dir = self.store.create_whole(&logged, provenance, &Lineage::default(), started, |guest| {
            guest.state(RunState::Running, None, started)?;
            let mut filling = Filling::new(guest, self.place, first.clone());
            let ending = self.candidate.fill(self.read, &mut filling)?;
            let (came, findings) = filling.finish()?;
            for finding in findings.set_aside.iter().chain(&findings.not_taken) {
                guest.warning(format!("not imported: {}: {}", finding.place, finding.why))?;
            }
            guest.dir().relabel(|now| now.clone_from(&told.labels))?;
            guest.state(ending.state, ending.reason, ending.at.or(came.last_time).unwrap_or(started))?;
            outcome = Some((ending.state, came, findings));
            Ok::<_, ImportError>(())
        })?;
        let (state, came, findings) = outcome.expect("invariant: a run that was made was filled");
        let run = ImportedRun {
            run: dir.id().clone(),
            source: self.candidate.name().to_owned(),
            experiment: told.experiment.clone(),
            state,
            metrics: came.metrics,
            points: came.points,
            params: told.parameters.len(),
            artifacts: came.artifacts.files,
            artifact_bytes: came.artifacts.bytes,
        };
        Ok((run, findings))
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

/// A run that is being filled.
pub(super) struct Filling<'a> {
    guest: &'a mut GuestRun,
    /// What it is called where people hear of it.
    pub place: &'a str,
    pub findings: Findings,
    batch: Vec<LoggedPoint>,
    /// Every key so far: the metric, or how many points had none.
    keys: BTreeMap<String, Result<MetricName, u64>>,
    came: Came,
    out_of_time: u64,
}

impl<'a> Filling<'a> {
    fn new(guest: &'a mut GuestRun, place: &'a str, findings: Findings) -> Self {
        let (batch, keys) = (Vec::with_capacity(AT_A_TIME), BTreeMap::new());
        Self { guest, place, findings, batch, keys, came: Came::default(), out_of_time: 0 }
    }

    /// Records a point; one whose key is no name of a metric is counted.
    pub fn point(&mut self, key: &str, step: i64, at: Option<Timestamp>, value: f64) -> Result<(), ImportError> {
        if !self.keys.contains_key(key) {
            self.keys.insert(key.to_owned(), key.parse().map_err(|_| 0));
        }
        match self.keys.get_mut(key) {
            Some(Ok(metric)) => self.batch.push(LoggedPoint { key: metric.clone(), step, at, value }),
            Some(Err(count)) => {
                *count += 1;
                return Ok(());
            }
            None => return Ok(()),
        }
        self.came.points += 1;
        self.came.last_time = self.came.last_time.max(at);
        if self.batch.len() == AT_A_TIME {
            let full = std::mem::replace(&mut self.batch, Vec::with_capacity(AT_A_TIME));
            self.guest.points(full)?;
        }
        Ok(())
    }

    /// The moment of a point, from seconds since 1970; none where that is no number, and counted where it is far off.
    pub fn moment(&mut self, unix_secs: f64) -> Option<Timestamp> {
        let at = moment(unix_secs);
        if at.is_none_or(|at| (at.unix_millis() as f64 - unix_secs * 1e3).abs() > 1.0) {
            self.out_of_time += 1;
        }
        at
    }

    /// Records something about the run as a whole.
    pub fn fact(&mut self, name: &str, value: Value) -> Result<(), ImportError> {
        Ok(self.guest.fact(name, value)?)
    }

    /// Copies what is in a folder to the artifacts, or to a folder of them.
    pub fn artifacts(&mut self, from: &Folder, below: Option<&str>, at: &str) -> Result<(), ImportError> {
        let mut to = self.guest.dir().path().join("artifacts");
        if let Some(below) = below {
            to = self.guest.dir().artifact_path(below);
            fs::create_dir(&to).map_err(|error| StoreError::io("create", &to, error))?;
        }
        let copied = copy(from, &to, at, &mut self.findings)?;
        self.came.artifacts.files += copied.files;
        self.came.artifacts.bytes += copied.bytes;
        Ok(())
    }

    /// Writes an artifact of lines, each as `lines` hands it on; one without a line is not there.
    pub fn artifact(
        &mut self,
        name: &str,
        lines: impl FnOnce(&mut dyn FnMut(&str) -> Result<(), ImportError>, &mut Findings) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        let path = self.guest.dir().artifact_path(name);
        let failed = |error| StoreError::io("write", &path, error);
        let mut file = std::io::BufWriter::new(fs::File::create(&path).map_err(failed)?);
        let mut bytes = 0_u64;
        let mut take = |line: &str| {
            bytes += line.len() as u64;
            file.write_all(line.as_bytes()).map_err(failed).map_err(ImportError::from)
        };
        lines(&mut take, &mut self.findings)?;
        file.flush().map_err(failed)?;
        if bytes == 0 {
            return Ok(fs::remove_file(&path).map_err(failed)?);
        }
        file.get_ref().sync_all().map_err(failed)?;
        durable::sync_folder(path.parent().unwrap_or(&path)).map_err(failed)?;
        self.came.artifacts.files += 1;
        self.came.artifacts.bytes += bytes;
        Ok(())
    }

    fn finish(mut self) -> Result<(Came, Findings), ImportError> {
        self.guest.points(std::mem::take(&mut self.batch))?;
        self.came.metrics = self.keys.values().filter(|key| key.is_ok()).count();
        let refused: Vec<(&String, u64)> =
            self.keys.iter().filter_map(|(key, metric)| Some((key, metric.as_ref().err().copied()?))).collect();
        for (key, count) in refused.iter().take(NAMED) {
            let why = format!("{count} points: a metric's name here is one line of at most 250 characters");
            self.findings.not_taken(format!("{}: {}", self.place, shown(key)), why);
        }
        if refused.len() > NAMED {
            let points: u64 = refused[NAMED..].iter().map(|(_, count)| count).sum();
            let why = format!("{points} points of {} keys more that can be no names", refused.len() - NAMED);
            self.findings.not_taken(self.place, why);
        }
        if self.out_of_time > 0 {
            let why = format!(
                "{} points have a time that is no number or outside of the years 0 to 9999: they have none, or are held \
                 within them",
                self.out_of_time
            );
            self.findings.changed(self.place, why);
        }
        Ok((self.came, self.findings))
    }
}

/// The moment so many seconds after 1970, to the nearest millisecond, held within the years 0 to 9999.
pub(super) fn moment(unix_secs: f64) -> Option<Timestamp> {
    // A float that is too large for an integer becomes the largest one.
    let millis = (unix_secs * 1e3).round();
    (!millis.is_nan()).then_some(Timestamp::from_unix_millis(millis as i64))
}

/// A number as a setting: whole ones are integers, and what JSON has no number for is a text.
pub(super) fn setting(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT && !(number == 0.0 && number.is_sign_negative()) {
        Value::from(number as i64)
    } else if number.is_finite() {
        Value::from(number)
    } else {
        Value::String(number.to_string())
    }
}

/// Things of several kinds that have no place here: how many, under how many names.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally(BTreeMap<String, (u64, BTreeSet<String>)>);

impl Tally {
    pub fn note(&mut self, kind: &str, name: &str) {
        /// Names of a kind that are told apart.
        const APART: usize = 10_000;

        if !self.0.contains_key(kind) {
            self.0.insert(kind.to_owned(), Default::default());
        }
        if let Some((count, names)) = self.0.get_mut(kind) {
            *count += 1;
            if names.len() < APART && !name.is_empty() && !names.contains(name) {
                names.insert(name.to_owned());
            }
        }
    }

    /// The names of all kinds that begin so.
    pub fn names(&self, kind: &str) -> BTreeSet<String> {
        self.0.iter().filter(|(its, _)| its.starts_with(kind)).flat_map(|(_, (_, names))| names.clone()).collect()
    }

    /// A finding for each kind: `histograms: 12, of weights, biases`; what has no name is counted alone.
    pub fn tell(&self, place: &str, findings: &mut Findings) {
        const SHOWN: usize = 3;

        for (kind, (count, names)) in &self.0 {
            let some: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{}`", shown(name))).collect();
            let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
            let of = if some.is_empty() { String::new() } else { format!(", of {}{more}", some.join(", ")) };
            findings.not_taken(place, format!("{kind}: {count}{of}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_moments_and_numbers_are_settings() {
        assert_eq!(moment(1.0005), Some(Timestamp::from_unix_millis(1001)));
        assert_eq!(moment(f64::NAN), None);
        assert_eq!(moment(f64::INFINITY), Some(Timestamp::from_unix_millis(i64::MAX)));
        for (number, expected) in [
            (3.0, json!(3)),
            (-0.0, json!(-0.0)),
            (0.1, json!(0.1)),
            (1e300, json!(1e300)),
            (f64::NAN, json!("NaN")),
            (f64::NEG_INFINITY, json!("-inf")),
        ] {
            assert_eq!(setting(number), expected);
        }
    }

    #[test]
    fn kinds_are_counted_and_a_few_names_said() {
        let mut tally = Tally::default();
        ["w", "b", "w", "c\nd", "e"].iter().for_each(|name| tally.note("histograms", name));
        tally.note("images", "x");
        let mut findings = Findings::default();
        tally.tell("run a", &mut findings);
        let told: Vec<&str> = findings.not_taken.iter().map(|one| one.why.as_str()).collect();
        assert_eq!(told, ["histograms: 5, of `b`, `c\u{fffd}d`, `e` and 1 more", "images: 1, of `x`"]);
    }
}
