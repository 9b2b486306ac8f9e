//! A corpus as a whole: where its documents come from, in which format, and what names its content.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::read::heading_level;
use super::{CorpusError, Document, Documents, demo, split_sentences};
use crate::plan::{CorpusFormat, DemoSpec};
use crate::types::{ContentHash, ContentHasher};

/// Bytes of text handled at a time, so that memory does not grow with the corpus.
const BATCH_BYTES: usize = 2 << 20;

/// Bytes at the beginning of a file that tell its format.
const SNIFFED_BYTES: u64 = 1 << 17;

/// Where documents come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Text files, read in this order.
    Files(Vec<PathBuf>),
    /// The built-in generator.
    Demo(DemoSpec),
}

/// What a plan has to know about a corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Names the content: equal for the same bytes whatever the files are called.
    pub hash: ContentHash,
    /// Bytes of all files. For the built-in corpus, bytes of text, extrapolated from its first 1,000 documents.
    pub bytes: u64,
    pub format: CorpusFormat,
}

/// The facts about a corpus; without a `format` it is [`detect`]ed.
pub fn facts(source: &Source, format: Option<CorpusFormat>) -> Result<Facts, CorpusError> {
    match source {
        Source::Demo(spec) => {
            Ok(Facts { hash: demo::content_hash(*spec), bytes: demo::text_bytes(*spec), format: CorpusFormat::Demo })
        }
        Source::Files(files) => {
            let (hash, bytes) = hash_files(files)?;
            if bytes == 0 {
                return Err(CorpusError::Empty);
            }
            let format = format.map_or_else(|| detect(files), Ok)?;
            Ok(Facts { hash, bytes, format })
        }
    }
}

/// The hash of the files' bytes in order, each file preceded by its length (u64, little-endian), and their total length.
fn hash_files(files: &[PathBuf]) -> Result<(ContentHash, u64), CorpusError> {
    let mut hasher = ContentHasher::new();
    let mut total = 0;
    let mut buffer = vec![0; 1 << 18];
    for path in files {
        let mut file = File::open(path).map_err(CorpusError::read(path))?;
        let length = file.metadata().map_err(CorpusError::read(path))?.len();
        hasher.update(&length.to_le_bytes());
        total += length;
        loop {
            let read = file.read(&mut buffer).map_err(CorpusError::read(path))?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
        }
    }
    Ok((hasher.finish(), total))
}

/// The format of some files, from the beginning of the first that holds text.
///
/// JSON objects make JSON lines; a line `[EOD]`, that format; a wiki heading, or lines that mostly hold several
/// sentences, prose; anything else is one sentence a line.
pub fn detect(files: &[PathBuf]) -> Result<CorpusFormat, CorpusError> {
    for path in files {
        let text = beginning(path)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>();
        if let Some(first) = lines.first() {
            return Ok(format_of(first, &lines));
        }
    }
    Err(CorpusError::Empty)
}

fn beginning(path: &Path) -> Result<String, CorpusError> {
    let file = File::open(path).map_err(CorpusError::read(path))?;
    let mut bytes = Vec::new();
    file.take(SNIFFED_BYTES).read_to_end(&mut bytes).map_err(CorpusError::read(path))?;
    Ok(String::from_utf8_lossy(&bytes).trim_start_matches('\u{feff}').to_owned())
}

fn format_of(first: &str, lines: &[&str]) -> CorpusFormat {
    let is_object = matches!(serde_json::from_str(first), Ok(Value::Object(_)));
    // One object may be longer than what was looked at.
    if is_object || lines.len() == 1 && first.starts_with("{\"") {
        return CorpusFormat::Jsonl;
    }
    if lines.contains(&"[EOD]") {
        return CorpusFormat::Eod;
    }
    let sentences: usize = lines.iter().map(|line| split_sentences(line).len()).sum();
    let has_headings = lines.iter().any(|line| heading_level(line) == Some(1));
    if has_headings || sentences * 2 > lines.len() * 3 { CorpusFormat::Prose } else { CorpusFormat::Sentences }
}

/// A corpus that can be read, any number of times, from its first document on.
#[derive(Clone, Debug)]
pub struct Corpus {
    source: Source,
    format: CorpusFormat,
    text_field: String,
}

impl Corpus {
    /// The corpus of `source` in a format that is already known; `text_field` matters to JSON lines alone.
    pub fn new(source: Source, format: CorpusFormat, text_field: &str) -> Self {
        Self { source, format, text_field: text_field.to_owned() }
    }

    /// Its documents, in order.
    pub fn documents(&self) -> Box<dyn Iterator<Item = Result<Document, CorpusError>> + Send> {
        match &self.source {
            Source::Files(files) => Box::new(Documents::new(files.clone(), self.format, &self.text_field)),
            Source::Demo(spec) => Box::new(demo::documents(*spec).map(|document| Ok(document.plain()))),
        }
    }

    /// Hands the documents to `work` in order, a few mebibytes at a time: the unit of parallel work.
    pub fn for_each_batch<E: From<CorpusError>>(
        &self,
        mut work: impl FnMut(&[Document]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for document in self.documents() {
            let document = document?;
            bytes += document.bytes();
            batch.push(document);
            if bytes >= BATCH_BYTES {
                work(&batch)?;
                batch.clear();
                bytes = 0;
            }
        }
        work(&batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn formats_are_told_from_the_text() {
        let folder = tempfile::tempdir().unwrap();
        for (text, format) in [
            ("하나입니다.\n둘입니다.\n\n셋입니다.\n", CorpusFormat::Sentences),
            ("\u{feff}{\"text\": \"a\"}\n{\"text\": \"b\"}\n", CorpusFormat::Jsonl),
            ("One.\nTwo.\n[EOD]\nThree.\n", CorpusFormat::Eod),
            (" = Title = \n \n A sentence . \n", CorpusFormat::Prose),
            ("One is here. Two is there. Three is away.\n\nOne again. Two again.\n", CorpusFormat::Prose),
        ] {
            assert_eq!(detect(&[write(folder.path(), "c.txt", text)]).unwrap(), format, "{text}");
        }
        assert!(matches!(detect(&[write(folder.path(), "c.txt", " \n\n")]), Err(CorpusError::Empty)));
    }

    #[test]
    fn the_hash_names_the_content_and_not_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, c] = [("a", "one\n"), ("b", "one\n"), ("c", "two\n")].map(|(n, t)| write(folder.path(), n, t));
        let hash = |files: &[&PathBuf]| {
            facts(&Source::Files(files.iter().map(|&f| f.clone()).collect()), None).map(|f| (f.hash, f.bytes)).unwrap()
        };
        assert_eq!(hash(&[&a, &c]), hash(&[&b, &c]));
        assert_ne!(hash(&[&a, &c]), hash(&[&c, &a]));
        assert_eq!(hash(&[&a, &c]).1, 8);
        let joined = write(folder.path(), "d", "one\ntwo\n");
        assert_ne!(hash(&[&a, &c]).0, hash(&[&joined]).0, "where a file ends is content: it ends a document");
        let empty = write(folder.path(), "e", "");
        assert!(matches!(facts(&Source::Files(vec![empty]), None), Err(CorpusError::Empty)));
    }
}
