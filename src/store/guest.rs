//! Guests: runs that a program or a client logs itself, a little at a time.
//!
//! A guest says what it is, what it measures and how it ended; nothing is checked against a specification, and values are
//! kept with the bits that they come with. While a guest is open it holds the run's lease, as a worker would: a guest that
//! dies without a last word leaves a run that is lost.

use std::collections::BTreeMap;

use serde_json::Value;

use super::event::{Event, LoggedPoint, RunState};
use super::event_log::EventLog;
use super::lease::Lease;
use super::run_dir::{NewRun, RunDir};
use super::subject::{Logged, Subject};
use super::{Lineage, Store, StoreError};
use crate::types::{RunId, Timestamp};

/// A run that a guest is logging. Dropping it gives the lease back without a word.
#[derive(Debug)]
pub struct GuestRun {
    dir: RunDir,
    log: EventLog,
    _lease: Lease,
}

impl Store {
    /// Makes a run that a guest logs, running from `now` on. `provenance` is whatever the guest says of its making.
    pub fn create_logged(
        &self,
        logged: &Logged,
        provenance: &Value,
        lineage: &Lineage,
        now: Timestamp,
    ) -> Result<GuestRun, StoreError> {
        let subject = Subject::Logged(logged.clone());
        let dir = self.create_run(&NewRun { subject: &subject, provenance, lineage }, now)?;
        let mut guest = GuestRun::open(dir)?;
        guest.state(RunState::Running, None, now)?;
        Ok(guest)
    }

    /// Makes a run that is over, planned at `created`, with all that `fill` has to say of it: it appears whole, or not at all.
    /// Where another run took the same id meanwhile, `fill` is asked again.
    pub fn create_whole<E: From<StoreError>>(
        &self,
        logged: &Logged,
        provenance: &Value,
        lineage: &Lineage,
        created: Timestamp,
        mut fill: impl FnMut(&mut GuestRun) -> Result<(), E>,
    ) -> Result<RunDir, E> {
        let subject = Subject::Logged(logged.clone());
        let new = NewRun { subject: &subject, provenance, lineage };
        let run = RunDir::create(self.root(), &new, created, |building| {
            let mut guest = GuestRun::open(building.clone())?;
            fill(&mut guest)?;
            Ok::<(), E>(guest.sync()?)
        })?;
        self.note_change(run.id());
        Ok(run)
    }

    /// Opens a run that a guest logged before, to go on with it.
    ///
    /// # Errors
    /// When somebody has it open, or it is not a guest's: what a specification planned is written by its worker alone.
    pub fn reopen_logged(&self, id: &RunId) -> Result<GuestRun, StoreError> {
        let dir = self.run(id)?;
        match dir.read_subject()? {
            Subject::Logged(_) => GuestRun::open(dir),
            Subject::Planned(_) => Err(StoreError::NotLogged { run: id.clone() }),
        }
    }
}

impl GuestRun {
    fn open(dir: RunDir) -> Result<Self, StoreError> {
        let lease = dir.acquire_lease()?;
        let log = dir.open_log(&lease)?;
        Ok(Self { dir, log, _lease: lease })
    }

    /// The run's folder.
    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// Records what was measured, in this order.
    pub fn points(&mut self, points: Vec<LoggedPoint>) -> Result<(), StoreError> {
        if points.is_empty() { Ok(()) } else { self.log.append(&Event::Points { points }) }
    }

    /// Records parameters; one that was named before gets the new value.
    pub fn parameters(&mut self, parameters: BTreeMap<String, Value>) -> Result<(), StoreError> {
        if parameters.is_empty() { Ok(()) } else { self.log.append(&Event::Parameters { parameters }) }
    }

    /// Records something about the run as a whole.
    pub fn fact(&mut self, name: &str, value: Value) -> Result<(), StoreError> {
        self.log.append(&Event::Fact { name: name.to_owned(), value })
    }

    /// Records something that a person should know.
    pub fn warning(&mut self, text: String) -> Result<(), StoreError> {
        self.log.append(&Event::Warning { text })
    }

    /// Records a state that the run came into, durably.
    pub fn state(&mut self, state: RunState, reason: Option<String>, now: Timestamp) -> Result<(), StoreError> {
        self.log.append(&Event::State { state, reason, at: now })
    }

    /// Waits until everything recorded is on the disk.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.log.sync()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::json;

    use super::super::testing::{asked, at, create, metric, new_store, point, spec};
    use super::super::{Group, Index, RunQuery};
    use super::*;

    fn logged(parameters: Value) -> Logged {
        let Value::Object(parameters) = parameters else { panic!("parameters are an object") };
        Logged { by: "train.py".into(), experiment: Some("guests".into()), parameters }
    }

    fn guest(store: &Store, parameters: Value) -> GuestRun {
        store.create_logged(&logged(parameters), &json!({ "host": "h" }), &Lineage::default(), at(1)).unwrap()
    }

    #[test]
    fn a_guest_is_a_run_like_others() {
        let (_folder, store) = new_store();
        let mut run = guest(&store, json!({ "lr": 0.1, "model": { "kind": "gru" } }));
        run.points(vec![point("accuracy", 0, 0.25), point("Loss", 0, 2.0)]).unwrap();
        run.parameters(BTreeMap::from([("batch size".to_owned(), json!(32)), ("lr".to_owned(), json!(0.2))])).unwrap();
        run.points(vec![point("accuracy", 10, 0.5)]).unwrap();
        run.state(RunState::Finished, None, at(9)).unwrap();
        let id = run.dir().id().clone();
        drop(run);

        let loaded = store.load(&id).unwrap();
        assert_eq!((loaded.state, loaded.subject.hash()), (RunState::Finished, None));
        let settings: Vec<String> = loaded.subject.settings().iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(settings, ["lr=2e-1", "model.kind=gru", "batch size=32"]);
        assert!(loaded.planned().unwrap_err().to_string().starts_with(&format!("run {id} was logged by train.py: ")));

        let mut index = Index::open(&store).unwrap();
        let [row] = &index.query(&asked("guests kind=gru")).unwrap()[..] else { panic!("there is one run") };
        assert_eq!((&row.id, row.spec_hash, row.experiments.len()), (&id, None, 1));
        assert_eq!(row.metrics[&metric("accuracy")].last, 0.5);
        assert_eq!(row.steps_done, crate::types::Step(10));
        assert_eq!(index.query(&asked("lr=0.2")).unwrap().len(), 1);
    }

    #[test]
    fn a_guest_that_dies_is_lost_and_can_be_opened_again() {
        let (_folder, store) = new_store();
        let run = guest(&store, json!({}));
        let id = run.dir().id().clone();
        assert_eq!(store.load(&id).unwrap().state, RunState::Running);
        assert!(store.reopen_logged(&id).unwrap_err().is_held());
        drop(run);
        assert_eq!(store.load(&id).unwrap().state, RunState::Lost);
        store.reopen_logged(&id).unwrap().state(RunState::Finished, None, at(5)).unwrap();
        assert_eq!(store.load(&id).unwrap().state, RunState::Finished);
        let planned = create(&store, &spec(1, 0.15), &json!({}), at(0)).unwrap();
        let error = store.reopen_logged(planned.id()).unwrap_err().to_string();
        assert!(error.ends_with("was planned by ablate: only its own worker writes its log"), "{error}");
    }

    #[test]
    fn a_whole_run_appears_with_all_that_it_says_or_not_at_all() {
        let (_folder, store) = new_store();
        let of_experiment = logged(json!({ "lr": "0.1" }));
        let create = |fails: bool| {
            store.create_whole(&of_experiment, &json!({ "host": "h" }), &Lineage::default(), at(1), |run| {
                assert_eq!(store.run_ids().unwrap(), [], "it is not there before it is whole");
                run.state(RunState::Running, None, at(1))?;
                run.points(vec![point("accuracy", -3, f64::NAN)])?;
                run.warning("a file was damaged".to_owned())?;
                run.dir().relabel(|labels| labels.name = Some("whole".to_owned()))?;
                run.state(RunState::Failed, None, at(9))?;
                if fails { Err(StoreError::NoRuns { path: "x".into() }) } else { Ok(()) }
            })
        };
        assert!(create(true).is_err());
        assert_eq!(store.run_ids().unwrap(), []);
        let id = create(false).unwrap().id().clone();
        let run = store.load(&id).unwrap();
        assert_eq!((run.state, run.labels.name.as_deref()), (RunState::Failed, Some("whole")));
        assert_eq!((run.history.warnings.len(), run.history.logged.len()), (1, 1));
        let left = std::fs::read_dir(store.root())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".tmp"));
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn labels_are_changed_while_a_worker_runs() {
        let (_folder, store) = new_store();
        let mut run = guest(&store, json!({}));
        let dir = run.dir().clone();
        let mut index = Index::open(&store).unwrap();
        dir.relabel(|labels| {
            labels.tags.extend(["paper".to_owned(), "draft=2".to_owned()]);
            labels.name = Some("the long one".to_owned());
            labels.join(Group { name: "others".into(), axes: Default::default() });
        })
        .unwrap();
        run.points(vec![point("a", 1, 1.0)]).unwrap();
        index.catch_up().unwrap();
        let count = |index: &mut Index, query: &str| index.query(&asked(query)).unwrap().len();
        for (query, expected) in
            [("tag=paper", 1), ("tag=none", 0), ("guests", 1), ("others", 1), ("experiment=others", 1)]
        {
            assert_eq!(count(&mut index, query), expected, "{query}");
        }
        let row = index.query(&RunQuery::default()).unwrap().remove(0);
        assert_eq!((row.labels.name.as_deref(), row.labels.tags.len()), (Some("the long one"), 2));
        dir.relabel(|labels| labels.trashed_at = Some(at(7))).unwrap();
        index.catch_up().unwrap();
        assert_eq!((count(&mut index, ""), count(&mut index, "trash=yes")), (0, 1));
        dir.relabel(|labels| labels.trashed_at = None).unwrap();
        index.catch_up().unwrap();
        assert_eq!(count(&mut index, ""), 1);
    }

    #[test]
    fn labels_of_many_hands_are_all_kept() {
        let (_folder, store) = new_store();
        let dir = guest(&store, json!({})).dir().clone();
        std::thread::scope(|scope| {
            for hand in 0..8 {
                let dir = &dir;
                scope.spawn(move || dir.relabel(|labels| labels.tags.extend([format!("tag-{hand}")])).unwrap());
            }
        });
        assert_eq!(dir.labels().unwrap().tags.len(), 8);
    }

    fn any_points() -> impl Strategy<Value = Vec<LoggedPoint>> {
        let key = prop::sample::select(vec!["loss", "val loss/π", "m"]);
        let at_time = prop::option::of(0..3i64).prop_map(|time| time.map(at));
        let point = (key, -3..4i64, at_time, any::<u64>()).prop_map(|(key, step, at, bits)| LoggedPoint {
            key: metric(key),
            step,
            at,
            value: f64::from_bits(bits),
        });
        prop::collection::vec(point, 0..30)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Every bit of every value, every step and time, in the order of arrival.
        #[test]
        fn points_are_kept_as_they_came(batches in prop::collection::vec(any_points(), 0..4)) {
            let (_folder, store) = new_store();
            let mut run = guest(&store, json!({}));
            batches.iter().for_each(|batch| run.points(batch.clone()).unwrap());
            let history = run.dir().read_history().unwrap();
            let all: Vec<LoggedPoint> = batches.concat();
            for key in ["loss", "val loss/π", "m"].map(metric) {
                let expected: Vec<&LoggedPoint> = all.iter().filter(|point| point.key == key).collect();
                let found = history.logged.get(&key).map_or(&[][..], Vec::as_slice);
                prop_assert_eq!(found.len(), expected.len());
                for (found, expected) in found.iter().zip(&expected) {
                    prop_assert_eq!((found.step, found.at), (expected.step, expected.at));
                    let same = found.value.to_bits() == expected.value.to_bits();
                    prop_assert!(same || found.value.is_nan() && expected.value.is_nan());
                }
                // By the rule in words: a step has the value that came last among those of its latest time.
                let measured = history.all_measured().find(|(name, _)| **name == key).map(|(_, points)| points);
                let steps: BTreeSet<i64> = expected.iter().map(|point| point.step).collect();
                let found: Vec<i64> = measured.iter().flatten().map(|point| point.step).collect();
                prop_assert_eq!(found, steps.into_iter().collect::<Vec<_>>());
                for point in measured.iter().flatten() {
                    let of_step = || expected.iter().filter(|other| other.step == point.step);
                    let latest = of_step().map(|other| other.at).max();
                    let last = of_step().rfind(|other| Some(other.at) == latest).map(|other| other.value.to_bits());
                    prop_assert!(last == Some(point.value.to_bits()) || point.value.is_nan());
                }
            }
        }
    }
}
