//! The model against an independent reference: forward passes, gradients, the masked-rows head, thread counts.

mod reference;

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Device;

use super::parameters::{Parameter, Weights, digest};
use super::*;
use crate::plan::*;
use crate::trainer::kernels::Compute;
use crate::trainer::pretraining::batch::{Batch, Batches};
use crate::trainer::pretraining::forward_backward;
use crate::trainer::pretraining::instance::tests::{SPECIALS, Toy};
use crate::trainer::pretraining::instance::{InstanceSpec, Instances};
use crate::trainer::pretraining::masking::MaskSpec;
use crate::types::{ContentHash, Seed, metrics};
use reference::Reference;

/// A model small enough for plain loops, with every part switched on.
pub fn tiny_spec() -> RunSpec {
    let data = DataSpec {
        corpus: "toy".into(),
        corpus_hash: ContentHash::of(b"toy"),
        format: CorpusFormat::Sentences,
        text_field: "text".into(),
        valid_fraction: 0.1,
        demo: None,
    };
    let tokenizer = TokenizerSpec {
        kind: TokenizerKind::Wordpiece,
        vocab_size: 50,
        min_frequency: 2,
        limit_alphabet: 100,
        lowercase: false,
        separator: None,
        dictionary: None,
        dictionary_hash: None,
    };
    let model = ModelSpec {
        architecture: Architecture::Bert,
        hidden_size: 12,
        num_hidden_layers: 2,
        num_attention_heads: 3,
        attention_head_size: 4,
        intermediate_size: 20,
        max_position_embeddings: 32,
        type_vocab_size: 2,
        hidden_act: Activation::Gelu,
        hidden_dropout_prob: 0.1,
        attention_probs_dropout_prob: 0.2,
        initializer_range: 0.2,
        layer_norm_eps: 1e-12,
        position_embedding_type: PositionEmbedding::Absolute,
        norm_position: NormPosition::Post,
        embedding_layer_norm: true,
        tie_word_embeddings: true,
        mlm_head_transform: true,
        mlm_head_bias: true,
        nsp_head_bias: true,
        rope_theta: 10_000.0,
        local_attention: 0,
        global_attn_every_n_layers: 0,
        mlm_bias_init: BiasInit::Zeros,
        is_gated_act: false,
        norm_type: NormType::LayerNorm,
        first_attention_norm: true,
    };
    let objective = ObjectiveSpec {
        packing: Packing::FullSentences,
        mask_ratio: 0.2,
        mask_token_prob: 0.8,
        random_token_prob: 0.1,
        masking: Masking::Dynamic,
        nsp: Nsp::Random,
        nsp_negative_prob: 0.5,
        short_seq_prob: 0.1,
        whole_word: false,
        mask_dice: MaskDice::Token,
        mask_replacement: false,
        mlm_weight: 1.0,
        mlm_mean: MlmMean::Masked,
        nsp_weight: 1.0,
        nsp_negative_documents: None,
        nsp_double_softmax: false,
    };
    let optimizer = OptimizerSpec {
        kind: OptimizerKind::Adamw,
        lr: 1e-3,
        betas: [0.9, 0.999],
        eps: 1e-8,
        weight_decay: 0.01,
        decay_exempt: DecayExempt::BiasAndNorm,
        clip_norm: Some(1.0),
        clip_scope: ClipScope::Global,
        momentum: 0.95,
    };
    let schedule = ScheduleSpec {
        kind: ScheduleKind::Linear,
        warmup: Warmup::Steps(2),
        decay_ratio: 0.1,
        plateau_factor: 0.1,
        plateau_patience: 10,
        plateau_threshold: 1e-4,
    };
    let train = TrainSpec {
        length: TrainLength::Steps(10),
        batch_size: 3,
        gradient_accumulation_steps: 1,
        seq_len: 24,
        seq_len_warmup: Vec::new(),
        eval_every: 5,
        eval_instances: 8,
        checkpoint_every: 5,
        keep_checkpoints: 2,
        seed: Seed(1),
        device: DeviceKind::Flex,
        isa: Isa::Native,
        gradient_checkpointing: false,
    };
    let training = Training { optimizer, schedule, train };
    let stage = StageSpec::Pretrain(Box::new(PretrainSpec { data, objective, training }));
    RunSpec::new(tokenizer, model, stage, BTreeMap::new())
}

/// The ways a BERT can be built that the sublayers tell apart.
fn variants() -> Vec<(&'static str, RunSpec)> {
    let variant = |name, change: fn(&mut RunSpec)| {
        let mut spec = tiny_spec();
        change(&mut spec);
        (name, spec)
    };
    vec![
        variant("bert", |_| {}),
        variant("pre-LN, sinusoidal, untied, ReLU", |s| {
            s.model.norm_position = NormPosition::Pre;
            s.model.position_embedding_type = PositionEmbedding::Sinusoidal;
            s.model.tie_word_embeddings = false;
            s.model.hidden_act = Activation::Relu;
        }),
        variant("no NSP, narrow heads, bare MLM head, tanh GELU", |s| {
            s.objective_mut().nsp = Nsp::Off;
            s.model.attention_head_size = 2;
            s.model.mlm_head_transform = false;
            s.model.mlm_head_bias = false;
            s.model.hidden_act = Activation::GeluNew;
        }),
        variant("ModernBERT: rotary, gated, pre-LN, a window in every second layer", |s| {
            s.objective_mut().nsp = Nsp::Off;
            s.model.norm_position = NormPosition::Pre;
            s.model.position_embedding_type = PositionEmbedding::Rotary;
            s.model.rope_theta = 100.0;
            s.model.is_gated_act = true;
            s.model.local_attention = 4;
            s.model.global_attn_every_n_layers = 2;
            s.model.first_attention_norm = false;
        }),
        variant("relative positions", |s| s.model.position_embedding_type = PositionEmbedding::RelativeKey),
        variant("relative positions in a window, pre-LN, narrow heads", |s| {
            s.model.position_embedding_type = PositionEmbedding::RelativeKey;
            s.model.norm_position = NormPosition::Pre;
            s.model.attention_head_size = 3;
            s.model.local_attention = 6;
            s.model.global_attn_every_n_layers = 2;
        }),
        variant("RMSNorm, pre-LN", |s| {
            s.model.norm_type = NormType::RmsNorm;
            s.model.norm_position = NormPosition::Pre;
        }),
        variant("no embedding LayerNorm, no dropout", |s| {
            s.model.embedding_layer_norm = false;
            s.model.hidden_dropout_prob = 0.0;
            s.model.attention_probs_dropout_prob = 0.0;
        }),
    ]
}

fn device() -> Device {
    Device::flex().autodiff()
}

fn batch(spec: &RunSpec) -> Batch {
    let corpus = Toy::random(20, 3);
    let instance_spec = InstanceSpec {
        nsp: spec.objective().nsp,
        packing: Packing::FullSentences,
        negative_prob: 0.5,
        negative_documents: None,
        short_seq_prob: 0.5,
        seq_len: spec.train().seq_len,
        seed: Seed(2),
    };
    let instances = Instances::new(&corpus, SPECIALS, instance_spec);
    let (mask, masking, vocab) = (MaskSpec::of(spec.objective()), Masking::Dynamic, spec.tokenizer.vocab_size);
    let (specials, continues, seed) = (SPECIALS, &[][..], Seed(2));
    let batches = Batches { instances, specials, mask, masking, vocab, continues, batch_size: 3, seed };
    batches.at(0)
}

fn assert_close(what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    let scale = expected.iter().fold(1e-30, |max: f64, v| max.max(v.abs()));
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs() / scale;
        assert!(error < tolerance, "{what} [{i}]: {found}, not {expected} (relative error {error:.1e})");
    }
}

#[test]
fn forward_passes_match_plain_loops_in_f64() {
    for (name, spec) in variants() {
        let (model, batch) = (BertForPreTraining::new(&spec, &device()), batch(&spec));
        for step in [None, Some(4)] {
            let reference = Reference::new(&spec, &model.parameters(), step);
            let expected = reference.encode(&batch);
            let dropout =
                step.map(|step| TrainingPass { seed: spec.train().seed, step, gradient_checkpointing: false });
            let hidden = model.bert.encode(&batch.tokens, &spec.model, dropout);
            let values: Vec<f32> = hidden.clone().into_data().try_into_vec().unwrap();
            let d = spec.model.hidden_size;
            for (i, row) in expected.iter().enumerate() {
                assert_close(&format!("{name}, row {i}"), &values[i * d..(i + 1) * d], row, 1e-5);
            }
            let logits = model.mlm_logits(hidden.clone(), int_tensor(&batch.rows, &device()), &spec.model);
            let logits: Vec<f32> = logits.into_data().try_into_vec().unwrap();
            let expected: Vec<f64> =
                batch.rows.iter().flat_map(|&row| reference.mlm_logits(&expected[row as usize])).collect();
            assert_close(&format!("{name}, logits"), &logits, &expected, 1e-5);
        }
    }
}

/// The numbers of `tests/peers/relative_key.py`: `BertForPreTraining` of `transformers` 4.56.2 on PyTorch, with these weights.
#[test]
fn relative_positions_are_those_of_transformers() {
    let mut spec = tiny_spec();
    (spec.model.position_embedding_type, spec.model.layer_norm_eps) = (PositionEmbedding::RelativeKey, 1e-12);
    let fresh = BertForPreTraining::new(&spec, &device());
    let mut weights = fresh.parameters();
    for Parameter { name, values, .. } in &mut weights {
        let centre = if name.ends_with("LayerNorm.weight") { 1.0 } else { 0.0 };
        let value = |i: usize| centre + 0.5 * libm::sin(0.7 * (i * i) as f64 + name.len() as f64);
        values.iter_mut().enumerate().for_each(|(i, its)| *its = value(i) as f32);
    }
    let model = fresh.with_parameters(&weights, &device());
    let tokens = Tokens {
        ids: vec![2, 7, 11, 4, 23, 49, 3, 2, 30, 4, 3],
        segments: vec![0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0],
        sequences: std::sync::Arc::new(crate::trainer::sequences::Sequences::new([7, 4])),
    };
    let expected = [
        vec![0.971302, 2.030966, 0.748743, -0.306851, -0.069481, 0.557949],
        vec![-1.153702, 0.182946, 0.486372, 1.104267, 0.387166, 0.650378],
    ];
    for compute in [Compute::Kernels, Compute::Composed] {
        let model = model.clone().computed_by(compute);
        let hidden = model.bert.encode(&tokens, &spec.model, None);
        let rows = int_tensor(&[3, 7 + 2], &device());
        let logits: Vec<f32> = model.mlm_logits(hidden.clone(), rows, &spec.model).into_data().try_into_vec().unwrap();
        for (logits, expected) in logits.chunks(50).zip(&expected) {
            assert_close(&format!("{compute:?}"), &logits[..6], expected, 1e-5);
        }
        let pairs = model.nsp_logits(hidden, &tokens.sequences).unwrap().into_data().try_into_vec().unwrap();
        assert_close("pairs", &pairs, &[-0.907988, -0.484701, 0.503611, -0.005365], 1e-5);
    }
}

/// Central differences of the f64 reference, for a few values of every parameter, dropout on.
#[test]
fn gradients_match_finite_differences() {
    const H: f64 = 1e-5;
    for (name, spec) in variants() {
        let (model, batch) = (BertForPreTraining::new(&spec, &device()), batch(&spec));
        let (losses, gradients) = forward_backward(&model, &spec, &batch, 4, &device());
        let mut reference = Reference::new(&spec, &model.parameters(), Some(4));
        let loss = reference.loss(&batch);
        assert!((losses.total - loss).abs() < 1e-5 * loss, "{name}: loss {}, not {loss}", losses.total);
        for gradient in &gradients {
            let n = gradient.values.len();
            let places: Vec<usize> = (0..5).map(|i| (i * 7919 + 13) % n).collect();
            let differences: Vec<f64> = places
                .iter()
                .map(|&i| {
                    let mut shifted = |by: f64| {
                        *reference.value(&gradient.name, i) += by;
                        let loss = reference.loss(&batch);
                        *reference.value(&gradient.name, i) -= by;
                        loss
                    };
                    (shifted(H) - shifted(-H)) / (2.0 * H)
                })
                .collect();
            let scale = gradient.values.iter().fold(1e-3f64, |max, &v| max.max(f64::from(v).abs()));
            for (&i, expected) in places.iter().zip(differences) {
                let error = (f64::from(gradient.values[i]) - expected).abs() / scale;
                let found = gradient.values[i];
                assert!(error < 1e-3, "{name}, {}[{i}]: {found}, not {expected}", gradient.name);
            }
        }
    }
}

/// The weighted sum of the losses is minimised; its parts are reported as they are.
#[test]
fn losses_are_weighted_as_asked() {
    let losses = |change: fn(&mut ObjectiveSpec)| {
        let mut spec = tiny_spec();
        change(spec.objective_mut());
        forward_backward(&BertForPreTraining::new(&spec, &device()), &spec, &batch(&spec), 4, &device()).0
    };
    let plain = losses(|_| {});
    let (mlm, nsp) = (plain.part(&metrics::TRAIN_MLM_LOSS).unwrap(), plain.part(&metrics::TRAIN_NSP_LOSS).unwrap());
    let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
    close(plain.total, mlm + nsp);
    let weighted = losses(|objective| (objective.mlm_weight, objective.nsp_weight) = (20.0, 0.5));
    close(weighted.total, 20.0 * mlm + 0.5 * nsp);
    assert_eq!(weighted.parts, plain.parts);
    let spec = tiny_spec();
    let batch = batch(&spec);
    let share = batch.rows.len() as f64 / (3 * spec.train().seq_len) as f64;
    close(losses(|objective| objective.mlm_mean = MlmMean::Positions).total, share * mlm + nsp);
    // A softmax of a softmax leaves a perfect predictor at ln(1 + 1/e), and any at most at ln(1 + e).
    let doubled = losses(|objective| objective.nsp_double_softmax = true).part(&metrics::TRAIN_NSP_LOSS).unwrap();
    assert!((0.3132..1.3133).contains(&doubled) && (doubled - nsp).abs() > 1e-4, "{doubled}");
}

/// The head on the masked rows alone computes what the head on every position would, loss and gradients.
#[test]
fn the_masked_rows_head_equals_the_full_head() {
    let spec = tiny_spec();
    let (model, batch) = (BertForPreTraining::new(&spec, &device()), batch(&spec));
    let gradients = |full: bool| {
        let dropout = TrainingPass { seed: spec.train().seed, step: 0, gradient_checkpointing: false };
        let hidden = model.bert.encode(&batch.tokens, &spec.model, Some(dropout));
        let places = batch.real_tokens() as i32;
        let rows = int_tensor(&batch.rows, &device());
        let logits = if full {
            let all: Vec<i32> = (0..places).collect();
            model.mlm_logits(hidden, int_tensor(&all, &device()), &spec.model).select(0, rows)
        } else {
            model.mlm_logits(hidden, rows, &spec.model)
        };
        let loss = cross_entropy(logits, int_tensor(&batch.labels, &device())).mean();
        let gradients = model.gradients(loss.backward());
        (f64::from(loss.into_scalar::<f32>()), gradients)
    };
    let ((masked_loss, masked), (full_loss, full)) = (gradients(false), gradients(true));
    assert!((masked_loss - full_loss).abs() < 1e-6 * full_loss);
    // The gradient of a key bias is zero in exact arithmetic: softmax does not see it, and only rounding is left.
    for (masked, full) in masked.iter().zip(&full).filter(|(p, _)| !p.name.ends_with("self.key.bias")) {
        let expected: Vec<f64> = full.values.iter().map(|&v| f64::from(v)).collect();
        assert_close(&full.name, &masked.values, &expected, 1e-6);
    }
}

#[test]
fn losses_and_gradients_do_not_depend_on_threads() {
    let mut spec = tiny_spec();
    spec.model = ModelSpec { hidden_size: 64, intermediate_size: 256, attention_head_size: 16, ..spec.model };
    spec.model.num_attention_heads = 4;
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let model = BertForPreTraining::new(&spec, &device());
            let (losses, gradients) = forward_backward(&model, &spec, &batch(&spec), 0, &device());
            (losses.total.to_bits(), digest(&gradients), digest(&model.parameters()))
        })
    };
    let one = run(1);
    assert_eq!(run(2), one);
    assert_eq!(run(3), one);
}

#[test]
fn fresh_weights_are_truncated_normal_and_pure_functions_of_the_seed() {
    let mut spec = tiny_spec();
    (spec.model.hidden_size, spec.model.attention_head_size, spec.tokenizer.vocab_size) = (96, 32, 3000);
    let parameters = |spec: &RunSpec| BertForPreTraining::new(spec, &device()).parameters();
    let first = parameters(&spec);
    assert_eq!(digest(&first), digest(&parameters(&spec)));
    spec.train_mut().seed = Seed(2);
    assert_ne!(digest(&first), digest(&parameters(&spec)));

    let word = &first[0].values;
    let (n, limit) = (word.len() as f64, 2.0 * spec.model.initializer_range);
    assert!(word.iter().all(|&v| f64::from(v.abs()) <= limit + 1e-6));
    let variance = word.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / n;
    // The variance of a standard normal truncated at two deviations is 0.7737.
    assert!((variance / spec.model.initializer_range.powi(2) - 0.7737).abs() < 0.01);
    let is = |name: &str, value: f32| {
        let found = first.iter().find(|p: &&Parameter| p.name == name).unwrap();
        assert!(found.values.iter().all(|&v| v == value), "{name}");
    };
    is("bert.embeddings.LayerNorm.weight", 1.0);
    is("bert.encoder.layer.1.intermediate.dense.bias", 0.0);
}

#[test]
fn parameters_can_be_taken_out_and_put_back() {
    let spec = tiny_spec();
    let model = BertForPreTraining::new(&spec, &device());
    let mut parameters = model.parameters();
    parameters.iter_mut().for_each(|p| p.values.iter_mut().for_each(|v| *v += 1.0));
    let model = model.with_parameters(&parameters, &device());
    assert_eq!(model.parameters(), parameters);
    assert_eq!(model.num_params(), parameters.iter().map(|p| p.values.len()).sum::<usize>());
}
