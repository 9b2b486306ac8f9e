//! Every verdict of a report, decided together: one contrast, one p, one word, wherever it is shown.
//!
//! A report says false things in about one of twenty sweeps, all its tables together. So its hypotheses share one error
//! rate, by the graph of Bretz et al. (2009):
//!
//! - the *axes*: each value of an axis against the reference; where no two cells match, whether the axis and the outcome go
//!   together. Holm's method among themselves, most of the level;
//! - the *baseline*: every other cell against it; Holm's method, a small part;
//! - the *rest*: interactions of two axes, and all pairs of cells, because the best cell is chosen by its outcome. Bonferroni,
//!   so that a pair's p does not hang on which others are looked at; a small part.
//!
//! A family of which everything is told hands its part on to those after it. A contrast that is in two families, as the two
//! values of a single axis are two cells, belongs to the first.

use std::collections::{BTreeMap, BTreeSet};

use super::associations::{Association, associations};
use super::comparison::{Axis, CellKey, Comparison};
use super::effect::{Effect, LEVEL, Verdict};
use super::luck::{Design, Difference, Group};
use super::means::is_full_grid;
use super::statistics::holm;

/// Everything that a report concludes.
pub(super) struct Verdicts<'a> {
    comparison: &'a Comparison,
    pub design: Design,
    /// Each value of an axis against the reference.
    pub marginal: Vec<Effect>,
    /// What two axes do beyond their sum: the places of the axes, and the corrected p of each of its contrasts. Only of a
    /// full grid.
    pub interactions: Vec<([usize; 2], Option<f64>, Difference)>,
    /// Which axes go together with the outcome, with the corrected p; only where the sweep is no full grid.
    pub associations: Vec<(Association, Option<f64>)>,
    /// Every other cell against the baseline.
    pub baseline: Vec<Effect>,
    /// The corrected p of contrasts that belong to the axes or the baseline.
    earlier: BTreeMap<Contrast, f64>,
    rest: Rest,
}

impl<'a> Verdicts<'a> {
    pub fn of(comparison: &'a Comparison) -> Self {
        let design = Design::of(comparison);
        let is_grid = is_full_grid(comparison);
        let mut marginal = contrasts_of_axes(comparison, &design, is_grid);
        let interactions = if is_grid { contrasts_of_pairs_of_axes(comparison, &design) } else { Vec::new() };
        let found = if is_grid { Vec::new() } else { associations(comparison, &design) };
        let mut baseline = contrasts_with_baseline(comparison, &design);

        let own = |effect: &Judged| effect.contrast.clone().zip(effect.p());
        let axes = marginal.iter().filter_map(own).collect::<BTreeMap<_, _>>();
        let with_effects = marginal.iter().filter(|e| e.p().is_some()).filter_map(|e| e.effect.axis.clone());
        let with_effects = with_effects.collect::<BTreeSet<_>>();
        let alone = found.iter().filter(|found| !with_effects.contains(&found.axis)).map(|found| found.p);
        let raw = axes.values().copied().chain(alone).collect::<Vec<_>>();
        let cells = baseline.iter().filter_map(own).filter(|(contrast, _)| !axes.contains_key(contrast));
        let cells = cells.collect::<BTreeMap<_, _>>();
        let finished = design.outcomes.iter().filter(|outcomes| !outcomes.is_empty()).count();
        let is_pair = |contrast: &&Contrast| contrast.0.len() == 2;
        let earlier_pairs = axes.keys().chain(cells.keys()).filter(is_pair).count();
        let can_tell = design.most_seeds() > 1;
        let tested = interactions.iter().filter(|i| i.2.p().is_some()).count();
        let others = (tested + finished * finished.saturating_sub(1) / 2).saturating_sub(earlier_pairs);
        let others = if can_tell { others } else { 0 };

        let levels = Levels::of([!raw.is_empty(), !cells.is_empty(), others > 0], design.plots() > 1);
        let by_axes = holm(&raw).into_iter().map(|p| (p / levels.axes).min(1.0)).collect::<Vec<_>>();
        let all_axes = by_axes.iter().copied().fold(0.0, f64::max);
        let of_cells = cells.values().copied().collect::<Vec<_>>();
        let handed = levels.baseline + levels.axes * levels.baseline / (levels.baseline + levels.rest).max(1e-9);
        let handed = handed.min(1.0);
        let by_cells =
            holm(&of_cells).into_iter().map(|p| (p / levels.baseline).min(all_axes.max(p / handed)).min(1.0));
        let by_cells = by_cells.collect::<Vec<_>>();
        let all_cells = by_cells.iter().copied().fold(all_axes, f64::max);
        let rest = Rest { others, levels, all_axes, all_cells };
        let earlier = axes.keys().cloned().zip(by_axes.iter().copied());
        let earlier = earlier.chain(cells.keys().cloned().zip(by_cells)).collect::<BTreeMap<_, _>>();
        let mut by_association = by_axes[axes.len()..].iter().copied();
        let associations = found.into_iter().map(|found| {
            let p = if with_effects.contains(&found.axis) { None } else { by_association.next() };
            (found, p)
        });
        let associations = associations.collect();
        let interactions = interactions.into_iter().map(|InteractionContrast(axes, contrast, difference)| {
            let p = difference.p().map(|p| earlier.get(&contrast).copied().unwrap_or_else(|| rest.corrected(p)));
            (axes, p, difference)
        });
        let interactions = interactions.collect();
        let mut verdicts = Self {
            comparison,
            design,
            marginal: Vec::new(),
            interactions,
            associations,
            baseline: Vec::new(),
            earlier,
            rest,
        };
        marginal.iter_mut().chain(&mut baseline).for_each(|judged| verdicts.judge(judged));
        verdicts.marginal = marginal.into_iter().map(|judged| judged.effect).collect();
        verdicts.baseline = baseline.into_iter().map(|judged| judged.effect).collect();
        let reference = baseline_cell(comparison, &verdicts.design.keys);
        let mut with_reference = std::mem::take(&mut verdicts.baseline);
        if let Some(reference) = reference {
            let others = (0..verdicts.design.keys.len()).filter(|cell| *cell != reference);
            others.zip(&mut with_reference).for_each(|(cell, effect)| verdicts.carry(cell, reference, effect));
        }
        verdicts.baseline = with_reference;
        verdicts
    }

    /// One cell against another.
    pub fn pair(&self, cell: usize, reference: usize) -> Effect {
        let mut judged = pair_of_cells(&self.design, cell, reference);
        self.judge(&mut judged);
        self.carry(cell, reference, &mut judged.effect);
        judged.effect
    }

    /// Whether the effect of an axis says that `cell` is not the best: in place of its value stands a better one, in the
    /// `best` cell or in the reference.
    pub fn is_ruled_out(&self, cell: usize, best: usize) -> bool {
        self.differing_axes(cell, best).any(|axis| {
            let is_worse = self.side(axis, cell, best) == Some(Verdict::Worse)
                || self.verdict_of(axis, cell) == Some(Verdict::Worse)
                    && self.verdict_of(axis, best) != Some(Verdict::Worse);
            is_worse && !self.interacts(&axis.name)
        })
    }

    fn judge(&self, judged: &mut Judged) {
        let Some(p) = judged.p() else { return };
        let contrast = judged.contrast.as_ref();
        let known = contrast.and_then(|contrast| self.earlier.get(contrast).copied());
        let adjusted = known.unwrap_or_else(|| self.rest.corrected(p));
        judged.effect.adjusted_p = Some(adjusted);
        judged.effect.verdict = self.word(&judged.effect, adjusted);
    }

    fn word(&self, effect: &Effect, adjusted: f64) -> Verdict {
        let mean = effect.difference.map_or(0.0, |difference| difference.mean);
        let inside = |limit: f64| effect.interval().is_some_and(|i| -limit < i.low && i.high < limit);
        match self.comparison.negligible {
            Some(limit) if inside(limit) => Verdict::Negligible,
            _ if adjusted >= LEVEL => Verdict::Inconclusive,
            _ if self.comparison.goal.prefers(mean, 0.0) => Verdict::Better,
            _ => Verdict::Worse,
        }
    }

    /// Two cells that their own runs cannot tell apart differ all the same where every axis that they differ in has a told
    /// effect, all to one side, and none of them interacts with another. What carries the verdict has its p: that of the
    /// least sure of these effects.
    fn carry(&self, cell: usize, reference: usize, effect: &mut Effect) {
        let Some(difference) = effect.difference.filter(|_| effect.verdict == Verdict::Inconclusive) else { return };
        if self.interactions.is_empty() && self.comparison.axes.len() > 1 {
            return;
        }
        let axes = self.differing_axes(cell, reference).collect::<Vec<_>>();
        let sides = axes
            .iter()
            .map(|axis| self.side(axis, cell, reference).filter(|side| side.is_told() && !self.interacts(&axis.name)));
        let Some(sides) = sides.collect::<Option<Vec<_>>>() else { return };
        let goal = self.comparison.goal;
        let seen = if goal.prefers(difference.mean, 0.0) { Verdict::Better } else { Verdict::Worse };
        if !sides.is_empty() && sides.iter().all(|side| *side == seen) {
            let its = axes.iter().flat_map(|axis| [self.of_value(axis, cell), self.of_value(axis, reference)]);
            effect.adjusted_p = its.flatten().filter_map(|effect| effect.adjusted_p).reduce(f64::max);
            effect.verdict = seen;
            effect.by_axes = axes.iter().map(|axis| axis.name.clone()).collect();
        }
    }

    fn differing_axes(&self, cell: usize, other: usize) -> impl Iterator<Item = &'a Axis> {
        let keys = (self.design.keys[cell].clone(), self.design.keys[other].clone());
        self.comparison.axes.iter().filter(move |axis| keys.0.value(&axis.name) != keys.1.value(&axis.name))
    }

    /// How the value of an axis in `cell` stands to that in `other`, as far as their effects against the reference say.
    fn side(&self, axis: &Axis, cell: usize, other: usize) -> Option<Verdict> {
        match (self.verdict_of(axis, cell), self.verdict_of(axis, other)) {
            (Some(verdict), None) => Some(verdict),
            (None, Some(Verdict::Better)) | (Some(Verdict::Worse), Some(Verdict::Better)) => Some(Verdict::Worse),
            (None, Some(Verdict::Worse)) | (Some(Verdict::Better), Some(Verdict::Worse)) => Some(Verdict::Better),
            _ => None,
        }
    }

    fn verdict_of(&self, axis: &Axis, cell: usize) -> Option<Verdict> {
        self.of_value(axis, cell).map(|effect| effect.verdict)
    }

    /// The effect of a cell's value of an axis; absent for the reference.
    fn of_value(&self, axis: &Axis, cell: usize) -> Option<&Effect> {
        let value = self.design.keys[cell].value(&axis.name)?;
        let its = |effect: &&Effect| effect.axis.as_deref() == Some(&axis.name) && effect.treatment == value;
        self.marginal.iter().find(its)
    }

    fn interacts(&self, axis: &str) -> bool {
        let name = |place: &usize| self.comparison.axes[*place].name == axis;
        self.interactions.iter().any(|(axes, p, _)| axes.iter().any(name) && p.is_some_and(|p| p < LEVEL))
    }
}

/// The parts of the level that the families have.
#[derive(Clone, Copy, Debug)]
struct Levels {
    axes: f64,
    baseline: f64,
    rest: f64,
}

impl Levels {
    /// The families that have something to test. What there is beside the axes keeps both small parts, whether a baseline is
    /// declared or not: the same runs have the same p by their file and by a query, which may know of none.
    ///
    /// The parts are more than the level together: what is told of the axes carries over to cells, so that false verdicts
    /// come together. With a fifth more, a report on common seeds has one in 4 to 6 of 100 simulated sweeps; where plots have
    /// seeds of their own, whose degrees of freedom err on the timid side, three tenths more give the same.
    fn of([axes, baseline, rest]: [bool; 3], has_plots: bool) -> Self {
        let part = |is_there: bool| if is_there { 0.15_f64 } else { 0.0 };
        let (baseline, rest) = (part(baseline || rest), part(rest));
        if axes {
            let sum = if has_plots { 1.3 } else { 1.2 };
            return Self { axes: (sum - baseline - rest).min(1.0), baseline, rest };
        }
        let sum = (baseline + rest).max(0.15);
        Self { axes: 0.0, baseline: baseline / sum, rest: rest / sum }
    }
}

/// How the p of interactions and pairs of cells are corrected.
#[derive(Clone, Copy, Debug)]
struct Rest {
    others: usize,
    levels: Levels,
    /// The greatest corrected p of the axes, and of axes and baseline.
    all_axes: f64,
    all_cells: f64,
}

impl Rest {
    fn corrected(&self, p: f64) -> f64 {
        let Levels { axes, baseline, rest } = self.levels;
        let p = p * self.others.max(1) as f64;
        let alone = p / rest.max(1e-9);
        let after_axes = self.all_axes.max(p / (rest + axes * rest / (baseline + rest).max(1e-9)).clamp(1e-9, 1.0));
        alone.min(after_axes).min(self.all_cells.max(p)).min(1.0)
    }
}

/// A contrast by its weights, as far as two of them are the same question: without scale and sign.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Contrast(Vec<(usize, i64)>);

impl Contrast {
    fn of(groups: &[Group]) -> Self {
        let mut weights = BTreeMap::<usize, f64>::new();
        groups.iter().flatten().for_each(|(cell, weight)| *weights.entry(*cell).or_default() += weight);
        let size = weights.values().fold(1e-300, |most: f64, w| most.max(w.abs()));
        let sign = weights.values().find(|w| w.abs() > 1e-9 * size).map_or(1.0, |w| w.signum());
        let whole = weights.into_iter().map(|(cell, w)| (cell, (1e6 * sign * w / size).round() as i64));
        Self(whole.filter(|(_, w)| *w != 0).collect())
    }
}

/// An effect with the question that it answers.
struct Judged {
    effect: Effect,
    contrast: Option<Contrast>,
}

impl Judged {
    fn new(design: &Design, axis: Option<&str>, treatment: String, reference: String, groups: &[Group]) -> Self {
        let difference = design.measure(groups);
        let contrast = difference.is_some().then(|| Contrast::of(&design.finished(groups)));
        let (axis, verdict) = (axis.map(str::to_owned), Verdict::Inconclusive);
        let effect = Effect { axis, treatment, reference, difference, adjusted_p: None, verdict, by_axes: Vec::new() };
        Self { effect, contrast }
    }

    fn p(&self) -> Option<f64> {
        self.effect.difference?.p()
    }
}

struct InteractionContrast([usize; 2], Contrast, Difference);

fn places(design: &Design) -> BTreeMap<&CellKey, usize> {
    design.keys.iter().enumerate().map(|(i, key)| (key, i)).collect()
}

fn contrasts_of_axes(comparison: &Comparison, design: &Design, is_grid: bool) -> Vec<Judged> {
    let places = places(design);
    let mut effects = Vec::new();
    // Values that were drawn meet hardly any equal settings: a row for each would say nothing many times.
    for axis in comparison.axes.iter().filter(|axis| !axis.is_continuous() || is_grid) {
        let Some(reference) = comparison.reference_value(axis) else { continue };
        for value in axis.values.iter().filter(|value| *value != reference) {
            let treated = places.iter().filter(|(key, _)| key.value(&axis.name) == Some(value));
            let groups = treated.filter_map(|(key, &cell)| {
                let partner = *places.get(&with_value(key, &axis.name, reference))?;
                Some(vec![(cell, 1.0), (partner, -1.0)])
            });
            let groups = groups.collect::<Vec<_>>();
            effects.push(Judged::new(design, Some(&axis.name), value.clone(), reference.to_owned(), &groups));
        }
    }
    effects
}

/// For each two axes, and each two values of theirs other than the references: the difference of differences.
fn contrasts_of_pairs_of_axes(comparison: &Comparison, design: &Design) -> Vec<InteractionContrast> {
    let places = places(design);
    let references = comparison.axes.iter().map(|axis| comparison.reference_value(axis).unwrap_or_default());
    let references = references.collect::<Vec<_>>();
    let values = |axis: usize| {
        let others = comparison.axes[axis].values.iter().filter(|value| *value != references[axis]);
        others.collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    for (a, b) in (0..comparison.axes.len()).flat_map(|a| (a + 1..comparison.axes.len()).map(move |b| (a, b))) {
        let (first, second) = (&comparison.axes[a].name, &comparison.axes[b].name);
        for (one, two) in values(a).into_iter().flat_map(|one| values(b).into_iter().map(move |two| (one, two))) {
            let corner = |key: &CellKey| key.value(first) == Some(one) && key.value(second) == Some(two);
            let groups = places.iter().filter(|(key, _)| corner(key)).filter_map(|(key, &both)| {
                let (only_two, only_one) =
                    (with_value(key, first, references[a]), with_value(key, second, references[b]));
                let neither = with_value(&only_two, second, references[b]);
                let (two, one, none) = (*places.get(&only_two)?, *places.get(&only_one)?, *places.get(&neither)?);
                Some(vec![(both, 1.0), (two, -1.0), (one, -1.0), (none, 1.0)])
            });
            let groups = groups.collect::<Vec<_>>();
            if let Some(difference) = design.measure(&groups) {
                found.push(InteractionContrast([a, b], Contrast::of(&design.finished(&groups)), difference));
            }
        }
    }
    found
}

fn baseline_cell(comparison: &Comparison, keys: &[CellKey]) -> Option<usize> {
    let values = comparison.baseline.as_ref()?;
    let matching = (0..keys.len()).filter(|&i| keys[i].matches(values)).collect::<Vec<_>>();
    if let [only] = matching[..] { Some(only) } else { None }
}

fn contrasts_with_baseline(comparison: &Comparison, design: &Design) -> Vec<Judged> {
    let Some(baseline) = baseline_cell(comparison, &design.keys) else { return Vec::new() };
    let others = (0..design.keys.len()).filter(|&cell| cell != baseline);
    others.map(|cell| pair_of_cells(design, cell, baseline)).collect()
}

fn pair_of_cells(design: &Design, cell: usize, reference: usize) -> Judged {
    let (key, other) = (&design.keys[cell], &design.keys[reference]);
    let group = vec![(cell, 1.0), (reference, -1.0)];
    Judged::new(design, None, key.difference_from(other), other.to_string(), &[group])
}

fn with_value(key: &CellKey, axis: &str, value: &str) -> CellKey {
    let replaced =
        |(name, old): &(String, String)| (name.clone(), if name == axis { value.to_owned() } else { old.clone() });
    CellKey(key.0.iter().map(replaced).collect())
}
