//! The model's parameters, by name and shape: the one list that the plan counts and that the trainer builds.
//!
//! Names are those of Hugging Face's `BertForPreTraining`, weights of linear layers are `[out, in]` as there. What BERT
//! does not have is named in its manner: `bert.encoder.norm`, the last LayerNorm of a pre-LN encoder.
//!
//! The vectors of distances are `transformers` 4's `distance_embedding`.
//!
//! Legend: D hidden, A heads x head size, F feed-forward, V vocabulary, P positions.

use super::run_spec::{
    Answers, Architecture, Encoder, HeadKind, ModelSpec, NormPosition, NormType, PositionEmbedding, RunSpec, TaskSpec,
};

/// Every parameter in the order of the forward pass.
pub fn parameters(spec: &RunSpec) -> Vec<(String, Vec<usize>)> {
    match spec.model.architecture {
        Architecture::Bert => bert(spec),
    }
}

fn bert(spec: &RunSpec) -> Vec<(String, Vec<usize>)> {
    let mut list = List::default();
    embeddings(spec, &mut list);
    for layer in 0..spec.encoder_layers() {
        encoder_layer(spec, layer, &mut list);
    }
    if spec.model.norm_position == NormPosition::Pre {
        list.norm("bert.encoder.norm", &spec.model);
    }
    heads(spec, &mut list);
    list.0
}

impl RunSpec {
    /// The encoder layers that the model really has.
    pub fn encoder_layers(&self) -> usize {
        let has_none = self.task().is_some_and(|task| task.encoder == Encoder::Embeddings);
        if has_none { 0 } else { self.model.num_hidden_layers }
    }
}

/// How many numbers the parameters hold, by part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ParameterCount {
    pub embeddings: u64,
    pub encoder: u64,
    /// The pooler and what predicts; a tied projection is counted with the embeddings.
    pub heads: u64,
}

impl ParameterCount {
    /// All parts together.
    pub fn total(&self) -> u64 {
        self.embeddings + self.encoder + self.heads
    }
}

/// Counts [`parameters`] by part.
pub fn parameter_count(spec: &RunSpec) -> ParameterCount {
    let mut count = ParameterCount::default();
    for (name, shape) in parameters(spec) {
        let part = match name.split('.').nth(1) {
            Some("embeddings") => &mut count.embeddings,
            Some("encoder") => &mut count.encoder,
            _ => &mut count.heads,
        };
        *part += shape.iter().map(|&size| size as u64).product::<u64>();
    }
    count
}

fn embeddings(spec: &RunSpec, list: &mut List) {
    let (model, d) = (&spec.model, spec.model.hidden_size);
    let table = |name: &str| format!("bert.embeddings.{name}_embeddings.weight");
    list.add(table("word"), vec![spec.tokenizer.vocab_size, d]);
    if model.position_embedding_type == PositionEmbedding::Absolute {
        list.add(table("position"), vec![model.max_position_embeddings, d]);
    }
    list.add(table("token_type"), vec![model.type_vocab_size, d]);
    if model.embedding_layer_norm {
        list.norm("bert.embeddings.LayerNorm", model);
    }
}

fn encoder_layer(spec: &RunSpec, layer: usize, list: &mut List) {
    let (d, f, w) = (spec.model.hidden_size, spec.model.intermediate_size, spec.model.inner_size());
    let a = spec.model.num_attention_heads * spec.model.attention_head_size;
    let name = |part: &str| format!("bert.encoder.layer.{layer}.{part}");
    for projection in ["query", "key", "value"] {
        list.linear(&name(&format!("attention.self.{projection}")), a, d);
    }
    if let Some(rows) = spec.model.distances() {
        list.add(name("attention.self.distance_embedding.weight"), vec![rows, spec.model.attention_head_size]);
    }
    list.linear(&name("attention.output.dense"), d, a);
    if spec.model.has_attention_norm(layer) {
        list.norm(&name("attention.output.LayerNorm"), &spec.model);
    }
    list.linear(&name("intermediate.dense"), w, d);
    list.linear(&name("output.dense"), d, f);
    list.norm(&name("output.LayerNorm"), &spec.model);
}

/// What stands on the encoder in fine-tuning: Hugging Face's `BertForSequenceClassification` and
/// `BertForTokenClassification`, with PyTorch's LSTM and a CRF where the head has them.
fn task_head(spec: &RunSpec, task: &TaskSpec, list: &mut List) {
    let (d, h, labels) = (spec.model.hidden_size, task.lstm_hidden_size, task.labels.len());
    match task.task.answers() {
        Answers::Class => list.linear("bert.pooler.dense", d, d),
        Answers::Tags => {}
    }
    let has_lstm = task.head == HeadKind::BilstmCrf;
    for direction in ["", "_reverse"].into_iter().filter(|_| has_lstm) {
        list.add(format!("lstm.weight_ih_l0{direction}"), vec![4 * h, d]);
        list.add(format!("lstm.weight_hh_l0{direction}"), vec![4 * h, h]);
        list.add(format!("lstm.bias_ih_l0{direction}"), vec![4 * h]);
        list.add(format!("lstm.bias_hh_l0{direction}"), vec![4 * h]);
    }
    list.linear("classifier", labels, if has_lstm { 2 * h } else { d });
    if task.head != HeadKind::Linear {
        list.add("crf.start_transitions".to_owned(), vec![labels]);
        list.add("crf.end_transitions".to_owned(), vec![labels]);
        list.add("crf.transitions".to_owned(), vec![labels, labels]);
    }
}

fn heads(spec: &RunSpec, list: &mut List) {
    if let Some(task) = spec.task() {
        return task_head(spec, task, list);
    }
    let (model, d, v) = (&spec.model, spec.model.hidden_size, spec.tokenizer.vocab_size);
    if spec.has_nsp_head() {
        list.linear("bert.pooler.dense", d, d);
    }
    if model.mlm_head_transform {
        list.linear("cls.predictions.transform.dense", d, d);
        list.norm("cls.predictions.transform.LayerNorm", model);
    }
    if !model.tie_word_embeddings {
        list.add("cls.predictions.decoder.weight".to_owned(), vec![v, d]);
    }
    if model.mlm_head_bias {
        list.add("cls.predictions.bias".to_owned(), vec![v]);
    }
    if spec.has_nsp_head() {
        list.add("cls.seq_relationship.weight".to_owned(), vec![2, d]);
        if model.nsp_head_bias {
            list.add("cls.seq_relationship.bias".to_owned(), vec![2]);
        }
    }
}

#[derive(Default)]
struct List(Vec<(String, Vec<usize>)>);

impl List {
    fn add(&mut self, name: String, shape: Vec<usize>) {
        self.0.push((name, shape));
    }

    fn linear(&mut self, name: &str, outputs: usize, inputs: usize) {
        self.add(format!("{name}.weight"), vec![outputs, inputs]);
        self.add(format!("{name}.bias"), vec![outputs]);
    }

    fn norm(&mut self, name: &str, model: &ModelSpec) {
        self.add(format!("{name}.weight"), vec![model.hidden_size]);
        if model.norm_type == NormType::LayerNorm {
            self.add(format!("{name}.bias"), vec![model.hidden_size]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::plan::tests::spec;

    fn total(rest: &str) -> u64 {
        parameter_count(&spec(rest)).total()
    }

    /// Counts published for the course's models, with its vocabulary and its sentence-order head.
    #[test]
    fn the_course_models_have_their_published_counts() {
        for (preset, count) in [
            ("aiffel-1m", 1_052_256),
            ("aiffel-4m", 4_551_936),
            ("aiffel-10m", 10_804_736),
            ("aiffel-1.26m", 1_257_600),
        ] {
            let rest = format!("model.preset = \"{preset}\"\ntokenizer.vocab_size = 8007\nobjective.nsp = \"swap\"");
            assert_eq!(total(&rest), count, "{preset}");
        }
    }

    /// Hugging Face's counts: `BertModel` for the bodies, `BertForPreTraining` for the whole of bert-base.
    #[test]
    fn the_bert_models_have_hugging_faces_counts() {
        for (preset, count) in [
            ("bert-tiny", 4_385_920),
            ("bert-mini", 11_170_560),
            ("bert-small", 28_763_648),
            ("bert-medium", 41_373_184),
            ("bert-base", 109_482_240),
        ] {
            let rest = format!("model.preset = \"{preset}\"\ntokenizer.vocab_size = 30522\nobjective.nsp = \"random\"");
            let body = parameters(&spec(&rest)).into_iter().filter(|(name, _)| name.starts_with("bert."));
            let body: usize = body.map(|(_, shape)| shape.iter().product::<usize>()).sum();
            assert_eq!(body, count, "{preset}");
            if preset == "bert-base" {
                assert_eq!(total(&rest), 110_106_428);
            }
        }
    }

    #[test]
    fn each_switch_adds_its_parameters() {
        let (d, v, p) = (128, 8000, 512);
        let base = total("");
        assert_eq!(total("model.tie_word_embeddings = false") - base, v * d);
        assert_eq!(total("model.norm_position = \"pre\"") - base, 2 * d);
        assert_eq!(total("model.norm_position = \"pre\"\nmodel.first_attention_norm = false"), base);
        assert_eq!(base - total("model.position_embedding_type = \"sinusoidal\""), p * d);
        // Two layers of heads of 64.
        let relative = "model.position_embedding_type = \"relative_key\"";
        assert_eq!(total(relative) + p * d - base, 2 * (2 * p - 1) * 64);
        assert_eq!(base - total("model.embedding_layer_norm = false"), 2 * d);
        assert_eq!(base - total("model.mlm_head_bias = false"), v);
        assert_eq!(base - total("model.mlm_head_transform = false"), d * d + d + 2 * d);
        assert_eq!(total("objective.nsp = \"swap\"") - base, d * d + d + 2 * d + 2);
        assert_eq!(total("objective.nsp = \"swap\"\nmodel.nsp_head_bias = false") - base, d * d + d + 2 * d);
        assert_eq!(total("model.hidden_act = \"relu\"\nmodel.norm_position = \"post\""), base);
    }

    #[test]
    fn names_are_hugging_faces_and_unique() {
        let spec = spec(
            "model.preset = \"nano\"\nobjective.nsp = \"random\"\nmodel.norm_position = \"pre\"\nmodel.tie_word_embeddings = false",
        );
        let list = parameters(&spec);
        let names: BTreeSet<&String> = list.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), list.len());
        let lines: Vec<String> = list.iter().map(|(name, shape)| format!("{name} {shape:?}")).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        bert.embeddings.word_embeddings.weight [8000, 32]
        bert.embeddings.position_embeddings.weight [128, 32]
        bert.embeddings.token_type_embeddings.weight [2, 32]
        bert.embeddings.LayerNorm.weight [32]
        bert.embeddings.LayerNorm.bias [32]
        bert.encoder.layer.0.attention.self.query.weight [32, 32]
        bert.encoder.layer.0.attention.self.query.bias [32]
        bert.encoder.layer.0.attention.self.key.weight [32, 32]
        bert.encoder.layer.0.attention.self.key.bias [32]
        bert.encoder.layer.0.attention.self.value.weight [32, 32]
        bert.encoder.layer.0.attention.self.value.bias [32]
        bert.encoder.layer.0.attention.output.dense.weight [32, 32]
        bert.encoder.layer.0.attention.output.dense.bias [32]
        bert.encoder.layer.0.attention.output.LayerNorm.weight [32]
        bert.encoder.layer.0.attention.output.LayerNorm.bias [32]
        bert.encoder.layer.0.intermediate.dense.weight [64, 32]
        bert.encoder.layer.0.intermediate.dense.bias [64]
        bert.encoder.layer.0.output.dense.weight [32, 64]
        bert.encoder.layer.0.output.dense.bias [32]
        bert.encoder.layer.0.output.LayerNorm.weight [32]
        bert.encoder.layer.0.output.LayerNorm.bias [32]
        bert.encoder.norm.weight [32]
        bert.encoder.norm.bias [32]
        bert.pooler.dense.weight [32, 32]
        bert.pooler.dense.bias [32]
        cls.predictions.transform.dense.weight [32, 32]
        cls.predictions.transform.dense.bias [32]
        cls.predictions.transform.LayerNorm.weight [32]
        cls.predictions.transform.LayerNorm.bias [32]
        cls.predictions.decoder.weight [8000, 32]
        cls.predictions.bias [8000]
        cls.seq_relationship.weight [2, 32]
        cls.seq_relationship.bias [2]
        ");
    }
}
