//! Runs as the index gives them back, and the SQL that finds them.

use std::collections::BTreeMap;

use rusqlite::types::{FromSql, Type};
use rusqlite::{Connection, Row, params_from_iter};

use super::query::{RunQuery, unknown_key};
use super::summary::MetricSummary;
use crate::store::run_dir::LogStamp;
use crate::store::{RunState, StoreError};
use crate::types::{MetricName, RunId, SpecHash, Step, Timestamp};

/// One run, as far as a table needs to know it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    pub id: RunId,
    /// The hash of the specification as it was stored.
    pub spec_hash: SpecHash,
    /// The hash of the specification as this program would plan it: equal for runs of the same science.
    pub identity: SpecHash,
    pub state: RunState,
    pub reason: Option<String>,
    pub created_at: Option<Timestamp>,
    /// When training began for the first time.
    pub started_at: Option<Timestamp>,
    /// When the run came to rest, if it did.
    pub ended_at: Option<Timestamp>,
    pub steps_done: Step,
    /// `None` while a run over epochs has not said how many steps those are.
    pub total_steps: Option<u64>,
    /// Parameters of the model, when the run has said so.
    pub parameters: Option<u64>,
    /// The name of the experiment that the run was made for.
    pub experiment: Option<String>,
    /// The cell of the sweep: axis values by key.
    pub axes: serde_json::Map<String, serde_json::Value>,
    /// The run that this one executes again.
    pub reproduces: Option<RunId>,
    pub tags: Vec<String>,
    pub metrics: BTreeMap<MetricName, MetricSummary>,
}

const COLUMNS: &str = "id, spec_hash, identity, state, reason, created_ms, started_ms, ended_ms, steps_done, total_steps, \
                       parameters, experiment, axes, reproduces, tags, log_size, log_modified_ns";

/// Why rows cannot be given: the database failed, or the question has no answer.
#[derive(Debug)]
pub(super) enum SelectError {
    Database(rusqlite::Error),
    Question(StoreError),
}

impl From<rusqlite::Error> for SelectError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// The runs that `query` wants, newest first, with their recorded states; states and limit are left to the caller, who
/// knows which running runs are lost.
pub(super) fn select(connection: &Connection, query: &RunQuery) -> Result<Vec<(RunRow, LogStamp)>, SelectError> {
    let (conditions, values) = conditions(connection, query)?;
    let sql =
        format!("SELECT {COLUMNS} FROM runs WHERE {conditions} ORDER BY coalesce(started_ms, created_ms, 0) DESC, id");
    let mut statement = connection.prepare(&sql)?;
    Ok(statement.query_map(params_from_iter(values), read_row)?.collect::<Result<_, _>>()?)
}

/// The metrics of the run `id`.
pub(super) fn metrics(connection: &Connection, id: &RunId) -> rusqlite::Result<BTreeMap<MetricName, MetricSummary>> {
    connection
        .prepare_cached("SELECT name, last, best_min, best_max, last_step FROM metrics WHERE run = ?")?
        .query_map([id.as_str()], |row| {
            let summary = MetricSummary {
                last: row.get::<_, Option<f64>>(1)?.unwrap_or(f64::NAN),
                min: row.get(2)?,
                max: row.get(3)?,
                last_step: unsigned(row.get(4)?),
            };
            Ok((parsed(row, 0)?, summary))
        })?
        .collect()
}

fn conditions(connection: &Connection, query: &RunQuery) -> Result<(String, Vec<String>), SelectError> {
    let mut conditions = vec!["TRUE".to_owned()];
    let mut values = Vec::new();
    let mut add = |condition: &str, new: Vec<String>| {
        conditions.push(condition.to_owned());
        values.extend(new);
    };
    if let Some(name) = &query.experiment {
        add("experiment = ?", vec![name.clone()]);
    }
    if let Some(hash) = &query.spec_hash {
        add("(spec_hash = ? OR identity = ?)", vec![hash.to_string(); 2]);
    }
    if let Some(tag) = &query.tag {
        add("EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)", vec![tag.clone()]);
    }
    if !query.words.is_empty() {
        let one = "experiment = ? OR substr(id, 1, length(?)) = lower(?)";
        let words = query.words.iter().flat_map(|word| vec![word.clone(); 3]).collect();
        add(&format!("({})", vec![one; query.words.len()].join(" OR ")), words);
    }
    let known = if query.terms.is_empty() { Vec::new() } else { known_keys(connection)? };
    for term in &query.terms {
        let keys = known.iter().filter(|key| term.names(key)).cloned().collect::<Vec<_>>();
        if keys.is_empty() && !known.is_empty() {
            return Err(SelectError::Question(unknown_key(term, &known)));
        }
        let spellings = term.spellings();
        let marks = |count: usize| vec!["?"; count].join(", ");
        let (in_keys, in_values) = (marks(keys.len()), marks(spellings.len()));
        let runs = format!("SELECT run FROM settings WHERE key IN ({in_keys}) AND value IN ({in_values})");
        add(&format!("id IN ({runs})"), keys.into_iter().chain(spellings).collect());
    }
    Ok((conditions.join(" AND "), values))
}

fn known_keys(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection.prepare("SELECT DISTINCT key FROM settings ORDER BY key")?.query_map([], |row| row.get(0))?.collect()
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<(RunRow, LogStamp)> {
    let time = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_unix_millis));
    let count = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(unsigned));
    let run = RunRow {
        id: parsed(row, 0)?,
        spec_hash: parsed(row, 1)?,
        identity: parsed(row, 2)?,
        state: RunState::from_name(&row.get::<_, String>(3)?).ok_or_else(|| damaged(3, "no such state"))?,
        reason: row.get(4)?,
        created_at: time(5)?,
        started_at: time(6)?,
        ended_at: time(7)?,
        steps_done: Step(unsigned(row.get(8)?)),
        total_steps: count(9)?,
        parameters: count(10)?,
        experiment: row.get(11)?,
        axes: serde_json::from_str(&row.get::<_, String>(12)?).map_err(|error| damaged(12, error))?,
        reproduces: row.get::<_, Option<String>>(13)?.and_then(|id| id.parse().ok()),
        tags: serde_json::from_str(&row.get::<_, String>(14)?).unwrap_or_default(),
        metrics: BTreeMap::new(),
    };
    Ok((run, LogStamp { size: get(row, 15)?, modified_ns: get(row, 16)? }))
}

fn get<T: FromSql>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    row.get(column)
}

fn parsed<T: std::str::FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.get::<_, String>(column)?.parse().map_err(|error| damaged(column, error))
}

fn damaged(column: usize, problem: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, problem.into())
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
