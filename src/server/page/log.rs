//! The end of what a run's worker said.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use crate::store::RunDir;

/// Bytes of a log that are read, at most.
const BYTES: u64 = 64 << 10;

/// The last lines that a run's worker said; `None` where it said nothing.
pub fn end_of(run: &RunDir, lines: usize) -> Option<String> {
    let mut file = File::open(run.text_log_path()).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(BYTES))).ok()?;
    let mut bytes = Vec::new();
    file.take(BYTES).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    let shown = all[all.len().saturating_sub(lines)..].join("\n");
    Some(shown).filter(|shown| !shown.trim().is_empty())
}
