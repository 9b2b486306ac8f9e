//! What the verdicts promise, checked over simulated sweeps whose truth is known.
//!
//! A promise is one of three: a false verdict in about one sweep of twenty, over the whole report (at most 6 of 100, and 7
//! where luck is very unequal); an interval that holds the truth in 95 of 100; no two places of a report that contradict each
//! other. Each check runs over some hundred sweeps always, and over 10,000 when asked for with `--ignored`, which also
//! prints the rates.

#![allow(clippy::print_stdout, reason = "the long simulations are run for their tables")]

use std::collections::BTreeMap;

use super::fixture::{self, Noise};
use super::verdicts::Verdicts;
use super::*;
use crate::types::Seed;

/// How a seed's luck is distributed: mean 0, standard deviation 1.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Normal,
    /// One in five escapes a plateau late.
    Bimodal,
    /// Exponential.
    Skewed,
}

/// Where luck is drawn.
#[derive(Clone, Copy, Debug)]
enum Luck {
    /// Each cell and seed for itself, all cells with the same seeds.
    CommonIid,
    /// The same, with this share of the variance in what a seed does to one value of the first axis.
    CommonByAxis(f64),
    /// All cells with the same seeds; so many axes share luck but for noise (correlation 0.98).
    CommonShared(usize),
    /// A seed of its own for each combination of the axes that re-draw; so many share luck but for noise.
    Own(usize),
}

/// A simulated sweep.
#[derive(Clone, Copy, Debug)]
struct World {
    /// Values of each axis.
    levels: &'static [usize],
    seeds: u64,
    shape: Shape,
    luck: Luck,
    /// The standard deviation of the logarithm of the cells' (whole plots') standard deviations.
    unequal: f64,
    /// Cells that are left out: every so many; 0 for none.
    hole: usize,
    has_baseline: bool,
}

const GRID: World = World {
    levels: &[2, 2, 2],
    seeds: 3,
    shape: Shape::Normal,
    luck: Luck::Own(0),
    unequal: 0.0,
    hole: 0,
    has_baseline: true,
};

/// Noise between runs that share luck, whose correlation is then 0.98.
const NOISE: f64 = 0.142;

impl Shape {
    fn draw(self, noise: &mut Noise) -> f64 {
        match self {
            Self::Normal => noise.normal(),
            Self::Bimodal => {
                let mode = if noise.unit() < 0.8 { 0.5 } else { -2.0 };
                (mode + 0.3 * noise.normal()) / 1.09_f64.sqrt()
            }
            Self::Skewed => (1.0 - noise.unit()).ln() + 1.0,
        }
    }
}

impl World {
    fn shared(&self) -> usize {
        match self.luck {
            Luck::CommonShared(axes) | Luck::Own(axes) => axes,
            Luck::CommonIid | Luck::CommonByAxis(_) => 0,
        }
    }

    /// The sweep without outcomes; the last axes are those that share luck.
    fn sweep(&self) -> Comparison {
        const VALUES: [&str; 4] = ["a", "b", "c", "d"];
        const NAMES: [&str; 4] = ["first", "second", "third", "fourth"];
        let axes = self.levels.iter().zip(NAMES);
        let axes = axes.map(|(&n, name)| fixture::axis(name, &VALUES[..n], AxisKind::Category)).collect::<Vec<_>>();
        let redrawn = NAMES[..self.levels.len() - self.shared()].to_vec();
        let mut comparison = fixture::sweep_over("simulated", axes, self.seeds);
        if !self.has_baseline {
            comparison.baseline = None;
        }
        if matches!(self.luck, Luck::Own(_)) {
            fixture::own_luck(&mut comparison, &redrawn);
        }
        if self.hole > 0 {
            let seeds = self.seeds as usize;
            let mut place = 0;
            comparison.runs.retain(|_| {
                place += 1;
                !((place - 1) / seeds + 1).is_multiple_of(self.hole)
            });
        }
        comparison
    }

    /// Gives every run an outcome: its truth and its luck.
    fn fill(&self, comparison: &mut Comparison, noise: &mut Noise, truth: impl Fn(&RunData) -> f64) {
        let plots = self.levels.len() - self.shared();
        let (mut luck, mut of_value, mut sizes) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        fixture::fill(comparison, |run| {
            let plot = run.axes[..plots].iter().map(|(_, value)| value.clone()).collect::<Vec<_>>();
            let size = *sizes.entry(plot.clone()).or_insert_with(|| (self.unequal * noise.normal()).exp());
            let own = *luck.entry((run.seed, plot)).or_insert_with(|| self.shape.draw(noise));
            let drawn = match self.luck {
                Luck::CommonByAxis(share) => {
                    let key = (run.seed, run.axes[0].1.clone());
                    let together = *of_value.entry(key).or_insert_with(|| noise.normal());
                    share.sqrt() * together + (1.0 - share).sqrt() * own
                }
                _ => own,
            };
            let noise = if self.shared() > 0 { NOISE * noise.normal() } else { 0.0 };
            5.0 + truth(run) + size * (drawn + noise)
        });
    }
}

/// Counts how often something holds.
#[derive(Clone, Copy, Default)]
struct Share {
    held: usize,
    of: usize,
}

impl Share {
    fn count(&mut self, holds: bool) {
        self.held += usize::from(holds);
        self.of += 1;
    }

    fn value(&self) -> f64 {
        if self.of == 0 { f64::NAN } else { self.held as f64 / self.of as f64 }
    }
}

/// Rates over simulated sweeps: false verdicts of the axes, of interactions, against the baseline, against the best, in
/// the whole report; coverage of marginal effects, of pairs of cells, of cell means.
type Rates = [f64; 8];

const NAMES: [&str; 8] =
    ["axes", "interactions", "baseline", "best", "report", "in effects", "in pairs", "in cell means"];

/// The rates where the first axis has an `effect` and nothing else has.
fn rates(world: World, effect: f64, trials: usize, stream: u64) -> Rates {
    let mut shares = [Share::default(); 8];
    let (mut comparison, mut noise) = (world.sweep(), Noise::new(stream));
    let of = |value: &str| if value == "a" { 0.0 } else { effect };
    for _ in 0..trials {
        world.fill(&mut comparison, &mut noise, |run| of(&run.axes[0].1));
        let verdicts = Verdicts::of(&comparison);
        let keys = &verdicts.design.keys;
        let truth = |cell: usize| of(keys[cell].0[0].1.as_str());
        let is_null = |axis: &str| effect == 0.0 || axis != "first";
        let axes = verdicts.marginal.iter().filter(|e| is_null(e.axis.as_deref().unwrap()));
        let axes = axes.clone().any(|effect| effect.verdict.is_told());
        let interactions = verdicts.interactions.iter().any(|(_, p, _)| p.is_some_and(|p| p < 0.05));
        let baseline = (1..keys.len()).zip(&verdicts.baseline);
        let baseline = baseline.clone().any(|(cell, effect)| truth(cell) == truth(0) && effect.verdict.is_told());
        let mean = |cell: usize| verdicts.design.measure(&[vec![(cell, 1.0)]]).unwrap();
        let best = (0..keys.len()).min_by(|&a, &b| mean(a).mean.total_cmp(&mean(b).mean)).unwrap();
        let rivals = (0..keys.len()).filter(|&cell| cell != best && truth(cell) == truth(best));
        let best = rivals.clone().any(|cell| verdicts.pair(cell, best).verdict.is_told());
        for (share, is_false) in shares.iter_mut().zip([axes, interactions, baseline, best]) {
            share.count(is_false);
        }
        shares[4].count(axes || interactions || baseline || best);
        for found in &verdicts.marginal {
            let truth = if is_null(found.axis.as_deref().unwrap()) { 0.0 } else { effect };
            shares[5].count(found.interval().unwrap().contains(truth));
        }
        for (cell, found) in (1..keys.len()).zip(&verdicts.baseline) {
            shares[6].count(found.interval().unwrap().contains(truth(cell) - truth(0)));
        }
        for cell in 0..keys.len() {
            let interval = verdicts.design.interval_of_cell(cell).unwrap();
            shares[7].count(interval.contains(5.0 + truth(cell)));
        }
    }
    shares.map(|share| share.value())
}

/// The scenarios: their name, the world, the most false verdicts, the least coverage.
fn scenarios() -> Vec<(String, World, f64, f64)> {
    let mut all = Vec::new();
    for seeds in [2, 3, 5] {
        let grid = World { seeds, ..GRID };
        let own = |shared| World { luck: Luck::Own(shared), levels: &[2, 2, 2, 2], ..grid };
        let common = |luck| World { luck, ..grid };
        let worlds = [
            ("own luck, iid", own(0), 0.06, 0.94),
            ("own luck, one axis shares", own(1), 0.06, 0.94),
            ("own luck, two axes share", own(2), 0.06, 0.94),
            ("own luck, three levels", World { levels: &[3, 2, 3], ..own(1) }, 0.06, 0.94),
            ("own luck, a hole in five", World { hole: 5, ..own(1) }, 0.06, 0.94),
            ("own luck, bimodal", World { shape: Shape::Bimodal, ..own(1) }, 0.06, 0.92),
            ("own luck, skewed", World { shape: Shape::Skewed, ..own(1) }, 0.06, 0.92),
            ("own luck, unequal", World { unequal: 1.2, ..own(1) }, 0.07, 0.92),
            ("own luck, unequal, a hole in five", World { unequal: 1.2, hole: 5, ..own(1) }, 0.07, 0.92),
            ("own luck, unequal, iid", World { unequal: 1.2, ..own(0) }, 0.07, 0.92),
            ("common, iid", common(Luck::CommonIid), 0.06, 0.94),
            ("common, iid, no baseline", World { has_baseline: false, ..common(Luck::CommonIid) }, 0.06, 0.94),
            ("own luck, iid, no baseline", World { has_baseline: false, ..own(0) }, 0.06, 0.94),
            ("common, seed x axis 0.1", common(Luck::CommonByAxis(0.1)), 0.06, 0.94),
            ("common, seed x axis 0.5", common(Luck::CommonByAxis(0.5)), 0.06, 0.94),
            ("common, one axis shares", common(Luck::CommonShared(1)), 0.06, 0.94),
            ("common, two axes share", common(Luck::CommonShared(2)), 0.06, 0.94),
            ("common, bimodal", World { shape: Shape::Bimodal, ..common(Luck::CommonIid) }, 0.06, 0.92),
            ("common, skewed", World { shape: Shape::Skewed, ..common(Luck::CommonIid) }, 0.06, 0.92),
            ("common, unequal", World { unequal: 1.2, ..common(Luck::CommonIid) }, 0.07, 0.92),
        ];
        all.extend(worlds.map(|(name, world, most, least)| (format!("{seeds} seeds, {name}"), world, most, least)));
    }
    all
}

fn print(name: &str, rates: &Rates) {
    let rates = rates.map(|rate| format!("{rate:.3}")).join(" ");
    println!("{name:40} {rates}");
}

#[test]
fn false_verdicts_are_rare_and_intervals_hold() {
    const TRIALS: usize = 60;
    for (name, world, most, least) in scenarios().into_iter().filter(|(name, ..)| name.starts_with('3')) {
        let found = rates(world, 0.0, TRIALS, 5);
        let slack = 4.0 * (most * (1.0 - most) / TRIALS as f64).sqrt();
        assert!(found[..5].iter().all(|rate| rate.is_nan() || *rate <= most + slack), "{name}: {found:?}");
        assert!(found[5..].iter().all(|rate| rate.is_nan() || *rate >= least - slack), "{name}: {found:?}");
    }
}

#[test]
#[ignore = "the long version of the test above: 10,000 sweeps of each scenario"]
fn false_verdicts_are_rare_over_many_sweeps() {
    let trials = 10_000;
    println!("{:40} {}", "scenario", NAMES.join(" | "));
    for (name, world, ..) in scenarios() {
        print(&name, &rates(world, 0.0, trials, 5));
    }
    for (name, world, ..) in scenarios().into_iter().filter(|(name, ..)| name.starts_with('3')) {
        print(&format!("{name}, beside an effect"), &rates(world, 2.0, trials, 6));
    }
}

/// How often an effect of the first axis and one of the last are told.
fn power(world: World, first: f64, last: f64, trials: usize) -> [f64; 2] {
    let mut shares = [Share::default(); 2];
    let (mut comparison, mut noise) = (world.sweep(), Noise::new(12));
    for _ in 0..trials {
        let of = |value: &str, effect: f64| if value == "a" { 0.0 } else { effect };
        world
            .fill(&mut comparison, &mut noise, |run| of(&run.axes[0].1, first) + of(&run.axes.last().unwrap().1, last));
        let effects = marginal_effects(&comparison);
        shares[0].count(effects[0].verdict.is_told());
        shares[1].count(effects.last().unwrap().verdict.is_told());
    }
    shares.map(|share| share.value())
}

/// An effect of one standard deviation of luck on an axis that re-draws it, and of a fifth on one that shares it.
#[test]
fn a_design_of_luck_sees_what_common_seeds_do_not() {
    let world = World { levels: &[2, 2, 2, 2], ..GRID };
    let own = power(World { luck: Luck::Own(1), ..world }, 1.0, 0.2, 300);
    let common = power(World { luck: Luck::CommonShared(1), ..world }, 1.0, 0.2, 300);
    assert!(own[0] > 3.0 * common[0] && own[1] > 0.9, "own luck {own:?}, common seeds {common:?}");
}

#[test]
#[ignore = "the long version of the test above: power at 2, 3 and 5 seeds"]
fn power_over_many_sweeps() {
    for seeds in [2, 3, 5] {
        let world = World { levels: &[2, 2, 2, 2], seeds, ..GRID };
        let own = power(World { luck: Luck::Own(1), ..world }, 1.0, 0.2, 4_000);
        let common = power(World { luck: Luck::CommonShared(1), ..world }, 1.0, 0.2, 4_000);
        println!("{seeds} seeds: own luck {own:.3?}, common seeds {common:.3?}");
    }
}

/// The places of a report where one contrast is told one thing and another elsewhere.
fn contradictions(comparison: &Comparison) -> Vec<String> {
    let (summary, baseline) = (summarize(comparison), against_baseline(comparison));
    let (effects, importance) = (marginal_effects(comparison), importance(comparison).unwrap());
    let mut found = Vec::new();
    let best = &summary.best().unwrap().key;
    let Some(reference) = baseline.first().map(|effect| effect.reference.clone()) else { return found };
    // The best cell against the baseline cell is there twice, from either side.
    let opposite = |verdict| match verdict {
        Verdict::Better => Verdict::Worse,
        Verdict::Worse => Verdict::Better,
        other => other,
    };
    let place = summary.cells.iter().filter(|cell| cell.key.to_string() != reference).position(|c| c.key == *best);
    let rivals = || summary.ranking[1..].iter().map(|&i| &summary.cells[i].key).zip(&summary.rivals);
    if let Some((_, rival)) = rivals().find(|(key, _)| key.to_string() == reference) {
        let other = &baseline[place.unwrap()];
        if opposite(rival.verdict) != other.verdict || rival.adjusted_p != other.adjusted_p {
            found.push(format!("the best against the baseline: {} and {}", rival.word(), other.word()));
        }
    }
    for part in importance.parts.iter().filter(|part| part.is_swept()) {
        let its = effects.iter().filter(|effect| effect.axis.as_ref() == Some(&part.name)).collect::<Vec<_>>();
        let is_told = its.iter().any(|effect| effect.verdict.is_told());
        if !its.is_empty() && is_told != part.is_clear() {
            found.push(format!("{} is {}, its effects are not", part.name, part.word()));
        }
    }
    let interacts =
        |axis: &str| importance.parts.iter().any(|p| p.name != axis && p.name.contains(axis) && p.is_clear());
    let Some(Standing::Tied(tied)) = &summary.standing else { return found };
    for key in tied {
        for effect in effects.iter().filter(|effect| effect.verdict.is_told()) {
            let axis = effect.axis.as_deref().unwrap();
            let (better, worse) = match effect.verdict {
                Verdict::Better => (&effect.treatment, &effect.reference),
                _ => (&effect.reference, &effect.treatment),
            };
            let is_worse = key.value(axis) == Some(worse) && best.value(axis) == Some(better);
            if is_worse && !interacts(axis) {
                found.push(format!("{key} is tied with the best, though {axis}={worse} is worse"));
            }
        }
    }
    for (key, rival) in rivals().filter(|(_, rival)| rival.verdict == Verdict::Better) {
        found.push(format!("{key} is {} than the best", rival.word()));
    }
    found
}

fn check_contradictions(sweeps: u64) {
    let mut noise = Noise::new(31);
    for i in 0..sweeps {
        let luck = [Luck::Own(0), Luck::Own(1), Luck::Own(2), Luck::CommonIid, Luck::CommonShared(1)][i as usize % 5];
        let levels: &[usize] = [&[2, 2, 2][..], &[3, 2], &[2, 2, 2, 2], &[4, 3]][i as usize % 4];
        let luck = if levels.len() == 2 && matches!(luck, Luck::Own(2)) { Luck::Own(1) } else { luck };
        let world = World { levels, seeds: 2 + i % 4, luck, ..GRID };
        let mut comparison = world.sweep();
        let effects = [(); 12].map(|()| 0.8 * noise.normal());
        let cross = 0.4 * noise.normal();
        world.fill(&mut comparison, &mut noise, |run| {
            let place = |value: &str| usize::from(value.as_bytes()[0] - b'a');
            let places = run.axes.iter().map(|(_, value)| place(value)).collect::<Vec<_>>();
            let main = places.iter().enumerate().map(|(axis, &p)| if p == 0 { 0.0 } else { effects[3 * axis + p - 1] });
            main.sum::<f64>() + if places[0] == places[1] { cross } else { 0.0 }
        });
        let found = contradictions(&comparison);
        assert!(found.is_empty(), "{world:?}: {found:?}");
    }
}

#[test]
fn reports_do_not_contradict_themselves() {
    check_contradictions(100);
}

#[test]
#[ignore = "the long version of the test above"]
fn reports_do_not_contradict_themselves_in_many_sweeps() {
    check_contradictions(2_000);
}

/// Random points of three axes of numbers, one run each.
fn random_points(points: usize, noise: &mut Noise, outcome: impl Fn(&[f64], &mut Noise) -> f64) -> Comparison {
    let mut comparison = fixture::sweep();
    let (metric, run) = (comparison.metric.clone(), comparison.runs[0].clone());
    let drawn = (0..points).map(|_| [(); 3].map(|()| noise.unit())).collect::<Vec<_>>();
    let text = |value: f64| format!("{value:.6}");
    comparison.axes = ["lr", "decay", "width"]
        .iter()
        .enumerate()
        .map(|(i, name)| {
            let values = drawn.iter().map(|point| text(point[i])).collect();
            Axis { values, ..fixture::axis(name, &[], AxisKind::Numeric) }
        })
        .collect();
    comparison.baseline = None;
    comparison.runs = drawn
        .iter()
        .enumerate()
        .map(|(i, point)| {
            let axes =
                ["lr", "decay", "width"].iter().zip(point).map(|(name, value)| ((*name).to_owned(), text(*value)));
            let value = outcome(point, noise);
            let series = BTreeMap::from([(metric.clone(), vec![Point { step: 1, value }])]);
            RunData { axes: axes.collect(), seed: Seed(i as u64), series, ..run.clone() }
        })
        .collect();
    comparison
}

/// The shares of random designs of 20 points in which the first axis is found though it has a rank correlation above 0.9
/// with the outcome, and in which an axis is found though none has an effect.
fn random_designs(trials: usize) -> [f64; 2] {
    let (mut noise, mut shares) = (Noise::new(44), [Share::default(); 2]);
    let clear = |comparison: &Comparison| {
        importance(comparison)
            .unwrap()
            .parts
            .iter()
            .map(|part| (part.is_clear(), part.rank_correlation))
            .collect::<Vec<_>>()
    };
    for _ in 0..trials {
        let found = clear(&random_points(20, &mut noise, |point, noise| point[0].powi(3) + 0.08 * noise.normal()));
        if found[0].1.is_some_and(|rho| rho > 0.9) {
            shares[0].count(found[0].0);
        }
        let found = clear(&random_points(20, &mut noise, |_, noise| noise.normal()));
        shares[1].count(found.iter().any(|(is_clear, _)| *is_clear));
    }
    shares.map(|share| share.value())
}

fn check_random_designs(trials: usize) {
    let [found, invented] = random_designs(trials);
    println!("random designs of 20 points: found {found:.3}, invented {invented:.3}");
    assert!(found > 0.95 && invented < 0.06 + 4.0 * (0.05 * 0.95 / trials as f64).sqrt(), "{found} {invented}");
}

#[test]
fn random_designs_find_what_rises_throughout() {
    check_random_designs(20);
}

#[test]
#[ignore = "the long version of the test above"]
fn random_designs_find_what_rises_throughout_over_many_sweeps() {
    check_random_designs(1_000);
}
