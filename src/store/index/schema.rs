//! The tables of the index, and how a database of any age becomes one of this version.

use rusqlite::{Connection, TransactionBehavior};

/// The version of the tables below. The index is derived, so an index of any other version is emptied and filled anew.
const VERSION: i64 = 2;

const TABLES: &str = "
    CREATE TABLE runs (
        id TEXT PRIMARY KEY,
        spec_hash TEXT NOT NULL,  -- as it was stored
        identity TEXT NOT NULL,   -- as this program would plan it
        state TEXT NOT NULL,      -- as recorded: a lost run is `running` here
        reason TEXT,
        created_ms INTEGER,
        started_ms INTEGER,
        ended_ms INTEGER,
        steps_done INTEGER NOT NULL,
        total_steps INTEGER,
        parameters INTEGER,
        experiment TEXT,
        axes TEXT NOT NULL,       -- JSON object
        reproduces TEXT,
        tags TEXT NOT NULL,       -- JSON array
        log_size INTEGER NOT NULL,
        log_modified_ns INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE metrics (
        run TEXT NOT NULL,
        name TEXT NOT NULL,
        last REAL,                -- NULL is NaN
        best_min REAL,
        best_max REAL,
        last_step INTEGER NOT NULL,
        PRIMARY KEY (run, name)
    ) WITHOUT ROWID;
    CREATE TABLE settings (    -- leaves of the specification, and the axes
        run TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (run, key)
    ) WITHOUT ROWID;
    CREATE INDEX settings_by_key ON settings (key, value);
";

/// The tables that hold something of a run, and the column that names it.
pub(super) const RUN_COLUMNS: [(&str, &str); 3] = [("runs", "id"), ("metrics", "run"), ("settings", "run")];

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
        transaction.execute_batch(TABLES)?;
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
