//! What the index keeps of one run, and how it is drawn from the run's folder.
//!
//! From the provenance it takes `experiment.name` and `experiment.axes` (an object); from the facts `parameters` and
//! `total_steps`. All of these may be missing. A run that is being written costs what was added since it was last read,
//! as long as that goes forward: what takes back recorded steps makes the whole log be read again.

use rusqlite::{Connection, named_params, params};
use serde_json::{Map, Value};

use super::row::{MetricSummary, RunRow};
use super::rows::Noted;
use super::schema::{INSERT, RUN_COLUMNS};
use crate::plan::TrainLength;
#[cfg(test)]
use crate::store::Role;
use crate::store::frame::{Place, Seal};
use crate::store::history::{INPUTS_FACT, NOT_WORKED_FACT};
use crate::store::query::number_of;
use crate::store::run_dir::RunStamp;
use crate::store::series::LogRead;
use crate::store::subject::leaves;
use crate::store::{Event, Group, Lineage, RunDir, RunState, StoreError, Subject};
use crate::types::{MetricName, Step, Timestamp};

/// One run as the index keeps it.
pub(super) struct Summary {
    row: RunRow,
    stamp: RunStamp,
    place: Option<Place>,
    /// `None` where the index has them already.
    fixed: Option<Fixed>,
}

/// What does not change while a log grows.
struct Fixed {
    /// Settings by key: those of the subject, then the axes, which may name what is no leaf (`model.preset`).
    settings: Vec<(String, String)>,
    /// Leaves of the provenance.
    provenance: Vec<(String, String)>,
    lineage: Lineage,
}

impl Summary {
    /// Reads what changed since the run was noted, or the whole folder.
    pub fn read(run: &RunDir, noted: Option<Noted>) -> Result<Self, StoreError> {
        // The stamp is taken first: what is written meanwhile makes it stale, and is read next time.
        let stamp = run.stamp()?;
        let grown = noted.filter(|noted| {
            let is_under_way = matches!(noted.row.state, RunState::Planned | RunState::Running);
            is_under_way && noted.stamp.files == stamp.files && noted.stamp.log.size < stamp.log.size
        });
        match grown.and_then(|noted| Self::grown(run, noted, stamp)) {
            Some(summary) => Ok(summary),
            None => Self::whole(run, stamp),
        }
    }

    /// What somebody made up, for tests.
    #[cfg(test)]
    pub fn of(facts: &super::Facts) -> Self {
        let stamp = RunStamp { log: Default::default(), files: 0 };
        let mut lineage = Lineage::default();
        for (role, run) in &facts.edges {
            match role {
                Role::StartsFrom => lineage.starts_from = Some(run.clone()),
                Role::Reproduces => lineage.reproduces = Some(run.clone()),
                _ => {}
            }
        }
        let leaves = |leaves: &std::collections::BTreeMap<String, String>| leaves.clone().into_iter().collect();
        let (settings, provenance) = (leaves(&facts.settings), leaves(&facts.provenance));
        Self { row: facts.row.clone(), stamp, place: None, fixed: Some(Fixed { settings, provenance, lineage }) }
    }

    fn whole(run: &RunDir, stamp: RunStamp) -> Result<Self, StoreError> {
        let LogRead { history, series, place } = run.read_log()?;
        let mut subject = run.read_subject()?;
        subject.add(&history.parameters);
        let (provenance, lineage, labels) = (run.read_provenance()?, run.read_lineage()?, run.labels()?);
        let count = |fact: &str| history.facts.get(fact).and_then(Value::as_u64);
        let (made_for, logged_by, total_steps) = match &subject {
            Subject::Planned(spec) => {
                let total = match spec.training().map(|training| training.train.length) {
                    // A run that ended early says so.
                    Some(TrainLength::Steps(steps)) => count("total_steps").or(Some(steps)),
                    Some(TrainLength::Epochs(_)) | None => count("total_steps"),
                };
                (planned_for(&provenance), None, total)
            }
            Subject::Logged(logged) => {
                let group = logged.experiment.clone().map(|name| Group { name, axes: Map::new() });
                (group, Some(logged.by.clone()), count("total_steps"))
            }
        };
        let summaries = series.summaries();
        let steps_done = match &subject {
            Subject::Planned(_) => history.last_step(),
            Subject::Logged(_) => {
                let last = summaries.values().map(|summary| summary.last.step).max();
                Step(last.and_then(|step| u64::try_from(step).ok()).unwrap_or(0))
            }
        };
        let metrics =
            summaries.into_iter().map(|(name, summary)| (name.clone(), MetricSummary::of(&summary))).collect();
        let row = RunRow {
            id: run.id().clone(),
            spec_hash: subject.hash(),
            identity: match &subject {
                Subject::Planned(_) => Some(run.read_restated_spec()?.hash()),
                Subject::Logged(_) => None,
            },
            logged_by,
            state: history.recorded_state(),
            reason: history.reason().map(str::to_owned),
            created_at: history.created_at(),
            started_at: history.started_at(),
            ended_at: history.ended_at(),
            worked_ms: (history.working_secs() * 1e3).round() as i64,
            running_since: history.running_since(),
            steps_done,
            total_steps,
            parameters: count("parameters"),
            was_made_for_one: made_for.is_some(),
            experiments: experiments(made_for, &labels.groups),
            labels,
            reproduces: lineage.reproduces.clone(),
            metrics,
            torn_bytes: history.torn_bytes,
            disk_bytes: run.bytes_on_disk(),
            inputs: history.facts.get(INPUTS_FACT).cloned(),
        };
        let axes = row.experiments.iter().flat_map(|group| leaves(&group.axes));
        let settings = subject.settings().into_iter().chain(axes).collect();
        let provenance = leaves_of_provenance(provenance);
        Ok(Self { row, stamp, place, fixed: Some(Fixed { settings, provenance, lineage }) })
    }

    /// The run as it is after the records that were added since it was noted; `None` when more must be read than those.
    /// A record that was added is linked to those before it; where there is none, the log may be any other.
    fn grown(run: &RunDir, noted: Noted, stamp: RunStamp) -> Option<Self> {
        let Noted { mut row, place, .. } = noted;
        let mut reader = run.events_since(place?).ok()?;
        for event in reader.by_ref() {
            take(&mut row, event.ok()?)?;
        }
        if reader.unknown_records() > 0 || reader.place() == place {
            return None;
        }
        row.torn_bytes = reader.torn_bytes();
        row.disk_bytes = run.bytes_on_disk();
        Some(Self { row, stamp, place: reader.place(), fixed: None })
    }

    /// Puts the run's rows in place of those it has.
    pub fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let id = self.row.id.as_str();
        match &self.fixed {
            Some(_) => remove(connection, id)?,
            None => {
                for table in ["DELETE FROM runs WHERE id = ?", "DELETE FROM metrics WHERE run = ?"] {
                    connection.prepare_cached(table)?.execute([id])?;
                }
            }
        }
        self.write_run(connection)?;
        let mut insert = connection.prepare_cached("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?;
        for (name, metric) in &self.row.metrics {
            let number = |value: f64| (!value.is_nan()).then_some(value);
            let (last, first) = (number(metric.last), number(metric.first));
            let (step, at) = (metric.last_step, metric.last_at.map(Timestamp::unix_millis));
            insert.execute(params![id, name.as_str(), last, metric.min, metric.max, first, step, at])?;
        }
        let Some(Fixed { settings, provenance, lineage }) = &self.fixed else { return Ok(()) };
        for (table, leaves) in [("settings", settings), ("provenance", provenance)] {
            let sql = format!("INSERT OR IGNORE INTO {table} VALUES (?, ?, ?, ?)");
            let mut insert = connection.prepare_cached(&sql)?;
            for (key, value) in leaves {
                insert.execute(params![id, key, value, number_of(value)])?;
            }
        }
        let mut insert = connection.prepare_cached("INSERT OR IGNORE INTO run_tags VALUES (?, ?)")?;
        for tag in &self.row.labels.tags {
            insert.execute(params![id, tag])?;
        }
        let mut insert = connection.prepare_cached("INSERT OR IGNORE INTO experiments VALUES (?, ?)")?;
        for group in &self.row.experiments {
            insert.execute(params![id, group.name])?;
        }
        let mut insert = connection.prepare_cached("INSERT INTO edges VALUES (?, ?, ?)")?;
        for (role, other) in lineage.edges() {
            insert.execute(params![id, role.name(), other.as_str()])?;
        }
        Ok(())
    }

    fn write_run(&self, connection: &Connection) -> rusqlite::Result<()> {
        let row = &self.row;
        let millis = |at: Option<Timestamp>| at.map(Timestamp::unix_millis);
        let place = self.place.map(|place| (to_sql(place.offset), to_sql(place.lines), place.seal));
        let link = place.and_then(|(_, _, seal)| match seal {
            Seal::Link(link) => Some(link.to_string()),
            Seal::Checksum => None,
        });
        connection.prepare_cached(&INSERT)?.execute(named_params! {
            ":id": row.id.as_str(),
            ":spec_hash": row.spec_hash.map(|hash| hash.to_string()),
            ":identity": row.identity.map(|hash| hash.to_string()),
            ":logged_by": row.logged_by,
            ":state": row.state.name(),
            ":reason": row.reason,
            ":created_ms": millis(row.created_at),
            ":started_ms": millis(row.started_at),
            ":ended_ms": millis(row.ended_at),
            ":worked_ms": row.worked_ms,
            ":running_since_ms": millis(row.running_since),
            ":steps_done": to_sql(row.steps_done.0),
            ":total_steps": row.total_steps.map(to_sql),
            ":parameters": row.parameters.map(to_sql),
            ":name": row.labels.name,
            ":tags": to_json(&row.labels.tags),
            ":note": row.labels.note,
            ":trashed_ms": millis(row.labels.trashed_at),
            ":experiments": to_json(&row.experiments),
            ":was_made_for": row.was_made_for_one,
            ":torn_bytes": to_sql(row.torn_bytes),
            ":disk_bytes": to_sql(row.disk_bytes),
            ":inputs": row.inputs.as_ref().map(to_json),
            ":log_size": self.stamp.log.size,
            ":log_modified_ns": self.stamp.log.modified_ns,
            ":files": self.stamp.files,
            ":read_offset": place.map(|(offset, ..)| offset),
            ":read_lines": place.map(|(_, lines, _)| lines),
            ":read_link": link,
        })?;
        Ok(())
    }
}

/// Takes everything of the run `id` out of the index.
pub(super) fn remove(connection: &Connection, id: &str) -> rusqlite::Result<()> {
    for (table, column) in RUN_COLUMNS {
        connection.prepare_cached(&format!("DELETE FROM {table} WHERE {column} = ?"))?.execute([id])?;
    }
    Ok(())
}

/// Takes one more record into a row; `None` when it takes something back, or says what a row does not keep.
fn take(row: &mut RunRow, event: Event) -> Option<()> {
    match event {
        Event::State { state, reason, at } => {
            row.created_at.get_or_insert(at);
            if state == RunState::Running {
                row.started_at.get_or_insert(at);
                row.running_since = Some(at);
            } else if let Some(since) = row.running_since.take() {
                let worked_ms = at.unix_millis() - since.unix_millis();
                // A clock that was set back is for the whole log to tell.
                row.worked_ms += Some(worked_ms).filter(|worked_ms| *worked_ms >= 0)?;
            }
            row.ended_at = (!matches!(state, RunState::Planned | RunState::Running)).then_some(at);
            (row.state, row.reason) = (state, reason);
        }
        Event::Step { step, metrics, .. } => {
            if step <= row.steps_done {
                return None;
            }
            row.steps_done = step;
            measure(row, i64::try_from(step.0).ok()?, None, metrics.0)?;
        }
        Event::Evaluation { step, metrics } => measure(row, i64::try_from(step.0).ok()?, None, metrics.0)?,
        Event::Points { points } => {
            for point in points {
                row.steps_done = row.steps_done.max(Step(u64::try_from(point.step).unwrap_or(0)));
                measure(row, point.step, point.at, vec![(point.key, point.value)])?;
            }
        }
        Event::Fact { name, value } => match name.as_str() {
            "parameters" => row.parameters = value.as_u64(),
            "total_steps" if row.total_steps != value.as_u64() => return None,
            INPUTS_FACT => row.inputs = Some(value),
            NOT_WORKED_FACT => return None,
            _ => {}
        },
        Event::Warning { .. } | Event::Checkpoint { .. } => {}
        Event::Resumed { .. } | Event::Parameters { .. } => return None,
    }
    Some(())
}

fn measure(row: &mut RunRow, step: i64, at: Option<Timestamp>, metrics: Vec<(MetricName, f64)>) -> Option<()> {
    for (name, value) in metrics {
        let known = row.metrics.get(&name).copied();
        if known.is_some_and(|known| known.last_step >= step) {
            return None;
        }
        row.metrics.insert(name, MetricSummary::extend(known, step, value, at));
    }
    Some(())
}

/// The provenance as keys and values, without what stands elsewhere or differs between all runs.
fn leaves_of_provenance(provenance: Value) -> Vec<(String, String)> {
    let Value::Object(mut provenance) = provenance else { return Vec::new() };
    for key in ["schema", "spec_hash", "command"] {
        provenance.remove(key);
    }
    if let Some(experiment) = provenance.get_mut("experiment").and_then(Value::as_object_mut) {
        experiment.remove("name");
        experiment.remove("axes");
    }
    leaves(&provenance)
}

/// The experiment that a run was planned for.
fn planned_for(provenance: &Value) -> Option<Group> {
    let name = provenance.pointer("/experiment/name").and_then(Value::as_str)?.to_owned();
    let axes = provenance.pointer("/experiment/axes").and_then(Value::as_object).cloned().unwrap_or_default();
    Some(Group { name, axes })
}

/// All experiments of a run, each once.
fn experiments(made_for: Option<Group>, joined: &[Group]) -> Vec<Group> {
    let others = joined.iter().filter(|group| made_for.as_ref().is_none_or(|first| first.name != group.name));
    let others = others.cloned().collect::<Vec<_>>();
    made_for.into_iter().chain(others).collect()
}

fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("invariant: labels have string keys")
}

fn to_sql(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
