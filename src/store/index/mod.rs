//! The index: what is asked of all runs at once, drawn from their folders into SQLite, and never the truth.
//!
//! Opening the index catches up with the folders: a run whose files have the sizes and times that the index noted is not
//! read again, so listing costs a few `stat` a run, and of a log that has grown only what was added is read. A database
//! that is damaged, or of another version, is made anew; in a store that cannot be written the index lives in memory.

mod query;
mod row;
mod rows;
mod schema;
mod summary;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

pub use query::{RunQuery, Term, Trash};
pub use row::{MetricSummary, RunRow};

use self::rows::{Noted, SelectError};
use self::summary::Summary;
use super::error::io_error;
use super::run_dir::{FileStamp, RunStamp};
use super::{Role, RunDir, RunState, Store, StoreError};
use crate::types::RunId;

/// An index over the runs of a store, up to date when it was opened.
#[derive(Debug)]
pub struct Index {
    store: Store,
    path: PathBuf,
    connection: Connection,
    unreadable: Vec<(RunId, StoreError)>,
}

/// A run that stands on another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependent {
    pub run: RunId,
    pub role: Role,
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
            let is_noted = |stamp: RunStamp| noted.get(id.as_str()) == Some(&stamp);
            let run = RunDir::new(self.store.root(), id.clone());
            if run.stamp().is_ok_and(is_noted) {
                noted.remove(id.as_str());
                continue;
            }
            let known = rows::noted(&self.connection, &id).map_err(|source| self.failed(source))?;
            match Summary::read(&run, known) {
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
        let known = rows::noted(&self.connection, id).map_err(|source| self.failed(source))?;
        let summary = Summary::read(&self.store.run(id)?, known)?;
        self.apply(&[summary], std::iter::empty()).map_err(|source| self.failed(source))
    }

    /// The runs that could not be read when the index last caught up, and why. They are in no answer.
    pub fn unreadable(&self) -> &[(RunId, StoreError)] {
        &self.unreadable
    }

    /// The runs that stand on the run `id`, in order of their ids: those that something is lost to when it goes.
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
        for Noted { mut row, stamp, .. } in selected {
            if query.limit.is_some_and(|limit| wanted.len() >= limit) {
                break;
            }
            row.state = self.state_now(&row, stamp.log)?;
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
    fn state_now(&self, row: &RunRow, stamp: FileStamp) -> Result<RunState, StoreError> {
        if row.state != RunState::Running {
            return Ok(row.state);
        }
        let run = self.store.run(&row.id)?;
        match run.state_now(row.state, stamp)? {
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

    use super::super::testing::{any_events, at, create, evaluation, fact, metric, point, spec, state, step};
    use super::*;
    use crate::store::{Event, Lineage, Logged, NewRun, Subject};
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
        let error = index.query(&"mask_rate=0.3".parse().unwrap()).unwrap_err().to_string();
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
            prop_assert_eq!(&caught_up, &dump(&Index::open_at(&store, Path::new(":memory:")).unwrap()));
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
