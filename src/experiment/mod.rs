//! The experiment file: TOML text to an [`Experiment`], every mistake reported at its place in one pass.
//!
//! An experiment asks one question by a sweep: base settings, axes that are varied, replicates of each cell. The
//! settings of one cell come in layers, each over the one before: defaults of the key table, the model preset, the file
//! that this one builds on, the file, `--set` arguments, the values of the axes, what is computed from them. What an experiment amounts to is for `plan` to say: [`read`] therefore
//! gives a [`Draft`], which `plan::read` checks cell by cell and releases. How axes become cells is in `plan::expand`.

mod budget;
mod codec;
mod decimal;
mod diagnostic;
mod expression;
pub mod keys;
mod number;
pub mod presets;
pub mod problem;
mod random;
mod range;
mod reader;
mod settings;
mod sobol;
mod sweep;
mod value;

pub use budget::Budget;
pub use codec::{CodecError, read as read_toml, write as write_toml};
pub use diagnostic::{Diagnostic, Diagnostics, Label, Place, Severity, Source, Sources};
pub use expression::Expression;
pub use keys::{Key, nearest_key};
pub use number::Bounds;
pub use random::Random;
pub use reader::{LoadBase, read};
pub use settings::Settings;
pub use sweep::{Column, Derive, Exclude, Include, Sweep, Term, When, Zip};
pub use value::{Kind, Value};

use std::collections::BTreeMap;
use std::fmt;

use crate::types::metrics::Goal;
use crate::types::{MetricName, Seed};

/// A declared experiment.
#[derive(Clone, Debug)]
pub struct Experiment {
    pub name: String,
    /// The question in a sentence; empty when the file asks none.
    pub question: String,
    pub metric: MetricName,
    pub goal: Goal,
    /// The cell that the others are compared with, as a value for every axis.
    pub baseline: Option<Vec<(&'static Key, Setting)>>,
    /// What the file and the command line give, by key; nothing of defaults and presets.
    pub given: BTreeMap<&'static str, Setting>,
    /// Every key that varies: in the order of the key table, whatever their order in the file.
    pub axes: Vec<Axis>,
    /// How they vary together.
    pub sweep: Sweep,
    /// What repeats every cell, in order.
    pub replicates: Vec<Replicate>,
    pub report: Report,
    /// All that the files and the command line say of keys, nearer files first, whether or not it counts in the end.
    pub said: Vec<Said>,
    /// What is odd, but no mistake.
    pub warnings: Vec<Diagnostic>,
    /// The file and those that it builds on, for messages that come up later.
    pub source: Sources,
    /// The layers below the axes, for each preset: see [`Settings`].
    bases: BTreeMap<String, settings::Base>,
}

/// One repetition of every cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replicate {
    /// Counted from 0; of drawn luck, from `train.seed`.
    pub number: u64,
    /// The seed of every cell; absent where each combination of settings that re-draw luck has one of its own.
    pub seed: Option<Seed>,
}

/// An experiment whose cells are not checked yet, with the mistakes found so far.
#[derive(Clone, Debug)]
pub struct Draft {
    pub experiment: Experiment,
    pub diagnostics: Vec<Diagnostic>,
}

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    pub value: Value,
    /// Where it was written; a preset's value is where the preset was named, a default is nowhere.
    pub place: Option<Place>,
    /// The preset that it comes from.
    pub preset: Option<&'static str>,
}

/// Something that is said of a key.
#[derive(Clone, Debug)]
pub struct Said {
    pub key: &'static Key,
    pub part: Part,
    /// A value, or what values are made from.
    pub text: String,
    pub place: Place,
}

/// The part of the format in which something is said of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A value for every cell.
    Value,
    Grid,
    Zip,
    When,
    Include,
    Random,
    Derive,
}

/// A key that is varied, and all its values: those of the grid first, in the order of the file.
#[derive(Clone, Debug)]
pub struct Axis {
    pub key: &'static Key,
    /// The short name for tables and figures: the last part of the key where that is unique among the axes, the section
    /// for a key `kind`, the whole key otherwise.
    pub label: String,
    /// Where the key stands.
    pub place: Place,
    pub values: Vec<Setting>,
    /// The index of each value, by its text.
    index: BTreeMap<String, usize>,
}

/// One cell's place in the sweep: for every axis the index of its value, or nothing where the axis does not exist.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point(Vec<Option<u32>>);

/// What the comparison draws.
#[derive(Clone, Debug)]
pub struct Report {
    pub figures: Vec<String>,
    pub colour_by: Option<&'static Key>,
    pub x: Option<&'static Key>,
    /// The smallest difference of the metric that is of interest.
    pub negligible: Option<f64>,
    /// Whether figures carry title, explanation and caption.
    pub has_words: bool,
    /// Whether figures are for one of two columns, and not for the width of a page.
    pub is_column: bool,
}

/// As it is written in a file.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value => "value",
            Self::Grid => "[sweep.grid]",
            Self::Zip => "[[sweep.zip]]",
            Self::When => "[[sweep.when]]",
            Self::Include => "[[sweep.include]]",
            Self::Random => "[sweep.random]",
            Self::Derive => "[sweep.derive]",
        })
    }
}

/// What tells a run from the others of its cell.
impl fmt::Display for Replicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seed {
            Some(seed) => write!(f, "seed={seed}"),
            None => write!(f, "replicate={}", self.number),
        }
    }
}

impl Experiment {
    /// The axis of this key.
    pub fn axis(&self, key: &str) -> Option<&Axis> {
        self.axes.iter().find(|axis| axis.key.name == key)
    }
}
