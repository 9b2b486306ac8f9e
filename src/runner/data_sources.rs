//! Where a run's data come from: the folders in which its files are looked up, and the store that keeps what was made of
//! them.

use std::path::{Path, PathBuf};

use super::provenance::Provenance;
use crate::store::{Store, StoredRun};
use crate::trainer::corpus::{CorpusError, locate};

/// The folders in which the files that an experiment names are looked up.
#[derive(Clone, Debug)]
pub struct SearchPath {
    /// The folder of the experiment file, where a relative path is looked up first.
    pub experiment_dir: Option<PathBuf>,
    /// Where it is looked up then.
    pub data_root: PathBuf,
}

/// Files by name, and the store with its cache and its runs.
#[derive(Clone, Debug)]
pub struct DataSources {
    pub search: SearchPath,
    pub store: Store,
}

impl SearchPath {
    /// The files under a name.
    pub(super) fn locate(&self, name: &str) -> Result<Vec<PathBuf>, CorpusError> {
        locate(name, self.experiment_dir.as_deref(), &self.data_root)
    }

    /// The folders, in the order in which they are searched.
    pub(super) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.experiment_dir.as_deref().into_iter().chain([self.data_root.as_path()])
    }
}

impl DataSources {
    /// The folder of tokenizers, token files and floors.
    pub fn cache(&self) -> PathBuf {
        self.store.root().join("cache")
    }

    /// The sources of a stored run: its files lie beside the experiment file that it was planned in.
    #[must_use]
    pub fn of_run(&self, run: &StoredRun) -> Self {
        let provenance: Option<Provenance> = serde_json::from_value(run.provenance.clone()).ok();
        let experiment_dir = provenance.and_then(|provenance| provenance.corpus.experiment_dir);
        Self { search: SearchPath { experiment_dir, ..self.search.clone() }, store: self.store.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_experiments_own_folder_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let [own, root] = ["own", "root"].map(|name| folder.path().join(name));
        for place in [&own, &root] {
            std::fs::create_dir(place).unwrap();
            std::fs::write(place.join("text.txt"), "text").unwrap();
        }
        let check = |experiment_dir: Option<&PathBuf>, expected: &Path| {
            let search = SearchPath { experiment_dir: experiment_dir.cloned(), data_root: root.clone() };
            assert_eq!(search.locate("text.txt").unwrap(), [expected.join("text.txt")]);
            assert_eq!(search.folders().next(), Some(expected));
        };
        check(Some(&own), &own);
        check(None, &root);
    }
}
