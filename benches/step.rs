//! Tokens a second of a whole training step (forward, backward, AdamW) on random tokens, dropout on, no padding, for the
//! shapes that PyTorch is measured on: `cargo bench --bench step -- [--steps N] [--path kernels|composed] [SHAPE..]`.
//!
//! One line of JSON a shape: medians over the steps, and where a step's time goes. On Linux `cpu_ms_median` is the time
//! that all threads together were running: what to compare on a machine that is shared. `loss_bits` must not change with
//! `RAYON_NUM_THREADS`.

use std::time::Instant;

use ablate::plan::RunSpec;
use ablate::trainer::kernels::Path;
use ablate::trainer::model::parameters::recycle;
use ablate::trainer::model::sublayer::DropoutSite;
use ablate::trainer::model::{Bert, Tokens, head};
use ablate::trainer::optimizer::Optimizer;
use ablate::trainer::rng::{Draws, Purpose, Stream};
use ablate::types::{ContentHash, Seed};
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde_json::json;

/// Vocabulary, hidden, layers, heads, intermediate, sequence length, batch size, dropout.
type Shape = (usize, usize, usize, usize, usize, usize, usize, f64);

const SHAPES: [(&str, Shape); 6] = [
    ("aiffel-1m", (8007, 96, 3, 3, 256, 128, 64, 0.1)),
    ("aiffel-4m", (8007, 256, 3, 4, 1024, 128, 64, 0.1)),
    ("long8v", (11568, 256, 2, 8, 512, 128, 64, 0.5)),
    ("chuck2win", (16000, 64, 4, 4, 256, 128, 32, 0.1)),
    ("paul-hyun", (8007, 256, 6, 4, 1024, 256, 32, 0.1)),
    ("mini", (8000, 256, 4, 4, 1024, 128, 32, 0.1)),
];

/// The parts of a step, in their order.
const PARTS: [&str; 5] = ["forward", "backward", "gradients", "optimizer", "parameters"];

#[allow(clippy::print_stdout)] // the report
fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (mut steps, mut path, mut shapes) = (8, Path::Kernels, Vec::new());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--steps" => steps = arguments.next().and_then(|n| n.parse().ok()).expect("a number of steps"),
            "--path" if arguments.next().as_deref() == Some("composed") => path = Path::Composed,
            "--path" => path = Path::Kernels,
            name => shapes.push(name.to_owned()),
        }
    }
    for (name, shape) in SHAPES {
        if shapes.is_empty() || shapes.iter().any(|asked| asked == name) {
            println!("{}", measure(name, shape, path, steps));
        }
    }
}

/// Trains for two steps of warming up and `steps` measured ones.
fn measure(name: &str, shape: Shape, path: Path, steps: usize) -> serde_json::Value {
    let device = Device::flex().autodiff();
    let spec = spec(shape);
    let mut bert = Bert::new(&spec, &device);
    let mut parameters = bert.parameters();
    let mut optimizer = Optimizer::new(&spec.optimizer, &parameters);
    let mut times: Vec<[f64; PARTS.len()]> = Vec::new();
    let mut cpu_ms: Vec<f64> = Vec::new();
    let mut last_loss = f32::NAN;
    for t in 0..steps as u64 + 2 {
        let batch = Batch::new(&spec, t, &device);
        let cpu_before = cpu_time_ms();
        let mut clock = Clock::start();
        let loss = batch.loss(&bert, &spec, path, t);
        clock.lap();
        let gradients = loss.backward();
        clock.lap();
        let gradients = bert.gradients(gradients);
        clock.lap();
        optimizer.step(&mut parameters, &gradients, spec.optimizer.lr);
        clock.lap();
        bert = bert.with_parameters(&parameters, &device);
        recycle(gradients);
        clock.lap();
        last_loss = loss.into_scalar();
        cpu_ms.extend(cpu_time_ms().zip(cpu_before).map(|(after, before)| after - before));
        times.push(std::array::from_fn(|i| clock.laps[i]));
    }
    let times = &times[2..];
    let ms = |part: &dyn Fn(&[f64; PARTS.len()]) -> f64| (median(times.iter().map(part)) * 1e5).round() / 1e2;
    let total = |laps: &[f64; PARTS.len()]| laps.iter().sum();
    let parts: serde_json::Map<_, _> =
        PARTS.iter().enumerate().map(|(i, &part)| (part.to_owned(), json!(ms(&|laps| laps[i])))).collect();
    let tokens = spec.train.batch_size * spec.train.seq_len;
    json!({
        "shape": name,
        "path": format!("{path:?}").to_lowercase(),
        "threads": rayon::current_num_threads(),
        "tokens_per_s": (tokens as f64 / median(times.iter().map(total))).round(),
        "ms_median": ms(&total),
        "ms_min": (times.iter().map(total).fold(f64::INFINITY, f64::min) * 1e4).round() / 10.0,
        "cpu_ms_median": (cpu_ms.len() > 2).then(|| median(cpu_ms.into_iter().skip(2)).round()),
        "ms_of": parts,
        "loss_bits": format!("{:08x}", last_loss.to_bits()),
    })
}

/// Milliseconds that the threads of this process have run; `None` where the system does not tell.
fn cpu_time_ms() -> Option<f64> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?.filter_map(Result::ok);
    let nanos = |path: std::path::PathBuf| {
        std::fs::read_to_string(path.join("schedstat")).ok()?.split(' ').next()?.parse::<f64>().ok()
    };
    Some(threads.filter_map(|thread| nanos(thread.path())).sum::<f64>() / 1e6)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

struct Clock {
    last: Instant,
    laps: Vec<f64>,
}

#[allow(clippy::disallowed_methods)] // a benchmark reads the clock
impl Clock {
    fn start() -> Self {
        Self { last: Instant::now(), laps: Vec::new() }
    }

    fn lap(&mut self) {
        let now = Instant::now();
        self.laps.push((now - self.last).as_secs_f64());
        self.last = now;
    }
}

/// Random tokens, 15 % of the rows masked.
struct Batch {
    tokens: Tokens,
    rows: Tensor<1, Int>,
    labels: Tensor<1, Int>,
    nsp: Tensor<1, Int>,
}

impl Batch {
    fn new(spec: &RunSpec, step: u64, device: &Device) -> Self {
        let (b, s, v) = (spec.train.batch_size, spec.train.seq_len, spec.tokenizer.vocab_size as u32);
        let mut draws: Draws = Stream::new(Seed(1), Purpose::Pair, step, 0).draws();
        let ids: Vec<i32> = (0..b * s).map(|_| 5 + draws.below(v - 5) as i32).collect();
        let segments: Vec<i32> = (0..b * s).map(|i| i32::from(i % s >= s / 2)).collect();
        let m = b * s * 15 / 100;
        let rows: Vec<i32> = (0..m).map(|i| (i * b * s / m) as i32).collect();
        let labels: Vec<i32> = rows.iter().map(|&row| ids[row as usize]).collect();
        let nsp: Vec<i32> = (0..b).map(|_| draws.below(2) as i32).collect();
        let tokens = Tokens {
            ids: integers(&ids, [b, s], device),
            segments: integers(&segments, [b, s], device),
            lengths: vec![s as u32; b],
        };
        let list = |values: &[i32]| integers(values, [values.len()], device);
        Self { tokens, rows: list(&rows), labels: list(&labels), nsp: list(&nsp) }
    }

    fn loss(self, bert: &Bert, spec: &RunSpec, path: Path, step: u64) -> Tensor<1> {
        let dropout = Some(DropoutSite { seed: Seed(1), step });
        let hidden = bert.encode_by(path, &self.tokens, &spec.model, dropout);
        let loss = bert.mlm_loss_by(path, hidden.clone(), self.rows, self.labels, &spec.model);
        match bert.nsp_logits(hidden) {
            Some(logits) => loss + head::cross_entropy(logits, self.nsp).mean(),
            None => loss,
        }
    }
}

fn integers<const D: usize>(values: &[i32], shape: [usize; D], device: &Device) -> Tensor<D, Int> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

fn spec((v, d, layers, heads, ff, s, b, dropout): Shape) -> RunSpec {
    serde_json::from_value(json!({
        "schema": 1, "stage": "pretrain",
        "data": {"corpus": "demo", "corpus_hash": ContentHash::of(b""), "format": "demo", "text_field": "text",
                 "valid_fraction": 0.1},
        "tokenizer": {"kind": "wordpiece", "vocab_size": v, "min_frequency": 2, "limit_alphabet": 100,
                      "lowercase": false},
        "model": {"hidden_size": d, "num_hidden_layers": layers, "num_attention_heads": heads,
                  "attention_head_size": d / heads, "intermediate_size": ff, "max_position_embeddings": s,
                  "type_vocab_size": 2, "hidden_act": "gelu", "hidden_dropout_prob": dropout,
                  "attention_probs_dropout_prob": dropout, "initializer_range": 0.02, "layer_norm_eps": 1e-12,
                  "position_embedding_type": "absolute", "norm_position": "post", "embedding_layer_norm": true,
                  "tie_word_embeddings": true, "mlm_head_transform": true, "mlm_head_bias": true,
                  "nsp_head_bias": true},
        "objective": {"mask_ratio": 0.15, "mask_token_prob": 0.8, "random_token_prob": 0.1, "masking": "dynamic",
                      "nsp": "random", "nsp_negative_prob": 0.5, "short_seq_prob": 0.1},
        "optimizer": {"kind": "adamw", "lr": 1e-4, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01},
        "schedule": {"kind": "constant", "warmup_steps": 0},
        "train": {"steps": 50, "batch_size": b, "seq_len": s, "eval_every": 10, "eval_instances": 8,
                  "checkpoint_every": 10, "keep_checkpoints": 1, "seed": 3, "device": "flex", "isa": "native"}
    }))
    .expect("a valid specification")
}
