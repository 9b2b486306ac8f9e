//! Texts with classes: TSV with a header, or JSON lines.
//!
//! TSV has no quoting: a quote is a letter, as in NSMC. A file of which every text is quoted was written by a program with
//! other rules, and is refused.

use std::path::Path;

use super::{TaskError, check_label, lines};

/// Where in a row or a JSON object to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    pub text: String,
    pub pair: Option<String>,
    pub label: String,
}

/// A text, or a pair of texts, with its class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextExample {
    pub text: String,
    pub pair: Option<String>,
    pub label: String,
    /// The line that it stands in, counted from 1.
    pub line: usize,
}

/// The examples of a file.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Texts {
    pub examples: Vec<TextExample>,
    /// Examples whose text is empty, which are left out.
    pub skipped_empty: usize,
}

/// Reads the labelled texts of `bytes`, the content of `path`: JSON lines where its name ends in `.jsonl` or `.json`, TSV
/// elsewhere.
///
/// # Errors
/// At the first line that cannot be read, when a column is not there, and when no text is left.
pub fn read_texts(path: &Path, bytes: &[u8], columns: &Columns) -> Result<Texts, TaskError> {
    let lines = lines(path, bytes)?;
    let is_json = path.extension().is_some_and(|extension| extension == "jsonl" || extension == "json");
    let rows = if is_json { of_json(path, &lines, columns)? } else { of_tsv(path, &lines, columns)? };
    let all = rows.len();
    let examples: Vec<TextExample> = rows.into_iter().filter(|example| !example.text.trim().is_empty()).collect();
    if examples.is_empty() {
        return Err(TaskError::of(path, format!("it has no example with a text ({all} rows)")));
    }
    if let Some(unlabelled) = examples.iter().find(|example| example.label.is_empty()) {
        let problem = format!("the label (`{}`) is empty", columns.label);
        return Err(TaskError::at(path, unlabelled.line, problem));
    }
    let is_quoted = |text: &str| text.len() > 1 && text.starts_with('"') && text.ends_with('"');
    if !is_json && examples.len() > 1 && examples.iter().all(|example| is_quoted(&example.text)) {
        let problem = "every text stands in quotes, and TSV has no quoting: they would be read as letters; write the file without";
        return Err(TaskError::at(path, examples[0].line, problem));
    }
    Ok(Texts { skipped_empty: all - examples.len(), examples })
}

/// All labels: in the order of numbers where they are numbers, else of letters.
///
/// # Errors
/// When there are fewer than two: nothing could be learnt.
pub fn labels_of_texts(path: &Path, texts: &[TextExample]) -> Result<Vec<String>, TaskError> {
    let mut labels: Vec<String> = texts.iter().map(|example| example.label.clone()).collect();
    labels.sort();
    labels.dedup();
    let number = |label: &String| label.parse::<i64>().ok();
    if labels.iter().all(|label| number(label).is_some()) {
        labels.sort_by_key(number);
    }
    match labels.as_slice() {
        [only] => Err(TaskError::of(path, format!("every example has the label `{only}`; two at least are needed"))),
        _ => Ok(labels),
    }
}

/// Whether all labels are known.
///
/// # Errors
/// At the first that is not.
pub fn check_texts(path: &Path, texts: &[TextExample], labels: &[String]) -> Result<(), TaskError> {
    texts.iter().try_for_each(|example| check_label(path, example.line, &example.label, labels))
}

fn of_tsv(path: &Path, lines: &[&str], columns: &Columns) -> Result<Vec<TextExample>, TaskError> {
    let header: Vec<&str> = lines.first().copied().unwrap_or_default().split('\t').collect();
    let place = |column: &String, key: &str| {
        header.iter().position(|name| name == column).ok_or_else(|| {
            let problem = format!("the header has no column `{column}` (`finetune.{key}`); its columns are");
            TaskError::at(path, 1, format!("{problem} {}", header.join(", ")))
        })
    };
    let (text, label) = (place(&columns.text, "text_column")?, place(&columns.label, "label_column")?);
    let pair = columns.pair.as_ref().map(|column| place(column, "pair_column")).transpose()?;
    let rows = (2..).zip(&lines[1..]).filter(|(_, line)| !line.is_empty());
    rows.map(|(line, row)| {
        let cells: Vec<&str> = row.split('\t').collect();
        if cells.len() != header.len() {
            let problem = format!(
                "{} tabs, and the header has {}; a tab within a text must become a space",
                cells.len() - 1,
                header.len() - 1
            );
            return Err(TaskError::at(path, line, problem));
        }
        let cell = |place: usize| cells[place].to_owned();
        Ok(TextExample { text: cell(text), pair: pair.map(cell), label: cell(label), line })
    })
    .collect()
}

fn of_json(path: &Path, lines: &[&str], columns: &Columns) -> Result<Vec<TextExample>, TaskError> {
    let rows = (1..).zip(lines).filter(|(_, line)| !line.trim().is_empty());
    rows.map(|(line, row)| {
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(row).map_err(|error| TaskError::at(path, line, format!("no JSON object: {error}")))?;
        let field = |name: &String| match object.get(name) {
            Some(serde_json::Value::String(text)) => Ok(text.clone()),
            Some(value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => Ok(value.to_string()),
            Some(_) => Err(TaskError::at(path, line, format!("the field `{name}` is neither text nor number"))),
            None => {
                let names: Vec<&str> = object.keys().map(String::as_str).collect();
                let problem = format!("the field `{name}` is missing; there are {}", names.join(", "));
                Err(TaskError::at(path, line, problem))
            }
        };
        let pair = columns.pair.as_ref().map(field).transpose()?;
        Ok(TextExample { text: field(&columns.text)?, pair, label: field(&columns.label)?, line })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Columns {
        Columns { text: "document".into(), pair: None, label: "label".into() }
    }

    fn read(name: &str, text: &str) -> Result<Texts, String> {
        read_texts(Path::new(name), text.as_bytes(), &columns()).map_err(|error| error.to_string())
    }

    #[test]
    fn rows_become_examples_and_quotes_are_letters() {
        let text = "id\tdocument\tlabel\r\n1\t\"굳\" ㅋ\t1\n2\t\t0\n3\t아 더빙\u{2028}목소리\t0\n";
        let texts = read("a.tsv", text).unwrap();
        let found: Vec<_> = texts.examples.iter().map(|e| (e.text.as_str(), e.label.as_str(), e.line)).collect();
        assert_eq!(found, [("\"굳\" ㅋ", "1", 2), ("아 더빙\u{2028}목소리", "0", 4)]);
        assert_eq!(texts.skipped_empty, 1);
        let json = read("a.jsonl", "{\"document\": \"a\\tb\", \"label\": 10}\n\n{\"document\": \"c\", \"label\": 9}\n")
            .unwrap();
        assert_eq!(json.examples[0].text, "a\tb");
        assert_eq!(labels_of_texts(Path::new("a"), &json.examples).unwrap(), ["9", "10"]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let errors = [
            ("a.tsv", "id\tdocumnt\tlabel\n"),
            ("a.tsv", "id\tdocument\tlabel\n1\ta\n"),
            ("a.tsv", "id\tdocument\tlabel\n1\ta\tb\t1\n"),
            ("a.tsv", "id\tdocument\tlabel\n1\t \t1\n"),
            ("a.tsv", "id\tdocument\tlabel\n1\ta\t\n"),
            ("a.tsv", "id\tdocument\tlabel\n1\t\"a\"\t1\n2\t\"b\"\t0\n"),
            ("a.jsonl", "{\"document\": \"a\"}\n"),
            ("a.jsonl", "{\"document\": [], \"label\": 1}\n"),
            ("a.jsonl", "[1]\n"),
        ];
        let said: Vec<String> = errors.iter().map(|(name, text)| read(name, text).unwrap_err()).collect();
        insta::assert_snapshot!(said.join("\n"), @r#"
        a.tsv:1: the header has no column `document` (`finetune.text_column`); its columns are id, documnt, label
        a.tsv:2: 1 tabs, and the header has 2; a tab within a text must become a space
        a.tsv:2: 3 tabs, and the header has 2; a tab within a text must become a space
        a.tsv: it has no example with a text (1 rows)
        a.tsv:2: the label (`label`) is empty
        a.tsv:2: every text stands in quotes, and TSV has no quoting: they would be read as letters; write the file without
        a.jsonl:1: the field `label` is missing; there are document
        a.jsonl:1: the field `document` is neither text nor number
        a.jsonl:1: no JSON object: invalid type: sequence, expected a map at line 1 column 0
        "#);
        let not_utf8 = read_texts(Path::new("a.tsv"), b"id\tdocument\tlabel\n1\t\xff\t1\n", &columns()).unwrap_err();
        assert_eq!(not_utf8.to_string(), "a.tsv:2: the file is not UTF-8 here; save it in UTF-8");
    }

    #[test]
    fn labels_beyond_the_set_and_sets_of_one_are_refused() {
        let texts = read("a.tsv", "document\tlabel\na\t1\nb\t0\n").unwrap().examples;
        let labels = labels_of_texts(Path::new("a.tsv"), &texts).unwrap();
        assert_eq!(labels, ["0", "1"]);
        let other = read("b.tsv", "document\tlabel\na\t2\n").unwrap().examples;
        let error = check_texts(Path::new("b.tsv"), &other, &labels).unwrap_err();
        assert_eq!(error.to_string(), "b.tsv:2: the label `2` is not among those to learn from (0, 1)");
        assert!(labels_of_texts(Path::new("b.tsv"), &other).unwrap_err().to_string().contains("two at least"));
    }
}
