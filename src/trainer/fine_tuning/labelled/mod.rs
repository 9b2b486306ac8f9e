//! Labelled text: how it is read, how its labels meet tokens, and how answers are judged. Nothing here knows a model.
//!
//! [`texts`] and [`tagged`] read files, [`align`] goes from characters to tokens and back, [`metrics`] and [`entities`] judge,
//! [`floors`] says how far a guess gets that understands nothing.

pub mod align;
pub mod entities;
pub mod floors;
pub mod metrics;
pub mod tagged;
pub mod texts;

use std::path::PathBuf;

pub use align::{tags_of_characters, tags_of_tokens};
pub use entities::{Entity, entities};
pub use tagged::{TaggedText, read_tagged};
pub use texts::{Columns, TextExample, Texts, read_texts};

/// What is wrong with a file of labelled text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {problem}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct TaskError {
    pub path: PathBuf,
    /// The line, counted from 1, where there is one to name.
    pub line: Option<usize>,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl TaskError {
    fn at(path: &std::path::Path, line: usize, problem: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: Some(line), problem: problem.into() }
    }

    fn of(path: &std::path::Path, problem: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: None, problem: problem.into() }
    }
}

/// The number of a label.
pub fn index_of(labels: &[String], label: &str) -> Option<usize> {
    labels.iter().position(|its| its == label)
}

/// The lines of a file, which must be UTF-8, without their ends.
fn lines<'t>(path: &std::path::Path, bytes: &'t [u8]) -> Result<Vec<&'t str>, TaskError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count() + 1;
        TaskError::at(path, line, "the file is not UTF-8 here; save it in UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Only line feeds end a line: texts hold other separators of Unicode.
    Ok(text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect())
}

/// An error where a label is not one of `labels`.
fn check_label(path: &std::path::Path, line: usize, label: &str, labels: &[String]) -> Result<(), TaskError> {
    if index_of(labels, label).is_some() {
        return Ok(());
    }
    let known = labels.join(", ");
    Err(TaskError::at(path, line, format!("the label `{label}` is not among those to learn from ({known})")))
}
