//! The settings of one cell, in layers: defaults, preset and what is given below, the values of the axes above, what is computed from
//! them on top.
//!
//! The lower layers are the same for all cells with one preset. They are put together once, and a cell holds but its own
//! values over them: a sweep of 100,000 cells costs 100,000 short lists.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::decimal::Decimal;
use super::{Derive, Diagnostic, Experiment, Key, Kind, Point, Setting, Value, keys, presets, problem, range};

/// What the cells with one preset have in common.
pub(super) type Base = BTreeMap<&'static str, Setting>;

/// The settings of one cell: a value for each key that has one.
#[derive(Clone, Debug)]
pub struct Settings<'e> {
    base: &'e Base,
    own: Vec<(&'static str, Cow<'e, Setting>)>,
    /// Computed keys that could not be computed here; none in a released experiment.
    faults: Vec<(&'static str, Diagnostic)>,
}

impl Experiment {
    /// The axes that exist at `point`, with their values there.
    pub fn values<'e>(&'e self, point: &Point) -> impl Iterator<Item = (&'e super::Axis, &'e Setting)> {
        self.axes.iter().enumerate().filter_map(|(i, axis)| Some((axis, &axis.values[point.get(i)?])))
    }

    /// The settings of the cell at `point`, through all layers.
    ///
    /// In a draft, keys with broken values are absent, and so is what hangs on them.
    pub fn settings(&self, point: &Point) -> Settings<'_> {
        let own: Vec<_> = self.values(point).map(|(axis, value)| (axis.key.name, Cow::Borrowed(value))).collect();
        let preset = own.iter().find(|(name, _)| *name == "model.preset").map(|(_, setting)| setting.value.to_string());
        let base = self.bases.get(preset.as_deref().unwrap_or_default()).unwrap_or(&self.bases[""]);
        let mut settings = Settings { base, own, faults: Vec::new() };
        for derive in &self.sweep.derives {
            match settings.derived(derive) {
                Ok(setting) => settings.own.push((derive.key.name, Cow::Owned(setting))),
                Err(fault) => settings.faults.push((derive.key.name, fault)),
            }
        }
        settings
    }
}

impl Experiment {
    /// What each of the presets that the experiment names says of a key.
    pub fn preset_settings(&self, key: &str) -> Vec<Setting> {
        let of_axis = self.axis("model.preset").map_or(&[][..], |axis| &axis.values);
        let named = of_axis.iter().chain(self.given.get("model.preset"));
        let says = |named: &Setting| {
            let preset = presets::find(&named.value.to_string())?;
            let (_, value) = preset.settings.iter().find(|(its, _)| *its == key)?;
            Some(Setting { value: value.clone(), place: named.place.clone(), preset: Some(preset.name) })
        };
        named.filter_map(says).collect()
    }
}

/// The lower layers for each preset that a cell may have; under no name those of the cells that take none of an axis.
pub(super) fn bases(
    given: &BTreeMap<&'static str, Setting>,
    axes: &[super::Axis],
    broken: &BTreeSet<&'static str>,
) -> BTreeMap<String, Base> {
    let of_axes = axes.iter().find(|axis| axis.key.name == "model.preset").map_or(&[][..], |axis| &axis.values);
    let own = (String::new(), given.get("model.preset"));
    let all = of_axes.iter().map(|setting| (setting.value.to_string(), Some(setting))).chain([own]);
    all.map(|(name, preset)| (name, base(given, preset, broken))).collect()
}

fn base(given: &BTreeMap<&'static str, Setting>, named: Option<&Setting>, broken: &BTreeSet<&'static str>) -> Base {
    let mut base = Base::new();
    for (key, value) in keys::defaults() {
        put(&mut base, key.name, Setting { value: value.clone(), place: None, preset: None });
    }
    if let Some(named) = named
        && let Some(preset) = presets::find(&named.value.to_string())
    {
        for (key, value) in &preset.settings {
            let setting = Setting { value: value.clone(), place: named.place.clone(), preset: Some(preset.name) };
            put(&mut base, key, setting);
        }
    }
    if broken.contains("model.preset") {
        base.retain(|name, _| !name.starts_with("model."));
    }
    for (name, setting) in given {
        put(&mut base, name, setting.clone());
    }
    for name in broken {
        base.remove(name);
        keys::rivals(name).for_each(|rival| drop(base.remove(rival)));
    }
    base
}

fn put(base: &mut Base, name: &'static str, setting: Setting) {
    keys::rivals(name).for_each(|rival| drop(base.remove(rival)));
    if keys::is_setting(name) {
        base.insert(name, setting);
    }
}

impl<'e> Settings<'e> {
    fn derived(&self, derive: &Derive) -> Result<Setting, Diagnostic> {
        let number = |key: &'static Key| match self.get(key.name)?.value {
            Value::Integer(value) => Some(Decimal::from(value)),
            Value::Float(value) => Decimal::from_f64(value),
            _ => None,
        };
        let formula = &derive.formula;
        let value = formula.evaluate(&number).map_err(|mistake| {
            let problem = Diagnostic::error(
                &problem::BAD_FORMULA,
                format!("`{}` cannot be computed: {}", derive.key.name, mistake.message),
            );
            problem.at(derive.part(&mistake.span), "here").help(format!("in the cell where {}", self.inputs(derive)))
        })?;
        let value = derive.key.kind.number(value).map_err(|_| {
            let (name, kind, shown) = (derive.key.name, derive.key.kind, range::rounded(value));
            let problem = Diagnostic::error(
                &problem::BAD_FORMULA,
                format!("`{name}` must be {kind}, and is computed as {shown}"),
            );
            let is_fraction = matches!(kind, Kind::Integer { .. }) && value.as_integer().is_none();
            let hint = if is_fraction { "; round(), floor() and ceil() make whole numbers" } else { "" };
            let inputs = self.inputs(derive);
            problem.at(derive.place.clone(), "this formula").help(format!("in the cell where {inputs}{hint}"))
        })?;
        Ok(Setting { value, place: Some(derive.place.clone()), preset: None })
    }

    /// What a formula computes from: `model.hidden_size = 128`.
    fn inputs(&self, derive: &Derive) -> String {
        let shown = |(key, _): (&'static Key, _)| match self.get(key.name) {
            Some(setting) => format!("{} = {}", key.name, setting.value),
            None => format!("{} is absent", key.name),
        };
        let mut inputs: Vec<String> = derive.formula.keys().into_iter().map(shown).collect();
        inputs.dedup();
        if inputs.is_empty() { "nothing is needed".to_owned() } else { inputs.join(", ") }
    }

    /// What could not be computed in this cell, and why.
    pub fn faults(&self) -> impl Iterator<Item = &Diagnostic> {
        self.faults.iter().map(|(_, fault)| fault)
    }

    /// The setting of a key; nothing when it has none (an optional key, one that another excludes).
    pub fn get(&self, key: &str) -> Option<&Setting> {
        let own = |name: &str| self.own.iter().find(|(own, _)| *own == name).map(|(_, setting)| &**setting);
        own(key).or_else(|| {
            let is_out =
                self.faults.iter().any(|(name, _)| *name == key) || keys::rivals(key).any(|rival| own(rival).is_some());
            if is_out { None } else { self.base.get(key) }
        })
    }

    /// All settings, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Setting)> {
        let base = self.base.keys().copied();
        let added = self.own.iter().map(|(name, _)| *name).filter(|name| !self.base.contains_key(name));
        base.chain(added).filter_map(|name| Some((name, self.get(name)?)))
    }

    /// The settings that are this cell's own, and not of the layers that it shares with others.
    pub fn own(&self) -> impl Iterator<Item = (&'static str, &Setting)> {
        self.own.iter().map(|(name, setting)| (*name, &**setting))
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
