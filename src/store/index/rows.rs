//! The SQL that finds runs, and how a row of it is read.

use std::collections::BTreeMap;

use rusqlite::types::{FromSql, Type};
use rusqlite::{Connection, Row, params_from_iter};

use super::query::{RunQuery, Trash, unknown_key};
use super::row::{MetricSummary, RunRow};
use super::schema::COLUMN_NAMES;
use crate::store::frame::{Link, Place, Seal};
use crate::store::run_dir::{FileStamp, RunStamp};
use crate::store::{Labels, Role, RunState, StoreError};
use crate::types::{MetricName, RunId, Step, Timestamp};

/// A run, and what its files were like when they were read.
#[derive(Clone, Debug)]
pub(super) struct Noted {
    pub row: RunRow,
    pub stamp: RunStamp,
    /// Where the reading of the log ended, if it can go on from there.
    pub place: Option<Place>,
}

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
pub(super) fn select(connection: &Connection, query: &RunQuery) -> Result<Vec<Noted>, SelectError> {
    let (conditions, values) = conditions(connection, query)?;
    let sql = format!(
        "SELECT {}, (SELECT other FROM edges WHERE run = id AND role = '{}') AS reproduces FROM runs \
         WHERE {conditions} ORDER BY coalesce(started_ms, created_ms, 0) DESC, id",
        *COLUMN_NAMES,
        Role::Reproduces.name(),
    );
    let mut statement = connection.prepare(&sql)?;
    Ok(statement.query_map(params_from_iter(values), read_row)?.collect::<Result<_, _>>()?)
}

/// The run `id` with its metrics, if the index has it.
pub(super) fn noted(connection: &Connection, id: &RunId) -> rusqlite::Result<Option<Noted>> {
    let sql = format!(
        "SELECT {}, (SELECT other FROM edges WHERE run = id AND role = '{}') AS reproduces FROM runs WHERE id = ?",
        *COLUMN_NAMES,
        Role::Reproduces.name(),
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let Some(found) = statement.query_map([id.as_str()], read_row)?.next() else { return Ok(None) };
    let mut noted = found?;
    noted.row.metrics = metrics(connection, id)?;
    Ok(Some(noted))
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
                last_step: row.get(4)?,
            };
            Ok((parsed(row, "name")?, summary))
        })?
        .collect()
}

fn conditions(connection: &Connection, query: &RunQuery) -> Result<(String, Vec<String>), SelectError> {
    const IN_EXPERIMENT: &str = "id IN (SELECT run FROM experiments WHERE name = ?)";
    let mut conditions = vec!["TRUE".to_owned()];
    let mut values = Vec::new();
    let mut add = |condition: &str, new: Vec<String>| {
        conditions.push(condition.to_owned());
        values.extend(new);
    };
    match query.trash {
        Trash::Without => add("trashed_ms IS NULL", Vec::new()),
        Trash::Only => add("trashed_ms IS NOT NULL", Vec::new()),
    }
    if let Some(name) = &query.experiment {
        add(IN_EXPERIMENT, vec![name.clone()]);
    }
    if let Some(hash) = &query.spec_hash {
        add("(spec_hash = ? OR identity = ?)", vec![hash.to_string(); 2]);
    }
    if let Some(tag) = &query.tag {
        add("EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)", vec![tag.clone()]);
    }
    if !query.words.is_empty() {
        let one = format!("{IN_EXPERIMENT} OR substr(id, 1, length(?)) = lower(?)");
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

fn read_row(row: &Row<'_>) -> rusqlite::Result<Noted> {
    let time = |column| Ok::<_, rusqlite::Error>(get::<Option<i64>>(row, column)?.map(Timestamp::from_unix_millis));
    let count = |column| Ok::<_, rusqlite::Error>(get::<Option<i64>>(row, column)?.map(unsigned));
    let run = RunRow {
        id: parsed(row, "id")?,
        spec_hash: maybe_parsed(row, "spec_hash")?,
        identity: maybe_parsed(row, "identity")?,
        logged_by: get(row, "logged_by")?,
        state: RunState::from_name(&get::<String>(row, "state")?).ok_or_else(|| damaged("no such state"))?,
        reason: get(row, "reason")?,
        created_at: time("created_ms")?,
        started_at: time("started_ms")?,
        ended_at: time("ended_ms")?,
        steps_done: Step(unsigned(get(row, "steps_done")?)),
        total_steps: count("total_steps")?,
        parameters: count("parameters")?,
        experiments: json(row, "experiments")?,
        was_made_for_one: get(row, "was_made_for")?,
        labels: Labels {
            name: get(row, "name")?,
            tags: json(row, "tags")?,
            note: get(row, "note")?,
            groups: Vec::new(),
            trashed_at: time("trashed_ms")?,
        },
        reproduces: maybe_parsed(row, "reproduces")?,
        metrics: BTreeMap::new(),
        torn_bytes: unsigned(get(row, "torn_bytes")?),
    };
    let stamp = RunStamp {
        log: FileStamp { size: get(row, "log_size")?, modified_ns: get(row, "log_modified_ns")? },
        files: get(row, "files")?,
    };
    let link = maybe_parsed::<Link>(row, "read_link")?;
    let place = match (count("read_offset")?, count("read_lines")?, link) {
        (Some(offset), Some(lines), Some(link)) => Some(Place { offset, lines, seal: Seal::Link(link) }),
        _ => None,
    };
    let mut run = run;
    run.labels.groups = run.experiments[usize::from(run.was_made_for_one).min(run.experiments.len())..].to_vec();
    Ok(Noted { row: run, stamp, place })
}

fn get<T: FromSql>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    row.get(column)
}

fn parsed<T: std::str::FromStr>(row: &Row<'_>, column: &str) -> rusqlite::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    get::<String>(row, column)?.parse().map_err(damaged)
}

fn maybe_parsed<T: std::str::FromStr>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    get::<Option<String>>(row, column)?.map(|text| text.parse().map_err(damaged)).transpose()
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    serde_json::from_str(&get::<String>(row, column)?).map_err(damaged)
}

fn damaged(problem: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, problem.into())
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
