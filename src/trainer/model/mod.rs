//! BERT (Devlin et al. 2019) as burn modules: the body ([`Bert`]), and with its heads for pretraining ([`BertForPreTraining`]).
//!
//! Weights carry Hugging Face's names and shapes (a dense weight is `[out, in]`), so checkpoints are
//! readable elsewhere. The modules hold weights only; what they compute is in [`sublayer`], where a whole sublayer
//! (attention or feed-forward, through dropout, residual and LayerNorm) is one function, and in [`head`].
//!
//! Shapes: R rows (tokens of the batch), D hidden, H heads, K head width, F intermediate, V vocabulary, M masked rows.

pub mod crf;
pub mod head;
pub mod lstm;
mod padding;
pub mod parameters;
pub mod sublayer;
pub mod task;
#[cfg(test)]
pub mod tests;

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::kernels::{self, Path};
use super::sequences::Sequences;
use crate::plan::{ModelSpec, NormPosition, Nsp, PositionEmbedding, RunSpec};
use padding::Padding;
use parameters::Initializer;
use sublayer::{Sublayer, TrainingPass};

/// A weight matrix `[out, in]` and an optional bias `[out]`.
#[derive(Module, Debug)]
pub struct Dense {
    pub weight: Param<Tensor<2>>,
    pub bias: Option<Param<Tensor<1>>>,
}

/// A table of vectors, `[rows, D]`.
#[derive(Module, Debug)]
pub struct Embedding {
    pub weight: Param<Tensor<2>>,
}

/// The gain and the offset of a layer normalisation, `[D]` each.
#[derive(Module, Debug)]
pub struct LayerNorm {
    pub weight: Param<Tensor<1>>,
    pub bias: Param<Tensor<1>>,
}

/// Word, position and segment embeddings.
#[derive(Module, Debug)]
pub struct Embeddings {
    pub word_embeddings: Embedding,
    /// Absent where positions are sinusoidal.
    pub position_embeddings: Option<Embedding>,
    pub token_type_embeddings: Embedding,
    pub layer_norm: Option<LayerNorm>,
}

/// The weights of one attention sublayer.
#[derive(Module, Debug)]
pub struct Attention {
    pub query: Dense,
    pub key: Dense,
    pub value: Dense,
    pub output: Dense,
    pub layer_norm: LayerNorm,
}

/// The weights of one feed-forward sublayer.
#[derive(Module, Debug)]
pub struct FeedForward {
    pub intermediate: Dense,
    pub output: Dense,
    pub layer_norm: LayerNorm,
}

#[derive(Module, Debug)]
pub struct Layer {
    pub attention: Attention,
    pub feed_forward: FeedForward,
}

/// What stands between the encoder and the vocabulary.
#[derive(Module, Debug)]
pub struct MlmHead {
    pub transform: Option<Transform>,
    /// The projection `[V, D]`; absent where it is tied to the word embeddings.
    pub decoder: Option<Embedding>,
    pub bias: Option<Param<Tensor<1>>>,
}

/// Dense + activation + LayerNorm before the MLM projection.
#[derive(Module, Debug)]
pub struct Transform {
    pub dense: Dense,
    pub layer_norm: LayerNorm,
}

/// Pooler (dense + tanh on `[CLS]`) and the two-way classifier.
#[derive(Module, Debug)]
pub struct NspHead {
    pub pooler: Dense,
    pub classifier: Dense,
}

/// BERT's body: embeddings and encoder, without anything that predicts.
#[derive(Module, Debug)]
pub struct Bert {
    pub embeddings: Embeddings,
    pub layers: Vec<Layer>,
    /// The last normalisation of a pre-LN encoder.
    pub norm: Option<LayerNorm>,
}

/// BERT for pretraining.
#[derive(Module, Debug)]
pub struct BertForPreTraining {
    pub bert: Bert,
    pub mlm: MlmHead,
    /// Absent where `nsp = "off"`.
    pub nsp: Option<NspHead>,
}

/// A batch of token sequences as the encoder reads them, end to end on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Token ids, R of them.
    pub ids: Vec<u32>,
    /// Segment ids (0 for A, 1 for B), R of them.
    pub segments: Vec<u32>,
    /// Where each sequence lies.
    pub sequences: Arc<Sequences>,
}

/// A vector of integers on the device.
pub fn int_tensor(values: &[i32], device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

impl Bert {
    /// A model with fresh weights: a pure function of the specification and its seed.
    pub fn new(spec: &RunSpec, device: &Device) -> Self {
        let (model, vocab) = (&spec.model, spec.tokenizer.vocab_size);
        let init = Initializer::new(spec.train.seed, model.initializer_range, device);
        let d = model.hidden_size;
        let heads = model.num_attention_heads * model.attention_head_size;
        let embeddings = Embeddings {
            word_embeddings: init.embedding("embeddings.word", vocab, d),
            position_embeddings: (model.position_embedding_type == PositionEmbedding::Absolute)
                .then(|| init.embedding("embeddings.position", model.max_position_embeddings, d)),
            token_type_embeddings: init.embedding("embeddings.token_type", model.type_vocab_size, d),
            layer_norm: model.embedding_layer_norm.then(|| init.layer_norm(d)),
        };
        let layer = |l: usize| Layer {
            attention: Attention {
                query: init.dense(&format!("layer.{l}.attention.query"), heads, d, true),
                key: init.dense(&format!("layer.{l}.attention.key"), heads, d, true),
                value: init.dense(&format!("layer.{l}.attention.value"), heads, d, true),
                output: init.dense(&format!("layer.{l}.attention.output"), d, heads, true),
                layer_norm: init.layer_norm(d),
            },
            feed_forward: FeedForward {
                intermediate: init.dense(&format!("layer.{l}.intermediate"), model.intermediate_size, d, true),
                output: init.dense(&format!("layer.{l}.output"), d, model.intermediate_size, true),
                layer_norm: init.layer_norm(d),
            },
        };
        let layers = (0..spec.encoder_layers()).map(layer).collect();
        let norm = (model.norm_position == NormPosition::Pre).then(|| init.layer_norm(d));
        Self { embeddings, layers, norm }
    }

    /// Runs the embeddings and the encoder. `training` is `None` for evaluation.
    ///
    /// # Shapes
    /// - output: `[R, D]`, a row for each token
    pub fn encode(&self, tokens: &Tokens, model: &ModelSpec, training: Option<TrainingPass>) -> Tensor<2> {
        self.encode_by(self.path(), tokens, model, training)
    }

    /// How this model's operations are computed where it lives.
    pub fn path(&self) -> Path {
        Path::of(&self.embeddings.word_embeddings.weight.val().device())
    }

    /// [`encode`](Self::encode) by the kernels or by burn's own operations, which agree to rounding.
    pub fn encode_by(
        &self,
        path: Path,
        tokens: &Tokens,
        model: &ModelSpec,
        training: Option<TrainingPass>,
    ) -> Tensor<2> {
        let device = self.embeddings.word_embeddings.weight.val().device();
        let padding = (path == Path::Composed).then(|| Padding::new(&tokens.sequences, &device));
        let sublayer = Sublayer { model, sequences: &tokens.sequences, padding: padding.as_ref(), training, path };
        let mut hidden = self.embeddings.forward(tokens, &sublayer);
        for (i, layer) in self.layers.iter().enumerate() {
            hidden = sublayer.attention(hidden, &layer.attention, i);
            hidden = sublayer.feed_forward(hidden, &layer.feed_forward, i);
        }
        match &self.norm {
            Some(norm) => sublayer::layer_norm(hidden, norm, model.layer_norm_eps),
            None => hidden,
        }
    }
}

impl BertForPreTraining {
    /// A model with fresh weights: a pure function of the specification and its seed.
    pub fn new(spec: &RunSpec, device: &Device) -> Self {
        let (model, vocab, d) = (&spec.model, spec.tokenizer.vocab_size, spec.model.hidden_size);
        let init = Initializer::new(spec.train.seed, model.initializer_range, device);
        let mlm = MlmHead {
            transform: model
                .mlm_head_transform
                .then(|| Transform { dense: init.dense("mlm.transform", d, d, true), layer_norm: init.layer_norm(d) }),
            decoder: (!model.tie_word_embeddings).then(|| init.embedding("mlm.decoder", vocab, d)),
            bias: model.mlm_head_bias.then(|| init.bias(vocab)),
        };
        let nsp = (spec.objective.nsp != Nsp::Off).then(|| NspHead {
            pooler: init.dense("nsp.pooler", d, d, true),
            classifier: init.dense("nsp.classifier", 2, d, model.nsp_head_bias),
        });
        Self { bert: Bert::new(spec, device), mlm, nsp }
    }
}

impl Embeddings {
    /// The sum of the three embeddings, normalised if so asked, through dropout: `[R, D]`.
    fn forward(&self, tokens: &Tokens, sublayer: &Sublayer) -> Tensor<2> {
        let words = self.word_embeddings.weight.val();
        let (d, device) = (words.dims()[1], words.device());
        let positions = match &self.position_embeddings {
            Some(table) => table.weight.val(),
            None => sinusoidal_positions(tokens.sequences.longest(), d, &device),
        };
        if sublayer.path == Path::Kernels {
            return kernels::embeddings(self, positions, tokens, sublayer);
        }
        let rows = |table: Tensor<2>, ids: &[u32]| {
            let ids = TensorData::new(ids.iter().map(|&id| id as i32).collect::<Vec<_>>(), [ids.len()]);
            table.select(0, Tensor::<1, Int>::from_data(ids, &device))
        };
        let sum = rows(words, &tokens.ids) + rows(positions, &tokens.sequences.positions());
        let sum = sum + rows(self.token_type_embeddings.weight.val(), &tokens.segments);
        let normed = match &self.layer_norm {
            Some(norm) => sublayer::layer_norm(sum, norm, sublayer.model.layer_norm_eps),
            None => sum,
        };
        sublayer.embedding_dropout(normed)
    }
}

fn sinusoidal_positions(s: usize, d: usize, device: &Device) -> Tensor<2> {
    Tensor::<1>::from_floats(sinusoidal_table(s, d).as_slice(), device).reshape([s, d])
}

/// The sines and cosines of Vaswani et al. 2017, section 3.5: `[S, D]`, sines in the even columns.
pub fn sinusoidal_table(s: usize, d: usize) -> Vec<f32> {
    let angle =
        |position: usize, column: usize| position as f64 / libm::pow(10_000.0, (column / 2 * 2) as f64 / d as f64);
    let value = |i: usize| {
        let (position, column) = (i / d, i % d);
        let angle = angle(position, column);
        (if column % 2 == 0 { libm::sin(angle) } else { libm::cos(angle) }) as f32
    };
    (0..s * d).map(value).collect()
}
