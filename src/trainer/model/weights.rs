//! The weights of BERT as burn modules, and how fresh ones are drawn.
//!
//! Fields carry Hugging Face's names and shapes (a dense weight is `[out, in]`), so checkpoints are readable elsewhere.
//! What is computed with them is in [`super::bert`].
//!
//! Shapes: D hidden, H heads, K head width, F intermediate, V vocabulary.

use burn::backend::DispatchTensor;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::parameters::Initializer;
use crate::plan::{ModelSpec, NormPosition, PositionEmbedding, RunSpec};
use crate::trainer::kernels::Compute;

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

/// The weights of one attention sublayer: three projections `[H K, D]`, one `[D, H K]`.
#[derive(Module, Debug)]
pub struct Attention {
    pub query: Dense,
    pub key: Dense,
    pub value: Dense,
    pub output: Dense,
    pub layer_norm: LayerNorm,
}

/// The weights of one feed-forward sublayer: `[F, D]` and `[D, F]`.
#[derive(Module, Debug)]
pub struct FeedForward {
    pub intermediate: Dense,
    pub output: Dense,
    pub layer_norm: LayerNorm,
}

/// One layer of the encoder.
#[derive(Module, Debug)]
pub struct Layer {
    pub attention: Attention,
    pub feed_forward: FeedForward,
}

/// BERT's body: embeddings and encoder, without anything that predicts.
#[derive(Module, Debug)]
pub struct Bert {
    pub embeddings: Embeddings,
    pub layers: Vec<Layer>,
    /// The last normalisation of a pre-LN encoder.
    pub norm: Option<LayerNorm>,
    /// How its operations are computed: the fastest way on the device that it was made on.
    #[module(skip)]
    pub compute: Compute,
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

/// BERT for pretraining.
#[derive(Module, Debug)]
pub struct BertForPreTraining {
    pub bert: Bert,
    pub mlm: MlmHead,
    /// Absent where `nsp = "off"`.
    pub nsp: Option<NspHead>,
}

impl Bert {
    /// A model with fresh weights: a pure function of the specification and its seed.
    pub fn new(spec: &RunSpec, device: &Device) -> Self {
        let model = &spec.model;
        let init = Initializer::new(spec.seed(), model.initializer_range, device);
        Self {
            embeddings: Embeddings::new(model, spec.tokenizer.vocab_size, &init),
            layers: (0..spec.encoder_layers()).map(|l| Layer::new(model, l, &init)).collect(),
            norm: (model.norm_position == NormPosition::Pre).then(|| init.layer_norm(model.hidden_size)),
            compute: Compute::of(device),
        }
    }
}

impl Embeddings {
    fn new(model: &ModelSpec, vocab: usize, init: &Initializer) -> Self {
        let d = model.hidden_size;
        Self {
            word_embeddings: init.embedding("embeddings.word", vocab, d),
            position_embeddings: (model.position_embedding_type == PositionEmbedding::Absolute)
                .then(|| init.embedding("embeddings.position", model.max_position_embeddings, d)),
            token_type_embeddings: init.embedding("embeddings.token_type", model.type_vocab_size, d),
            layer_norm: model.embedding_layer_norm.then(|| init.layer_norm(d)),
        }
    }
}

impl Layer {
    fn new(model: &ModelSpec, l: usize, init: &Initializer) -> Self {
        let (d, heads) = (model.hidden_size, model.num_attention_heads * model.attention_head_size);
        let dense = |name: &str, outputs, inputs| init.dense(&format!("layer.{l}.{name}"), outputs, inputs, true);
        Self {
            attention: Attention {
                query: dense("attention.query", heads, d),
                key: dense("attention.key", heads, d),
                value: dense("attention.value", heads, d),
                output: dense("attention.output", d, heads),
                layer_norm: init.layer_norm(d),
            },
            feed_forward: FeedForward {
                intermediate: dense("intermediate", model.intermediate_size, d),
                output: dense("output", d, model.intermediate_size),
                layer_norm: init.layer_norm(d),
            },
        }
    }
}

impl BertForPreTraining {
    /// A model with fresh weights: a pure function of the specification and its seed.
    pub fn new(spec: &RunSpec, device: &Device) -> Self {
        let (model, vocab, d) = (&spec.model, spec.tokenizer.vocab_size, spec.model.hidden_size);
        let init = Initializer::new(spec.seed(), model.initializer_range, device);
        let mlm = MlmHead {
            transform: model
                .mlm_head_transform
                .then(|| Transform { dense: init.dense("mlm.transform", d, d, true), layer_norm: init.layer_norm(d) }),
            decoder: (!model.tie_word_embeddings).then(|| init.embedding("mlm.decoder", vocab, d)),
            bias: model.mlm_head_bias.then(|| init.bias(vocab)),
        };
        let nsp = (spec.has_nsp_head()).then(|| NspHead {
            pooler: init.dense("nsp.pooler", d, d, true),
            classifier: init.dense("nsp.classifier", 2, d, model.nsp_head_bias),
        });
        Self { bert: Bert::new(spec, device), mlm, nsp }
    }

    /// The same weights, computed in another way.
    pub fn computed_by(mut self, compute: Compute) -> Self {
        self.bert.compute = compute;
        self
    }
}

impl Dense {
    /// Weight and bias as kernels read them; `None` where there is no bias, which they do not know.
    pub(super) fn values(&self) -> Option<[DispatchTensor; 2]> {
        Some([value(&self.weight), value(self.bias.as_ref()?)])
    }
}

impl LayerNorm {
    /// Gain and offset as kernels read them.
    pub(super) fn values(&self) -> [DispatchTensor; 2] {
        [value(&self.weight), value(&self.bias)]
    }
}

/// A parameter as kernels read it.
pub(super) fn value<const D: usize>(parameter: &Param<Tensor<D>>) -> DispatchTensor {
    parameter.val().into_dispatch()
}
