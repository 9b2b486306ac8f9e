//! The tables of the index, and how a database of any age becomes one of this version.

use std::sync::LazyLock;

use rusqlite::{Connection, TransactionBehavior};

use crate::store::format;

/// The version of the tables below. The index is derived, so an index of any other version is emptied and filled anew.
const VERSION: i64 = format::INDEX as i64;

/// What the index keeps of a run, one row each.
pub(super) const COLUMNS: [(&str, &str); 29] = [
    ("id", "TEXT PRIMARY KEY"),
    ("spec_hash", "TEXT"),      // as it was stored; NULL is a guest
    ("identity", "TEXT"),       // as this program would plan it
    ("logged_by", "TEXT"),      // who logged it, where it is a guest
    ("state", "TEXT NOT NULL"), // as recorded: a lost run is `running` here
    ("reason", "TEXT"),
    ("created_ms", "INTEGER"),
    ("started_ms", "INTEGER"),
    ("ended_ms", "INTEGER"),
    ("worked_ms", "INTEGER NOT NULL"), // that a worker was at it, up to the last state
    ("running_since_ms", "INTEGER"),   // when the last worker began, if it did not end
    ("steps_done", "INTEGER NOT NULL"),
    ("total_steps", "INTEGER"),
    ("parameters", "INTEGER"),
    ("name", "TEXT"),
    ("tags", "TEXT NOT NULL"), // JSON array
    ("note", "TEXT"),
    ("trashed_ms", "INTEGER"),
    ("experiments", "TEXT NOT NULL"), // JSON array of groups; the one that it was made for is the first
    ("was_made_for", "INTEGER NOT NULL"), // whether there is such a one
    ("torn_bytes", "INTEGER NOT NULL"),
    ("disk_bytes", "INTEGER NOT NULL"), // of all its files
    ("inputs", "TEXT"),                 // JSON, as a guest said it
    ("log_size", "INTEGER NOT NULL"),
    ("log_modified_ns", "INTEGER NOT NULL"),
    ("files", "INTEGER NOT NULL"),
    // Where the reading of the log ended; NULL where it must be read from its start.
    ("read_offset", "INTEGER"),
    ("read_lines", "INTEGER"),
    ("read_link", "TEXT"),
];

const OTHER_TABLES: &str = "
    CREATE INDEX runs_by_start ON runs (coalesce(started_ms, created_ms, 0) DESC, id);
    CREATE INDEX runs_by_state ON runs (state);
    CREATE INDEX runs_by_spec ON runs (spec_hash);
    CREATE INDEX runs_by_identity ON runs (identity);
    CREATE TABLE metrics (
        run TEXT NOT NULL,
        name TEXT NOT NULL,
        last REAL,                -- NULL is NaN
        best_min REAL,            -- NULL is that all are NaN
        best_max REAL,
        first_value REAL,         -- NULL is NaN
        last_step INTEGER NOT NULL,
        last_ms INTEGER,          -- when a guest says that it measured the last value
        PRIMARY KEY (run, name)
    ) WITHOUT ROWID;
    CREATE INDEX metrics_by_name ON metrics (name, last, best_min, best_max, first_value);
    CREATE TABLE settings (    -- leaves of the specification, or of a guest's parameters, and the axes
        run TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        number REAL,              -- what the value is as a number, if it is one
        PRIMARY KEY (run, key)
    ) WITHOUT ROWID;
    CREATE INDEX settings_by_key ON settings (key, number, value);
    CREATE TABLE provenance (  -- leaves of the provenance
        run TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        number REAL,
        PRIMARY KEY (run, key)
    ) WITHOUT ROWID;
    CREATE INDEX provenance_by_key ON provenance (key, number, value);
    CREATE TABLE experiments (
        run TEXT NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (run, name)
    ) WITHOUT ROWID;
    CREATE INDEX experiments_by_name ON experiments (name);
    CREATE TABLE run_tags (
        run TEXT NOT NULL,
        tag TEXT NOT NULL,
        PRIMARY KEY (run, tag)
    ) WITHOUT ROWID;
    CREATE INDEX tags_by_name ON run_tags (tag);
    CREATE TABLE edges (       -- run stands on another, in this role
        run TEXT NOT NULL,
        role TEXT NOT NULL,
        other TEXT NOT NULL,
        PRIMARY KEY (run, role)
    ) WITHOUT ROWID;
    CREATE INDEX edges_by_other ON edges (other);
    CREATE TABLE looks (       -- when all folders were looked at last, and how much was said of changes before that
        at_ms INTEGER NOT NULL,
        changes INTEGER NOT NULL,
        runs INTEGER NOT NULL
    );
";

/// What a question needs for its own time: states as they are now, and values at steps.
const TEMPORARY_TABLES: &str = "
    CREATE TEMP TABLE states_now (run TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
    CREATE TEMP TABLE values_at (
        run TEXT NOT NULL,
        name TEXT NOT NULL,
        step INTEGER NOT NULL,
        value REAL,
        PRIMARY KEY (name, step, run)
    ) WITHOUT ROWID;
";

/// The tables that hold something of a run, and the column that names it.
pub(super) const RUN_COLUMNS: [(&str, &str); 7] = [
    ("runs", "id"),
    ("metrics", "run"),
    ("settings", "run"),
    ("provenance", "run"),
    ("experiments", "run"),
    ("run_tags", "run"),
    ("edges", "run"),
];

/// How many columns each table has.
const TABLES: [(&str, i64); 8] = [
    ("runs", COLUMNS.len() as i64),
    ("metrics", 8),
    ("settings", 4),
    ("provenance", 4),
    ("experiments", 2),
    ("run_tags", 2),
    ("edges", 3),
    ("looks", 3),
];

/// The names of the columns of a run, in their order.
pub(super) static COLUMN_NAMES: LazyLock<String> = LazyLock::new(|| COLUMNS.map(|(name, _)| name).join(", "));

/// The statement that inserts a run, its columns by their names.
pub(super) static INSERT: LazyLock<String> = LazyLock::new(|| {
    let values = COLUMNS.map(|(name, _)| format!(":{name}")).join(", ");
    format!("INSERT INTO runs ({}) VALUES ({values})", *COLUMN_NAMES)
});

/// Sets a fresh connection up, and its tables when they are missing or of another version.
pub(super) fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    // Nobody holds it for long: whoever writes does so a few runs at a time.
    connection.busy_timeout(std::time::Duration::from_secs(if cfg!(test) { 1 } else { 20 }))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.execute_batch(TEMPORARY_TABLES)?;
    if version(connection)? == VERSION && has_its_tables(connection)? {
        return Ok(());
    }
    // Lets readers go on while the index is written; where it cannot be had, the default journal is as good.
    let _ = connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()));
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if version(&transaction)? != VERSION || !has_its_tables(&transaction)? {
        for (kind, name) in objects(&transaction)? {
            transaction.execute_batch(&format!("DROP {kind} IF EXISTS main.\"{}\"", name.replace('"', "\"\"")))?;
        }
        let columns = COLUMNS.map(|(name, kind)| format!("{name} {kind}")).join(", ");
        transaction.execute_batch(&format!("CREATE TABLE runs ({columns}) WITHOUT ROWID; {OTHER_TABLES}"))?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Whether the tables have the columns that they must have, whoever was at them since.
fn has_its_tables(connection: &Connection) -> rusqlite::Result<bool> {
    let query = "SELECT count(*) FROM pragma_table_xinfo(?1), main.sqlite_schema AS made \
                 WHERE made.name = ?1 AND made.type = 'table'";
    for (table, columns) in TABLES {
        let found: i64 = connection.query_row(query, [table], |row| row.get(0))?;
        if found != columns {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The tables and views that somebody made, in an order in which they can be dropped.
fn objects(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let query = "SELECT type, name FROM main.sqlite_schema WHERE type IN ('view', 'trigger', 'table') \
                 AND name NOT LIKE 'sqlite_%' ORDER BY type = 'table'";
    connection.prepare(query)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}
