//! Whole models by the kernels and by burn's composed operations: losses, gradients and fifty steps of training; and by
//! the kernels at one, two and three threads.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde_json::json;

use super::super::Compute;
use crate::plan::{Activation, ModelSpec, NormPosition, NormType, PositionEmbedding, RunSpec};
use crate::trainer::model::parameters::{Parameter, Weights, digest};
use crate::trainer::model::{BertForPreTraining, Tokens, TrainingPass, cross_entropy};
use crate::trainer::optimizer::Optimizer;
use crate::trainer::rng::{Draws, Purpose, Stream};
use crate::trainer::sequences::Sequences;
use crate::types::{ContentHash, Seed};

fn spec(change: impl FnOnce(&mut ModelSpec)) -> RunSpec {
    let text = toml::to_string(&json!({
        "schema": 2, "numerics": 2, "stage": "pretrain",
        "data": {"corpus": "demo", "corpus_hash": ContentHash::of(b""), "format": "demo", "text_field": "text",
                 "valid_fraction": 0.1},
        "tokenizer": {"kind": "wordpiece", "vocab_size": 101, "min_frequency": 2, "limit_alphabet": 100,
                      "lowercase": false},
        "model": {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "attention_head_size": 8,
                  "intermediate_size": 40, "max_position_embeddings": 16, "type_vocab_size": 2, "hidden_act": "gelu",
                  "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "initializer_range": 0.05,
                  "layer_norm_eps": 1e-12, "position_embedding_type": "absolute", "norm_position": "post",
                  "embedding_layer_norm": true, "tie_word_embeddings": true, "mlm_head_transform": true,
                  "mlm_head_bias": true, "nsp_head_bias": true},
        "objective": {"mask_ratio": 0.15, "mask_token_prob": 0.8, "random_token_prob": 0.1, "masking": "dynamic",
                      "nsp": "random", "nsp_negative_prob": 0.5, "short_seq_prob": 0.1},
        "optimizer": {"kind": "adamw", "lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01,
                      "clip_norm": 1.0},
        "schedule": {"kind": "constant", "warmup_steps": 0},
        "train": {"steps": 50, "batch_size": 5, "seq_len": 13, "eval_every": 10, "eval_instances": 8,
                  "checkpoint_every": 10, "keep_checkpoints": 1, "seed": 3, "device": "flex", "isa": "native"}
    }))
    .unwrap();
    let mut spec = RunSpec::from_toml(&text).unwrap();
    change(&mut spec.model);
    spec
}

/// A batch of random tokens, in sequences of several lengths.
struct Batch {
    tokens: Tokens,
    rows: Vec<i32>,
    labels: Vec<i32>,
    nsp: Vec<i32>,
}

fn ints<const D: usize>(values: &[i32], shape: [usize; D], device: &Device) -> Tensor<D, Int> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

fn batch(spec: &RunSpec, step: u64) -> Batch {
    let (b, s, v) = (spec.train().batch_size, spec.train().seq_len, spec.tokenizer.vocab_size as u32);
    let mut draws: Draws = Stream::new(Seed(8), Purpose::Pair, step, 0).draws();
    let sequences = Arc::new(Sequences::new((0..b).map(|i| s - i % 3 * 2)));
    let ids: Vec<u32> = (0..sequences.rows()).map(|_| draws.below(v)).collect();
    let segments = sequences.positions().into_iter().map(|i| u32::from(i as usize > s / 2)).collect();
    let rows: Vec<i32> = (0..b).flat_map(|b| [1, 5].map(|i| (sequences.starts()[b] + i) as i32)).collect();
    // Half of what is to be predicted can be learned from its token.
    let labels = rows.iter().map(|&row| ((ids[row as usize] * 7 + 1) % v) as i32).collect();
    let nsp = (0..b).map(|_| draws.below(2) as i32).collect();
    let tokens = Tokens { ids, segments, sequences };
    Batch { tokens, rows, labels, nsp }
}

/// Loss and gradients of one step.
fn step(bert: &BertForPreTraining, spec: &RunSpec, step: u64, device: &Device) -> (f32, Vec<Parameter>) {
    let (batch, gradient_checkpointing) = (batch(spec, step), spec.train().gradient_checkpointing);
    let dropout = Some(TrainingPass { seed: spec.train().seed, step, gradient_checkpointing });
    let hidden = bert.bert.encode(&batch.tokens, &spec.model, dropout);
    let m = batch.rows.len();
    let (rows, labels) = (ints(&batch.rows, [m], device), ints(&batch.labels, [m], device));
    let mut loss = bert.mlm_loss(hidden.clone(), rows, labels, &spec.model);
    if let Some(logits) = bert.nsp_logits(hidden, &batch.tokens.sequences) {
        loss = loss + cross_entropy(logits, ints(&batch.nsp, [batch.nsp.len()], device)).mean();
    }
    let gradients = bert.gradients(loss.backward());
    (loss.into_scalar::<f32>(), gradients)
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|x| x * x).sum::<f64>().sqrt()
}

fn agree(change: impl FnOnce(&mut ModelSpec)) {
    let device = Device::flex().autodiff();
    let spec = spec(change);
    let bert = BertForPreTraining::new(&spec, &device);
    assert_eq!(bert.bert.compute, Compute::Kernels);
    let (loss, gradients) = step(&bert, &spec, 6, &device);
    let (composed_loss, composed) = step(&bert.computed_by(Compute::Composed), &spec, 6, &device);
    assert!((loss - composed_loss).abs() < 2e-6 * composed_loss.abs(), "{loss}, not {composed_loss}");
    let total = norm(composed.iter().flat_map(|p| p.values.iter().map(|&x| f64::from(x))));
    for (gradient, expected) in gradients.iter().zip(&composed) {
        let difference = norm(gradient.values.iter().zip(&expected.values).map(|(a, b)| f64::from(a - b)));
        let size = norm(expected.values.iter().map(|&x| f64::from(x)));
        // A key bias moves no probability: its gradient is rounding alone.
        assert!(difference < 1e-5 * size + 1e-6 * total, "{}: {difference:e} of {size:e}", gradient.name);
    }
}

#[test]
fn kernels_agree_with_composed_operations() {
    agree(|_| ());
    agree(|model| {
        model.norm_position = NormPosition::Pre;
        model.hidden_act = Activation::GeluNew;
        model.attention_head_size = 5;
    });
    agree(|model| {
        model.hidden_act = Activation::Relu;
        model.position_embedding_type = PositionEmbedding::Sinusoidal;
        model.embedding_layer_norm = false;
        model.tie_word_embeddings = false;
        model.hidden_dropout_prob = 0.5;
    });
    agree(|model| {
        model.position_embedding_type = PositionEmbedding::Rotary;
        model.is_gated_act = true;
        model.local_attention = 7;
        model.global_attn_every_n_layers = 2;
        model.norm_position = NormPosition::Pre;
    });
    agree(|model| {
        model.norm_position = NormPosition::Pre;
        model.first_attention_norm = false;
    });
    agree(|model| model.position_embedding_type = PositionEmbedding::RelativeKey);
    agree(|model| {
        model.position_embedding_type = PositionEmbedding::RelativeKey;
        model.norm_position = NormPosition::Pre;
        model.local_attention = 5;
        model.global_attn_every_n_layers = 2;
        model.attention_head_size = 5;
        model.attention_probs_dropout_prob = 0.3;
    });
    agree(|model| {
        model.local_attention = 2;
        model.is_gated_act = true;
    });
    agree(|model| model.norm_type = NormType::RmsNorm);
    agree(|model| {
        model.norm_type = NormType::RmsNorm;
        model.norm_position = NormPosition::Pre;
        model.layer_norm_eps = 1e-5;
    });
    agree(|model| {
        model.mlm_head_transform = false;
        model.mlm_head_bias = false;
        model.hidden_dropout_prob = 0.0;
        model.attention_probs_dropout_prob = 0.0;
        model.hidden_size = 16;
    });
}

#[test]
fn evaluation_draws_nothing_and_agrees() {
    let device = Device::flex();
    let spec = spec(|_| ());
    let bert = BertForPreTraining::new(&spec, &device);
    let batch = batch(&spec, 0);
    let hidden = |compute| {
        let hidden = bert.clone().computed_by(compute).bert.encode(&batch.tokens, &spec.model, None);
        hidden.into_data().try_into_vec::<f32>().unwrap()
    };
    let (kernels, composed) = (hidden(Compute::Kernels), hidden(Compute::Composed));
    assert_eq!(kernels.len(), batch.tokens.sequences.rows() * spec.model.hidden_size);
    for (x, y) in kernels.iter().zip(&composed) {
        assert!((x - y).abs() < 2e-5, "{x}, not {y}");
    }
}

/// Trains for `steps` and returns the losses and the digest of the weights.
fn train(spec: &RunSpec, compute: Compute, steps: u64) -> (Vec<f32>, ContentHash) {
    let device = Device::flex().autodiff();
    let mut bert = BertForPreTraining::new(spec, &device).computed_by(compute);
    let mut parameters = bert.parameters();
    let mut optimizer = Optimizer::new(spec.optimizer(), &parameters);
    let losses = (0..steps)
        .map(|t| {
            let (loss, gradients) = step(&bert, spec, t, &device);
            optimizer.step(&mut parameters, &gradients, spec.optimizer().lr);
            bert = bert.clone().with_parameters(&parameters, &device);
            loss
        })
        .collect();
    (losses, digest(&parameters))
}

#[test]
fn fifty_steps_of_training_agree() {
    let spec = spec(|_| ());
    let (kernels, _) = train(&spec, Compute::Kernels, 50);
    let (composed, _) = train(&spec, Compute::Composed, 50);
    for (t, (loss, expected)) in kernels.iter().zip(&composed).enumerate() {
        assert!((loss / expected - 1.0).abs() < 1e-5, "step {t}: {loss}, not {expected}");
    }
    assert!(kernels[49] < kernels[0], "nothing was learned: {} to {}", kernels[0], kernels[49]);
}

/// Computing sublayers again in the backward pass changes no bit.
#[test]
fn gradient_checkpointing_changes_nothing() {
    let kinds = [PositionEmbedding::Absolute, PositionEmbedding::RelativeKey];
    for (position, kind) in [NormPosition::Post, NormPosition::Pre].into_iter().zip(kinds) {
        let mut spec = spec(|model| (model.norm_position, model.position_embedding_type) = (position, kind));
        let kept = train(&spec, Compute::Kernels, 3);
        spec.train_mut().gradient_checkpointing = true;
        assert_eq!(train(&spec, Compute::Kernels, 3), kept);
    }
}

/// Losses and weights are the same bits at any number of threads, also where products are long enough that their sums
/// are cut into blocks and weight gradients into tiles.
#[test]
fn bits_do_not_depend_on_threads() {
    for positions in [PositionEmbedding::Absolute, PositionEmbedding::RelativeKey] {
        let mut spec = spec(|model| {
            model.hidden_size = 48;
            model.intermediate_size = 600;
            model.max_position_embeddings = 64;
            model.position_embedding_type = positions;
        });
        spec.train_mut().batch_size = 9;
        spec.train_mut().seq_len = 64;
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (losses, weights) = pool.install(|| train(&spec, Compute::Kernels, 3));
            (losses.iter().map(|loss| loss.to_bits()).collect::<Vec<_>>(), weights)
        };
        let one = run(1);
        assert_eq!(one, run(2));
        assert_eq!(one, run(3));
    }
}
