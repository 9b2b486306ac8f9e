//! From what an experiment file calls its corpus to the files that hold it, in the order in which they are read.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::CorpusError;

/// The endings of files that a corpus folder is made of.
const TEXT_EXTENSIONS: [&str; 4] = ["txt", "text", "jsonl", "ndjson"];

/// Files that lie beside a corpus and are not part of it.
const ABOUT_THE_CORPUS: [&str; 4] = ["readme", "license", "licence", "notice"];

/// The files of the corpus `reference`: a file, a glob or a folder, sorted by path.
///
/// A relative reference is looked up in the folder `beside` (the experiment file's), then in `data_root`. A folder
/// stands for its text files at any depth, without hidden ones and without a README, LICENSE or NOTICE.
///
/// # Errors
/// When nothing is there; the error names every place that was tried.
pub fn locate(reference: &str, beside: Option<&Path>, data_root: &Path) -> Result<Vec<PathBuf>, CorpusError> {
    let looked = if Path::new(reference).is_absolute() {
        vec![PathBuf::from(reference)]
    } else {
        beside.into_iter().chain([data_root]).map(|folder| folder.join(reference)).collect()
    };
    for place in &looked {
        let files = files_at(place)?;
        if !files.is_empty() {
            return Ok(files);
        }
    }
    Err(CorpusError::Missing { reference: reference.to_owned(), looked })
}

/// The files at one place; none when nothing is there.
fn files_at(place: &Path) -> Result<Vec<PathBuf>, CorpusError> {
    if place.is_dir() {
        return files_in_folder(place);
    }
    if place.exists() {
        return Ok(vec![place.to_owned()]);
    }
    let pattern = place.to_string_lossy();
    if !pattern.contains(['*', '?', '[']) {
        return Ok(Vec::new());
    }
    let bad_pattern = |reason: String| CorpusError::BadPattern { pattern: pattern.to_string(), reason };
    let mut files = Vec::new();
    for path in glob::glob(&pattern).map_err(|e| bad_pattern(e.to_string()))? {
        let path = path.map_err(|e| bad_pattern(e.to_string()))?;
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn files_in_folder(folder: &Path) -> Result<Vec<PathBuf>, CorpusError> {
    let is_hidden = |name: &OsStr| name.to_string_lossy().starts_with('.');
    let mut files = Vec::new();
    let walk = WalkDir::new(folder).follow_links(true).into_iter();
    for entry in walk.filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry.file_name())) {
        let entry = entry.map_err(|e| CorpusError::Read { path: folder.to_owned(), source: e.into() })?;
        if entry.file_type().is_file() && is_text_file(entry.path()) {
            files.push(entry.into_path());
        }
    }
    if files.is_empty() {
        return Err(CorpusError::NoTextFiles { path: folder.to_owned() });
    }
    files.sort();
    Ok(files)
}

fn is_text_file(path: &Path) -> bool {
    let lower = |part: Option<&OsStr>| part.map(|p| p.to_string_lossy().to_lowercase()).unwrap_or_default();
    let (stem, extension) = (lower(path.file_stem()), lower(path.extension()));
    TEXT_EXTENSIONS.contains(&extension.as_str()) && !ABOUT_THE_CORPUS.iter().any(|name| stem.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "text").unwrap();
    }

    #[test]
    fn looks_beside_the_file_and_then_under_the_data_root() {
        let root = tempfile::tempdir().unwrap();
        let (beside, data) = (root.path().join("experiments"), root.path().join("data"));
        for name in ["data/c/docs.txt", "data/c/README.txt", "data/c/b.jsonl", "data/c/x.py", "data/c/.h/a.txt"] {
            touch(&root.path().join(name));
        }
        let names = |reference: &str| {
            let files = locate(reference, Some(&beside), &data).unwrap();
            files.iter().map(|f| f.strip_prefix(root.path()).unwrap().display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names("c"), ["data/c/b.jsonl", "data/c/docs.txt"]);
        assert_eq!(names("c/docs.txt"), ["data/c/docs.txt"]);
        assert_eq!(names("c/*.txt"), ["data/c/README.txt", "data/c/docs.txt"]);
        touch(&beside.join("c/docs.txt"));
        assert_eq!(names("c/docs.txt"), ["experiments/c/docs.txt"]);
        assert_eq!(names(&data.join("c/docs.txt").display().to_string()), ["data/c/docs.txt"]);
    }

    #[test]
    fn says_where_it_looked() {
        let error = locate("no/such.txt", Some(Path::new("/e")), Path::new("/d")).unwrap_err().to_string();
        assert_eq!(error, "there is no corpus `no/such.txt`; looked for /e/no/such.txt and /d/no/such.txt");
        let folder = tempfile::tempdir().unwrap();
        let error = locate(folder.path().to_str().unwrap(), None, Path::new("/d")).unwrap_err();
        assert!(matches!(error, CorpusError::NoTextFiles { .. }), "{error}");
        assert!(matches!(locate("a[", None, Path::new("/d")), Err(CorpusError::BadPattern { .. })));
    }
}
