//! The experiment file: TOML text to an [`Experiment`], every mistake reported at its place in one pass.
//!
//! An experiment asks one question by a sweep: base settings, axes that are varied, seeds that repeat each cell. The
//! settings of one cell come in layers, each over the one before: defaults of the key table, the model preset, the file,
//! `--set` arguments, the values of the axes. What an experiment amounts to is for `plan` to say: [`read`] therefore
//! gives a [`Draft`], which `plan::read` checks cell by cell and releases.

mod codec;
mod diagnostic;
pub mod keys;
mod presets;
mod reader;
mod suggest;
mod value;

pub use codec::{CodecError, read as read_toml, write as write_toml};
pub use diagnostic::{Diagnostic, Diagnostics, Label, Place, Severity, Source};
pub use keys::Key;
pub use presets::names as preset_names;
pub use reader::read;
pub use suggest::nearest;
pub use value::{Bounds, Kind, Value};

use std::collections::{BTreeMap, BTreeSet};

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
    /// The axes of `[sweep.grid]`: in the order of the key table, whatever their order in the file.
    pub axes: Vec<Axis>,
    /// The seeds that every cell runs with, distinct, in order.
    pub seeds: Vec<Seed>,
    pub report: Report,
    /// What is odd, but no mistake.
    pub warnings: Vec<Diagnostic>,
    /// The file itself, for messages that come up later.
    pub source: Source,
    /// Keys that were given a value that is none; empty in a released experiment.
    broken: BTreeSet<&'static str>,
}

/// An experiment whose cells are not checked yet, with the mistakes found so far.
#[derive(Clone, Debug)]
pub struct Draft {
    pub experiment: Experiment,
    pub diagnostics: Vec<Diagnostic>,
}

/// Whether less or more of the metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    Minimize,
    Maximize,
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

/// A key that is varied, and its values in the order of the file.
#[derive(Clone, Debug)]
pub struct Axis {
    pub key: &'static Key,
    /// The short name for tables and figures: the last part of the key where that is unique among the axes, the section
    /// for a key `kind`, the whole key otherwise.
    pub label: String,
    /// Where the key stands.
    pub place: Place,
    pub values: Vec<Setting>,
}

/// What the comparison draws.
#[derive(Clone, Debug)]
pub struct Report {
    pub figures: Vec<String>,
    pub colour_by: Option<&'static Key>,
    pub x: Option<&'static Key>,
}

/// The settings of one cell: a value for each key that has one.
#[derive(Clone, Debug)]
pub struct Settings(BTreeMap<&'static str, Setting>);

impl Experiment {
    /// The axis of this key.
    pub fn axis(&self, key: &str) -> Option<&Axis> {
        self.axes.iter().find(|axis| axis.key.name == key)
    }

    /// The settings of the cell where the axes have the values of `point`, through all layers.
    ///
    /// In a draft, keys with broken values are absent, and so is what hangs on them.
    pub fn settings(&self, point: &[(&Axis, &Setting)]) -> Settings {
        let mut settings = Settings(BTreeMap::new());
        for (key, value) in keys::defaults() {
            settings.put(key, Setting { value: value.clone(), place: None, preset: None });
        }
        let named = point.iter().find(|(axis, _)| axis.key.name == "model.preset").map(|(_, setting)| *setting);
        if let Some(named) = named.or(self.given.get("model.preset"))
            && let Some(preset) = presets::find(&named.value.to_string())
        {
            for (key, value) in &preset.settings {
                let setting = Setting { value: value.clone(), place: named.place.clone(), preset: Some(preset.name) };
                settings.put(key, setting);
            }
        }
        if self.broken.contains("model.preset") {
            settings.0.retain(|name, _| !name.starts_with("model."));
        }
        for (name, setting) in &self.given {
            settings.put(keys::find(name).expect("invariant: only keys are given"), setting.clone());
        }
        for (axis, setting) in point {
            settings.put(axis.key, (*setting).clone());
        }
        for name in &self.broken {
            settings.0.remove(name);
            keys::rival(name).map(|rival| settings.0.remove(rival.name));
        }
        settings
    }
}

impl Settings {
    fn put(&mut self, key: &'static Key, setting: Setting) {
        if let Some(rival) = keys::rival(key.name) {
            self.0.remove(rival.name);
        }
        if key.is_setting() {
            self.0.insert(key.name, setting);
        }
    }

    /// The setting of a key; nothing when it has none (an optional key, the other of an exclusive pair).
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.0.get(key)
    }

    /// All settings, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Setting)> {
        self.0.iter().map(|(name, setting)| (*name, setting))
    }

    /// The value of a whole-number key.
    pub fn integer(&self, key: &str) -> Option<i64> {
        match self.get(key)?.value {
            Value::Integer(value) => Some(value),
            _ => None,
        }
    }

    /// The value of a number key.
    pub fn float(&self, key: &str) -> Option<f64> {
        match self.get(key)?.value {
            Value::Float(value) => Some(value),
            _ => None,
        }
    }

    /// The value of a text or choice key.
    pub fn text(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.value {
            Value::Text(value) => Some(value),
            _ => None,
        }
    }
}
