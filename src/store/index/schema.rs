//! The tables of the index, and how a database of any age becomes one of this version.

use std::sync::LazyLock;

use rusqlite::{Connection, TransactionBehavior};

use crate::store::format;

/// The version of the tables below. The index is derived, so an index of any other version is emptied and filled anew.
const VERSION: i64 = format::INDEX as i64;

/// What the index keeps of a run, one row each.
pub(super) const COLUMNS: [(&str, &str); 25] = [
    ("id", "TEXT PRIMARY KEY"),
    ("spec_hash", "TEXT"),      // as it was stored; NULL is a guest
    ("identity", "TEXT"),       // as this program would plan it
    ("logged_by", "TEXT"),      // who logged it, where it is a guest
    ("state", "TEXT NOT NULL"), // as recorded: a lost run is `running` here
    ("reason", "TEXT"),
    ("created_ms", "INTEGER"),
    ("started_ms", "INTEGER"),
    ("ended_ms", "INTEGER"),
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
    ("log_size", "INTEGER NOT NULL"),
    ("log_modified_ns", "INTEGER NOT NULL"),
    ("files", "INTEGER NOT NULL"),
    // Where the reading of the log ended; NULL where it must be read from its start.
    ("read_offset", "INTEGER"),
    ("read_lines", "INTEGER"),
    ("read_link", "TEXT"),
];

const OTHER_TABLES: &str = "
    CREATE TABLE metrics (
        run TEXT NOT NULL,
        name TEXT NOT NULL,
        last REAL,                -- NULL is NaN
        best_min REAL,
        best_max REAL,
        last_step INTEGER NOT NULL,
        PRIMARY KEY (run, name)
    ) WITHOUT ROWID;
    CREATE TABLE settings (    -- leaves of the specification, or of a guest's parameters, and the axes
        run TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (run, key)
    ) WITHOUT ROWID;
    CREATE INDEX settings_by_key ON settings (key, value);
    CREATE TABLE experiments (
        run TEXT NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (run, name)
    ) WITHOUT ROWID;
    CREATE INDEX experiments_by_name ON experiments (name);
    CREATE TABLE edges (       -- run stands on another, in this role
        run TEXT NOT NULL,
        role TEXT NOT NULL,
        other TEXT NOT NULL,
        PRIMARY KEY (run, role)
    ) WITHOUT ROWID;
    CREATE INDEX edges_by_other ON edges (other);
";

/// The tables that hold something of a run, and the column that names it.
pub(super) const RUN_COLUMNS: [(&str, &str); 5] =
    [("runs", "id"), ("metrics", "run"), ("settings", "run"), ("experiments", "run"), ("edges", "run")];

/// The names of the columns of a run, in their order.
pub(super) static COLUMN_NAMES: LazyLock<String> = LazyLock::new(|| COLUMNS.map(|(name, _)| name).join(", "));

/// The statement that inserts a run, its columns by their names.
pub(super) static INSERT: LazyLock<String> = LazyLock::new(|| {
    let values = COLUMNS.map(|(name, _)| format!(":{name}")).join(", ");
    format!("INSERT INTO runs ({}) VALUES ({values})", *COLUMN_NAMES)
});

/// Sets a fresh connection up, and its tables when they are missing or of another version.
pub(super) fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    if version(connection)? == VERSION {
        return Ok(());
    }
    // Lets readers go on while the index is written; where it cannot be had, the default journal is as good.
    let _ = connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()));
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if version(&transaction)? != VERSION {
        for table in tables(&transaction)? {
            transaction.execute_batch(&format!("DROP TABLE \"{}\"", table.replace('"', "\"\"")))?;
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

fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    connection.prepare(query)?.query_map([], |row| row.get(0))?.collect()
}
