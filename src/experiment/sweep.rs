//! What `[sweep]` declares, read and in canonical order: the parts that `plan::expand` puts together.
//!
//! The order of keys and tables in a file means nothing: columns are in the order of the key table, and the tables of
//! `[[sweep.zip]]`, `[[sweep.when]]`, `[[sweep.exclude]]` and `[[sweep.include]]` are sorted by what they say. Only the
//! order of the values within one list is the file's.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::diagnostic::Place;
use super::expression::Expression;
use super::keys::{self, Key};
use super::value::Value;
use super::{Axis, Point, Random, Setting};

/// The parts of a sweep, as declared.
#[derive(Clone, Debug, Default)]
pub struct Sweep {
    /// `[sweep.grid]`: the cartesian product.
    pub grid: Vec<Column>,
    /// `[[sweep.zip]]`: each one axis of correlated values.
    pub zips: Vec<Zip>,
    /// `[sweep.random]`: rows that are drawn.
    pub random: Option<Random>,
    /// `[[sweep.when]]`: axes that exist only where a condition holds.
    pub whens: Vec<When>,
    /// `[[sweep.exclude]]`: cells that are left out.
    pub excludes: Vec<Exclude>,
    /// `[[sweep.include]]`: cells that are added.
    pub includes: Vec<Include>,
    /// `[sweep.derive]`: keys computed from others, those that others are computed from first.
    pub derives: Vec<Derive>,
}

/// A key and the values that it takes.
#[derive(Clone, Debug)]
pub struct Column {
    pub key: &'static Key,
    /// Where the key stands.
    pub place: Place,
    pub values: Vec<Setting>,
}

/// Columns of one length, whose values go together: the first with the first, the second with the second.
#[derive(Clone, Debug)]
pub struct Zip {
    pub columns: Vec<Column>,
}

/// Axes that exist where all of `condition` holds.
#[derive(Clone, Debug)]
pub struct When {
    pub place: Place,
    pub condition: Vec<Term>,
    pub grid: Vec<Column>,
}

/// Cells that are left out because of something.
#[derive(Clone, Debug)]
pub struct Exclude {
    pub place: Place,
    pub matches: Vec<Term>,
    pub because: String,
}

/// One more cell; an axis that it does not name is absent there.
#[derive(Clone, Debug)]
pub struct Include {
    pub place: Place,
    pub row: Vec<(&'static Key, Setting)>,
}

/// A key computed from others, in every cell; no axis.
#[derive(Clone, Debug)]
pub struct Derive {
    pub key: &'static Key,
    /// Where the formula stands.
    pub place: Place,
    /// Where its text begins in the file, unless it is not written there letter by letter.
    pub start: Option<usize>,
    pub formula: Expression,
}

impl Derive {
    /// A part of the formula's text, in the file.
    pub fn part(&self, span: &Range<usize>) -> Place {
        self.start.map_or(self.place.clone(), |start| self.place.elsewhere(start + span.start..start + span.end))
    }
}

/// A key and the values of which it must have one.
#[derive(Clone, Debug)]
pub struct Term {
    pub key: &'static Key,
    /// Where the values stand.
    pub place: Place,
    pub any_of: Vec<Value>,
}

impl Sweep {
    /// Brings everything into its canonical order.
    pub(super) fn sort(&mut self) {
        sort_columns(&mut self.grid);
        self.zips.iter_mut().for_each(|zip| sort_columns(&mut zip.columns));
        self.zips.sort_by_key(|zip| zip.columns.first().map(|column| column.key.position()));
        for when in &mut self.whens {
            sort_columns(&mut when.grid);
            when.condition.sort_by_key(|term| term.key.position());
        }
        self.whens.sort_by_cached_key(|when| (columns_text(&when.grid), terms_text(&when.condition)));
        self.excludes.iter_mut().for_each(|exclude| exclude.matches.sort_by_key(|term| term.key.position()));
        self.excludes.sort_by_cached_key(|exclude| (terms_text(&exclude.matches), exclude.because.clone()));
        self.includes.iter_mut().for_each(|include| include.row.sort_by_key(|(key, _)| key.position()));
        self.includes.sort_by(|a, b| compare_rows(&a.row, &b.row));
    }

    /// The columns whose key has a value at every point of the product.
    pub fn always(&self) -> impl Iterator<Item = &Column> {
        let zips = self.zips.iter().flat_map(|zip| &zip.columns);
        self.grid.iter().chain(zips).chain(self.random.iter().flat_map(|random| &random.axes))
    }

    /// The columns of `[[sweep.when]]`.
    pub fn sometimes(&self) -> impl Iterator<Item = &Column> {
        self.whens.iter().flat_map(|when| &when.grid)
    }

    /// Every place where the sweep has a value for a key.
    pub fn places(&self, key: &str) -> BTreeSet<&Place> {
        let columns = self.always().chain(self.sometimes()).filter(|column| column.key.name == key);
        let rows = self.includes.iter().flat_map(|include| &include.row).filter(|(its, _)| its.name == key);
        let settings = columns.flat_map(|column| &column.values).chain(rows.map(|(_, setting)| setting));
        settings.filter_map(|setting| setting.place.as_ref()).collect()
    }

    /// Every key that varies, with all its good values, in the order of the key table.
    pub(super) fn axes(&self) -> Vec<Axis> {
        let mut axes: BTreeMap<usize, Axis> = BTreeMap::new();
        let rows = self.includes.iter().flat_map(|include| &include.row);
        let rows = rows.map(|(key, setting)| (*key, setting.place.clone(), std::slice::from_ref(setting)));
        let columns = self.always().chain(self.sometimes());
        let columns = columns.map(|column| (column.key, Some(column.place.clone()), column.values.as_slice()));
        for (key, place, values) in columns.chain(rows) {
            let axis = axes.entry(key.position()).or_insert_with(|| Axis::new(key, place.unwrap_or((0..0).into())));
            values.iter().for_each(|value| axis.add(value));
        }
        let mut axes: Vec<Axis> = axes.into_values().collect();
        label(&mut axes);
        axes
    }
}

impl Axis {
    fn new(key: &'static Key, place: Place) -> Self {
        Self { key, label: String::new(), place, values: Vec::new(), index: BTreeMap::new() }
    }

    fn add(&mut self, setting: &Setting) {
        let next = self.values.len();
        if *self.index.entry(setting.value.to_string()).or_insert(next) == next {
            self.values.push(setting.clone());
        }
    }

    /// The index of a value among the axis's values.
    pub fn index_of(&self, value: &Value) -> Option<usize> {
        self.index.get(&value.to_string()).copied()
    }
}

impl Term {
    /// `objective.nsp = off`, with `or` between several values.
    pub fn describe(&self) -> String {
        let values: Vec<String> = self.any_of.iter().map(Value::to_string).collect();
        format!("{} = {}", self.key.name, values.join(" or "))
    }
}

impl Point {
    /// The point of a sweep with so many axes where all of them are absent.
    pub fn nowhere(axes: usize) -> Self {
        Self(vec![None; axes])
    }

    /// The index of the value that an axis has here.
    pub fn get(&self, axis: usize) -> Option<usize> {
        self.0.get(axis).copied().flatten().map(|index| index as usize)
    }

    /// The same point, with a value for an axis.
    pub fn with(&self, axis: usize, index: usize) -> Self {
        let mut point = self.clone();
        point.0[axis] = u32::try_from(index).ok();
        point
    }
}

/// Gives each axis its short name.
fn label(axes: &mut [Axis]) {
    let names = keys::short_names(&axes.iter().map(|axis| axis.key.name).collect::<Vec<_>>());
    axes.iter_mut().zip(names).for_each(|(axis, name)| axis.label = name);
}

fn sort_columns(columns: &mut [Column]) {
    columns.sort_by_key(|column| column.key.position());
}

fn columns_text(columns: &[Column]) -> Vec<(usize, Vec<String>)> {
    let text = |column: &Column| column.values.iter().map(|setting| setting.value.to_string()).collect();
    columns.iter().map(|column| (column.key.position(), text(column))).collect()
}

fn terms_text(terms: &[Term]) -> Vec<(usize, Vec<String>)> {
    let text = |term: &Term| {
        let mut values: Vec<String> = term.any_of.iter().map(Value::to_string).collect();
        values.sort();
        values
    };
    terms.iter().map(|term| (term.key.position(), text(term))).collect()
}

/// Rows by their first key that differs, numbers by size, text by letters.
fn compare_rows(a: &[(&Key, Setting)], b: &[(&Key, Setting)]) -> Ordering {
    let pairs = a.iter().zip(b).map(|((key, setting), (other, its))| {
        key.position().cmp(&other.position()).then_with(|| compare_values(&setting.value, &its.value))
    });
    pairs.fold(Ordering::Equal, Ordering::then).then(a.len().cmp(&b.len()))
}

/// Numbers by size, anything else by its text.
pub(super) fn compare_values(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
        _ => a.to_string().cmp(&b.to_string()),
    }
}
