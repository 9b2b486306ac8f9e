//! A table as JSON lines: an object a row, its fields in the order of the columns.

use std::io::{self, Write};

use serde_json::Value as Json;

use super::{Column, Value, Writer};

/// JSON lines that are being written.
pub(super) struct JsonLines<W> {
    names: Vec<String>,
    out: W,
}

impl<W: Write> JsonLines<W> {
    /// Lines with these fields.
    pub fn begin(columns: &[Column], out: W) -> Self {
        Self { names: columns.iter().map(|column| column.name.clone()).collect(), out }
    }
}

impl<W: Write> Writer for JsonLines<W> {
    fn row(&mut self, row: &[Value]) -> io::Result<()> {
        let field = |(name, value): (&String, &Value)| {
            let json = match value {
                Value::Missing => return None,
                Value::Text(text) => Json::from(text.as_str()),
                Value::Count(count) => Json::from(*count),
                Value::Number(number) if number.is_finite() => Json::from(*number),
                Value::Number(number) if number.is_nan() => Json::from("NaN"),
                Value::Number(number) => Json::from(if *number > 0.0 { "Infinity" } else { "-Infinity" }),
                Value::Moment(at) => Json::from(at.to_string()),
            };
            Some((name.clone(), json))
        };
        let object: serde_json::Map<String, Json> = self.names.iter().zip(row).filter_map(field).collect();
        serde_json::to_writer(&mut self.out, &object)?;
        self.out.write_all(b"\n")
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.out.flush()
    }
}
