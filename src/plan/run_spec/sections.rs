//! The sections of a specification: what a run's corpus, tokenizer, model, objective and training are.
//!
//! Field names are the keys of the experiment file, which are Hugging Face's `BertConfig` names where it has one.

use serde::{Deserialize, Serialize};

use super::later;
use super::lengths::LengthStage;
use crate::types::{ContentHash, Seed};

/// The corpus, and how it is cut into train and valid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataSpec {
    /// The corpus as the experiment file names it: `demo`, a path or a glob. A label: not part of the identity.
    pub corpus: String,
    /// The hash of the corpus's bytes (of the generator's settings for `demo`).
    pub corpus_hash: ContentHash,
    pub format: CorpusFormat,
    /// The field of a JSON line that holds the text.
    pub text_field: String,
    /// The share of documents held out, in (0, 1). A document's side depends on its content alone.
    pub valid_fraction: f64,
    /// Settings of the built-in corpus; absent for every other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demo: Option<DemoSpec>,
}

/// How text becomes documents of sentences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CorpusFormat {
    /// One sentence a line, a blank line between documents.
    Sentences,
    /// One sentence a line, a line `[EOD]` after each document.
    Eod,
    /// One JSON object a line; a document is the prose of its text field.
    Jsonl,
    /// Prose: one paragraph a line, blank lines or `= headings =` between documents; sentences are split off.
    Prose,
    /// The built-in generated corpus.
    Demo,
}

/// Settings of the built-in corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DemoSpec {
    pub documents: u64,
    pub seed: u64,
}

/// How the tokenizer is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenizerSpec {
    pub kind: TokenizerKind,
    /// Entries of the vocabulary, the special tokens included: five with WordPiece, seven with the others.
    pub vocab_size: usize,
    /// A pair that occurs less often is not merged.
    pub min_frequency: u64,
    /// At most so many different characters enter the alphabet.
    pub limit_alphabet: usize,
    pub lowercase: bool,
    /// What cuts words into morphemes in text that was analysed beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
    /// The dictionary that cuts words into morphemes, as the experiment file names it. A label: not part of the identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dictionary: Option<String>,
    /// The hash of the dictionary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dictionary_hash: Option<ContentHash>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenizerKind {
    Wordpiece,
    Bpe,
    Unigram,
    Character,
    /// Somebody else's, which lies with the run that imported it.
    Imported,
}

impl TokenizerSpec {
    /// Somebody else's tokenizer: all that is known of it is how many entries it has.
    pub fn imported(vocab_size: usize) -> Self {
        Self {
            kind: TokenizerKind::Imported,
            vocab_size,
            min_frequency: 0,
            limit_alphabet: 0,
            lowercase: false,
            separator: None,
            dictionary: None,
            dictionary_hash: None,
        }
    }
}

/// The shape of the model. Its vocabulary is the tokenizer's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    #[serde(default)]
    pub architecture: Architecture,
    pub hidden_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    /// Width of one head: `hidden_size / num_attention_heads` unless the file says otherwise.
    pub attention_head_size: usize,
    pub intermediate_size: usize,
    pub max_position_embeddings: usize,
    pub type_vocab_size: usize,
    pub hidden_act: Activation,
    /// Dropout on the embeddings and on both residual branches.
    pub hidden_dropout_prob: f64,
    /// Dropout on the attention probabilities.
    pub attention_probs_dropout_prob: f64,
    /// Standard deviation of the truncated normal that weights start from.
    pub initializer_range: f64,
    pub layer_norm_eps: f64,
    pub position_embedding_type: PositionEmbedding,
    pub norm_position: NormPosition,
    /// Whether the sum of the embeddings is normalised before dropout.
    pub embedding_layer_norm: bool,
    /// Whether the MLM head projects onto the word embeddings themselves.
    pub tie_word_embeddings: bool,
    /// Whether dense + activation + LayerNorm stand before the MLM projection.
    pub mlm_head_transform: bool,
    /// Whether the MLM projection has a bias per vocabulary entry.
    pub mlm_head_bias: bool,
    /// Whether the NSP classifier has a bias.
    pub nsp_head_bias: bool,
    /// The base of the frequencies of rotary positions.
    #[serde(default = "later::rope_theta")]
    pub rope_theta: f64,
    /// The window of attention in tokens, half of it to each side; 0: the whole sequence.
    #[serde(default = "later::local_attention")]
    pub local_attention: usize,
    /// Of layers with a window, every so many sees the whole sequence, the first among them; 0: none.
    #[serde(default = "later::global_attn_every_n_layers")]
    pub global_attn_every_n_layers: usize,
    /// Where the bias of the MLM projection starts.
    #[serde(default = "later::mlm_bias_init")]
    pub mlm_bias_init: BiasInit,
    /// Whether the feed-forward sublayer's activation gates a second projection (Shazeer 2020).
    #[serde(default = "later::is_gated_act")]
    pub is_gated_act: bool,
    /// What normalises, wherever something does.
    #[serde(default = "later::norm_type")]
    pub norm_type: NormType,
    /// Whether the attention of the first layer has a normalisation before it (pre-LN).
    #[serde(default = "later::first_attention_norm")]
    pub first_attention_norm: bool,
}

impl ModelSpec {
    /// How many tokens to each side a token of layer `l` sees; `None`: all.
    pub fn reach(&self, l: usize) -> Option<usize> {
        let every = self.global_attn_every_n_layers;
        let is_global = self.local_attention == 0 || (every > 0 && l.is_multiple_of(every));
        (!is_global).then_some(self.local_attention / 2)
    }

    /// How many distances from query to key have a vector, where positions are relative: each way, and none.
    pub fn distances(&self) -> Option<usize> {
        let is_relative = self.position_embedding_type == PositionEmbedding::RelativeKey;
        is_relative.then(|| 2 * self.max_position_embeddings - 1)
    }

    /// Whether the attention of layer `l` normalises.
    pub fn has_attention_norm(&self, l: usize) -> bool {
        l > 0 || self.first_attention_norm
    }

    /// What the first projection of the feed-forward sublayer gives.
    pub fn inner_size(&self) -> usize {
        if self.is_gated_act { 2 * self.intermediate_size } else { self.intermediate_size }
    }
}

/// What normalises the rows of hidden states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormType {
    /// Mean 0 and variance 1, then a gain and an offset (Ba, Kiros & Hinton 2016).
    LayerNorm,
    /// Mean square 1, then a gain (Zhang & Sennrich 2019, "Root Mean Square Layer Normalization").
    RmsNorm,
}

/// Where a bias starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BiasInit {
    Zeros,
    /// At the logarithm of the shares of the tokens in the train text, so that the first guess is the unigram one.
    Unigram,
}

/// What kind of model it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// An encoder that sees the whole sequence (Devlin et al. 2019).
    #[default]
    Bert,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Exact GELU, x * Phi(x) (Hendrycks & Gimpel 2016).
    Gelu,
    /// The tanh approximation of GELU that the original BERT code used.
    GeluNew,
    Relu,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PositionEmbedding {
    /// A learned vector a position (Hugging Face's name).
    Absolute,
    /// The fixed sines and cosines of Vaswani et al. 2017.
    Sinusoidal,
    /// Queries and keys turned by their position (Su et al. 2021).
    Rotary,
    /// A learned vector a distance of query and key, added to the key (Shaw et al. 2018; Hugging Face's name).
    RelativeKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormPosition {
    /// LayerNorm after each residual sum, as in BERT.
    Post,
    /// LayerNorm before each sublayer and once after the last, as in GPT-2.
    Pre,
}

/// What the model is trained to predict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectiveSpec {
    /// The share of a sequence's ordinary tokens that are selected for prediction.
    pub mask_ratio: f64,
    /// Of the selected, the share replaced by `[MASK]`.
    pub mask_token_prob: f64,
    /// Of the selected, the share replaced by a random ordinary token; the rest is kept.
    pub random_token_prob: f64,
    pub masking: Masking,
    pub nsp: Nsp,
    /// The share of pairs that are not consecutive, when `nsp` is on.
    pub nsp_negative_prob: f64,
    /// The share of pairs built to a shorter random length, as in BERT's data script.
    pub short_seq_prob: f64,
    /// How text becomes sequences where there are no pairs.
    #[serde(default = "later::packing")]
    pub packing: Packing,
    /// Whether words are selected as a whole.
    #[serde(default = "later::whole_word")]
    pub whole_word: bool,
    /// What is shown in place of a whole word is decided once, or for each of its tokens.
    #[serde(default = "later::mask_dice")]
    pub mask_dice: MaskDice,
    /// Whether tokens are drawn with replacement, as long8v/torch_study does; fewer are then selected than asked.
    #[serde(default = "later::mask_replacement")]
    pub mask_replacement: bool,
    /// What the MLM loss is multiplied with.
    #[serde(default = "later::mlm_weight")]
    pub mlm_weight: f64,
    /// What the summed MLM loss is divided by.
    #[serde(default = "later::mlm_mean")]
    pub mlm_mean: MlmMean,
    /// What the NSP loss is multiplied with.
    #[serde(default = "later::nsp_weight")]
    pub nsp_weight: f64,
    /// Negatives come from the first so many documents only (chuck2win/BERT: 33, by mistake); absent: from all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nsp_negative_documents: Option<usize>,
    /// Whether a softmax stands before the softmax of the NSP loss, as in the AIFFEL course's TensorFlow model: the loss
    /// of a perfect predictor is then 0.3133.
    #[serde(default = "later::nsp_double_softmax")]
    pub nsp_double_softmax: bool,
}

/// How text becomes sequences where there are no pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// Whole sentences until the next one would not fit (RoBERTa's FULL-SENTENCES, Liu et al. 2019). What a sentence has
    /// beyond the length of a sequence is never seen.
    FullSentences,
    /// All text end to end, cut to length wherever that falls (`group_texts` of Hugging Face's `run_mlm.py`, with a `[SEP]`
    /// between documents). Every token is seen once an epoch.
    Concatenated,
}

/// How many dice decide what is shown in place of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskDice {
    /// One each token (BERT).
    Token,
    /// One each word (AIFFEL).
    Word,
}

/// What the MLM loss is a mean over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MlmMean {
    /// The masked tokens (BERT).
    Masked,
    /// All positions of the batch at full length, masked or not (the AIFFEL course's TensorFlow model).
    Positions,
}

/// When masks are drawn anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Masking {
    /// Every time an instance is seen (RoBERTa).
    Dynamic,
    /// Once an instance, for the whole run.
    Static,
    /// `copies` masks an instance, taken in turn by epoch (BERT's `dupe_factor`).
    Copies(u32),
}

/// Next-sentence prediction. The label is 1 where B does not follow A.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nsp {
    /// Full sentences packed to length, no pair.
    Off,
    /// Negatives take B from another document (BERT).
    Random,
    /// Negatives exchange A and B: sentence-order prediction (ALBERT).
    Swap,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OptimizerSpec {
    pub kind: OptimizerKind,
    /// The peak learning rate, which the schedule scales.
    pub lr: f64,
    pub betas: [f64; 2],
    pub eps: f64,
    /// Weight decay: decoupled in `adamw`, added to the gradient in `adam`, to the direction in `lamb`.
    pub weight_decay: f64,
    /// What has no weight decay.
    #[serde(default = "later::decay_exempt")]
    pub decay_exempt: DecayExempt,
    /// Gradients are scaled down to this L2 norm; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// What the norm is of.
    #[serde(default = "later::clip_scope")]
    pub clip_scope: ClipScope,
    /// The momentum of `muon`'s hidden matrices.
    #[serde(default = "later::momentum")]
    pub momentum: f64,
}

/// Parameters without weight decay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecayExempt {
    /// Biases and the gains of LayerNorm, as in BERT.
    BiasAndNorm,
    /// Biases only: what comes of excluding `LayerNorm.weight` by a name that the model does not have.
    Bias,
    /// Everything decays, as in an optimizer without parameter groups.
    Nothing,
}

/// What gradients are clipped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClipScope {
    /// The norm of all gradients together.
    Global,
    /// Each parameter's own norm.
    PerTensor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerKind {
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2019).
    Adamw,
    /// Adam with L2 regularisation (Kingma & Ba 2015), as `torch.optim.Adam`.
    Adam,
    /// Layerwise adaptive moments (You et al. 2020).
    Lamb,
    /// Orthogonal updates of hidden matrices (Jordan et al. 2024), AdamW for the rest.
    Muon,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    pub kind: ScheduleKind,
    #[serde(flatten)]
    pub warmup: Warmup,
    /// The share of all steps, at their end, in which `wsd` falls to 0.
    #[serde(default = "later::decay_ratio")]
    pub decay_ratio: f64,
    /// What `plateau` multiplies the learning rate with when the valid loss has stopped falling.
    #[serde(default = "later::plateau_factor")]
    pub plateau_factor: f64,
    /// Evaluations without improvement that `plateau` waits through.
    #[serde(default = "later::plateau_patience")]
    pub plateau_patience: u64,
    /// An improvement is a loss below `best (1 - plateau_threshold)`.
    #[serde(default = "later::plateau_threshold")]
    pub plateau_threshold: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    Constant,
    Linear,
    Cosine,
    Noam,
    /// Warmup, stable, decay (Hu et al. 2024).
    Wsd,
    /// Up and down again in cosines (Smith & Topin 2019), as PyTorch's `OneCycleLR`.
    OneCycle,
    /// PyTorch's `ReduceLROnPlateau` on the valid loss.
    Plateau,
    /// What long8v/torch_study calls `WarmupConstantSchedule`: the whole rate at once, then Noam's formula unscaled.
    ConstantThenNoam,
}

impl ScheduleKind {
    /// Whether the rate before the last step hangs on how many steps there are.
    pub fn looks_ahead(self) -> bool {
        match self {
            Self::Constant | Self::Noam | Self::Plateau | Self::ConstantThenNoam => false,
            Self::Linear | Self::Cosine | Self::Wsd | Self::OneCycle => true,
        }
    }
}

/// The length of the linear rise from 0 to the peak.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Warmup {
    #[serde(rename = "warmup_steps")]
    Steps(u64),
    /// As a share of all steps, rounded to the nearest step.
    #[serde(rename = "warmup_ratio")]
    Ratio(f64),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainSpec {
    #[serde(flatten)]
    pub length: TrainLength,
    /// Sequences a forward pass; a step learns from [`sequences_a_step`](Self::sequences_a_step).
    pub batch_size: usize,
    /// Forward and backward passes whose mean gradient makes a step.
    #[serde(default = "later::gradient_accumulation_steps")]
    pub gradient_accumulation_steps: usize,
    /// Tokens a sequence, specials included.
    pub seq_len: usize,
    /// The shorter lengths that pretraining begins with, in their order: see [`stretches`](Self::stretches).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seq_len_warmup: Vec<LengthStage>,
    /// Steps between evaluations; the last step is always evaluated.
    pub eval_every: u64,
    /// Valid instances an evaluation: the first so many of the fixed valid set.
    pub eval_instances: usize,
    /// Steps between checkpoints; the last step is always kept.
    pub checkpoint_every: u64,
    /// The newest so many checkpoints are kept, and the best beside them.
    pub keep_checkpoints: usize,
    pub seed: Seed,
    pub device: DeviceKind,
    pub isa: Isa,
    /// Whether the backward pass computes sublayers again instead of keeping what they need: less memory, the same bits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gradient_checkpointing: bool,
}

/// How long a run trains.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainLength {
    Steps(u64),
    /// Passes over the train instances.
    Epochs(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// burn's pure-Rust CPU backend with the kernels of this program: the only device under the bitwise promise.
    Flex,
    /// libtorch on the CPU.
    Tch,
    /// libtorch on the first CUDA GPU.
    TchCuda,
    /// The first CUDA GPU, by burn's own kernels.
    Cuda,
    /// The best graphics device, by WebGPU.
    Wgpu,
    /// The best graphics device, by Vulkan.
    Vulkan,
}

impl DeviceKind {
    /// All devices that a specification can name.
    pub const ALL: [Self; 6] = [Self::Flex, Self::Tch, Self::TchCuda, Self::Cuda, Self::Wgpu, Self::Vulkan];

    /// The name in experiment files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Tch => "tch",
            Self::TchCuda => "tch_cuda",
            Self::Cuda => "cuda",
            Self::Wgpu => "wgpu",
            Self::Vulkan => "vulkan",
        }
    }

    /// Whether runs on it are under the bitwise promise.
    pub fn is_bitwise(self) -> bool {
        self == Self::Flex
    }
}

/// The instruction set that the matrix kernels use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isa {
    /// The widest that this CPU has; which one that was is in the provenance.
    Native,
    Avx512,
    Avx2,
}
