//! What verdicts say of an axis that is not there, over real runs.
//!
//! `planted_null.csv` has the validation losses of 128 runs: two mask ratios, two schedules and 32 seeds of one small model,
//! trained from `tests/peers/planted_null.toml`. A sweep of few seeds is drawn from them, and each of its cells is told to be
//! two cells of an axis `null`, whose values have other seeds of the same runs. Whatever a report says of that axis is false.
//! Real luck has the shape that it has; the schedules of one seed share it, the mask ratios do not.

#![allow(clippy::print_stdout, reason = "the long version is run for its table")]

use std::collections::BTreeMap;

use super::fixture::{self, Noise};
use super::verdicts::Verdicts;
use super::*;

const RUNS: &str = include_str!("planted_null.csv");
const SEEDS: usize = 32;

/// The loss of each run: by mask ratio and schedule, in order of seed.
fn runs() -> BTreeMap<(&'static str, &'static str), Vec<f64>> {
    let mut runs = BTreeMap::<_, Vec<f64>>::new();
    for line in RUNS.lines().skip(1) {
        let [mask, schedule, _, loss] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        runs.entry((mask, schedule)).or_default().push(loss.parse().unwrap());
    }
    assert!(runs.len() == 4 && runs.values().all(|losses| losses.len() == SEEDS));
    runs
}

/// Whose seeds are whose.
#[derive(Clone, Copy, Debug)]
enum Listed {
    /// All cells have the same seeds, but for what the planted axis re-draws.
    Common,
    /// Each combination of the planted axis and the mask ratio has seeds of its own.
    Own,
}

/// Over `trials` sweeps, how often the p of the planted axis is below 5 % before any correction, how often it is told to
/// have an effect, and how often a report says anything false of it.
fn rates(listed: Listed, seeds: usize, trials: usize) -> [f64; 3] {
    let runs = runs();
    let axes = [("null", ["a", "b"]), ("mask", ["0.15", "0.3"]), ("schedule", ["linear", "cosine"])];
    let axes = axes.map(|(name, values)| fixture::axis(name, &values, AxisKind::Category));
    let mut comparison = fixture::sweep_over("planted", axes.to_vec(), seeds as u64);
    if matches!(listed, Listed::Own) {
        fixture::own_luck(&mut comparison, &["null", "mask"]);
    }
    let (mut noise, mut told) = (Noise::new(8), [0, 0, 0]);
    for _ in 0..trials {
        let mut order = (0..SEEDS).collect::<Vec<_>>();
        for i in 0..SEEDS - 1 {
            order.swap(i, i + (noise.unit() * (SEEDS - i) as f64) as usize);
        }
        fixture::fill(&mut comparison, |run| {
            let value = |axis: &str| run.axis(axis).unwrap();
            let plot = match listed {
                Listed::Common => usize::from(value("null") == "b"),
                Listed::Own => 2 * usize::from(value("null") == "b") + usize::from(value("mask") == "0.3"),
            };
            let place = plot * seeds + (run.seed.0 as usize % 1_000 - 1);
            runs.iter().find(|(key, _)| **key == (value("mask"), value("schedule"))).unwrap().1[order[place]]
        });
        let verdicts = Verdicts::of(&comparison);
        let keys = &verdicts.design.keys;
        let is_null = |a: usize, b: usize| keys[a].difference_from(&keys[b]).split(' ').all(|d| d.starts_with("null="));
        let mean = |cell: usize| verdicts.design.measure(&[vec![(cell, 1.0)]]).unwrap().mean;
        let best = (0..keys.len()).min_by(|&a, &b| mean(a).total_cmp(&mean(b))).unwrap();
        let planted = verdicts.marginal.iter().find(|e| e.axis.as_deref() == Some("null")).unwrap();
        let axis = planted.verdict.is_told();
        let interacts = verdicts.interactions.iter().any(|(axes, p, _)| axes[0] == 0 && p.is_some_and(|p| p < 0.05));
        let baseline = (1..keys.len()).zip(&verdicts.baseline).any(|(cell, e)| is_null(cell, 0) && e.verdict.is_told());
        let mut twins = (0..keys.len()).filter(|&cell| cell != best && is_null(cell, best));
        let of_best = twins.any(|cell| verdicts.pair(cell, best).verdict.is_told());
        told[0] += usize::from(planted.difference.unwrap().p().unwrap() < 0.05);
        told[1] += usize::from(axis);
        told[2] += usize::from(axis || interacts || baseline || of_best);
    }
    told.map(|n| n as f64 / trials as f64)
}

fn check(trials: usize) {
    let slack = 4.0 * (0.06 * 0.94 / trials as f64).sqrt();
    for (listed, seeds) in [Listed::Common, Listed::Own].into_iter().flat_map(|l| [2, 3, 5].map(|seeds| (l, seeds))) {
        let [raw, axis, report] = rates(listed, seeds, trials);
        println!("{listed:?} seeds, {seeds} of them: p {raw:.4}, planted axis {axis:.4}, report {report:.4}");
        assert!(raw < 0.06 + slack && report < 0.06 + slack, "{listed:?} {seeds}: {raw} {report}");
    }
}

#[test]
fn an_axis_that_is_not_there_has_no_effect() {
    check(60);
}

#[test]
#[ignore = "the long version of the test above: 20,000 sweeps of each design"]
fn an_axis_that_is_not_there_has_no_effect_over_many_sweeps() {
    check(20_000);
}
