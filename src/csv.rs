//! CSV: a field as every table of this program spells it, quoted by RFC 4180 and no text that a spreadsheet would run; and a reader of
//! tables, strict, because a field that is taken for two is a wrong number.

use std::io::{self, BufRead, Read};

/// Text as a field. What begins as a formula does gets an apostrophe, which spreadsheets hide (OWASP, "CSV injection"); so does what
/// has some before that, so that [`plain`] gives every text back.
pub fn field(text: &str) -> String {
    let text = if is_formula(text) { format!("'{text}") } else { text.to_owned() };
    let is_plain = !text.contains([',', '"', '\r', '\n']) && text.trim() == text;
    if is_plain { text } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

/// The text of which [`field`] made this: without the apostrophe that keeps a formula from being one.
pub fn plain(text: &str) -> &str {
    text.strip_prefix('\'').filter(|text| is_formula(text)).unwrap_or(text)
}

fn is_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '|'])
}

/// A number as a field: the shortest that reads back, `NaN`, `inf` and `-inf` as pandas, R and DuckDB read them.
pub fn number(value: f64) -> String {
    let text = format!("{value:?}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Bytes of a record at most.
const LONGEST: u64 = 1 << 24;

/// Why a table cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),

    /// Lines count from 1; a record's is its first.
    #[error("line {line}: {problem}")]
    Bad { line: u64, problem: &'static str },
}

/// The records of a table.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    delimiter: char,
    /// Lines and bytes that were read.
    lines: u64,
    bytes: u64,
    record: Vec<u8>,
}

/// A record: its fields, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub fields: Vec<String>,
    /// Its first line.
    pub line: u64,
    /// Where it begins and ends, in bytes.
    pub bytes: std::ops::Range<u64>,
}

impl<R: BufRead> Reader<R> {
    /// A table, or the rest of one behind so many lines and bytes.
    pub fn new(source: R, delimiter: char, (lines, bytes): (u64, u64)) -> Self {
        Self { source, delimiter, lines, bytes, record: Vec::new() }
    }

    /// The next record that is not an empty line, or none.
    ///
    /// # Errors
    /// What RFC 4180 does not allow, with its line; a record of more than 16 MiB.
    pub fn record(&mut self) -> Result<Option<Record>, CsvError> {
        loop {
            let (line, begin) = (self.lines + 1, self.bytes);
            let bad = |problem| CsvError::Bad { line, problem };
            self.record.clear();
            let mut is_inside = false;
            loop {
                let before = self.record.len();
                let left = LONGEST - before as u64;
                let read = (&mut self.source).take(left).read_until(b'\n', &mut self.record)? as u64;
                self.bytes += read;
                is_inside ^= self.record[before..].iter().filter(|byte| **byte == b'"').count() % 2 == 1;
                let ends = self.record.ends_with(b"\n");
                self.lines += u64::from(ends || read > 0);
                match (ends && read > 0, is_inside) {
                    (true, true) => {}
                    (true, false) => break,
                    (false, _) if read == left => {
                        return Err(bad("a record of more than 16 MiB: a quote is not closed"));
                    }
                    (false, true) => return Err(bad("a quote is not closed")),
                    (false, false) => break,
                }
            }
            if self.record.is_empty() {
                return Ok(None);
            }
            let text = std::str::from_utf8(&self.record).map_err(|_| bad("not UTF-8"))?;
            let text = if begin == 0 { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text };
            let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
            if text.is_empty() {
                continue;
            }
            let fields = split(text, self.delimiter).map_err(bad)?;
            return Ok(Some(Record { fields, line, bytes: begin..self.bytes }));
        }
    }
}

/// The fields of a record.
fn split(record: &str, delimiter: char) -> Result<Vec<String>, &'static str> {
    let (mut fields, mut rest) = (Vec::new(), record);
    loop {
        let after = if let Some(mut quoted) = rest.strip_prefix('"') {
            let mut field = String::new();
            loop {
                let (inner, after) = quoted.split_once('"').ok_or("a quote is not closed")?;
                field.push_str(inner);
                match after.strip_prefix('"') {
                    Some(more) => {
                        field.push('"');
                        quoted = more;
                    }
                    None => {
                        fields.push(field);
                        break after;
                    }
                }
            }
        } else {
            let (field, after) = rest.split_at(rest.find(delimiter).unwrap_or(rest.len()));
            if field.contains('"') {
                return Err("a quote within a field that is not quoted");
            }
            if field.contains('\r') {
                return Err("a carriage return that ends no line");
            }
            fields.push(field.to_owned());
            after
        };
        match after.strip_prefix(delimiter) {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err("text behind a closing quote"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(text: &[u8], delimiter: char) -> Result<Vec<(u64, Vec<String>)>, String> {
        let (mut reader, mut found, mut end) = (Reader::new(text, delimiter, (0, 0)), Vec::new(), 0);
        while let Some(record) = reader.record().map_err(|error| error.to_string())? {
            assert!(record.bytes.start >= end && record.bytes.end <= text.len() as u64);
            end = record.bytes.end;
            found.push((record.line, record.fields));
        }
        Ok(found)
    }

    #[test]
    fn tables_of_every_spelling_are_read() {
        let expected = vec![
            (1, vec!["a".to_owned(), "b c".to_owned(), String::new()]),
            (3, vec!["x,\ny".to_owned(), "\"q\"".to_owned(), "한글".to_owned()]),
        ];
        for text in [
            "a,b c,\n\n\"x,\ny\",\"\"\"q\"\"\",한글\n",
            "\u{feff}a,b c,\r\n\r\n\"x,\ny\",\"\"\"q\"\"\",한글\r\n",
            "a,\"b c\",\"\"\n\n\"x,\ny\",\"\"\"q\"\"\",한글",
        ] {
            assert_eq!(all(text.as_bytes(), ',').unwrap(), expected, "{text:?}");
        }
        assert_eq!(all(b"a;1,5\n", ';').unwrap(), [(1, vec!["a".to_owned(), "1,5".to_owned()])]);
        assert_eq!(all(b"", ',').unwrap(), []);
    }

    #[test]
    fn what_is_no_table_is_refused_at_its_line() {
        for (text, expected) in [
            (&b"a\n\"b\nc"[..], "line 2: a quote is not closed"),
            (b"a\nb\"c\n", "line 2: a quote is not closed"),
            (b"a\nb\"c\"\n", "line 2: a quote within a field that is not quoted"),
            (b"\"a\"b,c\n", "line 1: text behind a closing quote"),
            (b"a\rb\rc", "line 1: a carriage return that ends no line"),
            (b"a\n\"\n\xff\"\n", "line 2: not UTF-8"),
        ] {
            assert_eq!(all(text, ',').unwrap_err(), expected, "{text:?}");
        }
        let long = [&b"\""[..], &vec![b'x'; LONGEST as usize + 5]].concat();
        assert!(all(&long, ',').unwrap_err().contains("more than 16 MiB"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(rows in prop::collection::vec(prop::collection::vec("['=+\\-@|,\"\r\n\t a-c한]{0,6}", 2..4), 1..6)) {
            let line = |row: &Vec<String>| row.iter().map(|text| field(text)).collect::<Vec<_>>().join(",") + "\n";
            let text: String = rows.iter().map(line).collect();
            let read = all(text.as_bytes(), ',').map_err(TestCaseError::fail)?;
            let read: Vec<Vec<String>> =
                read.iter().map(|(_, row)| row.iter().map(|text| plain(text).to_owned()).collect()).collect();
            prop_assert_eq!(read, rows);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(prop::sample::select(&b"a,\"\r\n;\xff"[..]), 0..40)) {
            let _ = all(&bytes, ',');
        }
    }

    #[test]
    fn numbers_read_back() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (2.0, "2"),
            (1e-7, "1e-7"),
            (5e-324, "5e-324"),
            (1e300, "1e300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(number(value), expected);
            assert!(expected.parse::<f64>().unwrap().to_bits() == value.to_bits() || value.is_nan());
        }
    }

    #[test]
    fn fields_are_quoted_and_harmless() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a b", "a b"),
            (" a", "\" a\""),
            ("a,b", "\"a,b\""),
            ("say \"ja\"", "\"say \"\"ja\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+2", "'=1+2"),
            ("-1", "'-1"),
            ("'=", "''="),
            ("'a", "'a"),
            ("@a,b", "\"'@a,b\""),
            ("\tx", "'\tx"),
            ("한글", "한글"),
        ] {
            assert_eq!(field(text), expected);
        }
    }
}
