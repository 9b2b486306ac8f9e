//! A small made-up sweep for the tests of analysis and plot: eight cells, three seeds, one failed run.

use std::collections::BTreeMap;

use serde_json::json;

use super::comparison::{Axis, AxisKind, Comparison, Floor, Goal, Point, RunData, RunState};
use crate::types::{ContentHash, MetricName, RunId, Seed, SpecHash, Timestamp};

/// Deterministic noise (SplitMix64; Steele, Lea & Flood 2014) for simulations.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
}

pub(crate) fn metric(name: &str) -> MetricName {
    name.parse().expect("a valid metric name")
}

pub(crate) fn axis(name: &str, values: &[&str], kind: AxisKind) -> Axis {
    Axis {
        name: name.to_owned(),
        values: values.iter().map(|&value| value.to_owned()).collect(),
        kind,
        also: Vec::new(),
        redraws_luck: true,
        basis: None,
    }
}

/// size x mask_ratio x nsp with seeds 1 to 3, where the run (mini, 0.30, random, seed 2) failed at step 640.
pub(crate) fn sweep() -> Comparison {
    let axes = vec![
        axis("size", &["tiny", "mini"], AxisKind::Ordered),
        axis("mask_ratio", &["0.15", "0.30"], AxisKind::Numeric),
        axis("nsp", &["off", "random"], AxisKind::Category),
    ];
    sweep_over("마스크 비율 mask-ratio", axes, 3)
}

/// The grid over `axes`, with a made-up but smooth effect for each value of each axis.
pub(crate) fn sweep_over(experiment: &str, axes: Vec<Axis>, seeds: u64) -> Comparison {
    let cells = axes.iter().fold(vec![Vec::new()], |cells: Vec<Vec<usize>>, axis| {
        let extend = |cell: &Vec<usize>, i| cell.iter().copied().chain([i]).collect::<Vec<_>>();
        cells.iter().flat_map(|cell| (0..axis.values.len()).map(move |i| extend(cell, i))).collect()
    });
    let mut runs = Vec::new();
    for cell in &cells {
        for seed in 1..=seeds {
            runs.push(run(&axes, cell, seed));
        }
    }
    if let Some(failed) = runs.iter_mut().rev().nth(1) {
        fail(failed, 640);
    }
    in_turn(&mut runs, 2);
    let baseline = axes.iter().map(|axis| (axis.name.clone(), axis.values[0].clone())).collect();
    Comparison {
        experiment: experiment.to_owned(),
        question: "Does a 30 % mask beat 15 %, and does next-sentence prediction help?".to_owned(),
        metric: metric("valid/mlm_loss"),
        goal: Goal::Minimize,
        axes,
        runs,
        baseline: Some(baseline),
        floors: vec![Floor {
            metric: metric("valid/mlm_loss"),
            label: "unigram entropy".to_owned(),
            value: 6.12,
            error: None,
            range: None,
            own: Default::default(),
            explanation: "what a model reaches that knows only how frequent each token is".to_owned(),
        }],
        negligible: None,
        cautions: Vec::new(),
        unknown: None,
        leanings: Default::default(),
    }
}

/// So many cells with one seed each, drawn over a learning rate, which bends the outcome, a dropout rate, which does nothing,
/// and a schedule.
pub(crate) fn drawn(cells: usize) -> Comparison {
    let mut noise = Noise::new(5);
    let mut draw = |low: f64, high: f64| (0..cells).map(|_| low + (high - low) * noise.unit()).collect::<Vec<_>>();
    let rates = draw(-4.0, -2.0).iter().map(|power| format!("{:.4e}", 10f64.powf(*power))).collect::<Vec<_>>();
    let dropouts = draw(0.0, 0.3).iter().map(|rate| format!("{rate:.6}")).collect::<Vec<_>>();
    let values = |values: &[String]| values.to_vec();
    let numeric = |name: &str, all: &[String]| Axis { values: values(all), ..axis(name, &[], AxisKind::Numeric) };
    let axes = vec![
        numeric("lr", &rates),
        numeric("dropout", &dropouts),
        axis("schedule", &["linear", "cosine"], AxisKind::Category),
    ];
    let places = (0..cells).map(|i| vec![i, i, i % 2]);
    let mut runs = places.enumerate().map(|(i, cell)| run(&axes, &cell, i as u64)).collect::<Vec<_>>();
    in_turn(&mut runs, 2);
    let mut comparison = Comparison { runs, axes, baseline: None, ..sweep_over("drawn", Vec::new(), 1) };
    let mut noise = Noise::new(6);
    fill(&mut comparison, |run| {
        let power = run.axis("lr").and_then(|rate| rate.parse::<f64>().ok()).map_or(0.0, f64::log10);
        5.0 + 0.4 * (power + 2.2).powi(2) + 0.03 * noise.normal()
    });
    comparison
}

/// Runs that tell in detail which class they took for which, and how they found each kind of entity.
pub(crate) fn answered() -> Comparison {
    let mut comparison = sweep();
    for (i, run) in comparison.runs.iter_mut().enumerate() {
        let wrong = |truth: usize| (i + 3 * truth) % 7;
        let row = |truth: usize| {
            let counts = (0..3).map(|answer| if answer == truth { 40 - 2 * wrong(truth) } else { wrong(truth) });
            counts.collect::<Vec<_>>()
        };
        let confusion = json!({"labels": ["0", "neutral", "2"], "counts": [row(0), row(1), row(2)]});
        let kinds = ["DT", "LC", "OG", "PS"].iter().enumerate();
        let kinds =
            kinds.map(|(k, kind)| json!({"kind": kind, "right": 5 * k + i % 3, "predicted": 20, "true": 20 + k}));
        run.facts.insert("valid_confusion".to_owned(), confusion);
        run.facts.insert("valid_entities".to_owned(), kinds.collect());
    }
    comparison
}

/// So many models of different size, three seeds each, whose losses follow a law of their compute.
pub(crate) fn sized(sizes: usize) -> Comparison {
    let names = &["a", "b", "c", "d", "e", "f"][..sizes];
    let mut comparison = sweep_over("sizes", vec![axis("size", names, AxisKind::Ordered)], 3);
    for run in &mut comparison.runs {
        let place = names.iter().position(|name| run.axis("size") == Some(name)).unwrap_or_default();
        run.parameters = 100_000 << (2 * place);
        run.flops = 6e10 * run.parameters as f64;
    }
    let mut noise = Noise::new(3);
    fill(&mut comparison, |run| 3.0 + 3.0 * (run.flops / 6e15).powf(-0.25) + 0.02 * noise.normal());
    comparison
}

/// Gives the runs times as if so many workers had taken one after the other.
fn in_turn(runs: &mut [RunData], workers: usize) {
    let mut free = vec![1_700_000_000_000_i64; workers];
    for run in runs {
        let Some(first) = free.iter_mut().min() else { return };
        let from = *first;
        *first += (1e3 * run.elapsed_secs) as i64;
        run.sessions = vec![(Timestamp::from_unix_millis(from), Timestamp::from_unix_millis(*first))];
    }
}

/// Gives each combination of the values of `redrawn` seeds of its own: the luck of a sweep with a count of seeds.
pub(crate) fn own_luck(comparison: &mut Comparison, redrawn: &[&str]) {
    let mut plots = BTreeMap::new();
    for run in &mut comparison.runs {
        let plot = redrawn.iter().map(|axis| run.axis(axis).map(str::to_owned)).collect::<Vec<_>>();
        let next = plots.len() as u64;
        run.seed = Seed(1_000 * (1 + *plots.entry(plot).or_insert(next)) + run.seed.0);
    }
}

/// Gives every run an outcome, and makes it finished.
pub(crate) fn fill(comparison: &mut Comparison, mut outcome: impl FnMut(&RunData) -> f64) {
    let metric = comparison.metric.clone();
    for run in &mut comparison.runs {
        run.state = RunState::Finished;
        run.series.insert(metric.clone(), vec![Point { step: 1, value: outcome(run) }]);
    }
}

fn run(axes: &[Axis], cell: &[usize], seed: u64) -> RunData {
    const STEPS: i64 = 2_000;
    let id = cell.iter().fold(seed, |id, &i| id * 7 + i as u64);
    let (mut noise, mut shared) = (Noise::new(id.wrapping_mul(0x1234_5678_9ABC)), Noise::new(seed));
    let place = |k: usize| cell.get(k).map_or(0.0, |&i| i as f64);
    let end = 4.95 - 0.22 * place(0) - 0.09 * place(1) + 0.012 * place(2) - 0.05 * place(3)
        + 0.03 * shared.normal()
        + 0.012 * noise.normal();
    let pace = 260.0 - 40.0 * place(0);
    let loss = |step: i64| end + 3.9 * (-(step as f64) / pace).exp() + 18.0 / (step as f64 + 60.0);
    let valid =
        (0..=STEPS / 100).map(|i| i * 100).map(|step| Point { step, value: loss(step) + 0.01 * noise.normal() });
    let valid = valid.collect::<Vec<_>>();
    let train = (1..=STEPS / 5).map(|i| i * 5).map(|step| Point { step, value: loss(step) + 0.12 * noise.normal() });
    let train = train.collect::<Vec<_>>();
    let warmup = if cell.get(3).is_some_and(|&i| i > 0) { 400.0 } else { 100.0 };
    let lr = |step: f64| 1e-3 * if step < warmup { step / warmup } else { (2_000.0 - step) / (2_000.0 - warmup) };
    let lr = (0..=STEPS / 10).map(|i| Point { step: i * 10, value: lr(i as f64 * 10.0) }).collect();
    let parameters = if place(0) > 0.0 { 4_551_936 } else { 1_052_256 };
    let values = axes.iter().zip(cell).map(|(axis, &i)| (axis.name.clone(), axis.values[i].clone()));
    RunData {
        id: Some(RunId::from_random_bytes([id as u8, (id >> 8) as u8, 31, 77, seed as u8])),
        spec: Some(SpecHash(ContentHash::of(&id.to_le_bytes()))),
        axes: values.collect(),
        seed: Seed(seed),
        state: RunState::Finished,
        reason: None,
        parameters,
        sessions: Vec::new(),
        elapsed_secs: 40.0 + parameters as f64 / 3.0e4 + 6.0 * noise.unit() + 9.0 * place(2),
        tokens: STEPS as u64 * 64 * 128,
        flops: 6.0 * parameters as f64 * (STEPS as u64 * 64 * 128) as f64,
        series: BTreeMap::from([
            (metric("valid/mlm_loss"), valid),
            (metric("train/mlm_loss"), train),
            (metric("train/lr"), lr),
        ]),
        facts: BTreeMap::new(),
    }
}

fn fail(run: &mut RunData, step: i64) {
    run.state = RunState::Failed;
    run.reason = Some(format!("the loss was NaN at step {step}"));
    for points in run.series.values_mut() {
        points.retain(|point| point.step <= step);
    }
}
