//! The index: what is asked of all runs at once, drawn from their folders into SQLite, and never the truth.
//!
//! Opening the index catches up with the folders: a run whose `events.log` has the size and time that the index noted is
//! not read again, so listing costs one `stat` a run. A database that is damaged, or of another version, is made anew; in
//! a store that cannot be written the index lives in memory.

mod query;
mod rows;
mod schema;
mod summary;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

pub use query::{RunQuery, Term};
pub use rows::RunRow;
pub use summary::MetricSummary;

use self::rows::SelectError;
use self::summary::Summary;
use super::error::io_error;
use super::run_dir::LogStamp;
use super::{RunDir, RunState, Store, StoreError};
use crate::types::RunId;

/// An index over the runs of a store, up to date when it was opened.
#[derive(Debug)]
pub struct Index {
    store: Store,
    path: PathBuf,
    connection: Connection,
    unreadable: Vec<(RunId, StoreError)>,
}

impl Index {
    /// Opens `index.sqlite` of the store and catches up with its run folders.
    pub fn open(store: &Store) -> Result<Self, StoreError> {
        let path = store.root().join("index.sqlite");
        match Self::open_at(store, &path) {
            Err(StoreError::Database { source, .. }) if is_damage(&source) => {
                delete(&path)?;
                Self::open_at(store, &path)
            }
            Err(StoreError::Database { source, .. }) if is_read_only(&source) => {
                Self::open_at(store, Path::new(":memory:"))
            }
            result => result,
        }
    }

    /// The runs that `query` wants, newest first.
    ///
    /// # Errors
    /// [`StoreError::BadQuery`] when a term names a setting that no run has.
    pub fn query(&mut self, query: &RunQuery) -> Result<Vec<RunRow>, StoreError> {
        match self.answer(query) {
            Err(StoreError::Database { source, .. }) if is_damage(&source) => {
                self.recreate()?;
                self.answer(query)
            }
            result => result,
        }
    }

    /// Reads what changed in the run folders since the index last looked.
    pub fn catch_up(&mut self) -> Result<(), StoreError> {
        let mut noted = self.noted_stamps().map_err(|source| self.failed(source))?;
        let mut changed = Vec::new();
        self.unreadable.clear();
        for id in self.store.run_ids()? {
            let is_noted = |stamp: LogStamp| noted.get(id.as_str()) == Some(&stamp);
            let run = RunDir::new(self.store.root(), id.clone());
            if run.log_stamp().is_ok_and(is_noted) {
                noted.remove(id.as_str());
                continue;
            }
            match Summary::read(&run) {
                Ok(summary) => {
                    noted.remove(id.as_str());
                    changed.push(summary);
                }
                Err(_) if !run.path().exists() => {} // Removed since it was listed.
                Err(error) => self.unreadable.push((id, error)),
            }
        }
        // What is left in `noted` has no readable folder any more: it leaves the index.
        if changed.is_empty() && noted.is_empty() {
            return Ok(());
        }
        self.apply(&changed, noted.keys().map(String::as_str)).map_err(|source| self.failed(source))
    }

    /// Forgets everything and reads all run folders again.
    pub fn reindex(&mut self) -> Result<(), StoreError> {
        let noted = self.noted_stamps().map_err(|source| self.failed(source))?;
        self.apply(&[], noted.keys().map(String::as_str)).map_err(|source| self.failed(source))?;
        self.catch_up()
    }

    /// Reads one run's folder again.
    pub fn refresh(&mut self, id: &RunId) -> Result<(), StoreError> {
        let summary = Summary::read(&self.store.run(id)?)?;
        self.apply(&[summary], std::iter::empty()).map_err(|source| self.failed(source))
    }

    /// The runs that could not be read when the index last caught up, and why. They are in no answer.
    pub fn unreadable(&self) -> &[(RunId, StoreError)] {
        &self.unreadable
    }

    fn open_at(store: &Store, path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Database { path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(failed)?;
        schema::prepare(&mut connection).map_err(failed)?;
        let mut index = Self { store: store.clone(), path: path.to_owned(), connection, unreadable: Vec::new() };
        index.catch_up()?;
        Ok(index)
    }

    fn answer(&self, query: &RunQuery) -> Result<Vec<RunRow>, StoreError> {
        let selected = rows::select(&self.connection, query).map_err(|error| match error {
            SelectError::Database(source) => self.failed(source),
            SelectError::Question(error) => error,
        })?;
        let mut wanted = Vec::new();
        for (mut row, stamp) in selected {
            if query.limit.is_some_and(|limit| wanted.len() >= limit) {
                break;
            }
            row.state = self.state_now(&row, stamp)?;
            if query.states.is_empty() || query.states.contains(&row.state) {
                row.metrics = rows::metrics(&self.connection, &row.id).map_err(|source| self.failed(source))?;
                wanted.push(row);
            }
        }
        Ok(wanted)
    }

    /// Makes the database anew, after it turned out to be damaged.
    fn recreate(&mut self) -> Result<(), StoreError> {
        self.connection = Connection::open_in_memory().map_err(|source| self.failed(source))?;
        delete(&self.path)?;
        *self = Self::open(&self.store)?;
        Ok(())
    }

    /// The state of a run at this moment: a run that the index has as running may be lost, or at rest since.
    fn state_now(&self, row: &RunRow, stamp: LogStamp) -> Result<RunState, StoreError> {
        if row.state != RunState::Running {
            return Ok(row.state);
        }
        let run = self.store.run(&row.id)?;
        match run.state_now(row.state, stamp)? {
            Some(state) => Ok(state),
            None => run.read_history_and_state().map(|(_, state)| state),
        }
    }

    fn noted_stamps(&self) -> rusqlite::Result<BTreeMap<String, LogStamp>> {
        self.connection
            .prepare_cached("SELECT id, log_size, log_modified_ns FROM runs")?
            .query_map([], |row| Ok((row.get(0)?, LogStamp { size: row.get(1)?, modified_ns: row.get(2)? })))?
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

fn is_read_only(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied))
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

    use super::super::testing::{any_events, at, evaluation, fact, metric, spec, state, step};
    use super::*;
    use crate::store::Event;
    use crate::types::Step;

    fn new_store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("runs")).unwrap();
        (folder, store)
    }

    fn append(run: &RunDir, events: &[Event]) {
        let mut log = run.open_log(&run.acquire_lease().unwrap()).unwrap();
        events.iter().for_each(|event| log.append(event).unwrap());
    }

    /// A finished run of `experiment`, which began at `start`.
    fn finished_run(store: &Store, experiment: &str, seed: u64, mask_ratio: f64, start: i64) -> RunId {
        let axes = json!({ "model.preset": "nano", "objective.mask_ratio": mask_ratio });
        let provenance = json!({ "experiment": { "name": experiment, "axes": axes }, "tags": ["paper"] });
        let run = store.create_run(&spec(seed, mask_ratio), &provenance, at(start)).unwrap();
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
        index.query(&query.parse().unwrap()).unwrap().into_iter().map(|row| row.id).collect()
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
        assert_eq!((&row.id, row.spec_hash, row.state), (&id, spec(7, 0.3).hash(), RunState::Finished));
        assert_eq!((row.created_at, row.started_at, row.ended_at), (Some(at(1_000)), Some(at(1_001)), Some(at(1_009))));
        assert_eq!((row.steps_done, row.total_steps, row.parameters), (Step(2), Some(300), Some(1_052_256)));
        assert_eq!((row.experiment.as_deref(), &row.tags[..]), (Some("quickstart"), &["paper".to_owned()][..]));
        assert_eq!(row.axes["objective.mask_ratio"], 0.3);
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
        let d = store.create_run(&spec(3, 0.4), &json!({}), at(500)).unwrap().id().clone();
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
        let error = index.query(&"mask_rate=0.3".parse().unwrap()).unwrap_err().to_string();
        assert!(error.ends_with("no run has a setting `mask_rate`; did you mean `objective.mask_ratio`?"), "{error}");
    }

    #[test]
    fn a_run_whose_worker_died_is_lost() {
        let (_folder, store) = new_store();
        let run = store.create_run(&spec(1, 0.15), &json!({}), at(0)).unwrap();
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
    fn damage_found_by_a_question_is_repaired() {
        let (_folder, store) = new_store();
        let id = finished_run(&store, "quickstart", 1, 0.15, 0);
        let mut index = Index::open(&store).unwrap();
        index.connection.execute("UPDATE runs SET axes = '{'", []).unwrap();
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

        /// Whatever happens to the runs between two looks, catching up gives what reading everything anew gives.
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
                        runs.push(store.create_run(&spec(runs.len() as u64, 0.15), &json!({}), created).unwrap());
                    } else if events.is_empty() {
                        fs::remove_dir_all(runs.remove(which).path()).unwrap();
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
            prop_assert_eq!(&caught_up, &dump(&Index::open_at(&store, Path::new(":memory:")).unwrap()));
        }
    }
}
