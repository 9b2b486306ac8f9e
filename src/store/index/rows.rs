//! The SQL that finds runs, and how a row of it is read.

use std::collections::BTreeMap;

use rusqlite::types::{FromSql, Type, Value};
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::RunVersion;
use super::row::{MetricSummary, RunRow};
use super::schema::{COLUMN_NAMES, RUN_COLUMNS};
use super::select::{STATE, Sql, condition, order};
use crate::store::frame::{Link, Place, Seal};
use crate::store::ids::shortest_unique_prefix;
use crate::store::query::{Check, Field, Known, Tree, Values};
use crate::store::run_dir::{FileStamp, RunStamp};
use crate::store::{Labels, Role, RunState, Trash};
use crate::types::{ContentHash, MetricName, RunId, Step, Timestamp};

/// A run, and what its files were like when they were read.
#[derive(Clone, Debug)]
pub(super) struct Noted {
    pub row: RunRow,
    pub stamp: RunStamp,
    /// Where the reading of the log ended, if it can go on from there.
    pub place: Option<Place>,
}

/// What runs are selected by.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    pub tree: Tree<Check>,
    pub trash: Trash,
    /// What they are sorted by, first to last, and whether the largest is the first.
    pub order: Vec<(Field, bool)>,
    pub limit: Option<usize>,
}

/// The runs of a selection, in its order, with their states at this moment.
pub(super) fn select(connection: &Connection, selection: &Selection) -> rusqlite::Result<Vec<Noted>> {
    let columns = format!("{}, {REPRODUCES}", *COLUMN_NAMES);
    select_columns(connection, selection, &columns, |row| {
        let mut noted = read_row(row)?;
        noted.row.state = state(row, "state_now")?;
        Ok(noted)
    })
}

/// The same runs, by no more than tells whether anything of them changed.
pub(super) fn versions(connection: &Connection, selection: &Selection) -> rusqlite::Result<Vec<(RunId, RunVersion)>> {
    let columns = "id, log_size, log_modified_ns, files";
    select_columns(connection, selection, columns, |row| Ok((parsed(row, "id")?, read_version(row, "state_now")?)))
}

/// The version of the run `id`, as it was recorded.
pub(super) fn version(connection: &Connection, id: &RunId) -> rusqlite::Result<Option<RunVersion>> {
    let sql = "SELECT log_size, log_modified_ns, files, state FROM runs WHERE id = ?";
    connection.prepare_cached(sql)?.query_row([id.as_str()], |row| read_version(row, "state")).optional()
}

fn read_version(row: &Row<'_>, of_state: &str) -> rusqlite::Result<RunVersion> {
    let log = FileStamp { size: get(row, "log_size")?, modified_ns: get(row, "log_modified_ns")? };
    Ok(RunVersion { stamp: RunStamp { log, files: get(row, "files")? }, state: state(row, of_state)? })
}

fn select_columns<T>(
    connection: &Connection,
    selection: &Selection,
    columns: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let Sql { text: rest, values } = from_runs(selection, in_order(selection));
    let mut statement = connection.prepare(&format!("SELECT {columns}, {STATE} AS state_now {rest}"))?;
    statement.query_map(params_from_iter(values), read)?.collect()
}

/// The statement that selects these columns of the runs of a selection, with their states at this moment; each column is called by
/// its number. The order is that of the selection where it takes the first so many alone, and else that of all tables, by id: what
/// stands side by side is read at half the cost.
pub(super) fn selecting(selection: &Selection, columns: &[Sql]) -> (String, Vec<Value>) {
    let listed = columns.iter().enumerate().map(|(number, column)| format!("{} AS c{number}, ", column.text));
    let order = match selection.limit {
        Some(_) => in_order(selection),
        None => Sql { text: "ORDER BY id".to_owned(), values: Vec::new() },
    };
    let Sql { text: rest, values } = from_runs(selection, order);
    let first = columns.iter().flat_map(|column| column.values.clone());
    (format!("SELECT {}{STATE} AS state_now {rest}", listed.collect::<String>()), first.chain(values).collect())
}

/// What follows the columns of a statement that selects the runs of a selection.
fn from_runs(selection: &Selection, order: Sql) -> Sql {
    let wanted = condition(&selection.tree);
    let trash = match selection.trash {
        Trash::Without => "trashed_ms IS NULL",
        Trash::Only => "trashed_ms IS NOT NULL",
        Trash::With => "TRUE",
    };
    let text = format!("FROM runs WHERE {trash} AND {} {}", wanted.text, order.text);
    Sql { text, values: wanted.values.into_iter().chain(order.values).collect() }
}

/// The order of a selection, and how many it takes.
fn in_order(selection: &Selection) -> Sql {
    let keys: Vec<Sql> = selection.order.iter().map(|(field, is_reversed)| order(field, *is_reversed)).collect();
    let first: String = keys.iter().map(|key| key.text.as_str()).collect();
    let limit = selection.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
    Sql {
        text: format!("ORDER BY {first}coalesce(started_ms, created_ms, 0) DESC, id LIMIT {limit}"),
        values: keys.into_iter().flat_map(|key| key.values).collect(),
    }
}

/// The run that a row executes again.
const REPRODUCES: &str = "(SELECT other FROM edges WHERE run = id AND role = 'reproduces') AS reproduces";

/// The run that started last, of those that a person started: it executes no other one again, and was not imported.
pub(super) fn latest(connection: &Connection) -> rusqlite::Result<Option<RunId>> {
    let sql = "SELECT id FROM runs WHERE trashed_ms IS NULL \
               AND NOT EXISTS (SELECT 1 FROM edges WHERE run = id AND role = 'reproduces') \
               AND NOT EXISTS (SELECT 1 FROM settings WHERE run = id AND key = 'stage' AND value = 'import') \
               ORDER BY coalesce(started_ms, created_ms, 0) DESC, id DESC LIMIT 1";
    connection.query_row(sql, [], |row| parsed(row, "id")).optional()
}

/// The runs that were running when they were read, and what their logs were like.
pub(super) fn running(connection: &Connection) -> rusqlite::Result<Vec<(RunId, FileStamp)>> {
    let sql = "SELECT id, log_size, log_modified_ns FROM runs WHERE state = 'running'";
    connection
        .prepare_cached(sql)?
        .query_map([], |row| Ok((parsed(row, "id")?, FileStamp { size: row.get(1)?, modified_ns: row.get(2)? })))?
        .collect()
}

/// What the runs have that a query can name: the names of attributes are the language's.
/// What can be named; of runs those whose ids begin with one of the `beginnings`: two of each, which is as much as several.
pub(super) fn known<'b>(connection: &Connection, beginnings: impl Iterator<Item = &'b str>) -> rusqlite::Result<Known> {
    let mut runs = Vec::new();
    let mut find =
        connection.prepare_cached("SELECT id FROM runs WHERE id >= ?1 AND id < ?1 || '~' ORDER BY id LIMIT 2")?;
    for beginning in beginnings.filter(|beginning| !beginning.is_empty()) {
        for id in find.query_map([beginning.to_lowercase()], |row| parsed(row, "id"))? {
            runs.push(id?);
        }
    }
    runs.sort();
    runs.dedup();
    Ok(Known {
        settings: keys(connection, "settings")?,
        provenance: keys(connection, "provenance")?,
        metrics: distinct(connection, "metrics", "name")?,
        experiments: distinct(connection, "experiments", "name")?,
        latest: latest(connection)?,
        runs,
        now: None,
        is_exact: false,
    })
}

/// What the values of these settings are: all that a query takes whose names mean themselves alone.
pub(super) fn known_of<'k>(connection: &Connection, keys: impl Iterator<Item = &'k str>) -> rusqlite::Result<Known> {
    let mut settings = BTreeMap::new();
    for key in keys {
        let has_any: bool = connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM settings WHERE key = ?)")?
            .query_row([key], |row| row.get(0))?;
        match has_any {
            true => drop(settings.insert(key.to_owned(), values_of(connection, "settings", key)?)),
            // It may be the end of one.
            false => settings.extend(self::keys(connection, "settings")?),
        }
    }
    Ok(Known { settings, ..Known::default() })
}

/// The names of all experiments.
pub(super) fn experiments(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    distinct(connection, "experiments", "name")
}

/// The keys of a table, and what their values are; each by a few steps in the index over them, however many runs there are.
fn keys(connection: &Connection, table: &str) -> rusqlite::Result<BTreeMap<String, Values>> {
    let keys = distinct(connection, table, "key")?.into_iter();
    keys.map(|key| {
        let values = values_of(connection, table, &key)?;
        Ok((key, values))
    })
    .collect()
}

fn values_of(connection: &Connection, table: &str, key: &str) -> rusqlite::Result<Values> {
    let of_number = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE key = ? AND number > -9e999)");
    let of_word = format!("SELECT value FROM {table} WHERE key = ? AND number IS NULL LIMIT 1");
    let has_numbers = connection.prepare_cached(&of_number)?.query_row([key], |row| row.get(0))?;
    let word = connection.prepare_cached(&of_word)?.query_row([key], |row| row.get(0)).optional()?;
    Ok(Values { has_numbers, word })
}

/// The different values of a column that an index begins with, each found by a step from the one before.
fn distinct(connection: &Connection, table: &str, column: &str) -> rusqlite::Result<Vec<String>> {
    let sql = format!(
        "WITH RECURSIVE found(value) AS (SELECT min({column}) FROM {table} UNION ALL \
         SELECT (SELECT min({column}) FROM {table} WHERE {column} > found.value) FROM found WHERE found.value IS NOT NULL) \
         SELECT value FROM found WHERE value IS NOT NULL"
    );
    connection.prepare(&sql)?.query_map([], |row| row.get(0))?.collect()
}

/// The run `id` with its metrics, if the index has it.
pub(super) fn noted(connection: &Connection, id: &RunId) -> rusqlite::Result<Option<Noted>> {
    let sql = format!("SELECT {}, {REPRODUCES} FROM runs WHERE id = ?", *COLUMN_NAMES);
    let mut statement = connection.prepare_cached(&sql)?;
    let Some(found) = statement.query_map([id.as_str()], read_row)?.next() else { return Ok(None) };
    let mut noted = found?;
    noted.row.metrics = metrics(connection, id)?;
    Ok(Some(noted))
}

/// The metrics of the run `id`.
pub(super) fn metrics(connection: &Connection, id: &RunId) -> rusqlite::Result<BTreeMap<MetricName, MetricSummary>> {
    connection
        .prepare_cached(
            "SELECT name, last, best_min, best_max, first_value, last_step, last_ms FROM metrics WHERE run = ?",
        )?
        .query_map([id.as_str()], |row| {
            let summary = MetricSummary {
                last: row.get::<_, Option<f64>>(1)?.unwrap_or(f64::NAN),
                min: row.get(2)?,
                max: row.get(3)?,
                first: row.get::<_, Option<f64>>(4)?.unwrap_or(f64::NAN),
                last_step: row.get(5)?,
                last_at: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_unix_millis),
            };
            Ok((parsed(row, "name")?, summary))
        })?
        .collect()
}

/// A digest of all that the index says of each run, but for what does not come from the run's own words.
pub(super) fn digests(connection: &Connection) -> rusqlite::Result<BTreeMap<String, ContentHash>> {
    let mut digests = BTreeMap::new();
    for (table, run) in RUN_COLUMNS {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table}"))?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let mut text = table.to_owned();
            for (i, name) in names.iter().enumerate().filter(|(_, name)| *name != "disk_bytes") {
                text.push_str(&format!("\n{name} {:?}", row.get_ref(i)?));
            }
            let id: String = row.get(run)?;
            let known = digests.get(&id).map(ContentHash::to_string).unwrap_or_default();
            digests.insert(id, ContentHash::of(format!("{known}{text}").as_bytes()));
        }
    }
    Ok(digests)
}

/// How many of an id's first characters tell it from all others.
pub(super) fn prefix(connection: &Connection, id: &RunId) -> rusqlite::Result<usize> {
    let sql = "SELECT max(id) FROM runs WHERE id < ?1 UNION ALL SELECT min(id) FROM runs WHERE id > ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_map([id.as_str()], |row| row.get::<_, Option<String>>(0))?;
    let neighbours = found.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(shortest_unique_prefix(id, neighbours.iter().flatten().map(String::as_str)))
}

/// The leaves of a run in `settings` or `provenance`.
pub(super) fn leaves(connection: &Connection, table: &str, id: &RunId) -> rusqlite::Result<BTreeMap<String, String>> {
    let sql = format!("SELECT key, value FROM {table} WHERE run = ?");
    connection.prepare_cached(&sql)?.query_map([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// The runs with a leaf of this key in their provenance, by its value.
pub(super) fn by_provenance(connection: &Connection, key: &str) -> rusqlite::Result<BTreeMap<String, RunId>> {
    let mut statement =
        connection.prepare_cached("SELECT value, run FROM provenance WHERE key = ? ORDER BY run DESC")?;
    statement.query_map([key], |row| Ok((row.get(0)?, parsed(row, "run")?)))?.collect()
}

/// The runs that a run stands on.
pub(super) fn edges(connection: &Connection, id: &RunId) -> rusqlite::Result<Vec<(Role, RunId)>> {
    let mut statement = connection.prepare_cached("SELECT role, other FROM edges WHERE run = ? ORDER BY role")?;
    let role = |row: &Row<'_>| Role::from_name(&get::<String>(row, "role")?).ok_or_else(|| damaged("no such role"));
    statement.query_map([id.as_str()], |row| Ok((role(row)?, parsed(row, "other")?)))?.collect()
}

pub(super) fn state(row: &Row<'_>, column: &str) -> rusqlite::Result<RunState> {
    RunState::from_name(&get::<String>(row, column)?).ok_or_else(|| damaged("no such state"))
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<Noted> {
    let time = |column| Ok::<_, rusqlite::Error>(get::<Option<i64>>(row, column)?.map(Timestamp::from_unix_millis));
    let count = |column| Ok::<_, rusqlite::Error>(get::<Option<i64>>(row, column)?.map(unsigned));
    let run = RunRow {
        id: parsed(row, "id")?,
        spec_hash: maybe_parsed(row, "spec_hash")?,
        identity: maybe_parsed(row, "identity")?,
        logged_by: get(row, "logged_by")?,
        state: state(row, "state")?,
        reason: get(row, "reason")?,
        created_at: time("created_ms")?,
        started_at: time("started_ms")?,
        ended_at: time("ended_ms")?,
        worked_ms: get(row, "worked_ms")?,
        running_since: time("running_since_ms")?,
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
        disk_bytes: unsigned(get(row, "disk_bytes")?),
        inputs: get::<Option<String>>(row, "inputs")?
            .map(|text| serde_json::from_str(&text).map_err(damaged))
            .transpose()?,
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

pub(super) fn damaged(problem: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, problem.into())
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
