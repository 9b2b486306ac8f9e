//! The files of keys as MLflow has them: a key with slashes is a file in folders, and a metric is a file of lines.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use super::export_error::{ExportError, failed};
use super::line::{self, Form};
use crate::exchange::findings::{Findings, shown};

/// Bytes of metric lines that are gathered before they are written.
const GATHERED: usize = 8 << 20;

/// The forms of a metric's lines, one after another; those of points that came later are the usual one.
pub struct Forms {
    rows: std::vec::IntoIter<(u64, Option<Form>)>,
    now: (u64, Option<Form>),
}

impl Forms {
    pub fn new(rows: Vec<(u64, Option<Form>)>) -> Self {
        Self { rows: rows.into_iter(), now: (0, None) }
    }

    pub fn next(&mut self) -> Option<Form> {
        while self.now.0 == 0 {
            self.now = self.rows.next()?;
        }
        self.now.0 -= 1;
        self.now.1.clone()
    }
}

/// Metric files that are written a little at a time, however many there are and however their points alternate.
pub struct MetricFiles {
    folder: PathBuf,
    places: Places,
    /// Lines that wait; `None` for a key that MLflow cannot read.
    waiting: BTreeMap<String, Option<Vec<u8>>>,
    bytes: usize,
    /// Points so far.
    pub count: u64,
}

impl MetricFiles {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, places: Places::default(), waiting: BTreeMap::new(), bytes: 0, count: 0 }
    }

    /// Adds the line of a point.
    pub fn line(
        &mut self,
        key: &str,
        form: &str,
        (millis, value, step): (i64, f64, i64),
        at: &str,
        findings: &mut Findings,
    ) -> Result<(), ExportError> {
        if !self.waiting.contains_key(key) {
            let place = self.places.take(key);
            if let Err(why) = &place {
                findings.not_taken(format!("{at}/{}", shown(key)), why.as_str());
            }
            self.waiting.insert(key.to_owned(), place.ok().map(|()| Vec::new()));
        }
        let Some(Some(lines)) = self.waiting.get_mut(key) else { return Ok(()) };
        let before = lines.len();
        line::write(lines, form, millis, value, step);
        self.bytes += lines.len() - before;
        self.count += 1;
        if self.bytes > GATHERED { self.flush() } else { Ok(()) }
    }

    /// Writes what waits.
    pub fn flush(&mut self) -> Result<(), ExportError> {
        for (key, lines) in self.waiting.iter_mut() {
            let Some(lines) = lines.as_mut().filter(|lines| !lines.is_empty()) else { continue };
            let path = self.folder.join(key);
            let parent = path.parent().unwrap_or(&self.folder);
            fs::create_dir_all(parent).map_err(failed(parent))?;
            let file = OpenOptions::new().create(true).append(true).open(&path);
            file.and_then(|mut file| file.write_all(lines)).map_err(failed(&path))?;
            lines.clear();
        }
        self.bytes = 0;
        Ok(())
    }
}

/// The files and folders that keys have taken: what is a file for one cannot be a folder for another.
#[derive(Default)]
pub struct Places {
    files: BTreeSet<String>,
    folders: BTreeSet<String>,
}

impl Places {
    /// Takes the place of a key.
    ///
    /// # Errors
    /// Why MLflow could not read it: one such file keeps it from reading the run at all.
    pub fn take(&mut self, key: &str) -> Result<(), String> {
        let is_letter = |c: char| c.is_alphanumeric() || "_-./: ".contains(c);
        let parts: Vec<&str> = key.split('/').collect();
        if parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
            return Err("the parts between slashes are no names of files".to_owned());
        }
        if !key.chars().all(is_letter) {
            return Err("MLflow's keys have letters, digits and `_ - . / :` and spaces alone".to_owned());
        }
        if key.chars().count() > 250 || parts.iter().any(|part| part.len() > 255) {
            return Err("MLflow's keys have at most 250 characters, and their files 255 bytes".to_owned());
        }
        let folders: Vec<String> = (1..parts.len()).map(|depth| parts[..depth].join("/")).collect();
        if self.folders.contains(key) || folders.iter().any(|folder| self.files.contains(folder)) {
            return Err("another key has its place: a file cannot be a folder, too".to_owned());
        }
        if !self.files.insert(key.to_owned()) {
            return Err("another one has this key".to_owned());
        }
        self.folders.extend(folders);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_in_their_folder_and_out_of_each_others_way() {
        let mut places = Places::default();
        for good in ["loss", "val/loss", "val/acc", "손실", "a b:c.d-e_f"] {
            places.take(good).unwrap_or_else(|why| panic!("{good}: {why}"));
        }
        let long = "k".repeat(251);
        for bad in ["", "/x", "x/", "a//b", "../x", "a/../b", ".", "val", "loss/x", "loss", "a#b", "a\nb", "a\0", &long]
        {
            assert!(places.take(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn forms_follow_one_another() {
        let mut forms = Forms::new(vec![(2, Some("T I S".to_owned())), (0, None), (1, None)]);
        let all: Vec<Option<Form>> = (0..5).map(|_| forms.next()).collect();
        assert_eq!(all, [Some("T I S".to_owned()), Some("T I S".to_owned()), None, None, None]);
    }
}
