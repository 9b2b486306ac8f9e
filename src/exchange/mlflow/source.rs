//! What a store of MLflow is to the import, whether its experiments are folders or rows.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::line::Line;
use super::meta::Meta;
use crate::exchange::findings::{Findings, shown};
use crate::exchange::folder::Folder;
use crate::store::StoreError;
use crate::types::MetricName;

/// Why a store cannot be imported. What is wrong with a part of it is a finding, not an error.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("`{}` is no store of MLflow: {problem}", path.display())]
    NoStore { path: PathBuf, problem: String },

    #[error("cannot read `{place}`: {source}")]
    Io { place: String, source: std::io::Error },

    #[error("cannot read the database: {0}")]
    Database(#[from] rusqlite::Error),

    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ImportError {
    /// Whether a part of a database is damaged, so that others may be sound.
    pub fn is_damage(&self) -> bool {
        let Self::Database(error) = self else { return false };
        error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt)
    }
}

/// An experiment.
#[derive(Clone, Debug)]
pub struct SourceExperiment {
    pub id: String,
    pub name: String,
    pub tags: BTreeMap<String, String>,
    pub meta: Meta,
    pub is_deleted: bool,
}

/// A run, before its details are read.
#[derive(Clone, Debug)]
pub struct SourceRun {
    pub id: String,
    /// The place of its experiment among all.
    pub experiment: usize,
    /// The run in which it was started.
    pub parent: Option<String>,
}

/// What a run has beside its metrics and artifacts.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    pub params: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    /// Data sets, as clients say them.
    pub inputs: Vec<Value>,
}

/// Takes the next point of a metric.
pub type TakePoint<'t> = dyn FnMut(&MetricName, Line) -> Result<(), StoreError> + 't;

/// A store of MLflow.
pub trait Source {
    /// Its experiments; what in it is neither experiment nor run is found out here.
    fn experiments(&self, findings: &mut Findings) -> Result<Vec<SourceExperiment>, ImportError>;

    /// All runs of these experiments.
    fn runs(&self, experiments: &[SourceExperiment], findings: &mut Findings) -> Result<Vec<SourceRun>, ImportError>;

    /// What is said of a run; of one whose record is damaged as much as follows from where it is.
    fn meta(&self, of: &SourceRun, within: &SourceExperiment, findings: &mut Findings) -> Result<Meta, ImportError>;

    /// Its parameters, tags and data sets.
    fn texts(&self, of: &SourceRun, within: &SourceExperiment, findings: &mut Findings) -> Result<Texts, ImportError>;

    /// Hands over its points; those of a metric in the order in which they were logged.
    fn points(
        &self,
        of: &SourceRun,
        within: &SourceExperiment,
        findings: &mut Findings,
        take: &mut TakePoint<'_>,
    ) -> Result<(), ImportError>;

    /// The folder of its artifacts, where it has one that may be read.
    fn artifacts(
        &self,
        of: &SourceRun,
        within: &SourceExperiment,
        meta: &Meta,
        findings: &mut Findings,
    ) -> Result<Option<Folder>, ImportError>;
}

/// The metric of a key.
///
/// # Errors
/// Why no metric can be called so.
pub fn metric(key: &str) -> Result<MetricName, String> {
    key.parse().map_err(|_| "a metric's name here is one line of at most 250 characters".to_owned())
}

/// Whether MLflow would call a run so: the name is one part of a path, too.
pub fn is_run_id(id: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    id.starts_with(|c: char| c.is_ascii_alphanumeric()) && id.chars().all(is_plain) && id.len() <= 255
}

/// Whether a tag of this key can be kept: tags are written `key=value`.
pub fn check_tag(key: &str) -> Result<(), &'static str> {
    if key.contains('=') { Err("a tag's key has no `=` here") } else { Ok(()) }
}

/// A file, to be read by lines.
pub fn lines(file: File) -> BufReader<File> {
    BufReader::with_capacity(1 << 16, file)
}

/// Where artifacts may be read from: these folders, and nothing beside them whatever a run says.
#[derive(Debug)]
pub struct ArtifactRoots {
    /// What relative paths are relative to.
    base: PathBuf,
    roots: Vec<PathBuf>,
}

impl ArtifactRoots {
    pub fn new(base: &Path, roots: impl IntoIterator<Item = PathBuf>) -> Self {
        let absolute = |path: PathBuf| path.canonicalize().or_else(|_| std::path::absolute(&path)).unwrap_or(path);
        Self { base: absolute(base.to_owned()), roots: roots.into_iter().map(absolute).collect() }
    }

    /// The folder that an `artifact_uri` names.
    ///
    /// # Errors
    /// Why it is not read, where there may be artifacts all the same.
    pub fn find(&self, uri: &str, experiment: &str, run: &str) -> Result<Option<Folder>, String> {
        let (scheme, path) = split(uri);
        let is_local = matches!(scheme, "" | "file");
        if !is_local && scheme != "mlflow-artifacts" {
            return Err(format!("its artifacts are at `{}`, not on this disk", shown(uri)));
        }
        let path = if scheme == "file" { decoded(path) } else { path.to_owned() };
        let path = self.base.join(path);
        let within = |root: &PathBuf| {
            let rest = path.strip_prefix(root).ok()?;
            let names: Option<Vec<&str>> = rest.components().map(name).collect();
            Folder::open(root).ok()?.below(names?)
        };
        let exactly = if is_local { self.roots.iter().find_map(within) } else { None };
        // A store that was moved says where it was: its folders are still called the same.
        let by_tail =
            || self.roots.iter().find_map(|root| Folder::open(root).ok()?.below([experiment, run, "artifacts"]));
        if let Some(folder) = exactly.or_else(by_tail) {
            return Ok(Some(folder));
        }
        let is_usual = !is_local || path.ends_with(Path::new(experiment).join(run).join("artifacts"));
        match (path.is_dir(), self.roots.iter().any(|root| path.starts_with(root))) {
            (true, false) => Err(format!(
                "its artifacts in `{}` are outside of the store: --artifacts names a folder to read",
                path.display()
            )),
            (false, false) if !is_usual => Err(format!("its artifacts are in `{}`, which is not here", path.display())),
            _ => Ok(None),
        }
    }
}

fn name(part: Component<'_>) -> Option<&str> {
    match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    }
}

/// The scheme of a URI and its path. A path alone has none.
fn split(uri: &str) -> (&str, &str) {
    match uri.split_once(':') {
        Some((scheme, rest))
            if scheme.len() > 1 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) =>
        {
            let path = rest.strip_prefix("//").map_or(rest, |rest| rest.find('/').map_or("", |at| &rest[at..]));
            (scheme, path)
        }
        _ => ("", uri),
    }
}

/// A path of a URI with its letters in place of their numbers, once.
fn decoded(path: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), path.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let hex = |at: usize| after.get(at).and_then(|&byte| char::from(byte).to_digit(16));
        match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn artifacts_are_read_from_the_store_alone() {
        let place = tempfile::tempdir().unwrap();
        let at = |path: &str| place.path().join(path);
        for folder in ["mlruns/1/r/artifacts", "mlruns/1/other/artifacts", "private", "mlruns/이름 1/r/artifacts"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        std::os::unix::fs::symlink(at("private"), at("mlruns/1/link")).unwrap();
        let roots = ArtifactRoots::new(place.path(), [at("mlruns")]);
        let find = |uri: &str| match roots.find(uri, "1", "r") {
            Ok(folder) => folder.is_some().to_string(),
            Err(why) => why.split('`').next().unwrap().trim().to_owned(),
        };
        let local = |path: &str| format!("file://{}", at(path).display());
        let outside = "its artifacts in";
        for (uri, expected) in [
            (local("mlruns/1/other/artifacts"), "true"),
            (local("mlruns/%EC%9D%B4%EB%A6%84%201/r/artifacts"), "true"),
            (at("mlruns/1/r/artifacts").display().to_string(), "true"),
            ("./mlruns/1/r/artifacts".to_owned(), "true"),
            ("mlflow-artifacts:/1/r/artifacts".to_owned(), "true"),
            ("/gone/mlruns/1/r/artifacts".to_owned(), "true"), // It was moved.
            ("s3://bucket/1/r/artifacts".to_owned(), "its artifacts are at"),
        ] {
            assert_eq!(find(&uri), expected, "{uri}");
        }
        fs::remove_dir_all(at("mlruns/1/r")).unwrap();
        for (uri, expected) in [
            (local("private"), outside),
            (local("mlruns/../private"), "false"),
            (local("mlruns/%2e%2e/private"), "false"),
            (local("mlruns/1/link"), "false"),
            ("/etc".to_owned(), outside),
            ("../..".to_owned(), outside),
            ("/gone/mlruns/1/r/artifacts".to_owned(), "false"),
            ("/gone/elsewhere".to_owned(), "its artifacts are in"),
        ] {
            assert_eq!(find(&uri), expected, "{uri}");
        }
    }

    #[test]
    fn ids_are_one_part_of_a_path() {
        assert!(is_run_id("3efe29f13059496aa2c4fdd10b08d975") && is_run_id("a-b_c"));
        assert!(["", "..", "a/b", "-a", "a.b", "a\0"].iter().all(|id| !is_run_id(id)));
    }
}
