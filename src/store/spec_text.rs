//! `spec.toml`: a specification as a person reads it, which must read back as the same run.

use std::path::Path;

use super::error::StoreError;
use crate::plan::RunSpec;

/// The text of `spec` for a file at `path`.
///
/// # Errors
/// When the text would read back as another run: such a run could never be reproduced, so it must not begin.
pub(super) fn write(spec: &RunSpec, path: &Path) -> Result<String, StoreError> {
    let text = spec.to_toml().map_err(|error| unreadable(path, &error))?;
    if read(&text, path)? == *spec {
        Ok(text)
    } else {
        Err(unreadable(path, &"it reads back as another specification"))
    }
}

/// The specification in `text`, which was read from `path`.
pub(super) fn read(text: &str, path: &Path) -> Result<RunSpec, StoreError> {
    RunSpec::from_toml(text).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, problem: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unreadable { path: path.to_owned(), problem: problem.to_string().trim_end().to_owned() }
}
