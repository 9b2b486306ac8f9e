//! Fresh weights: a pure function of the specification and its seed. Each part draws from the stream that its name gives, so
//! that it starts alike in every model that has it.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use super::weights::{
    Attention, Bert, BertForPreTraining, Dense, Embedding, Embeddings, FeedForward, Layer, LayerNorm, MlmHead, NspHead,
    Transform,
};
use crate::plan::{ModelSpec, NormPosition, NormType, PositionEmbedding, RunSpec};
use crate::trainer::kernels::Compute;
use crate::trainer::rng::{Purpose, Stream};
use crate::types::{ContentHash, Seed};

impl Bert {
    /// A model with fresh weights: a pure function of the specification and its seed.
    pub fn new(spec: &RunSpec, device: &Device) -> Self {
        let model = &spec.model;
        let init = Initializer::of(spec, device);
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
                distance: model.distances().map(|rows| {
                    init.embedding(&format!("layer.{l}.attention.distance"), rows, model.attention_head_size)
                }),
                output: dense("attention.output", d, heads),
                layer_norm: model.has_attention_norm(l).then(|| init.layer_norm(d)),
            },
            feed_forward: FeedForward {
                intermediate: dense("intermediate", model.inner_size(), d),
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
        let init = Initializer::of(spec, device);
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
}

/// Makes fresh parameters: weights from a normal distribution truncated at two standard deviations, as Google's BERT
/// code does, biases 0, LayerNorm gains 1.
#[derive(Debug)]
pub struct Initializer<'a> {
    seed: Seed,
    /// The standard deviation before truncation.
    range: f64,
    norm_type: NormType,
    device: &'a Device,
}

impl<'a> Initializer<'a> {
    /// An initializer; `range` is the standard deviation before truncation.
    pub fn new(seed: Seed, range: f64, device: &'a Device) -> Self {
        Self { seed, range, norm_type: NormType::LayerNorm, device }
    }

    /// The initializer of a run's model.
    pub fn of(spec: &RunSpec, device: &'a Device) -> Self {
        Self { norm_type: spec.model.norm_type, ..Self::new(spec.seed(), spec.model.initializer_range, device) }
    }

    /// The dense layer `name` from `inputs` to `outputs`.
    pub fn dense(&self, name: &str, outputs: usize, inputs: usize, bias: bool) -> Dense {
        Dense { weight: self.matrix(name, outputs, inputs), bias: bias.then(|| self.bias(outputs)) }
    }

    /// The table `name` of `rows` vectors.
    pub fn embedding(&self, name: &str, rows: usize, width: usize) -> Embedding {
        Embedding { weight: self.matrix(name, rows, width) }
    }

    /// A layer normalisation that changes no scale yet.
    pub fn layer_norm(&self, width: usize) -> LayerNorm {
        let bias = (self.norm_type == NormType::LayerNorm).then(|| self.bias(width));
        LayerNorm { weight: self.constant(1.0, width), bias }
    }

    /// A vector of zeros.
    pub fn bias(&self, width: usize) -> Param<Tensor<1>> {
        self.constant(0.0, width)
    }

    fn constant(&self, value: f32, width: usize) -> Param<Tensor<1>> {
        Param::from_tensor(Tensor::from_floats(vec![value; width].as_slice(), self.device))
    }

    /// A tensor of numbers uniform in (-bound, bound).
    pub fn uniform<const D: usize>(&self, name: &str, shape: [usize; D], bound: f64) -> Param<Tensor<D>> {
        let parameter = ContentHash::of(name.as_bytes()).first_u64();
        let mut draws = Stream::new(self.seed, Purpose::Init, parameter, 0).draws();
        let n: usize = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|_| ((2.0 * draws.unit() - 1.0) * bound) as f32).collect();
        Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), self.device))
    }

    /// Draws from the stream that the name gives, so that a part starts alike in every model that has it.
    fn matrix(&self, name: &str, rows: usize, columns: usize) -> Param<Tensor<2>> {
        /// Values a stream gives, so that a large table is drawn by all threads.
        const CHUNK: usize = 1 << 16;
        let (seed, range) = (self.seed, self.range);
        let parameter = ContentHash::of(name.as_bytes()).first_u64();
        let mut values = vec![0.0f32; rows * columns];
        values.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| {
            let mut draws = Stream::new(seed, Purpose::Init, parameter, chunk as u64).draws();
            for value in values {
                let mut normal = draws.normal();
                while normal.abs() > 2.0 {
                    normal = draws.normal();
                }
                *value = (normal * range) as f32;
            }
        });
        let flat = Tensor::<1>::from_data(TensorData::from(values.as_slice()), self.device);
        Param::from_tensor(flat.reshape([rows, columns]))
    }
}
