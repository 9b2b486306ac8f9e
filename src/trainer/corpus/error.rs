//! What can be wrong with a corpus, each with its place and what would be right.

use std::io;
use std::path::{Path, PathBuf};

use crate::types::ContentHash;

/// A corpus that cannot be found, read or split.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    #[error("there is no corpus `{reference}`; looked for {}", list(looked))]
    Missing { reference: String, looked: Vec<PathBuf> },
    #[error("the corpus pattern `{pattern}` cannot be read: {reason}")]
    BadPattern { pattern: String, reason: String },
    #[error("the folder {} holds no text: a corpus folder has .txt, .text, .jsonl or .ndjson files", path.display())]
    NoTextFiles { path: PathBuf },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "{}:{line}:{column}: not UTF-8 (byte {byte} of the file); convert the file, for example with \
         `iconv -f CP949 -t UTF-8`", path.display()
    )]
    InvalidUtf8 { path: PathBuf, line: u64, column: usize, byte: u64 },
    #[error("{}:{line}:{column}: not a JSON object: {reason}", path.display())]
    BrokenJson { path: PathBuf, line: u64, column: usize, reason: String },
    #[error(
        "{}:{line}: no text in the field `{field}`; the line has {found}: set `data.text_field` to one that holds text",
        path.display()
    )]
    MissingField { path: PathBuf, line: u64, field: String, found: String },
    #[error("the corpus holds no text")]
    Empty,
    #[error(
        "the corpus holds {documents} document(s) of one and the same text, and one must be held out: {}",
        hint(format_hint)
    )]
    OneDocument { documents: u64, format_hint: &'static str },
    #[error(
        "the corpus has changed: the run was planned on {expected}, and the files now hash to {found}; put the old files \
         back, or plan anew"
    )]
    Changed { expected: ContentHash, found: ContentHash },
}

impl CorpusError {
    /// Turns an I/O error on `path` into this error.
    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Read { path: path.to_owned(), source }
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ")
}

fn hint(text: &str) -> &str {
    if text.is_empty() { "add documents" } else { text }
}
