//! When the folders of all runs were looked at last, and whether it is time to do so again.

use rusqlite::{Connection, OptionalExtension, params};

use crate::types::{RunId, Timestamp};

/// Milliseconds for which a look at all folders suffices: what others change in them by hand is seen after that.
const SUFFICES_MS: i64 = 30_000;

/// Runs from which on it takes a while to look at all folders.
const MANY: u64 = if cfg!(test) { 3 } else { 2_000 };

/// A look at all folders.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub at: Timestamp,
    /// How much was said of changes up to which it is known what became of the runs.
    pub changes: u64,
    pub runs: u64,
}

impl Look {
    /// Whether nobody need look at all folders again at the moment `now`.
    pub fn suffices(&self, now: Timestamp) -> bool {
        let age_ms = now.unix_millis() - self.at.unix_millis();
        self.runs >= MANY && (0..SUFFICES_MS).contains(&age_ms)
    }
}

/// The last look, if it is known.
pub(super) fn last(connection: &Connection) -> rusqlite::Result<Option<Look>> {
    let look = |row: &rusqlite::Row<'_>| {
        let count = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
        Ok(Look { at: Timestamp::from_unix_millis(row.get(0)?), changes: count(1)?, runs: count(2)? })
    };
    connection.prepare_cached("SELECT at_ms, changes, runs FROM looks")?.query_row([], look).optional()
}

/// Notes a look in place of the last.
pub(super) fn note(connection: &Connection, look: Option<Look>) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM looks", [])?;
    if let Some(Look { at, changes, runs }) = look {
        let sql = "INSERT INTO looks VALUES (?, ?, ?)";
        connection.execute(sql, params![at.unix_millis(), changes.cast_signed(), runs.cast_signed()])?;
    }
    Ok(())
}

/// The runs that are recorded as being written, or about to be.
pub(super) fn under_way(connection: &Connection) -> rusqlite::Result<Vec<RunId>> {
    let mut statement = connection.prepare_cached("SELECT id FROM runs WHERE state IN ('running', 'planned')")?;
    let ids = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
}
