//! The weights of BERT as burn modules.
//!
//! Fields carry Hugging Face's names and shapes (a dense weight is `[out, in]`), so checkpoints are readable elsewhere.
//! What is computed with them is in [`super::bert`], how fresh ones are drawn in [`super::initial`].
//!
//! Shapes: D hidden, H heads, K head width, F intermediate, V vocabulary.

use burn::backend::DispatchTensor;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

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

/// The gain and the offset of a normalisation, `[D]` each.
#[derive(Module, Debug)]
pub struct LayerNorm {
    pub weight: Param<Tensor<1>>,
    /// Absent in RMSNorm.
    pub bias: Option<Param<Tensor<1>>>,
}

/// Word, position and segment embeddings.
#[derive(Module, Debug)]
pub struct Embeddings {
    pub word_embeddings: Embedding,
    /// Absent where positions are not learned, or are those of attention.
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
    /// Vectors of the distances from query to key, `[2 P - 1, K]`, where positions are relative.
    pub distance: Option<Embedding>,
    pub output: Dense,
    /// Absent in a first layer whose input is taken as it is.
    pub layer_norm: Option<LayerNorm>,
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

impl BertForPreTraining {
    /// The same weights, computed in another way.
    pub fn computed_by(mut self, compute: Compute) -> Self {
        self.bert.compute = compute;
        self
    }
}

impl BertForPreTraining {
    /// The model with another bias of the MLM projection, where it has one.
    pub fn with_mlm_bias(mut self, bias: &[f32], device: &Device) -> Self {
        self.mlm.bias = self.mlm.bias.map(|_| Param::from_tensor(Tensor::from_floats(bias, device)));
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
    /// Gain and offset as kernels read them; an offset that there is not is 0.
    pub(super) fn values(&self) -> [DispatchTensor; 2] {
        let gain = self.weight.val();
        let offset = match &self.bias {
            Some(bias) => value(bias),
            None => gain.clone().detach().zeros_like().into_dispatch(),
        };
        [gain.into_dispatch(), offset]
    }
}

/// A parameter as kernels read it.
pub(super) fn value<const D: usize>(parameter: &Param<Tensor<D>>) -> DispatchTensor {
    parameter.val().into_dispatch()
}
