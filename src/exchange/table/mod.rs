//! Runs as tables for other programs: what the rows are ([`Shape`]), and how they are spelled ([`Spelling`]).
//!
//! Rows are written as they are read, so that a table of any length costs little memory. Nothing is rounded: a number reads back
//! with the bits that it was logged with.

mod delimited;
mod json_lines;
mod parquet;
mod rows;

use std::io::{self, Write};

pub use rows::Shape;

use crate::store::{Facts, Store, StoreError};
use crate::types::Timestamp;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// RFC 4180 with `\n`: names first, an empty field for what is not known.
    Csv,
    /// A JSON object a line; without the fields that are not known, and numbers that are not finite as strings.
    JsonLines,
    /// Apache Parquet, columns by type.
    Parquet,
}

/// Why a table could not be written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot write the table: {0}")]
    Write(#[from] io::Error),
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Count,
    Number,
    Moment,
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
struct Column {
    name: String,
    kind: Kind,
}

/// A value of a column of its kind.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Missing,
    Text(String),
    Count(i64),
    Number(f64),
    Moment(Timestamp),
}

/// Who spells rows.
trait Writer {
    fn row(&mut self, row: &[Value]) -> io::Result<()>;
    fn finish(self: Box<Self>) -> io::Result<()>;
}

impl Column {
    fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.into(), kind }
    }
}

/// Writes the table of `runs`, whose series are in `store`. How many rows it has.
///
/// # Errors
/// When a run cannot be read, or the table not written.
pub fn write(
    store: &Store,
    runs: &[Facts],
    shape: Shape,
    spelling: Spelling,
    out: impl Write,
) -> Result<usize, TableError> {
    let columns = rows::columns(runs, shape);
    let mut writer: Box<dyn Writer + '_> = match spelling {
        Spelling::Csv => Box::new(delimited::Csv::begin(&columns, out)?),
        Spelling::JsonLines => Box::new(json_lines::JsonLines::begin(&columns, out)),
        Spelling::Parquet => Box::new(parquet::Parquet::begin(&columns, out)?),
    };
    let mut count = 0;
    rows::each(store, runs, shape, &mut |row| {
        count += 1;
        Ok(writer.row(row)?)
    })?;
    writer.finish()?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::testing::{asked, at, new_store, point};
    use crate::store::{Index, Lineage, Logged, RunState};

    /// Two runs of a guest, one with a hole, and texts that a spreadsheet would run.
    fn store() -> (tempfile::TempDir, Store) {
        let (folder, store) = new_store();
        for (seed, rate) in [(1, 0.5), (2, 0.25)] {
            let serde_json::Value::Object(parameters) =
                json!({ "lr": rate, "seed": seed, "id": "=x", "who": "a,\"b\"" })
            else {
                unreachable!()
            };
            let logged = Logged { by: "train.py".into(), experiment: Some("gru".into()), parameters };
            let mut run = store.create_logged(&logged, &json!({}), &Lineage::default(), at(seed)).unwrap();
            let mut points =
                vec![point("loss", -3, f64::NEG_INFINITY), point("loss", 5, f64::NAN), point("acc", 5, -0.0)];
            points.push(crate::store::LoggedPoint { at: Some(at(7)), ..point("loss", 6, 5e-324) });
            points.truncate(if seed == 1 { 4 } else { 2 });
            run.points(points).unwrap();
            run.state(RunState::Finished, None, at(60)).unwrap();
        }
        (folder, store)
    }

    /// A guest may log a step twice, and go back.
    #[test]
    fn every_point_of_a_guest_is_a_row() {
        let (_folder, store) = new_store();
        let logged = Logged { by: "train.py".into(), experiment: None, parameters: serde_json::Map::new() };
        let mut run = store.create_logged(&logged, &json!({}), &Lineage::default(), at(1)).unwrap();
        run.points(
            [(1, 10.0), (2, 20.0), (1, 30.0), (1, 30.0)].map(|(step, value)| point("loss", step, value)).to_vec(),
        )
        .unwrap();
        run.state(RunState::Finished, None, at(60)).unwrap();
        let mut index = Index::open(&store).unwrap();
        let rows = index.query(&asked("limit=9")).unwrap();
        let mut out = Vec::new();
        write(&store, &index.facts(rows).unwrap(), Shape::Long, Spelling::Csv, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let points: Vec<&str> =
            text.lines().skip(1).map(|line| line["7h2kq9xw,,".len()..].rsplit_once(',').unwrap().0).collect();
        assert_eq!(points, ["loss,1,10", "loss,2,20", "loss,1,30", "loss,1,30"]);
    }

    fn file(bytes: &[u8]) -> std::fs::File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn text(shape: Shape, spelling: Spelling) -> String {
        let (_folder, store) = store();
        let mut index = Index::open(&store).unwrap();
        let rows = index.query(&asked("limit=9")).unwrap();
        let facts = index.facts(rows).unwrap();
        let mut out = Vec::new();
        write(&store, &facts, shape, spelling, &mut out).unwrap();
        // Ids are random.
        let mut text = String::from_utf8(out).unwrap();
        for (run, name) in facts.iter().zip(["run-b", "run-a"]) {
            text = text.replace(run.row.id.as_str(), name);
        }
        text
    }

    #[test]
    fn every_shape_as_csv() {
        insta::assert_snapshot!(text(Shape::Runs, Spelling::Csv), @r#"
        id,experiment,name,state,reason,tags,note,created,started,ended,took_secs,steps_done,total_steps,parameters,spec_hash,logged_by,starts_from,param.id,lr,seed,who,acc,acc.min,acc.max,loss,loss.min,loss.max
        run-b,gru,,finished,,,,1970-01-01T00:00:00.002Z,1970-01-01T00:00:00.002Z,1970-01-01T00:00:00.060Z,0.058,5,,,,train.py,,'=x,0.25,2,"a,""b""",,,,NaN,-inf,-inf
        run-a,gru,,finished,,,,1970-01-01T00:00:00.001Z,1970-01-01T00:00:00.001Z,1970-01-01T00:00:00.060Z,0.059,6,,,,train.py,,'=x,0.5,1,"a,""b""",0,0,0,5e-324,-inf,5e-324
        "#);
        insta::assert_snapshot!(text(Shape::Long, Spelling::Csv), @r"
        run,experiment,metric,step,value,time
        run-b,gru,loss,-3,-inf,
        run-b,gru,loss,5,NaN,1970-01-01T00:00:00.005Z
        run-a,gru,loss,-3,-inf,
        run-a,gru,loss,5,NaN,1970-01-01T00:00:00.005Z
        run-a,gru,acc,5,-0,1970-01-01T00:00:00.005Z
        run-a,gru,loss,6,5e-324,1970-01-01T00:00:00.007Z
        ");
        insta::assert_snapshot!(text(Shape::Wide, Spelling::Csv), @r"
        run,experiment,step,acc,loss
        run-b,gru,-3,,-inf
        run-b,gru,5,,NaN
        run-a,gru,-3,,-inf
        run-a,gru,5,-0,NaN
        run-a,gru,6,,5e-324
        ");
    }

    /// Read by the crate that wrote it; `tests/peers/tables.py` reads it with pyarrow.
    #[test]
    fn parquet_has_the_same_rows_with_their_bits() {
        use ::parquet::file::reader::{FileReader as _, SerializedFileReader};
        use ::parquet::record::RowAccessor as _;

        let (_folder, store) = store();
        let mut index = Index::open(&store).unwrap();
        let rows = index.query(&asked("seed=1")).unwrap();
        let facts = index.facts(rows).unwrap();
        let mut out = Vec::new();
        assert_eq!(write(&store, &facts, Shape::Long, Spelling::Parquet, &mut out).unwrap(), 4);
        let reader = SerializedFileReader::new(file(&out)).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        let told = |row: &::parquet::record::Row| {
            (row.get_string(2).unwrap().clone(), row.get_long(3).unwrap(), row.get_double(4).unwrap().to_bits())
        };
        let told: Vec<_> = rows.iter().map(told).collect();
        let value = |metric: &str, step: i64, value: f64| (metric.to_owned(), step, value.to_bits());
        let expected = [
            value("loss", -3, f64::NEG_INFINITY),
            value("loss", 5, f64::NAN),
            value("acc", 5, -0.0),
            value("loss", 6, 5e-324),
        ];
        assert_eq!(told, expected);
        assert_eq!(rows[3].get_timestamp_millis(5).unwrap(), at(7).unix_millis());
        assert!(rows[0].get_timestamp_millis(5).is_err(), "it has none");
    }

    /// Whatever metrics are called, every column has a name of its own, and says what its own metric was.
    #[test]
    fn metrics_that_are_called_as_columns_are_told_apart() {
        let (_folder, store) = new_store();
        let mut run = store.create_logged(&Logged::default(), &json!({}), &Lineage::default(), at(1)).unwrap();
        run.points(vec![point("step", 1, 0.5), point("m", 1, 2.0), point("m.min", 1, 1.0), point("run", 1, 3.0)])
            .unwrap();
        run.state(RunState::Finished, None, at(2)).unwrap();
        let id = run.dir().id().to_string();
        drop(run);
        let mut index = Index::open(&store).unwrap();
        let rows = index.query(&asked("limit=9")).unwrap();
        let facts = index.facts(rows).unwrap();
        let row = |shape| {
            let mut out = Vec::new();
            write(&store, &facts, shape, Spelling::JsonLines, &mut out).unwrap();
            serde_json::from_slice::<serde_json::Value>(&out).unwrap()
        };
        let wide = json!({ "run": id, "step": 1, "m": 2.0, "m.min": 1.0, "metric.run": 3.0, "metric.step": 0.5 });
        assert_eq!(row(Shape::Wide), wide);
        let runs = row(Shape::Runs);
        assert_eq!((&runs["m"], &runs["m.min"], &runs["metric.m.min"]), (&json!(2.0), &json!(2.0), &json!(1.0)));
    }

    #[test]
    fn every_shape_as_json_lines() {
        insta::assert_snapshot!(text(Shape::Runs, Spelling::JsonLines), @r#"
        {"id":"run-b","experiment":"gru","state":"finished","created":"1970-01-01T00:00:00.002Z","started":"1970-01-01T00:00:00.002Z","ended":"1970-01-01T00:00:00.060Z","took_secs":0.058,"steps_done":5,"logged_by":"train.py","param.id":"=x","lr":0.25,"seed":2,"who":"a,\"b\"","loss":"NaN","loss.min":"-Infinity","loss.max":"-Infinity"}
        {"id":"run-a","experiment":"gru","state":"finished","created":"1970-01-01T00:00:00.001Z","started":"1970-01-01T00:00:00.001Z","ended":"1970-01-01T00:00:00.060Z","took_secs":0.059,"steps_done":6,"logged_by":"train.py","param.id":"=x","lr":0.5,"seed":1,"who":"a,\"b\"","acc":0.0,"acc.min":0.0,"acc.max":0.0,"loss":5e-324,"loss.min":"-Infinity","loss.max":5e-324}
        "#);
        insta::assert_snapshot!(text(Shape::Long, Spelling::JsonLines), @r#"
        {"run":"run-b","experiment":"gru","metric":"loss","step":-3,"value":"-Infinity"}
        {"run":"run-b","experiment":"gru","metric":"loss","step":5,"value":"NaN","time":"1970-01-01T00:00:00.005Z"}
        {"run":"run-a","experiment":"gru","metric":"loss","step":-3,"value":"-Infinity"}
        {"run":"run-a","experiment":"gru","metric":"loss","step":5,"value":"NaN","time":"1970-01-01T00:00:00.005Z"}
        {"run":"run-a","experiment":"gru","metric":"acc","step":5,"value":-0.0,"time":"1970-01-01T00:00:00.005Z"}
        {"run":"run-a","experiment":"gru","metric":"loss","step":6,"value":5e-324,"time":"1970-01-01T00:00:00.007Z"}
        "#);
        insta::assert_snapshot!(text(Shape::Wide, Spelling::JsonLines), @r#"
        {"run":"run-b","experiment":"gru","step":-3,"loss":"-Infinity"}
        {"run":"run-b","experiment":"gru","step":5,"loss":"NaN"}
        {"run":"run-a","experiment":"gru","step":-3,"loss":"-Infinity"}
        {"run":"run-a","experiment":"gru","step":5,"acc":-0.0,"loss":"NaN"}
        {"run":"run-a","experiment":"gru","step":6,"loss":5e-324}
        "#);
    }
}
