//! A table as CSV.

use std::io::{self, Write};

use super::{Column, Value, Writer};
use crate::csv::{field, number};

/// CSV that is being written.
pub(super) struct Csv<W>(W);

impl<W: Write> Csv<W> {
    /// Writes the names.
    pub fn begin(columns: &[Column], out: W) -> io::Result<Self> {
        let mut csv = Self(out);
        csv.line(columns.iter().map(|column| field(&column.name)))?;
        Ok(csv)
    }

    fn line(&mut self, fields: impl Iterator<Item = String>) -> io::Result<()> {
        for (at, field) in fields.enumerate() {
            if at > 0 {
                self.0.write_all(b",")?;
            }
            self.0.write_all(field.as_bytes())?;
        }
        self.0.write_all(b"\n")
    }
}

impl<W: Write> Writer for Csv<W> {
    fn row(&mut self, row: &[Value]) -> io::Result<()> {
        self.line(row.iter().map(|value| match value {
            Value::Missing => String::new(),
            Value::Text(text) => field(text),
            Value::Count(count) => count.to_string(),
            Value::Number(value) => number(*value),
            Value::Moment(at) => at.to_string(),
        }))
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.0.flush()
    }
}
