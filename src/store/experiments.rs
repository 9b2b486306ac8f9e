//! `experiments.json`: what clients of a tracking protocol say about experiments, which the store itself has by name alone.
//!
//! An experiment is there as soon as a run names it; an entry is made when a client makes it, renames it, tags it or
//! deletes it. A run says its experiment's name in its own sealed file, so a name is never given to a second experiment:
//! one that was renamed keeps the names that it had. Ids follow from names, so that a lost file costs tags and not
//! identities.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::lease::Lock;
use super::{Store, book, format};
use crate::types::{ContentHash, Timestamp};

const FILE: &str = "experiments.json";

/// Every experiment that somebody said something about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExperimentBook {
    entries: Vec<ExperimentEntry>,
}

/// An experiment as clients know it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExperimentEntry {
    /// A whole number, written in decimal.
    pub id: String,
    pub name: String,
    /// Names that it had before, under which runs may know it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_names: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
    /// When it was put into the trash, if it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trashed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// What MLflow says of it, word for word, if it came from a store of MLflow's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mlflow_meta: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct BookFile {
    version: u32,
    experiments: Vec<ExperimentEntry>,
}

impl book::BookFile for BookFile {
    fn version(&self) -> u32 {
        self.version
    }
}

impl ExperimentEntry {
    /// The experiment that clients log to which name none, and to which runs without an experiment belong.
    pub const DEFAULT_ID: &'static str = "0";
    pub const DEFAULT_NAME: &'static str = "Default";

    /// An experiment that nobody said anything about.
    fn of_name(name: &str) -> Self {
        let id = match name {
            Self::DEFAULT_NAME => Self::DEFAULT_ID.to_owned(),
            // Sixty bits: what every client's integers hold.
            _ => ((ContentHash::of(name.as_bytes()).first_u64() >> 4) | 1).to_string(),
        };
        let (name, former_names, tags) = (name.to_owned(), Vec::new(), BTreeMap::new());
        Self { id, name, former_names, created_at: None, changed_at: None, trashed_at: None, tags, mlflow_meta: None }
    }

    /// Every name under which runs may know it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name).chain(&self.former_names).map(String::as_str)
    }
}

impl ExperimentBook {
    /// Those that somebody said something about.
    pub fn entries(&self) -> &[ExperimentEntry] {
        &self.entries
    }

    /// All experiments: the default, those of the book, and those that `named` by runs alone. Sorted by id.
    pub fn all<'n>(&self, named: impl IntoIterator<Item = &'n str>) -> Vec<ExperimentEntry> {
        let mut all = self.entries.clone();
        for name in std::iter::once(ExperimentEntry::DEFAULT_NAME).chain(named) {
            if !all.iter().any(|entry| entry.names().any(|known| known == name)) {
                all.push(ExperimentEntry::of_name(name));
            }
        }
        all.sort_by(|a, b| (a.id.len(), &a.id).cmp(&(b.id.len(), &b.id)));
        all
    }

    /// The experiment that a run means by a name.
    pub fn of_name(&self, name: &str) -> ExperimentEntry {
        let known = self.entries.iter().find(|entry| entry.names().any(|known| known == name));
        known.cloned().unwrap_or_else(|| ExperimentEntry::of_name(name))
    }

    /// The entry of an experiment, made of it where there is none.
    pub fn entry(&mut self, experiment: &ExperimentEntry) -> &mut ExperimentEntry {
        let at = self.entries.iter().position(|entry| entry.id == experiment.id).unwrap_or_else(|| {
            self.entries.push(experiment.clone());
            self.entries.len() - 1
        });
        &mut self.entries[at]
    }
}

impl Store {
    /// What is said about experiments.
    pub fn experiment_book(&self) -> Result<ExperimentBook, StoreError> {
        let path = self.root().join(FILE);
        let file = book::read::<BookFile>(&path, format::EXPERIMENTS)?;
        Ok(file.map(|file| ExperimentBook { entries: file.experiments }).unwrap_or_default())
    }

    /// Changes what is said about experiments, whoever else does so meanwhile; durable when this returns.
    ///
    /// # Errors
    /// What `change` refuses, or what keeps the file from being written: then nothing is changed.
    pub fn change_experiments<T, E: From<StoreError>>(
        &self,
        change: impl FnOnce(&mut ExperimentBook) -> Result<T, E>,
    ) -> Result<T, E> {
        let _locked = Lock::of_store(self.root(), FILE, "the list of experiments").wait()?;
        let before = self.experiment_book()?;
        let mut changed = before.clone();
        let result = change(&mut changed)?;
        if changed != before {
            let file = BookFile { version: format::EXPERIMENTS, experiments: changed.entries };
            book::write(&self.root().join(FILE), &file)?;
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, new_store};
    use super::*;

    #[test]
    fn what_is_said_is_kept_and_names_stay_where_they_were() {
        let (_folder, store) = new_store();
        assert_eq!(store.experiment_book().unwrap(), ExperimentBook::default());
        let first = store.experiment_book().unwrap().of_name("grus");
        let change = |book: &mut ExperimentBook| {
            let entry = book.entry(&first);
            entry.former_names.push(std::mem::replace(&mut entry.name, "units".to_owned()));
            entry.created_at = Some(at(7));
            entry.tags.insert("a".to_owned(), "b=c".to_owned());
            Ok::<_, StoreError>(())
        };
        store.change_experiments(change).unwrap();
        let book = store.experiment_book().unwrap();
        for name in ["grus", "units"] {
            let found = book.of_name(name);
            assert_eq!((found.id.as_str(), found.name.as_str()), (first.id.as_str(), "units"));
        }
        let all = book.all(["grus", "others", "Default"]);
        let names: Vec<&str> = all.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(all[0].id, "0");
        assert_eq!(names.len(), 3);
        assert!(["Default", "units", "others"].iter().all(|name| names.contains(name)));
        assert!(all.iter().all(|entry| entry.id.parse::<i64>().is_ok()));
        insta::assert_snapshot!(std::fs::read_to_string(store.root().join(FILE)).unwrap(), @r#"
        {
          "version": 1,
          "experiments": [
            {
              "id": "875366827309470979",
              "name": "units",
              "former_names": [
                "grus"
              ],
              "created_at": "1970-01-01T00:00:00.007Z",
              "tags": {
                "a": "b=c"
              }
            }
          ]
        }
        "#);
    }

    #[test]
    fn a_refused_change_changes_nothing() {
        let (_folder, store) = new_store();
        let refused: Result<(), StoreError> = store.change_experiments(|book| {
            book.entry(&ExperimentEntry::of_name("x")).trashed_at = Some(at(1));
            Err(StoreError::NoRuns { path: "x".into() })
        });
        assert!(refused.is_err());
        assert!(!store.root().join(FILE).exists());
    }
}
