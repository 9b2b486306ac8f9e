//! MLflow's SQLite database, of any age: read, never written, and nothing in it is run.
//!
//! What this rests on, and the traps: a NaN is a 0 beside `is_nan = 1`; the largest float stands for an infinity, because MLflow
//! stores it so; the columns that a newer version added are taken as absent. A view in the place of a table would be code of
//! whoever made the file, so only tables are read.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};
use serde_json::{Map, Value, json};

use super::line::Line;
use super::meta::Meta;
use super::source::{
    ArtifactRoots, ImportError, Source, SourceExperiment, SourceRun, TakePoint, Texts, check_tag, is_run_id, metric,
};
use super::words::{self, PARENT_TAG};
use crate::exchange::findings::{Findings, shown};
use crate::exchange::folder::Folder;
use crate::exchange::yaml::Node;

/// What a database must have.
const TABLES: [&str; 5] = ["experiments", "runs", "metrics", "params", "tags"];

/// Tables of what has no place here, and what they hold.
const OTHERS: [(&str, &str); 4] = [
    ("registered_models", "registered models"),
    ("logged_models", "logged models"),
    ("trace_info", "traces"),
    ("evaluation_datasets", "evaluation data sets"),
];

/// A database, open.
#[derive(Debug)]
pub struct Database {
    connection: Connection,
    columns: BTreeMap<String, BTreeSet<String>>,
    /// Where the rows of a run's metrics are found.
    points: &'static str,
    artifacts: ArtifactRoots,
}

impl Database {
    /// Opens the database at `path`.
    pub fn open(path: &Path, artifacts: &[PathBuf]) -> Result<Self, ImportError> {
        let wrong = |problem: String| ImportError::NoStore { path: path.to_owned(), problem };
        let connection = connect(path).map_err(|error| wrong(error.to_string()))?;
        let columns = columns(&connection).map_err(|error| wrong(error.to_string()))?;
        if let Some(missing) = TABLES.iter().find(|table| !columns.contains_key(**table)) {
            return Err(wrong(format!("a database without a table `{missing}`")));
        }
        let points = prepare_points(&connection)?;
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let usual = ["mlruns", "mlartifacts"].map(|name| folder.join(name));
        let artifacts = ArtifactRoots::new(folder, usual.into_iter().chain(artifacts.iter().cloned()));
        Ok(Self { connection, columns, points, artifacts })
    }

    /// A column, or NULL in its place where the database has none.
    fn column(&self, table: &str, column: &str) -> String {
        let is_there = self.columns.get(table).is_some_and(|columns| columns.contains(column));
        if is_there { format!("{table}.{column}") } else { format!("NULL AS {column}") }
    }

    fn select(&self, table: &str, columns: &[&str], rest: &str) -> String {
        let columns: Vec<String> = columns.iter().map(|column| self.column(table, column)).collect();
        format!("SELECT {} FROM {table} {rest}", columns.join(", "))
    }

    fn has(&self, table: &str) -> bool {
        self.columns.contains_key(table)
    }

    /// Keys and values of a table.
    fn pairs(
        &self,
        table: &str,
        owner: &str,
        id: &str,
        place: &str,
        findings: &mut Findings,
    ) -> Result<BTreeMap<String, String>, ImportError> {
        let mut found = BTreeMap::new();
        if !self.has(table) {
            return Ok(found);
        }
        let sql = self.select(table, &["key", "value"], &format!("WHERE {owner} = ? ORDER BY rowid"));
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([id])?;
        while let Some(row) = rows.next()? {
            match (text(row, 0), text(row, 1)) {
                (Ok(Some(key)), Ok(value)) => drop(found.insert(key, value.unwrap_or_default())),
                (key, _) => {
                    let key = key.ok().flatten().unwrap_or_default();
                    findings.set_aside(format!("{place}/{table}/{key}"), "not UTF-8, or no key");
                }
            }
        }
        Ok(found)
    }

    fn tags(
        &self,
        table: &str,
        owner: &str,
        id: &str,
        place: &str,
        findings: &mut Findings,
    ) -> Result<BTreeMap<String, String>, ImportError> {
        let mut found = self.pairs(table, owner, id, place, findings)?;
        found.retain(|key, _| {
            let checked = check_tag(key);
            checked.inspect_err(|why| findings.not_taken(format!("{place}/{table}/{key}"), *why)).is_ok()
        });
        Ok(found)
    }

    fn inputs(&self, of: &SourceRun, place: &str, findings: &mut Findings) -> Result<Vec<Value>, ImportError> {
        if !["inputs", "datasets", "input_tags"].iter().all(|table| self.has(table)) {
            return Ok(Vec::new());
        }
        let sql = "SELECT i.source_type, i.input_uuid, d.name, d.digest, d.dataset_source_type, d.dataset_source, \
                   d.dataset_schema, d.dataset_profile FROM inputs i LEFT JOIN datasets d ON d.dataset_uuid = i.source_id \
                   WHERE i.destination_type = 'RUN' AND i.destination_id = ? ORDER BY i.rowid";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut tags = self.connection.prepare_cached("SELECT name, value FROM input_tags WHERE input_uuid = ?")?;
        let mut rows = statement.query([&of.id])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let kind = text(row, 0).ok().flatten().unwrap_or_default();
            if kind != "DATASET" {
                findings.not_taken(format!("{place}/inputs"), "a logged model");
                continue;
            }
            let input = text(row, 1).ok().flatten().unwrap_or_default();
            let mut dataset = Map::new();
            let keys = ["name", "digest", "source_type", "source", "schema", "profile"];
            for (key, column) in keys.into_iter().zip(2..) {
                match text(row, column) {
                    Ok(Some(value)) => drop(dataset.insert(key.to_owned(), Value::String(value))),
                    Ok(None) => {}
                    Err(()) => findings.set_aside(format!("{place}/inputs/{input}/{key}"), "not UTF-8"),
                }
            }
            let read =
                |row: &Row<'_>| Ok(json!({ "key": row.get::<_, String>(0)?, "value": row.get::<_, String>(1)? }));
            let tags = tags.query_map([input], read)?.collect::<rusqlite::Result<Vec<_>>>()?;
            found.push(json!({ "tags": tags, "dataset": dataset }));
        }
        Ok(found)
    }
}

impl Source for Database {
    fn experiments(&self, findings: &mut Findings) -> Result<Vec<SourceExperiment>, ImportError> {
        for (table, what) in OTHERS.iter().filter(|(table, _)| self.has(table)) {
            let count: i64 =
                self.connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
            if count > 0 {
                findings.not_taken(*table, format!("{count} {what}"));
            }
        }
        let fields =
            ["experiment_id", "name", "artifact_location", "lifecycle_stage", "creation_time", "last_update_time"];
        let fields = [&fields[..], &["workspace"]].concat();
        let mut statement = self.connection.prepare(&self.select("experiments", &fields, "ORDER BY experiment_id"))?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let Ok(Some(id)) = text(row, 0) else {
                findings.set_aside("experiments", "an experiment without an id");
                continue;
            };
            let name = text(row, 1).ok().flatten().filter(|name| !name.is_empty());
            let name = name.unwrap_or_else(|| {
                findings.set_aside(format!("experiments/{id}/name"), "not UTF-8, or empty");
                format!("experiment {id}")
            });
            let mut meta = vec![("experiment_id".to_owned(), Node::text(&id)), ("name".to_owned(), Node::text(&name))];
            meta.extend(nodes(row, &fields).filter(|(key, _)| key != "experiment_id" && key != "name"));
            let is_deleted = text(row, 3).ok().flatten().is_some_and(|stage| stage == "deleted");
            let place = format!("experiments/{id}");
            let tags = self.tags("experiment_tags", "experiment_id", &id, &place, findings)?;
            found.push(SourceExperiment { id, name, tags, meta: Meta::of(meta), is_deleted });
        }
        Ok(found)
    }

    fn runs(&self, experiments: &[SourceExperiment], findings: &mut Findings) -> Result<Vec<SourceRun>, ImportError> {
        let places: BTreeMap<&str, usize> =
            experiments.iter().enumerate().map(|(i, experiment)| (experiment.id.as_str(), i)).collect();
        let sql = "SELECT r.run_uuid, r.experiment_id, t.value FROM runs r LEFT JOIN tags t ON t.run_uuid = r.run_uuid AND \
                   t.key = ? ORDER BY r.rowid";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([PARENT_TAG])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let id = text(row, 0).ok().flatten().unwrap_or_default();
            let experiment = text(row, 1).ok().flatten().unwrap_or_default();
            match places.get(experiment.as_str()) {
                _ if !is_run_id(&id) => {
                    findings.not_taken(format!("runs/{}", shown(&id)), "no run of MLflow is called so");
                }
                None => findings.set_aside(format!("runs/{id}"), format!("its experiment `{experiment}` is missing")),
                Some(&experiment) => found.push(SourceRun { id, experiment, parent: text(row, 2).ok().flatten() }),
            }
        }
        Ok(found)
    }

    fn meta(&self, of: &SourceRun, within: &SourceExperiment, _: &mut Findings) -> Result<Meta, ImportError> {
        let fields =
            ["artifact_uri", "end_time", "entry_point_name", "lifecycle_stage", "name", "source_name", "source_type"];
        let fields = [&fields[..], &["source_version", "start_time", "status", "user_id", "deleted_time"]].concat();
        let mut statement = self.connection.prepare_cached(&self.select("runs", &fields, "WHERE run_uuid = ?"))?;
        let mut rows = statement.query([&of.id])?;
        let Some(row) = rows.next()? else { return Ok(Meta::of(Vec::new())) };
        let mut meta = vec![
            ("experiment_id".to_owned(), Node::text(&within.id)),
            ("run_id".to_owned(), Node::text(&of.id)),
            ("tags".to_owned(), Node::List(Vec::new())),
        ];
        for (key, node) in nodes(row, &fields) {
            // The words of the database are numbers in files.
            let node = match (key.as_str(), node.as_text()) {
                ("name", _) => {
                    meta.push(("run_name".to_owned(), node));
                    continue;
                }
                ("status", Some(word)) => {
                    words::state(word).map_or(node, |state| Node::int(words::status_number(state)))
                }
                ("source_type", Some(word)) => Node::int(source_type(word)),
                ("deleted_time", None) => continue,
                ("entry_point_name" | "source_name" | "source_version", None) => Node::text(""),
                _ => node,
            };
            meta.push((key, node));
        }
        Ok(Meta::of(meta))
    }

    fn texts(&self, of: &SourceRun, _: &SourceExperiment, findings: &mut Findings) -> Result<Texts, ImportError> {
        let place = format!("runs/{}", of.id);
        let params = self.pairs("params", "run_uuid", &of.id, &place, findings)?;
        let tags = self.tags("tags", "run_uuid", &of.id, &place, findings)?;
        Ok(Texts { params, tags, inputs: self.inputs(of, &place, findings)? })
    }

    fn points(
        &self,
        of: &SourceRun,
        _: &SourceExperiment,
        findings: &mut Findings,
        take: &mut TakePoint<'_>,
    ) -> Result<(), ImportError> {
        let mut statement = self.connection.prepare_cached(self.points)?;
        let mut rows = statement.query([&of.id])?;
        let (mut metrics, mut infinite) = (BTreeMap::new(), BTreeSet::new());
        while let Some(row) = rows.next()? {
            let place = |key: &str| format!("runs/{}/metrics/{}", of.id, shown(key));
            let Ok(Some(key)) = text(row, 0) else {
                findings.set_aside(place(""), "a key that is not UTF-8");
                continue;
            };
            if !metrics.contains_key(&key) {
                let name = metric(&key).inspect_err(|why| findings.not_taken(place(&key), why));
                metrics.insert(key.clone(), name.ok());
            }
            let Some(Some(name)) = metrics.get(&key) else { continue };
            let number = |at| match row.get_ref(at) {
                Ok(ValueRef::Integer(number)) => Some(number),
                _ => None,
            };
            let value = match row.get_ref(1)? {
                _ if number(4).unwrap_or(0) != 0 => Some(f64::NAN),
                ValueRef::Real(value) => Some(value),
                ValueRef::Integer(value) => Some(value as f64),
                _ => None,
            };
            let (Some(mut value), Some(millis)) = (value, number(2)) else {
                findings.set_aside(place(&key), "a row without a value or a time");
                continue;
            };
            if value.abs() == f64::MAX {
                value = f64::INFINITY.copysign(value);
                if infinite.insert(key.clone()) {
                    let text = "1.7976931348623157e308 came as an infinity: this is how MLflow's database stores one";
                    findings.changed(place(&key), text);
                }
            }
            take(name, Line { millis, value, step: number(3).unwrap_or(0), form: None })?;
        }
        Ok(())
    }

    fn artifacts(
        &self,
        of: &SourceRun,
        within: &SourceExperiment,
        meta: &Meta,
        findings: &mut Findings,
    ) -> Result<Option<Folder>, ImportError> {
        let Some(uri) = meta.said("artifact_uri") else { return Ok(None) };
        let found = self.artifacts.find(uri, &within.id, &of.id);
        Ok(found.unwrap_or_else(|why| {
            findings.not_taken(format!("runs/{}/artifacts", of.id), why);
            None
        }))
    }
}

/// A connection that cannot write, nor call anything that the file brings along.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(char::from(byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    let open = |more: &str| {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(format!("{uri}?mode=ro{more}"), flags)?;
        connection
            .execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA cache_size = -16000;")?;
        connection.busy_timeout(std::time::Duration::from_secs(20))?;
        connection.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))?;
        Ok(connection)
    };
    // A log beside the file wants a folder that can be written; where it cannot, nobody else writes either.
    open("").or_else(|error: rusqlite::Error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::ReadOnly) => open("&immutable=1"),
        _ => Err(error),
    })
}

/// The tables and their columns; no view is one.
fn columns(connection: &Connection) -> rusqlite::Result<BTreeMap<String, BTreeSet<String>>> {
    let mut tables =
        connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE '%VIRTUAL%'")?;
    let names = tables.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut found = BTreeMap::new();
    for name in names {
        let mut columns = connection.prepare("SELECT name FROM pragma_table_info(?)")?;
        let columns = columns.query_map([&name], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        found.insert(name, columns);
    }
    Ok(found)
}

/// The statement that finds the points of a run. Older databases have no index by run: one is made in a file of its own that
/// goes with the connection, so that reading stays proportional to what is read.
fn prepare_points(connection: &Connection) -> rusqlite::Result<&'static str> {
    let by_run = "SELECT count(*) FROM pragma_index_list('metrics') l, pragma_index_info(l.name) i WHERE i.seqno = 0 AND \
                  i.name = 'run_uuid'";
    if connection.query_row(by_run, [], |row| row.get::<_, i64>(0))? > 0 {
        return Ok("SELECT key, value, timestamp, step, is_nan FROM metrics WHERE run_uuid = ? ORDER BY rowid");
    }
    connection.execute_batch(
        "PRAGMA temp_store = FILE;
         CREATE TEMP TABLE points_of (run TEXT, row INTEGER, PRIMARY KEY (run, row)) WITHOUT ROWID;
         INSERT INTO points_of SELECT run_uuid, rowid FROM metrics ORDER BY run_uuid, rowid;",
    )?;
    Ok("SELECT key, value, timestamp, step, is_nan FROM points_of JOIN metrics ON metrics.rowid = points_of.row \
        WHERE points_of.run = ? ORDER BY points_of.row")
}

/// The text of a column; numbers are spelled.
fn text(row: &Row<'_>, at: usize) -> Result<Option<String>, ()> {
    match row.get_ref(at).map_err(|_| ())? {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(number) => Ok(Some(number.to_string())),
        ValueRef::Real(number) => Ok(Some(super::line::python(number))),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            std::str::from_utf8(bytes).map(|text| Some(text.to_owned())).map_err(|_| ())
        }
    }
}

/// The columns of a row as the fields of a `meta.yaml`.
fn nodes<'r>(row: &'r Row<'_>, names: &'r [&'r str]) -> impl Iterator<Item = (String, Node)> + 'r {
    names.iter().enumerate().map(|(i, name)| {
        let node = match row.get_ref(i) {
            Ok(ValueRef::Integer(number)) => Node::int(number),
            Ok(ValueRef::Text(bytes)) => Node::text(String::from_utf8_lossy(bytes)),
            _ => Node::Null,
        };
        ((*name).to_owned(), node)
    })
}

/// The number that files have for a source.
fn source_type(word: &str) -> i64 {
    match word {
        "NOTEBOOK" => 1,
        "JOB" => 2,
        "PROJECT" => 3,
        "LOCAL" => 4,
        _ => 5,
    }
}
