//! Why runs cannot be written for MLflow.

use std::io;
use std::path::{Path, PathBuf};

use crate::store::StoreError;

/// Why runs cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("cannot write `{}`: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },

    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(super) fn failed(path: &Path) -> impl FnOnce(io::Error) -> ExportError + '_ {
    move |source| ExportError::Io { path: path.to_owned(), source }
}
