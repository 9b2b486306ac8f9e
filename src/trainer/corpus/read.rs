//! Text files to documents of sentences, as a stream that holds one document at a time.
//!
//! Lines are read as bytes and checked for UTF-8 one by one, so that a bad byte is reported at its line and column. A
//! byte-order mark and carriage returns are dropped. The end of a file ends its document in every format.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use serde_json::Value;

use super::{CorpusError, split_sentences};
use crate::plan::CorpusFormat;

/// One document: its sentences in order, none of them empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    pub sentences: Vec<String>,
}

impl Document {
    /// Bytes of text, without what separates the sentences.
    pub fn bytes(&self) -> usize {
        self.sentences.iter().map(String::len).sum()
    }

    fn push(&mut self, sentence: &str) {
        let sentence = sentence.trim();
        if !sentence.is_empty() {
            self.sentences.push(sentence.to_owned());
        }
    }

    fn push_prose(&mut self, paragraph: &str) {
        split_sentences(paragraph).into_iter().for_each(|sentence| self.push(sentence));
    }
}

/// The documents of some files, in order.
pub struct Documents {
    files: std::vec::IntoIter<PathBuf>,
    format: CorpusFormat,
    text_field: String,
    lines: Option<Lines>,
    /// Prose only: this file has `= headings =`, so they and not its blank lines separate documents.
    has_headings: bool,
    pending: Document,
}

impl Documents {
    /// Reads `files` as `format`, which is not [`CorpusFormat::Demo`].
    pub(super) fn new(files: Vec<PathBuf>, format: CorpusFormat, text_field: &str) -> Self {
        Self {
            files: files.into_iter(),
            format,
            text_field: text_field.to_owned(),
            lines: None,
            has_headings: false,
            pending: Document::default(),
        }
    }

    /// Takes in the next line. True when the pending document may be complete; false also at the end of all files.
    fn advance(&mut self) -> Result<Progress, CorpusError> {
        let Some(lines) = &mut self.lines else {
            let Some(path) = self.files.next() else { return Ok(Progress::End) };
            self.lines = Some(Lines::open(path)?);
            self.has_headings = false;
            return Ok(Progress::Within);
        };
        let Some(line) = lines.next()? else {
            self.lines = None;
            return Ok(Progress::Boundary);
        };
        let text = line.text.trim();
        match self.format {
            CorpusFormat::Sentences if text.is_empty() => return Ok(Progress::Boundary),
            CorpusFormat::Eod if text == "[EOD]" => return Ok(Progress::Boundary),
            CorpusFormat::Sentences | CorpusFormat::Eod => self.pending.push(text),
            CorpusFormat::Jsonl if text.is_empty() => {}
            CorpusFormat::Jsonl => {
                let prose = line.json_text(&self.text_field)?;
                prose.lines().for_each(|paragraph| self.pending.push_prose(paragraph));
                return Ok(Progress::Boundary);
            }
            CorpusFormat::Prose | CorpusFormat::Demo => match heading_level(text) {
                Some(level) => {
                    self.has_headings |= level == 1;
                    return Ok(if level == 1 { Progress::Boundary } else { Progress::Within });
                }
                None if text.is_empty() && !self.has_headings => return Ok(Progress::Boundary),
                None => self.pending.push_prose(text),
            },
        }
        Ok(Progress::Within)
    }
}

enum Progress {
    /// In the middle of a document.
    Within,
    /// Between documents.
    Boundary,
    /// After the last file.
    End,
}

impl Iterator for Documents {
    type Item = Result<Document, CorpusError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.advance() {
                Ok(Progress::Within) => {}
                Ok(Progress::Boundary) if self.pending.sentences.is_empty() => {}
                Ok(Progress::Boundary) => return Some(Ok(std::mem::take(&mut self.pending))),
                Ok(Progress::End) => return None,
                Err(error) => {
                    self.lines = None;
                    self.files = Vec::new().into_iter();
                    return Some(Err(error));
                }
            }
        }
    }
}

/// The level of a wiki heading: 1 for `= Title =`, 2 for `== Part ==` or `= = Part = =`; none for other text.
///
/// Headings are not sentences: a model that sees them solves next-sentence prediction by recognising titles.
pub(super) fn heading_level(line: &str) -> Option<usize> {
    let is_mark = |c: char| c == '=' || c == ' ';
    let title = line.trim_matches(is_mark);
    if title.is_empty() || !line.starts_with('=') || !line.ends_with('=') || line.len() > 300 {
        return None;
    }
    let marks = |text: &str| text.chars().take_while(|&c| is_mark(c)).filter(|&c| c == '=').count();
    let (before, after) = (marks(line), line.chars().rev().take_while(|&c| is_mark(c)).filter(|&c| c == '=').count());
    (before == after).then_some(before)
}

/// The lines of one file.
struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    buffer: Vec<u8>,
    number: u64,
    /// Bytes before the line in the buffer.
    offset: u64,
}

struct Line<'a> {
    path: &'a PathBuf,
    number: u64,
    text: &'a str,
}

impl Lines {
    fn open(path: PathBuf) -> Result<Self, CorpusError> {
        let file = File::open(&path).map_err(CorpusError::read(&path))?;
        let reader = BufReader::with_capacity(1 << 18, file);
        Ok(Self { path, reader, buffer: Vec::new(), number: 0, offset: 0 })
    }

    fn next(&mut self) -> Result<Option<Line<'_>>, CorpusError> {
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        let read = self.reader.read_until(b'\n', &mut self.buffer).map_err(CorpusError::read(&self.path))?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        let text = std::str::from_utf8(&self.buffer).map_err(|error| {
            let valid = String::from_utf8_lossy(&self.buffer[..error.valid_up_to()]);
            CorpusError::InvalidUtf8 {
                path: self.path.clone(),
                line: self.number,
                column: valid.chars().count() + 1,
                byte: self.offset + error.valid_up_to() as u64,
            }
        })?;
        let text = if self.number == 1 { text.trim_start_matches('\u{feff}') } else { text };
        Ok(Some(Line { path: &self.path, number: self.number, text }))
    }
}

impl Line<'_> {
    /// The text in `field` of the JSON object on this line.
    fn json_text(&self, field: &str) -> Result<String, CorpusError> {
        let broken = |column: usize, reason: String| CorpusError::BrokenJson {
            path: self.path.clone(),
            line: self.number,
            column,
            reason,
        };
        let value: Value = serde_json::from_str(self.text).map_err(|e| broken(e.column(), json_reason(&e)))?;
        let Value::Object(mut fields) = value else {
            return Err(broken(1, "it is another JSON value".to_owned()));
        };
        match fields.swap_remove(field) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(CorpusError::MissingField {
                path: self.path.clone(),
                line: self.number,
                field: field.to_owned(),
                found: if fields.is_empty() {
                    "no other field".to_owned()
                } else {
                    fields.keys().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
                },
            }),
        }
    }
}

/// The parser's message without its own line number, which counts within the line.
fn json_reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: CorpusFormat, bytes: &[u8]) -> Result<Vec<Vec<String>>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.txt");
        std::fs::write(&path, bytes).unwrap();
        let name = path.display().to_string();
        Documents::new(vec![path], format, "text")
            .map(|document| document.map(|d| d.sentences).map_err(|e| e.to_string().replace(&name, "c.txt")))
            .collect()
    }

    #[track_caller]
    fn check(format: CorpusFormat, text: &str, expected: &[&[&str]]) {
        assert_eq!(read(format, text.as_bytes()).unwrap(), expected);
        let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        assert_eq!(read(format, windows.as_bytes()).unwrap(), expected, "with a byte-order mark and CRLF");
    }

    #[test]
    fn reads_every_format() {
        check(CorpusFormat::Sentences, "\n하나.\n둘.\n\n \n셋.", &[&["하나.", "둘."], &["셋."]]);
        check(CorpusFormat::Eod, "a b.\n\nc.\n[EOD]\n[EOD]\nd.\n", &[&["a b.", "c."], &["d."]]);
        check(
            CorpusFormat::Jsonl,
            "{\"id\":1,\"text\":\"간다. 온다!\\n끝.\"}\n\n{\"text\":\"One. Two.\"}\n",
            &[&["간다.", "온다!", "끝."], &["One.", "Two."]],
        );
        check(CorpusFormat::Prose, "One. Two.\nThree.\n\nFour.\n", &[&["One.", "Two.", "Three."], &["Four."]]);
    }

    #[test]
    fn headings_separate_wiki_articles_and_blank_lines_do_not() {
        let text = " \n = A = \n \n One . Two . \n \n = = Part = = \n \n Three . \n = B = \n \n Four . \n";
        check(CorpusFormat::Prose, text, &[&["One .", "Two .", "Three ."], &["Four ."]]);
        for (line, level) in
            [("= A =", Some(1)), ("== A ==", Some(2)), ("= = A = =", Some(2)), ("= A", None), ("=", None)]
        {
            assert_eq!(heading_level(line), level, "{line}");
        }
    }

    #[test]
    fn mistakes_are_reported_at_their_place() {
        let error = |format, bytes: &[u8]| read(format, bytes).unwrap_err();
        assert!(
            error(CorpusFormat::Sentences, b"one\n\xea\xb0\x80 \xff\n").starts_with("c.txt:2:3: not UTF-8 (byte 8 of")
        );
        insta::assert_snapshot!(error(CorpusFormat::Jsonl, b"{\"text\":\"a\"}\n{\"text\": }\n"), @"c.txt:2:10: not a JSON object: expected value");
        insta::assert_snapshot!(error(CorpusFormat::Jsonl, b"[1]\n"), @"c.txt:1:1: not a JSON object: it is another JSON value");
        insta::assert_snapshot!(error(CorpusFormat::Jsonl, b"{\"title\":\"a\",\"body\":\"b\"}\n"), @"c.txt:1: no text in the field `text`; the line has `title`, `body`: set `data.text_field` to one that holds text");
    }

    #[test]
    fn a_very_long_line_is_one_sentence() {
        let line = "가나 ".repeat(400_000);
        assert_eq!(read(CorpusFormat::Sentences, line.as_bytes()).unwrap(), [[line.trim()]]);
    }
}
