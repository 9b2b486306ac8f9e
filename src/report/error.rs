//! Why a report could not be made: the question was wrong, or the work failed.

use std::path::PathBuf;

use crate::plot::{InvalidFont, RenderError};
use crate::store::StoreError;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was asked for is no comparison; the text says why, and what would be one.
    #[error("{0}")]
    NoComparison(String),
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error("cannot create `{}`: {source}", folder.display())]
    Folder { folder: PathBuf, source: std::io::Error },
    #[error("cannot read the font `{}`: {source}", path.display())]
    FontFile { path: PathBuf, source: std::io::Error },
    #[error("`{}`: {source}", path.display())]
    Font { path: PathBuf, source: InvalidFont },
}

impl ReportError {
    /// Whether another question would have an answer; else the work failed.
    pub fn is_of_request(&self) -> bool {
        matches!(
            self,
            Self::NoComparison(_) | Self::FontFile { .. } | Self::Font { .. } | Self::Store(StoreError::Query { .. })
        )
    }
}
