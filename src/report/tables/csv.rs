//! A table as CSV (RFC 4180): names first, numbers with every digit, and no text that a spreadsheet would run.

use super::{Entry, Reader, Table};
use crate::csv::{field as csv_field, number};
use crate::store::Cell;

/// The table for programs.
pub fn csv(table: &Table) -> String {
    let places = table.columns_for(Reader::Program);
    let mut lines = vec![places.iter().map(|&i| csv_field(&table.columns[i].name)).collect::<Vec<_>>()];
    lines.extend(table.rows.iter().map(|row| places.iter().map(|&i| field(&row[i])).collect()));
    lines.iter().map(|fields| fields.join(",") + "\r\n").collect()
}

/// Columns of runs for programs: moments as ISO 8601, times in seconds, sizes in bytes. Lines end as those of a shell's
/// other tools, for it is read by them.
pub fn csv_of_runs(columns: &[String], rows: &[Vec<Option<Cell>>]) -> String {
    let entry = |cell: &Option<Cell>| match cell {
        None => String::new(),
        Some(Cell::Text(text)) => csv_field(text),
        Some(Cell::Number(value) | Cell::Seconds(value)) => number(*value),
        Some(Cell::Count(count) | Cell::Bytes(count)) => count.to_string(),
        Some(Cell::Moment(at)) => at.to_string(),
    };
    let names = columns.iter().map(|name| csv_field(name)).collect::<Vec<_>>();
    let rows = rows.iter().map(|row| row.iter().map(entry).collect::<Vec<_>>());
    std::iter::once(names).chain(rows).map(|fields| fields.join(",") + "\n").collect()
}

fn field(entry: &Entry) -> String {
    match entry {
        Entry::Text(text) => csv_field(text),
        Entry::Number(value, _) => number(*value),
        Entry::Missing => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::analysis::fixture;
    use crate::report::tables::{Column, tables};

    /// RFC 4180, read character by character.
    fn parse(text: &str) -> Vec<Vec<String>> {
        let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
        let mut rest = text.chars().peekable();
        let mut is_quoted = false;
        while let Some(c) = rest.next() {
            match (c, is_quoted) {
                ('"', true) if rest.peek() == Some(&'"') => field.extend(rest.next()),
                ('"', _) => is_quoted = !is_quoted,
                (',', false) => row.push(std::mem::take(&mut field)),
                ('\r', false) => {
                    assert_eq!(rest.next(), Some('\n'));
                    row.push(std::mem::take(&mut field));
                    rows.push(std::mem::take(&mut row));
                }
                (c, _) => field.push(c),
            }
        }
        assert!(row.is_empty() && field.is_empty() && !is_quoted);
        rows
    }

    fn table(rows: Vec<Vec<Entry>>) -> Table {
        let columns = ["a", "b"].map(|name| Column { name: name.to_owned(), is_number: false, reader: Reader::Both });
        Table { name: "table", title: String::new(), columns: columns.into(), rows }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(texts in prop::collection::vec(("[-=+@,'\" \r\n\ta-c한]{0,8}", any::<f64>()), 1..6)) {
            let rows = texts.iter().map(|(text, value)| vec![Entry::text(text), Entry::Number(*value, String::new())]);
            let read = parse(&csv(&table(rows.collect())));
            prop_assert_eq!(read.len(), texts.len() + 1);
            for (row, (text, value)) in read[1..].iter().zip(&texts) {
                prop_assert_eq!(crate::csv::plain(&row[0]), text);
                prop_assert!(!row[0].starts_with(['=', '+', '-', '@', '\t', '\r']));
                let number = row[1].parse::<f64>().unwrap();
                prop_assert!(number == *value || value.is_nan());
            }
        }
    }

    #[test]
    fn runs_as_csv() {
        let at = "2026-01-31T09:30:00Z".parse().unwrap();
        let row = [Cell::Text("=1,2".into()), Cell::Number(f64::NAN), Cell::Moment(at), Cell::Bytes(7)].map(Some);
        let rows = [row.to_vec(), vec![None, Some(Cell::Number(f64::INFINITY)), None, Some(Cell::Seconds(1.5))]];
        let text = csv_of_runs(&["a", "b", "c", "d"].map(str::to_owned), &rows);
        assert_eq!(text, "a,b,c,d\n\"'=1,2\",NaN,2026-01-31T09:30:00.000Z,7\n,inf,,1.5\n");
        assert_eq!(parse(&text.replace("\n", "\r\n")).len(), 3);
    }

    #[test]
    fn effects_as_csv() {
        let tables = tables(&fixture::sweep());
        let table = tables.iter().find(|table| table.name == "effects").unwrap();
        let text = csv(table);
        assert_eq!(parse(&text).len(), 4);
        insta::assert_snapshot!(text.lines().next().unwrap(), @"effect,difference,low_95,high_95,settings,p_corrected,verdict,note");
    }
}
