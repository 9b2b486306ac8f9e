//! Where the value of a key comes from: each layer's word on it, the lowest first, and in how many cells it counts.
//!
//! Users of layered configuration lose hours to a value that another layer overrides without a word. Here nothing is
//! lost on the way: what a file says is kept when a nearer one wins over it, and shown as counting in no cell.

use std::collections::{BTreeMap, BTreeSet};

use super::expand::expand;
use crate::experiment::{Experiment, Key, Part, Place, Point, Said, Setting};

/// All that is known of where a key's value comes from.
#[derive(Clone, Debug)]
pub struct Explanation {
    pub key: &'static Key,
    /// From the lowest to the highest.
    pub layers: Vec<Layer>,
    /// The cells of the sweep.
    pub cells: usize,
    /// The cells in which the key has no value.
    pub absent: usize,
}

/// What one layer says.
#[derive(Clone, Debug)]
pub struct Layer {
    /// `default`, `preset nano`, `base`, `file`, `--set`, or the part of the sweep.
    pub name: String,
    pub value: String,
    pub place: Option<Place>,
    /// The cells whose value is this one.
    pub cells: usize,
}

/// Explains a key: a setting cell by cell, and what describes the experiment as a whole the same for all cells.
pub fn explain(experiment: &Experiment, key: &'static Key) -> Explanation {
    let points = expand(experiment).0.points;
    let counts = Counts::new(experiment, key, &points);
    let default = key.default_value().map(|value| Setting { value, place: None, preset: None });
    let presets = experiment.preset_settings(key.name);
    let below = default.into_iter().chain(presets).map(|setting| Layer {
        name: setting.preset.map_or("default".to_owned(), |preset| format!("preset {preset}")),
        value: setting.value.to_string(),
        cells: counts.of(&setting),
        place: setting.place,
    });
    let live = experiment.sweep.places(key.name);
    let mut said: Vec<&Said> = experiment.said.iter().filter(|said| said.key.name == key.name).collect();
    // A later argument wins over an earlier one, and a nearer file over a farther one.
    said.sort_by_key(|said| match said.place {
        Place::File { file, .. } => usize::MAX - 1 - file,
        Place::Argument(_) => usize::MAX,
    });
    let mut seen = BTreeSet::new();
    let said = said.into_iter().filter_map(|said| {
        let is_live = live.contains(&said.place);
        let is_new = seen.insert((said.part, said.text.as_str(), is_live));
        (is_new || !is_live).then(|| Layer {
            name: layer_name(said),
            value: counts.value_of(said),
            cells: counts.of_said(said, is_live),
            place: Some(said.place.clone()),
        })
    });
    Explanation { key, layers: below.chain(said).collect(), cells: points.len(), absent: counts.absent }
}

fn layer_name(said: &Said) -> String {
    match (said.part, &said.place) {
        (Part::Value, Place::Argument(_)) => "--set".to_owned(),
        (Part::Value, Place::File { file: 0, .. }) => "file".to_owned(),
        (Part::Value, Place::File { .. }) => "base".to_owned(),
        (part, Place::File { file: 1.., .. }) => format!("{part} of the base"),
        (part, _) => part.to_string(),
    }
}

/// In how many cells each value counts, by where it comes from.
struct Counts {
    /// By value, where the key is an axis of the cell.
    of_axis: BTreeMap<String, usize>,
    /// The values of the axis that come from one place, for what is drawn.
    values: Vec<(Option<Place>, String)>,
    /// By place, preset and value elsewhere.
    others: BTreeMap<(Option<Place>, Option<&'static str>, String), usize>,
    absent: usize,
}

impl Counts {
    fn new(experiment: &Experiment, key: &'static Key, points: &[Point]) -> Self {
        let mut counts = Self { of_axis: BTreeMap::new(), values: Vec::new(), others: BTreeMap::new(), absent: 0 };
        let axis = experiment.axis(key.name).map_or(&[][..], |axis| &axis.values);
        counts.values = axis.iter().map(|setting| (setting.place.clone(), setting.value.to_string())).collect();
        let default = key.default_value().map(|value| Setting { value, place: None, preset: None });
        for point in points {
            let cell = experiment.settings(point);
            let whole = || experiment.given.get(key.name).or(default.as_ref());
            let Some(setting) = (if key.is_setting() { cell.get(key.name) } else { whole() }) else {
                counts.absent += 1;
                continue;
            };
            let value = setting.value.to_string();
            let count = if experiment.values(point).any(|(axis, _)| axis.key.name == key.name) {
                counts.of_axis.entry(value).or_default()
            } else {
                counts.others.entry((setting.place.clone(), setting.preset, value)).or_default()
            };
            *count += 1;
        }
        counts
    }

    fn of(&self, setting: &Setting) -> usize {
        let origin = (setting.place.clone(), setting.preset, setting.value.to_string());
        self.others.get(&origin).copied().unwrap_or(0)
    }

    fn of_said(&self, said: &Said, is_live: bool) -> usize {
        match said.part {
            // An argument may fix an axis at one value.
            Part::Value | Part::Derive if !is_live => self.at(&said.place).map(|(_, n)| n).sum(),
            Part::Random if is_live => {
                let drawn = self.values.iter().filter(|(place, _)| place.as_ref() == Some(&said.place));
                drawn.filter_map(|(_, value)| self.of_axis.get(value)).sum()
            }
            _ if is_live => self.of_axis.get(&said.text).copied().unwrap_or(0),
            _ => 0,
        }
    }

    /// The values that come from a place, and their cells.
    fn at(&self, place: &Place) -> impl Iterator<Item = (&str, usize)> {
        let is_here = move |origin: &(Option<Place>, Option<&str>, String)| {
            origin.0.as_ref() == Some(place) && origin.1.is_none()
        };
        self.others.iter().filter(move |(origin, _)| is_here(origin)).map(|(origin, n)| (origin.2.as_str(), *n))
    }

    /// What was said, and what a formula comes to.
    fn value_of(&self, said: &Said) -> String {
        let values: Vec<&str> = self.at(&said.place).map(|(value, _)| value).collect();
        match (said.part, values.len()) {
            (Part::Derive, 1..=8) => format!("{} = {}", said.text, values.join(", ")),
            _ => said.text.clone(),
        }
    }
}
