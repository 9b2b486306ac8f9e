//! The index: what is asked of all runs at once, drawn from their folders into SQLite, and never the truth.
//!
//! Opening the index catches up with the folders: a run whose files have the sizes and times that the index noted is not
//! read again, so listing costs a few `stat` a run, and of a log that has grown only what was added is read. Where runs are many
//! and people ask again ([`Index::open_at_times`]), it costs what changed. A database that is damaged, or of another version, is made anew; in a store that cannot be written the index lives in memory.

mod catch_up;
mod facts;
mod looks;
mod row;
mod rows;
mod scan;
mod schema;
mod select;
mod summary;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

pub use facts::{Cell, Facts};
pub use row::{MetricSummary, RunRow};
pub use scan::{Looked, NumberColumn, Spelled, Wanted};

use self::rows::{Noted, Selection};
use self::summary::Summary;
use super::error::io_error;
use super::query::{Aggregate, Check, Condition, Field, Known, Name, RunQuery, Test, Tree, name_of};
use super::run_dir::{FileStamp, RunStamp};
use super::{Role, RunDir, RunState, Store, StoreError, nearest_to_finished};
use crate::types::{RunId, SpecHash, Timestamp};

/// Runs that are read and written as one.
const AT_A_TIME: usize = 256;

/// An index over the runs of a store, up to date when it was opened.
#[derive(Debug)]
pub struct Index {
    store: Store,
    path: PathBuf,
    connection: Connection,
    unreadable: Vec<(RunId, StoreError)>,
}

/// What the files of runs were like when an index read them.
#[derive(Clone, Debug)]
pub struct Stamps(BTreeMap<String, RunStamp>);

impl Stamps {
    /// The runs of a store that were changed, made or removed since, in order of their ids.
    pub fn changed(mut self, store: &Store) -> Result<Vec<RunId>, StoreError> {
        let is_changed = |id: &RunId| {
            let noted = self.0.remove(id.as_str());
            noted.is_none() || RunDir::new(store.root(), id.clone()).stamp().ok() != noted
        };
        let mut changed: Vec<RunId> = store.run_ids()?.into_iter().filter(is_changed).collect();
        changed.extend(self.0.keys().filter_map(|id| id.parse().ok()));
        changed.sort();
        Ok(changed)
    }
}

/// Runs in the order of a query, from one place on.
#[derive(Clone, Debug)]
pub struct Page {
    /// The number of the first, counted from 0.
    pub start: usize,
    pub runs: Vec<(RunId, RunVersion)>,
    pub has_more: bool,
}

/// What a run was like when the index read it, and its state now: equal versions of a run say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunVersion {
    pub(super) stamp: RunStamp,
    pub state: RunState,
}

/// A run that stands on another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependent {
    pub run: RunId,
    pub role: Role,
}

impl Index {
    /// Opens the index of the store and catches up with its run folders.
    pub fn open(store: &Store) -> Result<Self, StoreError> {
        Self::open_looking(store, None, &mut |_, _| {})
    }

    /// [`open`](Self::open) for people who ask again and again: `now` is the time. Of a store with many runs whose folders were all
    /// looked at a short while ago, only those are looked at that were said to change since, and those that are being written.
    /// Tells now and then how many of how many changed runs it has read.
    pub fn open_at_times(
        store: &Store,
        now: Timestamp,
        tell: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, StoreError> {
        Self::open_looking(store, Some(now), tell)
    }

    fn open_looking(
        store: &Store,
        now: Option<Timestamp>,
        tell: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, StoreError> {
        let path = store.index_path().to_owned();
        let in_memory = Path::new(":memory:");
        match Self::open_at(store, &path, now, tell) {
            Err(StoreError::Database { source, .. }) if is_damage(&source) => {
                delete(&path)?;
                Self::open_at(store, &path, now, tell)
            }
            // Whatever keeps it from being written keeps nobody from reading the folders.
            Err(StoreError::Database { source, .. }) if is_in_the_way(&source) => {
                Self::open_at(store, in_memory, now, tell)
            }
            result => result,
        }
    }

    /// Makes the index anew from the folders, whatever is in its place.
    pub fn anew(store: &Store, tell: &mut dyn FnMut(usize, usize)) -> Result<Self, StoreError> {
        let mut index = Self::open(store)?;
        index.forget()?;
        index.catch_up_telling(None, tell)?;
        Ok(index)
    }

    /// Changes what the file says, as somebody may who has the file open.
    #[cfg(test)]
    pub fn edit(store: &Store, sql: &str) {
        Connection::open(store.root().join("index.sqlite")).unwrap().execute_batch(sql).unwrap();
    }

    /// The runs that `query` wants, in its order.
    ///
    /// # Errors
    /// [`StoreError::Query`] when it names what no run has, or compares what cannot be compared.
    pub fn query(&mut self, query: &RunQuery) -> Result<Vec<RunRow>, StoreError> {
        match self.answer(query) {
            Err(StoreError::Database { source, .. }) if is_damage(&source) => {
                self.recreate()?;
                self.answer(query)
            }
            result => result,
        }
    }

    /// Of each of these specifications the run that counts, of an experiment's own runs where one is named.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn of_specs(
        &mut self,
        experiment: Option<&str>,
        specs: &[SpecHash],
    ) -> Result<BTreeMap<SpecHash, RunRow>, StoreError> {
        let mut rows = Vec::new();
        match experiment {
            Some(name) => rows = self.query(&RunQuery::default().within_experiments(&[name]))?,
            None => {
                for spec in specs {
                    rows.extend(self.query(&RunQuery::of_spec(*spec))?);
                }
            }
        }
        Ok(nearest_to_finished(rows))
    }

    /// How many runs there are, with those in the trash.
    pub fn count(&self) -> Result<usize, StoreError> {
        let count = self.connection.query_row("SELECT count(*) FROM runs", [], |row| row.get::<_, i64>(0));
        count.map(|count| usize::try_from(count).unwrap_or_default()).map_err(|source| self.failed(source))
    }

    /// What the files of all runs were like when they were read.
    pub fn stamps(&self) -> Result<Stamps, StoreError> {
        self.noted_stamps().map(Stamps).map_err(|source| self.failed(source))
    }

    /// The runs that could not be read when the index last caught up, and why. They are in no answer.
    pub fn unreadable(&self) -> &[(RunId, StoreError)] {
        &self.unreadable
    }

    /// Those of the [`dependents`](Self::dependents) of the run `id` that something is lost to when it goes: they start from it, or
    /// have their tokenizer there.
    pub fn heirs(&self, id: &RunId) -> Result<Vec<Dependent>, StoreError> {
        let mut heirs = self.dependents(id)?;
        heirs.retain(|dependent| dependent.role.needs_files());
        Ok(heirs)
    }

    /// The runs that stand on the run `id`, in order of their ids.
    pub fn dependents(&self, id: &RunId) -> Result<Vec<Dependent>, StoreError> {
        let read = || -> rusqlite::Result<Vec<(String, String)>> {
            let query = "SELECT run, role FROM edges WHERE other = ? ORDER BY run, role";
            let mut statement = self.connection.prepare_cached(query)?;
            statement.query_map([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        let found = read().map_err(|source| self.failed(source))?;
        let dependent =
            |(run, role): (String, String)| Some(Dependent { run: run.parse().ok()?, role: Role::from_name(&role)? });
        Ok(found.into_iter().filter_map(dependent).collect())
    }

    fn open_at(
        store: &Store,
        path: &Path,
        now: Option<Timestamp>,
        tell: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Database { path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(failed)?;
        schema::prepare(&mut connection).map_err(failed)?;
        let mut index = Self { store: store.clone(), path: path.to_owned(), connection, unreadable: Vec::new() };
        index.catch_up_telling(now, tell)?;
        Ok(index)
    }

    fn answer(&self, query: &RunQuery) -> Result<Vec<RunRow>, StoreError> {
        self.at_one_moment(|| {
            let selection = self.resolve(query)?;
            self.look_at_running()?;
            self.look_at_steps(&selection)?;
            let selected = rows::select(&self.connection, &selection).map_err(|source| self.failed(source))?;
            let with_metrics = |Noted { mut row, .. }: Noted| {
                row.metrics = rows::metrics(&self.connection, &row.id)?;
                Ok(row)
            };
            let rows = selected.into_iter().map(with_metrics).collect::<rusqlite::Result<_>>();
            rows.map_err(|source| self.failed(source))
        })
    }

    /// Reads the index as it is at one moment, whoever writes meanwhile.
    fn at_one_moment<T>(&self, read: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let moment = self.connection.unchecked_transaction().map_err(|source| self.failed(source))?;
        let found = read()?;
        moment.commit().map_err(|source| self.failed(source))?;
        Ok(found)
    }

    /// What the query means in this store.
    fn resolve(&self, query: &RunQuery) -> Result<Selection, StoreError> {
        let known = self.known(query)?;
        let tree = query.tree().try_graft(&mut |condition| known.resolve(condition));
        let tree = tree.map_err(|mistake| query.wrong(mistake))?;
        let field = |(name, is_reversed): &(Name, bool)| Ok((self.field_of(&known, &name.text, name)?, *is_reversed));
        let order = query.order().iter().map(field).collect::<Result<Vec<_>, StoreError>>()?;
        Ok(Selection { tree, trash: query.trash, order, limit: query.limit })
    }

    /// The field of a name that stands by itself, outside of a query.
    fn field_of(&self, known: &Known, text: &str, name: &Name) -> Result<Field, StoreError> {
        let asked = Name { span: 0..text.len(), ..name.clone() };
        let wrong = |mistake| StoreError::Query { text: text.to_owned(), mistake: Box::new(mistake) };
        known.field(&asked).map_err(wrong)
    }

    /// What can be named, where the query names anything that is not every store's.
    fn known(&self, query: &RunQuery) -> Result<Known, StoreError> {
        let nothing = Known::default();
        if query.is_exact() {
            let keys = query.tree().leaves().into_iter().map(|condition| condition.name.text.as_str());
            let known = rows::known_of(&self.connection, keys).map_err(|source| self.failed(source))?;
            return Ok(Known { now: Some(query.now()), is_exact: true, ..known });
        }
        let is_plain = query
            .tree()
            .leaves()
            .iter()
            .all(|condition| condition.name.kind.is_some() && nothing.field(&condition.name).is_ok());
        let known = match is_plain && query.order().is_empty() {
            true => nothing,
            false => {
                let leaves = query.tree().leaves();
                let texts = |condition: &&Condition| {
                    let word = (condition.test == Test::Word).then_some(condition.name.text.as_str());
                    word.into_iter().chain(condition.test.texts()).map(str::to_owned).collect::<Vec<_>>()
                };
                let texts: Vec<String> = leaves.iter().flat_map(texts).collect();
                rows::known(&self.connection, texts.iter().map(String::as_str)).map_err(|source| self.failed(source))?
            }
        };
        Ok(Known { now: Some(query.now()), ..known })
    }

    /// Notes for the question at hand which of the running runs are lost, or at rest since.
    fn look_at_running(&self) -> Result<(), StoreError> {
        let note = || -> rusqlite::Result<Vec<(RunId, FileStamp)>> {
            self.connection.execute("DELETE FROM temp.states_now", [])?;
            rows::running(&self.connection)
        };
        for (id, stamp) in note().map_err(|source| self.failed(source))? {
            let state = self.state_now(&id, stamp)?;
            if state != RunState::Running {
                let sql = "INSERT INTO temp.states_now VALUES (?, ?)";
                self.connection.execute(sql, [id.as_str(), state.name()]).map_err(|source| self.failed(source))?;
            }
        }
        Ok(())
    }

    /// Notes for the question at hand the values at single steps, which are in the logs alone: of the runs that fulfil
    /// whatever else must hold.
    fn look_at_steps(&self, selection: &Selection) -> Result<(), StoreError> {
        let mut wanted = Vec::new();
        let mut add = |field: &Field| {
            if let Field::Metric(name, Aggregate::At(step)) = field {
                wanted.push((name.clone(), *step));
            }
        };
        for check in selection.tree.leaves() {
            if let Check::Within(field, _) | Check::Exists(field) | Check::IsNan(field) = check {
                add(field);
            }
        }
        selection.order.iter().for_each(|(field, _)| add(field));
        if wanted.is_empty() {
            return Ok(());
        }
        let is_without_steps = |tree: &&Tree<Check>| {
            let of_step = |check: &&Check| {
                matches!(
                    check,
                    Check::Within(Field::Metric(_, Aggregate::At(_)), _)
                        | Check::Exists(Field::Metric(_, Aggregate::At(_)))
                        | Check::IsNan(Field::Metric(_, Aggregate::At(_)))
                )
            };
            !tree.leaves().iter().any(of_step)
        };
        let tree = match &selection.tree {
            Tree::And(parts) => Tree::And(parts.iter().filter(is_without_steps).cloned().collect()),
            _ => Tree::all(),
        };
        let narrowed = Selection { tree, trash: selection.trash, order: Vec::new(), limit: None };
        let runs = rows::select(&self.connection, &narrowed).map_err(|source| self.failed(source))?;
        let note = |id: &RunId, name: &str, step: i64, value: f64| {
            let sql = "INSERT OR REPLACE INTO temp.values_at VALUES (?, ?, ?, ?)";
            let value = (!value.is_nan()).then_some(value);
            self.connection.prepare_cached(sql)?.execute(rusqlite::params![id.as_str(), name, step, value])
        };
        self.connection.execute("DELETE FROM temp.values_at", []).map_err(|source| self.failed(source))?;
        for Noted { row, .. } in runs {
            let series = self.store.run(&row.id)?.read_log()?.series;
            for (name, step) in &wanted {
                if let Some(value) = series.at(name, *step)? {
                    note(&row.id, name, *step, value).map_err(|source| self.failed(source))?;
                }
            }
        }
        Ok(())
    }

    /// A page of what [`query`](Self::query) would give: at most `most` runs after a place in its order, and whether there are
    /// more. The place is a run, so that runs that come meanwhile shift nothing, and its number, for where it is gone.
    pub fn page(&self, query: &RunQuery, after: Option<(&RunId, usize)>, most: usize) -> Result<Page, StoreError> {
        let limit = if after.is_none() { Some(most.saturating_add(1)) } else { None };
        let all = self.at_one_moment(|| {
            let selection = self.resolve(query)?;
            self.look_at_running()?;
            self.look_at_steps(&selection)?;
            let all = rows::versions(&self.connection, &Selection { limit, ..selection });
            all.map_err(|source| self.failed(source))
        })?;
        let start = after.map_or(0, |(run, number)| {
            let place = all.iter().position(|(id, _)| id == run);
            place.map_or(number, |place| place + 1).min(all.len())
        });
        let end = start.saturating_add(most).min(all.len());
        Ok(Page { start, has_more: end < all.len(), runs: all[start..end].to_vec() })
    }

    /// Which version of the run `id` the index has; `None` where it has none.
    pub fn version(&self, id: &RunId) -> Result<Option<RunVersion>, StoreError> {
        let noted = rows::version(&self.connection, id).map_err(|source| self.failed(source))?;
        let Some(RunVersion { stamp, state: RunState::Running }) = noted else { return Ok(noted) };
        Ok(Some(RunVersion { stamp, state: self.state_now(id, stamp.log)? }))
    }

    /// A run of which [`page`](Self::page) or [`version`](Self::version) spoke, with everything that can be asked of it.
    pub fn facts_of(&self, id: &RunId, version: &RunVersion) -> Result<Option<Facts>, StoreError> {
        let noted = rows::noted(&self.connection, id).map_err(|source| self.failed(source))?;
        let Some(Noted { mut row, .. }) = noted else { return Ok(None) };
        row.state = version.state;
        Ok(self.facts(vec![row])?.pop())
    }

    /// For each of these runs the number of its id's first characters that no other run's begins with.
    pub fn prefixes<'r>(&self, ids: impl Iterator<Item = &'r RunId>) -> Result<BTreeMap<RunId, usize>, StoreError> {
        let of = |id: &RunId| Ok((id.clone(), rows::prefix(&self.connection, id)?));
        ids.map(of).collect::<rusqlite::Result<_>>().map_err(|source| self.failed(source))
    }

    /// The names of all experiments that any run belongs to.
    pub fn experiments(&self) -> Result<Vec<String>, StoreError> {
        rows::experiments(&self.connection).map_err(|source| self.failed(source))
    }

    /// The runs whose provenance has this leaf, by its value; the trash is no exception.
    pub fn by_provenance(&self, key: &str) -> Result<BTreeMap<String, RunId>, StoreError> {
        rows::by_provenance(&self.connection, key).map_err(|source| self.failed(source))
    }

    /// Everything that can be asked of the runs of `rows`, for who shows it.
    pub fn facts(&self, rows: Vec<RunRow>) -> Result<Vec<Facts>, StoreError> {
        self.facts_in_turn(rows).collect()
    }

    /// [`facts`](Self::facts), for who keeps no more of each than it needs.
    pub fn facts_in_turn(&self, rows: Vec<RunRow>) -> impl Iterator<Item = Result<Facts, StoreError>> {
        let of_row = |row: RunRow| {
            let settings = rows::leaves(&self.connection, "settings", &row.id)?;
            let provenance = rows::leaves(&self.connection, "provenance", &row.id)?;
            let edges = rows::edges(&self.connection, &row.id)?;
            Ok(Facts { row, settings, provenance, edges })
        };
        rows.into_iter().map(move |row| of_row(row).map_err(|source| self.failed(source)))
    }

    /// The cells of columns for these runs, row by row: whatever a query could name.
    ///
    /// # Errors
    /// [`StoreError::Query`] when no run has what is named.
    pub fn columns(&self, names: &[String], runs: &[Facts]) -> Result<Vec<Vec<Option<Cell>>>, StoreError> {
        let known = rows::known(&self.connection, std::iter::empty()).map_err(|source| self.failed(source))?;
        let field = |name: &String| self.field_of(&known, name, &name_of(name));
        let fields = names.iter().map(field).collect::<Result<Vec<_>, _>>()?;
        runs.iter().map(|facts| fields.iter().map(|field| self.cell(field, facts)).collect()).collect()
    }

    fn cell(&self, field: &Field, facts: &Facts) -> Result<Option<Cell>, StoreError> {
        let Field::Metric(name, Aggregate::At(step)) = field else { return Ok(facts.cell(field)) };
        let series = self.store.run(&facts.row.id)?.read_log()?.series;
        Ok(series.at(name, *step)?.map(Cell::Number))
    }

    /// The run that started last, of those that a person started: neither a reproduction nor an imported model.
    pub fn latest(&self) -> Result<Option<RunId>, StoreError> {
        rows::latest(&self.connection).map_err(|source| self.failed(source))
    }

    /// Whether nobody need be afraid that a run that the disk does not give now, and will perhaps give later, is the one that is
    /// asked for.
    ///
    /// # Errors
    /// Why such a run cannot be read. What is damaged, gone or of others for good is no such run.
    pub fn is_every_run_read(&mut self) -> Result<(), StoreError> {
        let may_be_read_later = |error: &StoreError| matches!(error, StoreError::Io { source, .. } if source.kind() != std::io::ErrorKind::NotFound);
        match self.unreadable.iter().position(|(_, error)| may_be_read_later(error)) {
            Some(at) => Err(self.unreadable.swap_remove(at).1),
            None => Ok(()),
        }
    }

    /// Makes the database anew, after it turned out to be damaged.
    fn recreate(&mut self) -> Result<(), StoreError> {
        self.connection = Connection::open_in_memory().map_err(|source| self.failed(source))?;
        delete(&self.path)?;
        *self = Self::open(&self.store)?;
        Ok(())
    }

    /// The state at this moment of a run that the index has as running: it may be lost, or at rest since.
    fn state_now(&self, id: &RunId, stamp: FileStamp) -> Result<RunState, StoreError> {
        let run = self.store.run(id)?;
        match run.state_now(RunState::Running, stamp)? {
            Some(state) => Ok(state),
            None => run.read_history_and_state().map(|(_, state)| state),
        }
    }

    fn noted_stamps(&self) -> rusqlite::Result<BTreeMap<String, RunStamp>> {
        let stamp = |row: &rusqlite::Row<'_>| {
            let log = FileStamp { size: row.get(1)?, modified_ns: row.get(2)? };
            Ok((row.get(0)?, RunStamp { log, files: row.get(3)? }))
        };
        self.connection
            .prepare_cached("SELECT id, log_size, log_modified_ns, files FROM runs")?
            .query_map([], stamp)?
            .collect()
    }

    /// Writes all that changed as one transaction.
    fn apply<'a>(&mut self, changed: &[Summary], gone: impl Iterator<Item = &'a str>) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for id in gone {
            summary::remove(&transaction, id)?;
        }
        for summary in changed {
            summary.write(&transaction)?;
        }
        transaction.commit()
    }

    fn failed(&self, source: rusqlite::Error) -> StoreError {
        StoreError::Database { path: self.path.clone(), source }
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    let is_conversion =
        matches!(error, rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..));
    let code = error.sqlite_error_code();
    is_conversion || matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Whether the database cannot be written now: the store is read-only, the disk full, or others are at it for too long.
fn is_in_the_way(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::DiskFull
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::SystemIoFailure
        )
    )
}

/// Removes the database and the files that SQLite keeps beside it.
fn delete(path: &Path) -> Result<(), StoreError> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(io_error("remove", Path::new(&name))(error));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::testing::{
        any_events, asked, at, create, evaluation, fact, metric, new_store, point, spec, state, step,
    };
    use super::*;
    use crate::store::{Event, Lineage, Logged, NewRun, Subject};
    use crate::types::Step;

    fn append(run: &RunDir, events: &[Event]) {
        let mut log = run.open_log(&run.acquire_lease().unwrap()).unwrap();
        events.iter().for_each(|event| log.append(event).unwrap());
    }

    /// A finished run of `experiment`, which began at `start`.
    fn finished_run(store: &Store, experiment: &str, seed: u64, mask_ratio: f64, start: i64) -> RunId {
        let axes = json!({ "model.preset": "nano", "objective.mask_ratio": mask_ratio });
        let provenance = json!({ "experiment": { "name": experiment, "axes": axes } });
        let run = create(store, &spec(seed, mask_ratio), &provenance, at(start)).unwrap();
        run.relabel(|labels| labels.tags.extend(["paper".to_owned()])).unwrap();
        let events = [
            state(RunState::Running, start + 1),
            fact("parameters", 1_052_256),
            step(1, 9.0),
            step(2, f64::NAN),
            evaluation(2, 8.5),
            state(RunState::Finished, start + 9),
        ];
        append(&run, &events);
        run.id().clone()
    }

    fn ids(index: &mut Index, query: &str) -> Vec<RunId> {
        index.query(&asked(query)).unwrap().into_iter().map(|row| row.id).collect()
    }

    fn all(index: &mut Index) -> Vec<RunRow> {
        index.query(&RunQuery::default()).unwrap()
    }

    #[test]
    fn a_row_tells_what_the_folder_holds() {
        let (_folder, store) = new_store();
        let id = finished_run(&store, "quickstart", 7, 0.3, 1_000);
        let mut index = Index::open(&store).unwrap();
        let [row] = &all(&mut index)[..] else { panic!("there is one run") };
        assert_eq!((&row.id, row.spec_hash, row.state), (&id, Some(spec(7, 0.3).hash()), RunState::Finished));
        assert_eq!((row.created_at, row.started_at, row.ended_at), (Some(at(1_000)), Some(at(1_001)), Some(at(1_009))));
        assert_eq!((row.steps_done, row.total_steps, row.parameters), (Step(2), Some(300), Some(1_052_256)));
        assert_eq!((row.experiment(), row.labels.tags.len()), (Some("quickstart"), 1));
        assert_eq!(row.axes()["objective.mask_ratio"], 0.3);
        let loss = row.metrics[&metric("train/loss")];
        assert!(loss.last.is_nan());
        assert_eq!((loss.min, loss.max, loss.last_step), (Some(9.0), Some(9.0), 2));
        assert_eq!(row.metrics[&metric("valid/mlm_loss")].last, 8.5);
    }

    #[test]
    fn questions_find_their_runs() {
        let (_folder, store) = new_store();
        let a = finished_run(&store, "quickstart", 1, 0.15, 1_000);
        let b = finished_run(&store, "quickstart", 1, 0.3, 2_000);
        let c = finished_run(&store, "petitions", 2, 0.3, 3_000);
        let d = create(&store, &spec(3, 0.4), &json!({}), at(500)).unwrap().id().clone();
        let mut index = Index::open(&store).unwrap();
        let hash = format!("spec_hash={}", spec(1, 0.15).hash());
        for (query, expected) in [
            ("", vec![&c, &b, &a, &d]),
            ("limit=2", vec![&c, &b]),
            ("mask_ratio=0.30", vec![&c, &b]),
            ("objective.mask_ratio=3e-1 seed=1", vec![&b]),
            ("mask_ratio=0.15,0.4", vec![&a, &d]),
            ("quickstart", vec![&b, &a]),
            ("experiment=petitions state=finished", vec![&c]),
            ("state=planned", vec![&d]),
            ("preset=nano tag=paper limit=1", vec![&c]),
            ("tag=draft", vec![]),
            (&hash, vec![&a]),
            (d.as_str(), vec![&d]),
        ] {
            assert_eq!(ids(&mut index, query).iter().collect::<Vec<_>>(), expected, "{query}");
        }
        let error = index.query(&asked("mask_rate=0.3")).unwrap_err().to_string();
        assert!(error.ends_with("no run has a setting `mask_rate`; did you mean `objective.mask_ratio`?"), "{error}");
    }

    #[test]
    fn a_run_whose_worker_died_is_lost() {
        let (_folder, store) = new_store();
        let run = create(&store, &spec(1, 0.15), &json!({}), at(0)).unwrap();
        let mut index = Index::open(&store).unwrap();
        let lease = run.acquire_lease().unwrap();
        let mut log = run.open_log(&lease).unwrap();
        log.append(&state(RunState::Running, 5)).unwrap();
        index.catch_up().unwrap();
        assert_eq!(ids(&mut index, "state=running").len(), 1);
        drop(lease);
        assert_eq!(ids(&mut index, "state=lost").len(), 1);
        assert_eq!(ids(&mut index, "state=running").len(), 0);
        // At rest since the index looked: the folder is right, not the index.
        log.append(&state(RunState::Finished, 6)).unwrap();
        assert_eq!(ids(&mut index, "state=finished").len(), 1);
    }

    /// An index that is made anew answers all the while, from what it had.
    #[test]
    fn what_is_forgotten_is_there_until_it_is_read_again() {
        let (_folder, store) = new_store();
        let id = finished_run(&store, "quickstart", 1, 0.15, 0);
        let mut index = Index::open(&store).unwrap();
        index.connection.execute("UPDATE runs SET reason = 'made up'", []).unwrap();
        index.connection.execute("INSERT INTO settings VALUES ('gone0000', 'a', 'b', NULL)", []).unwrap();
        index.forget().unwrap();
        assert_eq!(ids(&mut index, "quickstart mask_ratio=0.15"), std::slice::from_ref(&id));
        index.catch_up().unwrap();
        assert_eq!((all(&mut index)[0].reason.clone(), index.differences().unwrap()), (None, vec![]));
        let left: i64 = index
            .connection
            .query_row("SELECT count(*) FROM settings WHERE run = 'gone0000'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(left, 0);
    }

    #[test]
    fn a_prefix_tells_a_run_from_all_others() {
        let (_folder, store) = new_store();
        let runs: Vec<RunId> = (0..40).map(|seed| finished_run(&store, "quickstart", seed, 0.15, 0)).collect();
        let index = Index::open(&store).unwrap();
        for (id, length) in index.prefixes(runs.iter()).unwrap() {
            let begin_so =
                |length: usize| runs.iter().filter(|run| run.as_str().starts_with(&id.as_str()[..length])).count();
            assert!(begin_so(length) == 1 && (length == 1 || begin_so(length - 1) > 1), "{id} {length}");
        }
    }

    #[test]
    fn a_look_at_all_folders_suffices_for_a_while() {
        let (_folder, store) = new_store();
        let mut runs: Vec<RunId> = (0..4).map(|seed| finished_run(&store, "quickstart", seed, 0.15, 0)).collect();
        let tell = &mut |_, _| {};
        let mut found = |at_ms: i64, query: &str| {
            let mut index = Index::open_at_times(&store, Timestamp::from_unix_millis(at_ms), tell).unwrap();
            (ids(&mut index, query).len(), index.unreadable().len())
        };
        assert_eq!(found(0, ""), (4, 0));
        // What this program does is seen at once: new runs, labels, logs that go on, runs that go.
        runs.push(finished_run(&store, "quickstart", 9, 0.3, 0));
        store.run(&runs[1]).unwrap().relabel(|labels| labels.tags.extend(["new".to_owned()])).unwrap();
        assert_eq!((found(1, ""), found(1, "tag:new"), found(2, "mask_ratio=0.3")), ((5, 0), (1, 0), (1, 0)));
        let run = store.run(&runs[2]).unwrap();
        let lease = run.acquire_lease().unwrap();
        let mut log = run.open_log(&lease).unwrap();
        log.append(&state(RunState::Running, 20)).unwrap();
        assert_eq!(found(3, "state=running"), (1, 0));
        log.append(&evaluation(9, 1.5)).unwrap();
        assert_eq!(found(4, "valid/mlm_loss < 2"), (1, 0));
        log.append(&state(RunState::Finished, 30)).unwrap();
        log.append(&evaluation(10, 0.5)).unwrap();
        drop((log, lease));
        assert_eq!((found(5, "state=running"), found(5, "valid/mlm_loss < 1")), ((0, 0), (1, 0)));
        fs::remove_dir_all(store.run(&runs[0]).unwrap().path()).unwrap();
        store.note_change(&runs[0]);
        assert_eq!(found(6, ""), (4, 0));
        // What others do in the folders is seen when it is time to look at them all again, or when the clock was set back.
        fs::remove_dir_all(store.run(&runs[1]).unwrap().path()).unwrap();
        assert_eq!((found(29_000, ""), found(30_001, "")), ((4, 0), (3, 0)));
        fs::remove_dir_all(store.run(&runs[2]).unwrap().path()).unwrap();
        assert_eq!((found(31_000, ""), found(9, "")), ((3, 0), (2, 0)));
        // A run that cannot be read is named each time.
        runs.extend((20..23).map(|seed| finished_run(&store, "quickstart", seed, 0.15, 0)));
        assert_eq!(found(40_000, ""), (5, 0));
        fs::write(store.run(&runs[3]).unwrap().events_path(), "nonsense\nnonsense\n").unwrap();
        store.note_change(&runs[3]);
        assert_eq!((found(40_001, ""), found(40_002, ""), found(40_003, "")), ((4, 1), (4, 1), (4, 1)));
        // Who deletes the file costs a look.
        fs::remove_file(store.root().join(".changes")).unwrap();
        assert_eq!(found(40_004, ""), (4, 1));
    }

    #[test]
    fn an_unreadable_run_is_named_and_hides_no_other() {
        let (_folder, store) = new_store();
        let good = finished_run(&store, "quickstart", 1, 0.15, 0);
        let bad = finished_run(&store, "quickstart", 2, 0.15, 0);
        let mut index = Index::open(&store).unwrap();
        let path = store.run(&bad).unwrap().events_path();
        let mut bytes = fs::read(&path).unwrap();
        bytes[40] ^= 1;
        bytes.push(b'\n');
        fs::write(&path, bytes).unwrap();
        index.catch_up().unwrap();
        assert_eq!(ids(&mut index, ""), [good]);
        let [(id, error)] = index.unreadable() else { panic!("one run is unreadable") };
        assert_eq!(id, &bad);
        assert!(error.to_string().contains("is damaged at line"), "{error}");
    }

    #[test]
    fn the_index_survives_anything_done_to_its_file() {
        let (_folder, store) = new_store();
        let id = finished_run(&store, "quickstart", 1, 0.15, 0);
        let path = store.root().join("index.sqlite");
        let check =
            |what: &str| assert_eq!(ids(&mut Index::open(&store).unwrap(), ""), std::slice::from_ref(&id), "{what}");
        check("new");
        fs::remove_file(&path).unwrap();
        check("deleted");
        fs::write(&path, b"this is no database, however long it may be, and SQLite says so").unwrap();
        check("rubbish");
        Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99; DROP TABLE metrics").unwrap();
        check("of another version");
        let mut bytes = fs::read(&path).unwrap();
        let half = bytes.len() / 2;
        bytes[half..].fill(0xa5);
        fs::write(&path, bytes).unwrap();
        check("half overwritten");
    }

    #[test]
    fn filters_of_tracking_clients_find_the_same() {
        let (_folder, store) = new_store();
        let [a, b] = [0.15, 0.3].map(|rate| finished_run(&store, "quickstart", 1, rate, (rate * 1e4) as i64));
        store.run(&a).unwrap().relabel(|labels| labels.tags.extend(["stage=prod".to_owned()])).unwrap();
        let mut index = Index::open(&store).unwrap();
        let mut check = |filter: &str, expected: &[&RunId]| {
            let query = RunQuery::of_mlflow(filter, &[], at(0)).unwrap();
            let found = index.query(&query).unwrap_or_else(|error| panic!("{filter}: {error}"));
            assert_eq!(found.iter().map(|row| &row.id).collect::<Vec<_>>(), expected, "{filter}");
        };
        check("metrics.`valid/mlm_loss` < 9 and params.mask_ratio = '0.3'", &[&b]);
        check("params.\"objective.mask_ratio\" != '0.3' and attributes.status = 'FINISHED'", &[&a]);
        check("tags.stage = 'prod'", &[&a]);
        check("tags.stage ILIKE 'P%' and tags.stage is not null", &[&a]);
        check("tags.stage is null and start_time > 1500000000000", &[]);
        check("tags.stage IS NULL", &[&b]);
        check("metrics.`train/loss` != 3", &[&b, &a]);
    }

    /// An edit that leaves the database well-formed is found by comparing with the folders, in any of its tables.
    #[test]
    fn what_somebody_wrote_into_the_index_is_noticed() {
        let (_folder, store) = new_store();
        let id = finished_run(&store, "quickstart", 1, 0.15, 0);
        let other = finished_run(&store, "quickstart", 2, 0.15, 0);
        for edit in [
            format!("UPDATE metrics SET last = 1.0 WHERE run = '{id}'"),
            format!("UPDATE runs SET state = 'failed' WHERE id = '{id}'"),
            format!("DELETE FROM settings WHERE run = '{id}' AND key = 'optimizer.lr'"),
            format!("INSERT INTO run_tags VALUES ('{id}', 'forged')"),
            format!("INSERT INTO edges VALUES ('{id}', 'reproduces', '{other}')"),
        ] {
            let mut index = Index::anew(&store, &mut |_, _| {}).unwrap();
            assert_eq!(index.differences().unwrap(), []);
            Index::edit(&store, &edit);
            assert_eq!(Index::open(&store).unwrap().differences().unwrap(), std::slice::from_ref(&id), "{edit}");
        }
    }

    #[test]
    fn an_index_that_lacks_a_table_is_made_anew() {
        let (_folder, store) = new_store();
        let id = finished_run(&store, "quickstart", 1, 0.15, 0);
        for edit in [
            "DROP TABLE settings",
            "ALTER TABLE metrics DROP COLUMN last_step",
            "DROP TABLE runs; CREATE VIEW runs AS SELECT 1 AS id",
        ] {
            drop(Index::open(&store).unwrap());
            Index::edit(&store, edit);
            assert_eq!(ids(&mut Index::open(&store).unwrap(), "mask_ratio=0.15"), std::slice::from_ref(&id), "{edit}");
        }
    }

    /// A writer that holds the database for longer than anybody waits keeps no reader from the folders.
    #[test]
    fn a_database_that_is_locked_is_done_without() {
        let (_folder, store) = new_store();
        drop(Index::open(&store).unwrap());
        let id = finished_run(&store, "quickstart", 1, 0.15, 0);
        let writer = Connection::open(store.root().join("index.sqlite")).unwrap();
        writer.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert_eq!(ids(&mut Index::open(&store).unwrap(), ""), [id]);
    }

    #[test]
    fn values_at_steps_are_read_from_the_logs() {
        let (_folder, store) = new_store();
        let mut runs = [1, 2, 3].map(|seed| {
            let run = create(&store, &spec(seed, 0.15), &json!({}), at(seed as i64)).unwrap();
            append(&run, &(1..=4).map(|number| step(number, (number * seed) as f64)).collect::<Vec<_>>());
            run.id().clone()
        });
        runs.reverse();
        let [third, second, first] = &runs;
        let mut index = Index::open(&store).unwrap();
        assert_eq!(ids(&mut index, "train/loss.at(2) >= 4"), [third.clone(), second.clone()]);
        assert_eq!(ids(&mut index, "seed = 1 or train/loss.at(2) = 6"), [third.clone(), first.clone()]);
        assert_eq!(
            ids(&mut index, "exists(train/loss.at(9)) or seed != 1 and train/loss.at(4) < 9"),
            std::slice::from_ref(second)
        );
        let rows = index.query(&asked("").sorted_by("-train/loss.at(3)")).unwrap();
        assert_eq!(rows.iter().map(|row| &row.id).collect::<Vec<_>>(), [third, second, first]);
        let facts = index.facts(rows).unwrap();
        let columns =
            index.columns(&["loss.at(3)", "seed", "took", "nothing"].map(str::to_owned)[..3], &facts).unwrap();
        assert_eq!(columns[1], [Some(Cell::Number(6.0)), Some(Cell::Text("2".into())), None]);
        assert!(index.columns(&["nothing".to_owned()], &facts).is_err());
    }

    #[test]
    fn damage_found_by_a_question_is_repaired() {
        let (_folder, store) = new_store();
        let id = finished_run(&store, "quickstart", 1, 0.15, 0);
        let mut index = Index::open(&store).unwrap();
        index.connection.execute("UPDATE runs SET experiments = '{'", []).unwrap();
        assert_eq!(ids(&mut index, ""), [id]);
    }

    #[test]
    fn two_indices_of_one_store_agree() {
        let (_folder, store) = new_store();
        let (mut first, mut second) = (Index::open(&store).unwrap(), Index::open(&store).unwrap());
        let id = finished_run(&store, "quickstart", 1, 0.15, 0);
        first.catch_up().unwrap();
        assert_eq!(ids(&mut second, ""), [id]);
    }

    /// All rows of all tables as text: what the index knows.
    fn dump(index: &Index) -> Vec<String> {
        let mut rows = Vec::new();
        for (table, _) in schema::RUN_COLUMNS {
            let mut statement = index.connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
            let columns = statement.column_count();
            let cells =
                |row: &rusqlite::Row<'_>| (0..columns).map(|i| row.get::<_, rusqlite::types::Value>(i)).collect();
            let found = statement.query_map([], |row| cells(row)).unwrap();
            rows.extend(found.map(|row: rusqlite::Result<Vec<_>>| format!("{table} {:?}", row.unwrap())));
        }
        rows
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        /// Whatever happens to the runs between two looks, catching up gives what reading everything anew gives. Every other
        /// run is a guest, which says as points what the others say as steps.
        #[test]
        fn catching_up_equals_a_rebuild(
            rounds in prop::collection::vec(prop::collection::vec((0..4usize, any_events(8)), 0..4), 1..4),
        ) {
            let (_folder, store) = new_store();
            let mut runs = Vec::<RunDir>::new();
            let mut index = Index::open(&store).unwrap();
            for (round, changes) in rounds.into_iter().enumerate() {
                for (which, events) in changes {
                    if which >= runs.len() {
                        let created = at(round as i64);
                        runs.push(match runs.len() % 2 {
                            0 => create(&store, &spec(runs.len() as u64, 0.15), &json!({}), created).unwrap(),
                            _ => store
                                .create_logged(&Logged::default(), &json!({}), &Lineage::default(), created)
                                .unwrap()
                                .dir()
                                .clone(),
                        });
                    } else if events.is_empty() {
                        fs::remove_dir_all(runs.remove(which).path()).unwrap();
                    } else if matches!(runs[which].read_subject().unwrap(), Subject::Logged(_)) {
                        append(&runs[which], &events.into_iter().filter_map(as_points).collect::<Vec<_>>());
                        index.refresh(runs[which].id()).unwrap();
                    } else {
                        append(&runs[which], &events);
                        index.refresh(runs[which].id()).unwrap();
                    }
                }
                index.catch_up().unwrap();
            }
            let caught_up = dump(&index);
            index.reindex().unwrap();
            prop_assert_eq!(&caught_up, &dump(&index));
            prop_assert_eq!(&caught_up, &dump(&Index::open_at(&store, Path::new(":memory:"), None, &mut |_, _| {}).unwrap()));
        }
    }

    /// What a guest would say of the same step.
    fn as_points(event: Event) -> Option<Event> {
        let (Event::Step { step, metrics, .. } | Event::Evaluation { step, metrics }) = event else { return None };
        let named = |(key, value): (crate::types::MetricName, f64)| point(key.as_str(), step.0 as i64 - 2, value);
        Some(Event::Points { points: metrics.0.into_iter().map(named).collect() })
    }

    /// The bytes before the place up to which the log was read are made unreadable: nobody looks at them again.
    #[test]
    fn of_a_growing_log_only_what_was_added_is_read() {
        let (_folder, store) = new_store();
        let run = create(&store, &spec(1, 0.15), &json!({}), at(0)).unwrap();
        append(&run, &[state(RunState::Running, 1), step(1, 9.0), step(2, f64::NAN)]);
        let mut index = Index::open(&store).unwrap();
        let mut log = run.open_log(&run.acquire_lease().unwrap()).unwrap();
        let size = fs::metadata(run.events_path()).unwrap().len() as usize;
        for number in 3..6 {
            log.append(&step(number, number as f64)).unwrap();
        }
        let mut bytes = fs::read(run.events_path()).unwrap();
        bytes[..size].fill(b'x');
        fs::write(run.events_path(), &bytes).unwrap();
        index.catch_up().unwrap();
        let row = all(&mut index).remove(0);
        assert_eq!((row.steps_done, row.metrics[&metric("train/loss")].last), (Step(5), 5.0));
        assert_eq!(row.metrics[&metric("train/loss")].min, Some(3.0));
        // What does not follow from what was read makes it read everything, and find out.
        bytes.truncate(size);
        bytes.extend(b"0123456789abcdef {\"warning\":{\"text\":\"\"}}\n\n");
        fs::write(run.events_path(), &bytes).unwrap();
        index.catch_up().unwrap();
        assert!(matches!(index.unreadable(), [(bad, StoreError::Corrupted { line: 1, .. })] if bad == run.id()));
    }

    #[test]
    fn a_torn_tail_is_noted_until_it_is_whole() {
        let (_folder, store) = new_store();
        let id = finished_run(&store, "quickstart", 1, 0.15, 0);
        let run = store.run(&id).unwrap();
        let whole = fs::read(run.events_path()).unwrap();
        let last = whole.trim_ascii_end().iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
        fs::write(run.events_path(), &whole[..last + 9]).unwrap();
        let mut index = Index::open(&store).unwrap();
        let row = all(&mut index).remove(0);
        assert_eq!((row.torn_bytes, row.state), (9, RunState::Lost));
        fs::write(run.events_path(), &whole).unwrap();
        index.catch_up().unwrap();
        let row = all(&mut index).remove(0);
        assert_eq!((row.torn_bytes, row.state), (0, RunState::Finished));
    }

    /// A file beside the log that is not what it was hides the run, and comes back with its content.
    #[test]
    fn a_changed_file_is_named_by_every_reader() {
        let (_folder, store) = new_store();
        let id = finished_run(&store, "quickstart", 1, 0.15, 0);
        let run = store.run(&id).unwrap();
        let mut index = Index::open(&store).unwrap();
        for (path, from, to) in [(run.spec_path(), "0.15", "0.25"), (run.provenance_path(), "quickstart", "slowstart")]
        {
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.replacen(from, to, 1)).unwrap();
            index.catch_up().unwrap();
            assert_eq!(ids(&mut index, ""), []);
            assert!(matches!(index.unreadable(), [(_, StoreError::Changed { path: named })] if *named == path));
            assert!(matches!(store.load(&id), Err(StoreError::Changed { .. })));
            fs::write(&path, text).unwrap();
            index.catch_up().unwrap();
            assert_eq!(ids(&mut index, ""), std::slice::from_ref(&id));
        }
        let other = finished_run(&store, "quickstart", 2, 0.15, 0);
        fs::copy(store.run(&other).unwrap().events_path(), run.events_path()).unwrap();
        index.catch_up().unwrap();
        assert!(matches!(index.unreadable(), [(_, StoreError::Foreign { found, .. })] if *found == other));
    }

    /// Not a test of its own: makes stores to measure listings on, and says where they are.
    #[test]
    #[ignore = "makes thousands of runs in memory"]
    #[allow(clippy::print_stdout, reason = "it is run for what it says")]
    fn make_stores_of_many_runs() {
        for count in [1_000, 10_000] {
            let folder = tempfile::Builder::new().prefix("ablate-many-").tempdir_in("/dev/shm").unwrap().keep();
            let store = Store::open(folder.join("runs")).unwrap();
            for n in 0..count {
                let (name, rate) = (["quickstart", "pilot"][n % 2], [0.15, 0.3, 0.4][n % 3]);
                finished_run(&store, name, n as u64, rate, n as i64 * 1_000);
            }
            println!("{count} runs in {}", folder.display());
        }
    }

    #[test]
    fn what_stands_on_a_run_is_known() {
        let (_folder, store) = new_store();
        let first = finished_run(&store, "quickstart", 1, 0.15, 0);
        let subject = Subject::Planned(Box::new(spec(2, 0.15)));
        let lineage =
            Lineage { starts_from: Some(first.clone()), uses_tokenizer_of: Some(first.clone()), ..Lineage::default() };
        let new = NewRun { subject: &subject, provenance: &json!({}), lineage: &lineage };
        let second = store.create_run(&new, at(1)).unwrap();
        let old = json!({ "reproduces": first.as_str() });
        let index = Index::open(&store).unwrap();
        let expected =
            [Role::StartsFrom, Role::UsesTokenizerOf].map(|role| Dependent { run: second.id().clone(), role });
        assert_eq!(index.dependents(&first).unwrap(), expected);
        assert_eq!(index.dependents(second.id()).unwrap(), []);
        assert_eq!(store.load(second.id()).unwrap().lineage, lineage);
        assert!(Lineage::of_provenance(&old, false).reproduces == Some(first));
    }
}
