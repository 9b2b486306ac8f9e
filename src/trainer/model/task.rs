//! BERT for a task: the body with Hugging Face's heads for classes of texts and for tags of tokens, and with an LSTM and a CRF
//! on it.
//!
//! `BertForSequenceClassification` is pooler -> dropout -> linear on the first token, or on what else is pooled of all;
//! `BertForTokenClassification` is dropout -> linear on every token. An LSTM stands between encoder and dropout (Huang, Xu & Yu
//! 2015), a CRF behind the linear layer.
//!
//! Shapes: R rows (tokens of the batch), B sequences, S tokens of the longest, D hidden, C classes or tags.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::bert::{dense, first_rows};
use super::crf::Crf;
use super::forward_pass::{TrainingPass, sites};
use super::initial::Initializer;
use super::lstm::BiLstm;
use super::parameters::{Parameter, Weights};
use super::start::{StartError, is_needed, is_of_body, take_over};
use super::tokens::{Tokens, int_tensor};
use super::weights::{Bert, Dense};
use crate::plan::{Answers, Encoder, HeadKind, Pooling, RunSpec, TaskSpec, parameters};
use crate::trainer::sequences::Sequences;

/// BERT's body, and what stands on it for a task.
#[derive(Module, Debug)]
pub struct BertForTask {
    pub bert: Bert,
    /// Dense + tanh on what is pooled of the tokens, where texts are classified.
    pub pooler: Option<Dense>,
    pub lstm: Option<BiLstm>,
    pub classifier: Dense,
    pub crf: Option<Crf>,
}

impl BertForTask {
    /// A model with fresh weights: a pure function of the specification and its seed.
    ///
    /// # Panics
    /// When the specification is of another stage.
    pub fn new(spec: &RunSpec, device: &Device) -> Self {
        let stage = of_task(spec);
        let (d, labels) = (spec.model.hidden_size, stage.labels.len());
        let init = Initializer::of(spec, device);
        let lstm = (stage.head == HeadKind::BilstmCrf).then(|| BiLstm::new(&init, d, stage.lstm_hidden_size));
        let width = if lstm.is_some() { 2 * stage.lstm_hidden_size } else { d };
        Self {
            bert: Bert::new(spec, device),
            pooler: match stage.task.answers() {
                Answers::Class => Some(init.dense("pooler", d, d, true)),
                Answers::Tags => None,
            },
            lstm,
            classifier: init.dense("classifier", labels, width, true),
            crf: (stage.head != HeadKind::Linear).then(|| Crf::new(&init, labels)),
        }
    }

    /// The model with the body of `weights`: everything of theirs that this model has too, by name.
    ///
    /// # Errors
    /// When a part of the body is not there, or has another shape. The pooler may be missing: pretraining without pairs has
    /// none.
    pub fn starting_from(self, weights: &[Parameter], device: &Device) -> Result<Self, StartError> {
        let mut own = self.parameters();
        take_over(&mut own, weights, is_of_body)?;
        Ok(self.with_parameters(&own, device))
    }

    /// Logits for each text's classes: `[B, C]`.
    pub fn class_logits(&self, tokens: &Tokens, spec: &RunSpec, training: Option<TrainingPass>) -> Tensor<2> {
        let hidden = self.features(tokens, spec, training);
        let read = pool(hidden, &tokens.sequences, of_task(spec).pooling);
        let pooled = match &self.pooler {
            Some(pooler) => dense(read, pooler).tanh(),
            None => read,
        };
        dense(drop(pooled, spec, training), &self.classifier)
    }

    /// Logits for each token's tags, a CRF's emissions: `[R, C]`. The LSTM reads `words`, the rows of each sequence without
    /// its special tokens.
    pub fn tag_logits(
        &self,
        tokens: &Tokens,
        words: &[Range<usize>],
        spec: &RunSpec,
        training: Option<TrainingPass>,
    ) -> Tensor<2> {
        let hidden = self.features(tokens, spec, training);
        let hidden = match &self.lstm {
            Some(lstm) => lstm.forward(hidden, words, self.bert.compute),
            None => hidden,
        };
        dense(drop(hidden, spec, training), &self.classifier)
    }

    /// What the encoder makes of the tokens: `[R, D]`.
    fn features(&self, tokens: &Tokens, spec: &RunSpec, training: Option<TrainingPass>) -> Tensor<2> {
        match of_task(spec).encoder {
            Encoder::Trained | Encoder::Embeddings => {
                self.bert.encode(tokens, &of_task(spec).recipe.with_dropout(&spec.model), training)
            }
            Encoder::Frozen => self.bert.encode(tokens, &spec.model, None).detach(),
        }
    }
}

/// What the pooler reads of each sequence: `[R, D]` to `[B, D]`.
fn pool(hidden: Tensor<2>, sequences: &Sequences, pooling: Pooling) -> Tensor<2> {
    let [b, s, d] = [sequences.len(), sequences.longest(), hidden.dims()[1]];
    // [B, S, D]: beyond its end a sequence repeats its first row, which is no new maximum.
    let padded = |hidden: Tensor<2>| {
        let row = |place: usize| match sequences.rows_of(place / s) {
            rows if place % s < rows.len() => rows.start + place % s,
            rows => rows.start,
        };
        let rows: Vec<i32> = (0..b * s).map(|place| row(place) as i32).collect();
        let rows = int_tensor(&rows, &hidden.device());
        hidden.select(0, rows).reshape([b, s, d])
    };
    match pooling {
        Pooling::Cls => first_rows(hidden, sequences),
        Pooling::Max => padded(hidden).max_dim(1).reshape([b, d]),
        Pooling::Mean => {
            let share = |n: usize| (0..s).map(move |i| if i < n { 1.0 / n as f32 } else { 0.0 });
            let shares: Vec<f32> = sequences.lengths().flat_map(share).collect();
            let shares = Tensor::<1>::from_floats(shares.as_slice(), &hidden.device()).reshape([b, s, 1]);
            (padded(hidden) * shares).sum_dim(1).reshape([b, d])
        }
    }
}

/// How many of the parameters, which the body begins, do not learn.
pub fn frozen_parameters(spec: &RunSpec) -> usize {
    match of_task(spec).encoder {
        Encoder::Frozen => parameters(spec).iter().take_while(|(name, _)| is_needed(name)).count(),
        Encoder::Trained | Encoder::Embeddings => 0,
    }
}

/// What the learning rate of the parameter of this name is multiplied with.
///
/// Each layer's rate is `layer_lr_decay` of that of the layer above it (Sun et al. 2019, section 5.3.4; Clark et al. 2020): with
/// L layers, what stands on the encoder has the whole rate, or `head_lr`, the top layer the decay, the embeddings its power L + 1.
pub fn rate_of(spec: &RunSpec, name: &str) -> f64 {
    let recipe = &of_task(spec).recipe;
    let layers = spec.encoder_layers();
    let below = if name.starts_with("bert.embeddings.") {
        layers + 1
    } else if let Some(rest) = name.strip_prefix(LAYER) {
        let layer: usize = rest.split('.').next().and_then(|l| l.parse().ok()).expect("invariant: layers are numbered");
        layers - layer
    } else if is_needed(name) {
        1
    } else {
        return recipe.head_lr.map_or(1.0, |lr| lr / spec.optimizer().lr);
    };
    libm::pow(recipe.layer_lr_decay, below as f64)
}

const LAYER: &str = "bert.encoder.layer.";

/// The task of a fine-tuning stage.
pub fn of_task(spec: &RunSpec) -> &TaskSpec {
    spec.task().expect("invariant: this is a fine-tuning stage")
}

/// Dropout before the classifier, at a site of its own after the encoder's.
fn drop(hidden: Tensor<2>, spec: &RunSpec, training: Option<TrainingPass>) -> Tensor<2> {
    let site = sites::classifier(spec.model.num_hidden_layers);
    match training {
        Some(pass) => pass.dropout(hidden, of_task(spec).recipe.classifier_dropout(&spec.model), site),
        None => hidden,
    }
}

#[cfg(test)]
pub(in crate::trainer) mod tests {
    use std::collections::BTreeMap;

    use burn::tensor::TensorData;

    use super::*;
    use crate::plan::{FinetuneSpec, NormPosition, Recipe, StageSpec, Start, Task};
    use crate::trainer::model::BertForPreTraining;
    use crate::trainer::model::tests::tiny_spec;
    use crate::types::{ContentHash, Seed};

    /// A stage with this task, head and encoder.
    pub fn spec(task: Task, head: HeadKind, encoder: Encoder) -> RunSpec {
        let task = TaskSpec {
            task,
            data: "a.tsv".into(),
            data_hash: ContentHash::of(b"a"),
            test: None,
            test_hash: None,
            text_column: "text".into(),
            pair_column: None,
            label_column: "label".into(),
            labels: ["O", "B-A", "I-A"].map(str::to_owned).to_vec(),
            valid_fraction: 0.1,
            fold: None,
            limit: None,
            start: Start::Random,
            encoder,
            head,
            lstm_hidden_size: 5,
            pooling: Pooling::Cls,
            recipe: Recipe::default(),
        };
        let training = tiny_spec().training().unwrap().clone();
        let stage = StageSpec::Finetune(Box::new(FinetuneSpec { data: None, task, training }));
        RunSpec { stage, ..tiny_spec() }
    }

    fn all() -> Vec<RunSpec> {
        let encoders = [Encoder::Trained, Encoder::Frozen, Encoder::Embeddings];
        let heads = [HeadKind::Linear, HeadKind::Crf, HeadKind::BilstmCrf];
        let ner = heads.into_iter().flat_map(|head| encoders.map(|encoder| spec(Task::Ner, head, encoder)));
        ner.chain([spec(Task::Classify, HeadKind::Linear, Encoder::Trained)]).collect()
    }

    const POOLINGS: [Pooling; 3] = [Pooling::Cls, Pooling::Mean, Pooling::Max];

    /// Pooling by its words, in f64.
    fn pooled(hidden: &[f64], d: usize, lengths: &[usize], pooling: Pooling) -> Vec<f64> {
        let (mut rest, mut all) = (hidden, Vec::new());
        for &length in lengths {
            let (of_sequence, others) = rest.split_at(length * d);
            rest = others;
            all.extend((0..d).map(|column| {
                let column: Vec<f64> = of_sequence.iter().skip(column).step_by(d).copied().collect();
                match pooling {
                    Pooling::Cls => column[0],
                    Pooling::Mean => column.iter().sum::<f64>() / length as f64,
                    Pooling::Max => column.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                }
            }));
        }
        all
    }

    /// Values and gradients against the definition and its central differences, for sequences of unequal and of equal lengths.
    #[test]
    fn what_is_pooled_and_its_gradients_follow_the_definition() {
        /// A power of two, and smaller than the distance of any two values.
        const STEP: f64 = 1.0 / 1024.0;
        let (d, device) = (3, Device::flex().autodiff());
        for (lengths, pooling) in [vec![4, 1, 2], vec![1], vec![3, 3]]
            .into_iter()
            .flat_map(|all| POOLINGS.map(|pooling| (all.clone(), pooling)))
        {
            let rows: usize = lengths.iter().sum();
            let mut hidden: Vec<f64> = (0..rows * d).map(|i| ((i * 37 % 101) as f64 - 50.0) / 64.0).collect();
            let factors: Vec<f64> = (0..lengths.len() * d).map(|i| (i % 5) as f64 / 4.0 - 0.75).collect();
            let tensor = |values: &[f64], rows: usize| {
                let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
                Tensor::<2>::from_data(TensorData::new(values, [rows, d]), &device)
            };
            let x = tensor(&hidden, rows).require_grad();
            let out = pool(x.clone(), &Sequences::new(lengths.iter().copied()), pooling);
            let gradients = (out.clone() * tensor(&factors, lengths.len())).sum().backward();
            let values = |tensor: Tensor<2>| tensor.into_data().try_into_vec::<f32>().unwrap();
            let expected = pooled(&hidden, d, &lengths, pooling);
            for (found, expected) in values(out).iter().zip(&expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-6, "{pooling:?}: {found}, not {expected}");
            }
            for (i, found) in values(x.grad(&gradients).unwrap()).into_iter().enumerate() {
                let mut moved = |by: f64| {
                    hidden[i] += by;
                    let all = pooled(&hidden, d, &lengths, pooling);
                    hidden[i] -= by;
                    all.iter().zip(&factors).map(|(value, factor)| value * factor).sum::<f64>()
                };
                let expected = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                assert!((f64::from(found) - expected).abs() < 1e-5, "{pooling:?} {i}: {found}, not {expected}");
            }
        }
    }

    /// The plan's list of parameters is the model's, for every head on every encoder: what is counted is what is trained.
    #[test]
    fn every_model_has_the_parameters_of_its_plan() {
        let device = Device::flex();
        for spec in all() {
            let model = BertForTask::new(&spec, &device).parameters();
            let found: BTreeMap<_, _> = model.iter().map(|its| (its.name.clone(), its.shape.clone())).collect();
            let expected: BTreeMap<_, _> = parameters(&spec).into_iter().collect();
            assert_eq!(found, expected, "{:?}", spec.stage);
            let frozen = frozen_parameters(&spec);
            assert!(model[..frozen].iter().all(|its| its.name.starts_with("bert.")));
            let is_frozen = of_task(&spec).encoder == Encoder::Frozen;
            assert_eq!(frozen > 0, is_frozen);
            assert!(!is_frozen || model[frozen..].iter().all(|its| !its.name.contains("encoder")));
        }
    }

    /// The rates of two layers under a head, by the definition; without a decay all are the optimizer's, bit for bit.
    #[test]
    fn each_layer_learns_slower_than_the_one_above() {
        let rates = |change: fn(&mut RunSpec), recipe: Recipe| {
            let mut spec = spec(Task::Ner, HeadKind::BilstmCrf, Encoder::Trained);
            change(&mut spec);
            let StageSpec::Finetune(stage) = &mut spec.stage else { panic!("a fine-tuning stage") };
            stage.task.recipe = recipe;
            let model = BertForTask::new(&spec, &Device::flex()).parameters();
            model.into_iter().map(|its| (rate_of(&spec, &its.name), its.name)).collect::<Vec<_>>()
        };
        assert!(rates(|_| {}, Recipe::default()).iter().all(|(rate, _)| *rate == 1.0));
        let recipe = Recipe { layer_lr_decay: 0.5, head_lr: Some(4e-3), ..Recipe::default() };
        let pre_norm = |spec: &mut RunSpec| spec.model.norm_position = NormPosition::Pre;
        for (rate, name) in rates(pre_norm, recipe) {
            let expected = match name.as_str() {
                _ if name.starts_with("bert.embeddings.") => 0.125,
                _ if name.starts_with("bert.encoder.layer.0.") => 0.25,
                _ if name.starts_with("bert.encoder.layer.1.") || name.starts_with("bert.encoder.norm.") => 0.5,
                _ => 4.0,
            };
            assert_eq!(rate, expected, "{name}");
        }
    }

    /// What a stage says of dropout is what a model that says it itself has, bit for bit; what it leaves open is the model's.
    #[test]
    fn dropout_is_the_stages_own() {
        let device = Device::flex();
        let tokens = Tokens {
            ids: (5..17).collect(),
            segments: vec![0; 12],
            sequences: std::sync::Arc::new(Sequences::new([7, 5])),
        };
        let training = Some(TrainingPass { seed: Seed(3), step: 4, gradient_checkpointing: false });
        let logits = |spec: &RunSpec| {
            let model = BertForTask::new(spec, &device);
            let logits = model.class_logits(&tokens, spec, training);
            logits.into_data().try_into_vec::<f32>().unwrap()
        };
        let with = |recipe: Recipe, change: fn(&mut RunSpec)| {
            let mut spec = spec(Task::Classify, HeadKind::Linear, Encoder::Trained);
            change(&mut spec);
            let StageSpec::Finetune(stage) = &mut spec.stage else { panic!("a fine-tuning stage") };
            stage.task.recipe = recipe;
            logits(&spec)
        };
        let own = |hidden, attention, classifier| Recipe {
            hidden_dropout_prob: hidden,
            attention_probs_dropout_prob: attention,
            classifier_dropout: classifier,
            ..Recipe::default()
        };
        let of_model = with(Recipe::default(), |_| {});
        assert_eq!(with(own(Some(0.1), Some(0.2), Some(0.1)), |_| {}), of_model, "tiny_spec has these");
        let changed = with(Recipe::default(), |spec| {
            (spec.model.hidden_dropout_prob, spec.model.attention_probs_dropout_prob) = (0.3, 0.5);
        });
        assert_eq!(
            with(own(Some(0.3), Some(0.5), None), |_| {}),
            changed,
            "the classifier follows the residual branches"
        );
        let alone = [own(Some(0.3), None, None), own(None, Some(0.5), None), own(None, None, Some(0.9))];
        for recipe in alone {
            let found = with(recipe, |_| {});
            assert!(found != of_model && found != changed);
        }
    }

    #[test]
    fn a_stage_starts_with_the_body_of_another_and_with_no_other_shape() {
        let device = Device::flex().autodiff();
        let before = BertForPreTraining::new(&tiny_spec(), &device).parameters();
        for spec in all() {
            let start = |weights: &[Parameter]| BertForTask::new(&spec, &device).starting_from(weights, &device);
            let model = start(&before).unwrap().parameters();
            for parameter in model.iter().filter(|its| is_of_body(&its.name)) {
                let theirs = before.iter().find(|theirs| theirs.name == parameter.name).unwrap();
                assert_eq!(theirs.values, parameter.values, "{}", parameter.name);
            }
            let missing = start(&before[1..]).unwrap_err();
            assert!(matches!(missing, StartError::Missing { name, .. } if name == before[0].name));
            let mut other = before.clone();
            other[0].shape.reverse();
            let misshapen = start(&other).unwrap_err();
            assert!(matches!(misshapen, StartError::Misshapen { name, .. } if name == before[0].name));
        }
    }
}
