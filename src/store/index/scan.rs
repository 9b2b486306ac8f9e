//! A few values of each of many runs, for who counts and averages them: no run is read whole, and none is kept.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, params_from_iter};

use super::select::{number, texts};
use super::{Cell, Field, Index, RunQuery, RunState, Selection, StoreError, name_of, rows};
use crate::store::query::{Attribute, Holds, number_of};
use crate::syntax::Mistake;

/// What is looked at of each run.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// What runs have as words, by which they can be told apart: settings, the state, experiments.
    pub words: &'a [String],
    /// What may be numbers that can be averaged: metrics, and what a run took. Names of anything else are passed over.
    pub numbers: &'a [String],
}

/// What a run has of that.
#[derive(Clone, Debug, PartialEq)]
pub struct Looked {
    pub state: RunState,
    /// Of each name all that the run has: a setting once, of experiments and tags as many as there are.
    pub words: Vec<Vec<Spelled>>,
    /// Of each column of [`Index::scan`] its number, which may be NaN.
    pub numbers: Vec<Option<f64>>,
}

/// A word, and the number that it is compared as, if it is one: `1e-3` and `0.001` are one value of a setting, and two names.
#[derive(Clone, Debug, PartialEq)]
pub struct Spelled {
    pub text: String,
    pub number: Option<f64>,
}

/// A column of numbers: its name, and how one of its numbers is a value of a table.
pub type NumberColumn = (String, fn(f64) -> Cell);

impl Index {
    /// Looks at each run that `query` wants, in no certain order. The columns are those of `numbers` that hold numbers.
    ///
    /// # Errors
    /// [`StoreError::Query`] when no run has what is named, or runs cannot be told apart by it.
    pub fn scan(
        &self,
        query: &RunQuery,
        wanted: Wanted<'_>,
        each: &mut dyn FnMut(Looked),
    ) -> Result<Vec<NumberColumn>, StoreError> {
        self.at_one_moment(|| {
            let known = rows::known(&self.connection, std::iter::empty()).map_err(|source| self.failed(source))?;
            let field = |name: &String| self.field_of(&known, name, &name_of(name));
            let told_apart = |name: &String| field(name).and_then(|field| can_tell_apart(name, field));
            let words = wanted.words.iter().map(told_apart).collect::<Result<Vec<_>, _>>()?;
            let mut columns: Vec<NumberColumn> = Vec::new();
            let mut fields = Vec::new();
            for name in wanted.numbers {
                let field = field(name)?;
                if let Some(cell) = cell_of(&field) {
                    columns.push((name.clone(), cell));
                    fields.push(field);
                }
            }
            let selection = self.resolve(query)?;
            // The order matters to who takes the first so many alone.
            let order = if selection.limit.is_some() { selection.order.clone() } else { Vec::new() };
            let at_steps = fields.iter().map(|field| (field.clone(), false)).chain(order.iter().cloned()).collect();
            self.look_at_running()?;
            self.look_at_steps(&Selection { order: at_steps, ..selection.clone() })?;
            let parts = words.iter().map(texts).chain(fields.iter().map(number)).collect::<Vec<_>>();
            let statement = rows::selecting(&Selection { order, ..selection }, &parts);
            let are_numbers: Vec<bool> = words.iter().map(may_be_number).collect();
            go_through(&self.connection, statement, &are_numbers, fields.len(), each)
                .map_err(|source| self.failed(source))?;
            Ok(columns)
        })
    }
}

/// Reads the rows of a statement whose columns are lists of words, of which some may be numbers, and after them so many numbers.
pub(super) fn go_through(
    connection: &Connection,
    (sql, values): (String, Vec<Value>),
    may_be_numbers: &[bool],
    numbers: usize,
    each: &mut dyn FnMut(Looked),
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&sql)?;
    let mut found = statement.query(params_from_iter(values))?;
    while let Some(row) = found.next()? {
        let words = |(at, may_be_number): (usize, &bool)| -> rusqlite::Result<Vec<Spelled>> {
            let Some(list) = row.get::<_, Option<String>>(at)? else { return Ok(Vec::new()) };
            let texts: Vec<String> = serde_json::from_str(&list).map_err(rows::damaged)?;
            let spelled = |text: String| Spelled { number: number_of(&text).filter(|_| *may_be_number), text };
            Ok(texts.into_iter().map(spelled).collect())
        };
        let number = |at: usize| -> rusqlite::Result<Option<f64>> {
            Ok(match row.get_ref(at)? {
                ValueRef::Null => None,
                ValueRef::Text(_) => Some(f64::NAN),
                ValueRef::Integer(whole) => Some(whole as f64),
                _ => row.get(at)?,
            })
        };
        each(Looked {
            state: rows::state(row, "state_now")?,
            words: may_be_numbers.iter().enumerate().map(words).collect::<Result<_, _>>()?,
            numbers: (may_be_numbers.len()..may_be_numbers.len() + numbers).map(number).collect::<Result<_, _>>()?,
        });
    }
    Ok(())
}

/// The field, where its values are words or counts: times and metrics are hardly ever the same twice.
fn can_tell_apart(name: &str, field: Field) -> Result<Field, StoreError> {
    let is_measured = match &field {
        Field::Metric(..) => true,
        Field::Attribute(attribute) => {
            matches!(attribute.holds(), Holds::Moment | Holds::Seconds | Holds::Bytes)
        }
        _ => false,
    };
    if !is_measured {
        return Ok(field);
    }
    let mistake = Mistake::new(0..name.len(), format!("`{name}` is measured: nearly every run has another"));
    let mistake = mistake.help("runs are grouped by settings, states, experiments and tags");
    Err(StoreError::Query { text: name.to_owned(), mistake: Box::new(mistake) })
}

/// Whether a query compares the words of the field as numbers where they are some.
fn may_be_number(field: &Field) -> bool {
    match field {
        Field::Setting(_) | Field::Provenance(_) => true,
        Field::Attribute(attribute) => attribute.holds() == Holds::Number,
        Field::Metric(..) | Field::Lineage(_) => false,
    }
}

/// How a number of the field is a value of a table; absent where it holds none that can be averaged.
fn cell_of(field: &Field) -> Option<fn(f64) -> Cell> {
    match field {
        Field::Metric(..) => Some(Cell::Number),
        Field::Attribute(Attribute::Took) => Some(Cell::Seconds),
        Field::Attribute(Attribute::Disk) => Some(|bytes| Cell::Bytes(bytes.round().max(0.0) as u64)),
        Field::Attribute(Attribute::StepsDone | Attribute::TotalSteps | Attribute::Parameters) => Some(Cell::Number),
        _ => None,
    }
}
