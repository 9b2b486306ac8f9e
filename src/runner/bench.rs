//! The benchmark: whole training steps of known shapes (batch, forward, backward, AdamW) on random tokens with dropout and
//! without padding, the same work that `torch_step.py` gives PyTorch.
//!
//! Speed is told three ways: tokens a second, floating-point operations a second (counted as in [`estimate`]), and these
//! as a share of what this machine reaches in matrix products alone, measured right before.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::clock::{Stopwatch, monotonic_secs};
use crate::plan::{self, CorpusFacts, CorpusFormat, DeviceKind, RunSpec, estimate, training_flops};
use crate::trainer::device::{self, Device, DeviceError};
use crate::trainer::kernels::profile::{self, Pass};
use crate::trainer::kernels::{Compute, Squares, pool};
use crate::trainer::model::parameters::{self, Parameter, Weights};
use crate::trainer::model::{BertForPreTraining, Tokens};
use crate::trainer::optimizer::Optimizer;
use crate::trainer::pretraining::batch::Batch;
use crate::trainer::pretraining::forward_backward;
use crate::trainer::pretraining::masking::Shown;
use crate::trainer::rng::{Purpose, Stream};
use crate::trainer::sequences::Sequences;
use crate::types::{ContentHash, Seed};

/// Steps before the first that is measured.
const WARMUP: usize = 2;

/// A shape of the literature and of the projects that this program replaces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    pub name: &'static str,
    pub vocabulary: usize,
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    pub intermediate: usize,
    pub seq_len: usize,
    pub batch_size: usize,
    pub dropout: f64,
}

const fn shape(name: &'static str, sizes: [usize; 5], seq_len: usize, batch_size: usize, dropout: f64) -> Shape {
    let [vocabulary, hidden, layers, heads, intermediate] = sizes;
    Shape { name, vocabulary, hidden, layers, heads, intermediate, seq_len, batch_size, dropout }
}

/// The shapes that are measured.
pub const SHAPES: [Shape; 6] = [
    shape("aiffel-1m", [8007, 96, 3, 3, 256], 128, 64, 0.1),
    shape("aiffel-4m", [8007, 256, 3, 4, 1024], 128, 64, 0.1),
    shape("long8v", [11568, 256, 2, 8, 512], 128, 64, 0.5),
    shape("chuck2win", [16000, 64, 4, 4, 256], 128, 32, 0.1),
    shape("paul-hyun", [8007, 256, 6, 4, 1024], 256, 32, 0.1),
    shape("mini", [8000, 256, 4, 4, 1024], 128, 32, 0.1),
];

/// How a shape is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    pub steps: usize,
    /// In place of the shape's own.
    pub batch_size: Option<usize>,
    pub device: DeviceKind,
    /// By burn's own operations instead of the kernels.
    pub composed: bool,
    pub gradient_checkpointing: bool,
    /// Whether time is taken kernel by kernel.
    pub profile: bool,
}

/// What was measured of one shape.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    pub shape: &'static str,
    pub device: &'static str,
    /// `kernels` or `composed`.
    pub path: &'static str,
    pub threads: usize,
    pub parameters: u64,
    pub batch_size: usize,
    /// Medians over the measured steps.
    pub tokens_per_s: f64,
    pub ms_per_step: f64,
    pub ms_min: f64,
    /// The time that all threads together were running, on Linux: what to compare on a machine that others use too.
    pub cpu_ms_per_step: Option<f64>,
    pub gflops: f64,
    /// Of the peak, on `flex`.
    pub share_of_peak: Option<f64>,
    /// The most memory that the process held while it measured, on Linux.
    pub peak_memory_mib: Option<f64>,
    /// The last loss, to the bit: the same at any number of threads.
    pub loss_bits: String,
    /// Mean milliseconds a step by part, in the order of a step; empty without `profile`.
    pub parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    pub part: String,
    pub ms: f64,
}

/// What this machine reaches in matrix products alone, on all threads, in GFLOP/s: the best of many.
pub fn peak_gflops() -> f64 {
    /// Long enough to be in step, short enough that many fit.
    const SIDE: usize = 768;
    const SECS: f64 = 1.0;
    let (mut squares, whole, mut best) = (Squares::new(SIDE), Stopwatch::start(), 0f64);
    while whole.elapsed_secs() < SECS {
        let stopwatch = Stopwatch::start();
        let flops = squares.multiply();
        best = best.max(flops / stopwatch.elapsed_secs());
    }
    best / 1e9
}

/// Measures one shape. `peak` is what [`peak_gflops`] found.
///
/// # Errors
/// When the device is not there.
pub fn measure(shape: &Shape, options: &Options, peak: f64) -> Result<Measurement, DeviceError> {
    let spec = spec(shape, options);
    let device = device::open_for_training(spec.train())?;
    if options.profile {
        profile::measure_with(monotonic_secs);
    }
    pool::clear();
    reset_peak_memory();
    let mut trial = Trial::new(&spec, options.composed, device);
    let (mut secs, mut cpu_secs, mut laps, mut loss) = (Vec::new(), Vec::new(), Laps::default(), f64::NAN);
    for t in 0..WARMUP + options.steps {
        if t == WARMUP {
            laps = Laps::default();
            profile::take();
        }
        let (whole, cpu_before) = (Stopwatch::start(), cpu_secs_of_this_process());
        loss = trial.step(t as u64, &mut laps);
        secs.push(whole.elapsed_secs());
        cpu_secs.extend(cpu_secs_of_this_process().zip(cpu_before).map(|(after, before)| after - before));
    }
    let secs = sorted(secs.split_off(WARMUP));
    let median = secs[secs.len() / 2];
    let cpu_secs = sorted(cpu_secs.into_iter().skip(WARMUP).collect());
    let cost = estimate(&spec);
    let gflops = cost.flops.unwrap_or_default() / median / 1e9;
    let tokens = spec.train().positions_a_step() as f64;
    Ok(Measurement {
        shape: shape.name,
        device: options.device.name(),
        path: if trial.model.bert.compute == Compute::Kernels { "kernels" } else { "composed" },
        threads: rayon::current_num_threads(),
        parameters: cost.parameters.total(),
        batch_size: spec.train().batch_size,
        tokens_per_s: (tokens / median).round(),
        ms_per_step: rounded(median * 1e3),
        ms_min: rounded(secs[0] * 1e3),
        cpu_ms_per_step: cpu_secs.get(cpu_secs.len() / 2).map(|secs| rounded(secs * 1e3)),
        gflops: rounded(gflops),
        share_of_peak: (options.device == DeviceKind::Flex).then(|| (gflops / peak * 1e3).round() / 1e3),
        peak_memory_mib: peak_memory_mib(),
        loss_bits: format!("{:08x}", (loss as f32).to_bits()),
        parts: if options.profile { laps.parts(options.steps) } else { Vec::new() },
    })
}

/// Floating-point operations a second that training of `spec` reaches on this machine, by a few steps on random tokens: what
/// to expect before anything was trained. A step that would take long is tried with fewer sequences. Nothing is known where
/// nothing is pretrained, where the device is not there, and of models that would fill the memory.
pub fn training_speed(spec: &RunSpec) -> Option<f64> {
    /// Of one step: a fraction of a second.
    const FLOPS: f64 = 3e10;
    const STEPS: usize = 30;
    const SECS: f64 = 0.4;
    const PARAMETERS: u64 = 200_000_000;
    let cost = estimate(spec);
    if spec.pretraining().is_none() || cost.parameters.total() > PARAMETERS {
        return None;
    }
    let mut spec = spec.clone();
    let train = &mut spec.training_mut()?.train;
    train.gradient_accumulation_steps = 1;
    train.seq_len_warmup.clear();
    let whole = training_flops(&spec, 1);
    let train = &mut spec.training_mut()?.train;
    let share = (FLOPS / whole).min(1.0);
    train.batch_size = ((train.batch_size as f64 * share).ceil() as usize).max(1);
    let device = device::open_for_training(spec.train()).ok()?;
    let (mut trial, whole, mut secs) = (Trial::new(&spec, false, device), Stopwatch::start(), Vec::new());
    for t in 0..WARMUP + STEPS {
        let step = Stopwatch::start();
        trial.step(t as u64, &mut Laps::default());
        secs.push(step.elapsed_secs());
        if t >= WARMUP && whole.elapsed_secs() > SECS {
            break;
        }
    }
    let secs = sorted(secs.split_off(WARMUP));
    Some(training_flops(&spec, 1) / secs[secs.len() / 2])
}

/// A model in training on random tokens.
struct Trial<'a> {
    spec: &'a RunSpec,
    device: Device,
    model: BertForPreTraining,
    weights: Vec<Parameter>,
    optimizer: Optimizer,
}

impl<'a> Trial<'a> {
    fn new(spec: &'a RunSpec, composed: bool, device: Device) -> Self {
        let mut model = BertForPreTraining::new(spec, &device);
        if composed {
            model = model.computed_by(Compute::Composed);
        }
        let weights = model.parameters();
        let optimizer = Optimizer::new(spec.optimizer(), &weights);
        Self { spec, device, model, weights, optimizer }
    }

    /// One whole training step; the loss.
    fn step(&mut self, t: u64, laps: &mut Laps) -> f64 {
        let Self { spec, device, model, weights, optimizer } = self;
        let batch = laps.lap("batch", || random_batch(spec, t));
        let (losses, gradients) = laps.lap("forward and backward", || forward_backward(model, spec, &batch, t, device));
        laps.lap("optimizer", || optimizer.step(weights, &gradients, spec.optimizer().lr));
        *model = laps.lap("weights to the model", || {
            parameters::recycle(gradients);
            model.clone().with_parameters(weights, device)
        });
        losses.total
    }
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// `None` where the system does not tell.
fn cpu_secs_of_this_process() -> Option<f64> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?.filter_map(Result::ok);
    let nanos = |path: std::path::PathBuf| {
        std::fs::read_to_string(path.join("schedstat")).ok()?.split(' ').next()?.parse::<f64>().ok()
    };
    Some(threads.filter_map(|thread| nanos(thread.path())).sum::<f64>() / 1e9)
}

fn rounded(value: f64) -> f64 {
    (value * 1e2).round() / 1e2
}

/// The specification of a shape: a whole run's, of which the corpus is never read.
fn spec(shape: &Shape, options: &Options) -> RunSpec {
    let Shape { vocabulary, hidden, layers, heads, intermediate, seq_len, dropout, .. } = shape;
    let batch_size = options.batch_size.unwrap_or(shape.batch_size);
    let (device, recompute) = (options.device.name(), options.gradient_checkpointing);
    let text = format!(
        "experiment.name = \"bench\"\ndata.corpus = \"demo\"\ntokenizer.vocab_size = {vocabulary}\nobjective.nsp = \"random\"\n\
         [model]\nhidden_size = {hidden}\nnum_hidden_layers = {layers}\nnum_attention_heads = {heads}\n\
         intermediate_size = {intermediate}\nmax_position_embeddings = {seq_len}\nhidden_dropout_prob = {dropout:?}\n\
         attention_probs_dropout_prob = {dropout:?}\n\
         [train]\nsteps = 1\nbatch_size = {batch_size}\nseq_len = {seq_len}\ndevice = \"{device}\"\n\
         gradient_checkpointing = {recompute}\n"
    );
    let facts = CorpusFacts { hash: ContentHash::of(b""), format: CorpusFormat::Demo, bytes: 1, documents: None };
    let experiment = plan::read(&text, "bench", &[], &mut |_, _| Err("a shape stands on no other file".to_owned()))
        .expect("invariant: a shape is an experiment");
    let plan = plan::plan(&experiment, |_| Ok::<_, String>(facts)).expect("invariant: a shape is an experiment");
    plan.cells[0].runs[0].spec.clone()
}

/// Random tokens in full sequences, two segments each, as many of the rows masked as the objective asks for.
fn random_batch(spec: &RunSpec, step: u64) -> Batch {
    let (b, s, v) = (spec.train().batch_size, spec.train().seq_len, spec.tokenizer.vocab_size as u32);
    let mut draws = Stream::new(Seed(1), Purpose::Pair, step, 0).draws();
    let ids: Vec<u32> = (0..b * s).map(|_| 5 + draws.below(v - 5)).collect();
    let segments = (0..b * s).map(|i| u32::from(i % s >= s / 2)).collect();
    let m = ((b * s) as f64 * spec.objective().mask_ratio) as usize;
    let m = m.max(1);
    let rows: Vec<i32> = (0..m).map(|i| (i * b * s / m) as i32).collect();
    Batch {
        labels: rows.iter().map(|&row| ids[row as usize] as i32).collect(),
        tokens: Tokens { ids, segments, sequences: Arc::new(Sequences::new(vec![s; b])) },
        shown: vec![Shown::Kept; m],
        rows,
        nsp_labels: (0..b).map(|_| draws.below(2) as i32).collect(),
    }
}

/// Time by part of a step.
#[derive(Default)]
struct Laps(BTreeMap<&'static str, f64>);

impl Laps {
    fn lap<T>(&mut self, part: &'static str, work: impl FnOnce() -> T) -> T {
        let stopwatch = Stopwatch::start();
        let result = work();
        *self.0.entry(part).or_default() += stopwatch.elapsed_secs();
        result
    }

    /// Mean milliseconds a step: what the kernels spent, what forward and backward spent beside them, and the rest.
    fn parts(&self, steps: usize) -> Vec<Part> {
        let ms = |secs: f64| rounded(secs * 1e3 / steps as f64);
        let part = |name: String, secs: f64| Part { part: name, ms: ms(secs) };
        let spent = profile::take();
        let of = |name: &str| self.0.get(name).copied().unwrap_or_default();
        let kernels = |pass: Pass| spent.iter().filter(move |((_, p), _)| *p == pass);
        let mut parts = vec![part("batch".into(), of("batch"))];
        parts.extend(kernels(Pass::Forward).map(|((name, _), &secs)| part(format!("{name}, forward"), secs)));
        parts.extend(kernels(Pass::Backward).map(|((name, _), &secs)| part(format!("{name}, backward"), secs)));
        let rest = of("forward and backward") - spent.values().sum::<f64>();
        parts.push(part("NSP head, gradients, graph".into(), rest));
        parts.push(part("optimizer".into(), of("optimizer")));
        parts.push(part("weights to the model".into(), of("weights to the model")));
        parts
    }
}

/// Begins to watch the most memory that the process holds; does nothing where the system cannot.
fn reset_peak_memory() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn peak_memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some((kib / 1024.0).round())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::testing;

    /// The benchmark measures the work that it says: full sequences, and the operations of the closed form.
    #[test]
    fn a_shape_becomes_the_model_that_it_names() {
        let options = Options {
            steps: 1,
            batch_size: Some(2),
            device: DeviceKind::Flex,
            composed: false,
            gradient_checkpointing: false,
            profile: true,
        };
        for shape in &SHAPES {
            let spec = spec(shape, &options);
            let batch = random_batch(&spec, 0);
            assert_eq!(batch.real_tokens() as usize, 2 * shape.seq_len);
            assert_eq!(spec.model.hidden_size, shape.hidden);
        }
        let tiny = Shape { vocabulary: 50, hidden: 8, intermediate: 16, seq_len: 16, heads: 2, ..SHAPES[3] };
        let found = measure(&tiny, &options, 1.0).expect("flex is always there");
        assert_eq!((found.shape, found.path, found.batch_size), ("chuck2win", "kernels", 2));
        assert!(found.gflops > 0.0 && found.share_of_peak.is_some());
        let parts: Vec<&str> = found.parts.iter().map(|part| part.part.as_str()).collect();
        assert!(parts.contains(&"attention, backward") && parts.contains(&"optimizer"), "{parts:?}");
    }

    /// A speed is that of the machine, whatever the number of sequences, and nobody waits for it.
    #[test]
    fn a_speed_is_tried_without_training() {
        let planned = |extra: &str| testing::tasks(extra).remove(0).spec;
        let watch = Stopwatch::start();
        for extra in ["", "[objective]\nnsp = \"off\"\nmask_ratio = 0.5\n", "batch_size = 4096\n"] {
            let speed = training_speed(&planned(extra)).expect("flex is always there");
            assert!(speed > 1e7 && speed < 1e14, "{extra}: {speed}");
        }
        assert!(watch.elapsed_secs() < 60.0);
    }
}
