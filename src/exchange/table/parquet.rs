//! A table as Apache Parquet: texts as UTF-8, counts as INT64, numbers as DOUBLE, moments as milliseconds in UTC.
//!
//! Every column may lack a value. Columns are dictionary-encoded where that is shorter, and not compressed.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;

use super::{Column, Kind, Value, Writer};

/// Rows that are held until they are written as a group.
const GROUP: usize = 1 << 16;

/// A file that is being written.
pub(super) struct Parquet<W> {
    /// What is written collects here and moves on with each group: the crate wants an output that could change threads.
    file: SerializedFileWriter<Vec<u8>>,
    out: W,
    columns: Vec<Held>,
    rows: usize,
}

/// Values of a column that are held, and for each row whether it has one.
struct Held {
    kind: Kind,
    has_value: Vec<i16>,
    texts: Vec<ByteArray>,
    counts: Vec<i64>,
    numbers: Vec<f64>,
}

impl<W: Write> Parquet<W> {
    /// Writes what a file begins with.
    pub fn begin(columns: &[Column], out: W) -> io::Result<Self> {
        let fields = columns.iter().map(|column| field(column).map(Arc::new)).collect::<Result<_, _>>();
        let schema = Type::group_type_builder("runs").with_fields(fields.map_err(failed)?).build().map_err(failed)?;
        let properties = Arc::new(WriterProperties::builder().set_created_by("ablate".to_owned()).build());
        let file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), properties).map_err(failed)?;
        Ok(Self { file, out, columns: columns.iter().map(|column| Held::new(column.kind)).collect(), rows: 0 })
    }

    fn write_group(&mut self) -> io::Result<()> {
        let mut group = self.file.next_row_group().map_err(failed)?;
        for held in &mut self.columns {
            let column = group.next_column().map_err(failed)?;
            let column = column.ok_or_else(|| io::Error::other("the schema has fewer columns than the table"))?;
            held.write(column).map_err(failed)?;
        }
        group.close().map_err(failed)?;
        self.rows = 0;
        self.out.write_all(&std::mem::take(self.file.inner_mut()))
    }
}

impl<W: Write> Writer for Parquet<W> {
    fn row(&mut self, row: &[Value]) -> io::Result<()> {
        self.columns.iter_mut().zip(row).for_each(|(held, value)| held.hold(value));
        self.rows += 1;
        if self.rows == GROUP { self.write_group() } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        if self.rows > 0 {
            self.write_group()?;
        }
        let rest = self.file.into_inner().map_err(failed)?;
        self.out.write_all(&rest)?;
        self.out.flush()
    }
}

fn field(column: &Column) -> Result<Type, ParquetError> {
    let (physical, logical) = match column.kind {
        Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Kind::Count => (Physical::INT64, None),
        Kind::Number => (Physical::DOUBLE, None),
        Kind::Moment => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS))),
    };
    Type::primitive_type_builder(&column.name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .build()
}

impl Held {
    fn new(kind: Kind) -> Self {
        Self { kind, has_value: Vec::new(), texts: Vec::new(), counts: Vec::new(), numbers: Vec::new() }
    }

    fn hold(&mut self, value: &Value) {
        self.has_value.push(i16::from(*value != Value::Missing));
        match value {
            Value::Missing => {}
            Value::Text(text) => self.texts.push(text.as_str().into()),
            Value::Count(count) => self.counts.push(*count),
            Value::Number(number) => self.numbers.push(*number),
            Value::Moment(at) => self.counts.push(at.unix_millis()),
        }
    }

    fn write(&mut self, column: SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        fn put<T: DataType>(
            mut column: SerializedColumnWriter<'_>,
            values: &mut Vec<T::T>,
            has_value: &[i16],
        ) -> Result<(), ParquetError> {
            column.typed::<T>().write_batch(values, Some(has_value), None)?;
            values.clear();
            column.close()
        }
        let has_value = std::mem::take(&mut self.has_value);
        match self.kind {
            Kind::Text => put::<ByteArrayType>(column, &mut self.texts, &has_value),
            Kind::Count | Kind::Moment => put::<Int64Type>(column, &mut self.counts, &has_value),
            Kind::Number => put::<DoubleType>(column, &mut self.numbers, &has_value),
        }
    }
}

fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}
